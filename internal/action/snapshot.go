package action

import (
	"context"
	"io"
	"time"

	"github.com/org/hsnap-action/internal/config"
	"github.com/org/hsnap-action/internal/hetzner"
	"github.com/org/hsnap-action/internal/labels"
	"github.com/org/hsnap-action/internal/report"
	"github.com/org/hsnap-action/internal/secret"
	"github.com/org/hsnap-action/internal/snapshot"
)

// runSnapshot takes the snapshots.
func (p Process) runSnapshot(ctx context.Context, r *report.Report, mask secret.Mask, cfg config.Snapshot) int {
	set := settings(cfg, p.Rand)
	live := set.Shutdown == snapshot.Never
	r.Ask(report.Asked{
		LockTimeout: set.LockTimeout, Endpoint: string(cfg.APIEndpoint), LabelSelector: cfg.LabelSelector,
		Live: live, Post: !live && cfg.Run.Platform == config.GitHub && !cfg.Run.NoPostStep,
	})
	if cfg.Run.Platform == config.GitHub {
		set.Record = func(off []snapshot.Recorded) error { return r.SaveState(stateOff, encode(off)) }
	}
	if set.Protect && !set.Retention.Empty() {
		r.Warn("protect with keep-*: protected snapshots neither count nor go, and pile up until Hetzner's limit is reached")
	}
	outcome := snapshot.Run(ctx, p.client(cfg.Access, mask, r), set, p.Signals, r.Event)
	return exitCode(outcome, r.DeliverSnapshot(outcome))
}

// settings returns the inputs in the types of package snapshot.
func settings(cfg config.Snapshot, random io.Reader) snapshot.Settings {
	return snapshot.Settings{
		Selection: selection(cfg.Selection),
		IfNone:    snapshot.Policy(cfg.IfNoServersFound), IfVolumes: snapshot.Policy(cfg.IfVolumesAttached),
		IfLocked:    snapshot.Policy(cfg.IfLocked),
		LockTimeout: time.Duration(cfg.LockTimeout), SnapshotTimeout: time.Duration(cfg.SnapshotTimeout),
		Wait: bool(cfg.Wait), MaxParallel: int(cfg.MaxParallel), DryRun: bool(cfg.DryRun), Protect: bool(cfg.Protect),
		Shutdown: snapshot.Policy(cfg.Shutdown), ShutdownTimeout: time.Duration(cfg.ShutdownTimeout),
		MaxUnavailable: int(cfg.MaxUnavailable), SettleTime: time.Duration(cfg.SettleTime),
		Retention: cfg.Retention(), Series: string(cfg.Series), Repository: labels.RepositoryOf(cfg.Run.Repository),
		Labels: cfg.Labels, CopyServerLabels: bool(cfg.CopyServerLabels),
		Describe:    func(s hetzner.Server, now time.Time) string { return cfg.Describe(s.Name, s.ID, now) },
		WorkflowRun: labels.NewRun(cfg.Run.ID, cfg.Run.Attempt, random), Reuse: cfg.OnRerun == "reuse", ReuseWithin: time.Duration(cfg.ReuseWithin),
		Rand: random, Late: late(cfg.Run),
	}
}
