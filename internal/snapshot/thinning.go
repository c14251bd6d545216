package snapshot

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/org/hsnap-action/internal/fleet"
	"github.com/org/hsnap-action/internal/hetzner"
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
	// now, and deleteTries times while its answer is lost.
	deletesMost = 5
	deleteLimit = 30 * time.Second
	deleteTries = 4
)

// Thinned is what became of one snapshot of a server.
type Thinned struct {
	retention.Decision
	SizeGB  float64
	Deleted bool
}

// thin thins the server's snapshots out once its new one is available, or says in a dry run what it would.
func (s *server) thin() {
	status := s.result.ofSnapshot()
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
	series := fleet.Images(LabelServer, strconv.FormatInt(s.host.ID, 10), LabelSeries+"="+s.Series)
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
		if !plan[i].Keep && !s.deleted(&s.result.Thinned[i], series) {
			return
		}
	}
}

// deleted deletes a snapshot, and reports false when the run is ending. After an answer that was lost a listing shows what
// came of it.
func (s *server) deleted(t *Thinned, series fleet.Want) (goOn bool) {
	if s.Take(s.deleting, nil) != nil {
		return false
	}
	defer s.deleting.Give()
	var lost, failure *hetzner.Error
	for try := 1; !t.Deleted && try <= deleteTries; try++ {
		err := s.persist(s.Script, s.Now().Add(deleteLimit), (*hetzner.Error).Later, func(ctx context.Context) (hetzner.Quota, error) {
			return s.api.DeleteImage(ctx, t.ID)
		})
		failure, _ = errors.AsType[*hetzner.Error](err)
		t.Deleted = err == nil || failure != nil && failure.Code == hetzner.CodeNotFound
		if t.Deleted || !hetzner.IsLost(err) {
			break
		}
		lost = failure
		seen, err := s.Watch(series).Next(0, s.Now().Add(thinAgain))
		t.Deleted = err == nil && !slices.ContainsFunc(seen.Images, func(image hetzner.Image) bool { return image.ID == t.ID })
	}
	if lost != nil { // it may have deleted the snapshot, whatever was answered since
		failure = lost
	}
	switch {
	case t.Deleted:
		s.tellOf(Event{Kind: EventDeleted, ImageID: t.ID})
		s.makeRoom()
	case failure != nil && failure.Verdict != hetzner.TokenRefused:
		s.tellOf(Event{Kind: EventNotDeleted, ImageID: t.ID, Err: failure})
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
		if image.Type != "snapshot" || !image.Available() || !made(image, s.host.ID, s.Series) {
			continue
		}
		own := image.ID == s.result.ImageID
		if own {
			ref = image.Created
		}
		if !image.Protected {
			images = append(images, retention.Image{ID: image.ID, Created: image.Created, SameRun: !own && s.sameRun(image)})
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

// made reports whether this action has made an image of a server in a series: its labels say so, and Hetzner agrees.
func made(image hetzner.Image, server int64, series string) bool {
	return server != 0 && image.CreatedFrom == server && image.Labels[LabelServer] == strconv.FormatInt(server, 10) &&
		image.Labels[LabelSeries] == series
}

// sameRun reports whether an image was made by another attempt of the same workflow run.
func (s *server) sameRun(image hetzner.Image) bool {
	run := image.Labels[LabelRun]
	return s.RunFamily != "" && (run == s.RunFamily || strings.HasPrefix(run, s.RunFamily+"-"))
}

// makeRoom lets the server that waits for room the longest be tried again: a deletion has made room for one snapshot.
func (r *run) makeRoom() {
	r.deletions++
	if i := slices.IndexFunc(r.waitForRoom, func(s *server) bool { return !s.roomMade }); i >= 0 {
		r.waitForRoom[i].roomMade = true
	}
}

// room waits until a deletion makes room for the server's snapshot. When no other server may still free room, what the
// policy would delete even without a new snapshot goes: the one exception to "the new snapshot first".
func (s *server) room(full *hetzner.Error) error {
	if s.deletions > s.deletionsSeen {
		return nil // one has made room while the answer was under way
	}
	s.result.Err, s.phase = full, waiting
	for _, other := range s.servers {
		other.roomMade = false // whatever room there was is taken
	}
	s.lock.stop(s.Now()) // room is nothing that Hetzner keeps back
	s.power.release()
	s.leavePlace()
	if !s.Retention.Empty() {
		s.tellOf(Event{Kind: EventFull, Err: full})
		s.waitForRoom = append(s.waitForRoom, s)
		defer func() {
			s.waitForRoom = slices.DeleteFunc(s.waitForRoom, func(other *server) bool { return other == s })
		}()
		for mayThin := true; mayThin; {
			err := s.Until(func() bool { return s.roomMade || !s.mayFreeRoom() }, time.Time{})
			if err != nil || s.roomMade {
				return err
			}
			if mayThin = !s.noRoom; mayThin {
				s.noRoom = true
				s.thinOut(true)
			}
		}
	}
	s.halt(LimitExceeded, full)
	return failed(LimitExceeded)
}

// anyFull reports whether a server waits for room that nobody has made yet.
func (r *run) anyFull() bool {
	return slices.ContainsFunc(r.waitForRoom, func(s *server) bool { return !s.roomMade })
}

// mayFreeRoom reports whether any server may still free room: it is thinning out, or may come to it.
func (r *run) mayFreeRoom() bool {
	return slices.ContainsFunc(r.servers, func(s *server) bool {
		waits := slices.Contains(r.waitForRoom, s) && !s.roomMade
		return s.thinning || s.phase != finished && !s.held && !waits
	})
}
