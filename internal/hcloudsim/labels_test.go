package hcloudsim

import (
	"strings"
	"testing"
)

func TestSelector(t *testing.T) {
	labels := map[string]string{"env": "prod", "tier": "", "example.com/team": "a-b.c"}
	for text, want := range map[string]bool{
		"":                           true,
		"  ":                         true,
		"env":                        true,
		"nope":                       false,
		"!nope":                      true,
		"! env":                      false,
		"env=prod":                   true,
		"env==prod":                  true,
		"env = prod":                 true,
		"env=dev":                    false,
		"env!=dev":                   true,
		"env != prod":                false,
		"nope!=dev":                  true,
		"tier=":                      true,
		"env=":                       false,
		"tier==,env":                 true,
		"env in (dev,prod)":          true,
		"env in ( dev , prod )":      true,
		"env in(prod)":               true,
		"env in (dev)":               false,
		"env notin (dev)":            true,
		"env notin (dev, prod)":      false,
		"nope notin (dev)":           true,
		"nope in (dev)":              false,
		"env=prod,!nope,tier":        true,
		"env=prod , nope":            false,
		"example.com/team=a-b.c":     true,
		"in=x":                       false,
		"!in":                        true,
		"env in (dev,prod),tier!=up": true,
	} {
		sel, err := parseSelector(text)
		if err != nil {
			t.Errorf("%q: %v", text, err)
		} else if got := sel.matches(labels); got != want {
			t.Errorf("%q matches: %v, want %v", text, got, want)
		}
	}
}

func TestSelectorErrors(t *testing.T) {
	for _, text := range []string{
		",", "env,", ",env", "env=prod,,tier", "=prod", "!", "!=x", "env=-x", "env==x=y", "env in", "env in ()",
		"env in prod", "env in (prod", "env in (prod,)", "env in (a b)", "env is (prod)", "a b", "a/b/c", "/a",
		"env=prod tier", "env=a/b", "Example.com/x", strings.Repeat("k", 64), "é",
	} {
		if sel, err := parseSelector(text); err == nil {
			t.Errorf("%q: no error, parsed as %v", text, sel)
		}
	}
}

func FuzzSelector(f *testing.F) {
	for _, text := range []string{"a=b", "a in (b,c),!d", "a notin (b)", "x/y!=z , k", "a==", "(", "in in (in)"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		sel, err := parseSelector(text)
		if err != nil {
			return
		}
		for _, r := range sel {
			if !isLabelKey(r.key) {
				t.Fatalf("%q: invalid key %q accepted", text, r.key)
			}
			for _, v := range r.values {
				if !isLabelValue(v) {
					t.Fatalf("%q: invalid value %q accepted", text, v)
				}
			}
		}
		again, err := parseSelector(" " + text + " ")
		if err != nil || len(again) != len(sel) {
			t.Fatalf("%q: with spaces around: %v, %v", text, again, err)
		}
	})
}

func TestLabelRules(t *testing.T) {
	long := strings.Repeat("a", 63)
	for _, tt := range []struct {
		key, value string
		ok         bool
	}{
		{"env", "prod", true},
		{"env", "", true},
		{"a", "0", true},
		{long, long, true},
		{"example.com/my", "label", true},
		{"hsnap/server-id", "42", true},
		{"A_b-c.D", "A_b-c.D", true},
		{strings.Repeat("a.", 126) + "a/x", "", true}, // 253
		{strings.Repeat("a.", 127) + "a/x", "", false},
		{"", "", false},
		{long + "a", "", false},
		{"env", long + "a", false},
		{"-env", "", false},
		{"env-", "", false},
		{"env", ".x", false},
		{"env", "a b", false},
		{"env", "owner/repo", false},
		{"env", "2026-11-22T19:45:00Z", false},
		{"env", "ä", false},
		{"a/b/c", "", false},
		{"/b", "", false},
		{"a/", "", false},
		{"Example.com/x", "", false},
		{"a_b/x", "", false},
		{"a..b/x", "", false},
		{"hetzner.cloud/x", "", false},
	} {
		wrong := checkLabels(map[string]string{tt.key: tt.value})
		if (wrong == nil) != tt.ok {
			t.Errorf("%q=%q: %v, want ok %v", tt.key, tt.value, wrong, tt.ok)
		}
	}
}
