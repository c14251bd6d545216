package hcloudsim

import (
	"cmp"
	"slices"
	"time"
)

// hold is one reason why a server is locked.
type hold struct {
	placed bool // by Cloud.Lock, not by an operation of the server's own
	begun  bool
	ended  bool
	hidden bool
	action *action // who holds it; nil: not to be seen

	polls int    // GETs still to show the server before begin is called
	begin func() // nil: not waiting for polls
}

// locked reports whether operations on the server are refused.
func (s *server) locked() bool {
	return slices.ContainsFunc(s.holds, func(h *hold) bool { return h.begun })
}

// seemsLocked is the locked flag that the API shows.
func (s *server) seemsLocked() bool {
	return slices.ContainsFunc(s.holds, func(h *hold) bool { return h.begun && !h.hidden })
}

func (s *server) release(h *hold) {
	h.ended = true
	s.holds = slices.DeleteFunc(s.holds, func(other *hold) bool { return other == h })
}

// holdFor locks the server for an operation of its own, which has an action of
// its own.
func (p *project) holdFor(s *server, d time.Duration) {
	h := &hold{begun: true}
	s.holds = append(s.holds, h)
	p.after(d, func() { s.release(h) })
}

// placeLock places a lock of somebody else.
func (p *project) placeLock(s *server, l Lock) (actionID int64) {
	if l.Command != "" {
		actionID = p.newActionID()
	}
	h := &hold{placed: true, hidden: l.Hidden}
	begin := func() {
		if h.ended {
			return
		}
		h.begun = true
		if l.Command != "" {
			// Without an end in sight the action crawls over a day.
			h.action = p.start(actionID, l.Command, "server", s.ID, cmp.Or(l.For, 24*time.Hour))
		}
		if l.For == 0 {
			return
		}
		if h.action != nil {
			p.after(l.For, func() { p.end(h.action, "", "") })
		}
		p.after(l.For+l.Lag, func() { s.release(h) })
	}
	s.holds = append(s.holds, h)
	switch {
	case l.AfterPolls > 0:
		h.polls = l.AfterPolls
		h.begin = func() { p.after(l.From, begin) }
	case l.From > 0:
		p.after(l.From, begin)
	default:
		begin()
	}
	return actionID
}

// countPoll counts an answer that has shown the server. A lock that waited for
// that many polls begins after the answer, so the answer itself does not show
// it.
func (p *project) countPoll(s *server) {
	for _, h := range s.holds {
		if h.polls == 0 {
			continue
		}
		h.polls--
		if h.polls == 0 {
			h.begin()
		}
	}
}

// unlock ends the locks of others.
func (p *project) unlock(s *server) {
	for _, h := range slices.Clone(s.holds) {
		if !h.placed {
			continue
		}
		if h.action != nil {
			p.end(h.action, "", "")
		}
		s.release(h)
	}
}
