package snapshot

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/org/hsnap-action/internal/fleet"
	"github.com/org/hsnap-action/internal/hetzner"
	"github.com/org/hsnap-action/internal/labels"
)

// Whoever switches a server off answers for switching it on. A power is a script of its own, begun before the shutdown is
// asked for, with three ends: the server is seen running by a poll that began after everything that may still put it down;
// it does not exist any more; or it is left off, loudly.

const (
	// lingerFor is how long a guest is watched that did not shut down in time: it may still, and nobody else would
	// switch it on again.
	lingerFor = time.Minute
	// startsWithin is how long an accepted power-on may take to show in the server's status.
	startsWithin = 10 * time.Second
	// cancelAgain is the pause between two power-ons of a cancelled run.
	cancelAgain = 1200 * time.Millisecond
	// powerOnLimit is how long after its snapshot's end a server is tried to be switched on.
	powerOnLimit = 10 * time.Minute
	// rescueLimit is the same for servers that a killed run left off: GitHub gives a cancelled job 5 minutes.
	rescueLimit = 4 * time.Minute
	// markLimit is how long the label that marks a server as left off is tried to be corrected.
	markLimit = 5 * time.Minute
)

// Recorded is a server that may be off because of this run, as it is recorded for whoever comes after a run that was
// killed.
type Recorded struct {
	Server int64
	Until  time.Time `json:",omitzero"` // until then its guest may still shut down; zero when it is off, or will be
}

// power is one time that a server is switched off.
type power struct {
	*server
	*fleet.Script

	asked    bool      // the guest was asked to shut down, or may have been
	safeAt   time.Time // when nothing that this run asked for may switch it off any more; zero for now
	unsure   bool      // an answer was lost: nobody knows what has switched it off, and what may still do so
	stopped  bool      // shutting down has succeeded or failed
	failure  error     // how it has failed
	labelled bool      // the snapshot carries hsnap/power=pending
	down     bool      // the last poll showed it off, or nobody knows better
	outage   stopwatch

	onSince time.Time // when it began to be switched on
	mayRun  bool      // a power-on was accepted, or lost
	action  int64     // of the last one that was accepted
	err     *hetzner.Error
	hurried bool // a cancelled run has asked for it at once

	on   bool // it is seen running, is gone, or is left off; only the label is still to be corrected
	left bool // it is left off
	done bool
}

// run is the script of a power.
func (p *power) run(script *fleet.Script) {
	p.Script = script
	var late bool
	late, p.failure = p.shutDown()
	p.stopped = true
	if p.failure == nil {
		p.stayOff()
	}
	if p.asked {
		p.switchOn(late)
	}
	p.outage.stop(p.Now())
	p.Result.Downtime += p.outage.total
	p.on = true
	p.Keep(0)
	p.unavailable.Give()
	replaced := func() bool { return p.power != p }
	known := func() bool { return p.Phase == PhaseFinished || p.Result.ImageID != 0 || replaced() }
	if p.labelled && p.Until(known, time.Time{}) == nil && p.Result.ImageID != 0 && !replaced() {
		p.mark(p.ownImage())
	}
	p.end()
}

// rescue is the script of a power that a killed run has left behind.
func (p *power) rescue(script *fleet.Script) {
	p.Script = script
	if seen, err := p.Watch(fleet.Server(p.Host.ID)).Next(0, p.Now().Add(pollEvery)); err == nil {
		p.Host.Name, p.Result.Name = seen.Server.Name, seen.Server.Name
	}
	p.switchOn(true) // perhaps it runs
	p.on = true
	p.mark(fleet.Images(labels.ServerID, strconv.FormatInt(p.Host.ID, 10), labels.Power+"="+labels.PowerPending))
	p.end()
}

// end ends the script. Until then the server stays recorded, for whoever has to correct the label.
func (p *power) end() {
	p.done = true
	_ = p.record() // a record that stays costs one poll
	p.complete()
}

// release says that the snapshot does not need the server off any more.
func (p *power) release() {
	if p != nil {
		p.off = false
	}
}

// change sends a power request.
func (p *power) change(rank fleet.Rank, moot func() bool, ask func(context.Context, int64) (int64, hetzner.Quota, error)) (action int64, err error) {
	err = p.Change(fleet.Change{Rank: rank, Moot: moot, Limit: p.limit(), Send: func(ctx context.Context) (quota hetzner.Quota, err error) {
		action, quota, err = ask(ctx, p.Host.ID)
		return quota, err
	}})
	return action, err
}

// shutDown switches the server off. The error is nil once a poll has shown it off, and otherwise what its snapshot makes
// of it. Late says that the guest was given up, and may shut down all the same.
func (p *power) shutDown() (late bool, err error) {
	if p.Ending() {
		return false, fleet.ErrCancelled
	}
	p.asked = true
	p.outage.start(p.Now())
	p.tellOf(Event{Kind: EventStopping})
	_, err = p.change(fleet.Unlocked, func() bool { return p.Ending() || p.mustWait() || !p.unavailable.Open(p.Now()) }, p.API.Shutdown)
	lost := hetzner.IsLost(err)
	if err != nil && !lost { // the guest was not asked
		p.asked, p.outage = false, stopwatch{}
		if errors.Is(err, fleet.ErrMoot) {
			err = ErrAgain
		}
		return false, err
	}
	deadline := p.outage.since.Add(p.ShutdownTimeout)
	safeAt := p.Now().Add(p.ShutdownTimeout + lingerFor) // the guest may have been asked just now
	if lost {
		safeAt = fleet.Latest(safeAt, p.Now().Add(EffectLimit+lingerFor))
	}
	p.recordSafeAt(safeAt)
	err = p.seenOff(deadline)
	switch timedOut := errors.Is(err, fleet.ErrTimeout) && !p.Ending(); {
	case timedOut && p.Shutdown == Force:
		p.unsure = lost
		err = p.powerOff()
		p.down = true // whether or not a poll has shown it
	case timedOut:
		late, p.outage = true, stopwatch{}
	}
	if errors.Is(err, fleet.ErrTimeout) {
		_, p.Result.Err = p.Silence()
		err = failed(ShutdownTimeout)
	}
	return late, err
}

// recordSafeAt records when nothing that this run asked for may switch the server off any more.
func (p *power) recordSafeAt(at time.Time) {
	p.safeAt = at
	_ = p.record()
}

// seenOff waits until a poll shows the server off.
func (p *power) seenOff(limit time.Time) error {
	for watch := p.Watch(fleet.Server(p.Host.ID)).Unless(p.Ending); ; {
		seen, err := watch.Next(pollEvery, limit)
		switch {
		case hetzner.IsNotFound(err): // nothing is left to be switched on
			p.asked = false
			return err
		case err != nil:
			return err
		case seen.Server.Status == hetzner.StatusOff:
			p.Host.Locked, p.rank, p.refusals = seen.Server.Locked, fleet.Unlocked, 0
			p.seenDown()
			return nil
		}
	}
}

// seenDown records that a poll has shown the server off.
func (p *power) seenDown() {
	p.down, p.err, p.Host.Status = true, nil, hetzner.StatusOff
	p.outage.start(p.Now())
	if !p.unsure {
		p.recordSafeAt(time.Time{})
	}
	p.tellOf(Event{Kind: EventOff})
}

// powerOff switches a server off whose guest has not shut down in time.
func (p *power) powerOff() error {
	p.tellOf(Event{Kind: EventPowerOff})
	deadline := p.Now().Add(max(p.ShutdownTimeout, lingerFor))
	for n := 1; ; n++ {
		limit := deadline
		_, err := p.change(fleet.Power, p.mustHurry, p.API.PowerOff)
		switch failure, answered := errors.AsType[*hetzner.Error](err); {
		case err == nil:
			p.recordSafeAt(fleet.Latest(p.safeAt, p.Now().Add(lingerFor)))
		case hetzner.IsLost(err):
			p.recordSafeAt(fleet.Latest(p.safeAt, p.Now().Add(EffectLimit)))
			p.unsure = true
		case answered:
			limit = fleet.Earliest(deadline, p.Now().Add(fleet.RetryAfter(n)))
			p.tellOf(Event{Kind: EventPowerOffRefused, Err: failure})
		default:
			return err
		}
		if err = p.seenOff(limit); !errors.Is(err, fleet.ErrTimeout) || !p.Now().Before(deadline) {
			return err
		}
	}
}

// stayOff waits until the snapshot does not need the server off any more, for as long as it may be off without one.
func (p *power) stayOff() {
	p.off = true
	p.turns++
	err := p.Until(func() bool { return !p.off || p.Ending() }, p.Now().Add(p.ShutdownTimeout))
	p.off = false
	if errors.Is(err, fleet.ErrTimeout) {
		p.tellOf(Event{Kind: EventBackFirst})
	}
	if p.Phase == PhaseLocked {
		p.LeavePlace()
	}
}

// limit returns when nobody tries any more to switch the server on; zero while its snapshot is being made.
func (p *power) limit() time.Time {
	switch {
	case p.onSince.IsZero():
	case p.Phase == PhaseFinished:
		return fleet.Latest(p.ended, p.onSince).Add(p.powerOnFor)
	case p.Phase == PhaseWaiting, p.Phase == PhaseStuck: // the snapshot waits for the server, or for room
		return p.onSince.Add(p.powerOnFor)
	}
	return time.Time{}
}

// mustHurry reports that the run was cancelled, and that the power-on was not asked for since.
func (p *power) mustHurry() bool { return p.Cancelled() && !p.hurried }

// switchOn returns once a poll shows the server running that began when nothing could switch it off any more, when it does
// not exist any more, or when it is left off. One that may be running is polled first.
func (p *power) switchOn(mayRun bool) {
	p.onSince = p.Now()
	n, ask, accepted, locked, again := 0, !mayRun, false, false, fleet.Latest(p.Now(), p.safeAt)
	for watch := p.Watch(fleet.Server(p.Host.ID)).Unless(p.mustHurry); ; {
		if ask {
			var gone bool
			n++
			if accepted, again, gone = p.askOn(n); gone {
				return
			}
		}
		pause := pollEvery
		if p.Cancelled() {
			pause = cancelAgain / 2
		}
		seen, err := watch.Next(pause, fleet.Earliest(p.limit(), again))
		timeUp := !p.limit().IsZero() && !p.Now().Before(p.limit())
		ask = false
		switch {
		case errors.Is(err, fleet.ErrMoot):
			p.hurried, n, ask = true, 0, !accepted
		case errors.Is(err, fleet.ErrTimeout) && !timeUp:
			ask = true // no poll came, and asking does no harm
		case hetzner.IsNotFound(err):
			return
		case err != nil:
			p.leaveOff()
			return
		case seen.Server.Status == hetzner.StatusRunning:
			p.seenRunning()
			if !seen.Began.Before(p.safeAt) {
				return
			}
			again = fleet.Latest(p.Now(), p.safeAt)
		case seen.Server.Status != hetzner.StatusOff:
			again = p.Now().Add(startsWithin) // it is on its way
		case !p.down: // it went down late
			p.seenDown()
			ask, accepted = true, false
		case locked && !seen.Server.Locked && !accepted: // now it is likely to be accepted
			n, ask = 0, true
		case !p.Now().Before(again):
			if ask = true; accepted {
				p.tellOf(Event{Kind: EventPowerRefused, ActionID: p.action}) // it came to nothing
			}
		}
		locked = seen.Server != nil && seen.Server.Status == hetzner.StatusOff && seen.Server.Locked
	}
}

// askOn asks for the nth time for the server to be switched on. It returns when the next time is due if no poll makes it
// needless.
func (p *power) askOn(n int) (accepted bool, again time.Time, gone bool) {
	rank, pause := fleet.Power, fleet.RetryAfter(n)
	if n > 1 {
		rank = fleet.Again
	}
	if n > 3 {
		pause = time.Minute // a poll that shows it unlocked comes first
	}
	action, err := p.change(rank, p.mustHurry, p.API.PowerOn)
	failure, _ := errors.AsType[*hetzner.Error](err)
	switch {
	case err == nil:
		p.action, p.mayRun, p.err = action, true, nil
		return true, p.Now().Add(startsWithin), false
	case failure == nil: // nothing was sent
	case hetzner.IsNotFound(err):
		return false, again, true
	default:
		p.err, p.mayRun = failure, p.mayRun || hetzner.IsLost(err)
		p.tellOf(Event{Kind: EventPowerRefused, Err: failure})
	}
	if p.Cancelled() {
		pause = cancelAgain
	}
	return false, p.Now().Add(pause), false
}

// seenRunning records that a poll has shown the server running.
func (p *power) seenRunning() {
	if p.down || p.mayRun { // it may have been off between two polls
		p.unavailable.Close(p.Now().Add(p.SettleTime))
	}
	if !p.down {
		return
	}
	p.down, p.Host.Status = false, hetzner.StatusRunning
	p.outage.stop(p.Now())
	switch {
	case p.mayRun:
		p.tellOf(Event{Kind: EventRunning, Took: p.outage.total})
	case p.Phase != PhaseFinished && !p.switchedOn: // somebody else was faster
		p.switchedOn = true
		if p.Result.PowerState == hetzner.StatusOff {
			p.Result.PowerState = hetzner.StatusRunning // the snapshot is a live one, at least in part
		}
		p.tellOf(Event{Kind: EventSwitchedOn})
	}
}

// leaveOff gives a server up that could not be seen running again.
func (p *power) leaveOff() {
	r := &p.Result
	p.left, r.LeftOff, r.PowerAction, r.PowerErr = true, true, p.action, p.err
	if !p.Cancelled() {
		r.PowerOnFailed = true
		p.halt(PowerOnFailed, nil)
	}
}

// mark corrects the label that marks the server as off on its snapshots: labels are read, this one is changed, all are
// written, so that those of others stay.
func (p *power) mark(labelled fleet.Want) {
	if p.left {
		return
	}
	watch, limit, pause := p.Watch(labelled), p.Now().Add(markLimit), time.Duration(0)
	for n, again := 1, true; again; n++ {
		seen, _ := watch.Next(pause, limit)
		again, pause = false, fleet.RetryAfter(n)
		if image := p.own(seen.Images); image != nil && p.Result.ImageID != 0 {
			p.Result.ImageID = image.ID // whatever the create's answer has named
		}
		for _, image := range seen.Images {
			if image.Labels[labels.Power] != labels.PowerPending {
				continue
			}
			corrected := maps.Clone(image.Labels)
			corrected[labels.Power] = labels.PowerDone
			failure, failed := errors.AsType[*hetzner.Error](p.Send(func(ctx context.Context) (hetzner.Quota, error) {
				return p.API.SetLabels(ctx, image.ID, corrected)
			}))
			again = again || failed && failure.Unsettled() // then they are read anew
		}
	}
}

// record records which servers may be off because of this run, where that has changed.
func (r *run) record() error {
	var off []Recorded
	for _, s := range r.servers {
		if p := s.power; p != nil && (!p.done || p.left) {
			off = append(off, Recorded{s.Host.ID, p.safeAt})
		}
	}
	if r.Record == nil || slices.Equal(off, r.recorded) {
		return nil
	}
	r.recorded = off
	return r.Record(off)
}
