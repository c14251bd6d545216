package hcloudsim

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

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
		poll := func() (got, got) {
			return h.must("GET", fmt.Sprint("/actions/", made.Action.ID), ""), h.must("GET", fmt.Sprint("/images/", made.Image.ID), "")
		}
		time.Sleep(30 * time.Second)
		if a, i := poll(); a.Action.Status != "running" || a.Action.Progress != 50 || i.Image.Status != "creating" || !c.Servers()[0].Locked {
			t.Errorf("half way: %s %s", a.Raw, i.Raw)
		}
		time.Sleep(31 * time.Second)
		if a, i := poll(); a.Action.Status != "success" || a.Action.Progress != 100 || i.Image.Status != "creating" || c.Servers()[0].Locked ||
			!a.Action.Finished.Equal(start.Add(time.Minute)) {
			t.Errorf("action over: %s %s", a.Raw, i.Raw)
		}
		time.Sleep(10 * time.Second)
		if _, i := poll(); i.Image.Status != "available" || *i.Image.ImageSize != 3.5 {
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
