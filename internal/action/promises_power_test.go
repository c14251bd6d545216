package action_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/org/hsnap-action/internal/hcloudsim"
)

// These are promises about servers that are switched off for their snapshots.

// relabel sets a label of an image, as somebody else does.
func (w *world) relabel(t *testing.T, image hcloudsim.Image, key, value string) {
	t.Helper()
	labels := maps.Clone(image.Labels)
	labels[key] = value
	body, err := json.Marshal(map[string]any{"labels": labels})
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, fmt.Sprintf("http://127.0.0.1/v1/images/%d", image.ID), strings.NewReader(string(body)))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+hcloudsim.DefaultToken)
	if resp, err := w.cloud.Transport().RoundTrip(r); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatal(resp, err)
	}
}

// The label that says that a server is off for its snapshot says so until it runs again, and no other label changes: neither
// one of ours, nor one that somebody else has put on it meanwhile.
func TestPowerLabel(t *testing.T) {
	inBubble(t, hcloudsim.Options{}, func(t *testing.T, w *world) {
		w.cloud.AddServer(hcloudsim.Server{Name: "a", Snapshot: hcloudsim.SnapshotBehaviour{Duration: 20 * time.Second}})
		w.cloud.AddServer(hcloudsim.Server{Name: "b", Status: "off"})
		before := ""
		w.check = func(rt http.RoundTripper) http.RoundTripper {
			return roundTrip(func(r *http.Request) (*http.Response, error) {
				resp, err := rt.RoundTrip(r)
				if strings.HasSuffix(r.URL.Path, "/poweron") && err == nil && resp.StatusCode == http.StatusCreated {
					image := w.cloud.Images()[0]
					before = image.Labels["hsnap/power"]
					w.relabel(t, image, "by", "hand")
				}
				return resp, err
			})
		}
		w.inputs = map[string]string{"servers": "*", "shutdown": "graceful", "labels": "tier=gold", "max-parallel": "1"}
		r := w.run(t)
		labels := w.cloud.Images()[0].Labels
		if r.code != 0 || before != "pending" || labels["hsnap/power"] != "done" || labels["by"] != "hand" || labels["tier"] != "gold" || labels["hsnap/request"] == "" {
			t.Errorf("exit %d, hsnap/power was %s, then the labels are %v", r.code, before, labels)
		}
		if power, ok := w.cloud.Images()[1].Labels["hsnap/power"]; ok {
			t.Errorf("the snapshot of b, which was off before, has hsnap/power=%s", power)
		}
	})
}

// After a run that was killed its snapshot says that its server is off. The post step switches it on and says so; where there
// is none, the next run finds the server off, takes its snapshot as it is, and names it.
func TestPowerLabelOfKilledRun(t *testing.T) {
	killed := func(t *testing.T, w *world) (r ran, server int64) {
		t.Helper()
		server = w.cloud.AddServer(hcloudsim.Server{Name: "a", Snapshot: hcloudsim.SnapshotBehaviour{Duration: 2 * time.Minute}})
		w.inputs["servers"], w.inputs["shutdown"] = "a", "graceful"
		w.kill = 30 * time.Second
		r = w.run(t)
		if images := w.cloud.Images(); len(images) != 1 || images[0].Labels["hsnap/power"] != "pending" {
			t.Fatalf("killed with the images %v, want one that says that its server is off", images)
		}
		return r, server
	}
	t.Run("post step", func(t *testing.T) {
		inBubble(t, hcloudsim.Options{}, func(t *testing.T, w *world) {
			r, _ := killed(t, w)
			post := w.post(t, r)
			if power, status := w.cloud.Images()[0].Labels["hsnap/power"], w.cloud.Servers()[0].Status; post.code != 0 || power != "done" || status != "running" {
				t.Errorf("exit %d, the server is %s, hsnap/power=%s\n%s", post.code, status, power, post.log)
			}
		})
	})
	t.Run("next run", func(t *testing.T) {
		inBubble(t, hcloudsim.Options{}, func(t *testing.T, w *world) {
			_, server := killed(t, w)
			r := w.runAgain(t, 10*time.Minute)
			s := r.snapshots(t)[0]
			if r.code != 1 || r.outputs["servers-left-off"] != `["a"]` || s.Reason != "power_on_failed" || r.outputs["created-count"] != "1" {
				t.Errorf("exit %d, left off: %s, %s (%s)\n%s", r.code, r.outputs["servers-left-off"], s.Status, s.Reason, r.log)
			}
			if n := len(r.sentTo(server, "poweron")) + len(r.sentTo(server, "shutdown")); n > 0 || w.cloud.Servers()[0].Status != "off" {
				t.Errorf("the next run has sent %d power requests", n)
			}
		})
	})
}

// No more servers are off at once than the user allows, and the next one waits until the last one has settled.
func TestServersAreSwitchedOffInTurn(t *testing.T) {
	for _, most := range []int{1, 2} {
		inBubble(t, hcloudsim.Options{}, func(t *testing.T, w *world) {
			p := plan{shutdown: "graceful", maxUnavailable: most, settle: 20 * time.Second, stopTimeout: 2 * time.Minute, running: map[int64]bool{}}
			for i := range 5 {
				id := w.cloud.AddServer(hcloudsim.Server{Name: fmt.Sprint("a-", i), Snapshot: hcloudsim.SnapshotBehaviour{Duration: 20 * time.Second}})
				p.running[id] = true
			}
			w.watchPower()
			w.inputs = map[string]string{"servers": "*", "shutdown": "graceful", "max-unavailable": fmt.Sprint(most), "settle-time": p.settle.String()}
			r := w.run(t)
			judgeDowntime(t, w, p, r)
			if n := len(r.downtimes(w, p)); r.code != 0 || n != 5 {
				t.Errorf("exit %d, servers were off %d times, want 5\n%s", r.code, n, r.log)
			}
		})
	}
}

// When Hetzner's limit is reached no further server is switched off: it would be off for nothing.
func TestNoRoomNoShutdown(t *testing.T) {
	for name, keep := range map[string]string{"nothing can be freed": "", "something may be freed": "1"} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, hcloudsim.Options{SnapshotLimit: 2}, func(t *testing.T, w *world) {
				for i := range 4 {
					id := w.cloud.AddServer(hcloudsim.Server{Name: fmt.Sprint("a-", i), Snapshot: hcloudsim.SnapshotBehaviour{Duration: 20 * time.Second}})
					if i == 0 {
						w.cloud.AddImage(hcloudsim.Image{ServerID: id, Created: time.Now().Add(-48 * time.Hour), Labels: map[string]string{
							"hsnap/series": "nightly", "hsnap/server-id": fmt.Sprint(id), "hsnap/run": "1-1",
						}})
					}
				}
				w.inputs = map[string]string{"servers": "*", "shutdown": "graceful", "settle-time": "0s"}
				if keep != "" {
					w.inputs["series"], w.inputs["keep-last"] = "nightly", keep
				}
				r := w.run(t)
				judgeRoom(t, r)
				full := r.first(func(x *exchange) bool { return x.isCreate() && x.verdict() == noRoom })
				if full.sent.IsZero() || r.code != 1 {
					t.Errorf("exit %d, the limit was never reached: the test proves nothing", r.code)
				}
				for _, s := range r.snapshots(t) {
					if s.Status == "failed" && s.Reason != "limit_exceeded" && s.Reason != "shutdown_halted" {
						t.Errorf("%s is failed (%s)", s.Name, s.Reason)
					}
				}
				for _, s := range w.cloud.Servers() {
					if s.Status != "running" {
						t.Errorf("%s is %s after %v", s.Name, s.Status, s.Commands)
					}
				}
			})
		})
	}
}

// A server that is found locked when its turn to be switched off has come is switched off when the lock is gone, and not
// snapshotted live.
func TestLockedAtItsTurn(t *testing.T) {
	inBubble(t, hcloudsim.Options{}, func(t *testing.T, w *world) {
		id := w.cloud.AddServer(hcloudsim.Server{Name: "a"})
		w.cloud.Lock(id, hcloudsim.Lock{AfterPolls: 1, For: 30 * time.Second}) // after the selection
		w.inputs["servers"], w.inputs["shutdown"] = "a", "graceful"
		r := w.run(t)
		if !strings.Contains(r.log, "a: locked, waiting") || !strings.Contains(r.outputs["snapshots"], `"power_state":"off"`) {
			t.Errorf("exit %d, snapshots %s\n%s", r.code, r.outputs["snapshots"], r.log)
		}
	})
}

// Refused shutdowns do not use up the turns of a server: only lock-timeout ends its wait.
func TestRefusedShutdownsAreNoTurns(t *testing.T) {
	inBubble(t, hcloudsim.Options{}, func(t *testing.T, w *world) {
		w.cloud.AddServer(hcloudsim.Server{Name: "a"})
		w.cloud.Inject(hcloudsim.Fault{
			Kind: hcloudsim.ErrorJSON, Path: "/servers/*/actions/shutdown", Status: 409, Code: "conflict", Message: "conflict", Times: 4,
		})
		w.inputs["servers"], w.inputs["shutdown"] = "a", "graceful"
		if r := w.run(t); r.code != 0 || !strings.Contains(r.outputs["snapshots"], `"power_state":"off"`) {
			t.Errorf("exit %d, snapshots %s\n%s", r.code, r.outputs["snapshots"], r.log)
		}
	})
}

// With one place in flight a server whose time off is over gives it back, so that nobody waits for ever.
func TestSwitchedOnFirstGivesItsPlaceBack(t *testing.T) {
	inBubble(t, hcloudsim.Options{}, func(t *testing.T, w *world) {
		for _, name := range []string{"a", "b"} {
			w.cloud.AddServer(hcloudsim.Server{Name: name, Power: hcloudsim.PowerBehaviour{LockAfter: 40 * time.Second}})
		}
		w.inputs["servers"], w.inputs["shutdown"], w.inputs["max-parallel"], w.inputs["shutdown-timeout"] = "*", "graceful", "1", "20s"
		if r := w.run(t); r.took > time.Hour {
			t.Errorf("exit %d after %s\n%s", r.code, r.took, r.log)
		}
	})
}

// A server that would not come back from its own disk is not touched, whether that shows at the start or only at its turn. A
// live snapshot needs no boot.
func TestBootsElsewhere(t *testing.T) {
	armed := hcloudsim.Server{Name: "a", RescueEnabled: true}
	inserted := hcloudsim.Server{Name: "a", ISO: "debian-13.1.0-amd64-netinst.iso"}
	for _, tt := range []struct {
		name, shutdown, command string
		server                  hcloudsim.Server
		later                   bool // it is armed while the server waits for its lock to go
	}{
		{"rescue", "force", "hcloud server disable-rescue a", armed, false},
		{"ISO", "graceful", "hcloud server detach-iso a", inserted, false},
		{"rescue armed later", "graceful", "hcloud server disable-rescue a", hcloudsim.Server{Name: "a"}, true},
		{"live", "never", "", armed, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, hcloudsim.Options{}, func(t *testing.T, w *world) {
				id := w.cloud.AddServer(tt.server)
				if tt.later {
					w.cloud.Lock(id, hcloudsim.Lock{For: time.Minute})
					w.cloud.At(30*time.Second, func(c *hcloudsim.Cloud) { c.ArmRescue(id) })
				}
				w.inputs["servers"], w.inputs["shutdown"] = "a", tt.shutdown
				r := w.run(t)
				images, commands := len(w.cloud.Images()), w.cloud.Servers()[0].Commands
				if tt.command == "" {
					if r.code != 0 || images != 1 {
						t.Errorf("exit %d with %d images\n%s", r.code, images, r.log)
					}
					return
				}
				one := r.snapshots(t)[0]
				if r.code != 1 || images != 0 || len(commands) > 0 || one.Reason != "boots_elsewhere" || !strings.Contains(r.log, tt.command) {
					t.Errorf("exit %d with %d images, %q after the commands %v\n%s", r.code, images, one.Reason, commands, r.log)
				}
			})
		})
	}
}

// A server that waits for room and can't be switched on again is given up like any other, and no other is switched off.
func TestFullAndLeftOff(t *testing.T) {
	inBubble(t, hcloudsim.Options{SnapshotLimit: 2}, func(t *testing.T, w *world) {
		for _, name := range []string{"a", "b"} {
			id := w.cloud.AddServer(hcloudsim.Server{Name: name})
			w.cloud.AddImage(hcloudsim.Image{ServerID: id, Created: time.Now().Add(-48 * time.Hour)})
		}
		w.cloud.Inject(hcloudsim.Fault{Kind: hcloudsim.ErrorJSON, Method: http.MethodPost, Path: "/servers/*/actions/poweron", Status: 409, Code: "conflict", Message: "not today"})
		maps.Copy(w.inputs, map[string]string{"servers": "a,b", "shutdown": "graceful", "series": "nightly", "keep-last": "1"})
		r := w.run(t)
		results := r.snapshots(t)
		if r.code != 1 || results[0].Reason != "power_on_failed" || results[1].Reason != "shutdown_halted" || r.took > 15*time.Minute {
			t.Errorf("exit %d after %s, want 1 within 15m\n%s", r.code, r.took, r.log)
		}
		// The others are told which server it is, and not what Hetzner answered about that one.
		if m := results[1].Message; !strings.Contains(m, "since a did not come back") || strings.Contains(m, "not today") {
			t.Errorf("b is told: %s", m)
		}
	})
}

// An API that is away when a server's turn to be switched off comes is no lock, however short the time is.
func TestNoLockWhereTheAPIIsAway(t *testing.T) {
	inBubble(t, hcloudsim.Options{}, func(t *testing.T, w *world) {
		w.cloud.AddServer(hcloudsim.Server{Name: "a"})
		w.cloud.Inject(hcloudsim.Fault{Kind: hcloudsim.ErrorJSON, Method: http.MethodGet, Path: "/servers/*", Status: 503, Code: "unavailable", Message: "down for now"})
		maps.Copy(w.inputs, map[string]string{"servers": "a", "shutdown": "graceful", "lock-timeout": "10s"})
		r := w.run(t)
		if one := r.snapshots(t)[0]; one.Reason != "lock_timeout" || strings.Contains(r.log, "still locked") || !strings.Contains(r.log, "down for now") {
			t.Errorf("%s\n%s", one.Reason, r.log)
		}
	})
}

// A refused token is not as urgent as a server that is off.
func TestLeftOffComesBeforeTheToken(t *testing.T) {
	inBubble(t, hcloudsim.Options{}, func(t *testing.T, w *world) {
		w.cloud.AddServer(hcloudsim.Server{Name: "db-1", Snapshot: hcloudsim.SnapshotBehaviour{Duration: 5 * time.Second}})
		w.cloud.Inject(hcloudsim.Fault{Kind: hcloudsim.ErrorJSON, Path: "/servers/*/actions/poweron", Status: 403, Code: "forbidden", Message: "insufficient permissions"})
		w.inputs = map[string]string{"servers": "db-1", "shutdown": "graceful"}
		r := w.run(t)
		off, token := strings.Index(r.summary, "THE SERVER IS OFF"), strings.Index(r.summary, "Hetzner refused the API token.")
		if !strings.Contains(r.log, "FAILED: 1 server LEFT OFF (db-1); ") || off < 0 || token < off {
			t.Errorf("exit %d\n%s\n%s", r.code, r.log, r.summary)
		}
	})
}

// A power-off whose answer was lost may still take effect after the guest has gone down by itself and the server is running
// again: it is watched until that can't be any more.
func TestLostPowerOffTakesEffectLate(t *testing.T) {
	inBubble(t, hcloudsim.Options{}, func(t *testing.T, w *world) {
		w.cloud.AddServer(hcloudsim.Server{
			Name: "db-1", Power: hcloudsim.PowerBehaviour{ShutdownAfter: 64 * time.Second},
			Snapshot: hcloudsim.SnapshotBehaviour{Duration: 5 * time.Second, LockFor: time.Second},
		})
		w.cloud.Inject(hcloudsim.Fault{Kind: hcloudsim.LoseAnswerLate, Path: "/servers/*/actions/poweroff", Delay: 50 * time.Second, Times: 1})
		w.inputs = map[string]string{"servers": "db-1", "shutdown": "force", "shutdown-timeout": "1m"}
		r := w.run(t)
		time.Sleep(2 * time.Minute)
		if s := w.cloud.Servers()[0]; r.code != 0 || s.Status != "running" || r.outputs["servers-left-off"] != "[]" {
			t.Errorf("exit %d, db-1 is %s after %v, servers-left-off=%s\n%s", r.code, s.Status, s.Commands, r.outputs["servers-left-off"], r.log)
		}
	})
}
