// Package audit tells which snapshots a project holds, which are missing, and which nobody counts on any more.
//
// It only reads. Its judgement is one pure function, from what Hetzner lists to an [Inventory] (inventory.go). Ages count
// back from the time of Hetzner's answer, never from this machine's clock. The package writes no text.
package audit

import (
	"context"
	"os"
	"slices"
	"time"

	"github.com/org/hsnap-action/internal/fleet"
	"github.com/org/hsnap-action/internal/hetzner"
	"github.com/org/hsnap-action/internal/project"
	"github.com/org/hsnap-action/internal/snapshot"
)

// readLimit is how long the project is tried to be read: whoever guards snapshots has to learn soon that nobody knows.
const readLimit = 5 * time.Minute

// priceLimit is how long the price list is tried to be read.
const priceLimit = 30 * time.Second

// Finding is what a run can be told to fail on. Its values are part of the user's contract.
type Finding string

// The findings.
const (
	Stale      Finding = "stale"      // servers without a recent snapshot
	Unverified Finding = "unverified" // servers without a verified snapshot
	Orphans    Finding = "orphans"    // snapshots of servers that are gone
	Leftovers  Finding = "leftovers"  // copies that a verification has left behind
)

// Settings is what a run was asked to do. All of it is valid when it gets here.
type Settings struct {
	project.Selection               // an empty one is every server
	Series            string        // whose snapshots count, "" for those of every series
	StaleAfter        time.Duration // the age from which a snapshot is stale; 0: only a server without any is stale
	FailOn            []Finding

	// Late reports whether a first signal is the runner's last, so that the run must be over within 2 s; nil for never.
	Late func(os.Signal) bool
}

// Outcome is what became of a run. Its results are only the names that were asked for and do not exist.
type Outcome struct {
	snapshot.Outcome
	*Inventory           // nil where the project could not be read
	Failures   []Finding // what there is of that which the run was to fail on
}

// Fails reports whether a finding makes the run fail.
func (o Outcome) Fails(finding Finding) bool { return slices.Contains(o.Failures, finding) }

// Run reads the project and takes the inventory. It calls emit for every event, from its own goroutine, and has no goroutine
// left when it returns. A signal ends it within 5 s.
func Run(ctx context.Context, api *hetzner.Client, settings Settings, signals <-chan os.Signal, emit func(snapshot.Event)) Outcome {
	var o Outcome
	session := snapshot.NewSession(api, signals, settings.Late, func(e snapshot.Event) {
		if e.Kind != snapshot.EventCancelled { // nothing goes on that somebody had to know of
			emit(e)
		}
	})
	session.Go(func(s *fleet.Script) { o.Price = session.Reader(s, s.Now().Add(priceLimit)).Price() })
	session.Go(func(s *fleet.Script) {
		o.take(session.Reader(s, s.Now().Add(readLimit)), settings, session.Tell)
	})
	session.Run(ctx, &o.Outcome)
	return o
}

// take is the script that reads the project, chooses the servers and takes the inventory.
func (o *Outcome) take(read project.Reader, settings Settings, tell func(snapshot.Event)) {
	listed, chosen, ok := o.Read(read, settings.LabelSelector, "", settings.choose, false)
	if !ok {
		return
	}
	tell(snapshot.Event{Kind: snapshot.EventSelected, Servers: chosen.Servers})
	o.AddMissing(chosen, snapshot.Error, tell)
	o.Inventory = takeInventory(settings, chosen.Servers, listed)
	for _, finding := range []Finding{Stale, Unverified, Orphans, Leftovers} {
		if slices.Contains(settings.FailOn, finding) && o.Found(finding) > 0 {
			o.Failures = append(o.Failures, finding)
		}
	}
}

// choose finds the servers that are meant: every one where none is named, which a project without servers does not make a
// name that matches nothing.
func (s Settings) choose(all []hetzner.Server) project.Selected {
	if len(s.Servers) > 0 || s.LabelSelector != "" {
		return s.Choose(all)
	}
	everything := project.Selection{Servers: []string{"*"}, Exclude: s.Exclude}.Choose(all)
	everything.Empty = nil
	return everything
}
