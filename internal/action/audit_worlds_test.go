package action_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/org/hsnap-action/internal/hcloudsim"
)

// audited is a world for audit, and the truth about it, which is known because the world was built that way.
type audited struct {
	servers                    map[string]*auditedServer // those that are asked about
	orphans, foreign, leftover []int64
	count                      int
	gb                         float64
	pages                      int // of servers, those of a label selector, and images, which a run may ask for
	failOn                     []string
	staleAfter                 time.Duration
	noDate, weather            bool
}

type auditedServer struct {
	id, newest int64
	created    time.Time
	count      int
	gb         float64
	verified   string // the newest time
}

const verifiedAt = "2006-01-02T150405Z"

// buildAudited makes a world of servers and images from a seed.
func buildAudited(w *world, seed uint64) *audited {
	dice := rand.New(rand.NewPCG(seed, 0xa0d17))
	chance := func(n int) bool { return dice.IntN(n) == 0 }
	p := &audited{servers: map[string]*auditedServer{}, orphans: []int64{}, foreign: []int64{}}
	series := ""
	if chance(2) {
		series, w.inputs["series"] = "nightly", "nightly"
	}
	if chance(2) {
		p.staleAfter = time.Duration(1+dice.IntN(100)) * time.Hour
		w.inputs["stale-after"] = fmt.Sprintf("%dh", p.staleAfter/time.Hour)
		p.failOn = []string{"stale"}
	}
	if chance(2) {
		all := []string{"unverified", "orphans", "leftovers", "stale"}
		if p.staleAfter == 0 {
			all = all[:3]
		}
		p.failOn = slices.DeleteFunc(all, func(string) bool { return chance(2) })
		w.inputs["fail-on"] = `["` + strings.Join(p.failOn, `","`) + `"]`
		if len(p.failOn) == 0 {
			w.inputs["fail-on"] = "[]"
		}
	}
	selects := map[string]func(name string) bool{
		"": func(string) bool { return true }, "servers": func(name string) bool { return strings.HasPrefix(name, "db") },
		"label-selector": func(name string) bool { return strings.HasPrefix(name, "db") },
		"exclude":        func(name string) bool { return strings.HasPrefix(name, "web") },
	}
	way := []string{"", "", "servers", "label-selector", "exclude"}[dice.IntN(5)]
	if way != "" {
		w.inputs[way] = map[string]string{"servers": "db-*", "label-selector": "tier=db", "exclude": "db-*"}[way]
	}

	servers, gone := dice.IntN(6), []int64(nil)
	if chance(10) {
		servers = 40 + dice.IntN(80)
	}
	images, inSelector := 0, 0
	for i := range servers {
		tier := []string{"db", "web"}[dice.IntN(2)]
		name := fmt.Sprintf("%s-%d", tier, i)
		id := w.cloud.AddServer(hcloudsim.Server{Name: name, Labels: map[string]string{"tier": tier}})
		var truth *auditedServer
		switch {
		case chance(5):
			gone = append(gone, id)
		case selects[way](name):
			truth = &auditedServer{id: id}
			p.servers[name] = truth
		}
		if len(gone) == 0 || gone[len(gone)-1] != id {
			inSelector += map[string]int{"db": 1}[tier]
		}
		for range dice.IntN(1 + [...]int{3, 12}[dice.IntN(2)]) {
			images += p.addImage(w, dice, id, truth, slices.Contains(gone, id), series)
		}
	}
	for _, id := range gone {
		w.cloud.DeleteServer(id)
	}
	drills := 0
	for range dice.IntN(2) * dice.IntN(3) {
		drills++
		until := time.Now().Add([]time.Duration{-time.Hour, time.Hour}[dice.IntN(2)])
		id := w.cloud.AddServer(hcloudsim.Server{
			Name: fmt.Sprintf("hsnap-drill-%d", drills), Labels: map[string]string{"hsnap/drill": "f00d", "hsnap/drill-until": strconv.FormatInt(until.Unix(), 10), "tier": "db"},
		})
		if until.Before(time.Now()) {
			p.leftover = append(p.leftover, id)
		}
	}
	pages := func(n int) int { return max(1, (n+49)/50) }
	p.pages = pages(len(w.cloud.Servers())) + pages(images)
	if way == "label-selector" {
		p.pages += pages(inSelector + drills)
	}
	switch dice.IntN(6) {
	case 0:
		p.noDate = true
		w.cloud.Inject(hcloudsim.Fault{Kind: hcloudsim.NoDate})
	case 1:
		p.weather = true
		kinds := []hcloudsim.FaultKind{hcloudsim.ErrorJSON, hcloudsim.NoPagination, hcloudsim.ShiftedPage, hcloudsim.RateLimited, hcloudsim.CutBody, hcloudsim.EmptyObject}
		w.cloud.Inject(hcloudsim.Fault{
			Kind: kinds[dice.IntN(len(kinds))], Path: []string{"/images", "/servers"}[dice.IntN(2)], Every: 2 + dice.IntN(2), Status: 503, Code: "unavailable", Message: "unavailable",
		})
	}
	return p
}

// addImage adds an image of a server and what it means to the truth, and returns 1 where it is a snapshot. A server that is
// not asked about has no truth.
func (p *audited) addImage(w *world, dice *rand.Rand, server int64, truth *auditedServer, gone bool, series string) int {
	image := hcloudsim.Image{
		ServerID: server, SizeGB: float32(1+dice.IntN(40)) / 2, Protected: dice.IntN(8) == 0,
		Created: time.Now().Add(-time.Duration(dice.IntN(200))*time.Hour - 30*time.Minute), // no age is near a limit
		Labels:  map[string]string{"hsnap/series": "nightly", "hsnap/server-id": strconv.FormatInt(server, 10)},
	}
	ours, verified := true, ""
	switch dice.IntN(14) {
	case 0:
		image.Labels["hsnap/series"] = "pre-deploy"
	case 1:
		image.Labels, ours = map[string]string{"by": "hand"}, false
	case 2:
		image.ServerID, ours = 4711, false // the labels lie
	case 3:
		image.Status = "creating"
	case 4:
		image.Labels["hsnap/server-id"], ours = "4711", false
	case 5:
		image.Type = "backup"
	case 6, 7:
		verified = time.Now().Add(-time.Duration(1+dice.IntN(5000)) * time.Minute).UTC().Format(verifiedAt)
		image.Labels["hsnap/verified"] = verified
	case 8:
		image.Labels["hsnap/verified"], image.Labels["hsnap/verify"] = "1999-12-20T021500Z", "failed"
	case 9:
		image.ServerID, ours = 0, gone // Hetzner does not say what it was made of
	}
	id := w.cloud.AddImage(image)
	switch {
	case image.Type == "backup":
		return 0
	case !ours:
		p.foreign = append(p.foreign, id)
		return 1
	case series != "" && image.Labels["hsnap/series"] != series:
		return 1
	case gone:
		p.orphans = append(p.orphans, id)
	case truth == nil:
		return 1
	default:
		truth.count++
		truth.gb += float64(image.SizeGB)
		truth.verified = max(truth.verified, verified)
		created := image.Created.Truncate(time.Second)
		if image.Status == "" && (truth.newest == 0 || !created.Before(truth.created)) {
			truth.newest, truth.created = id, created
		}
	}
	p.count++
	p.gb += float64(image.SizeGB)
	return 1
}

func (p *audited) stale(s *auditedServer, now time.Time) bool {
	return s.newest == 0 || p.staleAfter > 0 && (p.noDate || now.Sub(s.created) >= p.staleAfter)
}

// auditedRow is an object of the output "inventory".
type auditedRow struct {
	ServerID      int64   `json:"server_id"`
	ServerName    string  `json:"server_name"`
	NewestImageID *int64  `json:"newest_image_id"`
	NewestCreated *string `json:"newest_created"`
	AgeSeconds    *int64  `json:"age_seconds"`
	Count         int     `json:"count"`
	SizeGB        float64 `json:"size_gb"`
	Stale         bool    `json:"stale"`
	Verified      bool    `json:"verified"`
	VerifiedAt    *string `json:"verified_at"`
}

// Over many worlds: the outputs of audit are the truth, it fails on what it was told to fail on and on nothing else, it sends
// nothing but reads, and no more of them than promised.
func TestAuditedWorlds(t *testing.T) {
	for seed := range few(300) {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			inBubble(t, hcloudsim.Options{Seed: seed + 1}, func(t *testing.T, w *world) {
				w.sample(t)
				w.words = []string{"audit"}
				p := buildAudited(w, seed)
				start := time.Now()
				r := w.run(t)
				judgeAudited(t, w, p, r, start)
				if t.Failed() {
					t.Logf("%v\n%s", w.inputs, r.log)
				}
			})
		})
	}
}

func judgeAudited(t *testing.T, w *world, p *audited, r ran, start time.Time) {
	t.Helper()
	for _, x := range w.cloud.History() {
		if x.Method != http.MethodGet {
			t.Errorf("audit has sent %s %s", x.Method, x.Path)
		}
	}
	if sent := len(w.cloud.History()); !p.weather && sent > p.pages+1 {
		t.Errorf("%d requests, want %d at most", sent, p.pages+1)
	}
	stale, unverified := p.judgeInventory(t, r, start)
	found := map[string]int{"stale": len(stale), "unverified": len(unverified), "orphans": len(p.orphans), "leftovers": len(p.leftover)}
	if p.noDate { // nobody knows which copies are still worked with
		found["leftovers"] = strings.Count(fmt.Sprint(w.cloud.Servers()), "hsnap-drill-")
	}
	code, result := 0, "success"
	for _, finding := range p.failOn {
		if found[finding] > 0 {
			code, result = 1, "failure"
		}
	}
	if len(p.servers) == 0 {
		code, result = 2, "failure"
	}
	if r.code != code || r.outputs["result"] != result {
		t.Errorf("exit %d, result=%s, want %d %s", r.code, r.outputs["result"], code, result)
	}
	gb, _ := strconv.ParseFloat(r.outputs["size-gb"], 64)
	net, _ := strconv.ParseFloat(r.outputs["monthly-price-net"], 64)
	gross, _ := strconv.ParseFloat(r.outputs["monthly-price-gross"], 64)
	if r.outputs["snapshot-count"] != strconv.Itoa(p.count) || gb != p.gb || r.outputs["currency"] != "EUR" ||
		math.Abs(net-p.gb*0.0143) > 0.0051 || math.Abs(gross-p.gb*0.017017) > 0.0051 {
		t.Errorf("count=%s size-gb=%s net=%s gross=%s, want %d snapshots of %v GB",
			r.outputs["snapshot-count"], r.outputs["size-gb"], r.outputs["monthly-price-net"], r.outputs["monthly-price-gross"], p.count, p.gb)
	}
	for output, want := range map[string][]int64{"orphan-image-ids": p.orphans, "foreign-image-ids": p.foreign} {
		var got []int64
		decode(t, r.outputs[output], &got)
		if !slices.Equal(got, want) {
			t.Errorf("%s=%v, want %v", output, got, want)
		}
		for _, id := range want {
			if !strings.Contains(r.summary, strconv.FormatInt(id, 10)) {
				t.Errorf("the summary does not name %d of %s", id, output)
			}
		}
	}
	for name := range p.servers {
		if strings.Count(r.summary, "\n| "+name+" |") != 1 {
			t.Errorf("the summary has no row for %s", name)
		}
	}
}

// judgeInventory holds what is told of each server against the truth, and returns the names of those that are stale, and not
// verified.
func (p *audited) judgeInventory(t *testing.T, r ran, start time.Time) (stale, unverified []string) {
	t.Helper()
	var rows []auditedRow
	decode(t, r.outputs["inventory"], &rows)
	if len(rows) != len(p.servers) {
		t.Errorf("%d servers, want %d", len(rows), len(p.servers))
	}
	for _, row := range rows {
		truth := p.servers[row.ServerName]
		if truth == nil {
			t.Errorf("%s was not asked about", row.ServerName)
			continue
		}
		if p.stale(truth, start) {
			stale = append(stale, row.ServerName)
		}
		want := auditedRow{ServerID: truth.id, ServerName: row.ServerName, Count: truth.count, SizeGB: truth.gb, Stale: p.stale(truth, start), AgeSeconds: row.AgeSeconds}
		if truth.newest != 0 {
			created := truth.created.UTC().Format(time.RFC3339)
			want.NewestImageID, want.NewestCreated = &truth.newest, &created
		}
		if want.Verified = truth.verified != ""; want.Verified {
			at, _ := time.Parse(verifiedAt, truth.verified)
			text := at.Format(time.RFC3339)
			want.VerifiedAt = &text
		} else {
			unverified = append(unverified, row.ServerName)
		}
		if diff := cmp.Diff(want, row); diff != "" {
			t.Errorf("%s (-want +got):\n%s", row.ServerName, diff)
		}
		known := truth.newest != 0 && !p.noDate
		if age := int64(start.Sub(truth.created) / time.Second); (row.AgeSeconds != nil) != known || known && (*row.AgeSeconds < age || *row.AgeSeconds > age+600) {
			t.Errorf("%s is not told to be about %d seconds old: %s", row.ServerName, age, r.outputs["inventory"])
		}
	}
	for output, want := range map[string][]string{"stale-servers": stale, "unverified-servers": unverified} {
		var got []string
		decode(t, r.outputs[output], &got)
		if !slices.Equal(got, want) {
			t.Errorf("%s=%v, want %v", output, got, want)
		}
	}
	return stale, unverified
}
