package hcloudsim

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// createCopy is an order as a verification sends it, of image 6.
const createCopy = `{"name":"hsnap-drill-6","server_type":"cx23","image":"6","location":"nbg1","labels":{"hsnap/drill":"4f"},` +
	`"start_after_create":false,"public_net":{"enable_ipv4":true,"enable_ipv6":false}}`

// checkAccepted checks the answer to createCopy.
func checkAccepted(t *testing.T, made got) {
	t.Helper()
	s := made.Server
	if made.Status != 201 || s.ID == 0 || s.Status != "initializing" || !s.Locked || s.Name != "hsnap-drill-6" || s.Image.ID != 6 || s.Location.Name != "nbg1" ||
		s.ServerType.Name != "cx23" || s.Labels["hsnap/drill"] != "4f" || s.PublicNet.IPv4.IP == "" || s.PublicNet.IPv4.ID == 0 || s.PublicNet.IPv6.IP != "" {
		t.Errorf("accepted: %s", made.Raw)
	}
	if a := made.Action; a.Command != "create_server" || a.Status != "running" || a.Resources[0].ID != s.ID || made.Next == nil || len(made.Next) > 0 {
		t.Errorf("accepted: %s", made.Raw)
	}
	if made.Root == nil || len(*made.Root) != 20 {
		t.Errorf("no root password for a server without a key: %s", made.Raw)
	}
}

func TestCreateLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(Options{})
		origin := c.AddServer(Server{Name: "db-1", Guest: Guest{Ports: map[int]string{22: banner}, BootAfter: 10 * time.Second}})
		c.AddImage(Image{ID: 6, ServerID: origin})
		h := newClient(t, c)
		start := time.Now().UTC()
		made := h.must("POST", "/servers", createCopy)
		s, path := made.Server, fmt.Sprint("/servers/", made.Server.ID)
		checkAccepted(t, made)
		time.Sleep(15 * time.Second)
		if a := h.get(fmt.Sprint("/actions/", made.Action.ID)).Action; a.Progress != 50 || h.get(path).Server.Status != "initializing" {
			t.Errorf("half way: %+v", a)
		}
		h.refused("DELETE", path, "", 423, "locked")
		h.refused("POST", path+"/actions/poweron", "", 423, "locked")
		time.Sleep(15 * time.Second)
		p := powerTest{h, s.ID}
		p.expect("off", false)
		p.expectAction(made.Action.ID, "success")
		if all := h.get(path + "/actions").Actions; len(all) != 1 {
			t.Errorf("it was not to be started: %+v", all)
		}
		time.Sleep(time.Hour)
		p.expect("off", false)

		p.do("poweron")
		time.Sleep(14 * time.Second) // 5 s until it runs
		address := s.PublicNet.IPv4.IP + ":22"
		if got := dialed(t, c, address); got != "refused" {
			t.Errorf("booting: %q", got)
		}
		time.Sleep(time.Second)
		if got := dialed(t, c, address); got != banner {
			t.Errorf("booted: %q", got)
		}
		gone := h.must("DELETE", path, "")
		if a := gone.Action; a.Command != "delete_server" || a.Resources[0].ID != s.ID {
			t.Errorf("deleted: %s", gone.Raw)
		}
		h.refused("GET", path, "", 404, "not_found")
		h.refused("DELETE", path, "", 404, "not_found")
		p.expectAction(gone.Action.ID, "success")
		if len(c.PrimaryIPs()) > 0 || len(h.get("/servers?name=hsnap-drill-6").Servers) > 0 {
			t.Errorf("left: %+v", c.PrimaryIPs())
		}
		want := []Creation{{
			ServerID: s.ID, Name: "hsnap-drill-6", Type: "cx23", Location: "nbg1", ImageID: 6, Labels: map[string]string{"hsnap/drill": "4f"},
			RootPassword: *made.Root, PrimaryIPs: []int64{s.PublicNet.IPv4.ID}, Accepted: start, Ended: start.Add(30 * time.Second),
			Starts: []Start{{At: start.Add(time.Hour + 30*time.Second)}}, Deleted: start.Add(time.Hour + 46*time.Second),
		}}
		if diff := cmp.Diff(want, c.Creations()); diff != "" {
			t.Error(diff)
		}
	})
}

// Without another word a server is started, and gets two addresses at a location that offers it.
func TestCreateDefaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(Options{})
		c.AddImage(Image{ID: 6, Copy: &CopyBehaviour{Duration: time.Minute, Power: PowerBehaviour{PowerOnAfter: 10 * time.Second}}})
		p := powerTest{client: newClient(t, c)}
		made := p.must("POST", "/servers", `{"name":"a","server_type":"114","image":"6","labels":{}}`)
		p.id = made.Server.ID
		if n := made.Server.PublicNet; n.IPv4.ID == 0 || n.IPv6.ID == 0 || made.Server.Location.Name != "fsn1" || len(made.Next) != 1 || made.Next[0].Command != "start_server" {
			t.Errorf("accepted: %s", made.Raw)
		}
		time.Sleep(time.Minute)
		p.expect("starting", true)
		p.expectAction(made.Action.ID, "success")
		p.expectAction(made.Next[0].ID, "running")
		time.Sleep(10 * time.Second)
		p.expect("running", false)
		p.expectAction(made.Next[0].ID, "success")
		if starts := c.Creations()[0].Starts; len(starts) != 1 || !starts[0].At.Equal(c.Creations()[0].Ended) {
			t.Errorf("starts %v", starts)
		}
	})
}

// What a copy must not have is to be seen, in the API and in the truth.
func TestCreateExtras(t *testing.T) {
	c := New(Options{})
	c.AddImage(Image{ID: 6})
	h := newClient(t, c)
	s := h.must("POST", "/servers", `{"name":"a.b-c","server_type":"cpx22","image":"ubuntu-24.04","location":"4","volumes":[7],"networks":[8,9],`+
		`"placement_group":10,"user_data":"#!/bin/sh","ssh_keys":["me"],"automount":false,"start_after_create":false,"public_net":{"enable_ipv4":false,"enable_ipv6":false}}`)
	if v := s.Server; len(v.Volumes) != 1 || len(v.PrivateNet) != 2 || v.PrivateNet[1].Network != 9 || v.PlacementGroup.ID != 10 || s.Root != nil {
		t.Errorf("created: %s", s.Raw)
	}
	made := c.Creations()[0]
	want := Creation{Volumes: []int64{7}, Networks: []int64{8, 9}, PlacementGroup: 10, UserData: "#!/bin/sh", SSHKeys: 1, Type: "cpx22", Location: "ash", Name: "a.b-c"}
	if diff := cmp.Diff(want, made, cmpopts.IgnoreFields(Creation{}, "ServerID", "ImageID", "Accepted")); diff != "" {
		t.Error(diff)
	}
}

func TestCreateBehaviours(t *testing.T) {
	type state struct {
		At      time.Duration
		Created string // the actions' status
		Started string
		Status  string // empty: gone
		Locked  bool
	}
	for name, tt := range map[string]struct {
		behaviour CopyBehaviour
		want      []state
	}{
		"default":   {CopyBehaviour{}, []state{{29 * time.Second, "running", "running", "initializing", true}, {35 * time.Second, "success", "success", "running", false}}},
		"no lock":   {CopyBehaviour{LockFor: -1}, []state{{time.Second, "running", "running", "initializing", false}}},
		"long lock": {CopyBehaviour{LockFor: time.Minute}, []state{{59 * time.Second, "success", "success", "running", true}, {time.Minute, "success", "success", "running", false}}},
		"fails, gone": {CopyBehaviour{FailCode: "action_failed", FailAfter: 9 * time.Second}, []state{{8 * time.Second, "running", "running", "initializing", true},
			{9 * time.Second, "error", "error", "", false}}},
		"fails, goes later": {CopyBehaviour{FailCode: "action_failed", VanishAfter: time.Minute}, []state{{30 * time.Second, "error", "error", "off", false},
			{90 * time.Second, "error", "error", "", false}}},
		"fails, stays":      {CopyBehaviour{FailCode: "action_failed", VanishAfter: -1}, []state{{24 * time.Hour, "error", "error", "off", false}}},
		"no power":          {CopyBehaviour{Power: PowerBehaviour{PowerOnFails: -1}}, []state{{35 * time.Second, "success", "error", "off", false}}},
		"goes off again":    {CopyBehaviour{Power: PowerBehaviour{PowerOnEndsIn: "off"}}, []state{{24 * time.Hour, "success", "success", "off", false}}},
		"starting for ever": {CopyBehaviour{Power: PowerBehaviour{PowerOnEndsIn: "starting"}}, []state{{24 * time.Hour, "success", "success", "starting", false}}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := New(Options{})
				tt.behaviour.Guest.Ports = map[int]string{22: banner}
				c.AddImage(Image{ID: 6, Copy: &tt.behaviour})
				h := newClient(t, c)
				start := time.Now()
				made := h.must("POST", "/servers", `{"name":"a","server_type":"cx23","image":"6"}`)
				for _, want := range tt.want {
					time.Sleep(want.At - time.Since(start))
					now := state{At: want.At}
					now.Created = h.get(fmt.Sprint("/actions/", made.Action.ID)).Action.Status
					now.Started = h.get(fmt.Sprint("/actions/", made.Next[0].ID)).Action.Status
					s := h.get(fmt.Sprint("/servers/", made.Server.ID)).Server
					now.Status, now.Locked = s.Status, s.Locked
					if diff := cmp.Diff(want, now); diff != "" {
						t.Error(diff)
					}
					if there := c.Creations()[0].Deleted.IsZero(); there != (want.Status != "") {
						t.Errorf("there: %v", there)
					}
				}
				answers := dialed(t, c, made.Server.PublicNet.IPv4.IP+":22") == banner
				if last := tt.want[len(tt.want)-1]; answers != (last.Status == "running") {
					t.Errorf("%s, and something answers: %v", last.Status, answers)
				}
				if made := c.Creations()[0]; made.Failed != (tt.behaviour.FailCode != "") {
					t.Errorf("failed: %v", made.Failed)
				}
			})
		})
	}
}

func TestCreateAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(Options{})
		c.AddImage(Image{ID: 6, Copy: &CopyBehaviour{FailCode: "x", FailTimes: 1}})
		h := newClient(t, c)
		h.must("POST", "/servers", createCopy)
		h.refused("POST", "/servers", createCopy, 409, "uniqueness_error")
		time.Sleep(time.Minute)
		h.must("POST", "/servers", createCopy)
		time.Sleep(time.Minute)
		all := c.Creations()
		if len(all) != 2 || all[0].Deleted.IsZero() || !all[1].Deleted.IsZero() || all[1].Failed || len(c.Servers()) != 1 {
			t.Errorf("after a failure and a success: %+v", all)
		}
		if all[0].PrimaryIPs[0] == all[1].PrimaryIPs[0] || *h.must("POST", "/servers", `{"name":"x","server_type":"cx23","image":"6"}`).Root == all[1].RootPassword {
			t.Errorf("two servers have something in common: %+v", all)
		}
	})
}

// Orders whose form is wrong; each names its field.
func TestRefusedOrders(t *testing.T) {
	c := New(Options{})
	c.AddServer(Server{ID: 5})
	c.AddImage(Image{ID: 6})
	h := rude(t, c)
	for _, tt := range []struct{ change, field string }{
		{`"name":""`, "name"},
		{`"name":null`, "name"},
		{`"name":"a_b"`, "name"},
		{`"name":"-a"`, "name"},
		{`"name":"a..b"`, "name"},
		{`"name":"a b"`, "name"},
		{`"name":"` + strings.Repeat("a", 64) + `"`, "name"},
		{`"name":"` + strings.Repeat("a.", 127) + `a"`, "name"},
		{`"server_type":""`, "server_type"},
		{`"server_type":{}`, "server_type"},
		{`"image":""`, "image"},
		{`"image":0`, "image"},
		{`"location":""`, "location"},
		{`"datacenter":"fsn1-dc14"`, "datacenter"},
		{`"start_after_create":"no"`, "start_after_create"},
		{`"labels":{"hsnap/drill":"a b"}`, "labels"},
		{`"labels":{"hetzner.cloud/x":""}`, "labels"},
		{`"networks":[0]`, "networks"},
		{`"volumes":["1"]`, "volumes"},
		{`"volumes":null`, "volumes"},
		{`"placement_group":"1"`, "placement_group"},
		{`"firewalls":[5]`, "firewalls"},
		{`"firewalls":{}`, "firewalls"},
		{`"firewalls":[{}]`, "firewalls"},
		{`"firewalls":[{"firewall":0}]`, "firewalls"},
		{`"firewalls":[{"firewall":null}]`, "firewalls"},
		{`"ssh_keys":"me"`, "ssh_keys"},
		{`"ssh_keys":[""]`, "ssh_keys"},
		{`"ssh_keys":[{}]`, "ssh_keys"},
		{`"user_data":"` + strings.Repeat("a", maxUserData+1) + `"`, "user_data"},
		{`"automount":1`, "automount"},
		{`"public_net":[]`, "public_net"},
		{`"public_net":{"enable_ipv4":1}`, "public_net.enable_ipv4"},
		{`"public_net":{"ipv5":true}`, "public_net.ipv5"},
		{`"public_net":{"enable_ipv4":false,"enable_ipv6":false}`, "start_after_create"},
	} {
		g := h.refused("POST", "/servers", `{"name":"a","server_type":"cx23","image":"6",`+tt.change+`}`, 422, "invalid_input")
		var details struct{ Fields []fieldError }
		if err := json.Unmarshal(g.Error.Details, &details); err != nil || len(details.Fields) != 1 || details.Fields[0].Name != tt.field {
			t.Errorf("%s: details %s, want field %q", tt.change, g.Error.Details, tt.field)
		}
	}
	h.refused("POST", "/servers", `{}`, 422, "invalid_input")
	h.refused("POST", "/servers", ``, 400, "json_error")
	if len(c.Creations()) > 0 || len(c.Servers()) > 1 || len(c.PrimaryIPs()) > 0 {
		t.Errorf("a refused order took effect: %+v", c.Servers())
	}
}

// Orders that are right in their form, and ask for what can't be had.
func TestOrdersWithoutRoom(t *testing.T) {
	full := New(Options{ServerLimit: 1})
	noIP := New(Options{PrimaryIPLimit: 2})
	soldOut := New(Options{})
	soldOut.SetCapacity("cx23", "fsn1", 0)
	free := New(Options{})
	for _, tt := range []struct {
		cloud  *Cloud
		body   string // without the name
		status int
		code   string
	}{
		{free, `"server_type":"cx99","image":"6"`, 422, "invalid_input"},
		{free, `"server_type":"cx23","image":"6","location":"mars"`, 422, "invalid_input"},
		{free, `"server_type":"cx23","image":"6","location":"ash"`, 422, "invalid_input"},
		{free, `"server_type":"cax11","image":"6"`, 422, "invalid_input"},
		{free, `"server_type":"cx23","image":"7"`, 422, "invalid_input"},
		{free, `"server_type":"cx23","image":"8"`, 404, "not_found"},
		{free, `"server_type":"cx23","image":"9"`, 404, "not_found"},
		{free, `"server_type":"cx23","image":"debian-99"`, 404, "not_found"},
		{free, `"server_type":"cx23","image":"6","firewalls":[{"firewall":5}]`, 404, "not_found"},
		{full, `"server_type":"cx23","image":"6"`, 403, "resource_limit_exceeded"},
		{noIP, `"server_type":"cx23","image":"6"`, 403, "resource_limit_exceeded"},
		{soldOut, `"server_type":"cx23","image":"6"`, 412, "resource_unavailable"},
		{soldOut, `"server_type":"cx23","image":"6","location":"fsn1"`, 412, "resource_unavailable"},
	} {
		if len(tt.cloud.Servers()) == 0 {
			tt.cloud.AddServer(Server{ID: 5, IPv4: "203.0.113.7"})
			tt.cloud.AddImage(Image{ID: 6})
			tt.cloud.AddImage(Image{ID: 7, DiskGB: 41})
			tt.cloud.AddImage(Image{ID: 8, Status: "creating"})
		}
		newClient(t, tt.cloud).refused("POST", "/servers", `{"name":"a",`+tt.body+`}`, tt.status, tt.code)
		if len(tt.cloud.Creations()) > 0 {
			t.Fatalf("%s: a refused order took effect", tt.body)
		}
	}
	for cloud, body := range map[*Cloud]string{
		noIP:    `"server_type":"cx23","image":"6","public_net":{"enable_ipv6":false}`,
		soldOut: `"server_type":"cx23","image":"6","location":"hel1"`,
		free:    `"server_type":"cx33","image":"7"`,
	} {
		newClient(t, cloud).must("POST", "/servers", `{"name":"a",`+body+`}`)
	}
}

func TestCapacity(t *testing.T) {
	c := New(Options{})
	c.SetCapacity("cx23", "fsn1", 2)
	h := newClient(t, c)
	create := func(name string) string {
		return fmt.Sprintf(`{"name":%q,"server_type":"cx23","image":"ubuntu-24.04"}`, name)
	}
	h.must("POST", "/servers", create("a"))
	h.must("POST", "/servers", create("b"))
	h.refused("POST", "/servers", create("b"), 409, "uniqueness_error")
	h.refused("POST", "/servers", create("c"), 412, "resource_unavailable")
	c.SetCapacity("cx23", "fsn1", -1)
	h.must("POST", "/servers", create("c"))
}

// A server without a network can be made, and not be switched on.
func TestNoNetwork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(Options{})
		h := newClient(t, c)
		s := h.must("POST", "/servers", `{"name":"a","server_type":"cx23","image":"ubuntu-24.04","start_after_create":false,"public_net":{"enable_ipv4":false,"enable_ipv6":false}}`).Server
		time.Sleep(time.Minute)
		path := fmt.Sprintf("/servers/%d/actions/poweron", s.ID)
		h.refused("POST", path, "", 422, "invalid_input")
		c.AttachNetwork(s.ID, 8)
		h.must("POST", path, "")
	})
}

// A create meets every fault on the same way as any other request.
func TestCreateFaults(t *testing.T) {
	for _, tt := range []struct {
		kind         FaultKind
		now, later   int // how many servers there are
		withAnAnswer bool
	}{
		{LoseAnswerDone, 1, 1, false},
		{LoseAnswerLate, 0, 1, false},
		{LoseAnswerNever, 0, 0, false},
		{DropConnection, 0, 0, false},
		{RefuseDial, 0, 0, false},
		{HTML502, 0, 0, true},
		{EmptyObject, 1, 1, true},
		{Garbled, 1, 1, true},
		{RateLimited, 0, 0, true},
	} {
		t.Run(tt.kind.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := New(Options{MinLatency: time.Millisecond, MaxLatency: time.Second})
				c.AddImage(Image{ID: 6})
				c.Inject(Fault{Kind: tt.kind, Method: "POST", Path: "/servers", Delay: 50 * time.Second, Times: 1})
				h := newClient(t, c)
				_, body, err := h.send("POST", "/servers", createCopy)
				if (err == nil) != tt.withAnAnswer || tt.withAnAnswer && strings.Contains(body, `"server"`) && json.Valid([]byte(body)) {
					t.Errorf("answer %q, error %v", body, err)
				}
				if n := len(h.get("/servers?name=hsnap-drill-6").Servers); n != tt.now {
					t.Errorf("%d servers at once, want %d", n, tt.now)
				}
				time.Sleep(time.Minute)
				if n := len(c.Servers()); n != tt.later || len(c.Creations()) != n {
					t.Errorf("%d servers later, want %d", n, tt.later)
				}
				if tt.later == 1 {
					h.refused("POST", "/servers", createCopy, 409, "uniqueness_error")
				} else {
					h.must("POST", "/servers", createCopy)
				}
			})
		})
	}
}
