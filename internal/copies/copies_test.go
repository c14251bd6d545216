package copies

import (
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/org/hsnap-action/internal/hetzner"
)

func TestIsName(t *testing.T) {
	for name, want := range map[string]bool{
		Name(7): true, "hsnap-drill-7": true, "hsnap-drill-200000001": true, "hsnap-drill-9223372036854775807": true,
		"hsnap-drill-0": false, "hsnap-drill--7": false, "hsnap-drill-+7": false, "hsnap-drill-07": false, "hsnap-drill-7x": false,
		"hsnap-drill-": false, "hsnap-drill-of-mine": false, "hsnap-drill-7.example": false, "hsnap-drill-tcp-22": false,
		"hsnap-drill-9223372036854775808": false, "Hsnap-drill-7": false, "db-1": false, "7": false, "": false,
	} {
		if got := IsName(name); got != want {
			t.Errorf("IsName(%q) = %t", name, got)
		}
	}
}

func host(name string, labels ...string) hetzner.Server {
	h := hetzner.Server{ID: 42, Name: name, Labels: map[string]string{}}
	for i := 0; i < len(labels); i += 2 {
		h.Labels[labels[i]] = labels[i+1]
	}
	return h
}

// Both the name and the label make a copy, and its own value makes it ours.
func TestIsAndAgrees(t *testing.T) {
	ours := Copy{Name: "hsnap-drill-7", Request: "f00d"}
	for _, test := range []struct {
		name       string
		copy       Copy
		host       hetzner.Server
		is, agrees bool
	}{
		{"ours", ours, host("hsnap-drill-7", "hsnap/drill", "f00d"), true, true},
		{"ours, with one more label", ours, host("hsnap-drill-7", "hsnap/drill", "f00d", "tier", "db"), true, true},
		{"another run's", ours, host("hsnap-drill-7", "hsnap/drill", "cafe"), true, false},
		{"of another image", ours, host("hsnap-drill-8", "hsnap/drill", "f00d"), true, false},
		{"renamed", ours, host("theirs", "hsnap/drill", "f00d"), false, false},
		{"without its label", ours, host("hsnap-drill-7", "tier", "db"), false, false},
		{"with an empty label", ours, host("hsnap-drill-7", "hsnap/drill", ""), false, false},
		{"without an ID", ours, hetzner.Server{Name: "hsnap-drill-7", Labels: map[string]string{"hsnap/drill": "f00d"}}, true, false},
		{"of an unknown value", Copy{Name: "hsnap-drill-7"}, host("hsnap-drill-7", "hsnap/drill", ""), false, false},
		{"of no value", Copy{Name: "hsnap-drill-7"}, host("hsnap-drill-7"), false, false},
	} {
		if got := Is(test.host); got != test.is {
			t.Errorf("%s: Is = %t", test.name, got)
		}
		if got := test.copy.Agrees(test.host); got != test.agrees {
			t.Errorf("%s: Agrees = %t", test.name, got)
		}
	}
}

func TestExpired(t *testing.T) {
	now := time.Date(2026, 11, 22, 19, 45, 0, 0, time.UTC)
	until := func(at time.Time) string { return strconv.FormatInt(at.Unix(), 10) }
	for name, test := range map[string]struct {
		host hetzner.Server
		now  time.Time
		want bool
	}{
		"past":            {host("hsnap-drill-7", "hsnap/drill", "f00d", "hsnap/drill-until", until(now.Add(-time.Second))), now, true},
		"just over":       {host("hsnap-drill-7", "hsnap/drill", "f00d", "hsnap/drill-until", until(now)), now, true},
		"to come":         {host("hsnap-drill-7", "hsnap/drill", "f00d", "hsnap/drill-until", until(now.Add(time.Second))), now, false},
		"no clock":        {host("hsnap-drill-7", "hsnap/drill", "f00d", "hsnap/drill-until", until(now.Add(-time.Hour))), time.Time{}, false},
		"no time":         {host("hsnap-drill-7", "hsnap/drill", "f00d"), now, false},
		"no such time":    {host("hsnap-drill-7", "hsnap/drill", "f00d", "hsnap/drill-until", "soon"), now, false},
		"no label":        {host("hsnap-drill-7", "hsnap/drill-until", until(now.Add(-time.Hour))), now, false},
		"another name":    {host("db-1", "hsnap/drill", "f00d", "hsnap/drill-until", until(now.Add(-time.Hour))), now, false},
		"no image's name": {host("hsnap-drill-of-mine", "hsnap/drill", "f00d", "hsnap/drill-until", until(now.Add(-time.Hour))), now, false},
	} {
		if got := Expired(test.host, test.now); got != test.want {
			t.Errorf("%s: %t, want %t", name, got, test.want)
		}
	}
}

// What polls show of a copy's addresses is kept, each once, also when later ones do not show them.
func TestNote(t *testing.T) {
	var c Copy
	for _, shown := range []hetzner.Server{{ID: 1}, {ID: 1, IPv4ID: 10}, {ID: 1, IPv4ID: 10, IPv6ID: 20}, {ID: 1}, {ID: 2, IPv4ID: 11}} {
		c.Note(shown)
	}
	if c.ID != 2 || !slices.Equal(c.Addresses, []int64{10, 20, 11}) {
		t.Errorf("server %d with %v, want 2 with 10, 20 and 11", c.ID, c.Addresses)
	}
}
