package hcloudsim

import (
	"cmp"
	"fmt"
	"maps"
	"time"
)

func (p *project) addIP(spec PrimaryIP) *PrimaryIP {
	_, taken := p.ips[spec.ID]
	spec.ID = takeID("primary IP", spec.ID, &p.nextIP, taken)
	spec.Name = cmp.Or(spec.Name, fmt.Sprint("primary_ip-", spec.ID))
	spec.Type = cmp.Or(spec.Type, "ipv4")
	spec.Location = cmp.Or(spec.Location, "fsn1")
	spec.Labels = maps.Clone(spec.Labels)
	if spec.Created.IsZero() {
		spec.Created = p.now
	}
	spec.Created = wall(spec.Created).Truncate(time.Second)
	p.ips[spec.ID] = &spec
	return &spec
}

// ipID is the ID of the server's primary IP of that family.
func (s *server) ipID(family string) int64 {
	if family == "ipv4" {
		return 10_000_000 + s.ID
	}
	return 20_000_000 + s.ID
}

// assignIPs makes the primary IPs of a server's addresses.
func (p *project) assignIPs(s *server) {
	for _, ip := range []PrimaryIP{{Type: "ipv4", IP: s.IPv4}, {Type: "ipv6", IP: s.IPv6}} {
		if ip.IP != "" {
			ip.ID, ip.ServerID, ip.Location, ip.AutoDelete, ip.Created = s.ipID(ip.Type), s.ID, s.Location, true, s.Created
			p.addIP(ip)
		}
	}
}

// releaseIPs lets the primary IPs of a deleted server go.
func (p *project) releaseIPs(s *server) {
	for _, ip := range sortedValues(p.ips) {
		if ip.ServerID != s.ID {
			continue
		}
		ip.ServerID = 0
		switch {
		case !ip.AutoDelete || s.Deletion.IPsStay < 0:
		case s.Deletion.IPsStay == 0:
			delete(p.ips, ip.ID)
		default:
			p.after(s.Deletion.IPsStay, func() {
				if ip.ServerID == 0 {
					delete(p.ips, ip.ID)
				}
			})
		}
	}
}
