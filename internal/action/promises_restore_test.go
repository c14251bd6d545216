package action_test

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/org/hsnap-action/internal/hcloudsim"
)

// These are promises of restore, each told by what a user would have seen.

// TestRestore puts one server back, in worlds in which something else happens meanwhile.
func TestRestore(t *testing.T) {
	const gone = "the server does not exist any more"
	rebuild := func(kind hcloudsim.FaultKind) hcloudsim.Fault {
		return hcloudsim.Fault{Kind: kind, Path: "/servers/*/actions/rebuild", Times: 1}
	}
	stays := hcloudsim.Server{Rebuild: hcloudsim.RebuildBehaviour{OffFor: -1}}
	for _, tt := range []struct {
		name    string
		server  hcloudsim.Server
		prepare func(w *world, server, image int64)
		status  string // and the reason
		within  time.Duration
		says    string
		denies  string
	}{
		{
			"the server is deleted before its rebuild", hcloudsim.Server{},
			func(w *world, server, _ int64) {
				w.cloud.Lock(server, hcloudsim.Lock{For: time.Minute, Hidden: true})
				w.cloud.At(30*time.Second, func(c *hcloudsim.Cloud) { c.DeleteServer(server) })
			}, "failed not_found", 2 * time.Minute, gone, "",
		},
		{
			"the server is deleted after the answer was lost", hcloudsim.Server{},
			func(w *world, server, _ int64) {
				w.cloud.Inject(rebuild(hcloudsim.LoseAnswerNever))
				w.cloud.At(30*time.Second, func(c *hcloudsim.Cloud) { c.DeleteServer(server) })
			}, "failed not_found", 2 * time.Minute, gone, "",
		},
		{
			"the image is deleted before the rebuild", hcloudsim.Server{},
			func(w *world, server, image int64) {
				w.cloud.Lock(server, hcloudsim.Lock{For: time.Minute})
				w.cloud.At(30*time.Second, func(c *hcloudsim.Cloud) { c.DeleteImage(image) })
			}, "failed refused", 2 * time.Minute, "image not found", gone,
		},
		{
			"the token is revoked during the rebuild", hcloudsim.Server{Rebuild: hcloudsim.RebuildBehaviour{Duration: time.Minute}},
			func(w *world, _, _ int64) { w.cloud.At(30*time.Second, func(c *hcloudsim.Cloud) { c.Revoke() }) },
			"failed refused", time.Minute, "goes on at Hetzner, and overwrites its disk", "refused the rebuild",
		},
		{
			"the token is revoked after the answer was lost", hcloudsim.Server{},
			func(w *world, _, _ int64) {
				w.cloud.Inject(rebuild(hcloudsim.LoseAnswerNever))
				w.cloud.At(30*time.Second, func(c *hcloudsim.Cloud) { c.Revoke() })
			}, "failed refused", time.Minute, "may be overwritten yet", "refused the rebuild",
		},
		{
			"the server is deleted while it is switched on", stays,
			func(w *world, server, _ int64) {
				w.cloud.Inject(hcloudsim.Fault{Kind: hcloudsim.HTML502, Path: "/servers/*/actions/poweron"})
				w.cloud.At(2*time.Minute, func(c *hcloudsim.Cloud) { c.DeleteServer(server) })
			}, "failed not_found", 3 * time.Minute, gone, "",
		},
		{
			"restore-timeout is over while it is off", stays,
			func(w *world, _, _ int64) { w.inputs["restore-timeout"] = "25s" }, "restored ", 2 * time.Minute, "is back", "",
		},
		{
			"it is off and locked, and restore-timeout is over", stays,
			func(w *world, server, _ int64) {
				w.inputs["restore-timeout"] = "2m"
				w.cloud.Lock(server, hcloudsim.Lock{From: 10 * time.Second, For: 4 * time.Minute})
			}, "restored ", 5 * time.Minute, "is back", "",
		},
		{
			"it has the image already, the rebuild fails, and its action is denied",
			hcloudsim.Server{Rebuild: hcloudsim.RebuildBehaviour{FailCode: "unknown_error", FailMessage: "server is locked"}},
			func(w *world, _, _ int64) {
				w.inputs["restore-timeout"] = "5m"
				w.cloud.Inject(hcloudsim.Fault{Kind: hcloudsim.ForgetActions})
			}, "failed restore_timeout", 6 * time.Minute, "was not seen to end well within restore-timeout", "",
		},
		{
			"a rebuild that fails for a lock is not asked for again",
			hcloudsim.Server{Rebuild: hcloudsim.RebuildBehaviour{FailCode: "unknown_error", FailMessage: "server is locked", FailTimes: 1}},
			func(*world, int64, int64) {}, "failed action_failed", time.Minute, "MAY BE HALF WRITTEN", "",
		},
		{
			"Hetzner refuses, and lists no actions", hcloudsim.Server{},
			func(w *world, _, _ int64) {
				w.inputs["lock-timeout"] = "1m"
				w.cloud.Inject(hcloudsim.Fault{Kind: hcloudsim.ErrorJSON, Method: http.MethodPost, Status: 409, Code: "conflict", Message: "conflict"})
				w.cloud.Inject(hcloudsim.Fault{Kind: hcloudsim.HTML502, Path: "/servers/*/actions", Skip: 1})
			}, "failed lock_timeout", 90 * time.Second, "nothing was done to its disk", "",
		},
		{
			"no list of actions can be read", hcloudsim.Server{},
			func(w *world, _, _ int64) {
				w.cloud.Inject(hcloudsim.Fault{Kind: hcloudsim.NoPagination, Path: "/servers/*/actions"})
			}, "failed refused", 6 * time.Minute, "so the rebuild was not asked for", "refused the rebuild",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, hcloudsim.Options{}, func(t *testing.T, w *world) {
				tt.server.ID, tt.server.Name = 1001, "db-1"
				tt.server.ImageID = w.cloud.AddImage(snapshotOf(tt.server.ID, time.Hour))
				w.cloud.AddServer(tt.server)
				w.words = []string{"restore"}
				w.inputs = map[string]string{"images": "db-1=" + strconv.FormatInt(tt.server.ImageID, 10), "snapshot-first": "false"}
				tt.prepare(w, tt.server.ID, tt.server.ImageID)
				r := w.run(t)
				rows := r.restores(t)
				if len(rows) != 1 {
					t.Fatalf("%d servers are told\n%s", len(rows), r.log)
				}
				row := rows[0]
				if row.Status+" "+row.Reason != tt.status || r.took > tt.within || !strings.Contains(row.Message, tt.says) ||
					tt.denies != "" && strings.Contains(row.Message, tt.denies) {
					t.Errorf("%s (%s) after %s, want %s within %s: %s\n%s\n%s", row.Status, row.Reason, r.took, tt.status, tt.within, row.Message, r.log, w.history())
				}
			})
		})
	}
}

// restoredRow is an object of the output "restores".
type restoredRow struct {
	ServerID      int64  `json:"server_id"`
	Name          string `json:"server_name"`
	Status        string `json:"status"`
	Reason        string `json:"reason"`
	Message       string `json:"message"`
	ImageID       *int64 `json:"image_id"`
	Age           int64  `json:"image_age_seconds"`
	BeforeImageID *int64 `json:"before_image_id"`
	ActionID      *int64 `json:"action_id"`
	Downtime      *int64 `json:"downtime_seconds"`
	Proof         string `json:"proof"`
}

func (s restoredRow) acted() bool { return s.ActionID != nil }

// snapshotOf is a snapshot of ours that a server can be put back to.
func snapshotOf(server int64, age time.Duration) hcloudsim.Image {
	return hcloudsim.Image{
		ServerID: server, SizeGB: 2.5, Created: time.Now().Add(-age),
		Labels: map[string]string{"hsnap/series": "nightly", "hsnap/server-id": strconv.FormatInt(server, 10), "hsnap/run": "70-1"},
	}
}

func (r ran) restores(t reporter) (rows []restoredRow) {
	t.Helper()
	decode(t, r.outputs["restores"], &rows)
	return rows
}

// Of several snapshots that are equally old, by whole seconds, the latest is the one that was made last.
func TestLatestOfSeveral(t *testing.T) {
	inBubble(t, hcloudsim.Options{}, func(t *testing.T, w *world) {
		id := w.cloud.AddServer(hcloudsim.Server{Name: "db-1"})
		var last int64
		for range 3 {
			last = w.cloud.AddImage(snapshotOf(id, time.Hour))
		}
		w.words = []string{"restore"}
		w.inputs = map[string]string{"images": "db-1=latest", "series": "nightly", "snapshot-first": "false"}
		if r := w.run(t); r.code != 0 || !slices.Equal(w.cloud.Servers()[0].Rebuilds, []int64{last}) {
			t.Errorf("exit %d, rebuilt from %v, want %d\n%s", r.code, w.cloud.Servers()[0].Rebuilds, last, r.log)
		}
	})
}

// An API that can't be used ends the run when lock-timeout is over.
func TestRestoreWithoutAnAPI(t *testing.T) {
	inBubble(t, hcloudsim.Options{}, func(t *testing.T, w *world) {
		w.cloud.Inject(hcloudsim.Fault{Kind: hcloudsim.RefuseDial})
		w.words = []string{"restore"}
		w.inputs = map[string]string{"images": "db-1=1", "lock-timeout": "2m"}
		if r := w.run(t); r.code != 3 || r.took < 2*time.Minute || r.took > 150*time.Second {
			t.Errorf("exit %d after %s\n%s", r.code, r.took, r.log)
		}
	})
}
