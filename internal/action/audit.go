package action

import (
	"context"
	"time"

	"github.com/org/hsnap-action/internal/audit"
	"github.com/org/hsnap-action/internal/config"
	"github.com/org/hsnap-action/internal/report"
	"github.com/org/hsnap-action/internal/secret"
)

// runAudit tells which snapshots there are and which are missing. It only reads, whatever dry-run says.
func (p Process) runAudit(ctx context.Context, r *report.Report, mask secret.Mask, cfg *config.Audit) int {
	set := audit.Settings{
		Selection: selection(cfg.Selection), Series: string(cfg.Series), StaleAfter: time.Duration(cfg.StaleAfter), Late: late(cfg.Run),
	}
	for _, finding := range cfg.FailOn {
		set.FailOn = append(set.FailOn, audit.Finding(finding))
	}
	r.Ask(report.Asked{Endpoint: string(cfg.APIEndpoint), LabelSelector: cfg.LabelSelector})
	outcome := audit.Run(ctx, p.client(cfg.Access, mask, r), set, p.Signals, r.Event)
	return exitCode(outcome.Outcome, r.DeliverAudit(outcome))
}
