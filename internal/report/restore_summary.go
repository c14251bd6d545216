package report

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"

	"github.com/org/hsnap-action/internal/labels"
	"github.com/org/hsnap-action/internal/restore"
	"github.com/org/hsnap-action/internal/snapshot"
)

// RestoreTallyOf counts what became of the servers.
func RestoreTallyOf(o restore.Outcome) (t Tally) {
	for _, r := range o.Restores {
		t.count(end{r.Name, r.Status, r.Reason, r.LeftOff})
	}
	good := t.statuses[restore.Restored]+t.statuses[snapshot.Planned] > 0
	t.Result = resultOf(o.Outcome, good, t.Failed > 0 || stopped(o.Outcome) || len(o.Restores) == 0, "success")
	return t
}

// restoreEntry is one server in the output "restores".
type restoreEntry struct {
	ServerID        *int64 `json:"server_id"`
	ServerName      string `json:"server_name"`
	Status          string `json:"status"`
	Reason          string `json:"reason"`
	Message         string `json:"message"`
	ImageID         *int64 `json:"image_id"`
	ImageAgeSeconds int64  `json:"image_age_seconds"`
	BeforeImageID   *int64 `json:"before_image_id"`
	ActionID        *int64 `json:"action_id"`
	DowntimeSeconds *int64 `json:"downtime_seconds"`
	Proof           string `json:"proof"`
}

// DeliverRestore is to a restore what [Report.Deliver] is to a run of snapshot. It also reports the pairs that are wrong, and
// why the run as a whole came to nothing.
func (r *Report) DeliverRestore(o restore.Outcome) (delivered bool) {
	r.wrongPairs(o.Refused)
	t, why := RestoreTallyOf(o), whole(o.Outcome, r.asked)
	r.explainWhole(why)
	restored, entries, failed := map[string]int64{}, []restoreEntry{}, []string{}
	for _, result := range o.Restores {
		e := restoreEntry{
			ServerID: known(result.Server.ID), ServerName: r.text(result.Name), Status: string(result.Status), Reason: string(result.Reason),
			Message: r.text(strings.Join(explainRestore(result, r.asked).lines(), "; ")), ImageID: known(result.Image.ID),
			ImageAgeSeconds: seconds(result.Age), BeforeImageID: known(result.Before.ImageID), ActionID: known(result.ActionID),
			Proof: r.text(result.Proof),
		}
		if result.Accepted {
			downtime := seconds(result.Downtime)
			e.DowntimeSeconds = &downtime
		}
		entries = append(entries, e)
		if result.Status == restore.Restored {
			restored[e.ServerName] = result.Image.ID
		}
		if result.Failed() {
			failed = append(failed, e.ServerName)
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
	var items, rows, names []string
	open := false
	for _, result := range o.Restores {
		a := explainRestore(result, r.asked)
		urgent := result.LeftOff || result.Failed() || result.Status == snapshot.Cancelled && (result.Accepted || result.MaySlip)
		if urgent {
			head := only(result.LeftOff, "🔴 ") + "**" + p.cell(result.Name) + "** (`" + cmp.Or(string(result.Reason), string(result.Status)) + "`): "
			items = append(items, p.item(head, a, true))
		}
		names, open = append(names, result.Name), open || urgent
		rows = append(rows, p.restoreRow(result))
	}
	p.list(items, failuresMost, pageMost/2, "- … and %d more, see the table\n")
	p.print("%s", only(len(items) > 0, "\n"))
	if len(rows) > 0 {
		p.print("| server | result | image | made (UTC) | age | verified | snapshot of before | downtime | proof |\n|---|---|---:|---|---:|---|---:|---:|---|\n")
		p.list(rows, len(rows), pageMost, "\n… and %d more servers; the output `restores` holds them all.\n")
		p.print("\nDowntime counts from the rebuild to the proof. Addresses, volumes, networks and firewalls of a server stay as they are.\n")
	}
	if chart := r.timeline.mermaid(names, r.text); chart != "" {
		p.print("\n<details%s><summary>Timeline (UTC)</summary>\n\n%s\n</details>\n", only(open, " open"), chart)
	}
}

// restoreRow is a server's row in the table.
func (p *page) restoreRow(r restore.Result) string {
	verified := ""
	if at, ok := labels.VerifiedAt(r.Image); ok {
		verified = minute(at)
	}
	before := only(r.Before.ImageID != 0, strconv.FormatInt(r.Before.ImageID, 10)) + only(r.Before.Status != "" && !r.Before.Usable(), " "+string(r.Before.Status))
	return row(p.cell(r.Name), only(r.LeftOff, "🔴 OFF<br>")+string(r.Status)+only(r.Reason != "", "<br>`"+string(r.Reason)+"`"),
		strconv.FormatInt(r.Image.ID, 10), minute(r.Image.Created), short(r.Age), verified, strings.TrimSpace(before),
		only(r.Accepted, short(r.Downtime)), p.cell(r.Proof))
}
