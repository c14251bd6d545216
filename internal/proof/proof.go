// Package proof finds out whether a server answers, as those would see it who use it: from outside, on its own public
// address.
//
// It sends nothing to Hetzner and nothing to the server but what opens a connection, and decides nothing: what it means that
// no proof came is up to the command.
package proof

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/org/hsnap-action/internal/fleet"
	"github.com/org/hsnap-action/internal/hetzner"
)

const (
	// tryFor is how long one try to connect and to read may take, tryAgain the time between the beginnings of two.
	tryFor   = 5 * time.Second
	tryAgain = 3 * time.Second
	// greetingMost is how many bytes of what a server says first are read.
	greetingMost = 8 << 10
)

// Dialer connects to a server, as the method of a [net.Dialer] does.
type Dialer func(ctx context.Context, network, address string) (net.Conn, error)

// Proof is what a server must do. The zero value is that Hetzner shows it running, which this package has no part in.
type Proof struct {
	Port int  // of its own public address, that accepts a connection
	SSH  bool // and says a line that begins with SSH-
}

// Seen is what came of seeking a proof.
type Seen struct {
	Proof   string // the line that came, or the port, as tcp:443; "" for no proof
	NoProof string // what came instead the last time; "" where nothing was tried
}

// Address returns a server's own public address, "" where it has none. Hetzner tells an IPv6 network; its first address is
// the one that its images set up.
func Address(host hetzner.Server) string {
	if host.IPv4 != "" {
		return host.IPv4
	}
	network, err := netip.ParsePrefix(host.IPv6)
	if err != nil {
		return ""
	}
	return network.Addr().Next().String()
}

// On returns where a server has to answer.
func (p Proof) On(host hetzner.Server) string {
	return net.JoinHostPort(Address(host), strconv.Itoa(p.Port))
}

// Await tries to get the proof from an address until it comes. The last try begins when the limit has come. An error says
// how the script was ended.
func (p Proof) Await(s *fleet.Script, dial Dialer, address string, limit time.Time) (seen Seen, err error) {
	for {
		began := s.Now()
		err := s.Do(func(ctx context.Context) func() {
			ctx, cancel := context.WithTimeout(ctx, tryFor)
			defer cancel()
			line, err := p.seek(ctx, dial, address)
			if err != nil {
				return func() { seen = Seen{NoProof: err.Error()} }
			}
			return func() { seen = Seen{Proof: line} }
		})
		if err != nil || seen.Proof != "" || !began.Before(limit) {
			return seen, err
		}
		if err := s.Sleep(fleet.Latest(s.Now(), fleet.Earliest(limit, began.Add(tryAgain)))); err != nil {
			return seen, err
		}
	}
}

// seek tries once. An address without a host would be this machine's.
func (p Proof) seek(ctx context.Context, dial Dialer, address string) (string, error) {
	if host, _, err := net.SplitHostPort(address); err != nil || host == "" {
		return "", errors.New("the server has no public address")
	}
	conn, err := dial(ctx, "tcp", address)
	if err != nil {
		if op, ok := errors.AsType[*net.OpError](err); ok && op.Err != nil {
			err = op.Err // who asked knows the address
		}
		return "", err
	}
	defer func() { _ = conn.Close() }()
	if !p.SSH {
		return fmt.Sprintf("tcp:%d", p.Port), nil
	}
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
	lines := bufio.NewScanner(io.LimitReader(conn, greetingMost))
	for lines.Scan() {
		if line := strings.TrimRight(lines.Text(), "\r"); strings.HasPrefix(line, "SSH-") {
			return line, nil
		}
	}
	if err := lines.Err(); err != nil && ctx.Err() == nil {
		return "", err
	}
	return "", errors.New("connected, and no line that begins with SSH- came")
}
