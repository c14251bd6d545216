package hetzner_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/hetznercloud/hcloud-go/v2/hcloud"
	"golang.org/x/net/http2"

	"github.com/org/hsnap-action/internal/hetzner"
)

// accept lets serve speak with each connection, until the test ends.
func accept(t *testing.T, listener net.Listener, serve func(net.Conn)) {
	t.Helper()
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = conn.Close() }()
				serve(conn)
			}()
		}
	}()
}

// listen returns a transport to a plain TCP server, where serve speaks HTTP/1.1. Wrap wraps the client's connections.
func listen(t *testing.T, serve func(net.Conn), wrap func(net.Conn) net.Conn) http.RoundTripper {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	accept(t, listener, serve)
	transport := trusting(t)
	transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", listener.Addr().String())
		if err != nil {
			return nil, err
		}
		return wrap(conn), nil
	}
	return transport
}

func plain(transport http.RoundTripper) *hetzner.Client {
	return hetzner.New(hetzner.Options{Endpoint: "http://api.example/v1", Token: "token", Version: "1.2.3", Transport: transport})
}

func unwrapped(conn net.Conn) net.Conn { return conn }

const (
	gotServer = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 20\r\n\r\n" + `{"server":{"id":42}}`
	created   = "HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: 37\r\n\r\n" + `{"image":{"id":1},"action":{"id":13}}`
	gotAction = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 20\r\n\r\n" + `{"action":{"id":13}}`
	deleted   = "HTTP/1.1 204 No Content\r\n\r\n"
)

// A request without a body must have a Content-Length where HTTP wants one, and no Transfer-Encoding: gateways answer
// 411 to that.
func TestBytesOnTheWire(t *testing.T) {
	agent := "User-Agent: hsnap-action/1.2.3 " + hcloud.UserAgent + "\r\n"
	tests := []struct {
		name, reply, want string
		send              func(context.Context, *hetzner.Client) error
	}{
		{"create", created, "POST /v1/servers/42/actions/create_image HTTP/1.1\r\nHost: api.example\r\n" + agent +
			"Content-Length: 49\r\nAccept: application/json\r\nAuthorization: Bearer token\r\nContent-Type: application/json\r\n" +
			"Accept-Encoding: gzip\r\n\r\n" + `{"type":"snapshot","description":"d","labels":{}}`,
			func(ctx context.Context, c *hetzner.Client) error {
				_, _, _, err := c.CreateImage(ctx, 42, hetzner.NewImage{Description: "d", Labels: map[string]string{}})
				return err
			}},
		{"power-on", created, "POST /v1/servers/42/actions/poweron HTTP/1.1\r\nHost: api.example\r\n" + agent +
			"Content-Length: 0\r\nAccept: application/json\r\nAuthorization: Bearer token\r\nAccept-Encoding: gzip\r\n\r\n",
			func(ctx context.Context, c *hetzner.Client) error { _, _, err := c.PowerOn(ctx, 42); return err }},
		{"rebuild", created, "POST /v1/servers/42/actions/rebuild HTTP/1.1\r\nHost: api.example\r\n" + agent +
			"Content-Length: 15\r\nAccept: application/json\r\nAuthorization: Bearer token\r\nContent-Type: application/json\r\n" +
			"Accept-Encoding: gzip\r\n\r\n" + `{"image":"123"}`,
			func(ctx context.Context, c *hetzner.Client) error {
				_, _, _, err := c.Rebuild(ctx, 42, 123)
				return err
			}},
		{"create a server", "HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: 39\r\n\r\n" + `{"server":{"id":42},"action":{"id":13}}`,
			"POST /v1/servers HTTP/1.1\r\nHost: api.example\r\n" + agent +
				"Content-Length: 249\r\nAccept: application/json\r\nAuthorization: Bearer token\r\nContent-Type: application/json\r\n" +
				"Accept-Encoding: gzip\r\n\r\n" + `{"name":"hsnap-drill-7","server_type":"cx23","image":"7","location":"fsn1","start_after_create":false,` +
				`"labels":{"hsnap/drill":"f00d","hsnap/drill-until":"946684800"},"firewalls":[{"firewall":5}],` +
				`"public_net":{"enable_ipv4":true,"enable_ipv6":false}}`,
			func(ctx context.Context, c *hetzner.Client) error {
				_, _, _, err := c.CreateServer(ctx, hetzner.NewServer{
					Name: "hsnap-drill-7", Type: "cx23", Location: "fsn1", Image: 7, Firewall: 5,
					Labels: map[string]string{"hsnap/drill": "f00d", "hsnap/drill-until": "946684800"},
				})
				return err
			}},
		{"create a firewall", "HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: 21\r\n\r\n" + `{"firewall":{"id":5}}`,
			"POST /v1/firewalls HTTP/1.1\r\nHost: api.example\r\n" + agent +
				"Content-Length: 228\r\nAccept: application/json\r\nAuthorization: Bearer token\r\nContent-Type: application/json\r\n" +
				"Accept-Encoding: gzip\r\n\r\n" + `{"name":"hsnap-drill-tcp-22","labels":{"hsnap/drill":"firewall"},"rules":[` +
				`{"direction":"out","destination_ips":["192.0.2.1/32"],"protocol":"tcp","port":"9"},` +
				`{"direction":"in","source_ips":["::/0"],"protocol":"tcp","port":"22"}]}`,
			func(ctx context.Context, c *hetzner.Client) error {
				_, _, err := c.CreateFirewall(ctx, hetzner.Firewall{Name: "hsnap-drill-tcp-22", Labels: map[string]string{"hsnap/drill": "firewall"}, Rules: []hetzner.FirewallRule{
					{Direction: "out", Protocol: "tcp", Port: new("9"), DestinationIPs: []string{"192.0.2.1/32"}}, {Direction: "in", Protocol: "tcp", Port: new("22"), SourceIPs: []string{"::/0"}},
				}})
				return err
			}},
		{"delete a server", gotAction, "DELETE /v1/servers/42 HTTP/1.1\r\nHost: api.example\r\n" + agent +
			"Accept: application/json\r\nAuthorization: Bearer token\r\nAccept-Encoding: gzip\r\n\r\n",
			func(ctx context.Context, c *hetzner.Client) error { _, err := c.DeleteServer(ctx, 42); return err }},
		{"delete an address", deleted, "DELETE /v1/primary_ips/42 HTTP/1.1\r\nHost: api.example\r\n" + agent +
			"Accept: application/json\r\nAuthorization: Bearer token\r\nAccept-Encoding: gzip\r\n\r\n",
			func(ctx context.Context, c *hetzner.Client) error { _, err := c.DeletePrimaryIP(ctx, 42); return err }},
		{"delete", deleted, "DELETE /v1/images/42 HTTP/1.1\r\nHost: api.example\r\n" + agent +
			"Accept: application/json\r\nAuthorization: Bearer token\r\nAccept-Encoding: gzip\r\n\r\n",
			func(ctx context.Context, c *hetzner.Client) error { _, err := c.DeleteImage(ctx, 42); return err }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var raw bytes.Buffer
			transport := listen(t, func(conn net.Conn) {
				readRequest(io.TeeReader(conn, &raw))
				_, _ = io.WriteString(conn, tt.reply)
			}, unwrapped)
			if err := tt.send(t.Context(), plain(transport)); err != nil {
				t.Error(err)
			}
			if diff := cmp.Diff(tt.want, raw.String()); diff != "" {
				t.Errorf("bytes (-want +got):\n%s", diff)
			}
		})
	}
}

// readRequest reads one whole request and reports whether there was one.
func readRequest(from io.Reader) bool {
	r, err := http.ReadRequest(bufio.NewReader(from))
	if err != nil {
		return false
	}
	_, err = io.Copy(io.Discard, r.Body)
	return err == nil
}

func TestNoBodyOverHTTP2(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if got := r.Header.Get("Content-Length"); r.ProtoMajor != 2 || got != "0" {
			t.Errorf("%s with Content-Length %q, want HTTP/2 and 0", r.Proto, got)
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"action":{"id":13}}`)
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	c := hetzner.New(hetzner.Options{Endpoint: server.URL + "/v1", Token: "token", Transport: trusting(t)})
	if id, _, err := c.PowerOn(t.Context(), 42); id != 13 || err != nil {
		t.Errorf("action %d, error %v", id, err)
	}
}

// breaking is a connection that breaks once so many more bytes were written.
type breaking struct {
	net.Conn
	left *atomic.Int64
}

func (b breaking) Write(p []byte) (int, error) {
	n := min(int64(len(p)), b.left.Load())
	b.left.Add(-n)
	written, err := b.Conn.Write(p[:n])
	if err == nil && written < len(p) {
		err = syscall.ECONNRESET
	}
	return written, err
}

// A create that breaks off while it is being written is lost: how much of it arrived, only the server knows.
func TestBrokenOffIsLost(t *testing.T) {
	large := strings.Repeat("d", 1<<20) // fits in no buffer
	check := func(t *testing.T, c *hetzner.Client) {
		t.Helper()
		_, _, _, err := c.CreateImage(t.Context(), 42, hetzner.NewImage{Description: large})
		if e := asError(t, err); e.Verdict != hetzner.Lost {
			t.Errorf("verdict %v, want lost: %v", e.Verdict, e)
		}
	}
	for _, limit := range []int64{0, 100, 5000, 1 << 19} { // bytes
		transport := listen(t, func(conn net.Conn) { readRequest(conn) }, func(conn net.Conn) net.Conn {
			left := new(atomic.Int64)
			left.Store(limit)
			return breaking{conn, left}
		})
		t.Run(fmt.Sprintf("HTTP/1.1 after %d bytes", limit), func(t *testing.T) { check(t, plain(transport)) })
		t.Run(fmt.Sprintf("HTTP/1.1 after %d bytes of large headers", limit), func(t *testing.T) {
			check(t, hetzner.New(hetzner.Options{Endpoint: "http://api.example/v1", Token: large, Transport: transport}))
		})
	}
	for name, last := range map[string]http2.FrameType{"the headers": http2.FrameHeaders, "half the body": http2.FrameData} {
		t.Run("HTTP/2 "+name, func(t *testing.T) {
			endpoint := listenHTTP2(t, func(_ net.Conn, framer *http2.Framer) {
				for frame, err := framer.ReadFrame(); err == nil && frame.Header().Type != last; {
					frame, err = framer.ReadFrame()
				}
			})
			check(t, hetzner.New(hetzner.Options{Endpoint: endpoint, Token: "token", Transport: trusting(t)}))
		})
	}
}

// A kept connection can be dead by the time of the next request. Whether the request still got through, or not a byte
// of it was written, it arrives no second time, and is never called unsent.
func TestStaleConnection(t *testing.T) {
	for _, change := range changes() {
		t.Run("closed on arrival "+change.name, func(t *testing.T) {
			var arrived atomic.Int64
			c := plain(listen(t, func(conn net.Conn) {
				if readRequest(conn) {
					_, _ = io.WriteString(conn, gotServer)
				}
				if readRequest(conn) {
					arrived.Add(1)
				}
			}, unwrapped))
			if _, _, err := c.Server(t.Context(), 42); err != nil {
				t.Fatal(err)
			}
			if e := asError(t, change.send(t.Context(), c)); e.Verdict != hetzner.Lost || arrived.Load() != 1 {
				t.Errorf("arrived %d times, verdict %v, want once and lost: %v", arrived.Load(), e.Verdict, e)
			}
		})
		t.Run("broken before a byte was written "+change.name, func(t *testing.T) {
			var arrived, dialled atomic.Int64
			left := new(atomic.Int64)
			left.Store(1 << 20)
			c := plain(listen(t, func(conn net.Conn) {
				for readRequest(conn) {
					arrived.Add(1)
					_, _ = io.WriteString(conn, gotServer)
				}
			}, func(conn net.Conn) net.Conn {
				if dialled.Add(1) > 1 {
					return conn
				}
				return breaking{conn, left}
			}))
			if _, _, err := c.Server(t.Context(), 42); err != nil {
				t.Fatal(err)
			}
			left.Store(0)
			if e := asError(t, change.send(t.Context(), c)); e.Verdict != hetzner.Lost || arrived.Load() > 2 {
				t.Errorf("arrived %d times, verdict %v, want once at most and lost: %v", arrived.Load()-1, e.Verdict, e)
			}
		})
	}
}

// The CONNECT that a proxy gets is no first attempt of the request.
func TestChangeThroughProxy(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"action":{"id":13}}`)
	}))
	defer server.Close()
	var connects atomic.Int64
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		connects.Add(1)
		up, err := new(net.Dialer).DialContext(r.Context(), "tcp", r.Host)
		if err != nil {
			t.Error(err)
			return
		}
		defer func() { _ = up.Close() }()
		down, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		defer func() { _ = down.Close() }()
		_, _ = io.WriteString(down, "HTTP/1.1 200 OK\r\n\r\n")
		go func() { _, _ = io.Copy(up, down) }()
		_, _ = io.Copy(down, up)
	}))
	defer proxy.Close()
	transport := trusting(t)
	address, err := url.Parse(proxy.URL)
	if err != nil {
		t.Fatal(err)
	}
	transport.Proxy = http.ProxyURL(address)
	c := hetzner.New(hetzner.Options{Endpoint: server.URL + "/v1", Token: "token", Transport: transport})
	if id, _, err := c.PowerOn(t.Context(), 42); id != 13 || err != nil || connects.Load() != 1 {
		t.Errorf("action %d, error %v, %d times through the proxy", id, err, connects.Load())
	}
	transport.CloseIdleConnections()
}
