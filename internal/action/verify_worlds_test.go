package action_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/org/hsnap-action/internal/hcloudsim"
)

// proving is a world for verify, and the truth about it, which is known because the world was built that way.
type proving struct {
	hosts    map[string]*provedHost // those that are asked about
	missing  []string               // names that are asked about and do not exist
	fates    map[int64]fate         // what becomes of an image's copies
	old      map[int64]hcloudsim.Image
	kept     map[int64]string // servers that no run may touch: name
	left     map[int64]string // copies that earlier runs have left behind: name
	firewall string           // its name, as the contract has it
	differs  bool             // it was there, with other rules

	prove          string
	port           int
	allow          []string // that the port is open to
	create, boot   time.Duration
	parallel, most int
	within         time.Duration
	maxCost        float64
	kind           string // the input server-type
	byImage        bool
	dry, warn      bool
	noDate         bool
	weather        bool           // requests go wrong
	scarce         bool           // there are few servers, addresses or requests to be had
	meddled        map[int64]bool // copies that somebody has changed or deleted
	soldOut        bool           // there is no cx23 in fsn1
	cancelAfter    time.Duration  // 0: never
	grace          time.Duration  // that a cancelled run has
}

// provedHost is a server that is asked about.
type provedHost struct {
	id             int64
	kind, location string
	choice         string // of the input images: an image's ID, latest or latest-verified
	images         []int64
}

// fate is what becomes of the copies of an image.
type fate int

const (
	boots     fate = iota // and listens on every port that may be asked for
	unheard               // it runs, and nothing listens
	swallows              // it runs, and drops what comes
	tooLate               // it listens after boot-timeout
	otherLine             // it listens, and says something else than an SSH server does
	neverRuns
	breaks // its creation fails
	lags   // its creation takes longer than create-timeout
	bare   // its firewall is never applied
)

// fated returns what copies with a fate do.
func (p *proving) fated(f fate, dice *rand.Rand) *hcloudsim.CopyBehaviour {
	within := func(low, high time.Duration) time.Duration { return low + time.Duration(dice.Int64N(int64(high-low))) }
	b := &hcloudsim.CopyBehaviour{
		Duration: within(2*time.Second, p.create/2), Progress: hcloudsim.ProgressShape(dice.IntN(3)),
		LockFor: []time.Duration{0, 0, -1, 10 * time.Second}[dice.IntN(4)], FirewallAfter: within(1, 20*time.Second),
		Power:    hcloudsim.PowerBehaviour{PowerOnAfter: within(time.Second, 10*time.Second)},
		Deletion: hcloudsim.DeletionBehaviour{After: []time.Duration{0, within(0, 20*time.Second)}[dice.IntN(2)], FailTimes: []int{0, 0, 0, 0, 1, -1}[dice.IntN(6)], IPsStay: []time.Duration{0, 0, 0, 20 * time.Second, -1}[dice.IntN(5)]},
		Guest:    hcloudsim.Guest{BootAfter: within(0, p.boot/2), Drops: dice.IntN(2) == 0},
	}
	line := "SSH-2.0-OpenSSH_9.6\r\n"
	switch f {
	case swallows:
		b.Guest.Drops = true
	case tooLate:
		b.Guest.BootAfter = p.boot + 5*time.Minute
	case otherLine:
		line = "220 mail.example ESMTP\r\n"
	case neverRuns:
		b.Power.PowerOnEndsIn = []string{"off", "starting"}[dice.IntN(2)]
	case breaks:
		b.FailCode, b.FailMessage = "action_failed", "Action failed"
		b.FailAfter, b.VanishAfter = within(1, b.Duration), []time.Duration{-1, within(0, 20*time.Second)}[dice.IntN(2)]
	case lags:
		b.Duration = p.create + 2*time.Minute
	case bare:
		b.FirewallAfter = -1
	case boots, unheard:
	}
	if f != unheard && f != swallows {
		b.Guest.Ports = map[int]string{22: line, 2222: line, 443: "", 8080: line}
	}
	return b
}

// proves reports whether copies with a fate can give the proof, as far as their firewall lets them.
func (p *proving) proves(f fate) bool {
	switch f {
	case boots:
		return p.admits()
	case otherLine:
		return p.admits() && !strings.HasPrefix(p.prove, "ssh")
	case unheard, swallows, tooLate:
		return p.prove == "running"
	case neverRuns, breaks, lags, bare:
	}
	return false
}

// admits reports whether the firewall lets this machine in, by the networks that worlds have.
func (p *proving) admits() bool {
	return p.prove == "running" || !slices.Equal(p.allow, []string{"203.0.113.0/24"})
}

// buildProving makes a world from a seed.
func buildProving(t *testing.T, seed uint64) (*world, *proving) {
	t.Helper()
	dice := rand.New(rand.NewPCG(seed, 0xb007))
	chance := func(n int) bool { return dice.IntN(n) == 0 }
	p := &proving{
		hosts: map[string]*provedHost{}, fates: map[int64]fate{}, old: map[int64]hcloudsim.Image{}, kept: map[int64]string{}, left: map[int64]string{}, meddled: map[int64]bool{},
	}
	o := hcloudsim.Options{Seed: seed, MinLatency: 10 * time.Millisecond, MaxLatency: time.Duration(50+dice.IntN(500)) * time.Millisecond}
	storms := map[string]int{}
	if p.weather = chance(2); p.weather {
		o.MaxLatency = time.Duration(50+dice.IntN(2500)) * time.Millisecond
		for _, of := range []string{"GET", "PUT", "DELETE", "poweron", "servers", "firewalls"} {
			storms[of] = [...]int{0, 0, 5, 20, 50}[dice.IntN(5)]
		}
		o.Corrupt = func(r *http.Request, dice *rand.Rand) *hcloudsim.Fault { return stormy(storms, r, dice) }
	}
	if chance(12) {
		p.scarce, o.ServerLimit = true, 4+dice.IntN(4)
	} else if chance(12) {
		p.scarce, o.PrimaryIPLimit = true, 1+dice.IntN(4)
	}
	w := newWorld(t, o)
	w.words, w.breaks = []string{"verify"}, 2
	w.sample(t)
	if seed%8 != 0 { // checking replies takes most of the time; a sample does
		w.check = func(rt http.RoundTripper) http.RoundTripper { return rt }
	}
	p.ask(w, dice)
	p.addServers(w, dice)
	p.addOthers(w, dice)
	p.addFirewalls(w, dice)
	p.choose(w, dice)
	p.limitCost(w, dice)
	p.upset(w, dice)
	return w, p
}

// stormy is what goes wrong with a request, nil for nothing.
func stormy(storms map[string]int, r *http.Request, dice *rand.Rand) *hcloudsim.Fault {
	of, path := r.Method, strings.TrimPrefix(r.URL.Path, "/v1/")
	if r.Method == http.MethodPost {
		of = path[strings.LastIndex(path, "/")+1:]
	}
	if dice.IntN(100) >= storms[of] {
		return oddity(r, storms[of], dice)
	}
	f := weather(r.Method, dice)
	if f.Kind == hcloudsim.LoseAnswerLate && of == "servers" && dice.IntN(2) == 0 {
		f.Delay = effectLimit - time.Duration(dice.Int64N(int64(20*time.Second)))
	}
	return f
}

// ask decides what the user asks for.
func (p *proving) ask(w *world, dice *rand.Rand) {
	p.prove = []string{"ssh", "ssh", "ssh:2222", "tcp:443", "tcp:8080", "running"}[dice.IntN(6)]
	_, port, ok := strings.Cut(p.prove, ":")
	if p.port, _ = strconv.Atoi(port); !ok && p.prove == "ssh" {
		p.port = 22
	}
	p.allow = [][]string{{"0.0.0.0/0", "::/0"}, {"0.0.0.0/0", "::/0"}, {"198.51.100.0/24"}, {"2001:db8::/32", "198.51.100.7/32"}, {"203.0.113.0/24"}}[dice.IntN(5)]
	p.create = []time.Duration{3 * time.Minute, 10 * time.Minute, 40 * time.Minute}[dice.IntN(3)]
	p.boot = []time.Duration{time.Minute, 5 * time.Minute, 15 * time.Minute}[dice.IntN(3)]
	p.parallel = 1 + dice.IntN(3)
	p.kind = []string{"same", "same", "same", "same", "same", "same", "same", "cheapest", "cheapest", "cheapest", "cpx22", "cx43", "cax11", "cx99"}[dice.IntN(14)]
	w.inputs = map[string]string{
		"series": "nightly", "prove": p.prove, "create-timeout": p.create.String(), "boot-timeout": p.boot.String(), "max-parallel": strconv.Itoa(p.parallel), "server-type": p.kind,
	}
	if len(p.allow) != 2 || p.allow[0] != "0.0.0.0/0" || dice.IntN(2) == 0 {
		w.inputs["allow-from"] = strings.Join(p.allow, "\n")
	}
	if dice.IntN(4) == 0 {
		p.within = time.Duration(1+dice.IntN(200)) * time.Hour
		w.inputs["verified-within"] = fmt.Sprintf("%dh", p.within/time.Hour)
	}
	if dice.IntN(4) == 0 {
		p.most = 1 + dice.IntN(3)
		w.inputs["at-most"] = strconv.Itoa(p.most)
	}
	if p.warn = dice.IntN(3) == 0; p.warn {
		w.inputs["if-inconclusive"] = "warn"
	}
	if p.dry = dice.IntN(20) == 0; p.dry {
		w.inputs["dry-run"] = "true"
	}
	if p.noDate = dice.IntN(15) == 0; p.noDate {
		w.cloud.Inject(hcloudsim.Fault{Kind: hcloudsim.NoDate})
	}
}

// addServers adds the servers that are asked about, others that are not, and snapshots of them.
func (p *proving) addServers(w *world, dice *rand.Rand) {
	servers := 1 + dice.IntN(5)
	if dice.IntN(15) == 0 {
		servers, p.parallel = 6+dice.IntN(12), 10
		w.inputs["max-parallel"] = "10"
	}
	if dice.IntN(15) == 0 {
		p.scarce, p.soldOut = true, dice.IntN(2) == 0
		w.cloud.SetCapacity("cx23", "fsn1", map[bool]int{true: 0, false: 1 + dice.IntN(2)}[p.soldOut])
	}
	for i := range servers {
		host := hcloudsim.Server{Name: fmt.Sprintf("db-%d", i), Type: "cx23", Labels: map[string]string{"tier": "db"}}
		switch dice.IntN(10) {
		case 0:
			host.Type = "cax11"
		case 1:
			host.Type, host.Location = "cpx22", "ash"
		case 2:
			host.Name, host.Labels["tier"] = fmt.Sprintf("web-%d", i), "web"
		}
		if dice.IntN(6) == 0 {
			host.Volumes = []int64{4711 + int64(i)}
		}
		id := w.cloud.AddServer(host)
		p.kept[id] = host.Name
		truth := &provedHost{id: id, kind: host.Type, location: host.Location}
		if truth.location == "" {
			truth.location = "fsn1"
		}
		if host.Labels["tier"] == "db" {
			p.hosts[host.Name] = truth
		}
		for range min(1+dice.IntN(5), 60/servers) * min(1, dice.IntN(10)) { // no more than a page
			truth.images = append(truth.images, p.addImage(w, dice, id))
		}
	}
}

// addImage adds a snapshot of a server: mostly one of ours that can be verified.
func (p *proving) addImage(w *world, dice *rand.Rand, server int64) int64 {
	image := hcloudsim.Image{
		ServerID: server, SizeGB: 2.5, Protected: dice.IntN(8) == 0, DiskGB: []int{0, 0, 0, 0, 0, 0, 20, 80, 160}[dice.IntN(9)],
		Created: time.Now().Add(-time.Duration(dice.IntN(9000)) * time.Minute).Truncate(time.Second),
		Labels:  map[string]string{"hsnap/series": "nightly", "hsnap/server-id": strconv.FormatInt(server, 10), "hsnap/run": "70-1", "team": "blue"},
	}
	stamp := func() string {
		return time.Now().Add(-time.Duration(dice.IntN(250*60))*time.Minute - 30*time.Second).UTC().Format(verifiedAt)
	}
	switch dice.IntN(24) {
	case 0:
		image.Labels["hsnap/series"] = "pre-deploy"
	case 1:
		image.Labels = map[string]string{"by": "hand"}
	case 2:
		image.ServerID = 4711 // the labels lie
	case 3:
		image.Status = "creating"
	case 4:
		image.Labels["hsnap/server-id"] = "4711"
	case 5:
		image.ServerID = 0 // Hetzner does not say what it was made of
	case 6, 7, 8:
		image.Labels["hsnap/verified"], image.Labels["hsnap/verified-by"] = stamp(), "tcp-80"
	case 9:
		image.Labels["hsnap/verify"] = "failed"
	case 10:
		image.Labels["hsnap/verified"], image.Labels["hsnap/verify"] = stamp(), "failed"
	}
	f := []fate{boots, boots, boots, boots, boots, boots, boots, boots, unheard, swallows, tooLate, otherLine, neverRuns, breaks, lags, bare}[dice.IntN(16)]
	image.Copy = p.fated(f, dice)
	id := w.cloud.AddImage(image)
	image.ID = id
	p.old[id], p.fates[id] = image, f
	return id
}

// addOthers adds servers that look like copies: those that earlier runs have left behind, that another run works with, and
// those of somebody else.
func (p *proving) addOthers(w *world, dice *rand.Rand) {
	images := w.cloud.Images()
	for i := range dice.IntN(4) * dice.IntN(2) {
		name := fmt.Sprintf("hsnap-drill-%d", 7000+i)
		if len(images) > 0 && dice.IntN(2) == 0 {
			name = fmt.Sprintf("hsnap-drill-%d", images[dice.IntN(len(images))].ID)
		}
		until := time.Now().Add([]time.Duration{-time.Hour, 3 * time.Hour}[dice.IntN(2)])
		labels := map[string]string{"hsnap/drill": "f00d", "hsnap/drill-until": strconv.FormatInt(until.Unix(), 10)}
		over := until.Before(time.Now()) && !p.noDate
		switch dice.IntN(6) {
		case 0:
			over, labels = false, map[string]string{"tier": "none"} // the name alone
		case 1:
			over, name = false, fmt.Sprintf("drill-%d", i) // the labels alone
		case 2:
			over, name = false, fmt.Sprintf("hsnap-drill-of-%d", i) // no image's
		case 3:
			over = false
			delete(labels, "hsnap/drill-until")
		}
		if slices.ContainsFunc(w.cloud.Servers(), func(s hcloudsim.ServerState) bool { return s.Name == name }) {
			continue
		}
		id := w.cloud.AddServer(hcloudsim.Server{Name: name, Labels: labels, IPv4: fmt.Sprintf("198.18.200.%d", i), Deletion: hcloudsim.DeletionBehaviour{
			After: time.Duration(dice.IntN(20)) * time.Second, FailTimes: []int{0, 0, 1, -1}[dice.IntN(4)],
		}})
		if over && !p.dry {
			p.left[id] = name
		} else {
			p.kept[id] = name
		}
	}
}

// choose decides how the user names the servers, or the snapshots.
func (p *proving) choose(w *world, dice *rand.Rand) {
	switch dice.IntN(4) {
	case 0:
		w.inputs["servers"] = "db-*"
		if len(p.hosts) == 0 {
			p.missing = []string{"db-*"}
		}
	case 1:
		w.inputs["label-selector"] = "tier=db"
		if len(p.hosts) == 0 {
			p.missing = []string{"tier=db"}
		}
	case 2:
		w.inputs["servers"], w.inputs["exclude"] = "*", "web-*"
		if dice.IntN(3) == 0 {
			w.inputs["servers"], p.missing = "db-99, *", []string{"db-99"}
		}
		for id, name := range p.kept { // but for what has the label of a copy
			isDrill := slices.ContainsFunc(w.cloud.Servers(), func(s hcloudsim.ServerState) bool { return s.ID == id && s.Labels["hsnap/drill"] != "" })
			if strings.HasPrefix(name, "hsnap-drill") && !isDrill {
				p.hosts[name] = &provedHost{id: id, kind: "cx23", location: "fsn1"}
			}
		}
	case 3:
		p.byImage = true
		choices := map[string]any{}
		for _, name := range sortedNames(p.hosts) {
			host := p.hosts[name]
			switch n := dice.IntN(4); {
			case n < 2 && len(host.images) > 0:
				id := host.images[dice.IntN(len(host.images))]
				choices[name], host.choice = id, strconv.FormatInt(id, 10)
			case n == 2:
				choices[name], host.choice = "latest-verified", "latest-verified"
			default:
				choices[name], host.choice = "latest", "latest"
			}
		}
		if dice.IntN(4) == 0 || len(choices) == 0 {
			choices["db-99"], p.missing = "latest", []string{"db-99"}
		}
		text, _ := json.Marshal(choices) // of names and numbers
		w.inputs["images"] = string(text)
	}
}

// upset decides what other people do meanwhile, and how the run is ended.
func (p *proving) upset(w *world, dice *rand.Rand) {
	within := func(low, high time.Duration) time.Duration { return low + time.Duration(dice.Int64N(int64(high-low))) }
	if dice.IntN(3) == 0 {
		for range 1 + dice.IntN(3) {
			how := dice.IntN(7)
			w.cloud.At(within(0, 4*time.Minute), func(c *hcloudsim.Cloud) { p.meddle(c, how) })
		}
	}
	switch dice.IntN(40) {
	case 0:
		p.scarce = true
		w.cloud.Spend(3400) // a Terraform run has nearly used the limit up
	case 1:
		p.weather = true
		w.cloud.Inject(hcloudsim.Fault{Kind: hcloudsim.ErrorJSON, Status: 503, Code: "unavailable", Message: "unavailable", From: within(0, 3*time.Minute), For: time.Hour})
	case 2:
		p.weather = true
		w.cloud.At(within(0, 3*time.Minute), func(c *hcloudsim.Cloud) { c.Revoke() })
	case 3, 4:
		p.weather = true
		w.cloud.Inject(hcloudsim.Fault{Kind: hcloudsim.HTML502, Method: http.MethodPost, Path: "/servers/*/actions/poweron"})
	case 5, 6, 7, 8:
		p.weather = true
		w.cloud.Inject(hcloudsim.Fault{Kind: hcloudsim.HTML502, Method: http.MethodPost, Path: "/servers/*/actions/poweron", Times: 3 + dice.IntN(2)})
	}
	switch dice.IntN(6) {
	case 0:
		p.cancelAfter, p.grace = within(0, 4*time.Minute), 5*time.Second
		w.signals = []signalAt{{p.cancelAfter, syscall.SIGINT}, {p.cancelAfter + 7500*time.Millisecond, syscall.SIGTERM}}
	case 1:
		p.cancelAfter, p.grace = within(0, 4*time.Minute), 2*time.Second
		w.signals = []signalAt{{p.cancelAfter, syscall.SIGTERM}}
	case 2:
		w.kill, w.maybe = within(0, 4*time.Minute)+1, true
	}
}

// meddle is what somebody else does to the first copy that there is.
func (p *proving) meddle(c *hcloudsim.Cloud, how int) {
	for _, made := range c.Creations() {
		if !made.Deleted.IsZero() {
			continue
		}
		p.meddled[made.ServerID] = true
		switch how {
		case 0:
			c.RenameServer(made.ServerID, "theirs")
		case 1:
			c.LabelServer(made.ServerID, map[string]string{"tier": "db"})
		case 2:
			c.ProtectServer(made.ServerID)
		case 3:
			c.AttachNetwork(made.ServerID, 4711)
		case 4:
			c.AttachVolume(made.ServerID, 4712)
		case 5:
			c.DeleteServer(made.ServerID)
		case 6:
			labels := maps.Clone(made.Labels)
			labels["tier"] = "db"
			c.LabelServer(made.ServerID, labels)
		}
		return
	}
}
