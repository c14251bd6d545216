package hcloudsim

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

func (c *call) createServer() reply {
	b, refusal := c.payload("name", "location", "server_type", "start_after_create", "image", "placement_group", "ssh_keys",
		"volumes", "networks", "firewalls", "user_data", "labels", "automount", "public_net")
	if refusal != nil {
		return *refusal
	}
	var o order
	kind, at, img := b.order(&o)
	if b.errs != nil {
		return invalid(b.errs)
	}
	if refusal := c.findParts(&o, kind, at, img); refusal != nil {
		return *refusal
	}
	if refusal := c.p.roomFor(o); refusal != nil {
		return *refusal
	}
	s, made, next := c.p.create(o)
	shown := []any{}
	for _, a := range next {
		shown = append(shown, c.showAction(a))
	}
	content := map[string]any{"server": s.show(), "action": c.showAction(made), "next_actions": shown, "root_password": nil}
	if password := s.creation.RootPassword; password != "" {
		content["root_password"] = password
	}
	return answer(http.StatusCreated, content)
}

// order reads an order, except for what it is made of: of these it returns the
// IDs or names. The location may be left to Hetzner.
func (b *payload) order(o *order) (kind, at, img string) {
	o.name, kind, img = b.required("name"), b.idOrName("server_type"), b.idOrName("image")
	if o.name != "" && !isHostname(o.name) {
		b.errs.add("name", "must be a valid hostname")
	}
	if b.raw["location"] != nil {
		at = b.idOrName("location")
	}
	o.labels = b.labels()
	o.networks, o.volumes = b.ids("networks"), b.ids("volumes")
	if group := field[int64](b, "placement_group", "must be a number"); group != nil {
		o.placementGroup = *group
	}
	for _, firewall := range b.objects("firewalls", "firewall") {
		id := field[int64](firewall, "firewall", "must be a number")
		if id == nil || *id < 1 {
			b.errs.add("firewalls", "must be an array of firewalls")
			break
		}
		o.firewalls = append(o.firewalls, *id)
	}
	o.sshKeys = b.sshKeys()
	if data := b.text("user_data"); data != nil {
		o.userData = *data
	}
	if len(o.userData) > maxUserData {
		b.errs.add("user_data", "is too long")
	}
	b.boolean("automount")
	unless := func(is *bool) bool { return is == nil || *is }
	o.start = unless(b.boolean("start_after_create"))
	public := b.object("public_net", "enable_ipv4", "enable_ipv6")
	o.ipv4, o.ipv6 = unless(public.boolean("enable_ipv4")), unless(public.boolean("enable_ipv6"))
	b.nest("public_net", public)
	if b.errs == nil && o.start && !o.ipv4 && !o.ipv6 && len(o.networks) == 0 {
		b.errs.add("start_after_create", "a server without a network cannot be started")
	}
	return kind, at, img
}

// sshKeys counts the SSH keys, each an ID or a name.
func (b *payload) sshKeys() int {
	keys := field[[]json.RawMessage](b, "ssh_keys", "must be an array")
	if keys == nil {
		return 0
	}
	for _, raw := range *keys {
		var name string
		if _, ok := parseID(string(raw)); !ok && (json.Unmarshal(raw, &name) != nil || name == "") {
			b.errs.add("ssh_keys", "must be an array of IDs or names")
			break
		}
	}
	return len(*keys)
}

// findParts finds the server type, the location and the image of an order, and
// refuses those that don't go together.
func (c *call) findParts(o *order, kind, at, idOrName string) *reply {
	bad := func(message string) *reply {
		return new(refuse(http.StatusUnprocessableEntity, "invalid_input", message))
	}
	sold := findProduct(kind)
	switch {
	case sold == nil:
		return bad(fmt.Sprintf("server type '%s' not found", kind))
	case c.p.withdrawn(sold.name):
		return bad("server type is deprecated and can no longer be ordered")
	}
	o.offer = offer{sold.name, sold.at[0]}
	if at != "" {
		name, ok := findLocation(at)
		if !ok {
			return bad(fmt.Sprintf("location '%s' not found", at))
		}
		o.location = name
	}
	if !slices.Contains(sold.at, o.location) {
		return bad("unsupported location for server type")
	}
	o.image = c.p.imageFor(sold.arch, idOrName)
	switch {
	case o.image == nil:
		return new(refuse(http.StatusNotFound, "not_found", "image not found"))
	case o.image.Architecture != sold.arch:
		return bad("image architecture is not compatible with server type")
	case o.image.DiskGB > sold.disk:
		return bad("image disk is bigger than server type disk")
	}
	for _, id := range o.firewalls {
		if c.p.firewalls[id] == nil {
			return new(notFound("firewall", id))
		}
	}
	return nil
}

// roomFor refuses an order that is right in itself, where the project or
// Hetzner has no room for it.
func (p *project) roomFor(o order) *reply {
	addresses := 0
	for _, wanted := range []bool{o.ipv4, o.ipv6} {
		if wanted {
			addresses++
		}
	}
	free, limited := p.capacity[o.offer]
	switch {
	case slices.ContainsFunc(p.sortedServers(), func(s *server) bool { return s.Name == o.name }):
		return new(refuse(http.StatusConflict, "uniqueness_error", "server name is already used"))
	case p.opts.ServerLimit > 0 && len(p.servers) >= p.opts.ServerLimit:
		return new(refuse(http.StatusForbidden, "resource_limit_exceeded", "server limit exceeded"))
	case addresses > 0 && p.opts.PrimaryIPLimit > 0 && len(p.ips)+addresses > p.opts.PrimaryIPLimit:
		return new(refuse(http.StatusForbidden, "resource_limit_exceeded", "Primary IP limit exceeded"))
	case limited && free < 1:
		return new(refuse(http.StatusPreconditionFailed, "resource_unavailable", "error during placement"))
	}
	return nil
}

// isHostname reports whether s is a hostname as of RFC 1123.
func isHostname(s string) bool {
	if len(s) > 253 {
		return false
	}
	for part := range strings.SplitSeq(s, ".") {
		if !isLabelName(part) || strings.Contains(part, "_") {
			return false
		}
	}
	return true
}

func (c *call) deleteServer() reply {
	s := c.p.servers[c.id]
	if s != nil && s.Protected {
		return refuse(http.StatusLocked, "protected", "server deletion is protected")
	}
	s, refusal := c.unlockedServer()
	if refusal != nil {
		return *refusal
	}
	return answer(http.StatusOK, map[string]any{"action": c.showAction(c.p.discard(s))})
}
