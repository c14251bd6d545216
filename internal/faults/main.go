// Faults tests the simulation by mutation. It plants faults in a copy of the program, one at a time. Each fault breaks a
// promise, and the simulation runs against it. A fault that the simulation does not find is a gap in its judge.
//
//	go run ./internal/faults            # all of them, 1,000 seeds each
//	go run ./internal/faults -only blind # those whose name contains "blind"
//
// It changes nothing in the checkout that it runs in.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// fault is one change of the source that breaks a promise.
type fault struct {
	name, file string
	old, new   string // old must occur in the file exactly once
}

// tests are those that judge many worlds, and what worlds meet too rarely.
const (
	tests        = "TestSimulation$|TestReuseWithin$|TestLostPowerOffTakesEffectLate$|TestPrunedWorlds$|TestAuditedWorlds$|TestNothingGoesWithoutTheNewSnapshot$|" + restoreTests + "|" + verifyTests
	restoreTests = "TestRestoredWorlds$"
	verifyTests  = "TestVerifiedWorlds$|TestManyCopiesAtOnce$|TestCancelDeletesAllCopies$|TestCancelOutlastsBadPolls$|TestMeddledCopies$"
)

const (
	engine = "internal/fleet/"
	core   = "internal/snapshot/"
)

func faults() []fault {
	return []fault{
		// Exactly one snapshot.
		{
			"a lost create is sent again blindly", core + "create.go",
			"		return s.find(hetzner.AsError(err))\n", "		return ErrAgain\n",
		},
		{
			"any error means that nothing was done", "internal/hetzner/verdict.go",
			"	case code == \"\" || status < 400 || status >= 500:\n		return Lost\n",
			"	case code == \"\" || status < 400 || status >= 500:\n		return NotNow\n",
		},
		{
			"a create that was broken off counts as not sent", "internal/hetzner/verdict.go",
			"	case !sent:\n		return NotSent\n", "	case !sent || status == 0:\n		return NotSent\n",
		},
		{
			"an image is adopted without its label", core + "create.go",
			"fleet.Images(labels.Request, s.Result.Request, \"\")", "fleet.Images(labels.ServerID, s.labelsOf(s.Host, \"\")[labels.ServerID], \"\")",
		},
		{
			"absence is proved at once", core + "target.go",
			"		case seen.Began.Sub(lostAt) < EffectLimit:\n", "		case seen.Began.Sub(lostAt) < 0:\n",
		},
		{
			"one listing proves absence", core + "target.go",
			"		case first.IsZero():\n			first = seen.Began\n", "		case false:\n			first = seen.Began\n",
		},
		{
			"two listings that are closer than 5 s prove absence", core + "target.go",
			"		case seen.Began.Sub(first) >= absenceGap:\n", "		case seen.Began.Sub(first) > 0:\n",
		},
		{
			"absence is proved while the server is locked", core + "target.go",
			"		return !seen.Server.Locked\n", "		return true\n",
		},
		{
			"a lost create is asked for again after the lock timeout", core + "target.go",
			"	if !t.Now().Before(limit) {\n		return t.unknown(fleet.ErrTimeout)\n	}\n", "	limit = limit.Add(time.Hour)\n",
		},
		{
			"a create that was not answered is not told", core + "target.go",
			"t.Phase, t.refusal, t.Result.MaySlip = PhaseLost, loss, true", "t.Phase, t.refusal, t.Result.MaySlip = PhaseLost, loss, false",
		},
		{
			"an image that is still being created counts as available", "internal/hetzner/resources.go",
			"func (i Image) Available() bool { return i.Status == \"available\" }",
			"func (i Image) Available() bool { return i.Status != \"unavailable\" }",
		},
		// Time.
		{
			"the log falls silent once the token is refused", core + "session.go",
			"	s.GoPatient(s.reportProgress)\n", "	s.Go(s.reportProgress)\n",
		},
		{
			"the lock's clock runs on after the unlock", core + "target.go",
			"	t.Phase = PhaseWaiting\n	t.lock.stop(t.Now())\n", "	t.Phase = PhaseWaiting\n",
		},
		{
			"no lock timeout", core + "target.go",
			"return t.lock.reaches(t.LockTimeout) }\n", "return t.lock.reaches(2 * t.LockTimeout) }\n",
		},
		{
			"polls have no budget", engine + "pacer.go",
			"	most   = 30\n", "	most   = 60\n",
		},
		{
			"refused creates cost nothing", engine + "pacer.go",
			"		p.spent = append(p.spent, expense{at: now, change: true})\n", "",
		},
		{
			"the project's own limit is ignored", engine + "fleet.go",
			"		f.pacer.low = quota.Low()\n", "",
		},
		// Power.
		{
			"a server is forgotten after its snapshot has failed", core + "power.go",
			"	if p.failure == nil {\n		p.stayOff()\n	}\n", "	if p.failure == nil {\n		p.stayOff()\n		p.asked = p.Phase != PhaseFinished\n	}\n",
		},
		{
			"a power-on counts before the server is seen running", core + "power.go",
			"		return true, p.Now().Add(startsWithin), false\n", "		return true, again, true\n",
		},
		{
			"a lost power-off is forgotten", core + "power.go",
			"			p.recordSafeAt(fleet.Latest(p.safeAt, p.Now().Add(EffectLimit)))\n			p.unsure = true\n", "",
		},
		{
			"a guest that goes down late is forgotten", core + "power.go",
			"		late, p.outage = true, stopwatch{}\n", "		p.asked, p.outage = false, stopwatch{}\n",
		},
		{
			"a server that nobody could switch on is not told", core + "power.go",
			"	p.left, r.LeftOff, r.PowerAction, r.PowerErr = true, true, p.action, p.err\n", "	p.left, r.PowerAction = true, p.action\n",
		},
		{
			"more servers are off at once than allowed", core + "run.go",
			"unavailable: fleet.NewSlots(settings.MaxUnavailable),", "unavailable: fleet.NewSlots(settings.MaxUnavailable + 1),",
		},
		{
			"the settle time is ignored", core + "power.go",
			"	p.unavailable.Close(p.Now().Add(p.SettleTime))\n", "",
		},
		{
			"a server is switched off while the project has no room", core + "turn.go",
			"return s.halted != nil || s.full > s.room.Free() && !s.hasRoom }", "return s.halted != nil }",
		},
		{
			"a snapshot is not labelled while its server is off", core + "create.go",
			"		image.Labels[labels.Power] = labels.PowerPending\n", "",
		},
		{
			"the label of a server that is on again stays", core + "power.go",
			"		corrected[labels.Power] = labels.PowerDone\n", "",
		},
		{
			"the labels of others are lost", core + "power.go",
			"		corrected := maps.Clone(image.Labels)\n", "		corrected := maps.Clone(p.Labels)\n		if corrected == nil {\n			corrected = map[string]string{}\n		}\n",
		},
		{
			"a server that somebody else switched off is switched on", core + "turn.go",
			"	case s.Host.Status == hetzner.StatusOff, s.mustWait()", "	case s.mustWait()",
		},
		// Thinning out.
		{
			"old snapshots are deleted after a failure", core + "thinning.go",
			"	if fine && !s.Retention.Empty() && !s.Ending() && !s.otherRun && (status == Available || status == Planned) {\n		s.thinOut(false)\n",
			"	if _ = fine; !s.Retention.Empty() && !s.Ending() && !s.otherRun {\n		s.thinOut(status == Failed)\n",
		},
		{
			"old snapshots are deleted by a listing without the new one", core + "thinning.go",
			"	case ref.IsZero():\n		return nil, false\n", "	case ref.IsZero():\n		ref = newest\n",
		},
		{
			"images of strangers are thinned out", "internal/labels/labels.go",
			"server != 0 && image.CreatedFrom == server &&", "server != 0 && image.CreatedFrom >= 0 &&",
		},
		{
			"images that are labelled for another server are thinned out", "internal/labels/labels.go",
			"image.Labels[ServerID] == strconv.FormatInt(server, 10) &&", "image.Labels[ServerID] != \"\" &&",
		},
		{
			"a snapshot is reused by this machine's clock", core + "run.go",
			"if age := date.Sub(newest.Created); newest.ID != 0 && !date.IsZero() && 0 <= age", "if age := r.Fleet.Now().Sub(newest.Created); newest.ID != 0 && 0 <= age",
		},
		{
			"a snapshot from the future is reused", core + "run.go",
			"!date.IsZero() && 0 <= age && age < r.ReuseWithin", "!date.IsZero() && age < r.ReuseWithin",
		},
		{
			"the newest snapshots are deleted", "internal/retention/retention.go",
			"		return cmp.Or(b.Created.Compare(a.Created), cmp.Compare(b.ID, a.ID))\n", "		return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(b.ID, a.ID))\n",
		},
		{
			"snapshots younger than an hour are deleted", "internal/retention/retention.go",
			"		keep(image.Created.After(ref.Add(-Young)), ", "		keep(image.Created.After(ref), ",
		},
		{
			"other attempts' snapshots are deleted", "internal/retention/retention.go",
			"		keep(image.SameRun, ", "		keep(image.SameRun && image.ID == 0, ",
		},
		{
			"a dry run deletes", core + "thinning.go",
			"\tif s.DryRun {\n\t\treturn\n\t}\n\tthinning.Out(", "\tthinning.Out(",
		},
		// Prune.
		{
			"prune deletes more than it may", "internal/prune/prune.go",
			"r.outcome.Planned > r.MaxDeletions;", "r.outcome.Planned > 2*r.MaxDeletions;",
		},
		{
			"prune counts back from this machine's clock", "internal/prune/prune.go",
			"	if r.outcome.NoDate = listed.Date.IsZero(); ", "	if listed.Date = r.Now(); ",
		},
		{
			"prune thins out what is excluded", "internal/prune/prune.go",
			"		r.plan(chosen.Servers, listed.Images, listed.Date)\n", "		r.plan(listed.Selected, listed.Images, listed.Date)\n",
		},
		{
			"the newest verified snapshot is deleted", "internal/retention/retention.go",
			"			keep(image.Verified && !verified, ", "			keep(image.Verified && verified && i < 0, ",
		},
		// Audit.
		{
			"audit takes servers that nobody asked about for gone", "internal/project/read.go",
			"	if servers == \"\" {\n		l.Selected = l.Servers\n	}\n", "	if servers == \"\" {\n		l.Selected = l.Servers\n	} else {\n		l.Servers = l.Selected\n	}\n",
		},
		{
			"audit counts back from this machine's clock", "internal/audit/audit.go",
			"	o.Inventory = ", "	listed.Date = read.Script.Now()\n	o.Inventory = ",
		},
		{
			"audit counts a snapshot that is still being created as the newest", "internal/audit/inventory.go",
			"	if image.Available() && ", "	if ",
		},
		{
			"audit counts what somebody else has labelled", "internal/project/read.go",
			"labels.Made(image, id, series) ||", "id != 0 ||",
		},
		{
			"audit counts a failed verification", "internal/labels/labels.go",
			"if err != nil || FailedVerification(image) {", "if err != nil {",
		},
		{
			"audit passes over what it was to fail on", "internal/report/audit.go",
			"len(o.Failures) > 0\n", "len(o.Failures) > 1\n",
		},
		// What is told.
		{
			"a failure exits with success", "internal/action/action.go",
			"	case t.Bad, t.Undelivered:\n", "	case t.Failed > 3, t.Undelivered:\n",
		},
	}
}

// group is faults that are tried against the same tests: what only one command does is tried against that command's.
type group struct {
	faults []fault
	tests  string
}

func groups() []group {
	return []group{{faults(), tests}, {restoreFaults(), restoreTests}, {verifyFaults(), verifyTests}}
}

func main() {
	seeds := flag.Int("seeds", 1000, "how many seeds each fault gets")
	only := flag.String("only", "", "only the faults whose name contains this")
	flag.Parse()
	if err := run(*seeds, *only); err != nil {
		fmt.Fprintln(os.Stderr, "faults:", err)
		os.Exit(1)
	}
}

func run(seeds int, only string) error {
	control := fault{file: "main.go", old: "package main", new: "package main"}
	if caught, err := plant(control, tests, seeds); err != nil || caught != "" {
		return errors.Join(fmt.Errorf("without a fault the simulation must pass: %s", caught), err)
	}
	var survivors []string
	for _, g := range groups() {
		for _, f := range g.faults {
			if !strings.Contains(f.name, only) {
				continue
			}
			start := time.Now()
			caught, err := plant(f, g.tests, seeds)
			if err != nil {
				return fmt.Errorf("%s: %w", f.name, err)
			}
			if caught == "" {
				survivors = append(survivors, f.name)
				caught = "NOT FOUND"
			}
			fmt.Printf("%-60s %4.0fs  %s\n", f.name, time.Since(start).Seconds(), caught)
		}
	}
	if len(survivors) > 0 {
		return fmt.Errorf("%d faults were not found: %s", len(survivors), strings.Join(survivors, "; "))
	}
	return nil
}

// plant runs tests of the simulation with a fault, and returns the judge's first finding; "" for none.
func plant(f fault, tests string, seeds int) (string, error) {
	dir, err := os.MkdirTemp("", "hsnap-fault-")
	if err != nil {
		return "", fmt.Errorf("make a folder: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if err := copySource(dir); err != nil {
		return "", err
	}
	file := filepath.Join(dir, filepath.FromSlash(f.file))
	source, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("read the source: %w", err)
	}
	if n := bytes.Count(source, []byte(f.old)); n != 1 {
		return "", fmt.Errorf("the text to be changed occurs %d times in %s: adapt the fault to the source", n, f.file)
	}
	changed := strings.Replace(string(source), f.old, f.new, 1)
	if err := os.WriteFile(file, []byte(changed), 0o600); err != nil {
		return "", fmt.Errorf("plant it: %w", err)
	}
	binary := filepath.Join(dir, "simulation.test")
	build := exec.CommandContext(context.Background(), "go", "test", "-vet=off", "-c", "-o", binary, "./internal/action")
	build.Dir = dir
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("it does not compile: %w\n%s", err, out)
	}
	// The time-out finds a run that never ends.
	simulate := exec.CommandContext(context.Background(), binary,
		"-test.run="+tests, fmt.Sprintf("-seeds=%d", seeds), "-test.failfast", "-test.timeout=5m")
	simulate.Dir = filepath.Join(dir, "internal", "action")
	out, err := simulate.CombinedOutput()
	if _, failed := errors.AsType[*exec.ExitError](err); !failed {
		return "", err
	}
	return clue(out), nil
}

var finding = regexp.MustCompile(`--- FAIL: (Test\S+) [^\n]*\n\s+\w+_test\.go:\d+: ([^\n]*)`)

// clue returns the judge's first finding.
func clue(out []byte) string {
	if m := finding.FindSubmatch(out); m != nil {
		return fmt.Sprintf("%s: %.110s", m[1], m[2])
	}
	if i := bytes.Index(out, []byte("panic: ")); i >= 0 {
		line, _, _ := bytes.Cut(out[i:], []byte("\n"))
		return string(line)
	}
	return "it fails"
}

// copySource copies the module's source, hidden folders aside.
func copySource(to string) error {
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != "." && strings.HasPrefix(d.Name(), "."):
			return filepath.SkipDir
		case d.IsDir():
			return os.MkdirAll(filepath.Join(to, path), 0o700)
		case !d.Type().IsRegular():
			return nil
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, path), b, 0o600)
	})
	if err != nil {
		return fmt.Errorf("copy the source (run this in the module's root): %w", err)
	}
	return nil
}
