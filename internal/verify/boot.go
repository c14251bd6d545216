package verify

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/org/hsnap-action/internal/fleet"
	"github.com/org/hsnap-action/internal/hetzner"
	"github.com/org/hsnap-action/internal/snapshot"
)

// switchOn has the copy switched on. To ask twice is as to ask once.
func (v *verification) switchOn() error {
	v.phase = snapshot.PhaseProving
	limit := v.Now().Add(startedWithin)
	again := (*hetzner.Error).Unsettled
	err := v.Persist(limit, again, func() error {
		var action int64
		err := v.Change(fleet.Change{Rank: fleet.Unlocked, Limit: limit, Send: func(ctx context.Context) (quota hetzner.Quota, err error) {
			action, quota, err = v.API.PowerOn(ctx, v.copy.ID)
			return quota, err
		}})
		if err == nil { // else the request may still be under way
			v.startAction = action
		}
		return err
	})
	failure, refused := errors.AsType[*hetzner.Error](err)
	switch {
	case refused && failure.Verdict == hetzner.TokenRefused, err != nil && !refused && !errors.Is(err, fleet.ErrTimeout):
		return err
	case err != nil && !hetzner.IsLost(err):
		return v.inconclusive(snapshot.Refused, failure)
	}
	v.started, v.startLost = v.Sent, failure
	return nil
}

// prove waits until the copy answers. Only where it does not, or need not, Hetzner is asked whether it runs.
func (v *verification) prove() (err error) {
	limit := v.started.Add(v.BootTimeout)
	if v.Proof.Port == 0 {
		if err := v.seeRunning(limit); err != nil {
			return err
		}
		v.result.Proof = "running"
	} else {
		address := v.Proof.On(v.host)
		v.tell(Event{Kind: EventProving, Address: address})
		if v.result.Seen, err = v.Proof.Await(v.Script, v.Dial, address, limit); err != nil {
			return err
		}
		if v.result.Proof == "" {
			return cmp.Or(v.seeRunning(limit), snapshot.Failed.Because(NotProven))
		}
	}
	v.result.BootTook = v.Now().Sub(v.started)
	return nil
}

// seeRunning waits until a poll shows the copy running. The first one that begins after the limit decides.
func (v *verification) seeRunning(limit time.Time) error {
	gone, running := false, false
	err := v.Watch(v.copy.Want()).Until(pollEvery, fleet.Latest(limit, v.Now()).Add(seenWithin), func(seen fleet.Seen) bool {
		seen, err := v.copy.Confirmed(v.Script, seen)
		if err != nil {
			return false
		}
		gone = seen.Missing
		running = !gone && seen.Server.Status == hetzner.StatusRunning
		return gone || running || !seen.Began.Before(limit)
	})
	switch {
	case errors.Is(err, fleet.ErrTimeout):
		return v.unseen(snapshot.UnknownOutcome)
	case err != nil:
		return err
	case gone: // which says nothing about the snapshot: somebody has deleted the copy
		return Inconclusive.Because(snapshot.UnknownOutcome)
	case !running && v.startLost != nil: // nothing says that Hetzner has got the request
		return v.inconclusive(snapshot.Refused, v.startLost)
	case !running:
		return v.neverRan()
	}
	v.result.Ran = true
	return nil
}

// neverRan says what it means that a copy does not run: nothing about the snapshot, where Hetzner has failed to switch it on.
func (v *verification) neverRan() error {
	if v.startAction == 0 {
		return snapshot.Failed.Because(NotProven)
	}
	seen, err := v.Watch(fleet.Action(v.startAction)).Next(0, v.Now().Add(seenWithin))
	switch {
	case errors.Is(err, fleet.ErrTimeout):
		return v.unseen(snapshot.UnknownOutcome)
	case err != nil:
		return err
	case seen.Action != nil && !seen.Action.Running() && !seen.Action.Succeeded():
		v.result.Action = seen.Action
		return Inconclusive.Because(snapshot.Refused)
	}
	return snapshot.Failed.Because(NotProven)
}
