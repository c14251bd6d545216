package action

import (
	"context"
	"fmt"
	"time"

	"github.com/org/hsnap-action/internal/config"
	"github.com/org/hsnap-action/internal/copies"
	"github.com/org/hsnap-action/internal/proof"
	"github.com/org/hsnap-action/internal/report"
	"github.com/org/hsnap-action/internal/secret"
	"github.com/org/hsnap-action/internal/verify"
)

// runVerify proves snapshots by booting copies of their servers.
func (p Process) runVerify(ctx context.Context, r *report.Report, mask secret.Mask, cfg *config.Verify) int {
	set := verify.Settings{
		Selection: selection(cfg.Selection), Images: choices(cfg.Images), Series: string(cfg.Series), VerifiedWithin: time.Duration(cfg.VerifiedWithin),
		AtMost: int(cfg.AtMost), Proof: proof.Proof(cfg.Prove), ProofLabel: cfg.Prove.Label(), ServerType: string(cfg.ServerType),
		CreateTimeout: time.Duration(cfg.CreateTimeout), BootTimeout: time.Duration(cfg.BootTimeout), MaxParallel: int(cfg.MaxParallel),
		MaxCost: float64(cfg.MaxCost), AllowFrom: cfg.AllowFrom, DryRun: bool(cfg.DryRun), Dial: p.Dial, Rand: p.Rand, Late: late(cfg.Run),
	}
	if cfg.Run.Platform == config.GitHub && !set.DryRun {
		set.Record = func(left []copies.Copy) error { return r.SaveState(stateCopies, encode(left)) }
		if err := set.Record(nil); err != nil { // a copy that nobody would delete must not be made
			r.Mistakes(fmt.Errorf("GITHUB_STATE must name a file that can be written: without it no post step could delete what is left: %w", err))
			return refuse(r, cfg)
		}
	}
	warn := cfg.IfInconclusive == "warn"
	r.Ask(report.Asked{
		Endpoint: string(cfg.APIEndpoint), LabelSelector: cfg.LabelSelector, Series: set.Series,
		Verifies: true, WarnOnly: warn, Post: cfg.Run.Platform == config.GitHub && !cfg.Run.NoPostStep,
	})
	outcome := verify.Run(ctx, p.client(cfg.Access, mask, r), set, p.Signals, r.VerifyEvent)
	return exitCode(outcome.Outcome, r.DeliverVerify(outcome))
}
