package hcloudsim

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

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
