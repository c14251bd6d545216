// Package fleet runs scripts, mostly one per server, over a shared, paced view of a Hetzner Cloud project.
//
// A [Script] is a plain function that waits where it has to: its way can be read from top to bottom. Scripts are
// coroutines. One loop resumes those that have something to go on with, always in the same order and one at a time, so
// they share what they share without locks, and the same answers always lead to the same run. A script waits in two ways
// only: until a condition holds, or for an answer that is under way. A limit, a cancel and a refused token end the first;
// the second outlasts a cancel for a short grace.
//
// Scripts say what they want to see (see [Want]). The fleet finds the fewest requests that show it, keeps to one budget of
// polls (see pacer), and hands each poll only to the scripts that had asked before it began.
//
// The package knows nothing of snapshots, writes no text, repeats no change unless its script says that it may, and
// decides about no server.
package fleet

import (
	"context"
	"errors"
	"maps"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/org/hsnap-action/internal/hetzner"
)

// How a wait ends without what it waited for. A refused token ends it with Hetzner's refusal instead.
var (
	ErrTimeout   = errors.New("time is up")
	ErrCancelled = errors.New("the run was cancelled")
	ErrMoot      = errors.New("it is not needed any more")
)

// A cancelled run is over within 5 s of the first signal, and within 2 s where that is the runner's last.
const (
	answerGrace = 3 * time.Second // for the answers of changes under way
	cancelLimit = 4500 * time.Millisecond
	hurryFactor = 3 // by which both are shorter after a late signal
)

// Options configures a [Fleet]. API is required.
type Options struct {
	API     *hetzner.Client
	Signals <-chan os.Signal
	// Late reports whether a first signal leaves less than 5 s; nil for never.
	Late func(os.Signal) bool
	// Cancelled is called once, at the first signal; nil for nobody.
	Cancelled func()
}

// Fleet is the loop and what its scripts share.
type Fleet struct {
	o       Options
	ctx     context.Context // of the requests
	stop    context.CancelFunc
	now     time.Time
	scripts []*Script
	answers chan func() // closures that record an answer, to be run by the loop
	flights sync.WaitGroup
	polls   polls
	pacer   pacer
	queued  []*Change // that wait for a place in the budget, first come, first served among those of a rank

	signal    os.Signal // the first that came
	cancelled time.Time // when it came
	aborted   bool      // a second one came
	token     *hetzner.Error

	heardAt time.Time      // when Hetzner last answered, if only to refuse
	unheard *hetzner.Error // what came instead of an answer since
}

// New returns a fleet without scripts.
func New(o Options) *Fleet {
	now := time.Now()
	polls := polls{under: map[lane]bool{}, listings: map[lane]*listing{}, pages: map[int64]int{}}
	return &Fleet{o: o, now: now, heardAt: now, answers: make(chan func()), polls: polls}
}

// Now returns the time of the present turn of the loop.
func (f *Fleet) Now() time.Time { return f.now }

// Signal returns the signal that cancelled the run, nil without one.
func (f *Fleet) Signal() os.Signal { return f.signal }

// Cancelled reports whether a signal has come.
func (f *Fleet) Cancelled() bool { return f.signal != nil }

// Token returns Hetzner's refusal of the token, nil without one.
func (f *Fleet) Token() *hetzner.Error { return f.token }

// Ending reports whether nothing new may be begun.
func (f *Fleet) Ending() bool { return f.Cancelled() || f.token != nil }

// Silence returns for how long Hetzner has not answered, and what came instead; 0 while it answers.
func (f *Fleet) Silence() (time.Duration, *hetzner.Error) {
	if f.unheard == nil {
		return 0, nil
	}
	return f.now.Sub(f.heardAt), f.unheard
}

// Run resumes the scripts until all of them have ended. No goroutine is left when it returns. The first signal cancels
// the run in good order, a second one ends every wait at once.
func (f *Fleet) Run(ctx context.Context) {
	f.ctx, f.stop = context.WithCancel(ctx)
	defer f.flights.Wait()
	defer f.stop()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case signal := <-f.o.Signals: // before anything new is begun
			f.interrupt(signal)
		default:
		}
		f.resumeAll()
		if len(f.scripts) == 0 {
			return
		}
		f.sendPolls()
		timer.Reset(time.Until(f.wake()))
		select {
		case record := <-f.answers:
			f.now = time.Now()
			record()
		case signal := <-f.o.Signals:
			f.now = time.Now()
			f.interrupt(signal)
		case <-timer.C:
			f.now = time.Now()
		}
	}
}

// resumeAll resumes the scripts that have something to go on with until none has: what one of them does may be what
// another waits for.
func (f *Fleet) resumeAll() {
	for resumed := true; resumed; {
		resumed = false
		for i := range f.scripts { // a script may start others, which come next
			if s := f.scripts[i]; !s.ended && s.due() {
				s.resume()
				resumed = true
			}
		}
	}
	f.scripts = slices.DeleteFunc(f.scripts, func(s *Script) bool { return s.ended })
}

// wake returns when time alone gives the loop something to do.
func (f *Fleet) wake() time.Time {
	wake := f.now.Add(time.Hour)
	for _, s := range f.scripts {
		wake = Earliest(wake, s.wakes())
	}
	if next, at := f.nextPoll(); next != nil {
		wake = Earliest(wake, at)
	}
	return wake
}

// interrupt cancels the run at the first signal, and ends it at the second.
func (f *Fleet) interrupt(signal os.Signal) {
	if f.signal != nil {
		f.aborted = true
		return
	}
	f.signal, f.cancelled = signal, f.now
	// Copies have to go, and a poll of all of them that hangs must not keep any from it.
	maps.DeleteFunc(f.polls.under, func(l lane, _ bool) bool { return l.kind == labelled })
	if f.o.Cancelled != nil {
		f.o.Cancelled()
	}
}

// graceEnd returns when a grace after the cancel is over.
func (f *Fleet) graceEnd(grace time.Duration) time.Time {
	if f.o.Late != nil && f.o.Late(f.signal) {
		grace /= hurryFactor
	}
	return f.cancelled.Add(grace)
}

// fly sends a request in a goroutine of its own, so that one that hangs delays no other. The closure that send returns
// is run by the loop.
func (f *Fleet) fly(send func(context.Context) (record func())) {
	f.flights.Go(func() {
		record := send(f.ctx)
		select {
		case f.answers <- record:
		case <-f.ctx.Done():
		}
	})
}

// hear records what every answer says: whether Hetzner answers at all, how much of the project's limit is left, and
// whether the token is good. It returns the failure; nil for an answer.
func (f *Fleet) hear(quota hetzner.Quota, err error) *hetzner.Error {
	if quota != (hetzner.Quota{}) {
		f.pacer.low = quota.Low()
	}
	if err == nil {
		f.heardAt, f.unheard = f.now, nil
		return nil
	}
	failure := hetzner.AsError(err)
	switch {
	case failure.Verdict == hetzner.Lost, failure.Verdict == hetzner.NotSent:
		f.unheard = failure
		return failure
	case failure.Verdict == hetzner.TokenRefused && f.token == nil:
		f.token = failure
	}
	f.heardAt, f.unheard = f.now, nil
	return failure
}

// Earliest returns the earlier of two times, of which a zero one is none.
func Earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// Latest returns the later of two times.
func Latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// reached reports whether a time has come; a zero one never does.
func reached(at, now time.Time) bool { return !at.IsZero() && !at.After(now) }
