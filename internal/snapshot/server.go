package snapshot

import (
	"time"

	"github.com/org/hsnap-action/internal/fleet"
	"github.com/org/hsnap-action/internal/hetzner"
	"github.com/org/hsnap-action/internal/labels"
)

// server is one server on its way to its snapshot.
type server struct {
	*Target

	power      *power // the last time that it was switched off; nil for never
	turns      int    // how often it was switched off
	switchedOn bool   // somebody else has switched it on while it was off for its snapshot

	accepted time.Time // when its image was known to exist
	copied   bool      // its action has succeeded
	ended    time.Time // when its result was final but for the power

	otherRun   bool // its snapshot was made by another workflow run and is taken over
	isThinning bool
	hasRoom    bool // a deletion has made room for its next create
	// how many snapshots the run had deleted when it was asked for the last time
	deletionsSeen int
	madeRoom      bool // what can be deleted before the new snapshot exists is deleted
}

// target returns a target for a server. Its script is still to be set.
func (r *run) target(host hetzner.Server) *Target {
	return &Target{run: r, Host: host, rank: fleet.First, Result: Result{
		Name: host.Name, Server: host, Request: labels.Random(r.Rand), Description: r.Describe(host, r.Now()),
	}}
}

// add starts the script of a server.
func (r *run) add(host hetzner.Server, earlier reusable, leftOff bool) {
	s := &server{Target: r.target(host)}
	s.Result.LeftOff, s.Result.LeftBefore = leftOff, leftOff
	r.servers = append(r.servers, s)
	r.Go(func(script *fleet.Script) {
		s.Script = script
		s.finish(s.begin(earlier))
		s.LeavePlace()
		s.thin()
	})
}

// begin decides what needs no snapshot, or can't have one, before anything is done to a server.
func (s *server) begin(earlier reusable) error {
	volumes := len(s.Host.Volumes) > 0
	if s.Result.LeftBefore {
		s.tellOf(Event{Kind: EventLeftBefore})
	}
	switch {
	case volumes && s.IfVolumes == Fail:
		return failed(VolumesAttached)
	case volumes && s.IfVolumes == Warn:
		s.tellOf(Event{Kind: EventVolumes})
	}
	switch {
	case earlier.ID != 0:
		return s.reuse(earlier)
	case s.Host.ID == s.self && s.mustStop():
		return failed(ShutdownSelf)
	case s.Host.BootsElsewhere() && s.mustStop():
		return failed(BootsElsewhere)
	case s.Host.Locked && s.IfLocked != Wait:
		return s.leaveLocked()
	case s.DryRun:
		return s.planned()
	case s.Host.Locked:
		if err := s.SeenLocked(); err != nil { // the selection was a poll
			return err
		}
	}
	return s.way()
}

// reuse takes over a snapshot instead of making one.
func (s *server) reuse(earlier reusable) error {
	s.otherRun, s.Result.Age = earlier.otherRun, earlier.age
	s.Result.Reused, s.Result.ImageID, s.Result.Request = true, earlier.ID, earlier.Labels[labels.Request]
	s.Result.Description, s.Result.SizeGB, s.Result.Protected = earlier.Description, earlier.SizeGB, earlier.Protected
	if s.Protect && !earlier.Protected && !s.DryRun {
		if err := s.protect(); err != nil {
			return err
		}
		s.Result.Protected = true
	}
	return &EndError{Available, ""}
}

// way is the way of one server to its snapshot. Each step returns nil when the next one may follow.
func (s *server) way() error {
	return s.Repeat(func() error {
		if err := s.switchOff(); err != nil { // where that is wanted
			return err
		}
		if err := s.create(); err != nil { // exactly once: accepted, refused, or found or proved absent after a lost answer
			return err
		}
		return s.follow() // returns no nil: the snapshot is available, or has failed
	}, s.awaitRoom)
}

// planned ends the way of a server in a dry run.
func (s *server) planned() error {
	if s.Host.Locked {
		if err := s.learnHolder(); err != nil {
			return err
		}
	}
	s.Result.Stops = s.mustStop()
	return &EndError{Planned, ""}
}

// finish makes the result of a server final, but for its power.
func (s *server) finish(err error) {
	r := &s.Result
	s.Settle(err)
	if !s.accepted.IsZero() {
		r.Accepted, r.Duration = true, s.Now().Sub(s.accepted)
	}
	s.ended = s.Now()
	s.power.release()
	if s.hasRoom && s.accepted.IsZero() {
		s.makeRoom() // for another server, since this one did not need it
	}
	r.PowerOnFailed = r.PowerOnFailed || r.LeftBefore && r.Status != Cancelled
	if !s.complete() {
		result := *r
		s.tellOf(Event{Kind: EventEnded, Result: &result})
	}
}

// over reports whether the server's result is final, and so is its power.
func (s *server) over() bool { return s.Phase == PhaseFinished && (s.power == nil || s.power.done) }

// complete reports the end of a server that is over.
func (s *server) complete() bool {
	if !s.over() {
		return false
	}
	if result := s.Result; result.Status != "" || result.LeftOff { // else it was only switched on, which was told
		s.tellOf(Event{Kind: EventFinished, Result: &result})
	}
	return true
}
