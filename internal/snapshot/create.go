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
)

const (
	// actionLimit is how long the action of an adopted image is searched for.
	actionLimit = 10 * time.Second
	// actionApart is how far an action's start may be from the time at which its image was created.
	actionApart = time.Minute
)

// create asks for the server's snapshot. It returns nil when the snapshot exists; an [*hetzner.Error] when Hetzner has
// refused it; [ErrAgain] when the server's way begins again; otherwise how the way ends. Only a refusal
// in Hetzner's own words, or a request that was never sent, leads to another create without a proof.
func (s *server) create() error {
	if err := s.TakePlace(); err != nil {
		return err
	}
	image := s.newImage()
	var imageID, actionID int64
	s.deletionsSeen = s.deletions
	err := s.Ask(func(ctx context.Context) (quota hetzner.Quota, err error) {
		imageID, actionID, quota, err = s.API.CreateImage(ctx, s.Host.ID, image)
		return quota, err
	})
	if hetzner.IsLost(err) {
		return s.find(hetzner.AsError(err))
	}
	if err == nil {
		s.recordAccepted(imageID, actionID)
		s.tellOf(Event{Kind: EventAccepted, ImageID: imageID, ActionID: actionID})
	}
	return err
}

// newImage returns what the snapshot is asked for with.
func (s *server) newImage() hetzner.NewImage {
	s.Result.PowerState = "" // Hetzner has statuses for being on the way between the two
	if s.Host.Status == hetzner.StatusRunning || s.Host.Status == hetzner.StatusOff {
		s.Result.PowerState = s.Host.Status
	}
	if s.refusals == 0 {
		s.tellOf(Event{Kind: EventAsked})
	}
	image := hetzner.NewImage{Description: s.Result.Description, Labels: s.labelsOf(s.Host, s.Result.Request)}
	if s.off {
		image.Labels[labels.Power] = labels.PowerPending
		s.power.labelled = true
	}
	return image
}

// recordAccepted records that the server's image exists. The server needs to be off no longer.
func (s *server) recordAccepted(image, action int64) {
	s.lock.stop(s.Now())
	s.missing.stop(s.Now())
	s.Phase, s.progress, s.copied, s.accepted = PhaseCreating, 0, false, s.Now()
	s.Result.ImageID, s.Result.ActionID, s.Result.Err = image, action, nil // what was refused before is over
	s.power.release()
}

// find decides what became of a create whose answer was lost: its image is found and adopted, or it is proved that there is
// and will be none.
func (s *server) find(loss *hetzner.Error) error {
	s.tellOf(Event{Kind: EventLost, Err: loss})
	s.power.release()
	var image *hetzner.Image
	err := s.Find(loss, s.ownImage(), func(seen fleet.Seen) bool {
		image = s.own(seen.Images)
		return image != nil
	})
	if err != nil {
		return err
	}
	return s.adopt(image)
}

// adopt takes over the image of a lost create, and searches for its action once. Hetzner does not name the image in the
// action, so it is the create_image action of that server that started when the image was created. Without one the image
// alone says how it goes on.
func (s *server) adopt(image *hetzner.Image) error {
	if s.Result.PowerState == hetzner.StatusOff && s.power != nil && s.power.mayRun {
		s.Result.PowerState = "" // it was switched on since, perhaps before the create took effect
	}
	s.recordAccepted(image.ID, 0)
	s.tellOf(Event{Kind: EventAdopted, ImageID: image.ID})
	seen, err := s.Watch(fleet.ServerActions(s.Host.ID, "")).Next(0, s.Now().Add(actionLimit))
	if err != nil && !errors.Is(err, fleet.ErrTimeout) && !hetzner.IsNotFound(err) { // a snapshot outlives its server
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
	s.Result.ActionID = action.ID
	if action.Running() {
		return nil
	}
	return s.actionEnded(action)
}

// ownImage is the image that carries the label of this server's request. One that is taken over may have none.
func (s *server) ownImage() fleet.Want {
	if s.Result.Reused {
		return s.seriesImages()
	}
	return fleet.Images(labels.Request, s.Result.Request, "")
}

// seriesImages are the server's snapshots in the series.
func (s *server) seriesImages() fleet.Want {
	return fleet.Images(labels.ServerID, strconv.FormatInt(s.Host.ID, 10), labels.Series+"="+s.Series)
}

// own returns the server's image among those that carry its label, nil where there is none. Whatever image ID an answer
// named, the label says which image is the server's.
func (s *server) own(images []hetzner.Image) *hetzner.Image {
	var found *hetzner.Image
	for i, image := range images {
		if image.CreatedFrom != 0 && image.CreatedFrom != s.Host.ID || s.Result.Reused && image.ID != s.Result.ImageID {
			continue // somebody has copied the label; or it is another one of the series
		}
		if found == nil || image.ID == s.Result.ImageID {
			found = &images[i]
		}
	}
	return found
}
