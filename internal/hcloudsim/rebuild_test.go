package hcloudsim

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestRebuildLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(Options{})
		id := c.AddServer(Server{Rebuild: RebuildBehaviour{Duration: time.Minute}})
		c.AddImage(Image{ID: 6, ServerID: id})
		h := newClient(t, c)
		path := fmt.Sprint("/servers/", id)
		before := h.get(path).Server
		if before.Image.ID == 0 || before.Image.ID == 6 || before.Status != "running" || before.Locked {
			t.Errorf("before: %+v", before)
		}
		start := time.Now()
		made := h.must("POST", path+"/actions/rebuild", `{"image":"6"}`)
		if a := made.Action; made.Status != 201 || a.Command != "rebuild_server" || a.Status != "running" || a.Progress != 0 || a.Finished != nil ||
			len(a.Resources) != 1 || a.Resources[0].ID != id || a.Resources[0].Type != "server" {
			t.Errorf("accepted: %s", made.Raw)
		}
		time.Sleep(30 * time.Second)
		if s := h.get(path).Server; s.Status != "rebuilding" || !s.Locked || s.Image.ID != before.Image.ID || s.Image.Name == nil {
			t.Errorf("half way: %+v", s)
		}
		if all := h.get(path + "/actions?status=running").Actions; len(all) != 1 || all[0].ID != made.Action.ID || all[0].Progress != 50 {
			t.Errorf("half way: running actions %+v", all)
		}
		if truth := c.Servers()[0]; !truth.Locked || truth.DiskImage != 0 {
			t.Errorf("half way: %+v", truth)
		}
		for _, command := range []string{"rebuild", "create_image", "poweron", "poweroff", "shutdown"} {
			body := map[string]string{"rebuild": `{"image":"6"}`, "create_image": createSnapshot}[command]
			h.refused("POST", path+"/actions/"+command, body, 423, "locked")
		}
		time.Sleep(31 * time.Second)
		if s := h.get(path).Server; s.Status != "running" || s.Locked || s.Image.ID != 6 || s.Image.Name != nil || s.Image.CreatedFrom.ID != id {
			t.Errorf("over: %+v", s)
		}
		if a := h.get(fmt.Sprint("/actions/", made.Action.ID)).Action; a.Status != "success" || a.Progress != 100 || !a.Finished.Equal(start.Add(time.Minute)) {
			t.Errorf("over: %+v", a)
		}
		want := ServerState{ID: id, Name: before.Name, Status: "running", Commands: []string{"rebuild_server"}, Rebuilds: []int64{6}, DiskImage: 6}
		if diff := cmp.Diff(want, c.Servers()[0]); diff != "" {
			t.Error(diff)
		}
		c.DeleteImage(6)
		if s := h.get(path).Server; s.Image.ID != 6 {
			t.Errorf("the image that the server was made from was deleted: %+v", s)
		}
	})
}

func TestRebuildBehaviours(t *testing.T) {
	type state struct {
		At        time.Duration
		Action    string
		Progress  int
		Status    string
		Locked    bool
		DiskImage int64
	}
	for name, tt := range map[string]struct {
		behaviour RebuildBehaviour
		want      []state
	}{
		"default": {RebuildBehaviour{}, []state{{19 * time.Second, "running", 95, "rebuilding", true, 0}, {20 * time.Second, "success", 100, "running", false, 6}}},
		"stuck":   {RebuildBehaviour{Progress: Stuck}, []state{{19 * time.Second, "running", 0, "rebuilding", true, 0}, {20 * time.Second, "success", 100, "running", false, 6}}},
		"no lock": {RebuildBehaviour{LockFor: -1}, []state{{time.Second, "running", 5, "rebuilding", false, 0}, {20 * time.Second, "success", 100, "running", false, 6}}},
		"long lock": {RebuildBehaviour{LockFor: time.Minute}, []state{{59 * time.Second, "success", 100, "running", true, 6},
			{60 * time.Second, "success", 100, "running", false, 6}}},
		"fails": {RebuildBehaviour{FailAfter: 9 * time.Second, FailCode: "action_failed", FailMessage: "no"}, []state{
			{8 * time.Second, "running", 40, "rebuilding", true, 0}, {9 * time.Second, "error", 45, "off", false, 0}, {24 * time.Hour, "error", 45, "off", false, 0}}},
		"fails at its end": {RebuildBehaviour{FailCode: "unknown_error", FailMessage: "server is locked"}, []state{{20 * time.Second, "error", 99, "off", false, 0}}},
		"off for a while":  {RebuildBehaviour{OffFor: 10 * time.Second}, []state{{29 * time.Second, "success", 100, "off", false, 6}, {30 * time.Second, "success", 100, "running", false, 6}}},
		"stays off":        {RebuildBehaviour{OffFor: -1}, []state{{20 * time.Second, "success", 100, "off", false, 6}, {24 * time.Hour, "success", 100, "off", false, 6}}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := New(Options{})
				id := c.AddServer(Server{Rebuild: tt.behaviour})
				c.AddImage(Image{ID: 6})
				h := newClient(t, c)
				system := h.get(fmt.Sprint("/servers/", id)).Server.Image.ID
				made := h.must("POST", fmt.Sprintf("/servers/%d/actions/rebuild", id), `{"image":"6"}`)
				start := time.Now()
				for _, want := range tt.want {
					time.Sleep(want.At - time.Since(start))
					a, s := h.get(fmt.Sprint("/actions/", made.Action.ID)).Action, h.get(fmt.Sprint("/servers/", id)).Server
					now := state{want.At, a.Status, a.Progress, s.Status, s.Locked, c.Servers()[0].DiskImage}
					if diff := cmp.Diff(want, now); diff != "" {
						t.Error(diff)
					}
					if (s.Image.ID == 6) != (a.Status == "success") || s.Image.ID != 6 && s.Image.ID != system {
						t.Errorf("%s: the server shows image %d", a.Status, s.Image.ID)
					}
					if a.Status == "error" && (a.Error.Code != tt.behaviour.FailCode || a.Error.Message != tt.behaviour.FailMessage) {
						t.Errorf("error %+v", a.Error)
					}
				}
			})
		})
	}
}

func TestRebuildAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(Options{})
		id := c.AddServer(Server{Rebuild: RebuildBehaviour{FailCode: "x", FailTimes: 1}})
		c.AddImage(Image{ID: 6})
		h := newClient(t, c)
		path := fmt.Sprintf("/servers/%d/actions/rebuild", id)
		h.must("POST", path, `{"image":"6"}`)
		time.Sleep(time.Minute)
		h.must("POST", path, `{"image":"6"}`)
		time.Sleep(time.Minute)
		if s := c.Servers()[0]; s.Status != "running" || s.DiskImage != 6 || !cmp.Equal(s.Rebuilds, []int64{6, 6}) {
			t.Errorf("after a failure and a success: %+v", s)
		}
	})
}

// What others switch meanwhile does not stop a rebuild, and a server that is switched on after it is not switched on twice.
func TestRebuildAndPower(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(Options{})
		p := powerTest{newClient(t, c), c.AddServer(Server{Rebuild: RebuildBehaviour{OffFor: time.Minute}})}
		c.AddImage(Image{ID: 6})
		rebuild := func() int64 {
			return p.must("POST", fmt.Sprintf("/servers/%d/actions/rebuild", p.id), `{"image":"6"}`).Action.ID
		}
		p.do("shutdown")
		first := rebuild()
		time.Sleep(9 * time.Second) // the guest would be off by now
		p.expect("rebuilding", true)
		c.SwitchOff(p.id)
		time.Sleep(12 * time.Second)
		p.expectAction(first, "success")
		p.expect("off", false)
		p.do("poweron")
		time.Sleep(6 * time.Second)
		p.do("poweroff")
		time.Sleep(2 * time.Minute)
		p.expect("off", false)
		rebuild()
		time.Sleep(81 * time.Second)
		p.expect("running", false)
	})
}

// One refusal for each thing that the server and the image must agree in, in the order in which they are found.
func TestRefusedRebuilds(t *testing.T) {
	for name, tt := range map[string]struct {
		server Server
		image  Image
		body   string // empty: image 6
		status int
		code   string
	}{
		"architecture":      {Server{}, Image{Architecture: "arm"}, "", 422, "invalid_input"},
		"disk":              {Server{}, Image{DiskGB: 41}, "", 422, "invalid_input"},
		"disk that is kept": {Server{Type: "cx43", PrimaryDiskGB: 40}, Image{DiskGB: 80}, "", 422, "invalid_input"},
		"creating":          {Server{}, Image{Status: "creating"}, "", 404, "not_found"},
		"unavailable":       {Server{}, Image{Status: "unavailable"}, "", 404, "not_found"},
		"no such ID":        {Server{}, Image{}, `{"image":7}`, 404, "not_found"},
		"zero":              {Server{}, Image{}, `{"image":0}`, 422, "invalid_input"},
		"null":              {Server{}, Image{}, `{"image":null}`, 422, "invalid_input"},
		"an object":         {Server{}, Image{}, `{"image":{"id":6}}`, 422, "invalid_input"},
		"a name of another": {Server{}, Image{Type: "system", Name: "debian-13", Architecture: "arm"}, `{"image":"debian-13"}`, 404, "not_found"},
		"unknown field":     {Server{}, Image{}, `{"image":6,"force":true}`, 422, "invalid_input"},
		"no body":           {Server{}, Image{}, " ", 400, "json_error"},
		"protected":         {Server{Protected: true}, Image{}, "", 423, "protected"},
		"protected, no fit": {Server{Protected: true}, Image{DiskGB: 41}, "", 422, "invalid_input"},
	} {
		c := New(Options{})
		tt.image.ID = 6
		c.AddImage(tt.image)
		id := c.AddServer(tt.server)
		before := c.Servers()
		if tt.body == "" {
			tt.body = `{"image":6}`
		}
		g := rude(t, c).do("POST", fmt.Sprintf("/servers/%d/actions/rebuild", id), tt.body)
		if g.Status != tt.status || g.Error.Code != tt.code {
			t.Errorf("%s: %s, want %d %s", name, g.Raw, tt.status, tt.code)
		}
		if diff := cmp.Diff(before, c.Servers()); diff != "" || len(c.Actions()) > 0 {
			t.Errorf("%s: a refused rebuild took effect: %s", name, diff)
		}
	}
	newClient(t, New(Options{})).refused("POST", "/servers/5/actions/rebuild", `{"image":"6"}`, 404, "not_found")
}

// Hetzner's own client library sends an ID as a number, its description has a string.
func TestRebuildImages(t *testing.T) {
	c := New(Options{})
	c.AddImage(Image{ID: 6, DiskGB: 40})
	c.AddImage(Image{ID: 7, Type: "system", Name: "debian-13", Architecture: "arm"})
	c.AddImage(Image{ID: 8, Type: "system", Name: "debian-13"})
	h := rude(t, c)
	for i, tt := range []struct {
		image string
		want  int64
	}{{"6", 6}, {`"6"`, 6}, {`"debian-13"`, 8}, {`"ubuntu-24.04"`, 161547269}} {
		id := c.AddServer(Server{})
		h.must("POST", fmt.Sprintf("/servers/%d/actions/rebuild", id), fmt.Sprintf(`{"image":%s}`, tt.image))
		if got := c.Servers()[i].Rebuilds; !cmp.Equal(got, []int64{tt.want}) {
			t.Errorf("%s: rebuilt from %v, want %d", tt.image, got, tt.want)
		}
	}
}

func TestRebuildFields(t *testing.T) {
	c := New(Options{})
	image := c.AddImage(Image{DiskGB: 20, ServerID: 99, ServerName: "gone"})
	id := c.AddServer(Server{Type: "cx43", PrimaryDiskGB: 60, ImageID: image})
	h := newClient(t, c)
	s := h.get(fmt.Sprint("/servers/", id)).Server
	if s.PrimaryDiskSize != 60 || s.ServerType.Disk != 160 || s.ServerType.Architecture != "x86" || s.Image.ID != image || s.Image.DiskSize != 20 ||
		s.Image.CreatedFrom.ID != 99 || s.Image.Architecture != "x86" {
		t.Errorf("server: %+v", s)
	}
	made := h.must("POST", fmt.Sprintf("/servers/%d/actions/create_image", id), createSnapshot).Image
	if made.DiskSize != 60 {
		t.Errorf("the snapshot of a disk of 60 GB has a disk of %v GB", made.DiskSize)
	}
}

// A rebuild meets every fault on the same way as any other request.
func TestRebuildFaults(t *testing.T) {
	for _, tt := range []struct {
		kind         FaultKind
		now, later   int // how many rebuilds took effect
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
		{Redirect307, 0, 0, true},
	} {
		t.Run(tt.kind.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := New(Options{MinLatency: time.Millisecond, MaxLatency: time.Second})
				id := c.AddServer(Server{RootPassword: "YItygq1v3GYjjMomLaKc"})
				c.AddImage(Image{ID: 6})
				c.Inject(Fault{Kind: tt.kind, Method: "POST", Path: "/servers/*/actions/rebuild", Delay: 10 * time.Second})
				_, body, err := newClient(t, c).send("POST", fmt.Sprintf("/servers/%d/actions/rebuild", id), `{"image":"6"}`)
				if (err == nil) != tt.withAnAnswer || tt.withAnAnswer && strings.Contains(body, `"action"`) && json.Valid([]byte(body)) {
					t.Errorf("answer %q, error %v", body, err)
				}
				if n := len(c.Servers()[0].Rebuilds); n != tt.now {
					t.Errorf("%d rebuilds at once, want %d", n, tt.now)
				}
				time.Sleep(time.Minute)
				s := c.Servers()[0]
				if len(s.Rebuilds) != tt.later || (s.DiskImage == 6) != (tt.later > 0) || s.Status != "running" {
					t.Errorf("later: %+v, want %d rebuilds", s, tt.later)
				}
			})
		})
	}
}
