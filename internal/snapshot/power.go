package snapshot

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/org/hsnap-action/internal/hetzner"
)

// Whoever switches a server off answers for switching it on. This file is the region of a target that does: a server
// that was running is switched off when its turn has come, and from the moment that its shutdown was asked for every
// way out leads through rising, to restored or, loudly, to owed.

const (
	// freshLook is how old a look may be that shows a server running and unlocked just before it is switched off.
	freshLook = 5 * time.Second
	// lingerFor is how long a guest is watched that did not shut down in time: it may still, and nobody else would
	// switch it on again.
	lingerFor = time.Minute
	// lingerSeen is how long a look may take to come that shows such a guest running after that time.
	lingerSeen = 15 * time.Second
	// risingSlow is how long an accepted power-on may take to show in the server's status.
	risingSlow = 10 * time.Second
	// powerOnLimit is how long after its snapshot's end a server is tried to be switched on.
	powerOnLimit = 10 * time.Minute
	// rescueLimit is the same for the servers that a killed run left off: GitHub gives a cancelled job 5 minutes.
	rescueLimit = 4 * time.Minute
	// turnsMost is how often a server is switched off at most when no snapshot is accepted while it is off.
	turnsMost = 2
	// markTries is how often the label that tells later runs of a server left off is tried to be corrected.
	markTries = 3
	// risingMost is how many servers may be tried to be switched on at the usual pauses, and before a look shows that
	// they are unlocked. Of more the tries are fewer, since what is refused costs looks.
	risingMost = 3
	// barredEvery is how often a server is tried to be switched on while looks show its lock, which is only a hint;
	// barredLong is the same where that are many servers.
	barredEvery = time.Minute
	barredLong  = 4 * time.Minute
	// cancelAgain is the pause between two power-ons of a cancelled run.
	cancelAgain = 1200 * time.Millisecond
)

// The states of a server's power.
const (
	untouched powerState = iota // by this run; or on again, with another turn to come
	checking                    // its turn has come; a fresh look must show it running and unlocked
	recording                   // it must stand in the record before it is touched
	stopping                    // a shutdown was asked for; its status must become off
	down                        // it was seen off
	rising                      // it must be switched on, and be seen running after that
	restored                    // it was seen running again
	lingering                   // it runs, but a shutdown that was asked for may still take effect
	owed                        // it could not be seen running again: final
)

// Recorded is a server that may be off because of this run, as it is noted for whoever comes after a run that was
// killed.
type Recorded struct {
	Server int64
	Until  time.Time // until then its guest may still shut down; zero when it is off, or will be
}

// cutPower is what the power region knows of a target.
type cutPower struct {
	since       time.Time // when the state began: a look that began before says nothing about it
	risingSince time.Time // when it began to be switched on
	until       time.Time // how long a lingering server is watched
	late        time.Time // until when a shutdown or power-off whose answer was lost may still put it down
	leftToPost  bool      // the run is over: a lingering server is left to the post step
	// Until when a guest that was not seen off yet may still shut down.
	goesDown     time.Time
	under        operation // the request under way, 0 for none
	shutdownSent bool      // the guest was asked to shut down, or may have been
	seen         bool      // and was seen off since
	turns        int       // how often the server was switched off
	powerCut     bool      // its power was cut, or may have been
	ready        bool      // it is off, as far as anybody knows: a power-on makes sense
	barred       bool      // the last look showed a lock, so that a power-on may well be refused
	onAccepted   time.Time // when the accepted power-on was answered, zero without one
	tries        int       // requests in a row that came to nothing
	again        time.Time // no request before
	err          *hetzner.Error
	outage       stopwatch

	pending bool // its snapshot carries the label that says that it is off
	labels  map[string]string
	marks   int   // tries to correct that label
	action  int64 // of the last power-on that was accepted
}

// mustStop reports whether a target has to be switched off before it may be asked for a snapshot.
func (f *fleet) mustStop(t *target) bool {
	return f.settings.Shutdown != Never && (t.power == untouched || t.power == restored) && t.server.Status != statusOff && !t.meddled
}

// touched reports whether the server may be off because of this run, or soon will be.
func (t *target) touched() bool {
	switch t.power {
	case checking, recording, stopping, down, rising, lingering, owed:
		return true
	case untouched, restored:
	}
	return false
}

// powerDone reports whether the power region is final.
func (t *target) powerDone() bool {
	switch t.power {
	case untouched, owed:
		return true
	case restored:
		return !t.toMark()
	case lingering:
		return t.cut.leftToPost
	case checking, recording, stopping, down, rising:
	}
	return false
}

// toMark reports whether the snapshot's label still says that the server is off.
func (t *target) toMark() bool {
	return t.cut.pending && t.result.ImageID != 0 && t.cut.marks < markTries
}

// powerWatched reports whether looks at the server are of use to its power.
func (t *target) powerWatched() bool {
	switch t.power {
	case checking, stopping, rising, lingering:
		return true
	case untouched, recording, down, restored, owed:
	}
	return false
}

func (t *target) setPower(state powerState, now time.Time) {
	t.power, t.cut.since = state, now
	t.serverDue = now
}

// unavailable returns how many servers are off because of this run, or may be.
func (f *fleet) unavailable() int {
	n := 0
	for _, t := range f.targets {
		if t.touched() {
			n++
		}
	}
	return n
}

// settled returns when the next server may be switched off, after the last has come back.
func (f *fleet) settled() time.Time {
	if f.lastRestored.IsZero() {
		return time.Time{}
	}
	return f.lastRestored.Add(f.settings.SettleTime)
}

// turns gives servers their turn to be switched off: first come, first served, as far as the places for snapshots and
// the number of servers that may be unavailable go, and not while the project has no room for a snapshot.
func (f *fleet) turns(now time.Time) {
	if f.settings.Shutdown == Never || f.ending() || f.halted || f.settled().After(now) {
		return
	}
	for _, t := range f.queue(f.mustStop) {
		if f.unavailable() >= f.settings.MaxUnavailable || f.flying() >= f.settings.MaxParallel {
			return
		}
		if f.some(full) && !t.prune.room {
			continue // it would be off for nothing
		}
		if t.cut.turns == turnsMost {
			t.result.Err = t.refusal
			f.finish(t, Failed, LockTimeout, now)
			continue
		}
		t.setPower(checking, now)
		if !t.server.Locked && t.server.Status == statusRunning && now.Sub(t.lookedAt) <= freshLook {
			f.enrol(t, now)
		}
	}
}

// enrol puts a server that is about to be switched off on the record.
func (f *fleet) enrol(t *target, now time.Time) {
	t.setPower(recording, now)
	t.cut.seen, t.cut.goesDown = false, now.Add(f.settings.ShutdownTimeout+lingerFor)
}

// shared returns a pause between two tries to switch a server on, longer where many have to be: refused tries cost looks,
// and there must be room for one of each when the run is cancelled.
func (f *fleet) shared(pause time.Duration) time.Duration {
	return pause * time.Duration(max(risingMost, f.count(rising))) / risingMost
}

// count returns how many servers are in a power state.
func (f *fleet) count(state powerState) int {
	n := 0
	for _, t := range f.targets {
		if t.power == state {
			n++
		}
	}
	return n
}

// some reports whether any target's snapshot is in a state.
func (f *fleet) some(state snapshotState) bool {
	return slices.ContainsFunc(f.targets, func(t *target) bool { return t.snapshot == state })
}

// halt ends the switching off of further servers.
func (f *fleet) halt(reason Reason, why *hetzner.Error) {
	if !f.halted {
		f.halted, f.haltedBy, f.haltedErr = true, reason, why
	}
}

// record returns the request to note which servers may be off because of this run, when that has changed.
func (f *fleet) record() (request, bool) {
	var off []Recorded
	for _, t := range f.targets {
		switch t.power {
		case recording, stopping, down, rising, lingering, owed:
			r := Recorded{Server: t.server.ID}
			if !t.cut.seen {
				r.Until = t.cut.goesDown
			}
			off = append(off, r)
		case untouched, checking, restored:
		}
	}
	if slices.Equal(off, f.recorded) {
		return request{}, false
	}
	f.recorded = off
	return request{op: opRecord, off: off}, true
}

// newRescue makes a fleet that only switches on what a run, killed since, may have left off.
func newRescue(settings Settings, left []Recorded, now time.Time) *fleet {
	f := &fleet{settings: settings, raiseFor: rescueLimit, lastNews: now, heardAt: now, recorded: left}
	for _, r := range left {
		name := fmt.Sprintf("server %d", r.Server)
		server := hetzner.Server{ID: r.Server, Name: name}
		t := &target{server: server, snapshot: finished, ended: now, result: Result{Name: name, Server: server}}
		f.targets = append(f.targets, t)
		if r.Until.After(now) {
			t.setPower(lingering, now)
			t.cut.until = latest(now.Add(lookGap), earliest(r.Until, now.Add(rescueLimit)))
			continue
		}
		f.raise(t, now)
	}
	return f
}

// noted takes in whether the record was written. What stands in no record is not switched off.
func (f *fleet) noted(failure *hetzner.Error, now time.Time) {
	for _, t := range f.targets {
		switch {
		case t.power != recording:
		case failure != nil:
			t.power = untouched
		default:
			t.setPower(stopping, now)
			t.cut.seen = false
			t.cut.turns++
		}
	}
	if failure != nil {
		f.halt("", failure)
	}
}

// powerRequests returns the requests to send now that switch servers off and on, and those that correct the labels
// which tell of it.
func (f *fleet) powerRequests(now time.Time) []request {
	var requests []request
	// Each server once before any again: when a run is cancelled there may be no place in the budget for both.
	turn := slices.SortedStableFunc(slices.Values(f.targets), func(a, b *target) int { return cmp.Compare(a.cut.tries, b.cut.tries) })
	for _, t := range turn {
		op := f.powerOp(t, now)
		if op == 0 {
			continue
		}
		if at, ok := f.powerAt(t, now); !ok || at.After(now) {
			break
		}
		f.budget.create()
		t.cut.under = op
		r := request{op: op, server: t.server.ID, began: now}
		switch op { //nolint:exhaustive // powerOp returns no other
		case opShutdown:
			t.cut.shutdownSent = true
			t.cut.outage.start(now)
			f.tellOf(t, Event{Kind: EventStopping}, now)
		case opPowerOff:
			t.cut.powerCut = true
			f.tellOf(t, Event{Kind: EventCut}, now)
		case opMark:
			t.cut.marks++
			labels := maps.Clone(t.cut.labels)
			labels[LabelPower] = powerBack
			r.image, r.imageID = hetzner.NewImage{Labels: labels}, t.result.ImageID
		}
		requests = append(requests, r)
	}
	return requests
}

// powerOp returns the request that a target's power needs now, 0 for none.
func (f *fleet) powerOp(t *target, now time.Time) operation {
	if t.cut.under != 0 || t.cut.again.After(now) {
		return 0
	}
	switch t.power {
	case stopping:
		switch {
		case f.ending():
		case !t.cut.shutdownSent:
			return opShutdown
		case f.settings.Shutdown == Force && !now.Before(f.stopDeadline(t)) && !t.cut.powerCut:
			return opPowerOff
		}
	case rising:
		if t.cut.onAccepted.IsZero() && t.cut.ready && f.token == nil {
			return opPowerOn
		}
	case restored:
		if t.toMark() && !f.ending() {
			return opMark
		}
	case untouched, checking, recording, down, lingering, owed:
	}
	return 0
}

// powerAt returns when the budget allows the request that a target's power needs.
func (f *fleet) powerAt(t *target, now time.Time) (at time.Time, ok bool) {
	if !f.cancelled.IsZero() {
		return f.budget.lastPowerAt(now)
	}
	return f.budget.powerAt(now, t.cut.tries > 0)
}

// stopDeadline returns when a guest's time to shut down is over.
func (f *fleet) stopDeadline(t *target) time.Time { return t.cut.since.Add(f.settings.ShutdownTimeout) }

// powered takes in the answer to a power request.
func (f *fleet) powered(a answer, failure *hetzner.Error, now time.Time) {
	verdict := hetzner.Lost
	if failure != nil {
		verdict = failure.Verdict
	}
	f.budget.answered(now, charged(failure))
	t := f.target(a.server)
	if t == nil || t.cut.under != a.op {
		return
	}
	t.cut.under = 0
	if verdict == hetzner.Lost && failure != nil && (a.op == opShutdown || a.op == opPowerOff) {
		late := now.Add(effectLimit)
		if a.op == opShutdown {
			late = late.Add(lingerFor) // the guest takes its time then
		}
		t.cut.late = latest(t.cut.late, late)
	}
	switch a.op { //nolint:exhaustive // the other ops are no power requests
	case opShutdown:
		f.shutDown(t, failure, now)
	case opPowerOff:
		if failure != nil && verdict != hetzner.Lost {
			t.cut.powerCut = false
			f.powerAgain(t, failure, now)
		}
	case opPowerOn:
		if failure == nil {
			t.cut.action = a.action
		}
		f.switchedOn(t, failure, now)
	case opMark:
		switch {
		case failure == nil, failure.Code == hetzner.CodeNotFound:
			t.cut.pending = false
		default:
			t.cut.again = now.Add(retryAfter(t.cut.marks))
		}
		if t.snapshot == finished && t.powerDone() {
			f.complete(t, now)
		}
	}
}

// shutDown takes in the answer to a shutdown. A refusal in Hetzner's own words means that the guest knows of nothing,
// and is the same to the snapshot as the refusal of its create; after anything else looks decide.
func (f *fleet) shutDown(t *target, failure *hetzner.Error, now time.Time) {
	if t.power != stopping || failure == nil || failure.Verdict == hetzner.Lost {
		return
	}
	t.cut.shutdownSent = false
	t.cut.outage = stopwatch{}
	t.setPower(untouched, now)
	if t.snapshot == waiting {
		f.refused(t, failure, now)
	}
}

// raise begins to switch a server on again. One that was seen off is asked for at once, whatever its lock: the flag is a
// hint, and only the answer tells whether Hetzner takes the request. While looks show the lock further tries are few. For
// any other server a look has to come first.
func (f *fleet) raise(t *target, now time.Time) {
	t.cut.ready = t.power == down && f.count(rising) < risingMost
	t.setPower(rising, now)
	t.cut.risingSince, t.cut.barred, t.cut.onAccepted, t.cut.tries, t.cut.again = now, false, time.Time{}, 0, time.Time{}
}

// switchedOn takes in the answer to a power-on. Only an answer with an action is one; then a look must show the
// server running.
func (f *fleet) switchedOn(t *target, failure *hetzner.Error, now time.Time) {
	if t.power != rising {
		return
	}
	t.serverDue = now
	switch {
	case failure == nil:
		t.cut.onAccepted, t.cut.since = now, now
		if !f.cancelled.IsZero() {
			f.owe(t, now) // nobody will see it running in the time that is left
		}
	case failure.Code == hetzner.CodeNotFound:
		f.gone(t, now)
	default:
		t.cut.ready = failure.Verdict != hetzner.Lost || !f.cancelled.IsZero() // else a look must tell what came of it
		f.powerAgain(t, failure, now)
	}
}

// powerAgain notes a request that came to nothing, and when the next one may be sent.
func (f *fleet) powerAgain(t *target, failure *hetzner.Error, now time.Time) {
	news := t.cut.err == nil || t.cut.err.Code != failure.Code
	t.cut.err = failure
	t.cut.tries++
	t.cut.again = now.Add(f.shared(retryAfter(t.cut.tries)))
	if !f.cancelled.IsZero() {
		t.cut.again = now.Add(cancelAgain)
	}
	if news {
		f.tellOf(t, Event{Kind: EventPowerRefused, Err: failure}, now)
	}
}

// sawPower takes in a look at a server whose power concerns this run.
func (f *fleet) sawPower(t *target, server hetzner.Server, now time.Time) {
	switch t.power {
	case checking:
		f.check(t, server, now)
	case stopping:
		if server.Status == statusOff && t.cut.shutdownSent {
			t.setPower(down, now)
			t.cut.err, t.cut.seen = nil, true
			f.tellOf(t, Event{Kind: EventOff}, now)
			if server.Locked {
				f.setLocked(t, true, now)
				f.tellOf(t, Event{Kind: EventLocked}, now)
				return
			}
			t.prospect, t.queued = good, now
		}
	case lingering:
		if server.Status == statusOff {
			f.tellOf(t, Event{Kind: EventOff}, now)
			t.cut.seen = true
			t.cut.outage.start(now)
			f.raise(t, now)
			t.cut.ready, t.cut.barred = true, server.Locked
		}
	case rising:
		f.sawRising(t, server, now)
	case untouched, recording, down, restored, owed:
	}
}

// check decides by a fresh look what becomes of a server whose turn has come.
func (f *fleet) check(t *target, server hetzner.Server, now time.Time) {
	switch {
	case server.Locked:
		t.setPower(untouched, now)
		if f.settings.IfLocked != Wait {
			f.leaveLocked(t, now)
			return
		}
		f.setLocked(t, true, now)
		f.tellOf(t, Event{Kind: EventLocked}, now)
	case server.Status == statusRunning:
		t.lock.stop(now)
		f.enrol(t, now)
	case server.Status == statusOff: // somebody else has switched it off, and it stays off
		t.lock.stop(now)
		t.setPower(untouched, now)
	default: // on its way between the two
		t.lock.start(now)
	}
}

// keptWaiting takes in that Hetzner does not show the servers. For one whose turn has come that time counts, as with a
// lock: it is Hetzner that keeps it waiting. One that must come back is switched on unseen.
func (f *fleet) keptWaiting(failure *hetzner.Error, now time.Time) {
	for _, t := range f.targets {
		switch {
		case t.power == checking:
			t.lock.start(now)
			t.refusal = failure
		case t.power == rising && t.cut.onAccepted.IsZero():
			t.cut.ready = true // asking does no harm, and nobody can say that it makes no sense
		}
	}
}

// sawRising takes in a look at a server that must be switched on again.
func (f *fleet) sawRising(t *target, server hetzner.Server, now time.Time) {
	accepted := !t.cut.onAccepted.IsZero()
	switch server.Status {
	case statusRunning:
		if accepted {
			f.restore(t, now)
			return
		}
		f.meddle(t, now)
		t.cut.ready = true // even so: only a power-on of our own and a look after it prove that it stays on
	case statusOff:
		if accepted && now.Sub(t.cut.onAccepted) < risingSlow {
			return
		}
		if accepted { // it was accepted and came to nothing
			t.cut.onAccepted = time.Time{}
			t.cut.tries++
			t.cut.again = now.Add(retryAfter(t.cut.tries))
			if t.cut.tries == 1 {
				f.tellOf(t, Event{Kind: EventPowerRefused, ActionID: t.cut.action}, now)
			}
		}
		t.cut.ready = true
	default:
		t.cut.ready = false // on its way; whither, the next look tells
	}
	switch {
	case t.cut.barred && !server.Locked:
		t.cut.again = time.Time{} // now it is likely to be accepted
	case server.Locked && f.count(rising) > risingMost:
		t.cut.again = latest(t.cut.again, t.cut.risingSince.Add(barredLong*time.Duration(max(1, t.cut.tries))))
	case server.Locked && t.cut.tries > 0:
		t.cut.again = latest(t.cut.again, t.cut.risingSince.Add(barredEvery*time.Duration(t.cut.tries)))
	}
	t.cut.barred = server.Locked
}

// meddle notes that somebody has switched a server on that this run keeps off. A snapshot that is made of it meanwhile
// is a live one.
func (f *fleet) meddle(t *target, now time.Time) {
	if t.meddled || t.snapshot == finished {
		return
	}
	t.meddled = true
	if t.result.PowerState == statusOff {
		t.result.PowerState = statusRunning
	}
	f.tellOf(t, Event{Kind: EventMeddled}, now)
}

// restore notes that a server was seen running again.
func (f *fleet) restore(t *target, now time.Time) {
	t.cut.outage.stop(now)
	t.result.Downtime = t.cut.outage.total
	t.power, t.cut.shutdownSent, t.cut.powerCut, t.cut.err, t.cut.tries, t.cut.again = restored, false, false, nil, 0, time.Time{}
	f.lastRestored = now
	f.tellOf(t, Event{Kind: EventRunning, Took: t.cut.outage.total}, now)
	if t.cut.late.After(now) {
		f.linger(t, t.cut.late, now)
	}
	if t.snapshot == finished && t.powerDone() {
		f.complete(t, now)
	}
}

// owe gives a server up that could not be seen running again.
func (f *fleet) owe(t *target, now time.Time) {
	t.cut.outage.stop(now)
	t.power = owed
	r := &t.result
	r.LeftOff, r.PowerAction, r.Downtime = true, t.cut.action, t.cut.outage.total
	if t.cut.err != nil {
		r.Err = t.cut.err
	}
	if f.cancelled.IsZero() {
		r.powerOnFailed()
		f.halt(PowerOnFailed, t.cut.err)
	}
	if t.snapshot == finished && t.powerDone() {
		f.complete(t, now)
	}
}

// powerOnFailed puts a server that is left off before whatever else there is to say about it.
func (r *Result) powerOnFailed() {
	if r.Reason != PowerOnFailed {
		r.SnapshotStatus, r.SnapshotReason = r.Status, r.Reason
		r.Status, r.Reason = Failed, PowerOnFailed
	}
}

// gone notes that a server does not exist any more: there is nothing left to switch on.
func (f *fleet) gone(t *target, now time.Time) {
	t.cut.outage.stop(now)
	t.power, t.cut.pending = untouched, false
	if t.snapshot == finished {
		f.complete(t, now)
	}
}

// linger watches a server that runs, and may be shut down yet by what this run has asked for.
func (f *fleet) linger(t *target, until, now time.Time) {
	t.setPower(lingering, now)
	t.cut.until, t.cut.goesDown, t.cut.seen = until, until, false
}

// expirePower ends what has taken too long in a target's power region.
func (f *fleet) expirePower(t *target, now time.Time) {
	if !f.cancelled.IsZero() {
		f.windPower(t, now)
		return
	}
	if f.token != nil {
		f.powerless(t, now)
		return
	}
	deadline := f.powerDeadline(t)
	if deadline.IsZero() || now.Before(deadline) {
		return
	}
	switch t.power {
	case stopping:
		if f.settings.Shutdown == Force {
			if now.Before(deadline.Add(max(f.settings.ShutdownTimeout, lingerFor))) {
				return // its power is being cut
			}
			f.raise(t, now)
		} else {
			f.linger(t, now.Add(lingerFor), now)
			t.cut.outage = stopwatch{}
		}
		f.finish(t, Failed, ShutdownTimeout, now)
	case down: // also while the answer to a create is on its way
		f.tellOf(t, Event{Kind: EventBackFirst}, now)
		f.raise(t, now)
	case rising:
		if t.snapshot != finished {
			t.result.Err = t.refusal
			f.finish(t, Failed, LockTimeout, now)
		}
		f.owe(t, now)
	case lingering:
		if t.lookedAt.Before(t.cut.until) {
			if !now.Before(deadline.Add(lingerSeen)) {
				f.raise(t, now) // nobody can say that it still runs
			}
			return
		}
		t.power = restored
		if t.snapshot == finished && t.powerDone() {
			f.complete(t, now)
		}
	case untouched, checking, recording, restored, owed:
	}
}

// powerDeadline returns when the time of a target's power state is up; the zero time while nothing presses.
func (f *fleet) powerDeadline(t *target) time.Time {
	switch t.power {
	case stopping, down:
		return f.stopDeadline(t)
	case lingering:
		return t.cut.until
	case rising:
		switch {
		case t.snapshot == finished:
			return latest(t.ended, t.cut.risingSince).Add(f.raiseFor)
		case t.snapshot <= full: // its snapshot waits for the server to come back
			return t.cut.risingSince.Add(f.raiseFor)
		}
	case untouched, checking, recording, restored, owed:
	}
	return time.Time{}
}

// windPower winds the power region down after a cancel: what is off is asked to be switched on, whatever its lock.
func (f *fleet) windPower(t *target, now time.Time) {
	since := now.Sub(f.cancelled)
	switch t.power {
	case checking, recording:
		t.setPower(untouched, now)
	case stopping, down:
		if (t.cut.under != 0 || t.snapshot == asked) && since < cancelAsked {
			return // its answer first: a server that is switched on before it shuts down stays off
		}
		if !t.cut.shutdownSent {
			t.setPower(untouched, now)
			return
		}
		f.raise(t, now)
		t.cut.under, t.cut.ready = 0, true
	case rising:
		if since >= cancelLimit {
			f.owe(t, now)
			return
		}
		if t.cut.onAccepted.IsZero() {
			t.cut.ready = true
		} else {
			f.owe(t, now)
		}
	case lingering:
		f.leave(t, now)
	case restored:
		t.cut.pending = false
	case untouched, owed:
	}
}

// leave leaves a lingering server to the post step. One whose guest would not shut down is told as such; any other
// may be off without a word.
func (f *fleet) leave(t *target, now time.Time) {
	if t.result.Reason == ShutdownTimeout {
		t.cut.leftToPost = true
		f.complete(t, now)
		return
	}
	f.owe(t, now)
}

// powerless ends a power region whose token is refused: whatever is off stays off.
func (f *fleet) powerless(t *target, now time.Time) {
	switch t.power {
	case checking, recording:
		t.setPower(untouched, now)
	case restored:
		t.cut.pending = false
	case lingering:
		f.leave(t, now)
	case stopping, down, rising:
		switch {
		case t.snapshot == asked:
		case !t.cut.shutdownSent:
			t.setPower(untouched, now)
		default:
			t.cut.err = f.token
			f.owe(t, now)
		}
	case untouched, owed:
	}
}

// wakePower tells when something is due in a target's power region.
func (f *fleet) wakePower(t *target, now time.Time, sooner func(time.Time)) {
	deadline := f.powerDeadline(t)
	sooner(deadline)
	if t.power == stopping && f.settings.Shutdown == Force && !deadline.IsZero() {
		sooner(deadline.Add(max(f.settings.ShutdownTimeout, lingerFor)))
	}
	if t.power == lingering {
		sooner(deadline.Add(lingerSeen))
	}
	sooner(t.cut.again)
	if f.powerOp(t, now) != 0 {
		if at, ok := f.powerAt(t, now); ok {
			sooner(at)
		}
	}
}
