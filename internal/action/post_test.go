package action_test

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/org/hsnap-action/internal/hcloudsim"
)

// leftOff is a world in which a run has left db-1 off and labelled its snapshot so.
func leftOff(t *testing.T) (w *world, db int64) {
	t.Helper()
	w = newWorld(t, hcloudsim.Options{Seed: 1})
	db = w.cloud.AddServer(hcloudsim.Server{Name: "db-1", Status: "off"})
	w.cloud.AddImage(hcloudsim.Image{ServerID: db, Created: time.Now(), Labels: map[string]string{
		"hsnap/server-id": strconv.FormatInt(db, 10), "hsnap/power": "pending",
	}})
	w.inputs["servers"] = "db-1"
	return w, db
}

// stateOf is what a step hands to its post step that may have left a server off, whose guest may shut down until then.
func stateOf(server int64, until time.Time) string {
	if until.IsZero() {
		return fmt.Sprintf(`[{"Server":%d}]`, server)
	}
	return fmt.Sprintf(`[{"Server":%d,"Until":%q}]`, server, until.Format(time.RFC3339))
}

// A wrong input is a reason to snapshot nothing. It is none to leave a server off.
func TestPostStepReadsNoOtherInput(t *testing.T) {
	for name, inputs := range map[string]map[string]string{
		"as in the step":        {},
		"an unknown input":      {"lock-timout": "10m"},
		"another tool's":        {"colour": "red"},
		"no servers":            {"servers": ""},
		"servers and selector":  {"label-selector": "env=prod"},
		"a bad duration":        {"lock-timeout": "soon"},
		"keep without a series": {"keep-last": "3"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, db := leftOff(t)
				for input, value := range inputs {
					w.inputs[input] = value
				}
				r := w.post(t, ran{state: map[string]string{"off": stateOf(db, time.Time{})}})
				status, label := w.cloud.Servers()[0].Status, w.cloud.Images()[0].Labels["hsnap/power"]
				if r.code != 0 || status != "running" || label != "done" {
					t.Errorf("exit %d, db-1 is %s and its snapshot says %s, want 0, running and done\n%s", r.code, status, label, r.log)
				}
			})
		})
	}
}

// Whatever else the state holds, nothing is done for it.
func TestPostStepState(t *testing.T) {
	for _, test := range []struct {
		state string
		on    int // how often the server is asked to switch on
	}{
		{"", 0},
		{"null", 0},
		{"[]", 0},
		{"DB", 0},
		{`[{"Server":DB}`, 0},
		{`["db-1",{"Server":-5},{"Server":0},{"Server":5e3},{}]`, 0},
		{`[{"Server":DB}]`, 1},
		{`[{"Server":-DB},{"Server":DB},"db-1"]`, 1},
	} {
		t.Run(test.state, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, db := leftOff(t)
				state := strings.ReplaceAll(test.state, "DB", strconv.FormatInt(db, 10))
				r := w.post(t, ran{state: map[string]string{"off": state}})
				on := 0
				for _, x := range w.cloud.History() {
					if x.Method == http.MethodPost && strings.HasSuffix(x.Path, fmt.Sprintf("/servers/%d/actions/poweron", db)) {
						on++
					}
				}
				if sent := len(w.cloud.History()); r.code != 0 || on != test.on || (sent > 0) != (on > 0) {
					t.Errorf("exit %d after %d requests, %d of them to switch on, want 0 after %d\n%s", r.code, sent, on, test.on, r.log)
				}
			})
		})
	}
}

// A guest that was asked to shut down may still do so: it is waited for, and switched on again.
func TestPostStepWaitsForTheShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, db := leftOff(t)
		w.cloud.SwitchOn(db)
		time.Sleep(time.Minute)
		w.cloud.At(30*time.Second, func(c *hcloudsim.Cloud) { c.SwitchOff(db) })
		r := w.post(t, ran{state: map[string]string{"off": stateOf(db, time.Now().Add(time.Minute))}})
		if status := w.cloud.Servers()[0].Status; r.code != 0 || status != "running" || r.took < 30*time.Second {
			t.Errorf("exit %d after %s, and db-1 is %s\n%s", r.code, r.took, status, r.log)
		}
	})
}

// A post step that can't use the API says so for each server, with the command that helps.
func TestPostStepWithoutAccess(t *testing.T) {
	for _, test := range []struct{ name, variable, value, says string }{
		{"no token", "INPUT_HCLOUD-TOKEN", "", "hcloud-token is missing"},
		{"a token of two lines", "INPUT_HCLOUD-TOKEN", hcloudsim.DefaultToken + "\n" + hcloudsim.DefaultToken, "hcloud-token: has a character that is in no token"},
		{"an endpoint in the clear", "INPUT_API-ENDPOINT", "http://api.example/v1", "would send the token unencrypted"},
		{"no endpoint at all", "INPUT_API-ENDPOINT", "api", `api-endpoint: "api" is no base URL of the API`},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, _ := leftOff(t)
				w.inputs["lock-timeout"] = "soon" // it is not read
				w.env[test.variable] = test.value
				r := w.post(t, ran{state: map[string]string{"off": `[{"Server":1000001},{"Server":1000002,"Until":"2000-01-01T00:00:00Z"}]`}})
				if r.code != 1 || len(w.cloud.History()) > 0 || strings.Contains(r.log, "lock-timeout") {
					t.Errorf("exit %d after %d requests, want 1 and none\n%s", r.code, len(w.cloud.History()), r.log)
				}
				for _, part := range []string{
					test.says, "::error title=server 1000001 IS LEFT OFF::", "::error title=server 1000002 IS LEFT OFF::",
					"hcloud server poweron 1000001", "hcloud server poweron 1000002",
					"server 1000001: THE SERVER IS PROBABLY OFF: the step switched it off, and nothing was tried to switch it on again, " +
						"since that takes a usable token and endpoint%0Awhat to try: run hcloud server poweron 1000001 until",
				} {
					if !strings.Contains(r.log, part) {
						t.Errorf("the log lacks %q:\n%s", part, r.log)
					}
				}
			})
		})
	}
}

// Where no post step of a container action runs, no message may promise one. What it would need is recorded all the same.
func TestNoPostStepIsPromisedWhereNoneRuns(t *testing.T) {
	for _, test := range []struct {
		variable, value string
		promised        bool
	}{
		{"GITHUB_ACTIONS", "true", true}, {"ACT", "false", true}, {"GITEA_ACTIONS", "", true},
		{"ACT", "true", false}, {"GITEA_ACTIONS", "true", false}, {"FORGEJO_ACTIONS", "true", false},
	} {
		t.Run(test.variable+"="+test.value, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, hcloudsim.Options{Seed: 1})
				db := w.cloud.AddServer(hcloudsim.Server{Name: "db-1", Snapshot: hcloudsim.SnapshotBehaviour{Duration: time.Minute}})
				w.inputs["servers"], w.inputs["shutdown"] = "db-1", "graceful"
				w.env[test.variable] = test.value
				w.signals = []signalAt{{14 * time.Second, syscall.SIGINT}}
				r := w.run(t)
				if !strings.Contains(r.log, "db-1 IS LEFT OFF") || r.state["off"] != stateOf(db, time.Time{}) {
					t.Errorf("the state is %v", r.state)
				}
				promised := func(text string) bool {
					return strings.Contains(text, "Post …") || strings.Contains(text, "post step")
				}
				if promised(r.log) != test.promised || promised(r.summary) != test.promised {
					t.Errorf("a post step is promised: %t, want %t\n%s\n%s", !test.promised, test.promised, r.log, r.summary)
				}
			})
		})
	}
}
