package action_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/org/hsnap-action/internal/hcloudsim"
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
	taken           map[int64]bool          // images that another actor deletes
	shielded        map[int64]bool          // images that another actor protects
	running         map[int64]bool          // servers that ran at first, and that nobody else switches off or deletes
	guest           map[int64]time.Duration // how long each guest takes to shut down, negative for never
	stopTimeout     time.Duration
	settle          time.Duration
	maxUnavailable  int
	maxParallel     int
	leftBefore      map[int64]bool // servers that an earlier run has left off, and that say so by a label
	run             string         // the label of this attempt
	dry             bool
}

// mercy makes a seed's world simpler, to find out how little it takes to fail.
type mercy struct {
	servers int  // at most so many; 0: as many as the seed says
	calm    bool // no weather
	alone   bool // no other actors and no locks
	young   bool // no old snapshots
	patient bool // no cancel
	plain   bool // without what worlds have got since some seeds had failed: those stay as they were
}

// build makes a world from a seed: a project, inputs, weather, other actors, and perhaps a cancel.
func build(t *testing.T, seed uint64, mercy mercy) (*world, plan) {
	t.Helper()
	dice := rand.New(rand.NewPCG(seed, 0x5eed))
	within := func(low, high time.Duration) time.Duration {
		return low + time.Duration(dice.Int64N(int64(high-low)))
	}
	p := plan{
		seed: seed, guest: map[int64]time.Duration{}, failing: map[int64]bool{}, running: map[int64]bool{},
		leftBefore: map[int64]bool{}, old: map[int64]hcloudsim.Image{}, taken: map[int64]bool{}, shielded: map[int64]bool{}, shutdown: "never", servers: 1 + dice.IntN(6), wait: dice.IntN(5) > 0,
		lockTimeout:     within(20*time.Second, 10*time.Minute).Round(time.Second),
		snapshotTimeout: within(90*time.Second, 10*time.Minute).Round(time.Second),
	}
	if dice.IntN(66) == 0 {
		p.servers = 55 + dice.IntN(66) // more than a page
	}
	if p.wait && dice.IntN(5) < 2 && p.servers < 10 {
		p.shutdown = []string{"graceful", "force"}[dice.IntN(2)]
	}
	// Storms come and go between seeds: most are mild, so that runs also get somewhere.
	onCreate, onPoll := [...]int{0, 5, 30, 60}[dice.IntN(4)], [...]int{0, 2, 10, 40}[dice.IntN(4)]
	w := newWorld(t, hcloudsim.Options{
		Seed: seed, MinLatency: 10 * time.Millisecond, MaxLatency: within(20*time.Millisecond, 3*time.Second),
		SnapshotLimit: []int{0, 0, 0, 3 + dice.IntN(10)}[dice.IntN(4)],
		Corrupt: func(r *http.Request, dice *rand.Rand) *hcloudsim.Fault {
			percent := onPoll
			if mercy.calm {
				return nil
			}
			if r.Method != http.MethodGet {
				percent = onCreate
			}
			switch {
			case dice.IntN(100) < percent:
				return weather(r.Method, dice)
			case mercy.plain:
				return nil
			}
			return oddity(r, percent, dice)
		},
	})
	if !mercy.plain {
		w.breaks = 2
	}
	if seed%8 != 0 { // checking replies takes most of the time; a sample does
		w.check = func(rt http.RoundTripper) http.RoundTripper { return rt }
	}
	at := func(after time.Duration, act func(*hcloudsim.Cloud)) {
		if !mercy.alone {
			w.cloud.At(after, act)
		}
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
		var volumes []int64
		if dice.IntN(6) == 0 {
			volumes = []int64{4711 + int64(i)}
		}
		status := []string{"running", "running", "running", "off"}[dice.IntN(4)]
		id := w.cloud.AddServer(hcloudsim.Server{
			Name: fmt.Sprintf("web-%d%s", i, []string{"", "", ".example.com", "--x"}[dice.IntN(4)]), Status: status, Volumes: volumes, Labels: map[string]string{"env": "prod"}, Snapshot: behaviour, Power: guest,
		})
		p.failing[id] = behaviour.FailCode != ""
		p.running[id] = status == "running"
		p.guest[id] = guest.ShutdownAfter
		switch dice.IntN(20) {
		case 0:
			p.running[id] = false
			at(within(0, 3*time.Minute), func(c *hcloudsim.Cloud) { c.SwitchOff(id) })
		case 1:
			at(within(0, 3*time.Minute), func(c *hcloudsim.Cloud) { c.SwitchOn(id) })
		}
		for range dice.IntN(3) {
			lock := hcloudsim.Lock{
				From: within(0, time.Minute), For: within(time.Second, 4*time.Minute), Lag: within(0, 5*time.Second),
				Command: []string{"", "change_server_type", "apply_firewall"}[dice.IntN(3)],
				Hidden:  dice.IntN(4) == 0, AfterPolls: dice.IntN(3),
			}
			if !mercy.alone {
				w.cloud.Lock(id, lock)
			}
		}
		if dice.IntN(15) == 0 {
			p.running[id] = false
			at(within(0, 2*time.Minute), func(c *hcloudsim.Cloud) { c.DeleteServer(id) })
		}
	}
	if p.wait && dice.IntN(2) == 0 {
		p.keep = 1 + dice.IntN(3)
	}
	attempt := 1 + dice.IntN(2)
	p.run = fmt.Sprintf("8123456789-%d", attempt)
	w.env["GITHUB_RUN_ATTEMPT"] = strconv.Itoa(attempt)
	history(w, &p, dice, at)
	if !mercy.plain {
		recent(w, &p, rand.New(rand.NewPCG(seed, 0x1a7e)))
	}
	if mercy.young {
		for id := range p.old {
			w.cloud.DeleteImage(id)
			delete(p.old, id)
		}
		clear(p.leftBefore)
	}
	if mercy.servers > 0 {
		for i, s := range w.cloud.Servers() {
			if i >= mercy.servers {
				w.cloud.DeleteServer(s.ID)
			}
		}
	}
	switch dice.IntN(40) {
	case 0:
		w.cloud.Spend(3400) // a Terraform run has nearly used the limit up
	case 1:
		outage := hcloudsim.Fault{
			Kind: hcloudsim.ErrorJSON, Status: 503, Code: "unavailable", Message: "unavailable", From: within(0, time.Minute), For: time.Hour,
		}
		if !mercy.calm {
			w.cloud.Inject(outage)
		}
	}
	if dice.IntN(25) == 0 {
		at(within(0, 2*time.Minute), func(c *hcloudsim.Cloud) { c.Revoke() })
	}
	if dice.IntN(3) == 0 {
		p.cancelAfter = within(0, 4*time.Minute)
		if mercy.patient {
			p.cancelAfter = 0
		} else {
			w.signals = []signalAt{{p.cancelAfter, syscall.SIGINT}}
		}
	}
	p.maxParallel = 1 + dice.IntN(8)
	w.inputs = map[string]string{
		"servers": "web-*", "wait": strconv.FormatBool(p.wait), "max-parallel": strconv.Itoa(p.maxParallel),
		"lock-timeout": p.lockTimeout.String(), "snapshot-timeout": p.snapshotTimeout.String(),
		"if-locked":           []string{"wait", "wait", "wait", "skip", "fail"}[dice.IntN(5)],
		"if-volumes-attached": []string{"warn", "warn", "ignore", "fail"}[dice.IntN(4)],
		"on-rerun":            []string{"snapshot", "reuse"}[dice.IntN(2)],
		"copy-server-labels":  []string{"true", "false"}[dice.IntN(2)],
	}
	if dice.IntN(20) == 0 {
		p.dry = true
		w.inputs["dry-run"] = "true"
	}
	if p.keep > 0 {
		w.inputs["series"], w.inputs["keep-last"] = "nightly", strconv.Itoa(p.keep)
	}
	if p.shutdown != "never" {
		w.inputs["shutdown"] = p.shutdown
		p.stopTimeout = within(10*time.Second, time.Minute).Round(time.Second)
		w.inputs["shutdown-timeout"] = p.stopTimeout.String()
		p.maxUnavailable = 1 + dice.IntN(3)
		w.inputs["max-unavailable"] = strconv.Itoa(p.maxUnavailable)
		p.settle = []time.Duration{0, 10 * time.Second}[dice.IntN(2)]
		w.inputs["settle-time"] = p.settle.String()
		w.watchPower()
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
func history(w *world, p *plan, dice *rand.Rand, at func(time.Duration, func(*hcloudsim.Cloud))) {
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
			switch dice.IntN(20) {
			case 0:
				p.taken[id] = true
				at(after, func(c *hcloudsim.Cloud) { c.DeleteImage(id) })
			case 1:
				p.shielded[id] = true
				at(after, func(c *hcloudsim.Cloud) { c.ProtectImage(id) })
			case 2: // somebody else makes snapshots too, and fills the project
				at(after, func(c *hcloudsim.Cloud) {
					c.AddImage(hcloudsim.Image{SizeGB: 1, Labels: map[string]string{"by": "hand"}})
				})
			}
		}
	}
}

// recent gives the project what other runs have just made of the same servers: snapshots that are younger than an hour, one
// whose label names another server than Hetzner does, and one that says that an earlier run has left its server off.
func recent(w *world, p *plan, dice *rand.Rand) {
	for _, server := range w.cloud.Servers() {
		labels := func(id int64) map[string]string {
			return map[string]string{"hsnap/series": "nightly", "hsnap/server-id": strconv.FormatInt(id, 10), "hsnap/run": "77-1"}
		}
		add := func(image hcloudsim.Image) {
			image.ServerID, image.SizeGB = server.ID, 2.5
			image.Created = image.Created.Truncate(time.Second)
			p.old[w.cloud.AddImage(image)] = image
		}
		for range max(dice.IntN(5)-2, 0) {
			add(hcloudsim.Image{Labels: labels(server.ID), Created: time.Now().Add(-time.Duration(dice.Int64N(int64(50 * time.Minute))))})
		}
		if dice.IntN(5) == 0 {
			add(hcloudsim.Image{Labels: labels(server.ID + 1), Created: time.Now().Add(-time.Duration(2+dice.IntN(1000)) * time.Hour)})
		}
		if dice.IntN(3) == 0 && server.Status == "off" && p.shutdown != "never" {
			image := hcloudsim.Image{Labels: labels(server.ID), Created: time.Now().Add(-100 * time.Minute)}
			image.Labels["hsnap/power"] = "pending"
			add(image)
			p.leftBefore[server.ID] = true
		}
	}
}

// oddity is one thing that Hetzner answers now and then, and that is no breakdown; mostly none.
func oddity(r *http.Request, percent int, dice *rand.Rand) *hcloudsim.Fault {
	if dice.IntN(100) >= percent/2 {
		return nil
	}
	refusals := []hcloudsim.Fault{
		{Status: http.StatusConflict, Code: "conflict"}, {Status: http.StatusPreconditionFailed, Code: "resource_unavailable"},
		{Status: http.StatusForbidden, Code: "maintenance"}, {Status: http.StatusUnprocessableEntity, Code: "service_error"},
		{Status: http.StatusLocked, Code: "locked"},
	}
	refusal := refusals[dice.IntN(len(refusals))]
	refusal.Kind, refusal.Message = hcloudsim.ErrorJSON, "a message"
	switch path := strings.TrimPrefix(r.URL.Path, "/v1"); {
	case r.Method == http.MethodGet && path == "/actions":
		return &hcloudsim.Fault{Kind: hcloudsim.ForgetActions}
	case r.Method == http.MethodGet && (path == "/images" || path == "/servers"):
		return &hcloudsim.Fault{Kind: hcloudsim.UnknownTotal}
	case r.Method == http.MethodGet:
		return nil
	case strings.HasSuffix(path, "/create_image") && dice.IntN(3) == 0:
		return &hcloudsim.Fault{Kind: hcloudsim.WrongImageID}
	}
	return &refusal
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
