package verify

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/org/hsnap-action/internal/copies"
	"github.com/org/hsnap-action/internal/fleet"
	"github.com/org/hsnap-action/internal/hetzner"
	"github.com/org/hsnap-action/internal/labels"
	"github.com/org/hsnap-action/internal/proof"
	"github.com/org/hsnap-action/internal/snapshot"
)

const (
	// pollEvery is the pause between two polls of a copy that something waits for.
	pollEvery = 5 * time.Second
	// cancelPlaces are kept in the budget for each copy: to see it, to delete it, and to see it gone.
	cancelPlaces = 3
	// answerLimit is how long a create may be under way.
	answerLimit = time.Minute
	// isolatedWithin is how long it may take until a copy is seen shut off, startedWithin until Hetzner takes the request to
	// switch it on.
	isolatedWithin = 60 * time.Second
	startedWithin  = 2 * time.Minute
	// seenWithin is how long a poll may take that decides what has become of a copy.
	seenWithin = time.Minute
	// keptFor is how long beyond the time-outs a copy is left to the run that made it: to be shut off, to be switched on, and
	// to be removed.
	keptFor = 15 * time.Minute
)

// verification is one snapshot on its way to its proof.
type verification struct {
	*run
	*fleet.Script
	result   Result
	proved   time.Time // when a snapshot of the server was verified the last time; zero for never
	phase    snapshot.Phase
	progress int // percent, of the copy's creation

	copy     copies.Copy
	host     hetzner.Server // the copy, as the poll has shown it after which it may be switched on
	begun    bool           // a copy was asked for
	creating bool           // a create is under way
	ended    bool           // the copy is needed no longer
	removing bool           // the script has begun that removes it
	removed  bool           // nothing is left of it
	judged   bool           // the result is final but for the copy

	asked     time.Time      // when the copy was asked for
	lostUntil time.Time      // until when a create whose answer was lost may take effect; zero for no such create
	losses    int            // creates whose answers were lost
	accepted  time.Time      // when Hetzner was known to have accepted the copy; zero for never
	action    int64          // that creates it, 0 where it is not known
	until     time.Time      // the copy's latest end
	started   time.Time      // when it was asked to start
	startLost *hetzner.Error // what came instead of an answer to that

	startAction int64 // that switches it on, 0 where it is not known
}

// verify is the script of a verification.
func (v *verification) verify(script *fleet.Script) {
	v.Script = script
	err := v.way()
	v.ended = true
	v.judge(err)
}

// way is the way of a copy to its proof. Each step returns nil when the next one may follow.
func (v *verification) way() error {
	if err := v.Take(v.places, nil); err != nil {
		return err
	}
	defer func() {
		if !v.begun { // else the place is the copy's, until that is removed
			v.places.Give()
		}
	}()
	if err := v.Barred(); err != nil { // what has made the place free may be a cancel
		return err
	}
	for _, step := range []func() error{v.awaitFirewall, v.create, v.awaitCreated, v.awaitIsolated, v.switchOn, v.prove} {
		if err := step(); err != nil {
			return err
		}
	}
	return &snapshot.EndError{Status: Verified}
}

// awaitFirewall waits until the firewall is there.
func (v *verification) awaitFirewall() error {
	if err := v.Until(func() bool { return v.firewall.done }, time.Time{}); err != nil {
		return err
	}
	if v.firewall.differs {
		v.result.Differs = v.firewallName()
		return Inconclusive.Because(Firewall)
	}
	if failure, refused := errors.AsType[*hetzner.Error](v.firewall.err); refused && failure.Verdict != hetzner.TokenRefused {
		return v.inconclusive(Firewall, failure)
	}
	return v.firewall.err
}

// inconclusive ends the way of a copy for what Hetzner has answered.
func (v *verification) inconclusive(reason snapshot.Reason, answer *hetzner.Error) error {
	v.result.Err = answer
	return Inconclusive.Because(reason)
}

// unseen ends the way of a copy of which no poll could show what has become.
func (v *verification) unseen(reason snapshot.Reason) error {
	_, v.result.Err = v.Silence()
	return Inconclusive.Because(reason)
}

// create asks for the copy until Hetzner accepts it, or shows that it has. Its name is unique, so that a second create of a
// lost one makes no second copy.
func (v *verification) create() error {
	v.phase, v.asked = snapshot.PhaseCreating, v.Now()
	limit := v.asked.Add(v.CreateTimeout)
	v.until = v.hetznerTime().Add(v.CreateTimeout + v.BootTimeout)
	v.begun, v.creating, v.removing = true, true, true
	defer func() { v.creating = false }()
	v.GoPatient(v.remove)
	v.tell(Event{Kind: EventAsked})
	for n := 1; ; n++ {
		v.copy.Appears = v.Now().Add(answerLimit + snapshot.EffectLimit) // where this run is killed before it is answered
		if err := v.record(); err != nil {
			v.copy.Appears = v.lostUntil
			return v.inconclusive(CreateFailed, hetzner.AsError(err))
		}
		err := v.askOnce(limit)
		failure, answered := errors.AsType[*hetzner.Error](err)
		switch {
		case err == nil:
			return nil
		case !answered, failure.Verdict == hetzner.TokenRefused:
			return err
		case failure.Verdict == hetzner.Lost, failure.Code == hetzner.CodeUniqueness:
			if found, err := v.find(failure); found || err != nil {
				return err
			}
		case failure.Code == hetzner.CodeNoCapacity:
			return v.inconclusive(NoCapacity, failure)
		case failure.Verdict == hetzner.Full:
			return v.inconclusive(snapshot.LimitExceeded, failure)
		case !failure.Later():
			return v.inconclusive(CreateFailed, failure)
		default:
			v.tell(Event{Kind: EventRefused, Event: snapshot.Event{Err: failure}})
		}
		if !v.Now().Before(limit) {
			return v.inconclusive(CreateTimeout, failure)
		}
		if err := v.Sleep(fleet.Earliest(limit, v.Now().Add(fleet.RetryAfter(n)))); err != nil {
			return err
		}
	}
}

// askOnce sends one create.
func (v *verification) askOnce(limit time.Time) error {
	wanted := hetzner.NewServer{
		Name: v.copy.Name, Type: v.result.Type, Location: v.result.Server.Location, Image: v.result.Image.ID, Firewall: v.firewall.id,
		IPv6: v.Proof.Port == 0,
		Labels: map[string]string{
			labels.Drill: v.copy.Request, labels.DrillUntil: strconv.FormatInt(v.until.Add(keptFor).Unix(), 10),
		},
	}
	var host hetzner.Server
	var action int64
	err := v.Change(fleet.Change{Rank: fleet.First, Limit: limit, Send: func(ctx context.Context) (quota hetzner.Quota, err error) {
		host, action, quota, err = v.API.CreateServer(ctx, wanted)
		return quota, err
	}})
	if hetzner.IsLost(err) {
		v.lostUntil, v.losses = v.Now().Add(snapshot.EffectLimit), v.losses+1
	}
	v.copy.Appears = v.lostUntil // any other one has had its effect, or has none
	switch {
	case err == nil:
		v.accept(host, action)
		v.tell(Event{Kind: EventAccepted, Event: snapshot.Event{ActionID: action}})
	case errors.Is(err, fleet.ErrTimeout):
		return Inconclusive.Because(CreateTimeout)
	}
	return err
}

// accept records that Hetzner has accepted the copy.
func (v *verification) accept(host hetzner.Server, action int64) {
	v.accepted, v.action = v.Now(), action
	v.copy.Note(host)
	_ = v.record() // a record that says too much costs a poll
}

// find looks for a server of the copy's name after a lost answer, or where Hetzner says that there is one. It reports whether
// that is the copy.
func (v *verification) find(failure *hetzner.Error) (found bool, err error) {
	if failure.Verdict == hetzner.Lost {
		v.tell(Event{Kind: EventLost, Event: snapshot.Event{Err: failure}})
	}
	host, err := fleet.Read(v.Poll, func(ctx context.Context) (hetzner.Server, hetzner.Quota, error) {
		return v.API.ServerNamed(ctx, v.copy.Name)
	})
	refused, answered := errors.AsType[*hetzner.Error](err)
	switch {
	case answered && refused.Verdict != hetzner.TokenRefused: // the next create tells
		return false, nil
	case err != nil:
		return false, err
	case host.ID == 0: // it may appear yet, and then there is no second one
		return false, nil
	case v.copy.Agrees(host):
		v.copy.Alone = v.losses == 1
		v.accept(host, 0)
		v.tell(Event{Kind: EventFound})
		return true, nil
	case !copies.Is(host):
		return false, v.inconclusive(CreateFailed, failure)
	case !v.isExpired(host):
		return false, snapshot.Skipped.Because(InProgress)
	}
	if left := copies.Of(host).Remove(v.Script, v.API, v.Now().Add(copies.SweepFor)); left != nil {
		return false, v.inconclusive(CreateFailed, left.Err)
	}
	return false, nil
}

// awaitCreated waits for the end of the action that creates the copy. Where that is not known, its status alone tells.
func (v *verification) awaitCreated() error {
	if v.action == 0 {
		return nil
	}
	action, err := v.Follow(v.action, v.accepted, v.asked.Add(v.CreateTimeout), func(percent int) { v.progress = percent })
	switch {
	case errors.Is(err, fleet.ErrTimeout):
		return v.unseen(CreateTimeout)
	case err != nil:
		return err
	case action != nil && !action.Succeeded():
		v.result.Action = action
		return Inconclusive.Because(CreateFailed)
	}
	v.tell(Event{Kind: EventCreated})
	return nil
}

// awaitIsolated waits until a poll shows the copy off, with its firewall applied, and with nothing attached.
func (v *verification) awaitIsolated() error {
	limit := v.Now().Add(isolatedWithin)
	if v.action == 0 { // it may still be created
		limit = fleet.Latest(limit, v.asked.Add(v.CreateTimeout+isolatedWithin))
	}
	var last *hetzner.Server
	err := v.Watch(v.copy.Want()).Until(pollEvery, limit, func(seen fleet.Seen) bool {
		seen, err := v.copy.Confirmed(v.Script, seen)
		last = seen.Server
		return err == nil && (seen.Missing || v.isIsolated(*seen.Server))
	})
	switch {
	case errors.Is(err, fleet.ErrTimeout) && last == nil:
		return v.unseen(NotIsolated)
	case errors.Is(err, fleet.ErrTimeout):
		return Inconclusive.Because(NotIsolated)
	case err != nil:
		return err
	case last == nil:
		return Inconclusive.Because(CreateFailed)
	}
	v.copy.Note(*last)
	_ = v.record()
	v.result.CreateTook = v.Now().Sub(v.asked)
	v.host = *last
	v.tell(Event{Kind: EventIsolated})
	return nil
}

// isIsolated reports whether the copy may be switched on: nothing but its own firewall's port leads to it.
func (v *verification) isIsolated(host hetzner.Server) bool {
	reachable := v.Proof.Port == 0 || proof.Address(host) != "" // else the proof would be sought at this machine
	return reachable && v.copy.Agrees(host) && len(host.Labels) == 2 && host.Status == hetzner.StatusOff && !host.Locked &&
		len(host.Firewalls) == 1 && host.Firewalls[v.firewall.id] && host.Networks == 0 && len(host.Volumes) == 0
}

// judge makes the result final but for the copy, and writes it on the image where it says something about that.
func (v *verification) judge(err error) {
	r := &v.result
	status, reason, refusal := snapshot.EndOf(err)
	r.Status, r.Reason = status, reason
	if refusal != nil { // of the token, which says nothing about the snapshot
		r.Status, r.Err = Inconclusive, refusal
	}
	v.phase = snapshot.PhaseRemoving
	if r.Status == Verified || r.Status == snapshot.Failed {
		result := *r
		v.tell(Event{Kind: EventProved, Result: &result})
		err := v.mark(r.Status == Verified)
		r.Written = err == nil
		if failure, refused := errors.AsType[*hetzner.Error](err); refused {
			r.Status, r.Reason, r.Err = Inconclusive, snapshot.Refused, failure
		} else if err != nil {
			r.Status, r.Reason = snapshot.Cancelled, snapshot.RunCancelled
		}
	}
	v.judged = true
	v.complete()
}

// remove is the script that removes the copy: when it is needed no longer and, on a cancel, first of all.
func (v *verification) remove(s *fleet.Script) {
	s.Keep(cancelPlaces)
	_ = s.Until(func() bool { return v.ended || s.Cancelled() && !v.creating }, time.Time{})
	if v.copy.Appears.IsZero() && v.accepted.IsZero() { // it was never asked for, or always refused
		v.removed = true
	} else {
		began := s.Now()
		v.result.Left = v.copy.Remove(s, v.API, began.Add(removeFor))
		v.removed = v.result.Left == nil
		if !v.accepted.IsZero() || v.copy.ID != 0 {
			v.result.Cost = hours(s.Now().Sub(v.asked)) * v.result.HourCost
		}
		if v.removed && v.copy.ID != 0 { // else there was none
			v.tell(Event{Kind: EventRemoved})
		}
	}
	_ = v.record()
	v.places.Give()
	v.removing = false
	v.complete()
}

// complete reports the end of a verification that is over.
func (v *verification) complete() {
	if !v.over() {
		return
	}
	v.phase = snapshot.PhaseFinished
	result := v.result
	v.tell(Event{Kind: EventFinished, Result: &result})
}

// over reports whether nothing more is done.
func (v *verification) over() bool { return v.judged && !v.removing }

// tell reports an event of this package.
func (v *verification) tell(e Event) {
	e.Name, e.Server = v.result.Name, v.result.Server
	v.run.tell(e)
}
