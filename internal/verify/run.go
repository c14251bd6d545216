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
	fleet    *fleet.Fleet
	api      *hetzner.Client
	emit     func(Event)
	lastNews time.Time
	outcome  Outcome
	all      []*verification
	date     time.Time // by Hetzner's clock, at datedAt by this machine's; zero where Hetzner did not say
	datedAt  time.Time

	places   *fleet.Slots
	firewall firewall
}

// Run verifies what the settings ask for and returns what became of each snapshot. It calls emit for every event, from its own
// goroutine, and has no goroutine left when it returns. The first signal cancels the run: copies are deleted first of all, and
// it is over within 5 s. The second ends it at once.
func Run(ctx context.Context, api *hetzner.Client, settings Settings, signals <-chan os.Signal, emit func(Event)) Outcome {
	r := newRun(api, settings, signals, emit)
	r.fleet.Go(r.begin)
	r.fleet.Run(ctx)
	for _, v := range r.all {
		if v.result.Status != "" { // it came to that
			r.outcome.Verifications = append(r.outcome.Verifications, v.result)
		}
	}
	slices.SortStableFunc(r.outcome.Verifications, func(a, b Result) int { return cmp.Compare(a.Name, b.Name) })
	r.outcome.Signal, r.outcome.Token = r.fleet.Signal(), r.fleet.Token()
	return r.outcome
}

// Rescue removes copies that a run, killed since, may have left behind.
func Rescue(ctx context.Context, api *hetzner.Client, left []copies.Copy, settings Settings, signals <-chan os.Signal, emit func(Event)) Outcome {
	r := newRun(api, settings, signals, emit)
	for i := range left {
		r.fleet.GoPatient(func(s *fleet.Script) {
			r.swept(left[i].Name, left[i].Remove(s, api, s.Now().Add(rescueFor)))
		})
	}
	r.fleet.Run(ctx)
	r.outcome.Signal, r.outcome.Token = r.fleet.Signal(), r.fleet.Token()
	return r.outcome
}

func newRun(api *hetzner.Client, settings Settings, signals <-chan os.Signal, emit func(Event)) *run {
	r := &run{Settings: settings, api: api, emit: emit, places: fleet.NewSlots(settings.MaxParallel)}
	r.outcome.DryRun = settings.DryRun
	r.fleet = fleet.New(fleet.Options{
		API: api, Signals: signals, Late: settings.Late,
		Cancelled: func() { r.tellAny(snapshot.Event{Kind: snapshot.EventCancelled}) },
	})
	return r
}

func (r *run) tellAny(e snapshot.Event) { r.tell(Event{Event: e}) }

func (r *run) tell(e Event) {
	r.lastNews = r.fleet.Now()
	e.At = r.lastNews
	r.emit(e)
}

// begin is the script that reads the project and the prices, deletes what earlier runs have left behind, makes the plan, and
// starts the verifications where they may cost what they may.
func (r *run) begin(s *fleet.Script) {
	read := snapshot.NewReader(s, r.api, s.Now().Add(readLimit), r.tellAny)
	listed, chosen, ok := r.outcome.Read(read, r.LabelSelector, labels.Series+"="+r.Series, r.choose, false)
	if !ok {
		return
	}
	r.date, r.datedAt = listed.Date, listed.DatedAt
	r.outcome.AddMissing(chosen, snapshot.Error, r.tellAny)
	if !r.DryRun {
		copies.Sweep(s, r.api, listed.Servers, r.date, r.swept)
	}
	images := listed.Images
	if r.Images != nil { // an image that is named may be of any series
		var err error
		if images, _, err = read.Images(labels.Series); err != nil {
			r.outcome.Blame(r.fleet, err, false)
			return
		}
	}
	r.plan(chosen.Servers, images)
	if err := r.price(read); err != nil {
		r.outcome.Blame(r.fleet, err, false)
		return
	}
	var results []Result
	for _, v := range r.all {
		results = append(results, v.result)
	}
	r.tell(Event{Kind: EventPlanned, Results: results, Currency: r.outcome.Currency})
	if r.outcome.TooExpensive = r.outcome.PlannedCost > r.MaxCost && !r.fleet.Ending(); r.outcome.TooExpensive {
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
		r.fleet.Go(v.verify)
	}
	if due {
		r.fleet.Go(r.makeFirewall)
	}
	r.fleet.Go(func(s *fleet.Script) {
		snapshot.ReportProgress(s, func() time.Time { return r.lastNews }, r.over, r.standings, r.tellAny)
	})
}

// swept reports what became of a copy of an earlier run.
func (r *run) swept(name string, left *copies.Left) {
	swept := Swept{name, left}
	r.outcome.Swept = append(r.outcome.Swept, swept)
	r.tell(Event{Kind: EventSwept, Swept: &swept})
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
	return !r.date.IsZero() && copies.Expired(host, r.now())
}

// now is the time by Hetzner's clock, as far as that is known.
func (r *run) now() time.Time {
	if r.date.IsZero() {
		return r.fleet.Now()
	}
	return r.date.Add(r.fleet.Now().Sub(r.datedAt))
}

// over reports whether nothing more is done for any verification.
func (r *run) over() bool {
	return !slices.ContainsFunc(r.all, func(v *verification) bool { return !v.over() })
}

// standings are where the verifications are at.
func (r *run) standings() (list []snapshot.Standing) {
	for _, v := range r.all {
		list = append(list, snapshot.Standing{Name: v.result.Name, Phase: v.phase, Percent: v.progress, Over: v.over()})
	}
	return list
}
