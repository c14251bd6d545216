package hcloudsim

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hetznercloud/hcloud-go/v2/hcloud/schema"
)

// filter is a firewall on a server.
type filter struct {
	*Firewall
	applied bool
}

func (p *project) firewallNamed(name string) bool {
	return slices.ContainsFunc(sortedValues(p.firewalls), func(f *Firewall) bool { return f.Name == name })
}

func (p *project) addFirewall(spec Firewall) *Firewall {
	_, taken := p.firewalls[spec.ID]
	spec.ID = takeID("firewall", spec.ID, &p.nextFirewall, taken)
	spec.Name = cmp.Or(spec.Name, fmt.Sprint("firewall-", spec.ID))
	spec.Labels = maps.Clone(spec.Labels)
	spec.Rules = ruled(spec.Rules)
	if spec.Created.IsZero() {
		spec.Created = p.now
	}
	spec.Created = wall(spec.Created).Truncate(time.Second)
	p.firewalls[spec.ID] = &spec
	return &spec
}

// ruled is a copy of the rules with what they leave out.
func ruled(rules []FirewallRule) []FirewallRule {
	rules = slices.Clone(rules)
	for i := range rules {
		rules[i].Protocol = cmp.Or(rules[i].Protocol, "tcp")
	}
	return rules
}

// assignFirewalls gives a server its firewalls, which are still to be applied.
// Each has an action of its own, which is expected to take d.
func (p *project) assignFirewalls(s *server, ids []int64, d time.Duration) []*action {
	var actions []*action
	for _, id := range ids {
		if p.firewalls[id] == nil {
			panic(fmt.Sprintf("hcloudsim: no firewall %d", id))
		}
		s.filters = append(s.filters, &filter{Firewall: p.firewalls[id]})
		a := p.start(p.newActionID(), "apply_firewall", "firewall", id, d)
		a.Resources = append(a.Resources, schema.ActionResourceReference{ID: s.ID, Type: "server"})
		actions = append(actions, a)
	}
	return actions
}

func (p *project) applyFirewalls(s *server, actions []*action) {
	for _, f := range s.filters {
		f.applied = true
	}
	for _, a := range actions {
		p.end(a, "", "")
	}
}

// protected are the servers that a firewall is on, or will be.
func (p *project) protected(f *Firewall, applied bool) []*server {
	return slices.DeleteFunc(p.sortedServers(), func(s *server) bool {
		return !slices.ContainsFunc(s.filters, func(on *filter) bool { return on.Firewall == f && (on.applied || !applied) })
	})
}

// admits reports whether the firewalls of a server let a connection in. One
// that isn't applied stops nothing.
func (p *project) admits(s *server, from netip.Addr, port uint16) bool {
	filtered := false
	for _, f := range s.filters {
		if !f.applied {
			continue
		}
		filtered = true
		if slices.ContainsFunc(f.Rules, func(r FirewallRule) bool { return r.admits(from, port) }) {
			return true
		}
	}
	return !filtered
}

func (r FirewallRule) admits(from netip.Addr, port uint16) bool {
	low, high, ok := portRange(r.Port)
	return r.Direction == "in" && r.Protocol == "tcp" && ok && low <= port && port <= high &&
		slices.ContainsFunc(r.SourceIPs, func(source string) bool { return netip.MustParsePrefix(source).Contains(from) })
}

// portRange reads a port, or two with a hyphen between.
func portRange(text string) (low, high uint16, ok bool) {
	first, last, isRange := strings.Cut(text, "-")
	if !isRange {
		last = first
	}
	from, err := strconv.ParseUint(first, 10, 16)
	to, err2 := strconv.ParseUint(last, 10, 16)
	return uint16(from), uint16(to), err == nil && err2 == nil && 1 <= from && from <= to
}

// show is the firewall as the API shows it. It is applied to the servers on
// which it holds; on the others it is pending.
func (f *Firewall) show(p *project) schema.Firewall {
	rules, servers := []schema.FirewallRule{}, []schema.FirewallResource{}
	for _, r := range f.Rules {
		shown := schema.FirewallRule{
			Direction: r.Direction, Protocol: r.Protocol, SourceIPs: append([]string{}, r.SourceIPs...), DestinationIPs: append([]string{}, r.DestinationIPs...),
		}
		if r.Port != "" {
			shown.Port = new(r.Port)
		}
		if r.Description != "" {
			shown.Description = new(r.Description)
		}
		rules = append(rules, shown)
	}
	for _, s := range p.protected(f, true) {
		servers = append(servers, schema.FirewallResource{Type: "server", Server: &schema.FirewallResourceServer{ID: s.ID}})
	}
	return schema.Firewall{ID: f.ID, Name: f.Name, Labels: orEmpty(f.Labels), Created: f.Created, Rules: rules, AppliedTo: servers}
}
