package snapshot

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/org/hsnap-action/internal/fleet"
	"github.com/org/hsnap-action/internal/hetzner"
)

// progressEvery is how long nothing new may happen before the progress of the run is reported.
const progressEvery = 30 * time.Second

// run is what the scripts of a run share.
type run struct {
	Settings
	fleet    *fleet.Fleet
	api      *hetzner.Client
	emit     func(Event)
	lastNews time.Time
	outcome  Outcome
	servers  []*server
	active   int // servers whose end was not reported yet

	self int64 // the server that this program runs on, 0 for none

	inFlight    *fleet.Slots // for snapshots
	unavailable *fleet.Slots // for servers that are off
	deleting    *fleet.Slots // for deletions
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
	r := newRun(api, settings, signals, emit)
	r.fleet.Go(r.readPrice)
	r.fleet.Go(r.begin)
	return r.end(ctx)
}

// Rescue switches the servers on that a run, killed since, may have left off. It is otherwise as [Run]: of the settings
// only those about power matter.
func Rescue(ctx context.Context, api *hetzner.Client, settings Settings, left []Recorded, signals <-chan os.Signal, emit func(Event)) Outcome {
	r := newRun(api, settings, signals, emit)
	r.powerOnFor = rescueLimit
	for _, recorded := range left {
		name := fmt.Sprintf("server %d", recorded.Server)
		host := hetzner.Server{ID: recorded.Server, Name: name}
		s := &server{run: r, host: host, phase: finished, ended: r.fleet.Now(), result: Result{Name: name, Server: host}}
		s.power = &power{server: s, asked: true, safeAt: recorded.Until}
		r.servers, r.active = append(r.servers, s), r.active+1
		r.fleet.GoPatient(s.power.rescue)
	}
	r.fleet.Go(r.reportProgress)
	return r.end(ctx)
}

func newRun(api *hetzner.Client, settings Settings, signals <-chan os.Signal, emit func(Event)) *run {
	r := &run{
		Settings: settings, api: api, emit: emit, powerOnFor: powerOnLimit, outcome: Outcome{DryRun: settings.DryRun},
		inFlight: fleet.NewSlots(settings.MaxParallel), unavailable: fleet.NewSlots(settings.MaxUnavailable),
		deleting: fleet.NewSlots(deletesMost), holders: fleet.NewSlots(1), room: fleet.NewSlots(0),
	}
	r.fleet = fleet.New(fleet.Options{
		API: api, Signals: signals, Late: settings.Late, Cancelled: func() { r.tell(Event{Kind: EventCancelled}) },
	})
	r.lastNews = r.fleet.Now()
	return r
}

// end runs the scripts to their end and returns the outcome.
func (r *run) end(ctx context.Context) Outcome {
	r.fleet.Run(ctx)
	for _, s := range r.servers {
		r.outcome.Results = append(r.outcome.Results, s.result)
	}
	slices.SortStableFunc(r.outcome.Results, func(a, b Result) int { return strings.Compare(a.Name, b.Name) })
	r.outcome.Signal, r.outcome.Token = r.fleet.Signal(), r.fleet.Token()
	return r.outcome
}

func (r *run) tell(e Event) {
	e.At, r.lastNews = r.fleet.Now(), r.fleet.Now()
	r.emit(e)
}

// begin is the script that reads the project, chooses the servers, and starts the script of each.
func (r *run) begin(s *fleet.Script) {
	all, err := r.readServers(s)
	if err != nil {
		r.blame(err, r.LabelSelector != "")
		return
	}
	chosen := choose(r.Settings, all)
	if r.Shutdown != Never {
		_ = s.Send(func(ctx context.Context) (hetzner.Quota, error) { // answered within a second
			r.self = r.api.Self(ctx)
			return hetzner.Quota{}, nil
		})
	}
	isOff := func(host hetzner.Server) bool { return host.Status == hetzner.StatusOff }
	var earlier, marked map[int64]hetzner.Image // the newest snapshots of earlier attempts; and of runs with a shutdown
	if len(r.EarlierRuns) > 0 {
		selector := fmt.Sprintf("%s=%s,%s in (%s)", LabelSeries, r.Series, LabelRun, strings.Join(r.EarlierRuns, ","))
		earlier, err = r.newest(s, selector, func(image hetzner.Image) bool {
			return image.Available() && image.Labels[LabelSeries] == r.Series && image.Labels[LabelRepository] == r.Repository &&
				slices.Contains(r.EarlierRuns, image.Labels[LabelRun])
		})
	}
	if err == nil && r.Shutdown != Never && slices.ContainsFunc(chosen.servers, isOff) {
		marked, err = r.newest(s, LabelPower, func(hetzner.Image) bool { return true })
	}
	if err != nil {
		r.blame(err, false)
		return
	}
	r.outcome.Nothing = len(chosen.servers) == 0 && len(chosen.missing) == 0 && r.IfNone == Error
	r.fleet.Pages(r.LabelSelector, all)
	r.tell(Event{Kind: EventSelected, Servers: chosen.servers})
	r.notFound(chosen)
	for _, host := range chosen.servers {
		r.start(host, earlier[host.ID], isOff(host) && marked[host.ID].Labels[LabelPower] == powerPending)
	}
	r.fleet.Go(r.reportProgress)
}

// persist sends a request again as long as again says so of its failure, after pauses that grow, until limit.
func (r *run) persist(s *fleet.Script, limit time.Time, again func(*hetzner.Error) bool, send fleet.Request) error {
	for n := 1; ; n++ {
		err := s.Send(send)
		failure, failed := errors.AsType[*hetzner.Error](err)
		if !failed || !again(failure) || !r.fleet.Now().Before(limit) {
			return err
		}
		if err := s.Sleep(fleet.Earliest(limit, r.fleet.Now().Add(retryAfter(n)))); err != nil {
			return err
		}
	}
}

// readServers reads the servers to choose from, once and completely. It goes on for the whole of the lock timeout.
func (r *run) readServers(s *fleet.Script) ([]hetzner.Server, error) {
	var listing hetzner.Listing[hetzner.Server]
	limit := r.fleet.Now().Add(r.LockTimeout)
	again := func(failure *hetzner.Error) bool {
		again := !failure.Final() && !r.fleet.Ending()
		if again {
			r.tell(Event{Kind: EventUnreached, Err: failure, Took: limit.Sub(r.fleet.Now())})
		}
		return again
	}
	for whole := false; !whole; {
		err := r.persist(s, limit, again, func(ctx context.Context) (hetzner.Quota, error) {
			page, quota, err := r.api.ServerPage(ctx, r.LabelSelector, listing.Next())
			if err != nil {
				return quota, err
			}
			if whole, err = listing.Add(page); err != nil { // servers have slid between the pages: begin again
				listing = hetzner.Listing[hetzner.Server]{}
				return quota, &hetzner.Error{Message: err.Error()}
			}
			return quota, nil
		})
		if err != nil {
			return nil, err
		}
	}
	return listing.Items, nil
}

// blame says in the outcome why the project could not be read.
func (r *run) blame(err error, selecting bool) {
	e := hetzner.AsError(err)
	switch {
	case r.fleet.Cancelled(), e.Verdict == hetzner.TokenRefused:
	case e.Verdict == hetzner.Refused && e.Code == hetzner.CodeInvalidInput && selecting:
		r.outcome.Selector = e
	default:
		r.outcome.Down = e
	}
}

// readPrice reads what snapshots cost, once. The run goes on without it.
func (r *run) readPrice(s *fleet.Script) {
	_ = s.Send(func(ctx context.Context) (quota hetzner.Quota, _ error) {
		r.outcome.Price, quota, _ = r.api.SnapshotPrice(ctx)
		return quota, nil
	})
}

// newest returns the newest snapshot that this action made of each server, among those that match a selector and fit.
func (r *run) newest(s *fleet.Script, selector string, fits func(hetzner.Image) bool) (map[int64]hetzner.Image, error) {
	seen, err := s.Watch(fleet.ImagesBy(selector)).Next(0, r.fleet.Now().Add(r.LockTimeout))
	if errors.Is(err, fleet.ErrTimeout) {
		err = &hetzner.Error{Message: "no complete list of the snapshots came"}
	}
	newest := map[int64]hetzner.Image{}
	for _, image := range seen.Images {
		own := made(image, image.CreatedFrom, image.Labels[LabelSeries])
		if own && fits(image) && !image.Created.Before(newest[image.CreatedFrom].Created) {
			newest[image.CreatedFrom] = image
		}
	}
	return newest, err
}

// notFound adds a failed entry for everything that was asked for and is not there, unless the user calls that a warning or
// nothing at all.
func (r *run) notFound(chosen selection) {
	fail := func(name string, pattern bool) {
		result := Result{Name: name, Status: Failed, Reason: NotFound, Pattern: pattern}
		r.tell(Event{Kind: EventFinished, Name: name, Result: &result})
		r.outcome.Results = append(r.outcome.Results, result)
	}
	for _, name := range chosen.missing {
		fail(name, false)
	}
	for _, name := range chosen.empty {
		switch r.IfNone { //nolint:exhaustive // Ignore says nothing
		case Error:
			fail(name, true)
		case Warn:
			r.tell(Event{Kind: EventWarning, Name: name, Reason: NotFound})
		}
	}
	for _, name := range chosen.unused { // excludes
		r.tell(Event{Kind: EventWarning, Name: name})
	}
	if r.IfNone == Warn && len(chosen.servers)+len(chosen.missing)+len(chosen.empty) == 0 {
		r.tell(Event{Kind: EventNothingLeft})
	}
}

// reportProgress is the script that reports the state of the whole when nothing new has happened for a while.
func (r *run) reportProgress(s *fleet.Script) {
	over := func() bool { return r.active == 0 }
	for errors.Is(s.Until(over, r.lastNews.Add(progressEvery)), fleet.ErrTimeout) {
		if r.fleet.Now().Sub(r.lastNews) < progressEvery {
			continue
		}
		var p Progress
		p.Silence, p.Err = r.longSilence()
		for _, s := range r.servers {
			p.Servers = append(p.Servers, Standing{
				Name: s.host.Name, Phase: s.phase, Percent: s.progress, Holder: s.holder, Off: s.power != nil && !s.power.on, Over: s.over,
			})
		}
		r.tell(Event{Kind: EventProgress, Progress: p})
	}
}

// longSilence returns for how long Hetzner has not answered, and what came instead; 0 for less than the time between two
// reports of the progress.
func (r *run) longSilence() (time.Duration, *hetzner.Error) {
	if since, err := r.fleet.Silence(); since >= progressEvery {
		return since, err
	}
	return 0, nil
}
