package action

import (
	"os"
	"strconv"
	"syscall"
	"testing"

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
		var left []string
		if tt.left {
			left = append(left, "hsnap-drill-1")
		}
		if tt.swept {
			o.Left = append(o.Left, snapshot.Leftover{Name: "hsnap-drill-9"})
			left = append(left, "hsnap-drill-9")
		}
		tally, lenient := report.VerifyTallyOf(o, false), report.VerifyTallyOf(o, true)
		if code, warn := exitCode(o.Outcome, tally), exitCode(o.Outcome, lenient); code != tt.code || warn != tt.warn || tally.Result != tt.result || lenient.Result != tt.result {
			t.Errorf("%s: exit %d, with warn %d, %s; want %d, %d, %s", tt.name, code, warn, tally.Result, tt.code, tt.warn, tt.result)
		}
		if diff := cmp.Diff(left, tally.Left); diff != "" {
			t.Errorf("%s: copies that are left (-want +got):\n%s", tt.name, diff)
		}
	}
}
