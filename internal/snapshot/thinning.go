package snapshot

import (
	"errors"
	"slices"
	"time"

	"github.com/org/hsnap-action/internal/fleet"
	"github.com/org/hsnap-action/internal/hetzner"
	"github.com/org/hsnap-action/internal/thinning"
)

// This file deletes only after a complete listing, and never after a cancel. That listing must show the server's new snapshot
// available, with one exception: to make room in a full account, see awaitRoom.

const (
	// thinAgain is the pause before another listing, thinLimit how long a listing is waited for.
	thinAgain = 5 * time.Second
	thinLimit = 5 * time.Minute
)

// thin thins the server's snapshots out once its new one is available, or says in a dry run what it would. Those of a server
// that an earlier run has left off stay: one of them says so, until the server runs again.
func (s *server) thin() {
	status, fine := s.Result.Status, !s.Result.Failed()
	if fine && !s.Retention.Empty() && !s.Ending() && !s.otherRun && (status == Available || status == Planned) {
		s.thinOut(false)
	}
}

// thinOut deletes what the policy does not keep, the oldest first. With before it makes room for the new snapshot, which
// does not exist yet.
func (s *server) thinOut(before bool) {
	s.isThinning = true
	defer func() { s.isThinning = false }()
	var plan []thinning.Snapshot
	err := s.Watch(s.seriesImages()).Until(thinAgain, s.Now().Add(thinLimit), func(seen fleet.Seen) (whole bool) {
		plan, whole = s.decide(seen, before)
		return whole
	})
	if errors.Is(err, fleet.ErrTimeout) {
		_, unheard := s.Silence()
		s.tellOf(Event{Kind: EventNotThinned, Err: unheard})
	}
	deleted := slices.DeleteFunc(s.Result.Thinned, func(t thinning.Snapshot) bool { return !t.Deleted })
	s.Result.Thinned = slices.Concat(plan, deleted) // those were deleted to make room
	if s.DryRun {
		return
	}
	thinning.Out(s.Script, s.API, s.deleting, s.Result.Thinned[:len(plan)], func(image int64, failure *hetzner.Error) {
		if failure != nil {
			s.tellOf(Event{Kind: EventNotDeleted, ImageID: image, Err: failure})
			return
		}
		s.tellOf(Event{Kind: EventDeleted, ImageID: image})
		s.makeRoom()
	})
}

// decide has the policy decide about the snapshots that a listing shows, the newest first. It reports false where the
// listing does not show what it must: the new snapshot.
func (s *server) decide(seen fleet.Seen, before bool) (plan []thinning.Snapshot, whole bool) {
	candidates := thinning.Candidates(seen.Images, s.Host.ID, s.Series)
	var ref, newest time.Time
	for _, image := range candidates {
		newest = fleet.Latest(newest, image.Created)
	}
	for _, image := range seen.Images {
		if image.ID == s.Result.ImageID && image.Available() {
			ref = image.Created // also where it is protected
		}
	}
	switch {
	case before:
		ref = newest
	case s.DryRun && !s.Result.Reused:
		ref = fleet.Latest(seen.Date, newest)
		candidates = append(candidates, hetzner.Image{Created: ref}) // the one that would be made
	case ref.IsZero():
		return nil, false
	}
	plan = thinning.Decide(s.Retention, candidates, ref, s.WorkflowRun, s.Result.ImageID)
	deletes := slices.ContainsFunc(plan, func(t thinning.Snapshot) bool { return !t.Keep })
	if len(plan) > 1 || deletes || s.DryRun && len(plan) > 0 {
		s.tellOf(Event{Kind: EventThinning, Thinned: slices.Clone(plan)})
	}
	return plan, true
}

// makeRoom lets the server that waits for room the longest be tried again: there is room for one snapshot.
func (r *run) makeRoom() {
	r.deletions++
	if r.full > r.room.Free() {
		r.room.Give()
	}
}

// awaitRoom waits until a deletion makes room for the server's snapshot. When no other server may still free room, what the
// policy would delete even without a new snapshot goes: the one exception to "the new snapshot first".
func (s *server) awaitRoom(full *hetzner.Error) error {
	if s.deletions > s.deletionsSeen {
		return nil // one has made room while the answer was under way
	}
	s.Result.Err, s.Phase = full, PhaseStuck
	s.room.Drain() // whatever room there was is taken
	for _, other := range s.servers {
		other.hasRoom = false
	}
	s.lock.stop(s.Now()) // room is nothing that Hetzner keeps back
	s.refusals, s.rank = 0, fleet.First
	s.power.release()
	s.LeavePlace()
	if !s.Retention.Empty() {
		s.tellOf(Event{Kind: EventFull, Err: full})
		s.full++
		defer func() { s.full-- }()
		for {
			err := s.Take(s.room, func() bool { return !s.mayFreeRoom() })
			if !errors.Is(err, fleet.ErrMoot) {
				s.hasRoom = err == nil
				return err
			}
			if s.madeRoom {
				break
			}
			s.madeRoom = true
			s.thinOut(true)
		}
	}
	s.halt(LimitExceeded, full)
	return failed(LimitExceeded)
}

// mayFreeRoom reports whether there is room, or any server may still free some: it is thinning out, or may come to it.
func (r *run) mayFreeRoom() bool {
	return r.room.Free() > 0 || slices.ContainsFunc(r.servers, func(s *server) bool {
		return s.isThinning || s.Phase != PhaseFinished && s.Phase != PhaseStuck
	})
}
