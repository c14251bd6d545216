package snapshot

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/org/hsnap-action/internal/copies"
	"github.com/org/hsnap-action/internal/fleet"
	"github.com/org/hsnap-action/internal/hetzner"
	"github.com/org/hsnap-action/internal/project"
)

// progressEvery is how long nothing new may happen before the progress of the run is reported.
const progressEvery = 30 * time.Second

// Session is what the run of every command has: scripts, and somebody who is told what happens.
type Session struct {
	*fleet.Fleet
	API *hetzner.Client

	emit      func(Event)
	lastNews  time.Time
	standings func() []Standing
}

// NewSession returns a session with no script but the one that reports the progress. It calls emit for every event. Late is as
// in [fleet.Options].
func NewSession(api *hetzner.Client, signals <-chan os.Signal, late func(os.Signal) bool, emit func(Event)) *Session {
	s := &Session{API: api, emit: emit, standings: func() []Standing { return nil }}
	s.Fleet = fleet.New(fleet.Options{
		API: api, Signals: signals, Late: late, Cancelled: func() { s.Tell(Event{Kind: EventCancelled}) },
	})
	s.lastNews = s.Now()
	s.GoPatient(s.reportProgress)
	return s
}

// Run resumes the scripts until all have ended, and records in the outcome what has ended them early.
func (s *Session) Run(ctx context.Context, o *Outcome) {
	s.Fleet.Run(ctx)
	o.Signal, o.Token = s.Signal(), s.Token()
}

// Tell tells that something has happened.
func (s *Session) Tell(e Event) {
	e.At = s.News()
	s.emit(e)
}

// News returns the time of something that is told now. It puts the report of the progress off.
func (s *Session) News() time.Time {
	s.lastNews = s.Now()
	return s.lastNews
}

// Reader returns a reader of the project that goes on until the limit, and tells each failure that it goes on after.
func (s *Session) Reader(script *fleet.Script, limit time.Time) project.Reader {
	return project.Reader{Script: script, API: s.API, Limit: limit, Unreached: func(failure *hetzner.Error) {
		s.Tell(Event{Kind: EventUnreached, Err: failure, Took: limit.Sub(s.Now())})
	}}
}

// ReportOn says where the progress that is reported is to be read: where servers, or copies, are at. Until then the project is
// being read.
func (s *Session) ReportOn(standings func() []Standing) { s.standings = standings }

// reportProgress is the script that reports where the servers are at when nothing new has happened for a while. It ends with the
// last of the others: servers that are off outlast a refused token.
func (s *Session) reportProgress(script *fleet.Script) {
	script.Keep(0)
	for errors.Is(script.Until(script.Alone, s.lastNews.Add(progressEvery)), fleet.ErrTimeout) {
		if s.Now().Sub(s.lastNews) < progressEvery {
			continue
		}
		silence, failure := s.Silence()
		if silence < progressEvery {
			failure = nil
		}
		s.Tell(Event{Kind: EventProgress, Standings: s.standings(), Took: silence, Err: failure})
	}
}

// Sweep removes copies that have been left behind, and returns when all of them have been tried. It tells what became of each,
// and adds those that could not be deleted to the outcome; on a cancel that may be after it has returned. A patient removal
// outlasts a cancel, as [fleet.Fleet.GoPatient] says.
func (s *Session) Sweep(script *fleet.Script, o *Outcome, list []copies.Copy, limit time.Time, patient bool) {
	at, waiting := make([]Standing, len(list)), len(list)
	for i := range list {
		c := &list[i]
		at[i] = Standing{Name: c.Name, Phase: PhaseRemoving}
		c.Refused = s.TellRefused(c.Name)
		remove := func(script *fleet.Script) {
			e := Event{Kind: EventSwept, Name: c.Name, Left: c.Remove(script, s.API, limit)}
			if e.Left != nil {
				e.Kind, o.Left = EventLeftover, append(o.Left, Leftover{c.Name, *e.Left})
			}
			at[i].Over, at[i].Failed = true, e.Left != nil
			waiting--
			s.Tell(e)
		}
		if patient {
			s.GoPatient(remove)
		} else {
			s.Go(remove)
		}
	}
	s.ReportOn(func() []Standing { return at })
	_ = script.Until(func() bool { return waiting == 0 }, time.Time{})
}

// TellRefused returns what tells, under a name, that a copy can't be deleted for now.
func (s *Session) TellRefused(name string) func(*hetzner.Error) {
	return func(refusal *hetzner.Error) { s.Tell(Event{Kind: EventStays, Name: name, Err: refusal}) }
}
