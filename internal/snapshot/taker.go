package snapshot

import (
	"github.com/org/hsnap-action/internal/fleet"
	"github.com/org/hsnap-action/internal/hetzner"
)

// Taker lends the scripts of this package to another command's run, whose session it is.
type Taker struct{ run *run }

// NewTaker returns a taker for a session in a project with these servers.
func NewTaker(session *Session, settings Settings, all []hetzner.Server) *Taker {
	r := newRun(session, settings)
	r.Pages("", all)
	return &Taker{r}
}

// Target returns a server that a change is wanted of, by a script that is still to be set.
func (t *Taker) Target(host hetzner.Server) *Target { return t.run.target(host) }

// Next returns the target for the next change of the same server, which goes on in its place.
func (t *Taker) Next(target *Target) *Target {
	next := t.run.target(target.Host)
	next.Script, next.placed, target.placed = target.Script, target.placed, false
	return next
}

// Take brings a target to exactly one usable snapshot, or to a reason why not. It returns when that is decided, and the
// target keeps its place.
func (t *Taker) Take(target *Target) Result {
	s := &server{Target: target}
	s.finish(s.begin(reusable{}))
	return s.Result
}

// SwitchOn switches a server on that a change has left off. It starts a script of its own, which a cancel does not end at
// once, and calls done when the server is seen running, is gone, or is left off as the result says.
func (t *Taker) SwitchOn(host hetzner.Server, done func(Result)) {
	s := t.run.mayBeOff(host)
	s.power.down = true
	t.run.GoPatient(func(script *fleet.Script) {
		s.Script, s.power.Script = script, script
		s.power.outage.start(script.Now())
		s.power.switchOn(false)
		done(s.Result)
	})
}

// Standing is where the target is at.
func (t *Target) Standing() Standing {
	return Standing{Name: t.Host.Name, Phase: t.Phase, Percent: t.progress, Holder: t.holder}
}
