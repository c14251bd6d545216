package snapshot

import (
	"testing"
	"time"

	"github.com/org/hsnap-action/internal/hetzner"
)

var epoch = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// oneServer is a fleet of one server in the middle of its way.
func oneServer(shutdown Shutdown, power powerState, snapshot snapshotState) (*fleet, *target) {
	f := &fleet{settings: Settings{
		Shutdown: shutdown, ShutdownTimeout: 2 * time.Minute, MaxUnavailable: 1, MaxParallel: 1, IfLocked: Wait,
		LockTimeout: time.Hour, SnapshotTimeout: time.Hour, Wait: true,
	}}
	t := &target{server: hetzner.Server{ID: 1, Name: "db-1", Status: statusRunning}, snapshot: snapshot, power: power}
	t.cut.since, t.cut.risingSince, t.ended = epoch, epoch, epoch
	f.targets = []*target{t}
	return f, t
}

// What a look at a server decides about its power.
func TestWhatALookDecides(t *testing.T) {
	for _, test := range []struct {
		name     string
		power    powerState
		snapshot snapshotState
		told     bool // the guest was asked to shut down
		accepted bool // a power-on was
		status   string
		locked   bool
		want     powerState
		request  operation // that follows
	}{
		{name: "its turn: running", power: checking, status: statusRunning, want: recording},
		{name: "its turn: locked", power: checking, status: statusRunning, locked: true, want: untouched},
		{name: "its turn: off by somebody else", power: checking, status: statusOff, want: untouched},
		{name: "its turn: on its way", power: checking, status: "starting", want: checking},
		{name: "shutting down: off", power: stopping, told: true, status: statusOff, want: down},
		{name: "shutting down: still running", power: stopping, told: true, status: statusRunning, want: stopping},
		{name: "shutting down: on its way", power: stopping, told: true, status: "stopping", want: stopping},
		{name: "to be switched on: off", power: rising, snapshot: creating, status: statusOff, want: rising, request: opPowerOn},
		{
			name: "to be switched on: locked, which is only a hint", power: rising, snapshot: creating,
			status: statusOff, locked: true, want: rising, request: opPowerOn,
		},
		{name: "to be switched on: on its way", power: rising, snapshot: creating, status: "stopping", want: rising},
		{
			name: "to be switched on: somebody else was faster, which proves nothing", power: rising, snapshot: creating,
			status: statusRunning, want: rising, request: opPowerOn,
		},
		{name: "switched on: running", power: rising, snapshot: creating, accepted: true, status: statusRunning, want: restored},
		{name: "switched on: starting", power: rising, snapshot: creating, accepted: true, status: "starting", want: rising},
		{name: "late guest: off", power: lingering, snapshot: finished, status: statusOff, want: rising, request: opPowerOn},
		{name: "late guest: running", power: lingering, snapshot: finished, status: statusRunning, want: lingering},
	} {
		t.Run(test.name, func(t *testing.T) {
			f, target := oneServer(Graceful, test.power, test.snapshot)
			target.cut.shutdownSent = test.told
			target.cut.until = epoch.Add(time.Minute)
			if test.accepted {
				target.cut.onAccepted = epoch
			}
			now := epoch.Add(2 * time.Second)
			f.saw(target, hetzner.Server{ID: 1, Status: test.status, Locked: test.locked}, now.Add(-time.Second), now)
			if target.power != test.want {
				t.Errorf("power %d, want %d", target.power, test.want)
			}
			if op := f.powerOp(target, now); op != test.request {
				t.Errorf("the request %d follows, want %d", op, test.request)
			}
		})
	}
}

// A look that began before a power-on was answered proves nothing about it.
func TestOldLookProvesNothing(t *testing.T) {
	f, target := oneServer(Graceful, rising, creating)
	target.cut.onAccepted, target.cut.since = epoch.Add(3*time.Second), epoch.Add(3*time.Second)
	f.saw(target, hetzner.Server{ID: 1, Status: statusRunning}, epoch.Add(time.Second), epoch.Add(4*time.Second))
	if target.power != rising {
		t.Errorf("power %d after a look from before, want %d", target.power, rising)
	}
}

// Once a guest was told to shut down, there is no way out of the power region but restored, owed, or watched to the end.
func TestEveryWayOutSwitchesOn(t *testing.T) {
	for _, state := range []powerState{stopping, down} {
		for name, end := range map[string]func(*fleet, *target, time.Time){
			"its snapshot failed":  func(f *fleet, t *target, now time.Time) { f.finish(t, Failed, Refused, now) },
			"its answer was lost":  func(f *fleet, t *target, now time.Time) { f.lose(t, &hetzner.Error{}, now) },
			"it was accepted":      func(f *fleet, t *target, now time.Time) { f.accept(t, 1, 2, now) },
			"no room":              func(f *fleet, t *target, now time.Time) { f.fill(t, &hetzner.Error{}, now) },
			"the run is cancelled": func(f *fleet, _ *target, now time.Time) { f.cancel(now); f.expire(now) },
			"the token is refused": func(f *fleet, _ *target, now time.Time) { f.token = &hetzner.Error{}; f.expire(now) },
			"too long":             func(f *fleet, _ *target, now time.Time) { f.expire(now.Add(3 * time.Minute)) },
		} {
			f, target := oneServer(Graceful, state, waiting)
			target.cut.shutdownSent = true
			target.cut.outage.start(epoch)
			if state == stopping && (name == "its answer was lost" || name == "it was accepted" || name == "no room" || name == "its snapshot failed") {
				continue // nothing was asked for yet
			}
			end(f, target, epoch.Add(time.Second))
			switch target.power {
			case rising, owed, lingering:
			default:
				t.Errorf("%s while %d: power %d", name, state, target.power)
			}
		}
	}
}
