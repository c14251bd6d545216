package hcloudsim

import (
	"net/http"
	"slices"

	"github.com/hetznercloud/hcloud-go/v2/hcloud/schema"
)

func (c *call) listServerActions() reply {
	if c.p.servers[c.id] == nil {
		return notFound("server", c.id)
	}
	return c.listActionsThat(func(a *action) bool { return a.concerns("server", c.id) })
}

func (c *call) listFirewallActions() reply {
	ids := c.query.ids("id")
	return c.listActionsThat(func(a *action) bool {
		ofFirewall := slices.ContainsFunc(a.Resources, func(r schema.ActionResourceReference) bool { return r.Type == "firewall" })
		return ofFirewall && (ids == nil || slices.Contains(ids, a.ID))
	})
}

// listActionsThat answers a page of the actions that are wanted.
func (c *call) listActionsThat(are func(*action) bool) reply {
	q := &c.query
	status := q.oneOf("status", "running", "success", "error")
	actions := slices.DeleteFunc(c.p.sortedActions(), func(a *action) bool { return !are(a) || !status(a.Status) })
	sortBy(q, actions, orders[*action]{
		"id":      by(func(a *action) int64 { return a.ID }),
		"command": by(func(a *action) string { return a.Command }),
		"status":  by(func(a *action) string { return a.Status }),
		"started": func(a, b *action) int { return a.Started.Compare(b.Started) },
		"finished": func(a, b *action) int { // those still running come last
			switch {
			case a.Finished == nil && b.Finished == nil:
				return 0
			case a.Finished == nil:
				return 1
			case b.Finished == nil:
				return -1
			}
			return a.Finished.Compare(*b.Finished)
		},
	})
	return list(c, "actions", actions, c.showAction)
}

func (c *call) showAction(a *action) any { return a.show(c.p.now) }

// actionsAtOnce is how many of the IDs asked for GET /actions answers.
const actionsAtOnce = 25

func (c *call) listActions() reply {
	q := &c.query
	ids := q.ids("id")
	if len(q.values["id"]) == 0 {
		q.errs.add("id", "missing")
	}
	if q.errs != nil {
		return invalid(q.errs)
	}
	shown := []any{}
	for _, id := range ids[:min(len(ids), actionsAtOnce)] {
		if a := c.p.actions[id]; a != nil && c.fault.Kind != ForgetActions {
			shown = append(shown, c.showAction(a))
		}
	}
	return answer(http.StatusOK, map[string]any{"actions": shown})
}

func (c *call) getAction() reply {
	a := c.p.actions[c.id]
	if a == nil {
		return notFound("action", c.id)
	}
	return answer(http.StatusOK, map[string]any{"action": c.showAction(a)})
}
