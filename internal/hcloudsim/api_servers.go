package hcloudsim

import (
	"fmt"
	"net/http"
	"slices"
)

var serverStatuses = []string{
	"running", "initializing", "starting", "stopping", "off", "deleting", "migrating", "rebuilding", "unknown",
}

func (c *call) listServers() reply {
	q := &c.query
	sel := q.selector()
	status := q.oneOf("status", serverStatuses...)
	name := q.values.Get("name")
	servers := slices.DeleteFunc(c.p.sortedServers(), func(s *server) bool {
		return name != "" && s.Name != name || !status(s.Status) || !sel.matches(s.Labels)
	})
	sortBy(q, servers, orders[*server]{
		"id":      by(func(s *server) int64 { return s.ID }),
		"name":    by(func(s *server) string { return s.Name }),
		"created": func(a, b *server) int { return a.Created.Compare(b.Created) },
	})
	var shown []*server
	r := list(c, "servers", servers, func(s *server) serverJSON {
		shown = append(shown, s)
		return s.show()
	})
	for _, s := range shown {
		c.p.countPoll(s)
	}
	return r
}

func (c *call) getServer() reply {
	s := c.p.servers[c.id]
	if s == nil {
		return notFound("server", c.id)
	}
	r := answer(http.StatusOK, map[string]any{"server": s.show()})
	c.p.countPoll(s)
	return r
}

// unlockedServer returns the server of a POST, or the refusal where there is
// none or it is locked.
func (c *call) unlockedServer() (*server, *reply) {
	s := c.p.servers[c.id]
	if s == nil {
		return nil, new(notFound("server", c.id))
	}
	if s.locked() {
		return nil, new(refuse(http.StatusLocked, "locked", "cannot perform operation because server is locked"))
	}
	return s, nil
}

func (c *call) createImage() reply {
	if c.p.servers[c.id] == nil {
		return notFound("server", c.id)
	}
	b, refusal := c.payload("description", "type", "labels")
	if refusal != nil {
		return *refusal
	}
	description, kind, labels := b.text("description"), b.text("type"), b.labels()
	switch {
	case kind == nil || *kind == "snapshot":
	case *kind == "backup":
		b.errs.add("type", "backups are not enabled for this server")
	default:
		b.errs.add("type", "must be one of snapshot, backup")
	}
	if b.errs != nil {
		return invalid(b.errs)
	}
	s, refusal := c.unlockedServer()
	if refusal != nil {
		return *refusal
	}
	if limit := c.p.opts.SnapshotLimit; limit > 0 && c.p.snapshots() >= limit {
		return refuse(http.StatusForbidden, "resource_limit_exceeded", "snapshot limit exceeded")
	}
	if description == nil {
		description = new(fmt.Sprintf("%s %s", s.Name, c.p.now.Format("2006-01-02 15:04:05")))
	}
	img, a := c.p.snapshot(s, *description, labels)
	shown := img.show()
	if c.fault.Kind == WrongImageID {
		shown.ID = c.p.oldestImageBut(img)
	}
	return answer(http.StatusCreated, map[string]any{"image": shown, "action": a.show(c.p.now)})
}

func (c *call) shutdown() reply { return c.power(c.p.shutdown) }
func (c *call) powerOff() reply { return c.power(c.p.powerOff) }

func (c *call) powerOn() reply {
	if s := c.p.servers[c.id]; s != nil && s.creation != nil && s.IPv4 == "" && s.IPv6 == "" && len(s.Networks) == 0 {
		return refuse(http.StatusUnprocessableEntity, "invalid_input", "server has no network")
	}
	return c.power(c.p.powerOn)
}

// power serves the commands that take no input.
func (c *call) power(command func(*server) *action) reply {
	if len(c.ex.body) > 0 {
		if b, refusal := c.payload(); refusal != nil {
			return *refusal
		} else if b.errs != nil {
			return invalid(b.errs)
		}
	}
	s, refusal := c.unlockedServer()
	if refusal != nil {
		return *refusal
	}
	return answer(http.StatusCreated, map[string]any{"action": command(s).show(c.p.now)})
}
