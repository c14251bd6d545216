package hcloudsim

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/hetznercloud/hcloud-go/v2/hcloud/schema"

	"github.com/org/hsnap-action/internal/hcloudsim/speccheck"
)

// client sends requests to a Cloud, each held against the API's description
// where there is one.
type client struct {
	t     *testing.T
	rt    http.RoundTripper
	token string
}

func newClient(t *testing.T, c *Cloud) client {
	t.Helper()
	return client{t: t, rt: speccheck.Wrap(t, c.Transport()), token: DefaultToken}
}

// rude is the client without the checks, for requests that must be refused.
func rude(t *testing.T, c *Cloud) client {
	t.Helper()
	return client{t: t, rt: c.Transport(), token: DefaultToken}
}

// got is an answer with its body, decoded into the parts that tests check.
type got struct {
	Status int
	Header http.Header
	Raw    string

	Error struct {
		Code    string          `json:"code"`
		Message string          `json:"message"`
		Details json.RawMessage `json:"details"`
	} `json:"error"`
	Server  schema.Server       `json:"server"`
	Servers []schema.Server     `json:"servers"`
	Image   schema.Image        `json:"image"`
	Images  []schema.Image      `json:"images"`
	Action  schema.Action       `json:"action"`
	Actions []schema.Action     `json:"actions"`
	Types   []schema.ServerType `json:"server_types"`
	IP      schema.PrimaryIP    `json:"primary_ip"`
	IPs     []schema.PrimaryIP  `json:"primary_ips"`
	Wall    schema.Firewall     `json:"firewall"`
	Walls   []schema.Firewall   `json:"firewalls"`
	Next    []schema.Action     `json:"next_actions"`
	Root    *string             `json:"root_password"`
	Meta    struct {
		Pagination *pagination `json:"pagination"`
	} `json:"meta"`
}

func (c client) request(method, path, body string) *http.Request {
	c.t.Helper()
	var r io.Reader
	if body != "" {
		r = strings.NewReader(body)
	}
	req, err := http.NewRequestWithContext(c.t.Context(), method, "http://sim.test/v1"+path, r)
	if err != nil {
		c.t.Fatal(err)
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	return req
}

// do sends a request that must be answered in JSON, or with no body at all.
func (c client) do(method, path, body string) got {
	c.t.Helper()
	res, err := c.rt.RoundTrip(c.request(method, path, body))
	if err != nil {
		c.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer func() { _ = res.Body.Close() }()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		c.t.Fatalf("%s %s: %v", method, path, err)
	}
	g := got{Status: res.StatusCode, Header: res.Header, Raw: string(raw)}
	if len(raw) > 0 {
		if err := json.Unmarshal(raw, &g); err != nil {
			c.t.Fatalf("%s %s: %v: %s", method, path, err, raw)
		}
	}
	return g
}

func (c client) get(path string) got { c.t.Helper(); return c.do("GET", path, "") }

// must is do for a request that must succeed.
func (c client) must(method, path, body string) got {
	c.t.Helper()
	g := c.do(method, path, body)
	if g.Status >= 300 {
		c.t.Fatalf("%s %s: %d %s", method, path, g.Status, g.Raw)
	}
	return g
}

func (c client) refused(method, path, body string, status int, code string) got {
	c.t.Helper()
	g := c.do(method, path, body)
	if g.Status != status || g.Error.Code != code {
		c.t.Errorf("%s %s %s: %d %q, want %d %q", method, path, body, g.Status, g.Error.Code, status, code)
	}
	return g
}

const createSnapshot = `{"type":"snapshot","description":"d"}`
