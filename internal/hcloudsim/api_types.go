package hcloudsim

import (
	"net/http"

	"github.com/hetznercloud/hcloud-go/v2/hcloud/schema"
)

func (c *call) listServerTypes() reply {
	name := c.query.values.Get("name")
	var found []product
	for _, sold := range products {
		if (name == "" || sold.name == name) && !c.p.withdrawn(sold.name) {
			found = append(found, sold)
		}
	}
	return list(c, "server_types", found, c.showServerType)
}

func (c *call) getServerType() reply {
	for _, sold := range products {
		if sold.id == c.id {
			return answer(http.StatusOK, map[string]any{"server_type": c.showServerType(sold)})
		}
	}
	return notFound("server_type", c.id)
}

// showServerType is a server type with all of its locations; a server's own
// shows only that of the server.
func (c *call) showServerType(sold product) serverTypeJSON {
	shown := serverType(sold.name, sold.at[0])
	shown.Prices, shown.Locations = nil, nil
	var going schema.DeprecatableResource
	if announced, ok := c.p.retired[sold.name]; ok {
		going.Deprecation = &schema.DeprecationInfo{Announced: announced, UnavailableAfter: lastDay(announced)}
	}
	shown.Deprecated, shown.DeprecatableResource = going.Deprecation != nil, going //nolint:staticcheck // deprecated, and still sent
	for _, at := range sold.at {
		free, limited := c.p.capacity[offer{sold.name, at}]
		shown.Prices = append(shown.Prices, sold.price(at))
		shown.Locations = append(shown.Locations, schema.ServerTypeLocation{
			ID: location(at).ID, Name: at, Recommended: going.Deprecation == nil, Available: !limited || free > 0, DeprecatableResource: going,
		})
	}
	return shown
}

// withdrawn reports whether a server type's deprecation has run out.
func (p *project) withdrawn(serverType string) bool {
	announced, retired := p.retired[serverType]
	return retired && !p.now.Before(lastDay(announced))
}
