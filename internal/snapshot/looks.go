package snapshot

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/org/hsnap-action/internal/hetzner"
)

// How often each kind of look is due. Together they ask for a little more than the budget when everything happens at
// once, and the earliest due goes first; the medians that the user is promised follow from half of each.
const (
	serverEvery  = 3100 * time.Millisecond
	serverMore   = 1500 * time.Millisecond // for each further request that it takes to see all watched servers
	actionEvery  = 3700 * time.Millisecond
	actionBeside = 5100 * time.Millisecond // instead, while servers are watched too; most ends are foreseen anyway
	actionYield  = 700 * time.Millisecond  // an end is foreseen, or can wait; nothing but a look tells of an unlocked server
	imageEvery   = 3 * time.Second
	imageBatch   = 5 * time.Second // instead of at once, while more ends are foreseen at any moment: one listing serves many
	lostEvery    = 5 * time.Second

	// A lock whose holder is known can be watched by either. Where the actions are the cheaper look, the servers are
	// a fallback, which costs this much for each request that it takes; where the servers are, the actions are only
	// looked at for the percentage that the progress line shows.
	serverFallback = 15 * time.Second
	holderProgress = 30 * time.Second

	// Who holds a lock is told, but nothing waits for it: when the other looks leave no room, one server after the
	// other has its turn, and one that showed no holder gives way for long.
	holderTurn  = 45 * time.Second
	holderQuick = 6 * time.Second // instead for a lock that is shown, while no snapshot in flight needs looks
	holderAgain = 2 * time.Minute

	// recallAfter is how long a snapshot's percentages may tell nothing before its server's last snapshots are asked for.
	// To ask costs a look for each server; where the end is foreseen one look in 8 s is saved. So the snapshots must last
	// a while yet, and those that have lasted long usually do.
	recallAfter = 20 * time.Second
	recallWorth = 8 * time.Second

	// commandCreateImage is Hetzner's name for the action that makes a snapshot.
	commandCreateImage = "create_image"

	// actionApart is how far an action's start may be from the time at which its image was created.
	actionApart = time.Minute

	// priceTries is how often the price list is asked for before the report does without.
	priceTries = 3

	// lookWidth is how many snapshots one image listing asks for by their request labels: few enough for any limit
	// of a URL's length, and for one page of answers.
	lookWidth = 25
)

// looks are the kinds of look, of each of which at most one is under way, so that one that hangs delays only
// its own kind.
type looks struct {
	servers struct{ under bool }
	actions struct {
		under bool
		last  time.Time
	}
	past struct {
		under  bool
		last   time.Time
		barren int // servers in a row that had no snapshot before
	}
	images struct {
		under    bool
		began    time.Time
		selector string
		covers   []*target
		listing  *hetzner.Listing[hetzner.Image] // nil between two listings
	}
	thin struct {
		under    bool
		began    time.Time
		next     time.Time // when the last page came
		selector string
		covers   []*target
		listing  *hetzner.Listing[hetzner.Image] // nil between two listings
	}
	holders struct {
		under bool
		last  time.Time
	}
	price struct {
		under bool
		tries int
		known hetzner.Price
	}
}

// candidate is a look that could be sent.
type candidate struct {
	due   time.Time
	send  func(now time.Time) request
	yield time.Duration // by how much it lets others go first
	keen  bool          // its moment is foreseen, and nobody waits for an unlocked server, which nothing foretells
}

// candidates returns the looks that are of use and not under way.
func (f *fleet) candidates() []candidate {
	var cs []candidate
	for _, look := range []func() (candidate, bool){f.serverLook, f.actionLook, f.imageLook, f.thinLook, f.holderLook, f.pastLook, f.priceLook} {
		if c, ok := look(); ok {
			cs = append(cs, c)
		}
	}
	return cs
}

// next returns the look to send now: of those that are due the one that is overdue most, less what it yields.
func (f *fleet) next(now time.Time) (candidate, bool) {
	f.budget.prune(now) // some looks are candidates only while the budget is idle
	due := slices.DeleteFunc(f.candidates(), func(c candidate) bool { return c.due.After(now) })
	if len(due) == 0 {
		return candidate{}, false
	}
	return slices.MinFunc(due, func(a, b candidate) int { return a.due.Add(a.yield).Compare(b.due.Add(b.yield)) }), true
}

// lookRequests returns the looks to send now, the earliest due first, as far as the budget goes.
func (f *fleet) lookRequests(now time.Time) []request {
	switch {
	case !f.cancelled.IsZero():
		return f.lastLook(now)
	case f.token != nil:
		return nil
	}
	var requests []request
	for {
		c, some := f.next(now)
		if at, ok := f.lookAt(now, c); !some || !ok || at.After(now) {
			return requests
		}
		r := c.send(now)
		r.began = now
		f.budget.look(now)
		requests = append(requests, r)
	}
}

// lookAt returns when the budget allows a look.
func (f *fleet) lookAt(now time.Time, c candidate) (at time.Time, ok bool) {
	if c.keen {
		return f.budget.keenAt(now)
	}
	return f.budget.lookAt(now)
}

// nextLook returns when the next look may go, or when a keen one may come first.
func (f *fleet) nextLook(now time.Time) (next time.Time, some bool) {
	if f.ending() {
		return time.Time{}, false
	}
	sooner := func(at time.Time, ok bool) {
		if ok && at.After(now) && (!some || at.Before(next)) {
			next, some = at, true
		}
	}
	usual, ok := f.budget.lookAt(now)
	for _, c := range f.candidates() {
		sooner(latest(c.due, usual), ok)
		sooner(c.due, c.keen)
	}
	if c, due := f.next(now); due && c.keen {
		sooner(f.budget.keenAt(now))
	}
	return next, some
}

// looked takes in the answer to a look. A look that failed changes nothing: it is due again at its usual time.
func (f *fleet) looked(a answer, failure *hetzner.Error, now time.Time) {
	switch a.op { //nolint:exhaustive // the others are no looks
	case opListServers:
		f.serversListed(a, failure, now)
	case opServer:
		f.looks.servers.under = false
		if t := f.target(a.server); t != nil && failure == nil {
			f.saw(t, a.found, a.began, now)
		} else if t != nil && failure.Code == hetzner.CodeNotFound {
			f.sawNone(t, failure, a.began, now)
		} else {
			f.keptWaiting(failure, now)
		}
	case opActions:
		f.looks.actions.under = false
		if failure == nil {
			f.actionsSeen(a, now)
		}
	case opServerActions:
		if a.status == hetzner.ActionSucceeded {
			f.pastSeen(a, failure, now)
			return
		}
		f.looks.holders.under = false
		if t := f.target(a.server); t != nil && failure == nil {
			f.serverActionsSeen(t, a.actions, now)
		} else if t != nil && t.snapshot == naming {
			f.named(t, now)
		} else if t != nil && t.snapshot == creating && t.seeking {
			if t.seeks++; failure.Verdict == hetzner.Refused || t.seeks >= vanishedAfter {
				f.sought(t, nil, now)
			}
		}
	case opPrice:
		f.looks.price.under, f.looks.price.known = false, a.price
	case opListImages:
		if a.last {
			f.lastLookSeen(a, failure, now)
		} else {
			f.imagesListed(a, failure, now)
		}
	}
}

// serverLook looks at locks, at power, and at the servers of lost creates: at a page of the listing that shows several
// watched servers, or at one server. A page by itself decides about the servers that it shows, and about no other.
func (f *fleet) serverLook() (candidate, bool) {
	look := &f.looks.servers
	if look.under {
		return candidate{}, false
	}
	var first *target
	for _, t := range f.targets {
		if t.serverWatched() && (first == nil || t.serverDue.Before(first.serverDue)) {
			first = t
		}
	}
	if first == nil {
		return candidate{}, false
	}
	covers := f.beside(first)
	return candidate{due: first.serverDue, send: func(now time.Time) request {
		look.under = true
		for _, t := range covers {
			t.serverDue = f.nextServerLook(t, now)
		}
		if len(covers) == 1 {
			return request{op: opServer, server: first.server.ID}
		}
		return request{op: opListServers, selector: f.settings.LabelSelector, page: first.page}
	}}, true
}

// beside returns the watched servers that are on the same page of the listing as one of them, itself among them.
func (f *fleet) beside(one *target) []*target {
	if one.page == 0 {
		return []*target{one}
	}
	var covers []*target
	for _, t := range f.targets {
		if t.serverWatched() && t.page == one.page {
			covers = append(covers, t)
		}
	}
	return covers
}

// watching reports whether any server is watched that only a look at servers can tell of.
func (f *fleet) watching() bool {
	byAction := f.holdersByAction()
	return slices.ContainsFunc(f.targets, func(t *target) bool {
		return t.powerWatched() || t.watched() && (!byAction || t.holder == nil)
	})
}

// holdersByAction reports whether locks whose holders are known are watched through the holders' actions, since that
// takes fewer requests than the servers do: in a project of many pages, of which few servers are locked.
func (f *fleet) holdersByAction() bool {
	known := 0
	for _, t := range f.targets {
		if t.snapshot == locked && t.holder != nil {
			known++
		}
	}
	return actionCost(known) < f.serverCost()
}

// actionCost returns how many requests it takes to see so many actions.
func actionCost(actions int) int {
	return (actions + hetzner.ActionsPerPoll - 1) / hetzner.ActionsPerPoll
}

// serverCost returns how many requests it takes to see all watched servers.
func (f *fleet) serverCost() int {
	cost, pages := 0, map[int]bool{}
	for _, t := range f.targets {
		if !t.serverWatched() || t.page != 0 && pages[t.page] {
			continue
		}
		pages[t.page] = true
		cost++
	}
	return cost
}

// nextServerLook returns when a target's server is to be looked at after now.
func (f *fleet) nextServerLook(t *target, now time.Time) time.Time {
	switch {
	case t.snapshot == locked && t.holder != nil && !t.powerWatched() && f.holdersByAction():
		return now.Add(serverFallback * time.Duration(f.serverCost()))
	case t.power == lingering && t.cut.until.After(now): // the look that ends the lingering is due when that does
		return earliest(now.Add(f.serverInterval()), t.cut.until)
	}
	return now.Add(f.serverInterval())
}

func (f *fleet) serverInterval() time.Duration {
	return serverEvery + serverMore*time.Duration(max(f.serverCost()-1, 0))
}

// ownInterval returns how long after a look at our own actions the next one is due.
func (f *fleet) ownInterval() time.Duration {
	if f.watching() {
		return actionBeside
	}
	return actionEvery
}

// holderInterval is the same for the actions of those who hold locks.
func (f *fleet) holderInterval() time.Duration {
	if !f.holdersByAction() {
		return holderProgress
	}
	return f.ownInterval()
}

// serversListed takes in one page of the listing of servers.
func (f *fleet) serversListed(a answer, failure *hetzner.Error, now time.Time) {
	f.looks.servers.under = false
	if failure != nil {
		f.keptWaiting(failure, now)
		return
	}
	byID := make(map[int64]hetzner.Server, len(a.servers.Items))
	for _, server := range a.servers.Items {
		byID[server.ID] = server
	}
	for _, t := range f.targets {
		server, ok := byID[t.server.ID]
		switch {
		case ok:
			t.page = a.page
			f.saw(t, server, a.began, now)
		case t.page == a.page && t.serverWatched():
			// Deletions let it slide to the page before. Where that lacks it, too, it may be gone or have lost its label,
			// and in the end it is looked at by itself.
			t.page, t.serverDue = t.page-1, now
		}
	}
}

// saw takes in a look at a server, begun at began.
func (f *fleet) saw(t *target, server hetzner.Server, began, now time.Time) {
	if began.Before(t.lookedAt) {
		return
	}
	if t.lookedAt.IsZero() { // a rescue knows no more than the ID
		t.server.Name, t.result.Name = server.Name, server.Name
	}
	t.lookedAt, t.server.Status, t.server.Locked = began, server.Status, server.Locked
	if t.power == down && server.Status == statusRunning && !began.Before(t.cut.since) {
		f.meddle(t, now)
		f.raise(t, now)
	}
	if t.watched() && !began.Before(t.watchedSince) {
		f.sawLock(t, server, now)
	}
	if t.powerWatched() && !began.Before(t.cut.since) {
		f.sawPower(t, server, now)
	}
}

// sawLock takes in a look at a server whose lock concerns its snapshot.
func (f *fleet) sawLock(t *target, server hetzner.Server, now time.Time) {
	switch {
	case t.snapshot == lost:
		if !server.Locked {
			f.absent(t, now)
		}
	case server.Locked && f.settings.IfLocked != Wait:
		f.leaveLocked(t, now)
	case server.Locked:
		t.shown = true
	case t.shown:
		f.unlock(t, now)
	}
}

// sawNone takes in Hetzner's word that a server does not exist. A lost create of it can't take effect any more.
func (f *fleet) sawNone(t *target, failure *hetzner.Error, began, now time.Time) {
	if t.powerWatched() && !began.Before(t.cut.since) {
		f.gone(t, now)
	}
	if t.snapshot == finished || !t.watched() && t.snapshot != waiting || began.Before(t.watchedSince) {
		return
	}
	t.result.Err = failure
	f.finish(t, Failed, NotFound, now)
}

// actionLook looks at our own actions and at the known holders of locks, those first that were not looked at longest.
func (f *fleet) actionLook() (candidate, bool) {
	if f.looks.actions.under {
		return candidate{}, false
	}
	var watched []*target
	for _, t := range f.targets {
		if t.actionID() != 0 {
			watched = append(watched, t)
		}
	}
	if len(watched) == 0 {
		return candidate{}, false
	}
	slices.SortStableFunc(watched, func(a, b *target) int { return a.actionDue.Compare(b.actionDue) })
	first := watched[0]
	keen := first.snapshot == creating && first.foresight.ripe(first.actionDue) && f.serverCost() == 0
	return candidate{due: first.actionDue, keen: keen, send: func(now time.Time) request {
		f.looks.actions.under, f.looks.actions.last = true, now
		own, holder := f.ownInterval(), f.holderInterval()
		var ids []int64
		for _, t := range watched {
			if id := t.actionID(); !slices.Contains(ids, id) {
				if len(ids) == hetzner.ActionsPerPoll {
					continue
				}
				ids = append(ids, id)
			}
			t.actionDue = now.Add(own)
			if t.snapshot == locked {
				t.actionDue = now.Add(holder)
			}
		}
		return request{op: opActions, ids: ids}
	}, yield: actionYield}, true
}

// actionID returns the action to watch for a target: its own, or that of its lock's holder; 0 for none.
func (t *target) actionID() int64 {
	switch {
	case t.snapshot == creating:
		return t.result.ActionID
	case t.snapshot == locked && t.holder != nil:
		return t.holder.ID
	}
	return 0
}

func (f *fleet) actionsSeen(a answer, now time.Time) {
	for _, t := range f.targets {
		id := t.actionID()
		if id == 0 || !slices.Contains(a.ids, id) {
			continue
		}
		i := slices.IndexFunc(a.actions, func(action hetzner.Action) bool { return action.ID == id })
		switch {
		case i < 0:
			f.actionMissing(t, now)
		case t.snapshot == locked && a.actions[i].Running():
			f.held(t, a.actions[i], now)
		case t.snapshot == locked:
			f.unlock(t, now) // the lock may outlive its action; the create's answer will tell
		case a.actions[i].Running():
			t.progress, t.unseen = a.actions[i].Progress, 0
			t.foresight.saw(t.progress, a.began, now)
			t.actionDue = t.foresight.next(now, f.ownInterval())
		default:
			f.ended(t, a.actions[i], now)
		}
	}
}

// actionMissing takes in that Hetzner does not know an action that it named. If that lasts, the image must tell.
func (f *fleet) actionMissing(t *target, now time.Time) {
	if t.snapshot == locked {
		t.holder = nil
		return
	}
	if t.unseen++; t.unseen >= vanishedAfter {
		f.copied(t, now)
	}
}

// imageLook looks at images by their request labels: lost ones, those whose action has ended, and those that must go.
func (f *fleet) imageLook() (candidate, bool) {
	look := &f.looks.images
	if look.under {
		return candidate{}, false
	}
	if look.listing != nil {
		return candidate{due: look.began, send: f.listImages}, true
	}
	var watched []*target
	for _, t := range f.targets {
		if t.imageWatched() {
			watched = append(watched, t)
		}
	}
	if len(watched) == 0 {
		return candidate{}, false
	}
	slices.SortStableFunc(watched, func(a, b *target) int { return a.imageDue.Compare(b.imageDue) })
	due := watched[0].imageDue
	if watched[0].snapshot == confirming && f.ripe(due) && !f.some(waiting) { // nobody waits for its place
		due = latest(due, look.began.Add(imageBatch))
	}
	return candidate{due: due, send: func(now time.Time) request {
		look.covers = watched[:min(len(watched), lookWidth)]
		look.listing, look.began, look.selector = &hetzner.Listing[hetzner.Image]{}, now, requestSelector(look.covers)
		for _, t := range look.covers {
			every := imageEvery
			if t.snapshot == lost {
				every = lostEvery
			}
			t.imageDue = now.Add(every)
		}
		return f.listImages(now)
	}}, true
}

// ripe reports whether the end of a snapshot is foreseen that may have come at the given time.
func (f *fleet) ripe(at time.Time) bool {
	return slices.ContainsFunc(f.targets, func(t *target) bool { return t.snapshot == creating && t.foresight.ripe(at) })
}

func (f *fleet) listImages(time.Time) request {
	look := &f.looks.images
	look.under = true
	return request{op: opListImages, selector: look.selector, page: look.listing.Next()}
}

// requestSelector selects the images of these targets.
func requestSelector(targets []*target) string {
	values := make([]string, len(targets))
	for i, t := range targets {
		values[i] = t.result.Request
	}
	return fmt.Sprintf("%s in (%s)", LabelRequest, strings.Join(values, ","))
}

func (f *fleet) imagesListed(a answer, failure *hetzner.Error, now time.Time) {
	look := &f.looks.images
	listing := look.listing
	look.under = false
	if failure != nil {
		look.listing = nil
		return
	}
	whole, err := listing.Add(a.images)
	if err != nil {
		look.listing = nil
	}
	if !whole {
		return
	}
	look.listing = nil
	for _, t := range look.covers {
		// What happened to the target while the listing was read, the listing may not know.
		if t.imageWatched() && !look.began.Before(t.imageSince) {
			f.pictured(t, t.own(listing.Items), look.began, now)
		}
	}
}

// own returns the target's image among those listed, nil where it is not.
func (t *target) own(images []hetzner.Image) *hetzner.Image {
	var found *hetzner.Image
	for i, image := range images {
		switch {
		case image.Labels[LabelRequest] != t.result.Request:
		case found == nil, image.ID == t.result.ImageID:
			found = &images[i]
		}
	}
	return found
}

// holderLook looks under one server: for the action that belongs to an adopted image, or for the holder of a lock.
// The latter is only told, so it waits until the other looks are paid for, or for its turn.
func (f *fleet) holderLook() (candidate, bool) {
	look := &f.looks.holders
	if look.under {
		return candidate{}, false
	}
	var first *target
	var due time.Time
	for _, t := range f.targets {
		at := t.holderDue
		switch {
		case t.snapshot == creating && t.seeking, t.snapshot == naming:
		case t.snapshot == locked && t.holder == nil:
			turn := look.last.Add(holderTurn)
			if f.flying() == 0 && t.shown {
				turn = look.last.Add(holderQuick)
			}
			switch {
			case t.holderSought:
				turn = look.last.Add(holderAgain)
			case f.serverCost() > actionCost(f.lockedCount()):
				turn = look.last.Add(2 * lookGap) // the holder's action is by far the cheaper look, once it is known
			}
			if f.budget.idle() && f.budget.level.Before(turn) {
				turn = f.budget.level
			}
			at = latest(at, turn)
		default:
			continue
		}
		if first == nil || at.Before(due) {
			first, due = t, at
		}
	}
	if first == nil {
		return candidate{}, false
	}
	return candidate{due: due, send: func(now time.Time) request {
		look.under = true
		if first.seeking {
			first.holderDue = now.Add(imageEvery)
		} else {
			look.last, first.holderSought = now, true
			first.holderDue = now.Add(holderAgain)
		}
		status := hetzner.ActionRunning
		if first.seeking {
			status = ""
		}
		return request{op: opServerActions, server: first.server.ID, status: status}
	}}, true
}

// pastLook asks how long the last snapshots of a server took, where the percentages of the new one tell nothing. It takes
// the place of a look at the actions, which it makes up for: looks are few until the end is near.
func (f *fleet) pastLook() (candidate, bool) {
	look := &f.looks.past
	if look.under || !f.budget.idle() || f.watching() || look.last.After(f.looks.actions.last) {
		return candidate{}, false
	}
	var first *target
	for _, t := range f.targets {
		// The action of an adopted image was sought under the server before.
		if t.snapshot == creating && t.foresight.blind() && !t.recalled && t.result.ActionID != 0 && t.imageCreated.IsZero() &&
			(first == nil || t.accepted.Before(first.accepted)) {
			first = t
		}
	}
	if first == nil || look.barren == recallMost {
		return candidate{}, false
	}
	others := 0 // that were accepted at about the same time, and will end then
	for _, t := range f.targets {
		if t != first && t.accepted.Sub(first.accepted).Abs() < time.Minute {
			others++
		}
	}
	due := latest(first.accepted.Add(recallAfter+time.Duration(others)*recallWorth), look.last.Add(actionEvery))
	if f.ripe(due) {
		return candidate{}, false // that end comes first
	}
	return candidate{due: due, send: func(now time.Time) request {
		look.under, look.last, first.recalled = true, now, true
		for _, t := range f.targets {
			if t.snapshot == creating && t.foresight.blind() {
				t.actionDue = latest(t.actionDue, now.Add(actionEvery))
			}
		}
		return request{op: opServerActions, server: first.server.ID, status: hetzner.ActionSucceeded}
	}}, true
}

// pastSeen takes in the actions of a server that have succeeded. Without an answer nothing is foreseen, and nobody asks
// again.
func (f *fleet) pastSeen(a answer, failure *hetzner.Error, now time.Time) {
	f.looks.past.under = false
	t := f.target(a.server)
	if failure != nil || t == nil || t.snapshot != creating {
		return
	}
	var took []time.Duration
	for _, action := range a.actions { // the newest come first
		if action.Command == commandCreateImage && action.Succeeded() && action.Finished.After(action.Started) {
			took = append(took, action.Finished.Sub(action.Started))
		}
	}
	if f.looks.past.barren++; len(took) > 0 {
		f.looks.past.barren = 0
	}
	t.foresight.recall(took)
	t.actionDue = earliest(t.actionDue, t.foresight.next(now, actionEvery))
}

// priceLook asks for the price of snapshots, once, in passing: while one is being made and no other look waits. The
// run never waits for it.
func (f *fleet) priceLook() (candidate, bool) {
	look := &f.looks.price
	inTheMaking := func(t *target) bool { return t.snapshot == creating }
	if look.under || look.tries == priceTries || look.known != (hetzner.Price{}) ||
		!f.budget.idle() || !f.settings.Wait || !slices.ContainsFunc(f.targets, inTheMaking) {
		return candidate{}, false
	}
	return candidate{due: f.budget.level, send: func(time.Time) request {
		look.under = true
		look.tries++
		return request{op: opPrice}
	}}, true
}

func (f *fleet) serverActionsSeen(t *target, actions []hetzner.Action, now time.Time) {
	switch {
	case t.snapshot == creating && t.seeking:
		f.sought(t, actions, now)
	case t.snapshot == naming:
		t.holder = holding(actions)
		f.named(t, now)
	case t.snapshot == locked && t.holder == nil:
		if holder := holding(actions); holder != nil {
			f.held(t, *holder, now)
		}
	}
}

// holding returns the action that holds a server's lock, nil where none shows.
func holding(actions []hetzner.Action) *hetzner.Action {
	for _, action := range slices.Backward(actions) { // the newest come first, the oldest holds the lock
		if action.Running() {
			return &action
		}
	}
	return nil
}

func (f *fleet) lockedCount() int {
	n := 0
	for _, t := range f.targets {
		if t.snapshot == locked {
			n++
		}
	}
	return n
}

// held notes who holds a lock, and tells it when it is news.
func (f *fleet) held(t *target, holder hetzner.Action, now time.Time) {
	known := t.holder != nil
	t.holder = &holder
	if !known {
		t.actionDue = now.Add(f.holderInterval())
	}
	if t.heldBy != holder.Command {
		t.heldBy = holder.Command
		f.tellOf(t, Event{Kind: EventHeld, Holder: &holder}, now)
	}
}

// sought takes in the one search for an adopted image's action. Hetzner does not name the image in the action, so it
// is the create_image action of that server that started when the image was created. Without one the image alone
// tells how it goes on.
func (f *fleet) sought(t *target, actions []hetzner.Action, now time.Time) {
	t.seeking = false
	apart := func(a hetzner.Action) time.Duration { return a.Started.Sub(t.imageCreated).Abs() }
	actions = slices.DeleteFunc(slices.Clone(actions), func(a hetzner.Action) bool {
		return a.Command != commandCreateImage || apart(a) > actionApart
	})
	if len(actions) > 0 {
		action := slices.MinFunc(actions, func(a, b hetzner.Action) int { return cmp.Compare(apart(a), apart(b)) })
		t.result.ActionID = action.ID
		t.actionDue = now.Add(actionEvery)
		if !action.Running() {
			f.ended(t, action, now)
		}
	} else {
		f.copied(t, now)
	}
	if !f.settings.Wait && (t.snapshot == creating || t.snapshot == confirming) {
		f.finish(t, Creating, "", now)
	}
}

// lastLook is the one look that a cancelled run takes, once the creates under way are answered or given up: for the
// snapshots of which nobody knows, and for those that may be ready.
func (f *fleet) lastLook(now time.Time) []request {
	var concerned []*target
	for _, t := range f.targets {
		if t.snapshot == asked && now.Sub(f.cancelled) < cancelAsked {
			return nil
		}
		if f.lastLookConcerns(t) {
			concerned = append(concerned, t)
		}
	}
	if f.lastLooked {
		return nil
	}
	f.lastLooked = true
	if len(concerned) == 0 || !f.budget.lastLook(now) {
		f.lastSeen = true
		f.expire(now)
		return nil
	}
	f.budget.look(now)
	return []request{{
		op: opListImages, selector: requestSelector(concerned[:min(len(concerned), hetzner.PerPage)]), page: 1,
		began: now, last: true,
	}}
}

func (f *fleet) lastLookConcerns(t *target) bool {
	return t.snapshot == asked || t.snapshot == lost || t.snapshot == confirming
}

func (f *fleet) lastLookSeen(a answer, failure *hetzner.Error, now time.Time) {
	f.lastSeen = true
	if failure != nil {
		return
	}
	for _, t := range f.targets {
		image := t.own(a.images.Items)
		if image == nil || !f.lastLookConcerns(t) {
			continue
		}
		if t.snapshot == confirming {
			f.pictured(t, image, a.began, now)
			continue
		}
		t.result.ImageID = image.ID
		t.snapshot = creating // known now, so that nothing is left that may still appear
	}
}
