package config_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/org/hsnap-action/internal/config"
)

// prefixes lets cmp compare networks, whose fields it can't see.
var prefixes = cmpopts.EquateComparable(netip.Prefix{})

// readVerify returns the settings of the command verify off any CI system, with a token.
func readVerify(vars ...string) (config.Verify, error) {
	cfg, err := config.Load([]string{"verify"}, append(vars, "HCLOUD_TOKEN=t0ken"))
	return *cfg.(*config.Verify), err
}

func TestVerify(t *testing.T) {
	got, err := readVerify("HSNAP_SERVERS=db-*")
	if err != nil {
		t.Fatal(err)
	}
	want := config.Verify{
		Access:         config.Access{Token: "t0ken", APIEndpoint: "https://api.hetzner.cloud/v1"},
		Selection:      config.Selection{Servers: config.List{"db-*"}},
		Series:         "default",
		Prove:          config.Proof{SSH: true, Port: 22},
		ServerType:     "same",
		CreateTimeout:  config.Duration(90 * time.Minute),
		BootTimeout:    config.Duration(10 * time.Minute),
		MaxParallel:    2,
		MaxCost:        1,
		AllowFrom:      config.Networks{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")},
		IfInconclusive: "fail",
		Common:         config.Common{Summary: true},
	}
	if diff := cmp.Diff(want, got, prefixes); diff != "" {
		t.Error(diff)
	}

	got, err = readVerify("HSNAP_IMAGES=db-1=latest,db-2=123", "HSNAP_SERIES=nightly", "HSNAP_VERIFIED_WITHIN=7d", "HSNAP_AT_MOST=3",
		"HSNAP_PROVE=tcp:443", "HSNAP_SERVER_TYPE=cx23", "HSNAP_CREATE_TIMEOUT=2h", "HSNAP_BOOT_TIMEOUT=3m", "HSNAP_MAX_PARALLEL=5",
		"HSNAP_MAX_COST=0.25", "HSNAP_ALLOW_FROM=203.0.113.7/32", "HSNAP_IF_INCONCLUSIVE=warn", "HSNAP_DRY_RUN=true", "HSNAP_SUMMARY=false",
		"HSNAP_OUTPUT_FILE=out.env", "HSNAP_API_ENDPOINT=http://[::1]/v1")
	if err != nil {
		t.Fatal(err)
	}
	want = config.Verify{
		Access:         config.Access{Token: "t0ken", APIEndpoint: "http://[::1]/v1"},
		Images:         config.Images{"db-1": {}, "db-2": {Image: 123}},
		Series:         "nightly",
		VerifiedWithin: config.Span(7 * 24 * time.Hour),
		AtMost:         3,
		Prove:          config.Proof{Port: 443},
		ServerType:     "cx23",
		CreateTimeout:  config.Duration(2 * time.Hour),
		BootTimeout:    config.Duration(3 * time.Minute),
		MaxParallel:    5,
		MaxCost:        0.25,
		AllowFrom:      config.Networks{netip.MustParsePrefix("203.0.113.7/32")},
		IfInconclusive: "warn",
		Common:         config.Common{DryRun: true, OutputFile: "out.env"},
	}
	if diff := cmp.Diff(want, got, prefixes); diff != "" {
		t.Error(diff)
	}
}

func TestVerifyMistakes(t *testing.T) {
	const (
		neither = "HSNAP_SERVERS is missing: give either HSNAP_SERVERS (names, IDs or globs, as web-*), " +
			"HSNAP_LABEL_SELECTOR (as env=prod) or HSNAP_IMAGES (as db-1=123)"
		beside = " can't be combined with HSNAP_IMAGES: it names each server itself (an earlier job's file of outputs may have set it)"
		ipv4   = "HSNAP_ALLOW_FROM has no IPv4 network, but a copy has an IPv4 address only: add the one that this run comes from, as 203.0.113.7/32"
	)
	for _, tt := range []struct{ vars, want []string }{
		{[]string{"HSNAP_LABEL_SELECTOR=env=prod", "HSNAP_EXCLUDE=db-9"}, nil},
		{[]string{"HSNAP_SERVERS=db-1,web-*", "HSNAP_EXCLUDE=web-9", "HSNAP_VERIFIED_WITHIN=7d", "HSNAP_AT_MOST=1"}, nil},
		{[]string{"HSNAP_IMAGES=db-1=123", "HSNAP_VERIFIED_WITHIN=7d", "HSNAP_AT_MOST=1"}, nil},
		{[]string{"HSNAP_IMAGES=db-1=latest-verified", "HSNAP_SERIES=default"}, nil},

		{nil, []string{neither}},
		{[]string{"HSNAP_EXCLUDE=db-1"}, []string{neither}},
		{[]string{"HSNAP_SERVERS=,"}, []string{"HSNAP_SERVERS lists nothing: give names, IDs or globs, as web-*"}},
		{
			[]string{"HSNAP_SERVERS=db-1", "HSNAP_LABEL_SELECTOR=env=prod"},
			[]string{"HSNAP_LABEL_SELECTOR can't be combined with HSNAP_SERVERS: give exactly one of the two"},
		},
		{[]string{"HSNAP_SERVERS=db-1", "HSNAP_IMAGES=db-1=123"}, []string{"HSNAP_SERVERS" + beside}},
		{[]string{"HSNAP_LABEL_SELECTOR=a", "HSNAP_EXCLUDE=b", "HSNAP_IMAGES=a=1"}, []string{"HSNAP_LABEL_SELECTOR" + beside, "HSNAP_EXCLUDE" + beside}},
		{[]string{"HSNAP_SERVERS=db-1", "HSNAP_IMAGES={}"}, []string{
			`HSNAP_IMAGES: "{}" names no server: name each with its image, as db-1=123 or db-1=latest`, "HSNAP_SERVERS" + beside,
		}},
		{
			[]string{"HSNAP_IMAGES=db-1=latest"},
			[]string{"HSNAP_IMAGES has latest or latest-verified, which needs HSNAP_SERIES: name the one to look in, as series: nightly"},
		},
		{
			[]string{"HSNAP_IMAGES=db-1=7,db-2=latest-verified"},
			[]string{"HSNAP_IMAGES has latest or latest-verified, which needs HSNAP_SERIES: name the one to look in, as series: nightly"},
		},

		// A proof that nothing can reach would tell good snapshots for bad ones.
		{[]string{"HSNAP_SERVERS=a", "HSNAP_ALLOW_FROM=2001:db8::/48"}, []string{ipv4}},
		{[]string{"HSNAP_SERVERS=a", "HSNAP_ALLOW_FROM=::/0", "HSNAP_PROVE=tcp:443"}, []string{ipv4}},
		{[]string{"HSNAP_SERVERS=a", "HSNAP_ALLOW_FROM=2001:db8::/48", "HSNAP_PROVE=running"}, nil},
		{[]string{"HSNAP_SERVERS=a", "HSNAP_ALLOW_FROM=2001:db8::/48 203.0.113.0/24"}, nil},

		{
			[]string{
				"HSNAP_SERVERS=web 1=x", "HSNAP_VERIFIED_WITHIN=7m", "HSNAP_AT_MOST=0", "HSNAP_PROVE=tcp", "HSNAP_SERVER_TYPE=CX23",
				"HSNAP_CREATE_TIMEOUT=90", "HSNAP_BOOT_TIMEOUT=0s", "HSNAP_MAX_PARALLEL=0", "HSNAP_MAX_COST=0,50", "HSNAP_ALLOW_FROM=203.0.113.7",
				"HSNAP_IF_INCONCLUSIVE=ignore", "HSNAP_LOCK_TIMEOUT=5m",
			},
			[]string{
				"HSNAP_LOCK_TIMEOUT is an input of snapshot and restore, not of verify",
				`HSNAP_SERVERS: "1=x" is no name, ID or glob: give one entry a line, without dashes before it, quotation marks or braces`,
				`HSNAP_VERIFIED_WITHIN: "7m" is no span of hours, days and weeks above zero: give one as 48h, 30d or 2w` +
					` (m and y are not accepted: an m is a month for some and a minute for others)`,
				`HSNAP_AT_MOST: "0" is not accepted: give a whole number from 1 to 100000`,
				`HSNAP_PROVE: "tcp" is no proof: accepted are running, ssh, ssh:PORT and tcp:PORT, with a port from 1 to 65535`,
				`HSNAP_SERVER_TYPE: "CX23" is no server type: accepted are same, cheapest and the name of a type, as cx23 (did you mean cx23?)`,
				`HSNAP_CREATE_TIMEOUT: "90" has no unit: did you mean 90m or 90s?`,
				`HSNAP_BOOT_TIMEOUT: "0s" is not accepted: give a duration above zero, as 90s, 1h30m or 7d`,
				`HSNAP_MAX_PARALLEL: "0" is not accepted: give a whole number from 1 to 100`,
				`HSNAP_MAX_COST: "0,50" has a comma: write the amount with a point, as 0.50`,
				`HSNAP_ALLOW_FROM: "203.0.113.7" is no network: give one as 203.0.113.7/32, 203.0.113.0/24 or 2001:db8::/48, without bits set after its length`,
				`HSNAP_IF_INCONCLUSIVE: "ignore" is not accepted: use fail or warn`,
			},
		},
	} {
		var got []string
		if _, err := readVerify(tt.vars...); err != nil {
			got = strings.Split(err.Error(), "\n")
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%q:\n%s", tt.vars, diff)
		}
	}

	// In a workflow no file of outputs is read.
	vars := []string{"GITHUB_ACTIONS=true", "HCLOUD_TOKEN=t0ken", "INPUT_SERVERS=db-1", "INPUT_IMAGES=db-1=1"}
	want := []string{"servers can't be combined with images: it names each server itself"}
	if diff := cmp.Diff(want, mistakesOf([]string{"verify"}, vars)); diff != "" {
		t.Error(diff)
	}
}

func TestAmount(t *testing.T) {
	for given, want := range map[string]config.Amount{
		"1": 1, "0.50": 0.5, "0.05": 0.05, "12.345": 12.345, "1000": 1000, "007": 7, "0.0001": 0.0001,
	} {
		if cfg, err := readVerify("HSNAP_SERVERS=a", "HSNAP_MAX_COST="+given); err != nil || cfg.MaxCost != want {
			t.Errorf("%q is %v (%v), want %v", given, cfg.MaxCost, err, want)
		}
	}
	const (
		comma = "has a comma: write the amount with a point, as 0.50"
		none  = "is no amount above zero: give a decimal number without a currency, as 0.50"
	)
	for given, want := range map[string]string{
		"0,50": comma, "1,000.50": comma, ",5": comma, "1,": comma,
		"0": none, "0.00": none, "-1": none, "-0": none, "+1": none, "1e3": none, "1E-2": none, "0x10": none, "1_000": none, ".5": none, "5.": none,
		".": none, "1.2.3": none, "NaN": none, "nan": none, "Inf": none, "inf": none, "infinity": none, "1 EUR": none, "€1": none, "1€": none,
		"1 000": none, "one": none, "1d": none, "\u0661": none, strings.Repeat("9", 50) + "e400": none, "0." + strings.Repeat("0", 40): none,
	} {
		mistake := fmt.Sprintf("HSNAP_MAX_COST: %.60q %s", given, want)
		if _, err := readVerify("HSNAP_SERVERS=a", "HSNAP_MAX_COST="+given); err == nil || err.Error() != mistake {
			t.Errorf("%q:\n got %v\nwant %s", given, err, mistake)
		}
	}
	for name, given := range map[string]string{ // what no number of this machine can hold
		"above all": strings.Repeat("9", 400), "next to nothing": "0." + strings.Repeat("0", 400) + "1",
	} {
		if cfg, err := readVerify("HSNAP_SERVERS=a", "HSNAP_MAX_COST="+given); err == nil || !strings.HasSuffix(err.Error(), none) {
			t.Errorf("%s: %v (%v)", name, cfg.MaxCost, err)
		}
	}
}

func TestServerType(t *testing.T) {
	for _, given := range []string{"same", "cheapest", "cx23", "cpx11", "cax-41", "ccx13"} {
		if cfg, err := readVerify("HSNAP_SERVERS=a", "HSNAP_SERVER_TYPE="+given); err != nil || cfg.ServerType != config.ServerType(given) {
			t.Errorf("%q is %q (%v)", given, cfg.ServerType, err)
		}
	}
	const none = "is no server type: accepted are same, cheapest and the name of a type, as cx23"
	for given, want := range map[string]string{
		"CX23": none + " (did you mean cx23?)", "Same": none + " (did you mean same?)", "CHEAPEST": none + " (did you mean cheapest?)",
		"cx 23": none, "cx23,cx33": none, "cx_23": none, "cx.23": none, "-cx23": none, "cx23-": none, "-": none, "cx*": none, `"cx23"`: none,
		"größte": none, "C X23": none, "cx23/": none, "cx23,": none,
	} {
		if _, err := readVerify("HSNAP_SERVERS=a", "HSNAP_SERVER_TYPE="+given); err == nil || err.Error() != fmt.Sprintf("HSNAP_SERVER_TYPE: %q %s", given, want) {
			t.Errorf("%q:\n got %v\nwant %s", given, err, want)
		}
	}
}

func TestNetworks(t *testing.T) {
	list := func(networks ...string) (all config.Networks) {
		for _, network := range networks {
			all = append(all, netip.MustParsePrefix(network))
		}
		return all
	}
	for given, want := range map[string]config.Networks{
		"203.0.113.7/32":                                   list("203.0.113.7/32"),
		"0.0.0.0/0, ::/0":                                  list("0.0.0.0/0", "::/0"),
		"203.0.113.0/24\n 2001:db8::/48,,\r\n":             list("203.0.113.0/24", "2001:db8::/48"),
		"10.0.0.0/8 10.0.0.0/8,10.0.0.0/8":                 list("10.0.0.0/8"),
		"10.0.0.0/8 10.0.0.0/9":                            list("10.0.0.0/8", "10.0.0.0/9"),
		"::/0 2001:DB8:0:0::/32 2001:db8::/32 10.1.2.3/32": list("::/0", "2001:db8::/32", "10.1.2.3/32"), // one network, written in two ways
		`["203.0.113.7/32", "::/0"]`:                       list("203.0.113.7/32", "::/0"),
	} {
		cfg, err := readVerify("HSNAP_SERVERS=a", "HSNAP_ALLOW_FROM="+given)
		if diff := cmp.Diff(want, cfg.AllowFrom, prefixes); err != nil || diff != "" {
			t.Errorf("%q: %v\n%s", given, err, diff)
		}
	}
}

func TestNetworksMistakes(t *testing.T) {
	const (
		none  = "is no network: give one as 203.0.113.7/32, 203.0.113.0/24 or 2001:db8::/48, without bits set after its length"
		array = `is no JSON array of strings: give one as ["203.0.113.7/32", "2001:db8::/48"], or the entries alone`
	)
	for given, want := range map[string]string{ // the only mistake
		"203.0.113.7": `"203.0.113.7" ` + none, "203.0.113.0/24,203.0.113.7": `"203.0.113.7" ` + none, "2001:db8::1": `"2001:db8::1" ` + none,
		"203.0.113.7 203.0.113.7": `"203.0.113.7" ` + none, // told once
		"203.0.113.7/24":          `"203.0.113.7/24" ` + none, "203.0.113.7/0": `"203.0.113.7/0" ` + none, "2001:db8::1/48": `"2001:db8::1/48" ` + none,
		"::ffff:203.0.113.7": `"::ffff:203.0.113.7" ` + none, "::ffff:203.0.113.7/128": `"::ffff:203.0.113.7/128" ` + none,
		`["203.0.113.0/24", "::1/64"]`: `"::1/64" ` + none,

		"203.0.113.0/33": `"203.0.113.0/33" ` + none, "203.0.113.0/-1": `"203.0.113.0/-1" ` + none, "203.0.113.0/08": `"203.0.113.0/08" ` + none,
		"203.0.113.0/": `"203.0.113.0/" ` + none, "/24": `"/24" ` + none, "/": `"/" ` + none, "203.0.113/24": `"203.0.113/24" ` + none,
		"203.0.113.0/255.255.255.0": `"203.0.113.0/255.255.255.0" ` + none, "203.0.113.07/32": `"203.0.113.07/32" ` + none, "10.*": `"10.*" ` + none,
		"203.0.113.1-203.0.113.9": `"203.0.113.1-203.0.113.9" ` + none, "::/129": `"::/129" ` + none, "[::1]/128": `"[::1]/128" ` + none,
		"fe80::1%eth0": `"fe80::1%eth0" ` + none, "fe80::1%eth0/64": `"fe80::1%eth0/64" ` + none,
		"runner.example": `"runner.example" ` + none, "any": `"any" ` + none, "*": `"*" ` + none,
		"#10.0.0.0/8": `"#10.0.0.0/8" ` + none, `"10.0.0.0/8"`: `"\"10.0.0.0/8\"" ` + none, `["10.0.0.0/8"`: `"[\"10.0.0.0/8\"" ` + none,
		`[""]`: `"" ` + none, `[" 10.0.0.0/8"]`: `" 10.0.0.0/8" ` + none, "[null]": `"" ` + none,

		"[10]": `"[10]" ` + array, `[["10.0.0.0/8"]]`: `"[[\"10.0.0.0/8\"]]" ` + array,
	} {
		_, err := readVerify("HSNAP_SERVERS=a", "HSNAP_ALLOW_FROM="+given)
		if err == nil || err.Error() != "HSNAP_ALLOW_FROM: "+want {
			t.Errorf("%q:\n got %v\nwant HSNAP_ALLOW_FROM: %s", given, err, want)
		}
	}
	for _, given := range []string{",", "[]", "[ ]"} { // a port that nobody reaches proves nothing
		if _, err := readVerify("HSNAP_SERVERS=a", "HSNAP_ALLOW_FROM="+given); err == nil || !strings.Contains(err.Error(), "has no IPv4 network") {
			t.Errorf("%q: %v", given, err)
		}
	}
}

// A later run reads from a snapshot's label how it was proved, so the form is fixed.
func TestProofLabel(t *testing.T) {
	for given, want := range map[string]string{
		"running": "running", "ssh": "ssh", "ssh:22": "ssh", "ssh:2222": "ssh-2222", "tcp:443": "tcp-443", "tcp:22": "tcp-22", "tcp:65535": "tcp-65535",
	} {
		if cfg, err := readVerify("HSNAP_SERVERS=a", "HSNAP_PROVE="+given); err != nil || cfg.Prove.Label() != want {
			t.Errorf("%q has the label %q (%v), want %q", given, cfg.Prove.Label(), err, want)
		}
	}
}
