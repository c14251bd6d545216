package config_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"math/big"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/org/hsnap-action/internal/config"
	"github.com/org/hsnap-action/internal/labels"
	"github.com/org/hsnap-action/internal/secret"
)

func FuzzList(f *testing.F) {
	for _, s := range []string{"web-1", "a, b\nc", "web-* [a-c] !", `\`, "[", "a a", ",", `["a", "b"]`, `["a"`, "[1]", "[null]", "- a", "#"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var list config.List
		if list.EnvDecode(s) != nil {
			return
		}
		for i, entry := range list {
			if entry == "" || strings.ContainsAny(entry, `,"'{}#!`) || strings.ContainsFunc(entry, unicode.IsSpace) {
				t.Errorf("%q has the entry %q", s, entry)
			}
			if _, err := path.Match(entry, "x"); err != nil {
				t.Errorf("%q has the glob %q", s, entry)
			}
			if slices.Contains(list[:i], entry) {
				t.Errorf("%q has %q twice", s, entry)
			}
		}
		if len(list) == 0 {
			return
		}
		array, err := json.Marshal(list)
		if err != nil {
			t.Fatal(err)
		}
		var again config.List
		if err := again.EnvDecode(string(array)); err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff(list, again); diff != "" {
			t.Error(diff)
		}
	})
}

func FuzzDuration(f *testing.F) {
	for _, s := range []string{"30m", "1w2d12h", "1.5d", "30", "-1h", "9223372036854775807ns", "106751d23h47m16.854775807s", "1µs", ".5s", "0.s"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var d config.Duration
		err := d.EnvDecode(s)
		if err == nil && d <= 0 {
			t.Errorf("%q is %v", s, d)
		}
		// Whatever Go takes must mean the same here, signs aside.
		std, stdErr := time.ParseDuration(s)
		if stdErr == nil && std > 0 && s[0] != '+' && (err != nil || time.Duration(d) != std) {
			t.Errorf("%q is %v here (%v), %v in Go", s, d, err, std)
		}
		if err != nil {
			return
		}
		var again config.Duration
		if err := again.EnvDecode(time.Duration(d).String()); err != nil || again != d {
			t.Errorf("%q is %v, which is %v (%v)", s, d, again, err)
		}
	})
}

// The rules in the words of Hetzner's own client library, which is laxer about prefixes.
var (
	keyPattern   = regexp.MustCompile(`^([a-zA-Z0-9]([-_.a-zA-Z0-9]{0,253}[a-zA-Z0-9])?/)?[a-zA-Z0-9]([-_.a-zA-Z0-9]{0,61}[a-zA-Z0-9])?$`)
	valuePattern = regexp.MustCompile(`^([a-zA-Z0-9]([-_.a-zA-Z0-9]{0,61}[a-zA-Z0-9])?)?$`)
)

func FuzzLabels(f *testing.F) {
	for _, s := range []string{"a=b", "a=b,\nc=", "x.example/a=b", "hsnap/a=b", `{"a":"b"}`, `{"a":"\u0062","a":1}`, "{", "=", "a.b./c=d"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var set config.Labels
		if set.EnvDecode(s) != nil {
			return
		}
		for key, value := range set {
			if !keyPattern.MatchString(key) || !valuePattern.MatchString(value) || labels.Reserved(key) {
				t.Errorf("%q has the label %q=%q", s, key, value)
			}
		}
		object, err := json.Marshal(set)
		if err != nil {
			t.Fatal(err)
		}
		var again config.Labels
		if err := again.EnvDecode(string(object)); err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff(set, again); diff != "" {
			t.Error(diff)
		}
	})
}

func FuzzImages(f *testing.F) {
	for _, s := range []string{
		"db-1=123", "db-1=latest,\n7 = latest-verified", `{"db-1":123,"db-2":"456","db-3":"latest"}`, `{"a":1,"a":2}`, `{"a":1e3}`,
		`{"\u0061":{}}`, "{", "{}", ",", "=", "a=", "a=0", "a=01", "a=-1", "a=9223372036854775808", "web-*=1", "#a=1", "- a=1", "a=1 b=2",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var images config.Images
		if images.EnvDecode(s) != nil {
			return
		}
		if len(images) == 0 {
			t.Errorf("%q names no server", s)
		}
		object := map[string]any{}
		var lines []string
		for server, image := range images {
			if server == "" || strings.ContainsAny(server, "=,*?[]^\\\"'{}#!") || strings.ContainsFunc(server, unicode.IsSpace) {
				t.Errorf("%q has the server %q", s, server)
			}
			if image.Image < 0 || image.Image > 0 && image.OnlyIfVerified {
				t.Errorf("%q has the image %+v", s, image)
			}
			object[server] = "latest"
			switch {
			case image.Image > 0:
				object[server] = image.Image
			case image.OnlyIfVerified:
				object[server] = "latest-verified"
			}
			lines = append(lines, fmt.Sprintf("%s=%v", server, object[server]))
		}
		text, err := json.Marshal(object)
		if err != nil {
			t.Fatal(err)
		}
		for _, form := range []string{string(text), strings.Join(lines, "\n"), strings.Join(lines, ",")} {
			var again config.Images
			if err := again.EnvDecode(form); err != nil {
				t.Error(err)
			}
			if diff := cmp.Diff(images, again); diff != "" {
				t.Errorf("%q, then %q:\n%s", s, form, diff)
			}
		}
	})
}

func FuzzProof(f *testing.F) {
	for _, s := range []string{"running", "ssh", "ssh:22", "ssh:2222", "tcp:443", "tcp", "tcp:", "tcp:0", "tcp:65536", "ssh:+1", "tcp:1:2", "running:1", ":1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var proof config.Proof
		if proof.EnvDecode(s) != nil {
			return
		}
		if proof.Port < 0 || proof.Port > 65535 || (proof.Port == 0) != (s == "running") || proof.SSH != strings.HasPrefix(s, "ssh") {
			t.Errorf("%q is %+v", s, proof)
		}
		label := proof.Label()
		var again config.Proof
		if err := again.EnvDecode(strings.Replace(label, "-", ":", 1)); err != nil || again != proof {
			t.Errorf("%q is %+v, which is %+v (%v)", s, proof, again, err)
		}
		if label == "" || !valuePattern.MatchString(label) {
			t.Errorf("%q has the label %q", s, label)
		}
	})
}

func FuzzAmount(f *testing.F) {
	for _, s := range []string{"1", "0.50", "0", "0.0", "-1", "+1", "1e3", "0x1p-2", "NaN", "Inf", "1,50", "1_0", ".5", "5.", "1.2.3", "€1", "01"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var amount config.Amount
		if amount.EnvDecode(s) != nil {
			return
		}
		if strings.Trim(s, "0123456789.") != "" || amount <= 0 || math.IsInf(float64(amount), 0) || math.IsNaN(float64(amount)) {
			t.Errorf("%q is %v", s, amount)
		}
		if exact, ok := new(big.Rat).SetString(s); ok {
			if near, _ := exact.Float64(); near != float64(amount) {
				t.Errorf("%q is %v, want %v", s, amount, near)
			}
		}
		var again config.Amount
		if err := again.EnvDecode(strconv.FormatFloat(float64(amount), 'f', -1, 64)); err != nil || again != amount {
			t.Errorf("%q is %v, then %v (%v)", s, amount, again, err)
		}
	})
}

func FuzzServerType(f *testing.F) {
	for _, s := range []string{"same", "cheapest", "cx23", "CX23", "cpx-11", "-", "cx23-", "cx 23", "cx23\n", "cx.23", "4", "\u212a"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var kind config.ServerType
		if kind.EnvDecode(s) == nil && (string(kind) != s || strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" || s == "") {
			t.Errorf("%q is the type %q", s, kind)
		}
	})
}

func FuzzNetworks(f *testing.F) {
	for _, s := range []string{
		"0.0.0.0/0, ::/0", "203.0.113.7/32\n203.0.113.7/32", "2001:DB8::/32 2001:db8:0::/32", `["10.0.0.0/8"]`, "[]", "[1]", "[null]", ",", "10.0.0.1",
		"10.0.0.1/8", "10.0.0.0/08", "10.0.0.0/33", "::ffff:10.0.0.0/104", "::ffff:10.0.0.1", "fe80::1%eth0", "fe80::1%a b", "[::1]/128", "/", "localhost/8",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var networks config.Networks
		if networks.EnvDecode(s) != nil || len(networks) == 0 {
			return
		}
		var texts []string
		for i, network := range networks {
			if !network.IsValid() || network != network.Masked() || network.Addr().Is4In6() || slices.Contains(networks[:i], network) {
				t.Errorf("%q has the network %v", s, network)
			}
			texts = append(texts, network.String())
		}
		array, err := json.Marshal(texts)
		if err != nil {
			t.Fatal(err)
		}
		for _, form := range []string{string(array), strings.Join(texts, "\n"), strings.Join(texts, ",")} {
			var again config.Networks
			if err := again.EnvDecode(form); err != nil {
				t.Error(err)
			}
			if diff := cmp.Diff(networks, again, prefixes); diff != "" {
				t.Errorf("%q, then %q:\n%s", s, form, diff)
			}
		}
	})
}

func FuzzTemplate(f *testing.F) {
	f.Add("{server}-snapshot-{timestamp}", "db-1", "main")
	f.Add("{ref}{ref}{ref}", "", strings.Repeat("{sha}\n", 50))
	f.Add("{{server}}", "a", "b")
	f.Add("\xff{server}", "\xff", "\x00")
	f.Add("server}", "a", "")
	f.Fuzz(func(t *testing.T, s, server, ref string) {
		var template config.Template
		if template.EnvDecode(s) != nil {
			return
		}
		c := config.Snapshot{Description: template, Common: config.Common{Run: config.Run{Ref: ref}}}
		got := c.Describe(server, 42, time.Unix(0, 0))
		if !utf8.ValidString(got) || utf8.RuneCountInString(got) > 200 || strings.ContainsFunc(got, unicode.IsControl) {
			t.Errorf("%q of %q and %q is %q", s, server, ref, got)
		}
		if plain := c.Describe("x", 42, time.Unix(0, 0)); ref == "" && strings.Contains(plain, "{") {
			t.Errorf("%q leaves %q", s, plain)
		}
	})
}

// FuzzLoad gives environments of one variable a line, with § for the token. All output passes the mask that hides it.
func FuzzLoad(f *testing.F) {
	const token = "ThisIsTheTokenThatNobodyMaySee"
	for _, s := range []string{
		"HSNAP_SERVERS=a",
		"GITHUB_ACTIONS=true\nINPUT_SERVER=a\nINPUT_LOCK-TIMEOUT=30",
		"CI=woodpecker\nPLUGIN_SERVERS=[\nPLUGIN_LABELS=a=§",
		"HSNAP_API_ENDPOINT=https://§@x/v1\nHSNAP_DESCRIPTION={§}",
		"INPUT_HCLOUD-TOKEN=other\nHSNAP_WAIT=§",
		"=\n==\nINPUT_=",
		"HSNAP_COMMAND=prune\nHSNAP_SERVERS=a\nHSNAP_SERIES=b\nHSNAP_KEEP_WITHIN=1d",
		"HSNAP_COMMAND=restore\nHSNAP_IMAGES=a=latest\nHSNAP_SERIES=b",
		"HSNAP_COMMAND=restore\nHSNAP_IMAGES={\"§\": \"§\", \"a\": [\"§\"]}\nHSNAP_PROVE=§",
		"HSNAP_COMMAND=verify\nHSNAP_SERVERS=a\nHSNAP_ALLOW_FROM=10.0.0.1/32 ::/0\nHSNAP_MAX_COST=0.5",
		"HSNAP_COMMAND=verify\nHSNAP_IMAGES=a=latest\nHSNAP_SERVERS=§\nHSNAP_ALLOW_FROM=§ 10.0.0.1\nHSNAP_MAX_COST=§\nHSNAP_SERVER_TYPE=§",
		"HSNAP_COMMAND=audit\nHSNAP_FAIL_ON=stale §\nHSNAP_STALE_AFTER=1d",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		vars := append(strings.Split(strings.ReplaceAll(s, "§", token), "\n"), "HCLOUD_TOKEN="+token)
		if slices.ContainsFunc(vars, func(kv string) bool { return strings.Contains(strings.SplitN(kv, "=", 2)[0], token) }) {
			return // a name is no place for a secret
		}
		if !slices.Contains(config.Tokens(vars), token) {
			t.Errorf("%q: the token is not found", vars)
		}
		for _, command := range config.Commands() {
			words := []string{command.Name}
			cfg, err := config.Load(words, vars)
			if again, err2 := config.Load(words, vars); cmp.Diff(cfg, again, prefixes) != "" || fmt.Sprint(err) != fmt.Sprint(err2) {
				t.Errorf("%s, %q: %v, then %v", command.Name, vars, err, err2)
			}
			if err == nil {
				continue
			}
			if strings.Contains("\n"+err.Error(), "\nconfig: ") {
				t.Errorf("%s, %q: not the user's mistake: %v", command.Name, vars, err)
			}
			if shown := secret.New(config.Tokens(vars)...).Hide(err.Error()); strings.Contains(shown, token) {
				t.Errorf("%s, %q: the token is shown: %s", command.Name, vars, shown)
			}
		}
		cfg, err := config.Load(nil, vars)
		if err != nil {
			return
		}
		switch cfg := cfg.(type) {
		case *config.Snapshot:
			if cfg.Token == "" || (len(cfg.Servers) == 0) == (cfg.LabelSelector == "") || cfg.LockTimeout <= 0 || cfg.SnapshotTimeout <= 0 ||
				cfg.MaxParallel < 1 || cfg.MaxParallel > 100 || cfg.Description == "" || cfg.Series == "" || cfg.APIEndpoint == "" {
				t.Errorf("%q: incomplete: %+v", vars, cfg)
			}
		case *config.Restore:
			newest := slices.ContainsFunc(slices.Collect(maps.Values(cfg.Images)), func(c config.ImageChoice) bool { return c.Image == 0 })
			if cfg.Token == "" || len(cfg.Images) == 0 || newest && cfg.Series == "" || cfg.MaxAge <= 0 || cfg.APIEndpoint == "" ||
				cfg.LockTimeout <= 0 || cfg.RestoreTimeout <= 0 || cfg.BootTimeout <= 0 || cfg.MaxParallel < 1 || cfg.MaxParallel > 100 {
				t.Errorf("%q: incomplete: %+v", vars, cfg)
			}
		case *config.Verify:
			selections := 0
			for _, given := range []bool{len(cfg.Servers) > 0, cfg.LabelSelector != "", len(cfg.Images) > 0} {
				if given {
					selections++
				}
			}
			if cfg.Token == "" || selections != 1 || cfg.Series == "" || cfg.ServerType == "" || cfg.CreateTimeout <= 0 ||
				cfg.BootTimeout <= 0 || cfg.MaxParallel < 1 || cfg.MaxParallel > 100 || cfg.MaxCost <= 0 || len(cfg.AllowFrom) == 0 || cfg.APIEndpoint == "" {
				t.Errorf("%q: incomplete: %+v", vars, cfg)
			}
		case *config.Prune:
			if cfg.Token == "" || (len(cfg.Servers) == 0) == (cfg.LabelSelector == "") || cfg.Series == "" || cfg.APIEndpoint == "" ||
				cfg.Retention().Empty() || cfg.MaxDeletions < 1 {
				t.Errorf("%q: incomplete: %+v", vars, cfg)
			}
		case *config.Audit:
			if cfg.Token == "" || cfg.APIEndpoint == "" || slices.Contains(cfg.FailOn, "stale") && cfg.StaleAfter <= 0 {
				t.Errorf("%q: incomplete: %+v", vars, cfg)
			}
		}
	})
}
