package hetzner_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/org/hsnap-action/internal/hetzner"
)

const onePage = `"meta":{"pagination":{"page":1,"per_page":25,"next_page":null,"last_page":1,"total_entries":1}}`

// A create counts only with both IDs, and its root password goes no further.
func TestCreateServer(t *testing.T) {
	body := `{"server":{"id":42,"name":"hsnap-drill-7","status":"initializing","labels":{"hsnap/drill":"f00d"},` +
		`"public_net":{"ipv4":{"id":10,"ip":"198.18.0.1"},"ipv6":null,"firewalls":[{"id":5,"status":"pending"}]},"private_net":[],"volumes":[]},` +
		`"action":{"id":13},"next_actions":[],"root_password":"Zk7sOq2mT9"}`
	server, action, _, err := client(reply(201, body)).CreateServer(t.Context(), hetzner.NewServer{})
	want := hetzner.Server{
		ID: 42, Name: "hsnap-drill-7", Status: "initializing", Labels: map[string]string{"hsnap/drill": "f00d"}, Volumes: []int64{},
		IPv4: "198.18.0.1", IPv4ID: 10, Firewalls: map[int64]bool{5: false},
	}
	if diff := cmp.Diff(want, server); err != nil || action != 13 || diff != "" {
		t.Errorf("action %d, %v (-want +got):\n%s", action, err, diff)
	}
	if strings.Contains(fmt.Sprintf("%+v", server), "Zk7sOq2mT9") {
		t.Errorf("the root password is kept: %+v", server)
	}
	for name, test := range map[string]struct {
		status int
		body   string
		want   hetzner.Verdict
	}{
		"an empty object":       {201, `{}`, hetzner.Lost},
		"no action":             {201, `{"server":{"id":42}}`, hetzner.Lost},
		"no server":             {201, `{"action":{"id":13}}`, hetzner.Lost},
		"IDs that are zero":     {201, `{"server":{"id":0},"action":{"id":0}}`, hetzner.Lost},
		"an ID below zero":      {201, `{"server":{"id":-42},"action":{"id":13}}`, hetzner.Lost},
		"broken JSON":           {201, `{"server":{"id":42},"acti`, hetzner.Lost},
		"a server error":        {500, refusal("server_error"), hetzner.Lost},
		"a name that is taken":  {409, refusal("uniqueness_error"), hetzner.Refused},
		"no capacity":           {412, refusal("resource_unavailable"), hetzner.NotNow},
		"the limit is reached":  {403, refusal("resource_limit_exceeded"), hetzner.Full},
		"the token is refused":  {401, refusal("unauthorized"), hetzner.TokenRefused},
		"the image is unsuited": {422, refusal("invalid_input"), hetzner.Refused},
	} {
		_, _, _, err := client(reply(test.status, test.body)).CreateServer(t.Context(), hetzner.NewServer{})
		if e := asError(t, err); e.Verdict != test.want || strings.Contains(e.Error(), "Zk7sOq2mT9") {
			t.Errorf("%s: %v (%v), want %v", name, e.Verdict, e, test.want)
		}
	}
}

// What is there by a name is told only by a whole list, and only by the very name.
func TestNamed(t *testing.T) {
	server := func(c *hetzner.Client) (int64, error) {
		s, _, err := c.ServerNamed(t.Context(), "hsnap-drill-7")
		return s.ID, err
	}
	firewall := func(c *hetzner.Client) (int64, error) {
		f, _, err := c.FirewallNamed(t.Context(), "hsnap-drill-7")
		return f.ID, err
	}
	for kind, ask := range map[string]func(*hetzner.Client) (int64, error){"servers": server, "firewalls": firewall} {
		for name, test := range map[string]struct {
			status int
			body   string
			id     int64
			ok     bool
		}{
			"there":               {200, `{"KIND":[{"id":42,"name":"hsnap-drill-7"}],` + onePage + `}`, 42, true},
			"not there":           {200, `{"KIND":[],` + onePage + `}`, 0, true},
			"others":              {200, `{"KIND":[{"id":41,"name":"hsnap-drill-70"},{"id":42,"name":"hsnap-drill-7"}],` + onePage + `}`, 42, true},
			"others alone":        {200, `{"KIND":[{"id":41,"name":"hsnap-drill-70"}],` + onePage + `}`, 0, true},
			"no pagination":       {200, `{"KIND":[]}`, 0, false},
			"no pagination, one":  {200, `{"KIND":[{"id":42,"name":"hsnap-drill-7"}]}`, 0, false},
			"no list":             {200, `{` + onePage + `}`, 0, false},
			"an empty object":     {200, `{}`, 0, false},
			"broken JSON":         {200, `{"KIND":[{"id`, 0, false},
			"a gateway's page":    {502, `<html>`, 0, false},
			"an error of its own": {429, refusal("rate_limit_exceeded"), 0, false},
		} {
			id, err := ask(client(reply(test.status, strings.ReplaceAll(test.body, "KIND", kind))))
			if id != test.id || (err == nil) != test.ok {
				t.Errorf("%s, %s: ID %d, %v", kind, name, id, err)
			}
		}
	}
}

func TestNamedAsksByName(t *testing.T) {
	var sent []string
	c := client(func(r *http.Request) (*http.Response, error) {
		sent = append(sent, r.URL.RequestURI())
		return reply(502, "")(r)
	})
	_, _, _ = c.ServerNamed(t.Context(), "hsnap-drill-7")
	_, _, _ = c.FirewallNamed(t.Context(), "hsnap-drill-tcp-22")
	if diff := cmp.Diff([]string{"/v1/servers?name=hsnap-drill-7", "/v1/firewalls?name=hsnap-drill-tcp-22"}, sent); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestFirewallRulesAreRead(t *testing.T) {
	body := `{"firewall":{"id":5,"name":"f","labels":{"hsnap/drill":"firewall"},"rules":[` +
		`{"direction":"out","protocol":"tcp","port":"9","source_ips":[],"destination_ips":["192.0.2.1/32"],"description":null},` +
		`{"direction":"in","protocol":"icmp","port":null,"source_ips":["0.0.0.0/0"],"destination_ips":[]}]},"actions":[]}`
	firewall, _, err := client(reply(201, body)).CreateFirewall(t.Context(), hetzner.Firewall{})
	want := hetzner.Firewall{ID: 5, Name: "f", Labels: map[string]string{"hsnap/drill": "firewall"}, Rules: []hetzner.FirewallRule{
		{Direction: "out", Protocol: "tcp", Port: new("9"), SourceIPs: []string{}, DestinationIPs: []string{"192.0.2.1/32"}},
		{Direction: "in", Protocol: "icmp", SourceIPs: []string{"0.0.0.0/0"}, DestinationIPs: []string{}},
	}}
	if diff := cmp.Diff(want, firewall); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

// What an answer does not hold is not known.
func TestHalfAnswersAboutCopies(t *testing.T) {
	ctx := context.Background()
	for name, ask := range map[string]func(*hetzner.Client) error{
		"create a firewall": func(c *hetzner.Client) error { _, _, err := c.CreateFirewall(ctx, hetzner.Firewall{}); return err },
		"delete a server":   func(c *hetzner.Client) error { _, err := c.DeleteServer(ctx, 42); return err },
		"an address":        func(c *hetzner.Client) error { _, _, err := c.PrimaryIPAssigned(ctx, 42); return err },
		"delete an address": func(c *hetzner.Client) error { _, err := c.DeletePrimaryIP(ctx, 42); return err },
		"server types":      func(c *hetzner.Client) error { _, _, err := c.ServerTypePage(ctx, 1); return err },
		"prices":            func(c *hetzner.Client) error { _, _, err := c.Prices(ctx); return err },
	} {
		for _, body := range []string{
			`{}`, `null`, ``, `{"action":{"id":0}}`, `{"firewall":{"id":0}}`, `{"primary_ip":{"id":41,"assignee_id":null}}`, `{"server_types":[]}`,
			`{"pricing":{}}`, `{"act`,
		} {
			if err := ask(client(reply(200, body))); err == nil || asError(t, err).Verdict != hetzner.Lost {
				t.Errorf("%s: %q passes, or for a refusal: %v", name, body, err)
			}
		}
		if err := ask(client(reply(404, refusal("not_found")))); asError(t, err).Code != hetzner.CodeNotFound {
			t.Errorf("%s: what does not exist is %v", name, err)
		}
	}
	for body, want := range map[string]bool{`{"primary_ip":{"id":42,"assignee_id":7}}`: true, `{"primary_ip":{"id":42,"assignee_id":null}}`: false} {
		if assigned, _, err := client(reply(200, body)).PrimaryIPAssigned(ctx, 42); err != nil || assigned != want {
			t.Errorf("%s: %t, %v", body, assigned, err)
		}
	}
}

func TestPrices(t *testing.T) {
	types := `{"server_types":[{"id":1,"name":"cx23","architecture":"x86","disk":40,"prices":[` +
		`{"location":"fsn1","price_hourly":{"net":"0.0064","gross":"0.0076"}},{"location":"nbg1","price_hourly":{"net":"","gross":"free"}},` +
		`{"location":"hel1","price_hourly":{"net":"0","gross":"0"}}],` +
		`"locations":[{"name":"fsn1","available":true},{"name":"nbg1","available":false},{"name":"hel1","available":true,"deprecation":{}}]}],` + onePage + `}`
	page, _, err := client(reply(200, types)).ServerTypePage(t.Context(), 1)
	want := []hetzner.ServerType{{
		ID: 1, Name: "cx23", Architecture: "x86", DiskGB: 40, Hourly: map[string]float64{"fsn1": 0.0076},
		Unavailable: map[string]bool{"fsn1": false, "nbg1": true, "hel1": true},
	}}
	if diff := cmp.Diff(want, page.Items); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	list := `{"pricing":{"currency":"EUR","image":{"price_per_gb_month":{"net":"0.0110","gross":"0.0131"}},"primary_ips":[{"type":"ipv4","prices":[{"location":"fsn1","price_hourly":{"net":"0.0008","gross":"0.00095"}}]},` +
		`{"type":"ipv6","prices":[{"location":"fsn1","price_hourly":{"net":"0","gross":"0"}}]}]}}`
	got, _, err := client(reply(200, list)).Prices(t.Context())
	prices := hetzner.Price{Currency: "EUR", Net: 0.0110, Gross: 0.0131, Addresses: map[string]map[string]float64{"ipv4": {"fsn1": 0.00095}, "ipv6": {"fsn1": 0}}}
	if diff := cmp.Diff(prices, got); err != nil || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	for _, part := range []string{"EUR", "0.0110", "0.0131"} { // half a price is none
		got, _, err := client(reply(200, strings.Replace(list, part, "", 1))).Prices(t.Context())
		if diff := cmp.Diff(hetzner.Price{}, got); err == nil || diff != "" {
			t.Errorf("without %s: %v (-want +got):\n%s", part, err, diff)
		}
	}
}
