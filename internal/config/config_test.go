package config_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/org/hsnap-action/internal/config"
	"github.com/org/hsnap-action/internal/secret"
)

// env is a complete environment off any CI system, with the variables given in
// front, where they win over those that it has already.
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

// load returns the Config of an environment without mistakes.
func load(t *testing.T, env []string) config.Config {
	t.Helper()
	cfg, err := config.Load(env)
	if err != nil {
		t.Fatalf("Load(%q): %v", env, err)
	}
	return cfg
}

// mistakes returns what Load finds wrong, a line for each mistake.
func mistakes(t *testing.T, env []string) []string {
	t.Helper()
	cfg, err := config.Load(env)
	if err == nil {
		return nil
	}
	if diff := cmp.Diff(config.Config{Summary: cfg.Summary, Warnings: cfg.Warnings}, cfg); diff != "" {
		t.Errorf("Load(%q) returned a Config with an error:\n%s", env, diff)
	}
	return strings.Split(err.Error(), "\n")
}

func TestDefaults(t *testing.T) {
	got := load(t, []string{"HCLOUD_TOKEN=t0ken", "HSNAP_SERVERS=web-1"})
	want := config.Config{
		Token:             "t0ken",
		Servers:           config.List{"web-1"},
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
		Summary:           true,
		APIEndpoint:       "https://api.hetzner.cloud/v1",
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
		"INPUT_SERIES=nightly",
		"INPUT_KEEP-LAST=1", "INPUT_KEEP-HOURLY=2", "INPUT_KEEP-DAILY=3",
		"INPUT_KEEP-WEEKLY=4", "INPUT_KEEP-MONTHLY=5", "INPUT_KEEP-YEARLY=6",
		"INPUT_KEEP-WITHIN=1d12h",
		"INPUT_PROTECT=true",
		"INPUT_SHUTDOWN=force",
		"INPUT_SHUTDOWN-TIMEOUT=5m",
		"INPUT_MAX-UNAVAILABLE=3",
		"INPUT_SETTLE-TIME=0s",
		"INPUT_DRY-RUN=true",
		"INPUT_SUMMARY=false",
		"INPUT_OUTPUT-FILE=build/out.env",
		"INPUT_API-ENDPOINT=http://127.0.0.1:8080/v1/",
	})
	want := config.Config{
		Token:             "t0ken",
		LabelSelector:     "env=prod",
		Exclude:           config.List{"web-9", "42"},
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
		Series:            "nightly",
		KeepLast:          1,
		KeepHourly:        2,
		KeepDaily:         3,
		KeepWeekly:        4,
		KeepMonthly:       5,
		KeepYearly:        6,
		KeepWithin:        config.Span(36 * time.Hour),
		Protect:           true,
		Shutdown:          "force",
		ShutdownTimeout:   config.Duration(5 * time.Minute),
		MaxUnavailable:    3,
		DryRun:            true,
		OutputFile:        "build/out.env",
		APIEndpoint:       "http://127.0.0.1:8080/v1",
		Run:               config.Run{Platform: config.GitHub},
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
		if _, err := config.Load(github(test.vars...)); err != nil {
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

// Each platform's own form is read, and no other.
func TestForms(t *testing.T) {
	forms := map[string]string{
		"INPUT_LOCK-TIMEOUT": "1m", "INPUT_LOCK_TIMEOUT": "2m", "PLUGIN_LOCK_TIMEOUT": "3m", "PLUGIN_LOCK-TIMEOUT": "4m",
		"HSNAP_LOCK_TIMEOUT": "5m", "HSNAP_LOCK-TIMEOUT": "6m", "LOCK_TIMEOUT": "7m", "hsnap_lock_timeout": "8m", "input_lock-timeout": "9m",
	}
	for _, tt := range []struct {
		name, read string
		env        []string
	}{
		{"GitHub, Forgejo and Gitea", "INPUT_LOCK-TIMEOUT", github("CI=woodpecker", "DRONE=true", "GITLAB_CI=true")},
		{"Woodpecker", "PLUGIN_LOCK_TIMEOUT", woodpecker()},
		{"Drone", "PLUGIN_LOCK_TIMEOUT", []string{"CI=true", "DRONE=true", "HCLOUD_TOKEN=t0ken", "PLUGIN_SERVERS=web-1"}},
		{"GitLab", "HSNAP_LOCK_TIMEOUT", env("GITLAB_CI=true", "CI=true")},
		{"anywhere else", "HSNAP_LOCK_TIMEOUT", env("GITHUB_ACTIONS=false", "CI=true", "DRONE=false")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for variable, given := range forms {
				cfg, err := config.Load(append(tt.env, variable+"="+given))
				got := cfg.LockTimeout.String()
				switch {
				case variable == tt.read && got != given+"0s":
					t.Errorf("%s=%s is read as %s (%v)", variable, given, got, err)
				case variable != tt.read && err == nil && got != "30m0s":
					t.Errorf("%s=%s is read, as %s", variable, given, got)
				}
			}
		})
	}
}

func TestValuesAreFound(t *testing.T) {
	t.Run("empty means unset", func(t *testing.T) {
		if got := load(t, env("HSNAP_SERIES= \t\n")).Series; got != "default" {
			t.Errorf("the series is %q", got)
		}
	})
	t.Run("the first of a name that comes twice", func(t *testing.T) {
		if got := load(t, env("HSNAP_SERIES=one", "HSNAP_SERIES=two")).Series; got != "one" {
			t.Errorf("the series is %q", got)
		}
	})
	for name, form := range map[string]func(...string) []string{"HSNAP_": env, "INPUT_": github, "PLUGIN_": woodpecker} {
		hyphen := "_"
		if name == "INPUT_" {
			hyphen = "-"
		}
		token, endpoint := name+"HCLOUD"+hyphen+"TOKEN=", name+"API"+hyphen+"ENDPOINT="
		got := load(t, form(token, endpoint, "HCLOUD_ENDPOINT=https://a.example/v1"))
		if got.Token != "t0ken" || got.APIEndpoint != "https://a.example/v1" {
			t.Errorf("%s: without the inputs: token %q, endpoint %q", name, string(got.Token), got.APIEndpoint)
		}
		got = load(t, form(token+"b", endpoint+"https://b.example/v1", "HCLOUD_ENDPOINT=https://a.example/v1"))
		if got.Token != "b" || got.APIEndpoint != "https://b.example/v1" {
			t.Errorf("%s: with the inputs: token %q, endpoint %q", name, string(got.Token), got.APIEndpoint)
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
		`HCLOUD_ENDPOINT: "http://api.example/v1" would send the token unencrypted: http is accepted for addresses of this machine only (localhost, 127.0.0.1), use https`,
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

func TestUnknownVariables(t *testing.T) {
	unknown := func(name, hint string) string { return name + " is no input of hsnap-action: " + hint }
	lost := func(name string) string { return "the nearest is " + name + ", the README and --help list them all" }
	near := func(name string) string { return "did you mean " + name + "?" }
	either := func(input, variable string) string { // what may have been meant on GitHub
		return near(input) + " (If " + variable + " does not come from with: but from env:, for another program, set it to '' in this step's env:)"
	}
	for _, tt := range []struct {
		name string
		env  []string
		want []string
	}{
		{"one letter", github("INPUT_KEEP-DAYLY=7"), []string{unknown("keep-dayly", near("keep-daily"))}},
		{"another word", github("INPUT_KEEP-DAYS=7"), []string{unknown("keep-days", near("keep-daily"))}},
		{"a part", github("INPUT_TOKEN=a"), []string{unknown("token", either("hcloud-token", "INPUT_TOKEN"))}},
		{"underscores", github("INPUT_LOCK_TIMEOUT=1m"), []string{unknown("lock_timeout", either("lock-timeout", "INPUT_LOCK_TIMEOUT"))}},
		{
			"underscores beside the input", github("INPUT_LOCK_TIMEOUT=1m", "INPUT_LOCK-TIMEOUT=2m"),
			[]string{unknown("lock_timeout", either("lock-timeout", "INPUT_LOCK_TIMEOUT"))},
		},
		{
			"hyphens and underscores", github("INPUT_IF-NO_SERVERS-FOUND=warn"),
			[]string{unknown("if-no_servers-found", near("if-no-servers-found"))},
		},
		{"several", github("INPUT_WAITS=a", "INPUT_SERIE=1"), []string{
			unknown("serie", either("series", "INPUT_SERIE")), unknown("waits", either("wait", "INPUT_WAITS")),
		}},
		{"the runner's own", github("INPUT_ARGS=a", "INPUT_ENTRYPOINT=b"), nil},
		{"what the hint says", github("INPUT_LOCK_TIMEOUT="), nil},
		{"other forms on GitHub", github("PLUGIN_SERVER=a", "HSNAP_SERVER=a", "HSNAP_IMAGE_IDS=[]"), nil},

		{"a setting", woodpecker("PLUGIN_SERVER=a"), []string{unknown("server", near("servers"))}},
		{"a setting of two words", woodpecker("PLUGIN_KEEP_DAYLY=7"), []string{unknown("keep_dayly", near("keep-daily (keep_daily)"))}},
		{"a setting like nothing", woodpecker("PLUGIN_ARGS=a"), []string{unknown("args", lost("labels"))}},
		{"the command's setting", woodpecker("PLUGIN_COMMAND=snapshot"), nil},
		{"other forms with Woodpecker", woodpecker("INPUT_SERVER=a", "HSNAP_SERVER=a"), nil},

		{"a variable", env("HSNAP_LOCKTIMEOUT=1m"), []string{unknown("HSNAP_LOCKTIMEOUT", near("lock-timeout (HSNAP_LOCK_TIMEOUT)"))}},
		{"a variable like nothing", env("HSNAP_ZZZZ=1"), []string{unknown("HSNAP_ZZZZ", lost("hcloud-token (HSNAP_HCLOUD_TOKEN)"))}},
		{"other forms elsewhere", env("INPUT_SERVER=a", "PLUGIN_SERVER=a", "HSNAPPY=1"), nil},
		{"the command's variable", env("HSNAP_COMMAND=snapshot"), nil},
		{"outputs of an earlier job", env("HSNAP_IMAGE_IDS=[1]", "HSNAP_RESULT=success", "HSNAP_SERVERS_LEFT_OFF=[]", "HSNAP_TRUNCATED=true"), nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, mistakes(t, tt.env)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// A variable in GitHub's form may be another program's. Only one that can't be
// meant for this one is let pass.
func TestWarnings(t *testing.T) {
	want := []string{"colour is no input of hsnap-action and was ignored: INPUT_COLOUR comes from with: in this step," +
		" or from env: in the step, the job or the workflow"}
	if diff := cmp.Diff(want, load(t, github("INPUT_COLOUR=red")).Warnings); diff != "" {
		t.Error(diff)
	}
	cfg, err := config.Load(github("INPUT_COLOUR=red", "INPUT_WAIT=perhaps"))
	if diff := cmp.Diff(want, cfg.Warnings); diff != "" || err == nil {
		t.Errorf("beside a mistake (%v):\n%s", err, diff)
	}
	if got := load(t, github("INPUT_WAIT=true", "INPUT_ARGS=", "PLUGIN_COLOUR=red")).Warnings; got != nil {
		t.Errorf("warnings without a cause: %q", got)
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

// TestTokenStaysSecret gives the token where it does not belong. The mask that
// all output passes must find it in every message.
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
		cfg, err := config.Load(vars)
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

func TestTokens(t *testing.T) {
	long := func(c string) string { return strings.Repeat(c, 16) }
	got := config.Tokens([]string{
		"HCLOUD_TOKEN= " + long("e") + " ", "PLUGIN_HCLOUD_TOKEN=" + long("d"), "HSNAP_HCLOUD_TOKEN=" + long("c"),
		"INPUT_HCLOUD_TOKEN=" + long("b") + "\n", "INPUT_HCLOUD-TOKEN=" + long("a"), "MY_HCLOUD_TOKEN=" + long("f") + "=g",
		"HCLOUD_TOKEN=", "HCLOUD_TOKEN=" + long("a"), "HCLOUD_TOKEN_2=" + long("i"), "HCLOUD_TOKEN",
		"HCLOUD_TOKEN=true", "HCLOUD_TOKEN=" + long("x")[:15], // too short: it would mask words
	})
	want := []string{long("e"), long("d"), long("c"), long("b"), long("a"), long("f") + "=g"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if got := config.Tokens(nil); got != nil {
		t.Errorf("Tokens(nil) = %q", got)
	}
}

// What is no text does no harm: names, labels and the token are refused by their
// rules, a description has its line breaks and control characters replaced.
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

func TestRun(t *testing.T) {
	github := []string{
		"INPUT_SERVERS=web-1", "GITHUB_ACTIONS=true", "GITHUB_RUN_ID=1", "GITHUB_RUN_NUMBER=2", "GITHUB_RUN_ATTEMPT=3", "GITHUB_SHA=abc",
		"GITHUB_REF_NAME=main", "GITHUB_WORKFLOW=Deploy it", "GITHUB_REPOSITORY=org/shop",
	}
	gitlab := []string{
		"GITLAB_CI=true", "CI=true", "CI_PIPELINE_ID=1", "CI_PIPELINE_IID=2", "CI_COMMIT_SHA=abc",
		"CI_COMMIT_REF_NAME=main", "CI_PROJECT_PATH=group/sub/shop", "CI_JOB_NAME=backup",
	}
	woodpecker := []string{
		"PLUGIN_SERVERS=web-1", "CI=woodpecker", "CI_PIPELINE_NUMBER=2", "CI_COMMIT_SHA=abc", "CI_COMMIT_BRANCH=main", "CI_REPO=org/shop", "CI_WORKFLOW_NAME=backup",
	}
	for _, tt := range []struct {
		name string
		vars []string
		want config.Run
	}{
		{"none", []string{"GITHUB_RUN_ID=1", "GITHUB_ACTIONS=1", "CI=true", "CI_PIPELINE_ID=1"}, config.Run{}},
		{"GitHub", github, config.Run{
			Platform: config.GitHub, ID: "1", Number: "2", Attempt: "3", SHA: "abc", Ref: "main", Workflow: "Deploy it", Repository: "org/shop",
		}},
		{"GitLab", gitlab, config.Run{
			Platform: config.GitLab, ID: "1", Number: "2", SHA: "abc", Ref: "main", Workflow: "backup", Repository: "group/sub/shop",
		}},
		{"a GitLab pipeline with a name", append(gitlab, "CI_PIPELINE_NAME=nightly"), config.Run{
			Platform: config.GitLab, ID: "1", Number: "2", SHA: "abc", Ref: "main", Workflow: "nightly", Repository: "group/sub/shop",
		}},
		{"Woodpecker", woodpecker, config.Run{
			Platform: config.Woodpecker, ID: "2", Number: "2", SHA: "abc", Ref: "main", Workflow: "backup", Repository: "org/shop",
		}},
		{"a tag with Woodpecker", append(woodpecker, "CI_COMMIT_TAG=v1"), config.Run{
			Platform: config.Woodpecker, ID: "2", Number: "2", SHA: "abc", Ref: "v1", Workflow: "backup", Repository: "org/shop",
		}},
		{"Drone", []string{
			"PLUGIN_SERVERS=web-1", "CI=true", "DRONE=true", "DRONE_BUILD_NUMBER=2", "DRONE_COMMIT_SHA=abc", "DRONE_BRANCH=main", "DRONE_REPO=org/shop",
		}, config.Run{
			Platform: config.Woodpecker, ID: "2", Number: "2", SHA: "abc", Ref: "main", Repository: "org/shop",
		}},
		{"a tag with Drone", []string{"PLUGIN_SERVERS=web-1", "DRONE=true", "DRONE_TAG=v1", "DRONE_BRANCH=main"}, config.Run{
			Platform: config.Woodpecker, Ref: "v1",
		}},
		{"GitHub's runner in a GitLab job", append(gitlab, github...), config.Run{
			Platform: config.GitHub, ID: "1", Number: "2", Attempt: "3", SHA: "abc", Ref: "main", Workflow: "Deploy it", Repository: "org/shop",
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, load(t, env(tt.vars...)).Run); diff != "" {
				t.Error(diff)
			}
		})
	}
}
