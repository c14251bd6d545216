package action_test

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/org/hsnap-action/internal/hcloudsim"
)

// reporter is what a judgement is told to: a test, or the search for the simplest world that fails.
type reporter interface {
	Helper()
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// findings collects what a judge finds.
type findings []string

func (*findings) Helper() {}

func (f *findings) Errorf(format string, args ...any) { *f = append(*f, fmt.Sprintf(format, args...)) }

func (f *findings) Fatalf(format string, args ...any) { f.Errorf(format, args...) }

// judge holds the simulator's truth, and what the program could know, against what the program promises and says.
func judge(t reporter, w *world, p plan, r ran) {
	t.Helper()
	made := madeBy(w, p)
	for id, images := range made {
		if len(images) > 1 {
			t.Errorf("server %d has %d snapshots of this run: %v", id, len(images), images)
		}
	}
	judgeResults(t, w, p, r, made)
	judgeImages(t, p, r, made)
	// Each server may wait for the ones before it.
	perServer := 2*p.lockTimeout + p.snapshotTimeout + 25*time.Minute
	if r.took > p.lockTimeout+time.Duration(p.servers)*perServer {
		t.Errorf("the run took %s", r.took)
	}
	judgeCreates(t, p, r)
	judgeLost(t, r)
	judgeRoom(t, r)
	judgeWaits(t, p, r)
	judgePower(t, w, p, r)
	judgeDowntime(t, w, p, r)
	judgeMarks(t, w, p, r)
	judgeDeletions(t, w, p, r)
	judgeChanges(t, p, r)
}

// madeBy returns the images that a run has made, by server.
func madeBy(w *world, p plan) map[int64][]hcloudsim.Image {
	made := map[int64][]hcloudsim.Image{}
	for _, image := range w.cloud.Images() {
		if image.Labels["hsnap/run"] == p.run && p.old[image.ID].Labels == nil {
			made[image.ServerID] = append(made[image.ServerID], image)
		}
	}
	return made
}

// judgeResults fails where a status, a count, the result or the exit code does not follow from the truth.
func judgeResults(t reporter, w *world, p plan, r ran, made map[int64][]hcloudsim.Image) {
	t.Helper()
	var usableIDs []int64
	decode(t, r.outputs["image-ids"], &usableIDs)
	var failed, skipped, cancelled, planned, existing int
	for _, s := range r.snapshots(t) {
		if s.ServerID != nil {
			existing++
		}
		usable := s.ImageID != nil && slices.Contains(usableIDs, *s.ImageID)
		switch s.Status {
		case "planned":
			planned++
			if !p.dry {
				t.Errorf("%s is planned, and the run was no dry one", s.Name)
			}
		case "available", "creating":
			if !usable {
				t.Errorf("%s is %s, and its image %v is not among the usable ones", s.Name, s.Status, s.ImageID)
			}
		case "failed":
			failed++
		case "skipped":
			skipped++
		case "cancelled":
			cancelled++
		default:
			t.Errorf("%s has the status %q", s.Name, s.Status)
		}
		if (s.Reason == "") != (s.Status == "available" || s.Status == "creating" || s.Status == "planned") {
			t.Errorf("%s is %s with the reason %q", s.Name, s.Status, s.Reason)
		}
		if usable {
			judgeUsable(t, p, r, s, made)
		}
	}
	good := len(usableIDs) + planned
	want, code := "success", 0
	switch {
	case cancelled > 0 || r.code == 130:
		want, code = "cancelled", 130
	case r.selected.IsZero(), r.refusedToken():
		want, code = "failure", 3
		if good > 0 {
			want = "partial"
		}
	case existing == 0 && len(w.cloud.Servers()) == 0:
		want, code = "failure", 2
	case failed > 0 && good == 0:
		want, code = "failure", 1
	case failed > 0:
		want, code = "partial", 1
	case good == 0:
		want, code = "skipped", 0
	}
	if r.outputs["result"] != want || r.code != code {
		t.Errorf("result %q, exit %d; want %q, %d", r.outputs["result"], r.code, want, code)
	}
	for name, n := range map[string]int{"created-count": len(usableIDs), "failed-count": failed, "skipped-count": skipped} {
		if r.outputs[name] != strconv.Itoa(n) {
			t.Errorf("%s is %s, want %d", name, r.outputs[name], n)
		}
	}
}

// judgeUsable fails where an image that is said to be usable is not.
func judgeUsable(t reporter, p plan, r ran, s server, made map[int64][]hcloudsim.Image) {
	t.Helper()
	switch {
	case s.Reused:
		if !strings.HasPrefix(p.old[*s.ImageID].Labels["hsnap/run"], "8123456789-") {
			t.Errorf("%s reuses %v, which no attempt of this run has made", s.Name, *s.ImageID)
		}
	case s.Reason == "action_failed" && !slices.ContainsFunc(made[*s.ServerID], func(i hcloudsim.Image) bool { return i.ID == *s.ImageID }):
		// its create's answer has named another server's image, and no listing has shown which is its own
	case s.ServerID == nil, s.Status != "available" && s.Status != "creating" && s.Reason != "power_on_failed":
		t.Errorf("%s (%v) is %s (%s), and its image is told as usable", s.Name, s.ServerID, s.Status, s.Reason)
	case s.Status == "creating" && (p.failing[*s.ServerID] && len(made[*s.ServerID]) == 0 || r.misnamed(s, p, made)):
		// It failed after the run that did not wait for it, or nothing has shown the right ID.
	case len(made[*s.ServerID]) != 1 || made[*s.ServerID][0].ID != *s.ImageID:
		t.Errorf("%s is reported %s with image %v; made: %v", s.Name, s.Status, *s.ImageID, made)
	case s.Status != "creating" && made[*s.ServerID][0].Status != "available":
		t.Errorf("%s is reported %s with a usable image, which is %s", s.Name, s.Status, made[*s.ServerID][0].Status)
	}
}

// judgeImages fails where an image that was made is in no output, and no message says by which label it is found.
func judgeImages(t reporter, p plan, r ran, made map[int64][]hcloudsim.Image) {
	t.Helper()
	for id, images := range made {
		for _, image := range images {
			told := slices.ContainsFunc(r.snapshots(t), func(s server) bool {
				return s.ImageID != nil && *s.ImageID == image.ID || s.ServerID != nil && *s.ServerID == id && (r.misnamed(s, p, made) ||
					strings.Contains(s.Message, "may still appear") && strings.Contains(s.Message, "hsnap/request="+image.Labels["hsnap/request"]))
			})
			if !told {
				t.Errorf("image %d of server %d is in no output", image.ID, image.ServerID)
			}
		}
	}
}

// misnamed reports whether the answer to a server's create named the image of another request, and no list has shown the
// right one since; or none before the snapshot's time was up, where the run had not switched the server off, and so had no more
// to do with the image: then nobody could know better.
func (r ran) misnamed(s server, p plan, made map[int64][]hcloudsim.Image) bool {
	if s.ServerID == nil || s.ImageID == nil || slices.ContainsFunc(made[*s.ServerID], func(i hcloudsim.Image) bool { return i.ID == *s.ImageID }) {
		return false
	}
	return slices.ContainsFunc(r.creates(*s.ServerID), func(create *exchange) bool {
		request, late := create.request(), create.done.Add(p.snapshotTimeout+5*time.Second)
		labelled := len(r.sentTo(*s.ServerID, "shutdown")) > 0
		return create.verdict() == accepted && create.content().Image.ID == *s.ImageID &&
			!slices.ContainsFunc(r.trace, func(x *exchange) bool {
				return !x.sent.Before(create.done) && x.listsAll(request) && x.holds(request) && (labelled || !x.done.After(late))
			})
	})
}

// judgeChanges fails where a dry run, or one that was cancelled, has sent what it may not.
func judgeChanges(t reporter, p plan, r ran) {
	t.Helper()
	cancelled := r.started.Add(p.cancelAfter)
	for _, x := range r.trace {
		if x.method == http.MethodGet {
			continue
		}
		if p.dry {
			t.Errorf("a dry run has sent %s %s", x.method, x.path)
		}
		_, action := x.act()
		if r.code == 130 && x.sent.After(cancelled) && action != "poweron" && x.method != http.MethodPut {
			t.Errorf("%s %s was sent %s after the cancel", x.method, x.path, x.sent.Sub(cancelled))
		}
	}
}

// judgePolls holds the requests against the budget: at most 30 polls in any 60 s after the selection, half as many while
// less than a tenth of the project's own limit is left.
func judgePolls(t reporter, r ran) {
	t.Helper()
	if r.selected.IsZero() {
		return
	}
	const most = 30
	var polls []*exchange
	for _, x := range r.trace {
		if _, action := x.act(); !x.sent.Before(r.selected) && (x.method == http.MethodGet || action != "" && x.counts()) {
			polls = append(polls, x)
		}
	}
	low := r.lowTimes()
	for i := most / 2; i < len(polls); i++ {
		if i >= most {
			if span := polls[i].sent.Sub(polls[i-most].sent); span <= time.Minute {
				t.Errorf("%d polls within %s", most+1, span)
				return
			}
		}
		first := polls[i-most/2].sent
		if span := polls[i].sent.Sub(first); span <= time.Minute {
			if slices.ContainsFunc(low, func(l [2]time.Time) bool { return l[0].Before(first) && polls[i].sent.Before(l[1]) }) {
				t.Errorf("%d polls within %s, and less than a tenth of the project's requests is left", most/2+1, span)
				return
			}
		}
	}
}

// lowTimes returns from when until when the answers said that less than a tenth of the project's requests was left.
func (r ran) lowTimes() (times [][2]time.Time) {
	low := false
	for _, x := range r.answers() {
		left, limit, ok := x.remaining()
		switch now := left*10 < limit; {
		case !ok || now == low:
		case now:
			times, low = append(times, [2]time.Time{x.done, x.done.Add(endless)}), true
		default:
			times[len(times)-1][1], low = x.done, false
		}
	}
	return times
}

// answers returns the requests in the order of their answers.
func (r ran) answers() []*exchange {
	answered := slices.DeleteFunc(slices.Clone(r.trace), func(x *exchange) bool { return x.done.IsZero() })
	slices.SortStableFunc(answered, func(a, b *exchange) int { return a.done.Compare(b.done) })
	return answered
}

// counts reports whether the budget counts a change: it was answered "not now", lost, or never sent.
func (x *exchange) counts() bool {
	v := x.verdict()
	return v == notNow || v == lostAnswer || v == neverSent
}

// judgeDeletions fails where an image is gone that had to stay, or where the report differs from the truth.
func judgeDeletions(t reporter, w *world, p plan, r ran) {
	t.Helper()
	stays := map[int64]hcloudsim.Image{}
	for _, image := range w.cloud.Images() {
		stays[image.ID] = image
	}
	var told []int64
	decode(t, r.outputs["deleted-image-ids"], &told)
	for _, id := range told {
		if _, there := stays[id]; there {
			t.Errorf("image %d is said to be deleted, and is there", id)
		}
	}
	for id, image := range p.old {
		if _, there := stays[id]; there || p.taken[id] {
			continue
		}
		asked := r.deleted(id)
		full := r.first(func(x *exchange) bool { return x.isCreate() && x.verdict() == noRoom })
		switch age := asked.sent.Sub(image.Created); {
		case p.keep == 0:
			t.Errorf("image %d is gone, and no rule was given", id)
		case asked.sent.IsZero():
			t.Errorf("image %d is gone, and nobody has deleted it", id)
		case !own(image), image.Protected, image.Status == "creating", strings.HasPrefix(image.Labels["hsnap/run"], "8123456789-"):
			t.Errorf("image %d is gone, which was none to thin out: %+v", id, image)
		case age < time.Hour:
			t.Errorf("image %d is gone, which was %s old", id, age)
		case !r.listedNew(t, image.ServerID, asked.sent) && (full.sent.IsZero() || full.done.After(asked.sent)): // the one exception: room had to be made
			t.Errorf("image %d of server %d was deleted, and no list had shown the server's new snapshot", id, image.ServerID)
		case !slices.Contains(told, id) && !strings.Contains(r.log, fmt.Sprintf("image %d may be deleted or not", id)):
			t.Errorf("image %d is gone, and the report does not say so", id)
		}
		newer := 0
		for other, kept := range allOf(p, stays) {
			if kept.ServerID != image.ServerID || !own(kept) || kept.Protected || kept.Status != "available" && kept.Status != "" {
				continue
			}
			if cmp.Or(kept.Created.Compare(image.Created), cmp.Compare(other, id)) > 0 {
				newer++
			}
			_, there := stays[other] // the rule is keep-last: nothing older may stay in place of it
			if there && kept.Created.Before(image.Created) && !p.shielded[other] && !strings.HasPrefix(kept.Labels["hsnap/run"], "8123456789-") &&
				r.code == 0 && !strings.Contains(r.log, "could not be deleted") && !strings.Contains(r.log, "may be deleted or not") {
				t.Errorf("image %d of %s is gone, and %d of %s stays", id, image.Created, other, kept.Created)
			}
		}
		if newer < p.keep {
			t.Errorf("image %d is gone, and only %d newer ones counted; the rule keeps %d", id, newer, p.keep)
		}
	}
}

// own reports whether an image is one of ours in this series: its labels say so, and Hetzner agrees.
func own(image hcloudsim.Image) bool {
	return image.Labels["hsnap/series"] == "nightly" && image.ServerID != 0 && image.Labels["hsnap/server-id"] == strconv.FormatInt(image.ServerID, 10)
}

// allOf returns the old images as they were at first, and the new ones as they are.
func allOf(p plan, stays map[int64]hcloudsim.Image) map[int64]hcloudsim.Image {
	all := map[int64]hcloudsim.Image{}
	for id, image := range stays {
		all[id] = image
	}
	for id, image := range p.old {
		all[id] = image
	}
	return all
}

// deleted returns the first request to delete an image.
func (r ran) deleted(image int64) exchange {
	path := fmt.Sprintf("/images/%d", image)
	return r.first(func(x *exchange) bool { return x.method == http.MethodDelete && x.path == path })
}

// first returns the first request of a kind; the zero value where there is none.
func (r ran) first(of func(*exchange) bool) exchange {
	if i := slices.IndexFunc(r.trace, of); i >= 0 {
		return *r.trace[i]
	}
	return exchange{}
}

// listedNew reports whether a list of a series had shown, before a time, a server's new snapshot available.
func (r ran) listedNew(t reporter, id int64, before time.Time) bool {
	t.Helper()
	return slices.ContainsFunc(r.snapshots(t), func(s server) bool {
		return s.ServerID != nil && *s.ServerID == id && s.ImageID != nil && slices.ContainsFunc(r.trace, func(x *exchange) bool {
			return x.method == http.MethodGet && strings.Contains(x.query, "hsnap/series=") && !x.done.After(before) &&
				slices.ContainsFunc(x.content().Images, func(i shownImage) bool { return i.ID == *s.ImageID && i.Status == "available" })
		})
	})
}

// hidesToken fails where six characters in a row of the token are shown, other than to tell GitHub what to hide.
func hidesToken(t reporter, r ran) {
	t.Helper()
	log := strings.ReplaceAll(r.log, "::add-mask::"+hcloudsim.DefaultToken+"\n", "")
	for _, text := range []string{log, r.summary, fmt.Sprint(r.outputs)} {
		for i := range len(hcloudsim.DefaultToken) - 5 {
			if strings.Contains(text, hcloudsim.DefaultToken[i:i+6]) {
				t.Errorf("the token is shown in part: %q", hcloudsim.DefaultToken[i:i+6])
				return
			}
		}
	}
}

// refusedToken reports whether the API has refused the token of a request that matters: nobody needs the price.
func (r ran) refusedToken() bool {
	return slices.ContainsFunc(r.trace, func(x *exchange) bool { return x.status == http.StatusUnauthorized && x.path != "/pricing" })
}
