// Package speccheck checks HTTP requests and replies against an OpenAPI 3.1
// description. It is for tests: the simulated Hetzner Cloud must send nothing
// that the description doesn't name, and its clients must not either.
//
// The description is not part of this repository. The environment variable
// HCLOUD_SPEC names it, as JSON; without the variable nothing is checked.
package speccheck

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"sync"
	"testing"
)

// Variable is the environment variable that names the description.
const Variable = "HCLOUD_SPEC"

// faultHeader marks replies that a simulator has damaged on purpose.
const faultHeader = "X-Sim-Fault"

// Wrap returns a RoundTripper that passes everything on to rt and reports
// requests and replies that are not as the description has them as errors of
// t. Replies that carry the header X-Sim-Fault are exempt. Without HCLOUD_SPEC
// it returns rt.
func Wrap(t testing.TB, rt http.RoundTripper) http.RoundTripper {
	return Sampled(t, rt, 1)
}

// Sampled is like Wrap for long runs: every request is checked, yet of the
// replies of one operation with one status only the first and every n-th after
// it.
func Sampled(t testing.TB, rt http.RoundTripper, n int) http.RoundTripper {
	t.Helper()
	name := os.Getenv(Variable)
	if name == "" {
		return rt
	}
	s, err := load(name)
	if err != nil {
		t.Fatalf("%s: %v", Variable, err)
	}
	return &checker{t: t, next: rt, spec: s, every: max(1, n), seen: map[string]int{}}
}

type checker struct {
	t     testing.TB
	next  http.RoundTripper
	spec  *spec
	every int

	mu   sync.Mutex
	seen map[string]int // operation and status -> replies
}

func (c *checker) RoundTrip(req *http.Request) (*http.Response, error) {
	op, id := c.spec.find(req.Method, req.URL.Path)
	if op == nil {
		c.t.Errorf("%s %s: no such operation", req.Method, req.URL.Path)
		return c.next.RoundTrip(req)
	}
	req, body, err := withBody(req)
	if err != nil {
		return nil, err
	}
	for _, err := range op.checkRequest(id, req, body) {
		c.t.Errorf("request %s%s: %v", op.name, query(req.URL), err)
	}

	res, err := c.next.RoundTrip(req)
	if err != nil || res.Header.Get(faultHeader) != "" || !c.due(op.name, res.StatusCode) {
		return res, err
	}
	reply, err := io.ReadAll(res.Body)
	_ = res.Body.Close()
	res.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(reply), failing{err}), io.NopCloser(nil)}
	if err != nil {
		return res, nil //nolint:nilerr // the caller meets the same error while reading
	}
	if err := op.checkReplyOnce(res, reply); err != nil {
		c.t.Errorf("reply to %s%s: %d: %v", op.name, query(req.URL), res.StatusCode, err)
	}
	return res, nil
}

// due counts a reply and reports whether it is one of the sample.
func (c *checker) due(operation string, status int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	key := fmt.Sprint(operation, " ", status)
	n := c.seen[key]
	c.seen[key]++
	return n%c.every == 0
}

// failing ends a body as the original one ended.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) {
	if f.err != nil {
		return 0, f.err
	}
	return 0, io.EOF
}

// withBody returns the request's body, and a request that still has it.
func withBody(req *http.Request) (*http.Request, []byte, error) {
	if req.Body == nil || req.Body == http.NoBody {
		return req, nil, nil
	}
	body, err := io.ReadAll(req.Body)
	_ = req.Body.Close()
	if err != nil {
		return nil, nil, err
	}
	clone := *req
	clone.Body = io.NopCloser(bytes.NewReader(body))
	return &clone, body, nil
}

func query(u *url.URL) string {
	if u.RawQuery == "" {
		return ""
	}
	return "?" + u.RawQuery
}
