package hcloudsim

import (
	"fmt"
	"net/http"
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
	message := fmt.Sprintf("invalid input in field '%s': %s", errs[0].Name, strings.Join(errs[0].Messages, ", "))
	if len(errs) > 1 {
		names := make([]string, len(errs))
		for i, e := range errs {
			names[i] = e.Name
		}
		message = fmt.Sprintf("invalid input in fields '%s'", strings.Join(names, "', '"))
	}
	return answer(http.StatusUnprocessableEntity, map[string]any{"error": errorContent{
		Code: "invalid_input", Message: message, Details: map[string]any{"fields": errs},
	}})
}

func notFound(what string, id int64) reply {
	return refuse(http.StatusNotFound, "not_found", fmt.Sprintf("%s with ID '%d' not found", what, id))
}

// call is a request that passed the rate limit and the token.
type call struct {
	p     *project
	ex    *exchange
	id    int64 // of the resource in the path
	query query
	fault Fault
}

// route is an operation of the API; {id} in its path stands for an ID.
type route struct {
	method, path string
	serve        func(*call) reply
}

var routes = []route{
	{http.MethodGet, "/servers", (*call).listServers},
	{http.MethodPost, "/servers", (*call).createServer},
	{http.MethodGet, "/servers/{id}", (*call).getServer},
	{http.MethodDelete, "/servers/{id}", (*call).deleteServer},
	{http.MethodGet, "/servers/{id}/actions", (*call).listServerActions},
	{http.MethodPost, "/servers/{id}/actions/create_image", (*call).createImage},
	{http.MethodPost, "/servers/{id}/actions/shutdown", (*call).shutdown},
	{http.MethodPost, "/servers/{id}/actions/poweroff", (*call).powerOff},
	{http.MethodPost, "/servers/{id}/actions/poweron", (*call).powerOn},
	{http.MethodPost, "/servers/{id}/actions/rebuild", (*call).rebuild},
	{http.MethodGet, "/firewalls", (*call).listFirewalls},
	{http.MethodPost, "/firewalls", (*call).createFirewall},
	{http.MethodGet, "/firewalls/{id}", (*call).getFirewall},
	{http.MethodDelete, "/firewalls/{id}", (*call).deleteFirewall},
	{http.MethodGet, "/firewalls/actions", (*call).listFirewallActions},
	{http.MethodGet, "/actions", (*call).listActions},
	{http.MethodGet, "/actions/{id}", (*call).getAction},
	{http.MethodGet, "/images", (*call).listImages},
	{http.MethodGet, "/images/{id}", (*call).getImage},
	{http.MethodPut, "/images/{id}", (*call).updateImage},
	{http.MethodDelete, "/images/{id}", (*call).deleteImage},
	{http.MethodPost, "/images/{id}/actions/change_protection", (*call).changeProtection},
	{http.MethodGet, "/server_types", (*call).listServerTypes},
	{http.MethodGet, "/server_types/{id}", (*call).getServerType},
	{http.MethodGet, "/primary_ips", (*call).listPrimaryIPs},
	{http.MethodGet, "/primary_ips/{id}", (*call).getPrimaryIP},
	{http.MethodDelete, "/primary_ips/{id}", (*call).deletePrimaryIP},
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

// findRoute returns the operation of a request and the ID in its path, or the
// refusal of a path or a method that the API doesn't know.
func findRoute(ex *exchange) (found route, id int64, refusal *reply) {
	var allowed []string
	for _, r := range routes {
		id, ok := r.match(ex.Path)
		if !ok || !ex.rooted {
			continue
		}
		if r.method == ex.Method {
			return r, id, nil
		}
		allowed = append(allowed, r.method)
	}
	if allowed == nil {
		return route{}, 0, new(refuse(http.StatusNotFound, "not_found", "not found"))
	}
	wrong := refuse(http.StatusMethodNotAllowed, "method_not_allowed", "method not allowed")
	wrong.header.Set("Allow", strings.Join(allowed, ", "))
	return route{}, 0, &wrong
}

// perform lets a request take effect: rate limit, path, token, operation. The
// path comes before the token: a wrong endpoint is not found, whoever asks.
func (p *project) perform(ex *exchange, f Fault) reply {
	if !p.limit.take(p.now) || f.Kind == RateLimited {
		return p.limited(ex)
	}
	if f.Kind == ErrorJSON {
		return refuse(f.Status, f.Code, f.Message)
	}
	r, id, refusal := findRoute(ex)
	if refusal == nil {
		refusal = p.authorize(ex)
	}
	if refusal != nil {
		return *refusal
	}
	return r.serve(&call{p: p, ex: ex, id: id, query: query{values: ex.query}, fault: f})
}

// authorize returns the refusal of a token that may not do this.
func (p *project) authorize(ex *exchange) *reply {
	readOnly := ex.token == p.opts.ReadOnlyToken
	switch {
	case p.revoked || !readOnly && ex.token != p.opts.Token:
		return new(refuse(http.StatusUnauthorized, "unauthorized", "the token you have provided is invalid"))
	case readOnly && ex.Method != http.MethodGet && p.opts.OldReadOnlyCode:
		return new(refuse(http.StatusUnauthorized, "token_readonly", "token is only allowed to perform GET requests"))
	case readOnly && ex.Method != http.MethodGet:
		return new(refuse(http.StatusForbidden, "forbidden", "insufficient permissions for this request"))
	}
	return nil
}

// limited is the answer to one request too many. Like Hetzner's it quotes the
// beginning of the token, which clients must not print.
func (p *project) limited(ex *exchange) reply {
	return refuse(http.StatusTooManyRequests, "rate_limit_exceeded", fmt.Sprintf(
		"limit of %d requests per hour reached for token '%s...'", p.opts.RateLimit, ex.token[:min(8, len(ex.token))]))
}
