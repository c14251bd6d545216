package hcloudsim

import (
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"unicode/utf8"

	"github.com/hetznercloud/hcloud-go/v2/hcloud/schema"
)

const (
	maxFirewallName    = 128
	maxFirewallRules   = 50
	maxRuleAddresses   = 100
	maxRuleDescription = 255
)

func (c *call) listFirewalls() reply {
	q := &c.query
	sel := q.selector()
	name := q.values.Get("name")
	firewalls := slices.DeleteFunc(sortedValues(c.p.firewalls), func(f *Firewall) bool {
		return name != "" && f.Name != name || !sel.matches(f.Labels)
	})
	sortBy(q, firewalls, orders[*Firewall]{
		"id":      by(func(f *Firewall) int64 { return f.ID }),
		"name":    by(func(f *Firewall) string { return f.Name }),
		"created": func(a, b *Firewall) int { return a.Created.Compare(b.Created) },
	})
	return list(c, "firewalls", firewalls, func(f *Firewall) schema.Firewall { return f.show(c.p) })
}

func (c *call) getFirewall() reply {
	f := c.p.firewalls[c.id]
	if f == nil {
		return notFound("firewall", c.id)
	}
	return answer(http.StatusOK, map[string]any{"firewall": f.show(c.p)})
}

func (c *call) deleteFirewall() reply {
	f := c.p.firewalls[c.id]
	switch {
	case f == nil:
		return notFound("firewall", c.id)
	case len(c.p.protected(f, false)) > 0:
		return refuse(http.StatusUnprocessableEntity, "resource_in_use", fmt.Sprintf("firewall with ID %d is still in use", f.ID))
	}
	delete(c.p.firewalls, f.ID)
	return answer(http.StatusNoContent, nil)
}

func (c *call) createFirewall() reply {
	b, refusal := c.payload("name", "labels", "rules", "apply_to")
	if refusal != nil {
		return *refusal
	}
	f := Firewall{Name: b.required("name"), Labels: b.labels()}
	if utf8.RuneCountInString(f.Name) > maxFirewallName {
		b.errs.add("name", "is too long")
	}
	if len(b.objects("apply_to", "type", "server", "label_selector")) > 0 {
		b.errs.add("apply_to", "is not simulated") // better than to be ignored
	}
	rules := b.objects("rules", "description", "direction", "source_ips", "destination_ips", "protocol", "port")
	if len(rules) > maxFirewallRules {
		b.errs.add("rules", "are too many")
	}
	for i, rule := range rules {
		f.Rules = append(f.Rules, rule.rule())
		b.nest(fmt.Sprint("rules.", i), rule)
	}
	if b.errs != nil {
		return invalid(b.errs)
	}
	if c.p.firewallNamed(f.Name) {
		return refuse(http.StatusConflict, "uniqueness_error", "firewall name is already used")
	}
	return answer(http.StatusCreated, map[string]any{"firewall": c.p.addFirewall(f).show(c.p), "actions": []any{}})
}

// rule reads a rule. Its addresses are those of the other end, so a rule has
// them of one direction.
func (b *payload) rule() FirewallRule {
	r := FirewallRule{
		Direction: b.choice("direction", "in", "out"), Protocol: b.choice("protocol", "tcp", "udp", "icmp", "esp", "gre"),
		SourceIPs: b.prefixes("source_ips"), DestinationIPs: b.prefixes("destination_ips"),
	}
	needed, other := "source_ips", "destination_ips"
	have, tooMuch := r.SourceIPs, r.DestinationIPs
	if r.Direction == "out" {
		needed, other, have, tooMuch = other, needed, tooMuch, have
	}
	switch {
	case b.errs != nil:
	case len(have) == 0:
		b.errs.add(needed, "missing")
	case len(tooMuch) > 0:
		b.errs.add(other, "is of the other direction")
	}
	port, withPort := b.text("port"), r.Protocol == "tcp" || r.Protocol == "udp"
	switch {
	case port == nil && withPort && b.raw["port"] == nil:
		b.errs.add("port", "missing")
	case port != nil && !withPort:
		b.errs.add("port", "is for tcp and udp only")
	case port != nil:
		if _, _, ok := portRange(*port); !ok {
			b.errs.add("port", "must be a port or a range of ports")
		}
		r.Port = *port
	}
	if string(b.raw["description"]) != "null" {
		if text := b.text("description"); text != nil {
			r.Description = *text
		}
	}
	if utf8.RuneCountInString(r.Description) > maxRuleDescription {
		b.errs.add("description", "is too long")
	}
	return r
}

// choice reads a required string of a fixed set.
func (b *payload) choice(name string, allowed ...string) string {
	text := b.required(name)
	if text != "" && !slices.Contains(allowed, text) {
		b.errs.add(name, fmt.Sprintf("must be one of %v", allowed))
	}
	return text
}

// prefixes reads networks in CIDR notation, in their canonical form. Bits
// behind the network's are an error.
func (b *payload) prefixes(name string) []string {
	texts := field[[]string](b, name, "must be an array of strings")
	if texts == nil {
		return nil
	}
	if len(*texts) > maxRuleAddresses {
		b.errs.add(name, "are too many")
	}
	var all []string
	for _, text := range *texts {
		prefix, err := netip.ParsePrefix(text)
		if err != nil || prefix != prefix.Masked() {
			b.errs.add(name, fmt.Sprintf("%q is no network in CIDR notation", text))
			break
		}
		all = append(all, prefix.String())
	}
	return all
}
