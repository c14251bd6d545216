package fleet

import (
	"time"

	"github.com/org/hsnap-action/internal/hetzner"
)

// Want is something that a script wants to see.
type Want struct {
	lane  lane
	id    int64  // of a server or an action
	value string // of the label that lane.group is, or ends with; "" for no label
}

// lane is one kind of poll. Of each lane at most one is under way, so that one that hangs delays only its own.
type lane struct {
	kind  kind
	group string // a label selector, where the kind has one
}

type kind int

const (
	byServer    kind = iota + 1 // GET /servers/{id}, or the page of GET /servers that shows several
	labelled                    // GET /servers, by up to 25 values of one label
	byAction                    // GET /actions with up to 25 IDs
	byLabel                     // GET /images, by a label selector and up to 25 values of one label
	underServer                 // GET /servers/{id}/actions
	ownTurn                     // what a script sends itself when it is its turn, see [Script.Poll]
)

// Server is a server by its ID.
func Server(id int64) Want { return Want{lane: lane{kind: byServer}, id: id} }

// LabelledServer is a server by its ID, as long as a label of it has a value that few others have. Missing says no more than that
// no server with this label has this ID.
func LabelledServer(id int64, label, value string) Want {
	return Want{lane: lane{labelled, label}, id: id, value: value}
}

// Action is an action by its ID.
func Action(id int64) Want { return Want{lane: lane{kind: byAction}, id: id} }

// ServerActions are the newest actions of a server that have a status, or all for "".
func ServerActions(server int64, status string) Want {
	return Want{lane: lane{kind: underServer}, id: server, value: status}
}

// Images are the snapshots whose label has this value and that match a label selector ("" for any).
func Images(label, value, selector string) Want {
	if selector != "" {
		label = selector + "," + label
	}
	return Want{lane: lane{byLabel, label}, value: value}
}

// Seen is what a poll showed. Only the fields of its want are set.
type Seen struct {
	Began   time.Time // when the poll was sent; of a listing, its first page
	Date    time.Time // of a listing, by Hetzner's clock; zero where the answer did not say
	Server  *hetzner.Server
	Action  *hetzner.Action
	Actions []hetzner.Action
	Images  []hetzner.Image // a complete listing
	Missing bool            // Hetzner has left out of its answer what was asked for
	gone    error           // Hetzner's answer that it knows no such server
}

// lastPollGrace is how long a poll may take to come that begins after a limit and decides.
const lastPollGrace = 5 * time.Second

// Watch is a row of polls of the same thing.
type Watch struct {
	script *Script
	want   Want
	moot   func() bool
	lasts  bool      // when the run is cancelled a last poll is due at once
	began  time.Time // of the poll that was returned last

	since time.Time // when the next poll was asked for
	due   time.Time
	again time.Time // not before: a poll has failed
	seen  *Seen     // nil until the poll is there
}

// Watch begins a row of polls. It sends nothing.
func (s *Script) Watch(want Want) *Watch { return &Watch{script: s, want: want} }

// Unless makes [Watch.Next] return [ErrMoot] once moot reports true.
func (w *Watch) Unless(moot func() bool) *Watch {
	w.moot = moot
	return w
}

// Lasting lets one last poll be made when the run is cancelled.
func (w *Watch) Lasting() *Watch {
	w.lasts = true
	return w
}

// Next returns what a poll shows that is due after a pause and began after this call. A poll that fails is repeated.
//
// That Hetzner knows no such server is an [*hetzner.Error] with the code not_found.
//
// No limit ends a row unseen: when it is over, a last poll that begins after it decides, if one comes within 5 s. Only
// the call after that, or no such poll, is an [ErrTimeout]. A zero limit is none.
func (w *Watch) Next(pause time.Duration, limit time.Time) (Seen, error) {
	f := w.script.Fleet
	switch {
	case reached(limit, w.began):
		return Seen{}, ErrTimeout // the last poll has decided
	case w.lasts && f.Cancelled() && !w.began.Before(f.cancelled):
		return Seen{}, ErrCancelled
	}
	w.since, w.due, w.again, w.seen = f.now, f.now.Add(pause), time.Time{}, nil
	wait := wait{ready: w.script.once(func() bool { return w.seen != nil }), moot: w.moot}
	if w.lasts {
		wait.grace = cancelLimit
	}
	if !limit.IsZero() {
		limit = Latest(limit, f.now)
		w.due, wait.limit = Earliest(w.due, limit), limit.Add(lastPollGrace)
	}
	f.polls.asked = append(f.polls.asked, w)
	err := w.script.until(wait)
	f.polls.drop(w)
	if err != nil {
		return Seen{}, err
	}
	w.began = w.seen.Began
	return *w.seen, w.seen.gone
}

// Until polls, at once and then after every pause, until seen reports true.
func (w *Watch) Until(every time.Duration, limit time.Time, seen func(Seen) bool) error {
	for pause := time.Duration(0); ; pause = every {
		if shown, err := w.Next(pause, limit); err != nil || seen(shown) {
			return err
		}
	}
}

// VanishedAfter is how many polls in a row must lack an action, or an image, before it counts as gone.
const VanishedAfter = 3

// actionPause returns when a running action is polled next: after part of the time that its percentage says is left, or of
// its age, within bounds that keep the promise to notice its end.
func actionPause(progress int, age time.Duration) time.Duration {
	pause := min(max(age/20, 2500*time.Millisecond), 5500*time.Millisecond)
	if progress > 0 && progress < 100 {
		left := age * time.Duration(100-progress) / time.Duration(progress)
		pause = min(pause, max(left/2, 2*time.Second))
	}
	return pause
}

// Follow waits for the end of an action that was accepted at a time, and returns it; nil where Hetzner denies an action that
// it has named. It reports the percentage after each poll.
func (s *Script) Follow(action int64, accepted, limit time.Time, progress func(percent int)) (*hetzner.Action, error) {
	pause, unseen := actionPause(0, 0), 0
	for watch := s.Watch(Action(action)); ; {
		seen, err := watch.Next(pause, limit)
		switch {
		case err != nil:
			return nil, err
		case seen.Missing:
			if unseen++; unseen == VanishedAfter {
				return nil, nil //nolint:nilnil // there is no such action, and that is no failure
			}
		case seen.Action.Running():
			unseen = 0
			progress(seen.Action.Progress)
			pause = actionPause(seen.Action.Progress, s.now.Sub(accepted))
		default:
			return seen.Action, nil
		}
	}
}
