// Command faults checks the checker. It plants faults in a copy of the program, one at a time, each of which breaks a
// promise, and runs the simulation against it. A fault that the simulation does not find is a hole in its judge.
//
//	go run ./internal/faults            # all of them, 1,000 seeds each
//	go run ./internal/faults -only blind # those whose name contains "blind"
//
// It changes nothing in the checkout that it is run in.
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
	old, new   string // old must stand in the file exactly once
}

const core = "internal/snapshot/"

func faults() []fault {
	return []fault{
		{
			"a lost create is sent again blindly", core + "fleet.go",
			"	case hetzner.Lost:\n		f.lose(t, failure, now)\n", "	case hetzner.Lost:\n		f.refuse(t, true, now)\n",
		},
		{
			"any error means that nothing was done", "internal/hetzner/verdict.go",
			"	case code == \"\" || status < 400 || status >= 500:\n		return Lost\n", "	case code == \"\" || status < 400 || status >= 500:\n		return NotNow\n",
		},
		{
			"an image is adopted without its label", core + "looks.go",
			"func (t *target) own(images []hetzner.Image) *hetzner.Image {\n",
			"func (t *target) own(images []hetzner.Image) *hetzner.Image {\n	if len(images) > 0 {\n		return &images[0]\n	}\n",
		},
		{
			"one listing proves that a create had no effect", core + "fleet.go",
			"	case began.Sub(t.lostAt) < effectLimit:\n", "	case began.Sub(t.lostAt) < 0:\n",
		},
		{
			"a failed action counts as a success", core + "fleet.go",
			"	if action.Succeeded() {\n		f.copied(t, now)\n", "	if !action.Running() {\n		f.finish(t, Available, \"\", now)\n",
		},
		{
			"an image that is still being created counts as available", "internal/hetzner/resources.go",
			"func (i Image) Available() bool { return i.Status == \"available\" }", "func (i Image) Available() bool { return i.Status != \"unavailable\" }",
		},
		{
			"old snapshots are deleted before the new one is available", core + "fleet.go",
			"(status == Available || status == Planned) && !f.ending()", "status != Cancelled && !f.ending()",
		},
		{
			"images of strangers are thinned out", core + "thinning.go",
			"server != 0 && image.CreatedFrom == server &&", "server != 0 && image.CreatedFrom >= 0 &&",
		},
		{
			"the newest snapshots are deleted", "internal/retention/retention.go",
			"		return cmp.Or(b.Created.Compare(a.Created), cmp.Compare(b.ID, a.ID))\n", "		return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(b.ID, a.ID))\n",
		},
		{
			"other attempts' snapshots are deleted", "internal/retention/retention.go",
			"		if image.Kin {\n", "		if image.Kin && image.ID == 0 {\n",
		},
		{
			"a server is forgotten after a failed snapshot", core + "fleet.go",
			"	case down:\n		f.raise(t, now)\n	case untouched, stopping,", "	case down:\n		t.power = untouched\n	case untouched, stopping,",
		},
		{
			"a power-on counts before the server is seen running", core + "power.go",
			"		t.cut.onAccepted, t.cut.since = now, now\n", "		t.cut.onAccepted, t.cut.since = now, now\n		f.restore(t, now)\n		return\n",
		},
		{
			"a lost power-off is forgotten", core + "power.go",
			"	if verdict == hetzner.Lost && failure != nil && (a.op == opShutdown || a.op == opPowerOff) {\n", "	if false {\n",
		},
		{
			"a late guest is forgotten", core + "power.go",
			"			f.linger(t, now.Add(lingerFor), now)\n			t.cut.outage = stopwatch{}\n", "			t.power = restored\n",
		},
		{
			"a server that nobody could switch on is not told", core + "power.go",
			"	r.LeftOff, r.PowerAction,", "	r.LeftOff, r.PowerAction, r.Downtime = false, 0, 0\n	_, r.PowerAction,",
		},
		{
			"a server that somebody else switched off is switched on", core + "power.go",
			"		t.lock.stop(now)\n		t.setPower(untouched, now)\n	default:", "		t.lock.stop(now)\n		f.raise(t, now)\n	default:",
		},
		{
			"a create that was not answered is not told", core + "fleet.go",
			"	r.MaySlip = t.snapshot == asked || t.snapshot == lost\n", "	r.MaySlip = false\n",
		},
		{
			"a dry run deletes", core + "thinning.go",
			"	if f.settings.DryRun {\n		t.prune.queue = nil\n	}\n", "",
		},
		{
			"the looks have no budget", core + "budget.go",
			"	budgetMost   = 30\n", "	budgetMost   = 60\n",
		},
		{
			"a failure exits with success", "internal/action/action.go",
			"	case report.TallyOf(o).Failed > 0:\n", "	case report.TallyOf(o).Failed > 3:\n",
		},
	}
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
	if caught, err := plant(control, seeds); err != nil || caught != "" {
		return errors.Join(fmt.Errorf("without a fault the simulation must pass: %s", caught), err)
	}
	var survivors []string
	for _, f := range faults() {
		if !strings.Contains(f.name, only) {
			continue
		}
		start := time.Now()
		caught, err := plant(f, seeds)
		if err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
		if caught == "" {
			survivors = append(survivors, f.name)
			caught = "NOT FOUND"
		}
		fmt.Printf("%-60s %4.0fs  %s\n", f.name, time.Since(start).Seconds(), caught)
	}
	if len(survivors) > 0 {
		return fmt.Errorf("%d faults were not found: %s", len(survivors), strings.Join(survivors, "; "))
	}
	return nil
}

// plant runs the simulation with a fault, and returns what gave it away; "" for nothing.
func plant(f fault, seeds int) (string, error) {
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
		return "", fmt.Errorf("what it changes stands %d times in %s: the fault must follow the source", n, f.file)
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
	// A run that never ends is found out as well.
	simulate := exec.CommandContext(context.Background(), binary,
		"-test.run=TestSimulation", fmt.Sprintf("-seeds=%d", seeds), "-test.failfast", "-test.timeout=5m")
	simulate.Dir = filepath.Join(dir, "internal", "action")
	out, err := simulate.CombinedOutput()
	if _, failed := errors.AsType[*exec.ExitError](err); !failed {
		return "", err
	}
	return clue(out), nil
}

var finding = regexp.MustCompile(`TestSimulation/(\d+)(?s:.*?)_test\.go:\d+: ([^\n]*)`)

// clue is the first thing that the judge has found.
func clue(out []byte) string {
	if m := finding.FindSubmatch(out); m != nil {
		return fmt.Sprintf("seed %s: %.110s", m[1], m[2])
	}
	if i := bytes.Index(out, []byte("panic: ")); i >= 0 {
		line, _, _ := bytes.Cut(out[i:], []byte("\n"))
		return string(line)
	}
	return "it fails"
}

// copySource copies the module's source, without what is no part of it.
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
		return fmt.Errorf("copy the source (run this from the module's root): %w", err)
	}
	return nil
}
