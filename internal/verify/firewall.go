package verify

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/org/hsnap-action/internal/fleet"
	"github.com/org/hsnap-action/internal/hetzner"
	"github.com/org/hsnap-action/internal/labels"
)

// firewallFor is how long the firewall is tried to be found or made.
const firewallFor = 5 * time.Minute

// firewall is what shuts the copies off. It is made once, and kept for later runs.
type firewall struct {
	id      int64 // 0 until it is there
	done    bool
	differs bool // somebody has changed its rules
	err     error
}

// firewallName is the firewall's name: it says what is let in.
func (r *run) firewallName() string {
	if r.Proof.Port == 0 {
		return "hsnap-drill-none"
	}
	name := fmt.Sprintf("hsnap-drill-tcp-%d", r.Proof.Port)
	var from []string
	for _, network := range r.AllowFrom {
		from = append(from, network.String())
	}
	slices.Sort(from)
	if everyone := []string{"0.0.0.0/0", "::/0"}; slices.Equal(from, everyone) {
		return name
	}
	sum := sha256.Sum256([]byte(strings.Join(from, ",")))
	return name + "-" + hex.EncodeToString(sum[:4])
}

// firewallRules let one port in from the networks that may, and nothing out. A firewall without a rule for what goes out lets
// everything out, so one rule is there that matches nothing: 192.0.2.1 is an address that nobody has.
func (r *run) firewallRules() []hetzner.FirewallRule {
	rules := []hetzner.FirewallRule{{Direction: "out", Protocol: "tcp", Port: new("9"), DestinationIPs: []string{"192.0.2.1/32"}}}
	if r.Proof.Port == 0 {
		return rules
	}
	in := hetzner.FirewallRule{Direction: "in", Protocol: "tcp", Port: new(strconv.Itoa(r.Proof.Port))}
	for _, network := range r.AllowFrom {
		in.SourceIPs = append(in.SourceIPs, network.String())
	}
	return append(rules, in)
}

// makeFirewall is the script that finds the firewall, or makes it. Its name is unique, so that to make it twice is as to make
// it once.
func (r *run) makeFirewall(s *fleet.Script) {
	defer func() { r.firewall.done = true }()
	limit := s.Now().Add(firewallFor)
	wanted := hetzner.Firewall{Name: r.firewallName(), Labels: map[string]string{labels.Drill: "firewall"}, Rules: r.firewallRules()}
	for n := 1; ; n++ {
		found, err := fleet.Read(s.Poll, func(ctx context.Context) (hetzner.Firewall, hetzner.Quota, error) {
			return r.API.FirewallNamed(ctx, wanted.Name)
		})
		if err == nil && found.ID == 0 {
			err = s.Change(fleet.Change{Rank: fleet.First, Send: func(ctx context.Context) (quota hetzner.Quota, err error) {
				found, quota, err = r.API.CreateFirewall(ctx, wanted)
				return quota, err
			}})
		}
		failure, failed := errors.AsType[*hetzner.Error](err)
		switch {
		case err == nil:
			r.firewall.id, r.firewall.differs = found.ID, !sameRules(found.Rules, wanted.Rules)
			return
		case !failed, (failure.Final() || failure.Verdict == hetzner.Full) && failure.Code != hetzner.CodeUniqueness, !s.Now().Before(limit):
			r.firewall.err = err
			return
		}
		if err := s.Sleep(s.Now().Add(fleet.RetryAfter(n))); err != nil {
			r.firewall.err = err
			return
		}
	}
}

// sameRules reports whether two lists of rules let the same traffic through.
func sameRules(a, b []hetzner.FirewallRule) bool {
	text := func(rules []hetzner.FirewallRule) (texts []string) {
		for _, rule := range rules {
			from, to := slices.Sorted(slices.Values(rule.SourceIPs)), slices.Sorted(slices.Values(rule.DestinationIPs))
			port := cmp.Or(rule.Port, new("")) // icmp has none
			texts = append(texts, fmt.Sprintf("%s %s %s from %s to %s", rule.Direction, rule.Protocol, *port, from, to))
		}
		slices.Sort(texts)
		return slices.Compact(texts)
	}
	return slices.Equal(text(a), text(b))
}
