package audit

import (
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/org/hsnap-action/internal/hetzner"
	"github.com/org/hsnap-action/internal/project"
)

var now = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// made is a snapshot of a server that this program has made; others change it.
func made(id, server int64, age time.Duration, others ...func(*hetzner.Image)) hetzner.Image {
	image := hetzner.Image{
		ID: id, Type: "snapshot", Status: "available", Created: now.Add(-age), CreatedFrom: server, SizeGB: 2.5,
		Labels: map[string]string{"hsnap/series": "nightly", "hsnap/server-id": strconv.FormatInt(server, 10)},
	}
	for _, other := range others {
		other(&image)
	}
	return image
}

func label(key, value string) func(*hetzner.Image) {
	return func(i *hetzner.Image) { i.Labels[key] = value }
}

func from(server int64) func(*hetzner.Image) {
	return func(i *hetzner.Image) { i.CreatedFrom = server }
}

func status(status string) func(*hetzner.Image) { return func(i *hetzner.Image) { i.Status = status } }

func protected(i *hetzner.Image) { i.Protected = true }

// told is what a test compares of an inventory.
type told struct {
	Newest, Age                 []int64 // of each server; the age in hours
	Count                       []int
	Stale, Verified             []bool
	Orphans, Foreign, Protected []int64
	Total                       int
	GB                          float64
}

func TestTakeInventory(t *testing.T) {
	const hour = time.Hour
	one := []hetzner.Server{{ID: 1, Name: "db-1"}}
	for name, test := range map[string]struct {
		images   []hetzner.Image
		settings Settings
		others   []hetzner.Server // that are not asked about
		noDate   bool
		want     told
	}{
		"no snapshot": {want: told{Newest: []int64{0}, Age: []int64{0}, Count: []int{0}, Stale: []bool{true}, Verified: []bool{false}}},
		"the newest that can be used counts": {
			images: []hetzner.Image{made(10, 1, 30*hour), made(11, 1, 20*hour), made(12, 1, hour, status("creating")), made(13, 1, 25*hour)},
			want:   told{Newest: []int64{11}, Age: []int64{20}, Count: []int{4}, Stale: []bool{false}, Verified: []bool{false}, Total: 4, GB: 10},
		},
		"none can be used": {
			images: []hetzner.Image{made(10, 1, hour, status("creating")), made(11, 1, hour, status("unavailable"))},
			want:   told{Newest: []int64{0}, Age: []int64{0}, Count: []int{2}, Stale: []bool{true}, Verified: []bool{false}, Total: 2, GB: 5},
		},
		"old, and nobody minds": {
			images: []hetzner.Image{made(10, 1, 900*hour)},
			want:   told{Newest: []int64{10}, Age: []int64{900}, Count: []int{1}, Stale: []bool{false}, Verified: []bool{false}, Total: 1, GB: 2.5},
		},
		"just young enough": {
			images: []hetzner.Image{made(10, 1, 26*hour-time.Second)}, settings: Settings{StaleAfter: 26 * hour},
			want: told{Newest: []int64{10}, Age: []int64{25}, Count: []int{1}, Stale: []bool{false}, Verified: []bool{false}, Total: 1, GB: 2.5},
		},
		"just too old": {
			images: []hetzner.Image{made(10, 1, 26*hour)}, settings: Settings{StaleAfter: 26 * hour},
			want: told{Newest: []int64{10}, Age: []int64{26}, Count: []int{1}, Stale: []bool{true}, Verified: []bool{false}, Total: 1, GB: 2.5},
		},
		"of the same second the higher ID is newer": {
			images: []hetzner.Image{made(11, 1, hour), made(10, 1, hour)},
			want:   told{Newest: []int64{11}, Age: []int64{1}, Count: []int{2}, Stale: []bool{false}, Verified: []bool{false}, Total: 2, GB: 5},
		},
		"from the future, it has no age, and is as good as stale": {
			images: []hetzner.Image{made(10, 1, -5*hour)}, settings: Settings{StaleAfter: hour},
			want: told{Newest: []int64{10}, Age: []int64{0}, Count: []int{1}, Stale: []bool{true}, Verified: []bool{false}, Total: 1, GB: 2.5},
		},
		"nobody knows how old it is, and it matters": {
			images: []hetzner.Image{made(10, 1, hour)}, settings: Settings{StaleAfter: 26 * hour}, noDate: true,
			want: told{Newest: []int64{10}, Age: []int64{0}, Count: []int{1}, Stale: []bool{true}, Verified: []bool{false}, Total: 1, GB: 2.5},
		},
		"nobody knows how old it is, and nobody minds": {
			images: []hetzner.Image{made(10, 1, hour)}, noDate: true,
			want: told{Newest: []int64{10}, Age: []int64{0}, Count: []int{1}, Stale: []bool{false}, Verified: []bool{false}, Total: 1, GB: 2.5},
		},
		"an older one is verified": {
			images: []hetzner.Image{made(10, 1, 30*hour, label("hsnap/verified", "2026-11-21T080000Z")), made(11, 1, hour, label("hsnap/verify", "failed"))},
			want:   told{Newest: []int64{11}, Age: []int64{1}, Count: []int{2}, Stale: []bool{false}, Verified: []bool{true}, Total: 2, GB: 5},
		},
		"the verification has failed": {
			images: []hetzner.Image{made(10, 1, hour, label("hsnap/verified", "2026-11-21T080000Z"), label("hsnap/verify", "failed"))},
			want:   told{Newest: []int64{10}, Age: []int64{1}, Count: []int{1}, Stale: []bool{false}, Verified: []bool{false}, Total: 1, GB: 2.5},
		},
		"another series is neither counted nor foreign": {
			images:   []hetzner.Image{made(10, 1, hour, label("hsnap/series", "pre-deploy"), label("hsnap/verified", "2026-11-21T080000Z")), made(11, 7, hour, label("hsnap/series", "pre-deploy"))},
			settings: Settings{Series: "nightly"},
			want:     told{Newest: []int64{0}, Age: []int64{0}, Count: []int{0}, Stale: []bool{true}, Verified: []bool{false}},
		},
		"orphans count": {
			images: []hetzner.Image{made(10, 7, hour), made(11, 7, hour, from(0)), made(12, 7, hour, protected)},
			want: told{Newest: []int64{0}, Age: []int64{0}, Count: []int{0}, Stale: []bool{true}, Verified: []bool{false},
				Orphans: []int64{10, 11, 12}, Protected: []int64{12}, Total: 3, GB: 7.5},
		},
		"servers that nobody asks about have no orphans": {
			images: []hetzner.Image{made(10, 2, hour, protected)}, others: []hetzner.Server{{ID: 2, Name: "web-1"}},
			want: told{Newest: []int64{0}, Age: []int64{0}, Count: []int{0}, Stale: []bool{true}, Verified: []bool{false}},
		},
		"foreign": {
			images: []hetzner.Image{
				{ID: 10, CreatedFrom: 1, Protected: true, SizeGB: 5}, made(11, 1, hour, label("hsnap/series", "")), made(12, 1, hour, from(2)),
				made(13, 1, hour, from(0)), made(14, 1, hour, label("hsnap/server-id", "one")), made(15, 7, hour, from(1)), made(16, 0, hour),
			},
			want: told{Newest: []int64{0}, Age: []int64{0}, Count: []int{0}, Stale: []bool{true}, Verified: []bool{false}, Foreign: []int64{10, 11, 12, 13, 14, 15, 16}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := project.Listing{Servers: slices.Concat(one, test.others), Images: test.images, Date: now}
			if test.noDate {
				p.Date = time.Time{}
			}
			got := takeInventory(test.settings, one, p)
			if diff := cmp.Diff(test.want, tell(got)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if got.AgesUnknown != test.noDate {
				t.Errorf("ages are unknown: %t", got.AgesUnknown)
			}
		})
	}
}

func tell(i *Inventory) told {
	t := told{Total: i.Count, GB: i.SizeGB}
	for _, s := range i.Servers {
		t.Newest, t.Age, t.Count = append(t.Newest, s.Newest.ID), append(t.Age, int64(s.Age/time.Hour)), append(t.Count, s.Count)
		t.Stale, t.Verified = append(t.Stale, s.Stale), append(t.Verified, !s.VerifiedAt.IsZero())
	}
	for to, from := range map[*[]int64][]hetzner.Image{&t.Orphans: i.Orphans, &t.Foreign: i.Foreign, &t.Protected: i.Protected} {
		for _, image := range from {
			*to = append(*to, image.ID)
		}
	}
	return t
}

// A copy that a verification still works with is not left over; where nobody can tell, somebody should look.
func TestLeftovers(t *testing.T) {
	var servers []hetzner.Server
	for i, until := range []string{"", "soon", strconv.FormatInt(now.Unix(), 10), strconv.FormatInt(now.Unix()+1, 10)} {
		server := hetzner.Server{ID: int64(i + 1), Name: "hsnap-drill-77", Labels: map[string]string{"hsnap/drill": "f00d"}}
		if until != "" {
			server.Labels["hsnap/drill-until"] = until
		}
		servers = append(servers, server)
	}
	own := hetzner.Server{ID: 8, Name: "db-1", Labels: map[string]string{"hsnap/drill": "quarterly"}} // somebody's own
	servers = append(servers, own, hetzner.Server{ID: 9})
	for date, want := range map[time.Time][]int64{now: {1, 2, 3}, {}: {1, 2, 3, 4}} {
		var got []int64
		for _, server := range takeInventory(Settings{}, nil, project.Listing{Servers: servers, Date: date}).Leftovers {
			got = append(got, server.ID)
		}
		if !slices.Equal(got, want) {
			t.Errorf("at %s %v are left over, want %v", date, got, want)
		}
	}
}

func TestFound(t *testing.T) {
	i := takeInventory(Settings{}, []hetzner.Server{{ID: 1}, {ID: 2}}, project.Listing{
		Servers: []hetzner.Server{{ID: 1}, {ID: 2}, {ID: 3, Name: "hsnap-drill-3", Labels: map[string]string{"hsnap/drill": "f00d"}}},
		Images:  []hetzner.Image{made(10, 1, time.Hour), made(11, 7, time.Hour), made(12, 7, time.Hour), made(13, 7, time.Hour)}, Date: now,
	})
	for finding, want := range map[Finding]int{Stale: 1, Unverified: 2, Orphans: 3, Leftovers: 1} {
		if got := i.Found(finding); got != want {
			t.Errorf("%d %s, want %d", got, finding, want)
		}
	}
}
