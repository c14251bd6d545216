// Package action is one run of the program, from the inputs to the exit code. Start reading here.
//
// [Process.Main] reads the inputs, runs the command, reports the outcome and returns the exit code. Each command has a file of
// its own. On GitHub the same program runs once more as the action's post step, which switches on the servers that the step
// left off, and deletes the copies that it left behind (post.go). What that has to know of the step stands in state.go.
//
// This package sends no request and words no result. The environment, the output, the signals, the network and the randomness
// are fields of [Process], so that a test can supply all of them.
//
// The other packages are best read in this order:
//
//   - config: from the environment to validated settings
//   - project: which servers and snapshots the inputs mean, and labels: which snapshots are this program's own
//   - fleet: a loop that runs scripts, mostly one per server, and polls for all of them within one budget
//   - snapshot: the script that brings one server to exactly one usable snapshot
//   - restore: the script that puts one server back to its snapshot, and proof: whether it answers
//   - verify: the script that proves one snapshot by a copy, and copies: how those are removed
//   - audit: what a project holds; the shortest command
//   - prune: old snapshots are deleted without a new one, and thinning: how
//   - hetzner: one request to the API, and what its answer means
//   - retention: which old snapshots to keep
//   - report: the words of the log, the outputs and the job summary
//   - secret: no token in what is shown
package action

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/org/hsnap-action/internal/audit"
	"github.com/org/hsnap-action/internal/config"
	"github.com/org/hsnap-action/internal/hetzner"
	"github.com/org/hsnap-action/internal/proof"
	"github.com/org/hsnap-action/internal/prune"
	"github.com/org/hsnap-action/internal/report"
	"github.com/org/hsnap-action/internal/restore"
	"github.com/org/hsnap-action/internal/secret"
	"github.com/org/hsnap-action/internal/snapshot"
	"github.com/org/hsnap-action/internal/verify"
)

// Exit codes are part of the user's contract. A cancelled run returns 128 plus the signal's number.
const (
	exitSuccess = 0 // all that was asked for is done, or was skipped as configured
	exitFailure = 1 // something failed, was found or is left behind, or the outputs could not be written
	exitInputs  = 2 // wrong inputs, nothing selected, more than a limit allows, or no file for the outputs: nothing was changed
	exitAPI     = 3 // the API could not be used at all
	exitSignal  = 128
)

// Process is the program, with everything that it uses from outside.
type Process struct {
	Args      []string // the command line, program name first
	Version   string
	Env       []string // as os.Environ gives it
	Out       io.Writer
	Signals   <-chan os.Signal
	Transport http.RoundTripper
	Dial      proof.Dialer // to a server that has to prove something
	Rand      io.Reader    // as crypto/rand.Reader: never fails
}

// A log that nobody reads may hold the end up for so long; a cancelled run has less time.
const (
	flushLimit          = 2 * time.Second
	flushLimitCancelled = 400 * time.Millisecond
)

// Main runs the program and returns its exit code.
func (p Process) Main(ctx context.Context) int {
	tokens := config.Tokens(p.Env)
	mask := secret.New(tokens...)
	r := report.New(report.Options{Out: p.Out, Mask: mask, Getenv: p.getenv})
	code := p.run(ctx, r, tokens, mask)
	if code > exitSignal {
		r.Flush(flushLimitCancelled)
	} else {
		r.Flush(flushLimit)
	}
	return code
}

func (p Process) run(ctx context.Context, r *report.Report, tokens []string, mask secret.Mask) int {
	words := p.Args[min(1, len(p.Args)):]
	if text := config.Help(words, p.Env, p.Version); text != "" {
		r.Text(text)
		return exitSuccess
	}
	r.Conceal(tokens)
	if p.isPost() {
		return p.runPost(ctx, r, mask)
	}

	cfg, err := config.Load(words, p.Env)
	common := cfg.Shared()
	to := report.OutputsTo{File: common.OutputFile, Input: config.NameOf(p.Env, "OUTPUT_FILE"), Summary: bool(common.Summary)}
	for _, warning := range common.Warnings {
		r.Warn(warning)
	}
	if err = errors.Join(err, r.OpenOutputs(to)); err != nil {
		r.Mistakes(err)
		return refuse(r, cfg)
	}
	switch cfg := cfg.(type) {
	case *config.Restore:
		return p.runRestore(ctx, r, mask, cfg)
	case *config.Verify:
		return p.runVerify(ctx, r, mask, cfg)
	case *config.Prune:
		return p.runPrune(ctx, r, mask, cfg)
	case *config.Audit:
		return p.runAudit(ctx, r, mask, cfg)
	case *config.Snapshot:
		return p.runSnapshot(ctx, r, mask, *cfg)
	}
	panic(fmt.Sprintf("action: no command has %T", cfg))
}

// refuse delivers the outputs of a command whose inputs are wrong: nothing was done.
func refuse(r *report.Report, cfg config.Settings) int {
	nothing := snapshot.Outcome{Nothing: true}
	switch cfg.(type) {
	case *config.Restore:
		r.DeliverRestore(restore.Outcome{Outcome: nothing})
	case *config.Verify:
		r.DeliverVerify(verify.Outcome{Outcome: nothing})
	case *config.Prune:
		r.DeliverPrune(prune.Outcome{Outcome: nothing})
	case *config.Audit:
		r.DeliverAudit(audit.Outcome{Outcome: nothing})
	default:
		r.DeliverSnapshot(nothing)
	}
	return exitInputs
}

func (p Process) client(access config.Access, mask secret.Mask, r *report.Report) *hetzner.Client {
	return hetzner.New(hetzner.Options{
		Endpoint: string(access.APIEndpoint), Token: string(access.Token), Version: p.Version,
		Transport: p.Transport, Mask: mask, Observe: r.Exchange,
	})
}

// exitCode returns the exit code of any command's run, which depends on nothing else.
func exitCode(o snapshot.Outcome, t report.Tally) int {
	switch number, _ := o.Signal.(syscall.Signal); {
	case o.Signal != nil:
		return exitSignal + int(cmp.Or(number, syscall.SIGTERM))
	case o.Token != nil, o.Down != nil:
		return exitAPI
	case t.Stopped:
		return exitInputs
	case t.Bad, t.Undelivered:
		return exitFailure
	}
	return exitSuccess
}

// getenv returns the value of a variable as os.Getenv does: where a name occurs twice, the first one counts.
func (p Process) getenv(name string) string {
	for _, pair := range p.Env {
		if value, ok := strings.CutPrefix(pair, name+"="); ok {
			return value
		}
	}
	return ""
}
