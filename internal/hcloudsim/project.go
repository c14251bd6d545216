package hcloudsim

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/hetznercloud/hcloud-go/v2/hcloud/schema"
)

// The first IDs of each kind. The ranges are apart, so that an ID used as one
// of another kind is found out, and actions are beyond 32 bits as they are at
// Hetzner.
const (
	firstServerID   = 1_000_001
	firstImageID    = 200_000_001
	firstIPID       = 30_000_001 // below are those of servers
	firstFirewallID = 3_000_001
	firstActionID   = 580_000_000_000_001
)

// project is the state behind a Cloud. All of it is guarded by mu, and no
// method sleeps.
type project struct {
	opts Options

	mu      sync.Mutex
	now     time.Time // the time that the state is of
	effects []effect  // pending, the earliest due first

	servers map[int64]*server
	images  map[int64]*image
	actions map[int64]*action
	ips     map[int64]*PrimaryIP

	firewalls map[int64]*Firewall

	nextServer, nextImage, nextAction, nextIP, nextFirewall int64

	creations []*Creation
	capacity  map[offer]int        // where it is limited
	retired   map[string]time.Time // server type -> when its deprecation was announced

	revoked bool
	limit   bucket
	faults  []*injected

	seen    map[string]int // identity of a request -> how often it arrived
	history []*exchange
}

// effect is a change of the state that becomes due at a known time.
type effect struct {
	due   time.Time
	apply func()
}

func newProject(o Options) *project {
	return &project{
		opts:       o,
		now:        wall(time.Now()),
		servers:    map[int64]*server{},
		images:     map[int64]*image{},
		actions:    map[int64]*action{},
		ips:        map[int64]*PrimaryIP{},
		firewalls:  map[int64]*Firewall{},
		capacity:   map[offer]int{},
		retired:    map[string]time.Time{},
		nextServer: firstServerID,
		nextImage:  firstImageID,
		nextAction: firstActionID,
		nextIP:     firstIPID,

		nextFirewall: firstFirewallID,
		limit:        bucket{size: o.RateLimit},
		seen:         map[string]int{},
	}
}

// wall strips the monotonic clock and the zone: times of the simulation are
// compared with and printed as times of the API.
func wall(t time.Time) time.Time { return t.Round(0).UTC() }

// advance brings the state to the time t. Effects see the state as of their own
// due time, and may make further effects that are due on the way.
func (p *project) advance(t time.Time) {
	t = wall(t)
	for len(p.effects) > 0 && !p.effects[0].due.After(t) {
		next := p.effects[0]
		p.effects = slices.Delete(p.effects, 0, 1)
		if next.due.After(p.now) {
			p.now = next.due
		}
		next.apply()
	}
	if t.After(p.now) {
		p.now = t
	}
}

// after makes f an effect that is due d from now. Of two effects due at the
// same time the one made first comes first.
func (p *project) after(d time.Duration, f func()) { p.at(p.now.Add(d), f) }

func (p *project) at(due time.Time, f func()) {
	i, _ := slices.BinarySearchFunc(p.effects, due, func(e effect, due time.Time) int {
		if e.due.After(due) {
			return 1
		}
		return -1
	})
	p.effects = slices.Insert(p.effects, i, effect{due: due, apply: f})
}

// action is an asynchronous operation. Its percentage is worked out when it is
// shown.
type action struct {
	schema.Action
	shape  ProgressShape
	began  time.Time     // Started, to the nanosecond
	length time.Duration // how long it is expected to run
}

func (p *project) newActionID() int64 {
	id := p.nextAction
	p.nextAction++
	return id
}

// start makes a running action that names one resource.
func (p *project) start(id int64, command, kind string, resource int64, length time.Duration) *action {
	a := &action{
		Action: schema.Action{
			ID:        id,
			Command:   command,
			Status:    "running",
			Started:   p.now.Truncate(time.Second),
			Resources: []schema.ActionResourceReference{{ID: resource, Type: kind}},
		},
		began:  p.now,
		length: length,
	}
	p.actions[id] = a
	return a
}

// end finishes an action; with a code, in an error. An action that has ended
// stays as it is.
func (p *project) end(a *action, code, message string) {
	if a.Status != "running" {
		return
	}
	a.Progress = a.progress(p.now)
	a.Finished = new(p.now.Truncate(time.Second))
	if code != "" {
		a.Status = "error"
		a.Error = &schema.ActionError{Code: code, Message: message}
		return
	}
	a.Status = "success"
	a.Progress = 100
}

// progress is the percentage of the action at the time now; 100 only once it
// succeeded.
func (a *action) progress(now time.Time) int {
	if a.Status != "running" || a.length <= 0 {
		return a.Progress
	}
	done := float64(now.Sub(a.began)) / float64(a.length)
	switch {
	case a.shape == Stuck:
		return 0
	case a.shape == Jumping && done < 1./3:
		return 0
	case a.shape == Jumping && done < 2./3:
		return 45
	case a.shape == Jumping:
		return 95
	default:
		return min(int(done*100), 99)
	}
}

// show is the action as the API shows it.
func (a *action) show(now time.Time) schema.Action {
	s := a.Action
	s.Progress = a.progress(now)
	return s
}

func (a *action) concerns(kind string, id int64) bool {
	return slices.Contains(a.Resources, schema.ActionResourceReference{ID: id, Type: kind})
}

func (p *project) sortedActions() []*action { return sortedValues(p.actions) }

// sortedValues returns the values of m by ascending ID: no order may come from
// the map.
func sortedValues[T any](m map[int64]T) []T {
	values := make([]T, 0, len(m))
	for _, id := range slices.Sorted(maps.Keys(m)) {
		values = append(values, m[id])
	}
	return values
}

// takeID reserves the given ID or, for zero, the next one.
func takeID(what string, id int64, next *int64, taken bool) int64 {
	if taken {
		panic(fmt.Sprintf("hcloudsim: %s %d exists already", what, id))
	}
	if id == 0 {
		id = *next
	}
	*next = max(*next, id+1)
	return id
}
