package action_test

import (
	"fmt"
	"net/http"
	"regexp"
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

// judge holds the simulator's truth against what the program promises and says.
func judge(t reporter, w *world, p plan, r ran) {
	t.Helper()
	made := map[int64][]hcloudsim.Image{} // by server
	for _, image := range w.cloud.Images() {
		if image.Labels["hsnap/run"] == p.run && p.old[image.ID].Labels == nil {
			made[image.ServerID] = append(made[image.ServerID], image)
		}
	}
	for id, images := range made {
		if len(images) > 1 {
			t.Errorf("server %d has %d snapshots of this run: %v", id, len(images), images)
		}
	}

	var usable, failed, skipped, cancelled, planned int
	known := map[int64]bool{}
	for _, s := range r.snapshots(t) {
		if s.ImageID != nil {
			known[*s.ImageID] = true
		}
		if s.Reason == "power_on_failed" && strings.Contains(s.Message, "can be used") {
			usable++
		}
		switch s.Status {
		case "planned":
			planned++
			if !p.dry {
				t.Errorf("%s is planned, and the run was no dry one", s.Name)
			}
		case "available", "creating":
			usable++
			switch {
			case s.Reused:
				if s.ImageID == nil || !strings.HasPrefix(p.old[*s.ImageID].Labels["hsnap/run"], "8123456789-") {
					t.Errorf("%s reuses %v, which no attempt of this run has made", s.Name, s.ImageID)
				}
			case s.ServerID == nil || s.ImageID == nil:
				t.Errorf("%s is reported %s without its IDs", s.Name, s.Status)
			case s.Status == "creating" && p.failing[*s.ServerID] && len(made[*s.ServerID]) == 0:
				// it failed after the run that did not wait for it
			case len(made[*s.ServerID]) != 1 || made[*s.ServerID][0].ID != *s.ImageID:
				t.Errorf("%s is reported %s with image %v; made: %v", s.Name, s.Status, s.ImageID, made)
			case s.Status == "available" && made[*s.ServerID][0].Status != "available":
				t.Errorf("%s is reported available, its image is %s", s.Name, made[*s.ServerID][0].Status)
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
		if s.ServerID != nil && strings.Contains(s.Message, "may still appear") {
			for _, image := range made[*s.ServerID] {
				known[image.ID] = true // the report says that it may appear, and by which label it is found
				if !strings.Contains(s.Message, image.Labels["hsnap/request"]) {
					t.Errorf("%s: the message names another request than image %d carries: %s", s.Name, image.ID, s.Message)
				}
			}
		}
	}
	for _, images := range made {
		for _, image := range images {
			if !known[image.ID] {
				t.Errorf("image %d of server %d is in no output", image.ID, image.ServerID)
			}
		}
	}

	want, code := "success", 0
	switch {
	case cancelled > 0 || r.code == 130:
		want, code = "cancelled", 130
	case r.selected.IsZero(), w.refusedToken():
		want, code = "failure", 3
		if usable+planned > 0 {
			want = "partial"
		}
	case strings.Contains(r.log, "no server is left to snapshot"):
		want, code = "failure", 2
	case failed > 0 && usable+planned == 0:
		want, code = "failure", 1
	case failed > 0:
		want, code = "partial", 1
	case usable+planned == 0:
		want, code = "skipped", 0
	}
	if blunder := regexp.MustCompile(`<nil>|%!|\(MISSING\)`).FindString(r.log + r.summary); blunder != "" {
		t.Errorf("the log or the summary says %s", blunder)
	}
	if r.outputs["result"] != want || r.code != code {
		t.Errorf("result %q, exit %d; want %q, %d", r.outputs["result"], r.code, want, code)
	}
	for name, n := range map[string]int{"created-count": usable, "failed-count": failed, "skipped-count": skipped} {
		if r.outputs[name] != strconv.Itoa(n) {
			t.Errorf("%s is %s, want %d", name, r.outputs[name], n)
		}
	}
	if code == 130 && r.took > p.cancelAfter+5*time.Second {
		t.Errorf("ended %s after the cancel, more than 5s", r.took-p.cancelAfter)
	}
	// Each server may wait for the ones before it.
	perServer := 2*p.lockTimeout + p.snapshotTimeout + 25*time.Minute
	if r.took > p.lockTimeout+time.Duration(p.servers)*perServer {
		t.Errorf("the run took %s", r.took)
	}
	judgePower(t, w, p, r)
	judgeDeletions(t, w, p, r)
	judgeReads(t, w, p)
	if len(r.summary) > 1<<20 {
		t.Errorf("the summary has %d bytes", len(r.summary))
	}
	judgeLooks(t, w, r)
	hidesToken(t, r)
}

// judgeReads fails where a dry run has sent anything but reads.
func judgeReads(t reporter, w *world, p plan) {
	t.Helper()
	for _, x := range w.cloud.History() {
		if p.dry && x.Method != http.MethodGet {
			t.Errorf("a dry run has sent %s %s", x.Method, x.Path)
		}
	}
}

// judgeDeletions fails where an image is gone that had to stay, or where the report differs from the truth.
func judgeDeletions(t reporter, w *world, p plan, r ran) {
	t.Helper()
	stays := map[int64]bool{}
	usable := map[int64]int{} // available snapshots of ours in this series, by server
	for _, image := range w.cloud.Images() {
		stays[image.ID] = true
		if image.Status == "available" && (!image.Protected || p.shielded[image.ID]) && image.Labels["hsnap/series"] == "nightly" {
			usable[image.ServerID]++
		}
	}
	var told []int64
	decode(t, r.outputs["deleted-image-ids"], &told)
	for _, id := range told {
		if stays[id] {
			t.Errorf("image %d is said to be deleted, and is there", id)
		}
	}
	fresh := map[int64]bool{}
	for _, s := range r.snapshots(t) {
		if s.ServerID != nil && s.ImageID != nil && (s.Status == "available" || s.Reason == "power_on_failed") {
			fresh[*s.ServerID] = true
		}
	}
	full := strings.Contains(w.history(), " 403 ") // the one exception: room had to be made
	for id, image := range p.old {
		if stays[id] || p.taken[id] {
			continue
		}
		own := image.Labels["hsnap/series"] == "nightly" && image.Labels["hsnap/server-id"] == strconv.FormatInt(image.ServerID, 10)
		switch {
		case p.keep == 0:
			t.Errorf("image %d is gone, and no rule was given", id)
		case !own, image.Protected, image.Status == "creating", strings.HasPrefix(image.Labels["hsnap/run"], "8123456789-"):
			t.Errorf("image %d is gone, which was none to thin out: %+v", id, image)
		case !fresh[image.ServerID] && !full:
			t.Errorf("image %d of server %d is gone, and the server has no new snapshot", id, image.ServerID)
		case usable[image.ServerID] == 0 && !takenOf(p, image.ServerID):
			t.Errorf("image %d is gone, and server %d has none left", id, image.ServerID)
		case !slices.Contains(told, id) && !strings.Contains(r.log, fmt.Sprintf("image %d may be deleted or not", id)):
			t.Errorf("image %d is gone, and the report does not say so", id)
		}
		for other, kept := range p.old { // the rule is keep-last: nothing older may stay in place of it
			if kept.ServerID == image.ServerID && stays[other] && !p.shielded[other] && kept.Labels["hsnap/series"] == "nightly" && !kept.Protected &&
				kept.Status != "creating" && kept.Labels["hsnap/server-id"] == image.Labels["hsnap/server-id"] &&
				!strings.HasPrefix(kept.Labels["hsnap/run"], "8123456789-") && kept.Created.Before(image.Created) && r.code == 0 &&
				!strings.Contains(r.log, "could not be deleted") && !strings.Contains(r.log, "may be deleted or not") {
				t.Errorf("image %d of %s is gone, and %d of %s stays", id, image.Created, other, kept.Created)
			}
		}
	}
}

// takenOf reports whether another actor deletes snapshots of a server.
func takenOf(p plan, server int64) bool {
	for id := range p.taken {
		if p.old[id].ServerID == server {
			return true
		}
	}
	return false
}

// judgePower fails where a server that ran is off and the report does not shout.
func judgePower(t reporter, w *world, p plan, r ran) {
	t.Helper()
	var left []string
	decode(t, r.outputs["servers-left-off"], &left)
	warned := map[string]bool{}
	for _, s := range r.snapshots(t) {
		if s.Reason == "shutdown_timeout" && s.ServerID != nil {
			// The guest may go down after the minute in which it is watched: the message says so.
			late := p.guest[*s.ServerID] - p.stopTimeout
			warned[s.Name] = late > 50*time.Second || r.code == 130 || r.code == 3 || strings.Contains(w.history(), "lose-answer-late")
		}
	}
	for _, s := range w.cloud.Servers() {
		off := s.Status != "running" && s.Status != "starting"
		switch {
		case p.running[s.ID] && off && !slices.Contains(left, s.Name) && !warned[s.Name]:
			t.Errorf("%s ran, is %s after %v, and the report does not say so", s.Name, s.Status, s.Commands)
		case p.shutdown == "never" && len(s.Commands) > 0:
			t.Errorf("%s was sent %v", s.Name, s.Commands)
		case slices.Contains(left, s.Name) && len(s.Commands) == 0 && !strings.Contains(w.history(), "/actions/shutdown"):
			t.Errorf("%s is said to be left off and was never touched", s.Name)
		}
	}
	for _, s := range w.cloud.Servers() {
		path := fmt.Sprintf("/servers/%d/actions/", s.ID)
		if strings.Contains(w.history(), path+"poweron") && !strings.Contains(w.history(), path+"shutdown") {
			t.Errorf("%s was switched on, and this run has not switched it off", s.Name)
		}
	}
	if len(left) > 0 && r.code == 0 {
		t.Errorf("%v are left off, and the run succeeds", left)
	}
	if p.shutdown == "graceful" && strings.Contains(w.history(), "/actions/poweroff") {
		t.Errorf("a graceful run has cut the power")
	}
}

// judgeLooks holds the requests against the budget: at most 30 looks in any 60 s after the selection.
func judgeLooks(t reporter, w *world, r ran) {
	t.Helper()
	var looks []time.Time
	for _, x := range w.cloud.History() {
		switch {
		case r.selected.IsZero() || x.At.Before(r.selected):
		case x.Method == http.MethodGet,
			// a refusal, or a create that never arrived
			x.Method == http.MethodPost && !strings.Contains(x.Path, "change_protection") && (x.Status == 423 || x.Status == 429 || x.Fault == hcloudsim.RefuseDial.String()):
			looks = append(looks, x.At)
		}
	}
	for i := range looks {
		if i >= 30 && looks[i].Sub(looks[i-30]) <= time.Minute {
			t.Errorf("31 looks within %s", looks[i].Sub(looks[i-30]))
			return
		}
	}
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
func (w *world) refusedToken() bool {
	for _, x := range w.cloud.History() {
		if x.Status == http.StatusUnauthorized && x.Path != "/pricing" {
			return true
		}
	}
	return false
}
