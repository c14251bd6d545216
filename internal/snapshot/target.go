package snapshot

import (
	"errors"
	"slices"
	"time"

	"github.com/org/hsnap-action/internal/fleet"
	"github.com/org/hsnap-action/internal/hetzner"
)

const (
	// pollEvery is the pause between two polls of a server or an image that something waits for.
	pollEvery = 3 * time.Second
	// holderLimit is how long it may take to learn who holds a lock that is not waited for.
	holderLimit = 20 * time.Second
	// holderTurn is the time between two polls that ask who holds a lock, which is only reported.
	holderTurn = 20 * time.Second
	// EffectLimit is the one assumption about Hetzner: a create takes effect within this time of its answer's loss, or
	// never.
	EffectLimit = 60 * time.Second
	// absenceGap lies between the two polls that prove a lost change's absence, so that one stale answer can't.
	absenceGap = 5 * time.Second
	// lostLimit is the least time that a lost change is searched for, however short the lock timeout is.
	lostLimit = 5 * time.Minute
	// lastTry is how long after the lock timeout the last request may still wait for a place in the budget.
	lastTry = 5 * time.Second
)

// Target is a server that one change is wanted of, such as a snapshot, on its way to Hetzner's acceptance. Whatever the
// change is, the locks, the places, the refusals and the proof after a lost answer are the same.
type Target struct {
	*run
	*fleet.Script                // the one that is resumed
	Host          hetzner.Server // as it was seen last
	Result        Result
	Phase         Phase

	lock     stopwatch      // runs while Hetzner shows a lock or refuses, and while a change is lost
	missing  stopwatch      // runs while a change is lost: that much of lock was no lock
	refusal  *hetzner.Error // the last answer "not now", or what happened to a lost change
	refusals int            // in a row, since a poll showed the server unlocked
	rank     fleet.Rank     // of the next request
	holder   *hetzner.Action
	heldBy   string // the holder's command that was reported last
	placed   bool   // it has one of the places for changes in flight
	off      bool   // it is off for the change, and keeps its place meanwhile
	progress int    // percent, of the action of the change
}

// EndError is how a target's way ends.
type EndError struct {
	Status Status
	Reason Reason
}

func (e *EndError) Error() string { return string(e.Status) + " " + string(e.Reason) }

// Because returns the end of a way with this status and a reason.
func (s Status) Because(reason Reason) error { return &EndError{s, reason} }

func failed(reason Reason) error { return Failed.Because(reason) }

var (
	// ErrAgain says that the change may be asked for again from the beginning of the way.
	ErrAgain = errors.New("again")
	// errLocked says that a poll has shown a lock; once that is gone, the way begins again.
	errLocked = errors.New("locked")
)

// Ask sends a change when it is the server's turn. It returns nil when Hetzner has accepted it; an [*hetzner.Error] when
// Hetzner has refused it, or when its answer is lost; [ErrAgain] when the way begins again; otherwise how the way ends.
func (t *Target) Ask(send fleet.Request) error {
	if err := t.TakePlace(); err != nil {
		return err
	}
	limit, off := t.TryLimit(), t.off
	if !limit.IsZero() {
		limit = limit.Add(lastTry)
	}
	err := t.Change(fleet.Change{Rank: t.rank, Limit: limit, Moot: func() bool { return off != t.off }, Send: send})
	if _, answered := errors.AsType[*hetzner.Error](err); err == nil || answered {
		t.lock.stop(t.Sent) // no answer has kept it waiting since
	}
	switch {
	case errors.Is(err, fleet.ErrMoot): // it is being switched on again
		t.lock.stop(t.Now())
		return ErrAgain
	case errors.Is(err, fleet.ErrTimeout):
		return t.LockTimedOut()
	}
	return err
}

// TryLimit returns when the lock timeout is over for a change that Hetzner has refused before, and lets the time until then
// count: Hetzner keeps the server waiting, also while the budget spaces the tries out. It is zero where Hetzner has not.
func (t *Target) TryLimit() time.Time {
	if t.refusals == 0 {
		return time.Time{}
	}
	t.lock.start(t.Now())
	return t.lockLimit()
}

// TakePlace waits for one of the places for changes in flight, unless the server has one. That is nothing that Hetzner keeps
// back.
func (t *Target) TakePlace() error {
	t.Phase = PhaseWaiting
	t.lock.stop(t.Now())
	if t.placed {
		return nil
	}
	if err := t.Take(t.inFlight, nil); err != nil {
		return err
	}
	t.placed = true
	return t.Barred() // what has made the place free may be a cancel
}

// LeavePlace gives the place to another server, unless this one is off for its change.
func (t *Target) LeavePlace() {
	if t.placed && !t.off {
		t.placed = false
		t.inFlight.Give()
	}
}

// Repeat goes a way until it ends, or Hetzner has accepted its change: after a refusal for now once the server may be asked
// again, after one for want of room once that has been awaited, and where the way itself says so.
func (t *Target) Repeat(way func() error, awaitRoom func(*hetzner.Error) error) error {
	for {
		err := way()
		refusal, _ := errors.AsType[*hetzner.Error](err)
		switch {
		case errors.Is(err, ErrAgain):
			t.LeavePlace()
			continue
		case errors.Is(err, errLocked):
			err = t.SeenLocked()
		case refusal != nil && refusal.Later():
			err = t.refused(refusal)
		case refusal != nil && refusal.Verdict == hetzner.Full:
			err = awaitRoom(refusal)
		default:
			return err
		}
		if err != nil {
			return err
		}
	}
}

// refused records an answer "not now" and waits until the server may be asked again: after a pause or, where a poll shows a
// lock, once that is gone.
func (t *Target) refused(refusal *hetzner.Error) error {
	isLocked := hetzner.IsLocked(refusal.Code, refusal.Message)
	news := t.refusals == 0 || t.refusal.Code != refusal.Code // the same again is none
	t.refusal, t.refusals, t.rank, t.Phase = refusal, t.refusals+1, fleet.Again, PhaseLocked
	t.LeavePlace()
	switch {
	case isLocked && t.IfLocked != Wait:
		return t.leaveLocked()
	case t.lock.elapsed(t.Now()) >= t.LockTimeout:
		return t.LockTimedOut()
	case news:
		t.tellOf(Event{Kind: EventLocked, Err: refusal})
	}
	t.lock.start(t.Now())
	again := fleet.Earliest(t.lockLimit(), t.Now().Add(fleet.RetryAfter(t.refusals)))
	seen, err := t.Watch(fleet.Server(t.Host.ID)).Next(0, again)
	switch {
	case errors.Is(err, fleet.ErrTimeout): // no poll came: the next request tells
		return nil
	case err != nil:
		return err
	case seen.Server.Locked:
		return t.awaitUnlock()
	}
	return t.Sleep(again)
}

// SeenLocked waits for a lock to go that was not known before a poll has shown it.
func (t *Target) SeenLocked() error {
	t.LeavePlace()
	if t.IfLocked == Wait {
		t.tellOf(Event{Kind: EventLocked})
	}
	return t.awaitUnlock()
}

// awaitUnlock waits, where that is wanted, until a poll shows the lock gone that an earlier one has shown.
func (t *Target) awaitUnlock() error {
	if t.IfLocked != Wait {
		return t.leaveLocked()
	}
	t.Phase = PhaseLocked
	t.lock.start(t.Now())
	if t.lock.elapsed(t.Now()) >= t.LockTimeout { // the poll that has shown the lock was the last
		return t.LockTimedOut()
	}
	watched := true
	t.Go(func(script *fleet.Script) { t.watchHolder(script, func() bool { return !watched }) })
	defer func() { watched = false }()
	err := t.pollUntilUnlocked(t.lockLimit())
	switch {
	case errors.Is(err, fleet.ErrTimeout):
		return t.LockTimedOut()
	case err == nil:
		t.tellOf(Event{Kind: EventUnlocked})
	}
	return err
}

// pollUntilUnlocked returns nil once a poll shows the server unlocked: there is no better prospect for a change.
func (t *Target) pollUntilUnlocked(limit time.Time) error {
	var seen fleet.Seen
	err := t.Watch(fleet.Server(t.Host.ID)).Until(pollEvery, limit, func(shown fleet.Seen) bool {
		seen = shown
		return !seen.Server.Locked
	})
	if err != nil {
		return err
	}
	t.missing.stop(t.Now())
	t.Host.Status, t.Host.Locked = seen.Server.Status, false
	t.refusals, t.rank, t.holder = 0, fleet.Unlocked, nil
	t.Phase = PhaseWaiting
	return nil
}

// lockLimit returns when the lock timeout is over; zero while the clock stands.
func (t *Target) lockLimit() time.Time { return t.lock.reaches(t.LockTimeout) }

// LockTimedOut ends the way of a server whose change Hetzner has not accepted in time.
func (t *Target) LockTimedOut() error {
	t.Result.Err, t.Result.Holder = t.refusal, t.holder
	return failed(LockTimeout)
}

// leaveLocked ends the way of a locked server that is not waited for.
func (t *Target) leaveLocked() error {
	if err := t.learnHolder(); err != nil {
		return err
	}
	if t.IfLocked == Skip {
		return &EndError{Skipped, Locked}
	}
	return failed(Locked)
}

// learnHolder finds out who holds the lock, or that nobody says.
func (t *Target) learnHolder() error {
	if t.holder == nil {
		seen, err := t.Watch(fleet.ServerActions(t.Host.ID, hetzner.ActionRunning)).Next(0, t.Now().Add(holderLimit))
		if err != nil && !errors.Is(err, fleet.ErrTimeout) {
			return err
		}
		t.holder = holding(seen.Actions)
	}
	t.Result.Err, t.Result.Holder = t.refusal, t.holder
	return nil
}

// watchHolder is the script that reports who holds a lock until the lock is gone. Nothing waits for it, so one server after
// the other is asked about.
func (t *Target) watchHolder(script *fleet.Script, gone func() bool) {
	for script.Take(t.holders, gone) == nil {
		seen, err := script.Watch(fleet.ServerActions(t.Host.ID, hetzner.ActionRunning)).Unless(gone).Next(0, time.Time{})
		t.holders.Close(t.Now().Add(holderTurn))
		t.holders.Give()
		if err != nil {
			return
		}
		t.holder = holding(seen.Actions)
		if t.holder != nil && t.heldBy != t.holder.Command {
			t.heldBy = t.holder.Command
			t.tellOf(Event{Kind: EventHolder, Holder: t.holder})
		}
	}
}

// holding returns the action that holds a server's lock, nil where none shows. The newest come first, the oldest holds it.
func holding(actions []hetzner.Action) *hetzner.Action {
	for _, action := range slices.Backward(actions) {
		if action.Running() {
			return &action
		}
	}
	return nil
}

// Find decides what became of a change whose answer was lost. It returns nil once found reports that a poll of what is wanted
// shows its effect; [ErrAgain] when two complete polls and one of the unlocked server prove that it had none and, by
// EffectLimit, never will; otherwise how the way ends.
func (t *Target) Find(loss *hetzner.Error, want fleet.Want, found func(fleet.Seen) bool) error {
	lostAt, first := t.Now(), time.Time{}
	t.lock.start(lostAt)
	t.missing.start(lostAt)
	t.Phase, t.refusal, t.Result.MaySlip = PhaseLost, loss, true
	limit := lostAt.Add(max(t.LockTimeout, lostLimit))
	pause := time.Duration(0)
	for watch := t.Watch(want).Lasting(); ; pause = absenceGap {
		seen, err := watch.Next(pause, limit)
		switch {
		case hetzner.IsNotFound(err): // the server is gone, whatever became of its change
			t.Result.MaySlip = false
			return err
		case err != nil:
			return t.unknown(err)
		case found(seen):
			t.Result.MaySlip = false
			return nil
		case seen.Began.Sub(lostAt) < EffectLimit:
		case first.IsZero():
			first = seen.Began
		case seen.Began.Sub(first) >= absenceGap:
			return t.proveAbsent(limit)
		}
	}
}

// proveAbsent completes the proof: a poll begun after the two others must show the server unlocked.
func (t *Target) proveAbsent(limit time.Time) error {
	t.LeavePlace()                               // nothing is in flight any more
	limit = fleet.Earliest(t.lockLimit(), limit) // after which it is not asked for again
	if !t.Now().Before(limit) {
		return t.unknown(fleet.ErrTimeout)
	}
	if err := t.pollUntilUnlocked(limit); err != nil {
		return t.unknown(err)
	}
	t.Result.MaySlip = false
	t.tellOf(Event{Kind: EventAbsent})
	return ErrAgain
}

// unknown ends the way of a server whose lost change nobody can decide about.
func (t *Target) unknown(err error) error {
	if errors.Is(err, fleet.ErrTimeout) {
		t.Result.Err = t.refusal
		return failed(UnknownOutcome)
	}
	return err
}

// Follow waits for the end of the change's action, see [fleet.Script.Follow].
func (t *Target) Follow(action int64, accepted, limit time.Time) (*hetzner.Action, error) {
	return t.Script.Follow(action, accepted, limit, func(percent int) { t.progress = percent })
}

// EndOf says how a script's error ends it: as that says itself, by Hetzner's refusal, or by a cancel.
func EndOf(err error) (status Status, reason Reason, refusal *hetzner.Error) {
	if ended, ok := errors.AsType[*EndError](err); ok {
		return ended.Status, ended.Reason, nil
	}
	if refusal, ok := errors.AsType[*hetzner.Error](err); ok {
		if hetzner.IsNotFound(err) {
			return Failed, NotFound, refusal
		}
		return Failed, Refused, refusal
	}
	return Cancelled, RunCancelled, nil
}

// Settle records how the target's way has ended.
func (t *Target) Settle(err error) {
	r := &t.Result
	status, reason, refusal := EndOf(err)
	r.Status, r.Reason = status, reason
	if refusal != nil {
		r.Err = refusal
	}
	t.lock.stop(t.Now())
	t.missing.stop(t.Now())
	r.LockWait = t.lock.total - t.missing.total
	t.Phase = PhaseFinished
}

func (t *Target) tellOf(e Event) {
	e.Name, e.Server = t.Host.Name, t.Host
	t.Tell(e)
}
