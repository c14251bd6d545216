package action

import (
	"context"

	"github.com/org/hsnap-action/internal/config"
	"github.com/org/hsnap-action/internal/labels"
	"github.com/org/hsnap-action/internal/prune"
	"github.com/org/hsnap-action/internal/report"
	"github.com/org/hsnap-action/internal/secret"
)

// runPrune thins out the snapshots of servers without making a new one.
func (p Process) runPrune(ctx context.Context, r *report.Report, mask secret.Mask, cfg *config.Prune) int {
	set := prune.Settings{
		Selection: selection(cfg.Selection), Series: string(cfg.Series), Retention: cfg.Retention(),
		MaxDeletions: int(cfg.MaxDeletions), DryRun: bool(cfg.DryRun), Late: late(cfg.Run),
	}
	if cfg.Run.ID != "" {
		set.WorkflowRun = labels.NewRun(cfg.Run.ID, cfg.Run.Attempt, p.Rand)
	}
	r.Ask(report.Asked{Endpoint: string(cfg.APIEndpoint), LabelSelector: cfg.LabelSelector, Prunes: true})
	outcome := prune.Run(ctx, p.client(cfg.Access, mask, r), set, p.Signals, r.Event)
	return exitCode(outcome.Outcome, r.DeliverPrune(outcome))
}
