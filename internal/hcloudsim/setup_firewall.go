package hcloudsim

import (
	"maps"
	"slices"
	"time"
)

// Firewall is a firewall of the project, both to be added and as the truth.
type Firewall struct {
	ID      int64  // zero: the next free one
	Name    string // empty: firewall-<ID>; unique in the project
	Labels  map[string]string
	Rules   []FirewallRule
	Created time.Time // zero: now
}

// FirewallRule lets traffic through.
type FirewallRule struct {
	Direction      string // in or out
	Protocol       string // empty: tcp
	Port           string // a number or a range, as 1-1024; of tcp and udp only
	SourceIPs      []string
	DestinationIPs []string
	Description    string // empty: null
}

// AddFirewall adds a firewall and returns its ID. It panics when the ID or the
// name is taken.
func (c *Cloud) AddFirewall(spec Firewall) (id int64) {
	c.update(func(p *project) {
		if p.firewallNamed(spec.Name) {
			panic("hcloudsim: firewall " + spec.Name + " exists already")
		}
		id = p.addFirewall(spec).ID
	})
	return id
}

// SetFirewallRules replaces a firewall's rules, as somebody else does. Unknown IDs are ignored.
func (c *Cloud) SetFirewallRules(id int64, rules ...FirewallRule) {
	c.update(func(p *project) {
		if f := p.firewalls[id]; f != nil {
			f.Rules = ruled(rules)
		}
	})
}

// DeleteFirewall takes a firewall off all servers and deletes it, as somebody else does. Unknown IDs are ignored.
func (c *Cloud) DeleteFirewall(id int64) {
	c.update(func(p *project) {
		delete(p.firewalls, id)
		for _, s := range p.servers {
			s.filters = slices.DeleteFunc(s.filters, func(f *filter) bool { return f.ID == id })
		}
	})
}

// Firewalls returns the firewalls, sorted by ID.
func (c *Cloud) Firewalls() []Firewall {
	var all []Firewall
	c.update(func(p *project) {
		for _, f := range sortedValues(p.firewalls) {
			truth := *f
			truth.Labels, truth.Rules = maps.Clone(f.Labels), slices.Clone(f.Rules)
			all = append(all, truth)
		}
	})
	return all
}
