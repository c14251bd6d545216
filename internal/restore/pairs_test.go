package restore

import (
	"maps"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/org/hsnap-action/internal/hetzner"
	"github.com/org/hsnap-action/internal/project"
	"github.com/org/hsnap-action/internal/snapshot"
)

// checked is a pair that is right, before a test spoils something, and what Hetzner lists beside it.
type checked struct {
	Settings
	choice  project.Choice
	servers []hetzner.Server
	listed  []hetzner.Image // with the server's ID as their label
	others  []hetzner.Image
	date    time.Time
	self    int64
}

// why says what speaks against the pair, as a run finds it.
func (c checked) why() (list []Why) {
	p := pair{run: &run{Settings: c.Settings}, name: "db-1", choice: c.choice, date: c.date, self: c.self}
	named := slices.DeleteFunc(slices.Clone(c.servers), func(s hetzner.Server) bool { return s.Name != p.name })
	p.findServer(named, c.servers)
	p.findImage(c.listed)
	for _, image := range c.others {
		if p.isUnknown() && image.ID == p.choice.Image {
			p.image = image
		}
	}
	p.check()
	for _, m := range p.mistakes {
		list = append(list, m.Why)
	}
	return list
}

func TestPairs(t *testing.T) {
	now := time.Date(2026, 11, 22, 19, 45, 0, 0, time.UTC)
	image := func(id, server int64, age time.Duration) hetzner.Image {
		return hetzner.Image{
			ID: id, Type: "snapshot", Status: "available", Created: now.Add(-age), CreatedFrom: server, DiskGB: 40, Architecture: "x86",
			Labels: map[string]string{"hsnap/series": "nightly", "hsnap/server-id": strconv.FormatInt(server, 10)},
		}
	}
	seen := map[Why]bool{}
	for name, tt := range map[string]struct {
		spoil func(c *checked)
		want  []Why
	}{
		"nothing":            {func(*checked) {}, nil},
		"no server":          {func(c *checked) { c.servers[0].Name = "db-2" }, []Why{NoServer}},
		"several servers":    {func(c *checked) { c.servers[1].Name = "db-1" }, []Why{SeveralServers}},
		"a copy":             {func(c *checked) { c.servers[0].Labels = map[string]string{"hsnap/drill": "f00d"} }, []Why{IsDrill}},
		"this machine":       {func(c *checked) { c.self = 42 }, []Why{IsSelf}},
		"another machine":    {func(c *checked) { c.self = 43 }, nil},
		"protected":          {func(c *checked) { c.servers[0].RebuildProtected = true }, []Why{IsProtected}},
		"rescue":             {func(c *checked) { c.servers[0].RescueEnabled = true }, []Why{BootsElsewhere}},
		"ISO":                {func(c *checked) { c.servers[0].ISO = "debian.iso" }, []Why{BootsElsewhere}},
		"volumes":            {func(c *checked) { c.servers[0].Volumes, c.IfVolumes = []int64{500}, snapshot.Fail }, []Why{VolumesAttached}},
		"no volumes":         {func(c *checked) { c.IfVolumes = snapshot.Fail }, nil},
		"volumes allowed":    {func(c *checked) { c.servers[0].Volumes, c.IfVolumes = []int64{500}, snapshot.Warn }, nil},
		"no address":         {func(c *checked) { c.Proof.Port, c.servers[0].IPv4 = 22, "" }, []Why{NoAddress}},
		"only IPv6":          {func(c *checked) { c.Proof.Port, c.servers[0].IPv4, c.servers[0].IPv6 = 22, "", "2001:db8::/64" }, nil},
		"no address, no use": {func(c *checked) { c.servers[0].IPv4 = "" }, nil},

		"no image":                  {func(c *checked) { c.choice.Image = 9 }, []Why{NoImage}},
		"latest":                    {func(c *checked) { c.choice = project.Choice{} }, nil},
		"none of the series":        {func(c *checked) { c.choice, c.Series = project.Choice{}, "weekly" }, []Why{NoneFound}},
		"the only one is not ready": {func(c *checked) { c.choice, c.listed[0].Status = project.Choice{}, "creating" }, []Why{NoneFound}},
		"the only one has failed":   {func(c *checked) { c.choice, c.listed[0].Labels["hsnap/verify"] = project.Choice{}, "failed" }, []Why{NoneFound}},
		"none verified":             {func(c *checked) { c.choice = project.Choice{OnlyIfVerified: true} }, []Why{NoneVerified}},
		"latest verified": {func(c *checked) {
			c.choice, c.listed[0].Labels["hsnap/verified"] = project.Choice{OnlyIfVerified: true}, "2026-11-22T000000Z"
		}, nil},
		"verified, and failed since": {func(c *checked) {
			c.choice = project.Choice{OnlyIfVerified: true}
			maps.Copy(c.listed[0].Labels, map[string]string{"hsnap/verified": "2026-11-22T000000Z", "hsnap/verify": "failed"})
		}, []Why{NoneVerified}},
		"no snapshot":               {func(c *checked) { c.choice.Image, c.others[0].Type = 8, "backup" }, []Why{NotSnapshot}},
		"not available":             {func(c *checked) { c.listed[0].Status = "unavailable" }, []Why{NotAvailable}},
		"no label of ours":          {func(c *checked) { c.choice.Image, c.others[0].Labels = 8, nil }, []Why{NotMade}},
		"no series":                 {func(c *checked) { delete(c.listed[0].Labels, "hsnap/series") }, []Why{NotMade}},
		"another server's label":    {func(c *checked) { c.choice.Image, c.others[0].CreatedFrom = 8, 42 }, []Why{NotMade}},
		"only the label is its own": {func(c *checked) { c.listed[0].CreatedFrom = 43 }, []Why{NotMade}},
		"made of nobody knows what": {func(c *checked) { c.listed[0].CreatedFrom = 0 }, []Why{NotMade}},
		"failed":                    {func(c *checked) { c.listed[0].Labels["hsnap/verify"] = "failed" }, []Why{NotVerified}},
		"too old":                   {func(c *checked) { c.MaxAge = 3*time.Hour - time.Second }, []Why{TooOld}},
		"just not too old":          {func(c *checked) { c.MaxAge = 3 * time.Hour }, nil},
		"latest is too old":         {func(c *checked) { c.choice, c.MaxAge = project.Choice{}, time.Hour }, []Why{TooOld}},
		"no date":                   {func(c *checked) { c.date = time.Time{} }, []Why{NoAge}},
		"no age":                    {func(c *checked) { c.listed[0].Created = time.Time{} }, []Why{NoAge}},
		"of another server":         {func(c *checked) { c.choice.Image = 8 }, []Why{OtherServer}},
		"for another architecture":  {func(c *checked) { c.servers[0].Architecture = "arm" }, []Why{OtherArchitecture}},
		"too large":                 {func(c *checked) { c.listed[0].DiskGB = 40.5 }, []Why{DiskTooSmall}},
		"small":                     {func(c *checked) { c.listed[0].DiskGB = 20 }, nil},
		"all at once": {func(c *checked) {
			c.servers[0].RebuildProtected, c.self, c.listed[0].Status, c.listed[0].DiskGB, c.MaxAge = true, 42, "creating", 80, time.Hour
		}, []Why{NotAvailable, TooOld, DiskTooSmall, IsSelf, IsProtected}},
	} {
		t.Run(name, func(t *testing.T) {
			c := checked{
				Settings: Settings{Series: "nightly", MaxAge: 24 * time.Hour}, choice: project.Choice{Image: 7}, date: now,
				servers: []hetzner.Server{{ID: 42, Name: "db-1", Architecture: "x86", DiskGB: 40, IPv4: "203.0.113.7"}, {ID: 43, Name: "web-1"}},
				listed:  []hetzner.Image{image(7, 42, 3*time.Hour)}, others: []hetzner.Image{image(8, 43, time.Hour)},
			}
			tt.spoil(&c)
			for _, why := range tt.want {
				seen[why] = true
			}
			if got := c.why(); !slices.Equal(got, tt.want) {
				t.Errorf("%v speak against it, want %v", got, tt.want)
			}
		})
	}
	for why := NoServer; why <= DiskTooSmall; why++ {
		if !seen[why] {
			t.Errorf("no pair is tried that is refused for %d", why)
		}
	}
}

// The latest snapshot is the newest one that is available, its own and did not fail; of several that are equally old, the one
// that was made last.
func TestLatest(t *testing.T) {
	now := time.Date(2026, 11, 22, 19, 45, 0, 0, time.UTC)
	image := func(id int64, age time.Duration, labels ...string) hetzner.Image {
		i := hetzner.Image{ID: id, Type: "snapshot", Status: "available", Created: now.Add(-age), CreatedFrom: 42, Labels: map[string]string{
			"hsnap/series": "nightly", "hsnap/server-id": "42",
		}}
		for _, label := range labels {
			i.Labels[label] = map[string]string{
				"hsnap/verify": "failed", "hsnap/verified": "2026-11-20T000000Z", "hsnap/series": "weekly", "hsnap/server-id": "43",
			}[label]
		}
		return i
	}
	creating, others := image(10, time.Minute), image(11, time.Minute)
	creating.Status, others.CreatedFrom = "creating", 43
	images := []hetzner.Image{
		image(1, 9*time.Hour, "hsnap/verified"), image(2, 8*time.Hour, "hsnap/verified"), image(3, 8*time.Hour, "hsnap/verified"), image(4, 5*time.Hour),
		image(5, 4*time.Hour), image(6, 5*time.Hour), image(7, time.Hour, "hsnap/verify"), image(8, time.Hour, "hsnap/verified", "hsnap/verify"),
		image(9, time.Hour, "hsnap/series"), creating, others, image(12, time.Hour, "hsnap/server-id"),
	}
	for choice, want := range map[project.Choice]int64{{}: 5, {OnlyIfVerified: true}: 3, {Image: 4}: 4} {
		for range 2 { // the order of the list decides nothing
			p := pair{run: &run{Settings: Settings{Series: "nightly"}}, choice: choice, host: hetzner.Server{ID: 42}}
			if p.findImage(images); p.image.ID != want {
				t.Errorf("%+v means %d, want %d", choice, p.image.ID, want)
			}
			slices.Reverse(images)
		}
	}
}
