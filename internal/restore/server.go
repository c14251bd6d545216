package restore

import (
	"context"
	"errors"
	"time"

	"github.com/org/hsnap-action/internal/fleet"
	"github.com/org/hsnap-action/internal/hetzner"
	"github.com/org/hsnap-action/internal/snapshot"
)

const (
	// pollEvery is the pause between two polls of a server that something waits for.
	pollEvery = 3 * time.Second
	// offFor is how long a server may be off after its rebuild before it is switched on: Hetzner does that itself.
	offFor = 15 * time.Second
	// showLimit is how long a server is polled at least once its rebuild has ended or it was switched on, however little
	// time is left: it may be off, and nobody else would see that.
	showLimit = time.Minute
	// noteLimit is how long the actions of a server may take to be listed before its rebuild.
	noteLimit = 5 * time.Minute
)

// server is one server on its way back to its image.
type server struct {
	*run
	*fleet.Script
	host   hetzner.Server
	target *snapshot.Target // of the snapshot of before, and then of the rebuild
	result Result

	asked     bool      // for the rebuild
	sent      time.Time // when the rebuild was sent that Hetzner has accepted, or may have
	accepted  time.Time // when it was known to be
	ended     bool      // the way
	switching bool      // its power may still have to come back
}

// begin is the script of a server.
func (s *server) begin(script *fleet.Script) {
	s.Script, s.target.Script = script, script
	if len(s.host.Volumes) > 0 && s.IfVolumes == snapshot.Warn {
		s.tell(Event{Kind: EventVolumes})
	}
	s.end(s.way())
}

// way is the way of one server back to its image. Each step returns nil when the next one may follow.
func (s *server) way() error {
	if s.DryRun {
		return &snapshot.EndError{Status: snapshot.Planned}
	}
	if s.SnapshotFirst {
		if err := s.snapshotFirst(); err != nil {
			return err
		}
	} else if s.host.Locked { // the list was a poll
		if err := s.target.SeenLocked(); err != nil {
			return err
		}
	}
	if err := s.target.Repeat(s.rebuild, s.full); err != nil { // until Hetzner accepts it, which it does once
		return err
	}
	if err := s.follow(); err != nil { // its action, and then the server
		return err
	}
	s.result.Done = true
	if err := s.prove(); err != nil {
		return err
	}
	return &snapshot.EndError{Status: Restored}
}

// snapshotFirst brings the disk as it is now to a snapshot, without which it is not written anew.
func (s *server) snapshotFirst() error {
	s.result.Before = s.taker.Take(s.target)
	s.target = s.taker.Next(s.target)
	switch before := s.result.Before; {
	case before.Status == snapshot.Available:
		s.tell(Event{Kind: EventBefore, Event: snapshot.Event{Result: &s.result.Before}})
		return nil
	case before.Status == snapshot.Cancelled:
		return fleet.ErrCancelled
	case s.Token() != nil:
		return s.Token()
	}
	return snapshot.Failed.Because(SnapshotFirstFailed)
}

// full ends the way for a limit that is reached: none can matter to a server that exists.
func (s *server) full(refusal *hetzner.Error) error {
	s.target.Result.Err = refusal
	return snapshot.Failed.Because(snapshot.Refused)
}

// rebuild asks for the rebuild. It returns nil when Hetzner has accepted it, and otherwise as [snapshot.Target.Ask] does.
func (s *server) rebuild() error {
	if err := s.target.TakePlace(); err != nil {
		return err
	}
	newest, err := s.newestAction()
	if err != nil {
		return err
	}
	if !s.asked { // that it is asked for again is told with the refusal
		s.asked = true
		s.tell(Event{Kind: EventAsked})
	}
	var action int64
	var password bool
	err = s.target.Ask(func(ctx context.Context) (quota hetzner.Quota, err error) {
		action, password, quota, err = s.API.Rebuild(ctx, s.host.ID, s.result.Image.ID)
		return quota, err
	})
	switch {
	case hetzner.IsLost(err):
		return s.find(hetzner.AsError(err), newest)
	case hetzner.IsNotFound(err):
		return s.notFound(err)
	case err != nil:
		return err
	}
	s.result.Password = password
	s.record(action, EventAccepted)
	return nil
}

// notFound says what it is that does not exist any more: the server, or else the image.
func (s *server) notFound(refusal error) error {
	if _, err := s.Watch(fleet.Server(s.host.ID)).Next(0, s.Now().Add(noteLimit)); hetzner.IsNotFound(err) {
		return err
	}
	s.target.Result.Err = hetzner.AsError(refusal)
	return snapshot.Failed.Because(snapshot.Refused)
}

// newestAction returns the highest ID of the server's actions: the rebuild's will be higher.
func (s *server) newestAction() (newest int64, err error) {
	again := s.target.TryLimit()
	seen, err := s.Watch(s.actions()).Next(0, fleet.Earliest(again, s.Now().Add(noteLimit)))
	switch {
	case errors.Is(err, fleet.ErrTimeout) && !again.IsZero() && !s.Now().Before(again):
		return 0, s.target.LockTimedOut()
	case errors.Is(err, fleet.ErrTimeout):
		_, s.target.Result.Err = s.Silence()
		return 0, snapshot.Failed.Because(snapshot.Refused)
	}
	for _, action := range seen.Actions {
		newest = max(newest, action.ID)
	}
	return newest, err
}

// actions are the newest actions of the server.
func (s *server) actions() fleet.Want { return fleet.ServerActions(s.host.ID, "") }

// find decides what became of a rebuild whose answer was lost: the server's action is found that is newer than all there were
// before, or it is proved that there is and will be none.
func (s *server) find(loss *hetzner.Error, newest int64) error {
	s.tell(Event{Kind: EventLost, Event: snapshot.Event{Err: loss}})
	s.sent, s.asked = s.Sent, false
	var action int64
	err := s.target.Find(loss, s.actions(), func(seen fleet.Seen) bool {
		for _, a := range seen.Actions { // the newest come first
			if a.Command == hetzner.CommandRebuild && a.ID > newest {
				action = a.ID
			}
		}
		return action != 0
	})
	if errors.Is(err, snapshot.ErrAgain) {
		s.sent = time.Time{}
	}
	if err != nil {
		return err
	}
	s.result.AnswerLost = true
	s.record(action, EventFound)
	return nil
}

// record records that Hetzner has accepted the rebuild: from then on the old disk is gone.
func (s *server) record(action int64, kind EventKind) {
	s.accepted, s.sent = s.Now(), fleet.Earliest(s.sent, s.Sent)
	s.target.Result.Accepted, s.target.Result.ActionID, s.target.Phase = true, action, snapshot.PhaseRebuilding
	s.tell(Event{Kind: kind, Event: snapshot.Event{ActionID: action}})
}

// follow waits until the rebuild has ended well: its action has, and the server shows it.
func (s *server) follow() error {
	limit := s.accepted.Add(s.RestoreTimeout)
	var action *hetzner.Action
	for action == nil { // the server's image alone proves nothing: it may have been the same before
		var err error
		if action, err = s.target.Follow(s.target.Result.ActionID, s.accepted, limit); err != nil {
			return s.timedOut(err)
		}
	}
	if !action.Succeeded() {
		s.target.Result.Action = action
		return snapshot.Failed.Because(snapshot.ActionFailed)
	}
	s.target.Phase, s.result.Rewritten = snapshot.PhaseProving, true
	s.tell(Event{Kind: EventWritten})
	return s.timedOut(s.awaitRunning(limit))
}

// timedOut gives the end of a limit its reason.
func (s *server) timedOut(err error) error {
	if !errors.Is(err, fleet.ErrTimeout) {
		return err
	}
	_, s.target.Result.Err = s.Silence()
	return snapshot.Failed.Because(RestoreTimeout)
}

// awaitRunning waits until a poll shows the server running from its image, and unlocked. One that stays off is switched on,
// once.
func (s *server) awaitRunning(limit time.Time) error {
	limit = fleet.Latest(limit, s.Now().Add(showLimit))
	var offSince time.Time
	pause, switched := time.Duration(0), false
	for watch := s.Watch(fleet.Server(s.host.ID)); ; {
		seen, err := watch.Next(pause, limit)
		if err != nil {
			return err
		}
		s.host.Status, pause = seen.Server.Status, pollEvery
		rewritten := seen.Server.ImageID == s.result.Image.ID
		isOff := rewritten && s.host.Status == hetzner.StatusOff // whoever switches it on waits for its lock to go
		switch {
		case rewritten && s.host.Status == hetzner.StatusRunning && !seen.Server.Locked:
			return nil
		case !isOff:
			offSince = time.Time{}
		case offSince.IsZero():
			offSince = seen.Began
		case seen.Began.Sub(offSince) >= offFor && !switched:
			if err := s.switchOn(); err != nil {
				return err
			}
			switched, pause, watch = true, 0, s.Watch(fleet.Server(s.host.ID)) // it may be gone, or still be locked
			limit = fleet.Latest(limit, s.Now().Add(showLimit))
		}
	}
}

// switchOn has the server switched on and waits until it runs or is gone. A cancel ends the wait, and not what is waited for.
func (s *server) switchOn() error {
	s.tell(Event{Kind: EventOff})
	s.switching = true
	var power snapshot.Result
	s.taker.SwitchOn(s.host, func(result snapshot.Result) {
		power, s.switching = result, false
		r := &s.target.Result
		r.LeftOff, r.PowerAction, r.PowerErr, r.PowerOnFailed = power.LeftOff, power.PowerAction, power.PowerErr, power.PowerOnFailed
		s.complete()
	})
	switch err := s.Until(func() bool { return !s.switching }, time.Time{}); {
	case err != nil:
		return err
	case power.LeftOff:
		return snapshot.Failed.Because(snapshot.PowerOnFailed)
	}
	return nil
}

// prove waits until the server proves that it is back.
func (s *server) prove() (err error) {
	if s.Proof.Port == 0 {
		s.result.Proof = "running"
		return nil
	}
	address := s.Proof.On(s.host)
	s.tell(Event{Kind: EventProving, Address: address})
	s.result.Seen, err = s.Proof.Await(s.Script, s.Dial, address, s.Now().Add(s.BootTimeout))
	if err == nil && s.result.Proof == "" {
		err = snapshot.Failed.Because(NotProven)
	}
	return err
}

// end makes the result of a server final, but for its power.
func (s *server) end(err error) {
	s.target.Settle(err)
	s.target.LeavePlace()
	s.ended = true
	if s.target.Result.Accepted {
		s.target.Result.Downtime = s.Now().Sub(s.sent)
	}
	s.complete()
}

// complete reports the end of a server that is over.
func (s *server) complete() {
	if !s.over() {
		return
	}
	s.result.Result = s.target.Result
	s.result.ImageID = s.result.Image.ID
	final := s.result
	s.tell(Event{Kind: EventFinished, Result: &final})
}

// over reports whether nothing more is done for the server.
func (s *server) over() bool { return s.ended && !s.switching }

// tell reports an event of this package.
func (s *server) tell(e Event) {
	e.Name, e.Server = s.host.Name, s.host
	s.run.tell(e)
}
