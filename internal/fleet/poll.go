package fleet

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/org/hsnap-action/internal/hetzner"
)

const (
	// failedPause is how long after a poll that failed the next one of the same is due.
	failedPause = 3 * time.Second
	// overdue is how long the polls of actions and of labelled servers wait for others at most: one shows 25 of them, and their end
	// is noticed in time however many pages of servers, or single resources, are polled.
	overdue = 8 * time.Second
	// valuesPerPoll is how many values of a label one listing asks for: few enough for any limit of a URL's length, and
	// for one page of answers.
	valuesPerPoll = 25
)

// polls are what the scripts want to see, and the polls under way.
type polls struct {
	asked    []*Watch // whose next poll is waited for
	under    map[lane]bool
	listings map[lane]*listing
	pages    map[int64]int // by server: the page of the listing that shows it
	selector string        // of that listing
}

// listing is a list of images that is read page by page. A page that fails is asked for again.
type listing struct {
	hetzner.Listing[hetzner.Image]
	values []string // of the label
	began  time.Time
	due    time.Time
	over   bool // it is whole, or can't become so
}

// Pages says on which pages of the listing of servers that match a label selector the servers are, so that one poll can
// show several.
func (f *Fleet) Pages(selector string, servers []hetzner.Server) {
	f.polls.selector = selector
	for i, server := range servers {
		f.polls.pages[server.ID] = i/hetzner.PerPage + 1
	}
}

// drop ends a script's wait to see something. A listing that nobody waits for any more is not read on.
func (p *polls) drop(w *Watch) {
	p.asked = slices.DeleteFunc(p.asked, func(other *Watch) bool { return other == w })
	if !slices.ContainsFunc(p.asked, func(other *Watch) bool { return other.want.lane == w.want.lane }) {
		delete(p.listings, w.want.lane)
	}
}

// dueAt returns when what a script wants to see is due.
func (f *Fleet) dueAt(w *Watch) time.Time {
	l := f.polls.listings[w.want.lane]
	switch {
	case l != nil:
		return l.due
	case w.lasts && f.Cancelled():
		return Latest(f.cancelled, w.again)
	}
	return Latest(w.due, w.again)
}

// inLane returns those who wait to see something in a lane that fits, the one that is due longest first.
func (f *Fleet) inLane(lane lane, fits func(Want) bool) []*Watch {
	some := slices.DeleteFunc(slices.Clone(f.polls.asked), func(w *Watch) bool {
		return w.seen != nil || w.want.lane != lane || !fits(w.want)
	})
	slices.SortStableFunc(some, func(a, b *Watch) int { return f.dueAt(a).Compare(f.dueAt(b)) })
	return some
}

// nextPoll returns what to poll next, and when the budget lets it go; nil while there is nothing. What is due longest comes
// first, but for what shows many and is overdue. After a cancel the places that are kept for patient scripts are for their own polls
// too: what they have to change, a poll may have to show first.
func (f *Fleet) nextPoll() (next *Watch, at time.Time) {
	var first time.Time
	for _, w := range f.polls.asked {
		due := f.dueAt(w)
		turn := due
		if kind := w.want.lane.kind; (kind == byAction || kind == labelled) && f.now.Sub(due) > overdue {
			turn = time.Time{}
		}
		if w.seen == nil && !f.polls.under[w.want.lane] && (next == nil || turn.Before(first)) {
			next, at, first = w, due, turn
		}
	}
	if next == nil {
		return nil, time.Time{}
	}
	kept := f.kept()
	if kind := next.want.lane.kind; kept > 0 && f.Cancelled() && (kind == ownTurn || kind == labelled) && next.script.patient {
		kept = lastPoll + nextChange // one of each for whoever comes last
	}
	free := f.pacer.pollAt(f.now, kept, f.Cancelled())
	if free.IsZero() {
		return nil, time.Time{}
	}
	return next, Latest(at, free)
}

// sendPolls sends the polls that are due, the one that is due longest first, as far as the budget goes.
func (f *Fleet) sendPolls() {
	for w, at := f.nextPoll(); w != nil && !at.After(f.now); w, at = f.nextPoll() {
		switch w.want.lane.kind {
		case byServer:
			f.pollServers(w.want)
		case labelled:
			f.pollLabelled(w.want.lane)
		case byAction:
			f.pollActions(w.want)
		case underServer:
			f.pollServerActions(w.want)
		case byLabel:
			f.pollImages(w.want.lane)
		case ownTurn:
			return // its script sends it
		}
	}
}

// pick returns what a poll shows of a want in its lane, and whether it shows it at all.
type pick func(Want) (Seen, bool)

// poll sends one poll for a group and hands what it shows to those who want it. One that began before a script had asked says
// nothing to it: this is the only place where that is judged. What a failed poll was to show is due again after a pause.
func (f *Fleet) poll(group []*Watch, began time.Time, ask func(context.Context) (pick, hetzner.Quota, error)) {
	lane := group[0].want.lane
	f.pacer.poll(f.now)
	f.polls.under[lane] = true
	f.fly(func(ctx context.Context) func() {
		show, quota, err := ask(ctx)
		return func() {
			f.polls.under[lane] = false
			if l := f.polls.listings[lane]; l != nil && l.over {
				delete(f.polls.listings, lane)
			} else if l != nil && err == nil {
				l.due = f.now
			}
			if f.hear(quota, err) != nil {
				pause := failedPause
				if f.Cancelled() { // and little time is left
					pause /= 4
				}
				for _, w := range group {
					w.again = f.now.Add(pause)
				}
				return
			}
			for _, w := range f.polls.asked {
				if w.seen != nil || w.want.lane != lane || began.Before(w.since) {
					continue
				}
				if seen, shown := show(w.want); shown {
					seen.Began, w.seen = began, &seen
				}
			}
		}
	})
}

// orGone returns what a poll of a server shows: also that Hetzner knows no such server is an answer.
func orGone(seen Seen, err error) (Seen, error) {
	if hetzner.IsNotFound(err) {
		return Seen{gone: err}, nil
	}
	return seen, err
}

// pollServers polls a server, or the page of the listing that shows it and others that scripts want to see.
func (f *Fleet) pollServers(want Want) {
	pages, page := f.polls.pages, f.polls.pages[want.id]
	group := f.inLane(want.lane, func(w Want) bool { return w.id == want.id || page != 0 && pages[w.id] == page })
	if len(group) == 1 || page == 0 {
		f.poll(group, f.now, func(ctx context.Context) (pick, hetzner.Quota, error) {
			server, quota, err := f.o.API.Server(ctx, want.id)
			seen, err := orGone(Seen{Server: &server}, err)
			return func(w Want) (Seen, bool) { return seen, w.id == want.id }, quota, err
		})
		return
	}
	f.poll(group, f.now, func(ctx context.Context) (pick, hetzner.Quota, error) {
		p, quota, err := f.o.API.ServerPage(ctx, f.polls.selector, page)
		return func(w Want) (Seen, bool) {
			i := slices.IndexFunc(p.Items, func(s hetzner.Server) bool { return s.ID == w.id })
			switch {
			case i >= 0:
				pages[w.id] = page
				return Seen{Server: &p.Items[i]}, true
			case pages[w.id] == page:
				pages[w.id] = page - 1 // deletions let it slide to the page before; in the end it is polled by itself
			}
			return Seen{}, false
		}, quota, err
	})
}

// pollLabelled polls as many servers as one request shows.
func (f *Fleet) pollLabelled(lane lane) {
	group := f.inLane(lane, func(Want) bool { return true })
	group = group[:min(len(group), valuesPerPoll)]
	values := make([]string, len(group))
	for i, w := range group {
		values[i] = w.want.value
	}
	selector := fmt.Sprintf("%s in (%s)", lane.group, strings.Join(values, ","))
	f.poll(group, f.now, func(ctx context.Context) (pick, hetzner.Quota, error) {
		p, quota, err := f.o.API.ServerPage(ctx, selector, 1)
		return func(w Want) (Seen, bool) {
			i := slices.IndexFunc(p.Items, func(s hetzner.Server) bool { return s.ID == w.id })
			if i < 0 { // or on a page that was not read
				return Seen{Missing: true}, p.Next == 0 && slices.Contains(values, w.value)
			}
			return Seen{Server: &p.Items[i]}, true
		}, quota, err
	})
}

// pollActions polls as many actions as one request shows.
func (f *Fleet) pollActions(want Want) {
	group := f.inLane(want.lane, func(Want) bool { return true })
	group = group[:min(len(group), hetzner.ActionsPerPoll)]
	ids := make([]int64, len(group))
	for i, w := range group {
		ids[i] = w.want.id
	}
	f.poll(group, f.now, func(ctx context.Context) (pick, hetzner.Quota, error) {
		actions, quota, err := f.o.API.Actions(ctx, ids)
		return func(w Want) (Seen, bool) {
			i := slices.IndexFunc(actions, func(a hetzner.Action) bool { return a.ID == w.id })
			if i < 0 {
				return Seen{Missing: true}, slices.Contains(ids, w.id)
			}
			return Seen{Action: &actions[i]}, true
		}, quota, err
	})
}

// pollServerActions polls the actions of one server.
func (f *Fleet) pollServerActions(want Want) {
	same := func(w Want) bool { return w.id == want.id && w.value == want.value }
	f.poll(f.inLane(want.lane, same), f.now, func(ctx context.Context) (pick, hetzner.Quota, error) {
		actions, quota, err := f.o.API.ServerActions(ctx, want.id, want.value)
		seen, err := orGone(Seen{Actions: actions}, err)
		return func(w Want) (Seen, bool) { return seen, same(w) }, quota, err
	})
}

// pollImages polls the next page of a listing of images, and begins one where none is being read. Only the whole listing
// shows anything.
func (f *Fleet) pollImages(lane lane) {
	group := f.inLane(lane, func(Want) bool { return true })
	l := f.polls.listings[lane]
	if l == nil || l.Next() == 1 { // nothing of it has been read
		l = &listing{began: f.now}
		f.polls.listings[lane] = l
		for _, w := range group {
			if !slices.Contains(l.values, w.want.value) && len(l.values) < valuesPerPoll {
				l.values = append(l.values, w.want.value)
			}
		}
	}
	l.due = f.now.Add(failedPause) // where this page fails
	label := lane.group[strings.LastIndex(lane.group, ",")+1:]
	selector := fmt.Sprintf("%s in (%s)", lane.group, strings.Join(l.values, ","))
	f.poll(group, l.began, func(ctx context.Context) (pick, hetzner.Quota, error) {
		page, quota, err := f.o.API.ImagePage(ctx, selector, l.Next())
		whole := false
		if err == nil {
			var slid error // resources have, between the pages: begin again
			whole, slid = l.Add(page)
			l.over = whole || slid != nil
		}
		return func(w Want) (Seen, bool) {
			images := slices.DeleteFunc(slices.Clone(l.Items), func(i hetzner.Image) bool { return i.Labels[label] != w.value })
			return Seen{Images: images, Date: page.At}, whole && slices.Contains(l.values, w.value)
		}, quota, err
	})
}
