package action

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/org/hsnap-action/internal/config"
	"github.com/org/hsnap-action/internal/copies"
	"github.com/org/hsnap-action/internal/report"
	"github.com/org/hsnap-action/internal/secret"
	"github.com/org/hsnap-action/internal/verify"
)

// runVerify proves snapshots by booting copies of their servers.
func (p Process) runVerify(ctx context.Context, r *report.Report, mask secret.Mask, cfg *config.Verify) int {
	set := verify.Settings{
		Selection: selection(cfg.Selection), Images: choices(cfg.Images), Series: string(cfg.Series), VerifiedWithin: time.Duration(cfg.VerifiedWithin),
		AtMost: int(cfg.AtMost), Proof: proofOf(cfg.Prove), ProofLabel: cfg.Prove.Label(), ServerType: string(cfg.ServerType),
		CreateTimeout: time.Duration(cfg.CreateTimeout), BootTimeout: time.Duration(cfg.BootTimeout), MaxParallel: int(cfg.MaxParallel),
		MaxCost: float64(cfg.MaxCost), AllowFrom: cfg.AllowFrom, DryRun: bool(cfg.DryRun), Dial: p.Dial, Rand: p.Rand, Late: late(cfg.Run),
	}
	if cfg.Run.Platform == config.GitHub && !set.DryRun {
		recorded := ""
		set.Record = func(left []copies.Copy) error {
			if text := encodeCopies(left); text != recorded {
				recorded = text
				return r.SaveState(stateCopies, text)
			}
			return nil
		}
		if err := r.SaveState(stateCopies, recorded); err != nil { // a copy that nobody would delete must not be made
			r.Mistakes(fmt.Errorf("GITHUB_STATE must name a file that can be written: without it no post step could delete what is left: %w", err))
			return refuse(r, cfg)
		}
	}
	warn := cfg.IfInconclusive == "warn"
	r.Ask(report.Asked{
		Endpoint: string(cfg.APIEndpoint), LabelSelector: cfg.LabelSelector, Servers: cfg.Servers, Series: set.Series,
		BootTimeout: set.BootTimeout, Verifies: true, Post: cfg.Run.Platform == config.GitHub && !cfg.Run.NoPostStep, WarnOnly: warn, ProveRunning: set.Proof.Port == 0,
	})
	outcome := verify.Run(ctx, p.client(cfg.Access, mask, r), set, p.Signals, r.VerifyEvent)
	return deliver(r.DeliverVerify(outcome), verifyExitCode(outcome, warn))
}

// verifyExitCode returns the exit code of an outcome, which depends on nothing else but on whether it fails a run that
// something could not be found out.
func verifyExitCode(o verify.Outcome, warn bool) int {
	t := report.VerifyTallyOf(o)
	switch code := exitCode(o.Outcome); {
	case code != exitSuccess && code != exitFailure:
		return code
	case o.TooExpensive:
		return exitInputs
	case t.Failed > 0, len(t.Left) > 0, t.Inconclusive > 0 && !warn:
		return exitFailure
	}
	return exitSuccess
}

// encodeCopies returns the copies that have to go as text: their names, each with the value of its label; where they are known,
// its ID and those of its addresses; and, where a create may take effect late, the UNIX second until which it may. All of it
// is as in hsnap-drill-123/f00d#1000001.30000001@946684800.
func encodeCopies(left []copies.Copy) string {
	parts := make([]string, len(left))
	for i, c := range left {
		parts[i] = c.Name + "/" + c.Request
		if c.ID != 0 || len(c.Addresses) > 0 {
			parts[i] += "#" + strconv.FormatInt(c.ID, 10)
		}
		for _, id := range c.Addresses {
			parts[i] += "." + strconv.FormatInt(id, 10)
		}
		if !c.Appears.IsZero() {
			parts[i] += "@" + strconv.FormatInt(c.Appears.Unix()+1, 10)
		}
	}
	return strings.Join(parts, ",")
}

// decodeCopies reads the text that encodeCopies returned, and skips every part that is no copy.
func decodeCopies(text string) []copies.Copy {
	var left []copies.Copy
	for part := range strings.SplitSeq(text, ",") {
		text, until, timed := strings.Cut(strings.TrimSpace(part), "@")
		text, ids, _ := strings.Cut(text, "#")
		name, request, ok := strings.Cut(text, "/")
		c := copies.Copy{Name: name, Request: request}
		if !ok || !copies.IsName(name) || slices.ContainsFunc(left, func(other copies.Copy) bool { return other.Name == name }) {
			continue
		}
		if second, err := strconv.ParseInt(until, 10, 64); timed && err == nil {
			c.Appears = time.Unix(second, 0)
		}
		id, addresses, _ := strings.Cut(ids, ".")
		if n, err := strconv.ParseInt(id, 10, 64); err == nil && n > 0 {
			c.ID = n
		}
		for text := range strings.SplitSeq(addresses, ".") {
			if n, err := strconv.ParseInt(text, 10, 64); err == nil && n > 0 {
				c.Addresses = append(c.Addresses, n)
			}
		}
		left = append(left, c)
	}
	return left
}
