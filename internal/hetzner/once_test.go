package hetzner_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/org/hsnap-action/internal/hetzner"
)

// trusting is the program's own transport, which trusts a test's certificate.
func trusting(t *testing.T) *http.Transport {
	t.Helper()
	transport := hetzner.NewTransport().(*http.Transport)
	transport.TLSClientConfig = &tls.Config{InsecureSkipVerify: true}
	t.Cleanup(transport.CloseIdleConnections)
	return transport
}

// change is a request that must never be sent twice.
type change struct {
	name string
	body bool
	send func(context.Context, *hetzner.Client) error
}

func changes() []change {
	return []change{
		{"create", true, func(ctx context.Context, c *hetzner.Client) error {
			_, _, _, err := c.CreateImage(ctx, 42, hetzner.NewImage{Description: "d"})
			return err
		}},
		{"rebuild", true, func(ctx context.Context, c *hetzner.Client) error {
			_, _, _, err := c.Rebuild(ctx, 42, 123)
			return err
		}},
		{"power-on", false, func(ctx context.Context, c *hetzner.Client) error { _, _, err := c.PowerOn(ctx, 42); return err }},
		{"labels", true, func(ctx context.Context, c *hetzner.Client) error { _, err := c.SetLabels(ctx, 42, nil); return err }},
		{"delete", false, func(ctx context.Context, c *hetzner.Client) error { _, err := c.DeleteImage(ctx, 42); return err }},
	}
}

// provocation is what an HTTP/2 server does to a request that arrived whole, and what net/http takes for a proof that
// it may send the request again.
type provocation func(framer *http2.Framer, stream uint32) error

func provocations() map[string]provocation {
	return map[string]provocation{
		"REFUSED_STREAM": func(f *http2.Framer, stream uint32) error {
			return f.WriteRSTStream(stream, http2.ErrCodeRefusedStream)
		},
		"PROTOCOL_ERROR": func(f *http2.Framer, stream uint32) error {
			return f.WriteRSTStream(stream, http2.ErrCodeProtocol)
		},
		"GOAWAY": func(f *http2.Framer, stream uint32) error {
			return f.WriteGoAway(stream-1, http2.ErrCodeNo, nil)
		},
	}
}

// listenHTTP2 returns the address of a TLS server that hands each connection over once it speaks HTTP/2.
func listenHTTP2(t *testing.T, serve func(net.Conn, *http2.Framer)) (endpoint string) {
	t.Helper()
	certified := httptest.NewUnstartedServer(nil)
	certified.StartTLS() // only for its certificate
	certificate := certified.TLS.Certificates[0]
	certified.Close()

	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		Certificates: []tls.Certificate{certificate}, NextProtos: []string{"h2"}, MinVersion: tls.VersionTLS12,
	})
	if err != nil {
		t.Fatal(err)
	}
	accept(t, listener, func(conn net.Conn) {
		if _, err := io.ReadFull(conn, make([]byte, len(http2.ClientPreface))); err != nil {
			return
		}
		framer := http2.NewFramer(conn, conn)
		if framer.WriteSettings() == nil {
			serve(conn, framer)
		}
	})
	return "https://" + listener.Addr().String() + "/v1"
}

// provoke speaks just enough HTTP/2 to let requests arrive whole, and counts and provokes each.
func provoke(t *testing.T, with provocation) (endpoint string, arrived *atomic.Int64) {
	t.Helper()
	arrived = new(atomic.Int64)
	endpoint = listenHTTP2(t, func(_ net.Conn, framer *http2.Framer) {
		for {
			frame, err := framer.ReadFrame()
			if err != nil {
				return
			}
			ended := false
			switch f := frame.(type) {
			case *http2.SettingsFrame:
				if !f.IsAck() {
					err = framer.WriteSettingsAck()
				}
			case *http2.PingFrame:
				err = framer.WritePing(true, f.Data)
			case *http2.HeadersFrame:
				ended = f.StreamEnded()
			case *http2.DataFrame:
				ended = f.StreamEnded()
			}
			if ended {
				arrived.Add(1)
				err = with(framer, frame.Header().StreamID)
			}
			if err != nil {
				return
			}
		}
	})
	return endpoint, arrived
}

// untilTwo returns a context that ends when two requests have arrived, since net/http goes on for a minute.
func untilTwo(t *testing.T, arrived *atomic.Int64) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	t.Cleanup(cancel)
	go func() {
		for arrived.Load() < 2 && ctx.Err() == nil {
			time.Sleep(time.Millisecond)
		}
		cancel()
	}()
	return ctx
}

// Whatever makes net/http alone send a change again, it leaves this client once, and its outcome counts as unknown.
func TestChangesAreSentOnceOverHTTP2(t *testing.T) {
	for name, with := range provocations() {
		for _, change := range changes() {
			t.Run(name+" "+change.name, func(t *testing.T) {
				t.Parallel()
				endpoint, arrived := provoke(t, with)
				c := hetzner.New(hetzner.Options{Endpoint: endpoint, Token: "token", Transport: trusting(t)})
				err := change.send(untilTwo(t, arrived), c)
				const message = "the request was broken off before an answer came, and is not sent a second time"
				if e := asError(t, err); e.Verdict != hetzner.Lost || e.Message != message {
					t.Errorf("verdict %v, want lost: %v", e.Verdict, e)
				}
				if arrived.Load() != 1 {
					t.Errorf("the request arrived %d times, want once", arrived.Load())
				}
			})
		}
	}
}

// Whatever net/http thinks of, it has no second body to send, and no body at all where there is none.
func TestChangesHandOverNoSecondBody(t *testing.T) {
	for _, change := range changes() {
		_ = change.send(t.Context(), client(func(r *http.Request) (*http.Response, error) {
			if r.GetBody != nil {
				t.Errorf("%s: the body can be sent again", change.name)
			}
			if (r.Body != nil) != change.body {
				t.Errorf("%s: body %v", change.name, r.Body)
			}
			return reply(502, "")(r)
		}))
	}
}

// If one of these fails, the server no longer provokes net/http, and the test above proves nothing.
func TestNetHTTPAloneSendsAgain(t *testing.T) {
	for name, with := range provocations() {
		for _, body := range []string{"", "{}"} {
			t.Run(name+" "+body, func(t *testing.T) {
				t.Parallel()
				endpoint, arrived := provoke(t, with)
				req, err := http.NewRequestWithContext(untilTwo(t, arrived), http.MethodPost, endpoint+"/x", strings.NewReader(body))
				if err != nil {
					t.Fatal(err)
				}
				resp, err := (&http.Client{Transport: trusting(t)}).Do(req)
				if err == nil {
					_ = resp.Body.Close()
				}
				if arrived.Load() < 2 {
					t.Errorf("a plain client sent %d requests, want at least 2: %v", arrived.Load(), err)
				}
			})
		}
	}
}

// A read does no harm twice, so net/http may repeat it.
func TestReadsAreRepeated(t *testing.T) {
	for name, with := range provocations() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			endpoint, arrived := provoke(t, with)
			c := hetzner.New(hetzner.Options{Endpoint: endpoint, Token: "token", Transport: trusting(t)})
			if _, _, err := c.Server(untilTwo(t, arrived), 42); arrived.Load() < 2 {
				t.Errorf("a read arrived %d times, want it repeated: %v", arrived.Load(), err)
			}
		})
	}
}

// Plain HTTP goes to this machine and the metadata service only, however a name is written and whatever proxy the environment
// names.
func TestPlainHTTPGoesThroughNoProxy(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:9")
	proxy := hetzner.NewTransport().(*http.Transport).Proxy
	for _, host := range []string{"LOCALHOST", "localhost", "127.0.0.1", "[::1]", "169.254.169.254"} {
		u, err := proxy(httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+host+"/v1/servers", nil))
		if u != nil || err != nil {
			t.Errorf("%s: proxy %v, %v", host, u, err)
		}
	}
}

func TestNoRedirectIsFollowed(t *testing.T) {
	for _, status := range []int{http.StatusMovedPermanently, http.StatusFound, http.StatusTemporaryRedirect, http.StatusPermanentRedirect} {
		for _, change := range changes() {
			t.Run(fmt.Sprint(status, " ", change.name), func(t *testing.T) {
				var arrived atomic.Int64
				server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					arrived.Add(1)
					if r.ProtoMajor != 2 {
						t.Errorf("the request came over %s, want HTTP/2", r.Proto)
					}
					http.Redirect(w, r, r.URL.Path, status)
				}))
				server.EnableHTTP2 = true
				server.StartTLS()
				defer server.Close()
				c := hetzner.New(hetzner.Options{Endpoint: server.URL + "/v1", Token: "token", Transport: trusting(t)})
				if e := asError(t, change.send(t.Context(), c)); e.Verdict != hetzner.Lost || e.Status != status {
					t.Errorf("verdict %v, status %d, want lost and the redirect's status", e.Verdict, e.Status)
				}
				if arrived.Load() != 1 {
					t.Errorf("the request arrived %d times, want once", arrived.Load())
				}
			})
		}
	}
}

// A request that found no connection, or none that could be trusted, was never sent.
func TestNotSent(t *testing.T) {
	untrusted := httptest.NewTLSServer(http.NotFoundHandler())
	defer untrusted.Close()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := "https://" + listener.Addr().String() + "/v1"
	_ = listener.Close()

	for name, endpoint := range map[string]string{
		"the dial fails":          closed,
		"the TLS handshake fails": untrusted.URL + "/v1",
		"the name is unknown":     "https://no-such-host.invalid/v1",
	} {
		t.Run(name, func(t *testing.T) {
			c := hetzner.New(hetzner.Options{Endpoint: endpoint, Token: "token", Transport: hetzner.NewTransport()})
			_, _, _, err := c.CreateImage(t.Context(), 42, hetzner.NewImage{})
			if e := asError(t, err); e.Verdict != hetzner.NotSent {
				t.Errorf("verdict %v, want not sent: %v", e.Verdict, e)
			}
		})
	}
}

func asError(t *testing.T, err error) *hetzner.Error {
	t.Helper()
	e, ok := errors.AsType[*hetzner.Error](err)
	if !ok {
		t.Fatalf("error %v is no *hetzner.Error", err)
	}
	return e
}
