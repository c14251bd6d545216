package snapshot

import (
	"context"
	"errors"
	"time"

	"github.com/org/hsnap-action/internal/fleet"
	"github.com/org/hsnap-action/internal/hetzner"
)

// protectLimit is how long delete protection may take.
const protectLimit = 5 * time.Minute

// follow waits until the snapshot can be used: its action must have succeeded, and its image must be available.
func (s *server) follow() error {
	if !s.Wait {
		return &EndError{Creating, ""}
	}
	limit := s.accepted.Add(s.SnapshotTimeout)
	unfinished := s.actionDone(limit)
	if unfinished != nil && !errors.Is(unfinished, fleet.ErrCancelled) && !errors.Is(unfinished, fleet.ErrTimeout) {
		return unfinished
	}
	image, err := s.awaitAvailable(limit) // in any case one last poll shows which image it is
	if err != nil {
		return err
	}
	if unfinished != nil { // it is not known whether its action has succeeded
		return s.snapshotTimeout(unfinished)
	}
	if s.Protect && !image.Protected {
		if err := s.protect(); err != nil {
			return err
		}
	}
	s.Result.Protected = s.Protect || image.Protected
	return &EndError{Available, ""}
}

// actionDone waits for the end of the snapshot's action. Without an action the image alone tells.
func (s *server) actionDone(limit time.Time) error {
	if s.Result.ActionID == 0 || s.copied {
		return nil
	}
	action, err := s.Follow(s.Result.ActionID, s.accepted, limit)
	if err != nil || action == nil {
		return err
	}
	return s.actionEnded(*action)
}

// actionEnded handles the end of the snapshot's action. One that failed because the server was locked is a refusal for now.
func (s *server) actionEnded(action hetzner.Action) error {
	if action.Succeeded() {
		s.copied = true
		s.tellOf(Event{Kind: EventCopied, ImageID: s.Result.ImageID})
		return nil
	}
	s.Result.Action = &action
	switch {
	case !hetzner.IsLocked(action.ErrorCode, action.ErrorMessage):
		return failed(ActionFailed)
	case s.IfLocked != Wait:
		return s.leaveLocked()
	}
	return s.awaitImageGone(action)
}

// awaitImageGone waits until the image of an action that failed for a lock is gone: until then it counts as the server's one
// snapshot.
func (s *server) awaitImageGone(action hetzner.Action) error {
	s.lock.start(s.Now())
	s.Phase = PhaseLocked
	s.LeavePlace()
	if s.lock.elapsed(s.Now()) >= s.LockTimeout { // it would not be asked for again
		return s.LockTimedOut()
	}
	err := s.Watch(s.ownImage()).Until(pollEvery, s.lockLimit(), func(seen fleet.Seen) bool {
		image := s.own(seen.Images)
		if image != nil {
			s.Result.ImageID = image.ID // whatever the create's answer has named
		}
		return image == nil
	})
	switch {
	case errors.Is(err, fleet.ErrTimeout):
		return s.LockTimedOut()
	case err != nil:
		return err
	}
	s.accepted, s.Result.ImageID, s.Result.ActionID, s.Result.Action = time.Time{}, 0, 0, nil
	return &hetzner.Error{Code: action.ErrorCode, Message: action.ErrorMessage, Verdict: hetzner.NotNow}
}

// awaitAvailable waits until the image can be used.
func (s *server) awaitAvailable(limit time.Time) (*hetzner.Image, error) {
	pause, unseen := time.Duration(0), 0
	for watch := s.Watch(s.ownImage()).Lasting(); ; pause = pollEvery { // it may become available just before a cancel
		seen, err := watch.Next(pause, limit)
		if err != nil {
			return nil, s.snapshotTimeout(err)
		}
		image := s.own(seen.Images)
		if image == nil {
			if unseen++; unseen == fleet.VanishedAfter {
				s.Result.Vanished = true
				return nil, failed(ActionFailed)
			}
			continue
		}
		unseen, s.Result.ImageID, s.Result.SizeGB = 0, image.ID, image.SizeGB
		if image.Available() {
			return image, nil
		}
	}
}

// snapshotTimeout ends the way of a server whose snapshot is not available in time.
func (s *server) snapshotTimeout(err error) error {
	if !errors.Is(err, fleet.ErrTimeout) {
		return err
	}
	_, s.Result.Err = s.Silence()
	return failed(SnapshotTimeout)
}

// protect sets delete protection on the available image, and waits until a poll shows it.
func (s *server) protect() error {
	limit := s.Now().Add(protectLimit)
	again := (*hetzner.Error).Unsettled // twice is as once
	err := s.Persist(limit, again, func() error {
		return s.Send(func(ctx context.Context) (hetzner.Quota, error) {
			_, quota, err := s.API.Protect(ctx, s.Result.ImageID)
			return quota, err
		})
	})
	failure, answered := errors.AsType[*hetzner.Error](err)
	if err == nil || hetzner.IsLost(err) {
		err = s.Watch(s.ownImage()).Until(pollEvery, limit, func(seen fleet.Seen) bool {
			image := s.own(seen.Images)
			return image != nil && image.Protected
		})
		answered = errors.Is(err, fleet.ErrTimeout)
	}
	if answered && (failure == nil || failure.Verdict != hetzner.TokenRefused) {
		s.Result.Err = failure
		return failed(ProtectFailed)
	}
	return err
}
