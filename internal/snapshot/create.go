package snapshot

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/org/hsnap-action/internal/fleet"
	"github.com/org/hsnap-action/internal/hetzner"
	"github.com/org/hsnap-action/internal/labels"
)

const (
	// effectLimit is the one assumption about Hetzner: a create takes effect within this time of its answer's loss, or
	// never.
	effectLimit = 60 * time.Second
	// absenceGap lies between the two listings that prove a lost create's absence, so that one stale answer can't.
	absenceGap = 5 * time.Second
	// lostLimit is the least time that a lost create is searched for, however short the lock timeout is.
	lostLimit = 5 * time.Minute
	// lastTry is how long after the lock timeout the last create may still wait for a place in the budget.
	lastTry = 5 * time.Second
	// actionLimit is how long the action of an adopted image is searched for.
	actionLimit = 10 * time.Second
	// actionApart is how far an action's start may be from the time at which its image was created.
	actionApart = time.Minute
)

// create asks for the server's snapshot. It returns nil when the snapshot exists; an [*hetzner.Error] when Hetzner has
// refused it for now or has no room; errAgain when the server's way begins again; otherwise how the way ends. Only a refusal
// in Hetzner's own words, or a request that was never sent, leads to another create without a proof.
func (s *server) create() error {
	s.phase = PhaseWaiting
	s.lock.stop(s.Now()) // it is our own place that it waits for
	if err := s.takePlace(); err != nil {
		return err
	}
	var limit time.Time
	if s.refusals > 0 { // Hetzner keeps it waiting, also while the budget spaces the tries out
		s.lock.start(s.Now())
		limit = s.lockLimit().Add(lastTry)
	}
	off := s.off()
	image := s.newImage()
	var imageID, actionID int64
	s.deletionsSeen = s.deletions
	err := s.Change(fleet.Change{
		Rank: s.rank, Limit: limit, Moot: func() bool { return off != s.off() },
		Send: func(ctx context.Context) (quota hetzner.Quota, err error) {
			imageID, actionID, quota, err = s.api.CreateImage(ctx, s.host.ID, image)
			return quota, err
		},
	})
	failure, answered := errors.AsType[*hetzner.Error](err)
	if err == nil || answered {
		s.lock.stop(s.Sent) // no answer has kept it waiting since
	}
	switch {
	case err == nil:
		s.recordAccepted(imageID, actionID)
		s.tellOf(Event{Kind: EventAccepted, ImageID: imageID, ActionID: actionID})
		return nil
	case errors.Is(err, fleet.ErrMoot): // it is being switched on again
		s.lock.stop(s.Now())
		return errAgain
	case errors.Is(err, fleet.ErrTimeout):
		return s.lockTimeout()
	case !answered, failure.Verdict != hetzner.Lost && failure.Verdict != hetzner.Refused:
		return err
	case failure.Verdict == hetzner.Lost:
		return s.find(failure)
	}
	s.result.Err = failure
	if failure.Code == hetzner.CodeNotFound {
		return failed(NotFound)
	}
	return failed(Refused)
}

// newImage returns what the snapshot is asked for with.
func (s *server) newImage() hetzner.NewImage {
	s.result.PowerState = "" // Hetzner has statuses for being on the way between the two
	if s.host.Status == hetzner.StatusRunning || s.host.Status == hetzner.StatusOff {
		s.result.PowerState = s.host.Status
	}
	if s.refusals == 0 {
		s.tellOf(Event{Kind: EventAsked})
	}
	image := hetzner.NewImage{Description: s.result.Description, Labels: s.labelsOf(s.host, s.result.Request)}
	if s.off() {
		image.Labels[labels.Power] = labels.PowerPending
		s.power.labelled = true
	}
	return image
}

// takePlace waits for one of the places for snapshots in flight, unless the server has one.
func (s *server) takePlace() error {
	if s.placed {
		return nil
	}
	if err := s.Take(s.inFlight, nil); err != nil {
		return err
	}
	s.placed = true
	return nil
}

// leavePlace gives the place to another server, unless this one is off for its snapshot.
func (s *server) leavePlace() {
	if s.placed && !s.off() {
		s.placed = false
		s.inFlight.Give()
	}
}

// recordAccepted records that the server's image exists. The server needs to be off no longer.
func (s *server) recordAccepted(image, action int64) {
	s.lock.stop(s.Now())
	s.missing.stop(s.Now())
	s.phase, s.progress, s.copied, s.accepted = PhaseCreating, 0, false, s.Now()
	s.result.ImageID, s.result.ActionID = image, action
	s.power.release()
}

// find decides what became of a create whose answer was lost: its image is found and adopted, or two complete listings and
// a poll of the unlocked server prove that it had no effect and, by effectLimit, never will.
func (s *server) find(loss *hetzner.Error) error {
	lostAt, first := s.Now(), time.Time{}
	s.lock.start(lostAt)
	s.missing.start(lostAt)
	s.phase, s.refusal, s.result.MaySlip = PhaseLost, loss, true
	s.tellOf(Event{Kind: EventLost, Err: loss})
	s.power.release()
	limit := lostAt.Add(max(s.LockTimeout, lostLimit))
	pause := time.Duration(0)
	for watch := s.Watch(s.ownImage()).Lasting(); ; pause = absenceGap {
		seen, err := watch.Next(pause, limit)
		image := s.own(seen.Images)
		switch {
		case err != nil:
			return s.unknown(err)
		case image != nil:
			return s.adopt(image)
		case seen.Began.Sub(lostAt) < effectLimit:
		case first.IsZero():
			first = seen.Began
		case seen.Began.Sub(first) >= absenceGap:
			return s.proveAbsent(limit)
		}
	}
}

// proveAbsent completes the proof: a poll begun after the two listings must show the server unlocked.
func (s *server) proveAbsent(limit time.Time) error {
	s.leavePlace()                               // nothing is in flight any more
	limit = fleet.Earliest(s.lockLimit(), limit) // after which it is not asked for again
	if !s.Now().Before(limit) {
		return s.unknown(fleet.ErrTimeout)
	}
	if err := s.pollUntilUnlocked(limit); err != nil {
		return s.unknown(err)
	}
	s.result.MaySlip = false
	s.tellOf(Event{Kind: EventAbsent})
	return errAgain
}

// unknown ends the way of a server whose lost create nobody can decide about.
func (s *server) unknown(err error) error {
	if errors.Is(err, fleet.ErrTimeout) {
		s.result.Err = s.refusal
		return failed(UnknownOutcome)
	}
	return err
}

// adopt takes over the image of a lost create, and searches for its action once. Hetzner does not name the image in the
// action, so it is the create_image action of that server that started when the image was created. Without one the image
// alone says how it goes on.
func (s *server) adopt(image *hetzner.Image) error {
	s.result.MaySlip = false
	if s.result.PowerState == hetzner.StatusOff && s.power != nil && s.power.mayRun {
		s.result.PowerState = "" // it was switched on since, perhaps before the create took effect
	}
	s.recordAccepted(image.ID, 0)
	s.tellOf(Event{Kind: EventAdopted, ImageID: image.ID})
	seen, err := s.Watch(fleet.ServerActions(s.host.ID, "")).Next(0, s.Now().Add(actionLimit))
	if err != nil && !errors.Is(err, fleet.ErrTimeout) {
		return err
	}
	apart := func(a hetzner.Action) time.Duration { return a.Started.Sub(image.Created).Abs() }
	actions := slices.DeleteFunc(slices.Clone(seen.Actions), func(a hetzner.Action) bool {
		return a.Command != hetzner.CommandCreateImage || apart(a) > actionApart
	})
	if len(actions) == 0 {
		return nil
	}
	action := slices.MinFunc(actions, func(a, b hetzner.Action) int { return cmp.Compare(apart(a), apart(b)) })
	s.result.ActionID = action.ID
	if action.Running() {
		return nil
	}
	return s.actionEnded(action)
}

// ownImage is the image that carries the label of this server's request.
func (s *server) ownImage() fleet.Want { return fleet.Images(labels.Request, s.result.Request, "") }

// own returns the server's image among those that carry its label, nil where there is none. Whatever image ID an answer
// named, the label says which image is the server's.
func (s *server) own(images []hetzner.Image) *hetzner.Image {
	var found *hetzner.Image
	for i, image := range images {
		if image.CreatedFrom != 0 && image.CreatedFrom != s.host.ID {
			continue // somebody has copied the label
		}
		if found == nil || image.ID == s.result.ImageID {
			found = &images[i]
		}
	}
	return found
}
