package hcloudsim

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// reply is the API's answer before it is written out.
type reply struct {
	status  int
	header  http.Header
	content any // nil: no body
}

func answer(status int, content any) reply {
	return reply{status: status, header: http.Header{}, content: content}
}

type errorContent struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Details any    `json:"details"`
}

// refuse is an error in Hetzner's form.
func refuse(status int, code, message string) reply {
	return answer(status, map[string]any{"error": errorContent{Code: code, Message: message}})
}

// invalid refuses an input and names the fields at fault.
func invalid(errs fieldErrors) reply {
	names := make([]string, len(errs))
	for i, e := range errs {
		names[i] = e.Name
	}
	return answer(http.StatusUnprocessableEntity, map[string]any{"error": errorContent{
		Code:    "invalid_input",
		Message: fmt.Sprintf("invalid input in fields '%s'", strings.Join(names, "', '")),
		Details: map[string]any{"fields": errs},
	}})
}

func notFound(what string, id int64) reply {
	return refuse(http.StatusNotFound, "not_found", fmt.Sprintf("%s with ID '%d' not found", what, id))
}

// call is a request that was let in.
type call struct {
	p     *project
	ex    *exchange
	id    int64 // of the resource in the path
	query query
	shift int // of the later pages of a listing
}

// route is an operation of the API; {id} in its path stands for an ID.
type route struct {
	method, path string
	serve        func(*call) reply
}

var routes = []route{
	{http.MethodGet, "/servers", (*call).listServers},
	{http.MethodGet, "/servers/{id}", (*call).getServer},
	{http.MethodGet, "/servers/{id}/actions", (*call).listServerActions},
	{http.MethodPost, "/servers/{id}/actions/create_image", (*call).createImage},
	{http.MethodPost, "/servers/{id}/actions/shutdown", (*call).shutdown},
	{http.MethodPost, "/servers/{id}/actions/poweroff", (*call).powerOff},
	{http.MethodPost, "/servers/{id}/actions/poweron", (*call).powerOn},
	{http.MethodPost, "/servers/{id}/actions/rebuild", (*call).rebuild},
	{http.MethodGet, "/actions", (*call).listActions},
	{http.MethodGet, "/actions/{id}", (*call).getAction},
	{http.MethodGet, "/images", (*call).listImages},
	{http.MethodGet, "/images/{id}", (*call).getImage},
	{http.MethodPut, "/images/{id}", (*call).updateImage},
	{http.MethodDelete, "/images/{id}", (*call).deleteImage},
	{http.MethodPost, "/images/{id}/actions/change_protection", (*call).changeProtection},
	{http.MethodGet, "/pricing", (*call).getPricing},
}

// match compares a path with the route's, segment by segment.
func (r route) match(path string) (id int64, ok bool) {
	want, have := strings.Split(r.path, "/"), strings.Split(path, "/")
	if len(want) != len(have) {
		return 0, false
	}
	for i := range want {
		if want[i] == "{id}" {
			if id, ok = parseID(have[i]); !ok {
				return 0, false
			}
		} else if want[i] != have[i] {
			return 0, false
		}
	}
	return id, true
}

// perform lets a request take effect: limit, token, operation.
func (p *project) perform(ex *exchange, f Fault) reply {
	if !p.limit.take(p.now) || f.Kind == RateLimited {
		return p.limited(ex)
	}
	if f.Kind == ErrorJSON {
		return refuse(f.Status, f.Code, f.Message)
	}
	readOnly := ex.token == p.opts.ReadOnlyToken
	switch {
	case p.revoked || !readOnly && ex.token != p.opts.Token:
		return refuse(http.StatusUnauthorized, "unauthorized", "unable to authenticate")
	case readOnly && ex.Method != http.MethodGet && p.opts.OldReadOnlyCode:
		return refuse(http.StatusUnauthorized, "token_readonly", "token is only allowed to perform GET requests")
	case readOnly && ex.Method != http.MethodGet:
		return refuse(http.StatusForbidden, "forbidden", "insufficient permissions for this request")
	}

	var allowed []string
	for _, r := range routes {
		id, ok := r.match(ex.Path)
		if !ok {
			continue
		}
		if r.method != ex.Method {
			allowed = append(allowed, r.method)
			continue
		}
		c := &call{p: p, ex: ex, id: id, query: query{values: ex.query}}
		if f.Kind == ShiftedPage {
			c.shift = f.Shift
			if c.shift == 0 {
				c.shift = -1
			}
		}
		return r.serve(c)
	}
	if allowed != nil {
		r := refuse(http.StatusMethodNotAllowed, "method_not_allowed", "method not allowed")
		r.header.Set("Allow", strings.Join(allowed, ", "))
		return r
	}
	return refuse(http.StatusNotFound, "not_found", "not found")
}

// limited is the answer to one request too many. Like Hetzner's it quotes the
// beginning of the token, which clients had better not print.
func (p *project) limited(ex *exchange) reply {
	return refuse(http.StatusTooManyRequests, "rate_limit_exceeded", fmt.Sprintf(
		"limit of %d requests per hour reached for token '%s...'", p.opts.RateLimit, ex.token[:min(8, len(ex.token))]))
}

// payload is the JSON object of a request.
type payload struct {
	raw  map[string]json.RawMessage
	errs fieldErrors
}

// payload reads the request's body, which may have the known fields and no
// others. Its second result is the refusal of what is no JSON object.
func (c *call) payload(known ...string) (*payload, *reply) {
	b := &payload{}
	if err := json.Unmarshal(c.ex.body, &b.raw); err != nil || b.raw == nil {
		return nil, new(refuse(http.StatusBadRequest, "json_error", "invalid JSON in request body"))
	}
	var unknown []string
	for name := range b.raw {
		if !slices.Contains(known, name) {
			unknown = append(unknown, name)
		}
	}
	slices.Sort(unknown)
	for _, name := range unknown {
		b.errs.add(name, "unknown field")
	}
	return b, nil
}

// text reads a string, nil where there is none.
func (b *payload) text(name string) *string { return field[string](b, name, "must be a string") }

func (b *payload) boolean(name string) *bool { return field[bool](b, name, "must be a boolean") }

// idOrName reads a required ID, as a number or a string, or a name.
func (b *payload) idOrName(name string) string {
	raw := string(b.raw[name])
	if _, ok := parseID(raw); ok {
		return raw
	}
	if raw == "" {
		b.errs.add(name, "missing")
		return ""
	}
	if text := b.text(name); text != nil {
		return *text
	}
	return ""
}

// labels reads labels and checks them, nil where there are none.
func (b *payload) labels(name string) map[string]string {
	given := field[map[string]*string](b, name, "must be an object of strings")
	if given == nil {
		return nil
	}
	labels := map[string]string{}
	for key, value := range *given {
		if value == nil {
			b.errs.add(name, "must be an object of strings")
			return nil
		}
		labels[key] = *value
	}
	if wrong := checkLabels(labels); wrong != nil {
		b.errs.add(name, wrong...)
	}
	return labels
}

// field reads a field that may be absent, though not null.
func field[T any](b *payload, name, rule string) *T {
	raw, ok := b.raw[name]
	if !ok {
		return nil
	}
	var value T
	if string(raw) == "null" || json.Unmarshal(raw, &value) != nil {
		b.errs.add(name, rule)
		return nil
	}
	return &value
}

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
		c.p.looked(s)
	}
	return r
}

func (c *call) getServer() reply {
	s := c.p.servers[c.id]
	if s == nil {
		return notFound("server", c.id)
	}
	r := answer(http.StatusOK, map[string]any{"server": s.show()})
	c.p.looked(s)
	return r
}

func (c *call) listServerActions() reply {
	if c.p.servers[c.id] == nil {
		return notFound("server", c.id)
	}
	q := &c.query
	status := q.oneOf("status", "running", "success", "error")
	actions := slices.DeleteFunc(c.p.sortedActions(), func(a *action) bool {
		return !a.concerns("server", c.id) || !status(a.Status)
	})
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

// operation returns the server of a POST, or the refusal where there is none or
// it is locked.
func (c *call) operation() (*server, *reply) {
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
	description, kind, labels := b.text("description"), b.text("type"), b.labels("labels")
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
	s, refusal := c.operation()
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
	return answer(http.StatusCreated, map[string]any{"image": img.show(), "action": a.show(c.p.now)})
}

func (c *call) shutdown() reply { return c.power(c.p.shutdown) }
func (c *call) powerOff() reply { return c.power(c.p.powerOff) }
func (c *call) powerOn() reply  { return c.power(c.p.powerOn) }

// power serves the commands that take no input.
func (c *call) power(command func(*server) *action) reply {
	if len(c.ex.body) > 0 {
		if b, refusal := c.payload(); refusal != nil {
			return *refusal
		} else if b.errs != nil {
			return invalid(b.errs)
		}
	}
	s, refusal := c.operation()
	if refusal != nil {
		return *refusal
	}
	return answer(http.StatusCreated, map[string]any{"action": command(s).show(c.p.now)})
}

func (c *call) rebuild() reply {
	if c.p.servers[c.id] == nil {
		return notFound("server", c.id)
	}
	b, refusal := c.payload("image", "user_data")
	if refusal != nil {
		return *refusal
	}
	b.text("user_data")
	idOrName := b.idOrName("image")
	if b.errs != nil {
		return invalid(b.errs)
	}
	if !c.p.canRebuildFrom(idOrName) {
		return refuse(http.StatusNotFound, "not_found", "image not found")
	}
	s, refusal := c.operation()
	if refusal != nil {
		return *refusal
	}
	return answer(http.StatusCreated, map[string]any{
		"action": c.p.rebuild(s).show(c.p.now), "root_password": nil,
	})
}

// canRebuildFrom tells whether there is an available image of that ID or name.
func (p *project) canRebuildFrom(idOrName string) bool {
	for _, img := range p.images {
		if img.Status == "available" && (idOrName == strconv.FormatInt(img.ID, 10) || idOrName == img.Name) {
			return true
		}
	}
	return idOrName == "ubuntu-24.04"
}

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
		if a := c.p.actions[id]; a != nil {
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

func (c *call) listImages() reply {
	q := &c.query
	sel := q.selector()
	kind := q.oneOf("type", "system", "app", "snapshot", "backup")
	status := q.oneOf("status", "available", "creating", "unavailable")
	architecture := q.oneOf("architecture", "x86", "arm")
	q.oneOf("include_deprecated", "true", "false") // no image of ours is deprecated
	boundTo := q.ids("bound_to")
	name := q.values.Get("name")
	images := slices.DeleteFunc(c.p.sortedImages(), func(img *image) bool {
		bound := img.Type == "backup" && slices.Contains(boundTo, img.ServerID)
		return name != "" && img.Name != name || boundTo != nil && !bound ||
			!kind(img.Type) || !status(img.Status) || !architecture("x86") || !sel.matches(img.Labels)
	})
	sortBy(q, images, orders[*image]{
		"id":      by(func(img *image) int64 { return img.ID }),
		"name":    by(func(img *image) string { return img.Name }),
		"created": func(a, b *image) int { return a.Created.Compare(b.Created) },
	})
	return list(c, "images", images, (*image).show)
}

func (c *call) getImage() reply {
	img := c.p.images[c.id]
	if img == nil {
		return notFound("image", c.id)
	}
	return answer(http.StatusOK, map[string]any{"image": img.show()})
}

func (c *call) updateImage() reply {
	img := c.p.images[c.id]
	if img == nil {
		return notFound("image", c.id)
	}
	b, refusal := c.payload("description", "type", "labels")
	if refusal != nil {
		return *refusal
	}
	description, kind, labels := b.text("description"), b.text("type"), b.labels("labels")
	if kind != nil && *kind != "snapshot" {
		b.errs.add("type", "must be snapshot")
	}
	if b.errs != nil {
		return invalid(b.errs)
	}
	if !img.own() {
		return refuse(http.StatusUnprocessableEntity, "unsupported_error", "image cannot be changed")
	}
	if description != nil {
		img.Description = *description
	}
	if kind != nil {
		img.Type = *kind
	}
	if labels != nil {
		img.Labels = labels
	}
	return answer(http.StatusOK, map[string]any{"image": img.show()})
}

func (c *call) deleteImage() reply {
	img := c.p.images[c.id]
	switch {
	case img == nil:
		return notFound("image", c.id)
	case !img.own():
		return refuse(http.StatusUnprocessableEntity, "unsupported_error", "image cannot be deleted")
	case img.Protected:
		return refuse(http.StatusLocked, "protected", "image deletion is protected")
	}
	delete(c.p.images, img.ID)
	return answer(http.StatusNoContent, nil)
}

func (c *call) changeProtection() reply {
	img := c.p.images[c.id]
	if img == nil {
		return notFound("image", c.id)
	}
	b, refusal := c.payload("delete")
	if refusal != nil {
		return *refusal
	}
	protect := b.boolean("delete")
	if b.errs != nil {
		return invalid(b.errs)
	}
	if img.Type != "snapshot" {
		return refuse(http.StatusUnprocessableEntity, "unsupported_error", "only snapshots can be protected")
	}
	if protect != nil {
		img.Protected = *protect
	}
	a := c.p.start(c.p.newActionID(), "change_protection", "image", img.ID, 0)
	c.p.end(a, "", "")
	return answer(http.StatusCreated, map[string]any{"action": c.showAction(a)})
}

func (c *call) getPricing() reply {
	return answer(http.StatusOK, map[string]any{"pricing": pricing()})
}
