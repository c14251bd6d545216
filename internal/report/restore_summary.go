package report

import (
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/org/hsnap-action/internal/labels"
	"github.com/org/hsnap-action/internal/restore"
	"github.com/org/hsnap-action/internal/snapshot"
)

// RestoreTallyOf counts what became of the servers.
func RestoreTallyOf(o restore.Outcome) (t Tally) {
	for _, r := range o.Restores {
		t.count(restoreEnd(r))
	}
	good := t.statuses[restore.Restored]+t.statuses[snapshot.Planned] > 0
	t.Result = resultOf(o.Outcome, good, t.Failed > 0 || stopped(o.Outcome) || len(o.Restores) == 0, "success")
	return t
}

func restoreEnd(r restore.Result) end { return end{r.Name, r.Status, r.Reason, r.LeftOff} }

// DeliverRestore is to a restore what [Report.Deliver] is to a run of snapshot. It also reports the pairs that are wrong, and
// why the run as a whole came to nothing.
func (r *Report) DeliverRestore(o restore.Outcome) (delivered bool) {
	r.wrongPairs(o.Refused)
	t, why := RestoreTallyOf(o), whole(o.Outcome, r.asked)
	r.explainWhole(why)
	restored, entries, failed := map[string]int64{}, []json.RawMessage{}, []string{}
	for _, result := range o.Restores {
		entries = append(entries, r.object(
			"server_id", known(result.Server.ID),
			"server_name", result.Name,
			"status", result.Status,
			"reason", result.Reason,
			"message", explainRestore(result, r.asked).line(),
			"image_id", known(result.Image.ID),
			"image_age_seconds", seconds(result.Age),
			"before_image_id", known(result.Before.ImageID),
			"action_id", known(result.ActionID),
			"downtime_seconds", where(result.Accepted, seconds(result.Downtime)),
			"proof", result.Proof,
		))
		if result.Status == restore.Restored {
			restored[r.text(result.Name)] = result.Image.ID
		}
		if result.Failed() {
			failed = append(failed, r.text(result.Name))
		}
	}
	return r.end(ending{
		title: "Hetzner Cloud restore", nothing: "nothing was restored", dryRun: o.DryRun, why: why, tally: t, fails: t.fails(),
		failed: named(t.failed, fmt.Sprintf("of %d", len(o.Restores))),
		outputs: []output{
			{name: "result", value: t.Result},
			{name: "restored", value: compact(restored), spare: 2},
			{name: "restores", value: compact(entries), spare: 1},
			{name: "restored-count", value: strconv.Itoa(len(restored))},
			{name: "failed-count", value: strconv.Itoa(t.Failed)},
			{name: "failed-servers", value: compact(failed), spare: 3},
		},
		summary: func(p *page) { r.restoreSummary(p, o, why) },
	})
}

// restoreSummary is the job summary: what went wrong, and a table of the servers.
func (r *Report) restoreSummary(p *page, o restore.Outcome, why account) {
	r.begin(p, o.Outcome, why)
	var items, names []string
	var rows [][]string
	open := false
	for _, result := range o.Restores {
		e := restoreEnd(result)
		urgent := result.LeftOff || result.Failed() || result.Status == snapshot.Cancelled && (result.Accepted || result.MaySlip)
		if urgent {
			items = append(items, p.item(e.head(p), explainRestore(result, r.asked), true))
		}
		names, open = append(names, result.Name), open || urgent
		verified := ""
		if at, ok := labels.VerifiedAt(result.Image); ok {
			verified = minute(at)
		}
		before := result.Before
		rows = append(rows, []string{
			p.cell(result.Name), e.cell(""), id(result.Image.ID), minute(result.Image.Created), short(result.Age), verified,
			joined(" ", id(before.ImageID), only(!before.Usable(), string(before.Status))), only(result.Accepted, short(result.Downtime)), p.cell(result.Proof),
		})
	}
	p.items(items, "the table")
	p.print("%s", only(len(items) > 0, "\n"))
	if len(rows) > 0 {
		p.table("server|result|>image|made (UTC)|>age|verified|>snapshot of before|>downtime|proof", rows, len(rows),
			"\n… and %d more servers; the output `restores` holds them all.\n")
		p.print("\nDowntime counts from the rebuild to the proof. Addresses, volumes, networks and firewalls of a server stay as they are.\n")
	}
	r.drawTimeline(p, names, open)
}
