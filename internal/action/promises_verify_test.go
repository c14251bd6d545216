package action_test

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/org/hsnap-action/internal/hcloudsim"
)

// drilled is a world with one server and one good snapshot of it, the image 7001, of which copies are as told.
func drilled(w *world, copies hcloudsim.CopyBehaviour) {
	if copies.Guest.Ports == nil {
		copies.Guest.Ports = map[int]string{22: "SSH-2.0-OpenSSH_9.6\r\n"}
	}
	id := w.cloud.AddServer(hcloudsim.Server{Name: "db-1"})
	w.cloud.AddImage(hcloudsim.Image{
		ID: 7001, ServerID: id, SizeGB: 2, Created: time.Now().Add(-6 * time.Hour), Copy: &copies,
		Labels: map[string]string{"hsnap/series": "nightly", "hsnap/server-id": strconv.FormatInt(id, 10)},
	})
	w.words = []string{"verify"}
	w.inputs = map[string]string{"servers": "db-1", "series": "nightly"}
}

// cameTo fails where a verification of the world's snapshot has come to something else, or where its copy is left.
func cameTo(t *testing.T, w *world, r ran, want string) {
	t.Helper()
	list := r.verifications(t)
	if len(list) != 1 || list[0].Status+" "+list[0].Reason != want {
		t.Errorf("%+v, want %q\n%s", list, want, r.log)
	}
	for _, made := range w.cloud.Creations() {
		if made.Deleted.IsZero() {
			t.Errorf("%s is left\n%s", made.Name, r.log)
		}
	}
	label := w.cloud.Images()[0].Labels
	if verified := label["hsnap/verified"] != ""; verified != (list[0].Status == "verified") || (label["hsnap/verify"] == "failed") != (list[0].Status == "failed") {
		t.Errorf("%s, and the labels are %v", want, label)
	}
}

// What keeps the power-on back is no time that the copy has had to boot.
func TestBootTimeoutCountsFromThePowerOn(t *testing.T) {
	inBubble(t, hcloudsim.Options{}, func(t *testing.T, w *world) {
		drilled(w, hcloudsim.CopyBehaviour{Guest: hcloudsim.Guest{BootAfter: 40 * time.Second}})
		w.inputs["boot-timeout"] = "1m"
		w.cloud.Inject(hcloudsim.Fault{
			Kind: hcloudsim.ErrorJSON, Method: http.MethodPost, Path: "/servers/*/actions/poweron", Times: 3, Status: 409, Code: "conflict", Message: "conflict",
		})
		cameTo(t, w, w.run(t), "verified ")
	})
}

// What Hetzner never did says nothing about a snapshot, and neither does a copy that somebody has deleted.
func TestWhatIsNoFailureOfTheSnapshot(t *testing.T) {
	for name, test := range map[string]struct {
		change func(w *world)
		want   string
	}{
		"no power-on gets through": {func(w *world) {
			w.cloud.Inject(hcloudsim.Fault{Kind: hcloudsim.HTML502, Method: http.MethodPost, Path: "/servers/*/actions/poweron"})
		}, "inconclusive refused"},
		"the power-on is refused": {func(w *world) {
			w.cloud.Inject(hcloudsim.Fault{
				Kind: hcloudsim.ErrorJSON, Method: http.MethodPost, Path: "/servers/*/actions/poweron", Status: 409, Code: "conflict", Message: "conflict",
			})
		}, "inconclusive refused"},
		"somebody deletes the copy while it boots": {func(w *world) {
			w.cloud.At(time.Minute, func(c *hcloudsim.Cloud) { c.DeleteServer(c.Creations()[0].ServerID) })
		}, "inconclusive unknown_outcome"},
		"the API is gone while it boots": {func(w *world) {
			for _, path := range []string{"/servers", "/servers/*"} {
				w.cloud.Inject(hcloudsim.Fault{Kind: hcloudsim.HTML502, Method: http.MethodGet, Path: path, From: 45 * time.Second, For: 20 * time.Minute})
			}
		}, "inconclusive unknown_outcome"},
		"it does not answer": {func(*world) {}, "failed not_proven"},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, hcloudsim.Options{}, func(t *testing.T, w *world) {
				drilled(w, hcloudsim.CopyBehaviour{Guest: hcloudsim.Guest{BootAfter: time.Hour, Drops: true}})
				test.change(w)
				r := w.run(t)
				if name == "the API is gone while it boots" {
					if list := r.verifications(t); len(list) != 1 || list[0].Status+" "+list[0].Reason != test.want {
						t.Errorf("%+v\n%s", list, r.log)
					}
					return // what is left of it is told
				}
				cameTo(t, w, r, test.want)
			})
		})
	}
}

// create-timeout counts from the first create: what has kept it back is a part of the wait.
func TestCreateTimeoutCountsFromTheFirstCreate(t *testing.T) {
	inBubble(t, hcloudsim.Options{}, func(t *testing.T, w *world) {
		drilled(w, hcloudsim.CopyBehaviour{Duration: 4 * time.Minute})
		w.inputs["create-timeout"] = "5m"
		w.cloud.Inject(hcloudsim.Fault{Kind: hcloudsim.ErrorJSON, Method: http.MethodPost, Path: "/servers", For: 2 * time.Minute, Status: 409, Code: "conflict", Message: "conflict"})
		cameTo(t, w, w.run(t), "inconclusive create_timeout")
	})
}

// A create that takes effect at the last moment is seen by a poll that begins after that, however long those before it take.
func TestTheLastPollBeginsAfterALostCreate(t *testing.T) {
	for slowAfter := 10 * time.Second; slowAfter < 20*time.Second; slowAfter += time.Second {
		inBubble(t, hcloudsim.Options{}, func(t *testing.T, w *world) {
			drilled(w, hcloudsim.CopyBehaviour{})
			w.inputs["if-inconclusive"] = "warn"
			w.cloud.Inject(hcloudsim.Fault{Kind: hcloudsim.LoseAnswerLate, Method: http.MethodPost, Path: "/servers", Times: 1, Delay: 59900 * time.Millisecond})
			w.cloud.Inject(hcloudsim.Fault{Kind: hcloudsim.ErrorJSON, Method: http.MethodPost, Path: "/servers", Status: 412, Code: "resource_unavailable", Message: "error during placement"})
			w.cloud.Inject(hcloudsim.Fault{Kind: hcloudsim.Slow, Method: http.MethodGet, Path: "/servers", From: slowAfter, Delay: 7 * time.Second})
			r := w.run(t)
			time.Sleep(time.Minute)
			cameTo(t, w, r, "inconclusive no_capacity")
			if len(w.cloud.Creations()) != 1 {
				t.Errorf("the lost create had no effect: it proves nothing")
			}
		})
	}
}

// The post step knows a copy by its ID, whatever somebody calls it by now, and deletes the address that outlives it.
func TestPostStepKnowsTheCopyByItsID(t *testing.T) {
	t.Run("renamed", func(t *testing.T) {
		inBubble(t, hcloudsim.Options{}, func(t *testing.T, w *world) {
			drilled(w, hcloudsim.CopyBehaviour{Duration: 5 * time.Minute})
			w.kill = time.Minute
			w.cloud.At(time.Minute, func(c *hcloudsim.Cloud) { c.RenameServer(c.Creations()[0].ServerID, "theirs") })
			post := w.post(t, w.run(t))
			if made := w.cloud.Creations()[0]; !made.Deleted.IsZero() || post.code != 1 || !strings.Contains(post.log, "hsnap-drill-7001") {
				t.Errorf("deleted %s, exit %d\n%s", made.Deleted, post.code, post.log)
			}
		})
	})
	t.Run("its address stays", func(t *testing.T) {
		inBubble(t, hcloudsim.Options{}, func(t *testing.T, w *world) {
			drilled(w, hcloudsim.CopyBehaviour{Deletion: hcloudsim.DeletionBehaviour{IPsStay: -1}})
			w.inputs["boot-timeout"] = "20m"
			w.cloud.At(time.Minute, func(c *hcloudsim.Cloud) { c.DeleteServer(c.Creations()[0].ServerID) })
			w.kill, w.maybe = 45*time.Second, false
			r := w.run(t)
			time.Sleep(time.Minute)
			if post := w.post(t, r); post.code != 0 || len(w.cloud.PrimaryIPs()) != 0 {
				t.Errorf("exit %d, and %+v are there\n%s", post.code, w.cloud.PrimaryIPs(), post.log)
			}
		})
	})
}

// A result that Hetzner has taken before a cancel is told as it is written.
func TestCancelWhileTheResultIsWritten(t *testing.T) {
	for after := 34 * time.Second; after < 46*time.Second; after += 200 * time.Millisecond {
		inBubble(t, hcloudsim.Options{}, func(t *testing.T, w *world) {
			drilled(w, hcloudsim.CopyBehaviour{})
			w.signals = []signalAt{{after, syscall.SIGINT}}
			r := w.run(t)
			status := r.verifications(t)[0].Status
			if written := w.cloud.Images()[0].Labels["hsnap/verified"] != ""; written != (status == "verified") {
				t.Errorf("cancelled after %s: %s, and written: %t\n%s", after, status, written, r.log)
			}
		})
	}
}

// Without Hetzner's clock nobody knows whether another run still works with its copy.
func TestNoClockDeletesNoCopyOfAnotherRun(t *testing.T) {
	inBubble(t, hcloudsim.Options{}, func(t *testing.T, w *world) {
		drilled(w, hcloudsim.CopyBehaviour{})
		w.cloud.AddServer(hcloudsim.Server{Name: "hsnap-drill-7001", Labels: map[string]string{
			"hsnap/drill": "f00d", "hsnap/drill-until": strconv.FormatInt(time.Now().Add(-time.Hour).Unix(), 10),
		}})
		w.cloud.Inject(hcloudsim.Fault{Kind: hcloudsim.NoDate})
		cameTo(t, w, w.run(t), "skipped in_progress")
		if len(w.cloud.Servers()) != 2 {
			t.Errorf("the copy is gone")
		}
	})
}

// leftovers are a copy that is past its time, one that is not, and servers that only look like one; only the first may go.
func leftovers(w *world) (over int64, others map[int64]string) {
	others = map[int64]string{}
	add := func(name, drill string, until time.Duration) int64 {
		labels := map[string]string{"hsnap/drill": drill, "hsnap/drill-until": strconv.FormatInt(time.Now().Add(until).Unix(), 10)}
		if drill == "" {
			delete(labels, "hsnap/drill")
		}
		id := w.cloud.AddServer(hcloudsim.Server{Name: name, Labels: labels})
		others[id] = name
		return id
	}
	add("hsnap-drill-7002", "f00d", time.Hour)
	add("hsnap-drill-7003", "", -time.Hour)
	add("hsnap-drill-of-mine", "f00d", -time.Hour)
	add("db-9", "f00d", -time.Hour)
	over = add("hsnap-drill-7001", "f00d", -time.Hour)
	delete(others, over)
	return over, others
}

// there returns the names of the servers that there are.
func (w *world) there() map[int64]string {
	names := map[int64]string{}
	for _, s := range w.cloud.Servers() {
		names[s.ID] = s.Name
	}
	return names
}

// prune deletes copies that are past their time, and nothing else; one that it can't delete is a warning. A dry run deletes none.
func TestPruneDeletesLeftovers(t *testing.T) {
	for name, test := range map[string]struct {
		change func(w *world, over int64)
		stays  bool
		want   string // in the log
	}{
		"deleted": {func(*world, int64) {}, false, "hsnap-drill-7001: nothing is left of this copy"},
		"protected": {func(w *world, over int64) { w.cloud.ProtectServer(over) }, true,
			"::error title=hsnap-drill-7001 IS LEFT BEHIND::hsnap-drill-7001: THE COPY IS NOT DELETED"},
		"dry run":  {func(w *world, _ int64) { w.inputs["dry-run"] = "true" }, true, ""},
		"no clock": {func(w *world, _ int64) { w.cloud.Inject(hcloudsim.Fault{Kind: hcloudsim.NoDate}) }, true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, hcloudsim.Options{}, func(t *testing.T, w *world) {
				w.cloud.AddServer(hcloudsim.Server{Name: "db-1"})
				over, others := leftovers(w)
				w.words = []string{"prune"}
				w.inputs = map[string]string{"servers": "db-1", "series": "nightly", "keep-last": "1"}
				test.change(w, over)
				code := 0
				if name == "no clock" || name == "protected" {
					code = 1
				}
				r := w.run(t)
				there := w.there()
				if _, stays := there[over]; stays != test.stays || r.code != code || !strings.Contains(r.log, test.want) {
					t.Errorf("stays %t, exit %d, want %t, %d and %q\n%s", stays, r.code, test.stays, code, test.want, r.log)
				}
				for id, name := range others {
					if there[id] != name {
						t.Errorf("%s is gone", name)
					}
				}
			})
		})
	}
}

// snapshot warns of copies that are past their time, and deletes none.
func TestSnapshotWarnsOfLeftovers(t *testing.T) {
	inBubble(t, hcloudsim.Options{}, func(t *testing.T, w *world) {
		w.cloud.AddServer(hcloudsim.Server{Name: "db-1"})
		_, others := leftovers(w)
		w.inputs = map[string]string{"servers": "db-1"}
		r := w.run(t)
		if got := strings.Count(r.log, "that a verification has left behind"); r.code != 0 || got != 1 || !strings.Contains(r.log, "::warning::hsnap-drill-7001: ") ||
			!strings.Contains(r.log, "hcloud server delete hsnap-drill-7001") {
			t.Errorf("exit %d, %d warnings\n%s", r.code, got, r.log)
		}
		if len(w.there()) != len(others)+2 {
			t.Errorf("servers are gone: %v", w.there())
		}
		for _, x := range w.cloud.History() {
			if x.Method == http.MethodDelete {
				t.Errorf("%s %s was sent", x.Method, x.Path)
			}
		}
	})
}

// manyCopies is a world of servers with a good snapshot each, which are all verified at once.
func manyCopies(w *world, n int, copies hcloudsim.CopyBehaviour) {
	for i := range n {
		id := w.cloud.AddServer(hcloudsim.Server{Name: fmt.Sprintf("db-%d", i)})
		w.cloud.AddImage(hcloudsim.Image{
			ServerID: id, SizeGB: 2, Created: time.Now().Add(-6 * time.Hour), Copy: &copies,
			Labels: map[string]string{"hsnap/series": "nightly", "hsnap/server-id": strconv.FormatInt(id, 10)},
		})
	}
	w.words = []string{"verify"}
	w.inputs = map[string]string{"servers": "*", "series": "nightly", "max-parallel": strconv.Itoa(n), "max-cost": "10"}
}

// On a cancel all copies are asked to be deleted, also where the polls before have taken what the budget has for polls; and those
// that are gone then are not told to be left.
func TestCancelDeletesAllCopies(t *testing.T) {
	for _, n := range []int{6, 10, 25, 40} {
		t.Run(strconv.Itoa(n), func(t *testing.T) {
			inBubble(t, hcloudsim.Options{}, func(t *testing.T, w *world) {
				quick := hcloudsim.DeletionBehaviour{After: 100 * time.Millisecond}
				manyCopies(w, n, hcloudsim.CopyBehaviour{FirewallAfter: 58 * time.Second, Deletion: quick})
				w.signals = []signalAt{{80 * time.Second, syscall.SIGINT}}
				r := w.run(t)
				there := w.there()
				if r.code != 130 || len(w.cloud.Creations()) != n || len(there) != n || r.outputs["copies-left"] != "[]" {
					t.Errorf("exit %d, %d copies made, left are %v and told %s\n%s", r.code, len(w.cloud.Creations()), there, r.outputs["copies-left"], r.log)
				}
			})
		})
	}
}

// However many copies are made at once, the polls show each of them isolated in time.
func TestManyCopiesAtOnce(t *testing.T) {
	for _, n := range []int{20, 100} {
		t.Run(strconv.Itoa(n), func(t *testing.T) {
			inBubble(t, hcloudsim.Options{}, func(t *testing.T, w *world) {
				manyCopies(w, n, hcloudsim.CopyBehaviour{Guest: hcloudsim.Guest{Ports: map[int]string{22: "SSH-2.0-OpenSSH_9.6\r\n"}}})
				w.sample(t)
				if r := w.run(t); r.code != 0 || len(w.there()) != n {
					t.Errorf("exit %d after %s: %s", r.code, r.took, r.log[max(0, len(r.log)-6000):])
				}
			})
		})
	}
}
