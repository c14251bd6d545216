package snapshot

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/org/hsnap-action/internal/hetzner"
	"github.com/org/hsnap-action/internal/retention"
)

// Nobody gets a deleted snapshot back. This file deletes only what a complete listing shows to be this action's own,
// of the same server and the same series, available and unprotected; only after that listing shows the server's new
// snapshot available too; and never after a failure or a cancel.

const (
	// thinAgain is the pause before a listing that failed is begun again, thinLimit how long that goes on.
	thinAgain = 5 * time.Second
	thinLimit = 5 * time.Minute
	// deletesMost is how many deletions may be under way at once, deleteTries how often each is tried.
	deletesMost = 5
	deleteTries = 4
)

// The states of thinning out.
const (
	noThinning thinningState = iota // not yet, or never
	listing                         // a complete listing is awaited
	deleting
	thinned // final
)

// Thinned is what became of one snapshot of a server.
type Thinned struct {
	retention.Decision
	SizeGB  float64
	Deleted bool
}

// pruning is what a target knows of its thinning out.
type pruning struct {
	began  time.Time      // when its first listing was asked for; zero while it waits for one
	since  time.Time      // a listing that began before does not count
	due    time.Time      // when the next listing is due
	before bool           // it makes room for the new snapshot, which does not exist yet
	err    *hetzner.Error // why its last listing failed; nil when it came, and lacked the new snapshot
	barren bool           // there is nothing to be deleted before the new snapshot exists
	room   bool           // a deletion has made room for this target's next create

	queue []int64                  // images to delete, the oldest first
	under int64                    // the image whose deletion is under way
	again time.Time                // no deletion before
	tries map[int64]int            // deletions that were refused for now, or lost
	lost  map[int64]*hetzner.Error // images whose deletion was lost, and that nobody has seen gone since
}

// prune begins to thin a server's snapshots out.
func (f *fleet) prune(t *target, before bool, now time.Time) {
	t.thinning = listing
	t.prune = pruning{since: now, due: now, before: before, barren: t.prune.barren}
	t.prune.tries, t.prune.lost = map[int64]int{}, map[int64]*hetzner.Error{}
}

// thinLook lists all snapshots of some servers in this run's series.
func (f *fleet) thinLook() (candidate, bool) {
	look := &f.looks.thin
	if look.under {
		return candidate{}, false
	}
	if look.listing != nil {
		return candidate{due: look.next, send: f.listSeries, yield: lookGap}, true
	}
	var waiting []*target
	for _, t := range f.targets {
		if t.thinning == listing {
			waiting = append(waiting, t)
		}
	}
	if len(waiting) == 0 {
		return candidate{}, false
	}
	slices.SortStableFunc(waiting, func(a, b *target) int { return a.prune.due.Compare(b.prune.due) })
	return candidate{due: waiting[0].prune.due, send: func(now time.Time) request {
		look.covers = waiting[:min(len(waiting), lookWidth)]
		look.listing, look.began = &hetzner.Listing[hetzner.Image]{}, now
		ids := make([]string, len(look.covers))
		for i, t := range look.covers {
			t.prune.due = now.Add(thinAgain)
			if t.prune.began.IsZero() {
				t.prune.began = now
			}
			ids[i] = strconv.FormatInt(t.server.ID, 10)
		}
		look.selector = fmt.Sprintf("%s=%s,%s in (%s)", LabelSeries, f.settings.Series, LabelServer, strings.Join(ids, ","))
		return f.listSeries(now)
	}}, true
}

func (f *fleet) listSeries(time.Time) request {
	look := &f.looks.thin
	look.under = true
	return request{op: opListSeries, selector: look.selector, page: look.listing.Next()}
}

// seriesListed takes in a page of that listing. A listing that is not whole decides nothing.
func (f *fleet) seriesListed(a answer, failure *hetzner.Error, now time.Time) {
	look := &f.looks.thin
	list := look.listing
	look.under, look.next = false, now
	whole := false
	if failure == nil {
		var err error
		if whole, err = list.Add(a.images); err != nil {
			failure = hetzner.AsError(err)
		}
	}
	if !whole && failure == nil {
		return
	}
	look.listing = nil
	for _, t := range look.covers {
		if t.prune.err = failure; failure != nil {
			continue
		}
		if t.thinning == listing && !look.began.Before(t.prune.since) {
			f.thin(t, list.Items, a.images.At, now)
		}
	}
}

// ours reports whether an image may be thinned out at all: it is this action's, of this server and this series,
// available and not protected.
func (f *fleet) ours(t *target, image hetzner.Image) bool {
	return image.Type == "snapshot" && image.Available() && !image.Protected && made(image, t.server.ID, f.settings.Series)
}

// made reports whether this action has made an image of a server in a series: its labels say so, and Hetzner agrees.
func made(image hetzner.Image, server int64, series string) bool {
	return server != 0 && image.CreatedFrom == server && image.Labels[LabelServer] == strconv.FormatInt(server, 10) &&
		image.Labels[LabelSeries] == series
}

// kin reports whether an image was made by another attempt of the same workflow run.
func (f *fleet) kin(image hetzner.Image) bool {
	run := image.Labels[LabelRun]
	return f.settings.RunFamily != "" && (run == f.settings.RunFamily || strings.HasPrefix(run, f.settings.RunFamily+"-"))
}

// thin decides by a complete listing which of a server's snapshots go. At is the time of the listing by Hetzner's
// clock, for a dry run, whose new snapshot does not exist.
func (f *fleet) thin(t *target, all []hetzner.Image, at, now time.Time) {
	var images []retention.Image
	sizes := map[int64]float64{}
	var ref time.Time
	for _, image := range all {
		if image.ID == t.result.ImageID && image.Available() && !t.prune.before {
			ref = image.Created
		}
		if f.ours(t, image) {
			own := image.ID == t.result.ImageID
			images = append(images, retention.Image{ID: image.ID, Created: image.Created, Kin: !own && f.kin(image)})
			sizes[image.ID] = image.SizeGB
		}
	}
	switch {
	case f.settings.DryRun && !t.result.Reused:
		ref = at
		if ref.IsZero() {
			ref = now
		}
		images = append(images, retention.Image{Created: ref}) // the one that would be made
	case t.prune.before:
		for _, image := range images {
			ref = latest(ref, image.Created)
		}
	case ref.IsZero():
		return // the listing does not show the new snapshot; it is not the whole truth
	}

	f.settleDeletions(t, all, now)
	t.prune.queue = nil
	gone := slices.DeleteFunc(t.result.Thinned, func(d Thinned) bool { return !d.Deleted })
	t.result.Thinned = nil
	for _, d := range f.settings.Retention.Decide(images, ref) {
		if d.ID == 0 {
			continue
		}
		t.result.Thinned = append(t.result.Thinned, Thinned{Decision: d, SizeGB: sizes[d.ID]})
		if !d.Keep && t.prune.tries[d.ID] < deleteTries {
			t.prune.queue = append(t.prune.queue, d.ID)
		}
	}
	first := len(t.prune.tries) == 0
	plan := slices.Clone(t.result.Thinned)
	t.result.Thinned = append(t.result.Thinned, gone...)
	slices.Reverse(t.prune.queue)
	if first && (len(plan) > 1 || len(t.prune.queue) > 0 || f.settings.DryRun && len(plan) > 0) {
		f.tellOf(t, Event{Kind: EventThinning, Thinned: plan}, now)
	}
	if f.settings.DryRun {
		t.prune.queue = nil
	}
	t.thinning = deleting
	f.pruned(t, now)
}

// settleDeletions takes from a complete listing which deletions have happened although their answers were lost.
func (f *fleet) settleDeletions(t *target, all []hetzner.Image, now time.Time) {
	for _, id := range slices.Sorted(maps.Keys(t.prune.lost)) {
		if !slices.ContainsFunc(all, func(i hetzner.Image) bool { return i.ID == id }) {
			f.noteDeleted(t, id, now)
		}
	}
}

// noteDeleted notes that an image is gone, which makes room for one snapshot.
func (f *fleet) noteDeleted(t *target, id int64, now time.Time) {
	for i := range t.result.Thinned {
		if t.result.Thinned[i].ID == id {
			t.result.Thinned[i].Deleted = true
		}
	}
	delete(t.prune.lost, id)
	f.tellOf(t, Event{Kind: EventDeleted, ImageID: id}, now)
	f.freed(now)
}

// pruned ends the thinning when nothing is left to delete. One that made room is over for now: the real one follows
// the new snapshot.
func (f *fleet) pruned(t *target, now time.Time) {
	if t.thinning != deleting || len(t.prune.queue) > 0 || t.prune.under != 0 {
		return
	}
	before := t.prune.before
	f.endThinning(t, now)
	if before {
		t.thinning, t.prune.barren = noThinning, true
	}
}

// endThinning ends a thinning for good, and tells of the deletions whose outcome nobody has seen.
func (f *fleet) endThinning(t *target, now time.Time) {
	p := &t.prune
	if p.under != 0 {
		p.lost[p.under] = &hetzner.Error{Message: "no answer came before the end"}
	}
	for _, id := range slices.Sorted(maps.Keys(p.lost)) {
		f.tellOf(t, Event{Kind: EventNotDeleted, ImageID: id, Err: p.lost[id]}, now)
	}
	p.queue, p.under, p.lost = nil, 0, nil
	t.thinning = thinned
}

// deletions returns the deletions to send now.
func (f *fleet) deletions(now time.Time) []request {
	if f.ending() {
		return nil
	}
	under := 0
	for _, t := range f.targets {
		if t.prune.under != 0 {
			under++
		}
	}
	var requests []request
	for _, t := range f.targets {
		p := &t.prune
		if t.thinning != deleting || p.under != 0 || len(p.queue) == 0 || p.again.After(now) || under >= deletesMost {
			continue
		}
		p.under, p.queue = p.queue[0], p.queue[1:]
		under++
		requests = append(requests, request{op: opDelete, server: t.server.ID, imageID: p.under, began: now})
	}
	return requests
}

// deleted takes in the answer to a deletion.
func (f *fleet) deleted(a answer, failure *hetzner.Error, now time.Time) {
	t := f.target(a.server)
	if t == nil || t.prune.under != a.imageID {
		return
	}
	p := &t.prune
	p.under = 0
	switch {
	case failure == nil, failure.Code == hetzner.CodeNotFound:
		f.noteDeleted(t, a.imageID, now)
	case failure.Verdict == hetzner.TokenRefused: // expire ends it with all others
	case t.thinning != deleting: // the run is over
	case failure.Verdict == hetzner.Lost:
		p.tries[a.imageID]++
		p.lost[a.imageID] = failure
		p.queue, p.since, p.due = nil, now, now
		t.thinning = listing
	case failure.Verdict == hetzner.NotNow || failure.Verdict == hetzner.NotSent:
		if p.tries[a.imageID]++; p.tries[a.imageID] < deleteTries {
			p.again = now.Add(retryAfter(p.tries[a.imageID]))
			p.queue = slices.Insert(p.queue, 0, a.imageID)
			return
		}
		f.notDeleted(t, a.imageID, failure, now)
	default:
		f.notDeleted(t, a.imageID, failure, now)
	}
	f.pruned(t, now)
}

// notDeleted tells that an image stays; unless an earlier try was lost, which tells of itself in the end.
func (f *fleet) notDeleted(t *target, id int64, failure *hetzner.Error, now time.Time) {
	if t.prune.lost[id] == nil {
		f.tellOf(t, Event{Kind: EventNotDeleted, ImageID: id, Err: failure}, now)
	}
}

// freed lets the server be asked for again that waits for room the longest: one deletion, one try.
func (f *fleet) freed(now time.Time) {
	if t := f.firstFull(func(*target) bool { return true }); t != nil {
		t.snapshot, t.prospect, t.queued, t.prune.room = waiting, good, now, true
	}
}

func (f *fleet) firstFull(fit func(*target) bool) *target {
	var first *target
	for _, t := range f.targets {
		if t.snapshot == full && fit(t) && (first == nil || t.queued.Before(first.queued)) {
			first = t
		}
	}
	return first
}

// fill notes that the project has no room for a target's snapshot.
func (f *fleet) fill(t *target, failure *hetzner.Error, now time.Time) {
	t.result.Err = failure
	t.prune.room = false
	t.snapshot, t.queued = full, now
	t.lock.stop(now) // room is nothing that Hetzner keeps back
	f.letUp(t, now)
	if !f.settings.Retention.Empty() {
		f.tellOf(t, Event{Kind: EventFull, Err: failure}, now)
	}
}

// findRoom decides what becomes of the servers for whose snapshots the project has no room. While others may still
// free some they wait. Then, as the one exception to "the new snapshot first", what the policy deletes even without
// a new snapshot may go. When that is nothing, they fail.
func (f *fleet) findRoom(now time.Time) {
	if !f.some(full) || f.ending() || !f.settings.Retention.Empty() && slices.ContainsFunc(f.targets, f.mayFree) {
		return
	}
	if !f.settings.Retention.Empty() {
		if t := f.firstFull(func(t *target) bool { return !t.prune.barren }); t != nil {
			f.prune(t, true, now)
			return
		}
	}
	for _, t := range f.targets {
		if t.snapshot == full {
			f.finish(t, Failed, LimitExceeded, now)
			f.halt(LimitExceeded, t.result.Err)
		}
	}
}

// mayFree reports whether a target may still free room: it is thinning out, or may come to it.
func (f *fleet) mayFree(t *target) bool {
	switch t.thinning {
	case listing, deleting:
		return true
	case noThinning, thinned:
	}
	switch t.snapshot {
	case finished, full, naming:
		return false
	case waiting:
		return !f.mustStop(t) || t.prune.room || t.power != untouched && t.power != restored
	case locked, asked, lost, clearing, creating, confirming, protecting:
	}
	return true
}

// expireThinning ends a thinning that can't go on.
func (f *fleet) expireThinning(t *target, now time.Time) {
	over := !f.cancelled.IsZero() && (t.prune.under == 0 || now.Sub(f.cancelled) >= cancelAsked) ||
		f.token != nil && t.prune.under == 0
	switch t.thinning {
	case listing:
		if over {
			f.endThinning(t, now)
			return
		}
		if t.prune.began.IsZero() || now.Before(t.prune.began.Add(thinLimit)) {
			return
		}
		f.tellOf(t, Event{Kind: EventNotThinned, Err: t.prune.err}, now)
		t.prune.queue = nil
		t.thinning = deleting
		f.pruned(t, now)
	case deleting:
		if over {
			f.endThinning(t, now)
		}
	case noThinning, thinned:
	}
}

// wakeThinning tells when something is due in a target's thinning region. Listings are looks, and wake by themselves.
func (f *fleet) wakeThinning(t *target, sooner func(time.Time)) {
	sooner(t.prune.again)
	if t.thinning == listing && !t.prune.began.IsZero() {
		sooner(t.prune.began.Add(thinLimit))
	}
}
