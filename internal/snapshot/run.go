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
		holders: fleet.NewSlots(1), room: fleet.NewSlots(0),
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
	earlier, err := r.reusable(read)
	isOff := func(host hetzner.Server) bool { return host.Status == hetzner.StatusOff }
	var marked map[int64]hetzner.Image // the newest snapshots of runs with a shutdown
	if err == nil && r.Shutdown != Never && slices.ContainsFunc(chosen.Servers, isOff) {
		var images []hetzner.Image
		images, _, err = read.Images(labels.Power)
		marked = newest(images, func(hetzner.Image) bool { return true })
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
		r.add(host, earlier[host.ID], isOff(host) && marked[host.ID].Labels[labels.Power] == labels.PowerPending)
	}
	r.ReportOn(r.standings)
}

// reusable is a snapshot that is taken over instead of a new one.
type reusable struct {
	hetzner.Image
	age      time.Duration // 0 where Hetzner did not tell the time
	otherRun bool          // no attempt of this workflow run has made it
}

// reusable returns for each server the snapshot that is taken over: one of an earlier attempt or else, where that is wanted,
// one of any run that is young enough. Hetzner's clock tells the age; without it, or with a snapshot from the future,
// nothing of another run is taken over.
func (r *run) reusable(read project.Reader) (map[int64]reusable, error) {
	var attempts []string
	if r.Reuse {
		attempts = r.WorkflowRun.Earlier()
	}
	selector := labels.Series + "=" + r.Series
	switch {
	case len(attempts) == 0 && r.ReuseWithin == 0:
		return nil, nil
	case r.ReuseWithin == 0:
		selector += fmt.Sprintf(",%s in (%s)", labels.RunID, strings.Join(attempts, ","))
	}
	images, date, err := read.Images(selector)
	usable := func(image hetzner.Image) bool {
		return image.Available() && image.Labels[labels.Series] == r.Series && !labels.FailedVerification(image)
	}
	found := map[int64]reusable{}
	for server, image := range newest(images, usable) {
		if age := date.Sub(image.Created); !date.IsZero() && 0 <= age && age < r.ReuseWithin {
			found[server] = reusable{image, age, true}
		}
	}
	attempt := func(image hetzner.Image) bool {
		return usable(image) && image.Labels[labels.Repository] == r.Repository && slices.Contains(attempts, image.Labels[labels.RunID])
	}
	for server, image := range newest(images, attempt) {
		found[server] = reusable{image, max(0, date.Sub(image.Created)), false}
	}
	return found, err
}

// newest returns the newest snapshot that this action made of each server, among those that fit.
func newest(images []hetzner.Image, fits func(hetzner.Image) bool) map[int64]hetzner.Image {
	newest := map[int64]hetzner.Image{}
	for _, image := range images {
		own := labels.Made(image, image.CreatedFrom, image.Labels[labels.Series])
		if own && fits(image) && !image.Created.Before(newest[image.CreatedFrom].Created) {
			newest[image.CreatedFrom] = image
		}
	}
	return newest
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
