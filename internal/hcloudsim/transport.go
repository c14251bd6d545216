package hcloudsim

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"syscall"
)

// Transport returns a RoundTripper that calls the Cloud in the goroutine of
// its caller: no connection, no other goroutine, so it works inside a
// testing/synctest bubble. It fails as a network does: the end of the
// request's context, a refused or broken connection and a body that ends too
// early come back as the errors of net/http's own transport.
func (c *Cloud) Transport() http.RoundTripper { return transport{c} }

type transport struct{ cloud *Cloud }

func (t transport) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Body != nil {
		defer func() { _ = req.Body.Close() }()
	}
	if err := req.Context().Err(); err != nil {
		return nil, err
	}
	rec := &recorder{header: http.Header{}}
	aborted := serve(t.cloud, rec, incoming(req))

	switch err := req.Context().Err(); {
	case aborted && err != nil:
		return nil, err
	case aborted && rec.refused:
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	case aborted && rec.status == 0:
		return nil, &net.OpError{Op: "read", Net: "tcp", Err: syscall.ECONNRESET}
	}
	return rec.response(req, aborted), nil
}

// serve calls the handler and reports whether it aborted.
func serve(h http.Handler, w http.ResponseWriter, r *http.Request) (aborted bool) {
	defer func() {
		if e := recover(); e != nil {
			if err, ok := e.(error); !ok || !errors.Is(err, http.ErrAbortHandler) {
				panic(e)
			}
			aborted = true
		}
	}()
	h.ServeHTTP(w, r)
	return false
}

// incoming turns a client's request into one as a server sees it.
func incoming(req *http.Request) *http.Request {
	r := req.Clone(req.Context())
	r.RequestURI = r.URL.RequestURI()
	if r.Host == "" {
		r.Host = r.URL.Host
	}
	r.RemoteAddr = "192.0.2.1:1234"
	switch {
	case r.Body == nil:
		r.Body, r.ContentLength = http.NoBody, 0
	case r.Body != http.NoBody && r.ContentLength == 0:
		r.ContentLength = -1 // unknown, and net/http would send the body in chunks
	}
	return r
}

// recorder is the ResponseWriter of the in-process transport.
type recorder struct {
	header  http.Header
	status  int
	body    bytes.Buffer
	refused bool // there never was a connection
}

func (rec *recorder) Header() http.Header { return rec.header }

func (rec *recorder) WriteHeader(status int) { rec.status = status }

func (rec *recorder) Write(b []byte) (int, error) { return rec.body.Write(b) }

// Flush is there for the handler that sends half a body; all is there already.
func (rec *recorder) Flush() {}

func (rec *recorder) response(req *http.Request, aborted bool) *http.Response {
	length, err := strconv.ParseInt(rec.header.Get("Content-Length"), 10, 64)
	if err != nil {
		length = 0 // a status without a body
	}
	var body io.Reader = bytes.NewReader(rec.body.Bytes())
	if aborted {
		body = io.MultiReader(body, brokenReader{})
	}
	return &http.Response{
		Status:        strconv.Itoa(rec.status) + " " + http.StatusText(rec.status),
		StatusCode:    rec.status,
		Proto:         "HTTP/1.1",
		ProtoMajor:    1,
		ProtoMinor:    1,
		Header:        rec.header,
		Body:          io.NopCloser(body),
		ContentLength: length,
		Request:       req,
	}
}

// brokenReader is the rest of a body whose connection has gone.
type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }
