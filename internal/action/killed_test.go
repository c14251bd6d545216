package action_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/org/hsnap-action/internal/hcloudsim"
)

// A run that is killed tells nothing any more. What it leaves behind is left to the post step, or to the next run: no
// server that it may have switched off is forgotten by both.
func TestKilledRuns(t *testing.T) {
	for seed := range uint64(defaultSeeds() / 2) {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				dice := rand.New(rand.NewPCG(seed, 0xdead))
				w, p := build(t, seed, mercy{patient: true})
				if p.shutdown == "never" || p.dry {
					return
				}
				after := 5*time.Second + time.Duration(dice.Int64N(int64(3*time.Minute)))
				w.kill, w.maybe = after, true
				r := w.run(t)
				if r.code != exitKilled {
					return // it was over before
				}
				judgeCreates(t, p, r)
				judgeRecord(t, r)
				if seed%2 == 0 {
					judgePost(t, w, p, r, w.post(t, r))
				} else {
					judgeNextRun(t, w, time.Duration(dice.Int64N(int64(20*time.Minute))))
				}
				if t.Failed() {
					t.Logf("killed after %s\nplan %+v\ninputs %v\n%s\n%s", after, p, w.inputs, r.log, w.history())
				}
			})
		})
	}
}

// judgeRecord fails where a server was asked to shut down that is in no record for the post step.
func judgeRecord(t *testing.T, r ran) {
	t.Helper()
	for _, x := range r.trace {
		id, action := x.act()
		if action != "shutdown" || strings.Contains(r.state["off"], strconv.FormatInt(id, 10)) || x.verdict() != accepted && x.verdict() != lostAnswer {
			continue
		}
		back := r.first(func(poll *exchange) bool {
			shown := poll.shows(id)
			return shown != nil && shown.Status == "running" && !poll.sent.Before(x.done)
		})
		if back.sent.IsZero() && !r.missing(id) {
			t.Errorf("server %d was asked to shut down, no poll has shown it running since, and the record is %q", id, r.state["off"])
		}
	}
}

// judgePost fails where the post step leaves a server off without a word, or its snapshots with a label that says so.
func judgePost(t *testing.T, w *world, p plan, r, post ran) {
	t.Helper()
	time.Sleep(2 * time.Minute) // for what is still under way
	for _, s := range w.cloud.Servers() {
		stopped := len(r.sentTo(s.ID, "shutdown", accepted, lostAnswer)) > 0
		late := p.guest[s.ID]-p.stopTimeout > 50*time.Second || len(r.sentTo(s.ID, "shutdown", lostAnswer)) > 0
		off := s.Status != "running" && s.Status != "starting"
		told := strings.Contains(post.log, s.Name+" IS LEFT OFF") || strings.Contains(post.log, fmt.Sprintf("server %d IS LEFT OFF", s.ID))
		switch {
		case !p.running[s.ID] || !stopped:
		case off && !late && !told:
			t.Errorf("%s is %s after %v, and the post step does not say so:\n%s", s.Name, s.Status, s.Commands, post.log)
		case told && post.code == 0:
			t.Errorf("%s is left off, and the post step succeeds", s.Name)
		case !off && !told && post.code == 0 && strings.Contains(r.state["off"], strconv.FormatInt(s.ID, 10)):
			judgeMarksOf(t, w, post, s.ID)
		}
	}
}

// judgeMarksOf fails where a snapshot says that its server is off, which is running.
func judgeMarksOf(t *testing.T, w *world, r ran, server int64) {
	t.Helper()
	for _, image := range w.cloud.Images() {
		if tries := len(r.relabelled(image.ID)); image.ServerID == server && image.Labels["hsnap/power"] == "pending" && tries < 4 {
			t.Errorf("server %d is running, its image %d says hsnap/power=pending, and that was tried to be corrected %d times", server, image.ID, tries)
		}
	}
}

// judgeNextRun runs the program again, and fails where it does not name a server that the first run has left off and that a
// snapshot says so of.
func judgeNextRun(t *testing.T, w *world, after time.Duration) {
	t.Helper()
	time.Sleep(2*time.Minute + after) // what the killed run has asked for has had its effect
	newest := map[int64]hcloudsim.Image{}
	for _, image := range w.cloud.Images() { // by ID
		if image.Labels["hsnap/power"] != "" && image.Labels["hsnap/server-id"] == strconv.FormatInt(image.ServerID, 10) &&
			!image.Created.Before(newest[image.ServerID].Created) {
			newest[image.ServerID] = image
		}
	}
	pending := map[string]bool{}
	for _, s := range w.cloud.Servers() {
		if image, ok := newest[s.ID]; ok && s.Status == "off" && image.Labels["hsnap/power"] == "pending" {
			pending[s.Name] = true
		}
	}
	delete(w.inputs, "dry-run")
	again := w.runAgain(t, 0)
	if again.code == 3 || again.selected.IsZero() {
		return
	}
	var left []string
	decode(t, again.outputs["servers-left-off"], &left)
	for name := range pending {
		if !slices.Contains(left, name) || again.code != 1 {
			t.Errorf("%s was left off by a killed run, the next one exits with %d and names %v", name, again.code, left)
		}
	}
	made := map[string]int{}
	for _, image := range w.cloud.Images() {
		if run := image.Labels["hsnap/run"]; run != "77-1" {
			made[fmt.Sprint(image.ServerID, " ", image.Labels["hsnap/request"])]++
		}
	}
	for key, n := range made {
		if n > 1 && !strings.HasSuffix(key, " ") {
			t.Errorf("server and request %s have %d images", key, n)
		}
	}
}
