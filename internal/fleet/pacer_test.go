package fleet

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/org/hsnap-action/internal/hetzner"
)

var (
	errNotNow = &hetzner.Error{Verdict: hetzner.NotNow}
	start     = time.Unix(1_000_000_000, 0)
)

// tryChange sends a change if the pacer has a place for it, and reports whether it had.
func (p *pacer) tryChange(rank Rank, now time.Time, kept int) bool {
	ok := reached(p.changeAt(rank, now, kept), now)
	if ok {
		p.held++
	}
	return ok
}

// tryPoll does the same with a poll.
func (p *pacer) tryPoll(now time.Time, kept int) bool {
	ok := reached(p.pollAt(now, kept, false), now)
	if ok {
		p.poll(now)
	}
	return ok
}

// FuzzPacer sends polls and changes in any order and as fast as the pacer lets them, and counts.
func FuzzPacer(f *testing.F) {
	f.Add(uint64(1), uint8(50), uint8(30), false)
	f.Add(uint64(2), uint8(100), uint8(100), true)
	f.Add(uint64(20), uint8(100), uint8(100), false)
	f.Add(uint64(4), uint8(0), uint8(100), false)
	f.Fuzz(func(t *testing.T, seed uint64, changes, refused uint8, low bool) {
		const step = 3 * time.Second
		dice := rand.New(rand.NewPCG(seed, 0))
		p, now, lastPoll := pacer{low: low}, start, start
		var counted, underWay []time.Time // when they were sent
		for range 400 {
			now = now.Add(time.Duration(dice.Int64N(int64(step))))
			if rank := Rank(dice.IntN(int(Power))); dice.IntN(100) < int(changes) && p.tryChange(rank, now, 0) {
				underWay = append(underWay, now)
			}
			if p.tryPoll(now, 0) {
				counted, lastPoll = append(counted, now), now
			}
			if !low && now.Sub(lastPoll) > window/2+step {
				t.Fatalf("no poll for %s", now.Sub(lastPoll))
			}
			if !reached(p.pollAt(now, 0, true), now) {
				t.Fatal("no place is left for a cancelled run's last poll")
			}
			if len(underWay) == 0 || dice.IntN(2) == 0 {
				continue
			}
			var err error
			if dice.IntN(100) < int(refused) {
				err, counted = errNotNow, append(counted, underWay[0])
			}
			p.answered(now, err)
			underWay = underWay[1:]
		}
		slices.SortFunc(counted, time.Time.Compare)
		allowed := 30
		if low {
			allowed = 15
		}
		for i := allowed; i < len(counted); i++ {
			if span := counted[i].Sub(counted[i-allowed]); span <= time.Minute {
				t.Fatalf("%d requests counted within %s", allowed+1, span)
			}
		}
	})
}

// Changes of a rank that are all refused take their part of the places in a minute, and no more.
func TestRanks(t *testing.T) {
	for rank, part := range map[Rank]int{Again: 10, First: 15, Unlocked: 16, Power: 29} {
		var p pacer
		refused := 0
		for now := start; now.Before(start.Add(time.Minute)); now = now.Add(100 * time.Millisecond) {
			if p.tryChange(rank, now, 0) {
				p.answered(now, errNotNow)
				refused++
			}
		}
		if refused != part {
			t.Errorf("%d changes of rank %d were refused in a minute, want %d", refused, rank, part)
		}
	}
}

// A change under way holds a place until it is answered; then only one that counts keeps it.
func TestChangesUnderWay(t *testing.T) {
	var p pacer
	n := 0
	for p.tryChange(First, start, 0) {
		n++
	}
	if n != 15 {
		t.Errorf("%d changes are under way, each of which could be refused; want 15", n)
	}
	if at := p.changeAt(First, start, 0); !at.IsZero() {
		t.Errorf("the next change may go at %s, which only an answer can tell", at)
	}
	for _, test := range []struct {
		err  error
		free bool
	}{
		{nil, true},
		{&hetzner.Error{Verdict: hetzner.Refused}, true},
		{&hetzner.Error{Verdict: hetzner.Full}, true},
		{&hetzner.Error{Verdict: hetzner.TokenRefused}, true},
		{&hetzner.Error{Verdict: hetzner.NotNow}, false},
		{&hetzner.Error{Verdict: hetzner.NotSent}, false},
		{&hetzner.Error{Verdict: hetzner.Lost}, false},
	} {
		q := p
		q.answered(start, test.err)
		if free := q.tryChange(First, start, 0); free != test.free {
			t.Errorf("after %v the place is free: %v, want %v", test.err, free, test.free)
		}
	}
}

// A server that a poll has just shown unlocked need not wait until another poll leaves the window.
func TestPollsLeaveAPlaceForAChange(t *testing.T) {
	var p pacer
	for now := start; now.Before(start.Add(3 * time.Minute)); now = now.Add(100 * time.Millisecond) {
		p.tryPoll(now, 0)
		if !p.tryChange(Unlocked, now, 0) {
			t.Fatalf("no place is left for a change after %s", now.Sub(start))
		}
		p.answered(now, nil)
	}
}

// Of the changes that wait for a place the one with the highest rank goes first, and among equals the one that has waited
// the longest.
func TestOrderOfChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := New(Options{})
		for i := range most { // each second one place becomes free
			f.pacer.spent = append(f.pacer.spent, expense{at: f.now.Add(time.Duration(i+1)*time.Second - window)})
		}
		var mu sync.Mutex
		var order []string
		for _, c := range []struct {
			name string
			rank Rank
		}{{"again", Again}, {"first", First}, {"second", First}, {"power", Power}} {
			f.Go(func(s *Script) {
				_ = s.Change(Change{Rank: c.rank, Send: func(context.Context) (hetzner.Quota, error) {
					mu.Lock()
					defer mu.Unlock()
					order = append(order, c.name)
					return hetzner.Quota{}, errNotNow
				}})
			})
		}
		f.Run(t.Context())
		if want := []string{"power", "first", "second", "again"}; !slices.Equal(order, want) {
			t.Errorf("the changes went in the order %v, want %v", order, want)
		}
	})
}

// Polls and creates leave the places that are kept for the power of servers that are off.
func TestKeptPlaces(t *testing.T) {
	const kept = 5
	for _, rank := range []Rank{Again, First, Unlocked} {
		var p pacer
		for after := time.Duration(0); after < 4*time.Minute; after += 100 * time.Millisecond {
			now := start.Add(after)
			p.tryPoll(now, kept)
			if after > 2*time.Minute && p.tryChange(rank, now, kept) {
				p.answered(now, errNotNow)
			}
			cancelled := p
			cancelled.spent = slices.Clone(p.spent)
			for i := range kept {
				if !cancelled.tryChange(Power, now, kept) {
					t.Fatalf("after %s, with changes of rank %d, only %d of %d servers can be switched on at once", after, rank, i, kept)
				}
			}
		}
	}
}
