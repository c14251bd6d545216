package snapshot

import (
	"slices"
	"time"
)

const (
	// foresightMost keeps the promise to notice every end within 10 s, whatever the percentages are worth.
	foresightMost = 7 * time.Second
	// foresightLeast is the shortest pause between two looks at the same action.
	foresightLeast = time.Second
	// foresightStep is how far into the time in which the end is foreseen the next look goes; recallStep is the same
	// where it is foreseen by earlier snapshots, which make the end more likely in the middle than percentages do.
	foresightStep = 2500 * time.Millisecond
	recallStep    = 1500 * time.Millisecond
	// foresightError is how far percentages that are in proportion to the time may be off.
	foresightError = time.Second
	// recallError is by how much, in percent, a snapshot may well be quicker or slower than earlier ones of its server. Of a
	// long one no more than recallNear of that is watched closely, since the budget would not last.
	recallError = 4
	recallNear  = 20 * time.Second
	// recallMost is how many of a server's last snapshots count.
	recallMost = 3
)

// foresight is when an action will end, as its percentages foretell it. Hetzner gives whole percents, rounded down, and
// says nothing about how they come about. If they are in proportion to the time, each of them bounds the end from both
// sides, and many bound it closely; once they contradict each other or the clock they are not believed any more. Then the
// last snapshots of the same server tell: the new one will take about as long as they did.
type foresight struct {
	from, to          time.Time // the action began between these
	least, most       time.Time // it ends between these, by its percentages; zero while nothing is known
	fooled            bool
	shortest, longest time.Duration // of the server's last snapshots; zero while nobody knows
}

// saw takes in that the action was still running at a percentage, by a look begun and answered at these times.
func (s *foresight) saw(percent int, began, answered time.Time) {
	if percent <= 0 || percent >= 100 {
		return // no news: it may begin late, or not count at all
	}
	// It began at b, and at the time t was so far that percent <= 100 (t-b)/(end-b) < percent+1.
	most := s.from.Add(answered.Sub(s.from) * 100 / time.Duration(percent))
	least := s.to.Add(began.Sub(s.to) * 100 / time.Duration(percent+1))
	if s.most.IsZero() {
		s.least, s.most = least, most
	}
	s.least, s.most = latest(s.least, least), earliest(s.most, most)
	s.fooled = s.fooled || s.least.After(s.most.Add(foresightError)) || began.After(s.most.Add(foresightError))
}

// recall takes in how long the server's snapshots took before, the last one first.
func (s *foresight) recall(took []time.Duration) {
	if took = took[:min(len(took), recallMost)]; len(took) > 0 {
		s.shortest, s.longest = slices.Min(took), slices.Max(took)
	}
}

// blind reports whether the percentages tell nothing.
func (s *foresight) blind() bool { return s.fooled || s.most.IsZero() }

// bounds returns between which times the end is foreseen; most is zero while nothing is foreseen.
func (s *foresight) bounds(now time.Time) (least, most time.Time, step time.Duration) {
	if !s.blind() {
		return s.least, s.most, foresightStep
	}
	least = s.from.Add(s.shortest - min(s.shortest*recallError/100, recallNear))
	most = s.to.Add(s.longest + min(s.longest*recallError/100, recallNear) + foresightError) // Hetzner gives whole seconds
	if s.longest == 0 || now.After(most) {
		return time.Time{}, time.Time{}, 0
	}
	return least, most, recallStep
}

// next returns when to look again after now; usual is the pause when nothing is foreseen. Looks are spread evenly up to
// the end, so that the last one comes just after it.
func (s *foresight) next(now time.Time, usual time.Duration) time.Time {
	least, most, step := s.bounds(now)
	if most.IsZero() {
		return now.Add(usual)
	}
	left := earliest(most, latest(least, now).Add(step)).Sub(now)
	pause := foresightMost
	if s.blind() && now.After(s.from.Add(s.shortest-s.shortest*recallError/100)) { // the end is not near yet, but no surprise
		pause = usual
	}
	looks := max(1, (left+pause-1)/pause)
	return now.Add(max(left/looks, foresightLeast))
}

// ripe reports whether the end is foreseen and may have come at the given time.
func (s *foresight) ripe(at time.Time) bool {
	least, most, _ := s.bounds(at)
	return !most.IsZero() && !least.After(at)
}
