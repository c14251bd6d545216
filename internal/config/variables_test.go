package config_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/org/hsnap-action/internal/config"
)

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
				cfg, err := read(append(tt.env, variable+"="+given))
				got := time.Duration(cfg.LockTimeout).String()
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
	t.Run("a variable without a name", func(t *testing.T) {
		if got := load(t, env("=x")).Series; got != "default" {
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

func TestUnknownVariables(t *testing.T) {
	unknown := func(name, hint string) string { return name + " is no input of hsnap-action: " + hint }
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
		{"a setting of two words", woodpecker("PLUGIN_KEEP_DAYLY=7"), []string{unknown("keep_dayly", near("keep_daily"))}},
		{"a setting like nothing", woodpecker("PLUGIN_ARGS=a"), []string{unknown("args", "the nearest is labels")}},
		{"the command's setting", woodpecker("PLUGIN_COMMAND=snapshot"), nil},
		{"other forms with Woodpecker", woodpecker("INPUT_SERVER=a", "HSNAP_SERVER=a"), nil},

		{"a variable", env("HSNAP_LOCKTIMEOUT=1m"), []string{unknown("HSNAP_LOCKTIMEOUT", near("HSNAP_LOCK_TIMEOUT"))}},
		{"a variable like nothing", env("HSNAP_ZZZZ=1"), []string{unknown("HSNAP_ZZZZ", "the nearest is HSNAP_HCLOUD_TOKEN")}},
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

// A variable in GitHub's form may be another program's. Only one that can't be meant for this one is let pass.
func TestWarnings(t *testing.T) {
	want := []string{"colour is no input of hsnap-action and was ignored: INPUT_COLOUR comes from with: in this step," +
		" or from env: in the step, the job or the workflow"}
	if diff := cmp.Diff(want, load(t, github("INPUT_COLOUR=red")).Warnings); diff != "" {
		t.Error(diff)
	}
	cfg, err := read(github("INPUT_COLOUR=red", "INPUT_WAIT=perhaps"))
	if diff := cmp.Diff(want, cfg.Warnings); diff != "" || err == nil {
		t.Errorf("beside a mistake (%v):\n%s", err, diff)
	}
	if got := load(t, github("INPUT_WAIT=true", "INPUT_ARGS=", "PLUGIN_COLOUR=red")).Warnings; got != nil {
		t.Errorf("warnings without a cause: %q", got)
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
		{"act", append(github, "ACT=true"), config.Run{
			Platform: config.GitHub, ID: "1", Number: "2", Attempt: "3", SHA: "abc", Ref: "main", Workflow: "Deploy it", Repository: "org/shop", NoPostStep: true,
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
