package report_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/org/hsnap-action/internal/hetzner"
	"github.com/org/hsnap-action/internal/report"
	"github.com/org/hsnap-action/internal/snapshot"
)

// A log that nobody reads makes nobody wait, and doesn't keep the process from ending. It is whole once somebody reads it.
func TestLogThatNobodyReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reader, pipe := io.Pipe()
		r := report.New(report.Options{Out: pipe, Getenv: github(t.TempDir())})
		start := time.Now()
		const lines = 10_000
		for i := range lines {
			r.Line("%d %s", i, strings.Repeat("x", 1000))
		}
		if took := time.Since(start); took > 0 {
			t.Errorf("writing took %s", took)
		}
		r.Flush(2 * time.Second)
		if took := time.Since(start); took != 2*time.Second {
			t.Errorf("the flush took %s, want 2s", took)
		}

		text := make(chan string)
		go func() {
			b, _ := io.ReadAll(reader)
			text <- string(b)
		}()
		r.Flush(time.Minute)
		r.Line("read again")
		r.Flush(time.Minute)
		_ = pipe.Close()
		got := strings.Split(strings.TrimSuffix(<-text, "\n"), "\n")
		if len(got) != lines+1 || !strings.HasPrefix(got[lines-1], fmt.Sprint(lines-1, " ")) || got[lines] != "read again" {
			t.Errorf("%d lines came, the last are %.100q", len(got), got[max(0, len(got)-2):])
		}
	})
}

// failing is a log that can't be written.
type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errors.New("broken pipe") }

func TestLogThatCannotBeWritten(t *testing.T) {
	r := report.New(report.Options{Out: failing{}, Getenv: github(t.TempDir())})
	r.Warn("all is well")
	r.Line("all is well")
	r.Flush(time.Minute)
}

// Off GitHub, where nothing else does it, each line of the log begins with the time; what is no log does not.
func TestLinesBeginWithTheTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(9*time.Hour + 15*time.Minute + 7*time.Second)
		for _, getenv := range []func(string) string{off, github(t.TempDir())} {
			var log strings.Builder
			r := report.New(report.Options{Out: &log, Getenv: getenv})
			r.Event(snapshot.Event{Kind: snapshot.EventUnlocked, Name: "db-1"})
			r.Warn("careful")
			r.Error("broken")
			r.Text("usage:\n  hsnap-action\n")
			r.Flush(time.Minute)
			want := "09:15:07 db-1: unlocked\n09:15:07 warning: careful\n09:15:07 error: broken\nusage:\n  hsnap-action\n"
			if getenv("GITHUB_ACTIONS") != "" {
				want = "db-1: unlocked\n::warning::careful\n::error::broken\nusage:\n  hsnap-action\n"
			}
			if log.String() != want {
				t.Errorf("the log is\n%s\nwant\n%s", log.String(), want)
			}
		}
	})
}

// Every event says something.
func TestEveryEventHasWords(t *testing.T) {
	failure := &hetzner.Error{Code: "conflict", Message: "not today"}
	for kind := snapshot.EventSelected; kind <= snapshot.EventCancelled; kind++ {
		var log strings.Builder
		r := report.New(report.Options{Out: &log, Getenv: github(t.TempDir())})
		r.Event(snapshot.Event{
			Kind: kind, Name: "db-1", Server: hetzner.Server{Volumes: []int64{5}}, Err: failure, Holder: &hetzner.Action{Command: "rebuild_server"}, ImageID: 4711, ActionID: 4712, Took: time.Second,
			Result: &snapshot.Result{Name: "db-1", Status: snapshot.Failed, Reason: snapshot.Refused}, Standings: []snapshot.Standing{{Name: "db-1"}},
		})
		r.Flush(time.Minute)
		if text, _, _ := strings.Cut(log.String(), "\n"); text == "" || strings.HasSuffix(text, ":") || strings.ContainsAny(text, "{}") {
			t.Errorf("event %d says %q", kind, text)
		}
	}
}

// Events name the request that failed.
func TestEventsNameTheRequest(t *testing.T) {
	refused := &hetzner.Error{Code: "conflict", Message: "not today", Verdict: hetzner.NotNow}
	for _, tt := range []struct {
		event snapshot.Event
		want  string
	}{
		{snapshot.Event{Kind: snapshot.EventLocked, Err: refused}, "db-1: not accepted: not today (conflict); retrying for up to 10m0s"},
		{snapshot.Event{Kind: snapshot.EventPowerOffRefused, Err: refused}, "db-1: can't be powered off yet: not today (conflict); retrying"},
		{snapshot.Event{Kind: snapshot.EventPowerRefused, Err: refused}, "db-1: can't be switched on yet: not today (conflict); retrying"},
		{snapshot.Event{Kind: snapshot.EventPowerRefused, ActionID: 5}, "db-1: was switched on (action 5) and is still off; retrying"},
		{snapshot.Event{Kind: snapshot.EventRunning}, "db-1: running again"},
		{snapshot.Event{Kind: snapshot.EventLost, Err: refused}, "db-1: the answer was lost (not today (conflict)); polling whether the snapshot was made"},
		{snapshot.Event{Kind: snapshot.EventNotDeleted, ImageID: 3, Err: &hetzner.Error{Message: "reset"}}, "::warning::db-1: image 3 may be deleted or not, since the answer was lost: reset"},
		{snapshot.Event{Kind: snapshot.EventNotThinned}, "::warning::db-1: no more old snapshots are deleted, since no complete list that shows the new one came"},
		{snapshot.Event{Kind: snapshot.EventUnused}, "::warning::db-1: named in exclude, and matches no server"},
		{snapshot.Event{Kind: snapshot.EventNoMatch}, "::warning::db-1: matches no server"},
	} {
		var log strings.Builder
		r := report.New(report.Options{Out: &log, Getenv: github(t.TempDir())})
		r.Ask(report.Asked{LockTimeout: 10 * time.Minute})
		tt.event.Name = "db-1"
		r.Event(tt.event)
		r.Flush(time.Minute)
		if got := strings.TrimSpace(log.String()); got != tt.want {
			t.Errorf("%q, want %q", got, tt.want)
		}
	}
}

// The numbers of the progress add up to the servers selected, and up to five of those that the run waits for are named,
// first those that somebody may have to see to.
func TestProgress(t *testing.T) {
	var servers []snapshot.Standing
	for phase := snapshot.PhaseWaiting; phase <= snapshot.PhaseFinished; phase++ {
		for range 2 {
			servers = append(servers, snapshot.Standing{
				Name: fmt.Sprint("db-", len(servers)), Phase: phase, Percent: 7, Holder: &hetzner.Action{Command: "rebuild_server", Progress: 9},
			})
		}
	}
	servers = append(servers, snapshot.Standing{Name: "done", Phase: snapshot.PhaseFinished, Over: true},
		snapshot.Standing{Name: "lost", Phase: snapshot.PhaseFinished, Over: true, Failed: true})
	servers[0].Off = true
	line := func(e snapshot.Event) string {
		var log strings.Builder
		r := report.New(report.Options{Out: &log, Getenv: github(t.TempDir())})
		e.Kind = snapshot.EventProgress
		r.Event(e)
		r.Flush(time.Minute)
		return strings.TrimSuffix(log.String(), "\n")
	}
	for n := range len(servers) + 1 {
		for _, shown := range [][]snapshot.Standing{servers[:n], servers[n:]} {
			text := line(snapshot.Event{Standings: shown})
			counts, rest, _ := strings.Cut(text, "; ")
			sum, names := 0, strings.Count(rest, "db-")
			for _, number := range regexp.MustCompile(`\d+ [a-z]`).FindAllString(counts, -1) {
				sum += int(number[0] - '0')
			}
			waits := len(slices.DeleteFunc(slices.Clone(shown), func(s snapshot.Standing) bool { return s.Over }))
			if sum != len(shown) || names != min(waits, 5) || strings.Contains(rest, "…") != (waits > 5) || strings.Contains(rest, "done") {
				t.Errorf("of %d servers %d are counted, of %d that the run waits for %d named: %s", len(shown), sum, waits, names, text)
			}
		}
	}
	for want, e := range map[string]snapshot.Event{
		"1 finished, 1 failed, 2 to be seen running, 2 with a lost answer, 2 locked or refused for now, 2 without room, 2 being created, 2 to come; " +
			"waiting for db-10, db-11, db-6, db-7, db-4 (rebuild_server 9%), …; 1 down": {Standings: servers},
		"1 being created; waiting for db-8 (7%); Hetzner's API has given no usable answer for 1m00s: connection reset by peer": {
			Standings: servers[8:9], Took: time.Minute, Err: &hetzner.Error{Message: "connection reset by peer"},
		},
	} {
		if got := line(e); got != want {
			t.Errorf("%s\nwant %s", got, want)
		}
	}
}

// The last line of the log is the verdict, whatever else there is to say at the end.
func TestVerdictIsLast(t *testing.T) {
	o := results(1)
	for name, getenv := range map[string]func(string) string{
		"off GitHub": off, "on GitHub": github(t.TempDir()), "with full disks": func(name string) string {
			return map[string]string{"GITHUB_ACTIONS": "true", "GITHUB_OUTPUT": "/dev/full", "GITHUB_STEP_SUMMARY": "/dev/full"}[name]
		},
	} {
		log, err := deliver(t, o, getenv, report.OutputsTo{Summary: true})
		lines := strings.Split(strings.TrimSuffix(log, "\n"), "\n")
		verdict := "success: 1 snapshot, in "
		if err != nil {
			verdict = "FAILED: the outputs could not be handed on; 1 available, in "
		}
		if last := lines[len(lines)-1]; !strings.Contains(last, verdict) {
			t.Errorf("%s: the log ends with %q, want %q", name, last, verdict)
		}
	}
}

func TestVerdict(t *testing.T) {
	of := func(results ...snapshot.Result) snapshot.Outcome { return snapshot.Outcome{Results: results} }
	ready := func(gb float64) snapshot.Result {
		return snapshot.Result{Name: "web-1", Status: snapshot.Available, ImageID: 1, SizeGB: gb}
	}
	failed := snapshot.Result{Name: "broken-1", Status: snapshot.Failed, Reason: snapshot.ActionFailed}
	left := failed
	left.PowerOnFailed, left.Status, left.Reason, left.LeftOff = true, snapshot.Available, "", true
	stopped := of(ready(2.5), snapshot.Result{Status: snapshot.Cancelled, ImageID: 2}, snapshot.Result{Status: snapshot.Cancelled, MaySlip: true},
		snapshot.Result{Status: snapshot.Cancelled}, snapshot.Result{Status: snapshot.Skipped})
	stopped.Signal = os.Interrupt
	dry := of(snapshot.Result{Status: snapshot.Planned})
	dry.DryRun = true
	refused := of(failed)
	refused.Token = &hetzner.Error{Code: "unauthorized"}
	for _, tt := range []struct {
		outcome snapshot.Outcome
		want    string
	}{
		{of(ready(300.4), ready(297.2)), "success: 2 snapshots, 597.6 GB"},
		{of(ready(2.5), snapshot.Result{Status: snapshot.Skipped}), "success: 1 snapshot, 2.5 GB, 1 skipped"},
		{of(snapshot.Result{Status: snapshot.Creating, ImageID: 2}), "success: 1 creating"},
		{of(), "skipped: no snapshot"},
		{dry, "success (dry run): 1 planned"},
		{of(ready(2.5), failed), "FAILED: 1 of 2 (broken-1 action_failed); 1 available, 2.5 GB"},
		{of(failed, failed, failed, failed, failed, failed), "FAILED: 6 of 6 (" + strings.Repeat("broken-1 action_failed, ", 5) + "…)"},
		{of(left), "FAILED: 1 server LEFT OFF (broken-1); 1 of 1 (broken-1 power_on_failed); 1 available"},
		{refused, "FAILED: Hetzner refused the API token; 1 of 1 (broken-1 action_failed)"},
		{stopped, "cancelled: 1 available, 2.5 GB, 1 skipped, 3 cancelled; 1 still being made, 1 may still appear"},
	} {
		log, err := deliver(t, tt.outcome, github(t.TempDir()), report.OutputsTo{})
		lines := strings.Split(strings.TrimSuffix(log, "\n"), "\n")
		if got, _, _ := strings.Cut(lines[len(lines)-1], ", in "); err != nil || got != tt.want {
			t.Errorf("%v, the log is %q, want %q", err, log, tt.want)
		}
	}
}

// The verdict says how long the run took, as people write it.
func TestVerdictEndsWithTheTime(t *testing.T) {
	for span, want := range map[time.Duration]string{
		54 * time.Millisecond: "in 54ms", 7 * time.Second: "in 7s", 5*time.Minute + 4*time.Second: "in 5m04s", time.Hour + 9*time.Second: "in 1h00m09s",
	} {
		synctest.Test(t, func(t *testing.T) {
			var log strings.Builder
			r := report.New(report.Options{Out: &log, Getenv: github(t.TempDir())})
			r.Mistakes(errors.New("series: wrong\nservers: missing"))
			time.Sleep(span)
			if err := r.OpenOutputs(report.OutputsTo{}); err != nil {
				t.Fatal(err)
			}
			if r.DeliverSnapshot(snapshot.Outcome{Nothing: true}).Undelivered {
				t.Error("the outputs are not handed on")
			}
			r.Flush(time.Minute)
			if want := "\nFAILED: 2 mistakes in the inputs, nothing was sent to Hetzner, " + want + "\n"; !strings.HasSuffix(log.String(), want) {
				t.Errorf("%s: the log ends in\n%s", span, log.String())
			}
		})
	}
}

// The state for the post step is written where the runner says, or not at all.
func TestSaveState(t *testing.T) {
	file := filepath.Join(t.TempDir(), "state")
	for state, fails := range map[string]bool{"": true, filepath.Join(file, "none"): true, file: false} {
		r := report.New(report.Options{Out: io.Discard, Getenv: func(name string) string {
			return map[string]string{"GITHUB_ACTIONS": "true", "GITHUB_STATE": state}[name]
		}})
		if err := r.SaveState("off", "4711"); (err != nil) != fails {
			t.Errorf("%q: %v", state, err)
		}
	}
	if text := fileOf(t, filepath.Dir(file), "state"); !strings.Contains(text, "4711") {
		t.Errorf("the state is %q", text)
	}
}

// Debug lines hold the requests where they are asked for, and GitHub alone learns the token.
func TestDebugLinesAndMasks(t *testing.T) {
	exchange := hetzner.Exchange{Method: "GET", Path: "/servers", Status: 503, Took: time.Second, Correlation: "f21b", Err: errors.New("no")}
	for _, tt := range []struct {
		github, debug, want string
	}{
		{"", "", ""},
		{"true", "", "::add-mask::u8jzPde0IgxLd6Gnc\n"},
		{"true", "1", "::add-mask::u8jzPde0IgxLd6Gnc\n::debug::GET /servers: 503 in 1s (f21b): no\n"},
	} {
		var log strings.Builder
		r := report.New(report.Options{Out: &log, Getenv: func(name string) string {
			return map[string]string{"GITHUB_ACTIONS": tt.github, "RUNNER_DEBUG": tt.debug}[name]
		}})
		r.Conceal([]string{"u8jzPde0IgxLd6Gnc", "two\nlines"})
		r.Exchange(exchange)
		r.Flush(time.Minute)
		if log.String() != tt.want {
			t.Errorf("%+v: %q", tt, log.String())
		}
	}
}

// The log opens with the servers. A long list is folded away on GitHub, and what a live snapshot is worth is said.
func TestLogOpensWithTheServers(t *testing.T) {
	servers := make([]hetzner.Server, 21)
	for i := range servers {
		servers[i] = hetzner.Server{ID: 42, Name: "db-1", Status: "running", Type: "cx23", Location: "fsn1", IPv4: "203.0.113.10", IPv6: "2001:db8::1", Locked: true}
	}
	for n, first := range map[int]string{1: "1 server selected\n", 21: "::group::21 servers selected\n"} {
		var log strings.Builder
		r := report.New(report.Options{Out: &log, Getenv: github(t.TempDir())})
		r.Ask(report.Asked{Live: true})
		r.Event(snapshot.Event{Kind: snapshot.EventSelected, Servers: servers[:n]})
		r.Flush(time.Minute)
		has(t, log.String(), first+"  db-1  ID 42, running, cx23, fsn1, 203.0.113.10, 2001:db8::1, locked\n", "snapshotted live")
	}
}
