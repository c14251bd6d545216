package config_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/org/hsnap-action/internal/config"
)

// env is a complete environment, with the variables given in front, where they
// win over those that it has already.
func env(vars ...string) []string {
	return append(vars, "HCLOUD_TOKEN=t0ken", "HSNAP_SERVERS=web-1")
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
	if _, ok := errors.AsType[config.InputErrors](err); !ok {
		t.Fatalf("Load(%q): %T: %[2]v, want config.InputErrors", env, err)
	}
	if diff := cmp.Diff(config.Config{Summary: cfg.Summary}, cfg); diff != "" {
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
		{[]string{"INPUT_PROTECT=true", "HSNAP_WAIT=false"}, []string{"protect can't be combined with HSNAP_WAIT: false"}},
		{[]string{"INPUT_PROTECT=false", "INPUT_SHUTDOWN=never", "INPUT_WAIT=FALSE"}, nil},
		{[]string{"INPUT_SHUTDOWN=graceful", "INPUT_WAIT=FALSE"}, []string{"shutdown can't be combined with wait: false"}},
	} {
		var got []string
		if _, err := config.Load(env(test.vars...)); err != nil {
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

func TestPrecedence(t *testing.T) {
	t.Run("an input", func(t *testing.T) {
		names := []string{"INPUT_SERIES", "HSNAP_SERIES", "PLUGIN_SERIES"}
		for i, name := range names {
			var vars []string
			for j := len(names) - 1; j >= i; j-- { // the environment's order must not count
				vars = append(vars, names[j]+"="+strings.ToLower(names[j]))
			}
			for _, higher := range names[:i] {
				vars = append(vars, higher+"= \t ") // nothing but white space is empty
			}
			want := config.Series(strings.ToLower(name))
			if got := load(t, env(vars...)).Series; got != want {
				t.Errorf("with %q: the series is %q", vars, got)
			}
		}
	})
	t.Run("hyphens before underscores", func(t *testing.T) {
		got := load(t, env("INPUT_LOCK_TIMEOUT=1m", "INPUT_LOCK-TIMEOUT=2m")).LockTimeout
		if want := config.Duration(2 * time.Minute); got != want {
			t.Errorf("got %v, want %v", got, want)
		}
	})
	t.Run("fallbacks come last", func(t *testing.T) {
		got := load(t, []string{"HCLOUD_TOKEN=a", "PLUGIN_HCLOUD_TOKEN=b", "HCLOUD_ENDPOINT=https://a.example/v1", "HSNAP_SERVERS=x"})
		if got.Token != "b" || got.APIEndpoint != "https://a.example/v1" {
			t.Errorf("token %q, endpoint %q", string(got.Token), got.APIEndpoint)
		}
		got = load(t, env("HCLOUD_ENDPOINT=https://a.example/v1", "HSNAP_API_ENDPOINT=https://b.example/v1"))
		if got.APIEndpoint != "https://b.example/v1" {
			t.Errorf("endpoint %q", got.APIEndpoint)
		}
	})
	t.Run("the first of a name that comes twice", func(t *testing.T) {
		if got := load(t, env("HSNAP_SERIES=one", "HSNAP_SERIES=two")).Series; got != "one" {
			t.Errorf("the series is %q", got)
		}
	})
	t.Run("names are not folded", func(t *testing.T) {
		if got := load(t, env("hsnap_series=one", "SERIES=two", "input_series=three")).Series; got != "default" {
			t.Errorf("the series is %q", got)
		}
	})
}

func TestEveryMistakeAtOnce(t *testing.T) {
	got := mistakes(t, []string{
		"GITHUB_ACTIONS=true",
		"INPUT_SERVER=web-1",
		"INPUT_EXCLUDE=[a, b, c[",
		"HSNAP_IF_LOCKED=Wait",
		"INPUT_LOCK_TIMEOUT=30",
		"INPUT_WAIT=yes",
		"INPUT_DESCRIPTION={server} {branch} {host}",
		"INPUT_LABELS=hsnap/a=b,c=d e",
		"INPUT_SERIES=a/b",
		"HCLOUD_ENDPOINT=http://api.example/v1",
	})
	want := []string{
		`server is no input of hsnap-action: did you mean servers?`,
		`exclude: "[a" is no valid glob: accepted are *, ?, [abc], [a-z] and [^a-z], and \ before one of these characters`,
		`exclude: "c[" is no valid glob: accepted are *, ?, [abc], [a-z] and [^a-z], and \ before one of these characters`,
		`HSNAP_IF_LOCKED: "Wait" is not accepted: use wait, skip or fail`,
		`lock_timeout: "30" has no unit: did you mean 30m or 30s?`,
		`wait: "yes" is no boolean: accepted are true and false`,
		`description: "{branch}" is no placeholder: use {server} {server_id} {timestamp} {date} {time} {series} {run_id} {run_number} {sha} {ref} {workflow} {repository}`,
		`description: "{host}" is no placeholder: use {server} {server_id} {timestamp} {date} {time} {series} {run_id} {run_number} {sha} {ref} {workflow} {repository}`,
		`labels: "hsnap/a" is reserved: keys under hsnap/ and hetzner.cloud/ can't be set`,
		`labels: "d e" is no label value: give up to 63 letters, digits, -, _ and ., with a letter or digit at both ends, or nothing`,
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
		{"both", []string{"HSNAP_SERVERS=a", "INPUT_LABEL-SELECTOR=b"}, "label-selector can't be combined with HSNAP_SERVERS"},
		{"neither", nil, "servers is missing"},
		{"a wrong one is not a missing one", []string{"INPUT_SERVERS=["}, `servers: "[" is no valid glob`},
		{"empty is missing", []string{"INPUT_SERVERS= ", "INPUT_LABEL-SELECTOR=\n"}, "servers is missing"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := mistakes(t, append(tt.vars, "HCLOUD_TOKEN=t0ken"))
			if len(got) != 1 || !strings.Contains(got[0], tt.want) {
				t.Errorf("got %q, want one mistake with %q", got, tt.want)
			}
		})
	}
}

func TestUnknownInputs(t *testing.T) {
	lost := func(name string) string {
		return " is no input of hsnap-action: the nearest is " + name + ", its README and --help list them all"
	}
	near := func(name string) string { return " is no input of hsnap-action: did you mean " + name + "?" }
	for _, tt := range []struct {
		name string
		vars []string
		want []string
	}{
		{"one letter", []string{"GITHUB_ACTIONS=true", "INPUT_SERIE=a"}, []string{"serie" + near("series")}},
		{"underscores", []string{"GITHUB_ACTIONS=true", "INPUT_LOCK_TIMOUT=1m"}, []string{"lock_timout" + near("lock-timeout")}},
		{"hyphens and underscores mixed", []string{"GITHUB_ACTIONS=true", "INPUT_IF-NO_SERVERS-FOUND=warn"}, []string{"if-no_servers-found" + near("if-no-servers-found")}},
		{"a part of a name", []string{"GITHUB_ACTIONS=true", "INPUT_TOKEN=a"}, []string{"token" + near("hcloud-token")}},
		{"nothing like it", []string{"GITHUB_ACTIONS=true", "INPUT_COLOUR=red"}, []string{"colour" + lost("servers")}},
		{"of two the one that begins alike", []string{"GITHUB_ACTIONS=true", "INPUT_KEEP-DAYS=7"}, []string{"keep-days" + lost("keep-daily")}},
		{"empty", []string{"GITHUB_ACTIONS=true", "INPUT_SERVER="}, []string{"server" + near("servers")}},
		{"several", []string{"GITHUB_ACTIONS=true", "INPUT_WAITS=a", "INPUT_ZZZZ=1"}, []string{"waits" + near("wait"), "zzzz" + lost("wait")}},
		{"the runner's own", []string{"GITHUB_ACTIONS=true", "INPUT_ARGS=a", "INPUT_ENTRYPOINT=b"}, nil},
		{"off GitHub", []string{"INPUT_SERVER=a", "PLUGIN_SERVER=a"}, nil},
		{"another system's on GitHub", []string{"GITHUB_ACTIONS=true", "PLUGIN_SERVER=a", "HSNAP_IMAGE_IDS=[]"}, nil},
		{"Woodpecker", []string{"CI=woodpecker", "PLUGIN_SERVER=a", "INPUT_SERVER=a", "PLUGIN_LOCK_TIMEOUT=1m"}, []string{"server" + near("servers")}},
		{"Woodpecker has no args", []string{"CI=woodpecker", "PLUGIN_ARGS=a"}, []string{"args" + lost("wait")}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, mistakes(t, env(tt.vars...))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestToken(t *testing.T) {
	for _, tt := range []struct{ name, token, want string }{
		{"Hetzner's form", strings.Repeat("aZ09", 16), ""},
		{"surrounding white space", "\n t0ken \n", ""},
		{"every character of RFC 6750", "-._~+/=", ""},
		{"a space", "to ken", "HCLOUD_TOKEN contains white space: give the token alone"},
		{"two lines", "to\nken", "HCLOUD_TOKEN contains white space: give the token alone"},
		{"quotes from an env file", `"token"`, "HCLOUD_TOKEN contains a character that is in no token"},
		{"a letter that is not ASCII", "tökens", "HCLOUD_TOKEN contains a character that is in no token"},
		{"a control character", "tok\x01en", `HCLOUD_TOKEN: "***" contains a control character`},
		{"not UTF-8", "tok\xffen", `HCLOUD_TOKEN: "***" is not valid UTF-8`},
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

// TestTokenStaysSecret gives the token where it does not belong.
func TestTokenStaysSecret(t *testing.T) {
	const token = "ThisIsTheTokenThatNobodyMaySee"
	for _, vars := range [][]string{
		{"HCLOUD_TOKEN=" + token + "\n" + token},
		{"HCLOUD_TOKEN=" + token, "GITHUB_ACTIONS=true", "INPUT_HCLOUD-TOKENS=" + token, "INPUT_ZZZZZ=" + token},
		{
			"HCLOUD_TOKEN=" + token, "HSNAP_SERVERS=[" + token, "HSNAP_LABEL_SELECTOR=a " + token, "HSNAP_EXCLUDE=a,[" + token,
			"HSNAP_IF_LOCKED=" + token, "HSNAP_IF_NO_SERVERS_FOUND=" + token, "HSNAP_IF_VOLUMES_ATTACHED=" + token, "HSNAP_ON_RERUN=" + token,
			"HSNAP_LOCK_TIMEOUT=" + token, "HSNAP_WAIT=" + token, "HSNAP_MAX_PARALLEL=" + token, "HSNAP_DESCRIPTION={" + token + "}",
			"HSNAP_LABELS=" + token + ",a/b/c=" + token + ",=" + token, "HSNAP_SERIES=_" + token, "HSNAP_OUTPUT_FILE=a\n" + token,
			"HSNAP_API_ENDPOINT=https://x.example/v1?token=" + token,
		},
		{"HCLOUD_TOKEN=" + token, "HSNAP_API_ENDPOINT=https://user:" + token + "@x.example/v1"},
		{"HCLOUD_TOKEN=" + token, "HSNAP_API_ENDPOINT=https://:%zz" + token + "@x.example/v1"},
	} {
		got := mistakes(t, vars)
		if len(got) == 0 {
			t.Errorf("no mistake is found in %q", vars)
		}
		for _, line := range got {
			if strings.Contains(line, token[:6]) {
				t.Errorf("the token is shown: %s", line)
			}
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
	got := config.Tokens([]string{
		"HCLOUD_TOKEN= e ", "PLUGIN_HCLOUD_TOKEN=d", "HSNAP_HCLOUD_TOKEN=c", "INPUT_HCLOUD_TOKEN=b\n", "INPUT_HCLOUD-TOKEN=a",
		"HCLOUD_TOKEN=f=g", "HCLOUD_TOKEN=", "HCLOUD_TOKEN=a", "MY_HCLOUD_TOKEN=h", "HCLOUD_TOKEN_2=i", "HCLOUD_TOKEN",
	})
	if diff := cmp.Diff([]string{"a", "b", "c", "d", "e", "f=g"}, got); diff != "" {
		t.Error(diff)
	}
	if got := config.Tokens(nil); got != nil {
		t.Errorf("Tokens(nil) = %q", got)
	}
}

func TestControlCharacters(t *testing.T) {
	for _, name := range []string{"SERVERS", "LABEL_SELECTOR", "EXCLUDE", "DESCRIPTION", "LABELS", "SERIES", "OUTPUT_FILE", "API_ENDPOINT", "WAIT"} {
		for _, char := range []string{"\x00", "\x1b", "\x7f", "\u0085"} {
			got := mistakes(t, env("INPUT_"+name+"=a"+char+"b"))
			if len(got) == 0 || !strings.Contains(got[0], "contains a control character") {
				t.Errorf("%s with %q: %q", name, char, got)
			}
		}
	}
	for _, name := range []string{"DESCRIPTION", "OUTPUT_FILE"} {
		for _, char := range []string{"\n", "\r", "\t"} {
			got := mistakes(t, env("HSNAP_"+name+"=a"+char+"b"))
			if len(got) != 1 || !strings.Contains(got[0], "give a single line") {
				t.Errorf("%s with %q: %q", name, char, got)
			}
		}
	}
}

func TestLongValuesAreCut(t *testing.T) {
	got := mistakes(t, env("HSNAP_WAIT="+strings.Repeat("ä", 1000)))
	want := []string{`HSNAP_WAIT: "` + strings.Repeat("ä", 60) + `…" is no boolean: accepted are true and false`}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestRun(t *testing.T) {
	github := []string{
		"GITHUB_ACTIONS=true", "GITHUB_RUN_ID=1", "GITHUB_RUN_NUMBER=2", "GITHUB_RUN_ATTEMPT=3", "GITHUB_SHA=abc",
		"GITHUB_REF_NAME=main", "GITHUB_WORKFLOW=Deploy it", "GITHUB_REPOSITORY=org/shop",
	}
	gitlab := []string{
		"GITLAB_CI=true", "CI=true", "CI_PIPELINE_ID=1", "CI_PIPELINE_IID=2", "CI_COMMIT_SHA=abc",
		"CI_COMMIT_REF_NAME=main", "CI_PROJECT_PATH=group/sub/shop", "CI_JOB_NAME=backup",
	}
	woodpecker := []string{
		"CI=woodpecker", "CI_PIPELINE_NUMBER=2", "CI_COMMIT_SHA=abc", "CI_COMMIT_BRANCH=main", "CI_REPO=org/shop", "CI_WORKFLOW_NAME=backup",
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
