package action_test

import (
	"flag"
	"fmt"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

var (
	seeds     = flag.Int("seeds", defaultSeeds(), "how many seeds TestSimulation and TestRestoredWorlds run")
	firstSeed = flag.Uint64("seed", 1, "the first seed that they run")
)

// defaultSeeds returns how many seeds a test of the whole package takes.
func defaultSeeds() int {
	if raced {
		return 40
	}
	return 300
}

// few returns how many worlds of n are enough where the race detector watches: it looks for races, the worlds for faults.
func few(n uint64) uint64 {
	if raced {
		return n / 5
	}
	return n
}

// tried is one run of a seed's world, and what the judge found.
type tried struct {
	findings findings
	story    string
}

// try runs a seed's world and judges it.
func try(t *testing.T, seed uint64, mercy mercy) (result tried) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w, p := build(t, seed, mercy)
		r := w.run(t)
		// A create that was lost may take effect after the end of the run.
		time.Sleep(2 * time.Minute)
		judge(&result.findings, w, p, r)
		if len(result.findings) > 0 {
			result.story = fmt.Sprintf("%+v\nplan %+v\ninputs %v\nexit %d after %s\n%s\n%s", mercy, p, w.inputs, r.code, r.took, r.log, w.history())
		}
	})
	return result
}

// digits are what differs between two findings of a kind.
var digits = regexp.MustCompile(`\d+`)

// alike reports whether a finding is of the same kind as one in another world.
func (f findings) alike(one string) bool {
	kind := func(finding string) string { return digits.ReplaceAllString(finding, "") }
	return slices.ContainsFunc(f, func(other string) bool { return kind(other) == kind(one) })
}

// shrink looks for the simplest world of a failing seed that still fails in the same way.
func shrink(t *testing.T, seed uint64, found tried) tried {
	t.Helper()
	var kept mercy
	for _, simpler := range []func(*mercy){
		func(m *mercy) { m.servers = 1 }, func(m *mercy) { m.servers = 2 }, func(m *mercy) { m.servers = 3 },
		func(m *mercy) { m.young = true }, func(m *mercy) { m.patient = true }, func(m *mercy) { m.alone = true }, func(m *mercy) { m.calm = true },
		func(m *mercy) { m.plain = true },
	} {
		candidate := kept
		simpler(&candidate)
		if kept.servers > 0 && candidate.servers != kept.servers {
			continue // fewer are enough already
		}
		if result := try(t, seed, candidate); result.findings.alike(found.findings[0]) {
			kept, found = candidate, result
		}
	}
	return found
}

func TestSimulation(t *testing.T) {
	for i := range uint64(*seeds) {
		seed := *firstSeed + i
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			t.Parallel()
			result := try(t, seed, mercy{})
			if len(result.findings) == 0 {
				return
			}
			for _, finding := range result.findings {
				t.Error(finding)
			}
			simplest := shrink(t, seed, result)
			t.Logf("replay: go test ./internal/action -run TestSimulation -seeds 1 -seed %d\nthe simplest world that fails:\n%s\n%s",
				seed, strings.Join(simplest.findings, "\n"), simplest.story)
		})
	}
}

// TestRegressions runs the seeds again that have failed once, each with what it had found.
func TestRegressions(t *testing.T) {
	for seed, found := range map[uint64]string{
		235516: "an image was protected while its deletion's answer was lost, went all the same, and nobody told",
		251220: "the same, after another deletion that was lost",
		403317: "an image was told not to be deleted after a refusal, while an earlier try that was lost deleted it",
		479078: "the same, told nothing at all",
		849768: "a shutdown whose answer was lost took effect late, and the guest went down a good while after that",
		493501: "a server whose turn to be switched off had come waited an hour for the poll before it",
		212704: "a guest went down between the last poll and the end of the watch over it",
	} {
		regression(t, seed, mercy{plain: true}, found)
	}
	for seed, found := range map[uint64]string{
		24:       "a server was asked for its snapshot while it was being switched on again, without hsnap/power",
		32:       "servers were switched off just after Hetzner's limit was reached",
		170:      "the two lists of a proof were less than 5 s apart, since the first one counted from a request that had failed",
		240:      "hsnap/power stayed pending after one lost answer",
		456:      "a lost create was asked for again more than a last poll after lock-timeout",
		643:      "the flight of a create counted as a wait for a lock, after the lock was gone and the server switched off",
		2204:     "a cancelled run named the wrong image although its last list showed the right one",
		3897:     "a server was switched off before the last one had settled, since it had its place already",
		1027:     "servers were switched off while the one that waited for room deleted its own old snapshots",
		7006973:  "a server that room was made for was switched off after another had found it taken",
		7004384:  "the same, twice",
		70056279: "the judge asked for an image whose ID no list could have shown in time, beside a server that was left off before",
		4229:     "the flight of a create counted as a wait for a lock, after room was made",
	} {
		regression(t, seed, mercy{}, found)
	}
}

func regression(t *testing.T, seed uint64, mercy mercy, found string) {
	t.Helper()
	t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
		t.Parallel()
		for _, finding := range try(t, seed, mercy).findings {
			t.Errorf("%s; it had found once: %s", finding, found)
		}
	})
}

// The same seed gives the same run, to the nanosecond, however many processors there are.
func TestDeterminism(t *testing.T) {
	isDeterministic(t, "create_image", []uint64{3, 7, 11, 19}, func(t *testing.T, seed uint64) *world {
		w, _ := build(t, seed, mercy{})
		return w
	})
}

// isDeterministic fails where a seed's run depends on the number of processors, or where it never asks for an action, so that
// it proves nothing.
func isDeterministic(t *testing.T, action string, seeds []uint64, build func(*testing.T, uint64) *world) {
	t.Helper()
	history := func(seed uint64) (lines []string) {
		synctest.Test(t, func(t *testing.T) {
			w := build(t, seed)
			r := w.run(t)
			for _, x := range w.cloud.History() {
				lines = append(lines, fmt.Sprintf("%d %s %s?%s %d %s %s %s", x.At.UnixNano(), x.Method, x.Path, x.Query, x.Status, x.Fault, x.CorrelationID, x.Body))
			}
			lines = append(lines, strings.Split(r.log, "\n")...)
		})
		return lines
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	for _, seed := range seeds {
		var first []string
		for _, processors := range []int{1, 2, 4} {
			runtime.GOMAXPROCS(processors)
			got := history(seed)
			if first == nil {
				first = got
			}
			if diff := cmp.Diff(first, got); diff != "" {
				t.Fatalf("seed %d differs with %d processors (-1 +%d):\n%s", seed, processors, processors, diff)
			}
		}
		if !slices.ContainsFunc(first, func(line string) bool { return strings.Contains(line, action) }) {
			t.Errorf("seed %d never asks for %s: it proves nothing", seed, action)
		}
	}
}
