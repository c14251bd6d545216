package snapshot

import (
	"os"

	"github.com/org/hsnap-action/internal/copies"
	"github.com/org/hsnap-action/internal/fleet"
	"github.com/org/hsnap-action/internal/hetzner"
	"github.com/org/hsnap-action/internal/project"
)

// Outcome is what became of a run.
type Outcome struct {
	Results  []Result          // ordered by name
	Nothing  bool              // nothing was selected, and the user calls that an error
	Mistakes []project.Mistake // in the inputs, as the project shows: nothing was done
	Token    *hetzner.Error    // Hetzner's refusal of the token, which ended the run
	Selector *hetzner.Error    // Hetzner's refusal of the label selector
	Down     *hetzner.Error    // the last answer when the project could not be read at all
	Signal   os.Signal         // the one that cancelled the run, nil without
	DryRun   bool
	HasRead  bool          // the project could be read
	Left     []Leftover    // copies that were to be deleted, and could not be
	Price    hetzner.Price // zero where it could not be learnt in passing
}

// Leftover is a copy that a verification has left behind, and that could not be deleted.
type Leftover struct {
	Name string
	copies.Left
}

// Read reads a project with the snapshots that match a label selector ("" for all), and chooses servers in it: among those that
// match a label selector of the user's, or all. With spare a server that is named in exclude must exist. Read reports whether
// the run may go on; where it may not, the outcome says why.
func (o *Outcome) Read(
	read project.Reader, servers, images string, choose func([]hetzner.Server) project.Selected, spare bool,
) (listed project.Listing, chosen project.Selected, ok bool) {
	listed, selecting, err := read.All(servers, images)
	if err != nil {
		o.Blame(read.Script.Fleet, err, selecting)
		return listed, chosen, false
	}
	o.HasRead = true
	chosen = choose(listed.Selected)
	if o.Mistakes = chosen.Mistakes(spare, listed.Servers); len(o.Mistakes) > 0 {
		return listed, chosen, false
	}
	o.Nothing = len(chosen.Servers)+len(chosen.Missing) == 0
	return listed, chosen, true
}

// Blame records why the project could not be read. With selecting the request held the user's label selector.
func (o *Outcome) Blame(f *fleet.Fleet, err error, selecting bool) {
	e := hetzner.AsError(err)
	switch {
	case f.Cancelled(), e.Verdict == hetzner.TokenRefused:
	case e.Verdict == hetzner.Refused && e.Code == hetzner.CodeInvalidInput && selecting:
		o.Selector = e
	default:
		o.Down = e
	}
}

// AddMissing adds a failed result for everything that was asked for and is not there, unless the user calls that a warning
// or nothing at all.
func (o *Outcome) AddMissing(chosen project.Selected, ifNone Policy, tell func(Event)) {
	fail := func(name, nearest string, pattern bool) {
		result := Result{Name: name, Status: Failed, Reason: NotFound, Pattern: pattern, Nearest: nearest}
		tell(Event{Kind: EventFinished, Name: name, Result: &result})
		o.Results = append(o.Results, result)
	}
	warn := func(kind EventKind, names []string) {
		for _, name := range names {
			tell(Event{Kind: kind, Name: name, Nearest: chosen.Nearest(name)})
		}
	}
	for _, name := range chosen.Missing {
		fail(name, chosen.Nearest(name), false)
	}
	if ifNone == Error {
		for _, name := range chosen.Empty {
			fail(name, "", true)
		}
	}
	if ifNone == Warn {
		warn(EventNoMatch, chosen.Empty)
	}
	warn(EventUnused, chosen.Unused)
	warn(EventAmbiguous, chosen.Ambiguous)
	if ifNone == Warn && len(chosen.Servers)+len(chosen.Missing)+len(chosen.Empty) == 0 {
		tell(Event{Kind: EventNothingLeft})
	}
}
