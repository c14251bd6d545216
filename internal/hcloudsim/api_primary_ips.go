package hcloudsim

import (
	"net/http"
	"slices"

	"github.com/hetznercloud/hcloud-go/v2/hcloud/schema"
)

func (c *call) listPrimaryIPs() reply {
	q := &c.query
	sel := q.selector()
	name, address := q.values.Get("name"), q.values.Get("ip")
	ips := slices.DeleteFunc(sortedValues(c.p.ips), func(ip *PrimaryIP) bool {
		return name != "" && ip.Name != name || address != "" && ip.IP != address || !sel.matches(ip.Labels)
	})
	sortBy(q, ips, orders[*PrimaryIP]{
		"id":      by(func(ip *PrimaryIP) int64 { return ip.ID }),
		"created": func(a, b *PrimaryIP) int { return a.Created.Compare(b.Created) },
	})
	return list(c, "primary_ips", ips, (*PrimaryIP).show)
}

func (c *call) getPrimaryIP() reply {
	ip := c.p.ips[c.id]
	if ip == nil {
		return notFound("primary_ip", c.id)
	}
	return answer(http.StatusOK, map[string]any{"primary_ip": ip.show()})
}

func (c *call) deletePrimaryIP() reply {
	ip := c.p.ips[c.id]
	switch {
	case ip == nil:
		return notFound("primary_ip", c.id)
	case ip.Protected:
		return refuse(http.StatusLocked, "protected", "primary IP deletion is protected")
	case ip.ServerID != 0:
		return refuse(http.StatusUnprocessableEntity, "must_be_unassigned", "primary IP must be unassigned before it can be deleted")
	}
	delete(c.p.ips, ip.ID)
	return answer(http.StatusNoContent, nil)
}

// addressJSON is a primary IP as the API shows it. Unlike servers it still has
// a data center.
type addressJSON struct {
	schema.PrimaryIP
	Datacenter datacenterJSON `json:"datacenter"`
}

type datacenterJSON struct {
	ID          int64               `json:"id"`
	Name        string              `json:"name"`
	Description string              `json:"description"`
	Location    schema.Location     `json:"location"`
	ServerTypes map[string][]string `json:"server_types"` // deprecated, so all are empty
}

func (ip *PrimaryIP) show() addressJSON {
	at := location(ip.Location)
	s := schema.PrimaryIP{
		ID: ip.ID, Name: ip.Name, IP: ip.IP, Type: ip.Type, Labels: orEmpty(ip.Labels), Created: ip.Created, Location: at,
		AutoDelete: ip.AutoDelete, AssigneeType: "server", DNSPtr: []schema.PrimaryIPDNSPTR{},
		Protection: schema.PrimaryIPProtection{Delete: ip.Protected},
	}
	if ip.ServerID != 0 {
		s.AssigneeID = new(ip.ServerID)
	}
	if name := reverseName(ip.IP); name != "" {
		s.DNSPtr = append(s.DNSPtr, schema.PrimaryIPDNSPTR{IP: ip.IP, DNSPtr: name})
	}
	return addressJSON{PrimaryIP: s, Datacenter: datacenterJSON{
		ID: at.ID, Name: at.Name + "-dc1", Description: at.Description, Location: at,
		ServerTypes: map[string][]string{"supported": {}, "available": {}, "available_for_migration": {}},
	}}
}
