package config_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/org/hsnap-action/internal/config"
)

// value is a case of a table: what is given for an input, and either what becomes of it or a part of the one mistake in
// it.
type value[T any] struct {
	given   string
	want    T
	mistake string
}

// check runs the cases of an input through Load, in which field finds it.
func check[T any](t *testing.T, input string, field func(config.Snapshot) T, cases []value[T]) {
	t.Helper()
	for _, tt := range cases {
		// A selector can't go with servers.
		name := "HSNAP_" + input
		vars := []string{"HCLOUD_TOKEN=t0ken", name + "=" + tt.given}
		if input != "SERVERS" && input != "LABEL_SELECTOR" {
			vars = append(vars, "HSNAP_SERVERS=web-1")
		}
		got, err := read(vars)
		switch {
		case tt.mistake == "" && err != nil:
			t.Errorf("%s %q: %v", name, tt.given, err)
		case tt.mistake == "":
			if diff := cmp.Diff(tt.want, field(got)); diff != "" {
				t.Errorf("%s %q:\n%s", name, tt.given, diff)
			}
		case err == nil:
			t.Errorf("%s %q is accepted as %v", name, tt.given, field(got))
		case !strings.HasPrefix(err.Error(), name) || !strings.Contains(err.Error(), tt.mistake) || strings.Contains(err.Error(), "\n"):
			t.Errorf("%s %q:\n got %v\nwant one mistake with %s", name, tt.given, err, tt.mistake)
		}
	}
}

func TestBool(t *testing.T) {
	var cases []value[config.Bool]
	for _, s := range []string{"true", "True", "TRUE", " true\n"} {
		cases = append(cases, value[config.Bool]{given: s, want: true})
	}
	for _, s := range []string{"false", "False", "FALSE"} {
		cases = append(cases, value[config.Bool]{given: s, want: false})
	}
	for _, s := range []string{"1", "0", "t", "f", "yes", "no", "on", "off", "tRUE", "true,", "null"} {
		cases = append(cases, value[config.Bool]{given: s, mistake: "accepted are true and false"})
	}
	check(t, "WAIT", func(c config.Snapshot) config.Bool { return c.Wait }, cases)
}

func TestChoices(t *testing.T) {
	for _, tt := range []struct {
		input    string
		field    func(config.Snapshot) string
		accepted []string
		refused  value[string]
	}{
		{
			"IF_NO_SERVERS_FOUND", func(c config.Snapshot) string { return c.IfNoServersFound }, []string{"error", "warn", "ignore"},
			value[string]{given: "fail", mistake: `"fail" is not accepted: use error, warn or ignore`},
		},
		{
			"IF_VOLUMES_ATTACHED", func(c config.Snapshot) string { return c.IfVolumesAttached }, []string{"warn", "fail", "ignore"},
			value[string]{given: "error", mistake: `"error" is not accepted: use warn, fail or ignore`},
		},
		{
			"IF_LOCKED", func(c config.Snapshot) string { return c.IfLocked }, []string{"wait", "skip", "fail"},
			value[string]{given: "WAIT", mistake: `"WAIT" is not accepted: use wait, skip or fail`},
		},
		{
			"SHUTDOWN", func(c config.Snapshot) string { return c.Shutdown }, []string{"never", "graceful", "force"},
			value[string]{given: "always", mistake: `"always" is not accepted: use never, graceful or force`},
		},
		{
			"ON_RERUN", func(c config.Snapshot) string { return c.OnRerun }, []string{"snapshot", "reuse"},
			value[string]{given: "skip", mistake: `"skip" is not accepted: use snapshot or reuse`},
		},
	} {
		cases := []value[string]{tt.refused}
		for _, choice := range tt.accepted {
			cases = append(cases, value[string]{given: choice, want: choice})
		}
		check(t, tt.input, tt.field, cases)
	}
}

func TestMaxParallel(t *testing.T) {
	const mistake = "give a whole number from 1 to 100"
	check(t, "MAX_PARALLEL", func(c config.Snapshot) config.Parallel { return c.MaxParallel }, []value[config.Parallel]{
		{given: "1", want: 1},
		{given: "100", want: 100},
		{given: "010", want: 10},
		{given: "0", mistake: mistake},
		{given: "101", mistake: mistake},
		{given: "-1", mistake: mistake},
		{given: "+5", mistake: mistake},
		{given: "1.0", mistake: mistake},
		{given: "0x10", mistake: mistake},
		{given: "1_0", mistake: mistake},
		{given: "ten", mistake: mistake},
		{given: "18446744073709551617", mistake: mistake}, // 2^64+1
	})
}

func TestCount(t *testing.T) {
	const mistake = "give a whole number from 1 to 100000"
	check(t, "MAX_UNAVAILABLE", func(c config.Snapshot) config.Count { return c.MaxUnavailable }, []value[config.Count]{
		{given: "1", want: 1},
		{given: "365", want: 365},
		{given: "0", mistake: mistake},
		{given: "-1", mistake: mistake},
		{given: "2.5", mistake: mistake},
		{given: "all", mistake: mistake},
		{given: "18446744073709551617", mistake: mistake},
	})
}

func TestPause(t *testing.T) {
	check(t, "SETTLE_TIME", func(c config.Snapshot) config.Pause { return c.SettleTime }, []value[config.Pause]{
		{given: "0s", want: 0},
		{given: "90s", want: config.Pause(90 * time.Second)},
		{given: "0h", want: 0},
		{given: "-1s", mistake: "is no duration"},
		{given: "0", mistake: "has no unit"},
		{given: "-", mistake: "is no duration"},
	})
}

func TestSpan(t *testing.T) {
	get := func(value string) (config.Span, error) {
		cfg, err := read(env("HSNAP_SERIES=nightly", "HSNAP_KEEP_WITHIN="+value))
		return cfg.KeepWithin, err
	}
	for value, want := range map[string]time.Duration{
		"48h": 48 * time.Hour, "7d": 7 * 24 * time.Hour, "2w": 14 * 24 * time.Hour, "1d12h": 36 * time.Hour, "1.5d": 36 * time.Hour,
	} {
		if got, err := get(value); err != nil || got != config.Span(want) {
			t.Errorf("%q is %v, %v; want %v", value, got, err, want)
		}
	}
	const mistake = "is no span of hours, days and weeks above zero: give one as 48h, 30d or 2w (m and y are not accepted"
	for _, value := range []string{"1m", "1y", "1y2h", "1m2h", "2h1m", "1h30m2h", "30", "90s", "0h", "0d", "-2d", "d", "2 d", "1e3h"} {
		if _, err := get(value); err == nil || !strings.Contains(err.Error(), mistake) {
			t.Errorf("%q: mistake %v, want %q", value, err, mistake)
		}
	}
}

func TestDuration(t *testing.T) {
	const (
		zero = "give a duration above zero, as 90s, 1h30m or 7d"
		no   = "is no duration of up to 292 years: give numbers with the units s, m, h, d or w"
		day  = 24 * time.Hour
	)
	check(t, "LOCK_TIMEOUT", func(c config.Snapshot) time.Duration { return time.Duration(c.LockTimeout) }, []value[time.Duration]{
		{given: "90s", want: 90 * time.Second},
		{given: "1h30m", want: 90 * time.Minute},
		{given: "1.5h", want: 90 * time.Minute},
		{given: "500ms", want: 500 * time.Millisecond},
		{given: "1ns", want: 1},
		{given: "3µs", want: 3 * time.Microsecond},
		{given: "7d", want: 7 * day},
		{given: "2w", want: 14 * day},
		{given: "0.5d", want: 12 * time.Hour},
		{given: "0.7d", want: 16*time.Hour + 48*time.Minute},
		{given: "1w2d12h", want: 9*day + 12*time.Hour},
		{given: "0h1m", want: time.Minute},
		{given: "106751d", want: 106751 * day},

		{given: "30", mistake: `"30" has no unit: did you mean 30m or 30s?`},
		{given: "0", mistake: "has no unit"},
		{given: "-0s", mistake: "is no duration"},
		{given: "1.5", mistake: `"1.5" has no unit: give a duration as 90s, 1h30m or 7d`},
		{given: "123456789", mistake: "has no unit"},
		{given: "0s", mistake: zero},
		{given: "0d", mistake: zero},
		{given: "-5m", mistake: no},
		{given: "-", mistake: no},
		{given: "0.1ns", mistake: zero},
		{given: "1h30", mistake: no},
		{given: "1h0", mistake: no},
		{given: "h", mistake: no},
		{given: "+5m", want: 5 * time.Minute}, // as Go has it
		{given: "+", mistake: no},
		{given: "+-5m", mistake: no},
		{given: "--5m", mistake: no},
		{given: "1 h", mistake: no},
		{given: "1mo", mistake: no},
		{given: "1y", mistake: no},
		{given: "1H", mistake: no},
		{given: "1dd", mistake: no},
		{given: ".d", mistake: no},
		{given: "1.2.3h", mistake: no},
		{given: "1e3s", mistake: no},
		{given: "forever", mistake: no},
		{given: "1h,2m", mistake: no},
		{given: "106752d", mistake: no},
		{given: "15251w", mistake: no},
		{given: "9999999999999999999d", mistake: no},
		{given: "200y", mistake: no},
		{given: "2562047h100m", mistake: no},
		{given: "106751d106751d", mistake: no},
	})
}

func TestLabels(t *testing.T) {
	const (
		badKey   = "is no label key"
		badValue = "is no label value"
		reserved = "is reserved"
		badJSON  = "is no JSON object of strings"
	)
	long := strings.Repeat("x", 63)
	dns := strings.Repeat(strings.Repeat("d", 62)+".", 4) + "x" // 253 characters
	check(t, "LABELS", func(c config.Snapshot) config.Labels { return c.Labels }, []value[config.Labels]{
		{given: "env=prod", want: config.Labels{"env": "prod"}},
		{given: "env=prod,tier=web", want: config.Labels{"env": "prod", "tier": "web"}},
		{given: "env = prod ,\r\n tier= web,\n", want: config.Labels{"env": "prod", "tier": "web"}},
		{given: "flag=", want: config.Labels{"flag": ""}},
		{given: "a-b_c.d=A-1_2.Z", want: config.Labels{"a-b_c.d": "A-1_2.Z"}},
		{given: "example.com/team=ops", want: config.Labels{"example.com/team": "ops"}},
		{given: long + "=" + long, want: config.Labels{long: long}},
		{given: dns + "/a=b", want: config.Labels{dns + "/a": "b"}},
		{given: "hsnap=x,hetzner=y", want: config.Labels{"hsnap": "x", "hetzner": "y"}},
		{given: `{"env": "prod", "flag": ""}`, want: config.Labels{"env": "prod", "flag": ""}},
		{given: "{\n}", want: config.Labels{}},

		{given: "env", mistake: `"env" is no label: give key=value`},
		{given: "env:prod", mistake: `"env:prod" is no label: give key=value`},
		{given: ",", want: config.Labels{}},
		{given: "=x", mistake: `"" ` + badKey},
		{given: "a=b=c", mistake: `"b=c" ` + badValue},
		{given: "a b=c", mistake: `"a b" ` + badKey},
		{given: "-a=b", mistake: badKey},
		{given: "a_=b", mistake: badKey},
		{given: "ä=b", mistake: badKey},
		{given: long + "x=b", mistake: badKey},
		{given: "a/b/c=d", mistake: badKey},
		{given: "/a=b", mistake: badKey},
		{given: "a/=b", mistake: badKey},
		{given: "a..b/c=d", mistake: badKey},
		{given: "a_b.example/c=d", mistake: badKey},
		{given: dns + "x/a=b", mistake: badKey},
		{given: "a=x" + long, mistake: badValue},
		{given: "a=.b", mistake: badValue},
		{given: "a=b-", mistake: badValue},
		{given: "at=2026-11-22T19:45:00Z", mistake: badValue},
		{given: "repo=org/shop", mistake: badValue},
		{given: "hsnap/series=x", mistake: reserved},
		{given: "HSNAP/x=y", mistake: reserved},
		{given: "hetzner.cloud/x=y", mistake: reserved},
		{given: "a=b,a=c", mistake: `"a" is given twice`},
		{given: `{"a":"b","a":"c"}`, mistake: `"a" is given twice`},
		{given: `{"a":1}`, mistake: `"a" has a value that is no string`},
		{given: `{"a":null}`, mistake: `"a" has a value that is no string`},
		{given: `{"a":{"b":"c"}}`, mistake: `"a" has a value that is no string`},
		{given: `{"a":["b"]}`, mistake: `"a" has a value that is no string`},
		{given: `{"a":"b"`, mistake: badJSON},
		{given: `{"a":`, mistake: badJSON},
		{given: `{"a"}`, mistake: badJSON},
		{given: `{a: b}`, mistake: badJSON},
		{given: `{"a":"b"} x`, mistake: badJSON},
		{given: `{"a":"b"}{}`, mistake: badJSON},
		{given: `["a"]`, mistake: "is no label"},
	})
}

func TestSeries(t *testing.T) {
	const mistake = "is no name of a series"
	check(t, "SERIES", func(c config.Snapshot) config.Series { return c.Series }, []value[config.Series]{
		{given: "pre-deploy", want: "pre-deploy"},
		{given: "a", want: "a"},
		{given: strings.Repeat("a", 63), want: config.Series(strings.Repeat("a", 63))},
		{given: strings.Repeat("a", 64), mistake: mistake},
		{given: "a b", mistake: mistake},
		{given: "-a", mistake: mistake},
		{given: "a.", mistake: mistake},
		{given: "nächtlich", mistake: mistake},
	})
}

// Hetzner judges label selectors: the program trims one and passes it on.
func TestLabelSelector(t *testing.T) {
	check(t, "LABEL_SELECTOR", func(c config.Snapshot) string { return c.LabelSelector }, []value[string]{
		{given: " env=prod,!ephemeral\n", want: "env=prod,!ephemeral"},
		{given: "env in (a, b), tier", want: "env in (a, b), tier"},
		{given: "env=prod,,(", want: "env=prod,,("},
		{given: "what Hetzner may understand one day > 1", want: "what Hetzner may understand one day > 1"},
	})
}

func TestPath(t *testing.T) {
	check(t, "OUTPUT_FILE", func(c config.Snapshot) string { return c.OutputFile }, []value[string]{
		{given: "out.env", want: "out.env"},
		{given: "/a dir/größe.env", want: "/a dir/größe.env"},
	})
}

func TestEndpoint(t *testing.T) {
	const (
		noBase = "is no base URL of the API: give one like https://api.hetzner.cloud/v1"
		clear  = "would send the token unencrypted"
		user   = "has user info"
	)
	check(t, "API_ENDPOINT", func(c config.Snapshot) config.Endpoint { return c.APIEndpoint }, []value[config.Endpoint]{
		{given: "https://api.hetzner.cloud/v1", want: "https://api.hetzner.cloud/v1"},
		{given: "https://api.hetzner.cloud/v1//", want: "https://api.hetzner.cloud/v1"},
		{given: "HTTPS://proxy.example:8443/hetzner/v1", want: "https://proxy.example:8443/hetzner/v1"},
		{given: "https://[2001:db8::1]/v1", want: "https://[2001:db8::1]/v1"},
		{given: "http://127.0.0.1:8080/v1", want: "http://127.0.0.1:8080/v1"},
		{given: "http://127.9.9.9/v1", want: "http://127.9.9.9/v1"},
		{given: "http://[::1]:80/v1", want: "http://[::1]:80/v1"},
		{given: "http://localhost/v1", want: "http://localhost/v1"},

		{given: "http://api.hetzner.cloud/v1", mistake: clear},
		{given: "http://localhost.example/v1", mistake: clear},
		{given: "http://evil-localhost/v1", mistake: clear},
		{given: "http://evil.localhost/v1", mistake: clear},
		{given: "http://localhost@evil.example/v1", mistake: user},
		{given: "http://127.0.0.1.example/v1", mistake: clear},
		{given: "http://0.0.0.0/v1", mistake: clear},
		{given: "http://128.0.0.1/v1", mistake: clear},
		{given: "http://10.0.0.1/v1", mistake: clear},
		{given: "http://2130706433/v1", mistake: clear},
		{given: "http://[::]/v1", mistake: clear},
		{given: "ftp://api.hetzner.cloud/v1", mistake: noBase},
		{given: "api.hetzner.cloud/v1", mistake: noBase},
		{given: "//api.hetzner.cloud/v1", mistake: noBase},
		{given: "https:///v1", mistake: noBase},
		{given: "https://:443/v1", mistake: noBase},
		{given: "https:api.hetzner.cloud/v1", mistake: noBase},
		{given: "https://a b/v1", mistake: noBase},
		{given: "https://me@x.example/v1", mistake: user},
		{given: "https://me:pw@x.example/v1", mistake: user},
		{given: "https://x.example/v1?a=b", mistake: noBase},
		{given: "https://x.example/v1?", mistake: noBase},
		{given: "https://x.example/v1#", mistake: noBase},
		{given: "https://x.example/v1/#a", mistake: noBase},
		{given: "https://x.example", mistake: noBase},
		{given: "https://x.example/", mistake: noBase},
		{given: "https://x.example/v2", mistake: noBase},
		{given: "https://x.example/av1", mistake: noBase},
	})
}

func TestTemplate(t *testing.T) {
	check(t, "DESCRIPTION", func(c config.Snapshot) config.Template { return c.Description }, []value[config.Template]{
		{given: "before the deploy", want: "before the deploy"},
		{given: "{server}{server}", want: "{server}{server}"},
		{given: "Größe {sha}", want: "Größe {sha}"},
		{given: strings.Repeat("ä", 200), want: config.Template(strings.Repeat("ä", 200))},
		{given: "{Server}", mistake: `"{Server}" is no placeholder: use {server} {server_id} {timestamp}`},
		{given: "{ server }", mistake: `"{ server }" is no placeholder`},
		{given: "{}", mistake: `"{}" is no placeholder`},
		{given: "{{server}", mistake: `"{" is no placeholder`},
		{given: "{server", mistake: `"{server" is no placeholder`},
		{given: "{server}}", want: "{server}}"},
	})
}

func TestDescribe(t *testing.T) {
	at := time.Date(2026, 11, 22, 20, 45, 0, 999, time.FixedZone("CET", 3600))
	full := config.Snapshot{
		Series: "nightly",
		Common: config.Common{
			Run: config.Run{ID: "77", Number: "8", SHA: "abc", Ref: "feat/x", Workflow: "Deploy", Repository: "org/shop"},
		},
	}
	for _, tt := range []struct {
		name     string
		config   config.Snapshot
		template config.Template
		want     string
	}{
		{"the default", full, "{server}-snapshot-{timestamp}", "db-1-snapshot-2026-11-22T194500Z"},
		{"every one", full, "{server} {server_id} {timestamp} {date} {time} {series} {run_id} {run_number} {sha} {ref} {workflow} {repository}",
			"db-1 42 2026-11-22T194500Z 2026-11-22 194500 nightly 77 8 abc feat/x Deploy org/shop"},
		{"no run", config.Snapshot{Series: "default"}, "{run_id} {run_number} {sha} {ref} {workflow} {repository}", "unknown unknown unknown unknown unknown unknown"},
		{"values are not expanded", config.Snapshot{Common: config.Common{Run: config.Run{Ref: "{sha}", SHA: "abc"}}}, "{ref}", "{sha}"},
		{"control characters", config.Snapshot{Common: config.Common{Run: config.Run{Workflow: "a\nb\x1bc"}}}, "{workflow}", "a b c"},
		{"not UTF-8", config.Snapshot{Common: config.Common{Run: config.Run{Workflow: "a\xffb"}}}, "{workflow}", "a\uFFFDb"},
		{"too long", config.Snapshot{Common: config.Common{Run: config.Run{Workflow: strings.Repeat("ä", 300)}}}, "x{workflow}", "x" + strings.Repeat("ä", 198) + "…"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.config.Description = tt.template
			if got := tt.config.Describe("db-1", 42, at); got != tt.want {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
		})
	}
}
