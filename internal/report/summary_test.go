package report_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/org/hsnap-action/internal/hetzner"
	"github.com/org/hsnap-action/internal/report"
	"github.com/org/hsnap-action/internal/restore"
	"github.com/org/hsnap-action/internal/retention"
	"github.com/org/hsnap-action/internal/secret"
	"github.com/org/hsnap-action/internal/snapshot"
	"github.com/org/hsnap-action/internal/thinning"
)

// has fails where a text lacks one of others.
func has(t *testing.T, text string, others ...string) {
	t.Helper()
	for _, other := range others {
		if !strings.Contains(text, other) {
			t.Errorf("%q is not in\n%s", other, text)
		}
	}
}

// A server that is off comes first, whatever became of its snapshot: a cancelled run may have it, and no failure.
func TestLeftOffComesFirst(t *testing.T) {
	left := snapshot.Result{
		Name: "web-1", Server: hetzner.Server{ID: 1}, Status: snapshot.Available, ImageID: 4711, SizeGB: 2.5, PowerState: "off", LeftOff: true,
		PowerErr: &hetzner.Error{Code: "locked", Message: "server is locked", Correlation: "f21b"},
	}
	o := snapshot.Outcome{Signal: os.Interrupt, Results: []snapshot.Result{{Name: "db-1", Status: snapshot.Failed, Reason: snapshot.Refused}, left}}
	event := snapshot.Event{Kind: snapshot.EventFinished, Name: left.Name, Result: &left}
	summary, log := summaryOf(t, secret.Mask{}, []snapshot.Event{event}, o)
	has(t, log, "::error title=web-1 IS LEFT OFF::web-1: THE SERVER IS OFF: the run was cancelled, and Hetzner has not accepted the power-on yet"+
		"%0AHetzner answered: server is locked (locked, f21b)%0Aits snapshot can be used: image 4711 (2.50 GB)"+
		"%0Awhat to try: run hcloud server poweron web-1 until")
	has(t, summary, "cancelled&#58; 1 server LEFT OFF (web-1); 1 of 2 (db-1 refused); 1 available, 2.5 GB\n\n- 🔴 **web-1** (`available`): THE SERVER IS OFF", "| web-1 | 🔴 OFF<br>available | 4711 |")
	has(t, logOf(left), "!!!!!!!!\n", "web-1: available: THE SERVER IS OFF")
}

// What is said of a server that is off is what is known.
func TestWhyItIsOff(t *testing.T) {
	locked := &hetzner.Error{Code: "locked", Message: "server is locked"}
	for _, tt := range []struct {
		result snapshot.Result
		want   []string
	}{
		{snapshot.Result{Status: snapshot.Cancelled, Reason: snapshot.RunCancelled, PowerAction: 7}, []string{"OFF, OR ABOUT TO BE: the run was cancelled after its guest was asked to shut down"}},
		{snapshot.Result{Status: snapshot.Failed, Reason: snapshot.ShutdownTimeout}, []string{"OFF, OR ABOUT TO BE", "it has no usable snapshot (shutdown_timeout): the server was not off in time"}},
		{snapshot.Result{Status: snapshot.Cancelled, PowerState: "off", PowerAction: 7}, []string{"PROBABLY OFF: the run was cancelled; Hetzner accepted the power-on (action 7), but nobody saw it running"}},
		{snapshot.Result{Status: snapshot.Cancelled, PowerState: "off", ImageID: 9, PowerErr: locked}, []string{"OFF: the run was cancelled, and Hetzner keeps it locked while image 9 is made", "hcloud image delete 9"}},
		{snapshot.Result{Status: snapshot.Cancelled, PowerState: "off"}, []string{"OFF: the run was cancelled before it could be switched on again"}},
		{snapshot.Result{PowerOnFailed: true, LeftBefore: true, Status: snapshot.Skipped, Reason: snapshot.Locked},
			[]string{"OFF: an earlier run switched it off", "no usable snapshot (locked): the server is locked"}},
		{snapshot.Result{PowerOnFailed: true, Status: snapshot.Failed, Reason: snapshot.ActionFailed, ImageID: 9, Vanished: true},
			[]string{"OFF: it was switched off for its snapshot and could not be switched on again", "no usable snapshot (action_failed): image 9 was accepted and then vanished"}},
	} {
		tt.result.Name, tt.result.LeftOff = "db-1", true
		has(t, logOf(tt.result), tt.want...)
	}
	cancelled := snapshot.Result{Name: "db-1", Status: snapshot.Cancelled, LeftOff: true}
	has(t, logOf(cancelled, report.Asked{Post: true}), `wait 4 minutes for the step "Post …"`)
}

// A server that is skipped for its lock is a warning that names the holder.
func TestSkippedForItsLock(t *testing.T) {
	result := snapshot.Result{
		Name: "db-1", Status: snapshot.Skipped, Reason: snapshot.Locked,
		Holder: &hetzner.Action{ID: 7, Command: "rebuild_server", Progress: 45, Started: time.Date(2026, 11, 22, 19, 45, 0, 0, time.UTC)},
	}
	_, log := summaryOf(t, secret.Mask{}, []snapshot.Event{{Kind: snapshot.EventFinished, Name: "db-1", Result: &result}}, results(1))
	has(t, log, "::warning::db-1: the server is locked by rebuild_server (45%25, action 7, since 2026-11-22 19:45 UTC)")
}

// Advice fits what has happened.
func TestAdviceFitsTheFailure(t *testing.T) {
	full := snapshot.Result{Name: "db-1", Status: snapshot.Failed, Reason: snapshot.LimitExceeded}
	halted := snapshot.Result{Name: "db-1", Status: snapshot.Failed, Reason: snapshot.ShutdownHalted, HaltedBy: snapshot.LimitExceeded}
	unrecorded := snapshot.Result{Name: "db-1", Status: snapshot.Failed, Reason: snapshot.ShutdownHalted, Err: &hetzner.Error{Message: "no space left on device"}}
	gone := snapshot.Result{Name: "db-1", Server: hetzner.Server{ID: 42}, Status: snapshot.Failed, Reason: snapshot.NotFound}
	held := snapshot.Result{Name: "db-1", Status: snapshot.Failed, Reason: snapshot.LockTimeout, Holder: &hetzner.Action{ID: 7, Started: time.Now().Add(-time.Hour)}}
	stuck := held
	stuck.Holder = &hetzner.Action{ID: 7, Started: time.Now().Add(-3 * time.Hour)}
	for _, tt := range []struct {
		result     snapshot.Result
		want, lack string
	}{
		{full, "by keep-last or by hand", "support"},
		{halted, "by keep-last or by hand", "support"},
		{unrecorded, "since that can't be recorded for the post step; no snapshot was taken", "!"},
		{gone, "take it out of servers where it is named", "check"},
		{held, "set a longer lock-timeout", "support"},
		{stuck, "ask Hetzner's support about action 7", "longer lock-timeout"},
	} {
		log := logOf(tt.result)
		has(t, log, tt.want)
		if strings.Contains(log, tt.lack) {
			t.Errorf("%q is in\n%s", tt.lack, log)
		}
	}
}

// An answer that says little reads like a sentence all the same.
func TestErrorsWithoutAMessage(t *testing.T) {
	for _, tt := range []struct {
		action hetzner.Action
		want   string
	}{
		{hetzner.Action{ID: 7, ErrorCode: "action_failed", ErrorMessage: "Action failed"}, "could not make the snapshot: Action failed (action_failed, action 7)\n"},
		{hetzner.Action{ID: 7, ErrorCode: "unknown_error"}, "could not make the snapshot (unknown_error, action 7)\n"},
		{hetzner.Action{ID: 7}, "could not make the snapshot (action 7)\n"},
	} {
		result := snapshot.Result{Name: "db-1", Status: snapshot.Failed, Reason: snapshot.ActionFailed, ImageID: 9, ActionID: 7, Action: &tt.action}
		has(t, logOf(result), tt.want, "give Hetzner's support action 7 and image 9")
	}
	result := snapshot.Result{Name: "db-1", Status: snapshot.Failed, Reason: snapshot.Refused, Err: &hetzner.Error{Code: "invalid_input", Correlation: "f21b"}}
	has(t, logOf(result), "Hetzner answered: (invalid_input, f21b)\n")
}

// A token that may read, and is refused for a change, is probably read-only.
func TestReadOnlyToken(t *testing.T) {
	for _, code := range []string{"forbidden", "unauthorized"} {
		for _, change := range []bool{true, false} {
			o := results(1)
			o.Token = &hetzner.Error{Code: code, Message: "no", OfChange: change}
			summary, _ := summaryOf(t, secret.Mask{}, nil, o)
			if strings.Contains(summary, "probably read-only") != change {
				t.Errorf("%s, of a change: %t\n%s", code, change, summary)
			}
		}
	}
}

// thinned is what became of an old snapshot.
func thinned(id int64, keep, deleted bool) thinning.Snapshot {
	return thinning.Snapshot{Decision: retention.Decision{ID: id, Keep: keep, Reason: "a rule"}, SizeGB: 10, Deleted: deleted}
}

// Under the table stands what a month of the new snapshots costs, and of all that are kept: to the cent, or to what a
// cent would hide.
func TestCosts(t *testing.T) {
	for _, tt := range []struct {
		gb    float64
		price hetzner.Price
		want  string
	}{
		{100, hetzner.Price{Currency: "EUR", Net: 0.0143, Gross: 0.017017}, "100.00 GB, 1.43 net / 1.70 gross EUR a month.\n"},
		{2.25, hetzner.Price{Currency: "EUR", Net: 0.0143, Gross: 0.017017}, "2.25 GB, 0.032 net / 0.038 gross EUR a month.\n"},
		{0.01, hetzner.Price{Currency: "EUR", Net: 0.0143, Gross: 0.017017}, "0.01 GB, 0.00014 net / 0.00017 gross EUR a month.\n"},
		{100, hetzner.Price{Currency: "USD", Net: 0.0143, Gross: 0.0143}, "100.00 GB, 1.43 net / 1.43 gross USD a month.\n"},
		{100, hetzner.Price{}, "100.00 GB.\n"},
	} {
		o := results(1)
		o.Results[0].SizeGB, o.Price = tt.gb, tt.price
		summary, _ := summaryOf(t, secret.Mask{}, nil, o)
		has(t, summary, "\n1 new snapshot: "+tt.want)
	}

	o := results(3)
	o.Price = hetzner.Price{Currency: "EUR", Net: 0.01, Gross: 0.02}
	o.Results[0].SizeGB, o.Results[1].SizeGB, o.Results[2].SizeGB = 10, 10, 10
	o.Results[0].Thinned = []thinning.Snapshot{thinned(o.Results[0].ImageID, true, false), thinned(1, true, false), thinned(2, false, true)}
	o.Results[1].Thinned = []thinning.Snapshot{thinned(3, false, false)} // could not be deleted
	o.Results[2].Reused = true
	summary, _ := summaryOf(t, secret.Mask{}, nil, o)
	has(t, summary, "\n2 new snapshots: 20.00 GB, 0.20 net / 0.40 gross EUR a month.\n",
		"\n4 unprotected snapshots kept in this series, new ones included: 40.00 GB, 0.40 net / 0.80 gross EUR a month.\n")
}

// A dry run's summary says for each server what would be done.
func TestSummaryOfADryRun(t *testing.T) {
	o := snapshot.Outcome{DryRun: true, Price: hetzner.Price{Currency: "EUR", Net: 0.01, Gross: 0.02}, Results: []snapshot.Result{
		{Name: "db-1", Status: snapshot.Planned, Description: "nightly", Stops: true, Thinned: []thinning.Snapshot{thinned(1, true, false), thinned(2, false, false)}},
		{Name: "nope", Status: snapshot.Failed, Reason: snapshot.NotFound},
		{Name: "web-1", Status: snapshot.Available, Reused: true, ImageID: 9},
		{Name: "web-2", Status: snapshot.Planned, Server: hetzner.Server{Locked: true}, Description: "nightly"},
	}}
	summary, _ := summaryOf(t, secret.Mask{}, nil, o)
	has(t, summary, "| server | what would be done |\n|---|---|\n"+
		"| db-1 | would be snapshotted as \"nightly\", switched off meanwhile |\n"+
		"| nope | failed<br>`not_found` |\n"+
		"| web-1 | image 9 is taken over |\n"+
		"| web-2 | would be snapshotted as \"nightly\" once its lock is gone |\n",
		"1 unprotected snapshot of this series would be kept, beside the new ones", "Old snapshots: 1 of 2 would be deleted, which would free 10.00 GB")
}

// A cancelled run names the images that go on costing money, with the command that deletes them.
func TestSummaryOfACancelledRun(t *testing.T) {
	o := snapshot.Outcome{Signal: os.Interrupt, Results: []snapshot.Result{{Name: "db-4", Status: snapshot.Available, ImageID: 4714}, {Name: "db-5", Status: snapshot.Cancelled}}}
	for i := range 100 { // as many as may be in flight at once
		o.Results = append(o.Results, snapshot.Result{Name: fmt.Sprint("web-", i), Status: snapshot.Cancelled, Reason: snapshot.RunCancelled, ImageID: int64(5000 + i)})
	}
	summary, _ := summaryOf(t, secret.Mask{}, nil, o)
	for i := range 100 {
		has(t, summary, fmt.Sprintf("**web-%d** (`cancelled`): the run was cancelled.<br>image %d goes on being made, and costs money until it is deleted&#58; hcloud image delete %[2]d.", i, 5000+i))
	}
	has(t, summary, "<code>hcloud server rebuild db-4 --image 4714</code>")
	if strings.Contains(summary, "**db-5**") {
		t.Error("a server without an image in flight is explained")
	}
	o.Results = nil
	summary, _ = summaryOf(t, secret.Mask{}, nil, o)
	has(t, summary, "cancelled before it knew the servers")
}

// The summary says how a server is put back: by the command restore, which takes names only, and by hand.
func TestHowToPutAServerBack(t *testing.T) {
	byHand := "or <code>hcloud server rebuild db-1 --image 4711</code>.\n"
	for name, want := range map[string]string{
		"db-1":  "overwrites its disk: <code>uses: org/hsnap-action/restore@v1</code> with <code>images&#58; db-1=4711</code>, " + byHand,
		"db 1;": "overwrites its disk: <code>hcloud server rebuild 42 --image 4711</code>.\n",
	} {
		usable := snapshot.Result{Name: name, Server: hetzner.Server{ID: 42}, Status: snapshot.Available, ImageID: 4711}
		summary, _ := summaryOf(t, secret.Mask{}, nil, snapshot.Outcome{Results: []snapshot.Result{{Name: "a", Status: snapshot.Creating, ImageID: 1}, usable}})
		has(t, summary, want)
	}
}

// phases returns a server's phases as the timeline shows them, and whether the timeline is open.
func phases(t *testing.T, result snapshot.Result, kinds ...snapshot.EventKind) (phases string, open bool) {
	t.Helper()
	result.Name = "db-1"
	var events []snapshot.Event
	for i, kind := range kinds {
		events = append(events, snapshot.Event{Kind: kind, Name: "db-1", At: time.Unix(int64(i)*10, 0), Result: &result,
			Holder: map[bool]*hetzner.Action{true: {Command: "rebuild_server"}}[kind == snapshot.EventHolder]})
	}
	summary, _ := summaryOf(t, secret.Mask{}, events, snapshot.Outcome{Results: []snapshot.Result{result}})
	var list []string
	for _, m := range regexp.MustCompile(`(?m)^  (.+) \d+s :(?:([a-z, ]+), )?\d+, \d+$`).FindAllStringSubmatch(summary, -1) {
		list = append(list, m[1]+map[string]string{"crit": "!"}[m[2]])
	}
	return strings.Join(list, ", "), strings.Contains(summary, "<details open>")
}

func TestTimeline(t *testing.T) {
	const (
		stop, force, isOff, accepted, copied = snapshot.EventStopping, snapshot.EventPowerOff, snapshot.EventOff, snapshot.EventAccepted, snapshot.EventCopied
		running, ended, finished, first      = snapshot.EventRunning, snapshot.EventEnded, snapshot.EventFinished, snapshot.EventBackFirst
		locked, holder, lost, absent         = snapshot.EventLocked, snapshot.EventHolder, snapshot.EventLost, snapshot.EventAbsent
	)
	available := snapshot.Result{Status: snapshot.Available}
	late := snapshot.Result{Status: snapshot.Failed, Reason: snapshot.ShutdownTimeout}
	for _, tt := range []struct {
		name   string
		result snapshot.Result
		events []snapshot.EventKind
		want   string
	}{
		{"back while it is made", available, []snapshot.EventKind{stop, isOff, accepted, running, copied, ended, finished}, "shutting down, off, snapshot, becoming available"},
		{"back after it", available, []snapshot.EventKind{stop, isOff, accepted, copied, ended, running, finished}, "shutting down, off, snapshot, becoming available, switching on"},
		{"not accepted in time", available, []snapshot.EventKind{stop, isOff, first, running, stop}, "shutting down, off, switching on, shutting down"},
		{"somebody was faster", available, []snapshot.EventKind{stop, isOff, snapshot.EventSwitchedOn, accepted, finished}, "shutting down, off, snapshot"},
		{"left running", late, []snapshot.EventKind{stop, ended, finished}, "shutting down, making sure that it runs!"},
		{"down late", late, []snapshot.EventKind{stop, ended, isOff, running, finished}, "shutting down, making sure that it runs, off"},
		{"powered off", available, []snapshot.EventKind{stop, force, isOff, accepted, ended, running}, "shutting down, powering off, off, snapshot, switching on"},
		{"held", available, []snapshot.EventKind{locked, holder, snapshot.EventUnlocked, lost, absent, accepted}, "locked by rebuild_server, answer lost, snapshot"},
		{"no room", available, []snapshot.EventKind{snapshot.EventFull, accepted, finished}, "no room, snapshot"},
	} {
		if got, _ := phases(t, tt.result, tt.events...); got != tt.want {
			t.Errorf("%s: %s; want %s", tt.name, got, tt.want)
		}
	}
	for open, result := range map[bool]snapshot.Result{false: available, true: {Status: snapshot.Available, LockWait: time.Minute}} {
		if _, got := phases(t, result, accepted, finished); got != open {
			t.Errorf("a wait of %s: the timeline is open = %t", result.LockWait, got)
		}
	}
	if _, open := phases(t, late, accepted, finished); !open {
		t.Error("the timeline of a failure is not open")
	}
}

// The image ID stands alone when one server was asked for; a missing name counts.
func TestImageID(t *testing.T) {
	missing := snapshot.Result{Name: "nope", Status: snapshot.Failed, Reason: snapshot.NotFound}
	glob := missing
	glob.Pattern = true
	for want, o := range map[string]snapshot.Outcome{
		"4711": {Results: append(results(1).Results, glob)},
		"":     {Results: append(results(1).Results, missing)},
	} {
		log, err := deliver(t, o, off, report.OutputsTo{})
		if err != nil {
			t.Fatal(err)
		}
		has(t, log, fmt.Sprintf("image-id=%s\n", want))
	}
}

// Sizes are handed on as they were read.
func TestSizes(t *testing.T) {
	o := results(1)
	o.Results[0].SizeGB = 14.2
	log, err := deliver(t, o, off, report.OutputsTo{})
	if err != nil {
		t.Fatal(err)
	}
	has(t, log, `"size_gb":14.2,`)
}

// Each reason is explained, and but for a cancel says what to try.
func TestEveryReasonIsExplained(t *testing.T) {
	for _, reason := range []snapshot.Reason{
		snapshot.NotFound, snapshot.Locked, snapshot.LockTimeout, snapshot.SnapshotTimeout, snapshot.Refused, snapshot.ActionFailed,
		snapshot.LimitExceeded, snapshot.UnknownOutcome, snapshot.VolumesAttached, snapshot.ProtectFailed, snapshot.ShutdownTimeout,
		snapshot.ShutdownHalted, snapshot.ShutdownSelf, snapshot.BootsElsewhere, snapshot.PowerOnFailed, snapshot.RunCancelled,
	} {
		for _, other := range []bool{false, true} {
			result := snapshot.Result{
				Name: "db-1", Status: snapshot.Failed, Reason: reason, MaySlip: reason == snapshot.UnknownOutcome,
				HaltedBy: map[bool]snapshot.Reason{true: snapshot.PowerOnFailed}[other], LeftOff: reason == snapshot.PowerOnFailed, PowerOnFailed: reason == snapshot.PowerOnFailed,
				Err: map[bool]*hetzner.Error{true: {Verdict: hetzner.TokenRefused}}[other],
			}
			log := logOf(result)
			if !regexp.MustCompile(`db-1: failed \(`+string(reason)+`\): .{20,}`).MatchString(log) || reason != snapshot.RunCancelled && !strings.Contains(log, "what to try: ") {
				t.Errorf("%s:\n%s", reason, log)
			}
		}
	}
}

// Where the API was silent when time was up, another limit would not have helped.
func TestTimeOutWhileTheAPIIsSilent(t *testing.T) {
	result := snapshot.Result{Name: "db-1", Status: snapshot.Failed, Reason: snapshot.SnapshotTimeout, ImageID: 4711, Accepted: true}
	has(t, logOf(result), "set a longer snapshot-timeout")
	result.Err = &hetzner.Error{Message: "connection refused", Verdict: hetzner.NotSent}
	log := logOf(result)
	has(t, log, "connection refused", "hcloud image describe 4711", "see https://status.hetzner.com")
	if strings.Contains(log, "longer snapshot-timeout") {
		t.Error(log)
	}
}

// A run that came to nothing says why, in the log and at the top of the summary.
func TestWholeRunIsExplained(t *testing.T) {
	failure := &hetzner.Error{Message: "no such host"}
	for want, o := range map[string]snapshot.Outcome{
		"Hetzner refused the API token":                             {Token: failure},
		"Hetzner's API at https://api.example/v1 could not be used": {Down: failure},
		"because the project's requests are used up":                {Down: &hetzner.Error{Code: hetzner.CodeRateLimit}},
		"Hetzner refused the label-selector \"a=b,,c\"":             {Selector: failure},
		"no server is selected":                                     {Nothing: true},
	} {
		dir := t.TempDir()
		var log strings.Builder
		r := report.New(report.Options{Out: &log, Getenv: github(dir)})
		r.Ask(report.Asked{Endpoint: "https://api.example/v1", LabelSelector: "a=b,,c"})
		if err := r.OpenOutputs(report.OutputsTo{Summary: true}); err != nil {
			t.Fatal(err)
		}
		if r.DeliverSnapshot(o).Undelivered {
			t.Fatal("the outputs are not handed on")
		}
		r.Flush(time.Minute)
		has(t, log.String(), "::error::", want, "what to try: ", "\nFAILED: ")
		has(t, strings.ReplaceAll(fileOf(t, dir, "summary"), "&#58;", ":"), "### Hetzner Cloud snapshots: FAILED: ", want, "\n\n- ", "*What to try:*")
	}
	summary, _ := summaryOf(t, secret.Mask{}, nil, snapshot.Outcome{})
	has(t, summary, "No server was selected.")
}

// Mistakes in the inputs fill the summary, but not to its limit.
func TestSummaryOfMistakes(t *testing.T) {
	dir := t.TempDir()
	r := report.New(report.Options{Out: io.Discard, Getenv: github(dir)})
	r.Mistakes(errors.New(strings.Repeat("series: wrong\n", 109) + "servers: <missing>"))
	if err := r.OpenOutputs(report.OutputsTo{Summary: true}); err != nil {
		t.Fatal(err)
	}
	if r.DeliverSnapshot(snapshot.Outcome{Nothing: true}).Undelivered {
		t.Fatal("the outputs are not handed on")
	}
	summary := fileOf(t, dir, "summary")
	has(t, summary, "110 mistakes in the inputs, nothing was sent to Hetzner", "- … and 10 more, see the log")
	if n := strings.Count(summary, "- series&#58; wrong\n"); n != 100 {
		t.Errorf("%d mistakes are shown, want 100", n)
	}
}

// A server that a restore has left off comes first, however many others have failed, and the verdict names it.
func TestLeftOffComesFirstInARestore(t *testing.T) {
	var o restore.Outcome
	for i := range 60 {
		o.Restores = append(o.Restores, restore.Result{Result: snapshot.Result{Name: fmt.Sprint("db-", i), Status: snapshot.Failed, Reason: restore.NotProven}})
	}
	last := &o.Restores[59].Result
	last.LeftOff, last.PowerOnFailed, last.Reason = true, true, snapshot.PowerOnFailed
	dir := t.TempDir()
	var log strings.Builder
	r := report.New(report.Options{Out: &log, Getenv: github(dir)})
	if err := r.OpenOutputs(report.OutputsTo{Summary: true}); err != nil {
		t.Fatal(err)
	}
	r.DeliverRestore(o)
	r.Flush(time.Minute)
	summary := fileOf(t, dir, "summary")
	has(t, log.String(), "FAILED: 1 server LEFT OFF (db-59); 60 of 60")
	if first, _, _ := strings.Cut(summary, "\n- **"); !strings.Contains(first, "**db-59**") {
		t.Errorf("the summary begins with\n%s", first)
	}
	if n := strings.Count(summary, "What to try:"); n != 2 {
		t.Errorf("advice is given %d times, want once for each kind", n)
	}
}
