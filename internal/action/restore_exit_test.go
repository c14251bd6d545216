package action

import (
	"os"
	"syscall"
	"testing"

	"github.com/org/hsnap-action/internal/hetzner"
	"github.com/org/hsnap-action/internal/report"
	"github.com/org/hsnap-action/internal/restore"
	"github.com/org/hsnap-action/internal/snapshot"
)

// What became of each server, of the pairs and of the run as a whole decides the exit code and the result.
func TestRestoreExitCode(t *testing.T) {
	refusal := &hetzner.Error{Code: "unauthorized", Verdict: hetzner.TokenRefused}
	wrong := []restore.Mistake{{Why: restore.NoServer}}
	for _, tt := range []struct {
		name     string
		outcome  snapshot.Outcome
		refused  []restore.Mistake
		statuses []snapshot.Status
		code     int
		result   string
		failed   int
	}{
		{name: "one restored", statuses: []snapshot.Status{restore.Restored}, result: "success"},
		{name: "a dry run", outcome: snapshot.Outcome{DryRun: true}, statuses: []snapshot.Status{snapshot.Planned, snapshot.Planned}, result: "success"},
		{name: "one of two failed", statuses: []snapshot.Status{restore.Restored, snapshot.Failed}, code: 1, result: "partial", failed: 1},
		{name: "all failed", statuses: []snapshot.Status{snapshot.Failed, snapshot.Failed}, code: 1, result: "failure", failed: 2},
		{name: "a wrong pair", refused: wrong, code: 2, result: "failure"},
		{name: "wrong inputs", outcome: snapshot.Outcome{Nothing: true}, code: 2, result: "failure"},
		{name: "a refused token", outcome: snapshot.Outcome{Token: refusal}, code: 3, result: "failure"},
		{
			name: "a token that is refused on the way", outcome: snapshot.Outcome{Token: refusal},
			statuses: []snapshot.Status{restore.Restored, snapshot.Failed}, code: 3, result: "partial", failed: 1,
		},
		{
			name: "a token that is refused in the end", outcome: snapshot.Outcome{Token: refusal},
			statuses: []snapshot.Status{restore.Restored}, code: 3, result: "partial",
		},
		{name: "an unreachable API", outcome: snapshot.Outcome{Down: &hetzner.Error{}}, code: 3, result: "failure"},
		{
			name: "SIGINT", outcome: snapshot.Outcome{Signal: os.Interrupt},
			statuses: []snapshot.Status{restore.Restored, snapshot.Cancelled}, code: 130, result: "cancelled",
		},
		{
			name: "SIGTERM after a failure", outcome: snapshot.Outcome{Signal: syscall.SIGTERM},
			statuses: []snapshot.Status{snapshot.Failed, snapshot.Cancelled}, code: 143, result: "cancelled", failed: 1,
		},
		{name: "SIGINT before anything was known", outcome: snapshot.Outcome{Signal: syscall.SIGINT}, code: 130, result: "cancelled"},
		{name: "SIGINT and a refused token", outcome: snapshot.Outcome{Signal: syscall.SIGINT, Token: refusal}, code: 130, result: "cancelled"},
	} {
		o := restore.Outcome{Outcome: tt.outcome, Refused: tt.refused}
		for _, status := range tt.statuses {
			o.Restores = append(o.Restores, restore.Result{Result: snapshot.Result{Name: "db-1", Status: status}})
		}
		tally := report.RestoreTallyOf(o)
		if code := exitCode(o.Outcome, tally); code != tt.code || tally.Result != tt.result || tally.Failed != tt.failed {
			t.Errorf("%s: exit %d, %s, %d failed; want %d, %s, %d", tt.name, code, tally.Result, tally.Failed, tt.code, tt.result, tt.failed)
		}
	}
}
