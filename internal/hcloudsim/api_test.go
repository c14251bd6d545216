package hcloudsim

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// readEverything sends every GET of the API about the two servers and all images.
func readEverything(c *Cloud, h client, a, b int64) {
	h.t.Helper()
	for _, path := range []string{
		"/servers", "/servers?per_page=1&page=2&sort=name:desc&sort=id&status=running&status=off", "/servers?name=full&label_selector=env%3Dprod",
		fmt.Sprint("/servers/", a), fmt.Sprintf("/servers/%d/actions", a),
		fmt.Sprintf("/servers/%d/actions?status=running&sort=finished:desc&sort=command&sort=started:asc&sort=status", b),
		"/images", "/images?type=snapshot&type=backup&status=available&sort=created:desc&architecture=x86&include_deprecated=true",
		fmt.Sprintf("/images?bound_to=%d&name=x", a), "/pricing", "/servers?page=99",
	} {
		h.must("GET", path, "")
	}
	for _, img := range c.Images() {
		h.must("GET", fmt.Sprint("/images/", img.ID), "")
	}
}

// TestOperations walks all operations in all states; the checks of the form
// are those of the API's description.
func TestOperations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(Options{Seed: 1, MinLatency: time.Millisecond, MaxLatency: 50 * time.Millisecond, SnapshotLimit: 3})
		full := c.AddServer(Server{
			Name: "full", IPv4: "203.0.113.7", IPv6: "2001:db8::/64", Type: "ccx13", Location: "hel1",
			Labels: map[string]string{"env": "prod"}, Volumes: []int64{7}, RescueEnabled: true, ISO: "netinst.iso",
		})
		failing := c.AddServer(Server{Name: "bare", Type: "odd", Location: "moon1", Snapshot: SnapshotBehaviour{FailCode: "action_failed", FailMessage: "m"}})
		off := c.AddServer(Server{Name: "off", Status: "off"})
		c.AddImage(Image{Type: "backup", ServerID: full, SizeGB: 1})
		c.AddImage(Image{Type: "system", Name: "debian-13", Description: "Debian 13", SizeGB: 1, Deprecated: time.Now()})
		c.AddImage(Image{Status: "unavailable"})
		h := newClient(t, c)

		readEverything(c, h, full, failing)
		create := fmt.Sprintf("/servers/%d/actions/create_image", full)
		made := h.must("POST", create, `{"type":"snapshot","description":"x","labels":{"hsnap/series":"nightly"}}`)
		h.must("POST", fmt.Sprintf("/servers/%d/actions/create_image", failing), `{}`)
		h.must("POST", fmt.Sprintf("/servers/%d/actions/poweron", off), "")
		readEverything(c, h, full, failing)
		h.must("GET", fmt.Sprintf("/actions?id=%d&id=%d", made.Action.ID, made.Action.ID+1), "")
		h.must("GET", fmt.Sprint("/actions/", made.Action.ID), "")
		h.refused("POST", create, createSnapshot, 423, "locked")
		time.Sleep(time.Minute)
		readEverything(c, h, full, failing)
		h.must("GET", fmt.Sprintf("/actions?id=%d&id=%d", made.Action.ID, made.Action.ID+1), "")
		for _, power := range []string{"shutdown", "poweron", "poweroff"} {
			h.must("POST", fmt.Sprintf("/servers/%d/actions/%s", full, power), "")
			time.Sleep(10 * time.Second)
		}
		h.must("POST", fmt.Sprintf("/servers/%d/actions/rebuild", full), `{"image":"ubuntu-24.04"}`)
		readEverything(c, h, full, failing)
		image := fmt.Sprint("/images/", made.Image.ID)
		h.must("PUT", image, `{"description":"y","labels":{"a":"b"}}`)
		h.must("POST", image+"/actions/change_protection", `{"delete":true}`)
		readEverything(c, h, full, failing)
		h.refused("DELETE", image, "", 423, "protected")
		h.must("POST", image+"/actions/change_protection", `{"delete":false}`)
		h.must("DELETE", image, "")
		h.refused("GET", image, "", 404, "not_found")
	})
}

// The refusals whose form the API's description describes, too.
func TestOperationsRefused(t *testing.T) {
	c := New(Options{SnapshotLimit: 1})
	c.AddServer(Server{ID: 5})
	c.AddImage(Image{})
	h := newClient(t, c)
	h.refused("GET", "/actions/99", "", 404, "not_found")
	h.refused("GET", "/servers/99", "", 404, "not_found")
	h.refused("GET", "/servers/99/actions", "", 404, "not_found")
	h.refused("POST", "/servers/99/actions/create_image", "{}", 404, "not_found")
	h.refused("POST", "/servers/5/actions/create_image", "{}", 403, "resource_limit_exceeded")
	h.refused("POST", "/servers", `{"name":"x","server_type":"cx23","image":"debian-13"}`, 404, "not_found")
	h.refused("DELETE", "/servers/99", "", 404, "not_found")
	h.refused("GET", "/firewalls/99", "", 404, "not_found")
	h.refused("GET", "/server_types/99", "", 404, "not_found")
	h.refused("GET", "/primary_ips/99", "", 404, "not_found")
	h.refused("DELETE", "/primary_ips/99", "", 404, "not_found")
	h.refused("DELETE", "/firewalls/99", "", 404, "not_found")
	h.token = "wrong"
	h.refused("GET", "/servers", "", 401, "unauthorized")
}

func TestPages(t *testing.T) {
	c := New(Options{})
	for i := range 5 {
		c.AddServer(Server{ID: int64(i + 1)})
	}
	h := newClient(t, c)
	for _, tt := range []struct {
		query, pagination string
		ids               []int64
	}{
		{"", `{"page":1,"per_page":25,"previous_page":null,"next_page":null,"last_page":1,"total_entries":5}`, []int64{1, 2, 3, 4, 5}},
		{"?per_page=2", `{"page":1,"per_page":2,"previous_page":null,"next_page":2,"last_page":3,"total_entries":5}`, []int64{1, 2}},
		{"?per_page=2&page=2", `{"page":2,"per_page":2,"previous_page":1,"next_page":3,"last_page":3,"total_entries":5}`, []int64{3, 4}},
		{"?per_page=2&page=3", `{"page":3,"per_page":2,"previous_page":2,"next_page":null,"last_page":3,"total_entries":5}`, []int64{5}},
		{"?per_page=5", `{"page":1,"per_page":5,"previous_page":null,"next_page":null,"last_page":1,"total_entries":5}`, []int64{1, 2, 3, 4, 5}},
		{"?page=9", `{"page":9,"per_page":25,"previous_page":8,"next_page":null,"last_page":1,"total_entries":5}`, nil},
		{"?name=none", `{"page":1,"per_page":25,"previous_page":null,"next_page":null,"last_page":1,"total_entries":0}`, nil},
	} {
		g := h.must("GET", "/servers"+tt.query, "")
		if !strings.Contains(g.Raw, `"pagination":`+tt.pagination) {
			t.Errorf("%s: want %s in %s", tt.query, tt.pagination, g.Raw)
		}
		if diff := cmp.Diff(tt.ids, serverIDs(g)); diff != "" {
			t.Errorf("%s: %s", tt.query, diff)
		}
	}
	g := h.get("/servers?per_page=2&page=2")
	want := `<http://sim.test/v1/servers?page=1&per_page=2>; rel="prev", <http://sim.test/v1/servers?page=3&per_page=2>; rel="next", <http://sim.test/v1/servers?page=3&per_page=2>; rel="last"`
	if got := g.Header.Get("Link"); got != want {
		t.Errorf("link header:\n%s\nwant\n%s", got, want)
	}
}

func serverIDs(g got) (ids []int64) {
	for _, s := range g.Servers {
		ids = append(ids, s.ID)
	}
	return ids
}

func TestFiltersAndSorting(t *testing.T) {
	c := New(Options{})
	day := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	c.AddServer(Server{ID: 1, Name: "c", Created: day, Labels: map[string]string{"env": "prod"}})
	c.AddServer(Server{ID: 2, Name: "a", Created: day.Add(time.Hour), Status: "off"})
	c.AddServer(Server{ID: 3, Name: "b", Created: day, Labels: map[string]string{"env": "dev"}})
	h := newClient(t, c)
	for query, want := range map[string][]int64{
		"":                                {1, 2, 3},
		"sort=id:desc":                    {3, 2, 1},
		"sort=name":                       {2, 3, 1},
		"sort=name:desc":                  {1, 3, 2},
		"sort=created":                    {1, 3, 2},
		"sort=created:desc&sort=name:asc": {2, 3, 1},
		"status=off":                      {2},
		"status=off&status=running":       {1, 2, 3},
		"name=b":                          {3},
		"label_selector=env":              {1, 3},
		"label_selector=env!%3Dprod":      {2, 3},
		"label_selector=env+in+(dev)&status=running": {3},
	} {
		if diff := cmp.Diff(want, serverIDs(h.must("GET", "/servers?"+query, ""))); diff != "" {
			t.Errorf("%s: %s", query, diff)
		}
	}
}

func TestNulls(t *testing.T) {
	c := New(Options{})
	id := c.AddServer(Server{})
	c.AddImage(Image{ID: 6, Status: "creating"})
	h := newClient(t, c)
	g := h.must("GET", fmt.Sprint("/servers/", id), "")
	for _, want := range []string{`"ipv4":null`, `"ipv6":null`, `"labels":{}`, `"volumes":[]`, `"private_net":[]`, `"backup_window":null`} {
		if !strings.Contains(g.Raw, want) {
			t.Errorf("server without %s: %s", want, g.Raw)
		}
	}
	g = h.must("GET", "/images/6", "")
	for _, want := range []string{`"image_size":null`, `"created_from":null`, `"name":null`, `"bound_to":null`, `"labels":{}`, `"deprecation":null`, `"deleted":null`} {
		if !strings.Contains(g.Raw, want) {
			t.Errorf("image without %s: %s", want, g.Raw)
		}
	}
}

// Hetzner has dropped these fields; hcloud-go's schema still has some of them.
func TestDroppedFields(t *testing.T) {
	c := New(Options{})
	server, image := c.AddServer(Server{}), c.AddImage(Image{})
	h := rude(t, c) // the check of the description would find them too, where it is at hand
	type object = map[string]any
	read := func(path, key string) object {
		var all map[string]object
		if err := json.Unmarshal([]byte(h.must("GET", path, "").Raw), &all); err != nil || len(all[key]) == 0 {
			t.Fatalf("GET %s: %v, %v", path, err, all)
		}
		return all[key]
	}
	absent := func(what string, o object, fields ...string) {
		for _, field := range fields {
			if value, ok := o[field]; ok {
				t.Errorf("%s has the field %s: %v", what, field, value)
			}
		}
	}
	absent("image", read(fmt.Sprint("/images/", image), "image"), "deprecated")
	s := read(fmt.Sprint("/servers/", server), "server")
	absent("server", s, "datacenter")
	absent("a server's image", s["image"].(object), "deprecated")
	absent("a server's type", s["server_type"].(object), "included_traffic")
	prices := read("/pricing", "pricing")
	absent("price list", prices, "traffic")
	ip := prices["primary_ips"].([]any)[0].(object)
	absent("price of a primary IP", ip["prices"].([]any)[0].(object), "datacenter")
}

// A deprecated image is left out of a listing that doesn't ask for it, and out of every listing once it is withdrawn.
func TestDeprecatedImages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(Options{})
		announced := time.Now().UTC()
		id := c.AddImage(Image{Deprecated: announced, Labels: map[string]string{"a": "b"}})
		c.AddImage(Image{})
		server := c.AddServer(Server{})
		h := newClient(t, c)
		listed := func(query string, want int) {
			t.Helper()
			if n := len(h.must("GET", "/images"+query, "").Images); n != want {
				t.Errorf("%d images with %q, want %d", n, query, want)
			}
		}
		listed("", 1)
		listed("?label_selector=a", 0)
		listed("?include_deprecated=false", 1)
		listed("?include_deprecated=true", 2)
		listed("?include_deprecated=true&label_selector=a", 1)
		path := fmt.Sprint("/images/", id)
		if d := h.must("GET", path, "").Image.Deprecation; d == nil || !d.Announced.Equal(announced) || !d.UnavailableAfter.Equal(announced.AddDate(0, 0, 90)) {
			t.Errorf("deprecation %+v", d)
		}
		time.Sleep(90 * 24 * time.Hour)
		listed("?include_deprecated=true", 1)
		h.must("GET", path, "")
		h.refused("POST", fmt.Sprintf("/servers/%d/actions/rebuild", server), fmt.Sprintf(`{"image":"%d"}`, id), 404, "not_found")
	})
}

func TestArchitecture(t *testing.T) {
	c := New(Options{})
	arm := c.AddServer(Server{Type: "cax11"})
	c.AddImage(Image{ID: 1})
	c.AddImage(Image{ID: 2, Architecture: "arm"})
	h := newClient(t, c)
	made := h.must("POST", fmt.Sprintf("/servers/%d/actions/create_image", arm), createSnapshot).Image
	if made.Architecture != "arm" {
		t.Errorf("the snapshot of an arm server is for %s", made.Architecture)
	}
	for query, want := range map[string][]int64{"x86": {1}, "arm": {2, made.ID}} {
		var have []int64
		for _, img := range h.must("GET", "/images?architecture="+query, "").Images {
			have = append(have, img.ID)
		}
		if diff := cmp.Diff(want, have); diff != "" {
			t.Errorf("%s: %s", query, diff)
		}
	}
}

func TestServerFields(t *testing.T) {
	c := New(Options{})
	plain := c.AddServer(Server{})
	special := c.AddServer(Server{RescueEnabled: true, ISO: "debian-13.1.0-amd64-netinst.iso", Protected: true})
	h := newClient(t, c)
	if s := h.get(fmt.Sprint("/servers/", plain)).Server; s.RescueEnabled || s.ISO != nil || s.Protection.Delete || s.Protection.Rebuild {
		t.Errorf("plain server: %+v", s)
	}
	s := h.get(fmt.Sprint("/servers/", special)).Server
	if !s.RescueEnabled || s.ISO == nil || s.ISO.Name != "debian-13.1.0-amd64-netinst.iso" || !s.Protection.Delete || !s.Protection.Rebuild {
		t.Errorf("server: %+v", s)
	}
}

func TestRebuild(t *testing.T) {
	c := New(Options{})
	c.AddImage(Image{ID: 6, Name: "mine"})
	c.AddImage(Image{ID: 7, Type: "system", Name: "debian-13"})
	c.AddImage(Image{ID: 8, Status: "creating"})
	rebuild := func(s Server) string {
		return fmt.Sprintf("/servers/%d/actions/rebuild", c.AddServer(s))
	}
	h := newClient(t, c)
	if g := h.must("POST", rebuild(Server{}), `{"image":"6"}`); !strings.Contains(g.Raw, `"root_password":null`) {
		t.Errorf("a server with a key: %s", g.Raw)
	}
	if g := h.must("POST", rebuild(Server{RootPassword: "YItygq1v3GYjjMomLaKc"}), `{"image":"debian-13"}`); !strings.Contains(g.Raw, `"root_password":"YItygq1v3GYjjMomLaKc"`) {
		t.Errorf("a server without a key: %s", g.Raw)
	}
	h.refused("POST", rebuild(Server{}), `{"image":"mine"}`, 404, "not_found") // a name is for system images
	h.refused("POST", rebuild(Server{}), `{"image":"8"}`, 404, "not_found")
	h.refused("POST", rebuild(Server{Protected: true}), `{"image":"6"}`, 423, "protected")
}

func TestLabelsAreReplaced(t *testing.T) {
	c := New(Options{})
	id := c.AddImage(Image{Type: "backup", ServerID: 9, ServerName: "gone", Labels: map[string]string{"a": "1", "b": "2"}, Description: "old"})
	h := newClient(t, c)
	g := h.must("PUT", fmt.Sprint("/images/", id), `{"labels":{"c":"3"},"type":"snapshot"}`)
	if diff := cmp.Diff(map[string]string{"c": "3"}, g.Image.Labels); diff != "" || g.Image.Description != "old" || g.Image.Type != "snapshot" {
		t.Errorf("%s %s", diff, g.Raw)
	}
	if g.Image.CreatedFrom.Name != "gone" || g.Image.BoundTo != nil {
		t.Errorf("created_from: %s", g.Raw)
	}
}

func TestActionsAtOnce(t *testing.T) {
	c := New(Options{})
	id := c.AddServer(Server{})
	h := newClient(t, c)
	var query []string
	for range 30 {
		a := c.Lock(id, Lock{Command: "attach_volume"})
		query = append(query, fmt.Sprint("id=", a))
	}
	slices.Reverse(query)
	if n := len(h.must("GET", "/actions?"+strings.Join(query, "&"), "").Actions); n != 25 {
		t.Errorf("%d actions of 30, want 25", n)
	}
	if n := len(h.must("GET", "/actions?id=1&"+query[0], "").Actions); n != 1 {
		t.Errorf("%d actions where one is unknown, want 1", n)
	}
}

func TestRateLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(Options{RateLimit: 60}) // one a minute
		h := newClient(t, c)
		start := time.Now()
		expect := func(g got, remaining string, reset time.Duration) {
			t.Helper()
			want := fmt.Sprint(start.Add(reset).Unix())
			if h := g.Header; h.Get("RateLimit-Limit") != "60" || h.Get("RateLimit-Remaining") != remaining || h.Get("RateLimit-Reset") != want {
				t.Errorf("headers %v, want %s remaining and a reset at %s", h, remaining, want)
			}
		}
		expect(h.must("GET", "/servers", ""), "59", time.Minute)
		time.Sleep(20 * time.Second)
		expect(h.must("GET", "/servers", ""), "58", 2*time.Minute)
		time.Sleep(41 * time.Second)
		expect(h.must("GET", "/servers", ""), "58", 3*time.Minute)
		c.Spend(58)
		g := h.refused("GET", "/servers", "", 429, "rate_limit_exceeded")
		expect(g, "0", 61*time.Minute)
		if !strings.Contains(g.Error.Message, DefaultToken[:8]) || strings.Contains(g.Raw, DefaultToken[:12]) {
			t.Errorf("message %q", g.Error.Message)
		}
		time.Sleep(58 * time.Second)
		h.refused("GET", "/servers", "", 429, "rate_limit_exceeded")
		time.Sleep(time.Second)
		expect(h.must("GET", "/servers", ""), "0", 62*time.Minute)
		time.Sleep(2 * time.Hour)
		expect(h.must("GET", "/servers", ""), "59", time.Since(start)+time.Minute)
	})
}

func TestCorrelation(t *testing.T) {
	c := New(Options{Seed: 3})
	h := rude(t, c) // 400 times the same form
	seen := map[string]bool{}
	absent, short := 0, 0
	for range 400 {
		id := h.get("/servers").Header.Get("X-Correlation-Id")
		switch {
		case id == "":
			absent++
		case len(id) > 16 || strings.Trim(id, "0123456789abcdef") != "" || seen[id]:
			t.Fatalf("correlation ID %q", id)
		case len(id) < 16:
			short++
		}
		seen[id] = true
	}
	if absent < 10 || absent > 50 {
		t.Errorf("%d of 400 without a correlation ID, want about 25", absent)
	}
	if short == 0 {
		t.Error("all correlation IDs have the same length")
	}
	for i, ex := range c.History() {
		if !seen[ex.CorrelationID] {
			t.Errorf("exchange %d: %q was never sent", i, ex.CorrelationID)
		}
	}
}

func TestBadSetupPanics(t *testing.T) {
	c := New(Options{})
	c.AddServer(Server{ID: 5, Name: "a"})
	c.AddImage(Image{ID: 5})
	c.AddFirewall(Firewall{ID: 5, Name: "a"})
	for name, f := range map[string]func(){
		"firewall ID":       func() { c.AddFirewall(Firewall{ID: 5}) },
		"firewall name":     func() { c.AddFirewall(Firewall{Name: "a"}) },
		"no such firewall":  func() { c.AddServer(Server{Firewalls: []int64{6}}) },
		"no such image":     func() { c.AddServer(Server{ImageID: 6}) },
		"server ID taken":   func() { c.AddServer(Server{ID: 5}) },
		"server name taken": func() { c.AddServer(Server{Name: "a"}) },
		"image ID taken":    func() { c.AddImage(Image{ID: 5}) },
		"no such server":    func() { c.Lock(6, Lock{}) },
		"bad pattern":       func() { c.Inject(Fault{Kind: Slow, Path: "["}) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			f()
		}()
	}
	c.AddServer(Server{ID: 2 * firstServerID})
	if id := c.AddServer(Server{}); id != 2*firstServerID+1 {
		t.Errorf("next ID %d", id)
	}
}

func TestPrices(t *testing.T) {
	h := newClient(t, New(Options{}))
	g := h.must("GET", "/pricing", "")
	for _, want := range []string{
		`"currency":"EUR"`, `"vat_rate":"19.000000"`,
		`"image":{"price_per_gb_month":{"net":"0.0143000000000000","gross":"0.0170170000000000"}}`,
		`{"location":"fsn1","price_hourly":{"net":"0.0104006410256410","gross":"0.0123767628205128"},"price_monthly":{"net":"6.4900000000000000","gross":"7.7231000000000000"}`,
	} {
		if !strings.Contains(g.Raw, want) {
			t.Errorf("prices without %s: %s", want, g.Raw)
		}
	}
	h = newClient(t, New(Options{Currency: "USD"}))
	if g := h.must("GET", "/pricing", ""); !strings.Contains(g.Raw, `"currency":"USD"`) {
		t.Errorf("another currency: %s", g.Raw)
	}
}
