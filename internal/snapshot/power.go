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
	Until  time.Time // until then its guest may still shut down; zero when it is off, or will be
}

// power is one time that a server is switched off.
type power struct {
	*server
	*fleet.Script

	touched  bool      // the guest was asked to shut down, or may have been
	goesDown time.Time // until when it may do so; zero once it was seen off
	cutUntil time.Time // until when a power-off may still take effect
	tried    bool      // shutting down has succeeded or failed
	failure  error     // how it has failed
	lingers  bool      // it has not gone down in time, and is left running
	isOff    bool      // it was seen off, and its snapshot may be made
	labelled bool      // the snapshot carries the label that says that it is off
	outage   stopwatch

	rising   time.Time // when it began to be switched on
	tries    int       // power-ons
	accepted bool      // the last one was, and may still show
	mayRun   bool      // one was accepted, or lost
	action   int64     // of the last one that was accepted
	err      *hetzner.Error
	again    time.Time // when the next one is due, if no poll makes it needless
	barred   bool      // the last poll showed it off and locked
	up       bool      // no poll has shown it off since one showed it running
	hurried  bool      // it was asked for at once when the run was cancelled

	on   bool // it is seen running, is gone, or is left off; only the label is still to be corrected
	left bool // it is left off
	done bool
}

// run is the script of a power.
func (p *power) run(script *fleet.Script) {
	p.Script = script
	p.failure = p.shutDown()
	p.tried = true
	if p.failure == nil {
		p.stayOff()
	}
	if p.touched {
		p.switchOn()
	}
	p.outage.stop(p.Now())
	p.result.Downtime += p.outage.total
	p.on = true
	p.Release()
	p.unavailable.Give()
	replaced := func() bool { return p.power != p }
	known := func() bool { return p.phase == finished || p.result.ImageID != 0 || replaced() }
	if p.labelled && p.Until(known, time.Time{}) == nil && p.result.ImageID != 0 && !replaced() {
		p.mark(p.ownImage())
	}
	p.end()
}

// end ends the script. Until then the server stays recorded, for whoever has to correct the label.
func (p *power) end() {
	p.done = true
	_ = p.record() // it would only be polled once more
	p.complete()
}

// rescue is the script of a power that a run has left behind which was killed.
func (p *power) rescue(script *fleet.Script) {
	p.Script = script
	if seen, err := p.Watch(fleet.Server(p.host.ID)).Next(0, p.Now().Add(pollEvery)); err == nil && seen.Server != nil {
		p.host.Name, p.result.Name = seen.Server.Name, seen.Server.Name
	}
	p.switchOn()
	p.on = true
	p.mark(fleet.Images(LabelServer, strconv.FormatInt(p.host.ID, 10), LabelPower+"="+powerPending))
	p.end()
}

// release says that the snapshot does not need the server off any more.
func (p *power) release() {
	if p != nil {
		p.isOff = false
	}
}

// neverAskedOn reports whether no power-on can have taken effect yet.
func (p *power) neverAskedOn() bool { return p == nil || p.tries == 0 }

// change sends a power request.
func (p *power) change(rank fleet.Rank, moot func() bool, ask func(context.Context, int64) (int64, hetzner.Quota, error)) (action int64, err error) {
	err = p.Change(fleet.Change{Rank: rank, Moot: moot, Limit: p.limit(), Send: func(ctx context.Context) (quota hetzner.Quota, err error) {
		action, quota, err = ask(ctx, p.host.ID)
		return quota, err
	}})
	return action, err
}

// shutDown switches the server off. It returns nil once a poll has shown it off; otherwise what its snapshot makes of it.
func (p *power) shutDown() error {
	if p.Ending() {
		return fleet.ErrCancelled
	}
	p.touched = true
	p.outage.start(p.Now())
	p.tellOf(Event{Kind: EventStopping})
	_, err := p.change(fleet.Unlocked, func() bool { return p.Ending() || p.mustWait() || !p.unavailable.Open(p.Now()) }, p.api.Shutdown)
	lost := hetzner.IsLost(err)
	if err != nil && !lost { // the guest knows of nothing
		p.touched, p.outage = false, stopwatch{}
		if errors.Is(err, fleet.ErrMoot) {
			err = errAgain
		}
		return err
	}
	deadline := p.outage.since.Add(p.ShutdownTimeout)
	p.goesDown = deadline.Add(lingerFor)
	if lost {
		p.goesDown = fleet.Latest(p.goesDown, p.Now().Add(effectLimit+lingerFor))
	}
	_ = p.record()
	late := p.goesDown
	err = p.seenOff(deadline)
	switch timedOut := errors.Is(err, fleet.ErrTimeout) && !p.Ending(); {
	case timedOut && p.Shutdown == Force:
		if err = p.cut(); err == nil && lost {
			p.goesDown = late // it may have been the power-off alone that took effect
		}
	case timedOut:
		p.lingers, p.outage = true, stopwatch{}
	}
	if errors.Is(err, fleet.ErrTimeout) {
		p.result.Silence, p.result.Err = p.silence()
		return failed(ShutdownTimeout)
	}
	return err
}

// seenOff waits until a poll shows the server off.
func (p *power) seenOff(until time.Time) error {
	for watch := p.Watch(fleet.Server(p.host.ID)).Unless(p.Ending); ; {
		seen, err := watch.Next(pollEvery, until)
		switch {
		case err != nil:
			return err
		case seen.Missing:
			p.touched = false
			return p.gone()
		case seen.Server.Status == hetzner.StatusOff:
			p.host.Locked, p.rank = seen.Server.Locked, fleet.Unlocked
			p.seenDown()
			return nil
		}
	}
}

// seenDown records that a poll has shown the server off: no guest is going down any more.
func (p *power) seenDown() {
	p.goesDown, p.err, p.host.Status = time.Time{}, nil, hetzner.StatusOff
	p.outage.start(p.Now())
	_ = p.record()
	p.tellOf(Event{Kind: EventOff})
}

// cut cuts the power of a server whose guest has not shut down in time.
func (p *power) cut() error {
	p.tellOf(Event{Kind: EventPowerCut})
	deadline := p.Now().Add(max(p.ShutdownTimeout, lingerFor))
	for n := 1; ; n++ {
		wait := deadline
		_, err := p.change(fleet.Power, p.mustHurry, p.api.PowerOff)
		switch failure, answered := errors.AsType[*hetzner.Error](err); {
		case err == nil:
			p.cutUntil = p.Now().Add(lingerFor)
		case hetzner.IsLost(err):
			p.cutUntil = p.Now().Add(effectLimit)
		case answered:
			wait = fleet.Earliest(deadline, p.Now().Add(retryAfter(n)))
			p.tellOf(Event{Kind: EventCutRefused, Err: failure})
		default:
			return err
		}
		_ = p.record()
		accepted := err == nil
		if err = p.seenOff(wait); err == nil && accepted {
			p.cutUntil = time.Time{}
		}
		if !errors.Is(err, fleet.ErrTimeout) || !p.Now().Before(deadline) {
			return err
		}
	}
}

// stayOff waits until the snapshot does not need the server off any more, for as long as it may be off without one.
func (p *power) stayOff() {
	p.isOff = true
	p.turns++
	err := p.Until(func() bool { return !p.isOff || p.Ending() }, p.Now().Add(p.ShutdownTimeout))
	p.isOff = false
	if errors.Is(err, fleet.ErrTimeout) {
		p.tellOf(Event{Kind: EventBackFirst})
	}
	if p.phase == locked {
		p.leavePlace()
	}
}

// limit returns when nobody tries any more to switch the server on; zero while its snapshot is being made.
func (p *power) limit() time.Time {
	switch {
	case p.rising.IsZero():
	case p.phase == finished:
		return fleet.Latest(p.ended, p.rising).Add(p.raiseFor)
	case p.phase == waiting: // the snapshot waits for the server
		return p.rising.Add(p.raiseFor)
	}
	return time.Time{}
}

// calm returns when nothing that this run has asked for may put the server down any more.
func (p *power) calm() time.Time { return fleet.Latest(p.goesDown, p.cutUntil) }

// mustHurry reports that the run was cancelled, and that the server was not asked for since.
func (p *power) mustHurry() bool { return p.Cancelled() && !p.hurried }

// switchOn returns once a poll shows the server running that began after everything that may still put it down, when it
// does not exist any more, or when it is left off. Whether one that lingers is off at all, a poll tells first.
func (p *power) switchOn() {
	p.up, p.rising, p.again = p.failure != nil || p.lingers, p.Now(), fleet.Latest(p.Now(), p.calm())
	ask := !p.lingers
	for watch := p.Watch(fleet.Server(p.host.ID)).Unless(p.mustHurry); ; {
		if ask {
			if gone := p.askOn(); gone {
				return
			}
		}
		pause := pollEvery
		if p.Cancelled() {
			pause = cancelAgain / 2
		}
		ask = false
		seen, err := watch.Next(pause, fleet.Earliest(p.limit(), p.again))
		timeUp := !p.limit().IsZero() && !p.Now().Before(p.limit())
		switch {
		case errors.Is(err, fleet.ErrMoot):
			p.hurried, p.tries, ask = true, 0, !p.accepted
		case errors.Is(err, fleet.ErrTimeout) && !timeUp:
			ask = true // no poll came, and asking does no harm
		case err != nil:
			p.leaveOff()
			return
		case seen.Missing:
			return
		case seen.Server.Status == hetzner.StatusOff:
			ask = p.seenStillOff(seen.Server.Locked)
		case seen.Server.Status != hetzner.StatusRunning:
			p.again = p.Now().Add(startsWithin) // it is on its way
		default:
			p.seenRunning()
			if !seen.Began.Before(p.calm()) {
				return
			}
		}
	}
}

// askOn asks once for the server to be switched on, and reports whether it is gone.
func (p *power) askOn() (gone bool) {
	rank := fleet.Power
	if p.tries > 0 {
		rank = fleet.Again
	}
	action, err := p.change(rank, p.mustHurry, p.api.PowerOn)
	p.tries++
	p.accepted, p.again = false, p.Now().Add(retryAfter(p.tries))
	if p.tries > 3 {
		p.again = p.Now().Add(time.Minute) // a poll that shows it unlocked comes first
	}
	failure, _ := errors.AsType[*hetzner.Error](err)
	switch {
	case err == nil:
		p.action, p.accepted, p.mayRun, p.again = action, true, true, p.Now().Add(startsWithin)
	case failure == nil: // nothing was sent
	case failure.Code == hetzner.CodeNotFound:
		return true
	default:
		p.err, p.mayRun = failure, p.mayRun || hetzner.IsLost(err)
		p.tellOf(Event{Kind: EventPowerRefused, Err: failure})
	}
	if p.Cancelled() && !p.accepted {
		p.again = p.Now().Add(cancelAgain)
	}
	return false
}

// seenStillOff handles a poll that shows the server off, and reports whether it is to be asked for again.
func (p *power) seenStillOff(locked bool) (ask bool) {
	unlocked := p.barred && !locked
	p.barred = locked
	switch {
	case p.up: // it went down late
		p.up, p.accepted = false, false
		p.seenDown()
		return true
	case unlocked && !p.accepted: // now it is likely to be accepted
		p.tries = 0
		return true
	case p.Now().Before(p.again):
		return false
	case p.accepted: // it came to nothing
		p.accepted = false
		p.tellOf(Event{Kind: EventPowerRefused, ActionID: p.action})
	}
	return true
}

// seenRunning handles a poll that shows the server running.
func (p *power) seenRunning() {
	p.again = fleet.Latest(p.Now(), p.calm())
	if p.up {
		return
	}
	p.up, p.host.Status = true, hetzner.StatusRunning
	p.outage.stop(p.Now())
	p.unavailable.Close(p.Now().Add(p.SettleTime))
	switch {
	case p.mayRun:
		p.tellOf(Event{Kind: EventRunning, Took: p.outage.total})
	case p.phase != finished && !p.switchedOn: // somebody else was faster
		p.switchedOn = true
		if p.result.PowerState == hetzner.StatusOff {
			p.result.PowerState = hetzner.StatusRunning // the snapshot is a live one, at least in part
		}
		p.tellOf(Event{Kind: EventSwitchedOn})
	}
}

// leaveOff gives a server up that could not be seen running again.
func (p *power) leaveOff() {
	r := &p.result
	p.left, r.LeftOff, r.PowerAction = true, true, p.action
	if p.err != nil {
		r.Err = p.err
	}
	if !p.Cancelled() {
		r.powerOnFailed()
		p.halt(PowerOnFailed, p.err)
	}
}

// mark corrects the label that marks the server as off on its snapshots: labels are read, this one is changed, all are
// written, so that those of others stay.
func (p *power) mark(labelled fleet.Want) {
	limit := p.Now().Add(markLimit)
	if p.left {
		return
	}
	pause := time.Duration(0)
	for watch, again := p.Watch(labelled), true; again; pause = pollEvery {
		seen, _ := watch.Next(pause, limit)
		again = false
		for _, image := range seen.Images {
			if image.Labels[LabelPower] == powerBack {
				continue
			}
			labels := maps.Clone(image.Labels)
			labels[LabelPower] = powerBack
			err := p.persist(p.Script, limit, (*hetzner.Error).Later, func(ctx context.Context) (hetzner.Quota, error) {
				return p.api.SetLabels(ctx, image.ID, labels)
			})
			again = again || hetzner.IsLost(err) // then a poll tells
		}
	}
}

// record records which servers may be off because of this run, where that has changed.
func (r *run) record() error {
	var off []Recorded
	for _, s := range r.servers {
		if p := s.power; p != nil && (!p.done || p.left) {
			off = append(off, Recorded{s.host.ID, p.calm()})
		}
	}
	if r.Record == nil || slices.Equal(off, r.recorded) {
		return nil
	}
	r.recorded = off
	return r.Record(off)
}
