package action_test

import (
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/org/hsnap-action/internal/hcloudsim"
)

// These are promises about time: what a wait counts, and when it ends.

// snapshot-timeout counts from the answer that accepts the snapshot, however long that answer took.
func TestSnapshotTimeoutCountsFromAcceptance(t *testing.T) {
	for length, status := range map[time.Duration]string{90 * time.Second: "available", 130 * time.Second: "failed"} {
		inBubble(t, hcloudsim.Options{}, func(t *testing.T, w *world) {
			w.cloud.AddServer(hcloudsim.Server{Name: "a", Snapshot: hcloudsim.SnapshotBehaviour{Duration: length}})
			w.cloud.Inject(hcloudsim.Fault{Kind: hcloudsim.Slow, Method: http.MethodPost, Delay: 40 * time.Second, Times: 1})
			w.inputs["servers"], w.inputs["snapshot-timeout"] = "a", "60s"
			r := w.run(t)
			s := r.snapshots(t)[0]
			if s.Status != status || status == "failed" && (s.Reason != "snapshot_timeout" || s.DurationSeconds < 60 || s.DurationSeconds > 75) {
				t.Errorf("a snapshot of %s, accepted after 40 s, is %s (%s) after %v s; the timeout is 60 s", length, s.Status, s.Reason, s.DurationSeconds)
			}
		})
	}
}

// The clock of lock-timeout stands from the unlock on: neither the wait for a place of our own, nor a slow answer, nor a
// guest that shuts down is a wait for a lock.
func TestOnlyLocksAreWaitedFor(t *testing.T) {
	for name, test := range map[string]struct {
		prepare func(w *world, a int64)
		waited  float64 // seconds at most
	}{
		"a place of our own": {func(w *world, a int64) {
			w.cloud.AddServer(hcloudsim.Server{Name: "b", Snapshot: hcloudsim.SnapshotBehaviour{Duration: 10 * time.Minute}})
			w.cloud.Lock(a, hcloudsim.Lock{For: 30 * time.Second})
			w.inputs["max-parallel"] = "1"
		}, 38},
		"a slow answer": {func(w *world, a int64) {
			w.cloud.Lock(a, hcloudsim.Lock{For: 30 * time.Second})
			w.cloud.Inject(hcloudsim.Fault{Kind: hcloudsim.Slow, Method: http.MethodPost, Delay: 40 * time.Second, Times: 1})
		}, 38},
		"a guest that shuts down": {func(w *world, a int64) {
			w.cloud.Inject(hcloudsim.Fault{
				Kind: hcloudsim.ErrorJSON, Status: 409, Code: "conflict", Message: "conflict", Times: 1, Path: fmt.Sprintf("/servers/%d/actions/shutdown", a),
			})
			w.inputs["shutdown"] = "graceful"
		}, 12},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, hcloudsim.Options{}, func(t *testing.T, w *world) {
				test.prepare(w, w.cloud.AddServer(hcloudsim.Server{Name: "a", Power: hcloudsim.PowerBehaviour{ShutdownAfter: 90 * time.Second}}))
				w.inputs["servers"], w.inputs["lock-timeout"] = "*", "1m"
				r := w.run(t)
				if s := r.snapshots(t)[0]; r.code != 0 || s.LockWaitSeconds > test.waited {
					t.Errorf("exit %d, a is %s (%s) after a wait for locks of %v s, want %v at most\n%s", r.code, s.Status, s.Reason, s.LockWaitSeconds, test.waited, r.log)
				}
			})
		})
	}
}

// A snapshot that became ready just before a cancel is reported so, although no poll had shown it: one last poll tells.
func TestReadyJustBeforeTheCancel(t *testing.T) {
	run := func(copying, cancel time.Duration) (r ran, ready time.Duration) {
		inBubble(t, hcloudsim.Options{}, func(t *testing.T, w *world) {
			w.cloud.AddServer(hcloudsim.Server{Name: "a", Snapshot: hcloudsim.SnapshotBehaviour{Duration: 30 * time.Second, AvailableAfter: copying}})
			w.inputs["servers"] = "a"
			if cancel > 0 {
				w.signals = []signalAt{{cancel, syscall.SIGINT}}
			}
			r = w.run(t)
			ready = w.cloud.Actions()[0].Began.Sub(r.started) + 30*time.Second + copying
		})
		return r, ready
	}
	for copying := 8 * time.Second; copying < 15*time.Second; copying += time.Second / 2 {
		r, ready := run(copying, 0)
		cancel := ready + 100*time.Millisecond
		between := r.first(func(x *exchange) bool {
			return x.path == "/images" && x.done.Sub(r.started) > ready && x.sent.Sub(r.started) < cancel
		})
		if !between.sent.IsZero() {
			continue // a poll shows it before the cancel
		}
		r, _ = run(copying, cancel)
		if s := r.snapshots(t)[0]; s.Status != "available" || r.outputs["created-count"] != "1" || r.code != 130 {
			t.Errorf("exit %d, a is %s (%s), want it available\n%s", r.code, s.Status, s.Reason, r.log)
		}
		return
	}
	t.Error("whenever the snapshot becomes ready, a poll shows it before the cancel: the test proves nothing")
}

// busiest returns the most polls that a run has sent in any minute.
func (r ran) busiest() (most int) {
	for i, first := range r.trace {
		n := 0
		for _, x := range r.trace[i:] {
			if x.method == http.MethodGet && !first.sent.Before(r.selected) && x.sent.Sub(first.sent) <= time.Minute {
				n++
			}
		}
		most = max(most, n)
	}
	return most
}

// While less than a tenth of the project's requests is left, a run takes half as many.
func TestFewRequestsLeft(t *testing.T) {
	for spent, test := range map[int]struct{ least, most int }{0: {20, 30}, 3550: {8, 15}} {
		inBubble(t, hcloudsim.Options{}, func(t *testing.T, w *world) {
			w.sample(t)
			for i := range 30 {
				w.cloud.Lock(w.cloud.AddServer(hcloudsim.Server{Name: fmt.Sprintf("a-%02d", i)}), hcloudsim.Lock{For: time.Hour, Command: "rebuild_server"})
			}
			w.cloud.Spend(spent)
			w.inputs["servers"], w.inputs["lock-timeout"] = "*", "3m"
			r := w.run(t)
			if n := r.busiest(); n < test.least || n > test.most {
				t.Errorf("with %d requests spent a minute had %d polls, want %d to %d", spent, n, test.least, test.most)
			}
		})
	}
}

// Only names that do not exist are failures of the run; that nothing is left for any other reason is a mistake in the inputs.
func TestNothingToDo(t *testing.T) {
	for _, test := range []struct {
		inputs map[string]string
		code   int
		result string
	}{
		{map[string]string{"servers": "web-9"}, 1, "failure"},
		{map[string]string{"servers": "web-9 4711"}, 1, "failure"},
		{map[string]string{"servers": "web-9 app-*"}, 1, "failure"},
		{map[string]string{"servers": "web-9", "if-no-servers-found": "ignore"}, 1, "failure"},
		{map[string]string{"servers": "web-1 web-9"}, 1, "partial"},
		{map[string]string{"servers": "app-*"}, 2, "failure"},
		{map[string]string{"label-selector": "env=test"}, 2, "failure"},
		{map[string]string{"servers": "web-1", "exclude": "*"}, 2, "failure"},
		{map[string]string{"servers": "app-*", "if-no-servers-found": "warn"}, 0, "skipped"},
	} {
		inBubble(t, hcloudsim.Options{}, func(t *testing.T, w *world) {
			w.cloud.AddServer(hcloudsim.Server{Name: "web-1"})
			w.inputs = test.inputs
			if r := w.run(t); r.code != test.code || r.outputs["result"] != test.result {
				t.Errorf("%v: exit %d, %s; want %d, %s\n%s", test.inputs, r.code, r.outputs["result"], test.code, test.result, r.log)
			}
		})
	}
}

// A create whose answer was lost and that has had no effect is asked for again once that is proved, and under the same
// label; where lock-timeout is over by then it is not, and the report says under which label it may still appear.
func TestLostCreate(t *testing.T) {
	for _, test := range []struct {
		timeout string
		cancel  time.Duration
		creates int
		status  string
		reason  string
	}{
		{"10m", 0, 2, "available", ""},
		{"30s", 0, 1, "failed", "unknown_outcome"},
		{"10m", 20 * time.Second, 1, "cancelled", "cancelled"},
	} {
		inBubble(t, hcloudsim.Options{}, func(t *testing.T, w *world) {
			id := w.cloud.AddServer(hcloudsim.Server{Name: "a"})
			w.cloud.Inject(hcloudsim.Fault{Kind: hcloudsim.LoseAnswerNever, Method: http.MethodPost, Times: 1})
			w.inputs["servers"], w.inputs["lock-timeout"] = "a", test.timeout
			if test.cancel > 0 {
				w.signals = []signalAt{{test.cancel, syscall.SIGINT}}
			}
			r := w.run(t)
			s := r.snapshots(t)[0]
			if creates := r.creates(id); len(creates) != test.creates || s.Status != test.status || s.Reason != test.reason {
				t.Errorf("%v: %d creates, %s (%s)\n%s", test, len(creates), s.Status, s.Reason, r.log)
			}
			if label := "hsnap/request=" + r.creates(id)[0].request(); (test.creates == 1) != strings.Contains(s.Message, label) {
				t.Errorf("%v: the message says %q, the label is %s", test, s.Message, label)
			}
			timeout, err := time.ParseDuration(test.timeout)
			if err != nil {
				t.Fatal(err)
			}
			judgeCreates(t, plan{run: "8123456789-1", lockTimeout: timeout}, r)
			judgeLost(t, r)
		})
	}
}

// A create that breaks off while it is written may have taken effect all the same.
func TestCreateBreaksOffWhileItIsWritten(t *testing.T) {
	inBubble(t, hcloudsim.Options{}, func(t *testing.T, w *world) {
		w.breaks = 1 // each
		w.cloud.AddServer(hcloudsim.Server{Name: "a", Snapshot: hcloudsim.SnapshotBehaviour{LockFor: -1}})
		w.cloud.Inject(hcloudsim.Fault{Kind: hcloudsim.LoseAnswerDone, Method: http.MethodPost, Times: 1})
		w.inputs["servers"] = "a"
		r := w.run(t)
		time.Sleep(2 * time.Minute)
		if n := len(w.cloud.Images()); r.code != 0 || n != 1 {
			t.Errorf("exit %d, %d images, want one\n%s", r.code, n, r.log)
		}
	})
}

// The poll that shows the server unlocked begins after the second list is complete, though polls of others go on all the
// time, and one of them may show it earlier.
func TestProofEndsWithThePoll(t *testing.T) {
	overtaken := 0
	for seed := range uint64(20) {
		inBubble(t, hcloudsim.Options{Seed: seed + 1}, func(t *testing.T, w *world) {
			a := w.cloud.AddServer(hcloudsim.Server{Name: "a"})
			for _, name := range []string{"b", "c"} {
				w.cloud.Lock(w.cloud.AddServer(hcloudsim.Server{Name: name}), hcloudsim.Lock{For: 4 * time.Minute})
			}
			w.cloud.Inject(hcloudsim.Fault{Kind: hcloudsim.LoseAnswerNever, Method: http.MethodPost, Times: 1})
			w.cloud.Inject(hcloudsim.Fault{Kind: hcloudsim.Slow, Path: "/servers", Skip: 1, Delay: 3 * time.Second})
			w.inputs["servers"] = "*"
			r := w.run(t)
			judgeCreates(t, plan{run: "8123456789-1", lockTimeout: 30 * time.Minute}, r)
			creates := r.creates(a)
			if len(creates) != 2 {
				t.Fatalf("%d creates, want a second one\n%s", len(creates), r.log)
			}
			second, _ := r.proof(a, creates[0], creates[1].sent)
			early := r.first(func(x *exchange) bool {
				return second != nil && x.shows(a) != nil && x.sent.Before(second.done) && x.done.After(second.done)
			})
			if !early.sent.IsZero() {
				overtaken++
			}
		})
	}
	if overtaken == 0 {
		t.Error("no poll was under way when the proof began: the test proves nothing")
	}
}

// Nothing new is begun once the run is cancelled: no create of those that are tried again all the time, no deletion of those
// that are queued.
func TestNothingNewAfterTheCancel(t *testing.T) {
	for cancel := 20 * time.Second; cancel < 24*time.Second; cancel += 400 * time.Millisecond {
		inBubble(t, hcloudsim.Options{}, func(t *testing.T, w *world) {
			w.sample(t)
			for i := range 10 {
				w.cloud.Lock(w.cloud.AddServer(hcloudsim.Server{Name: fmt.Sprintf("a-%02d", i)}), hcloudsim.Lock{Hidden: true})
			}
			id := w.cloud.AddServer(hcloudsim.Server{Name: "z", Snapshot: hcloudsim.SnapshotBehaviour{Duration: 14 * time.Second}})
			for day := range 60 {
				w.cloud.AddImage(hcloudsim.Image{ServerID: id, Created: time.Now().Add(-time.Duration(day+1) * 24 * time.Hour), Labels: map[string]string{
					"hsnap/series": "nightly", "hsnap/server-id": fmt.Sprint(id), "hsnap/run": "1-1",
				}})
			}
			w.inputs["servers"], w.inputs["series"], w.inputs["keep-last"], w.inputs["max-parallel"] = "*", "nightly", "1", "20"
			w.signals = []signalAt{{cancel, syscall.SIGINT}}
			r := w.run(t)
			judgeChanges(t, plan{cancelAfter: cancel}, r)
			if r.code != 130 || len(w.cloud.Images()) < 10 {
				t.Errorf("exit %d, %d images are left: the cancel came too late", r.code, len(w.cloud.Images()))
			}
		})
	}
}
