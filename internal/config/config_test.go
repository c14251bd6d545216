package config_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/org/hsnap-action/internal/config"
	"github.com/org/hsnap-action/internal/secret"
)

// env is a complete environment off any CI system, with the variables given in front, where they win over those that it
// has already.
func env(vars ...string) []string {
	return append(vars, "HCLOUD_TOKEN=t0ken", "HSNAP_SERVERS=web-1")
}

// github and woodpecker are the same there.
func github(vars ...string) []string {
	return append(vars, "GITHUB_ACTIONS=true", "HCLOUD_TOKEN=t0ken", "INPUT_SERVERS=web-1")
}

func woodpecker(vars ...string) []string {
	return append(vars, "CI=woodpecker", "HCLOUD_TOKEN=t0ken", "PLUGIN_SERVERS=web-1")
}

// read returns the settings of the command snapshot.
func read(env []string) (config.Snapshot, error) {
	cfg, err := config.Load(nil, env)
	return *cfg.(*config.Snapshot), err
}

// load returns the settings in an environment without mistakes.
func load(t *testing.T, env []string) config.Snapshot {
	t.Helper()
	cfg, err := read(env)
	if err != nil {
		t.Fatalf("Load(%q): %v", env, err)
	}
	return cfg
}

// mistakes returns what Load finds wrong, a line for each mistake.
func mistakes(t *testing.T, env []string) []string {
	t.Helper()
	_, err := read(env)
	if err == nil {
		return nil
	}
	return strings.Split(err.Error(), "\n")
}

func TestDefaults(t *testing.T) {
	got := load(t, []string{"HCLOUD_TOKEN=t0ken", "HSNAP_SERVERS=web-1"})
	want := config.Snapshot{
		Access:            config.Access{Token: "t0ken", APIEndpoint: "https://api.hetzner.cloud/v1"},
		Selection:         config.Selection{Servers: config.List{"web-1"}},
		IfNoServersFound:  "error",
		IfVolumesAttached: "warn",
		IfLocked:          "wait",
		LockTimeout:       config.Duration(30 * time.Minute),
		SnapshotTimeout:   config.Duration(2 * time.Hour),
		Wait:              true,
		MaxParallel:       10,
		Description:       "{server}-snapshot-{timestamp}",
		OnRerun:           "snapshot",
		Series:            "default",
		Shutdown:          "never",
		ShutdownTimeout:   config.Duration(2 * time.Minute),
		MaxUnavailable:    1,
		SettleTime:        config.Pause(time.Minute),
		Common:            config.Common{Summary: true},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestEveryInput(t *testing.T) {
	got := load(t, []string{
		"GITHUB_ACTIONS=true",
		"INPUT_HCLOUD-TOKEN=t0ken",
		"INPUT_LABEL-SELECTOR=env=prod",
		"INPUT_EXCLUDE=web-9 42",
		"INPUT_IF-NO-SERVERS-FOUND=ignore",
		"INPUT_IF-VOLUMES-ATTACHED=fail",
		"INPUT_IF-LOCKED=skip",
		"INPUT_LOCK-TIMEOUT=1d",
		"INPUT_SNAPSHOT-TIMEOUT=90s",
		"INPUT_WAIT=True",
		"INPUT_MAX-PARALLEL=100",
		"INPUT_DESCRIPTION={series} of {server}",
		"INPUT_LABELS=a=b",
		"INPUT_COPY-SERVER-LABELS=TRUE",
		"INPUT_ON-RERUN=reuse",
		"INPUT_REUSE-WITHIN=6h",
		"INPUT_SERIES=nightly",
		"INPUT_KEEP-LAST=1", "INPUT_KEEP-HOURLY=2", "INPUT_KEEP-DAILY=3",
		"INPUT_KEEP-WEEKLY=4", "INPUT_KEEP-MONTHLY=5", "INPUT_KEEP-YEARLY=6",
		"INPUT_KEEP-WITHIN=1d12h",
		"INPUT_PROTECT=true",
		"INPUT_SHUTDOWN=force", "INPUT_SHUTDOWN-TIMEOUT=5m", "INPUT_MAX-UNAVAILABLE=3", "INPUT_SETTLE-TIME=0s",
		"INPUT_DRY-RUN=true",
		"INPUT_SUMMARY=false",
		"INPUT_OUTPUT-FILE=build/out.env",
		"INPUT_API-ENDPOINT=http://127.0.0.1:8080/v1/",
	})
	want := config.Snapshot{
		Access:            config.Access{Token: "t0ken", APIEndpoint: "http://127.0.0.1:8080/v1"},
		Selection:         config.Selection{LabelSelector: "env=prod", Exclude: config.List{"web-9", "42"}},
		IfNoServersFound:  "ignore",
		IfVolumesAttached: "fail",
		IfLocked:          "skip",
		LockTimeout:       config.Duration(24 * time.Hour),
		SnapshotTimeout:   config.Duration(90 * time.Second),
		Wait:              true,
		MaxParallel:       100,
		Description:       "{series} of {server}",
		Labels:            config.Labels{"a": "b"},
		CopyServerLabels:  true,
		OnRerun:           "reuse",
		ReuseWithin:       config.Span(6 * time.Hour),
		Series:            "nightly",
		Keep: config.Keep{
			KeepLast: 1, KeepHourly: 2, KeepDaily: 3, KeepWeekly: 4, KeepMonthly: 5, KeepYearly: 6,
			KeepWithin: config.Span(36 * time.Hour),
		},
		Protect:         true,
		Shutdown:        "force",
		ShutdownTimeout: config.Duration(5 * time.Minute),
		MaxUnavailable:  3,
		Common:          config.Common{DryRun: true, OutputFile: "build/out.env", Run: config.Run{Platform: config.GitHub}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// What can't be meant is refused before anything is deleted or switched off.
func TestInputsThatExcludeEachOther(t *testing.T) {
	for _, test := range []struct {
		vars []string
		want []string // parts of the mistakes, one each
	}{
		{[]string{"INPUT_KEEP-LAST=3"}, []string{"keep-last needs a series"}},
		{[]string{"INPUT_KEEP-WITHIN=2d", "INPUT_KEEP-DAILY=7"}, []string{"keep-daily needs a series", "keep-within needs a series"}},
		{[]string{"INPUT_KEEP-LAST=3", "INPUT_SERIES=default"}, nil},
		{[]string{"INPUT_REUSE-WITHIN=6h"}, []string{"reuse-within needs a series"}},
		{[]string{"INPUT_REUSE-WITHIN=6h", "INPUT_SERIES=default", "INPUT_WAIT=false"}, nil},
		{
			[]string{"INPUT_KEEP-LAST=3", "INPUT_SERIES=a", "INPUT_WAIT=false"},
			[]string{"keep-last can't be combined with wait: false"},
		},
		{[]string{"INPUT_PROTECT=true", "INPUT_WAIT=false"}, []string{"protect can't be combined with wait: false"}},
		{[]string{"INPUT_PROTECT=true", "INPUT_WAIT=no"}, []string{`wait: "no" is no boolean`}},
		{[]string{"INPUT_PROTECT=false", "INPUT_SHUTDOWN=never", "INPUT_WAIT=FALSE"}, nil},
		{[]string{"INPUT_SHUTDOWN=graceful", "INPUT_WAIT=FALSE"}, []string{"shutdown can't be combined with wait: false"}},
	} {
		var got []string
		if _, err := read(github(test.vars...)); err != nil {
			got = strings.Split(err.Error(), "\n")
		}
		if len(got) != len(test.want) {
			t.Errorf("%q: mistakes %q, want %q", test.vars, got, test.want)
			continue
		}
		for i := range got {
			if !strings.Contains(got[i], test.want[i]) {
				t.Errorf("%q: mistake %q, want %q", test.vars, got[i], test.want[i])
			}
		}
	}
}

func TestEveryMistakeAtOnce(t *testing.T) {
	got := mistakes(t, []string{
		"GITHUB_ACTIONS=true",
		"INPUT_SERVER=web-1",
		"INPUT_EXCLUDE=[a, b, c[",
		"INPUT_IF-LOCKED=Wait",
		"INPUT_LOCK-TIMEOUT=30",
		"INPUT_WAIT=yes",
		"INPUT_DESCRIPTION={server} {branch} {host}",
		"INPUT_LABELS=hsnap/a=b,c=d e",
		"INPUT_SERIES=a/b",
		"HCLOUD_ENDPOINT=http://api.example/v1",
	})
	want := []string{
		`server is no input of hsnap-action: did you mean servers? (If INPUT_SERVER does not come from with: but from env:, for another program, set it to '' in this step's env:)`,
		`HCLOUD_ENDPOINT: "http://api.example/v1" would send the token unencrypted: http is accepted for addresses of this machine only (localhost, 127.0.0.1), use https`,
		`exclude: "[a" is no valid glob: accepted are *, ?, [abc], [a-z] and [^a-z], and \ before one of these characters`,
		`exclude: "c[" is no valid glob: accepted are *, ?, [abc], [a-z] and [^a-z], and \ before one of these characters`,
		`if-locked: "Wait" is not accepted: use wait, skip or fail`,
		`lock-timeout: "30" has no unit: did you mean 30m or 30s?`,
		`wait: "yes" is no boolean: accepted are true and false`,
		`description: "{branch}" is no placeholder: use {server} {server_id} {timestamp} {date} {time} {series} {run_id} {run_number} {sha} {ref} {workflow} {repository}`,
		`description: "{host}" is no placeholder: use {server} {server_id} {timestamp} {date} {time} {series} {run_id} {run_number} {sha} {ref} {workflow} {repository}`,
		`labels: "d e" is no label value: give up to 63 letters, digits, -, _ and ., with a letter or digit at both ends, or nothing`,
		`labels: "hsnap/a" is reserved: keys under hsnap/ and hetzner.cloud/ can't be set`,
		`series: "a/b" is no name of a series: give up to 63 letters, digits, -, _ and ., with a letter or digit at both ends`,
		"hcloud-token is missing: set `hcloud-token: ${{ secrets.HCLOUD_TOKEN }}` or the environment variable HCLOUD_TOKEN (a run started from a fork gets no secrets)",
		`servers is missing: give either servers (names, IDs or globs, as web-*) or label-selector (as env=prod)`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestSelectionIsGivenOnce(t *testing.T) {
	for _, tt := range []struct {
		name string
		vars []string
		want string // a part of the only mistake
	}{
		{"both", []string{"INPUT_SERVERS=a", "INPUT_LABEL-SELECTOR=b"}, "label-selector can't be combined with servers"},
		{"neither", nil, "servers is missing: give either servers (names, IDs or globs, as web-*) or label-selector (as env=prod)"},
		{"an empty list", []string{"INPUT_SERVERS=[]"}, "servers lists nothing"},
		{"commas alone", []string{"INPUT_SERVERS=,"}, "servers lists nothing"},
		{"a wrong one is not a missing one", []string{"INPUT_SERVERS=["}, `servers: "[" is no valid glob`},
		{"empty is missing", []string{"INPUT_SERVERS= ", "INPUT_LABEL-SELECTOR=\n"}, "servers is missing"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := mistakes(t, append(tt.vars, "GITHUB_ACTIONS=true", "HCLOUD_TOKEN=t0ken"))
			if len(got) != 1 || !strings.Contains(got[0], tt.want) {
				t.Errorf("got %q, want one mistake with %q", got, tt.want)
			}
		})
	}
}

// The post step needs the token and the endpoint. No mistake in another input may keep it from its work.
func TestLoadAccess(t *testing.T) {
	others := []string{
		"GITHUB_ACTIONS=true", "INPUT_SERVER=a", "INPUT_SERVERS=a", "INPUT_LABEL-SELECTOR=b", "INPUT_LOCK-TIMEOUT=soon", "INPUT_WAIT=perhaps",
		"INPUT_KEEP-LAST=3", "INPUT_SHUTDOWN=Force", "INPUT_LABELS=hsnap/a=b",
	}
	for _, tt := range []struct {
		name            string
		vars            []string
		token, endpoint string
		want            []string // parts of the mistakes, one each
	}{
		{"inputs", []string{"INPUT_HCLOUD-TOKEN=t0ken", "INPUT_API-ENDPOINT=https://a.example/v1"}, "t0ken", "https://a.example/v1", nil},
		{"environment", []string{"HCLOUD_TOKEN=t0ken", "HCLOUD_ENDPOINT=https://a.example/v1"}, "t0ken", "https://a.example/v1", nil},
		{"no endpoint", []string{"HCLOUD_TOKEN=t0ken"}, "t0ken", "https://api.hetzner.cloud/v1", nil},
		{"no token", nil, "", "", []string{"hcloud-token is missing"}},
		{"both wrong", []string{"INPUT_HCLOUD-TOKEN=a b", "HCLOUD_ENDPOINT=b"}, "", "", []string{"hcloud-token: has", `HCLOUD_ENDPOINT: "b" is`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg, err := config.LoadAccess(append(tt.vars, others...))
			if err == nil && (string(cfg.Token) != tt.token || string(cfg.APIEndpoint) != tt.endpoint) {
				t.Errorf("token %q, endpoint %q", string(cfg.Token), cfg.APIEndpoint)
			}
			var got []string
			if err != nil {
				got = strings.Split(err.Error(), "\n")
			}
			if !slices.EqualFunc(got, tt.want, strings.Contains) {
				t.Errorf("mistakes %q, want %q", got, tt.want)
			}
		})
	}
}

func TestToken(t *testing.T) {
	const noToken = "HCLOUD_TOKEN: has a character that is in no token"
	for _, tt := range []struct{ name, token, want string }{
		{"Hetzner's form", strings.Repeat("aZ09", 16), ""},
		{"surrounding white space", "\n t0ken \n", ""},
		{"every character of RFC 6750", "-._~+/=", ""},
		{"a space", "to ken", noToken},
		{"two lines", "to\nken", noToken},
		{"quotes from an env file", `"token"`, noToken},
		{"a letter that is not ASCII", "tökens", noToken},
		{"a control character", "tok\x01en", noToken},
		{"not UTF-8", "tok\xffen", noToken},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := mistakes(t, []string{"HCLOUD_TOKEN=" + tt.token, "HSNAP_SERVERS=a"})
			if tt.want == "" {
				if got != nil {
					t.Errorf("refused: %q", got)
				}
				return
			}
			if len(got) != 1 || !strings.HasPrefix(got[0], tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// TestTokenStaysSecret gives the token where it does not belong. The mask that all output passes must find it in every
// message.
func TestTokenStaysSecret(t *testing.T) {
	const token = "ThisIsTheTokenThatNobodyMaySee"
	for _, vars := range [][]string{
		{"HCLOUD_TOKEN=" + token + "\n" + token},
		{"HCLOUD_TOKEN=" + token, "GITHUB_ACTIONS=true", "INPUT_HCLOUD-TOKENS=" + token, "INPUT_ZZZZZ=" + token},
		{
			"HCLOUD_TOKEN=" + token, "HSNAP_SERVERS=[" + token, "HSNAP_EXCLUDE=a,[" + token + ",!" + token,
			"HSNAP_IF_LOCKED=" + token, "HSNAP_IF_NO_SERVERS_FOUND=" + token, "HSNAP_IF_VOLUMES_ATTACHED=" + token, "HSNAP_ON_RERUN=" + token,
			"HSNAP_LOCK_TIMEOUT=" + token, "HSNAP_WAIT=" + token, "HSNAP_MAX_PARALLEL=" + token, "HSNAP_DESCRIPTION={" + token + "}",
			"HSNAP_LABELS=" + token + ",a/b/c=" + token + ",=" + token, "HSNAP_SERIES=_" + token,
			"HSNAP_API_ENDPOINT=https://x.example/v1?token=" + token,
		},
		{"HCLOUD_TOKEN=" + token, "HSNAP_API_ENDPOINT=https://user:" + token + "@x.example/v1"},
		{"HCLOUD_TOKEN=" + token, "HSNAP_API_ENDPOINT=https://:%zz" + token + "@x.example/v1"},
	} {
		got := mistakes(t, vars)
		if len(got) == 0 {
			t.Errorf("no mistake is found in %q", vars)
		}
		mask := secret.New(config.Tokens(vars)...)
		for _, line := range got {
			if shown := mask.Hide(line); strings.Contains(shown, token[:6]) {
				t.Errorf("the token is shown: %s", shown)
			}
		}
	}

	// Where a value may be a token that nobody knows yet, it is not shown at all.
	const other = "AnotherTokenInTheWrongPlace"
	for _, vars := range [][]string{
		{"GITHUB_ACTIONS=true", "INPUT_TOKEN=" + other, "INPUT_ZZZZZ=" + other},
		{"HCLOUD_TOKEN='" + other + "'"},
		{"HSNAP_API_ENDPOINT=https://user:" + other + "@x.example/v1"},
	} {
		cfg, err := read(vars)
		if text := fmt.Sprint(cfg.Warnings, err); err == nil || strings.Contains(text, other[:6]) {
			t.Errorf("the value is shown: %s", text)
		}
	}

	cfg := load(t, []string{"HCLOUD_TOKEN=" + token, "HSNAP_SERVERS=a"})
	if string(cfg.Token) != token {
		t.Errorf("the token is %q", string(cfg.Token))
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		if text := fmt.Sprintf(verb, cfg) + fmt.Sprintf(verb, &cfg) + fmt.Sprintf(verb, cfg.Token); strings.Contains(text, token) || strings.Contains(text, fmt.Sprintf("%x", token)) {
			t.Errorf("%s shows the token: %s", verb, text)
		}
	}
}

// What is no text does no harm: names, labels and the token are refused by their rules, a description has its line
// breaks and control characters replaced.
func TestControlCharacters(t *testing.T) {
	for _, char := range []string{"\x00", "\x1b", "\x7f", "\u0080", "\xff", "\u202e"} {
		for _, name := range []string{"SERVERS", "EXCLUDE", "LABELS", "SERIES", "WAIT", "IF_LOCKED", "LOCK_TIMEOUT", "HCLOUD_TOKEN"} {
			got := mistakes(t, env("HSNAP_"+name+"=a"+char+"b"))
			if len(got) != 1 || strings.Contains(got[0], char) {
				t.Errorf("%s with %q: %q", name, char, got)
			}
		}
	}
	for _, char := range []string{"\n", "\r", "\t", "\x00", "\x1b", "\x7f", "\u0085"} {
		if got := load(t, env("HSNAP_DESCRIPTION=a"+char+"b")).Describe("db-1", 42, time.Time{}); got != "a b" {
			t.Errorf("%q in a description: %q", char, got)
		}
	}
}

func TestLongValuesAreCut(t *testing.T) {
	got := mistakes(t, env("HSNAP_WAIT="+strings.Repeat("ä", 1000)))
	want := []string{`HSNAP_WAIT: "` + strings.Repeat("ä", 60) + `" is no boolean: accepted are true and false`}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
