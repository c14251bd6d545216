package restore

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/org/hsnap-action/internal/fleet"
	"github.com/org/hsnap-action/internal/hetzner"
	"github.com/org/hsnap-action/internal/labels"
	"github.com/org/hsnap-action/internal/project"
	"github.com/org/hsnap-action/internal/snapshot"
)

// serversPerList is for how many servers one list asks for the snapshots.
const serversPerList = 25

// run is what the scripts of a run share.
type run struct {
	Settings
	*snapshot.Session
	emit    func(Event)
	taker   *snapshot.Taker
	servers []*server
	outcome Outcome
}

// Run restores what the settings ask for and returns what became of each server. It calls emit for every event, from its own
// goroutine, and has no goroutine left when it returns. The first signal cancels the run in good order within 5 s, the second
// ends it at once.
func Run(ctx context.Context, api *hetzner.Client, settings Settings, signals <-chan os.Signal, emit func(Event)) Outcome {
	r := &run{Settings: settings, emit: emit}
	r.Session = snapshot.NewSession(api, signals, settings.Late, func(e snapshot.Event) {
		if e.Kind != snapshot.EventEnded && e.Kind != snapshot.EventFinished { // what became of the snapshot of before is told here
			emit(Event{Event: e})
		}
	})
	r.outcome.DryRun = settings.DryRun
	r.Go(r.begin)
	r.Run(ctx, &r.outcome.Outcome)
	for _, s := range r.servers {
		r.outcome.Restores = append(r.outcome.Restores, s.result)
	}
	return r.outcome
}

func (r *run) tell(e Event) {
	e.At = r.News()
	r.emit(e)
}

// begin is the script that reads the project, checks every pair and, where all are right, starts the script of each server.
func (r *run) begin(s *fleet.Script) {
	read := r.Reader(s, s.Now().Add(r.Before.LockTimeout))
	all, err := read.Servers("")
	var pairs []pair
	if err == nil {
		pairs, err = r.pairs(read, all)
	}
	if err != nil {
		r.outcome.Blame(r.Fleet, err, false)
		return
	}
	r.outcome.HasRead = true
	for _, p := range pairs {
		r.outcome.Refused = append(r.outcome.Refused, p.mistakes...)
	}
	if len(r.outcome.Refused) > 0 {
		return
	}
	r.taker = snapshot.NewTaker(r.Session, r.Before, all)
	var results []Result
	for _, p := range pairs {
		s := &server{run: r, host: p.host, target: r.taker.Target(p.host)}
		s.result = Result{Image: p.image, Age: p.age, Result: snapshot.Result{Name: p.host.Name, Server: p.host, ImageID: p.image.ID}}
		r.servers, results = append(r.servers, s), append(results, s.result)
		r.Go(s.begin)
	}
	r.tell(Event{Kind: EventChecked, Results: results})
	r.ReportOn(r.standings)
}

// pairs finds for each server that is named what it is put back to, ordered by name, and what speaks against it.
func (r *run) pairs(read project.Reader, all []hetzner.Server) ([]pair, error) {
	byName := map[string][]hetzner.Server{}
	for _, host := range all {
		byName[host.Name] = append(byName[host.Name], host)
	}
	var ids []string
	for name := range maps.Keys(r.Images) {
		for _, host := range byName[name] {
			ids = append(ids, strconv.FormatInt(host.ID, 10))
		}
	}
	slices.Sort(ids)
	var images []hetzner.Image
	var date time.Time
	for some := range slices.Chunk(ids, serversPerList) {
		list, at, err := read.Images(fmt.Sprintf("%s in (%s)", labels.ServerID, strings.Join(some, ",")))
		if err != nil {
			return nil, err
		}
		images, date = append(images, list...), at
	}
	self, err := read.Self()
	if err != nil {
		return nil, err
	}
	var pairs []pair
	for _, name := range slices.Sorted(maps.Keys(r.Images)) {
		p := pair{run: r, name: name, choice: r.Images[name], date: date, self: self}
		p.findServer(byName[name], all)
		p.findImage(images)
		if p.isUnknown() { // then it is to be said what it is instead
			if p.image, err = read.Image(p.choice.Image); err != nil && !hetzner.IsNotFound(err) {
				return nil, err
			}
		}
		p.check()
		pairs = append(pairs, p)
	}
	return pairs, nil
}

// standings are where the servers are at.
func (r *run) standings() (list []snapshot.Standing) {
	for _, s := range r.servers {
		standing := s.target.Standing()
		standing.Over, standing.Off, standing.Failed = s.over(), s.switching, s.result.Failed()
		list = append(list, standing)
	}
	return list
}
