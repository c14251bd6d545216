package action_test

import (
	"maps"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/org/hsnap-action/internal/hcloudsim"
)

// ours are the labels that make an image this action's own.
func ours(server int64, series string, others map[string]string) map[string]string {
	set := map[string]string{"hsnap/series": series, "hsnap/server-id": strconv.FormatInt(server, 10)}
	maps.Copy(set, others)
	return set
}

// A server that an earlier run has left off stays known as one, whatever is thinned out, until it runs again.
func TestLeftOffIsNotForgotten(t *testing.T) {
	inBubble(t, hcloudsim.Options{}, func(t *testing.T, w *world) {
		id := w.cloud.AddServer(hcloudsim.Server{Name: "db-1", Status: "off", Snapshot: hcloudsim.SnapshotBehaviour{Duration: 10 * time.Second}})
		w.cloud.AddImage(hcloudsim.Image{ServerID: id, Created: time.Now().Add(-48 * time.Hour), Labels: ours(id, "nightly", map[string]string{"hsnap/power": "pending"})})
		w.inputs = map[string]string{"servers": "db-1", "series": "nightly", "keep-last": "1", "shutdown": "graceful"}
		for n := range 2 {
			r := w.run(t)
			if r.code != 1 || r.outputs["servers-left-off"] != `["db-1"]` || r.outputs["deleted-image-ids"] != "[]" {
				t.Errorf("run %d: exit %d, left off %s, deleted %s\n%s", n, r.code, r.outputs["servers-left-off"], r.outputs["deleted-image-ids"], r.log)
			}
			time.Sleep(2 * time.Hour)
		}
		w.env["GITHUB_RUN_ID"] = "77"
		w.words, w.inputs = []string{"prune"}, map[string]string{"servers": "db-1", "series": "nightly", "keep-last": "1"}
		r := w.run(t)
		if images := w.cloud.Images(); r.code != 0 || len(images) != 2 || images[0].Labels["hsnap/power"] != "pending" {
			t.Errorf("exit %d, and %d images are left, the oldest with the labels %v\n%s", r.code, len(images), images[0].Labels, r.log)
		}
	})
}

// A snapshot that is taken over is protected whatever other labels it has: what makes it this action's own is enough.
func TestProtectWhatHasNoRequest(t *testing.T) {
	inBubble(t, hcloudsim.Options{}, func(t *testing.T, w *world) {
		id := w.cloud.AddServer(hcloudsim.Server{Name: "db-1"})
		w.cloud.AddImage(hcloudsim.Image{ServerID: id, Created: time.Now().Add(-48 * time.Hour), Labels: ours(id, "nightly", nil), Protected: true})
		image := w.cloud.AddImage(hcloudsim.Image{ServerID: id, Created: time.Now().Add(-time.Hour), Labels: ours(id, "nightly", nil)})
		w.inputs = map[string]string{"servers": "db-1", "series": "nightly", "reuse-within": "6h", "protect": "true"}
		r := w.run(t)
		if s := r.snapshots(t)[0]; r.code != 0 || !s.Reused || !w.image(image).Protected || r.took > time.Minute {
			t.Errorf("exit %d after %s, %+v\n%s", r.code, r.took, s, r.log)
		}
	})
}

// What took less than half a second took 0 s, and was not unknown.
func TestShortTimesAreKnown(t *testing.T) {
	inBubble(t, hcloudsim.Options{}, func(t *testing.T, w *world) {
		drilled(w, hcloudsim.CopyBehaviour{Guest: hcloudsim.Guest{BootAfter: time.Millisecond}})
		r := w.run(t)
		if text := r.outputs["verifications"]; strings.Contains(text, `_seconds":null`) {
			t.Errorf("%s\n%s", text, r.log)
		}
	})
}

// A verified snapshot of another series proves a server as well where the image is named.
func TestVerifiedInAnotherSeries(t *testing.T) {
	inBubble(t, hcloudsim.Options{}, func(t *testing.T, w *world) {
		drilled(w, hcloudsim.CopyBehaviour{})
		id := w.cloud.Servers()[0].ID
		at := time.Now().Add(-time.Hour)
		w.cloud.AddImage(hcloudsim.Image{ServerID: id, Created: at, Labels: ours(id, "nightly", map[string]string{
			"hsnap/verified": at.UTC().Format("2006-01-02T150405Z"), "hsnap/verified-by": "ssh",
		})})
		w.inputs = map[string]string{"images": "db-1=7001", "verified-within": "1d"}
		r := w.run(t)
		if v := r.verifications(t)[0]; r.code != 0 || v.Reason != "not_due" || len(w.cloud.Creations()) != 0 {
			t.Errorf("exit %d, %+v\n%s", r.code, v, r.log)
		}
	})
}

// What Hetzner refused before a snapshot was accepted is no part of what became of it.
func TestNoStaleRefusal(t *testing.T) {
	inBubble(t, hcloudsim.Options{}, func(t *testing.T, w *world) {
		for _, name := range []string{"a", "b"} {
			id := w.cloud.AddServer(hcloudsim.Server{Name: name, Snapshot: hcloudsim.SnapshotBehaviour{Duration: 10 * time.Second}})
			w.cloud.AddImage(hcloudsim.Image{ServerID: id, Created: time.Now().Add(-48 * time.Hour), Labels: ours(id, "nightly", nil)})
		}
		w.cloud.Inject(hcloudsim.Fault{
			Kind: hcloudsim.ErrorJSON, Method: http.MethodPost, Path: "/servers/*/actions/create_image", Skip: 1, Times: 1,
			Status: 403, Code: "resource_limit_exceeded", Message: "snapshot limit exceeded",
		})
		w.inputs = map[string]string{"servers": "a,b", "series": "nightly", "keep-last": "1"}
		r := w.run(t)
		for _, s := range r.snapshots(t) {
			if r.code != 0 || s.Status != "available" || strings.Contains(s.Message, "limit") {
				t.Errorf("exit %d, %+v\n%s", r.code, s, r.log)
			}
		}
	})
}

// A poll that fails while a copy is deleted makes no other deletion due.
func TestOneDeletionOfACopy(t *testing.T) {
	inBubble(t, hcloudsim.Options{}, func(t *testing.T, w *world) {
		drilled(w, hcloudsim.CopyBehaviour{Deletion: hcloudsim.DeletionBehaviour{After: 20 * time.Second}})
		w.cloud.Inject(hcloudsim.Fault{Kind: hcloudsim.HTML502, Method: http.MethodGet, Path: "/servers/*", From: 42 * time.Second, For: 6 * time.Second})
		r := w.run(t)
		deletions := 0
		for _, x := range w.cloud.History() {
			if x.Method == http.MethodDelete && strings.HasPrefix(x.Path, "/servers/") {
				deletions++
			}
		}
		if r.code != 0 || deletions != 1 {
			t.Errorf("exit %d after %d deletions\n%s", r.code, deletions, r.log)
		}
	})
}

// A copy whose create was lost, and that was found, deleted and seen gone, is not left, also where the run is cancelled.
func TestCancelAfterALostCreateOfACopy(t *testing.T) {
	inBubble(t, hcloudsim.Options{}, func(t *testing.T, w *world) {
		drilled(w, hcloudsim.CopyBehaviour{Duration: 5 * time.Second})
		w.cloud.Inject(hcloudsim.Fault{Kind: hcloudsim.LoseAnswerDone, Method: http.MethodPost, Path: "/servers", Times: 1})
		w.signals = []signalAt{{20 * time.Second, syscall.SIGINT}}
		r := w.run(t)
		made := w.cloud.Creations()
		if len(made) != 1 || made[0].Deleted.IsZero() {
			t.Fatalf("the copies are %+v\n%s", made, r.log)
		}
		if r.outputs["copies-left"] != "[]" {
			t.Errorf("copies-left=%s\n%s", r.outputs["copies-left"], r.log)
		}
	})
}

// A large project that Hetzner lists slowly leaves no command silent: every run is held to that, see silentMost.
func TestSlowListsAreToldOf(t *testing.T) {
	for _, command := range []string{"snapshot", "restore", "verify", "prune", "audit"} {
		t.Run(command, func(t *testing.T) {
			inBubble(t, hcloudsim.Options{}, func(t *testing.T, w *world) {
				for i := range 400 {
					w.cloud.AddServer(hcloudsim.Server{Name: "web-" + strconv.Itoa(i)})
				}
				w.cloud.Inject(hcloudsim.Fault{Kind: hcloudsim.Slow, Path: "/servers", Delay: 8 * time.Second})
				w.words = []string{command}
				w.inputs = map[string]map[string]string{
					"snapshot": {"servers": "*", "dry-run": "true"}, "restore": {"images": "web-1=latest", "series": "nightly", "dry-run": "true"},
					"verify": {"servers": "*", "dry-run": "true"}, "prune": {"servers": "*", "series": "nightly", "keep-last": "1"}, "audit": {},
				}[command]
				if r := w.run(t); !strings.Contains(r.log, "still reading the project\n") {
					t.Errorf("exit %d after %s\n%.2000s", r.code, r.took, r.log)
				}
			})
		})
	}
}

// What nobody knows is told as that.
func TestWhatIsNotKnownOfACopy(t *testing.T) {
	for name, test := range map[string]struct {
		fault hcloudsim.Fault
		after time.Duration
		says  string
		never string
	}{
		"whether it will be there": {
			hcloudsim.Fault{Kind: hcloudsim.HTML502, Method: http.MethodPost, Path: "/servers"}, 20 * time.Second,
			"hsnap-drill-7001 MAY BE LEFT BEHIND::hsnap-drill-7001: THE COPY MAY BE THERE, OR APPEAR YET", "IT HAS THE PASSWORDS",
		},
		"whether its result is written": {
			hcloudsim.Fault{Kind: hcloudsim.LoseAnswerDone, Method: http.MethodPut, Path: "/images/*"}, 42 * time.Second,
			"may be written on the snapshot or not", "no result was written",
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, hcloudsim.Options{}, func(t *testing.T, w *world) {
				drilled(w, hcloudsim.CopyBehaviour{})
				w.cloud.Inject(test.fault)
				w.signals = []signalAt{{test.after, syscall.SIGINT}}
				r := w.run(t)
				if r.code != 130 || !strings.Contains(r.log, test.says) || strings.Contains(r.log, test.never) {
					t.Errorf("exit %d\n%s", r.code, r.log)
				}
			})
		})
	}
}

// A copy that was never made is not told to be deleted.
func TestNoCopyIsNotDeleted(t *testing.T) {
	inBubble(t, hcloudsim.Options{}, func(t *testing.T, w *world) {
		drilled(w, hcloudsim.CopyBehaviour{})
		w.inputs["create-timeout"] = "2m"
		w.cloud.Inject(hcloudsim.Fault{Kind: hcloudsim.HTML502, Method: http.MethodPost, Path: "/servers"})
		if r := w.run(t); r.code != 1 || strings.Contains(r.log, "copy deleted") || r.outputs["copies-left"] != "[]" {
			t.Errorf("exit %d, left %s\n%s", r.code, r.outputs["copies-left"], r.log)
		}
	})
}

// What an audit says about costs does not hang on one request, and what it can't say it does not say.
func TestAuditOfWhatIsOdd(t *testing.T) {
	audited := func(t *testing.T, created time.Duration, faults ...hcloudsim.Fault) (r ran) {
		t.Helper()
		inBubble(t, hcloudsim.Options{}, func(t *testing.T, w *world) {
			id := w.cloud.AddServer(hcloudsim.Server{Name: "db-1"})
			w.cloud.AddImage(hcloudsim.Image{ServerID: id, Created: time.Now().Add(created), Labels: ours(id, "nightly", nil)})
			for _, fault := range faults {
				w.cloud.Inject(fault)
			}
			w.words, w.inputs = []string{"audit"}, map[string]string{"stale-after": "26h"}
			r = w.run(t)
		})
		return r
	}
	once := hcloudsim.Fault{Kind: hcloudsim.HTML502, Path: "/pricing", Times: 1}
	if r := audited(t, -time.Hour, once); r.code != 0 || r.outputs["currency"] == "" {
		t.Errorf("one failed list of prices: exit %d, currency %q\n%s", r.code, r.outputs["currency"], r.log)
	}
	once.Times = 0
	if r := audited(t, -time.Hour, once); r.code != 0 || !strings.Contains(r.log, "::warning::Hetzner's price list could not be read") || r.took > time.Minute {
		t.Errorf("no list of prices: exit %d after %s\n%s", r.code, r.took, r.log)
	}
	r := audited(t, time.Hour)
	if r.code != 1 || !strings.Contains(r.outputs["inventory"], `"age_seconds":null`) || !strings.Contains(r.log, "of unknown age") {
		t.Errorf("a snapshot from the future: exit %d, %s\n%s", r.code, r.outputs["inventory"], r.log)
	}
}
