package action_test

import (
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/org/hsnap-action/internal/hcloudsim"
)

// On a cancel copies are deleted first of all, whatever becomes of the polls before and after it.
func TestCancelOutlastsBadPolls(t *testing.T) {
	get := func(kind hcloudsim.FaultKind, path string, from, delay time.Duration, times int) hcloudsim.Fault {
		return hcloudsim.Fault{Kind: kind, Method: http.MethodGet, Path: path, From: from, Delay: delay, Times: times}
	}
	for name, test := range map[string]struct {
		signal syscall.Signal
		faults []hcloudsim.Fault
		gone   bool // otherwise a deletion is sent
	}{
		"one hangs":             {syscall.SIGINT, []hcloudsim.Fault{get(hcloudsim.Slow, "/servers", 50*time.Second, 9*time.Second, 1)}, true},
		"two fail":              {syscall.SIGINT, []hcloudsim.Fault{get(hcloudsim.HTML502, "/servers", 56*time.Second, 0, 2)}, true},
		"one fails, in a hurry": {syscall.SIGTERM, []hcloudsim.Fault{get(hcloudsim.HTML502, "/servers", 56*time.Second, 0, 1)}, false},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, hcloudsim.Options{}, func(t *testing.T, w *world) {
				manyCopies(w, 3, hcloudsim.CopyBehaviour{Deletion: hcloudsim.DeletionBehaviour{After: 100 * time.Millisecond}, FirewallAfter: 58 * time.Second})
				for _, fault := range test.faults {
					w.cloud.Inject(fault)
				}
				w.signals = []signalAt{{56 * time.Second, test.signal}}
				r := w.run(t)
				asked := 0
				for _, x := range w.cloud.History() {
					if x.Method == http.MethodDelete && strings.HasPrefix(x.Path, "/servers/") {
						asked++
					}
				}
				if asked != 3 || test.gone && r.outputs["copies-left"] != "[]" {
					t.Errorf("%d deletions, left %s\n%s", asked, r.outputs["copies-left"], r.log)
				}
			})
		})
	}
}

// Somebody else's hands are on a copy: what is told of it is what is so.
func TestMeddledCopies(t *testing.T) {
	relabel := func(c *hcloudsim.Cloud) { c.LabelServer(c.Creations()[0].ServerID, map[string]string{"env": "prod"}) }
	for name, test := range map[string]struct {
		copies hcloudsim.CopyBehaviour
		change func(*world)
		says   string
		never  string
		within time.Duration
	}{
		"relabelled before it is isolated": {
			hcloudsim.CopyBehaviour{FirewallAfter: 20 * time.Second}, func(w *world) { w.cloud.At(40*time.Second, relabel) },
			"not_isolated", "create_failed", 5 * time.Minute,
		},
		"relabelled while its deletion fails": {
			hcloudsim.CopyBehaviour{Deletion: hcloudsim.DeletionBehaviour{After: 10 * time.Second, FailTimes: -1}}, func(w *world) { w.cloud.At(50*time.Second, relabel) },
			"its name or its labels have changed", "the copy is deleted, but", 3 * time.Minute,
		},
		"relabelled, and deleted, while another create may have an effect": {
			hcloudsim.CopyBehaviour{Duration: 5 * time.Second}, func(w *world) {
				w.cloud.Inject(hcloudsim.Fault{Kind: hcloudsim.LoseAnswerDone, Method: http.MethodPost, Path: "/servers", Times: 1})
				w.cloud.At(10*time.Second, relabel)
				w.cloud.At(40*time.Second, func(c *hcloudsim.Cloud) { c.DeleteServer(c.Creations()[0].ServerID) })
			}, "FAILED: 1 of 1", "LEFT BEHIND", 5 * time.Minute,
		},
		"a copy of another run": {
			hcloudsim.CopyBehaviour{}, func(w *world) {
				w.cloud.AddServer(hcloudsim.Server{Name: "hsnap-drill-7001", Labels: map[string]string{
					"hsnap/drill": "abcdef0123456789", "hsnap/drill-until": strconv.FormatInt(time.Now().Add(2*time.Hour).Unix(), 10),
				}})
				w.cloud.Inject(hcloudsim.Fault{Kind: hcloudsim.HTML502, Method: http.MethodPost, Path: "/servers"})
				w.signals = []signalAt{{20 * time.Second, syscall.SIGINT}}
			}, "in_progress", "LEFT BEHIND", time.Minute,
		},
		"its address is protected": {
			hcloudsim.CopyBehaviour{Deletion: hcloudsim.DeletionBehaviour{IPsStay: -1}}, func(w *world) {
				w.cloud.Inject(hcloudsim.Fault{Kind: hcloudsim.ErrorJSON, Method: http.MethodDelete, Path: "/primary_ips/*", Status: 403, Code: "protected", Message: "protected"})
			}, "hcloud primary-ip disable-protection", "hcloud server disable-protection", 15 * time.Minute,
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, hcloudsim.Options{}, func(t *testing.T, w *world) {
				drilled(w, test.copies)
				test.change(w)
				r := w.run(t)
				if !strings.Contains(r.log, test.says) || strings.Contains(r.log, test.never) || r.took > test.within {
					t.Errorf("exit %d after %s\n%s", r.code, r.took, r.log)
				}
			})
		})
	}
}

// A leftover that can't be deleted is no part of what has gone well.
func TestProgressOfLeftovers(t *testing.T) {
	inBubble(t, hcloudsim.Options{}, func(t *testing.T, w *world) {
		drilled(w, hcloudsim.CopyBehaviour{})
		over := map[string]string{"hsnap/drill-until": strconv.FormatInt(time.Now().Add(-2*time.Hour).Unix(), 10)}
		for name, request := range map[string]string{"hsnap-drill-7051": "f00d", "hsnap-drill-7052": "beef"} {
			over["hsnap/drill"] = request
			id := w.cloud.AddServer(hcloudsim.Server{Name: name, Labels: ours(0, "", over), Protected: name == "hsnap-drill-7051"})
			if name == "hsnap-drill-7052" {
				w.cloud.Lock(id, hcloudsim.Lock{Command: "create_image", For: 70 * time.Second})
			}
		}
		if r := w.run(t); !strings.Contains(r.log, "1 failed, 1 deleting a copy; waiting for hsnap-drill-7052") {
			t.Errorf("exit %d\n%s", r.code, r.log)
		}
	})
}
