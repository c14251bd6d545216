// Package hcloudsim simulates the part of the Hetzner Cloud API that this
// project uses: servers with power and locks, their creation and deletion,
// firewalls, primary IPs, images, actions, server types, prices and the rate
// limit. It also simulates what goes wrong on the way, see [Fault], and what a
// server's own address answers, see [Cloud.Dial].
//
// It serves tests and the demo. A test adds servers and images to a [Cloud],
// sends requests through [Cloud.Transport] or, over a network, to the Cloud as
// an [http.Handler], and then compares what the client believes with the truth:
// [Cloud.Servers], [Cloud.Creations], [Cloud.Images], [Cloud.Firewalls],
// [Cloud.PrimaryIPs], [Cloud.Actions] and [Cloud.History].
//
// It is as strict as the real API: what Hetzner refuses, it refuses with the
// same status and code, because a test that passes against a lenient fake
// proves nothing. An operation that it doesn't implement is an unknown path
// (404) or method (405).
//
// A [Cloud] owns no timer, and no goroutine but those behind the open
// connections of [Cloud.Dial]. What becomes due later, such as the
// end of an action or the release of a lock, is a pending effect. Effects are
// applied in the order of their due times when the next request is processed or
// the truth is asked for. Time comes from [time.Now], so inside a
// testing/synctest bubble an hour of waiting takes milliseconds.
//
// The same seed gives the same run. Latency, correlation IDs and random faults
// are drawn from the identity of a request (method, path, query, for a POST to
// a collection its body, and how often it was seen), never from one generator
// in order of arrival. With a latency set, no two requests are processed in the
// same nanosecond, so their order does not depend on the scheduler either.
//
// The package never opens a connection, never reads the environment, never
// logs and keeps no state outside a Cloud.
package hcloudsim

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"time"
)

// The tokens that a [Cloud] accepts unless [Options] says otherwise. They have
// the real length, and look random so that no part of them is found in
// ordinary text, where a redaction test would trip over it.
const (
	DefaultToken         = "u8jzPde0IgxLd6GncfBAepfJBd0Kh8oOOL8dKLzdocJ2isAjIhKtJ0RlgLKOmxgJ" //nolint:gosec // a made-up one
	DefaultReadOnlyToken = "TeKdNnFRIBXuDL7DxtpYlSXpfKtHF4vUCsMehGAkWvj7FAc9QeWJKY40uvSwMFLZ" //nolint:gosec // a made-up one
)

// Options describe a Cloud. The zero value is a Cloud without latency, without
// a limit of snapshots and with Hetzner's default rate limit.
type Options struct {
	// Seed decides everything that is left to chance.
	Seed uint64

	// Token may read and write, ReadOnlyToken may only read. Empty means
	// DefaultToken and DefaultReadOnlyToken.
	Token         string
	ReadOnlyToken string

	// OldReadOnlyCode answers writes with a read-only token by 401
	// token_readonly, as Hetzner did once, instead of 403 forbidden.
	OldReadOnlyCode bool

	// Every request takes a time between MinLatency and MaxLatency, part of it
	// before it is processed and the rest after. Both zero: no time at all.
	// Where they are equal up to a millisecond is added, since two requests
	// must not meet in the same nanosecond.
	MinLatency, MaxLatency time.Duration

	// SnapshotLimit is how many snapshots the project may hold, those still
	// being created included. Zero: any number.
	SnapshotLimit int

	// ServerLimit and PrimaryIPLimit are how many of each the project may hold
	// for another server to be created. Zero: any number.
	ServerLimit, PrimaryIPLimit int

	// DialFrom are the addresses that [Cloud.Dial] connects from, at most one of
	// each family. Empty: one of both.
	DialFrom []string

	// RateLimit is the number of requests an hour; one comes back each
	// hour/RateLimit. Zero: 3600.
	RateLimit int

	// Currency is that of the project's owner. Empty: EUR.
	Currency string

	// Corrupt may return a fault for a request, so that a test need not plan
	// each one. It is called once a request, with dice of the request's own;
	// its fault counts when no injected one fires. Of the fault only Kind,
	// Delay, Shift, Status, Code and Message count. It must not call the Cloud.
	Corrupt func(*http.Request, *rand.Rand) *Fault
}

// Cloud is a simulated Hetzner Cloud project behind its API. It is an
// [http.Handler] that serves under /v1/, and is safe for concurrent use.
type Cloud struct {
	p *project

	// applying marks the Cloud that a function given to At receives: the
	// mutex is held already, and the present is the time the function was due.
	applying bool
}

// New returns an empty project.
func New(o Options) *Cloud {
	o.Token = cmp.Or(o.Token, DefaultToken)
	o.ReadOnlyToken = cmp.Or(o.ReadOnlyToken, DefaultReadOnlyToken)
	o.Currency = cmp.Or(o.Currency, "EUR")
	o.RateLimit = cmp.Or(o.RateLimit, 3600)
	if len(o.DialFrom) == 0 {
		o.DialFrom = []string{"198.51.100.7", "2001:db8:51::7"}
	}
	if o.MaxLatency < o.MinLatency {
		o.MaxLatency = o.MinLatency
	}
	return &Cloud{p: newProject(o)}
}

// update applies what is due and calls f with the mutex held.
func (c *Cloud) update(f func(*project)) {
	if !c.applying {
		c.p.mu.Lock()
		defer c.p.mu.Unlock()
		c.p.advance(time.Now())
	}
	f(c.p)
}

// At lets another actor do something d from now: f runs, in time order with
// everything else that is pending, when the first request at or after that
// time is processed. f must use the Cloud that it receives, not c, and must
// not send requests.
func (c *Cloud) At(d time.Duration, f func(*Cloud)) {
	c.update(func(p *project) {
		p.after(d, func() { f(&Cloud{p: p, applying: true}) })
	})
}

// Revoke makes every token refused from now on.
func (c *Cloud) Revoke() {
	c.update(func(p *project) { p.revoked = true })
}

// Spend takes n requests from the project's rate limit, as another program
// with a token of the same project does.
func (c *Cloud) Spend(n int) {
	c.update(func(p *project) {
		for range n {
			p.limit.take(p.now)
		}
	})
}

// Exchange is one request and what became of it.
type Exchange struct {
	At            time.Time // arrival
	Method        string
	Path          string // without /v1
	Query         string // sorted by key
	Body          string // of POST and PUT
	Status        int    // zero: no answer
	Fault         string // the fault that fired, or "abandoned" when the client did not wait for the answer
	CorrelationID string // as sent, else empty
	Done          time.Time
}

// History returns every request so far, by time of arrival. Requests that
// arrived at the same instant are sorted by method, path, query, the number of
// times they were seen, and body.
func (c *Cloud) History() []Exchange {
	var all []Exchange
	c.update(func(p *project) {
		sorted := slices.SortedStableFunc(slices.Values(p.history), func(a, b *exchange) int {
			return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Method, b.Method),
				cmp.Compare(a.Path, b.Path), cmp.Compare(a.Query, b.Query), cmp.Compare(a.nth, b.nth), cmp.Compare(a.Body, b.Body))
		})
		for _, ex := range sorted {
			all = append(all, ex.Exchange)
		}
	})
	return all
}

// Inject adds a fault. Of several faults that match a request, the one that
// was injected first and fires decides; the later ones do not see the request.
func (c *Cloud) Inject(f Fault) {
	c.update(func(p *project) {
		if _, err := matchPath(f.Path, "/"); err != nil {
			panic(fmt.Sprintf("hcloudsim: fault path %q: %v", f.Path, err))
		}
		p.faults = append(p.faults, &injected{Fault: f, since: p.now})
	})
}
