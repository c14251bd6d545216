package hetzner_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/org/hsnap-action/internal/hetzner"
)

// fixed answers every request alike.
type fixed struct {
	status int
	kind   string
	body   string
}

func (f fixed) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{
		Status: http.StatusText(f.status), StatusCode: f.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r,
		Header: http.Header{"Content-Type": {f.kind}, "X-Correlation-Id": {"c0ffee"}, "Ratelimit-Limit": {f.body}},
		Body:   io.NopCloser(strings.NewReader(f.body)), ContentLength: int64(len(f.body)),
	}, nil
}

// refused reports whether an answer is a refusal in Hetzner's own words, whatever its details are.
func refused(status int, kind, body string) bool {
	var b struct {
		Error struct {
			Code, Message string
			Details       any
		}
	}
	return status >= 400 && status < 500 && strings.HasPrefix(kind, "application/json") &&
		json.Unmarshal([]byte(body), &b) == nil && b.Error.Code != ""
}

// FuzzReplies lets the API answer anything at all: nothing panics, no answer without IDs is a success, and a refusal is
// believed exactly when Hetzner has put it in its own words.
func FuzzReplies(f *testing.F) {
	const listing = `{"servers":[{"id":1,"name":"a","labels":null,"public_net":{}}],"images":[{"id":2,"created_from":null,"image_size":null}],` +
		`"actions":[{"id":3,"error":null}],"meta":{"pagination":{"page":1,"per_page":50,"next_page":null,"last_page":1,"total_entries":1}}}`
	for _, body := range []string{
		"", "{}", "null", "[]", `{"image":{"id":1},"action":{"id":2}}`, `{"image":{"id":-1},"action":{"id":0}}`, `{"action":{"id":5}}`,
		`{"error":{"code":"locked","message":"server is locked"}}`, `{"error":{"code":"invalid_input","details":{"fields":[{"name":"x"}]}}}`,
		`{"error":{}}`, "<html>", listing, `{"pricing":{"image":{"price_per_gb_month":{"net":"x","gross":"1"}}}}`, `{"server":{"id":42}}`,
		`{"meta":{"pagination":{"page":1,"next_page":9}}}`,
		`{"error":{"code":"invalid_input","message":"m","details":"x"}}`, `{"error":{"code":"invalid_input","details":[1,null]}}`,
		`{"error":{"code":"invalid_input","details":{"fields":{"a":"b"}}}}`, `{"error":{"code":"invalid_input","details":{"fields":[{"messages":7}]}}}`,
		`{"error":{"code":"deprecated_api_endpoint","details":{"announcement":[]}}}`, `{"error":{"code":"locked","details":-0}}`,
	} {
		for _, status := range []int{200, 201, 204, 302, 400, 423, 429, 500, 502, 999} {
			f.Add(status, "application/json", body)
		}
	}
	f.Fuzz(func(t *testing.T, status int, kind, body string) {
		if status < 100 || status > 999 {
			return
		}
		c := hetzner.New(hetzner.Options{Endpoint: "https://api.example/v1", Token: "token", Transport: fixed{status, kind, body}})
		ctx := t.Context()
		if image, action, _, err := c.CreateImage(ctx, 42, hetzner.NewImage{}); err == nil && (image <= 0 || action <= 0 || status/100 != 2) {
			t.Errorf("a create is accepted with image %d, action %d, status %d", image, action, status)
		} else if err != nil {
			e := asError(t, err)
			if final := e.Verdict != hetzner.Lost; e.Verdict == hetzner.NotSent || final != refused(status, kind, body) {
				t.Errorf("status %d, code %q is taken for %v", status, e.Code, e.Verdict)
			}
			if n := utf8.RuneCountInString(e.Message); n > 2000 {
				t.Errorf("a message of %d characters", n)
			}
		}
		for _, ask := range []func() (int64, hetzner.Quota, error){
			func() (int64, hetzner.Quota, error) { return c.PowerOn(ctx, 42) },
			func() (int64, hetzner.Quota, error) { return c.Shutdown(ctx, 42) },
			func() (int64, hetzner.Quota, error) {
				action, _, quota, err := c.Rebuild(ctx, 42, 123)
				return action, quota, err
			},
			func() (int64, hetzner.Quota, error) { return c.PowerOff(ctx, 42) },
			func() (int64, hetzner.Quota, error) { return c.Protect(ctx, 42) },
		} {
			if action, _, err := ask(); err == nil && (action <= 0 || status/100 != 2) {
				t.Errorf("a request is accepted with action %d, status %d", action, status)
			}
		}
		if _, err := c.DeleteImage(ctx, 42); err == nil && status != http.StatusNoContent {
			t.Errorf("an image is deleted by status %d", status)
		}
		if _, err := c.SetLabels(ctx, 42, nil); err == nil && status/100 != 2 {
			t.Errorf("labels are set by status %d", status)
		}
		if server, _, err := c.Server(ctx, 42); err == nil && server.ID != 42 {
			t.Errorf("server 42 is answered by %d", server.ID)
		}
		if page, _, err := c.ServerPage(ctx, "", 1); err == nil && (status/100 != 2 || page.Number != 1) {
			t.Errorf("a page of servers by status %d: %+v", status, page)
		}
		var list hetzner.Listing[hetzner.Image]
		if page, _, err := c.ImagePage(ctx, "", 1); err == nil {
			_, _ = list.Add(page)
		}
		_, _, _ = c.Actions(ctx, []int64{1})
		_, _, _ = c.ServerActions(ctx, 42, hetzner.ActionRunning)
		_, _, _ = c.Prices(ctx)
		if id := c.Self(ctx); id < 0 {
			t.Errorf("this machine is server %d", id)
		}
	})
}
