package action_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/org/hsnap-action/internal/action"
	"github.com/org/hsnap-action/internal/hcloudsim"
)

func TestCommandLine(t *testing.T) {
	for _, test := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"/hsnap-action", "--help"}, 0, "Exit codes:"},
		{[]string{"/hsnap-action", "-h"}, 0, "Exit codes:"},
		{[]string{"/hsnap-action", "--version"}, 0, "hsnap-action v1.2.3"},
		{[]string{"/hsnap-action", "prune", "--help"}, 0, "max-deletions"},
		{[]string{"/hsnap-action", "db-1"}, 2, `"db-1" is no command of hsnap-action: use snapshot, restore, verify, prune or audit`},
		{[]string{"/hsnap-action", "Prun"}, 2, `"Prun" is no command of hsnap-action: use snapshot, restore`},
		{[]string{"/hsnap-action", "snapshot"}, 2, "HSNAP_SERVERS is missing"},
		{[]string{"/hsnap-action", "restore"}, 2, "HSNAP_IMAGES is missing"},
		{[]string{"/hsnap-action", "verify"}, 2, "HSNAP_SERVERS is missing"},
		{[]string{"/hsnap-action", "prune"}, 2, "HSNAP_SERIES is missing"},
		{[]string{"/hsnap-action", "audit", "db-1"}, 2, `unknown argument "db-1"`},
		{[]string{"/hsnap-action", "--help", "servers"}, 2, `unknown argument "--help"`},
	} {
		var out strings.Builder
		p := action.Process{Args: test.args, Version: "v1.2.3", Out: &out, Env: []string{"HCLOUD_TOKEN=" + hcloudsim.DefaultToken}}
		if code := p.Main(t.Context()); code != test.code || !strings.Contains(out.String(), test.says) {
			t.Errorf("%q: exit %d, want %d with %q\n%s", test.args, code, test.code, test.says, out.String())
		}
	}
}

// Runs that nobody names must not be taken for one, or the second would adopt the first one's snapshot.
func TestRunsWithoutAName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, hcloudsim.Options{Seed: 1})
		w.cloud.AddServer(hcloudsim.Server{Name: "db-1"})
		w.inputs["servers"], w.inputs["on-rerun"] = "db-1", "reuse"
		for _, run := range []struct{ id, attempt string }{{"", ""}, {"", ""}, {"17", "first"}} {
			w.env["GITHUB_RUN_ID"], w.env["GITHUB_RUN_ATTEMPT"] = run.id, run.attempt
			w.seed++
			if r := w.run(t); r.code != 0 {
				t.Fatalf("exit %d\n%s", r.code, r.log)
			}
			time.Sleep(time.Minute)
		}
		seen := map[string]bool{}
		for _, image := range w.cloud.Images() {
			seen[image.Labels["hsnap/run"]] = true
		}
		if len(seen) != 3 || !seen["17"] {
			t.Errorf("the runs are labelled %v, want three names and one of them 17", seen)
		}
	})
}

// A run's ID may fill a label on its own. The attempt is kept all the same, and the attempts of one run stay together.
func TestRunsWithALongName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, hcloudsim.Options{Seed: 1})
		w.cloud.AddServer(hcloudsim.Server{Name: "db-1"})
		w.inputs["servers"], w.inputs["on-rerun"] = "db-1", "reuse"
		w.env["GITHUB_RUN_ID"] = strings.Repeat("a", 20) + strings.Repeat(".", 20) + strings.Repeat("b", 23)
		for _, attempt := range []string{"9", "10"} {
			w.env["GITHUB_RUN_ATTEMPT"] = attempt
			w.seed++
			if r := w.run(t); r.code != 0 {
				t.Fatalf("exit %d\n%s", r.code, r.log)
			}
			time.Sleep(time.Minute)
		}
		images := w.cloud.Images()
		if len(images) != 1 {
			t.Fatalf("%d images, want the first attempt's, which the second takes over", len(images))
		}
		run := images[0].Labels["hsnap/run"]
		if len(run) > 63 || strings.Trim(run, "-_.") != run || !strings.HasSuffix(run, "bbb-9") {
			t.Errorf("the run is labelled %q", run)
		}
	})
}

// Whatever a CI system calls a run and a repository: the labels obey Hetzner's rules, which the simulated API applies, and
// a value of which nothing is left is as good as none.
func TestLabelsOfStrangeRuns(t *testing.T) {
	long := strings.Repeat("a", 70)
	for _, test := range []struct {
		id, attempt, repository string
		run, label              string // "" for a random one, and for none
	}{
		{"17", "", "acme/shop", "17", "acme.shop"},
		{"17", "0", "", "17", "unknown"},
		{"17", "-1", "/", "17", "unknown"},
		{"17", "007", "---", "17-7", "unknown"},
		{"17", "2147483647", "_acme/shop.", "17-2147483647", "acme.shop"},
		{"17", "2147483648", "größe/straße", "17", "gr--e.stra-e"},
		{"17", "first", "ü/ü", "17", "unknown"},
		{"---", "2", "a\xff/b", "", "a-.b"},
		{"._-", "", "acme/shop/", "", "acme.shop"},
		{"übung 1", "1", long, "bung-1-1", long[:63]},
		{long, "", "owner/" + strings.Repeat(".", 62) + "b", long[:63], "b"},
		{long, "3", long + "/b", long[:52] + "-3", long[:61] + ".b"},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, hcloudsim.Options{Seed: 1})
			w.cloud.AddServer(hcloudsim.Server{Name: "db-1"})
			w.inputs["servers"], w.inputs["on-rerun"] = "db-1", "reuse"
			w.env["GITHUB_RUN_ID"], w.env["GITHUB_RUN_ATTEMPT"], w.env["GITHUB_REPOSITORY"] = test.id, test.attempt, test.repository
			r := w.run(t)
			if r.code != 0 || len(w.cloud.Images()) != 1 {
				t.Fatalf("%q: exit %d\n%s", test, r.code, r.log)
			}
			labels := w.cloud.Images()[0].Labels
			if run := labels["hsnap/run"]; run != test.run && (test.run != "" || len(run) != 16) {
				t.Errorf("%q: the run is labelled %q, want %q", test, run, test.run)
			}
			if label := labels["hsnap/repository"]; label != test.label {
				t.Errorf("%q: the repository is labelled %q, want %q", test, label, test.label)
			}
		})
	}
}
