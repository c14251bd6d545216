package hetzner

import (
	"errors"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
)

// net/http sends some requests a second time by itself: after some stream errors of HTTP/2, when an HTTP/2 connection is
// being closed, and when a kept HTTP/1.1 connection broke before a byte was written. Over HTTP/2 only the server's word
// says that the first attempt had no effect. So a change is protected twice: its body can't be rewound, and a second
// attempt is cancelled before it is written.

// sendOnce keeps net/http from rewinding the body of a change. A change without a body leaves without one, so that it
// has a Content-Length like any client's: gateways refuse an empty body of unknown length with 411.
type sendOnce struct{ next http.RoundTripper }

func (s sendOnce) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method != http.MethodGet {
		r = r.WithContext(r.Context()) // a shallow copy: the original belongs to the caller
		r.GetBody = nil
	}
	return s.next.RoundTrip(r)
}

// errSecondAttempt is why a change failed that net/http would have sent again.
var errSecondAttempt = errors.New("the request was broken off before an answer came, and is not sent a second time")

// sendTrace watches a request on its way through net/http.
type sendTrace struct {
	change             bool
	stop               func(cause error) // cancels the request
	wanted, got, wrote atomic.Bool
}

func (s *sendTrace) hooks() *httptrace.ClientTrace {
	return &httptrace.ClientTrace{
		GetConn: func(string) {
			s.wanted.Store(true)
			s.stopSecond()
		},
		GotConn: func(httptrace.GotConnInfo) {
			s.got.Store(true)
			s.stopSecond()
		},
		WroteHeaders: func() { s.wrote.Store(true) },
	}
}

// stopSecond cancels a change that gets another connection though it may have been written on one. Over HTTP/2 the
// first attempt is over before the second begins, and net/http checks for a cancel before it writes. Over HTTP/1.1 the
// headers may have reached no more than a buffer: such a change counts as lost too, which costs some polls.
func (s *sendTrace) stopSecond() {
	if s.change && s.wrote.Load() {
		s.stop(errSecondAttempt)
	}
}

// wasSent reports whether the request may have been sent. A transport that asked for a connection and never got one
// (dial or TLS handshake failed) sent nothing. A request that got one may have been written, wherever its trace ends:
// net/http writes in another goroutine. A transport that calls no hook is believed only when its error says that
// dialling failed.
func (s *sendTrace) wasSent(err error) bool {
	if s.wanted.Load() {
		return s.got.Load()
	}
	dial, ok := errors.AsType[*net.OpError](err)
	return !ok || dial.Op != "dial"
}
