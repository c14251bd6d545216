package action_test

import (
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/org/hsnap-action/internal/hcloudsim"
)

// These are cases that once went wrong, each told by what a user would have seen.

func inBubble(t *testing.T, o hcloudsim.Options, f func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		if o.Seed == 0 {
			o.Seed = 1
		}
		f(t, newWorld(t, o))
	})
}

// A server that is deleted between two pages makes another slide off the listing: nobody may miss that one.
func TestServerSlidesBetweenPages(t *testing.T) {
	inBubble(t, hcloudsim.Options{}, func(t *testing.T, w *world) {
		var first int64
		for i := range 60 {
			id := w.cloud.AddServer(hcloudsim.Server{Name: fmt.Sprintf("web-%02d", i)})
			if i == 0 {
				first = id
			}
		}
		// The first page takes at least 20 ms and the second begins after it.
		deleted := false
		w.check = func(rt http.RoundTripper) http.RoundTripper {
			return roundTrip(func(r *http.Request) (*http.Response, error) {
				if r.URL.Query().Get("page") == "2" && !deleted {
					deleted = true
					w.cloud.DeleteServer(first)
				}
				return rt.RoundTrip(r)
			})
		}
		w.inputs["servers"], w.inputs["max-parallel"] = "*", "100"
		r := w.run(t)
		if got := len(r.snapshots(t)); r.code != 0 || got != 59 || r.outputs["created-count"] != "59" {
			t.Errorf("exit %d, %d entries, %s created; want all 59 servers that are left", r.code, got, r.outputs["created-count"])
		}
	})
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// Waiting for a place of our own is no lock: neither does it use up lock-timeout nor is it told as a wait for a lock.
func TestWaitForOwnPlaceIsNoLock(t *testing.T) {
	inBubble(t, hcloudsim.Options{}, func(t *testing.T, w *world) {
		a := w.cloud.AddServer(hcloudsim.Server{Name: "a"})
		w.cloud.AddServer(hcloudsim.Server{Name: "b", Snapshot: hcloudsim.SnapshotBehaviour{Duration: 40 * time.Minute}})
		w.cloud.Inject(hcloudsim.Fault{
			Kind: hcloudsim.ErrorJSON, Status: 409, Code: "conflict", Message: "conflict", Times: 1, Path: fmt.Sprintf("/servers/%d/actions/create_image", a),
		})
		w.inputs["servers"], w.inputs["max-parallel"], w.inputs["lock-timeout"] = "*", "1", "5m"
		r := w.run(t)
		if s := r.snapshots(t)[0]; r.code != 0 || s.LockWaitSeconds > 10 {
			t.Errorf("exit %d, a waited %v s for a lock that nobody held:\n%s", r.code, s.LockWaitSeconds, r.log)
		}
	})
}

// Servers that refuse without a visible lock must not delay the others.
func TestHiddenRefusersDelayNobody(t *testing.T) {
	for _, refusers := range []int{4, 24} {
		inBubble(t, hcloudsim.Options{}, func(t *testing.T, w *world) {
			w.sample(t)
			for i := range refusers {
				w.cloud.Lock(w.cloud.AddServer(hcloudsim.Server{Name: fmt.Sprintf("a-%02d", i)}), hcloudsim.Lock{Hidden: true})
			}
			unlocked := map[string]time.Time{}
			for i := range 10 {
				id := w.cloud.AddServer(hcloudsim.Server{Name: fmt.Sprintf("web-%d", i)})
				length := 30*time.Second + time.Duration(i)*12*time.Second
				w.cloud.Lock(id, hcloudsim.Lock{For: length})
				unlocked[fmt.Sprintf("/servers/%d/actions/create_image", id)] = time.Now().Add(length)
			}
			w.inputs["servers"], w.inputs["max-parallel"], w.inputs["lock-timeout"] = "*", "100", "150s"
			w.run(t)
			var asked []time.Duration
			for _, x := range w.cloud.History() {
				if end, ok := unlocked[x.Path]; ok && x.Status == http.StatusCreated {
					asked = append(asked, x.At.Sub(end))
				}
			}
			t.Logf("%d refusers: median %s, at most %s", refusers, median(asked), most(asked))
			if len(asked) != 10 || most(asked) > 12*time.Second {
				t.Errorf("%d servers that refuse: %d others were asked, at the latest %s after their locks", refusers, len(asked), most(asked))
			}
		})
	}
}

// The action of an adopted image is sought, not depended on.
func TestAdoptedImageWithoutAction(t *testing.T) {
	for name, test := range map[string]struct {
		fault    hcloudsim.Fault
		lacks    bool // the server's list of actions lacks the snapshot's
		actionID bool
	}{
		"the server is gone":        {fault: hcloudsim.Fault{Kind: hcloudsim.ErrorJSON, Status: 404, Code: "not_found", Message: "not found"}},
		"the poll always fails":     {fault: hcloudsim.Fault{Kind: hcloudsim.HTML502}},
		"the list lacks the action": {lacks: true},
		"the list holds it":         {actionID: true},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, hcloudsim.Options{}, func(t *testing.T, w *world) {
				w.cloud.AddServer(hcloudsim.Server{Name: "db-1"})
				w.cloud.Inject(hcloudsim.Fault{Kind: hcloudsim.LoseAnswerDone, Method: http.MethodPost, Times: 1})
				if test.fault.Kind != 0 {
					test.fault.Path = "/servers/*/actions"
					w.cloud.Inject(test.fault)
				}
				if test.lacks {
					w.check = func(rt http.RoundTripper) http.RoundTripper {
						return roundTrip(func(r *http.Request) (*http.Response, error) {
							if r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "/actions") {
								q := r.URL.Query()
								q.Set("status", "error") // none of its actions has that
								r.URL.RawQuery = q.Encode()
							}
							return rt.RoundTrip(r)
						})
					}
				}
				w.inputs["servers"] = "db-1"
				r := w.run(t)
				if s := r.snapshots(t)[0]; r.code != 0 || s.Status != "available" || (s.ActionID != nil) != test.actionID {
					t.Errorf("exit %d, %s, action %v\n%s", r.code, s.Status, s.ActionID, r.log)
				}
			})
		})
	}
}

// With wait: false an adopted image whose action has failed is no snapshot.
func TestAdoptedFailureIsNoSuccess(t *testing.T) {
	inBubble(t, hcloudsim.Options{}, func(t *testing.T, w *world) {
		w.cloud.AddServer(hcloudsim.Server{Name: "db-1", Snapshot: hcloudsim.SnapshotBehaviour{
			FailCode: "unknown_error", FailMessage: "server is locked", FailAfter: time.Millisecond, VanishAfter: 20 * time.Second, FailTimes: 1,
		}})
		w.cloud.Inject(hcloudsim.Fault{Kind: hcloudsim.LoseAnswerDone, Method: http.MethodPost, Times: 1})
		w.inputs["servers"], w.inputs["wait"] = "db-1", "false"
		r := w.run(t)
		images := w.cloud.Images()
		if r.code != 0 || len(images) != 1 || r.outputs["image-id"] != fmt.Sprint(images[0].ID) {
			t.Errorf("exit %d, image-id %s, made: %v\n%s", r.code, r.outputs["image-id"], images, r.log)
		}
	})
}

// A server that loses the label by which it was selected is watched all the same.
func TestServerLosesItsLabel(t *testing.T) {
	inBubble(t, hcloudsim.Options{}, func(t *testing.T, w *world) {
		prod := map[string]string{"env": "prod"}
		a := w.cloud.AddServer(hcloudsim.Server{Name: "a", Labels: prod})
		b := w.cloud.AddServer(hcloudsim.Server{Name: "b", Labels: prod})
		w.cloud.Lock(a, hcloudsim.Lock{For: 8 * time.Minute})
		w.cloud.Lock(b, hcloudsim.Lock{For: time.Minute})
		seen := false
		w.check = func(rt http.RoundTripper) http.RoundTripper {
			return roundTrip(func(r *http.Request) (*http.Response, error) {
				if r.URL.Query().Get("label_selector") == "env=prod" {
					if seen { // b has lost it after the selection
						q := r.URL.Query()
						q.Set("label_selector", "env=prod")
						q.Set("name", "a")
						r.URL.RawQuery = q.Encode()
					}
					seen = true
				}
				return rt.RoundTrip(r)
			})
		}
		w.inputs["label-selector"], w.inputs["lock-timeout"] = "env=prod", "10m"
		r := w.run(t)
		if s := r.snapshots(t); r.code != 0 || s[1].LockWaitSeconds > 75 {
			t.Errorf("exit %d, b waited %v s for a lock of 60 s\n%s", r.code, s[1].LockWaitSeconds, r.log)
		}
	})
}

// if-locked holds for a lock that shows up after another refusal, too.
func TestIfLockedAfterAnotherRefusal(t *testing.T) {
	inBubble(t, hcloudsim.Options{}, func(t *testing.T, w *world) {
		id := w.cloud.AddServer(hcloudsim.Server{Name: "a"})
		w.cloud.Inject(hcloudsim.Fault{Kind: hcloudsim.ErrorJSON, Status: 409, Code: "conflict", Message: "conflict", Times: 1, Method: http.MethodPost})
		w.cloud.Lock(id, hcloudsim.Lock{From: time.Second, For: 20 * time.Minute, Command: "rebuild_server"})
		w.inputs["servers"], w.inputs["if-locked"] = "a", "skip"
		r := w.run(t)
		if s := r.snapshots(t)[0]; s.Status != "skipped" || s.Reason != "locked" || r.took > time.Minute {
			t.Errorf("%s (%s) after %s", s.Status, s.Reason, r.took)
		}
	})
}

// A failed snapshot whose image will not go away holds no place that others need.
func TestClearingHoldsNoPlace(t *testing.T) {
	inBubble(t, hcloudsim.Options{}, func(t *testing.T, w *world) {
		w.cloud.AddServer(hcloudsim.Server{Name: "a", Snapshot: hcloudsim.SnapshotBehaviour{
			FailCode: "unknown_error", FailMessage: "server is locked", FailAfter: 2 * time.Second, VanishAfter: time.Hour,
		}})
		b := w.cloud.AddServer(hcloudsim.Server{Name: "b"})
		w.inputs["servers"], w.inputs["max-parallel"] = "*", "1"
		w.run(t)
		if at := w.tries(b); len(at) != 1 || at[0] > time.Minute {
			t.Errorf("b was asked for at %s, want once and within a minute", at)
		}
	})
}

// "Blocked" is not "locked".
func TestBlockedIsNotLocked(t *testing.T) {
	inBubble(t, hcloudsim.Options{}, func(t *testing.T, w *world) {
		w.cloud.AddServer(hcloudsim.Server{Name: "a", Snapshot: hcloudsim.SnapshotBehaviour{FailCode: "action_failed", FailMessage: "disk is blocked", FailAfter: time.Second}})
		w.inputs["servers"] = "a"
		if r := w.run(t); r.snapshots(t)[0].Reason != "action_failed" || strings.Count(w.history(), "POST") != 1 {
			t.Errorf("%+v\n%s", r.snapshots(t)[0], w.history())
		}
	})
}

// A lost create is not proven absent by a listing of servers that lacks its server.
func TestMissingServerProvesNothing(t *testing.T) {
	inBubble(t, hcloudsim.Options{}, func(t *testing.T, w *world) {
		id := w.cloud.AddServer(hcloudsim.Server{Name: "a"})
		w.cloud.AddServer(hcloudsim.Server{Name: "other"})
		w.cloud.Inject(hcloudsim.Fault{Kind: hcloudsim.LoseAnswerNever, Method: http.MethodPost, Times: 1})
		w.cloud.Lock(id, hcloudsim.Lock{From: 10 * time.Second, For: 3 * time.Minute})
		seen := false
		w.check = func(rt http.RoundTripper) http.RoundTripper {
			return roundTrip(func(r *http.Request) (*http.Response, error) {
				if strings.HasSuffix(r.URL.Path, "/servers") {
					if q := r.URL.Query(); seen {
						q.Set("name", "other")
						r.URL.RawQuery = q.Encode()
					}
					seen = true
				}
				return rt.RoundTrip(r)
			})
		}
		w.inputs["servers"] = "a"
		start := time.Now()
		r := w.run(t)
		for _, x := range w.cloud.History() {
			if x.Method == http.MethodPost && x.At.Sub(start) > 10*time.Second && x.At.Sub(start) < 3*time.Minute {
				t.Errorf("asked again after %s, while the server was locked", x.At.Sub(start))
			}
		}
		if r.code != 0 {
			t.Errorf("exit %d\n%s", r.code, r.log)
		}
	})
}

// Outputs are written after wrong inputs too, wherever they were to go.
func TestOutputsAfterWrongInputs(t *testing.T) {
	inBubble(t, hcloudsim.Options{}, func(t *testing.T, w *world) {
		file := w.dir + "/outputs.env"
		w.inputs["output-file"], w.inputs["lock-timeout"] = file, "soon"
		r := w.run(t)
		if r.code != 2 || r.outputs["result"] != "failure" || !strings.Contains(read(t, file), "HSNAP_RESULT=failure\n") {
			t.Errorf("exit %d, outputs %v", r.code, r.outputs)
		}
	})
}

// tries returns when each create of a server arrived, counted from the first request of the run.
func (w *world) tries(server int64) []time.Duration {
	var at []time.Duration
	for _, x := range w.cloud.History() {
		if x.Path == fmt.Sprintf("/servers/%d/actions/create_image", server) {
			at = append(at, x.At.Sub(w.cloud.History()[0].At))
		}
	}
	return at
}

// A few servers that refuse without a visible lock are each tried again after 5, 10, then every 20 s: the budget has room
// for that.
func TestFewRefusersAreTriedInTime(t *testing.T) {
	for _, refusers := range []int{1, 2} {
		inBubble(t, hcloudsim.Options{}, func(t *testing.T, w *world) {
			var servers []int64
			for i := range refusers {
				servers = append(servers, w.cloud.AddServer(hcloudsim.Server{Name: fmt.Sprintf("a-%d", i)}))
				w.cloud.Lock(servers[i], hcloudsim.Lock{Hidden: true})
			}
			w.inputs["servers"], w.inputs["lock-timeout"] = "*", "4m"
			w.run(t)
			for _, id := range servers {
				tries := w.tries(id)
				for i := range len(tries) - 2 { // the last one comes when the lock timeout is over
					want := []time.Duration{5 * time.Second, 10 * time.Second, 20 * time.Second}[min(i, 2)]
					if pause := tries[i+1] - tries[i]; pause < want || pause > want+time.Second {
						t.Errorf("%d refuse, server %d was tried again after %s, want %s", refusers, id, pause, want)
					}
				}
				if len(tries) < 13 {
					t.Errorf("%d refuse, server %d was tried %d times in 4m", refusers, id, len(tries))
				}
			}
		})
	}
}

// However many servers refuse, none waits longer than lock-timeout: what they wait for is Hetzner, also while the budget
// spaces their tries out.
func TestLockTimeoutBoundsManyRefusers(t *testing.T) {
	for _, refusers := range []int{1, 10, 50} {
		inBubble(t, hcloudsim.Options{}, func(t *testing.T, w *world) {
			w.sample(t)
			for i := range refusers {
				w.cloud.AddServer(hcloudsim.Server{Name: fmt.Sprintf("a-%02d", i)})
			}
			w.cloud.Inject(hcloudsim.Fault{Kind: hcloudsim.ErrorJSON, Method: http.MethodPost, Status: 403, Code: "maintenance", Message: "maintenance"})
			w.inputs["servers"], w.inputs["max-parallel"], w.inputs["lock-timeout"] = "*", "100", "5m"
			r := w.run(t)
			first := time.Minute * time.Duration(refusers/15) // until the last has been asked for the first time
			if r.code != 1 || r.took > first+6*time.Minute || r.outputs["failed-count"] != fmt.Sprint(refusers) {
				t.Errorf("%d refuse: exit %d after %s, %s failed", refusers, r.code, r.took, r.outputs["failed-count"])
			}
		})
	}
}

// Creates that Hetzner refuses for good are none of the requests that the budget counts, and delay nobody.
func TestFinalRefusalsDelayNobody(t *testing.T) {
	inBubble(t, hcloudsim.Options{}, func(t *testing.T, w *world) {
		for i := range 40 {
			w.cloud.AddServer(hcloudsim.Server{Name: fmt.Sprintf("a-%02d", i)})
		}
		last := w.cloud.AddServer(hcloudsim.Server{Name: "z"})
		w.cloud.Inject(hcloudsim.Fault{Kind: hcloudsim.ErrorJSON, Method: http.MethodPost, Status: 422, Code: "invalid_input", Message: "no", Times: 40})
		w.inputs["servers"], w.inputs["max-parallel"] = "*", "100"
		w.run(t)
		if at := w.tries(last); len(at) != 1 || at[0] > 20*time.Second {
			t.Errorf("the one that is accepted was asked for at %s", at)
		}
	})
}

// A server that is off for its snapshot has its place: it is asked for again although others wait for one.
func TestServerThatIsOffHasItsPlace(t *testing.T) {
	inBubble(t, hcloudsim.Options{}, func(t *testing.T, w *world) {
		a := w.cloud.AddServer(hcloudsim.Server{Name: "a"})
		w.cloud.AddServer(hcloudsim.Server{Name: "b", Status: "off"})
		w.cloud.AddServer(hcloudsim.Server{Name: "c", Status: "off"})
		w.cloud.Inject(hcloudsim.Fault{
			Kind: hcloudsim.ErrorJSON, Status: 409, Code: "conflict", Message: "conflict", Times: 1, Path: fmt.Sprintf("/servers/%d/actions/create_image", a),
		})
		w.inputs["servers"], w.inputs["max-parallel"], w.inputs["shutdown"] = "*", "1", "graceful"
		r := w.run(t)
		if got := w.tries(a); r.code != 0 || len(got) != 2 || got[1]-got[0] > 8*time.Second {
			t.Errorf("exit %d, a was asked for at %s\n%s", r.code, got, r.log)
		}
	})
}

// A cancelled run asks for the power of each server before it asks for any again.
func TestCancelAsksForEachServersPower(t *testing.T) {
	for _, cancelled := range []time.Duration{35 * time.Second, time.Minute, 2*time.Minute + time.Second} {
		inBubble(t, hcloudsim.Options{}, func(t *testing.T, w *world) { cancelAsks(t, w, cancelled) })
	}
}

func cancelAsks(t *testing.T, w *world, cancelled time.Duration) {
	t.Helper()
	const servers = 10
	for i := range servers {
		id := w.cloud.AddServer(hcloudsim.Server{Name: fmt.Sprintf("a-%d", i), Snapshot: hcloudsim.SnapshotBehaviour{
			Duration: 10 * time.Minute, LockFor: -1,
		}})
		if i < servers/2 {
			w.cloud.Lock(id, hcloudsim.Lock{From: 15 * time.Second, Hidden: true})
		}
	}
	w.cloud.Inject(hcloudsim.Fault{ // none comes back before the cancel
		Kind: hcloudsim.ErrorJSON, Status: 409, Code: "conflict", Message: "conflict", Path: "/servers/*/actions/poweron", For: 2 * time.Minute,
	})
	w.inputs["servers"], w.inputs["shutdown"], w.inputs["max-unavailable"], w.inputs["settle-time"] = "*", "graceful", "10", "0s"
	w.signals = []signalAt{{cancelled, syscall.SIGINT}}
	start := time.Now()
	r := w.run(t)
	asked := map[string]bool{}
	for _, x := range w.cloud.History() {
		if strings.HasSuffix(x.Path, "/poweron") && x.At.Sub(start) >= cancelled {
			asked[x.Path] = true
		}
	}
	if len(asked) != servers || r.code != 130 {
		t.Errorf("cancelled after %s: exit %d, %d of %d servers were asked for", cancelled, r.code, len(asked), servers)
	}
}

// Waiting for room is no lock: it doesn't use up lock-timeout, and room that is freed is tried.
func TestWaitForRoomIsNoLock(t *testing.T) {
	inBubble(t, hcloudsim.Options{SnapshotLimit: 2}, func(t *testing.T, w *world) {
		a := w.cloud.AddServer(hcloudsim.Server{Name: "a"})
		b := w.cloud.AddServer(hcloudsim.Server{Name: "b", Snapshot: hcloudsim.SnapshotBehaviour{Duration: 15 * time.Minute}})
		w.cloud.AddImage(hcloudsim.Image{
			ServerID: b, Status: "available", SizeGB: 2.5, Created: time.Now().Add(-240 * time.Hour),
			Labels: map[string]string{"hsnap/series": "nightly", "hsnap/server-id": fmt.Sprint(b)},
		})
		w.cloud.Inject(hcloudsim.Fault{
			Kind: hcloudsim.ErrorJSON, Status: 409, Code: "conflict", Message: "conflict", Times: 1, Path: fmt.Sprintf("/servers/%d/actions/create_image", a),
		})
		w.inputs["servers"], w.inputs["series"], w.inputs["keep-last"], w.inputs["lock-timeout"] = "*", "nightly", "1", "5m"
		r := w.run(t)
		if s := r.snapshots(t)[0]; r.code != 0 || s.Status != "available" || s.LockWaitSeconds > 10 {
			t.Errorf("exit %d, a is %s (%s) after a wait of %v s for locks\n%s", r.code, s.Status, s.Reason, s.LockWaitSeconds, r.log)
		}
	})
}

// Servers that slide to the page before, since others are deleted, are still watched together.
func TestSlidingServersAreWatchedTogether(t *testing.T) {
	inBubble(t, hcloudsim.Options{}, func(t *testing.T, w *world) {
		w.sample(t)
		var others []int64
		unlocked := map[int64]time.Duration{}
		for i := range 50 {
			others = append(others, w.cloud.AddServer(hcloudsim.Server{Name: fmt.Sprintf("other-%02d", i)}))
		}
		for i := range 50 {
			id := w.cloud.AddServer(hcloudsim.Server{Name: fmt.Sprintf("web-%02d", i)})
			unlocked[id] = 90*time.Second + time.Duration(i)*2*time.Second
			w.cloud.Lock(id, hcloudsim.Lock{For: unlocked[id]})
		}
		w.cloud.At(20*time.Second, func(c *hcloudsim.Cloud) {
			for _, id := range others {
				c.DeleteServer(id)
			}
		})
		w.inputs["servers"], w.inputs["max-parallel"] = "web-*", "100"
		w.run(t)
		for id, end := range unlocked {
			if at := w.tries(id); len(at) == 0 || at[len(at)-1]-end > 10*time.Second {
				t.Errorf("server %d, unlocked after %s, was asked for at %s", id, end, at)
			}
		}
	})
}
