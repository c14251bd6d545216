package hetzner

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync/atomic"
)

// sendOnce keeps net/http from sending a request that changes something again by itself. Over HTTP/2 it does so after a
// stream error or when the connection is being closed; with a body, if an empty one, and without GetBody it can't, and
// reports the error.
type sendOnce struct{ next http.RoundTripper }

func (s sendOnce) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method != http.MethodGet {
		r = r.WithContext(r.Context()) // a shallow copy: the original belongs to the caller
		r.GetBody = nil
		if r.Body == nil || r.Body == http.NoBody {
			r.Body = io.NopCloser(strings.NewReader(""))
		}
	}
	return s.next.RoundTrip(r)
}

// sendTrace watches whether a request got as far as a connection.
type sendTrace struct {
	wanted, got atomic.Bool
}

func newSendTrace() *sendTrace { return &sendTrace{} }

func (s *sendTrace) hooks() *httptrace.ClientTrace {
	return &httptrace.ClientTrace{
		GetConn: func(string) { s.wanted.Store(true) },
		GotConn: func(httptrace.GotConnInfo) { s.got.Store(true) },
	}
}

// wasSent reports whether the request may have been sent. A transport that asked for a connection and never got one
// (dial or TLS handshake failed) sent nothing. A transport that tells nothing is believed only when its error says
// that dialling failed.
func (s *sendTrace) wasSent(err error) bool {
	if s.wanted.Load() {
		return s.got.Load()
	}
	dial, ok := errors.AsType[*net.OpError](err)
	return !ok || dial.Op != "dial"
}
