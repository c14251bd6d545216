package hetzner

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/hetznercloud/hcloud-go/v2/hcloud/schema"
)

// NewServer describes a server to create. It is not started, and has one public address.
type NewServer struct {
	Name, Type, Location string
	Image                int64
	Firewall             int64
	IPv6                 bool // rather than IPv4
	Labels               map[string]string
}

// CreateServer creates a server. On success all IDs are above zero; any error is an [*Error] whose Verdict says what is known
// about the server. A root password in the answer goes no further.
func (c *Client) CreateServer(ctx context.Context, s NewServer) (server Server, actionID int64, quota Quota, err error) {
	body, answer, err := send[schema.ServerCreateResponse](ctx, c, http.MethodPost, "/servers", schema.ServerCreateRequest{
		Name: s.Name, ServerType: schema.IDOrName{Name: s.Type}, Location: s.Location, Labels: &s.Labels,
		Image:            schema.IDOrName{Name: strconv.FormatInt(s.Image, 10)}, // a string, as the API describes it
		Firewalls:        []schema.ServerCreateFirewalls{{Firewall: s.Firewall}},
		PublicNet:        &schema.ServerCreatePublicNet{EnableIPv4: !s.IPv6, EnableIPv6: s.IPv6},
		StartAfterCreate: new(false),
	})
	err = answer.check(err, body.Server.ID > 0 && body.Action.ID > 0, "the answer names no server or no action")
	return serverFrom(body.Server), body.Action.ID, answer.quota, err
}

// ServerNamed returns the server of a name. Names are unique in a project; without a server of this name the ID is 0.
func (c *Client) ServerNamed(ctx context.Context, name string) (Server, Quota, error) {
	body, answer, err := get[schema.ServerListResponse](ctx, c, "/servers?"+url.Values{"name": {name}}.Encode())
	server, quota, err := named(answer, body.Servers, func(s schema.Server) bool { return s.Name == name }, err)
	return serverFrom(server), quota, err
}

// named reads the one resource of a name from an answer that lists those of this name; the zero value where there is none.
func named[T any](a answer, list []T, is func(T) bool, err error) (found T, quota Quota, _ error) {
	err = a.check(err, list != nil && a.pagination != nil, "the answer holds no list")
	if i := slices.IndexFunc(list, is); err == nil && i >= 0 {
		found = list[i]
	}
	return found, a.quota, err
}

// DeleteServer deletes a server. One that does not exist is an [*Error] with the code not_found.
func (c *Client) DeleteServer(ctx context.Context, server int64) (Quota, error) {
	_, quota, err := c.act(ctx, http.MethodDelete, fmt.Sprintf("/servers/%d", server), nil)
	return quota, err
}

// Firewall is a firewall as Hetzner describes it.
type Firewall = schema.Firewall

// FirewallRule is a rule of it.
type FirewallRule = schema.FirewallRule

// FirewallNamed returns the firewall of a name. Names are unique in a project; without a firewall of this name the ID is 0.
func (c *Client) FirewallNamed(ctx context.Context, name string) (Firewall, Quota, error) {
	body, answer, err := get[schema.FirewallListResponse](ctx, c, "/firewalls?"+url.Values{"name": {name}}.Encode())
	return named(answer, body.Firewalls, func(f Firewall) bool { return f.Name == name }, err)
}

// CreateFirewall creates a firewall, which is applied to nothing, and returns it. The ID of the firewall given is of no
// matter.
func (c *Client) CreateFirewall(ctx context.Context, f Firewall) (Firewall, Quota, error) {
	request := schema.FirewallCreateRequest{Name: f.Name, Labels: &f.Labels}
	for _, rule := range f.Rules {
		request.Rules = append(request.Rules, schema.FirewallRuleRequest(rule))
	}
	body, answer, err := send[schema.FirewallCreateResponse](ctx, c, http.MethodPost, "/firewalls", request)
	return body.Firewall, answer.quota, answer.check(err, body.Firewall.ID > 0, "the answer names no firewall")
}

// PrimaryIPAssigned reports whether a primary IP is assigned to anything. One that does not exist is an [*Error] with the code
// not_found.
func (c *Client) PrimaryIPAssigned(ctx context.Context, id int64) (assigned bool, quota Quota, err error) {
	body, answer, err := get[schema.PrimaryIPGetResponse](ctx, c, fmt.Sprintf("/primary_ips/%d", id))
	err = answer.check(err, body.PrimaryIP.ID == id, "the answer does not hold primary IP %d", id)
	return body.PrimaryIP.AssigneeID != nil, answer.quota, err
}

// DeletePrimaryIP deletes a primary IP. One that does not exist is an [*Error] with the code not_found.
func (c *Client) DeletePrimaryIP(ctx context.Context, id int64) (Quota, error) {
	return c.remove(ctx, fmt.Sprintf("/primary_ips/%d", id))
}

// ServerType is what this program needs to know of a server type.
type ServerType struct {
	ID           int64
	Name         string
	Architecture string // "x86" or "arm"
	DiskGB       int
	Hourly       map[string]float64 // gross price of an hour, by the location that has it
	Unavailable  map[string]bool    // where Hetzner says that it has none for now, or no more
}

func (t ServerType) resourceID() int64  { return t.ID }
func (t ServerType) created() time.Time { return time.Time{} }

func serverTypeFrom(t schema.ServerType) ServerType {
	kind := ServerType{
		ID: t.ID, Name: t.Name, Architecture: t.Architecture, DiskGB: t.Disk, Hourly: map[string]float64{}, Unavailable: map[string]bool{},
	}
	for _, p := range t.Prices {
		if gross, err := strconv.ParseFloat(p.PriceHourly.Gross, 64); err == nil && gross > 0 {
			kind.Hourly[p.Location] = gross
		}
	}
	for _, at := range t.Locations {
		kind.Unavailable[at.Name] = !at.Available || at.Deprecation != nil
	}
	return kind
}

// ServerTypePage returns one page of the server types.
func (c *Client) ServerTypePage(ctx context.Context, page int) (Page[ServerType], Quota, error) {
	query := url.Values{"page": {strconv.Itoa(page)}, "per_page": {strconv.Itoa(PerPage)}}
	body, answer, err := get[schema.ServerTypeListResponse](ctx, c, "/server_types?"+query.Encode())
	return pageOf(answer, page, body.ServerTypes, serverTypeFrom, err)
}
