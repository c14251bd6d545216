package hcloudsim

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// drillFirewall is a firewall as a verification makes it.
const drillFirewall = `{"name":"hsnap-drill-tcp-22","labels":{"hsnap/drill":"firewall"},"rules":[` +
	`{"direction":"in","protocol":"tcp","port":"22","source_ips":["0.0.0.0/0","::/0"]},` +
	`{"direction":"out","protocol":"tcp","port":"9","destination_ips":["192.0.2.1/32"],"description":"matches nothing"}]}`

func TestFirewallLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(Options{})
		c.AddImage(Image{ID: 6, Copy: &CopyBehaviour{FirewallAfter: 10 * time.Second, Guest: Guest{Ports: map[int]string{22: banner, 80: "", 443: ""}}}})
		h := newClient(t, c)
		made := h.must("POST", "/firewalls", drillFirewall)
		if f := made.Wall; made.Status != 201 || f.ID == 0 || f.Name != "hsnap-drill-tcp-22" || f.Labels["hsnap/drill"] != "firewall" || len(f.Rules) != 2 || !strings.Contains(made.Raw, `"applied_to":[]`) {
			t.Errorf("made: %s", made.Raw)
		}
		h.refused("POST", "/firewalls", drillFirewall, 409, "uniqueness_error")
		h.must("POST", "/firewalls", `{"name":"bare"}`)
		path := fmt.Sprint("/firewalls/", made.Wall.ID)
		if diff := cmp.Diff(made.Wall, h.get(path).Wall); diff != "" {
			t.Error(diff)
		}

		s := h.must("POST", "/servers", fmt.Sprintf(`{"name":"a","server_type":"cx23","image":"6","firewalls":[{"firewall":%d}]}`, made.Wall.ID)).Server
		if on := s.PublicNet.Firewalls; len(on) != 1 || on[0].ID != made.Wall.ID || on[0].Status != "pending" {
			t.Errorf("created with %+v", on)
		}
		actions := h.must("GET", "/firewalls/actions?status=running&sort=id", "").Actions
		if len(actions) != 1 || actions[0].Command != "apply_firewall" || len(actions[0].Resources) != 2 {
			t.Fatalf("actions %+v", actions)
		}
		for port, want := range map[int]string{22: banner, 80: "", 443: ""} {
			time.Sleep(max(0, 36*time.Second-time.Since(s.Created))) // it runs
			if got := dialed(t, c, fmt.Sprintf("%s:%d", s.PublicNet.IPv4.IP, port)); got != want {
				t.Errorf("before it is applied, port %d: %q, want %q", port, got, want)
			}
		}
		time.Sleep(10 * time.Second)
		if on := h.get(fmt.Sprint("/servers/", s.ID)).Server.PublicNet.Firewalls; on[0].Status != "applied" {
			t.Errorf("later %+v", on)
		}
		if on := h.get(path).Wall.AppliedTo; len(on) != 1 || on[0].Type != "server" || on[0].Server.ID != s.ID {
			t.Errorf("applied to %+v", on)
		}
		if all := h.get(fmt.Sprintf("/firewalls/actions?id=%d&status=success", actions[0].ID)).Actions; len(all) != 1 {
			t.Errorf("actions %+v", all)
		}
		if all := h.get("/firewalls/actions?id=1").Actions; len(all) > 0 {
			t.Errorf("actions of another ID: %+v", all)
		}
		powerTest{h, 0}.expectAction(actions[0].ID, "success")
		for port, want := range map[int]string{22: banner, 80: "silence", 23: "silence"} {
			if got := dialed(t, c, fmt.Sprintf("%s:%d", s.PublicNet.IPv4.IP, port)); got != want {
				t.Errorf("port %d: %q, want %q", port, got, want)
			}
		}
		h.refused("DELETE", path, "", 422, "resource_in_use")
		h.must("DELETE", fmt.Sprint("/servers/", s.ID), "")
		h.must("DELETE", path, "")
		h.refused("GET", path, "", 404, "not_found")
		if all := c.Firewalls(); len(all) != 1 || all[0].Name != "bare" {
			t.Errorf("left: %+v", all)
		}
	})
}

// Whether a server was protected from the moment on in which it was switched on is recorded.
func TestFirewallAtStart(t *testing.T) {
	for name, tt := range map[string]struct {
		after     time.Duration // FirewallAfter
		started   time.Duration // after the create
		firewalls string
		want      bool
	}{
		"too early": {10 * time.Second, 31 * time.Second, `{"firewall":7}`, false},
		"in time":   {10 * time.Second, 40 * time.Second, `{"firewall":7}`, true},
		"default":   {0, 32 * time.Second, `{"firewall":7}`, true},
		"never":     {-1, 24 * time.Hour, `{"firewall":7}`, false},
		"none":      {0, time.Hour, ``, false},
		"two":       {0, time.Hour, `{"firewall":7},{"firewall":8}`, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := New(Options{})
				c.AddFirewall(Firewall{ID: 7})
				c.AddFirewall(Firewall{ID: 8})
				c.AddImage(Image{ID: 6, Copy: &CopyBehaviour{FirewallAfter: tt.after}})
				h := newClient(t, c)
				s := h.must("POST", "/servers", `{"name":"a","server_type":"cx23","image":"6","start_after_create":false,"firewalls":[`+tt.firewalls+`]}`).Server
				time.Sleep(tt.started)
				h.must("POST", fmt.Sprintf("/servers/%d/actions/poweron", s.ID), "")
				if starts := c.Creations()[0].Starts; len(starts) != 1 || starts[0].Firewalled != tt.want || starts[0].Attached {
					t.Errorf("starts %+v, want protected %v", starts, tt.want)
				}
				if running := len(h.get("/firewalls/actions?status=running").Actions); (running > 0) != (tt.firewalls != "" && !tt.want) {
					t.Errorf("%d actions are running", running)
				}
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		c := New(Options{})
		h := newClient(t, c)
		c.AttachVolume(h.must("POST", "/servers", `{"name":"a","server_type":"cx23","image":"ubuntu-24.04"}`).Server.ID, 7)
		time.Sleep(time.Minute)
		if starts := c.Creations()[0].Starts; len(starts) != 1 || !starts[0].Attached {
			t.Errorf("starts %+v", starts)
		}
	})
}

// A firewall of a server whose creation fails is never applied.
func TestFirewallOfFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(Options{})
		c.AddFirewall(Firewall{ID: 7})
		c.AddImage(Image{ID: 6, Copy: &CopyBehaviour{FailCode: "x", VanishAfter: -1}})
		h := newClient(t, c)
		s := h.must("POST", "/servers", `{"name":"a","server_type":"cx23","image":"6","firewalls":[{"firewall":7}]}`).Server
		time.Sleep(time.Hour)
		if on := h.get(fmt.Sprint("/servers/", s.ID)).Server.PublicNet.Firewalls; on[0].Status != "pending" {
			t.Errorf("applied: %+v", on)
		}
		if all := h.get("/firewalls/actions?status=error").Actions; len(all) != 1 {
			t.Errorf("actions %+v", all)
		}
		if on := h.get("/firewalls/7").Wall.AppliedTo; len(on) > 0 {
			t.Errorf("applied to %+v", on)
		}
		h.refused("DELETE", "/firewalls/7", "", 422, "resource_in_use")
	})
}

func TestFirewallFilters(t *testing.T) {
	in := func(port string, sources ...string) FirewallRule {
		return FirewallRule{Direction: "in", Port: port, SourceIPs: sources}
	}
	for name, tt := range map[string]struct {
		rules [][]FirewallRule // of each firewall
		want  bool             // whether port 22 is open to 198.51.100.7
	}{
		"no firewall":     {nil, true},
		"no rule":         {[][]FirewallRule{nil}, false},
		"all":             {[][]FirewallRule{{in("22", "0.0.0.0/0")}}, true},
		"the other kind":  {[][]FirewallRule{{in("22", "::/0")}}, false},
		"range":           {[][]FirewallRule{{in("20-22", "0.0.0.0/0")}}, true},
		"another port":    {[][]FirewallRule{{in("23", "0.0.0.0/0")}}, false},
		"own address":     {[][]FirewallRule{{in("22", "10.0.0.0/8", "198.51.100.7/32")}}, true},
		"another address": {[][]FirewallRule{{in("22", "198.51.100.8/32")}}, false},
		"outbound":        {[][]FirewallRule{{{Direction: "out", Port: "22", DestinationIPs: []string{"0.0.0.0/0"}}}}, false},
		"another one":     {[][]FirewallRule{{{Direction: "in", Protocol: "udp", Port: "22", SourceIPs: []string{"0.0.0.0/0"}}}}, false},
		"one of two":      {[][]FirewallRule{nil, {in("22", "0.0.0.0/0")}}, true},
	} {
		c := New(Options{})
		s := Server{IPv4: "203.0.113.7", Guest: Guest{Ports: map[int]string{22: banner}}}
		for _, rules := range tt.rules {
			s.Firewalls = append(s.Firewalls, c.AddFirewall(Firewall{Rules: rules}))
		}
		c.AddServer(s)
		state, _ := c.p.listens(netip.MustParseAddr("198.51.100.7"), netip.MustParseAddrPort("203.0.113.7:22"))
		if (state == open) != tt.want {
			t.Errorf("%s: open %v, want %v", name, state == open, tt.want)
		}
	}
}

// Others change a firewall's rules, or take it away.
func TestFirewallsAreChanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(Options{DialFrom: []string{"198.51.100.7"}})
		id := c.AddFirewall(Firewall{})
		c.AddServer(Server{IPv4: "203.0.113.7", IPv6: "2001:db8:0:7::/64", Guest: Guest{Ports: map[int]string{22: banner}}, Firewalls: []int64{id}})
		h := newClient(t, c)
		at := func(want string) {
			t.Helper()
			if got := dialed(t, c, "203.0.113.7:22"); got != want {
				t.Errorf("%q, want %q", got, want)
			}
		}
		at("silence")
		c.SetFirewallRules(id, FirewallRule{Direction: "in", Port: "22", SourceIPs: []string{"0.0.0.0/0"}})
		at(banner)
		c.SetFirewallRules(id)
		at("silence")
		c.DeleteFirewall(id)
		at(banner)
		h.refused("GET", fmt.Sprint("/firewalls/", id), "", 404, "not_found")
		if _, err := c.Dial(t.Context(), "tcp", "[2001:db8:0:7::1]:22"); !errors.Is(err, syscall.ENETUNREACH) {
			t.Errorf("without an IPv6 address: %v", err)
		}
	})
}

func TestFirewallListing(t *testing.T) {
	c := New(Options{})
	c.AddFirewall(Firewall{ID: 1, Name: "b", Labels: map[string]string{"hsnap/drill": "firewall"}})
	c.AddFirewall(Firewall{ID: 2, Name: "a", Rules: []FirewallRule{{Direction: "in", Protocol: "icmp", SourceIPs: []string{"10.0.0.0/8"}}}})
	h := newClient(t, c)
	for query, want := range map[string][]int64{
		"":                            {1, 2},
		"name=a":                      {2},
		"name=c":                      nil,
		"label_selector=hsnap/drill":  {1},
		"label_selector=!hsnap/drill": {2},
		"sort=name":                   {2, 1},
		"sort=created&sort=id:desc":   {2, 1},
		"page=2&per_page=1":           {2},
	} {
		var have []int64
		for _, f := range h.must("GET", "/firewalls?"+query, "").Walls {
			have = append(have, f.ID)
		}
		if diff := cmp.Diff(want, have); diff != "" {
			t.Errorf("%s: %s", query, diff)
		}
	}
	if g := h.get("/firewalls/2"); !strings.Contains(g.Raw, `"port":null,"description":null`) || !strings.Contains(g.Raw, `"destination_ips":[]`) {
		t.Errorf("a rule without a port: %s", g.Raw)
	}
	for _, path := range []string{"/firewalls?per_page=51", "/firewalls?sort=rules", "/firewalls/actions?per_page=51", "/firewalls/actions?id=x", "/firewalls/actions?status=done"} {
		rude(t, c).refused("GET", path, "", 422, "invalid_input")
	}
}

func TestRefusedFirewalls(t *testing.T) {
	c := New(Options{})
	h := rude(t, c)
	rule := func(change string) string {
		return `"rules":[{"direction":"in","protocol":"tcp","port":"22","source_ips":["0.0.0.0/0"],` + change + `}]`
	}
	many := func(n int, text string) string { return strings.TrimSuffix(strings.Repeat(text+",", n), ",") }
	for _, tt := range []struct{ change, field string }{
		{`"name":""`, "name"},
		{`"name":null`, "name"},
		{`"name":"` + strings.Repeat("ä", 129) + `"`, "name"},
		{`"labels":{"a":"b c"}`, "labels"},
		{`"description":"x"`, "description"},
		{`"apply_to":[{"type":"server","server":{"id":5}}]`, "apply_to"},
		{`"rules":{}`, "rules"},
		{`"rules":[1]`, "rules"},
		{`"rules":[` + many(51, `{"direction":"in","protocol":"icmp","source_ips":["::/0"]}`) + `]`, "rules"},
		{rule(`"action":"accept"`), "rules.0.action"},
		{rule(`"direction":"both"`), "rules.0.direction"},
		{rule(`"protocol":"icmp"`), "rules.0.port"},
		{rule(`"port":22`), "rules.0.port"},
		{rule(`"port":"0"`), "rules.0.port"},
		{rule(`"port":"any"`), "rules.0.port"},
		{rule(`"port":"23-22"`), "rules.0.port"},
		{rule(`"port":"1-65536"`), "rules.0.port"},
		{rule(`"port":null`), "rules.0.port"},
		{rule(`"source_ips":[]`), "rules.0.source_ips"},
		{rule(`"source_ips":"::/0"`), "rules.0.source_ips"},
		{rule(`"source_ips":["10.0.0.1"]`), "rules.0.source_ips"},
		{rule(`"source_ips":["10.0.0.1/8"]`), "rules.0.source_ips"},
		{rule(`"source_ips":[` + many(101, `"::/0"`) + `]`), "rules.0.source_ips"},
		{rule(`"destination_ips":["::/0"]`), "rules.0.destination_ips"},
		{rule(`"direction":"out"`), "rules.0.destination_ips"},
		{rule(`"description":"` + strings.Repeat("a", 256) + `"`), "rules.0.description"},
		{`"rules":[{"protocol":"icmp","source_ips":["::/0"]}]`, "rules.0.direction"},
		{`"rules":[{"direction":"in","source_ips":["::/0"]}]`, "rules.0.protocol"},
		{`"rules":[{"direction":"in","protocol":"TCP","source_ips":["::/0"]}]`, "rules.0.protocol"},
		{`"rules":[{"direction":"in","protocol":"udp","source_ips":["::/0"]}]`, "rules.0.port"},
	} {
		g := h.refused("POST", "/firewalls", `{"name":"a",`+tt.change+`}`, 422, "invalid_input")
		var details struct{ Fields []fieldError }
		if err := json.Unmarshal(g.Error.Details, &details); err != nil || len(details.Fields) != 1 || details.Fields[0].Name != tt.field {
			t.Errorf("%.120s: details %s, want field %q", tt.change, g.Error.Details, tt.field)
		}
	}
	h.refused("POST", "/firewalls", `{}`, 422, "invalid_input")
	h.refused("POST", "/firewalls", ``, 400, "json_error")
	if len(c.Firewalls()) > 0 {
		t.Errorf("a refused firewall was made: %+v", c.Firewalls())
	}
	g := newClient(t, c).must("POST", "/firewalls", `{"name":"a","rules":[{"direction":"in","protocol":"tcp","port":"80-85","source_ips":["2001:0DB8::0/32"],"description":null}]}`)
	if r := g.Wall.Rules[0]; r.SourceIPs[0] != "2001:db8::/32" || *r.Port != "80-85" || r.Description != nil {
		t.Errorf("in canonical form: %s", g.Raw)
	}
}
