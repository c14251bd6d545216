package report

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/org/hsnap-action/internal/labels"
	"github.com/org/hsnap-action/internal/restore"
	"github.com/org/hsnap-action/internal/snapshot"
)

// RestoreTally is the result of a restore in numbers and one word. The outputs and the exit code follow from it.
type RestoreTally struct {
	Failed int
	Result string // "success", "partial", "failure" or "cancelled"

	statuses map[snapshot.Status]int
	failed   []string // names, with the reasons
	leftOff  int
}

// RestoreTallyOf counts what became of the servers.
func RestoreTallyOf(o restore.Outcome) RestoreTally {
	t := RestoreTally{statuses: map[snapshot.Status]int{}}
	for _, r := range o.Restores {
		t.statuses[r.Status]++
		t.leftOff += number(r.LeftOff)
		if r.Failed() {
			t.failed = append(t.failed, r.Name+" "+string(r.Reason))
		}
	}
	t.Failed = len(t.failed)
	good := t.statuses[restore.Restored]+t.statuses[snapshot.Planned] > 0
	bad := t.Failed > 0 || o.Token != nil || o.Down != nil || len(o.Restores) == 0
	t.Result = resultOf(o.Outcome, good, bad, "success")
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
	delivered = r.deliver([]output{
		{name: "result", value: t.Result},
		{name: "restored", value: compact(restored), spare: 2},
		{name: "restores", value: compact(entries), spare: 1},
		{name: "restored-count", value: strconv.Itoa(len(restored))},
		{name: "failed-count", value: strconv.Itoa(t.Failed)},
		{name: "failed-servers", value: compact(failed), spare: 3},
	}, func() string { return r.restoreSummary(o, r.restoreVerdict(o, t, why, true), why) })
	r.Line("%s, in %s", r.restoreVerdict(o, t, why, delivered), short(time.Since(r.start)))
	return delivered
}

// restoreVerdict is the run in one line.
func (r *Report) restoreVerdict(o restore.Outcome, t RestoreTally, why account, delivered bool) string {
	var counts []string
	for _, status := range []snapshot.Status{restore.Restored, snapshot.Planned, snapshot.Cancelled} {
		counts = append(counts, some(t.statuses[status], string(status)))
	}
	parts := joined("; ", only(t.leftOff > 0, count(t.leftOff, "server")+" LEFT OFF"), r.because(why.what), only(!delivered, "the outputs could not be handed on"),
		only(t.Failed > 0, fmt.Sprintf("%d of %d (%s)", t.Failed, len(o.Restores), several(t.failed))), joined(", ", counts...))
	return head(t.Result, delivered) + only(o.DryRun, " (dry run)") + ": " + cmp.Or(parts, "nothing was restored")
}

// restoreSummary is the job summary: what went wrong, and a table of the servers.
func (r *Report) restoreSummary(o restore.Outcome, verdict string, why account) string {
	p := r.page("Hetzner Cloud restore", verdict)
	if !r.begin(p, o.Outcome, why) {
		return p.b.String()
	}
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
	return p.b.String()
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
