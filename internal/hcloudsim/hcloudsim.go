// Package hcloudsim simulates the part of the Hetzner Cloud API that taking
// and thinning out snapshots needs: servers with locks and power, images,
// actions, prices, the rate limit, and the ways in which answers get lost.
//
// It serves tests and the demo. It is as strict as the real API: what Hetzner
// refuses, it refuses with the same status and code, because a test that
// passes against a lenient fake proves nothing.
//
// A [Cloud] owns no goroutine and no timer. Whatever becomes due, such as the
// end of an action or the release of a lock, is a pending effect, and effects
// are applied in the order of their due times when the next request is
// processed or the truth is asked for. Time comes from [time.Now], so inside a
// testing/synctest bubble an hour of waiting takes milliseconds.
//
// The same seed gives the same run. Latency, correlation IDs and weather are
// drawn from the identity of a request (method, path, query, and how often it
// was seen), never from one generator in order of arrival. With a latency set,
// no two requests are processed in the same nanosecond, so their order does
// not depend on the scheduler either.
//
// The package never opens a connection, never reads the environment, never
// logs and keeps no state outside a Cloud.
package hcloudsim

import (
	"cmp"
	"fmt"
	"maps"
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

	// RateLimit is the number of requests an hour; one comes back each
	// hour/RateLimit. Zero: 3600.
	RateLimit int

	// Corrupt may answer a fault for a request, weather that no test has to
	// plan. It is asked once a request, when no injected fault fires, with dice
	// of the request's own. Of the fault only Kind, Delay, Shift, Status, Code
	// and Message count. It must not call the Cloud.
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
	o.RateLimit = cmp.Or(o.RateLimit, 3600)
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

// Server is a server to be added to the project.
type Server struct {
	ID       int64  // zero: the next free one
	Name     string // empty: server-<ID>; unique in the project
	Status   string // empty: running
	Type     string // empty: cx23
	Location string // empty: fsn1
	IPv4     string // empty: none
	IPv6     string // empty: none
	Labels   map[string]string
	Volumes  []int64
	Created  time.Time // zero: 30 days ago
	Snapshot SnapshotBehaviour
	Power    PowerBehaviour
}

// SnapshotBehaviour is how a server's snapshots come about.
type SnapshotBehaviour struct {
	// Duration is the time from acceptance to the action's success. Zero: 45 s.
	Duration time.Duration
	// AvailableAfter is the time from the action's success until the image is
	// available.
	AvailableAfter time.Duration
	// Earlier is how long the server's snapshots took before, one a day, the
	// last one first: their actions are in its history.
	Earlier []time.Duration
	// LockFor is how long create_image locks the server: zero for as long as
	// its action runs, negative not at all.
	LockFor time.Duration
	// Progress is how the action's percentage moves.
	Progress ProgressShape

	// With a FailCode the action ends in that error, FailAfter after
	// acceptance (zero: Duration), and VanishAfter later its image is gone.
	FailAfter   time.Duration
	VanishAfter time.Duration
	FailCode    string
	FailMessage string
	// FailTimes is how many snapshots fail before one succeeds. Zero: all.
	FailTimes int

	// SizeGB is the size of the finished image. Zero: 2.5.
	SizeGB float32

	NeverAvailable bool // the action succeeds, the image stays creating
	Unavailable    bool // the image turns unavailable instead of available
}

// PowerBehaviour is how a server's guest reacts to the power commands.
type PowerBehaviour struct {
	// ShutdownAfter is the time from the ACPI signal until the server is off.
	// Zero: 8 s; negative: the guest ignores the signal.
	ShutdownAfter time.Duration
	PowerOffAfter time.Duration // zero: 3 s
	PowerOnAfter  time.Duration // zero: 5 s
	// LockAfter is how long the server is locked, without an action to be seen,
	// from the moment it goes off.
	LockAfter time.Duration
	// PowerOnFails is how many power-ons end in an error and leave the server
	// off. Negative: all.
	PowerOnFails int
}

// ProgressShape is how the percentage of a running action moves.
type ProgressShape int

// The shapes of progress.
const (
	Linear  ProgressShape = iota // in proportion to the time
	Stuck                        // 0 until the action ends
	Jumping                      // 0, 45 and 95, a third of the time each
)

// AddServer adds a server and returns its ID. It panics when the ID or the
// name is taken.
func (c *Cloud) AddServer(spec Server) (id int64) {
	c.update(func(p *project) { id = p.addServer(spec).ID })
	return id
}

// DeleteServer deletes a server and its backups. Its snapshots stay. Unknown IDs are ignored.
func (c *Cloud) DeleteServer(id int64) {
	c.update(func(p *project) { p.deleteServer(id) })
}

// SwitchOn switches a server on at once, as somebody else does. Unknown IDs are ignored.
func (c *Cloud) SwitchOn(id int64) {
	c.update(func(p *project) { p.switchTo(id, "running") })
}

// SwitchOff switches a server off at once, as somebody else does. Unknown IDs are ignored.
func (c *Cloud) SwitchOff(id int64) {
	c.update(func(p *project) { p.switchTo(id, "off") })
}

// ServerState is the truth about a server.
type ServerState struct {
	ID     int64
	Name   string
	Status string
	Locked bool // truly locked, whether or not the API shows it
	// Commands are the power commands and rebuilds that were accepted, in order.
	Commands []string
}

// Servers returns the servers, sorted by ID.
func (c *Cloud) Servers() []ServerState {
	var all []ServerState
	c.update(func(p *project) {
		for _, s := range p.sortedServers() {
			all = append(all, ServerState{
				ID: s.ID, Name: s.Name, Status: s.Status,
				Locked: s.locked(), Commands: slices.Clone(s.commands),
			})
		}
	})
	return all
}

// Image is an image of the project, both to be added and as the truth.
type Image struct {
	ID          int64  // zero: the next free one
	Type        string // empty: snapshot
	Status      string // empty: available
	Name        string // of system images only
	Description string
	Labels      map[string]string
	ServerID    int64     // zero: created_from is null
	ServerName  string    // empty: the server's name, where there is such a server
	Created     time.Time // zero: now; whole seconds, as in the API
	SizeGB      float32   // zero: null in the API, as while creating
	Protected   bool
}

// AddImage adds an image and returns its ID. It panics when the ID is taken.
// The limit of snapshots does not apply.
func (c *Cloud) AddImage(spec Image) (id int64) {
	c.update(func(p *project) { id = p.addImage(spec).ID })
	return id
}

// DeleteImage deletes an image, protected or not. Unknown IDs are ignored.
func (c *Cloud) DeleteImage(id int64) {
	c.update(func(p *project) { delete(p.images, id) })
}

// ProtectImage sets delete protection on an image. Unknown IDs are ignored.
func (c *Cloud) ProtectImage(id int64) {
	c.update(func(p *project) {
		if img := p.images[id]; img != nil {
			img.Protected = true
		}
	})
}

// Images returns the images, sorted by ID.
func (c *Cloud) Images() []Image {
	var all []Image
	c.update(func(p *project) {
		for _, img := range p.sortedImages() {
			truth := img.Image
			truth.Labels = maps.Clone(img.Labels)
			all = append(all, truth)
		}
	})
	return all
}

// Action is the truth about an action.
type Action struct {
	ID      int64
	Command string
	Began   time.Time
	Ends    time.Time // when it has succeeded, unless it is made to fail before
}

// Actions returns every action so far, sorted by ID.
func (c *Cloud) Actions() []Action {
	var all []Action
	c.update(func(p *project) {
		for _, a := range p.sortedActions() {
			all = append(all, Action{ID: a.ID, Command: a.Command, Began: a.began, Ends: a.began.Add(a.length)})
		}
	})
	return all
}

// Lock is a lock that some other operation holds on a server.
type Lock struct {
	// The lock begins From after it was placed and ends For later. A For of
	// zero never ends.
	From, For time.Duration
	// AfterLooks lets the lock come into being only after that many GETs have
	// shown the server, From after the last of them. It closes the gap between
	// a look and the create that trusts it.
	AfterLooks int
	// Command is the command of a running action that shows who holds the
	// lock. Empty: no action is to be seen.
	Command string
	// Hidden locks are not shown by the server's locked flag.
	Hidden bool
	// Lag is how long the lock outlives its For, and with it its action.
	Lag time.Duration
}

// Lock places a lock on a server and returns the ID of its action, zero for a
// lock without one. The action can be seen once the lock has begun. A server
// can hold several locks. It panics when there is no such server.
func (c *Cloud) Lock(serverID int64, l Lock) (actionID int64) {
	c.update(func(p *project) { actionID = p.placeLock(p.mustServer(serverID), l) })
	return actionID
}

// Unlock ends every lock that Lock placed on the server, begun or not; their
// actions end in success. Locks of the server's own operations stay.
func (c *Cloud) Unlock(serverID int64) {
	c.update(func(p *project) { p.unlock(p.mustServer(serverID)) })
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
// arrived at the same instant are sorted by method, path, query and the number
// of times they were seen.
func (c *Cloud) History() []Exchange {
	var all []Exchange
	c.update(func(p *project) {
		sorted := slices.SortedStableFunc(slices.Values(p.history), func(a, b *exchange) int {
			return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Method, b.Method),
				cmp.Compare(a.Path, b.Path), cmp.Compare(a.Query, b.Query), cmp.Compare(a.nth, b.nth))
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
