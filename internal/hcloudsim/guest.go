package hcloudsim

import (
	"context"
	"io"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"time"
)

// Guest is what runs on a server, as seen from the network. It answers only
// while the server runs, from a disk that is not half written, and only what
// the server's firewalls let in.
type Guest struct {
	// Ports are those that something listens on, each with the banner that a
	// connection is greeted with; empty for none.
	Ports map[int]string
	// BootAfter is the time from the server's being switched on or rebuilt
	// until something listens.
	BootAfter time.Duration
	// Drops lets packets for other ports, and those before BootAfter, go
	// unanswered. Without it the guest's kernel refuses them.
	Drops bool
}

// Dial connects to a port of a server's own public address, the first one of
// its IPv6 network included. Where nothing answers it waits for the context's
// end. Like the transport it opens no real connection, and works inside a
// testing/synctest bubble; the goroutines behind a connection end when the
// caller closes that.
func (c *Cloud) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	fail := func(err error) (net.Conn, error) { return nil, &net.OpError{Op: "dial", Net: network, Err: err} }
	if !strings.HasPrefix(network, "tcp") {
		return fail(net.UnknownNetworkError(network))
	}
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return fail(err)
	}
	if err := ctx.Err(); err != nil {
		return fail(err)
	}
	from := c.p.dialFrom(to.Addr())
	if !from.IsValid() {
		return fail(syscall.ENETUNREACH)
	}
	var state listening
	var banner string
	c.update(func(p *project) { state, banner = p.listens(from, to) })
	switch state {
	case nobody:
		<-ctx.Done()
		return fail(ctx.Err())
	case closed:
		return fail(syscall.ECONNREFUSED)
	case open:
	}
	conn, guest := net.Pipe()
	if banner != "" { // an empty write to a pipe waits for a reader, too
		go func() { _, _ = io.WriteString(guest, banner) }()
	}
	go func() {
		_, _ = io.Copy(io.Discard, guest)
		_ = guest.Close()
	}()
	return conn, nil
}

// listening is what is found at an address.
type listening int

const (
	nobody listening = iota // packets go unanswered
	closed
	open
)

// dialFrom is the caller's address of that family; the zero one where it has
// none.
func (p *project) dialFrom(to netip.Addr) netip.Addr {
	for _, text := range p.opts.DialFrom {
		if from := netip.MustParseAddr(text); from.Is4() == to.Is4() {
			return from
		}
	}
	return netip.Addr{}
}

// listens returns what is found at an address, and the banner of an open port.
func (p *project) listens(from netip.Addr, to netip.AddrPort) (state listening, banner string) {
	for _, s := range p.sortedServers() {
		if !s.hasAddress(to.Addr()) {
			continue
		}
		banner, found := s.Guest.Ports[int(to.Port())]
		switch {
		case s.Status != "running" || s.diskImage == 0 || !p.admits(s, from, to.Port()):
			return nobody, ""
		case found && p.now.Sub(s.booted) >= s.Guest.BootAfter:
			return open, banner
		case s.Guest.Drops:
			return nobody, ""
		}
		return closed, ""
	}
	return nobody, ""
}

// hasAddress reports whether a is the server's IPv4 address or the first one
// of its IPv6 network, which is what Hetzner's images configure.
func (s *server) hasAddress(a netip.Addr) bool {
	network, err := netip.ParsePrefix(s.IPv6)
	return a.String() == s.IPv4 || err == nil && a == network.Masked().Addr().Next()
}
