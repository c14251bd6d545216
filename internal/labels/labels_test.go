package labels

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/org/hsnap-action/internal/hetzner"
)

func TestReserved(t *testing.T) {
	for key, want := range map[string]bool{
		"hsnap/series": true, "hetzner.cloud/x": true, "Hetzner.Cloud/x": true,
		"hsnap": false, "series": false, "x.hetzner.cloud/y": false, "hsnap.example/x": false, "": false,
	} {
		if got := Reserved(key); got != want {
			t.Errorf("Reserved(%q) = %v", key, got)
		}
	}
}

func TestVerifiedAt(t *testing.T) {
	for name, test := range map[string]struct {
		labels map[string]string
		want   string
	}{
		"verified":         {map[string]string{"hsnap/verified": "2026-11-22T194500Z"}, "2026-11-22T19:45:00Z"},
		"failed since":     {map[string]string{"hsnap/verified": "2026-11-22T194500Z", "hsnap/verify": "failed"}, ""},
		"failed":           {map[string]string{"hsnap/verify": "failed"}, ""},
		"never":            {nil, ""},
		"by somebody else": {map[string]string{"hsnap/verified": "yes"}, ""},
	} {
		at, verified := VerifiedAt(hetzner.Image{Labels: test.labels})
		if got := at.Format(time.RFC3339); verified != (test.want != "") || verified && got != test.want {
			t.Errorf("%s: %t at %s, want %q", name, verified, got, test.want)
		}
	}
}

// A verification changes its own labels and no other, and never leaves two that contradict each other.
func TestJudged(t *testing.T) {
	at := time.Date(2026, 11, 22, 20, 45, 0, 0, time.FixedZone("CET", 3600))
	proved := map[string]string{"hsnap/verified": "2026-11-22T194500Z", "hsnap/verified-by": "ssh-2222"}
	failed := map[string]string{"hsnap/verify": "failed"}
	for name, old := range map[string]map[string]string{
		"none": nil, "verified before": {"hsnap/verified": "2026-11-01T000000Z", "hsnap/verified-by": "running"},
		"failed before": {"hsnap/verify": "failed"}, "both": {"hsnap/verified": "x", "hsnap/verified-by": "y", "hsnap/verify": "failed"},
	} {
		for _, others := range []map[string]string{{}, {"hsnap/series": "nightly", "team": "blue", "hsnap/verify-by": "hand"}} {
			for verified, want := range map[bool]map[string]string{true: proved, false: failed} {
				before := maps.Clone(others)
				maps.Copy(before, old)
				after := maps.Clone(others)
				maps.Copy(after, want)
				given := maps.Clone(before)
				if got := Judged(given, verified, "ssh-2222", at); !maps.Equal(got, after) || !maps.Equal(given, before) {
					t.Errorf("%s, verified %t: %v from %v, want %v", name, verified, got, given, after)
				}
			}
		}
	}
	if got := Judged(nil, false, "", at); !maps.Equal(got, failed) {
		t.Errorf("from no labels: %v", got)
	}
}

func TestRun(t *testing.T) {
	long := strings.Repeat("1", 70)
	tests := map[string]struct {
		id, attempt, label string
		earlier            []string
	}{
		"the first attempt":      {"812", "1", "812-1", nil},
		"the third attempt":      {"812", "3", "812-3", []string{"812-1", "812-2"}},
		"no attempts":            {"812", "", "812", nil},
		"what is no number":      {"812", "x", "812", nil},
		"what no label may hold": {"a/b c_", "", "a.b-c", nil},
		"a long ID":              {long, "2", long[:52] + "-2", []string{long[:52] + "-1"}},
		"no ID":                  {"", "2", "0001020304050607", nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			run := NewRun(test.id, test.attempt, strings.NewReader("\x00\x01\x02\x03\x04\x05\x06\x07"))
			if got := run.Label(); got != test.label || len(got) > 63 {
				t.Errorf("label %q, want %q", got, test.label)
			}
			if got := run.Earlier(); !slices.Equal(got, test.earlier) {
				t.Errorf("earlier attempts %q, want %q", got, test.earlier)
			}
		})
	}
	run := NewRun("812", "2", nil)
	for label, want := range map[string]bool{"812-1": true, "812-2": true, "812": true, "8123-1": false, "": false} {
		if got := run.Made(hetzner.Image{Labels: map[string]string{RunID: label}}); got != want {
			t.Errorf("made by %q: %v", label, got)
		}
	}
	if (Run{}).Made(hetzner.Image{}) {
		t.Error("no run has made an image without labels")
	}
}
