package snapshot

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/org/hsnap-action/internal/fleet"
	"github.com/org/hsnap-action/internal/hetzner"
	"github.com/org/hsnap-action/internal/labels"
	"github.com/org/hsnap-action/internal/retention"
)

// Nobody gets a deleted snapshot back. This file deletes only what a complete listing shows to be this action's own, of the
// same server and the same series, available and unprotected; only after that listing shows the server's new snapshot
// available too; and never after a failure or a cancel.

const (
	// thinAgain is the pause before another listing, thinLimit how long a listing is waited for.
	thinAgain = 5 * time.Second
	thinLimit = 5 * time.Minute
	// deletesMost is how many deletions may be under way at once. Each is tried for deleteLimit while Hetzner refuses it for
	// now or its answer is lost: to delete twice is as to delete once.
	deletesMost = 5
	deleteLimit = 30 * time.Second
)

// Thinned is what became of one snapshot of a server.
type Thinned struct {
	retention.Decision
	SizeGB  float64
	Deleted bool
}

// thin thins the server's snapshots out once its new one is available, or says in a dry run what it would.
func (s *server) thin() {
	status := s.result.Status
	if !s.Retention.Empty() && !s.Ending() && (status == Available || status == Planned) {
		s.thinOut(false)
	}
}

// thinOut deletes what the policy does not keep, the oldest first. With before it makes room for the new snapshot, which
// does not exist yet.
func (s *server) thinOut(before bool) {
	s.thinning = true
	defer func() { s.thinning = false }()
	var plan []Thinned
	shown := false // a listing, if one without the new snapshot: then it is not the whole truth
	series := fleet.Images(labels.ServerID, strconv.FormatInt(s.host.ID, 10), labels.Series+"="+s.Series)
	err := s.Watch(series).Until(thinAgain, s.Now().Add(thinLimit), func(seen fleet.Seen) (whole bool) {
		shown = true
		plan, whole = s.decide(seen, before)
		return whole
	})
	if errors.Is(err, fleet.ErrTimeout) {
		_, unheard := s.Silence()
		if shown {
			unheard = nil
		}
		s.tellOf(Event{Kind: EventNotThinned, Err: unheard})
	}
	deleted := slices.DeleteFunc(s.result.Thinned, func(t Thinned) bool { return !t.Deleted })
	s.result.Thinned = slices.Concat(plan, deleted) // those were deleted to make room
	for i := len(plan) - 1; i >= 0 && !s.DryRun; i-- {
		if !plan[i].Keep && !s.delete(&s.result.Thinned[i]) {
			return
		}
	}
}

// delete deletes a snapshot, and reports false when the run is ending.
func (s *server) delete(t *Thinned) (goOn bool) {
	if s.Take(s.deleting, nil) != nil {
		return false
	}
	defer s.deleting.Give()
	var lost *hetzner.Error // an answer: the snapshot may be deleted, whatever is answered after that
	again := func(failure *hetzner.Error) bool {
		if failure.Verdict == hetzner.Lost {
			lost = failure
		}
		return failure.Later() || failure.Verdict == hetzner.Lost
	}
	err := s.Persist(s.Now().Add(deleteLimit), again, func(ctx context.Context) (hetzner.Quota, error) {
		return s.api.DeleteImage(ctx, t.ID)
	})
	failure, _ := errors.AsType[*hetzner.Error](err)
	t.Deleted = err == nil || failure != nil && failure.Code == hetzner.CodeNotFound
	switch told := cmp.Or(lost, failure); {
	case t.Deleted:
		s.tellOf(Event{Kind: EventDeleted, ImageID: t.ID})
		s.makeRoom()
	case told != nil && told.Verdict != hetzner.TokenRefused:
		s.tellOf(Event{Kind: EventNotDeleted, ImageID: t.ID, Err: told})
	}
	return !s.Ending()
}

// decide has the policy decide about the snapshots that a listing shows, the newest first. It reports false where the
// listing does not show what it must: the new snapshot.
func (s *server) decide(seen fleet.Seen, before bool) (plan []Thinned, whole bool) {
	var images []retention.Image
	var ref, newest time.Time
	sizes := map[int64]float64{}
	for _, image := range seen.Images {
		if image.Type != "snapshot" || !image.Available() || !labels.Made(image, s.host.ID, s.Series) {
			continue
		}
		own := image.ID == s.result.ImageID
		if own {
			ref = image.Created
		}
		if !image.Protected {
			images = append(images, retention.Image{ID: image.ID, Created: image.Created, SameRun: !own && s.WorkflowRun.Made(image)})
			sizes[image.ID], newest = image.SizeGB, fleet.Latest(newest, image.Created)
		}
	}
	switch {
	case before:
		ref = newest
	case s.DryRun && !s.result.Reused: // the one that would be made
		if ref = seen.Date; ref.IsZero() {
			ref = s.Now()
		}
		images = append(images, retention.Image{Created: ref})
	case ref.IsZero():
		return nil, false
	}
	deletes := false
	for _, decision := range s.Retention.Decide(images, ref) {
		if decision.ID != 0 {
			plan = append(plan, Thinned{Decision: decision, SizeGB: sizes[decision.ID]})
			deletes = deletes || !decision.Keep
		}
	}
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
	s.result.Err, s.phase = full, PhaseStuck
	for _, other := range s.servers {
		other.hasRoom = false // whatever room there was is taken
	}
	s.lock.stop(s.Now()) // room is nothing that Hetzner keeps back
	s.power.release()
	s.leavePlace()
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
		return s.thinning || s.phase != PhaseFinished && s.phase != PhaseStuck
	})
}
