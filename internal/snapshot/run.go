package snapshot

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/org/hsnap-action/internal/hetzner"
)

// Run takes the snapshots that the settings ask for and returns what became of each server. It calls emit for every
// event, from its own goroutine, and has no goroutine left when it returns. The first signal cancels the run in good
// order within 5 s, the second ends it at once.
func Run(ctx context.Context, api *hetzner.Client, settings Settings, signals <-chan os.Signal, emit func(Event)) Outcome {
	ctx, cancel := context.WithCancel(ctx)
	s := &shell{api: api, settings: settings, signals: signals, emit: emit, answers: make(chan answer)}
	defer s.flights.Wait()
	defer cancel()

	outcome := Outcome{DryRun: settings.DryRun}
	self := s.self(ctx)
	all, err := s.listServers(ctx)
	found := findings{pages: map[int64]int{}}
	for i, server := range all.Items {
		found.pages[server.ID] = i/hetzner.PerPage + 1
	}
	listed := err == nil
	if listed && len(settings.EarlierRuns) > 0 {
		found.reuse, err = s.earlier(ctx)
	}
	chosen := choose(settings, all.Items)
	if err == nil {
		found.servers = chosen.servers
		found.off, err = s.leftOff(ctx, chosen.servers)
	}
	if err != nil {
		if s.signal != nil {
			emit(Event{Kind: EventCancelled, At: time.Now()})
		}
		outcome.blame(err, s.signal, !listed && settings.LabelSelector != "")
		return outcome
	}

	outcome.Nothing = len(chosen.servers) == 0 && len(chosen.missing) == 0 && settings.IfNone == Error
	found.self, found.looks = <-self, int(s.imageReads.Load())
	f := newFleet(settings, found, time.Now())
	s.tell(f)
	missing := s.notFound(chosen)
	s.drive(ctx, f)

	outcome.Results = append(f.results(), missing...)
	slices.SortStableFunc(outcome.Results, func(a, b Result) int { return strings.Compare(a.Name, b.Name) })
	outcome.Token, outcome.Price = f.token, f.looks.price.known
	outcome.Signal = s.signal
	return outcome
}

// Rescue switches the servers on that a run, killed since, may have left off. It is otherwise as [Run]: of the settings
// only those about power matter.
func Rescue(ctx context.Context, api *hetzner.Client, settings Settings, left []Recorded, signals <-chan os.Signal, emit func(Event)) Outcome {
	ctx, cancel := context.WithCancel(ctx)
	s := &shell{api: api, settings: settings, signals: signals, emit: emit, answers: make(chan answer)}
	defer s.flights.Wait()
	defer cancel()
	f := newRescue(settings, left, time.Now())
	s.drive(ctx, f)
	return Outcome{Results: f.results(), Token: f.token, Signal: s.signal}
}

// shell does the fleet's I/O.
type shell struct {
	api      *hetzner.Client
	settings Settings
	signals  <-chan os.Signal
	signal   os.Signal // the first that came
	emit     func(Event)
	answers  chan answer
	flights  sync.WaitGroup

	imageReads atomic.Int64 // pages of images asked for before the fleet begins
}

// drive is the one loop: it sends what the fleet plans, and waits for an answer, a signal, or the time that the
// fleet wants to be woken at.
func (s *shell) drive(ctx context.Context, f *fleet) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case signal := <-s.signals: // before anything new is planned
			s.interrupt(f, signal)
		default:
		}
		requests, wake := f.plan(time.Now())
		s.tell(f)
		if len(requests) == 1 && requests[0].op == opRecord { // also before the end: what is on again must not stand there
			f.apply(answer{request: requests[0], err: s.record(requests[0].off)}, time.Now())
			continue
		}
		if f.done() {
			return
		}
		for _, r := range requests {
			s.send(ctx, r)
		}
		timer.Reset(time.Until(wake))
		select {
		case a := <-s.answers:
			f.apply(a, time.Now())
		case signal := <-s.signals:
			s.interrupt(f, signal)
		case <-timer.C:
		}
	}
}

// record notes which servers may be off because of this run.
func (s *shell) record(off []Recorded) error {
	if s.settings.Record == nil {
		return nil
	}
	return s.settings.Record(off)
}

// self asks which server this program runs on, while the servers are listed. It answers within a second.
func (s *shell) self(ctx context.Context) <-chan int64 {
	id := make(chan int64, 1)
	if s.settings.Shutdown == Never {
		id <- 0
		return id
	}
	s.flights.Go(func() { id <- s.api.Self(ctx) })
	return id
}

// interrupt cancels the run at the first signal, and ends it at the second.
func (s *shell) interrupt(f *fleet, signal os.Signal) {
	if s.signal != nil {
		f.abort(time.Now())
		return
	}
	s.signal = signal
	f.cancel(time.Now())
}

func (s *shell) tell(f *fleet) {
	for _, event := range f.drain() {
		s.emit(event)
	}
}

// send lets a request run in a goroutine of its own, so that one that hangs delays no other.
func (s *shell) send(ctx context.Context, r request) {
	s.flights.Go(func() {
		a := s.ask(ctx, r)
		select {
		case s.answers <- a:
		case <-ctx.Done():
		}
	})
}

func (s *shell) ask(ctx context.Context, r request) answer {
	a := answer{request: r}
	switch r.op {
	case opListServers:
		a.servers, a.quota, a.err = s.api.ServerPage(ctx, r.selector, r.page)
	case opServer:
		a.found, a.quota, a.err = s.api.Server(ctx, r.server)
	case opActions:
		a.actions, a.quota, a.err = s.api.Actions(ctx, r.ids)
	case opServerActions:
		a.actions, a.quota, a.err = s.api.ServerActions(ctx, r.server, r.status)
	case opPrice:
		a.price, a.quota, a.err = s.api.SnapshotPrice(ctx)
	case opListImages:
		a.images, a.quota, a.err = s.api.ImagePage(ctx, r.selector, r.page)
	case opCreate:
		a.imageID, a.action, a.quota, a.err = s.api.CreateImage(ctx, r.server, r.image)
	case opShutdown:
		a.action, a.quota, a.err = s.api.Shutdown(ctx, r.server)
	case opPowerOff:
		a.action, a.quota, a.err = s.api.PowerOff(ctx, r.server)
	case opPowerOn:
		a.action, a.quota, a.err = s.api.PowerOn(ctx, r.server)
	case opMark:
		a.quota, a.err = s.api.SetLabels(ctx, r.imageID, r.image.Labels)
	case opProtect:
		a.action, a.quota, a.err = s.api.Protect(ctx, r.imageID)
	case opListSeries:
		a.images, a.quota, a.err = s.api.ImagePage(ctx, r.selector, r.page)
	case opDelete:
		a.quota, a.err = s.api.DeleteImage(ctx, r.imageID)
	case opRecord: // goes nowhere: the loop does that itself
	}
	return a
}

// listServers reads the servers to choose from, once and completely.
func (s *shell) listServers(ctx context.Context) (hetzner.Listing[hetzner.Server], error) {
	return persist(ctx, s, func(ctx context.Context) (hetzner.Listing[hetzner.Server], error) {
		return readAll(func(page int) (hetzner.Page[hetzner.Server], hetzner.Quota, error) {
			return s.api.ServerPage(ctx, s.settings.LabelSelector, page)
		})
	})
}

// listImages reads the snapshots that match a label selector, once and completely.
func (s *shell) listImages(ctx context.Context, selector string) (hetzner.Listing[hetzner.Image], error) {
	return persist(ctx, s, func(ctx context.Context) (hetzner.Listing[hetzner.Image], error) {
		return readAll(func(page int) (hetzner.Page[hetzner.Image], hetzner.Quota, error) {
			s.imageReads.Add(1)
			return s.api.ImagePage(ctx, selector, page)
		})
	})
}

// earlier returns the newest available snapshot of each server that an earlier attempt of this run has made.
func (s *shell) earlier(ctx context.Context) (map[int64]hetzner.Image, error) {
	listing, err := s.listImages(ctx,
		fmt.Sprintf("%s=%s,%s in (%s)", LabelSeries, s.settings.Series, LabelRun, strings.Join(s.settings.EarlierRuns, ",")))
	newest := map[int64]hetzner.Image{}
	for _, image := range listing.Items {
		own := image.Available() && made(image, image.CreatedFrom, s.settings.Series) &&
			slices.Contains(s.settings.EarlierRuns, image.Labels[LabelRun])
		if own && !image.Created.Before(newest[image.CreatedFrom].Created) {
			newest[image.CreatedFrom] = image
		}
	}
	return newest, err
}

// leftOff returns which of the servers an earlier run has switched off and never saw running again: they are off, and
// their newest snapshot says so.
func (s *shell) leftOff(ctx context.Context, servers []hetzner.Server) (map[int64]bool, error) {
	off := map[int64]bool{}
	for _, server := range servers {
		if server.Status == statusOff {
			off[server.ID] = true
		}
	}
	if s.settings.Shutdown == Never || len(off) == 0 {
		return nil, nil
	}
	listing, err := s.listImages(ctx, LabelPower)
	newest := map[int64]hetzner.Image{}
	for _, image := range listing.Items {
		id := image.CreatedFrom
		if off[id] && made(image, id, image.Labels[LabelSeries]) && !image.Created.Before(newest[id].Created) {
			newest[id] = image
		}
	}
	left := map[int64]bool{}
	for id, image := range newest {
		left[id] = image.Labels[LabelPower] == powerPending
	}
	return left, err
}

// readAll reads a listing's pages until it is whole.
func readAll[T hetzner.Resource](read func(page int) (hetzner.Page[T], hetzner.Quota, error)) (hetzner.Listing[T], error) {
	var listing hetzner.Listing[T]
	for {
		page, _, err := read(listing.Next())
		if err != nil {
			return listing, err
		}
		if whole, err := listing.Add(page); whole || err != nil {
			return listing, err
		}
	}
}

var errSignal = errors.New("cancelled")

// persist reads something that the run can't begin without, again and again for the whole of the lock timeout.
func persist[T any](ctx context.Context, s *shell, read func(context.Context) (T, error)) (T, error) {
	type outcome struct {
		value T
		err   error
	}
	var none T
	start, told, pause := time.Now(), time.Time{}, time.Second
	for {
		answered := make(chan outcome, 1)
		s.flights.Go(func() {
			value, err := read(ctx)
			answered <- outcome{value, err}
		})
		var o outcome
		select {
		case o = <-answered:
		case s.signal = <-s.signals:
			return none, errSignal
		}
		left := s.settings.LockTimeout - time.Since(start)
		if o.err == nil || final(o.err) || left <= 0 {
			return o.value, o.err
		}
		if now := time.Now(); now.Sub(told) >= progressEvery {
			s.emit(Event{Kind: EventUnreached, At: now, Err: hetzner.AsError(o.err), Took: left})
			told = now
		}
		select {
		case <-time.After(min(pause, left)):
		case s.signal = <-s.signals:
			return none, errSignal
		}
		pause = min(2*pause, 10*time.Second)
	}
}

// final reports whether reading again can't help.
func final(err error) bool {
	e := hetzner.AsError(err)
	switch e.Verdict {
	case hetzner.TokenRefused, hetzner.Refused:
		return true
	case hetzner.Lost, hetzner.NotSent, hetzner.NotNow, hetzner.Full:
	}
	// A redirect, or a refusal that is not Hetzner's: the endpoint is wrong, or a proxy is in the way. Two such
	// statuses mean that it may work later.
	return e.Code == "" && e.Status >= 300 && e.Status < 500 && e.Status != http.StatusRequestTimeout && e.Status != http.StatusTooManyRequests
}

// blame says in the outcome why the servers could not be listed.
func (o *Outcome) blame(err error, signal os.Signal, selecting bool) {
	e := hetzner.AsError(err)
	switch {
	case errors.Is(err, errSignal):
		o.Signal = signal
	case e.Verdict == hetzner.TokenRefused:
		o.Token = e
	case e.Verdict == hetzner.Refused && e.Code == "invalid_input" && selecting:
		o.Selector = e
	default:
		o.Down = e
	}
}

// notFound returns a failed entry for everything that was asked for and is not there, unless the user calls that a
// warning or nothing at all.
func (s *shell) notFound(chosen selection) []Result {
	var results []Result
	fail := func(name string, pattern bool) {
		r := Result{Name: name, Status: Failed, Reason: NotFound, Pattern: pattern}
		s.emit(Event{Kind: EventFinished, At: time.Now(), Name: name, Result: &r})
		results = append(results, r)
	}
	warn := func(name string, reason Reason) {
		s.emit(Event{Kind: EventWarning, At: time.Now(), Name: name, Reason: reason})
	}
	for _, name := range chosen.missing {
		fail(name, false)
	}
	for _, name := range chosen.empty {
		switch s.settings.IfNone { //nolint:exhaustive // Ignore says nothing
		case Error:
			fail(name, true)
		case Warn:
			warn(name, NotFound)
		}
	}
	for _, name := range chosen.unused {
		warn(name, "") // an exclude
	}
	if s.settings.IfNone == Warn && len(chosen.servers)+len(chosen.missing)+len(chosen.empty) == 0 {
		s.emit(Event{Kind: EventNothingLeft, At: time.Now()})
	}
	return results
}
