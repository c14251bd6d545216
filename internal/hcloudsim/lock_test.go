package hcloudsim

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// lockTest is a server whose lock is checked from every side.
type lockTest struct {
	client
	id int64
}

// expect compares the locked flag, whether a create is refused and how many
// actions are running. It reads the flag last: that poll counts.
func (l lockTest) expect(what string, shown, refused bool, running int) {
	l.t.Helper()
	g := l.do("POST", fmt.Sprintf("/servers/%d/actions/create_image", l.id), createSnapshot)
	if (g.Status == 423) != refused {
		l.t.Errorf("%s: create answered %d, want refused: %v", what, g.Status, refused)
	}
	if g.Status == 423 && (g.Error.Code != "locked" || g.Error.Message != "cannot perform operation because server is locked") {
		l.t.Errorf("%s: %s", what, g.Raw)
	}
	if g.Status == 201 {
		l.must("DELETE", fmt.Sprint("/images/", g.Image.ID), "")
		time.Sleep(2 * time.Millisecond) // its action ends
	}
	if n := len(l.get(fmt.Sprintf("/servers/%d/actions?status=running", l.id)).Actions); n != running {
		l.t.Errorf("%s: %d running actions, want %d", what, n, running)
	}
	if got := l.get(fmt.Sprint("/servers/", l.id)).Server.Locked; got != shown {
		l.t.Errorf("%s: locked %v, want %v", what, got, shown)
	}
}

// lockCase has a project with one server, whose snapshots don't lock it.
type lockCase func(*testing.T, *Cloud, lockTest)

func eachLock(t *testing.T, cases map[string]lockCase) {
	t.Helper()
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := New(Options{})
				id := c.AddServer(Server{Snapshot: SnapshotBehaviour{Duration: time.Millisecond, LockFor: -1}})
				test(t, c, lockTest{newClient(t, c), id})
			})
		})
	}
}

func TestLocks(t *testing.T) {
	eachLock(t, map[string]lockCase{
		"visible": func(t *testing.T, c *Cloud, l lockTest) {
			id := c.Lock(l.id, Lock{For: time.Minute, Command: "change_server_type"})
			time.Sleep(30 * time.Second)
			l.expect("half way", true, true, 1)
			if a := l.get(fmt.Sprint("/actions/", id)).Action; a.Command != "change_server_type" || a.Progress != 50 || a.Resources[0].ID != l.id {
				t.Errorf("action %+v", a)
			}
			time.Sleep(30 * time.Second)
			l.expect("over", false, false, 0)
			if a := l.get(fmt.Sprintf("/actions?id=%d", id)).Actions[0]; a.Status != "success" || a.Progress != 100 {
				t.Errorf("action %+v", a)
			}
		},
		"without an action": func(t *testing.T, c *Cloud, l lockTest) {
			if id := c.Lock(l.id, Lock{For: time.Minute}); id != 0 {
				t.Errorf("action %d", id)
			}
			l.expect("locked", true, true, 0)
			time.Sleep(time.Minute)
			l.expect("over", false, false, 0)
		},
		"for ever": func(_ *testing.T, c *Cloud, l lockTest) {
			c.Lock(l.id, Lock{Command: "enable_backup"})
			time.Sleep(9 * time.Hour)
			l.expect("hours later", true, true, 1)
			c.Unlock(l.id)
			l.expect("unlocked", false, false, 0)
		},
		"later": func(_ *testing.T, c *Cloud, l lockTest) {
			id := c.Lock(l.id, Lock{From: time.Minute, For: time.Minute, Command: "rebuild_server"})
			l.expect("before", false, false, 0)
			l.refused("GET", fmt.Sprint("/actions/", id), "", 404, "not_found")
			time.Sleep(time.Minute)
			l.expect("begun", true, true, 1)
			time.Sleep(time.Minute)
			l.expect("over", false, false, 0)
		},
		"hidden": func(_ *testing.T, c *Cloud, l lockTest) {
			c.Lock(l.id, Lock{For: time.Minute, Hidden: true})
			l.expect("locked", false, true, 0)
			time.Sleep(time.Minute)
			l.expect("over", false, false, 0)
		},
		"lag": func(_ *testing.T, c *Cloud, l lockTest) {
			c.Lock(l.id, Lock{For: time.Minute, Command: "attach_to_network", Lag: 20 * time.Second})
			time.Sleep(61 * time.Second)
			l.expect("action over", true, true, 0)
			time.Sleep(20 * time.Second)
			l.expect("over", false, false, 0)
		},
	})
}

// Locks that begin with a poll, and what others do to a locked server.
func TestLocksAndOthers(t *testing.T) {
	eachLock(t, map[string]lockCase{
		"several": func(_ *testing.T, c *Cloud, l lockTest) {
			c.Lock(l.id, Lock{For: time.Minute, Command: "attach_volume"})
			c.Lock(l.id, Lock{From: 30 * time.Second, For: time.Minute, Command: "resize_volume"})
			l.expect("one", true, true, 1)
			time.Sleep(40 * time.Second)
			l.expect("two", true, true, 2)
			time.Sleep(30 * time.Second)
			l.expect("the other", true, true, 1)
			time.Sleep(30 * time.Second)
			l.expect("over", false, false, 0)
		},
		"after polls": func(_ *testing.T, c *Cloud, l lockTest) {
			c.Lock(l.id, Lock{AfterPolls: 2, For: time.Minute, Command: "attach_volume"})
			l.expect("first poll", false, false, 0)
			l.must("GET", "/servers?name=other", "")
			l.expect("second poll", false, false, 0)
			l.expect("after them", true, true, 1)
			time.Sleep(time.Minute)
			l.expect("over", false, false, 0)
		},
		"after a listing, a little later": func(_ *testing.T, c *Cloud, l lockTest) {
			c.Lock(l.id, Lock{AfterPolls: 1, From: 10 * time.Second, For: time.Minute})
			l.must("GET", "/servers", "")
			l.expect("not yet", false, false, 0)
			time.Sleep(10 * time.Second)
			l.expect("locked", true, true, 0)
		},
		"unlocked before it begins": func(_ *testing.T, c *Cloud, l lockTest) {
			c.Lock(l.id, Lock{From: time.Minute})
			c.Lock(l.id, Lock{AfterPolls: 1})
			c.Unlock(l.id)
			time.Sleep(time.Hour)
			l.expect("never", false, false, 0)
			l.expect("never", false, false, 0)
		},
		"by another actor": func(_ *testing.T, c *Cloud, l lockTest) {
			c.At(time.Minute, func(c *Cloud) {
				c.Lock(l.id, Lock{For: time.Minute, Command: "attach_volume"})
				c.At(30*time.Second, func(c *Cloud) { c.Unlock(l.id) })
			})
			l.expect("before", false, false, 0)
			time.Sleep(89 * time.Second) // no request comes when the lock begins
			l.expect("locked", true, true, 1)
			time.Sleep(2 * time.Second)
			l.expect("unlocked", false, false, 0)
		},
		"the server goes": func(_ *testing.T, c *Cloud, l lockTest) {
			c.Lock(l.id, Lock{For: time.Minute, Command: "attach_volume"})
			c.At(time.Second, func(c *Cloud) { c.DeleteServer(l.id) })
			time.Sleep(2 * time.Minute)
			l.refused("GET", fmt.Sprint("/servers/", l.id), "", 404, "not_found")
		},
	})
}

// TestEffectsInOrder lets effects that are due at once apply in the order of
// their due times, each with the state of its own time.
func TestEffectsInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(Options{})
		start := time.Now()
		c.At(2*time.Second, func(c *Cloud) { c.AddImage(Image{Description: "second"}) })
		c.At(time.Second, func(c *Cloud) {
			c.AddImage(Image{Description: "first"})
			c.At(500*time.Millisecond, func(c *Cloud) { c.AddImage(Image{Description: "between"}) })
		})
		time.Sleep(time.Hour)
		all := c.Images()
		for i, want := range []string{"first", "between", "second"} {
			if all[i].Description != want {
				t.Errorf("image %d is %q, want %q", i, all[i].Description, want)
			}
		}
		if !all[2].Created.Equal(start.Add(2 * time.Second)) {
			t.Errorf("created %v, want the time when it was due", all[2].Created)
		}
	})
}
