package action_test

import (
	"maps"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/org/hsnap-action/internal/hcloudsim"
)

// A server that is made while audit reads, and snapshotted at once, is none that is gone: somebody might delete its snapshot.
func TestAuditOfAServerThatIsMadeMeanwhile(t *testing.T) {
	for after := range few(40) {
		inBubble(t, hcloudsim.Options{Seed: after + 1}, func(t *testing.T, w *world) {
			w.words = []string{"audit"}
			w.cloud.AddServer(hcloudsim.Server{Name: "db-1"})
			w.cloud.At(time.Duration(after)*10*time.Millisecond, func(c *hcloudsim.Cloud) {
				id := c.AddServer(hcloudsim.Server{Name: "db-2"})
				c.AddImage(hcloudsim.Image{ServerID: id, Labels: map[string]string{"hsnap/series": "nightly", "hsnap/server-id": strconv.FormatInt(id, 10)}})
			})
			if r := w.run(t); r.outputs["orphan-image-ids"] != "[]" {
				t.Errorf("made after %d ms: orphan-image-ids=%s", after*10, r.outputs["orphan-image-ids"])
			}
		})
	}
}

// What can't be known is told as a failure, never as an empty project that is well.
func TestAuditThatCannotRead(t *testing.T) {
	for name, test := range map[string]struct {
		fault hcloudsim.Fault
		code  int
	}{
		"a refused token":    {hcloudsim.Fault{Kind: hcloudsim.ErrorJSON, Status: 401, Code: "unauthorized", Message: "unable to authenticate"}, 3},
		"no images":          {hcloudsim.Fault{Kind: hcloudsim.HTML502, Path: "/images"}, 3},
		"no servers":         {hcloudsim.Fault{Kind: hcloudsim.EmptyObject, Path: "/servers"}, 3},
		"half a list":        {hcloudsim.Fault{Kind: hcloudsim.NoPagination, Path: "/images"}, 3},
		"a refused selector": {hcloudsim.Fault{Kind: hcloudsim.ErrorJSON, Path: "/servers", Status: 400, Code: "invalid_input", Message: "invalid selector", Times: 1}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, hcloudsim.Options{}, func(t *testing.T, w *world) {
				w.words = []string{"audit"}
				w.inputs["label-selector"] = "env=prod"
				w.cloud.AddServer(hcloudsim.Server{Name: "db-1", Labels: map[string]string{"env": "prod"}})
				w.cloud.Inject(test.fault)
				r := w.run(t)
				if r.code != test.code || r.outputs["result"] != "failure" || r.outputs["snapshot-count"] != "" || r.took > 10*time.Minute {
					t.Errorf("exit %d after %s, outputs %v\n%s", r.code, r.took, r.outputs, r.log)
				}
				if !strings.Contains(r.log, "what to try") || r.summary == "" {
					t.Errorf("it is not told:\n%s", r.log)
				}
			})
		})
	}
}

// The exit code is that of the worst that was found.
func TestAuditExitCodes(t *testing.T) {
	for name, test := range map[string]struct {
		inputs map[string]string
		code   int
		says   string
	}{
		"all is well":                     {map[string]string{"servers": "db-*", "stale-after": "2d"}, 0, "success: 1 server, 1 snapshot, 2.5 GB"},
		"nothing to fail on":              {nil, 0, "success: 2 servers, 1 snapshot, 2.5 GB"},
		"told to fail on nothing":         {map[string]string{"stale-after": "1h", "fail-on": "[]"}, 0, "success: 2 servers, 1 snapshot, 2.5 GB"},
		"stale":                           {map[string]string{"stale-after": "2d"}, 1, "FAILED: 1 stale (web-1 none); 2 servers"},
		"unverified":                      {map[string]string{"fail-on": "unverified"}, 1, "FAILED: 2 unverified (web-1, db-1); 2 servers"},
		"orphans, of which there is none": {map[string]string{"fail-on": "orphans"}, 0, "success: "},
		"leftovers":                       {map[string]string{"fail-on": "leftovers"}, 1, "FAILED: 1 leftover; 2 servers"},
		"a missing name":                  {map[string]string{"servers": "db-1,db-11"}, 1, "db-11: matches no server in this token's project (did you mean db-1?)"},
		"a glob that matches nothing":     {map[string]string{"servers": "db-1,mail-*"}, 1, "FAILED: 1 not found (mail-*); 1 server"},
		"nothing but such a glob":         {map[string]string{"servers": "mail-*"}, 2, "FAILED: 1 not found (mail-*); 0 servers"},
		"a selector that matches nothing": {map[string]string{"label-selector": "env=prod"}, 2, "FAILED: 1 not found (env=prod); 0 servers"},
		"all excluded":                    {map[string]string{"exclude": "*"}, 2, "FAILED: no server is selected"},
		"a copy that is named":            {map[string]string{"servers": "hsnap-drill-9"}, 2, "is a copy that a verification has made"},
		"an exclude that matches nothing": {map[string]string{"exclude": "db-9"}, 0, "::warning::db-9: named in exclude, and matches no server"},
		"a dry run, which is the same":    {map[string]string{"stale-after": "2d", "dry-run": "true"}, 1, "FAILED: 1 stale (web-1 none); 2 servers"},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, hcloudsim.Options{}, func(t *testing.T, w *world) {
				w.words = []string{"audit"}
				id := w.cloud.AddServer(hcloudsim.Server{Name: "db-1"})
				w.cloud.AddImage(hcloudsim.Image{
					ServerID: id, SizeGB: 2.5, Created: time.Now().Add(-30 * time.Hour),
					Labels: map[string]string{"hsnap/series": "nightly", "hsnap/server-id": strconv.FormatInt(id, 10)},
				})
				w.cloud.AddServer(hcloudsim.Server{Name: "web-1"})
				w.cloud.AddServer(hcloudsim.Server{Name: "hsnap-drill-9", Labels: map[string]string{"hsnap/drill": "f00d"}})
				maps.Copy(w.inputs, test.inputs)
				r := w.run(t)
				result := map[int]string{0: "success", 1: "failure", 2: "failure"}[test.code]
				if r.code != test.code || r.outputs["result"] != result || !strings.Contains(r.log, test.says) {
					t.Errorf("exit %d, result=%s, want %d and %q:\n%s", r.code, r.outputs["result"], test.code, test.says, r.log)
				}
			})
		})
	}
}

// Outputs that nobody can read are no success.
func TestAuditWithoutOutputs(t *testing.T) {
	inBubble(t, hcloudsim.Options{}, func(t *testing.T, w *world) {
		w.words = []string{"audit"}
		w.cloud.AddServer(hcloudsim.Server{Name: "db-1"})
		w.env["GITHUB_OUTPUT"] = "/dev/full"
		if r := w.run(t); r.code != 1 || !strings.Contains(r.log, "\nresult=success\n") || !strings.Contains(r.log, "\nFAILED: the outputs could not be handed on; 1 server") {
			t.Errorf("exit %d:\n%s", r.code, r.log)
		}
	})
}

// A cancelled audit says so, within the time that the runner leaves.
func TestAuditCancelled(t *testing.T) {
	inBubble(t, hcloudsim.Options{}, func(t *testing.T, w *world) {
		w.words = []string{"audit"}
		w.cloud.AddServer(hcloudsim.Server{Name: "db-1"})
		w.cloud.Inject(hcloudsim.Fault{Kind: hcloudsim.Hang, Path: "/images"})
		w.signals = []signalAt{{time.Second, 2}}
		if r := w.run(t); r.code != 130 || r.outputs["result"] != "cancelled" || r.took > 6*time.Second || r.outputs["inventory"] != "[]" {
			t.Errorf("exit %d after %s, outputs %v\n%s", r.code, r.took, r.outputs, r.log)
		}
	})
}

// Without GitHub the outputs are printed, and the log tells what fails.
func TestAuditElsewhere(t *testing.T) {
	inBubble(t, hcloudsim.Options{}, func(t *testing.T, w *world) {
		w.words = []string{"audit"}
		w.cloud.AddServer(hcloudsim.Server{Name: "db-1"})
		w.env["GITHUB_ACTIONS"] = "false"
		w.env["HSNAP_HCLOUD_TOKEN"], w.env["HSNAP_API_ENDPOINT"], w.env["HSNAP_STALE_AFTER"] = hcloudsim.DefaultToken, "http://127.0.0.1/v1", "1d"
		r := w.run(t)
		for _, part := range []string{"\nstale-servers=[\"db-1\"]\n", "\nresult=failure\n", "db-1: failed (stale): it has no snapshot that can be used\n", "FAILED: 1 stale (db-1 none); 1 server, 0 snapshots"} {
			if r.code != 1 || !strings.Contains(r.log, part) {
				t.Errorf("exit %d, and the log lacks %q:\n%s", r.code, part, r.log)
			}
		}
	})
}
