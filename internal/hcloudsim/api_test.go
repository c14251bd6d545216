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

// TestOperations walks all operations in all states; the checks of the form
// are those of the API's description.
func TestOperations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(Options{Seed: 1, MinLatency: time.Millisecond, MaxLatency: 50 * time.Millisecond, SnapshotLimit: 3})
		full := c.AddServer(Server{
			Name: "full", IPv4: "203.0.113.7", IPv6: "2001:db8::/64", Type: "ccx13", Location: "hel1",
			Labels: map[string]string{"env": "prod"}, Volumes: []int64{7},
		})
		failing := c.AddServer(Server{Name: "bare", Type: "odd", Location: "moon1", Snapshot: SnapshotBehaviour{FailCode: "action_failed", FailMessage: "m"}})
		off := c.AddServer(Server{Name: "off", Status: "off"})
		c.AddImage(Image{Type: "backup", ServerID: full, SizeGB: 1})
		c.AddImage(Image{Type: "system", Name: "debian-13", Description: "Debian 13", SizeGB: 1})
		c.AddImage(Image{Status: "unavailable"})
		h := newClient(t, c)

		looks := func() {
			for _, path := range []string{
				"/servers", "/servers?per_page=1&page=2&sort=name:desc&sort=id&status=running&status=off", "/servers?name=full&label_selector=env%3Dprod",
				fmt.Sprint("/servers/", full), fmt.Sprintf("/servers/%d/actions", full),
				fmt.Sprintf("/servers/%d/actions?status=running&sort=finished:desc&sort=command&sort=started:asc&sort=status", failing),
				"/images", "/images?type=snapshot&type=backup&status=available&sort=created:desc&architecture=x86&include_deprecated=true",
				fmt.Sprintf("/images?bound_to=%d&name=x", full), "/pricing", "/servers?page=99",
			} {
				h.must("GET", path, "")
			}
			for _, img := range c.Images() {
				h.must("GET", fmt.Sprint("/images/", img.ID), "")
			}
		}
		looks()
		create := fmt.Sprintf("/servers/%d/actions/create_image", full)
		made := h.must("POST", create, `{"type":"snapshot","description":"x","labels":{"hsnap/series":"nightly"}}`)
		h.must("POST", fmt.Sprintf("/servers/%d/actions/create_image", failing), `{}`)
		h.must("POST", fmt.Sprintf("/servers/%d/actions/poweron", off), "")
		looks()
		h.must("GET", fmt.Sprintf("/actions?id=%d&id=%d", made.Action.ID, made.Action.ID+1), "")
		h.must("GET", fmt.Sprint("/actions/", made.Action.ID), "")
		h.refused("POST", create, createSnapshot, 423, "locked")
		time.Sleep(time.Minute)
		looks()
		h.must("GET", fmt.Sprintf("/actions?id=%d&id=%d", made.Action.ID, made.Action.ID+1), "")
		h.must("POST", fmt.Sprintf("/servers/%d/actions/shutdown", full), "")
		time.Sleep(10 * time.Second)
		h.must("POST", fmt.Sprintf("/servers/%d/actions/poweron", full), "")
		time.Sleep(10 * time.Second)
		h.must("POST", fmt.Sprintf("/servers/%d/actions/poweroff", full), "")
		time.Sleep(10 * time.Second)
		h.must("POST", fmt.Sprintf("/servers/%d/actions/rebuild", full), `{"image":"ubuntu-24.04"}`)
		looks()
		image := fmt.Sprint("/images/", made.Image.ID)
		h.must("PUT", image, `{"description":"y","labels":{"a":"b"}}`)
		h.must("POST", image+"/actions/change_protection", `{"delete":true}`)
		looks()
		h.refused("DELETE", image, "", 423, "protected")
		h.must("POST", image+"/actions/change_protection", `{"delete":false}`)
		h.must("DELETE", image, "")
		h.refused("GET", image, "", 404, "not_found")
		h.refused("GET", "/actions/99", "", 404, "not_found")
		h.refused("GET", "/servers/99", "", 404, "not_found")
		h.refused("GET", "/servers/99/actions", "", 404, "not_found")
		h.refused("POST", "/servers/99/actions/create_image", "{}", 404, "not_found")
		c.AddImage(Image{})
		c.AddImage(Image{})
		h.refused("POST", fmt.Sprintf("/servers/%d/actions/create_image", off), "{}", 403, "resource_limit_exceeded")
		h.token = "wrong"
		h.refused("GET", "/servers", "", 401, "unauthorized")
	})
}

func TestRefusals(t *testing.T) {
	c := New(Options{})
	server := c.AddServer(Server{ID: 5})
	snapshot := c.AddImage(Image{ID: 6})
	c.AddImage(Image{ID: 7, Type: "system", Name: "debian-13"})
	h := rude(t, c)
	create := "/servers/5/actions/create_image"
	for _, tt := range []struct {
		method, path, body string
		status             int
		code, field        string
	}{
		{"POST", create, `{"surprise":1}`, 422, "invalid_input", "surprise"},
		{"POST", create, `{"Type":"snapshot"}`, 422, "invalid_input", "Type"},
		{"POST", create, `{"type":null}`, 422, "invalid_input", "type"},
		{"POST", create, `{"type":"image"}`, 422, "invalid_input", "type"},
		{"POST", create, `{"type":"backup"}`, 422, "invalid_input", "type"},
		{"POST", create, `{"description":1}`, 422, "invalid_input", "description"},
		{"POST", create, `{"labels":[]}`, 422, "invalid_input", "labels"},
		{"POST", create, `{"labels":{"a":null}}`, 422, "invalid_input", "labels"},
		{"POST", create, `{"labels":{"a":1}}`, 422, "invalid_input", "labels"},
		{"POST", create, `{"labels":{"a":"b c"}}`, 422, "invalid_input", "labels"},
		{"POST", create, `{"labels":{"hetzner.cloud/a":"b"}}`, 422, "invalid_input", "labels"},
		{"POST", create, ``, 400, "json_error", ""},
		{"POST", create, `null`, 400, "json_error", ""},
		{"POST", create, `[]`, 400, "json_error", ""},
		{"POST", create, `{} {}`, 400, "json_error", ""},
		{"POST", create, `{"type":`, 400, "json_error", ""},
		{"PUT", "/images/6", `{"type":"backup"}`, 422, "invalid_input", "type"},
		{"PUT", "/images/6", `{"name":"x"}`, 422, "invalid_input", "name"},
		{"PUT", "/images/7", `{"description":"x"}`, 422, "unsupported_error", ""},
		{"PUT", "/images/8", `{}`, 404, "not_found", ""},
		{"DELETE", "/images/7", "", 422, "unsupported_error", ""},
		{"DELETE", "/images/8", "", 404, "not_found", ""},
		{"POST", "/images/6/actions/change_protection", `{"delete":"yes"}`, 422, "invalid_input", "delete"},
		{"POST", "/images/7/actions/change_protection", `{"delete":true}`, 422, "unsupported_error", ""},
		{"POST", "/servers/5/actions/shutdown", `{"now":true}`, 422, "invalid_input", "now"},
		{"POST", "/servers/5/actions/rebuild", `{}`, 422, "invalid_input", "image"},
		{"POST", "/servers/5/actions/rebuild", `{"image":"nope"}`, 404, "not_found", ""},
		{"GET", "/servers?per_page=51", "", 422, "invalid_input", "per_page"},
		{"GET", "/servers?per_page=0", "", 422, "invalid_input", "per_page"},
		{"GET", "/servers?page=0", "", 422, "invalid_input", "page"},
		{"GET", "/servers?page=x", "", 422, "invalid_input", "page"},
		{"GET", "/servers?status=asleep", "", 422, "invalid_input", "status"},
		{"GET", "/servers?sort=status", "", 422, "invalid_input", "sort"},
		{"GET", "/servers?sort=id:up", "", 422, "invalid_input", "sort"},
		{"GET", "/servers?sort=id:", "", 422, "invalid_input", "sort"},
		{"GET", "/servers?label_selector=a%3D%3D%3D", "", 422, "invalid_input", "label_selector"},
		{"GET", "/images?type=picture", "", 422, "invalid_input", "type"},
		{"GET", "/images?status=running", "", 422, "invalid_input", "status"},
		{"GET", "/images?bound_to=x", "", 422, "invalid_input", "bound_to"},
		{"GET", "/images?include_deprecated=yes", "", 422, "invalid_input", "include_deprecated"},
		{"GET", "/servers/5/actions?status=done", "", 422, "invalid_input", "status"},
		{"GET", "/actions", "", 422, "invalid_input", "id"},
		{"GET", "/actions?id=x", "", 422, "invalid_input", "id"},
		{"GET", "/actions?id=0", "", 422, "invalid_input", "id"},
		{"GET", "/volumes", "", 404, "not_found", ""},
		{"GET", "/servers/", "", 404, "not_found", ""},
		{"GET", "/servers/x", "", 404, "not_found", ""},
		{"GET", "/servers/0", "", 404, "not_found", ""},
		{"DELETE", "/servers/5", "", 405, "method_not_allowed", ""},
		{"GET", create, "", 405, "method_not_allowed", ""},
	} {
		g := h.refused(tt.method, tt.path, tt.body, tt.status, tt.code)
		if g.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s %s: content type %q", tt.method, tt.path, g.Header.Get("Content-Type"))
		}
		var details struct{ Fields []fieldError }
		if err := json.Unmarshal(g.Error.Details, &details); err != nil {
			t.Fatal(err)
		}
		if tt.field == "" && details.Fields != nil ||
			tt.field != "" && (len(details.Fields) != 1 || details.Fields[0].Name != tt.field || len(details.Fields[0].Messages) == 0) {
			t.Errorf("%s %s %s: details %s, want field %q", tt.method, tt.path, tt.body, g.Error.Details, tt.field)
		}
	}
	h.must("GET", "/servers?foo=bar", "") // unknown parameters are ignored
	if len(c.Images()) != 2 || len(c.Servers()[0].Commands) > 0 || server != 5 || snapshot != 6 {
		t.Errorf("a refused request took effect: %+v %+v", c.Images(), c.Servers())
	}
}

func TestTokens(t *testing.T) {
	c := New(Options{})
	c.AddServer(Server{ID: 5})
	h := rude(t, c)
	for _, token := range []string{"", "wrong", DefaultToken + "x"} {
		h.token = token
		h.refused("GET", "/servers", "", 401, "unauthorized")
	}
	req := h.request("GET", "/servers", "")
	req.Header.Set("Authorization", DefaultToken)
	if res, err := h.rt.RoundTrip(req); err != nil || res.StatusCode != 401 {
		t.Errorf("without Bearer: %v, %v", res, err)
	}
	h.token = DefaultReadOnlyToken
	h.must("GET", "/servers", "")
	h.refused("POST", "/servers/5/actions/create_image", createSnapshot, 403, "forbidden")

	old := New(Options{OldReadOnlyCode: true})
	h.rt = old.Transport()
	h.refused("DELETE", "/images/5", "", 401, "token_readonly")

	h = rude(t, c)
	h.must("GET", "/servers", "")
	c.Revoke()
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
	for _, want := range []string{`"image_size":null`, `"created_from":null`, `"name":null`, `"bound_to":null`, `"labels":{}`, `"deprecation":null`, `"deprecated":null`, `"deleted":null`} {
		if !strings.Contains(g.Raw, want) {
			t.Errorf("image without %s: %s", want, g.Raw)
		}
	}
}

func TestSnapshotLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(Options{})
		id := c.AddServer(Server{Name: "db", Snapshot: SnapshotBehaviour{Duration: time.Minute, AvailableAfter: 10 * time.Second, SizeGB: 3.5}})
		h := newClient(t, c)
		start := time.Now()
		made := h.must("POST", fmt.Sprintf("/servers/%d/actions/create_image", id), `{"description":"d","labels":{"a":"b"}}`)
		if made.Status != 201 || made.Image.Status != "creating" || made.Image.ImageSize != nil || made.Image.CreatedFrom.ID != id ||
			made.Image.CreatedFrom.Name != "db" || made.Image.Labels["a"] != "b" || made.Image.Description != "d" || made.Image.Type != "snapshot" {
			t.Errorf("accepted: %s", made.Raw)
		}
		if a := made.Action; a.Status != "running" || a.Progress != 0 || a.Finished != nil || a.Command != "create_image" ||
			len(a.Resources) != 1 || a.Resources[0].ID != id || a.Resources[0].Type != "server" {
			t.Errorf("accepted: %s", made.Raw)
		}
		look := func() (got, got) {
			return h.must("GET", fmt.Sprint("/actions/", made.Action.ID), ""), h.must("GET", fmt.Sprint("/images/", made.Image.ID), "")
		}
		time.Sleep(30 * time.Second)
		if a, i := look(); a.Action.Status != "running" || a.Action.Progress != 50 || i.Image.Status != "creating" || !c.Servers()[0].Locked {
			t.Errorf("half way: %s %s", a.Raw, i.Raw)
		}
		time.Sleep(31 * time.Second)
		if a, i := look(); a.Action.Status != "success" || a.Action.Progress != 100 || i.Image.Status != "creating" || c.Servers()[0].Locked ||
			!a.Action.Finished.Equal(start.Add(time.Minute)) {
			t.Errorf("action over: %s %s", a.Raw, i.Raw)
		}
		time.Sleep(10 * time.Second)
		if _, i := look(); i.Image.Status != "available" || *i.Image.ImageSize != 3.5 {
			t.Errorf("available: %s", i.Raw)
		}
	})
}

func TestSnapshotBehaviours(t *testing.T) {
	type state struct {
		At       time.Duration
		Action   string
		Progress int
		Image    string // empty: gone
		Locked   bool
	}
	for name, tt := range map[string]struct {
		behaviour SnapshotBehaviour
		want      []state
	}{
		"default": {SnapshotBehaviour{}, []state{{44 * time.Second, "running", 97, "creating", true}, {46 * time.Second, "success", 100, "available", false}}},
		"stuck":   {SnapshotBehaviour{Progress: Stuck}, []state{{44 * time.Second, "running", 0, "creating", true}, {46 * time.Second, "success", 100, "available", false}}},
		"jumping": {SnapshotBehaviour{Progress: Jumping}, []state{{5 * time.Second, "running", 0, "creating", true}, {20 * time.Second, "running", 45, "creating", true}, {44 * time.Second, "running", 95, "creating", true}}},
		"no lock": {SnapshotBehaviour{LockFor: -1}, []state{{time.Second, "running", 2, "creating", false}}},
		"short lock": {SnapshotBehaviour{LockFor: 10 * time.Second}, []state{{9 * time.Second, "running", 20, "creating", true},
			{11 * time.Second, "running", 24, "creating", false}}},
		"fails": {SnapshotBehaviour{FailAfter: 9 * time.Second, FailCode: "action_failed", FailMessage: "no"}, []state{{8 * time.Second, "running", 17, "creating", true},
			{10 * time.Second, "error", 20, "", false}}},
		"fails, vanishes later": {SnapshotBehaviour{FailCode: "unknown_error", FailMessage: "server is locked", VanishAfter: 5 * time.Second}, []state{
			{46 * time.Second, "error", 99, "creating", false}, {51 * time.Second, "error", 99, "", false}}},
		"never available": {SnapshotBehaviour{NeverAvailable: true}, []state{{24 * time.Hour, "success", 100, "creating", false}}},
		"unavailable":     {SnapshotBehaviour{Unavailable: true}, []state{{46 * time.Second, "success", 100, "unavailable", false}}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := New(Options{})
				id := c.AddServer(Server{Snapshot: tt.behaviour})
				h := newClient(t, c)
				made := h.must("POST", fmt.Sprintf("/servers/%d/actions/create_image", id), createSnapshot)
				start := time.Now()
				for _, want := range tt.want {
					time.Sleep(want.At - time.Since(start))
					a := h.must("GET", fmt.Sprint("/actions/", made.Action.ID), "").Action
					now := state{want.At, a.Status, a.Progress, "", h.must("GET", fmt.Sprint("/servers/", id), "").Server.Locked}
					if all := c.Images(); len(all) > 0 {
						now.Image = all[0].Status
					}
					if diff := cmp.Diff(want, now); diff != "" {
						t.Error(diff)
					}
					if a.Status == "error" && (a.Error.Code != tt.behaviour.FailCode || a.Error.Message != tt.behaviour.FailMessage) {
						t.Errorf("error %+v", a.Error)
					}
				}
			})
		})
	}
}

func TestFailTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(Options{})
		id := c.AddServer(Server{Snapshot: SnapshotBehaviour{FailAfter: time.Second, FailCode: "x", FailTimes: 2}})
		h := newClient(t, c)
		var ends []string
		for range 4 {
			made := h.must("POST", fmt.Sprintf("/servers/%d/actions/create_image", id), createSnapshot)
			time.Sleep(time.Minute)
			ends = append(ends, h.get(fmt.Sprint("/actions/", made.Action.ID)).Action.Status)
		}
		if diff := cmp.Diff([]string{"error", "error", "success", "success"}, ends); diff != "" {
			t.Error(diff)
		}
	})
}

func TestSnapshotLimit(t *testing.T) {
	c := New(Options{SnapshotLimit: 2})
	a, b := c.AddServer(Server{}), c.AddServer(Server{})
	old := c.AddImage(Image{})
	c.AddImage(Image{Type: "backup"})
	h := newClient(t, c)
	h.must("POST", fmt.Sprintf("/servers/%d/actions/create_image", a), createSnapshot)
	path := fmt.Sprintf("/servers/%d/actions/create_image", b)
	h.refused("POST", path, createSnapshot, 403, "resource_limit_exceeded")
	h.must("DELETE", fmt.Sprint("/images/", old), "")
	h.must("POST", path, createSnapshot)
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

func TestPower(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(Options{})
		id := c.AddServer(Server{})
		deaf := c.AddServer(Server{Power: PowerBehaviour{ShutdownAfter: -1, PowerOnFails: 1}})
		h := newClient(t, c)
		do := func(id int64, command string) got {
			return h.must("POST", fmt.Sprintf("/servers/%d/actions/%s", id, command), "")
		}
		expect := func(id int64, status string, locked bool) {
			t.Helper()
			s := h.get(fmt.Sprint("/servers/", id)).Server
			if s.Status != status || s.Locked != locked {
				t.Errorf("%s, locked %v; want %s, %v", s.Status, s.Locked, status, locked)
			}
		}
		if a := do(id, "shutdown").Action; a.Status != "success" {
			t.Errorf("shutdown: %+v", a)
		}
		time.Sleep(7 * time.Second)
		expect(id, "running", false)
		time.Sleep(2 * time.Second)
		expect(id, "off", false)
		a := do(id, "poweron").Action
		expect(id, "starting", true)
		h.refused("POST", fmt.Sprintf("/servers/%d/actions/poweroff", id), "", 423, "locked")
		time.Sleep(6 * time.Second)
		expect(id, "running", false)
		if a := h.get(fmt.Sprint("/actions/", a.ID)).Action; a.Status != "success" || a.Command != "start_server" {
			t.Errorf("poweron: %+v", a)
		}
		if a := do(id, "poweron").Action; a.Status != "success" {
			t.Errorf("poweron of a running server: %+v", a)
		}
		do(deaf, "shutdown")
		time.Sleep(time.Hour)
		expect(deaf, "running", false)
		do(deaf, "poweroff")
		expect(deaf, "stopping", true)
		time.Sleep(4 * time.Second)
		expect(deaf, "off", false)
		failed := do(deaf, "poweron").Action
		time.Sleep(6 * time.Second)
		expect(deaf, "off", false)
		if a := h.get(fmt.Sprint("/actions/", failed.ID)).Action; a.Status != "error" {
			t.Errorf("failed poweron: %+v", a)
		}
		do(deaf, "poweron")
		time.Sleep(6 * time.Second)
		expect(deaf, "running", false)

		// A server that is on again is not switched off by an old shutdown.
		do(id, "shutdown")
		do(id, "poweroff")
		time.Sleep(3 * time.Second)
		do(id, "poweron")
		time.Sleep(20 * time.Second)
		expect(id, "running", false)

		h.must("POST", fmt.Sprintf("/servers/%d/actions/rebuild", id), `{"image":"ubuntu-24.04"}`)
		expect(id, "rebuilding", true)
		time.Sleep(21 * time.Second)
		expect(id, "running", false)
		want := []string{"shutdown_server", "start_server", "start_server", "shutdown_server", "stop_server", "start_server", "rebuild_server"}
		if diff := cmp.Diff(want, c.Servers()[0].Commands); diff != "" {
			t.Error(diff)
		}
	})
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
	absent := 0
	for range 400 {
		id := h.get("/servers").Header.Get("X-Correlation-Id")
		switch {
		case id == "":
			absent++
		case len(id) != 16 || strings.Trim(id, "0123456789abcdef") != "" || seen[id]:
			t.Fatalf("correlation ID %q", id)
		}
		seen[id] = true
	}
	if absent < 10 || absent > 50 {
		t.Errorf("%d of 400 without a correlation ID, want about 25", absent)
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
	for name, f := range map[string]func(){
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
	if !strings.Contains(g.Raw, `"image":{"price_per_gb_month":{"net":"0.0110000000000000","gross":"0.0130900000000000"}}`) {
		t.Errorf("prices: %s", g.Raw)
	}
}
