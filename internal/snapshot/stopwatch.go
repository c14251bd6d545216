package snapshot

import "time"

// stopwatch adds up the time during which it runs.
type stopwatch struct {
	total time.Duration
	since time.Time // zero while it is stopped
}

func (s *stopwatch) start(now time.Time) {
	if s.since.IsZero() {
		s.since = now
	}
}

func (s *stopwatch) stop(now time.Time) {
	s.total, s.since = s.elapsed(now), time.Time{}
}

func (s *stopwatch) elapsed(now time.Time) time.Duration {
	if s.since.IsZero() {
		return s.total
	}
	return s.total + now.Sub(s.since)
}

// reaches returns when the stopwatch will show d; the zero time while it is stopped.
func (s *stopwatch) reaches(d time.Duration) time.Time {
	if s.since.IsZero() {
		return time.Time{}
	}
	return s.since.Add(d - s.total)
}
