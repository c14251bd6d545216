package proof

import (
	"context"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/org/hsnap-action/internal/hetzner"
)

// serve listens on a port of this machine, lets each connection be handled, and returns the address.
func serve(t *testing.T, handle func(net.Conn)) string {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				handle(conn)
				_ = conn.Close()
			}()
		}
	}()
	return listener.Addr().String()
}

// says sends texts, with a pause after each, and waits for the client to go where it doesn't hang up.
func says(hangUp bool, texts ...string) func(net.Conn) {
	return func(conn net.Conn) {
		for _, text := range texts {
			_, _ = io.WriteString(conn, text)
			time.Sleep(30 * time.Millisecond)
		}
		if !hangUp {
			_, _ = io.Copy(io.Discard, conn)
		}
	}
}

// What answers at a real address is a proof, or the failure says what came instead.
func TestProofOverANetwork(t *testing.T) {
	const ssh, open = true, false
	for _, tt := range []struct {
		name    string
		ssh     bool
		handle  func(net.Conn) // nil: nothing listens
		proof   string         // or else the failure
		failure string
	}{
		{"SSH", ssh, says(false, "SSH-2.0-OpenSSH_9.6\r\n"), "SSH-2.0-OpenSSH_9.6", ""},
		{"SSH that hangs up", ssh, says(true, "SSH-2.0-OpenSSH_9.6\n"), "SSH-2.0-OpenSSH_9.6", ""},
		{"SSH after other lines", ssh, says(false, "welcome\r\n", "\r\nto db-1\r\nSSH-2.0-dropbear\r\n"), "SSH-2.0-dropbear", ""},
		{"SSH in pieces", ssh, says(false, "SS", "H-2.0", "-dropbear\r", "\n"), "SSH-2.0-dropbear", ""},
		{"SSH within a line", ssh, says(false, "no SSH-2.0 here\r\n"), "", "no line that begins with SSH- came"},
		{"another greeting", ssh, says(true, "220 mail.example.com ESMTP\r\n"), "", "no line that begins with SSH- came"},
		{"too much of another greeting", ssh, says(false, strings.Repeat("hello\r\n", 2000), "SSH-2.0-late\r\n"), "", "no line that begins with SSH- came"},
		{"a greeting without an end", ssh, says(false, strings.Repeat("x", 100_000)), "", "no line that begins with SSH- came"},
		{"nothing said", ssh, says(false), "", "no line that begins with SSH- came"},
		{"closed at once", ssh, says(true), "", "no line that begins with SSH- came"},
		{"refused", ssh, nil, "", syscall.ECONNREFUSED.Error()},
		{"open", open, says(false), "tcp:443", ""},
		{"open and closed", open, says(true), "tcp:443", ""},
		{"not open", open, nil, "", syscall.ECONNREFUSED.Error()},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			to := unused(t)
			if tt.handle != nil {
				to = serve(t, tt.handle)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 400*time.Millisecond)
			defer cancel()
			proof, err := Proof{Port: 443, SSH: tt.ssh}.seek(ctx, new(net.Dialer).DialContext, to)
			if proof != tt.proof || (err == nil) != (tt.failure == "") || err != nil && !strings.Contains(err.Error(), tt.failure) {
				t.Errorf("proof %q, error %v", proof, err)
			}
			if err != nil && strings.Contains(err.Error(), "127.0.0.1") {
				t.Errorf("the address is told twice: %v", err)
			}
		})
	}
}

// A server without an address must not be taken for the machine that asks.
func TestNoAddress(t *testing.T) {
	port := strings.TrimPrefix(serve(t, says(false, "SSH-2.0-mine\r\n")), "127.0.0.1:")
	for _, address := range []string{":" + port, ""} {
		line, err := Proof{Port: 22, SSH: true}.seek(t.Context(), new(net.Dialer).DialContext, address)
		if line != "" || err == nil {
			t.Errorf("%q has proved itself: %q", address, line)
		}
	}
}

// unused returns an address at which nothing listens.
func unused(t *testing.T) string {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().String()
}

func TestAddress(t *testing.T) {
	for _, tt := range []struct{ ipv4, ipv6, want string }{
		{"203.0.113.7", "", "203.0.113.7"},
		{"203.0.113.7", "2001:db8:0:7::/64", "203.0.113.7"},
		{"", "2001:db8:0:7::/64", "2001:db8:0:7::1"},
		{"", "2001:db8::/64", "2001:db8::1"},
		{"", "", ""},
		{"", "2001:db8::1", ""}, // no network
	} {
		if got := Address(hetzner.Server{IPv4: tt.ipv4, IPv6: tt.ipv6}); got != tt.want {
			t.Errorf("of %q and %q: %q, want %q", tt.ipv4, tt.ipv6, got, tt.want)
		}
	}
}
