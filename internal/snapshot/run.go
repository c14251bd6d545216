package snapshot

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/org/hsnap-action/internal/copies"
	"github.com/org/hsnap-action/internal/fleet"
	"github.com/org/hsnap-action/internal/hetzner"
	"github.com/org/hsnap-action/internal/labels"
	"github.com/org/hsnap-action/internal/project"
	"github.com/org/hsnap-action/internal/thinning"
)

// run is what the scripts of a run share.
type run struct {
	Settings
	*Session
	outcome Outcome
	servers []*server

	self int64 // the server that this program runs on, 0 for none

	inFlight    *fleet.Slots // for changes in flight: snapshots, or rebuilds
	unavailable *fleet.Slots // for servers that are off
	holders     *fleet.Slots // for the question who holds a lock
	deleting    *fleet.Slots // for deletions of old snapshots under way
	halted      *halt        // why no further server is switched off; nil while they are
	recorded    []Recorded
	powerOnFor  time.Duration // how long a server is tried to be switched on
	room        *fleet.Slots  // that deletions have made for servers that wait for it
	full        int           // how many servers wait for it
	deletions   int           // of old snapshots, so far
}

// Run takes the snapshots that the settings ask for and returns what became of each server. It calls emit for every
// event, from its own goroutine, and has no goroutine left when it returns. The first signal cancels the run in good
// order within 5 s, the second ends it at once.
func Run(ctx context.Context, api *hetzner.Client, settings Settings, signals <-chan os.Signal, emit func(Event)) Outcome {
	r := newRun(NewSession(api, signals, settings.Late, emit), settings)
	r.Go(func(s *fleet.Script) { r.outcome.Price = project.Reader{Script: s, API: api}.Price() })
	r.Go(r.begin)
	return r.end(ctx)
}

// Rescue switches the servers on that a run, killed since, may have left off. It is otherwise as [Run]: of the settings
// only those about power matter.
func Rescue(ctx context.Context, api *hetzner.Client, settings Settings, left []Recorded, signals <-chan os.Signal, emit func(Event)) Outcome {
	r := newRun(NewSession(api, signals, settings.Late, emit), settings)
	r.powerOnFor = rescueLimit
	for _, recorded := range left {
		host := hetzner.Server{ID: recorded.Server, Name: fmt.Sprintf("server %d", recorded.Server)}
		s := r.mayBeOff(host)
		s.power.safeAt = recorded.Until
		r.servers = append(r.servers, s)
		r.GoPatient(s.power.rescue)
	}
	r.ReportOn(r.standings)
	return r.end(ctx)
}

// mayBeOff returns a server that may be off, and of which no snapshot is wanted.
func (r *run) mayBeOff(host hetzner.Server) *server {
	target := &Target{run: r, Host: host, Phase: PhaseFinished, Result: Result{Name: host.Name, Server: host}}
	s := &server{Target: target, ended: r.Now()}
	s.power = &power{server: s, asked: true}
	return s
}

func newRun(session *Session, settings Settings) *run {
	return &run{
		Settings: settings, Session: session, powerOnFor: powerOnLimit, outcome: Outcome{DryRun: settings.DryRun},
		inFlight: fleet.NewSlots(settings.MaxParallel), unavailable: fleet.NewSlots(settings.MaxUnavailable),
		holders: fleet.NewSlots(1), deleting: fleet.NewSlots(thinning.AtOnce), room: fleet.NewSlots(0),
	}
}

// end runs the scripts to their end and returns the outcome.
func (r *run) end(ctx context.Context) Outcome {
	r.Run(ctx, &r.outcome)
	for _, s := range r.servers {
		r.outcome.Results = append(r.outcome.Results, s.Result)
	}
	slices.SortStableFunc(r.outcome.Results, func(a, b Result) int { return strings.Compare(a.Name, b.Name) })
	return r.outcome
}

// begin is the script that reads the project, chooses the servers, and starts the script of each.
func (r *run) begin(s *fleet.Script) {
	read := r.Reader(s, s.Now().Add(r.LockTimeout))
	all, date, err := read.DatedServers(r.LabelSelector)
	if err != nil {
		r.outcome.Blame(r.Fleet, err, r.LabelSelector != "")
		return
	}
	chosen := r.Choose(all)
	everyone := all
	if r.LabelSelector != "" && r.Shutdown != Never && len(chosen.Unused) > 0 { // whether those exist, only the whole project tells
		if everyone, err = read.Servers(""); err != nil {
			r.outcome.Blame(r.Fleet, err, false)
			return
		}
	}
	if r.outcome.Mistakes = chosen.Mistakes(r.Shutdown != Never, everyone); len(r.outcome.Mistakes) > 0 {
		return
	}
	if r.Shutdown != Never {
		r.self, _ = read.Self()
	}
	earlier, made, err := r.readReusable(read)
	isOff := func(host hetzner.Server) bool { return host.Status == hetzner.StatusOff }
	var marked []hetzner.Image // snapshots of runs with a shutdown
	if err == nil && r.Shutdown != Never && slices.ContainsFunc(chosen.Servers, isOff) {
		marked, _, err = read.Images(labels.Power)
	}
	if err != nil {
		r.outcome.Blame(r.Fleet, err, false)
		return
	}
	r.outcome.Nothing = len(chosen.Servers) == 0 && len(chosen.Missing) == 0 && r.IfNone == Error
	r.Pages(r.LabelSelector, all)
	r.Tell(Event{Kind: EventSelected, Servers: chosen.Servers})
	for _, host := range all {
		if copies.Expired(host, date) {
			r.Tell(Event{Kind: EventLeftover, Name: host.Name, Server: host})
		}
	}
	r.outcome.AddMissing(chosen, r.IfNone, r.Tell)
	for _, host := range chosen.Servers {
		r.add(host, r.reusable(host.ID, earlier, made), isOff(host) && isMarked(host, marked))
	}
	r.ReportOn(r.standings)
}

// reusable is a snapshot that is taken over instead of a new one.
type reusable struct {
	hetzner.Image
	age      time.Duration // 0 where Hetzner did not tell the time
	otherRun bool          // no attempt of this workflow run has made it
}

// attempts are the run labels of the earlier attempts whose snapshots may be taken over.
func (r *run) attempts() []string {
	if !r.Reuse {
		return nil
	}
	return r.WorkflowRun.Earlier()
}

// readReusable reads the snapshots that may be taken over. The date is that of the answer, by Hetzner's clock.
func (r *run) readReusable(read project.Reader) (images []hetzner.Image, date time.Time, err error) {
	selector, attempts := labels.Series+"="+r.Series, r.attempts()
	switch {
	case r.ReuseWithin > 0:
	case len(attempts) > 0:
		selector += fmt.Sprintf(",%s in (%s)", labels.RunID, strings.Join(attempts, ","))
	default:
		return nil, date, nil
	}
	return read.Images(selector)
}

// reusable returns the snapshot of a server that is taken over: one of an earlier attempt or else, where that is wanted, one of
// any run that is young enough. Hetzner's clock tells the age; without it, or with a snapshot from the future, nothing of
// another run is taken over.
func (r *run) reusable(server int64, images []hetzner.Image, date time.Time) reusable {
	usable := slices.DeleteFunc(labels.Usable(images, server, r.Series), labels.FailedVerification)
	attempt := project.Newest(slices.DeleteFunc(slices.Clone(usable), func(image hetzner.Image) bool {
		return image.Labels[labels.Repository] != r.Repository || !slices.Contains(r.attempts(), image.Labels[labels.RunID])
	}))
	if attempt.ID != 0 {
		return reusable{attempt, max(0, date.Sub(attempt.Created)), false}
	}
	newest := project.Newest(usable)
	if age := date.Sub(newest.Created); newest.ID != 0 && !date.IsZero() && 0 <= age && age < r.ReuseWithin {
		return reusable{newest, age, true}
	}
	return reusable{}
}

// isMarked reports whether the newest of the snapshots that say so says that their server was left off.
func isMarked(host hetzner.Server, images []hetzner.Image) bool {
	newest := project.Newest(slices.DeleteFunc(slices.Clone(images), func(image hetzner.Image) bool {
		return !labels.Made(image, host.ID, image.Labels[labels.Series])
	}))
	return newest.Labels[labels.Power] == labels.PowerPending
}

// standings are where the servers are at.
func (r *run) standings() (list []Standing) {
	for _, s := range r.servers {
		standing := s.Standing()
		standing.Off, standing.Over, standing.Failed = s.power != nil && !s.power.on, s.over() && !s.isThinning, s.Result.Failed()
		if s.isThinning && s.Phase == PhaseFinished {
			standing.Phase = PhaseThinning
		}
		list = append(list, standing)
	}
	return list
}
