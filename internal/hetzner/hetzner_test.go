package hetzner_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/org/hsnap-action/internal/hetzner"
	"github.com/org/hsnap-action/internal/secret"
)

const token = "u8jzPde0IgxLd6GncfBAepfJBd0Kh8oOOL8dKLzdocJ2isAjIhKtJ0RlgLKOmxgJ"

// answering is a transport that always gives the same answer.
type answering func(*http.Request) (*http.Response, error)

func (f answering) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func reply(status int, body string, headers ...string) answering {
	return func(r *http.Request) (*http.Response, error) {
		h := http.Header{"Content-Type": {"application/json"}, "X-Correlation-Id": {"f21b9dc9d1535310"}}
		for i := 0; i < len(headers); i += 2 {
			h.Set(headers[i], headers[i+1])
		}
		return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
	}
}

func client(transport answering) *hetzner.Client {
	return hetzner.New(hetzner.Options{
		Endpoint: "https://api.example/v1", Token: token, Transport: transport, Mask: secret.New(token),
	})
}

func refusal(code string) string {
	return fmt.Sprintf(`{"error":{"code":%q,"message":"a message","details":null}}`, code)
}

// What every kind of answer to a create means. This table is the heart of exactly-once: a line that says "refused"
// where Hetzner may have acted costs the user a second snapshot, the other way round it costs a minute.
func TestVerdict(t *testing.T) {
	cut := func(r *http.Request) (*http.Response, error) {
		resp, _ := reply(423, refusal("locked"))(r)
		resp.Body = io.NopCloser(io.MultiReader(strings.NewReader(`{"error":{"code":"locked"`), broken{}))
		return resp, nil
	}
	tests := []struct {
		name   string
		answer answering
		want   hetzner.Verdict
	}{
		{"locked", reply(423, refusal("locked")), hetzner.NotNow},
		{"conflict", reply(409, refusal("conflict")), hetzner.NotNow},
		{"rate limit", reply(429, refusal("rate_limit_exceeded")), hetzner.NotNow},
		{"maintenance", reply(403, refusal("maintenance")), hetzner.NotNow},
		{"resource unavailable", reply(412, refusal("resource_unavailable")), hetzner.NotNow},
		{"service error", reply(422, refusal("service_error")), hetzner.NotNow},
		{"limit of snapshots", reply(403, refusal("resource_limit_exceeded")), hetzner.Full},
		{"invalid input", reply(422, refusal("invalid_input")), hetzner.Refused},
		{"no such server", reply(404, refusal("not_found")), hetzner.Refused},
		{"protected, with locked's status", reply(423, refusal("protected")), hetzner.Refused},
		{"locked until support unlocks it", reply(423, refusal("resource_locked")), hetzner.Refused},
		{"details of an unexpected shape", reply(422, `{"error":{"code":"invalid_input","message":"m","details":["x"]}}`), hetzner.Refused},
		{"fields of an unexpected shape", reply(422, `{"error":{"code":"invalid_input","details":{"fields":{"name":1}}}}`), hetzner.Refused},
		{"an announcement of an unexpected shape", reply(410, `{"error":{"code":"deprecated_api_endpoint","details":"x"}}`), hetzner.Refused},
		{"a code that nobody knows yet", reply(418, refusal("teapot")), hetzner.Refused},
		{"unauthorized", reply(401, refusal("unauthorized")), hetzner.TokenRefused},
		{"read-only token, old code", reply(401, refusal("token_readonly")), hetzner.TokenRefused},
		{"read-only token", reply(403, refusal("forbidden")), hetzner.TokenRefused},

		{"server error", reply(500, refusal("server_error")), hetzner.Lost},
		{"locked with a gateway's status", reply(503, refusal("locked")), hetzner.Lost},
		{"timeout", reply(504, refusal("timeout")), hetzner.Lost},
		{"a gateway's page", reply(502, "<html>", "Content-Type", "text/html"), hetzner.Lost},
		{"a gateway's page with a status below 500", reply(404, "<html>", "Content-Type", "text/html"), hetzner.Lost},
		{"an error without a code", reply(422, `{"error":{"message":"m"}}`), hetzner.Lost},
		{"an error without a body", reply(423, ""), hetzner.Lost},
		{"an error in something that is not called JSON", reply(423, refusal("locked"), "Content-Type", "text/plain"), hetzner.Lost},
		{"an error with half a body", cut, hetzner.Lost},
		{"an empty object", reply(201, `{}`), hetzner.Lost},
		{"an image without an action", reply(201, `{"image":{"id":4711}}`), hetzner.Lost},
		{"an action without an image", reply(201, `{"action":{"id":13}}`), hetzner.Lost},
		{"an ID below zero", reply(201, `{"image":{"id":-1},"action":{"id":13}}`), hetzner.Lost},
		{"broken JSON", reply(201, `{"image":{"id":4711},"acti`), hetzner.Lost},
		{"no content", reply(204, ""), hetzner.Lost},
		{"a refusal in a success", reply(200, refusal("locked")), hetzner.Lost},
		{"the connection breaks", func(*http.Request) (*http.Response, error) { return nil, io.ErrUnexpectedEOF }, hetzner.Lost},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			image, action, _, err := client(tt.answer).CreateImage(t.Context(), 42, hetzner.NewImage{})
			if e := asError(t, err); e.Verdict != tt.want {
				t.Errorf("verdict %v, want %v: %v", e.Verdict, tt.want, e)
			}
			if image != 0 || action != 0 {
				t.Errorf("a create that failed returned image %d, action %d", image, action)
			}
		})
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestCreateImage(t *testing.T) {
	var sent string
	c := client(func(r *http.Request) (*http.Response, error) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		sent = r.Method + " " + r.URL.Path + " " + string(b)
		return reply(201, `{"image":{"id":4711},"action":{"id":13}}`, "RateLimit-Limit", "3600", "RateLimit-Remaining", "359")(r)
	})
	image, action, quota, err := c.CreateImage(t.Context(), 42, hetzner.NewImage{Description: "d", Labels: map[string]string{"k": "v"}})
	if err != nil || image != 4711 || action != 13 {
		t.Errorf("image %d, action %d, error %v; want 4711, 13 and none", image, action, err)
	}
	if want := `POST /v1/servers/42/actions/create_image {"type":"snapshot","description":"d","labels":{"k":"v"}}`; sent != want {
		t.Errorf("sent %s\nwant %s", sent, want)
	}
	if !quota.Low() {
		t.Errorf("%+v does not count as low", quota)
	}
}

// Of a root password only that there is one leaves the package.
func TestRebuild(t *testing.T) {
	for password, want := range map[string]bool{`"kFpt9vbkL3aWzQ"`: true, `""`: false, `null`: false} {
		var seen []hetzner.Exchange
		c := hetzner.New(hetzner.Options{
			Endpoint: "https://api.example/v1", Token: "token", Observe: func(x hetzner.Exchange) { seen = append(seen, x) },
			Transport: reply(201, `{"action":{"id":13},"root_password":`+password+`}`),
		})
		action, got, _, err := c.Rebuild(t.Context(), 42, 123)
		if action != 13 || got != want || err != nil || strings.Contains(fmt.Sprintf("%+v", seen), "kFpt9vbk") {
			t.Errorf("%s: action %d, password %t, error %v, observed %+v", password, action, got, err, seen)
		}
	}
	if _, _, _, err := client(reply(201, `{"root_password":"kFpt9vbkL3aWzQ"}`)).Rebuild(t.Context(), 42, 123); !hetzner.IsLost(err) || strings.Contains(err.Error(), "kFpt") {
		t.Errorf("an answer without an action: %v", err)
	}
}

func TestErrorKeepsCodeAndCorrelation(t *testing.T) {
	body := `{"error":{"code":"locked","message":"cannot perform operation because server is locked","details":null}}`
	_, _, _, err := client(reply(423, body)).CreateImage(t.Context(), 42, hetzner.NewImage{})
	if want := "cannot perform operation because server is locked (locked, f21b9dc9d1535310)"; err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
	body = `{"error":{"code":"invalid_input","message":"invalid input","details":{"fields":[{"name":"labels","messages":["is too long"]}]}}}`
	_, _, _, err = client(reply(422, body)).CreateImage(t.Context(), 42, hetzner.NewImage{})
	if want := "invalid input; labels: is too long (invalid_input, f21b9dc9d1535310)"; err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

// A text from outside is no longer than 2,000 characters, in whatever it comes.
func TestTextsAreCut(t *testing.T) {
	long := strings.Repeat("ü", 5000)
	for name, body := range map[string]string{
		"message": `{"error":{"code":"conflict","message":"` + long + `"}}`,
		"code":    `{"error":{"code":"` + long + `","message":"m"}}`,
		"details": `{"error":{"code":"invalid_input","message":"m","details":{"fields":[{"name":"` + long + `"}]}}}`,
	} {
		_, _, _, err := client(reply(422, body)).CreateImage(t.Context(), 42, hetzner.NewImage{})
		e := asError(t, err)
		if n := utf8.RuneCountInString(e.Code + e.Message); n < 2000 || n > 2020 || !strings.Contains(err.Error(), "…") {
			t.Errorf("%s: %d characters, want it cut at 2,000", name, n)
		}
	}
	body := `{"actions":[{"id":1,"status":"error","error":{"code":"c","message":"` + long + `"}}]}`
	actions, _, err := client(reply(200, body)).Actions(t.Context(), []int64{1})
	if err != nil || utf8.RuneCountInString(actions[0].ErrorMessage) != 2000 {
		t.Errorf("an action's message is not cut: %v, %v", actions, err)
	}
}

// Only a lock that goes away is one to wait for.
func TestIsLocked(t *testing.T) {
	tests := []struct {
		code, message string
		want          bool
	}{
		{"locked", "a message", true},
		{"unknown_error", "Server is locked", true},
		{"unknown_error", "a message", false},
		{"", "server is locked", true},
		{"resource_locked", "the resource is locked, contact support", false},
		{"protected", "the image is locked by its protection", false},
	}
	for _, tt := range tests {
		if got := hetzner.IsLocked(tt.code, tt.message); got != tt.want {
			t.Errorf("IsLocked(%q, %q) = %t, want %t", tt.code, tt.message, got, tt.want)
		}
	}
}

// Nothing that leaves the package may hold the token or six characters in a row of it.
func TestTokenIsHidden(t *testing.T) {
	quoting := fmt.Sprintf(`{"error":{"code":"rate_limit_exceeded","message":"limit for %s reached","details":null}}`, token[:8])
	failing := func(*http.Request) (*http.Response, error) { return nil, fmt.Errorf("proxy: Bearer %s", token) }
	for name, transport := range map[string]answering{
		"message":     reply(429, quoting),
		"correlation": reply(423, refusal("locked"), "X-Correlation-Id", token),
		"network":     failing,
	} {
		t.Run(name, func(t *testing.T) {
			var seen []hetzner.Exchange
			c := hetzner.New(hetzner.Options{
				Endpoint: "https://api.example/v1", Token: token, Transport: transport, Mask: secret.New(token),
				Observe: func(x hetzner.Exchange) { seen = append(seen, x) },
			})
			_, _, err := c.Server(t.Context(), 42)
			text := fmt.Sprintf("%v %+v %#v", err, asError(t, err), seen)
			for i := range len(token) - 5 {
				if strings.Contains(text, token[i:i+6]) {
					t.Fatalf("%s holds %q of the token", text, token[i:i+6])
				}
			}
			if len(seen) != 1 {
				t.Errorf("observed %d requests, want 1", len(seen))
			}
		})
	}
}

func TestTimeouts(t *testing.T) {
	hang := answering(func(r *http.Request) (*http.Response, error) {
		<-r.Context().Done()
		return nil, r.Context().Err()
	})
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		_, _, err := client(hang).Server(t.Context(), 42)
		if took := time.Since(start); took != 10*time.Second || asError(t, err).Message != "no answer in time" {
			t.Errorf("a read ended after %s with %v, want a timeout after 10s", took, err)
		}
		start = time.Now()
		_, _, _, err = client(hang).CreateImage(t.Context(), 42, hetzner.NewImage{})
		if took := time.Since(start); took != time.Minute || asError(t, err).Verdict != hetzner.Lost {
			t.Errorf("a create ended after %s with %v, want it lost after 1m", took, err)
		}
	})
}

func TestHalfAnswersAreErrors(t *testing.T) {
	ctx := context.Background()
	reads := map[string]func(*hetzner.Client) error{
		"server":  func(c *hetzner.Client) error { _, _, err := c.Server(ctx, 42); return err },
		"servers": func(c *hetzner.Client) error { _, _, err := c.ServerPage(ctx, "", 1); return err },
		"images":  func(c *hetzner.Client) error { _, _, err := c.ImagePage(ctx, "", 1); return err },
		"actions": func(c *hetzner.Client) error { _, _, err := c.Actions(ctx, []int64{1}); return err },
		"server actions": func(c *hetzner.Client) error {
			_, _, err := c.ServerActions(ctx, 42, hetzner.ActionRunning)
			return err
		},
	}
	for name, read := range reads {
		for _, answer := range []answering{
			reply(200, `{}`), reply(200, `{"servers":[{"id`), reply(200, ``), reply(200, `null`),
			reply(502, `<html>`, "Content-Type", "text/html"), reply(302, ``, "Location", "/"),
		} {
			if err := read(client(answer)); err == nil {
				t.Errorf("%s: half an answer passes for a whole one", name)
			}
		}
	}
	for name, body := range map[string]string{
		"no pagination":  `{"images":[]}`,
		"no list":        `{"meta":{"pagination":{"page":1,"per_page":50,"next_page":null,"last_page":1,"total_entries":0}}}`,
		"another page":   `{"images":[],"meta":{"pagination":{"page":2,"per_page":50,"next_page":null,"last_page":2,"total_entries":0}}}`,
		"a page skipped": `{"images":[],"meta":{"pagination":{"page":1,"per_page":50,"next_page":3,"last_page":3,"total_entries":0}}}`,
	} {
		if _, _, err := client(reply(200, body)).ImagePage(ctx, "", 1); err == nil {
			t.Errorf("a listing with %s passes for a page", name)
		}
	}
}

// The metadata service is asked once, without the token, and wherever it points to is not asked.
func TestSelf(t *testing.T) {
	for name, test := range map[string]struct {
		answer answering
		want   int64
	}{
		"a server":           {reply(200, "42\n"), 42},
		"no number":          {reply(200, "<html>"), 0},
		"no ID":              {reply(200, "-42"), 0},
		"too great a number": {reply(200, "99999999999999999999"), 0},
		"not found":          {reply(404, "42"), 0},
		"a redirect":         {reply(307, "42", "Location", "http://169.254.169.254/elsewhere"), 0},
		"no answer": {func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began, sent := time.Now(), 0
				id := client(func(r *http.Request) (*http.Response, error) {
					sent++
					if r.URL.String() != "http://169.254.169.254/hetzner/v1/metadata/instance-id" || strings.Contains(fmt.Sprint(r.Header), token) {
						t.Errorf("%s is sent %v", r.URL, r.Header)
					}
					return test.answer(r)
				}).Self(t.Context())
				if took := time.Since(began); id != test.want || sent != 1 || took > time.Second {
					t.Errorf("ID %d after %d requests and %s, want %d", id, sent, took, test.want)
				}
			})
		})
	}
}
