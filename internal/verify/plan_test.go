package verify

import (
	"strconv"
	"testing"
	"time"

	"github.com/org/hsnap-action/internal/hetzner"
	"github.com/org/hsnap-action/internal/project"
	"github.com/org/hsnap-action/internal/snapshot"
)

// Every begun hour counts whole.
func TestHours(t *testing.T) {
	for span, want := range map[time.Duration]float64{
		0: 0, 1: 1, time.Minute: 1, time.Hour: 1, time.Hour + 1: 2, 115 * time.Minute: 2, 2 * time.Hour: 2, 25 * time.Hour: 25,
	} {
		if got := hours(span); got != want {
			t.Errorf("%s are %v hours, want %v", span, got, want)
		}
	}
}

func TestChooseType(t *testing.T) {
	at := func(price float64) map[string]float64 { return map[string]float64{"fsn1": price, "nbg1": price / 2} }
	types := []hetzner.ServerType{
		{Name: "large", Architecture: "x86", DiskGB: 160, Hourly: at(0.08)},
		{Name: "small", Architecture: "x86", DiskGB: 40, Hourly: at(0.01)},
		{Name: "middle", Architecture: "x86", DiskGB: 80, Hourly: at(0.02)},
		{Name: "arm", Architecture: "arm", DiskGB: 40, Hourly: at(0.005)},
		{Name: "gone", Architecture: "x86", DiskGB: 80, Hourly: at(0.001), Unavailable: map[string]bool{"fsn1": true}},
		{Name: "elsewhere", Architecture: "x86", DiskGB: 80, Hourly: map[string]float64{"nbg1": 0.001}},
	}
	for name, test := range map[string]struct {
		wanted, arch string
		disk         float64
		want         string // "" for none
		hour         float64
	}{
		"the server's own":                  {"same", "x86", 40, "small", 0.01},
		"cheapest":                          {"cheapest", "x86", 40, "small", 0.01},
		"cheapest that is large enough":     {"cheapest", "x86", 41, "middle", 0.02},
		"cheapest of all that is left":      {"cheapest", "x86", 160, "large", 0.08},
		"cheapest of the architecture":      {"cheapest", "arm", 20, "arm", 0.005},
		"nothing is large enough":           {"cheapest", "x86", 161, "", 0},
		"by name":                           {"middle", "x86", 40, "middle", 0.02},
		"by name, of another architecture":  {"arm", "x86", 40, "", 0},
		"by name, too small":                {"small", "x86", 80, "", 0},
		"by name, not sold there":           {"elsewhere", "x86", 40, "", 0},
		"by name, though none is free":      {"gone", "x86", 40, "gone", 0.001},
		"by a name that nobody knows":       {"huge", "x86", 40, "", 0},
		"the server's own is too small now": {"same", "x86", 80, "", 0},
	} {
		v := &verification{result: Result{
			Server: hetzner.Server{Type: "small", Location: "fsn1"}, Image: hetzner.Image{Architecture: test.arch, DiskGB: test.disk},
		}}
		r := &run{Settings: Settings{ServerType: test.wanted}}
		hour, ok := r.chooseType(v, types)
		if ok != (test.want != "") || ok && (v.result.Type != test.want || hour != test.hour) {
			t.Errorf("%s: %t, %s for %v an hour; want %q for %v", name, ok, v.result.Type, hour, test.want, test.hour)
		}
	}
}

// made is a snapshot of server 1 that this program has made in the series nightly, so many hours before midnight.
func made(id int64, age time.Duration, labels map[string]string) hetzner.Image {
	image := hetzner.Image{
		ID: id, Type: "snapshot", Status: "available", Created: midnight.Add(-age), CreatedFrom: 1,
		Labels: map[string]string{"hsnap/series": "nightly", "hsnap/server-id": "1"},
	}
	for key, value := range labels {
		image.Labels[key] = value
	}
	return image
}

var midnight = time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)

func TestImageOf(t *testing.T) {
	images := []hetzner.Image{
		made(1, 30*time.Hour, map[string]string{"hsnap/verified": "2026-11-21T000000Z"}),
		made(2, 20*time.Hour, nil),
		made(3, 10*time.Hour, map[string]string{"hsnap/verify": "failed"}),
		made(4, 5*time.Hour, map[string]string{"hsnap/series": "weekly"}),
		made(5, time.Hour, nil),
		made(6, time.Hour, map[string]string{"hsnap/server-id": "2"}),
		made(7, time.Hour, nil),
	}
	images[4].Status, images[6].CreatedFrom = "creating", 2
	for name, test := range map[string]struct {
		choices map[string]project.Choice // nil: of a selection
		want    int64
	}{
		"of a selection, the newest, though it failed": {nil, 3},
		"latest, which has not failed":                 {map[string]project.Choice{"db-1": {}}, 2},
		"latest-verified":                              {map[string]project.Choice{"db-1": {OnlyIfVerified: true}}, 1},
		"by its ID, though it failed":                  {map[string]project.Choice{"db-1": {Image: 3}}, 3},
		"by its ID, of another series":                 {map[string]project.Choice{"db-1": {Image: 4}}, 4},
		"by its ID, still being created":               {map[string]project.Choice{"db-1": {Image: 5}}, 0},
		"by its ID, of another server by its label":    {map[string]project.Choice{"db-1": {Image: 6}}, 0},
		"by its ID, of another server":                 {map[string]project.Choice{"db-1": {Image: 7}}, 0},
		"by its ID, which does not exist":              {map[string]project.Choice{"db-1": {Image: 8}}, 0},
	} {
		r := &run{Settings: Settings{Series: "nightly", Images: test.choices}}
		if got := r.imageOf(hetzner.Server{ID: 1, Name: "db-1"}, images); got.ID != test.want {
			t.Errorf("%s: image %d, want %d", name, got.ID, test.want)
		}
	}
}

// Servers that have gone without a proof for the longest time come first; of those that never had one, by name.
func TestPlan(t *testing.T) {
	var servers []hetzner.Server
	var images []hetzner.Image
	for i, verified := range []string{"2026-11-20T000000Z", "", "2026-11-01T000000Z", "2026-11-21T120000Z", "", "none"} {
		id := int64(i + 1)
		servers = append(servers, hetzner.Server{ID: id, Name: "db-" + strconv.Itoa(i)})
		image := made(100+id, time.Hour, map[string]string{"hsnap/server-id": strconv.FormatInt(id, 10), "hsnap/verified": verified})
		image.CreatedFrom = id
		if verified == "none" {
			image.Status = "creating"
		}
		images = append(images, image)
	}
	for name, test := range map[string]struct {
		within time.Duration
		most   int
		noDate bool
		due    string // by the digits of their names
	}{
		"all":                           {due: "01234"},
		"one":                           {most: 1, due: "1"},
		"three":                         {most: 3, due: "124"},
		"verified within three days":    {within: 72 * time.Hour, due: "124"},
		"verified within 48 hours":      {within: 48 * time.Hour, due: "0124"},
		"within three days, two":        {within: 72 * time.Hour, most: 2, due: "14"},
		"within three days, no clock":   {within: 72 * time.Hour, noDate: true, due: "01234"},
		"more than there are":           {most: 9, due: "01234"},
		"verified within a month, none": {within: 24 * 31 * time.Hour, due: "14"},
	} {
		r := &run{Settings: Settings{Series: "nightly", VerifiedWithin: test.within, AtMost: test.most}, date: midnight}
		if test.noDate {
			r.date = time.Time{}
		}
		r.plan(servers, images)
		due := ""
		for i, v := range r.all {
			switch {
			case v.result.Status == "":
				due += strconv.Itoa(i)
			case i == 5 && (v.result.Status != snapshot.Failed || v.result.Reason != snapshot.NotFound),
				i < 5 && (v.result.Status != snapshot.Skipped || v.result.Reason != NotDue):
				t.Errorf("%s: %s is %s (%s)", name, v.result.Name, v.result.Status, v.result.Reason)
			}
		}
		if due != test.due {
			t.Errorf("%s: %s are due, want %s", name, due, test.due)
		}
	}
}
