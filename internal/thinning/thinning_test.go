package thinning_test

import (
	"testing"
	"time"

	"github.com/org/hsnap-action/internal/hetzner"
	"github.com/org/hsnap-action/internal/labels"
	"github.com/org/hsnap-action/internal/retention"
	"github.com/org/hsnap-action/internal/thinning"
)

var now = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// snapshotOf returns a snapshot that may be deleted, changed in one way.
func snapshotOf(id int64, age time.Duration, change func(*hetzner.Image)) hetzner.Image {
	image := hetzner.Image{
		ID: id, Type: "snapshot", Status: "available", Created: now.Add(-age), CreatedFrom: 7,
		Labels: map[string]string{labels.ServerID: "7", labels.Series: "nightly"},
	}
	change(&image)
	return image
}

// Nothing is a candidate that is not certainly an old snapshot of this program's own.
func TestCandidates(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*hetzner.Image)
		want   int
	}{
		"its own":            {func(*hetzner.Image) {}, 1},
		"of unknown age":     {func(i *hetzner.Image) { i.Created = time.Time{} }, 0},
		"protected":          {func(i *hetzner.Image) { i.Protected = true }, 0},
		"still being made":   {func(i *hetzner.Image) { i.Status = "creating" }, 0},
		"no snapshot":        {func(i *hetzner.Image) { i.Type = "backup" }, 0},
		"of another series":  {func(i *hetzner.Image) { i.Labels[labels.Series] = "weekly" }, 0},
		"of another server":  {func(i *hetzner.Image) { i.CreatedFrom = 8 }, 0},
		"labelled for it":    {func(i *hetzner.Image) { i.Labels[labels.ServerID] = "8" }, 0},
		"of no known server": {func(i *hetzner.Image) { i.CreatedFrom = 0 }, 0},
	} {
		if got := thinning.Candidates([]hetzner.Image{snapshotOf(1, time.Hour, test.change)}, 7, "nightly"); len(got) != test.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// Only a label that tells a time says that a snapshot was verified, as everywhere else.
func TestDecideVerified(t *testing.T) {
	labelled := func(value string) func(*hetzner.Image) {
		return func(i *hetzner.Image) { i.Labels[labels.Verified] = value }
	}
	plan := thinning.Decide(retention.Policy{Last: 1}, []hetzner.Image{
		snapshotOf(1, 2*time.Hour, func(*hetzner.Image) {}),
		snapshotOf(2, 24*time.Hour, labelled("false")),
		snapshotOf(3, 48*time.Hour, labelled("2026-11-21T020000Z")),
	}, now, labels.Run{}, 0)
	for i, keep := range []bool{true, false, true} {
		if plan[i].Keep != keep {
			t.Errorf("%+v, want keep=%v", plan[i], keep)
		}
	}
}
