package snapshot

import (
	"context"
	"errors"
	"time"

	"github.com/org/hsnap-action/internal/fleet"
	"github.com/org/hsnap-action/internal/hetzner"
)

// vanishedAfter is how many polls in a row must lack an action or an image before it counts as gone.
const vanishedAfter = 3

// protectLimit is how long delete protection may take.
const protectLimit = 5 * time.Minute

// actionPause returns when a running action is polled next: after part of the time that its percentage says is left, or of
// its age, within bounds that keep the promise to notice its end.
func actionPause(progress int, age time.Duration) time.Duration {
	pause := min(max(age/20, 2500*time.Millisecond), 5500*time.Millisecond)
	if progress > 0 && progress < 100 {
		left := age * time.Duration(100-progress) / time.Duration(progress)
		pause = min(pause, max(left/2, 2*time.Second))
	}
	return pause
}

// follow waits until the snapshot can be used: its action must have succeeded, and its image must be available.
func (s *server) follow() error {
	if !s.Wait {
		return &end{Creating, ""}
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
	s.result.Protected = s.Protect || image.Protected
	return &end{Available, ""}
}

// actionDone waits for the end of the snapshot's action. Without an action the image alone tells.
func (s *server) actionDone(limit time.Time) error {
	pause, unseen := actionPause(0, 0), 0
	for watch := s.Watch(fleet.Action(s.result.ActionID)); s.result.ActionID != 0 && !s.copied; {
		seen, err := watch.Next(pause, limit)
		switch {
		case err != nil:
			return err
		case seen.Missing:
			if unseen++; unseen == vanishedAfter {
				return nil // Hetzner denies an action that it has named
			}
		case seen.Action.Running():
			s.progress, unseen = seen.Action.Progress, 0
			pause = actionPause(s.progress, s.Now().Sub(s.accepted))
		default:
			return s.actionEnded(*seen.Action)
		}
	}
	return nil
}

// actionEnded handles the end of the snapshot's action. One that failed because the server was locked is a refusal for now.
func (s *server) actionEnded(action hetzner.Action) error {
	if action.Succeeded() {
		s.copied = true
		s.tellOf(Event{Kind: EventCopied, ImageID: s.result.ImageID})
		return nil
	}
	s.result.Action = &action
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
	s.phase = PhaseLocked
	s.leavePlace()
	if s.lock.elapsed(s.Now()) >= s.LockTimeout { // it would not be asked for again
		return s.lockTimeout()
	}
	err := s.Watch(s.ownImage()).Until(pollEvery, s.lockLimit(), func(seen fleet.Seen) bool { return s.own(seen.Images) == nil })
	switch {
	case errors.Is(err, fleet.ErrTimeout):
		return s.lockTimeout()
	case err != nil:
		return err
	}
	s.accepted, s.result.ImageID, s.result.ActionID, s.result.Action = time.Time{}, 0, 0, nil
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
			if unseen++; unseen == vanishedAfter {
				s.result.Vanished = true
				return nil, failed(ActionFailed)
			}
			continue
		}
		unseen, s.result.ImageID, s.result.SizeGB = 0, image.ID, image.SizeGB
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
	s.result.Silence, s.result.Err = s.longSilence()
	return failed(SnapshotTimeout)
}

// protect sets delete protection on the available image, and waits until a poll shows it.
func (s *server) protect() error {
	limit := s.Now().Add(protectLimit)
	again := func(failure *hetzner.Error) bool { return failure.Later() || failure.Verdict == hetzner.Lost } // twice is as once
	err := s.Persist(limit, again, func() error {
		return s.Send(func(ctx context.Context) (hetzner.Quota, error) {
			_, quota, err := s.api.Protect(ctx, s.result.ImageID)
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
		s.result.Err = failure
		return failed(ProtectFailed)
	}
	return err
}
