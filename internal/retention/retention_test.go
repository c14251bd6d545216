package retention_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/org/hsnap-action/internal/retention"
)

func at(text string) time.Time {
	for _, layout := range []string{"2006-01-02 15:04", time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil {
			return t
		}
	}
	panic(text)
}

// images makes one image of each time, the first with ID 1.
func images(times ...string) []retention.Image {
	var list []retention.Image
	for i, text := range times {
		list = append(list, retention.Image{ID: int64(i + 1), Created: at(text)})
	}
	return list
}

// kept tells what stays, as "ID: reason".
func kept(decisions []retention.Decision) []string {
	var lines []string
	for _, d := range decisions {
		if d.Keep {
			lines = append(lines, fmt.Sprintf("%d: %s", d.ID, d.Reason))
		}
	}
	return lines
}

// The cases follow what restic's forget does with the same snapshots and the same policy.
func TestDecide(t *testing.T) {
	week := images( // from the newest to the oldest
		"2026-11-20 02:00", "2026-11-19 02:00", "2026-11-18 14:30", "2026-11-18 14:10", "2026-11-18 02:00", "2026-11-15 02:00", "2026-10-31 02:00",
	)
	for name, test := range map[string]struct {
		images []retention.Image
		policy retention.Policy
		want   []string
	}{
		"the last": {week, retention.Policy{Last: 2}, []string{"1: newest, last 1 of 2, younger than 1h", "2: last 2 of 2"}},
		"a day keeps its newest, days without one don't count": {
			week, retention.Policy{Daily: 4},
			[]string{
				"1: newest, daily 2026-11-20, younger than 1h", "2: daily 2026-11-19", "3: daily 2026-11-18", "6: daily 2026-11-15",
			},
		},
		"an hour": {
			week, retention.Policy{Hourly: 3},
			[]string{"1: newest, hourly 2026-11-20 02:00, younger than 1h", "2: hourly 2026-11-19 02:00", "3: hourly 2026-11-18 14:00"},
		},
		"weeks begin on Monday": {
			week, retention.Policy{Weekly: 2},
			[]string{"1: newest, weekly 2026-W47, younger than 1h", "6: weekly 2026-W46"},
		},
		"with counts left the oldest stays": {
			images("2026-11-20 02:00", "2026-11-12 02:00", "2026-11-11 02:00", "2026-11-10 02:00"), retention.Policy{Monthly: 12},
			[]string{"1: newest, monthly 2026-11, younger than 1h", "4: monthly, the oldest"},
		},
		"without counts left it does not": {
			images("2026-11-20 02:00", "2026-11-12 02:00", "2026-11-11 02:00"), retention.Policy{Monthly: 1},
			[]string{"1: newest, monthly 2026-11, younger than 1h"},
		},
		"rules add up": {
			week, retention.Policy{Last: 1, Daily: 2, Monthly: 2},
			[]string{
				"1: newest, last 1 of 1, daily 2026-11-20, monthly 2026-11, younger than 1h", "2: daily 2026-11-19", "7: monthly 2026-10",
			},
		},
		"within counts from the new one": {
			week, retention.Policy{Within: 48 * time.Hour},
			[]string{"1: newest, keep-within, younger than 1h", "2: keep-within", "3: keep-within", "4: keep-within"},
		},
		"years of the calendar and of the weeks differ": {
			images("2027-01-02 02:00", "2026-12-31 02:00", "2026-12-27 02:00"), retention.Policy{Weekly: 2, Yearly: 1},
			[]string{"1: newest, weekly 2026-W53, yearly 2027, younger than 1h", "3: weekly 2026-W52"},
		},
		"a leap day": {
			images("2028-03-01 02:00", "2028-02-29 02:00", "2028-02-28 02:00"), retention.Policy{Monthly: 2},
			[]string{"1: newest, monthly 2028-03, younger than 1h", "2: monthly 2028-02"},
		},
		"no rule keeps everything": {
			images("2026-11-20 02:00", "2026-01-01 02:00"), retention.Policy{},
			[]string{"1: newest, younger than 1h, no rule is given", "2: no rule is given"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, kept(test.policy.Decide(test.images, test.images[0].Created))); diff != "" {
				t.Errorf("kept (-want +got):\n%s", diff)
			}
		})
	}
}

func TestWhatNoRuleMayDelete(t *testing.T) {
	list := images("2026-11-20 02:00", "2026-11-20 01:30", "2026-11-20 01:00", "2026-11-01 02:00", "2026-10-01 02:00")
	list[3].SameRun = true
	want := []string{
		"1: newest, last 1 of 1, younger than 1h", "2: younger than 1h", "4: made by another attempt of this run",
	}
	if diff := cmp.Diff(want, kept(retention.Policy{Last: 1}.Decide(list, list[0].Created))); diff != "" {
		t.Errorf("kept (-want +got):\n%s", diff)
	}
}

// FuzzDecide draws a project and a policy from a seed, and holds the decisions against what is promised of each.
// A verification's result counts whatever the rules say.
func TestVerified(t *testing.T) {
	list := func(mark ...string) []retention.Image {
		images := images("2026-11-20 02:00", "2026-11-19 02:00", "2026-11-18 02:00", "2026-11-17 02:00")
		for i := range images {
			images[i].Verified, images[i].VerifyFailed = mark[i] == "verified", mark[i] == "failed"
		}
		return images
	}
	for name, test := range map[string]struct {
		images []retention.Image
		policy retention.Policy
		want   []string
	}{
		"the newest verified one stays": {
			list("", "", "verified", "verified"), retention.Policy{Last: 1},
			[]string{"1: newest, last 1 of 1, younger than 1h", "3: newest verified"},
		},
		"a failed one takes no place of a rule": {
			list("", "failed", "", ""), retention.Policy{Last: 2},
			[]string{"1: newest, last 1 of 2, younger than 1h", "3: last 2 of 2"},
		},
		"a failed one stays while it is the newest, and so does the newest that did not fail": {
			list("failed", "failed", "", ""), retention.Policy{Within: time.Hour},
			[]string{"1: newest, younger than 1h", "3: newest that did not fail its verification"},
		},
		"the oldest is the oldest that did not fail": {
			list("", "", "", "failed"), retention.Policy{Monthly: 2},
			[]string{"1: newest, monthly 2026-11, younger than 1h", "3: monthly, the oldest"},
		},
		"no rule saves a failed one": {list("", "failed", "failed", "failed"), retention.Policy{Last: 4, Daily: 9, Within: 9000 * time.Hour}, []string{
			"1: newest, last 1 of 4, daily 2026-11-20, keep-within, younger than 1h",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, kept(test.policy.Decide(test.images, at("2026-11-20 02:00")))); diff != "" {
				t.Errorf("kept (-want +got):\n%s", diff)
			}
		})
	}
}

func FuzzDecide(f *testing.F) {
	for seed := range uint64(50) {
		f.Add(seed, uint8(seed%12))
	}
	f.Fuzz(func(t *testing.T, seed uint64, n uint8) {
		dice := rand.New(rand.NewPCG(seed, 1))
		ref := at("2026-11-20 02:00").Add(time.Duration(dice.IntN(400*24)) * time.Hour)
		list := []retention.Image{{ID: 1, Created: ref}}
		for i := range int(n % 40) {
			list = append(list, retention.Image{
				ID: int64(i + 2), SameRun: dice.IntN(10) == 0,
				Created:  ref.Add(-time.Duration(dice.IntN(1<<dice.IntN(20))) * time.Minute),
				Verified: dice.IntN(6) == 0, VerifyFailed: dice.IntN(6) == 0, LeftOff: dice.IntN(10) == 0,
			})
		}
		policy := draw(dice)
		decisions := policy.Decide(list, ref)

		if len(decisions) != len(list) {
			t.Fatalf("%d decisions about %d images", len(decisions), len(list))
		}
		if !decisions[0].Keep {
			t.Errorf("the newest goes: %+v", decisions[0])
		}
		gone := deleted(decisions)
		for _, image := range list {
			if gone[image.ID] && (image.SameRun || image.Created.After(ref.Add(-time.Hour))) {
				t.Errorf("%+v goes", image)
			}
		}
		newest := func(has func(retention.Image) bool) retention.Image {
			with := slices.DeleteFunc(slices.Clone(list), func(i retention.Image) bool { return !has(i) })
			return slices.MaxFunc(append(with, retention.Image{}), func(a, b retention.Image) int { return a.Created.Compare(b.Created) })
		}
		for _, image := range []retention.Image{
			newest(func(i retention.Image) bool { return i.Verified && !i.VerifyFailed }),
			newest(func(i retention.Image) bool { return !i.VerifyFailed }),
			newest(func(i retention.Image) bool { return i.LeftOff }),
		} {
			if alike := func(i retention.Image) bool { return i.Created.Equal(image.Created) && !gone[i.ID] }; image.ID != 0 && !slices.ContainsFunc(list, alike) {
				t.Errorf("%+v goes", image)
			}
		}
		if policy.Empty() && len(gone) > 0 {
			t.Errorf("no rule, and %v go", gone)
		}

		shuffled := slices.Clone(list)
		dice.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		if diff := cmp.Diff(decisions, policy.Decide(append(shuffled, shuffled[0]), ref)); diff != "" {
			t.Errorf("the order of the images matters, or that one comes twice:\n%s", diff)
		}

		stay := slices.DeleteFunc(slices.Clone(list), func(i retention.Image) bool { return gone[i.ID] })
		if again := deleted(policy.Decide(stay, ref)); len(again) > 0 {
			t.Errorf("the second time %v go", again)
		}

		fewer := slices.DeleteFunc(slices.Clone(list), func(i retention.Image) bool { return i.ID != 1 && dice.IntN(3) == 0 })
		for id := range deleted(policy.Decide(fewer, ref)) {
			if !gone[id] {
				t.Errorf("%d goes from a smaller listing, and not from the whole", id)
			}
		}

		if !policy.Empty() {
			looser := loosen(policy, dice)
			for id := range deleted(looser.Decide(list, ref)) {
				if !gone[id] {
					t.Errorf("%d goes by %+v, and not by %+v", id, looser, policy)
				}
			}
		}
		for _, d := range decisions {
			if d.Reason == "" || strings.Contains(d.Reason, "%!") {
				t.Errorf("%d has the reason %q", d.ID, d.Reason)
			}
		}
	})
}

func draw(dice *rand.Rand) retention.Policy {
	count := func() int { return max(0, dice.IntN(9)-4) }
	p := retention.Policy{Last: count(), Hourly: count(), Daily: count(), Weekly: count(), Monthly: count(), Yearly: count()}
	if dice.IntN(3) == 0 {
		p.Within = time.Duration(1+dice.IntN(1000)) * time.Hour
	}
	return p
}

// loosen returns a policy that keeps at least as much by every rule.
func loosen(p retention.Policy, dice *rand.Rand) retention.Policy {
	for _, count := range []*int{&p.Last, &p.Hourly, &p.Daily, &p.Weekly, &p.Monthly, &p.Yearly} {
		*count += max(0, dice.IntN(6)-3)
	}
	p.Within += time.Duration(dice.IntN(100)) * time.Hour
	return p
}

func deleted(decisions []retention.Decision) map[int64]bool {
	gone := map[int64]bool{}
	for _, d := range decisions {
		if !d.Keep {
			gone[d.ID] = true
		}
	}
	return gone
}
