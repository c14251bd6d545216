package action_test

import (
	"fmt"
	"html"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/org/hsnap-action/internal/hcloudsim"
	"github.com/org/hsnap-action/internal/retention"
)

// pruned is a world for prune, and what must come of it.
type pruned struct {
	old    map[int64]hcloudsim.Image
	policy retention.Policy
	goes   map[int64]bool // what the policy does not keep, by the definition below and not by the program's
	spared []int64        // the newest verified snapshot of each server
	most   int
	faults []hcloudsim.FaultKind
}

// buildPruned makes a world of servers and images from a seed. Servers named x-… are excluded.
func buildPruned(w *world, seed uint64) pruned {
	dice := rand.New(rand.NewPCG(seed, 0x9237e))
	p := pruned{old: map[int64]hcloudsim.Image{}, goes: map[int64]bool{}, most: 1 + dice.IntN(40)}
	p.policy = retention.Policy{Last: 1 + dice.IntN(3), Daily: dice.IntN(3)}
	if dice.IntN(3) == 0 {
		p.policy.Within = time.Duration(1+dice.IntN(200)) * time.Hour
	}
	now := time.Now()
	for range 1 + dice.IntN(5) {
		id := w.cloud.AddServer(hcloudsim.Server{Name: fmt.Sprintf("%s-%d", []string{"db", "db", "x"}[dice.IntN(3)], len(w.cloud.Servers()))})
		name := w.cloud.Servers()[len(w.cloud.Servers())-1].Name
		var list []retention.Image
		for range dice.IntN(14) {
			image := hcloudsim.Image{
				ServerID: id, SizeGB: 2.5, Protected: dice.IntN(8) == 0, Created: now.Add(-time.Duration(dice.IntN(30*24*60)) * time.Minute).Truncate(time.Second),
				Labels: map[string]string{"hsnap/series": "nightly", "hsnap/server-id": strconv.FormatInt(id, 10), "hsnap/run": "70-1"},
			}
			if dice.IntN(6) == 0 {
				image.Created = now.Add(-time.Duration(dice.IntN(50*60)) * time.Second).Truncate(time.Second)
			}
			ours := true
			switch dice.IntN(12) {
			case 0:
				image.Labels["hsnap/series"], ours = "pre-deploy", false
			case 1:
				image.Labels, ours = map[string]string{"by": "hand"}, false
			case 2:
				image.ServerID, ours = 4711, false
			case 3:
				image.Status, ours = "creating", false
			case 4:
				image.Labels["hsnap/server-id"], ours = "4711", false
			case 5:
				image.Labels["hsnap/verified"] = "2000-01-01T000000Z"
			case 6:
				image.Labels["hsnap/verify"] = "failed"
			}
			image.ID = w.cloud.AddImage(image)
			p.old[image.ID] = image
			if ours && !image.Protected && strings.HasPrefix(name, "db") {
				list = append(list, retention.Image{
					ID: image.ID, Created: image.Created, Verified: image.Labels["hsnap/verified"] != "", VerifyFailed: image.Labels["hsnap/verify"] != "",
				})
			}
		}
		verified := slices.DeleteFunc(slices.Clone(list), func(i retention.Image) bool { return !i.Verified })
		if len(verified) > 0 {
			newest := slices.MaxFunc(verified, func(a, b retention.Image) int { return a.Created.Compare(b.Created) })
			p.spared = append(p.spared, newest.ID)
		}
		for _, d := range p.policy.Decide(list, now) {
			p.goes[d.ID] = !d.Keep
		}
	}
	if dice.IntN(3) == 0 {
		p.faults = []hcloudsim.FaultKind{
			hcloudsim.LoseAnswerDone, hcloudsim.ErrorJSON, hcloudsim.NoDate, hcloudsim.NoPagination, hcloudsim.ShiftedPage, hcloudsim.RateLimited,
		}[dice.IntN(6):][:1]
	}
	return p
}

// Over many worlds: prune deletes what the policy does not keep and nothing else, no more than max-deletions allows, nothing
// where Hetzner does not tell the time; and its outputs are the truth.
func TestPrunedWorlds(t *testing.T) {
	for seed := range few(200) {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			inBubble(t, hcloudsim.Options{Seed: seed + 1}, func(t *testing.T, w *world) {
				w.sample(t)
				p := buildPruned(w, seed)
				for _, kind := range p.faults {
					fault := hcloudsim.Fault{Kind: kind, Path: "/images", Every: 2, Status: 503, Code: "unavailable", Message: "unavailable"}
					if kind == hcloudsim.LoseAnswerDone {
						fault.Path, fault.Method = "/images/*", http.MethodDelete
					}
					if kind == hcloudsim.NoDate {
						fault.Every = 0
					}
					w.cloud.Inject(fault)
				}
				w.words = []string{"prune"}
				w.inputs = map[string]string{
					"servers": "*", "exclude": "x-*", "series": "nightly", "keep-last": strconv.Itoa(p.policy.Last), "max-deletions": strconv.Itoa(p.most),
				}
				if p.policy.Daily > 0 {
					w.inputs["keep-daily"] = strconv.Itoa(p.policy.Daily)
				}
				if p.policy.Within > 0 {
					w.inputs["keep-within"] = fmt.Sprintf("%dh", p.policy.Within/time.Hour)
				}
				judgePruned(t, w, p, w.run(t))
			})
		})
	}
}

func judgePruned(t *testing.T, w *world, p pruned, r ran) {
	t.Helper()
	stays := map[int64]bool{}
	for _, image := range w.cloud.Images() {
		stays[image.ID] = true
	}
	var want, gone []int64
	for id := range p.old {
		if p.goes[id] {
			want = append(want, id)
		}
		if !stays[id] {
			gone = append(gone, id)
		}
	}
	for _, id := range p.spared {
		if !stays[id] {
			t.Errorf("%d, the newest verified snapshot of its server, is gone", id)
		}
	}
	noDate := slices.Contains(p.faults, hcloudsim.NoDate)
	servers := slices.ContainsFunc(w.cloud.Servers(), func(s hcloudsim.ServerState) bool { return strings.HasPrefix(s.Name, "db") })
	code, result := 0, "success"
	switch {
	case !servers:
		code, result, want = 2, "failure", nil
	case noDate:
		code, result, want = 1, "failure", nil
	case len(want) > p.most:
		code, result, want = 2, "failure", nil
	}
	slices.Sort(want)
	slices.Sort(gone)
	if !slices.Equal(want, gone) {
		t.Errorf("%v are gone, and by %+v it should be %v\n%s", gone, p.policy, want, r.log)
	}
	var deleted, kept []int64
	decode(t, r.outputs["deleted-image-ids"], &deleted)
	decode(t, r.outputs["kept-image-ids"], &kept)
	slices.Sort(deleted)
	if !slices.Equal(deleted, gone) || slices.ContainsFunc(kept, func(id int64) bool { return !stays[id] }) {
		t.Errorf("deleted-image-ids=%v kept-image-ids=%v, and %v are gone\n%s", deleted, kept, gone, r.log)
	}
	if r.code != code || r.outputs["result"] != result {
		t.Errorf("exit %d, result=%s, want %d %s\n%s", r.code, r.outputs["result"], code, result, r.log)
	}
	for _, x := range w.cloud.History() {
		if x.Method != http.MethodGet && x.Method != http.MethodDelete {
			t.Errorf("prune has sent %s %s", x.Method, x.Path)
		}
	}
}

// A dry run deletes nothing, and neither does a run that is cancelled while it reads.
func TestPruneDeletesNothing(t *testing.T) {
	for name, change := range map[string]func(*world){
		"dry run": func(w *world) { w.inputs["dry-run"] = "true" },
		"a refused token": func(w *world) {
			w.cloud.Inject(hcloudsim.Fault{Kind: hcloudsim.ErrorJSON, Path: "/images", Status: 401, Code: "unauthorized", Message: "unauthorized"})
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, hcloudsim.Options{}, func(t *testing.T, w *world) {
				buildPruned(w, 3)
				w.words = []string{"prune"}
				w.inputs = map[string]string{"servers": "db-*", "series": "nightly", "keep-last": "1"}
				change(w)
				before := len(w.cloud.Images())
				if r := w.run(t); len(w.cloud.Images()) != before {
					t.Errorf("images are gone\n%s", r.log)
				}
			})
		})
	}
}

// However many servers have something to delete, few deletions are under way at once.
func TestDeletionsAtOnce(t *testing.T) {
	inBubble(t, hcloudsim.Options{}, func(t *testing.T, w *world) {
		for i := range 40 {
			id := w.cloud.AddServer(hcloudsim.Server{Name: fmt.Sprintf("db-%d", i)})
			for age := range 2 {
				w.cloud.AddImage(hcloudsim.Image{ServerID: id, SizeGB: 2, Created: time.Now().Add(-time.Duration(age+5) * time.Hour), Labels: map[string]string{
					"hsnap/series": "nightly", "hsnap/server-id": strconv.FormatInt(id, 10),
				}})
			}
		}
		w.words = []string{"prune"}
		w.inputs = map[string]string{"servers": "*", "series": "nightly", "keep-last": "1", "max-deletions": "40"}
		r := w.run(t)
		deletions := slices.DeleteFunc(slices.Clone(r.trace), func(x *exchange) bool { return x.method != http.MethodDelete })
		for _, x := range deletions {
			underWay := 0
			for _, other := range deletions {
				if !other.sent.After(x.sent) && other.done.After(x.sent) {
					underWay++
				}
			}
			if underWay > 5 {
				t.Fatalf("%d deletions are under way at once", underWay)
			}
		}
		if len(deletions) != 40 || r.code != 0 {
			t.Errorf("exit %d after %d deletions\n%s", r.code, len(deletions), r.log)
		}
	})
}

// The summary counts the snapshots that no run will ever thin out, with the command that lists them.
func TestPruneCountsWhatIsLeftOver(t *testing.T) {
	for _, inputs := range []map[string]string{{"servers": "db-1"}, {"label-selector": "env=prod"}} {
		inBubble(t, hcloudsim.Options{}, func(t *testing.T, w *world) {
			w.cloud.AddServer(hcloudsim.Server{Name: "db-1", Labels: map[string]string{"env": "prod"}})
			other := w.cloud.AddServer(hcloudsim.Server{Name: "web-1"})
			for _, server := range []int64{4711, 4712, other} { // the last one exists, selected or not
				w.cloud.AddImage(hcloudsim.Image{ServerID: server, SizeGB: 2, Created: time.Now().Add(-99 * time.Hour), Labels: map[string]string{
					"hsnap/series": "nightly", "hsnap/server-id": strconv.FormatInt(server, 10),
				}})
			}
			w.words, w.inputs = []string{"prune"}, inputs
			w.inputs["series"], w.inputs["keep-last"] = "nightly", "1"
			r := w.run(t)
			want := "2 snapshots of this series, of servers that do not exist any more: no run thins them out"
			list := "hcloud image list --type snapshot -l 'hsnap/series=nightly,hsnap/server-id in (4711,4712)'"
			if r.code != 0 || !strings.Contains(r.summary, want) || !strings.Contains(html.UnescapeString(r.summary), list) || len(w.cloud.Images()) != 3 {
				t.Errorf("exit %d\n%s\n%s", r.code, r.log, r.summary)
			}
		})
	}
}

// What is known of a snapshot that nobody can tell was deleted: no output claims that it was kept.
func TestPruneLostDeletion(t *testing.T) {
	inBubble(t, hcloudsim.Options{}, func(t *testing.T, w *world) {
		id := w.cloud.AddServer(hcloudsim.Server{Name: "db-1"})
		for age := range 3 {
			w.cloud.AddImage(hcloudsim.Image{ServerID: id, SizeGB: 2, Created: time.Now().Add(-time.Duration(age+5) * time.Hour), Labels: map[string]string{
				"hsnap/series": "nightly", "hsnap/server-id": strconv.FormatInt(id, 10),
			}})
		}
		w.cloud.Inject(hcloudsim.Fault{Kind: hcloudsim.LoseAnswerDone, Method: http.MethodDelete, Times: 1})
		w.cloud.Inject(hcloudsim.Fault{Kind: hcloudsim.HTML502, Method: http.MethodDelete})
		w.words = []string{"prune"}
		w.inputs = map[string]string{"servers": "db-1", "series": "nightly", "keep-last": "2"}
		r := w.run(t)
		if r.code != 1 || r.outputs["deleted-image-ids"] != "[]" || r.outputs["kept-image-ids"] != "[200000001,200000002]" || r.outputs["failed-count"] != "1" {
			t.Errorf("exit %d, %v", r.code, r.outputs)
		}
		for _, where := range []string{r.log, r.summary} {
			if !strings.Contains(where, "may be deleted or not") {
				t.Errorf("nobody is told that it may be deleted:\n%s", where)
			}
		}
		if !strings.Contains(r.log, "::error title=db-1 ") || !strings.Contains(r.log, "FAILED: 1 failed (db-1 image 200000003)") {
			t.Errorf("the failure is not told as one:\n%s", r.log)
		}
	})
}
