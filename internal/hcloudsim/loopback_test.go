package hcloudsim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// loopback sends requests to a Cloud over a real connection.
type loopback struct {
	t   *testing.T
	srv *httptest.Server
}

func (l loopback) do(method, path, body string) (*http.Response, string, error) {
	l.t.Helper()
	limit := 5 * time.Second
	if strings.HasPrefix(path, "/hang") {
		limit = 20 * time.Millisecond
	}
	ctx, cancel := context.WithTimeout(l.t.Context(), limit)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, l.srv.URL+"/v1"+path, strings.NewReader(body))
	if err != nil {
		l.t.Fatal(err)
	}
	req.GetBody = nil // net/http must not send a create twice
	req.Header.Set("Authorization", "Bearer "+DefaultToken)
	res, err := l.srv.Client().Transport.RoundTrip(req)
	if err != nil {
		return nil, "", err
	}
	defer func() { _ = res.Body.Close() }()
	raw, err := io.ReadAll(res.Body)
	return res, string(raw), err
}

// TestLoopback goes over real connections, so that the in-process transport
// cannot lie.
func TestLoopback(t *testing.T) {
	for name, start := range map[string]func(*httptest.Server){
		"HTTP/1.1": (*httptest.Server).Start,
		"HTTP/2":   func(s *httptest.Server) { s.EnableHTTP2 = true; s.StartTLS() },
	} {
		t.Run(name, func(t *testing.T) {
			c := New(Options{MaxLatency: time.Millisecond})
			id := c.AddServer(Server{Snapshot: SnapshotBehaviour{LockFor: -1}})
			srv := httptest.NewUnstartedServer(c)
			start(srv)
			defer srv.Close()
			l := loopback{t, srv}
			create := fmt.Sprintf("/servers/%d/actions/create_image", id)

			res, body, err := l.do("POST", create, createSnapshot)
			if err != nil || res.StatusCode != 201 || !strings.Contains(body, `"creating"`) || res.Header.Get(FaultHeader) != "" || res.ContentLength != int64(len(body)) {
				t.Errorf("create: %v %s %v", res, body, err)
			}
			if res, body, err := l.do("DELETE", fmt.Sprint("/images/", c.Images()[0].ID), ""); err != nil || res.StatusCode != 204 || body != "" {
				t.Errorf("delete: %v %s %v", res, body, err)
			}
			for _, kind := range []FaultKind{LoseAnswerDone, LoseAnswerNever, DropConnection, RefuseDial} {
				before := len(c.Images())
				c.Inject(Fault{Kind: kind, Times: 1})
				if res, _, err := l.do("POST", create, createSnapshot); err == nil {
					t.Errorf("%v: answered %v", kind, res)
				}
				if n := len(c.Images()) - before; (n == 1) != (kind == LoseAnswerDone) {
					t.Errorf("%v: %d images more", kind, n)
				}
			}
			c.Inject(Fault{Kind: CutBody, Times: 1})
			if res, body, err := l.do("GET", "/servers", ""); err == nil || res == nil || res.StatusCode != 200 || body == "" {
				t.Errorf("cut: %v %q %v", res, body, err)
			}
			c.Inject(Fault{Kind: Hang, Path: "/hang"})
			if _, _, err := l.do("GET", "/hang", ""); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("hang: %v", err)
			}
			c.Inject(Fault{Kind: Redirect307, Times: 1})
			if res, _, err := l.do("GET", "/servers?page=2", ""); err != nil || res.StatusCode != 307 || res.Header.Get("Location") != "/v1/servers?page=2" {
				t.Errorf("redirect: %v %v", res, err)
			}
			c.Inject(Fault{Kind: HTML502, Times: 1})
			if res, _, err := l.do("GET", "/servers", ""); err != nil || res.StatusCode != 502 {
				t.Errorf("gateway: %v %v", res, err)
			}
		})
	}
}

// unsizedBody is a request body whose length its type doesn't show.
type unsizedBody struct{ io.Reader }

func (unsizedBody) Close() error { return nil }

// Gateways refuse a change without a Content-Length, even one without a body; the in-process transport sees the same as a
// server does.
func TestLengthRequired(t *testing.T) {
	c := New(Options{})
	for name, start := range map[string]func(*httptest.Server){
		"in process": nil,
		"HTTP/1.1":   (*httptest.Server).Start,
		"HTTP/2":     func(s *httptest.Server) { s.EnableHTTP2 = true; s.StartTLS() },
	} {
		url, rt := "http://sim.test", c.Transport()
		if start != nil {
			srv := httptest.NewUnstartedServer(c)
			start(srv)
			t.Cleanup(srv.Close)
			url, rt = srv.URL, srv.Client().Transport
		}
		id := c.AddServer(Server{Snapshot: SnapshotBehaviour{LockFor: -1}})
		image := c.AddImage(Image{})
		create := fmt.Sprintf("/servers/%d/actions/create_image", id)
		shutdown := fmt.Sprintf("/servers/%d/actions/shutdown", id)
		for _, tt := range []struct {
			method, path string
			body         io.Reader
			length       int64 // beside what http.NewRequest finds out itself
			status       int
		}{
			{"POST", shutdown, nil, 0, 201},
			{"POST", shutdown, http.NoBody, 0, 201},
			{"POST", shutdown, strings.NewReader(""), 0, 201},
			{"POST", create, strings.NewReader(createSnapshot), 0, 201},
			{"POST", create, unsizedBody{strings.NewReader(createSnapshot)}, int64(len(createSnapshot)), 201},
			{"POST", shutdown, unsizedBody{strings.NewReader("")}, 0, 411},
			{"POST", shutdown, unsizedBody{strings.NewReader("")}, -1, 411},
			{"POST", create, unsizedBody{strings.NewReader(createSnapshot)}, 0, 411},
			{"PUT", fmt.Sprint("/images/", image), unsizedBody{strings.NewReader(`{"description":"x"}`)}, 0, 411},
			{"GET", "/servers", nil, 0, 200},
			{"DELETE", fmt.Sprint("/images/", image), nil, 0, 204},
		} {
			req, err := http.NewRequestWithContext(t.Context(), tt.method, url+"/v1"+tt.path, tt.body)
			if err != nil {
				t.Fatal(err)
			}
			if tt.length != 0 {
				req.ContentLength = tt.length
			}
			req.Header.Set("Authorization", "Bearer "+DefaultToken)
			res, err := rt.RoundTrip(req)
			if err != nil {
				t.Fatalf("%s: %s %s: %v", name, tt.method, tt.path, err)
			}
			_ = res.Body.Close()
			if res.StatusCode != tt.status || tt.status == 411 && res.Header.Get("Content-Type") != "text/html" {
				t.Errorf("%s: %s %s with %T of length %d: %d %s, want %d", name, tt.method, tt.path, tt.body, tt.length, res.StatusCode, res.Header, tt.status)
			}
		}
	}
	for _, img := range c.Images() {
		if img.Description == "x" {
			t.Error("a refused change took effect")
		}
	}
}
