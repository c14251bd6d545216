package verify

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/org/hsnap-action/internal/hetzner"
	"github.com/org/hsnap-action/internal/proof"
)

// proving is a run that proves a port, which is open to networks.
func proving(port int, from ...string) *run {
	r := &run{Settings: Settings{Proof: proof.Proof{Port: port}}}
	for _, network := range from {
		r.AllowFrom = append(r.AllowFrom, netip.MustParsePrefix(network))
	}
	return r
}

// The digits are the beginning of what `printf '203.0.113.7/32' | sha256sum` prints, and so on.
func TestFirewallName(t *testing.T) {
	for _, test := range []struct {
		run  *run
		want string
	}{
		{proving(22, "0.0.0.0/0", "::/0"), "hsnap-drill-tcp-22"},
		{proving(22, "::/0", "0.0.0.0/0"), "hsnap-drill-tcp-22"},
		{proving(443, "0.0.0.0/0", "::/0"), "hsnap-drill-tcp-443"},
		{proving(22, "0.0.0.0/0"), "hsnap-drill-tcp-22-b42e1836"},
		{proving(22, "203.0.113.7/32"), "hsnap-drill-tcp-22-03e9b066"},
		{proving(2222, "2001:db8::/48", "198.51.100.0/24"), "hsnap-drill-tcp-2222-4e18a32e"},
		{proving(2222, "198.51.100.0/24", "2001:db8::/48"), "hsnap-drill-tcp-2222-4e18a32e"},
		{proving(0, "0.0.0.0/0", "::/0"), "hsnap-drill-none"},
		{proving(0, "203.0.113.7/32"), "hsnap-drill-none"},
	} {
		if got := test.run.firewallName(); got != test.want {
			t.Errorf("port %d from %v: %s, want %s", test.run.Proof.Port, test.run.AllowFrom, got, test.want)
		}
	}
}

func TestFirewallRules(t *testing.T) {
	nothingOut := hetzner.FirewallRule{Direction: "out", Protocol: "tcp", Port: new("9"), DestinationIPs: []string{"192.0.2.1/32"}}
	for _, test := range []struct {
		run  *run
		want []hetzner.FirewallRule
	}{
		{proving(0, "0.0.0.0/0"), []hetzner.FirewallRule{nothingOut}},
		{proving(22, "203.0.113.7/32", "2001:db8::/48"), []hetzner.FirewallRule{
			nothingOut, {Direction: "in", Protocol: "tcp", Port: new("22"), SourceIPs: []string{"203.0.113.7/32", "2001:db8::/48"}},
		}},
	} {
		if diff := cmp.Diff(test.want, test.run.firewallRules()); diff != "" {
			t.Errorf("port %d (-want +got):\n%s", test.run.Proof.Port, diff)
		}
	}
}

func TestSameRules(t *testing.T) {
	ours := proving(22, "203.0.113.7/32", "2001:db8::/48").firewallRules
	changed := func(change func(rules []hetzner.FirewallRule) []hetzner.FirewallRule) []hetzner.FirewallRule {
		return change(ours())
	}
	for name, test := range map[string]struct {
		rules []hetzner.FirewallRule
		want  bool
	}{
		"the same": {ours(), true},
		"in another order": {changed(func(rules []hetzner.FirewallRule) []hetzner.FirewallRule {
			slices.Reverse(rules)
			slices.Reverse(rules[0].SourceIPs)
			return rules
		}), true},
		"one of them twice":           {changed(func(rules []hetzner.FirewallRule) []hetzner.FirewallRule { return append(rules, rules[0]) }), true},
		"none":                        {nil, false},
		"nothing about what goes out": {ours()[1:], false},
		"nothing about what comes in": {ours()[:1], false},
		"one more": {changed(func(rules []hetzner.FirewallRule) []hetzner.FirewallRule {
			return append(rules, hetzner.FirewallRule{Direction: "in", Protocol: "tcp", Port: new("80"), SourceIPs: []string{"0.0.0.0/0"}})
		}), false},
		"another port":      {changed(func(rules []hetzner.FirewallRule) []hetzner.FirewallRule { rules[1].Port = new("22-23"); return rules }), false},
		"another protocol":  {changed(func(rules []hetzner.FirewallRule) []hetzner.FirewallRule { rules[1].Protocol = "udp"; return rules }), false},
		"another direction": {changed(func(rules []hetzner.FirewallRule) []hetzner.FirewallRule { rules[1].Direction = "out"; return rules }), false},
		"one more network": {changed(func(rules []hetzner.FirewallRule) []hetzner.FirewallRule {
			rules[1].SourceIPs = append(rules[1].SourceIPs, "0.0.0.0/0")
			return rules
		}), false},
		"one network less": {changed(func(rules []hetzner.FirewallRule) []hetzner.FirewallRule {
			rules[1].SourceIPs = rules[1].SourceIPs[:1]
			return rules
		}), false},
	} {
		if got := sameRules(test.rules, ours()); got != test.want {
			t.Errorf("%s: %t, want %t", name, got, test.want)
		}
		if got := sameRules(ours(), test.rules); got != test.want {
			t.Errorf("%s, the other way round: %t, want %t", name, got, test.want)
		}
	}
}
