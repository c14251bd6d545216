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
	set := audit.Settings{Selection: selection(cfg.Selection), Series: string(cfg.Series), StaleAfter: time.Duration(cfg.StaleAfter)}
	for _, finding := range cfg.FailOn {
		set.FailOn = append(set.FailOn, audit.Finding(finding))
	}
	if cfg.Run.Platform == config.GitHub {
		set.Late = isLate
	}
	r.Ask(report.Asked{Endpoint: string(cfg.APIEndpoint), LabelSelector: cfg.LabelSelector, Servers: cfg.Servers})
	outcome := audit.Run(ctx, p.client(cfg.Access, mask, r), set, p.Signals, r.Event)
	return deliverAudit(r, outcome, auditExitCode(outcome))
}

// deliverAudit is to audit what deliver is to snapshot.
func deliverAudit(r *report.Report, o audit.Outcome, code int) int {
	if delivered := r.DeliverAudit(o); !delivered && code == exitSuccess {
		return exitFailure
	}
	return code
}

// auditExitCode returns the exit code of an outcome, which depends on nothing else.
func auditExitCode(o audit.Outcome) int {
	if code := exitCode(o.Outcome); code != exitSuccess || len(o.Failures) == 0 {
		return code
	}
	return exitFailure
}
