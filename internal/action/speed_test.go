package action_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/org/hsnap-action/internal/hcloudsim"
	"github.com/org/hsnap-action/internal/hetzner"
)

// workload is a project whose servers web-* are to be snapshotted.
type workload struct {
	servers   int
	others    int           // servers of the project that are not selected
	scattered bool          // the others stand between the servers, not behind them
	locked    int           // how many of the servers are locked at first, for 10 s to 10 minutes
	command   string        // of the action that holds a lock; "" for locks that show none
	parallel  int           // snapshots in flight; 0: all at once
	shortest  time.Duration // of a snapshot
	longest   time.Duration
	progress  hcloudsim.ProgressShape
}

// measured is what the simulator knows about a run, in virtual time.
type measured struct {
	asked   []time.Duration // from the end of a server's lock until its create arrives
	noticed []time.Duration // from the end of a snapshot's action until the poll that shows it arrives
	usable  []time.Duration // from that poll, or from when the image is available, until the poll that shows that arrives
	polls   []time.Time     // when they arrived
	beside  int             // requests that are no polls
	limited int             // requests that Hetzner refused because there were too many
	made    int             // snapshots
	took    time.Duration
}

// way is a way to make the snapshots.
type way func(t *testing.T, w *world, load workload)

// byAction is this action's.
func byAction(t *testing.T, w *world, load workload) {
	t.Helper()
	w.inputs["servers"], w.inputs["max-parallel"] = "web-*", fmt.Sprint(cmp.Or(load.parallel, min(load.servers, 100)))
	if r := w.run(t); r.code != 0 {
		t.Fatalf("exit %d\n%s", r.code, r.log)
	}
}

// measure measures one run, in a bubble of its own.
func measure(t *testing.T, load workload, seed uint64, how way) (m measured) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, hcloudsim.Options{Seed: seed})
		w.sample(t)
		checked, seen := w.check, witness{ended: map[int64]time.Time{}, available: map[int64]time.Time{}}
		w.check = func(rt http.RoundTripper) http.RoundTripper {
			seen.next = checked(rt)
			return &seen
		}
		unlocked, delay := load.build(w, seed)
		start := time.Now()
		how(t, w, load)
		m.took = time.Since(start)

		ends := map[int64]time.Time{}
		for _, a := range w.cloud.Actions() {
			if a.Command == "create_image" {
				ends[a.ID] = a.Ends
			}
		}
		m.made = len(ends)
		for _, made := range seen.made {
			noticed, ok := seen.ended[made.action]
			if !ok {
				continue
			}
			m.noticed = append(m.noticed, noticed.Sub(ends[made.action]))
			if usable, ok := seen.available[made.image]; ok {
				possible := ends[made.action].Add(delay[made.path])
				m.usable = append(m.usable, usable.Sub(later(noticed, possible)))
			}
		}
		m.count(w.cloud.History(), load.pages(), unlocked)
	})
	return m
}

// pages is how many pages list the project's servers.
func (load workload) pages() int {
	return (load.servers + load.others + hetzner.PerPage - 1) / hetzner.PerPage
}

// build adds the servers. It returns, by the path of a server's create, when its lock ends and how long after its
// action's end its image becomes available.
func (load workload) build(w *world, seed uint64) (unlocked map[string]time.Time, delay map[string]time.Duration) {
	unlocked, delay = map[string]time.Time{}, map[string]time.Duration{}
	dice := rand.New(rand.NewPCG(seed, 7))
	within := func(low, high time.Duration) time.Duration {
		return low + time.Duration(dice.Int64N(int64(max(high-low, 1))))
	}
	others := 0
	for i := range load.servers {
		behaviour := hcloudsim.SnapshotBehaviour{
			Duration: within(load.shortest, load.longest), AvailableAfter: within(0, 5*time.Second), Progress: load.progress,
		}
		id := w.cloud.AddServer(hcloudsim.Server{Name: fmt.Sprintf("web-%03d", i), Snapshot: behaviour})
		path := fmt.Sprintf("/servers/%d/actions/create_image", id)
		delay[path] = behaviour.AvailableAfter
		if i < load.locked {
			length := within(10*time.Second, 10*time.Minute)
			w.cloud.Lock(id, hcloudsim.Lock{For: length, Command: load.command})
			unlocked[path] = time.Now().Add(length)
		}
		for ; load.scattered && others < (i+1)*load.others/load.servers; others++ {
			w.cloud.AddServer(hcloudsim.Server{Name: fmt.Sprintf("other-%03d", others)})
		}
	}
	for ; others < load.others; others++ {
		w.cloud.AddServer(hcloudsim.Server{Name: fmt.Sprintf("other-%03d", others)})
	}
	return unlocked, delay
}

// count tells the polls from the other requests: the selection, the price list, and the changes that were accepted.
func (m *measured) count(history []hcloudsim.Exchange, pages int, unlocked map[string]time.Time) {
	for _, x := range history {
		if x.Status == http.StatusTooManyRequests {
			m.limited++
		}
		accepted := x.Method != http.MethodGet && x.Status/100 == 2 && x.Fault == ""
		if end, ok := unlocked[x.Path]; ok && accepted {
			m.asked = append(m.asked, x.At.Sub(end))
		}
		switch {
		case accepted, x.Path == "/pricing":
			m.beside++
		case x.Path == "/servers" && pages > 0:
			pages--
			m.beside++
		default:
			m.polls = append(m.polls, x.At)
		}
	}
}

// witness notes when the polls arrived that were the first to show that an action has ended or an image is available.
type witness struct {
	next             http.RoundTripper
	mu               sync.Mutex
	made             []madeWith
	ended, available map[int64]time.Time
}

// madeWith is an accepted create.
type madeWith struct {
	path          string
	action, image int64
}

func (w *witness) RoundTrip(r *http.Request) (*http.Response, error) {
	at := time.Now()
	resp, err := w.next.RoundTrip(r)
	if err != nil || r.Method == http.MethodGet && !strings.HasSuffix(r.URL.Path, "/actions") && !strings.HasSuffix(r.URL.Path, "/images") {
		return resp, err
	}
	text, err := io.ReadAll(resp.Body)
	resp.Body = io.NopCloser(bytes.NewReader(text))
	if r.Method == http.MethodGet && !bytes.Contains(text, []byte(`"success"`)) && !bytes.Contains(text, []byte(`"available"`)) {
		return resp, err // most polls show nothing new
	}
	type resource struct {
		ID     int64
		Status string
	}
	var shown struct {
		Action, Image   resource
		Actions, Images []resource
	}
	if err != nil || json.Unmarshal(text, &shown) != nil {
		return resp, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if shown.Image.ID != 0 {
		w.made = append(w.made, madeWith{strings.TrimPrefix(r.URL.Path, "/v1"), shown.Action.ID, shown.Image.ID})
	}
	note := func(seen map[int64]time.Time, resources []resource, status string) {
		for _, x := range resources {
			if first, ok := seen[x.ID]; x.Status == status && (!ok || at.Before(first)) {
				seen[x.ID] = at
			}
		}
	}
	note(w.ended, shown.Actions, "success")
	note(w.available, shown.Images, "available")
	return resp, nil
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
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

// mostIn returns how many of some times, sorted, lie in the fullest span of this length.
func mostIn(span time.Duration, times []time.Time) (n int) {
	first := 0
	for i := range times {
		for times[i].Sub(times[first]) > span {
			first++
		}
		n = max(n, i-first+1)
	}
	return n
}

// times collects what several runs measured.
type times struct {
	mu                     sync.Mutex
	asked, noticed, usable []time.Duration
}

// measure measures a workload with several seeds, and holds what is promised of every run.
func (all *times) measure(t *testing.T, load workload, seeds uint64) {
	t.Helper()
	for seed := range seeds {
		m := measure(t, load, seed+1, byAction)
		if len(m.noticed) != load.servers || len(m.usable) != load.servers {
			t.Errorf("%+v: the end of %d snapshots was noticed, and that %d can be used", load, len(m.noticed), len(m.usable))
		}
		m.holdBudget(t, load, 0)
		if load.longest <= 20*time.Minute && most(m.noticed) > 12*time.Second {
			t.Errorf("%+v: the end of a snapshot was noticed after %s, promised are 12s at most", load, most(m.noticed))
		}
		if most(m.asked) > 12*time.Second {
			t.Errorf("%+v: a server was asked for its snapshot %s after it had unlocked, promised are 12s at most", load, most(m.asked))
		}
		all.mu.Lock()
		all.asked, all.noticed, all.usable = append(all.asked, m.asked...), append(all.noticed, m.noticed...), append(all.usable, m.usable...)
		all.mu.Unlock()
	}
}

// holdBudget holds the promised number of requests; more is how many there may be beside those of every run.
func (m *measured) holdBudget(t *testing.T, load workload, more int) {
	t.Helper()
	if n := mostIn(time.Minute, m.polls); n > 30 {
		t.Errorf("%+v: %d polls in 60 s, promised are 30 at most", load, n)
	}
	if allowed := load.pages() + load.servers + (load.servers+49)/50 + 4 + more; m.beside > allowed {
		t.Errorf("%+v: %d requests beside the polls, promised are %d at most", load, m.beside, allowed)
	}
}

func holdMedian(t *testing.T, what string, ds []time.Duration, promised time.Duration) {
	t.Helper()
	t.Logf("%s: %s at the median of %d, %s at most", what, median(ds), len(ds), most(ds))
	if len(ds) < 20 || median(ds) > promised {
		t.Errorf("%s: %s at the median of %d, promised are %s", what, median(ds), len(ds), promised)
	}
}

// TestSpeedOfEnds holds how soon the end of a snapshot is noticed, and that it can be used, with one, ten and 25 in
// flight.
func TestSpeedOfEnds(t *testing.T) {
	if raced {
		t.Skip("what is measured in virtual time is no race")
	}
	shapes := map[string]hcloudsim.ProgressShape{"in proportion": hcloudsim.Linear, "stuck": hcloudsim.Stuck, "jumping": hcloudsim.Jumping}
	for _, test := range []struct {
		shortest, longest time.Duration
		promised          time.Duration
		seeds             map[int]uint64 // by the number of servers
	}{
		{4 * time.Second, 14 * time.Second, 3 * time.Second, map[int]uint64{1: 20, 10: 2, 25: 1}},
		{time.Minute, 5 * time.Minute, 3 * time.Second, map[int]uint64{1: 12, 10: 2, 25: 1}},
		{8 * time.Minute, 10 * time.Minute, 3 * time.Second, map[int]uint64{1: 8, 10: 1, 25: 1}},
		{19 * time.Minute, 20 * time.Minute, 12 * time.Second, map[int]uint64{25: 1}},
		{30 * time.Minute, 31 * time.Minute, 18 * time.Second, map[int]uint64{25: 1}},
	} {
		for name, shape := range shapes {
			t.Run(fmt.Sprintf("%s/%s", test.longest, name), func(t *testing.T) {
				t.Parallel()
				var all times
				for servers, seeds := range test.seeds {
					all.measure(t, workload{servers: servers, shortest: test.shortest, longest: test.longest, progress: shape}, seeds)
				}
				holdMedian(t, "from end to noticed", all.noticed, test.promised)
				holdMedian(t, "from noticed to usable", all.usable, 3*time.Second)
			})
		}
	}
}

// TestSpeedOfUnlocking holds how soon a server that unlocks is asked for its snapshot: the most in every project, the
// median over all of them, since that of a single project's few servers says little.
func TestSpeedOfUnlocking(t *testing.T) {
	if raced {
		t.Skip("what is measured in virtual time is no race")
	}
	var all times
	t.Run("projects", func(t *testing.T) { // returns when all of them have been measured
		for i, test := range []struct {
			load  workload
			seeds uint64
		}{
			{workload{servers: 1, locked: 1, command: "change_server_type"}, 9},
			{workload{servers: 10, locked: 10, command: "change_server_type"}, 2},
			{workload{servers: 10, locked: 10}, 2},
			{workload{servers: 25, locked: 25, command: "change_server_type"}, 1},
			{workload{servers: 40, locked: 20, command: "rebuild_server"}, 1},
			{workload{servers: 50, locked: 50, others: 50, command: "change_server_type", parallel: 25}, 1},
		} {
			t.Run("", func(t *testing.T) {
				t.Parallel()
				test.load.shortest, test.load.longest, test.load.progress = time.Minute, 5*time.Minute, hcloudsim.ProgressShape(i%3)
				all.measure(t, test.load, test.seeds)
			})
		}
	})
	holdMedian(t, "from unlocked to asked", all.asked, 3*time.Second)
	holdMedian(t, "from end to noticed", all.noticed, 3*time.Second)
	holdMedian(t, "from noticed to usable", all.usable, 3*time.Second)
}

// Locked servers that stand on two pages take two polls, and share the budget with snapshots whose percentages are stuck: a
// little more than on one page at the median, and never more than is promised.
func TestSpeedOfUnlockingOnTwoPages(t *testing.T) {
	if raced {
		t.Skip("what is measured in virtual time is no race")
	}
	var all times
	all.measure(t, workload{
		servers: 10, locked: 10, others: 50, scattered: true, shortest: time.Minute, longest: 5 * time.Minute, progress: hcloudsim.Stuck,
	}, 3)
	holdMedian(t, "from unlocked to asked", all.asked, 3500*time.Millisecond)
	holdMedian(t, "from end to noticed", all.noticed, 3500*time.Millisecond)
	holdMedian(t, "from noticed to usable", all.usable, 3*time.Second)
}

// TestBudgetInStorms holds the promised number of requests where much goes wrong.
func TestBudgetInStorms(t *testing.T) {
	storm := func(path string, kind hcloudsim.FaultKind, every int) hcloudsim.Fault {
		return hcloudsim.Fault{
			Kind: kind, Method: http.MethodPost, Path: "/servers/*/actions/" + path, Every: every, Status: http.StatusConflict, Code: "conflict", Message: "conflict",
		}
	}
	for name, test := range map[string]struct {
		inputs map[string]string
		storm  []hcloudsim.Fault
		more   int // requests that are promised for each server
	}{
		"creates are refused": {storm: []hcloudsim.Fault{storm("create_image", hcloudsim.ErrorJSON, 2)}},
		"creates are lost and never sent": {storm: []hcloudsim.Fault{
			storm("create_image", hcloudsim.RefuseDial, 3), storm("create_image", hcloudsim.LoseAnswerNever, 4), storm("create_image", hcloudsim.LoseAnswerDone, 5),
		}},
		"the power is refused": {
			inputs: map[string]string{"shutdown": "graceful", "max-unavailable": "8", "settle-time": "0s"},
			storm:  []hcloudsim.Fault{storm("poweron", hcloudsim.ErrorJSON, 2), storm("create_image", hcloudsim.ErrorJSON, 3)},
			more:   6,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			load := workload{servers: 30, shortest: 30 * time.Second, longest: 2 * time.Minute}
			m := measure(t, load, 1, func(t *testing.T, w *world, load workload) {
				for _, fault := range test.storm {
					w.cloud.Inject(fault)
				}
				maps.Copy(w.inputs, test.inputs)
				byAction(t, w, load)
			})
			m.holdBudget(t, load, test.more*load.servers)
		})
	}
}

// TestBudgetWhenRequestsAreFew holds that half as many polls are sent once less than a tenth of the project's requests
// is left.
func TestBudgetWhenRequestsAreFew(t *testing.T) {
	load := workload{servers: 10, locked: 5, shortest: 8 * time.Minute, longest: 9 * time.Minute, progress: hcloudsim.Stuck}
	var few time.Time
	m := measure(t, load, 1, func(t *testing.T, w *world, load workload) {
		few = time.Now().Add(2 * time.Minute)
		w.cloud.At(2*time.Minute, func(c *hcloudsim.Cloud) { c.Spend(3300) })
		for i := range 5 { // somebody else takes what is refilled
			w.cloud.At(time.Duration(3+i)*time.Minute, func(c *hcloudsim.Cloud) { c.Spend(45) })
		}
		byAction(t, w, load)
	})
	var before, after []time.Time
	for _, at := range m.polls {
		switch since := at.Sub(few); {
		case since < 0:
			before = append(before, at)
		case since > 5*time.Second && since < 6*time.Minute: // once an answer has said so
			after = append(after, at)
		}
	}
	if n := mostIn(time.Minute, before); n <= 15 || n > 30 {
		t.Errorf("%d polls in 60 s, promised are 30 at most", n)
	}
	if n := mostIn(time.Minute, after); n < 5 || n > 15 {
		t.Errorf("%d polls in 60 s while requests are few, promised are 15 at most", n)
	}
}
