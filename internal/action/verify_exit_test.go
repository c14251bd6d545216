package action

import (
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/org/hsnap-action/internal/copies"
	"github.com/org/hsnap-action/internal/hetzner"
	"github.com/org/hsnap-action/internal/project"
	"github.com/org/hsnap-action/internal/report"
	"github.com/org/hsnap-action/internal/snapshot"
	"github.com/org/hsnap-action/internal/verify"
)

// What became of each verification, of the copies and of the run as a whole decides the exit code and the result.
func TestVerifyExitCode(t *testing.T) {
	const (
		ok, planned, skipped = verify.Verified, snapshot.Planned, snapshot.Skipped
		bad, open, cancelled = snapshot.Failed, verify.Inconclusive, snapshot.Cancelled
	)
	refusal := &hetzner.Error{Code: "unauthorized", Verdict: hetzner.TokenRefused}
	type statuses = []snapshot.Status
	for _, tt := range []struct {
		name       string
		outcome    snapshot.Outcome
		expensive  bool
		statuses   statuses
		left       bool // the copy of the first one
		swept      bool // a copy of an earlier run is left
		code, warn int  // by if-inconclusive: fail and warn
		result     string
	}{
		{name: "verified", statuses: statuses{ok, ok}, result: "success"},
		{name: "a dry run", outcome: snapshot.Outcome{DryRun: true}, statuses: statuses{planned}, result: "success"},
		{name: "verified, and not due", statuses: statuses{ok, skipped}, result: "success"},
		{name: "not due", statuses: statuses{skipped, skipped}, result: "skipped"},
		{name: "nothing", result: "skipped"},
		{name: "failed", statuses: statuses{bad}, code: 1, warn: 1, result: "failure"},
		{name: "failed, and not due", statuses: statuses{bad, skipped}, code: 1, warn: 1, result: "failure"},
		{name: "one of two failed", statuses: statuses{ok, bad}, code: 1, warn: 1, result: "partial"},
		{name: "failed, and inconclusive", statuses: statuses{bad, open}, code: 1, warn: 1, result: "failure"},
		{name: "inconclusive", statuses: statuses{open}, code: 1, result: "inconclusive"},
		{name: "inconclusive, and not due", statuses: statuses{open, skipped}, code: 1, result: "inconclusive"},
		{name: "one of two inconclusive", statuses: statuses{ok, open}, code: 1, result: "partial"},
		{name: "all of it", statuses: statuses{ok, bad, open, skipped}, code: 1, warn: 1, result: "partial"},
		{name: "a copy is left", statuses: statuses{ok}, left: true, code: 1, warn: 1, result: "success"},
		{name: "a copy of an earlier run is left", statuses: statuses{skipped}, swept: true, code: 1, warn: 1, result: "skipped"},
		{name: "a missing name", outcome: snapshot.Outcome{Results: []snapshot.Result{{Name: "db-9", Status: bad, Reason: snapshot.NotFound}}}, code: 1, warn: 1, result: "failure"},
		{name: "a missing name beside a good one", outcome: snapshot.Outcome{Results: []snapshot.Result{{Name: "db-9", Status: bad, Reason: snapshot.NotFound}}}, statuses: statuses{ok}, code: 1, warn: 1, result: "partial"},
		{name: "too expensive", expensive: true, code: 2, warn: 2, result: "failure"},
		{name: "too expensive, and some not due", expensive: true, statuses: statuses{skipped}, code: 2, warn: 2, result: "failure"},
		{name: "nothing selected", outcome: snapshot.Outcome{Nothing: true}, code: 2, warn: 2, result: "failure"},
		{name: "a copy named outright", outcome: snapshot.Outcome{Mistakes: []project.Mistake{{Word: "hsnap-drill-7", Drill: true}}}, code: 2, warn: 2, result: "failure"},
		{name: "a bad selector", outcome: snapshot.Outcome{Selector: &hetzner.Error{}}, code: 2, warn: 2, result: "failure"},
		{name: "a refused token", outcome: snapshot.Outcome{Token: refusal}, statuses: statuses{open}, code: 3, warn: 3, result: "failure"},
		{name: "a token refused late", outcome: snapshot.Outcome{Token: refusal}, statuses: statuses{ok, open}, code: 3, warn: 3, result: "partial"},
		{name: "no API", outcome: snapshot.Outcome{Down: &hetzner.Error{}}, code: 3, warn: 3, result: "failure"},
		{name: "SIGINT", outcome: snapshot.Outcome{Signal: syscall.SIGINT}, statuses: statuses{ok, cancelled}, code: 130, warn: 130, result: "cancelled"},
		{name: "SIGTERM, and a copy is left", outcome: snapshot.Outcome{Signal: syscall.SIGTERM}, statuses: statuses{cancelled}, left: true, code: 143, warn: 143, result: "cancelled"},
		{name: "another signal", outcome: snapshot.Outcome{Signal: os.Interrupt}, code: 130, warn: 130, result: "cancelled"},
	} {
		o := verify.Outcome{Outcome: tt.outcome, TooExpensive: tt.expensive}
		for i, status := range tt.statuses {
			v := verify.Result{Name: strconv.Itoa(i), Copy: "hsnap-drill-" + strconv.Itoa(i+1), Status: status}
			if tt.left && i == 0 {
				v.Left = &copies.Left{}
			}
			o.Verifications = append(o.Verifications, v)
		}
		o.Swept = []verify.Swept{{Name: "hsnap-drill-8"}}
		var left []string
		if tt.left {
			left = append(left, "hsnap-drill-1")
		}
		if tt.swept {
			o.Swept = append(o.Swept, verify.Swept{Name: "hsnap-drill-9", Left: &copies.Left{}})
			left = append(left, "hsnap-drill-9")
		}
		tally := report.VerifyTallyOf(o)
		if code, warn := verifyExitCode(o, false), verifyExitCode(o, true); code != tt.code || warn != tt.warn || tally.Result != tt.result {
			t.Errorf("%s: exit %d, with warn %d, %s; want %d, %d, %s", tt.name, code, warn, tally.Result, tt.code, tt.warn, tt.result)
		}
		if diff := cmp.Diff(left, tally.Left); diff != "" {
			t.Errorf("%s: copies that are left (-want +got):\n%s", tt.name, diff)
		}
	}
}

// The second in the state is not before the time that it stands for.
func TestCopiesInTheState(t *testing.T) {
	at := time.Unix(946684800, 0)
	for text, want := range map[string][]copies.Copy{
		"hsnap-drill-7/f00d": {{Name: "hsnap-drill-7", Request: "f00d"}},
		"hsnap-drill-7/f00d#1000001.10.20@946684801": {
			{Name: "hsnap-drill-7", Request: "f00d", ID: 1000001, Addresses: []int64{10, 20}, Appears: at},
		},
		"hsnap-drill-7/f00d#0.10,hsnap-drill-8/cafe@946684801": {
			{Name: "hsnap-drill-7", Request: "f00d", Addresses: []int64{10}}, {Name: "hsnap-drill-8", Request: "cafe", Appears: at},
		},
		"": nil,
	} {
		if got := encodeCopies(want); got != text {
			t.Errorf("%+v is %q, want %q", want, got, text)
		}
		for i := range want {
			if !want[i].Appears.IsZero() {
				want[i].Appears = at.Add(time.Second)
			}
		}
		if diff := cmp.Diff(want, decodeCopies(text)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", text, diff)
		}
	}
	for _, text := range []string{
		"db-1/f00d", "hsnap-drill-7", "/f00d", "hsnap-drill-/f00d", "hsnap-drill-0/f00d", "hsnap-drill--7/f00d", "hsnap-drill-07/f00d",
		"hsnap-drill-+7/f00d", "hsnap-drill-7x/f00d", "hsnap-drill-99999999999999999999/f00d", "hsnap-drill-seven/f00d", ",,,", "@1", "#1.2",
	} {
		if got := decodeCopies(text); len(got) > 0 {
			t.Errorf("%q is %+v, want nothing", text, got)
		}
	}
	if got := decodeCopies(" hsnap-drill-7/a , hsnap-drill-7/b "); len(got) != 1 || got[0].Request != "a" {
		t.Errorf("a copy that is named twice is %+v", got)
	}
}

// FuzzCopies reads any text at all as the state: nothing panics, nothing is read that is no copy's name, and what was read and
// written again is the same.
func FuzzCopies(f *testing.F) {
	for _, text := range []string{
		"", ",", "hsnap-drill-7/f00d", "hsnap-drill-7/f00d#1.2.3@4", "hsnap-drill-7/f00d#-1.x.3@-4,hsnap-drill-8/", "db-1/f00d", "hsnap-drill-7/f#1#2@3@4",
		"hsnap-drill-9223372036854775807/x@9223372036854775807", "hsnap-drill-7/a/b,hsnap-drill-7/c", "\x00\xff@#/.,", "hsnap-drill-7/f00d#0.5",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		once := decodeCopies(text)
		names := map[string]bool{}
		for i, c := range once {
			image, err := strconv.ParseInt(strings.TrimPrefix(c.Name, "hsnap-drill-"), 10, 64)
			if err != nil || image <= 0 || c.Name != "hsnap-drill-"+strconv.FormatInt(image, 10) || names[c.Name] || c.ID < 0 {
				t.Errorf("%q is %+v", text, c)
			}
			for _, address := range c.Addresses {
				if address <= 0 {
					t.Errorf("%q has the address %d", text, address)
				}
			}
			names[c.Name] = true
			if !c.Appears.IsZero() { // it is written a second later, so that none is too early
				once[i].Appears = c.Appears.Add(-time.Second)
			}
		}
		again := decodeCopies(encodeCopies(once))
		for i := range again {
			if !again[i].Appears.IsZero() {
				again[i].Appears = again[i].Appears.Add(-time.Second)
			}
		}
		if diff := cmp.Diff(once, again); diff != "" {
			t.Errorf("%q, written and read again (-before +after):\n%s", text, diff)
		}
	})
}
