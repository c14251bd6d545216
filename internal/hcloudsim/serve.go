package hcloudsim

import (
	"context"
	"encoding/binary"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// maxBody is more than any request of this API needs, in bytes.
const maxBody = 1 << 20

// FaultHeader names, on answers of the in-process transport only, the fault
// that an answer has met. Checks of the answers' form leave those out.
const FaultHeader = "X-Sim-Fault"

// exchange is a request under way.
type exchange struct {
	Exchange
	nth    int  // of this identity, from zero
	rooted bool // the path began with /v1
	query  url.Values
	token  string
	body   []byte
	base   string // scheme and host, for links
	uri    string // as asked for, with /v1 and query

	// unsized is a change without a Content-Length. Gateways refuse it, even
	// with an empty body.
	unsized bool

	before, after time.Duration // latency
	correlation   string        // empty: none this time
	random        *Fault
}

// ServeHTTP answers a request to the API. As in the real world a request that
// has arrived takes effect whether or not its sender waits for the answer.
func (c *Cloud) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, maxBody))
	if err != nil {
		panic(http.ErrAbortHandler) // it never arrived in full
	}
	ex := c.arrive(r, body)
	ctx := r.Context()

	if !sleep(ctx, ex.before) {
		c.update(func(p *project) {
			p.at(ex.At.Add(ex.before), func() { p.process(ex) })
		})
		c.leave(ex, "abandoned")
	}
	var out outcome
	c.update(func(p *project) { out = p.process(ex) })

	if out.ending == hung {
		<-ctx.Done()
	}
	if !sleep(ctx, out.delay+ex.after) {
		c.leave(ex, "abandoned")
	}
	switch out.ending {
	case hung, severed:
		c.leave(ex, out.fault.String())
	case refused:
		if rec, ok := w.(*recorder); ok {
			rec.refused = true
		}
		c.leave(ex, out.fault.String())
	case complete, cut: // an answer is sent, if not all of it
	}

	if rec, ok := w.(*recorder); ok && out.fault != 0 {
		rec.Header().Set(FaultHeader, out.fault.String())
	}
	for name, values := range out.header {
		w.Header()[name] = values
	}
	if out.status != http.StatusNoContent {
		w.Header().Set("Content-Length", strconv.Itoa(len(out.body)))
	}
	sent := out.body
	if out.ending == cut {
		sent = sent[:len(sent)/2]
	}
	c.done(ex, out.status, out.header.Get("X-Correlation-Id"))
	w.WriteHeader(out.status)
	_, _ = w.Write(sent) // the client may have gone away
	if out.ending == cut {
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
}

// leave ends an exchange without an answer.
func (c *Cloud) leave(ex *exchange, why string) {
	c.update(func(*project) {
		ex.Done = wall(time.Now())
		if ex.Fault == "" {
			ex.Fault = why
		}
	})
	panic(http.ErrAbortHandler)
}

// done records the answer, just before it is sent.
func (c *Cloud) done(ex *exchange, status int, correlation string) {
	c.update(func(*project) {
		ex.Done = wall(time.Now())
		ex.Status = status
		ex.CorrelationID = correlation
	})
}

// arrive records a request and draws its dice.
func (c *Cloud) arrive(r *http.Request, body []byte) *exchange {
	values := r.URL.Query()
	path, rooted := strings.CutPrefix(r.URL.Path, "/v1")
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	token, bearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !bearer {
		token = ""
	}
	ex := &exchange{
		Exchange: Exchange{Method: r.Method, Path: path, Query: values.Encode()},
		rooted:   rooted,
		query:    values,
		token:    token,
		body:     body,
		base:     scheme + "://" + r.Host,
		uri:      r.URL.RequestURI(),
	}
	if r.Method == http.MethodPost || r.Method == http.MethodPut {
		ex.Body = string(body)
		ex.unsized = r.ContentLength < 0
	}

	identity := ex.Method + "\x00" + ex.Path + "\x00" + ex.Query
	if ex.Method == http.MethodPost && strings.Count(path, "/") == 1 {
		identity += "\x00" + ex.Body // two creates may arrive at once, and only the body tells them apart
	}
	c.update(func(p *project) {
		ex.At = p.now
		ex.nth = p.seen[identity]
		p.seen[identity]++
		p.history = append(p.history, ex)
	})

	opts := c.p.opts
	hash := fnv.New64a()
	_, _ = hash.Write([]byte(identity))
	_, _ = hash.Write(binary.LittleEndian.AppendUint64(nil, uint64(ex.nth))) //nolint:gosec // a count
	dice := rand.New(rand.NewPCG(opts.Seed, hash.Sum64()))
	ex.before, ex.after = latency(dice, opts.MinLatency, opts.MaxLatency)
	if dice.IntN(16) > 0 {
		ex.correlation = strconv.FormatUint(dice.Uint64(), 16) // its length varies
	}
	if opts.Corrupt != nil {
		ex.random = opts.Corrupt(r, rand.New(rand.NewPCG(^opts.Seed, hash.Sum64())))
	}
	return ex
}

// latency draws the time before and after the processing of a request, to the
// nanosecond, so that hardly ever two requests are processed at one instant.
func latency(dice *rand.Rand, low, high time.Duration) (before, after time.Duration) {
	if high <= 0 {
		return 0, 0
	}
	total := low + time.Duration(dice.Int64N(int64(max(high-low, time.Millisecond))))
	before = time.Duration(dice.Int64N(int64(total) + 1))
	return before, total - before
}

// sleep waits for d and reports whether the context lived on meanwhile.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
