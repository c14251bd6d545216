package hcloudsim

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/hetznercloud/hcloud-go/v2/hcloud/schema"
)

// server is a server and what goes on with it.
type server struct {
	Server
	holds    []*hold
	commands []string

	// power counts the operations on power, so that the end of a shutdown does
	// not switch off a server that was switched on again since.
	power          int
	snapshotsTried int
	powerOnsTried  int

	deletionsTried int
	creation       *Creation // nil: it was added
	filters        []*filter

	image     *image // that the API shows, also once it is deleted
	diskImage int64  // the ID of the one on the disk; zero: half written
	rebuilds  []int64
	booted    time.Time // when it was last switched on; zero: before it was added
}

func (p *project) addServer(spec Server) *server {
	_, taken := p.servers[spec.ID]
	spec.ID = takeID("server", spec.ID, &p.nextServer, taken)
	spec.Name = cmp.Or(spec.Name, fmt.Sprintf("server-%d", spec.ID))
	for _, s := range p.sortedServers() {
		if s.Name == spec.Name {
			panic(fmt.Sprintf("hcloudsim: server %q exists already", spec.Name))
		}
	}
	spec.Status = cmp.Or(spec.Status, "running")
	spec.Type = cmp.Or(spec.Type, "cx23")
	spec.Location = cmp.Or(spec.Location, "fsn1")
	spec.Labels = maps.Clone(spec.Labels)
	spec.Volumes = slices.Clone(spec.Volumes)
	if spec.Created.IsZero() {
		spec.Created = p.now.Add(-30 * 24 * time.Hour)
	}
	spec.Created = wall(spec.Created).Truncate(time.Second)
	spec.Snapshot.Duration = cmp.Or(spec.Snapshot.Duration, 45*time.Second)
	spec.Snapshot.SizeGB = cmp.Or(spec.Snapshot.SizeGB, 2.5)
	spec.Power.ShutdownAfter = cmp.Or(spec.Power.ShutdownAfter, 8*time.Second)
	spec.Power.PowerOffAfter = cmp.Or(spec.Power.PowerOffAfter, 3*time.Second)
	spec.Power.PowerOnAfter = cmp.Or(spec.Power.PowerOnAfter, 5*time.Second)
	spec.Rebuild.Duration = cmp.Or(spec.Rebuild.Duration, 20*time.Second)
	spec.PrimaryDiskGB = cmp.Or(spec.PrimaryDiskGB, serverType(spec.Type, spec.Location).Disk)
	spec.Guest.Ports = maps.Clone(spec.Guest.Ports)
	spec.Networks = slices.Clone(spec.Networks)
	s := &server{Server: spec}
	s.image = systemImage(s.architecture())
	if spec.ImageID != 0 {
		s.image = p.images[spec.ImageID]
		if s.image == nil {
			panic(fmt.Sprintf("hcloudsim: no image %d", spec.ImageID))
		}
	}
	s.diskImage = s.image.ID
	p.servers[s.ID] = s
	p.assignIPs(s)
	p.applyFirewalls(s, p.assignFirewalls(s, spec.Firewalls, 0))
	return s
}

func (p *project) deleteServer(id int64) {
	s := p.servers[id]
	if s == nil {
		return
	}
	delete(p.servers, id)
	p.releaseIPs(s)
	if s.creation != nil {
		s.creation.Deleted = p.now
	}
	for _, img := range p.sortedImages() {
		if img.Type == "backup" && img.ServerID == id {
			delete(p.images, img.ID)
		}
	}
}

func (p *project) sortedServers() []*server { return sortedValues(p.servers) }

func (p *project) mustServer(id int64) *server {
	s := p.servers[id]
	if s == nil {
		panic(fmt.Sprintf("hcloudsim: no server %d", id))
	}
	return s
}

// snapshot begins a snapshot that the API has accepted.
func (p *project) snapshot(s *server, description string, labels map[string]string) (*image, *action) {
	b := s.Snapshot
	s.snapshotsTried++
	fails := b.FailCode != "" && (b.FailTimes == 0 || s.snapshotsTried <= b.FailTimes)
	length := b.Duration
	if fails {
		length = cmp.Or(b.FailAfter, b.Duration)
	}

	img := p.addImage(Image{
		Status: "creating", Description: description, Labels: labels, ServerID: s.ID, ServerName: s.Name,
	})
	a := p.start(p.newActionID(), "create_image", "server", s.ID, b.Duration)
	a.shape = b.Progress
	if b.LockFor >= 0 {
		p.holdFor(s, cmp.Or(b.LockFor, length))
	}

	switch {
	case fails:
		p.after(length, func() { p.end(a, b.FailCode, b.FailMessage) })
		p.after(length+b.VanishAfter, func() { delete(p.images, img.ID) })
	case b.NeverAvailable:
		p.after(length, func() { p.end(a, "", "") })
	default:
		p.after(length, func() { p.end(a, "", "") })
		p.after(length+b.AvailableAfter, func() {
			img.Status = "available"
			if b.Unavailable {
				img.Status = "unavailable"
			}
			img.SizeGB = b.SizeGB
		})
	}
	return img, a
}

func (s *server) architecture() string { return serverType(s.Type, s.Location).Architecture }

// serverJSON is a server as the API shows it. Unlike schema.Server it can be
// without an address.
type serverJSON struct {
	schema.Server
	PublicNet  publicNetJSON  `json:"public_net"`
	ServerType serverTypeJSON `json:"server_type"`
	Image      imageJSON      `json:"image"`
}

type publicNetJSON struct {
	IPv4        *schema.ServerPublicNetIPv4 `json:"ipv4"`
	IPv6        *schema.ServerPublicNetIPv6 `json:"ipv6"`
	FloatingIPs []int64                     `json:"floating_ips"`
	Firewalls   []schema.ServerFirewall     `json:"firewalls"`
}

func (s *server) show() serverJSON {
	kind := serverType(s.Type, s.Location)
	net := publicNetJSON{FloatingIPs: []int64{}, Firewalls: s.firewalls()}
	if s.IPv4 != "" {
		net.IPv4 = &schema.ServerPublicNetIPv4{ID: s.ipID("ipv4"), IP: s.IPv4, DNSPtr: reverseName(s.IPv4)}
	}
	if s.IPv6 != "" {
		net.IPv6 = &schema.ServerPublicNetIPv6{ID: s.ipID("ipv6"), IP: s.IPv6, DNSPtr: []schema.ServerPublicNetIPv6DNSPtr{}}
	}
	return serverJSON{
		Server: schema.Server{
			ID:              s.ID,
			Name:            s.Name,
			Status:          s.Status,
			Created:         s.Created,
			PrivateNet:      s.privateNet(),
			Location:        location(s.Location),
			Locked:          s.seemsLocked(),
			RescueEnabled:   s.RescueEnabled,
			ISO:             attachedISO(s.ISO, kind.Architecture),
			Protection:      schema.ServerProtection{Delete: s.Protected, Rebuild: s.Protected},
			IncludedTraffic: includedTraffic,
			Labels:          orEmpty(s.Labels),
			Volumes:         append([]int64{}, s.Volumes...),
			LoadBalancers:   []int64{},
			PrimaryDiskSize: s.PrimaryDiskGB,
			PlacementGroup:  s.placementGroup(),
		},
		PublicNet:  net,
		ServerType: kind,
		Image:      s.image.show(),
	}
}

func (s *server) firewalls() []schema.ServerFirewall {
	all := []schema.ServerFirewall{}
	for _, f := range s.filters {
		status := "pending"
		if f.applied {
			status = "applied"
		}
		all = append(all, schema.ServerFirewall{ID: f.ID, Status: status})
	}
	return all
}

func (s *server) privateNet() []schema.ServerPrivateNet {
	all := []schema.ServerPrivateNet{}
	for i, id := range s.Networks {
		all = append(all, schema.ServerPrivateNet{
			Network: id, IP: fmt.Sprintf("10.%d.0.2", i), AliasIPs: []string{}, MACAddress: fmt.Sprintf("86:00:ff:00:00:%02x", i),
		})
	}
	return all
}

func (s *server) placementGroup() *schema.PlacementGroup {
	if s.PlacementGroup == 0 {
		return nil
	}
	return &schema.PlacementGroup{
		ID: s.PlacementGroup, Name: fmt.Sprint("placement-group-", s.PlacementGroup), Labels: map[string]string{},
		Created: s.Created, Servers: []int64{s.ID}, Type: "spread",
	}
}

// attachedISO is the public ISO of that name, nil for the empty one.
func attachedISO(name, architecture string) *schema.ISO {
	if name == "" {
		return nil
	}
	return &schema.ISO{ID: 4711, Name: name, Description: name, Type: "public", Architecture: new(architecture)}
}

// reverseName is the name that Hetzner gives an address by default.
func reverseName(ip string) string {
	addr, err := netip.ParseAddr(ip)
	if err != nil || !addr.Is4() {
		return ""
	}
	parts := strings.Split(addr.String(), ".")
	slices.Reverse(parts)
	return "static." + strings.Join(parts, ".") + ".clients.your-server.de"
}

// orEmpty turns a nil map into an empty one: the API sends {}, never null.
func orEmpty(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}
