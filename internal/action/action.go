// Package action is the story of one run, from inputs to exit code. Start reading here.
//
// It reads the inputs, has the snapshots taken, has the result reported, and turns it into an exit code. It talks to
// no server and words no result itself, and it takes everything from outside the program (environment, output,
// signals, network, randomness) as values, so that a test can be the world.
package action

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/org/hsnap-action/internal/config"
	"github.com/org/hsnap-action/internal/hetzner"
	"github.com/org/hsnap-action/internal/report"
	"github.com/org/hsnap-action/internal/secret"
	"github.com/org/hsnap-action/internal/snapshot"
)

// Exit codes are part of the user's contract. A cancelled run ends with 128 plus the signal's number.
const (
	exitSuccess = 0 // every selected server has its snapshot, or was skipped as asked
	exitFailure = 1 // one or more servers failed, or the outputs could not be handed on
	exitInputs  = 2 // wrong inputs, or nothing selected
	exitAPI     = 3 // the API could not be used at all
	exitSignal  = 128
)

// Process is the program as a value.
type Process struct {
	Args      []string // the command line, program name first
	Version   string
	Env       []string // as os.Environ gives it
	Out       io.Writer
	Signals   <-chan os.Signal
	Transport http.RoundTripper
	Rand      io.Reader // as crypto/rand.Reader: never fails
}

// Main runs the program and returns its exit code.
func (p Process) Main(ctx context.Context) int {
	tokens := config.Tokens(p.Env)
	mask := secret.New(tokens...)
	r := report.New(report.Options{Out: p.Out, Mask: mask, Getenv: p.getenv})
	if p.question(r) {
		return exitSuccess
	}
	r.Conceal(tokens)
	if p.isPost() {
		return p.post(ctx, r, mask)
	}

	cfg, err := config.Load(p.Env)
	to := report.OutputsTo{File: cfg.OutputFile, Summary: bool(cfg.Summary)}
	for _, warning := range cfg.Warnings {
		r.Warn(warning)
	}
	if len(p.Args) > 1 {
		err = errors.Join(err, fmt.Errorf("unknown argument %q: inputs are environment variables, see --help", p.Args[1]))
	}
	if err != nil {
		r.Mistakes(err)
		return p.deliver(r, snapshot.Outcome{Nothing: true}, to, exitInputs)
	}
	set := settings(cfg, p.Rand)
	a := asked(cfg)
	a.Live = set.Shutdown == snapshot.Never
	a.Post = !a.Live && cfg.Run.Platform == config.GitHub
	r.Ask(a)
	if a.Post {
		set.Record = func(off []snapshot.Recorded) error { return r.SaveState(stateOff, encode(off)) }
	}

	if set.Protect && !set.Retention.Empty() {
		r.Warn("protect with keep-*: protected snapshots neither count nor go, and pile up until Hetzner's limit is reached")
	}

	outcome := snapshot.Run(ctx, p.client(cfg, mask, r), set, p.Signals, r.Event)

	r.Explain(outcome)
	return p.deliver(r, outcome, to, exitCode(outcome))
}

func (p Process) client(cfg config.Config, mask secret.Mask, r *report.Report) *hetzner.Client {
	return hetzner.New(hetzner.Options{
		Endpoint: string(cfg.APIEndpoint), Token: string(cfg.Token), Version: p.Version,
		Transport: p.Transport, Mask: mask, Observe: r.Exchange,
	})
}

// question answers a question about the program itself; the command line holds nothing else.
func (p Process) question(r *report.Report) (answered bool) {
	if len(p.Args) != 2 {
		return false
	}
	switch p.Args[1] {
	case "--help", "-h":
		r.Text(config.Help(p.Version))
	case "--version":
		r.Text("hsnap-action " + p.Version)
	default:
		return false
	}
	return true
}

// deliver hands on the outputs. A result that the next step can't read is no success.
func (p Process) deliver(r *report.Report, o snapshot.Outcome, to report.OutputsTo, code int) int {
	if err := r.Deliver(o, to); err != nil {
		r.Error(err.Error())
		if code == exitSuccess {
			return exitFailure
		}
	}
	return code
}

// asked is what messages tell of the inputs.
func asked(cfg config.Config) report.Asked {
	return report.Asked{
		LockTimeout: cfg.LockTimeout, Endpoint: string(cfg.APIEndpoint), LabelSelector: cfg.LabelSelector,
	}
}

// exitCode follows from the outcome alone.
func exitCode(o snapshot.Outcome) int {
	switch {
	case o.Signal != nil:
		if number, ok := o.Signal.(syscall.Signal); ok {
			return exitSignal + int(number)
		}
		return exitSignal + int(syscall.SIGTERM)
	case o.Token != nil, o.Down != nil:
		return exitAPI
	case o.Selector != nil, o.Nothing:
		return exitInputs
	case report.TallyOf(o).Failed > 0:
		return exitFailure
	}
	return exitSuccess
}

// settings translates the inputs into the words of package snapshot.
func settings(cfg config.Config, random io.Reader) snapshot.Settings {
	s := snapshot.Settings{
		Servers: cfg.Servers, Exclude: cfg.Exclude, LabelSelector: cfg.LabelSelector,
		IfNone: snapshot.Policy(cfg.IfNoServersFound), IfVolumes: snapshot.Policy(cfg.IfVolumesAttached),
		IfLocked:    snapshot.Policy(cfg.IfLocked),
		LockTimeout: time.Duration(cfg.LockTimeout), SnapshotTimeout: time.Duration(cfg.SnapshotTimeout),
		Wait: bool(cfg.Wait), MaxParallel: int(cfg.MaxParallel), DryRun: bool(cfg.DryRun), Protect: bool(cfg.Protect),
		Shutdown: snapshot.Shutdown(cfg.Shutdown), ShutdownTimeout: time.Duration(cfg.ShutdownTimeout),
		MaxUnavailable: int(cfg.MaxUnavailable), SettleTime: time.Duration(cfg.SettleTime),
		Retention: cfg.Retention(), Series: string(cfg.Series), Repository: labelValue(cfg.Run.Repository, labelMost),
		Labels: cfg.Labels, CopyServerLabels: bool(cfg.CopyServerLabels), Reserved: config.Reserved,
		Describe: func(s hetzner.Server, now time.Time) string { return cfg.Describe(s.Name, s.ID, now) },
		Rand:     random,
	}
	s.Run, s.RunFamily, s.EarlierRuns = runs(cfg, random)
	return s
}

// getenv looks a variable up as os.Getenv does: the first one counts.
func (p Process) getenv(name string) string {
	for _, pair := range p.Env {
		if value, ok := strings.CutPrefix(pair, name+"="); ok {
			return value
		}
	}
	return ""
}
