package verify

import (
	"cmp"
	"math"
	"slices"
	"time"

	"github.com/org/hsnap-action/internal/copies"
	"github.com/org/hsnap-action/internal/hetzner"
	"github.com/org/hsnap-action/internal/labels"
	"github.com/org/hsnap-action/internal/project"
	"github.com/org/hsnap-action/internal/snapshot"
)

// plan finds the snapshot of each server, and what is due: the servers that are unproven the longest first.
func (r *run) plan(servers []hetzner.Server, images []hetzner.Image) {
	var due []*verification
	for _, host := range servers {
		v := &verification{run: r, result: Result{Name: host.Name, Server: host, Choice: r.Images[host.Name]}}
		r.all = append(r.all, v)
		for _, image := range images { // of one series, or of all where images are named
			if at, verified := labels.VerifiedAt(image); verified && labels.Made(image, host.ID, image.Labels[labels.Series]) && at.After(v.proved) {
				v.proved = at
			}
		}
		v.result.Image = r.imageOf(host, images)
		if !r.date.IsZero() && v.result.Image.ID != 0 {
			v.result.Age = max(0, r.date.Sub(v.result.Image.Created))
		}
		switch {
		case v.result.Image.ID == 0:
			v.result.Status, v.result.Reason = snapshot.Failed, snapshot.NotFound
		case r.VerifiedWithin > 0 && !r.date.IsZero() && r.date.Sub(v.proved) < r.VerifiedWithin:
			v.result.Status, v.result.Reason, v.result.VerifiedAt = snapshot.Skipped, NotDue, v.proved
		default:
			due = append(due, v)
		}
	}
	slices.SortStableFunc(due, func(a, b *verification) int {
		return cmp.Or(a.proved.Compare(b.proved), cmp.Compare(a.result.Name, b.result.Name))
	})
	for i, v := range due {
		if r.AtMost > 0 && i >= r.AtMost {
			v.result.Status, v.result.Reason = snapshot.Skipped, NotDue
		}
	}
}

// imageOf returns the snapshot of a server that is verified; without one the ID is 0. The newest one of a selection may have
// failed before, unlike the latest that restore would take as well.
func (r *run) imageOf(host hetzner.Server, images []hetzner.Image) hetzner.Image {
	choice, named := r.Images[host.Name]
	if choice.Image != 0 { // of whatever series
		for _, image := range images {
			if image.ID == choice.Image && labels.IsUsable(image, host.ID, image.Labels[labels.Series]) {
				return image
			}
		}
		return hetzner.Image{}
	}
	usable := labels.Usable(images, host.ID, r.Series)
	if named {
		return choice.Latest(usable)
	}
	return project.Newest(usable)
}

// price finds the server type of each copy, and what all of them may cost. Every begun hour counts whole.
func (r *run) price(read project.Reader) error {
	if !slices.ContainsFunc(r.all, func(v *verification) bool { return v.result.Status == "" }) {
		return nil
	}
	types, err := read.ServerTypes()
	if err != nil {
		return err
	}
	prices, err := read.Prices()
	if err != nil {
		return err
	}
	r.outcome.Currency = prices.Currency
	most := hours(r.CreateTimeout + r.BootTimeout + keptFor)
	for _, v := range r.all {
		if v.result.Status != "" {
			continue
		}
		hour, ok := r.chooseType(v, types)
		address, priced := prices.Addresses[r.addressType()][v.result.Server.Location]
		if !ok || !priced && r.Proof.Port != 0 { // an IPv6 costs nothing
			v.result.Status, v.result.Reason = Inconclusive, NoCapacity
			continue
		}
		v.copy = copies.Copy{Name: copies.Name(v.result.Image.ID), Request: labels.Random(r.Rand), Refused: r.TellRefused(v.result.Name)}
		v.result.Copy, v.result.HourCost = v.copy.Name, hour+address
		v.result.MostCost = most * v.result.HourCost
		r.outcome.PlannedCost += v.result.MostCost
	}
	return nil
}

// hours is how many hours a span costs.
func hours(span time.Duration) float64 { return math.Ceil(span.Hours()) }

// addressType is the type of a copy's address.
func (r *run) addressType() string {
	if r.Proof.Port == 0 {
		return "ipv6"
	}
	return "ipv4"
}

// chooseType chooses the type of a copy, and returns what an hour of it costs in the server's location; false where there is
// none that fits.
func (r *run) chooseType(v *verification, types []hetzner.ServerType) (hour float64, ok bool) {
	host, image := v.result.Server, v.result.Image
	wanted := r.ServerType
	if wanted == SameType {
		wanted = host.Type
	}
	v.result.Type = wanted
	for _, t := range types {
		price, sold := t.Hourly[host.Location]
		fits := sold && t.Architecture == image.Architecture && float64(t.DiskGB) >= image.DiskGB
		switch {
		case !fits, r.ServerType == CheapestType && t.Unavailable[host.Location]:
		case r.ServerType == CheapestType && (!ok || price < hour), t.Name == wanted:
			v.result.Type, hour, ok = t.Name, price, true
		}
	}
	return hour, ok
}
