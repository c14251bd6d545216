// Package prune thins out the snapshots of servers without making a new one.
//
// It reads the whole project first and decides about every snapshot. Only then, and only where the plan is no larger than
// the user allows, does it delete. Ages count back from the time of Hetzner's answer, never from this machine's clock. The
// package writes no text. Beside snapshots that this program has made (see package thinning) it deletes only copies that
// verifications have left behind (see package copies), and in a dry run nothing.
package prune

import (
	"context"
	"os"
	"slices"
	"time"

	"github.com/org/hsnap-action/internal/copies"
	"github.com/org/hsnap-action/internal/fleet"
	"github.com/org/hsnap-action/internal/hetzner"
	"github.com/org/hsnap-action/internal/labels"
	"github.com/org/hsnap-action/internal/project"
	"github.com/org/hsnap-action/internal/retention"
	"github.com/org/hsnap-action/internal/snapshot"
	"github.com/org/hsnap-action/internal/thinning"
)

// readLimit is how long the project is tried to be read.
const readLimit = 30 * time.Minute

// Settings is what a run was asked to do. All of it is valid when it gets here.
type Settings struct {
	project.Selection
	Series       string
	Retention    retention.Policy // has a rule
	MaxDeletions int              // a plan of more deletes nothing
	DryRun       bool             // only read
	WorkflowRun  labels.Run       // whose snapshots are spared

	// Late reports whether a first signal is the runner's last, so that the run must be over within 2 s; nil for never.
	Late func(os.Signal) bool
}

// Outcome is what became of a run. Of a result only the server and what became of its snapshots are set or, for a name that
// does not exist, the failure.
type Outcome struct {
	snapshot.Outcome
	Planned  int             // deletions that the policy asks for
	TooMany  bool            // these are more than the user allows, and nothing was deleted
	NoDate   bool            // Hetzner did not tell the time, and nothing was deleted
	Undone   []Undone        // deletions that failed
	Selected int             // servers
	Gone     []hetzner.Image // snapshots of this series whose servers do not exist any more
}

// Undone is a deletion that failed. An error whose verdict is [hetzner.Lost] says that the snapshot may be deleted or not.
type Undone struct {
	Name  string // of the server
	Image int64
	Err   *hetzner.Error
}

// run is what the scripts of a run share.
type run struct {
	Settings
	*snapshot.Session
	outcome Outcome
}

// Run thins out as the settings ask for. It calls emit for every event, from its own goroutine, and has no goroutine left
// when it returns. A signal ends it within 5 s: no further deletion is begun.
func Run(ctx context.Context, api *hetzner.Client, settings Settings, signals <-chan os.Signal, emit func(snapshot.Event)) Outcome {
	r := &run{Settings: settings, Session: snapshot.NewSession(api, signals, settings.Late, emit)}
	r.outcome.DryRun = settings.DryRun
	r.Go(func(s *fleet.Script) { r.outcome.Price = project.Reader{Script: s, API: api}.Price() })
	r.Go(r.begin)
	r.Run(ctx, &r.outcome.Outcome)
	return r.outcome
}

// begin is the script that reads the project, deletes copies that are left behind, makes the plan, and starts the deletions.
func (r *run) begin(s *fleet.Script) {
	listed, chosen, ok := r.outcome.Read(r.Reader(s, s.Now().Add(readLimit)), r.LabelSelector, labels.Series+"="+r.Series, r.Choose, !r.DryRun)
	if !ok {
		return
	}
	if !r.DryRun {
		r.Sweep(s, &r.outcome.Outcome, copies.LeftBehind(listed.Servers, listed.Date), s.Now().Add(copies.SweepFor), false)
	}
	r.Tell(snapshot.Event{Kind: snapshot.EventSelected, Servers: chosen.Servers})
	r.outcome.AddMissing(chosen, snapshot.Error, r.Tell)
	r.outcome.Selected = len(chosen.Servers)
	r.outcome.Gone = project.Gone(listed.Images, listed.Servers)
	if r.outcome.NoDate = listed.Date.IsZero(); !r.outcome.NoDate {
		r.plan(chosen.Servers, listed.Images, listed.Date)
	}
}

// plan decides about every snapshot of the servers, and starts the deletions where they are no more than allowed.
func (r *run) plan(servers []hetzner.Server, images []hetzner.Image, now time.Time) {
	first := len(r.outcome.Results)
	for _, server := range servers {
		candidates := thinning.Candidates(images, server.ID, r.Series)
		plan := thinning.Decide(r.Retention, candidates, now, r.WorkflowRun, 0)
		if len(plan) > 0 {
			r.Tell(snapshot.Event{Kind: snapshot.EventThinning, Name: server.Name, Server: server, Thinned: slices.Clone(plan)})
		}
		for _, t := range plan {
			if !t.Keep {
				r.outcome.Planned++
			}
		}
		r.outcome.Results = append(r.outcome.Results, snapshot.Result{Name: server.Name, Server: server, Thinned: plan})
	}
	if r.outcome.TooMany = r.outcome.Planned > r.MaxDeletions; r.outcome.TooMany || r.DryRun {
		return
	}
	places := fleet.NewSlots(thinning.AtOnce)
	list := make([]snapshot.Standing, len(servers))
	for i := range list {
		result := &r.outcome.Results[first+i]
		list[i] = snapshot.Standing{Name: result.Name, Phase: snapshot.PhaseThinning}
		r.Go(func(s *fleet.Script) {
			thinning.Out(s, r.API, places, result.Thinned, func(image int64, failure *hetzner.Error) {
				if failure != nil {
					list[i].Failed = true
					r.outcome.Undone = append(r.outcome.Undone, Undone{result.Name, image, failure})
					return
				}
				r.Tell(snapshot.Event{Kind: snapshot.EventDeleted, Name: result.Name, Server: result.Server, ImageID: image})
			})
			list[i].Over = true
		})
	}
	r.ReportOn(func() []snapshot.Standing { return list })
}
