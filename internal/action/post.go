package action

import (
	"context"
	"path/filepath"
	"slices"

	"github.com/org/hsnap-action/internal/config"
	"github.com/org/hsnap-action/internal/hetzner"
	"github.com/org/hsnap-action/internal/report"
	"github.com/org/hsnap-action/internal/secret"
	"github.com/org/hsnap-action/internal/snapshot"
	"github.com/org/hsnap-action/internal/verify"
)

// A run that was killed can't undo what it has begun. On GitHub the action's post step does: the same program under another
// name. It reads from the step's state what may be left.
const (
	postName    = "hsnap-post"
	stateOff    = "off" // servers; the post step gets it as STATE_off
	stateCopies = "copies"
)

// isPost reports whether the program runs as the post step.
func (p Process) isPost() bool { return len(p.Args) > 0 && filepath.Base(p.Args[0]) == postName }

// leftover is something that a step may leave behind.
type leftover struct {
	there   bool
	said    string // before it is undone
	done    string // once it is
	undo    func(*hetzner.Client) (code int)
	untried func() // says what to do where nothing can be tried
}

// runPost undoes what the step has left behind. After a step that has left nothing it sends nothing. No input but the token
// and the endpoint is read, so that no other can keep a server off, or a copy running.
func (p Process) runPost(ctx context.Context, r *report.Report, mask secret.Mask) (code int) {
	off, made := decodeOff(p.getenv("STATE_"+stateOff)), decodeCopies(p.getenv("STATE_"+stateCopies))
	leftovers := []leftover{
		{
			there: len(off) > 0, said: "the step has left servers off, or may have; switching them on", done: "no server is left off",
			undo: func(api *hetzner.Client) int {
				o := snapshot.Rescue(ctx, api, snapshot.Settings{Late: isLate}, off, p.Signals, r.Event)
				r.Explain(o)
				return exitCode(o, report.SnapshotTallyOf(o))
			},
			untried: func() {
				for _, s := range off {
					r.Untried(s.Server)
				}
			},
		},
		{
			there: len(made) > 0, said: "the step has left copies of servers, or may have; deleting them", done: "no copy is left behind",
			undo: func(api *hetzner.Client) int {
				o := verify.Rescue(ctx, api, verify.Settings{Late: isLate}, made, p.Signals, r.VerifyEvent)
				r.Explain(o.Outcome)
				return exitCode(o.Outcome, report.VerifyTallyOf(o, true))
			},
			untried: func() {
				for _, c := range made {
					r.UntriedCopy(c.Name)
				}
			},
		},
	}
	leftovers = slices.DeleteFunc(leftovers, func(l leftover) bool { return !l.there })
	if len(leftovers) == 0 {
		return exitSuccess
	}
	access, err := config.LoadAccess(p.Env)
	if err != nil {
		r.Mistakes(err)
		for _, l := range leftovers {
			l.untried()
		}
		return exitFailure
	}
	r.Ask(report.Asked{Endpoint: string(access.APIEndpoint)})
	for _, l := range leftovers {
		r.Line("%s", l.said)
		undone := l.undo(p.client(access, mask, r))
		if undone == exitSuccess {
			r.Line("%s", l.done)
		}
		code = max(code, undone)
	}
	return code
}
