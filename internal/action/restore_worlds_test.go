package action_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/org/hsnap-action/internal/hcloudsim"
)

// restored is what one seed decides of a world for restore, and what is true there.
type restored struct {
	lockTimeout, restoreTimeout, bootTimeout, maxAge time.Duration
	snapshotFirst, dry, failVolumes, noDate          bool
	prove, series                                    string
	port                                             int // that the proof is sought at; 0: none
	maxParallel                                      int
	pairs                                            []*restoredPair
	images                                           []hcloudsim.Image // that there are at first
	servers                                          int               // that there are at first
	changed                                          time.Duration     // when somebody else first changes what is there; 0: never
	cancelAfter, second                              time.Duration     // the first signal, and how long after it the second one comes; 0: never
	signal                                           syscall.Signal

	dice *rand.Rand
}

// restoredPair is a server and its image, and what is true of them.
type restoredPair struct {
	name, choice string
	server       hcloudsim.Server // its ID is 0 where there is none
	image        int64            // that it must be put back to, 0 for none
	wrong        string           // what must keep the run from being begun; "" for nothing
	proves       bool             // its guest proves in time that it is back
}

const (
	rootPassword = "kFpt9vbkL3aWzQ7mXu2d"
	otherServer  = 4711
)

func (p *restored) chance(n int) bool { return p.dice.IntN(n) == 0 }

func (p *restored) within(low, high time.Duration) time.Duration {
	return low + time.Duration(p.dice.Int64N(int64(high-low)))
}

// buildRestored makes a world for restore from a seed: a project, inputs, weather, other actors, and perhaps a cancel.
func buildRestored(t *testing.T, seed uint64) (*world, *restored) {
	t.Helper()
	p := &restored{dice: rand.New(rand.NewPCG(seed, 0x2e5702e))}
	onChange, onPoll := [...]int{0, 5, 30, 60}[p.dice.IntN(4)], [...]int{0, 2, 10, 40}[p.dice.IntN(4)]
	w := newWorld(t, hcloudsim.Options{
		Seed: seed, MinLatency: 10 * time.Millisecond, MaxLatency: p.within(20*time.Millisecond, 3*time.Second),
		SnapshotLimit: []int{0, 0, 0, 12 + p.dice.IntN(10)}[p.dice.IntN(4)],
		Corrupt: func(r *http.Request, dice *rand.Rand) *hcloudsim.Fault {
			percent := onPoll
			if r.Method != http.MethodGet {
				percent = onChange
			}
			if dice.IntN(100) < percent {
				return weather(r.Method, dice)
			}
			return oddity(r, percent, dice)
		},
	})
	w.breaks = 2
	if seed%8 != 0 { // checking replies takes most of the time; a sample does
		w.check = func(rt http.RoundTripper) http.RoundTripper { return rt }
	}
	w.words = []string{"restore"}
	p.inputs(w)
	named := 1 + p.dice.IntN(4)
	if p.chance(80) {
		named = 26 + p.dice.IntN(10) // more than one list of images asks for
	}
	spoilt := p.dice.IntN(4 * named) // perhaps one of them is wrong
	for i := range named {
		p.addPair(w, i, i == spoilt)
	}
	for i := range p.dice.IntN(3) + p.dice.IntN(60)/59*60 { // perhaps more than a page
		id := w.cloud.AddServer(hcloudsim.Server{Name: fmt.Sprintf("other-%d", i)})
		p.addImages(w, id, p.dice.IntN(3))
	}
	p.servers = len(w.cloud.Servers())
	p.weather(w)
	var pairs []string
	object := map[string]any{}
	for _, pair := range p.pairs {
		pair.decide(w, p)
		pairs = append(pairs, pair.name+"="+pair.choice)
		object[pair.name] = pair.choice
		if strings.HasPrefix(pair.choice, "latest") {
			w.inputs["series"] = p.series
		}
	}
	w.inputs["images"] = strings.Join(pairs, "\n")
	if p.chance(2) {
		text, err := json.Marshal(object)
		if err != nil {
			t.Fatal(err)
		}
		w.inputs["images"] = string(text)
	}
	return w, p
}

// inputs decides about all inputs but the pairs.
func (p *restored) inputs(w *world) {
	p.series = []string{"nightly", "pre-deploy"}[p.dice.IntN(2)]
	p.lockTimeout = p.within(20*time.Second, 10*time.Minute).Round(time.Second)
	p.restoreTimeout = p.within(90*time.Second, 10*time.Minute).Round(time.Second)
	p.bootTimeout = p.within(20*time.Second, 3*time.Minute).Round(time.Second)
	p.maxAge = time.Duration(3+p.dice.IntN(30)) * time.Hour
	p.snapshotFirst, p.dry, p.failVolumes = p.chance(2), p.chance(20), p.chance(4)
	p.maxParallel = 1 + p.dice.IntN(5)
	p.port = []int{0, 22, 2222, 443}[p.dice.IntN(4)]
	p.prove = map[int]string{0: "running", 22: "ssh", 2222: "ssh:2222", 443: "tcp:443"}[p.port]
	w.inputs = map[string]string{
		"lock-timeout": p.lockTimeout.String(), "restore-timeout": p.restoreTimeout.String(), "boot-timeout": p.bootTimeout.String(),
		"max-age": p.maxAge.String(), "snapshot-first": strconv.FormatBool(p.snapshotFirst), "dry-run": strconv.FormatBool(p.dry),
		"max-parallel": strconv.Itoa(p.maxParallel), "prove": p.prove,
		"if-volumes-attached": map[bool]string{true: "fail", false: []string{"warn", "ignore"}[p.dice.IntN(2)]}[p.failVolumes],
	}
	if p.chance(6) {
		w.env["RUNNER_DEBUG"] = "1"
	}
}

// aServer is a server that can be put back, however it behaves then.
func (p *restored) aServer(i int) hcloudsim.Server {
	s := hcloudsim.Server{
		ID:     int64(1001 + i),
		Name:   fmt.Sprintf("db-%d%s", i, []string{"", "", ".example.com", "--x"}[p.dice.IntN(4)]),
		Status: []string{"running", "running", "running", "off"}[p.dice.IntN(4)], IPv4: fmt.Sprintf("203.0.113.%d", i+1),
		Snapshot: hcloudsim.SnapshotBehaviour{
			Duration: p.within(5*time.Second, 2*time.Minute), AvailableAfter: p.within(0, 20*time.Second), LockFor: []time.Duration{0, -1, 10 * time.Second}[p.dice.IntN(3)],
		},
		Rebuild: hcloudsim.RebuildBehaviour{
			Duration: p.within(5*time.Second, 4*time.Minute), LockFor: []time.Duration{0, 0, -1, 10 * time.Second}[p.dice.IntN(4)],
			Progress: hcloudsim.ProgressShape(p.dice.IntN(3)), OffFor: []time.Duration{0, 0, 0, 7 * time.Second, 40 * time.Second, -1}[p.dice.IntN(6)],
		},
		Power: hcloudsim.PowerBehaviour{PowerOnAfter: p.within(time.Second, 40*time.Second), PowerOnFails: []int{0, 0, 0, 0, 1, -1}[p.dice.IntN(6)]},
		Guest: hcloudsim.Guest{
			Ports: map[int]string{22: "SSH-2.0-OpenSSH_9.6\r\n", 2222: "welcome\r\nSSH-2.0-dropbear\r\n", 443: ""}, BootAfter: p.within(time.Second, 30*time.Second), Drops: p.chance(2),
		},
	}
	if p.chance(4) {
		s.IPv4, s.IPv6 = "", fmt.Sprintf("2001:db8:0:%d::/64", i+1)
	}
	if p.chance(2) {
		s.RootPassword = rootPassword
	}
	if p.chance(6) && !p.failVolumes {
		s.Volumes = []int64{int64(500 + i)}
	}
	switch p.dice.IntN(14) {
	case 0:
		s.Snapshot.FailCode, s.Snapshot.FailMessage = "action_failed", "Action failed"
	case 1:
		s.Snapshot.FailCode, s.Snapshot.FailMessage, s.Snapshot.FailTimes = "unknown_error", "server is locked", 1
		s.Snapshot.FailAfter, s.Snapshot.VanishAfter = p.within(0, 9*time.Second)+1, p.within(0, 9*time.Second)
	case 2:
		s.Snapshot.NeverAvailable = p.chance(4) // nothing shortens its two hours
	}
	if p.chance(7) {
		s.Rebuild.FailCode, s.Rebuild.FailMessage = "unknown_error", []string{"server is locked", "no space left on device"}[p.dice.IntN(2)]
		s.Rebuild.FailAfter = p.within(time.Second, 2*time.Minute)
	}
	switch p.dice.IntN(10) {
	case 0:
		s.Guest.Ports = map[int]string{22: "220 mail.example.com ESMTP\r\n", 2222: "HTTP/1.1 400 Bad Request\r\n"}
	case 1:
		s.Guest.BootAfter = time.Hour
	}
	return s
}

// addPair adds a server, images of it, and the choice of one of them. One image is right, unless it is spoilt, and the others
// may be anything.
func (p *restored) addPair(w *world, i int, spoilt bool) {
	s := p.aServer(i)
	good, choice := p.anImage(s.ID), []string{"", "", "latest", "latest-verified"}[p.dice.IntN(4)]
	good.Created = time.Now().Add(-time.Duration(1+p.dice.IntN(2))*time.Hour - 10*time.Minute)
	if choice == "latest-verified" && !p.chance(4) {
		good.Labels["hsnap/verified"] = "1999-12-31T120000Z"
	}
	if spoilt {
		p.spoil(w, &s, &good)
	}
	id := p.add(w, good)
	if p.chance(5) { // it is put back to the same image once more
		s.ImageID = id
	}
	if choice == "" {
		choice = strconv.FormatInt(id, 10)
	}
	pair := &restoredPair{name: s.Name, server: s, choice: choice}
	p.pairs = append(p.pairs, pair)
	banner, listens := s.Guest.Ports[p.port]
	pair.proves = p.port == 0 || listens && (p.port == 443 || strings.Contains(banner, "SSH-")) && s.Guest.BootAfter+20*time.Second < p.bootTimeout
	p.addImages(w, s.ID, p.dice.IntN(6))
	if s.ID == 0 {
		return
	}
	w.cloud.AddServer(s)
	if p.chance(4) { // it is being rebuilt, or was just now, by somebody else
		w.cloud.Lock(s.ID, hcloudsim.Lock{For: p.within(time.Second, 2*time.Minute), Command: "rebuild_server"})
	}
	for range p.dice.IntN(3) {
		w.cloud.Lock(s.ID, hcloudsim.Lock{
			From: p.within(0, time.Minute), For: p.within(time.Second, 4*time.Minute), Lag: p.within(0, 5*time.Second),
			Command: []string{"", "change_server_type", "apply_firewall"}[p.dice.IntN(3)], Hidden: p.chance(4), AfterPolls: p.dice.IntN(3),
		})
	}
}

// anImage is a snapshot of ours that a server can be put back to. No age is near a limit.
func (p *restored) anImage(server int64) hcloudsim.Image {
	return hcloudsim.Image{
		ServerID: server, SizeGB: 2.5, Architecture: "x86", DiskGB: 40, Type: "snapshot", Status: "available",
		Created: time.Now().Add(-time.Duration(1+p.dice.IntN(40))*time.Hour - 10*time.Minute),
		Labels:  map[string]string{"hsnap/series": p.series, "hsnap/server-id": strconv.FormatInt(server, 10), "hsnap/run": "70-1"},
	}
}

func (p *restored) add(w *world, image hcloudsim.Image) int64 {
	image.Created = image.Created.Truncate(time.Second)
	image.ID = w.cloud.AddImage(image)
	p.images = append(p.images, image)
	return image.ID
}

// addImages adds images of a server, most of which are nothing to put it back to.
func (p *restored) addImages(w *world, server int64, n int) {
	for range n {
		image := p.anImage(server)
		switch p.dice.IntN(12) {
		case 0:
			image.Labels["hsnap/series"] = "weekly"
		case 1:
			image.Labels = map[string]string{"by": "hand"}
		case 2:
			image.ServerID = otherServer
		case 3:
			image.Labels["hsnap/server-id"] = strconv.Itoa(otherServer)
		case 4:
			image.Status = "creating"
		case 5:
			image.Labels["hsnap/verify"] = "failed"
		case 6:
			image.Labels["hsnap/verify"], image.Labels["hsnap/verified"] = "failed", "1999-12-31T120000Z"
		case 7, 8:
			image.Labels["hsnap/verified"] = "1999-12-30T120000Z"
		case 9:
			image.Created = time.Now().Add(-70 * time.Minute) // perhaps as old as another one
		}
		p.add(w, image)
	}
}

// spoil makes one thing wrong with a server or its image, which the choice may be or not.
func (p *restored) spoil(w *world, s *hcloudsim.Server, image *hcloudsim.Image) {
	switch p.dice.IntN(16) {
	case 0:
		s.ID = 0 // no such server
	case 1:
		s.Protected = true
	case 2:
		s.RescueEnabled = true
	case 3:
		s.ISO = "debian-13.1.0-amd64-netinst.iso"
	case 4:
		s.Labels = map[string]string{"hsnap/drill": "f00d"}
	case 5:
		w.self = s.ID
	case 6:
		s.Volumes = []int64{500}
	case 7:
		s.IPv4, s.IPv6 = "", ""
	case 8:
		image.Type = "backup"
	case 9:
		image.Status = "creating"
	case 10:
		image.Labels = map[string]string{"by": "hand"}
	case 11:
		image.Labels["hsnap/verify"] = "failed"
	case 12:
		image.Created = time.Now().Add(-p.maxAge - time.Hour)
	case 13:
		image.ServerID, image.Labels["hsnap/server-id"] = otherServer, strconv.Itoa(otherServer)
	case 14:
		image.DiskGB = 80
	case 15:
		image.Architecture = "arm"
	}
}

// decide finds what the pair means, and what is wrong with it, by the contract's own words.
func (pair *restoredPair) decide(w *world, p *restored) {
	s := pair.server
	ours := func(image hcloudsim.Image) bool {
		return image.Type == "snapshot" && image.ServerID == s.ID && image.Labels["hsnap/server-id"] == strconv.FormatInt(s.ID, 10) && image.Labels["hsnap/series"] != ""
	}
	var chosen hcloudsim.Image
	for _, image := range p.images {
		failed, verified := image.Labels["hsnap/verify"] == "failed", image.Labels["hsnap/verified"] != ""
		fits := ours(image) && image.Labels["hsnap/series"] == p.series && image.Status == "available" && !failed && !image.Created.Before(chosen.Created)
		if pair.choice == "latest" && fits || pair.choice == "latest-verified" && fits && verified || pair.choice == strconv.FormatInt(image.ID, 10) {
			chosen = image // of several that are as old, the one that was made last
		}
	}
	pair.image = chosen.ID
	for _, rule := range []struct {
		broken bool
		wrong  string
	}{
		{s.ID == 0, "no server"}, {s.Protected, "protected"}, {s.RescueEnabled || s.ISO != "", "boots elsewhere"}, {s.Labels["hsnap/drill"] != "", "a copy"},
		{w.self == s.ID, "this machine"}, {p.failVolumes && len(s.Volumes) > 0, "volumes"}, {p.port != 0 && s.IPv4+s.IPv6 == "", "no address"},
		{chosen.ID == 0, "no image"}, {!ours(chosen), "not ours, or not its own"}, {chosen.Status != "available", "not available"},
		{chosen.Labels["hsnap/verify"] == "failed", "verification failed"}, {time.Since(chosen.Created) > p.maxAge, "too old"}, {p.noDate, "no date"},
		{chosen.DiskGB > 40, "too large"}, {chosen.Architecture != "x86", "another architecture"},
	} {
		if rule.broken {
			pair.wrong = rule.wrong
		}
	}
}

// weather adds what goes wrong for longer than a request, what others do, and the signals.
func (p *restored) weather(w *world) {
	change := func(do func(*hcloudsim.Cloud)) {
		after := p.within(0, 4*time.Minute)
		if w.cloud.At(after, do); p.changed == 0 || after < p.changed {
			p.changed = after
		}
	}
	for _, pair := range p.pairs {
		if pair.server.ID != 0 && p.chance(15) {
			change(func(c *hcloudsim.Cloud) { c.DeleteServer(pair.server.ID) })
		}
	}
	for _, image := range p.images {
		if p.chance(60) {
			change(func(c *hcloudsim.Cloud) { c.DeleteImage(image.ID) })
		}
	}
	if p.chance(30) {
		w.cloud.At(p.within(0, 4*time.Minute), func(c *hcloudsim.Cloud) { c.Revoke() })
	}
	switch p.dice.IntN(40) {
	case 0:
		w.cloud.Spend(3400) // a Terraform run has nearly used the limit up
	case 1:
		w.cloud.Inject(hcloudsim.Fault{
			Kind: hcloudsim.ErrorJSON, Status: 503, Code: "unavailable", Message: "unavailable", From: p.within(0, 3*time.Minute), For: p.within(time.Minute, time.Hour),
		})
	case 2:
		w.cloud.Inject(hcloudsim.Fault{Kind: hcloudsim.ForgetActions, Path: "/actions", From: p.within(0, 3*time.Minute)})
	case 3:
		p.noDate = true
		w.cloud.Inject(hcloudsim.Fault{Kind: hcloudsim.NoDate, Path: "/images*"})
	case 4, 5:
		w.cloud.Inject(hcloudsim.Fault{Kind: hcloudsim.ErrorJSON, Path: "/servers/*/actions/poweron", Status: 412, Code: "resource_unavailable", Message: "no host available", Times: p.dice.IntN(60)})
	}
	if !p.chance(3) {
		return
	}
	p.cancelAfter, p.signal = p.within(0, 6*time.Minute), []syscall.Signal{syscall.SIGINT, syscall.SIGINT, syscall.SIGTERM}[p.dice.IntN(3)]
	w.signals = []signalAt{{p.cancelAfter, p.signal}}
	if p.chance(4) {
		p.second = p.within(0, 4*time.Second)
		w.signals = append(w.signals, signalAt{p.cancelAfter + p.second, syscall.SIGTERM})
	}
}

// tryRestore runs a seed's world and judges it.
func tryRestore(t *testing.T, seed uint64) (result tried) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w, p := buildRestored(t, seed)
		r := w.run(t)
		before := w.cloud.Servers()
		time.Sleep(2 * time.Minute) // a rebuild that was lost may take effect after the end of the run
		judgeRestored(&result.findings, w, p, r, before)
		if len(result.findings) > 0 {
			result.story = fmt.Sprintf("inputs %v\nsignals %v\nexit %d after %s\n%s\n%s", w.inputs, w.signals, r.code, r.took, r.log, w.history())
			for _, pair := range p.pairs {
				result.story += fmt.Sprintf("\n%s=%s means %d, wrong: %q, proves: %t; %+v", pair.name, pair.choice, pair.image, pair.wrong, pair.proves, pair.server)
			}
		}
	})
	return result
}

// Over many worlds: no server is rebuilt but those that are named, from the image that is named, once, after all pairs have
// proved right; and what the outputs say is true.
func TestRestoredWorlds(t *testing.T) {
	for i := range uint64(*seeds) {
		seed := *firstSeed + i
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			t.Parallel()
			result := tryRestore(t, seed)
			for _, finding := range result.findings {
				t.Error(finding)
			}
			if len(result.findings) > 0 {
				t.Logf("replay: go test ./internal/action -run TestRestoredWorlds -seeds 1 -seed %d\n%s", seed, result.story)
			}
		})
	}
}

// The same seed gives the same restore, however many processors there are.
func TestRestoreIsDeterministic(t *testing.T) {
	isDeterministic(t, "actions/rebuild", []uint64{1, 2, 3, 5}, func(t *testing.T, seed uint64) *world {
		w, _ := buildRestored(t, seed)
		return w
	})
}
