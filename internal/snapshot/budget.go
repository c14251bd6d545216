package snapshot

import (
	"slices"
	"time"
)

// The look budget. Hetzner refills one request a second for a whole project; this program takes half of that at most,
// whatever the number of servers: 30 requests in any 60 s. A look counts when it is sent. A create counts when it is
// answered "not now"; until its answer is known a place is kept for it.
const (
	// budgetWindow is a little longer than the minute that the promise speaks of, because a request arrives at
	// Hetzner some time after it is sent, and two that are 60 s apart here can be closer there.
	budgetWindow = 62 * time.Second
	budgetMost   = 30
	// lastSpare is kept for the one last look of a cancelled run.
	lastSpare = 1
	// createSpare is kept for creates, so that a server that has just been seen unlocked does not have to wait until
	// a look leaves the window.
	createSpare = 1
	// What creates of each prospect may take of the budget, in percent, all of them together. The rest is for looks
	// and for creates of a better prospect, so that many servers that refuse without a visible lock can neither blind
	// the watch over the others nor keep them from being asked for.
	poorShare = 20
	fairShare = 50
	goodShare = 70
	// poorStretch is how far apart looks may come to lie for creates that may well be refused, beyond their share.
	poorStretch = 3 * time.Second
	// keepShare is how much of the budget, in percent, is kept at most for the power of servers that are off.
	keepShare = 34
	// createStretch is the longest pause between two looks that a create may cause, so that a burst of them can't use
	// up the minute's places and leave none for looks.
	createStretch = 5 * time.Second
	// idleShare is how much of the budget, in percent, may be used before looks that nobody waits for have to stop.
	idleShare = 70
	// lookGap spreads the looks evenly; lookBurst of them may be sent at once after a pause.
	lookGap   = 2300 * time.Millisecond
	lookBurst = 2
	// A look whose moment is foreseen may go out of its turn, keenGap after the one before, as long as the places that
	// are left then last for a look every keenStretch.
	keenGap     = 900 * time.Millisecond
	keenStretch = 3 * time.Second
)

// budget keeps the rule above. Its zero value is a full budget.
type budget struct {
	spent    []expense // within the window, oldest first
	reserved int       // creates whose answer is not known yet
	kept     int       // servers that are off: when the run is cancelled, each is asked for at once
	low      bool      // the project's own limit is nearly used up: take half
	level    time.Time // the time at which the looks sent so far are paid for, at one a gap
	last     time.Time // when the last look was sent
}

type expense struct {
	at     time.Time
	create bool
}

// most returns how many requests the window may hold.
func (b *budget) most() int {
	if b.low {
		return budgetMost / 2
	}
	return budgetMost
}

// spare returns how many places looks, and tries to switch a server on again, leave for the end of a cancelled run: for
// its last look, and for the power of servers that are off.
func (b *budget) spare() int { return lastSpare + min(b.kept, b.most()*keepShare/100) }

// prune forgets what has left the window.
func (b *budget) prune(now time.Time) {
	b.spent = slices.DeleteFunc(b.spent, func(e expense) bool { return now.Sub(e.at) >= budgetWindow })
}

func (b *budget) creates() int {
	n := b.reserved
	for _, e := range b.spent {
		if e.create {
			n++
		}
	}
	return n
}

// gap returns the time between two looks, which grows with the places that creates take.
func (b *budget) gap() time.Duration {
	left := max(b.most()-lastSpare-max(createSpare, b.creates()), 1)
	return max(lookGap, budgetWindow/time.Duration(left)).Round(time.Millisecond)
}

// free returns when the window has a place again; the zero time means now. ok is false while only the answer to a
// create can tell.
func (b *budget) free(most int) (at time.Time, ok bool) {
	over := len(b.spent) + b.reserved - most
	switch {
	case over < 0:
		return time.Time{}, true
	case over < len(b.spent):
		return b.spent[over].at.Add(budgetWindow), true
	}
	return time.Time{}, false
}

// stretch returns the time between two looks at which the places never run out, neither those that are free now, less
// extra, nor those that become free as expenses leave the window.
func (b *budget) stretch(now time.Time, extra int) time.Duration {
	var gap time.Duration
	free := b.most() - b.spare() - len(b.spent) - b.reserved - extra
	for i, e := range b.spent {
		gap = max(gap, e.at.Add(budgetWindow).Sub(now)/time.Duration(max(free+i+1, 1)))
	}
	return gap
}

// lookAt returns when the next look may be sent; ok is false while only the answer to a create can tell.
func (b *budget) lookAt(now time.Time) (at time.Time, ok bool) {
	b.prune(now)
	at, ok = b.free(b.most() - b.spare() - createSpare)
	return latest(at, latest(b.level.Add(-(lookBurst-1)*b.gap()), b.last.Add(b.stretch(now, 0)))), ok
}

// keenAt returns when the next look may be sent if its moment is foreseen. Long waits whose ends are foreseen take few
// looks; what they save is spent when many of them end.
func (b *budget) keenAt(now time.Time) (at time.Time, ok bool) {
	at, ok = b.lookAt(now)
	if soon, free := b.free(b.most() - b.spare() - createSpare); free && b.stretch(now, 1) <= keenStretch {
		return earliest(at, latest(soon, b.last.Add(keenGap))), true
	}
	return at, ok
}

// idle reports whether the looks that somebody waits for leave room for others.
func (b *budget) idle() bool { return len(b.spent)+b.reserved < b.most()*idleShare/100 }

// look takes one look from the budget.
func (b *budget) look(now time.Time) {
	b.spent, b.last = append(b.spent, expense{at: now}), now
	if b.level.Before(now) {
		b.level = now
	}
	// A burst of keen looks must not keep the others waiting for all that it has taken: stretch sees to that.
	b.level = earliest(b.level.Add(b.gap()), now.Add(lookBurst*b.gap()))
}

// lastLook reports whether the budget still holds the look that is kept for a cancelled run.
func (b *budget) lastLook(now time.Time) bool {
	b.prune(now)
	return len(b.spent)+b.reserved < budgetMost
}

// createAt returns when the next create of a prospect may be sent; ok is false while only the answer to another can
// tell.
func (b *budget) createAt(now time.Time, p prospect) (at time.Time, ok bool) {
	b.prune(now)
	at, ok = b.free(b.most() - lastSpare)
	share := [...]int{poor: poorShare, fair: fairShare, good: goodShare}[p]
	if b.blinds(now, p) {
		at = latest(at, now.Add(lookGap)) // by then a look has gone, or a place is free
	}
	if b.creates() < b.most()*share/100 || p == poor && b.stretch(now, 1) <= poorStretch {
		return at, ok
	}
	for _, e := range b.spent {
		if e.create { // the oldest one makes room for the next
			return latest(at, e.at.Add(budgetWindow)), ok
		}
	}
	return time.Time{}, false
}

// powerAt returns when a power request may be sent: as soon as there is any place, since a server may be off. One that was
// refused before leaves the places that are kept for the end of a cancelled run.
func (b *budget) powerAt(now time.Time, again bool) (at time.Time, ok bool) {
	b.prune(now)
	if again {
		return b.free(b.most() - b.spare())
	}
	return b.free(b.most() - lastSpare)
}

// lastPowerAt is the same for a cancelled run, which may take all places that are left.
func (b *budget) lastPowerAt(now time.Time) (at time.Time, ok bool) {
	b.prune(now)
	return b.free(budgetMost)
}

// blinds reports whether one more create would keep the looks from going on: whether none could follow the last one
// in time or, for a create that may well be refused, whether the places would run out.
func (b *budget) blinds(now time.Time, p prospect) bool {
	longest := createStretch * budgetMost / time.Duration(b.most())
	next, some := b.free(b.most() - lastSpare - createSpare - 1) // of a look, once the create has its place
	if p == poor {
		return !some || next.After(b.last.Add(longest)) || b.stretch(now, 1) > longest
	}
	return !some || next.After(b.last.Add(2*longest))
}

// create keeps a place for a create that is being sent.
func (b *budget) create() { b.reserved++ }

// answered gives the place back, or spends it when the request was not accepted.
func (b *budget) answered(now time.Time, failed bool) {
	b.reserved--
	if failed {
		b.spent = append(b.spent, expense{at: now, create: true})
	}
}
