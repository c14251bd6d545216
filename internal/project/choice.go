package project

import (
	"slices"

	"github.com/org/hsnap-action/internal/hetzner"
	"github.com/org/hsnap-action/internal/labels"
)

// Choice is which snapshot of a server the user means.
type Choice struct {
	Image          int64 // an image's ID; 0 for the newest snapshot of the series whose verification has not failed
	OnlyIfVerified bool  // of those that a verification has proved
}

// Latest returns the snapshot that is meant where no ID says so; without one the ID is 0.
func (c Choice) Latest(snapshots []hetzner.Image) hetzner.Image {
	return Newest(slices.DeleteFunc(slices.Clone(snapshots), func(image hetzner.Image) bool {
		_, verified := labels.VerifiedAt(image)
		return labels.FailedVerification(image) || c.OnlyIfVerified && !verified
	}))
}

// Newest returns the newest of the images; without one the ID is 0.
func Newest(images []hetzner.Image) (newest hetzner.Image) {
	for _, image := range images {
		if image.NewerThan(newest) {
			newest = image
		}
	}
	return newest
}
