package snapshot

import (
	"time"

	"github.com/org/hsnap-action/internal/hetzner"
)

// A target has three independent regions. Folded into one enum they would multiply; a target is done when each of
// them is final.
type (
	snapshotState int
	powerState    int
	thinningState int
)

// The states of a snapshot.
const (
	waiting    snapshotState = iota // for a free place among those in flight
	locked                          // Hetzner shows a lock, or refused for now
	full                            // the account's limit is reached; waits for freed room
	naming                          // locked, and not waited for; its lock's holder is asked for, to be told
	asked                           // the create is on its way
	lost                            // nobody knows what became of the create
	clearing                        // the action failed for a lock; its image must be seen gone before the next create
	creating                        // accepted, its action runs
	confirming                      // its action succeeded, its image is awaited
	protecting                      // its image is available, and is being protected
	finished                        // the result is final
)

// prospect is how likely a create is to be accepted.
type prospect int

// The prospects.
const (
	poor prospect = iota // it was refused before, and nothing shows that this has changed
	fair                 // nothing speaks against it
	good                 // a look has just shown the server unlocked
)

// target is one server on its way to its snapshot.
type target struct {
	server   hetzner.Server
	snapshot snapshotState
	power    powerState
	thinning thinningState
	result   Result

	cut          cutPower
	prune        pruning
	lookedAt     time.Time // beginning of the last look that showed the server
	meddled      bool      // somebody else switched it on while it should have been off
	ended        time.Time // when the snapshot's result was final
	endTold      bool      // the target's end was told
	snapshotTold bool      // its snapshot's end was told before

	lock     stopwatch       // runs while Hetzner shows a lock or refuses, and while a create is lost
	missing  stopwatch       // runs while a create is lost: that much of lock was no lock
	shown    bool            // a look showed the lock since the last refusal
	refusals int             // since a look last showed the server unlocked
	retryAt  time.Time       // when to ask again although no look shows the server unlocked
	refusal  *hetzner.Error  // the last answer "not now", or what happened to a lost create
	holder   *hetzner.Action // who holds the lock, nil while unknown

	queued   time.Time // since when it could be asked for: first come, first served
	prospect prospect  // of the next create

	lostAt   time.Time
	absentAt [2]time.Time // beginnings of the complete image listings that prove a lost create's absence
	provenAt time.Time    // when the second of them was complete: a look at the server must begin after it

	sent         time.Time // when its last create was sent
	accepted     time.Time
	imageCreated time.Time // of an adopted image, by Hetzner's clock
	seeking      bool      // an adopted image's action has yet to be sought
	seeks        int       // searches for it that failed
	unseen       int       // looks in a row that lacked what they looked for: its action, then its image
	progress     int       // percent, of its own action
	foresight    foresight // of its end
	recalled     bool      // it was asked how long the server's last snapshots took

	protection protection

	heldBy       string // the holder's command that was told last
	holderSought bool   // a look under the server was made for this lock
	page         int    // of the listing that shows the server; 0 where none does, as far as known

	// When each kind of look at this target is next due. Only the looks that its state calls for are made.
	serverDue, actionDue, imageDue, holderDue time.Time

	// A look that began before the target came into its state says nothing about it.
	watchedSince, imageSince time.Time
}

// done reports whether all three regions are final.
func (t *target) done() bool {
	return t.snapshot == finished && t.powerDone() && (t.thinning == noThinning || t.thinning == thinned)
}

// inFlight reports whether the target takes one of the places for snapshots in flight. A server that is switched off
// has its place, so that it is down no longer than it must be.
func (t *target) inFlight() bool {
	switch t.power {
	case checking, recording, stopping, down:
		return true
	case untouched, rising, restored, lingering, owed:
	}
	switch t.snapshot {
	case asked, creating, confirming, protecting:
		return true
	case lost:
		return t.provenAt.IsZero() // nothing is in flight; it only waits to see the server unlocked
	case waiting, locked, full, naming, clearing, finished:
	}
	return false
}

// watched reports whether looks at the server itself are of use: to see a lock go, or to prove that a lost create
// had no effect.
func (t *target) watched() bool {
	return t.snapshot == locked || t.snapshot == lost && !t.provenAt.IsZero()
}

// serverWatched reports whether looks at the server are of use to any region.
func (t *target) serverWatched() bool { return t.watched() || t.powerWatched() }

// imageWatched reports whether image listings are of use.
func (t *target) imageWatched() bool {
	return t.snapshot == lost || t.snapshot == clearing || t.snapshot == confirming ||
		t.snapshot == protecting && t.protection.answered
}

// stopwatch adds up the time during which it runs.
type stopwatch struct {
	total time.Duration
	since time.Time // zero while it is stopped
}

func (s *stopwatch) start(now time.Time) {
	if s.since.IsZero() {
		s.since = now
	}
}

func (s *stopwatch) stop(now time.Time) {
	s.total, s.since = s.elapsed(now), time.Time{}
}

func (s *stopwatch) elapsed(now time.Time) time.Duration {
	if s.since.IsZero() {
		return s.total
	}
	return s.total + now.Sub(s.since)
}

// reaches returns when the stopwatch will show d; the zero time while it is stopped.
func (s *stopwatch) reaches(d time.Duration) time.Time {
	if s.since.IsZero() {
		return time.Time{}
	}
	return s.since.Add(d - s.total)
}
