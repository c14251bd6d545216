package hcloudsim

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestServerTypes(t *testing.T) {
	c := New(Options{})
	h := newClient(t, c)
	names := func(query string) (all []string) {
		for _, kind := range h.must("GET", "/server_types"+query, "").Types {
			all = append(all, kind.Name)
		}
		return all
	}
	if diff := cmp.Diff([]string{"cx23", "cx33", "cx43", "cpx22", "cax11", "ccx13"}, names("")); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"cax11"}, names("?name=cax11")); diff != "" {
		t.Error(diff)
	}
	if all := names("?name=cx99"); all != nil {
		t.Errorf("found %v", all)
	}
	if diff := cmp.Diff([]string{"cx43", "cpx22"}, names("?page=2&per_page=2")); diff != "" {
		t.Error(diff)
	}
	rude(t, c).refused("GET", "/server_types?per_page=51", "", 422, "invalid_input")

	arm := h.get("/server_types?name=cax11").Types[0]
	if arm.Architecture != "arm" || arm.Disk != 40 || len(arm.Prices) != 3 || len(arm.Locations) != 3 || arm.Prices[1].Location != "nbg1" || arm.Locations[1].Name != "nbg1" {
		t.Errorf("type %+v", arm)
	}
	for _, at := range arm.Locations {
		if !at.Available || at.ID == 0 || at.Deprecation != nil {
			t.Errorf("location %+v", at)
		}
	}
	dear := h.get("/server_types?name=ccx13").Types[0]
	if near, far := dear.Prices[0].PriceMonthly.Net, dear.Prices[3].PriceMonthly.Net; !strings.HasPrefix(near, "15.99") || !strings.HasPrefix(far, "19.188") {
		t.Errorf("%s in %s, %s in %s", near, dear.Prices[0].Location, far, dear.Prices[3].Location)
	}
	if g := h.must("GET", "/server_types/45", ""); !strings.Contains(g.Raw, `"server_type":{"id":45,"name":"cax11"`) {
		t.Errorf("one type: %s", g.Raw)
	}
}

// A type that is sold out at a location says so, until there are some again.
func TestServerTypeIsSoldOut(t *testing.T) {
	c := New(Options{})
	c.SetCapacity("cx23", "nbg1", 1)
	h := newClient(t, c)
	available := func(want ...bool) {
		t.Helper()
		var have []bool
		for _, at := range h.get("/server_types?name=cx23").Types[0].Locations {
			have = append(have, at.Available)
		}
		if diff := cmp.Diff(want, have); diff != "" {
			t.Error(diff)
		}
	}
	available(true, true, true)
	h.must("POST", "/servers", `{"name":"a","server_type":"cx23","image":"ubuntu-24.04","location":"nbg1"}`)
	available(true, false, true)
	c.SetCapacity("cx23", "nbg1", 5)
	available(true, true, true)
}

func TestServerTypeIsRetired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(Options{})
		announced := time.Now().UTC()
		c.RetireServerType("cx23", announced)
		h := newClient(t, c)
		kind := h.get("/server_types?name=cx23").Types[0]
		if at := kind.Locations[0]; kind.Deprecation == nil || at.Deprecation == nil || !at.Deprecation.UnavailableAfter.Equal(announced.AddDate(0, 0, 90)) || !at.Available {
			t.Errorf("type %+v", kind)
		}
		const order = `{"name":"%s","server_type":"cx23","image":"ubuntu-24.04"}`
		h.must("POST", "/servers", fmt.Sprintf(order, "a"))
		time.Sleep(90 * 24 * time.Hour)
		if all := h.get("/server_types?name=cx23").Types; len(all) > 0 {
			t.Errorf("listed: %+v", all)
		}
		h.must("GET", "/server_types/114", "")
		h.refused("POST", "/servers", fmt.Sprintf(order, "b"), 422, "invalid_input")
		defer func() {
			if recover() == nil {
				t.Error("no panic")
			}
		}()
		c.RetireServerType("cx99", announced)
	})
}

func TestPrimaryIPs(t *testing.T) {
	c := New(Options{})
	server := c.AddServer(Server{IPv4: "203.0.113.7", IPv6: "2001:db8:0:7::/64", Location: "hel1"})
	spare := c.AddPrimaryIP(PrimaryIP{IP: "203.0.113.9", Name: "spare", Labels: map[string]string{"env": "prod"}})
	kept := c.AddPrimaryIP(PrimaryIP{IP: "203.0.113.10", Protected: true})
	h := newClient(t, c)
	s := h.get(fmt.Sprint("/servers/", server)).Server
	v4, v6 := s.PublicNet.IPv4.ID, s.PublicNet.IPv6.ID
	for query, want := range map[string][]int64{
		"":                    {v4, v6, spare, kept},
		"ip=203.0.113.7":      {v4},
		"ip=203.0.113.8":      nil,
		"name=spare":          {spare},
		"label_selector=env":  {spare},
		"sort=id:desc":        {kept, spare, v6, v4},
		"sort=created:desc":   {spare, kept, v4, v6},
		"page=2&per_page=3":   {kept},
		"label_selector=!env": {v4, v6, kept},
	} {
		var have []int64
		for _, ip := range h.must("GET", "/primary_ips?"+query, "").IPs {
			have = append(have, ip.ID)
		}
		if diff := cmp.Diff(want, have); diff != "" {
			t.Errorf("%s: %s", query, diff)
		}
	}
	path := func(id int64) string { return fmt.Sprint("/primary_ips/", id) }
	if ip := h.get(path(v4)).IP; ip.IP != "203.0.113.7" || ip.Type != "ipv4" || *ip.AssigneeID != server || !ip.AutoDelete || ip.Location.Name != "hel1" || ip.DNSPtr[0].IP != ip.IP {
		t.Errorf("IPv4: %+v", ip)
	}
	if ip := h.get(path(v6)).IP; ip.IP != "2001:db8:0:7::/64" || ip.Type != "ipv6" || len(ip.DNSPtr) > 0 {
		t.Errorf("IPv6: %+v", ip)
	}
	if ip := h.get(path(spare)).IP; ip.AssigneeID != nil || ip.AutoDelete || ip.Name != "spare" {
		t.Errorf("spare: %+v", ip)
	}
	h.refused("DELETE", path(v4), "", 422, "must_be_unassigned")
	h.refused("DELETE", path(kept), "", 423, "protected")
	h.must("DELETE", path(spare), "")
	h.refused("GET", path(spare), "", 404, "not_found")
	rude(t, c).refused("GET", "/primary_ips?per_page=51", "", 422, "invalid_input")
	rude(t, c).refused("GET", "/primary_ips?sort=ip", "", 422, "invalid_input")
	if all := c.PrimaryIPs(); len(all) != 3 {
		t.Errorf("left: %+v", all)
	}
}

// What a deleted server leaves behind can be deleted; a primary IP that is not to go with it stays.
func TestPrimaryIPsAreLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(Options{PrimaryIPLimit: 3})
		c.AddImage(Image{ID: 6, Copy: &CopyBehaviour{LockFor: -1, Deletion: DeletionBehaviour{IPsStay: time.Hour}}})
		h := newClient(t, c)
		s := h.must("POST", "/servers", createCopy).Server
		own := c.AddPrimaryIP(PrimaryIP{IP: "203.0.113.9", ServerID: s.ID})
		h.must("DELETE", fmt.Sprint("/servers/", s.ID), "")
		for _, id := range []int64{s.PublicNet.IPv4.ID, own} {
			if ip := h.get(fmt.Sprint("/primary_ips/", id)).IP; ip.ID != id || ip.AssigneeID != nil {
				t.Errorf("left: %+v", ip)
			}
		}
		h.must("POST", "/servers", createCopy)
		h.refused("POST", "/servers", strings.Replace(createCopy, "hsnap-drill-6", "b", 1), 403, "resource_limit_exceeded")
		h.must("DELETE", fmt.Sprint("/primary_ips/", s.PublicNet.IPv4.ID), "")
		h.must("POST", "/servers", strings.Replace(createCopy, "hsnap-drill-6", "b", 1))
		time.Sleep(2 * time.Hour)
		if ip := h.get(fmt.Sprint("/primary_ips/", own)).IP; ip.ID != own {
			t.Error("the primary IP of somebody else is gone")
		}
	})
}
