package hcloudsim

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestDeletion(t *testing.T) {
	type state struct {
		At     time.Duration
		Action string
		Status string // empty: gone
		Locked bool
		IPs    int
	}
	for name, tt := range map[string]struct {
		behaviour DeletionBehaviour
		want      []state
	}{
		"at once":       {DeletionBehaviour{}, []state{{0, "success", "", false, 0}}},
		"slow":          {DeletionBehaviour{After: time.Minute}, []state{{59 * time.Second, "running", "deleting", true, 2}, {time.Minute, "success", "", false, 0}}},
		"fails":         {DeletionBehaviour{After: time.Minute, FailTimes: -1}, []state{{59 * time.Second, "running", "deleting", true, 2}, {time.Minute, "error", "running", false, 2}}},
		"IPs go later":  {DeletionBehaviour{IPsStay: time.Minute}, []state{{59 * time.Second, "success", "", false, 2}, {time.Minute, "success", "", false, 0}}},
		"IPs never go":  {DeletionBehaviour{IPsStay: -1}, []state{{24 * time.Hour, "success", "", false, 2}}},
		"all of it, on": {DeletionBehaviour{After: time.Minute, IPsStay: -1}, []state{{time.Minute, "success", "", false, 2}}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := New(Options{})
				id := c.AddServer(Server{IPv4: "203.0.113.7", IPv6: "2001:db8::/64", Deletion: tt.behaviour})
				h := newClient(t, c)
				path := fmt.Sprint("/servers/", id)
				start := time.Now()
				a := h.must("DELETE", path, "").Action
				for _, want := range tt.want {
					time.Sleep(want.At - time.Since(start))
					s := h.get(path).Server
					now := state{want.At, h.get(fmt.Sprint("/actions/", a.ID)).Action.Status, s.Status, s.Locked, len(c.PrimaryIPs())}
					if diff := cmp.Diff(want, now); diff != "" {
						t.Error(diff)
					}
					for _, ip := range c.PrimaryIPs() {
						if (ip.ServerID != 0) != (want.Status != "") || !ip.AutoDelete {
							t.Errorf("%s: primary IP %+v", want.Status, ip)
						}
					}
				}
			})
		})
	}
}

func TestRefusedDeletions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(Options{})
		id := c.AddServer(Server{Name: "a", Deletion: DeletionBehaviour{After: time.Minute, FailTimes: 1}})
		h := newClient(t, c)
		path := fmt.Sprint("/servers/", id)
		c.Lock(id, Lock{For: time.Minute})
		h.refused("DELETE", path, "", 423, "locked")
		c.Unlock(id)
		h.must("DELETE", path, "")
		h.refused("DELETE", path, "", 423, "locked")
		time.Sleep(time.Minute)
		again := h.must("DELETE", path, "")
		c.DeleteServer(id) // somebody else is faster
		time.Sleep(time.Minute)
		powerTest{h, id}.expectAction(again.Action.ID, "success")

		shielded := c.AddServer(Server{})
		c.ProtectServer(shielded)
		h.refused("DELETE", fmt.Sprint("/servers/", shielded), "", 423, "protected")
		h.token = DefaultReadOnlyToken
		h.refused("DELETE", fmt.Sprint("/servers/", shielded), "", 403, "forbidden")
	})
}

// Others change a server between two polls.
func TestServersAreChanged(t *testing.T) {
	c := New(Options{})
	id := c.AddServer(Server{Name: "hsnap-drill-6", Labels: map[string]string{"hsnap/drill": "4f"}})
	c.RenameServer(id, "web-9")
	c.LabelServer(id, map[string]string{"env": "prod"})
	c.AttachVolume(id, 7)
	c.AttachNetwork(id, 8)
	c.AttachNetwork(99, 8)
	s := newClient(t, c).must("GET", fmt.Sprint("/servers/", id), "").Server
	if s.Name != "web-9" || !cmp.Equal(s.Labels, map[string]string{"env": "prod"}) || s.Volumes[0] != 7 || s.PrivateNet[0].Network != 8 {
		t.Errorf("changed: %+v", s)
	}
	if truth := c.Servers()[0]; truth.Name != "web-9" || truth.Labels["env"] != "prod" {
		t.Errorf("truth: %+v", truth)
	}
}

// A copy answers as its original does, unless the image says otherwise.
func TestCopyGuests(t *testing.T) {
	for name, tt := range map[string]struct {
		copy *CopyBehaviour
		want string
	}{
		"as the original": {nil, banner},
		"listens":         {&CopyBehaviour{Guest: Guest{Ports: map[int]string{22: "SSH-2.0-x\r\n"}}}, "SSH-2.0-x\r\n"},
		"says nothing":    {&CopyBehaviour{Guest: Guest{Ports: map[int]string{22: ""}}}, ""},
		"refuses":         {&CopyBehaviour{}, "refused"},
		"hangs":           {&CopyBehaviour{Guest: Guest{Drops: true}}, "silence"},
		"not yet":         {&CopyBehaviour{Guest: Guest{Ports: map[int]string{22: banner}, BootAfter: time.Hour, Drops: true}}, "silence"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := New(Options{})
				origin := c.AddServer(Server{Guest: Guest{Ports: map[int]string{22: banner}}})
				image := c.AddImage(Image{ServerID: origin, Copy: tt.copy})
				if name == "as the original" { // and as its snapshots do
					image = newClient(t, c).must("POST", fmt.Sprintf("/servers/%d/actions/create_image", origin), createSnapshot).Image.ID
					time.Sleep(time.Minute)
					c.DeleteServer(origin)
				}
				s := newClient(t, c).must("POST", "/servers", fmt.Sprintf(`{"name":"a","server_type":"cx23","image":"%d"}`, image)).Server
				time.Sleep(36 * time.Second)
				if got := dialed(t, c, s.PublicNet.IPv4.IP+":22"); got != tt.want {
					t.Errorf("IPv4: %q, want %q", got, tt.want)
				}
				network := strings.TrimSuffix(s.PublicNet.IPv6.IP, "/64")
				if got := dialed(t, c, "["+network+"1]:22"); got != tt.want {
					t.Errorf("IPv6: %q, want %q", got, tt.want)
				}
			})
		})
	}
}
