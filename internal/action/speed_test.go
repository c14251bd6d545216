package action_test

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/org/hsnap-action/internal/hcloudsim"
	"github.com/org/hsnap-action/internal/hetzner"
)

// fleetCase is a project to measure: how many servers it has, how many of them are locked and for how long at most,
// and how long a snapshot takes.
type fleetCase struct {
	servers, locked int
	command         string // of the locks' actions; "" for locks that show none
	others          int    // servers of the project that are not selected
	parallel        int
	snapshot        time.Duration // how long each snapshot takes; zero for 1 to 5 minutes
	spread          time.Duration // by how much more at most
	progress        hcloudsim.ProgressShape
	nights          int // before this run: each snapshot then took about as long, within 5 %
}

func (c fleetCase) String() string {
	holders := "holders unknown"
	if c.command != "" {
		holders = "holders known"
	}
	return fmt.Sprintf("servers=%d/locked=%d/%s/others=%d", c.servers, c.locked, strings.ReplaceAll(holders, " ", "-"), c.others)
}

// measured is what the simulator's history tells of a run, in virtual time.
type measured struct {
	asked   []time.Duration // from the end of a server's lock until its create arrives
	noticed []time.Duration // from the end of an action until the look that shows it
	looks   int             // after the selection
	most    int             // looks in any 60 s
	took    time.Duration
	extra   int // requests beside looks
	resent  int // creates sent again
	limited int // requests that Hetzner refused because there were too many
	made    int // snapshots
}

// way is a way to make the snapshots of a project's servers web-*.
type way func(t *testing.T, w *world, c fleetCase)

// byAction is this action's.
func byAction(t *testing.T, w *world, c fleetCase) {
	t.Helper()
	w.inputs["servers"], w.inputs["max-parallel"] = "web-*", fmt.Sprint(cmp.Or(c.parallel, 10))
	if r := w.run(t); r.code != 0 {
		t.Fatalf("exit %d\n%s", r.code, r.log)
	}
}

func measure(t *testing.T, c fleetCase, seed uint64, work way) measured {
	t.Helper()
	w := newWorld(t, hcloudsim.Options{Seed: seed})
	w.sample(t)
	dice := rand.New(rand.NewPCG(seed, 7))
	start := time.Now()
	unlocked := map[string]time.Time{} // create path -> end of the lock
	for i := range c.servers {
		length := cmp.Or(c.snapshot, time.Minute+time.Duration(dice.Int64N(int64(4*time.Minute)))) +
			time.Duration(dice.Int64N(int64(c.spread)+1))
		var earlier []time.Duration
		for range c.nights {
			off := (dice.Float64() + dice.Float64() + dice.Float64() - 1.5) / 1.5 * 0.05 // mostly small
			earlier = append(earlier, time.Duration(float64(length)*(1+off)))
		}
		id := w.cloud.AddServer(hcloudsim.Server{
			Name:     fmt.Sprintf("web-%03d", i),
			Snapshot: hcloudsim.SnapshotBehaviour{Duration: length, Progress: c.progress, Earlier: earlier},
		})
		if i < c.locked {
			length := 10*time.Second + time.Duration(dice.Int64N(int64(10*time.Minute)))
			w.cloud.Lock(id, hcloudsim.Lock{For: length, Command: c.command})
			unlocked[fmt.Sprintf("/servers/%d/actions/create_image", id)] = start.Add(length)
		}
	}
	for i := range c.others {
		w.cloud.AddServer(hcloudsim.Server{Name: fmt.Sprintf("other-%03d", i)})
	}
	work(t, w, c)

	m := measured{took: time.Since(start)}
	ends := map[string]time.Time{} // action -> its end
	for _, x := range w.cloud.Actions() {
		if x.Command == "create_image" && x.Ends.After(start) {
			ends[fmt.Sprint(x.ID)] = x.Ends
		}
	}
	m.made = len(ends)
	var looks []time.Time
	pages := (c.servers + c.others + hetzner.PerPage - 1) / hetzner.PerPage
	for i, x := range w.cloud.History() {
		switch {
		case i < pages:
			m.extra++
		case x.Method == http.MethodGet:
			looks = append(looks, x.At)
			if x.Status == http.StatusTooManyRequests {
				m.limited++
			}
		case x.Status == http.StatusCreated:
			m.extra++
			if end, ok := unlocked[x.Path]; ok {
				m.asked = append(m.asked, x.At.Sub(end))
			}
		case x.Method == http.MethodPost && x.Status == http.StatusTooManyRequests:
			m.limited++
			looks = append(looks, x.At)
		default: // refused: counts as a look, and the create sent again beside them
			looks = append(looks, x.At)
			m.extra++
			m.resent++
		}
	}
	for _, x := range w.cloud.History() {
		if x.Path != "/actions" || x.Status != http.StatusOK {
			continue
		}
		for pair := range strings.SplitSeq(x.Query, "&") {
			id := strings.TrimPrefix(pair, "id=")
			if end, ok := ends[id]; ok && x.Done.After(end) {
				m.noticed = append(m.noticed, max(0, x.At.Sub(end)))
				delete(ends, id)
			}
		}
	}
	m.looks = len(looks)
	for first, i := 0, 0; i < len(looks); i++ {
		for looks[i].Sub(looks[first]) > time.Minute {
			first++
		}
		m.most = max(m.most, i-first+1)
	}
	return m
}

func median(ds []time.Duration) time.Duration {
	if len(ds) == 0 {
		return 0
	}
	slices.Sort(ds)
	return ds[len(ds)/2]
}

func most(ds []time.Duration) time.Duration {
	if len(ds) == 0 {
		return 0
	}
	return slices.Max(ds)
}

// fleets are the projects whose speed is told. For those with a promise every median and maximum must hold; the
// others show what else there is: servers scattered over many pages, and more snapshots in flight than one look serves.
var fleets = []struct {
	fleetCase
	promised bool
}{
	{fleetCase{servers: 1, locked: 1, command: "change_server_type"}, true},
	{fleetCase{servers: 10, locked: 10, command: "change_server_type"}, true},
	{fleetCase{servers: 10, locked: 10}, true},
	{fleetCase{servers: 25, locked: 25, command: "change_server_type", parallel: 25}, true},
	{fleetCase{servers: 25, locked: 25, parallel: 25}, true},
	{fleetCase{servers: 50, locked: 50, command: "change_server_type", parallel: 25}, true},
	{fleetCase{servers: 50, locked: 50, parallel: 25}, true},
	{fleetCase{servers: 50, locked: 50, others: 1, parallel: 25}, true},
	{fleetCase{servers: 60, locked: 30, command: "change_server_type", parallel: 100}, true},
	{fleetCase{servers: 100, parallel: 25}, true},
	{fleetCase{servers: 25, locked: 25, others: 475, parallel: 25, command: "change_server_type"}, false},
	{fleetCase{servers: 500, locked: 50, command: "change_server_type", parallel: 100}, false},
}

// measureAll measures a project several times; medians are taken over all of them.
func measureAll(t *testing.T, c fleetCase, seeds uint64) measured {
	t.Helper()
	var all measured
	for seed := range seeds {
		synctest.Test(t, func(t *testing.T) {
			m := measure(t, c, seed+1, byAction)
			if len(m.noticed) != m.made {
				t.Errorf("%d ends of %d were noticed", len(m.noticed), m.made)
			}
			all.asked, all.noticed = append(all.asked, m.asked...), append(all.noticed, m.noticed...)
			all.looks, all.most, all.extra = max(all.looks, m.looks), max(all.most, m.most), max(all.extra, m.extra)
			all.resent, all.took = max(all.resent, m.resent), max(all.took, m.took)
		})
	}
	return all
}

// BenchmarkFleet counts, in virtual time: it shows requests, medians and maxima, none of which depends on the machine.
func BenchmarkFleet(b *testing.B) {
	for _, c := range fleets {
		b.Run(c.String(), func(b *testing.B) {
			var m measured
			for b.Loop() {
				asTest(b, func(t *testing.T) {
					t.Helper()
					m = measureAll(t, c.fleetCase, 12)
				})
			}
			b.ReportMetric(median(m.asked).Seconds(), "s-unlock-to-create-median")
			b.ReportMetric(most(m.asked).Seconds(), "s-unlock-to-create-max")
			b.ReportMetric(median(m.noticed).Seconds(), "s-end-to-noticed-median")
			b.ReportMetric(most(m.noticed).Seconds(), "s-end-to-noticed-max")
			b.ReportMetric(float64(m.looks), "looks")
			b.ReportMetric(float64(m.most), "looks/60s-max")
			b.ReportMetric(float64(m.extra), "other-requests")
			b.ReportMetric(m.took.Seconds(), "s-run")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// asTest runs f as a test, which is what a bubble of virtual time needs, inside a benchmark.
func asTest(b *testing.B, f func(t *testing.T)) {
	b.Helper()
	if !testing.RunTests(func(string, string) (bool, error) { return true, nil }, []testing.InternalTest{{Name: b.Name(), F: f}}) {
		b.Fatal("the measurement failed")
	}
}

// BenchmarkLoad counts what a large run takes: goroutines at once, live memory (the simulated API's included), and
// requests.
func BenchmarkLoad(b *testing.B) {
	var goroutines, heap, requests int
	for b.Loop() {
		asTest(b, func(t *testing.T) {
			t.Helper()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, hcloudsim.Options{Seed: 1})
				for i := range 500 {
					w.cloud.AddServer(hcloudsim.Server{Name: fmt.Sprintf("web-%03d", i), Snapshot: hcloudsim.SnapshotBehaviour{Duration: time.Minute}})
				}
				w.inputs = map[string]string{"servers": "*", "max-parallel": "100"}
				var sample sampler
				w.check = func(rt http.RoundTripper) http.RoundTripper { sample.next = rt; return &sample }
				if r := w.run(t); r.code != 0 {
					t.Fatalf("exit %d", r.code)
				}
				goroutines, heap, requests = sample.goroutines, sample.heap, len(w.cloud.History())
			})
		})
	}
	b.ReportMetric(float64(goroutines), "goroutines-max")
	b.ReportMetric(float64(heap)/(1<<20), "MB-live-max")
	b.ReportMetric(float64(requests), "requests")
	b.ReportMetric(0, "ns/op")
}

// sampler notes how much is in use whenever a request is sent.
type sampler struct {
	next             http.RoundTripper
	mu               sync.Mutex
	goroutines, heap int
	n                int
}

func (s *sampler) RoundTrip(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	s.goroutines = max(s.goroutines, runtime.NumGoroutine())
	if s.n++; s.n%100 == 0 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		s.heap = max(s.heap, int(m.HeapAlloc))
	}
	s.mu.Unlock()
	return s.next.RoundTrip(r)
}

// TestSpeed holds the promises: the maxima and the budget in every project, the medians over all of them, since those
// of a single project's few servers say little.
func TestSpeed(t *testing.T) {
	var mu sync.Mutex
	var asked, noticed []time.Duration
	t.Run("fleets", func(t *testing.T) { // returns when all of them have been measured
		for _, c := range fleets {
			if !c.promised {
				continue
			}
			t.Run(c.String(), func(t *testing.T) {
				t.Parallel()
				m := measureAll(t, c.fleetCase, 1)
				mu.Lock()
				asked, noticed = append(asked, m.asked...), append(noticed, m.noticed...)
				mu.Unlock()
				if most(m.asked) > 10*time.Second || most(m.noticed) > 10*time.Second {
					t.Errorf("from unlock to create %s at most, from end to noticed %s, promised are 10s", most(m.asked), most(m.noticed))
				}
				if m.most > 30 {
					t.Errorf("%d looks in 60 s, promised are 30", m.most)
				}
				project := c.servers + c.others
				if allowed := (project+49)/50 + c.servers + (c.servers+49)/50 + 3 + m.resent; m.extra > allowed {
					t.Errorf("%d requests beside the looks, promised are %d", m.extra, allowed)
				}
			})
		}
	})
	for what, ds := range map[string][]time.Duration{"from unlock to create": asked, "from end to noticed": noticed} {
		if len(ds) < 100 || median(ds) > 2500*time.Millisecond {
			t.Errorf("%s: median %s of %d, promised are 2.5s", what, median(ds), len(ds))
		}
	}
}
