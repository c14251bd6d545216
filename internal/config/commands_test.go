package config_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/org/hsnap-action/internal/config"
)

// mistakesOf returns what is wrong with an environment for the command that words name.
func mistakesOf(words, env []string) []string {
	if _, err := config.Load(words, env); err != nil {
		return strings.Split(err.Error(), "\n")
	}
	return nil
}

// Which command runs decides what is deleted. One that is not known runs nothing.
func TestWhichCommand(t *testing.T) {
	onGitHub, withWoodpecker := "GITHUB_ACTIONS=true", "CI=woodpecker"
	for _, tt := range []struct {
		words, env []string
		want       string // the type of the settings, or the beginning of the mistakes
	}{
		{nil, nil, "*config.Snapshot"},
		{[]string{"snapshot"}, nil, "*config.Snapshot"},
		{[]string{"restore"}, nil, "*config.Restore"},
		{[]string{"verify"}, nil, "*config.Verify"},
		{[]string{"prune"}, nil, "*config.Prune"},
		{[]string{"audit"}, nil, "*config.Audit"},
		{[]string{"audit"}, []string{onGitHub}, "*config.Audit"},
		{nil, []string{"HSNAP_COMMAND=prune"}, "*config.Prune"},
		{nil, []string{"HSNAP_COMMAND= prune\n"}, "*config.Prune"},
		{nil, []string{"HSNAP_COMMAND="}, "*config.Snapshot"},
		{nil, []string{"PLUGIN_COMMAND=prune", withWoodpecker}, "*config.Prune"},
		{[]string{"audit"}, []string{"HSNAP_COMMAND=prune"}, "*config.Audit"},

		// Each platform's own form is read, and no other. On GitHub the command line of the sub-action is.
		{nil, []string{"HSNAP_COMMAND=prune", withWoodpecker}, "*config.Snapshot"},
		{nil, []string{"PLUGIN_COMMAND=prune"}, "*config.Snapshot"},
		{nil, []string{"HSNAP_COMMAND=prune", "PLUGIN_COMMAND=prune", onGitHub}, "*config.Snapshot"},

		{[]string{"prun"}, nil, `"prun" is no command of hsnap-action: use snapshot, restore, verify, prune or audit`},
		{[]string{"AUDIT"}, nil, `"AUDIT" is no command of hsnap-action: use snapshot`},
		{[]string{"db-1"}, nil, `"db-1" is no command of hsnap-action: use snapshot, restore, verify, prune or audit`},
		{[]string{""}, nil, `"" is no command`},
		{nil, []string{"HSNAP_COMMAND=delete"}, `"delete" is no command`},
		{[]string{"prun"}, []string{"HSNAP_MAX_DELETIONS=5", "HSNAP_COMMAND=prune"}, `"prun" is no command`},
		{[]string{"--prune"}, nil, `unknown argument "--prune": inputs are environment variables, see --help`},
		{[]string{"prune", "db-1"}, nil, `unknown argument "db-1"`},
	} {
		// What each command must be given, in every platform's form.
		vars := append(slices.Clip(tt.env), "HCLOUD_TOKEN=t0ken")
		for input, value := range map[string]string{"SERVERS": "web-1", "SERIES": "nightly"} {
			vars = append(vars, "INPUT_"+input+"="+value, "PLUGIN_"+input+"="+value, "HSNAP_"+input+"="+value)
		}
		if strings.HasSuffix(tt.want, "Restore") {
			vars = []string{"HCLOUD_TOKEN=t0ken", "HSNAP_IMAGES=db-1=123"}
		}
		if strings.HasSuffix(tt.want, "Prune") || slices.Contains(tt.words, "prune") {
			vars = append(vars, "INPUT_KEEP-LAST=1", "PLUGIN_KEEP_LAST=1", "HSNAP_KEEP_LAST=1")
		}
		cfg, err := config.Load(tt.words, vars)
		if err == nil && fmt.Sprintf("%T", cfg) != tt.want {
			t.Errorf("%q with %q: %T, want %s", tt.words, tt.env, cfg, tt.want)
		}
		if err != nil && (!strings.HasPrefix(err.Error(), tt.want) || strings.Contains(err.Error(), "\n")) {
			t.Errorf("%q with %q: %v, want %s", tt.words, tt.env, err, tt.want)
		}
	}
}

func TestPrune(t *testing.T) {
	vars := github("INPUT_SERIES=nightly", "INPUT_KEEP-WITHIN=2w")
	got, err := config.Load([]string{"prune"}, vars)
	if err != nil {
		t.Fatal(err)
	}
	want := &config.Prune{
		Access:       config.Access{Token: "t0ken", APIEndpoint: "https://api.hetzner.cloud/v1"},
		Selection:    config.Selection{Servers: config.List{"web-1"}},
		Series:       "nightly",
		Keep:         config.Keep{KeepWithin: config.Span(14 * 24 * time.Hour)},
		MaxDeletions: 30,
		Common:       config.Common{Summary: true, Run: config.Run{Platform: config.GitHub}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}

	// It deletes nothing that it was not told of.
	wrong := mistakesOf([]string{"prune"}, []string{"GITHUB_ACTIONS=true", "INPUT_MAX-DELETIONS=0"})
	if diff := cmp.Diff([]string{
		`max-deletions: "0" is not accepted: give a whole number from 1 to 100000`,
		"hcloud-token is missing: set `hcloud-token: ${{ secrets.HCLOUD_TOKEN }}` or the environment variable HCLOUD_TOKEN (a run started from a fork gets no secrets)",
		"servers is missing: give either servers (names, IDs or globs, as web-*) or label-selector (as env=prod)",
		"series is missing: name the one whose snapshots may be deleted, as series: nightly",
		"keep-last is missing: give it or another of the keep-* inputs, which say what to keep",
	}, wrong); diff != "" {
		t.Error(diff)
	}
}

func TestAudit(t *testing.T) {
	for _, tt := range []struct {
		vars    []string
		failOn  config.List
		mistake string
	}{
		{nil, nil, ""},
		{[]string{"HSNAP_STALE_AFTER=26h"}, config.List{"stale"}, ""},
		{[]string{"HSNAP_STALE_AFTER=26h", "HSNAP_FAIL_ON=orphans, leftovers"}, config.List{"orphans", "leftovers"}, ""},
		{[]string{"HSNAP_STALE_AFTER=26h", `HSNAP_FAIL_ON=["stale","unverified"]`}, config.List{"stale", "unverified"}, ""},
		{[]string{"HSNAP_STALE_AFTER=26h", "HSNAP_FAIL_ON=[]"}, config.List{}, ""},
		{[]string{"HSNAP_SERVERS=web-*", "HSNAP_EXCLUDE=web-9", "HSNAP_SERIES=nightly", "HSNAP_FAIL_ON=unverified"}, config.List{"unverified"}, ""},

		{[]string{"HSNAP_FAIL_ON=orphans stale"}, nil, "HSNAP_FAIL_ON has stale, which needs HSNAP_STALE_AFTER"},
		{[]string{"HSNAP_FAIL_ON=stale", "HSNAP_STALE_AFTER=26m"}, nil, `HSNAP_STALE_AFTER: "26m" is no span`},
		{[]string{"HSNAP_FAIL_ON=orphans foreign"}, nil, `HSNAP_FAIL_ON: "foreign" is not accepted: use stale, unverified, orphans or leftovers`},
		{[]string{"HSNAP_SERVERS=a", "HSNAP_LABEL_SELECTOR=b"}, nil, "HSNAP_LABEL_SELECTOR can't be combined with HSNAP_SERVERS"},
		{[]string{"HSNAP_SERVERS=,"}, nil, "HSNAP_SERVERS lists nothing"},
	} {
		vars := append(slices.Clone(tt.vars), "HCLOUD_TOKEN=t0ken")
		cfg, err := config.Load([]string{"audit"}, vars)
		switch {
		case tt.mistake != "" && (err == nil || !strings.HasPrefix(err.Error(), tt.mistake) || strings.Contains(err.Error(), "\n")):
			t.Errorf("%q: mistakes %v, want %s", tt.vars, err, tt.mistake)
		case tt.mistake == "" && err != nil:
			t.Errorf("%q: %v", tt.vars, err)
		case tt.mistake == "":
			if diff := cmp.Diff(tt.failOn, cfg.(*config.Audit).FailOn); diff != "" {
				t.Errorf("%q fails on:\n%s", tt.vars, diff)
			}
		}
	}
}

// An input of another command would be ignored in silence, as a misspelt one would.
func TestInputsOfOtherCommands(t *testing.T) {
	for _, tt := range []struct {
		command, variable string
		want              string // the only mistake
	}{
		{"audit", "INPUT_KEEP-LAST=3", "keep-last is an input of snapshot and prune, not of audit"},
		{"audit", "INPUT_PROTECT=true", "protect is an input of snapshot, not of audit"},
		{"snapshot", `INPUT_IMAGES={"db-1": 123}`, "images is an input of restore and verify, not of snapshot"},
		{"restore", "INPUT_SERVERS=db-1", "servers is an input of snapshot, verify, prune and audit, not of restore"},
		{"prune", "INPUT_LOCK-TIMEOUT=5m", "lock-timeout is an input of snapshot and restore, not of prune"},
		{"prune", "INPUT_SHUTDOWN=force", "shutdown is an input of snapshot, not of prune"},
		{"prune", "INPUT_FAIL-ON=stale", "fail-on is an input of audit, not of prune"},
		{"snapshot", "INPUT_MAX-DELETIONS=3", "max-deletions is an input of prune, not of snapshot"},
		{"prune", "INPUT_MAX_DELETIONS=3", "max_deletions is no input of hsnap-action: did you mean max-deletions?"},
		{"audit", "INPUT_SHUTDOWN=", ""},
	} {
		vars := append([]string{tt.variable, "GITHUB_ACTIONS=true", "HCLOUD_TOKEN=t0ken"}, required[tt.command]...)
		if got := strings.Join(mistakesOf([]string{tt.command}, vars), "\n"); !strings.HasPrefix(got, tt.want) || tt.want == "" && got != "" {
			t.Errorf("%s with %s: %q, want %q", tt.command, tt.variable, got, tt.want)
		}
	}
	for _, command := range []string{"snapshot", "prune"} {
		vars := env("HSNAP_SERIES=nightly", "HSNAP_KEEP_LAST=3", "HSNAP_STALE_AFTER=1d")
		want := []string{"HSNAP_STALE_AFTER is an input of audit, not of " + command}
		if diff := cmp.Diff(want, mistakesOf([]string{command}, vars)); diff != "" {
			t.Error(diff)
		}
	}
}

// Outputs of one command stand in the environment of the next, where a dotenv file was read.
func TestOutputsOfOtherCommands(t *testing.T) {
	var earlier []string
	for _, command := range config.Commands() {
		for _, out := range command.Settings.Outputs() {
			value := "x"
			if out.Name == "images" { // is an input of restore in the same form
				value = `{"db-1":123}`
			}
			earlier = append(earlier, "HSNAP_"+strings.ToUpper(strings.ReplaceAll(out.Name, "-", "_"))+"="+value)
		}
	}
	for name, vars := range map[string][]string{
		"snapshot": env(), "prune": env("HSNAP_SERIES=nightly", "HSNAP_KEEP_LAST=3"), "audit": env(),
		"restore": {"HCLOUD_TOKEN=t0ken"}, "verify": {"HCLOUD_TOKEN=t0ken"},
	} {
		if got := mistakesOf([]string{name}, append(vars, earlier...)); got != nil {
			t.Errorf("%s: %q", name, got)
		}
	}
}
