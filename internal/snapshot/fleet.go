package snapshot

import (
	"cmp"
	"encoding/hex"
	"io"
	"slices"
	"time"

	"github.com/org/hsnap-action/internal/hetzner"
)

const (
	// effectLimit is the one assumption about Hetzner: a create takes effect within this time of its answer's loss,
	// or never.
	effectLimit = 60 * time.Second
	// absenceGap lies between the two listings that prove a lost create's absence, so that one stale answer can't.
	absenceGap = 5 * time.Second
	// lostLimit is the least time that a lost create is sought for, however short the lock timeout is.
	lostLimit = 5 * time.Minute
	// namingLimit is how long it may take to learn who holds a lock that is not waited for.
	namingLimit = 10 * time.Second
	// vanishedAfter is how many complete listings in a row must lack an accepted image before it counts as gone.
	vanishedAfter = 3
	// progressEvery is how long nothing new may happen before the state of the whole is told.
	progressEvery = 30 * time.Second

	// On a cancel, creates that are under way get cancelAsked to be answered, and everything must be over after
	// cancelLimit. GitHub kills the process 10 s after the first signal; 5 s is what this program promises.
	cancelAsked = 3 * time.Second
	cancelLimit = 4500 * time.Millisecond
)

// retryAfter returns how long to wait after the nth refusal in a row that came without a visible lock.
func retryAfter(n int) time.Duration {
	return [...]time.Duration{5 * time.Second, 10 * time.Second, 20 * time.Second}[min(n, 3)-1]
}

// operation is what a request asks for.
type operation int

// The requests that the fleet plans.
const (
	opListServers operation = iota + 1
	opServer
	opActions
	opServerActions
	opListImages
	opPrice
	opCreate
	opShutdown
	opPowerOff
	opPowerOn
	opMark // correct the label of a snapshot whose server is on again
	opProtect
	opListSeries // all snapshots of some servers in this run's series
	opDelete
	opRecord // no request to Hetzner: note which servers may be off
)

// request is what the fleet wants sent to Hetzner. It is also part of its answer, so that the fleet knows what was
// asked without keeping accounts.
type request struct {
	op       operation
	server   int64   // the server that op is about
	ids      []int64 // of actions
	selector string
	page     int
	status   string // of a server's actions; "" for all
	image    hetzner.NewImage
	imageID  int64 // the image that op is about; in the answer to a create, the new one
	off      []Recorded
	began    time.Time
	last     bool // a cancelled run's one last look
}

// answer is what came of a request. Only the fields that belong to its op are set; err is nil or an [*hetzner.Error].
type answer struct {
	request
	servers hetzner.Page[hetzner.Server]
	images  hetzner.Page[hetzner.Image]
	actions []hetzner.Action
	found   hetzner.Server
	price   hetzner.Price
	action  int64
	quota   hetzner.Quota
	err     error
}

// fleet is the pure core: all targets of a run, and what they share.
type fleet struct {
	settings Settings
	targets  []*target
	budget   budget
	looks    looks

	cancelled  time.Time // zero while the run goes on
	lastLooked bool      // the last look of a cancelled run was sent, or is of no use
	lastSeen   bool      // and has been answered
	token      *hetzner.Error

	raiseFor     time.Duration  // how long after its snapshot's end a server is tried to be switched on
	lastRestored time.Time      // when a server was last seen running again
	halted       bool           // no further server is switched off
	haltedBy     Reason         // what happened to another server, "" when the record can't be written
	haltedErr    *hetzner.Error // and what was answered
	recorded     []Recorded     // as it was noted last

	heardAt time.Time      // when Hetzner last answered a request, if only to refuse it
	unheard *hetzner.Error // what came instead of an answer since

	events   []Event   // since the last call of drain
	lastNews time.Time // when the last event happened
}

// findings is what was read before the fleet begins.
type findings struct {
	servers []hetzner.Server
	pages   map[int64]int           // by server: the page of the listing that shows it
	reuse   map[int64]hetzner.Image // by server: the snapshot of an earlier attempt that is taken over
	off     map[int64]bool          // servers that an earlier run has switched off, and that are still off
	looks   int                     // requests that it took beside the listing of the servers
	self    int64                   // the server that this program runs on, 0 for none
}

// newFleet makes a target of each server. Targets that need no snapshot, or can't have one, are finished at once.
func newFleet(settings Settings, found findings, now time.Time) *fleet {
	f := &fleet{settings: settings, raiseFor: powerOnLimit, lastNews: now, heardAt: now}
	for range found.looks {
		f.budget.look(now)
	}
	f.tell(Event{Kind: EventSelected, Servers: found.servers}, now)
	for _, server := range found.servers {
		t := &target{server: server, page: found.pages[server.ID], queued: now, lookedAt: now, prospect: fair, result: Result{
			Name: server.Name, Server: server, Request: f.requestValue(),
			Description: settings.Describe(server, now),
		}}
		f.targets = append(f.targets, t)
		f.begin(t, found, now)
	}
	return f
}

// requestValue returns a random label value that finds one server's snapshot of this run among all others.
func (f *fleet) requestValue() string {
	var b [8]byte
	_, _ = io.ReadFull(f.settings.Rand, b[:]) // Settings.Rand promises not to fail
	return hex.EncodeToString(b[:])
}

func (f *fleet) begin(t *target, found findings, now time.Time) {
	image, ok := found.reuse[t.server.ID]
	if found.off[t.server.ID] {
		t.result.LeftOff, t.result.LeftBefore = true, true
		f.tellOf(t, Event{Kind: EventLeftBefore}, now)
	}
	switch {
	case ok:
		t.result.Reused, t.result.ImageID = true, image.ID
		t.result.Description, t.result.SizeGB, t.result.Request = image.Description, image.SizeGB, ""
		t.result.Protected = image.Protected
		f.finish(t, Available, "", now)
		return
	case len(t.server.Volumes) > 0 && f.settings.IfVolumes == Fail:
		f.finish(t, Failed, VolumesAttached, now)
		return
	case t.server.ID == found.self && f.mustStop(t):
		f.finish(t, Failed, ShutdownSelf, now)
		return
	case len(t.server.Volumes) > 0 && f.settings.IfVolumes == Warn:
		f.tellOf(t, Event{Kind: EventVolumes}, now)
	}
	switch {
	case t.server.Locked && (f.settings.DryRun || f.settings.IfLocked != Wait):
		f.leaveLocked(t, now)
	case f.settings.DryRun:
		f.planned(t, now)
	case t.server.Locked:
		f.setLocked(t, true, now)
		f.tellOf(t, Event{Kind: EventLocked}, now)
		t.serverDue = now.Add(serverEvery) // the selection was a look
	}
}

// apply takes in one answer.
func (f *fleet) apply(a answer, now time.Time) {
	if a.quota != (hetzner.Quota{}) {
		f.budget.low = a.quota.Low()
	}
	var failure *hetzner.Error
	if a.err != nil {
		failure = hetzner.AsError(a.err)
		if failure.Verdict == hetzner.TokenRefused && f.token == nil && a.op != opPrice { // nobody needs the price
			f.token = failure
		}
	}
	if a.op != opRecord {
		f.hear(failure, now)
	}
	switch a.op {
	case opCreate:
		f.created(a, failure, now)
	case opShutdown, opPowerOff, opPowerOn, opMark:
		f.powered(a, failure, now)
	case opRecord:
		f.noted(failure, now)
	case opProtect:
		f.protected(a, failure, now)
	case opDelete:
		f.deleted(a, failure, now)
	case opListSeries:
		f.seriesListed(a, failure, now)
	case opListServers, opServer, opActions, opServerActions, opListImages, opPrice:
		f.looked(a, failure, now)
	}
}

// hear notes whether Hetzner answered at all.
func (f *fleet) hear(failure *hetzner.Error, now time.Time) {
	if failure == nil || failure.Verdict != hetzner.Lost && failure.Verdict != hetzner.NotSent {
		f.heardAt, f.unheard = now, nil
		return
	}
	f.unheard = failure
}

// silence returns for how long Hetzner has not answered, and what came instead; 0 while it is too short to speak of.
func (f *fleet) silence(now time.Time) (time.Duration, *hetzner.Error) {
	if since := now.Sub(f.heardAt); f.unheard != nil && since >= progressEvery {
		return since, f.unheard
	}
	return 0, nil
}

// plan brings the fleet up to date with the time, and returns the requests to send now and when to call it again.
func (f *fleet) plan(now time.Time) (requests []request, wake time.Time) {
	f.expire(now)
	f.progress(now)
	f.turns(now)
	f.budget.kept = f.unavailable()
	if r, ok := f.record(); ok {
		return []request{r}, now // before anything that it is about
	}
	requests = append(f.powerRequests(now), f.creates(now)...)
	requests = append(requests, f.protects(now)...)
	requests = append(requests, f.deletions(now)...)
	requests = append(requests, f.lookRequests(now)...)
	requests = append(requests, f.creates(now)...) // a look that has gone can make room for one more
	return requests, f.wake(now)
}

// done reports whether nothing is left to do.
func (f *fleet) done() bool {
	return !slices.ContainsFunc(f.targets, func(t *target) bool { return !t.done() })
}

// cancel ends the run in good order: no new create, a short time for the answers under way, one last look.
func (f *fleet) cancel(now time.Time) {
	if f.cancelled.IsZero() {
		f.cancelled = now
		for _, t := range f.targets {
			t.cut.tries, t.cut.again = 0, time.Time{} // what is off gets one more try at once
		}
		f.tell(Event{Kind: EventCancelled}, now)
	}
}

// abort ends the run at once.
func (f *fleet) abort(now time.Time) {
	f.cancelled = now.Add(-cancelLimit) // no answer is waited for any more
	for _, t := range f.targets {
		if t.snapshot != finished {
			f.finish(t, Cancelled, RunCancelled, now)
		}
		if !t.powerDone() {
			f.windPower(t, now)
		}
		if t.power == rising {
			f.owe(t, now)
		}
		if t.thinning != noThinning {
			f.endThinning(t, now)
		}
	}
}

// ending reports whether no new create may be sent.
func (f *fleet) ending() bool { return f.token != nil || !f.cancelled.IsZero() }

// creates returns the creates to send now: first come, first served, as far as places and budget go.
func (f *fleet) creates(now time.Time) []request {
	if f.ending() {
		return nil
	}
	var requests []request
	for _, t := range f.queue(f.askable) {
		if !f.place(t) {
			continue // one that has its place already may come later
		}
		if at, ok := f.budget.createAt(now, t.prospect); !ok || at.After(now) {
			break
		}
		f.budget.create()
		t.snapshot, t.sent = asked, now
		t.result.PowerState = power(t.server.Status)
		if t.refusals == 0 {
			f.tellOf(t, Event{Kind: EventAsked}, now)
		}
		labels := f.settings.labels(t.server, t.result.Request)
		if t.power == down {
			labels[LabelPower] = powerPending
			t.cut.pending, t.cut.labels, t.cut.marks = true, labels, 0
		}
		requests = append(requests, request{op: opCreate, server: t.server.ID, began: now, image: hetzner.NewImage{
			Description: t.result.Description, Labels: labels,
		}})
	}
	return requests
}

// askable reports whether a target's power lets it be asked for: it needs no switching off, or is off.
func (f *fleet) askable(t *target) bool {
	switch t.power {
	case untouched, restored:
		return !f.mustStop(t)
	case down:
		return true
	case checking, recording, stopping, rising, lingering, owed:
	}
	return false
}

// place reports whether there is a place in flight for a target, which may have it already.
func (f *fleet) place(t *target) bool {
	return t.inFlight() || f.flying() < f.settings.MaxParallel
}

// queue returns the targets whose turn it can be now: those first that are the least likely to be refused, since
// nobody must wait for a refusal of others; among them first come, first served.
func (f *fleet) queue(fit func(*target) bool) []*target {
	var ready []*target
	for _, t := range f.targets {
		if t.snapshot == waiting && fit(t) {
			ready = append(ready, t)
		}
	}
	slices.SortStableFunc(ready, func(a, b *target) int {
		return cmp.Or(cmp.Compare(b.prospect, a.prospect), a.queued.Compare(b.queued))
	})
	return ready
}

// flying returns how many snapshots are in flight.
func (f *fleet) flying() int {
	n := 0
	for _, t := range f.targets {
		if t.inFlight() {
			n++
		}
	}
	return n
}

// created takes in the answer to a create. This is where exactly-once begins: only a refusal that Hetzner has put in
// its own words leads to another create without a proof.
func (f *fleet) created(a answer, failure *hetzner.Error, now time.Time) {
	f.budget.answered(now, charged(failure))
	t := f.target(a.server)
	if t == nil || t.snapshot != asked {
		return // the run was cancelled and did not wait any longer
	}
	if failure == nil {
		f.accept(t, a.imageID, a.action, now)
		return
	}
	t.snapshot = waiting // answered; what follows decides for what
	f.refused(t, failure, now)
}

// charged reports whether the answer to a create or a power request takes a place in the budget of looks: "not now" does,
// and a lost answer may have been that. A final refusal doesn't, so that it keeps no other server waiting.
func charged(failure *hetzner.Error) bool {
	if failure == nil {
		return false
	}
	switch failure.Verdict {
	case hetzner.NotNow, hetzner.NotSent, hetzner.Lost:
		return true
	case hetzner.Full, hetzner.Refused, hetzner.TokenRefused:
	}
	return false
}

// refused takes in that a create, or the shutdown that was to make way for it, was not accepted.
func (f *fleet) refused(t *target, failure *hetzner.Error, now time.Time) {
	news := t.refusal == nil || t.refusal.Code != failure.Code
	t.refusal = failure
	switch failure.Verdict {
	case hetzner.NotNow, hetzner.NotSent:
		if failure.Code == hetzner.CodeLocked && f.settings.IfLocked != Wait {
			f.leaveLocked(t, now)
			return
		}
		f.refuse(t, news, now)
	case hetzner.Full:
		f.fill(t, failure, now)
	case hetzner.Refused:
		t.result.Err = failure
		reason := Refused
		if failure.Code == hetzner.CodeNotFound {
			reason = NotFound
		}
		f.finish(t, Failed, reason, now)
	case hetzner.TokenRefused: // expire ends it with all others
	case hetzner.Lost:
		f.lose(t, failure, now)
	}
}

// exists notes that a target's image exists: from here on its action is watched.
func (t *target) exists(image int64, now time.Time) {
	t.lock.stop(now)
	t.missing.stop(now)
	t.snapshot, t.accepted, t.result.ImageID = creating, now, image
	t.unseen, t.progress, t.foresight, t.recalled = 0, 0, foresight{from: t.sent, to: now}, false
}

// accept takes in that a create was accepted.
func (f *fleet) accept(t *target, image, action int64, now time.Time) {
	t.exists(image, now)
	t.result.ActionID = action
	t.actionDue = now.Add(actionEvery)
	f.tellOf(t, Event{Kind: EventAccepted, ImageID: image, ActionID: action}, now)
	f.letUp(t, now)
	if !f.settings.Wait {
		f.finish(t, Creating, "", now)
	}
}

// letUp begins to switch a server on again that is off for its snapshot.
func (f *fleet) letUp(t *target, now time.Time) {
	if t.power == down {
		f.raise(t, now)
	}
}

// refuse notes an answer "not now". The next create waits for a look that shows the lock and then shows it gone, or,
// while no look shows a lock, for a time that grows. The same refusal again is no news.
func (f *fleet) refuse(t *target, news bool, now time.Time) {
	t.refusals++
	t.prospect = poor
	t.retryAt = now.Add(retryAfter(t.refusals))
	f.setLocked(t, false, now)
	if news || t.refusals == 1 {
		f.tellOf(t, Event{Kind: EventLocked, Err: t.refusal}, now)
	}
}

// setLocked puts a target among the watched ones. Shown tells a lock that a look showed from one that only a refusal
// proves.
func (f *fleet) setLocked(t *target, shown bool, now time.Time) {
	t.lock.start(now)
	t.snapshot, t.shown, t.queued = locked, shown, now
	t.watchedSince = now
	t.serverDue, t.holderDue = latest(t.serverDue, now), latest(t.holderDue, now)
}

// unlock lets a target be asked for whose lock is gone.
func (f *fleet) unlock(t *target, now time.Time) {
	t.ready(now)
	f.tellOf(t, Event{Kind: EventUnlocked}, now)
}

// ready lets a target be asked for that a look has shown unlocked.
func (t *target) ready(now time.Time) {
	t.lock.stop(now)
	t.missing.stop(now)
	t.snapshot, t.prospect, t.queued = waiting, good, now
	t.shown, t.refusals, t.holder = false, 0, nil
	t.holderSought, t.holderDue = false, time.Time{} // the next lock is another's
}

// leaveLocked ends a target whose lock is not waited for, once it is known who holds the lock, or that nobody tells.
func (f *fleet) leaveLocked(t *target, now time.Time) {
	if t.holder != nil || t.holderSought {
		f.named(t, now)
		return
	}
	t.snapshot, t.queued, t.holderDue = naming, now, now
}

// named ends it.
func (f *fleet) named(t *target, now time.Time) {
	t.result.Err, t.result.Holder = t.refusal, t.holder
	switch f.settings.IfLocked { //nolint:exhaustive // the user's contract allows these three
	case Skip:
		f.finish(t, Skipped, Locked, now)
	case Fail:
		f.finish(t, Failed, Locked, now)
	case Wait: // in a dry run
		f.planned(t, now)
	}
}

func (f *fleet) planned(t *target, now time.Time) {
	t.result.Stops = f.mustStop(t)
	f.finish(t, Planned, "", now)
}

// lose begins the search for a create whose answer was lost. From here only looks can tell what became of it.
func (f *fleet) lose(t *target, failure *hetzner.Error, now time.Time) {
	t.lock.start(now)
	t.missing.start(now)
	t.snapshot, t.refusal = lost, failure
	t.lostAt, t.absentAt, t.provenAt = now, [2]time.Time{}, time.Time{}
	t.imageDue, t.imageSince = now, now
	f.tellOf(t, Event{Kind: EventLost, Err: failure}, now)
	f.letUp(t, now)
}

// adopt takes over the image of a lost create.
func (f *fleet) adopt(t *target, image hetzner.Image, now time.Time) {
	t.exists(image.ID, now)
	t.imageCreated = image.Created
	if t.result.PowerState == statusOff && (t.power != rising || !t.cut.onAccepted.IsZero() || t.cut.under == opPowerOn) {
		t.result.PowerState = "" // it was switched on since, perhaps before the create took effect
	}
	t.seeking, t.seeks, t.holderDue = true, 0, now
	f.tellOf(t, Event{Kind: EventAdopted, ImageID: image.ID}, now)
}

// missed notes a complete image listing, begun at began, that does not hold a lost create's image.
func (f *fleet) missed(t *target, began, now time.Time) {
	switch {
	case began.Sub(t.lostAt) < effectLimit:
	case t.absentAt[0].IsZero():
		t.absentAt[0] = began
	case t.absentAt[1].IsZero() && began.Sub(t.absentAt[0]) >= absenceGap:
		t.absentAt[1] = began
		t.provenAt = now
		t.serverDue, t.watchedSince = now, now
	}
}

// absent ends the search for a lost create: two listings and a look at the unlocked server prove that it had no
// effect, and by the assumption above never will.
func (f *fleet) absent(t *target, now time.Time) {
	if t.lock.elapsed(now) >= f.settings.LockTimeout {
		t.result.Err = t.refusal
		f.finish(t, Failed, UnknownOutcome, now)
		return
	}
	t.ready(now)
	f.tellOf(t, Event{Kind: EventAbsent}, now)
}

// ended takes in the end of a target's own action.
func (f *fleet) ended(t *target, action hetzner.Action, now time.Time) {
	if action.Succeeded() {
		f.copied(t, now)
		return
	}
	t.result.Action = &action
	if !hetzner.IsLocked(action.ErrorCode, action.ErrorMessage) {
		f.finish(t, Failed, ActionFailed, now)
		return
	}
	if f.settings.IfLocked != Wait {
		f.leaveLocked(t, now)
		return
	}
	t.lock.start(now)
	t.snapshot, t.imageDue, t.imageSince = clearing, now, now
}

// copied begins the wait for an image whose action succeeded.
func (f *fleet) copied(t *target, now time.Time) {
	t.snapshot, t.unseen, t.imageDue, t.imageSince = confirming, 0, now, now
	f.tellOf(t, Event{Kind: EventCopied, ImageID: t.result.ImageID}, now)
}

// pictured takes in a complete image listing, begun at began: image is the target's, nil where it is not listed.
func (f *fleet) pictured(t *target, image *hetzner.Image, began, now time.Time) {
	switch t.snapshot { //nolint:exhaustive // the others do not look at images
	case lost:
		if image != nil {
			f.adopt(t, *image, now)
		} else {
			f.missed(t, began, now)
		}
	case clearing:
		if image == nil {
			t.accepted = time.Time{}
			t.refusal = &hetzner.Error{Code: t.result.Action.ErrorCode, Message: t.result.Action.ErrorMessage, Verdict: hetzner.NotNow}
			t.result.ImageID, t.result.ActionID, t.result.Action = 0, 0, nil
			f.refuse(t, true, now)
		}
	case confirming:
		if image == nil {
			if t.unseen++; t.unseen >= vanishedAfter {
				t.result.Vanished = true
				f.finish(t, Failed, ActionFailed, now)
			}
			return
		}
		t.unseen, t.result.SizeGB = 0, image.SizeGB
		switch {
		case !image.Available():
		case f.settings.Protect && !image.Protected:
			f.protect(t, now)
		default:
			t.result.Protected = image.Protected
			f.finish(t, Available, "", now)
		}
	case protecting:
		if image != nil && image.Protected {
			t.result.Protected = true
			f.finish(t, Available, "", now)
		} else if t.protection.answered {
			t.protection = protection{tries: t.protection.tries} // it was accepted and came to nothing: again
		}
	}
}

// expire ends what has taken too long, and everything when the run is over.
func (f *fleet) expire(now time.Time) {
	f.findRoom(now)
	for _, t := range f.targets {
		f.expirePower(t, now)
		f.expireThinning(t, now)
		switch {
		case t.snapshot == finished:
		case f.halted && f.mustStop(t) && t.snapshot <= full && f.cancelled.IsZero() && f.token == nil:
			t.result.Err, t.result.HaltedBy = f.haltedErr, f.haltedBy
			f.finish(t, Failed, ShutdownHalted, now)
		case !f.cancelled.IsZero():
			f.wind(t, now)
		case f.token != nil:
			if t.snapshot != asked { // the answers under way are waited for: each may be an image
				t.result.Err = f.token
				f.finish(t, Failed, Refused, now)
			}
		case !f.deadline(t).IsZero() && !now.Before(f.deadline(t)):
			f.timeout(t, now)
		case t.snapshot == locked && !t.shown && !t.retryAt.After(now):
			t.snapshot, t.queued = waiting, now
		}
		f.clock(t, now)
	}
}

// clock lets the time count in which a target that Hetzner has refused waits to be asked for again, and for the answer,
// also where the budget is what it waits for; but not the wait for a free place, for room, or for its turn to be switched
// off, which are ours.
func (f *fleet) clock(t *target, now time.Time) {
	switch {
	case t.snapshot != waiting || t.refusals == 0 || t.power == checking:
	case f.askable(t) && f.place(t):
		t.lock.start(now)
	default:
		t.lock.stop(now)
	}
}

// wind winds a target down after a cancel.
func (f *fleet) wind(t *target, now time.Time) {
	since := now.Sub(f.cancelled)
	switch {
	case t.snapshot == asked && since < cancelAsked, f.lastLookConcerns(t) && !f.lastSeen && since < cancelLimit:
		// an answer is on its way
	default:
		f.finish(t, Cancelled, RunCancelled, now)
	}
}

// deadline returns when a target's time is up; the zero time while nothing presses.
func (f *fleet) deadline(t *target) time.Time {
	switch t.snapshot {
	case waiting, locked, clearing:
		return t.lock.reaches(f.settings.LockTimeout)
	case naming:
		return t.queued.Add(namingLimit)
	case lost:
		return t.lostAt.Add(max(f.settings.LockTimeout, lostLimit))
	case creating, confirming, protecting:
		return t.accepted.Add(f.settings.SnapshotTimeout)
	case full, asked, finished:
	}
	return time.Time{}
}

// timeout ends a target whose time is up.
func (f *fleet) timeout(t *target, now time.Time) {
	t.result.Err, t.result.Holder = t.refusal, t.holder
	switch t.snapshot {
	case naming:
		f.named(t, now)
	case lost:
		f.finish(t, Failed, UnknownOutcome, now)
	case creating, confirming:
		t.result.Silence, t.result.Err = f.silence(now)
		f.finish(t, Failed, SnapshotTimeout, now)
	case protecting:
		t.result.Err = t.protection.err
		f.finish(t, Failed, ProtectFailed, now)
	default:
		f.finish(t, Failed, LockTimeout, now)
	}
}

// finish makes a target's result final.
func (f *fleet) finish(t *target, status Status, reason Reason, now time.Time) {
	t.lock.stop(now)
	t.missing.stop(now)
	r := &t.result
	// An unanswered create may take effect after the end of the run; the report must say so. An action that failed
	// may leave its image behind, but that one has an ID.
	r.MaySlip = t.snapshot == asked || t.snapshot == lost
	if r.Reason == PowerOnFailed { // the louder of the two
		r.SnapshotStatus, r.SnapshotReason = status, reason
	} else {
		r.Status, r.Reason = status, reason
	}
	r.LockWait = t.lock.total - t.missing.total
	if !t.accepted.IsZero() {
		r.Accepted, r.Duration = true, now.Sub(t.accepted)
	}
	t.snapshot, t.ended = finished, now
	switch t.power {
	case checking, recording:
		t.power = untouched
	case down:
		f.raise(t, now)
	case untouched, stopping, rising, restored, lingering, owed:
	}
	if r.LeftBefore && status != Cancelled {
		r.powerOnFailed()
	}
	if !f.settings.Retention.Empty() && (status == Available || status == Planned) && !f.ending() {
		f.prune(t, false, now)
	}
	if t.powerDone() {
		f.complete(t, now)
		return
	}
	ended := *r
	t.snapshotTold = true
	f.tellOf(t, Event{Kind: EventEnded, Result: &ended}, now)
}

// complete tells a target's end, once: its snapshot's result is final, and its server's power is.
func (f *fleet) complete(t *target, now time.Time) {
	if t.endTold {
		return
	}
	t.endTold = true
	final := t.result
	f.tellOf(t, Event{Kind: EventFinished, Result: &final, Again: t.snapshotTold}, now)
}

// wake returns when something is due even if nothing is answered before.
func (f *fleet) wake(now time.Time) time.Time {
	wake := f.lastNews.Add(progressEvery)
	sooner := func(at time.Time) {
		if at.After(now) && at.Before(wake) {
			wake = at
		}
	}
	for _, t := range f.targets {
		sooner(f.deadline(t))
		sooner(t.protection.again)
		f.wakePower(t, now, sooner)
		f.wakeThinning(t, sooner)
	}
	if !f.cancelled.IsZero() {
		sooner(f.cancelled.Add(cancelAsked))
		sooner(f.cancelled.Add(cancelLimit))
		return wake
	}
	for _, t := range f.targets {
		if t.snapshot == locked && !t.shown {
			sooner(t.retryAt)
		}
	}
	sooner(f.settled())
	if queue := f.queue(f.askable); slices.ContainsFunc(queue, f.place) {
		next := queue[slices.IndexFunc(queue, f.place)]
		if at, ok := f.budget.createAt(now, next.prospect); ok {
			sooner(at)
		}
	}
	if at, ok := f.nextLook(now); ok {
		sooner(at)
	}
	return wake
}

// progress tells the state of the whole when nothing new has happened for a while.
func (f *fleet) progress(now time.Time) {
	if now.Sub(f.lastNews) < progressEvery {
		return
	}
	var p Progress
	var percent, own int
	p.Off = f.unavailable()
	p.Silence, p.Err = f.silence(now)
	for _, t := range f.targets {
		switch t.snapshot {
		case waiting, full, asked:
			p.Waiting++
		case locked, naming, clearing:
			p.Locked++
			if t.holder != nil {
				p.Holders = append(p.Holders, *t.holder)
			}
		case lost:
			p.Lost++
		case creating, confirming, protecting:
			p.Creating++
			own, percent = own+1, percent+t.progress
		case finished:
			p.Finished++
		}
	}
	if own > 0 {
		p.Percent = percent / own
	}
	f.tell(Event{Kind: EventProgress, Progress: p}, now)
}

// target returns the target with this server ID, nil where there is none.
func (f *fleet) target(server int64) *target {
	for _, t := range f.targets {
		if t.server.ID == server {
			return t
		}
	}
	return nil
}

func (f *fleet) tellOf(t *target, e Event, now time.Time) {
	e.Name, e.Server = t.server.Name, t.server
	f.tell(e, now)
}

func (f *fleet) tell(e Event, now time.Time) {
	e.At = now
	f.events = append(f.events, e)
	f.lastNews = now
}

// drain returns the events since the last call.
func (f *fleet) drain() []Event {
	events := f.events
	f.events = nil
	return events
}

func (f *fleet) results() []Result {
	results := make([]Result, len(f.targets))
	for i, t := range f.targets {
		results[i] = t.result
	}
	return results
}

// Hetzner's statuses of servers that matter here.
const (
	statusRunning = "running"
	statusOff     = "off"
)

// power tells a server's power from its status; Hetzner has statuses for being on the way between the two.
func power(status string) string {
	switch status {
	case statusRunning, statusOff:
		return status
	}
	return ""
}

// latest returns the later of two times.
func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// earliest returns the earlier of two times.
func earliest(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
