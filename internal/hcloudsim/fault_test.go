package hcloudsim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// send sends a request and reads the answer to its end.
func (c client) send(method, path, body string) (*http.Response, string, error) {
	c.t.Helper()
	res, err := c.rt.RoundTrip(c.request(method, path, body))
	if err != nil {
		return nil, "", err
	}
	defer func() { _ = res.Body.Close() }()
	raw, err := io.ReadAll(res.Body)
	return res, string(raw), err
}

func TestLostAnswers(t *testing.T) {
	for _, tt := range []struct {
		kind   FaultKind
		err    error
		op     string
		images [2]int // at once, and after Delay
	}{
		{kind: LoseAnswerDone, err: syscall.ECONNRESET, op: "read", images: [2]int{1, 1}},
		{kind: LoseAnswerLate, err: syscall.ECONNRESET, op: "read", images: [2]int{0, 1}},
		{kind: LoseAnswerNever, err: syscall.ECONNRESET, op: "read"},
		{kind: DropConnection, err: syscall.ECONNRESET, op: "read"},
		{kind: RefuseDial, err: syscall.ECONNREFUSED, op: "dial"},
	} {
		t.Run(tt.kind.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := New(Options{MinLatency: time.Millisecond, MaxLatency: time.Second})
				id := c.AddServer(Server{})
				c.Inject(Fault{Kind: tt.kind, Delay: 10 * time.Second})
				h := newClient(t, c)
				_, _, err := h.send("POST", fmt.Sprintf("/servers/%d/actions/create_image", id), createSnapshot)
				if op := new(net.OpError); !errors.Is(err, tt.err) || !errors.As(err, &op) || op.Op != tt.op {
					t.Errorf("error %v, want %s: %v", err, tt.op, tt.err)
				}
				if n := len(c.Images()); n != tt.images[0] {
					t.Errorf("%d images at once, want %d", n, tt.images[0])
				}
				time.Sleep(11 * time.Second)
				all := c.Images()
				if len(all) != tt.images[1] {
					t.Errorf("%d images later, want %d", len(all), tt.images[1])
				}
				ex := c.History()[0]
				if ex.Status != 0 || ex.Fault != tt.kind.String() || ex.CorrelationID != "" || ex.Body != createSnapshot || ex.Done.IsZero() {
					t.Errorf("history: %+v", ex)
				}
			})
		})
	}
}

func TestDamagedAnswers(t *testing.T) {
	c := New(Options{})
	id := c.AddServer(Server{Snapshot: SnapshotBehaviour{LockFor: -1}})
	h := newClient(t, c)
	create := fmt.Sprintf("/servers/%d/actions/create_image", id)
	for i, tt := range []struct {
		fault  Fault
		status int
		kind   string // content type
		body   string // contained
		done   bool
	}{
		{Fault{Kind: HTML502}, 502, "text/html", "<html>", false},
		{Fault{Kind: ErrorJSON, Status: 503, Code: "unavailable", Message: "later"}, 503, "application/json", `{"error":{"code":"unavailable","message":"later","details":null}}`, false},
		{Fault{Kind: EmptyObject}, 201, "application/json", "{}", true},
		{Fault{Kind: Garbled}, 201, "application/json", `{"action"`, true},
		{Fault{Kind: RateLimited}, 429, "application/json", DefaultToken[:8], false},
		{Fault{Kind: NoCorrelation}, 201, "application/json", `"image"`, true},
		{Fault{Kind: NoDate}, 201, "application/json", `"image"`, true},
		{Fault{Kind: Redirect307}, 307, "", "", false},
	} {
		before := len(c.Images())
		tt.fault.Times = 1
		c.Inject(tt.fault)
		res, body, err := h.send("POST", create, createSnapshot)
		if err != nil {
			t.Fatal(err)
		}
		if res.StatusCode != tt.status || res.Header.Get("Content-Type") != tt.kind || !strings.Contains(body, tt.body) {
			t.Errorf("%v: %d %s %s", tt.fault.Kind, res.StatusCode, res.Header.Get("Content-Type"), body)
		}
		if done := len(c.Images()) > before; done != tt.done {
			t.Errorf("%v: processed %v, want %v", tt.fault.Kind, done, tt.done)
		}
		if res.Header.Get(FaultHeader) != tt.fault.Kind.String() || c.History()[i].Fault != tt.fault.Kind.String() {
			t.Errorf("%v: header %q, history %+v", tt.fault.Kind, res.Header.Get(FaultHeader), c.History()[i])
		}
		if without := tt.fault.Kind == NoDate; (res.Header.Get("Date") == "") != without && res.StatusCode == http.StatusCreated {
			t.Errorf("Date is %q", res.Header.Get("Date"))
		}
		switch tt.fault.Kind {
		case NoCorrelation:
			if res.Header.Get("X-Correlation-Id") != "" {
				t.Error("a correlation ID where there should be none")
			}
		case Redirect307:
			if res.Header.Get("Location") != "/v1"+create {
				t.Errorf("location %q", res.Header.Get("Location"))
			}
		default: // the table has said it all
		}
	}
}

// A refusal becomes a success, too.
func TestDamagedRefusal(t *testing.T) {
	c := New(Options{})
	id := c.AddServer(Server{})
	c.Lock(id, Lock{})
	c.Inject(Fault{Kind: EmptyObject, Times: 1})
	res, body, err := newClient(t, c).send("POST", fmt.Sprintf("/servers/%d/actions/create_image", id), createSnapshot)
	if err != nil || res.StatusCode != 200 || body != "{}\n" {
		t.Errorf("refusal as an empty object: %v %s %v", res, body, err)
	}
}

func TestCutBody(t *testing.T) {
	c := New(Options{})
	c.Inject(Fault{Kind: CutBody, Times: 1})
	res, body, err := newClient(t, c).send("GET", "/servers", "")
	if !errors.Is(err, io.ErrUnexpectedEOF) || res.StatusCode != 200 || int64(2*len(body)) > res.ContentLength+1 || body == "" {
		t.Errorf("cut: %v %q %v", res, body, err)
	}
}

func TestWrongImageID(t *testing.T) {
	c := New(Options{})
	a, b := c.AddServer(Server{}), c.AddServer(Server{})
	c.Inject(Fault{Kind: WrongImageID, Path: "/servers/*/actions/create_image"})
	h := newClient(t, c)
	create := func(server int64) got {
		return h.must("POST", fmt.Sprintf("/servers/%d/actions/create_image", server), `{"labels":{"of":"me"}}`)
	}
	first := create(a).Image.ID // there is no other
	old := c.AddImage(Image{ID: 7, Labels: map[string]string{"of": "somebody"}})
	if id := create(b).Image.ID; id != old {
		t.Errorf("the answer names image %d, want %d", id, old)
	}
	var labels []string
	for _, img := range c.Images() {
		labels = append(labels, fmt.Sprint(img.ID, " ", img.Labels["of"]))
	}
	want := []string{fmt.Sprint(old, " somebody"), fmt.Sprint(first, " me"), fmt.Sprint(first+1, " me")}
	if diff := cmp.Diff(want, labels); diff != "" {
		t.Error(diff)
	}
}

func TestForgetActions(t *testing.T) {
	c := New(Options{})
	id := c.Lock(c.AddServer(Server{ID: 5}), Lock{Command: "attach_volume"})
	c.Inject(Fault{Kind: ForgetActions, Path: "/actions", Times: 1})
	h := newClient(t, c)
	path := fmt.Sprintf("/actions?id=%d", id)
	if g := h.must("GET", path, ""); g.Raw != `{"actions":[]}`+"\n" {
		t.Errorf("forgotten: %s", g.Raw)
	}
	if g := h.must("GET", path, ""); len(g.Actions) != 1 {
		t.Errorf("remembered: %s", g.Raw)
	}
	if n := len(h.must("GET", "/servers/5/actions", "").Actions); n != 1 {
		t.Errorf("%d actions of the server, want 1", n)
	}
}

func TestSlowAndHanging(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(Options{MinLatency: time.Second, MaxLatency: 2 * time.Second})
		id := c.AddServer(Server{})
		c.Inject(Fault{Kind: Slow, Delay: 30 * time.Second, Times: 2})
		c.Inject(Fault{Kind: Hang})
		h := newClient(t, c)
		start := time.Now()
		h.must("GET", "/servers", "")
		if d := time.Since(start); d < 31*time.Second || d > 32*time.Second {
			t.Errorf("a slow answer took %v", d)
		}

		within := func(d time.Duration, method, path, body string) error {
			ctx, cancel := context.WithTimeout(t.Context(), d)
			defer cancel()
			_, err := h.rt.RoundTrip(h.request(method, path, body).WithContext(ctx))
			return err
		}
		if err := within(10*time.Second, "POST", fmt.Sprintf("/servers/%d/actions/create_image", id), createSnapshot); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("slow: %v", err)
		}
		if len(c.Images()) != 1 {
			t.Error("a slow request took no effect")
		}
		start = time.Now()
		if err := within(time.Minute, "DELETE", fmt.Sprint("/images/", c.Images()[0].ID), ""); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("hanging: %v", err)
		}
		if d := time.Since(start); d != time.Minute || len(c.Images()) != 1 {
			t.Errorf("hung for %v, %d images", d, len(c.Images()))
		}
		if ex := c.History()[1]; ex.Status != 0 || ex.Fault != "slow" {
			t.Errorf("history: %+v", ex)
		}
	})
}

// TestAbandoned gives up while the request is on its way: it takes effect all
// the same.
func TestAbandoned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(Options{MinLatency: 10 * time.Second, MaxLatency: 20 * time.Second})
		id := c.AddServer(Server{})
		h := newClient(t, c)
		ctx, cancel := context.WithTimeout(t.Context(), time.Microsecond)
		defer cancel()
		_, err := h.rt.RoundTrip(h.request("POST", fmt.Sprintf("/servers/%d/actions/create_image", id), createSnapshot).WithContext(ctx))
		if !errors.Is(err, context.DeadlineExceeded) || len(c.Images()) != 0 {
			t.Errorf("%v, %d images", err, len(c.Images()))
		}
		time.Sleep(20 * time.Second)
		if len(c.Images()) != 1 {
			t.Errorf("%d images, want 1", len(c.Images()))
		}
		if ex := c.History()[0]; ex.Status != 0 || ex.Fault != "abandoned" {
			t.Errorf("history: %+v", ex)
		}
		cancel()
		if _, err := h.rt.RoundTrip(h.request("GET", "/servers", "").WithContext(ctx)); err == nil || len(c.History()) != 1 {
			t.Errorf("a request whose context had ended was sent: %v", err)
		}
	})
}

func TestFaultSelection(t *testing.T) {
	for name, tt := range map[string]struct {
		fault Fault
		want  string // of GET /servers 8 times a second each, x where the fault fired
	}{
		"all":         {Fault{}, "xxxxxxxx"},
		"method":      {Fault{Method: "POST"}, "........"},
		"path":        {Fault{Path: "/servers"}, "xxxxxxxx"},
		"pattern":     {Fault{Path: "/servers/*"}, "........"},
		"skip, times": {Fault{Skip: 2, Times: 3}, "..xxx..."},
		"every":       {Fault{Every: 3}, "..x..x.."},
		"skip, every": {Fault{Skip: 1, Every: 2, Times: 2}, "..x.x..."},
		"window":      {Fault{From: 2 * time.Second, For: 3 * time.Second}, "..xxx..."},
		"from":        {Fault{From: 6 * time.Second}, "......xx"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := New(Options{})
				tt.fault.Kind = HTML502
				c.Inject(tt.fault)
				c.Inject(Fault{Kind: ErrorJSON, Status: 500, Code: "server_error", Skip: 100})
				h := rude(t, c)
				var have strings.Builder
				for range 8 {
					res, _, err := h.send("GET", "/servers", "")
					if err != nil {
						t.Fatal(err)
					}
					have.WriteByte(map[int]byte{200: '.', 502: 'x'}[res.StatusCode])
					time.Sleep(time.Second)
				}
				if have.String() != tt.want {
					t.Errorf("fired %s, want %s", have.String(), tt.want)
				}
			})
		})
	}
}

func TestFirstFaultDecides(t *testing.T) {
	c := New(Options{})
	c.Inject(Fault{Kind: ErrorJSON, Status: 500, Code: "server_error", Times: 2})
	c.Inject(Fault{Kind: HTML502, Times: 1})
	h := rude(t, c)
	var have []int
	for range 4 {
		res, _, err := h.send("GET", "/servers", "")
		if err != nil {
			t.Fatal(err)
		}
		have = append(have, res.StatusCode)
	}
	if diff := cmp.Diff([]int{500, 500, 502, 200}, have); diff != "" {
		t.Error(diff)
	}
}

func TestRandomFaults(t *testing.T) {
	run := func(seed uint64) (have []string) {
		c := New(Options{Seed: seed, Corrupt: func(r *http.Request, dice *rand.Rand) *Fault {
			if r.Method == "GET" && dice.IntN(4) == 0 {
				return &Fault{Kind: FaultKind(1 + dice.IntN(int(Slow)-1))}
			}
			return nil
		}})
		h := rude(t, c)
		for range 50 {
			_, _, _ = h.send("GET", "/servers", "") // the faults decide what comes of it
		}
		for _, ex := range c.History() {
			have = append(have, ex.Fault)
		}
		return have
	}
	if diff := cmp.Diff(run(1), run(1)); diff != "" {
		t.Error(diff)
	}
	if cmp.Equal(run(1), run(2)) {
		t.Error("two seeds have the same faults")
	}
}
