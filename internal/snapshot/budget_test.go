package snapshot

import (
	"math/rand/v2"
	"testing"
	"time"
)

// FuzzBudget lets looks and creates come in any order and as fast as the budget allows, and counts.
func FuzzBudget(f *testing.F) {
	f.Add(uint64(1), uint8(50), uint8(30), false)
	f.Add(uint64(2), uint8(100), uint8(100), true)
	f.Add(uint64(3), uint8(0), uint8(100), false)
	f.Fuzz(func(t *testing.T, seed uint64, creates, refused uint8, low bool) {
		dice := rand.New(rand.NewPCG(seed, 0))
		b := budget{low: low}
		now := time.Unix(1_000_000_000, 0)
		var counted, looks []time.Time
		var flying []prospect
		for range 400 {
			now = now.Add(time.Duration(dice.Int64N(int64(3 * time.Second))))
			p := prospect(dice.IntN(3))
			if at, ok := b.createAt(now, p); ok && !at.After(now) && dice.IntN(100) < int(creates) {
				b.create()
				flying = append(flying, p)
			}
			lookAt := b.lookAt
			if dice.IntN(4) == 0 {
				lookAt = b.keenAt
			}
			if at, ok := lookAt(now); ok && !at.After(now) {
				b.look(now)
				counted, looks = append(counted, now), append(looks, now)
			}
			if len(flying) > 0 && dice.IntN(2) == 0 {
				notNow := dice.IntN(100) < int(refused)
				if flying[0] == good && dice.IntN(4) > 0 {
					notNow = false // a look has just shown it unlocked; few are locked again by then
				}
				b.answered(now, notNow)
				flying = flying[1:]
				if notNow {
					counted = append(counted, now)
				}
			}
		}
		most := 30
		if low {
			most = 15
		}
		for i := range counted {
			if i >= most && counted[i].Sub(counted[i-most]) <= time.Minute {
				t.Fatalf("%d requests counted within %s", most+1, counted[i].Sub(counted[i-most]))
			}
		}
		// However many creates are refused, and however late they are answered, the watch goes on.
		for i := range looks {
			if i > 0 && !low && looks[i].Sub(looks[i-1]) > budgetWindow/2 {
				t.Fatalf("no look for %s: creates have blinded the watch", looks[i].Sub(looks[i-1]))
			}
		}
	})
}

func TestBudgetKeepsALastLook(t *testing.T) {
	var b budget
	now := time.Unix(1_000_000_000, 0)
	for range 200 {
		if at, ok := b.lookAt(now); ok && !at.After(now) {
			b.look(now)
		}
		if at, ok := b.createAt(now, fair); ok && !at.After(now) {
			b.create()
			b.answered(now, true)
		}
		if !b.lastLook(now) {
			t.Fatal("no place is left for a cancelled run's last look")
		}
		now = now.Add(300 * time.Millisecond)
	}
}

func TestBudgetWaitsForAnswers(t *testing.T) {
	var b budget
	now := time.Unix(1_000_000_000, 0)
	n := 0
	for ; n < 100; n++ {
		if at, ok := b.createAt(now, fair); !ok || at.After(now) {
			break
		}
		b.create()
	}
	if n == 100 {
		t.Fatal("any number of creates may be under way, each of which could be refused")
	}
	if _, ok := b.createAt(now, fair); ok {
		t.Error("a time is foretold although only an answer can tell")
	}
	b.answered(now, false)
	if at, ok := b.createAt(now, fair); !ok || at.After(now) {
		t.Error("an accepted create does not give its place back")
	}
}
