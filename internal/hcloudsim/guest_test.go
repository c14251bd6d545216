package hcloudsim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

const banner = "SSH-2.0-OpenSSH_9.6\r\n"

// dialed says what becomes of a connection within 5 s: what greets it, "refused" or "silence".
func dialed(t *testing.T, c *Cloud, address string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	start := time.Now()
	conn, err := c.Dial(ctx, "tcp", address)
	if op := new(net.OpError); err != nil && (!errors.As(err, &op) || op.Op != "dial" || op.Net != "tcp") {
		t.Errorf("error %v", err)
	}
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "refused"
	case errors.Is(err, context.DeadlineExceeded):
		if waited := time.Since(start); waited != 5*time.Second {
			t.Errorf("gave up after %v", waited)
		}
		return "silence"
	case err != nil:
		return err.Error()
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetReadDeadline(time.Now().Add(time.Second)); err != nil {
		t.Error(err)
	}
	text, err := io.ReadAll(conn) // a guest waits for its client
	if timeout := net.Error(nil); !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("read %q, error %v", text, err)
	}
	return string(text)
}

func TestDial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(Options{})
		c.AddServer(Server{
			IPv4: "203.0.113.7", IPv6: "2001:db8:0:7::/64",
			Guest: Guest{Ports: map[int]string{22: banner, 443: ""}, BootAfter: time.Hour}, // it has run for long
		})
		c.AddServer(Server{IPv4: "203.0.113.8", Guest: Guest{Ports: map[int]string{22: banner}, Drops: true}})
		c.AddServer(Server{IPv4: "203.0.113.9"})
		c.AddServer(Server{IPv4: "203.0.113.10", Status: "off", Guest: Guest{Ports: map[int]string{22: banner}}})
		for address, want := range map[string]string{
			"203.0.113.7:22":          banner,
			"[2001:db8:0:7::1]:22":    banner,
			"203.0.113.7:443":         "",
			"203.0.113.7:23":          "refused",
			"[2001:db8:0:7::2]:22":    "silence", // of its network, though not its own
			"203.0.113.8:22":          banner,
			"203.0.113.8:23":          "silence",
			"203.0.113.9:22":          "refused",
			"203.0.113.10:22":         "silence",
			"203.0.113.11:22":         "silence",
			"[::ffff:203.0.113.7]:22": "silence",
		} {
			if got := dialed(t, c, address); got != want {
				t.Errorf("%s: %q, want %q", address, got, want)
			}
		}
		for network, address := range map[string]string{"udp": "203.0.113.7:22", "tcp": "db-1:22", "tcp4": "203.0.113.7"} {
			if _, err := c.Dial(t.Context(), network, address); err == nil {
				t.Errorf("%s %s: no error", network, address)
			}
		}
		cancelled, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := c.Dial(cancelled, "tcp", "203.0.113.7:22"); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
	})
}

// A caller may write first, or close without reading: the goroutines behind the connection end with it, or the bubble
// would not.
func TestDialAndClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(Options{})
		c.AddServer(Server{IPv4: "203.0.113.7", Guest: Guest{Ports: map[int]string{22: banner, 443: ""}}})
		for _, address := range []string{"203.0.113.7:22", "203.0.113.7:443"} {
			conn, err := c.Dial(t.Context(), "tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.WriteString(conn, "hello"); err != nil {
				t.Error(err)
			}
			if err := conn.Close(); err != nil {
				t.Error(err)
			}
		}
	})
}

func TestGuestBoots(t *testing.T) {
	for name, tt := range map[string]struct {
		begin func(*Cloud, powerTest)
		done  time.Duration // until the server runs
		drops bool
		early string
	}{
		"power-on":           {func(_ *Cloud, p powerTest) { p.do("poweron") }, 5 * time.Second, false, "refused"},
		"power-on, drops":    {func(_ *Cloud, p powerTest) { p.do("poweron") }, 5 * time.Second, true, "silence"},
		"switched on":        {func(c *Cloud, p powerTest) { c.SwitchOn(p.id) }, 0, false, "refused"},
		"rebuild":            {rebuildIt, 20 * time.Second, false, "refused"},
		"rebuild, by others": {func(c *Cloud, p powerTest) { rebuildIt(c, p); c.SwitchOff(p.id) }, 20 * time.Second, false, "refused"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := New(Options{})
				c.AddImage(Image{ID: 6})
				p := powerTest{newClient(t, c), c.AddServer(Server{
					IPv4: "203.0.113.7", Status: "off", Guest: Guest{Ports: map[int]string{22: banner}, BootAfter: 30 * time.Second, Drops: tt.drops},
				})}
				tt.begin(c, p)
				start := time.Now()
				at := func(d time.Duration, want string) {
					t.Helper()
					time.Sleep(d - time.Since(start))
					if got := dialed(t, c, "203.0.113.7:22"); got != want {
						t.Errorf("after %v: %q, want %q", d, got, want)
					}
				}
				if tt.done > 0 {
					at(0, "silence")
				}
				at(tt.done+time.Second, tt.early)
				at(tt.done+30*time.Second, banner)
				c.SwitchOn(p.id) // it runs
				at(tt.done+time.Minute, banner)
			})
		})
	}
}

func rebuildIt(_ *Cloud, p powerTest) {
	p.must("POST", fmt.Sprintf("/servers/%d/actions/rebuild", p.id), `{"image":"6"}`)
}

// A server whose rebuild has failed can be switched on, and has nothing to boot.
func TestHalfWrittenDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(Options{})
		c.AddImage(Image{ID: 6})
		p := powerTest{newClient(t, c), c.AddServer(Server{
			IPv4: "203.0.113.7", Guest: Guest{Ports: map[int]string{22: banner}}, Rebuild: RebuildBehaviour{FailCode: "x", FailTimes: 1},
		})}
		rebuildIt(c, p)
		time.Sleep(time.Minute)
		p.do("poweron")
		time.Sleep(time.Minute)
		p.expect("running", false)
		if got := dialed(t, c, "203.0.113.7:22"); got != "silence" {
			t.Errorf("a half written disk: %q", got)
		}
		rebuildIt(c, p)
		time.Sleep(time.Minute)
		if got := dialed(t, c, "203.0.113.7:22"); got != banner {
			t.Errorf("rebuilt: %q", got)
		}
	})
}
