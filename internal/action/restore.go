package action

import (
	"context"
	"time"

	"github.com/org/hsnap-action/internal/config"
	"github.com/org/hsnap-action/internal/hetzner"
	"github.com/org/hsnap-action/internal/labels"
	"github.com/org/hsnap-action/internal/proof"
	"github.com/org/hsnap-action/internal/report"
	"github.com/org/hsnap-action/internal/restore"
	"github.com/org/hsnap-action/internal/secret"
	"github.com/org/hsnap-action/internal/snapshot"
)

const (
	// beforeSeries is the series of the snapshots that are made before a server is rebuilt.
	beforeSeries = "pre-restore"
	// beforeTimeout is how long such a snapshot may take once it is accepted: as long as one of the command snapshot.
	beforeTimeout = 2 * time.Hour
)

// runRestore puts servers back to their snapshots.
func (p Process) runRestore(ctx context.Context, r *report.Report, mask secret.Mask, cfg *config.Restore) int {
	set := restore.Settings{
		Images: choices(cfg.Images), Series: string(cfg.Series), MaxAge: time.Duration(cfg.MaxAge),
		SnapshotFirst: bool(cfg.SnapshotFirst), Proof: proof.Proof(cfg.Prove),
		IfVolumes: snapshot.Policy(cfg.IfVolumesAttached), RestoreTimeout: time.Duration(cfg.RestoreTimeout),
		BootTimeout: time.Duration(cfg.BootTimeout), DryRun: bool(cfg.DryRun), Dial: p.Dial, Late: late(cfg.Run),
	}
	set.Before = snapshot.Settings{
		IfVolumes: snapshot.Ignore, IfLocked: snapshot.Wait, LockTimeout: time.Duration(cfg.LockTimeout), SnapshotTimeout: beforeTimeout,
		Wait: true, MaxParallel: int(cfg.MaxParallel), Shutdown: snapshot.Never, MaxUnavailable: 1, Series: beforeSeries,
		WorkflowRun: labels.NewRun(cfg.Run.ID, cfg.Run.Attempt, p.Rand), Repository: labels.RepositoryOf(cfg.Run.Repository), Rand: p.Rand,
		Describe: func(s hetzner.Server, now time.Time) string {
			return s.Name + "-" + beforeSeries + "-" + now.UTC().Format("2006-01-02T150405Z")
		},
	}
	r.Ask(report.Asked{
		LockTimeout: set.Before.LockTimeout, Endpoint: string(cfg.APIEndpoint), Restores: true, SnapshotFirst: set.SnapshotFirst,
		Series: set.Series,
	})
	outcome := restore.Run(ctx, p.client(cfg.Access, mask, r), set, p.Signals, r.RestoreEvent)
	return exitCode(outcome.Outcome, r.DeliverRestore(outcome))
}
