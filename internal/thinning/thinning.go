// Package thinning deletes the old snapshots of a server that a policy does not keep.
//
// Nobody gets a deleted snapshot back. What may be deleted at all is decided here, once for every command: only what a
// complete listing shows to be this program's own, of the same server and the same series, available and unprotected. When
// that may be done is decided by the command. The package writes no text.
package thinning

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/org/hsnap-action/internal/fleet"
	"github.com/org/hsnap-action/internal/hetzner"
	"github.com/org/hsnap-action/internal/labels"
	"github.com/org/hsnap-action/internal/retention"
)

const (
	// AtOnce is how many deletions a run may have under way.
	AtOnce = 5
	// deleteLimit is how long a deletion is tried while Hetzner refuses it for now or its answer is lost: to delete twice
	// is as to delete once.
	deleteLimit = 30 * time.Second
)

// Snapshot is what becomes of one snapshot of a server.
type Snapshot struct {
	retention.Decision
	SizeGB  float64
	Deleted bool
}

// Candidates returns the snapshots that this program has made of a server in a series, that can be used, are not protected,
// and whose age is known.
func Candidates(images []hetzner.Image, server int64, series string) []hetzner.Image {
	return slices.DeleteFunc(labels.Usable(images, server, series), func(image hetzner.Image) bool {
		return image.Protected || image.Created.IsZero()
	})
}

// Decide has a policy decide about candidates, the newest first. Its rules count back from ref. Snapshots
// of the run's other attempts are spared; own is the ID of the one that this attempt has made, 0 for none. An image without an ID is planned: it counts, and is left out.
func Decide(policy retention.Policy, candidates []hetzner.Image, ref time.Time, run labels.Run, own int64) (plan []Snapshot) {
	images := make([]retention.Image, len(candidates))
	sizes := map[int64]float64{}
	for i, image := range candidates {
		_, verified := labels.VerifiedAt(image)
		images[i] = retention.Image{
			ID: image.ID, Created: image.Created, SameRun: image.ID != own && run.Made(image),
			LeftOff:  image.ID != own && image.Labels[labels.Power] == labels.PowerPending,
			Verified: verified, VerifyFailed: labels.FailedVerification(image),
		}
		sizes[image.ID] = image.SizeGB
	}
	for _, decision := range policy.Decide(images, ref) {
		if decision.ID != 0 {
			plan = append(plan, Snapshot{Decision: decision, SizeGB: sizes[decision.ID]})
		}
	}
	return plan
}

// Out deletes what a plan does not keep, the oldest first, until the run is ending, each in one of the places for deletions
// under way. It records in the plan what is deleted, and calls done after each deletion that was tried to its end, with why it
// failed or nil. A failure whose verdict is [hetzner.Lost] says that the snapshot may be deleted or not.
func Out(s *fleet.Script, api *hetzner.Client, places *fleet.Slots, plan []Snapshot, done func(image int64, failure *hetzner.Error)) {
	for i := range slices.Backward(plan) {
		if plan[i].Keep || s.Take(places, nil) != nil {
			continue
		}
		deleted, failure := remove(s, api, plan[i].ID)
		places.Give()
		plan[i].Deleted = deleted
		if deleted || failure != nil {
			done(plan[i].ID, failure)
		}
	}
}

// remove deletes a snapshot. One that does not exist any more is deleted. Without an error and not deleted it was not
// tried to the end, since the run is ending.
func remove(s *fleet.Script, api *hetzner.Client, image int64) (deleted bool, failure *hetzner.Error) {
	send := s.Send
	var lost *hetzner.Error // an answer: the snapshot may be deleted, whatever is answered after that
	again := func(failure *hetzner.Error) bool {
		if failure.Verdict == hetzner.Lost {
			lost = failure
		}
		send = s.Poll // the next tries keep to the budget
		return failure.Unsettled()
	}
	err := s.Persist(s.Now().Add(deleteLimit), again, func() error {
		return send(func(ctx context.Context) (hetzner.Quota, error) { return api.DeleteImage(ctx, image) })
	})
	failure, _ = errors.AsType[*hetzner.Error](err)
	switch {
	case err == nil, failure != nil && failure.Code == hetzner.CodeNotFound:
		return true, nil
	case failure != nil && failure.Verdict == hetzner.TokenRefused:
		return false, lost
	}
	return false, cmp.Or(lost, failure)
}
