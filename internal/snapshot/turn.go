package snapshot

import (
	"errors"
	"time"

	"github.com/org/hsnap-action/internal/fleet"
	"github.com/org/hsnap-action/internal/hetzner"
)

// turnsMost is how often a server is switched off at most when no snapshot is accepted while it is off.
const turnsMost = 2

// halt is why no further server is switched off.
type halt struct {
	reason Reason // what happened to a server, "" when the record can't be written
	server string
	err    *hetzner.Error // what the others are told of it
}

func (s *server) halt(reason Reason, err *hetzner.Error) {
	if s.halted == nil {
		s.halted = &halt{reason, s.Host.Name, err}
	}
}

// mustStop reports whether a server has to be switched off before it may be asked for its snapshot.
func (s *server) mustStop() bool {
	return s.Shutdown != Never && s.Host.Status != hetzner.StatusOff && !s.switchedOn && !s.off
}

// switchOff switches the server off where that is wanted, when its turn has come: as far as the number of servers that may
// be off and the places for snapshots go, and not while the project has no room for a snapshot.
func (s *server) switchOff() error {
	if s.power != nil && !s.power.on && !s.off { // it is being switched on, and comes back first
		s.lock.stop(s.Now())
		s.Phase = PhaseWaiting
		if err := s.Until(func() bool { return s.power.on }, time.Time{}); err != nil {
			return err
		}
	}
	if s.power != nil && s.power.left {
		return failed(LockTimeout)
	}
	if !s.mustStop() {
		return nil
	}
	s.lock.stop(s.Now()) // its turn is nothing that Hetzner keeps back
	s.Phase = PhaseWaiting
	if s.turns == turnsMost {
		return s.LockTimedOut()
	}
	s.Phase = PhaseStuck
	err := s.Until(func() bool { return s.halted != nil || !s.mustWait() }, time.Time{})
	s.Phase = PhaseWaiting
	if err == nil {
		err = s.Take(s.unavailable, func() bool { return s.halted != nil })
	}
	switch {
	case errors.Is(err, fleet.ErrMoot):
		return s.shutdownHalted()
	case err != nil:
		return err
	}
	if err := s.startPower(); err != nil {
		s.unavailable.Give()
		return err
	}
	p := s.power
	if err := s.Until(func() bool { return p.stopped }, time.Time{}); err != nil {
		return err
	}
	return p.failure
}

// mustWait reports whether the server must not be switched off now: it would be off for nothing.
func (s *server) mustWait() bool { return s.halted != nil || s.full > s.room.Free() && !s.hasRoom }

func (s *server) shutdownHalted() error {
	s.Result.Err, s.Result.HaltedBy, s.Result.HaltedOn = s.halted.err, s.halted.reason, s.halted.server
	return failed(ShutdownHalted)
}

// startPower starts the script that switches the server off, if a poll shows it running and unlocked, and once it is
// recorded.
func (s *server) startPower() error {
	if err := s.TakePlace(); err != nil {
		return err
	}
	began := s.Now()
	seen, err := s.Watch(fleet.Server(s.Host.ID)).Next(0, began.Add(s.LockTimeout-s.lock.elapsed(began)))
	switch {
	case errors.Is(err, fleet.ErrTimeout): // Hetzner keeps the server waiting, as with a lock
		s.lock.total = s.LockTimeout
		_, s.refusal = s.Silence()
		return s.LockTimedOut()
	case err != nil:
		return err
	case seen.Server.Locked:
		return errLocked
	}
	s.Host.Status, s.Host.RescueEnabled, s.Host.ISO = seen.Server.Status, seen.Server.RescueEnabled, seen.Server.ISO
	switch {
	case s.Host.Status == hetzner.StatusOff, s.mustWait() || !s.unavailable.Open(s.Now()):
		return ErrAgain // somebody else has switched it off, and it stays off; or its turn is over
	case s.Host.BootsElsewhere():
		s.Result.Server = s.Host
		return failed(BootsElsewhere)
	case s.Host.Status != hetzner.StatusRunning:
		return &hetzner.Error{Message: "the server is " + s.Host.Status, Verdict: hetzner.NotNow}
	}
	before := s.power
	p := &power{server: s, safeAt: s.Now().Add(s.ShutdownTimeout + lingerFor)}
	s.power = p
	if err := s.record(); err != nil {
		s.power = before
		s.halt("", hetzner.AsError(err))
		return s.shutdownHalted()
	}
	s.GoPatient(p.run)
	return nil
}
