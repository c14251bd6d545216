package restore

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

	"github.com/org/hsnap-action/internal/hetzner"
)

const (
	// tryFor is how long one try to connect and to read may take, tryAgain the pause before the next one.
	tryFor   = 5 * time.Second
	tryAgain = 3 * time.Second
	// greetingMost is how many bytes of what a server says first are read.
	greetingMost = 8 << 10
)

// address returns a server's own public address, "" where it has none. Hetzner tells an IPv6 network; its first address is
// the one that its images set up.
func address(host hetzner.Server) string {
	if host.IPv4 != "" {
		return host.IPv4
	}
	network, err := netip.ParsePrefix(host.IPv6)
	if err != nil {
		return ""
	}
	return network.Addr().Next().String()
}

// prove waits until the server proves that it is back. The last try begins when the time is up.
func (s *server) prove() error {
	if s.Proof.Port == 0 {
		s.result.Proof = "running"
		return nil
	}
	to := net.JoinHostPort(address(s.host), strconv.Itoa(s.Proof.Port))
	s.tell(Event{Kind: EventProving, Address: to})
	for limit := s.Now().Add(s.BootTimeout); ; {
		began := s.Now()
		if err := s.try(to); err != nil {
			return err
		}
		switch {
		case s.result.Proof != "":
			return nil
		case !began.Before(limit):
			return failed(NotProven)
		}
		if err := s.Sleep(earlier(limit, began.Add(tryAgain), s.Now())); err != nil {
			return err
		}
	}
}

// earlier returns the earlier of two times, but none that has passed.
func earlier(limit, next, now time.Time) time.Time {
	if limit.Before(next) {
		next = limit
	}
	if next.Before(now) {
		return now
	}
	return next
}

// try seeks the proof once, and records what came of it.
func (s *server) try(to string) error {
	return s.Do(func(ctx context.Context) func() {
		ctx, cancel := context.WithTimeout(ctx, tryFor)
		defer cancel()
		proof, err := s.Proof.seek(ctx, s.Dial, to)
		return func() {
			s.result.Proof = proof
			if err != nil {
				s.result.NoProof = err.Error()
			}
		}
	})
}

// seek connects to an address and returns the proof: what greets it, or the port where nothing needs to.
func (p Proof) seek(ctx context.Context, dial func(context.Context, string, string) (net.Conn, error), to string) (string, error) {
	conn, err := dial(ctx, "tcp", to)
	if err != nil {
		if op, ok := errors.AsType[*net.OpError](err); ok && op.Err != nil {
			err = op.Err // the address was told before
		}
		return "", err
	}
	defer func() { _ = conn.Close() }()
	if p.Banner == "" {
		return fmt.Sprintf("tcp:%d", p.Port), nil
	}
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
	lines := bufio.NewScanner(io.LimitReader(conn, greetingMost))
	for lines.Scan() {
		if line := strings.TrimRight(lines.Text(), "\r"); strings.HasPrefix(line, p.Banner) {
			return line, nil
		}
	}
	switch {
	case ctx.Err() != nil:
		return "", fmt.Errorf("connected, and no line that begins with %s came in %s", p.Banner, tryFor)
	case lines.Err() != nil:
		return "", lines.Err()
	}
	return "", fmt.Errorf("connected, and the connection was closed before a line that begins with %s", p.Banner)
}
