package fleet

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"slices"
	"time"

	"github.com/org/hsnap-action/internal/hetzner"
)

// Script is one way through a run: a coroutine that the fleet resumes.
type Script struct {
	*Fleet
	wait    wait
	outcome error // of the wait that is over
	resume  func() (struct{}, bool)
	yield   func(struct{}) bool
	ended   bool
	patient bool
	keeps   int // places in the budget, which must be there when the run is cancelled

	Sent time.Time // when the last request was sent
}

// Keep says how many places in the budget are kept for a patient script: those that it will need when the run is cancelled.
func (s *Script) Keep(places int) { s.keeps = places }

// Alone reports whether no other script is left.
func (s *Script) Alone() bool {
	return !slices.ContainsFunc(s.scripts, func(other *Script) bool { return other != s && !other.ended })
}

// wait is what a parked script waits for. Only ready is required.
type wait struct {
	ready func() time.Time // when it is over: not after now for at once, zero while time alone won't tell
	moot  func() bool      // it is not waited for any more
	limit time.Time        // zero for none
	grace time.Duration    // how long it outlasts a cancel
	firm  bool             // it outlasts a refused token
}

// once returns the ready of a wait for what others do.
func (s *Script) once(ready func() bool) func() time.Time {
	return func() time.Time {
		if ready() {
			return s.now
		}
		return time.Time{}
	}
}

// Go starts a script. It runs when the loop comes to it.
func (f *Fleet) Go(run func(*Script)) *Script {
	s := &Script{Fleet: f, wait: wait{ready: f.Now}}
	s.resume, _ = iter.Pull(func(yield func(struct{}) bool) {
		s.yield = yield
		run(s)
		s.ended = true
	})
	f.scripts = append(f.scripts, s)
	return s
}

// GoPatient starts a script whose waits outlast a cancel until the run must be over, and a refused token altogether. A
// place in the budget is kept for its next change.
func (f *Fleet) GoPatient(run func(*Script)) {
	s := f.Go(run)
	s.patient, s.keeps = true, 1
}

// until is the first of the two primitives that wait: it ends when the wait is ready or moot, at its limit, when the run is
// cancelled, or when Hetzner has refused the token. A patient script's waits are always of the second kind.
func (s *Script) until(w wait) error {
	if s.patient {
		w.grace, w.firm = cancelLimit, true
	}
	return s.park(w)
}

// answer is the second primitive: it waits for what is under way, for a grace after a cancel at most.
func (s *Script) answer(w wait, grace time.Duration) error {
	w.grace, w.firm = grace, true
	return s.park(w)
}

// park gives the loop its turn until the wait is over.
func (s *Script) park(w wait) error {
	s.wait = w
	if !s.due() {
		s.yield(struct{}{})
	}
	return s.outcome
}

// due reports whether the script's wait is over, and records how.
func (s *Script) due() bool {
	w, over := &s.wait, true
	s.outcome = nil
	switch {
	case w.moot != nil && w.moot():
		s.outcome = ErrMoot
	case reached(w.ready(), s.now):
	case s.aborted, s.Cancelled() && (w.grace == 0 || !s.now.Before(s.graceEnd(w.grace))):
		s.outcome = ErrCancelled
	case s.token != nil && !w.firm:
		s.outcome = s.token
	case reached(w.limit, s.now):
		s.outcome = ErrTimeout
	default:
		over = false
	}
	return over
}

// wakes returns when time alone may end the script's wait; zero for never.
func (s *Script) wakes() time.Time {
	next := Earliest(s.wait.limit, s.wait.ready())
	if s.Cancelled() && s.wait.grace > 0 {
		next = Earliest(next, s.graceEnd(s.wait.grace))
	}
	return next
}

// Until waits until ready reports true. Ready may depend on what scripts and answers do, never on the time: the loop does not
// wake for it. A zero limit is none.
func (s *Script) Until(ready func() bool, limit time.Time) error {
	return s.until(wait{ready: s.once(ready), limit: limit})
}

// Sleep waits for a time to come.
func (s *Script) Sleep(until time.Time) error {
	return s.until(wait{ready: func() time.Time { return until }})
}

// Request sends one request and returns what Hetzner said about the project's limit.
type Request func(context.Context) (hetzner.Quota, error)

// Send sends a request that the budget does not count, and waits for its answer. The error is an [*hetzner.Error]; or
// [ErrCancelled] or the token's refusal, when nothing was sent because the run is ending. A request that is not answered
// within the grace after a cancel is lost.
func (s *Script) Send(send Request) error {
	if err := s.Barred(); err != nil {
		return err
	}
	s.Sent = s.now
	answered := false
	var failure *hetzner.Error
	s.fly(func(ctx context.Context) func() {
		quota, err := send(ctx)
		return func() { answered, failure = true, s.hear(quota, err) }
	})
	grace := answerGrace
	if s.Cancelled() { // the request is part of the end of the run
		grace = cancelLimit
	}
	if err := s.answer(wait{ready: s.once(func() bool { return answered })}, grace); err != nil {
		return &hetzner.Error{Message: "no answer came before the end of the run", Verdict: hetzner.Lost}
	}
	if failure != nil {
		return failure
	}
	return nil
}

// Barred says why the script may send nothing any more; nil while it may.
func (s *Script) Barred() error {
	switch {
	case s.aborted, s.Cancelled() && !s.patient:
		return ErrCancelled
	case s.token != nil && !s.patient:
		return s.token
	}
	return nil
}

// Do runs something that asks Hetzner nothing, and waits for it. Work must end when its context does, which is when the wait
// is over; what it returns is run by the loop.
func (s *Script) Do(work func(context.Context) (record func())) error {
	done := false
	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel()
	s.fly(func(context.Context) func() {
		record := work(ctx)
		return func() {
			done = true
			record()
		}
	})
	return s.Until(func() bool { return done }, time.Time{})
}

// Poll is as [Script.Send], for a read that the budget counts: it takes its turn among the polls of others first (see
// [Watch]), and what has waited longest comes first.
func (s *Script) Poll(send Request) error {
	w := &Watch{script: s, want: Want{lane: lane{kind: ownTurn}}, due: s.now}
	s.polls.asked = append(s.polls.asked, w)
	err := s.until(wait{ready: func() time.Time {
		if next, at := s.nextPoll(); next == w {
			return at
		}
		return time.Time{}
	}})
	s.polls.drop(w)
	if err != nil {
		return err
	}
	s.pacer.poll(s.now)
	return s.Send(send)
}

// Read sends a read by [Script.Send] or [Script.Poll], and returns what came. After an error that is the zero value, and
// stays so: the request may still be under way then.
func Read[T any](send func(Request) error, read func(context.Context) (T, hetzner.Quota, error)) (T, error) {
	var came, nothing T
	err := send(func(ctx context.Context) (quota hetzner.Quota, err error) {
		came, quota, err = read(ctx)
		return quota, err
	})
	if err != nil {
		return nothing, err
	}
	return came, nil
}

// Persist tries a request again as long as again says so of its failure, after pauses that grow, until limit.
func (s *Script) Persist(limit time.Time, again func(*hetzner.Error) bool, try func() error) error {
	for n := 1; ; n++ {
		err := try()
		failure, failed := errors.AsType[*hetzner.Error](err)
		if !failed || !again(failure) || !s.now.Before(limit) {
			return err
		}
		if err := s.Sleep(Earliest(limit, s.now.Add(RetryAfter(n)))); err != nil {
			return err
		}
	}
}

// RetryAfter returns how long to wait after the nth refusal in a row.
func RetryAfter(n int) time.Duration {
	return [...]time.Duration{5 * time.Second, 10 * time.Second, 20 * time.Second}[min(max(n, 1), 3)-1]
}

// Change is a request that changes something, and whose refusal the budget counts as a poll: a create, a rebuild, a power
// request, or the deletion of a copy.
type Change struct {
	Rank  Rank
	Moot  func() bool // ends the wait for a place in the budget with [ErrMoot]; nil for never
	Limit time.Time   // ends it with [ErrTimeout]; zero for never
	Send  Request
}

// Change waits for a place in the budget, in the order of rank and time, and sends the change. Otherwise it is as
// [Script.Send].
func (s *Script) Change(c Change) error {
	s.queued = append(s.queued, &c)
	slices.SortStableFunc(s.queued, func(a, b *Change) int { return cmp.Compare(b.Rank, a.Rank) })
	ready := func() time.Time {
		if s.queued[0] != &c {
			return time.Time{}
		}
		return s.pacer.changeAt(c.Rank, s.now, s.kept())
	}
	err := s.until(wait{ready: ready, moot: c.Moot, limit: c.Limit})
	s.queued = slices.DeleteFunc(s.queued, func(other *Change) bool { return other == &c })
	if err == nil {
		err = s.Barred()
	}
	if err != nil {
		return err
	}
	if s.Cancelled() {
		s.keeps = 0
	}
	s.pacer.held++
	err = s.Send(c.Send)
	s.pacer.answered(s.now, err)
	return err
}

// kept returns how many places in the budget are kept for the next changes of patient scripts.
func (f *Fleet) kept() int {
	n := 0
	for _, s := range f.scripts {
		if !s.ended {
			n += s.keeps
		}
	}
	return n
}

// Slots are places that scripts take in the order in which they asked.
type Slots struct {
	free  int
	queue []*Script
	opens time.Time // nobody gets a place before
}

// NewSlots returns n free places.
func NewSlots(n int) *Slots { return &Slots{free: n} }

// Take waits for a place; once moot reports true (it may be nil) it returns [ErrMoot] without one.
func (s *Script) Take(slots *Slots, moot func() bool) error {
	slots.queue = append(slots.queue, s)
	ready := func() time.Time {
		if slots.free == 0 || slots.queue[0] != s {
			return time.Time{}
		}
		return Latest(slots.opens, s.now)
	}
	err := s.until(wait{ready: ready, moot: moot})
	slots.queue = slices.DeleteFunc(slots.queue, func(other *Script) bool { return other == s })
	if err == nil {
		slots.free--
	}
	return err
}

// Open reports whether places are given at a time.
func (slots *Slots) Open(now time.Time) bool { return !slots.opens.After(now) }

// Give gives a place back, or a new one.
func (slots *Slots) Give() { slots.free++ }

// Drain takes all places that are free.
func (slots *Slots) Drain() { slots.free = 0 }

// Free returns how many places there are to take.
func (slots *Slots) Free() int { return slots.free }

// Close lets nobody take a place before a time.
func (slots *Slots) Close(until time.Time) { slots.opens = Latest(slots.opens, until) }
