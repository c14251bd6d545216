package fleet

import (
	"errors"
	"slices"
	"time"

	"github.com/org/hsnap-action/internal/hetzner"
)

// The budget of polls. Hetzner refills one request a second for a whole project; a run takes half of that at most,
// whatever the number of servers: 30 requests in any 60 s. A poll counts when it is sent. A change counts when it is
// refused for now, lost or never sent; until its answer is known, a place is held for it.
const (
	// window is a little longer than the minute that the promise speaks of: a request arrives some time after it is
	// sent, so two that are 60 s apart here can be closer at Hetzner.
	window = 62 * time.Second
	most   = 30
	// lastPoll is the place that is kept for the last poll of a cancelled run, nextChange the one for a change.
	lastPoll   = 1
	nextChange = 1
	// keptMost bounds the places that are kept for the power of servers that are off.
	keptMost = most / 3
)

// Rank says how likely a change is to be accepted. Those that are refused use the budget up, so each rank may take a
// part of it only: many servers that refuse can neither blind the polls nor keep others from being asked.
type Rank int

// The ranks, in the order in which changes go when places are few.
const (
	Again    Rank = iota // refused before, and nothing shows that this has changed
	First                // nothing speaks against it
	Unlocked             // a poll has just shown the server unlocked
	Power                // a server may be off for want of it
)

// share is how many of the places the changes of a rank may have taken, all ranks together. Power may have all.
var share = [...]int{Again: 10, First: 15, Unlocked: 16}

// pacer keeps the budget. Its zero value is a full budget.
type pacer struct {
	spent []expense // within the window, oldest first
	held  int       // changes whose answer is not known yet
	low   bool      // the project's own limit is nearly used up: take half
	last  time.Time // when the last poll was sent
}

type expense struct {
	at     time.Time
	change bool
}

// part scales a number of places to what the project's own limit leaves.
func (p *pacer) part(places int) int {
	if p.low {
		return places / 2
	}
	return places
}

// freeAt returns when fewer than limit places are used: now, when an expense leaves the window, or the zero time while
// only the answer to a change can tell.
func (p *pacer) freeAt(now time.Time, limit int) time.Time {
	p.spent = slices.DeleteFunc(p.spent, func(e expense) bool { return now.Sub(e.at) >= window })
	over := len(p.spent) + p.held - limit
	switch {
	case over < 0:
		return now
	case over < len(p.spent):
		return p.spent[over].at.Add(window)
	}
	return time.Time{}
}

// pollAt returns when the next poll may be sent, with kept places left for others; zero while only an answer can tell. Polls
// are spread so that the places never run out: neither those that are free now, nor those that become free later.
func (p *pacer) pollAt(now time.Time, kept int, cancelled bool) time.Time {
	limit := p.part(most) - min(kept, keptMost)
	if cancelled {
		return p.freeAt(now, limit)
	}
	limit -= lastPoll + nextChange
	at := p.freeAt(now, limit)
	free, pause := limit-len(p.spent)-p.held, time.Duration(0)
	for i, e := range p.spent {
		pause = max(pause, e.at.Add(window).Sub(now)/time.Duration(max(free+i+1, 1)))
	}
	if at.IsZero() {
		return at
	}
	return Latest(at, p.last.Add(pause))
}

// poll spends a place on a poll that is being sent.
func (p *pacer) poll(now time.Time) { p.spent, p.last = append(p.spent, expense{at: now}), now }

// changeAt returns when a change of a rank may be sent, with kept places left for the power of servers that are off; zero
// while that hangs on others.
func (p *pacer) changeAt(rank Rank, now time.Time, kept int) time.Time {
	limit := most - lastPoll // a server may be off, whatever the project's own limit is
	if rank != Power {
		limit = p.part(most) - lastPoll - min(kept, keptMost)
	}
	at, changes := p.freeAt(now, limit), p.held
	var oldest time.Time
	for _, e := range p.spent {
		if e.change {
			changes++
			oldest = Earliest(oldest, e.at)
		}
	}
	switch {
	case rank == Power, changes < p.part(share[rank]):
		return at
	case at.IsZero(), oldest.IsZero():
		return time.Time{}
	}
	return Latest(at, oldest.Add(window))
}

// answered gives the place back that was held for a change, or spends it on one that counts: one that was refused for now or
// never sent, and one that was lost and may have been. A final refusal keeps no other script waiting.
func (p *pacer) answered(now time.Time, err error) {
	p.held--
	if failure, ok := errors.AsType[*hetzner.Error](err); ok && failure.Unsettled() {
		p.spent = append(p.spent, expense{at: now, change: true})
	}
}
