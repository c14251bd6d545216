package action_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/org/hsnap-action/internal/hcloudsim"
)

var (
	seeds     = flag.Int("seeds", 200, "how many seeds TestSimulation runs")
	firstSeed = flag.Uint64("seed", 1, "the first seed that TestSimulation runs")
)

// plan is what one seed decides.
type plan struct {
	seed            uint64
	lockTimeout     time.Duration
	snapshotTimeout time.Duration
	wait            bool
	cancelAfter     time.Duration // 0: never
	servers         int
	failing         map[int64]bool // servers whose snapshots can fail after they were accepted
	shutdown        string
	keep            int // keep-last; 0: nothing may be deleted
	old             map[int64]hcloudsim.Image
	taken           map[int64]bool // images that another actor deletes
	running         map[int64]bool // servers that ran at first, and that nobody else switches off or deletes
}

// build makes a world from a seed: a project, inputs, weather, other actors, and perhaps a cancel.
func build(t *testing.T, seed uint64) (*world, plan) {
	t.Helper()
	dice := rand.New(rand.NewPCG(seed, 0x5eed))
	within := func(low, high time.Duration) time.Duration {
		return low + time.Duration(dice.Int64N(int64(high-low)))
	}
	p := plan{
		seed: seed, failing: map[int64]bool{}, running: map[int64]bool{},
		old: map[int64]hcloudsim.Image{}, taken: map[int64]bool{}, shutdown: "never", servers: 1 + dice.IntN(6), wait: dice.IntN(5) > 0,
		lockTimeout:     within(20*time.Second, 10*time.Minute).Round(time.Second),
		snapshotTimeout: within(90*time.Second, 10*time.Minute).Round(time.Second),
	}
	if dice.IntN(66) == 0 {
		p.servers = 55 + dice.IntN(30) // more than a page
	}
	if p.wait && dice.IntN(5) < 2 && p.servers < 10 {
		p.shutdown = []string{"graceful", "force"}[dice.IntN(2)]
	}
	// Storms come and go between seeds: most are mild, so that runs also get somewhere.
	onCreate, onLook := [...]int{0, 5, 30, 60}[dice.IntN(4)], [...]int{0, 2, 10, 40}[dice.IntN(4)]
	w := newWorld(t, hcloudsim.Options{
		Seed: seed, MinLatency: 10 * time.Millisecond, MaxLatency: within(20*time.Millisecond, 3*time.Second),
		SnapshotLimit: []int{0, 0, 0, 3 + dice.IntN(10)}[dice.IntN(4)],
		Corrupt: func(r *http.Request, dice *rand.Rand) *hcloudsim.Fault {
			percent := onLook
			if r.Method != http.MethodGet {
				percent = onCreate
			}
			if dice.IntN(100) >= percent {
				return nil
			}
			return weather(r.Method, dice)
		},
	})
	if seed%8 != 0 { // checking replies takes most of the time; a sample does
		w.check = func(rt http.RoundTripper) http.RoundTripper { return rt }
	}
	for i := range p.servers {
		behaviour := hcloudsim.SnapshotBehaviour{
			Duration: within(5*time.Second, 2*time.Minute), AvailableAfter: within(0, 20*time.Second),
			LockFor:  []time.Duration{0, -1, 10 * time.Second}[dice.IntN(3)],
			Progress: hcloudsim.ProgressShape(dice.IntN(3)),
		}
		switch dice.IntN(12) {
		case 0:
			behaviour.FailCode, behaviour.FailMessage, behaviour.FailTimes = "action_failed", "Action failed", dice.IntN(2)
		case 1:
			behaviour.FailCode, behaviour.FailMessage, behaviour.FailTimes = "unknown_error", "server is locked", 1
			behaviour.FailAfter, behaviour.VanishAfter = within(0, 9*time.Second)+1, within(0, 9*time.Second)
		case 2:
			behaviour.NeverAvailable = true
		}
		guest := hcloudsim.PowerBehaviour{
			ShutdownAfter: within(time.Second, 40*time.Second), PowerOnAfter: within(time.Second, 50*time.Second),
			PowerOffAfter: within(time.Second, 10*time.Second), LockAfter: []time.Duration{0, 0, 30 * time.Second}[dice.IntN(3)],
		}
		switch dice.IntN(8) {
		case 0:
			guest.ShutdownAfter = -1 // never
		case 1:
			guest.ShutdownAfter = within(40*time.Second, 2*time.Minute) // perhaps late
		}
		switch dice.IntN(12) {
		case 0:
			guest.PowerOnFails = -1
		case 1:
			guest.PowerOnFails = 1
		}
		status := []string{"running", "running", "running", "off"}[dice.IntN(4)]
		id := w.cloud.AddServer(hcloudsim.Server{
			Name: fmt.Sprintf("web-%d", i), Status: status, Labels: map[string]string{"env": "prod"}, Snapshot: behaviour, Power: guest,
		})
		p.failing[id] = behaviour.FailCode != ""
		p.running[id] = status == "running"
		switch dice.IntN(20) {
		case 0:
			p.running[id] = false
			w.cloud.At(within(0, 3*time.Minute), func(c *hcloudsim.Cloud) { c.SwitchOff(id) })
		case 1:
			w.cloud.At(within(0, 3*time.Minute), func(c *hcloudsim.Cloud) { c.SwitchOn(id) })
		}
		for range dice.IntN(3) {
			w.cloud.Lock(id, hcloudsim.Lock{
				From: within(0, time.Minute), For: within(time.Second, 4*time.Minute), Lag: within(0, 5*time.Second),
				Command: []string{"", "change_server_type", "apply_firewall"}[dice.IntN(3)],
				Hidden:  dice.IntN(4) == 0, AfterLooks: dice.IntN(3),
			})
		}
		if dice.IntN(15) == 0 {
			p.running[id] = false
			w.cloud.At(within(0, 2*time.Minute), func(c *hcloudsim.Cloud) { c.DeleteServer(id) })
		}
	}
	if p.wait && dice.IntN(2) == 0 {
		p.keep = 1 + dice.IntN(3)
	}
	history(w, &p, dice)
	if dice.IntN(25) == 0 {
		w.cloud.At(within(0, 2*time.Minute), func(c *hcloudsim.Cloud) { c.Revoke() })
	}
	if dice.IntN(3) == 0 {
		p.cancelAfter = within(0, 4*time.Minute)
		w.signals = []signalAt{{p.cancelAfter, syscall.SIGINT}}
	}
	w.inputs = map[string]string{
		"servers": "web-*", "wait": strconv.FormatBool(p.wait), "max-parallel": strconv.Itoa(1 + dice.IntN(8)),
		"lock-timeout": p.lockTimeout.String(), "snapshot-timeout": p.snapshotTimeout.String(),
		"if-locked": []string{"wait", "wait", "wait", "skip", "fail"}[dice.IntN(5)],
	}
	if p.keep > 0 {
		w.inputs["series"], w.inputs["keep-last"] = "nightly", strconv.Itoa(p.keep)
	}
	if p.shutdown != "never" {
		w.inputs["shutdown"] = p.shutdown
		w.inputs["shutdown-timeout"] = within(10*time.Second, time.Minute).Round(time.Second).String()
		w.inputs["max-unavailable"] = strconv.Itoa(1 + dice.IntN(3))
		w.inputs["settle-time"] = []string{"0s", "10s"}[dice.IntN(2)]
	}
	if p.wait && dice.IntN(4) == 0 {
		w.inputs["protect"] = "true"
	}
	if dice.IntN(4) == 0 {
		delete(w.inputs, "servers")
		w.inputs["label-selector"] = "env=prod"
	}
	return w, p
}

// history gives the project old snapshots: ours, of other series, of other attempts, protected ones, and strangers'.
func history(w *world, p *plan, dice *rand.Rand) {
	for _, server := range w.cloud.Servers() {
		for i := range dice.IntN(6) {
			image := hcloudsim.Image{
				ServerID: server.ID, SizeGB: 2.5, Protected: dice.IntN(8) == 0,
				Created: time.Now().Add(-time.Duration(1+dice.IntN(300*24)) * time.Hour / 2),
				Labels: map[string]string{
					"hsnap/series": "nightly", "hsnap/server-id": strconv.FormatInt(server.ID, 10), "hsnap/run": fmt.Sprintf("%d-1", i),
				},
			}
			switch dice.IntN(10) {
			case 0:
				image.Labels["hsnap/series"] = "pre-deploy"
			case 1:
				image.Labels["hsnap/run"] = "8123456789-9"
			case 2:
				image.Labels = map[string]string{"by": "hand"}
			case 3:
				image.ServerID = 0 // created_from is null
			case 4:
				image.ServerID = 4711 // labelled as ours by somebody who copied the labels
			case 5:
				image.Status = "creating"
			}
			id := w.cloud.AddImage(image)
			p.old[id] = image
			after := time.Duration(dice.Int64N(int64(3 * time.Minute)))
			if dice.IntN(20) == 0 {
				p.taken[id] = true
				w.cloud.At(after, func(c *hcloudsim.Cloud) { c.DeleteImage(id) })
			}
		}
	}
}

// weather is one thing that goes wrong with a request.
func weather(method string, dice *rand.Rand) *hcloudsim.Fault {
	kinds := []hcloudsim.FaultKind{
		hcloudsim.DropConnection, hcloudsim.RefuseDial, hcloudsim.HTML502, hcloudsim.ErrorJSON, hcloudsim.EmptyObject,
		hcloudsim.CutBody, hcloudsim.Garbled, hcloudsim.RateLimited, hcloudsim.Slow, hcloudsim.Hang, hcloudsim.Redirect307,
	}
	if method != http.MethodGet {
		kinds = append(kinds, hcloudsim.LoseAnswerDone, hcloudsim.LoseAnswerLate, hcloudsim.LoseAnswerNever,
			hcloudsim.LoseAnswerDone, hcloudsim.LoseAnswerLate)
	} else {
		kinds = append(kinds, hcloudsim.NoPagination, hcloudsim.ShiftedPage)
	}
	return &hcloudsim.Fault{
		Kind: kinds[dice.IntN(len(kinds))], Delay: time.Duration(dice.Int64N(int64(50 * time.Second))),
		Status: []int{500, 503, 504}[dice.IntN(3)], Code: "server_error", Message: "a message",
		Shift: []int{-1, 1}[dice.IntN(2)],
	}
}

func TestSimulation(t *testing.T) {
	for i := range uint64(*seeds) {
		seed := *firstSeed + i
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w, p := build(t, seed)
				r := w.run(t)
				// A create that was lost may take effect after the end of the run.
				time.Sleep(2 * time.Minute)
				judge(t, w, p, r)
				if t.Failed() {
					t.Logf("replay: go test ./internal/action -run 'TestSimulation' -seeds 1 -seed %d -v\nplan %+v, inputs %v\nexit %d after %s\n%s\n%s",
						seed, p, w.inputs, r.code, r.took, r.log, w.history())
				}
			})
		})
	}
}

// judge holds the simulator's truth against what the program promises and says.
func judge(t *testing.T, w *world, p plan, r ran) {
	t.Helper()
	made := map[int64][]hcloudsim.Image{} // by server
	for _, image := range w.cloud.Images() {
		if image.Labels["hsnap/run"] == "8123456789-1" && p.old[image.ID].Labels == nil {
			made[image.ServerID] = append(made[image.ServerID], image)
		}
	}
	for id, images := range made {
		if len(images) > 1 {
			t.Errorf("server %d has %d snapshots of this run: %v", id, len(images), images)
		}
	}

	var usable, failed, skipped, cancelled int
	known := map[int64]bool{}
	for _, s := range r.snapshots(t) {
		if s.ImageID != nil {
			known[*s.ImageID] = true
		}
		if s.Reason == "power_on_failed" && strings.Contains(s.Message, "can be used") {
			usable++
		}
		switch s.Status {
		case "available", "creating":
			usable++
			switch {
			case s.ServerID == nil || s.ImageID == nil:
				t.Errorf("%s is reported %s without its IDs", s.Name, s.Status)
			case s.Status == "creating" && p.failing[*s.ServerID] && len(made[*s.ServerID]) == 0:
				// it failed after the run that did not wait for it
			case len(made[*s.ServerID]) != 1 || made[*s.ServerID][0].ID != *s.ImageID:
				t.Errorf("%s is reported %s with image %v; made: %v", s.Name, s.Status, s.ImageID, made)
			case s.Status == "available" && made[*s.ServerID][0].Status != "available":
				t.Errorf("%s is reported available, its image is %s", s.Name, made[*s.ServerID][0].Status)
			}
		case "failed":
			failed++
		case "skipped":
			skipped++
		case "cancelled":
			cancelled++
		default:
			t.Errorf("%s has the status %q", s.Name, s.Status)
		}
		if (s.Reason == "") != (s.Status == "available" || s.Status == "creating") {
			t.Errorf("%s is %s with the reason %q", s.Name, s.Status, s.Reason)
		}
		if s.ServerID != nil && strings.Contains(s.Message, "may still appear") {
			for _, image := range made[*s.ServerID] {
				known[image.ID] = true // the report says that it may appear, and by which label it is found
				if !strings.Contains(s.Message, image.Labels["hsnap/request"]) {
					t.Errorf("%s: the message names another request than image %d carries: %s", s.Name, image.ID, s.Message)
				}
			}
		}
	}
	for _, images := range made {
		for _, image := range images {
			if !known[image.ID] {
				t.Errorf("image %d of server %d is in no output", image.ID, image.ServerID)
			}
		}
	}

	want, code := "success", 0
	switch {
	case cancelled > 0 || r.code == 130:
		want, code = "cancelled", 130
	case strings.Contains(r.log, "refused the API token"), strings.Contains(r.log, "could not be used:"):
		want, code = "failure", 3
		if usable > 0 {
			want = "partial"
		}
	case strings.Contains(r.log, "no server is left to snapshot"):
		want, code = "failure", 2
	case failed > 0 && usable == 0:
		want, code = "failure", 1
	case failed > 0:
		want, code = "partial", 1
	case usable == 0:
		want, code = "skipped", 0
	}
	if r.outputs["result"] != want || r.code != code {
		t.Errorf("result %q, exit %d; want %q, %d", r.outputs["result"], r.code, want, code)
	}
	for name, n := range map[string]int{"created-count": usable, "failed-count": failed, "skipped-count": skipped} {
		if r.outputs[name] != strconv.Itoa(n) {
			t.Errorf("%s is %s, want %d", name, r.outputs[name], n)
		}
	}
	if code == 130 && r.took > p.cancelAfter+5*time.Second {
		t.Errorf("ended %s after the cancel, more than 5s", r.took-p.cancelAfter)
	}
	// Each server may wait for the ones before it.
	perServer := 2*p.lockTimeout + p.snapshotTimeout + 25*time.Minute
	if r.took > p.lockTimeout+time.Duration(p.servers)*perServer {
		t.Errorf("the run took %s", r.took)
	}
	judgePower(t, w, p, r)
	judgeDeletions(t, w, p, r)
	judgeLooks(t, w, r)
	hidesToken(t, r)
}

// judgeDeletions fails where an image is gone that had to stay, or where the report differs from the truth.
func judgeDeletions(t *testing.T, w *world, p plan, r ran) {
	t.Helper()
	stays := map[int64]bool{}
	usable := map[int64]int{} // available snapshots of ours in this series, by server
	for _, image := range w.cloud.Images() {
		stays[image.ID] = true
		if image.Status == "available" && !image.Protected && image.Labels["hsnap/series"] == "nightly" {
			usable[image.ServerID]++
		}
	}
	var told []int64
	decode(t, r.outputs["deleted-image-ids"], &told)
	for _, id := range told {
		if stays[id] {
			t.Errorf("image %d is said to be deleted, and is there", id)
		}
	}
	fresh := map[int64]bool{}
	for _, s := range r.snapshots(t) {
		if s.ServerID != nil && s.ImageID != nil && (s.Status == "available" || s.Reason == "power_on_failed") {
			fresh[*s.ServerID] = true
		}
	}
	full := strings.Contains(w.history(), " 403 ") // the one exception: room had to be made
	for id, image := range p.old {
		if stays[id] || p.taken[id] {
			continue
		}
		own := image.Labels["hsnap/series"] == "nightly" && image.Labels["hsnap/server-id"] == strconv.FormatInt(image.ServerID, 10)
		switch {
		case p.keep == 0:
			t.Errorf("image %d is gone, and no rule was given", id)
		case !own, image.Protected, image.Status == "creating", strings.HasPrefix(image.Labels["hsnap/run"], "8123456789-"):
			t.Errorf("image %d is gone, which was none to thin out: %+v", id, image)
		case !fresh[image.ServerID] && !full:
			t.Errorf("image %d of server %d is gone, and the server has no new snapshot", id, image.ServerID)
		case usable[image.ServerID] == 0 && !takenOf(p, image.ServerID):
			t.Errorf("image %d is gone, and server %d has none left", id, image.ServerID)
		case !slices.Contains(told, id) && r.code != 130 && r.code != 3 && !strings.Contains(r.log, "no complete list") &&
			!strings.Contains(r.log, fmt.Sprintf("image %d could not be deleted", id)): // its answers were lost
			t.Errorf("image %d is gone, and the report does not say so", id)
		}
		for other, kept := range p.old { // the rule is keep-last: nothing older may stay in place of it
			if kept.ServerID == image.ServerID && stays[other] && kept.Labels["hsnap/series"] == "nightly" && !kept.Protected &&
				kept.Status != "creating" && kept.Labels["hsnap/server-id"] == image.Labels["hsnap/server-id"] &&
				!strings.HasPrefix(kept.Labels["hsnap/run"], "8123456789-") && kept.Created.Before(image.Created) && r.code == 0 &&
				!strings.Contains(r.log, "could not be deleted") {
				t.Errorf("image %d of %s is gone, and %d of %s stays", id, image.Created, other, kept.Created)
			}
		}
	}
}

// takenOf reports whether another actor deletes snapshots of a server.
func takenOf(p plan, server int64) bool {
	for id := range p.taken {
		if p.old[id].ServerID == server {
			return true
		}
	}
	return false
}

// judgePower fails where a server that ran is off and the report does not shout.
func judgePower(t *testing.T, w *world, p plan, r ran) {
	t.Helper()
	var left []string
	decode(t, r.outputs["servers-left-off"], &left)
	warned := map[string]bool{}
	for _, s := range r.snapshots(t) {
		warned[s.Name] = s.Reason == "shutdown_timeout" // the guest may go down later: the message says so
	}
	for _, s := range w.cloud.Servers() {
		off := s.Status != "running" && s.Status != "starting"
		switch {
		case p.running[s.ID] && off && !slices.Contains(left, s.Name) && !warned[s.Name]:
			t.Errorf("%s ran, is %s after %v, and the report does not say so", s.Name, s.Status, s.Commands)
		case p.shutdown == "never" && len(s.Commands) > 0:
			t.Errorf("%s was sent %v", s.Name, s.Commands)
		case slices.Contains(left, s.Name) && len(s.Commands) == 0 && !strings.Contains(w.history(), "/actions/shutdown"):
			t.Errorf("%s is said to be left off and was never touched", s.Name)
		}
	}
	if len(left) > 0 && r.code == 0 {
		t.Errorf("%v are left off, and the run succeeds", left)
	}
	if p.shutdown == "graceful" && strings.Contains(w.history(), "/actions/poweroff") {
		t.Error("a graceful run has cut the power")
	}
}

// judgeLooks holds the requests against the budget: at most 30 looks in any 60 s after the selection.
func judgeLooks(t *testing.T, w *world, r ran) {
	t.Helper()
	var looks []time.Time
	for _, x := range w.cloud.History() {
		switch {
		case r.selected.IsZero() || x.At.Before(r.selected):
		case x.Method == http.MethodGet,
			// a refusal, or a create that never arrived
			x.Method == http.MethodPost && !strings.Contains(x.Path, "change_protection") && (x.Status == 423 || x.Status == 429 || x.Fault == hcloudsim.RefuseDial.String()):
			looks = append(looks, x.At)
		}
	}
	for i := range looks {
		if i >= 30 && looks[i].Sub(looks[i-30]) <= time.Minute {
			t.Errorf("31 looks within %s", looks[i].Sub(looks[i-30]))
			return
		}
	}
}

// hidesToken fails where six characters in a row of the token are shown, other than to tell GitHub what to hide.
func hidesToken(t *testing.T, r ran) {
	t.Helper()
	log := strings.ReplaceAll(r.log, "::add-mask::"+hcloudsim.DefaultToken+"\n", "")
	for _, text := range []string{log, r.summary, fmt.Sprint(r.outputs)} {
		for i := range len(hcloudsim.DefaultToken) - 5 {
			if strings.Contains(text, hcloudsim.DefaultToken[i:i+6]) {
				t.Errorf("the token is shown in part: %q", hcloudsim.DefaultToken[i:i+6])
				return
			}
		}
	}
}

// The same seed gives the same run, to the nanosecond, however many processors there are.
func TestDeterminism(t *testing.T) {
	history := func(seed uint64) (lines []string) {
		synctest.Test(t, func(t *testing.T) {
			w, _ := build(t, seed)
			r := w.run(t)
			for _, x := range w.cloud.History() {
				lines = append(lines, fmt.Sprintf("%d %s %s?%s %d %s %s %s", x.At.UnixNano(), x.Method, x.Path, x.Query, x.Status, x.Fault, x.CorrelationID, x.Body))
			}
			lines = append(lines, strings.Split(r.log, "\n")...)
		})
		return lines
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	for _, seed := range []uint64{3, 7, 11, 19} {
		var first []string
		for _, processors := range []int{1, 2, 4} {
			runtime.GOMAXPROCS(processors)
			got := history(seed)
			if first == nil {
				first = got
			}
			if diff := cmp.Diff(first, got); diff != "" {
				t.Fatalf("seed %d differs with %d processors (-1 +%d):\n%s", seed, processors, processors, diff)
			}
		}
		if !slices.ContainsFunc(first, func(line string) bool { return strings.Contains(line, "create_image") }) {
			t.Errorf("seed %d asks for no snapshot: it proves nothing", seed)
		}
	}
}
