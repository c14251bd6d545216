package action_test

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/org/hsnap-action/internal/hcloudsim"
)

// sold are the server types that there are, with what a month of them costs, net, in Europe. An hour costs a 624th of that,
// everything a fifth more in America, and the tax is 19 %.
var sold = []struct {
	name, arch string
	disk       int
	monthly    float64
	overseas   bool
}{
	{"cx23", "x86", 40, 3.99, false}, {"cx33", "x86", 80, 6.49, false}, {"cx43", "x86", 160, 11.99, false},
	{"cpx22", "x86", 80, 7.99, true}, {"cax11", "arm", 40, 4.49, false}, {"ccx13", "x86", 80, 15.99, true},
}

const hourOfIPv4 = 0.0008 * 1.19

// wanted is what a run without faults must come to for one server, and what its copy costs an hour.
type wanted struct {
	image          int64
	status, reason string // "" for a verification that is due
	kind           string
	hour           float64
}

// mine reports whether an image was made by this program of a server, in a series ("" for any).
func mine(image hcloudsim.Image, server int64, series string) bool {
	return image.ServerID == server && image.Labels["hsnap/server-id"] == strconv.FormatInt(server, 10) &&
		image.Labels["hsnap/series"] != "" && (series == "" || image.Labels["hsnap/series"] == series)
}

// provedTime is when an image was verified; zero for never.
func provedTime(image hcloudsim.Image) time.Time {
	at, err := time.Parse(verifiedAt, image.Labels["hsnap/verified"])
	if err != nil || image.Labels["hsnap/verify"] == "failed" {
		return time.Time{}
	}
	return at
}

// chosen is the image of a server that is to be verified; 0 for none.
func (p *proving) chosen(host *provedHost) (id int64) {
	for _, image := range p.imagesByAge() {
		series := "nightly"
		byID, err := strconv.ParseInt(host.choice, 10, 64)
		if err == nil {
			series = ""
		}
		switch {
		case !mine(image, host.id, series), image.Status == "creating":
		case err == nil && byID != image.ID:
		case host.choice == "latest" && image.Labels["hsnap/verify"] == "failed":
		case host.choice == "latest-verified" && provedTime(image).IsZero():
		default:
			id = image.ID // the newest is the last one
		}
	}
	return id
}

func (p *proving) imagesByAge() []hcloudsim.Image {
	return slices.SortedFunc(maps.Values(p.old), func(a, b hcloudsim.Image) int {
		return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.ID, b.ID))
	})
}

func sortedNames(hosts map[string]*provedHost) []string { return slices.Sorted(maps.Keys(hosts)) }

// wants returns what the run must plan for each server that exists, and what that may cost.
func (p *proving) wants(now time.Time) (all map[string]*wanted, cost float64) {
	all = map[string]*wanted{}
	proved := map[string]time.Time{}
	var due []string
	for _, name := range sortedNames(p.hosts) {
		host := p.hosts[name]
		want := &wanted{image: p.chosen(host)}
		all[name] = want
		for _, image := range p.old {
			if at := provedTime(image); mine(image, host.id, "nightly") && at.After(proved[name]) {
				proved[name] = at
			}
		}
		switch {
		case want.image == 0:
			want.status, want.reason = "failed", "not_found"
		case p.within > 0 && !p.noDate && now.Sub(proved[name]) < p.within:
			want.status, want.reason = "skipped", "not_due"
		default:
			due = append(due, name)
		}
	}
	slices.SortStableFunc(due, func(a, b string) int { return proved[a].Compare(proved[b]) })
	for i, name := range due {
		want := all[name]
		if p.most > 0 && i >= p.most {
			want.status, want.reason = "skipped", "not_due"
			continue
		}
		p.findType(want, p.hosts[name])
		cost += math.Ceil((p.create + p.boot + 15*time.Minute).Hours()) * want.hour
	}
	return all, cost
}

// findType finds the type of a copy.
func (p *proving) findType(want *wanted, host *provedHost) {
	arch, disk := "x86", 40
	for _, t := range sold {
		if t.name == host.kind {
			arch, disk = t.arch, t.disk
		}
	}
	if of := p.old[want.image].DiskGB; of != 0 {
		disk = of
	}
	want.status, want.reason = "inconclusive", "no_capacity"
	for _, t := range sold {
		hour := t.monthly / 624 * 1.19
		if host.location == "ash" {
			hour *= 1.2
		}
		if p.prove != "running" {
			hour += hourOfIPv4
		}
		fits := t.arch == arch && t.disk >= disk && (t.overseas || host.location != "ash")
		out := p.soldOut && t.name == "cx23" && host.location == "fsn1"
		named := t.name == p.kind || p.kind == "same" && t.name == host.kind
		if fits && (named || p.kind == "cheapest" && !out && (want.kind == "" || hour < want.hour)) {
			want.kind, want.hour, want.status, want.reason = t.name, hour, "", ""
		}
	}
}

// limitCost decides how much the run may cost.
func (p *proving) limitCost(w *world, dice *rand.Rand) {
	_, cost := p.wants(time.Now())
	p.maxCost = 100
	switch dice.IntN(12) {
	case 0, 2, 3:
		p.maxCost = math.Ceil(cost*10000+1) / 10000
	case 1:
		p.maxCost = max(0.0001, math.Floor(cost*10000-1)/10000)
	}
	w.inputs["max-cost"] = strconv.FormatFloat(p.maxCost, 'f', 4, 64)
}

// tooExpensive reports whether the run may cost more than it is allowed to.
func (p *proving) tooExpensive(now time.Time) bool {
	_, cost := p.wants(now)
	return cost > p.maxCost
}

// rules are those of the firewall, by the contract.
func (p *proving) rules() []hcloudsim.FirewallRule {
	rules := []hcloudsim.FirewallRule{{Direction: "out", Protocol: "tcp", Port: "9", DestinationIPs: []string{"192.0.2.1/32"}}}
	if p.port != 0 {
		rules = append(rules, hcloudsim.FirewallRule{Direction: "in", Protocol: "tcp", Port: strconv.Itoa(p.port), SourceIPs: p.allow})
	}
	return rules
}

// nameFirewall returns the firewall's name, by the contract.
func (p *proving) nameFirewall() string {
	if p.port == 0 {
		return "hsnap-drill-none"
	}
	name := fmt.Sprintf("hsnap-drill-tcp-%d", p.port)
	sorted := slices.Sorted(slices.Values(p.allow))
	if list := strings.Join(sorted, ","); list != "0.0.0.0/0,::/0" {
		name += fmt.Sprintf("-%x", sha256.Sum256([]byte(list)))[:9]
	}
	return name
}

// addFirewalls adds one that an earlier run has made, or that somebody has changed since.
func (p *proving) addFirewalls(w *world, dice *rand.Rand) {
	p.firewall = p.nameFirewall()
	w.cloud.AddFirewall(hcloudsim.Firewall{Name: "theirs", Rules: []hcloudsim.FirewallRule{{Direction: "in", Port: "1-65535", SourceIPs: []string{"0.0.0.0/0"}}}})
	if dice.IntN(3) > 0 {
		return
	}
	there := hcloudsim.Firewall{Name: p.firewall, Labels: map[string]string{"hsnap/drill": "firewall"}, Rules: p.rules()}
	if p.differs = dice.IntN(4) == 0; p.differs {
		switch dice.IntN(4) {
		case 0:
			there.Rules = there.Rules[1:] // whatever goes out
		case 1:
			there.Rules = append(there.Rules, hcloudsim.FirewallRule{Direction: "in", Protocol: "tcp", Port: "80", SourceIPs: []string{"0.0.0.0/0"}})
		case 2:
			there.Rules[0].DestinationIPs = []string{"192.0.2.1/32", "0.0.0.0/0"}
		case 3:
			there.Rules[0].Protocol = "udp"
		}
	}
	id := w.cloud.AddFirewall(there)
	if !p.differs && dice.IntN(4) == 0 {
		slices.Reverse(there.Rules)
		w.cloud.SetFirewallRules(id, there.Rules...) // in another order they are the same
	}
}
