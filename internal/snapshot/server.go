package snapshot

import (
	"encoding/hex"
	"errors"
	"io"
	"slices"
	"time"

	"github.com/org/hsnap-action/internal/fleet"
	"github.com/org/hsnap-action/internal/hetzner"
	"github.com/org/hsnap-action/internal/labels"
)

const (
	// pollEvery is the pause between two polls of a server or an image that something waits for.
	pollEvery = 3 * time.Second
	// holderLimit is how long it may take to learn who holds a lock that is not waited for.
	holderLimit = 20 * time.Second
	// holderTurn is the time between two polls that ask who holds a lock, which is only reported.
	holderTurn = 20 * time.Second
)

// server is one server on its way to its snapshot.
type server struct {
	*run
	*fleet.Script                // the one that is resumed
	host          hetzner.Server // as it was seen last
	result        Result
	phase         Phase

	lock     stopwatch      // runs while Hetzner shows a lock or refuses, and while a create is lost
	missing  stopwatch      // runs while a create is lost: that much of lock was no lock
	refusal  *hetzner.Error // the last answer "not now", or what happened to a lost create
	refusals int            // in a row, since a poll showed the server unlocked
	rank     fleet.Rank     // of the next create
	holder   *hetzner.Action
	heldBy   string // the holder's command that was reported last
	placed   bool   // it has one of the places for snapshots in flight

	power      *power // the last time that it was switched off; nil for never
	turns      int    // how often it was switched off
	switchedOn bool   // somebody else has switched it on while it was off for its snapshot

	accepted time.Time // when its image was known to exist
	progress int       // percent, of its action
	copied   bool      // its action has succeeded
	ended    time.Time // when its result was final but for the power

	otherRun   bool // its snapshot was made by another workflow run and is taken over
	isThinning bool
	hasRoom    bool // a deletion has made room for its next create
	// how many snapshots the run had deleted when it was asked for the last time
	deletionsSeen int
	madeRoom      bool // what can be deleted before the new snapshot exists is deleted
}

// end is how a server's way ends.
type end struct {
	status Status
	reason Reason
}

func (e *end) Error() string { return string(e.status) + " " + string(e.reason) }

func failed(reason Reason) error { return &end{Failed, reason} }

// errAgain says that the server may be asked for again from the beginning of its way.
var errAgain = errors.New("again")

// start starts the script of a server.
func (r *run) start(host hetzner.Server, earlier reusable, leftOff bool) {
	var request [8]byte
	_, _ = io.ReadFull(r.Rand, request[:]) // Settings.Rand promises not to fail
	s := &server{run: r, host: host, rank: fleet.First, result: Result{
		Name: host.Name, Server: host, Request: hex.EncodeToString(request[:]), Description: r.Describe(host, r.fleet.Now()),
		LeftOff: leftOff, LeftBefore: leftOff,
	}}
	r.servers, r.active = append(r.servers, s), r.active+1
	r.fleet.Go(func(script *fleet.Script) {
		s.Script = script
		s.finish(s.begin(earlier))
		s.thin()
	})
}

// begin decides what needs no snapshot, or can't have one, before anything is done to a server.
func (s *server) begin(earlier reusable) error {
	volumes := len(s.host.Volumes) > 0
	if s.result.LeftBefore {
		s.tellOf(Event{Kind: EventLeftBefore})
	}
	switch {
	case volumes && s.IfVolumes == Fail:
		return failed(VolumesAttached)
	case volumes && s.IfVolumes == Warn:
		s.tellOf(Event{Kind: EventVolumes})
	}
	switch {
	case earlier.ID != 0:
		return s.reuse(earlier)
	case s.host.ID == s.self && s.mustStop():
		return failed(ShutdownSelf)
	case s.host.BootsElsewhere() && s.mustStop():
		return failed(BootsElsewhere)
	case s.host.Locked && (s.DryRun || s.IfLocked != Wait):
		return s.leaveLocked()
	case s.DryRun:
		return s.planned()
	case s.host.Locked:
		if err := s.seenLocked(); err != nil { // the selection was a poll
			return err
		}
	}
	return s.way()
}

// reuse takes over a snapshot instead of making one.
func (s *server) reuse(earlier reusable) error {
	s.otherRun, s.result.Age = earlier.otherRun, earlier.age
	s.result.Reused, s.result.ImageID, s.result.Request = true, earlier.ID, earlier.Labels[labels.Request]
	s.result.Description, s.result.SizeGB, s.result.Protected = earlier.Description, earlier.SizeGB, earlier.Protected
	if s.Protect && !earlier.Protected && !s.DryRun {
		if err := s.protect(); err != nil {
			return err
		}
		s.result.Protected = true
	}
	return &end{Available, ""}
}

// way is the way of one server to its snapshot. Each step returns nil when the next one may follow.
func (s *server) way() error {
	for {
		err := s.switchOff() // where that is wanted
		if err == nil {
			err = s.create() // exactly once: accepted, refused, or found or proved absent after a lost answer
		}
		if err == nil {
			err = s.follow() // returns no nil: the snapshot is available, or has failed
		}
		switch refusal, _ := errors.AsType[*hetzner.Error](err); {
		case errors.Is(err, errAgain):
			s.leavePlace()
			err = nil
		case refusal == nil:
		case refusal.Later():
			err = s.refused(refusal) // waits until it may be asked for again
		case refusal.Verdict == hetzner.Full:
			err = s.awaitRoom(refusal) // waits until there may be room
		}
		if err != nil {
			return err
		}
	}
}

// refused records an answer "not now" and waits until the server may be asked for again: after a pause or, where a poll
// shows a lock, once that is gone.
func (s *server) refused(refusal *hetzner.Error) error {
	isLocked := hetzner.IsLocked(refusal.Code, refusal.Message)
	news := s.refusals == 0 || s.refusal.Code != refusal.Code // the same again is none
	s.refusal, s.refusals, s.rank, s.phase = refusal, s.refusals+1, fleet.Again, PhaseLocked
	s.leavePlace()
	switch {
	case isLocked && s.IfLocked != Wait:
		return s.leaveLocked()
	case s.lock.elapsed(s.Now()) >= s.LockTimeout:
		return s.lockTimeout()
	case news:
		s.tellOf(Event{Kind: EventLocked, Err: refusal})
	}
	s.lock.start(s.Now())
	again := fleet.Earliest(s.lockLimit(), s.Now().Add(fleet.RetryAfter(s.refusals)))
	seen, err := s.Watch(fleet.Server(s.host.ID)).Next(0, again)
	switch {
	case errors.Is(err, fleet.ErrTimeout): // no poll came: the next request tells
		return nil
	case err != nil:
		return err
	case seen.Missing:
		return s.gone()
	case seen.Server.Locked:
		return s.awaitUnlock()
	}
	return s.Sleep(again)
}

// seenLocked waits for a lock to go that was not known before a poll has shown it.
func (s *server) seenLocked() error {
	s.leavePlace()
	if s.IfLocked == Wait {
		s.tellOf(Event{Kind: EventLocked})
	}
	return s.awaitUnlock()
}

// awaitUnlock waits, where that is wanted, until a poll shows the lock gone that an earlier one has shown.
func (s *server) awaitUnlock() error {
	if s.IfLocked != Wait {
		return s.leaveLocked()
	}
	s.phase = PhaseLocked
	s.lock.start(s.Now())
	if s.lock.elapsed(s.Now()) >= s.LockTimeout { // the poll that has shown the lock was the last
		return s.lockTimeout()
	}
	watched := true
	s.Go(func(script *fleet.Script) { s.watchHolder(script, func() bool { return !watched }) })
	defer func() { watched = false }()
	err := s.pollUntilUnlocked(s.lockLimit())
	switch {
	case errors.Is(err, fleet.ErrTimeout):
		return s.lockTimeout()
	case err == nil:
		s.tellOf(Event{Kind: EventUnlocked})
	}
	return err
}

// pollUntilUnlocked returns nil once a poll shows the server unlocked: there is no better prospect for a create.
func (s *server) pollUntilUnlocked(limit time.Time) error {
	var seen fleet.Seen
	err := s.Watch(fleet.Server(s.host.ID)).Until(pollEvery, limit, func(shown fleet.Seen) bool {
		seen = shown
		return seen.Missing || !seen.Server.Locked
	})
	switch {
	case err != nil:
		return err
	case seen.Missing:
		return s.gone()
	}
	s.missing.stop(s.Now())
	s.host.Status, s.host.Locked = seen.Server.Status, false
	s.refusals, s.rank, s.holder = 0, fleet.Unlocked, nil
	s.phase = PhaseWaiting
	return nil
}

// lockLimit returns when the lock timeout is over; zero while the clock stands.
func (s *server) lockLimit() time.Time { return s.lock.reaches(s.LockTimeout) }

func (s *server) lockTimeout() error {
	s.result.Err, s.result.Holder = s.refusal, s.holder
	return failed(LockTimeout)
}

// gone ends the way of a server that does not exist any more.
func (s *server) gone() error {
	s.result.Err = &hetzner.Error{Status: 404, Code: hetzner.CodeNotFound, Message: "server not found", Verdict: hetzner.Refused}
	return failed(NotFound)
}

// leaveLocked ends the way of a locked server that is not waited for, once it is known who holds the lock, or that nobody
// says.
func (s *server) leaveLocked() error {
	if s.holder == nil {
		seen, err := s.Watch(fleet.ServerActions(s.host.ID, hetzner.ActionRunning)).Next(0, s.Now().Add(holderLimit))
		if err != nil && !errors.Is(err, fleet.ErrTimeout) {
			return err
		}
		s.holder = holding(seen.Actions)
	}
	s.result.Err, s.result.Holder = s.refusal, s.holder
	switch {
	case s.DryRun && s.IfLocked == Wait:
		return s.planned()
	case s.IfLocked == Skip:
		return &end{Skipped, Locked}
	}
	return failed(Locked)
}

func (s *server) planned() error {
	s.result.Stops = s.mustStop()
	return &end{Planned, ""}
}

// watchHolder is the script that reports who holds a lock until the lock is gone. Nothing waits for it, so one server after
// the other is asked about.
func (s *server) watchHolder(script *fleet.Script, gone func() bool) {
	for script.Take(s.holders, gone) == nil {
		seen, err := script.Watch(fleet.ServerActions(s.host.ID, hetzner.ActionRunning)).Unless(gone).Next(0, time.Time{})
		s.holders.Close(s.Now().Add(holderTurn))
		s.holders.Give()
		if err != nil {
			return
		}
		s.holder = holding(seen.Actions)
		if s.holder != nil && s.heldBy != s.holder.Command {
			s.heldBy = s.holder.Command
			s.tellOf(Event{Kind: EventHolder, Holder: s.holder})
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

// finish makes the result of a server final, but for its power.
func (s *server) finish(err error) {
	r := &s.result
	status, reason := Failed, Refused
	ended, ok := errors.AsType[*end](err)
	switch failure, _ := errors.AsType[*hetzner.Error](err); {
	case ok:
		status, reason = ended.status, ended.reason
	case failure != nil: // Hetzner has refused the token
		r.Err = failure
	default:
		status, reason = Cancelled, RunCancelled
	}
	r.Status, r.Reason = status, reason
	s.lock.stop(s.Now())
	s.missing.stop(s.Now())
	r.LockWait = s.lock.total - s.missing.total
	if !s.accepted.IsZero() {
		r.Accepted, r.Duration = true, s.Now().Sub(s.accepted)
	}
	s.phase, s.ended = PhaseFinished, s.Now()
	s.power.release()
	s.leavePlace()
	if s.hasRoom && s.accepted.IsZero() {
		s.makeRoom() // for another server, since this one did not need it
	}
	r.PowerOnFailed = r.PowerOnFailed || r.LeftBefore && status != Cancelled
	if !s.complete() {
		result := *r
		s.tellOf(Event{Kind: EventEnded, Result: &result})
	}
}

// phaseNow is the phase as others are told it.
func (s *server) phaseNow() Phase {
	if s.phase == PhaseFinished && s.isThinning {
		return PhaseThinning
	}
	return s.phase
}

// over reports whether the server's result is final, and so is its power.
func (s *server) over() bool { return s.phase == PhaseFinished && (s.power == nil || s.power.done) }

// complete reports the end of a server that is over.
func (s *server) complete() bool {
	if !s.over() {
		return false
	}
	s.active--
	result := s.result
	s.tellOf(Event{Kind: EventFinished, Result: &result})
	return true
}

func (s *server) tellOf(e Event) {
	e.Name, e.Server = s.host.Name, s.host
	s.tell(e)
}
