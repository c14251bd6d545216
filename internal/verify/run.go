package verify

import (
	"cmp"
	"context"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/org/hsnap-action/internal/copies"
	"github.com/org/hsnap-action/internal/fleet"
	"github.com/org/hsnap-action/internal/hetzner"
	"github.com/org/hsnap-action/internal/labels"
	"github.com/org/hsnap-action/internal/project"
	"github.com/org/hsnap-action/internal/snapshot"
)

const (
	// readLimit is how long the project is tried to be read.
	readLimit = 30 * time.Minute
	// removeFor is how long after the end of a verification its copy is tried to be removed.
	removeFor = 10 * time.Minute
	// rescueFor is how long the post step tries: GitHub gives a cancelled job 5 minutes.
	rescueFor = 4 * time.Minute
)

// run is what the scripts of a run share.
type run struct {
	Settings
	*snapshot.Session
	emit    func(Event)
	outcome Outcome
	all     []*verification
	date    time.Time // by Hetzner's clock, at datedAt by this machine's; zero where Hetzner did not say
	datedAt time.Time

	places   *fleet.Slots
	firewall firewall
}

// Run verifies what the settings ask for and returns what became of each snapshot. It calls emit for every event, from its own
// goroutine, and has no goroutine left when it returns. The first signal cancels the run: copies are deleted first of all, and
// it is over within 5 s. The second ends it at once.
func Run(ctx context.Context, api *hetzner.Client, settings Settings, signals <-chan os.Signal, emit func(Event)) Outcome {
	r := newRun(api, settings, signals, emit)
	r.Go(r.begin)
	r.Run(ctx, &r.outcome.Outcome)
	for _, v := range r.all {
		if v.result.Status != "" { // it came to that
			r.outcome.Verifications = append(r.outcome.Verifications, v.result)
		}
	}
	slices.SortStableFunc(r.outcome.Verifications, func(a, b Result) int { return cmp.Compare(a.Name, b.Name) })
	return r.outcome
}

// Rescue removes copies that a run, killed since, may have left behind.
func Rescue(ctx context.Context, api *hetzner.Client, settings Settings, left []copies.Copy, signals <-chan os.Signal, emit func(Event)) Outcome {
	r := newRun(api, settings, signals, emit)
	r.Go(func(s *fleet.Script) { r.Sweep(s, &r.outcome.Outcome, left, s.Now().Add(rescueFor), true) })
	r.Run(ctx, &r.outcome.Outcome)
	return r.outcome
}

func newRun(api *hetzner.Client, settings Settings, signals <-chan os.Signal, emit func(Event)) *run {
	r := &run{Settings: settings, emit: emit, places: fleet.NewSlots(settings.MaxParallel)}
	r.Session = snapshot.NewSession(api, signals, settings.Late, func(e snapshot.Event) { emit(Event{Event: e}) })
	r.outcome.DryRun = settings.DryRun
	return r
}

func (r *run) tell(e Event) {
	e.At = r.News()
	r.emit(e)
}

// begin is the script that reads the project and the prices, deletes what earlier runs have left behind, makes the plan, and
// starts the verifications where they may cost what they may.
func (r *run) begin(s *fleet.Script) {
	read := r.Reader(s, s.Now().Add(readLimit))
	series := labels.Series + "=" + r.Series
	if r.Images != nil {
		series = labels.Series // an image that is named may be of any
	}
	listed, chosen, ok := r.outcome.Read(read, r.LabelSelector, series, r.choose, false)
	if !ok {
		return
	}
	r.date, r.datedAt = listed.Date, listed.DatedAt
	r.outcome.AddMissing(chosen, snapshot.Error, r.Tell)
	if !r.DryRun {
		r.Sweep(s, &r.outcome.Outcome, copies.LeftBehind(listed.Servers, r.date), s.Now().Add(copies.SweepFor), false)
	}
	r.plan(chosen.Servers, listed.Images)
	if err := r.price(read); err != nil {
		r.outcome.Blame(r.Fleet, err, false)
		return
	}
	var results []Result
	for _, v := range r.all {
		results = append(results, v.result)
	}
	r.tell(Event{Kind: EventPlanned, Results: results, Currency: r.outcome.Currency})
	if r.outcome.TooExpensive = r.outcome.PlannedCost > r.MaxCost && !r.Ending(); r.outcome.TooExpensive {
		return
	}
	r.start()
}

// choose finds the servers that are meant.
func (r *run) choose(all []hetzner.Server) project.Selected {
	if r.Images == nil {
		return r.Choose(all)
	}
	chosen := project.Selection{}.Choose(all)
	for _, name := range slices.Sorted(maps.Keys(r.Images)) {
		i := slices.IndexFunc(all, func(host hetzner.Server) bool { return host.Name == name })
		switch {
		case i < 0:
			chosen.Missing = append(chosen.Missing, name)
		case project.IsDrill(all[i]):
			chosen.Drills = append(chosen.Drills, name)
		default:
			chosen.Servers = append(chosen.Servers, all[i])
		}
	}
	return chosen
}

// start starts the scripts of what is due.
func (r *run) start() {
	due := false
	for _, v := range r.all {
		if v.result.Status == "" && r.DryRun {
			v.result.Status = snapshot.Planned
		}
		if v.result.Status != "" { // nothing is to be done
			v.judged = true
			v.complete()
			continue
		}
		due = true
		r.Go(v.verify)
	}
	if due {
		r.Go(r.makeFirewall)
	}
	r.ReportOn(r.standings)
}

// record records which copies have to go.
func (r *run) record() error {
	if r.Record == nil {
		return nil
	}
	var left []copies.Copy
	for _, v := range r.all {
		if v.begun && !v.removed {
			left = append(left, v.copy)
		}
	}
	return r.Record(left)
}

// isExpired reports whether a copy has been left behind. Without Hetzner's clock nobody knows.
func (r *run) isExpired(host hetzner.Server) bool {
	return !r.date.IsZero() && copies.Expired(host, r.hetznerTime())
}

// hetznerTime is the time by Hetzner's clock, as far as that is known.
func (r *run) hetznerTime() time.Time {
	if r.date.IsZero() {
		return r.Now()
	}
	return r.date.Add(r.Now().Sub(r.datedAt))
}

// standings are where the verifications are at.
func (r *run) standings() (list []snapshot.Standing) {
	for _, v := range r.all {
		list = append(list, snapshot.Standing{Name: v.result.Name, Phase: v.phase, Percent: v.progress, Over: v.over(), Failed: v.over() && v.result.failed()})
	}
	return list
}
