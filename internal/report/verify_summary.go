package report

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/org/hsnap-action/internal/snapshot"
	"github.com/org/hsnap-action/internal/verify"
)

// VerifyTallyOf counts what came of the verifications.
func VerifyTallyOf(o verify.Outcome) (t Tally) {
	for _, r := range o.Results { // names that match nothing
		t.count(endOf(r))
	}
	for _, v := range o.Verifications {
		t.count(verifyEnd(v))
		if v.Left != nil {
			t.Left = append(t.Left, v.Copy)
		}
	}
	for _, s := range o.Swept {
		if s.Left != nil {
			t.Left = append(t.Left, s.Name)
		}
	}
	good := t.statuses[verify.Verified]+t.statuses[snapshot.Planned] > 0
	bad, otherwise := t.Failed > 0 || stopped(o.Outcome) || o.TooExpensive, "skipped"
	if t.Inconclusive > 0 {
		bad, otherwise = bad || good, "inconclusive"
	}
	t.Result = resultOf(o.Outcome, good, bad, otherwise)
	return t
}

func verifyEnd(v verify.Result) end { return end{name: v.Name, status: v.Status, reason: v.Reason} }

// round leaves of an amount what is not an error of the sum.
func round(amount float64) float64 { return math.Round(amount*1e6) / 1e6 }

// DeliverVerify is to a run of verify what [Report.Deliver] is to one of snapshot. It also reports why the run as a whole came
// to nothing.
func (r *Report) DeliverVerify(o verify.Outcome) (delivered bool) {
	t, why := VerifyTallyOf(o), r.verifyWhole(o)
	r.explainWhole(why)
	entries, good, bad, left, cost := []json.RawMessage{}, []int64{}, []int64{}, []string{}, 0.0
	for _, result := range o.Results {
		entries = append(entries, r.verifyEntry(verify.Result{Name: result.Name, Status: result.Status, Reason: result.Reason}, explain(result, r.asked)))
	}
	for _, v := range o.Verifications {
		entries = append(entries, r.verifyEntry(v, explainVerification(v, r.asked)))
		cost += v.Cost
		switch {
		case v.Status == verify.Verified:
			good = append(good, v.Image.ID)
		case v.Status == snapshot.Failed && v.Image.ID != 0:
			bad = append(bad, v.Image.ID)
		}
	}
	for _, name := range t.Left {
		left = append(left, r.text(name))
	}
	harmless := r.asked.WarnOnly && t.Failed == 0 && why.what == "" // no more than that something could not be found out
	return r.end(ending{
		title: "Verified Hetzner Cloud snapshots", nothing: "nothing was verified", dryRun: o.DryRun, why: why, tally: t,
		fails:  len(t.Left) > 0 || t.Result == "failure" || !harmless && (t.Result == "partial" || t.Result == "inconclusive"),
		urgent: named(t.Left, plural(len(t.Left), "copy")+" LEFT BEHIND"),
		failed: named(t.failed, fmt.Sprintf("of %d", len(o.Verifications)+len(o.Results))),
		rest:   []string{only(o.DryRun && o.PlannedCost > 0, "at most "+r.money(o.PlannedCost)), only(cost > 0, "cost "+r.money(cost))},
		outputs: []output{
			{name: "result", value: t.Result},
			{name: "verifications", value: compact(entries), spare: 1},
			{name: "verified-image-ids", value: compact(good), spare: 3},
			{name: "failed-image-ids", value: compact(bad), spare: 2},
			{name: "copies-left", value: compact(left)},
			{name: "cost-gross", value: strconv.FormatFloat(round(cost), 'f', -1, 64)},
		},
		summary: func(p *page) { r.verifySummary(p, o, why) },
	})
}

// verifyEntry is one server in the output "verifications".
func (r *Report) verifyEntry(v verify.Result, a account) json.RawMessage {
	return r.object(
		"server_name", v.Name,
		"image_id", known(v.Image.ID),
		"status", v.Status,
		"reason", v.Reason,
		"message", a.line(),
		"proof", v.Proof,
		"server_type", v.Type,
		"create_seconds", known(seconds(v.CreateTook)),
		"boot_seconds", known(seconds(v.BootTook)),
		"cost_gross", round(v.Cost),
	)
}

// verifyWhole explains why a run as a whole verified nothing; it explains nothing of any other run.
func (r *Report) verifyWhole(o verify.Outcome) account {
	switch {
	case o.TooExpensive:
		return account{
			what: fmt.Sprintf("the verifications may cost up to %s, which is more than max-cost allows; nothing was created", r.money(o.PlannedCost)),
			next: "set at-most, server-type: cheapest, a shorter create-timeout, or a larger max-cost",
		}
	case o.Nothing && len(o.Results) == 0 && o.Token == nil && o.Down == nil:
		return account{what: "no server is selected", next: "check servers, label-selector and exclude, and that the token belongs to the servers' project"}
	}
	return whole(o.Outcome, r.asked)
}

// verifySummary is the job summary: copies that are left first, then what went wrong, and a table of the servers.
func (r *Report) verifySummary(p *page, o verify.Outcome, why account) {
	var left []string
	for _, s := range o.Swept {
		if s.Left != nil {
			left = append(left, p.item("🔴 **"+p.cell(s.Name)+"**: ", explainLeft(s.Name, *s.Left, "", false), true))
		}
	}
	for _, v := range o.Verifications {
		if v.Left != nil {
			left = append(left, p.item("🔴 **"+p.cell(v.Copy)+"** ("+p.cell(v.Name)+"): ", r.explainLeft(v), true))
		}
	}
	p.items(left, "the output `copies-left`")
	p.print("%s", only(len(left) > 0, "\n"))
	r.begin(p, o.Outcome, why)
	var items, names []string
	var rows [][]string
	open := len(left) > 0
	for _, v := range o.Verifications {
		e := verifyEnd(v)
		if e.failed() {
			open = true
			items = append(items, p.item(e.head(p), explainVerification(v, r.asked), true))
		}
		names = append(names, v.Name)
		rows = append(rows, []string{
			p.cell(v.Name), only(v.Left != nil, "🔴 COPY LEFT BEHIND<br>") + e.cell(""), id(v.Image.ID), only(v.Image.ID != 0, minute(v.Image.Created)),
			only(v.Age > 0, short(v.Age)), p.cell(v.Proof) + only(v.BootTook > 0, " after "+short(v.BootTook)), only(v.CreateTook > 0, short(v.CreateTook)),
			p.cell(v.Type), only(v.Cost > 0, p.cell(r.money(v.Cost))),
		})
	}
	p.items(items, "the table")
	p.print("%s", only(len(items) > 0, "\n"))
	if len(rows) > 0 {
		p.table("server|result|>image|made (UTC)|>age|proof|>created in|type|>cost", rows, len(rows),
			"\n… and %d more servers; the output `verifications` holds them all.\n")
		p.print("\n%s\n", r.whatItProves(o))
	}
	r.drawTimeline(p, names, open)
}

// whatItProves says what the table means, and what it does not.
func (r *Report) whatItProves(o verify.Outcome) string {
	proved := slices.ContainsFunc(o.Verifications, func(v verify.Result) bool { return v.Status == verify.Verified })
	return joined(" ",
		only(o.DryRun && o.PlannedCost > 0, "Together they would cost at most "+r.money(o.PlannedCost)+"."),
		only(proved, "The time of creation and the time until the proof together are the measured time to restore."),
		only(proved && r.asked.ProveRunning, "**`prove: running` proves only that Hetzner starts the copy**, not that its system boots or that anything answers."),
		"A begun hour of a copy is paid whole.")
}
