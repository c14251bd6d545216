package verify

import (
	"context"
	"maps"
	"time"

	"github.com/org/hsnap-action/internal/fleet"
	"github.com/org/hsnap-action/internal/hetzner"
	"github.com/org/hsnap-action/internal/labels"
)

// markFor is how long it may take to write a result on an image.
const markFor = 5 * time.Minute

// mark writes on the image what came of its verification: its labels are read, those of a verification are changed, all are
// written, so that those of others stay, and they are read back. Those that Hetzner has taken are written, whether or not
// that could be seen before the end of the run.
func (v *verification) mark(verified bool) error {
	at := v.hetznerTime()
	again := (*hetzner.Error).Unsettled
	taken := false
	err := v.Persist(v.Now().Add(markFor), again, func() error {
		old, changed, err := v.readLabels(verified, at)
		if err != nil || maps.Equal(old, changed) {
			return err
		}
		taken = false
		err = v.Send(func(ctx context.Context) (hetzner.Quota, error) {
			return v.API.SetLabels(ctx, v.result.Image.ID, changed)
		})
		if err != nil {
			v.result.MayShow = v.result.MayShow || hetzner.IsLost(err)
			return err
		}
		taken = true
		if old, changed, err = v.readLabels(verified, at); err == nil && !maps.Equal(old, changed) {
			taken, err = false, &hetzner.Error{Message: "the image does not show the labels that were written", Verdict: hetzner.NotNow}
		}
		return err
	})
	if taken {
		return nil
	}
	return err
}

// readLabels reads the image's labels, and returns them as they are and as they should be.
func (v *verification) readLabels(verified bool, at time.Time) (old, changed map[string]string, err error) {
	image, err := fleet.Read(v.Poll, func(ctx context.Context) (hetzner.Image, hetzner.Quota, error) {
		return v.API.Image(ctx, v.result.Image.ID)
	})
	return image.Labels, labels.Judged(image.Labels, verified, v.ProofLabel, at), err
}
