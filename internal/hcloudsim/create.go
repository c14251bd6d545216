package hcloudsim

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"
)

// offer is a server type at a location.
type offer struct{ serverType, location string }

// order is a server that is to be created.
type order struct {
	offer
	name           string
	image          *image
	labels         map[string]string
	networks       []int64
	volumes        []int64
	firewalls      []int64
	placementGroup int64
	sshKeys        int
	userData       string
	ipv4, ipv6     bool
	start          bool
}

// create begins the creation of a server that the API has accepted.
func (p *project) create(o order) (s *server, made *action, next []*action) {
	o.image.copies++
	b := o.image.copy
	b.Duration = cmp.Or(b.Duration, 30*time.Second)
	b.FirewallAfter = cmp.Or(b.FirewallAfter, 2*time.Second)
	fails := b.FailCode != "" && (b.FailTimes == 0 || o.image.copies <= b.FailTimes)
	length := b.Duration
	if fails {
		length = cmp.Or(b.FailAfter, b.Duration)
	}

	s = p.place(o, b)
	made = p.start(p.newActionID(), "create_server", "server", s.ID, b.Duration)
	made.shape = b.Progress
	if b.LockFor >= 0 {
		p.holdFor(s, cmp.Or(b.LockFor, length))
	}
	filters := p.assignFirewalls(s, o.firewalls, b.Duration+b.FirewallAfter)
	if o.start {
		next = append(next, p.command(s, "start_server", b.Duration+s.Power.PowerOnAfter))
	}
	p.after(length, func() {
		if p.servers[s.ID] != s {
			return
		}
		s.creation.Ended, s.creation.Failed = p.now, fails
		if s.Status == "initializing" {
			s.Status = "off"
		}
		if fails {
			p.failCreation(s, b, slices.Concat(next, filters, []*action{made}))
			return
		}
		s.diskImage = o.image.ID
		p.end(made, "", "")
		if b.FirewallAfter >= 0 {
			p.after(b.FirewallAfter, func() { p.applyFirewalls(s, filters) })
		}
		for _, a := range next {
			if s.Status == "off" {
				p.switchOn(s, a)
			}
		}
	})
	return s, made, next
}

// place makes the server of an order, its disk still empty.
func (p *project) place(o order, b CopyBehaviour) *server {
	spec := Server{
		Name: o.name, Status: "initializing", Type: o.serverType, Location: o.location, Labels: o.labels, Volumes: o.volumes,
		Networks: o.networks, PlacementGroup: o.placementGroup, Created: p.now, Power: b.Power, Deletion: b.Deletion, Guest: b.Guest,
	}
	n := len(p.creations) + 1
	if o.ipv4 {
		spec.IPv4 = fmt.Sprintf("198.18.%d.%d", n>>8, n&0xff)
	}
	if o.ipv6 {
		spec.IPv6 = fmt.Sprintf("2001:db8:c0de:%x::/64", n)
	}
	s := p.addServer(spec)
	s.image, s.diskImage = o.image, 0
	if free, limited := p.capacity[o.offer]; limited {
		p.capacity[o.offer] = free - 1
	}
	s.creation = &Creation{
		ServerID: s.ID, Name: o.name, Type: o.serverType, Location: o.location, ImageID: o.image.ID, Labels: maps.Clone(o.labels),
		Networks: slices.Clone(o.networks), Volumes: slices.Clone(o.volumes), Firewalls: slices.Clone(o.firewalls),
		PlacementGroup: o.placementGroup, SSHKeys: o.sshKeys, UserData: o.userData, Accepted: p.now,
	}
	if o.sshKeys == 0 {
		s.creation.RootPassword = p.password(s.ID)
	}
	for _, ip := range sortedValues(p.ips) {
		if ip.ServerID == s.ID {
			s.creation.PrimaryIPs = append(s.creation.PrimaryIPs, ip.ID)
		}
	}
	p.creations = append(p.creations, s.creation)
	return s
}

// failCreation ends a creation, and the actions that were to follow it, in an
// error.
func (p *project) failCreation(s *server, b CopyBehaviour, actions []*action) {
	for _, a := range actions {
		p.end(a, b.FailCode, b.FailMessage)
	}
	if b.VanishAfter >= 0 {
		p.after(b.VanishAfter, func() {
			if p.servers[s.ID] == s {
				p.deleteServer(s.ID)
			}
		})
	}
}

// password is the root password of a server without an SSH key.
func (p *project) password(serverID int64) string {
	const letters = "abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"
	dice := rand.New(rand.NewPCG(p.opts.Seed, uint64(serverID))) //nolint:gosec // an ID is above zero
	text := make([]byte, 20)
	for i := range text {
		text[i] = letters[dice.IntN(len(letters))]
	}
	return string(text)
}

// noteStart records that a server is being switched on.
func (s *server) noteStart(now time.Time) {
	if s.creation != nil && s.Status != "running" {
		s.creation.Starts = append(s.creation.Starts, Start{
			At:         now,
			Firewalled: len(s.filters) > 0 && !slices.ContainsFunc(s.filters, func(f *filter) bool { return !f.applied }),
			Attached:   len(s.Networks)+len(s.Volumes) > 0,
		})
	}
}

// discard begins a deletion that the API has accepted.
func (p *project) discard(s *server) *action {
	b := s.Deletion
	s.deletionsTried++
	fails := b.FailTimes < 0 || s.deletionsTried <= b.FailTimes
	before := s.Status
	s.power++
	s.Status = "deleting"
	a := p.start(p.newActionID(), "delete_server", "server", s.ID, b.After)
	p.holdFor(s, b.After)
	p.after(b.After, func() {
		switch {
		case p.servers[s.ID] != s: // somebody else was faster
			p.end(a, "", "")
		case fails:
			s.Status = before
			p.end(a, "server_error", "server could not be deleted")
		default:
			p.deleteServer(s.ID)
			p.end(a, "", "")
		}
	})
	return a
}
