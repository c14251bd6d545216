package hcloudsim

import (
	"cmp"
	"maps"
	"time"

	"github.com/hetznercloud/hcloud-go/v2/hcloud/schema"
)

// image is an image of the project.
type image struct {
	Image
	copy   CopyBehaviour
	copies int // how many servers were created from it
}

func (p *project) addImage(spec Image) *image {
	_, taken := p.images[spec.ID]
	spec.ID = takeID("image", spec.ID, &p.nextImage, taken)
	spec.Type = cmp.Or(spec.Type, "snapshot")
	spec.Status = cmp.Or(spec.Status, "available")
	spec.Labels = maps.Clone(orEmpty(spec.Labels))
	if spec.Created.IsZero() {
		spec.Created = p.now
	}
	spec.Created = wall(spec.Created).Truncate(time.Second)
	if !spec.Deprecated.IsZero() {
		spec.Deprecated = wall(spec.Deprecated).Truncate(time.Second)
	}
	img := &image{Image: spec}
	if spec.Copy != nil {
		img.copy = *spec.Copy
	}
	if s := p.servers[spec.ServerID]; s != nil {
		if spec.Copy == nil {
			img.copy.Guest = s.Guest
		}
		img.ServerName = cmp.Or(img.ServerName, s.Name)
		img.Architecture = cmp.Or(img.Architecture, s.architecture())
		img.DiskGB = cmp.Or(img.DiskGB, s.PrimaryDiskGB)
	}
	img.Architecture = cmp.Or(img.Architecture, "x86")
	img.DiskGB = cmp.Or(img.DiskGB, 40)
	p.images[img.ID] = img
	return img
}

func (p *project) sortedImages() []*image { return sortedValues(p.images) }

// oldestImageBut returns the ID of the oldest image beside img, of img where
// there is no other.
func (p *project) oldestImageBut(img *image) int64 {
	for _, other := range p.sortedImages() {
		if other != img {
			return other.ID
		}
	}
	return img.ID
}

// snapshots counts what Hetzner's limit counts.
func (p *project) snapshots() int {
	n := 0
	for _, img := range p.images {
		if img.Type == "snapshot" {
			n++
		}
	}
	return n
}

func (img *image) deprecated() bool { return !img.Deprecated.IsZero() }

// unavailableAfter is when a deprecated image can no longer be used.
func (img *image) unavailableAfter() time.Time { return lastDay(img.Deprecated) }

// lastDay is when what was deprecated is withdrawn.
func lastDay(announced time.Time) time.Time { return announced.AddDate(0, 0, 90) }

// withdrawn reports whether the image's deprecation has run out: it is in no
// listing any more, and nothing can be made from it.
func (img *image) withdrawn(now time.Time) bool {
	return img.deprecated() && !now.Before(img.unavailableAfter())
}

// dropped hides a field of hcloud-go's schema that the API no longer sends.
type dropped = *struct{}

// imageJSON is an image as the API shows it.
type imageJSON struct {
	schema.Image
	Deprecated dropped `json:"deprecated,omitempty"`
}

func (img *image) show() imageJSON {
	s := schema.Image{
		ID:           img.ID,
		Status:       img.Status,
		Type:         img.Type,
		Description:  img.Description,
		DiskSize:     float32(img.DiskGB),
		Created:      new(img.Created),
		OSFlavor:     "ubuntu",
		OSVersion:    new("24.04"),
		Architecture: img.Architecture,
		RapidDeploy:  img.Type == "system",
		Protection:   schema.ImageProtection{Delete: img.Protected},
		Labels:       img.Labels,
	}
	if img.deprecated() {
		s.Deprecation = &schema.DeprecationInfo{Announced: img.Deprecated, UnavailableAfter: img.unavailableAfter()}
	}
	if img.Name != "" {
		s.Name = new(img.Name)
	}
	if img.SizeGB != 0 {
		s.ImageSize = new(img.SizeGB)
	}
	if img.ServerID != 0 {
		s.CreatedFrom = &schema.ImageCreatedFrom{ID: img.ServerID, Name: img.ServerName}
		if img.Type == "backup" {
			s.BoundTo = new(img.ServerID)
		}
	}
	return imageJSON{Image: s}
}

const systemImageName = "ubuntu-24.04"

// systemImage is the image that servers were made from. It is part of every
// server and, to keep the listings of a test its own, of no listing.
func systemImage(architecture string) *image {
	return &image{Image: Image{
		ID:           161547269,
		Type:         "system",
		Status:       "available",
		Name:         systemImageName,
		Description:  "Ubuntu 24.04",
		Labels:       map[string]string{},
		Architecture: architecture,
		Created:      time.Date(1999, 4, 25, 13, 26, 27, 0, time.UTC),
		DiskGB:       5,
	}}
}

// own reports whether the image belongs to the project, not to Hetzner.
func (img *image) own() bool { return img.Type == "snapshot" || img.Type == "backup" }
