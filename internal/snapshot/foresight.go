package snapshot

import "time"

const (
	// foresightMost keeps the promise to notice every end within 10 s, whatever the percentages are worth.
	foresightMost = 7 * time.Second
	// foresightLeast is the shortest pause between two looks at the same action.
	foresightLeast = time.Second
	// foresightStep is how far into the time in which the end is foreseen the next look goes.
	foresightStep = 2500 * time.Millisecond
	// foresightError is how far percentages that are in proportion to the time may be off.
	foresightError = time.Second
)

// foresight is when an action will end, as its percentages foretell it. Hetzner gives whole percents, rounded down, and
// says nothing about how they come about. If they are in proportion to the time, each of them bounds the end from both
// sides, and many bound it closely; once they contradict each other or the clock they are not believed any more.
type foresight struct {
	from, to    time.Time // the action began between these
	least, most time.Time // it ends between these; zero while nothing is known
	fooled      bool
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

// next returns when to look again after now; usual is the pause when nothing is foreseen. Looks are spread evenly up to
// the end, so that the last one comes just after it.
func (s *foresight) next(now time.Time, usual time.Duration) time.Time {
	if s.fooled || s.most.IsZero() {
		return now.Add(usual)
	}
	left := earliest(s.most, latest(s.least, now).Add(foresightStep)).Sub(now)
	looks := max(1, (left+foresightMost-1)/foresightMost)
	return now.Add(max(left/looks, foresightLeast))
}

// ripe reports whether the end is foreseen and may have come at the given time.
func (s *foresight) ripe(at time.Time) bool {
	return !s.fooled && !s.most.IsZero() && !s.least.After(at)
}
