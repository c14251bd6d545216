package hetzner_test

import (
	"context"
	"crypto/tls"
	"errors"
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

// refusingServer speaks just enough HTTP/2 to let a request arrive whole and then refuse its stream, which net/http
// takes for a reason to send it again. It counts the requests that arrived.
func refusingServer(t *testing.T) (endpoint string, arrived *atomic.Int64) {
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
	t.Cleanup(func() { _ = listener.Close() })
	arrived = new(atomic.Int64)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go refuseStreams(conn, arrived)
		}
	}()
	return "https://" + listener.Addr().String() + "/v1", arrived
}

func refuseStreams(conn net.Conn, arrived *atomic.Int64) {
	defer func() { _ = conn.Close() }()
	if _, err := io.ReadFull(conn, make([]byte, len(http2.ClientPreface))); err != nil {
		return
	}
	framer := http2.NewFramer(conn, conn)
	if framer.WriteSettings() != nil {
		return
	}
	for {
		frame, err := framer.ReadFrame()
		if err != nil {
			return
		}
		switch f := frame.(type) {
		case *http2.SettingsFrame:
			if !f.IsAck() {
				err = framer.WriteSettingsAck()
			}
		case *http2.PingFrame:
			err = framer.WritePing(true, f.Data)
		case *http2.DataFrame:
			if f.StreamEnded() {
				arrived.Add(1)
				err = framer.WriteRSTStream(f.StreamID, http2.ErrCodeRefusedStream)
			}
		}
		if err != nil {
			return
		}
	}
}

func TestCreateIsSentOnceOverHTTP2(t *testing.T) {
	t.Run("net/http alone sends again", func(t *testing.T) {
		endpoint, arrived := refusingServer(t)
		// It goes on for a minute, with growing pauses; the second request is enough.
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		go func() {
			for arrived.Load() < 2 && ctx.Err() == nil {
				time.Sleep(time.Millisecond)
			}
			cancel()
		}()
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint+"/x", strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := (&http.Client{Transport: trusting(t)}).Do(req)
		if err == nil {
			_ = resp.Body.Close()
		}
		if arrived.Load() < 2 {
			t.Errorf("a plain client sent %d requests; the server must provoke more than one, or the next test proves nothing", arrived.Load())
		}
	})
	t.Run("the client does not", func(t *testing.T) {
		endpoint, arrived := refusingServer(t)
		c := hetzner.New(hetzner.Options{Endpoint: endpoint, Token: "token", Transport: trusting(t)})
		_, _, _, err := c.CreateImage(t.Context(), 42, hetzner.NewImage{Description: "d"})
		if e := asError(t, err); e.Verdict != hetzner.Lost {
			t.Errorf("verdict %v, want lost: %v", e.Verdict, e)
		}
		if arrived.Load() != 1 {
			t.Errorf("the create arrived %d times, want once", arrived.Load())
		}
	})
	for name, send := range map[string]func(*hetzner.Client) error{
		"nor a request without a body": func(c *hetzner.Client) error { _, _, err := c.PowerOn(t.Context(), 42); return err },
		"nor a change of labels":       func(c *hetzner.Client) error { _, err := c.SetLabels(t.Context(), 42, nil); return err },
		"nor a deletion":               func(c *hetzner.Client) error { _, err := c.DeleteImage(t.Context(), 42); return err },
	} {
		t.Run(name, func(t *testing.T) {
			endpoint, arrived := refusingServer(t)
			err := send(hetzner.New(hetzner.Options{Endpoint: endpoint, Token: "token", Transport: trusting(t)}))
			if e := asError(t, err); e.Verdict != hetzner.Lost {
				t.Errorf("verdict %v, want lost: %v", e.Verdict, e)
			}
			if arrived.Load() != 1 {
				t.Errorf("the request arrived %d times, want once", arrived.Load())
			}
		})
	}
}

// Plain HTTP goes to this machine only, however its name is written and whatever proxy the environment names.
func TestPlainHTTPGoesThroughNoProxy(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:9")
	proxy := hetzner.NewTransport().(*http.Transport).Proxy
	for _, host := range []string{"LOCALHOST", "localhost", "127.0.0.1", "[::1]"} {
		u, err := proxy(httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+host+"/v1/servers", nil))
		if u != nil || err != nil {
			t.Errorf("%s: proxy %v, %v", host, u, err)
		}
	}
}

func TestCreateFollowsNoRedirect(t *testing.T) {
	for _, status := range []int{http.StatusMovedPermanently, http.StatusFound, http.StatusTemporaryRedirect, http.StatusPermanentRedirect} {
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
		c := hetzner.New(hetzner.Options{Endpoint: server.URL + "/v1", Token: "token", Transport: trusting(t)})
		_, _, _, err := c.CreateImage(t.Context(), 42, hetzner.NewImage{})
		if e := asError(t, err); e.Verdict != hetzner.Lost || e.Status != status {
			t.Errorf("redirect %d: verdict %v, status %d, want lost and the redirect's status", status, e.Verdict, e.Status)
		}
		if arrived.Load() != 1 {
			t.Errorf("redirect %d: the create arrived %d times, want once", status, arrived.Load())
		}
		server.Close()
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
