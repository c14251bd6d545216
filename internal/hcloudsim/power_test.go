package hcloudsim

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// powerTest sends power commands to one server.
type powerTest struct {
	client
	id int64
}

func (p powerTest) do(command string) got {
	p.t.Helper()
	return p.must("POST", fmt.Sprintf("/servers/%d/actions/%s", p.id, command), "")
}

func (p powerTest) expect(status string, locked bool) {
	p.t.Helper()
	s := p.get(fmt.Sprint("/servers/", p.id)).Server
	if s.Status != status || s.Locked != locked {
		p.t.Errorf("%s, locked %v; want %s, %v", s.Status, s.Locked, status, locked)
	}
}

func (p powerTest) expectAction(id int64, status string) {
	p.t.Helper()
	if a := p.get(fmt.Sprint("/actions/", id)).Action; a.Status != status {
		p.t.Errorf("action %+v, want %s", a, status)
	}
}

func TestPower(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(Options{})
		p := powerTest{newClient(t, c), c.AddServer(Server{})}
		p.expectAction(p.do("shutdown").Action.ID, "success")
		time.Sleep(7 * time.Second)
		p.expect("running", false)
		time.Sleep(2 * time.Second)
		p.expect("off", false)
		a := p.do("poweron").Action
		if a.Command != "start_server" {
			t.Errorf("poweron: %+v", a)
		}
		p.expect("starting", true)
		p.refused("POST", fmt.Sprintf("/servers/%d/actions/poweroff", p.id), "", 423, "locked")
		time.Sleep(6 * time.Second)
		p.expect("running", false)
		p.expectAction(a.ID, "success")
		p.expectAction(p.do("poweron").Action.ID, "success") // of a running server

		// A server that is on again is not switched off by an old shutdown.
		p.do("shutdown")
		p.do("poweroff")
		time.Sleep(3 * time.Second)
		p.do("poweron")
		time.Sleep(20 * time.Second)
		p.expect("running", false)

		p.must("POST", fmt.Sprintf("/servers/%d/actions/rebuild", p.id), `{"image":"ubuntu-24.04"}`)
		p.expect("rebuilding", true)
		time.Sleep(21 * time.Second)
		p.expect("running", false)
		want := []string{"shutdown_server", "start_server", "start_server", "shutdown_server", "stop_server", "start_server", "rebuild_server"}
		if diff := cmp.Diff(want, c.Servers()[0].Commands); diff != "" {
			t.Error(diff)
		}
	})
}

// A guest that ignores the signal, on a server whose first power-on fails.
func TestPowerTroubles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(Options{})
		p := powerTest{newClient(t, c), c.AddServer(Server{Power: PowerBehaviour{ShutdownAfter: -1, PowerOnFails: 1}})}
		p.do("shutdown")
		time.Sleep(time.Hour)
		p.expect("running", false)
		p.do("poweroff")
		p.expect("stopping", true)
		time.Sleep(4 * time.Second)
		p.expect("off", false)
		failed := p.do("poweron").Action.ID
		time.Sleep(6 * time.Second)
		p.expect("off", false)
		p.expectAction(failed, "error")
		p.do("poweron")
		time.Sleep(6 * time.Second)
		p.expect("running", false)
	})
}
