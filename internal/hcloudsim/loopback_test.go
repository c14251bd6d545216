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
