package snapshot

import (
	"testing"
	"time"
)

// follow looks at an action as foresight says until a look shows its end. It returns how many looks that took, how
// long after the end the last one came, and the longest pause between two of them.
func follow(length, latency time.Duration, percent func(part float64) int, earlier ...time.Duration) (looks int, late, pause time.Duration) {
	sent := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	began := sent.Add(latency / 2)
	s := foresight{from: sent, to: sent.Add(latency)}
	s.recall(earlier)
	at := s.to.Add(actionEvery)
	for last := s.to; ; looks++ {
		pause, last = max(pause, at.Sub(last)), at
		arrives := at.Add(latency / 2)
		if arrives.Sub(began) >= length {
			return looks + 1, arrives.Sub(began) - length, pause
		}
		now := at.Add(latency)
		s.saw(percent(float64(arrives.Sub(began))/float64(length)), at, now)
		at = s.next(now, actionEvery)
	}
}

func TestForesight(t *testing.T) {
	linear := func(part float64) int { return int(100 * part) }
	for _, test := range []struct {
		name    string
		percent func(part float64) int
		late    time.Duration // at most
		share   float64       // of the looks that fixed pauses take, at most
	}{
		{"in proportion", linear, time.Second, 0.7},
		{"stuck", func(float64) int { return 0 }, actionEvery, 1.05},
		{"stuck near the end", func(float64) int { return 99 }, foresightMost, 1.05},
		{"jumping", func(part float64) int { return [...]int{0, 45, 95}[int(3*part)] }, foresightMost, 1.05},
		{"slowing down", func(part float64) int { return int(100 * (1 - (1-part)*(1-part))) }, foresightMost, 1.05},
		{"speeding up", func(part float64) int { return int(100 * part * part) }, foresightMost, 1.05},
		{"backwards", func(part float64) int { return 100 - int(99*part) }, foresightMost, 1.05},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, length := range []time.Duration{10 * time.Second, 61 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour} {
				latency := 200 * time.Millisecond
				looks, late, pause := follow(length, latency, test.percent)
				fixed := int(length/(actionEvery+latency)) + 2
				if late > test.late+latency || float64(looks) > test.share*float64(fixed)+3 || pause > foresightMost+latency {
					t.Errorf("%s: noticed %s late with %d looks, fixed pauses take %d; the longest pause is %s", length, late, looks, fixed, pause)
				}
			}
		})
	}
}

// Where percentages tell nothing the server's last snapshots do, if the new one takes about as long; and if it doesn't,
// nothing is lost.
func TestForesightByEarlierSnapshots(t *testing.T) {
	for name, percent := range map[string]func(part float64) int{
		"stuck":   func(float64) int { return 0 },
		"jumping": func(part float64) int { return [...]int{0, 45, 95}[int(3*part)] },
	} {
		for _, length := range []time.Duration{61 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour} {
			latency := 200 * time.Millisecond
			fixed := int(length/(actionEvery+latency)) + 2
			part := func(percent time.Duration) time.Duration { return length * percent / 100 }
			looks, late, _ := follow(length, latency, percent, part(99), part(101), part(100))
			if late > recallStep+latency || float64(looks) > 0.8*float64(fixed) {
				t.Errorf("%s, %s: noticed %s late with %d looks, fixed pauses take %d", name, length, late, looks, fixed)
			}
			for _, off := range []time.Duration{50, 90, 110, 300} {
				looks, late, pause := follow(length, latency, percent, part(off))
				if late > foresightMost+latency || pause > foresightMost+latency || float64(looks) > 1.25*float64(fixed)+3 {
					t.Errorf("%s, %s, before %d%%: noticed %s late with %d looks, fixed pauses take %d; the longest pause is %s",
						name, length, off, late, looks, fixed, pause)
				}
			}
		}
	}
}
