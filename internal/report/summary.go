package report

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/org/hsnap-action/internal/hetzner"
	"github.com/org/hsnap-action/internal/labels"
	"github.com/org/hsnap-action/internal/snapshot"
)

// thinningMost is how many decisions about old snapshots are shown; the log holds them all.
const thinningMost = 300

// TallyOf counts what became of the servers.
func TallyOf(o snapshot.Outcome) (t Tally) {
	for _, r := range o.Results {
		t.count(endOf(r))
		if r.Usable() {
			t.usable++
			t.gb += r.SizeGB
			t.statuses[r.Status] += number(r.Failed())
		}
	}
	good := t.usable+t.statuses[snapshot.Planned] > 0 // a dry run's result is what the real one's would be
	t.Result = resultOf(o, good, t.Failed > 0 || stopped(o), "skipped")
	return t
}

// Deliver hands the outputs and the job summary on as [Report.OpenOutputs] was asked to, and ends the log with the verdict.
// It returns false where the outputs could not be handed on.
func (r *Report) Deliver(o snapshot.Outcome) (delivered bool) {
	t := TallyOf(o)
	inFlight := those(o.Results, func(r snapshot.Result) bool { return goesOn(r) && r.Status != snapshot.Creating })
	unknown := those(o.Results, func(r snapshot.Result) bool { return r.MaySlip })
	return r.end(ending{
		title: "Hetzner Cloud snapshots", nothing: "no snapshot", dryRun: o.DryRun, why: whole(o, r.asked), tally: t, fails: t.fails(),
		failed:  t.failures(len(o.Results)),
		rest:    []string{joined(", ", some(len(inFlight), "still being made"), some(len(unknown), "may still appear"))},
		outputs: r.outputs(o, t), summary: func(p *page) { r.summary(p, o) },
	})
}

// outputs returns every output, in the order in which users read about them.
func (r *Report) outputs(o snapshot.Outcome, t Tally) []output {
	images, imageIDs := map[string]int64{}, []int64{}
	asked := those(o.Results, func(r snapshot.Result) bool { return !r.Pattern }) // a missing name counts, a pattern that matches nothing is no server
	for _, result := range o.Results {
		if result.Usable() {
			images[r.text(result.Name)] = result.ImageID
			imageIDs = append(imageIDs, result.ImageID)
		}
	}
	return []output{
		{name: "image-id", value: only(len(asked) == 1, ids(imageIDs, ""))},
		{name: "images", value: images, spare: 2},
		{name: "image-ids", value: imageIDs, spare: 3},
		{name: "snapshots", value: each(o.Results, r.entryOf), spare: 1},
		{name: "result", value: t.Result},
		{name: "created-count", value: t.usable},
		{name: "failed-count", value: t.Failed},
		{name: "skipped-count", value: t.statuses[snapshot.Skipped]},
		{name: "failed-servers", value: r.names(t.failed), spare: 4},
		{name: "servers-left-off", value: r.names(t.leftOff)},
		{name: "deleted-image-ids", value: deleted(o), spare: 5},
	}
}

// deleted lists the snapshots that were deleted.
func deleted(o snapshot.Outcome) []int64 {
	list := []int64{}
	for _, result := range o.Results {
		for _, d := range result.Thinned {
			if d.Deleted {
				list = append(list, d.ID)
			}
		}
	}
	return list
}

// entryOf is one server in the output "snapshots".
func (r *Report) entryOf(result snapshot.Result) json.RawMessage {
	status, reason := result.Told()
	return r.object(
		"server_id", known(result.Server.ID), "server_name", result.Name,
		"status", status, "reason", reason, "message", explain(result, r.asked).line(),
		"image_id", known(result.ImageID), "action_id", known(result.ActionID),
		"description", result.Description, "size_gb", known(result.SizeGB),
		"lock_wait_seconds", seconds(result.LockWait), "duration_seconds", where(result.Accepted, seconds(result.Duration)),
		"downtime_seconds", where(result.Downtime > 0, seconds(result.Downtime)), "power_state", known(result.PowerState),
		"protected", result.Protected, "reused", result.Reused, "volumes_not_included", append([]int64{}, result.Server.Volumes...),
	)
}

// summary is the job summary: the failures first, since somebody opens it because of them.
func (r *Report) summary(p *page, o snapshot.Outcome) {
	why := whole(o, r.asked)
	switch {
	case len(o.Results) > 0:
	case why.what != "":
		p.add(p.item("", why, true), pageMost/2)
		return
	default:
		p.print("%s", only(o.Signal != nil, "The run was cancelled before it knew the servers.\n")+only(o.Signal == nil, "No server was selected.\n"))
		return
	}
	r.begin(p, o, why, "the table")
	r.servers(p, o)
	p.inFlight(o)
	p.costs(o)
	p.restore(o)
	p.volumes(o)
	p.thinning(o, o.DryRun)
	p.gone(o)
	names := each(o.Results, func(result snapshot.Result) string { return result.Name })
	r.drawTimeline(p, names, slices.ContainsFunc(o.Results, func(result snapshot.Result) bool {
		return result.Failed() || result.LeftOff || seconds(result.LockWait) > 0
	}))
}

// begin begins a page with why the run came to nothing and with what went wrong; a server that is off comes first. What there is no
// room for stands elsewhere.
func (r *Report) begin(p *page, o snapshot.Outcome, why account, elsewhere string, others ...trouble) {
	anyOff := slices.ContainsFunc(o.Results, func(r snapshot.Result) bool { return r.LeftOff }) ||
		slices.ContainsFunc(others, func(t trouble) bool { return t.urgent })
	all := only(why.what != "", p.item("", why, true))
	if !anyOff {
		p.add(all, pageMost/2)
	}
	list := each(those(o.Results, func(r snapshot.Result) bool { return r.LeftOff || r.Failed() || r.MaySlip }), func(result snapshot.Result) trouble {
		return trouble{result.LeftOff, endOf(result).head(p), explain(result, r.asked)}
	})
	list = append(list, others...)
	p.troubles(list, elsewhere, why.next)
	p.print("%s", only(len(list) == 0 && why.next != "", "\n"))
	if anyOff && all != "" {
		p.add(all+"\n", pageMost/2)
	}
}

// servers is a table of what became of each server or, in a dry run, of what would be done.
func (r *Report) servers(p *page, o snapshot.Outcome) {
	heads := only(o.DryRun, "server|what would be done") + only(!o.DryRun, "server|result|>image|>size|>lock wait|>duration")
	var rows []row
	for _, result := range o.Results {
		_, reason := result.Told()
		status := endOf(result).cell(only(result.Reused, ", taken over"+only(result.Age > 0, " ("+old(result.Age)+" old)"))) +
			only(result.Downtime > 0, "<br>downtime "+short(result.Downtime))
		if o.DryRun && reason == "" {
			status = p.cell(explain(result, r.asked).what)
		}
		if result.Status == snapshot.Planned && result.LeftOff {
			status = "🔴 OFF<br>" + p.cell(planned(result))
		}
		cells := []string{p.cell(result.Name), status}
		if !o.DryRun {
			cells = append(cells, id(result.ImageID), gigabytes(result.SizeGB),
				only(seconds(result.LockWait) > 0, short(result.LockWait)), only(result.Accepted, short(result.Duration)))
		}
		rows = append(rows, row{cells, reason == "" && !result.LeftOff})
	}
	p.servers(heads, rows, "the output `snapshots`")
}

func gigabytes(n float64) string { return only(n > 0, fmt.Sprintf("%.2f GB", n)) }

// inFlight names the images that are left to Hetzner, and the command that deletes them.
func (p *page) inFlight(o snapshot.Outcome) {
	images := those(o.Results, goesOn)
	if len(images) > 0 {
		names := each(images, func(r snapshot.Result) string { return fmt.Sprintf("%s (%d)", p.cell(r.Name), r.ImageID) })
		p.add(fmt.Sprintf("\nStill being made at Hetzner, and paid for until deleted: %s. To delete: <code>%s</code>.\n", strings.Join(names, ", "),
			deletion(each(images, func(r snapshot.Result) int64 { return r.ImageID })...)), pageMost)
	}
}

// costs estimates what the new snapshots cost a month and, where the old ones were listed, what all that are kept do.
func (p *page) costs(o snapshot.Outcome) {
	fresh, kept, freshGB, keptGB := 0, 0, 0.0, 0.0
	for _, r := range o.Results {
		isNew := r.ImageID != 0 && r.SizeGB > 0 && !r.Reused
		if isNew {
			fresh, freshGB = fresh+1, freshGB+r.SizeGB
		}
		for _, d := range r.Thinned {
			if stays := d.Keep || !d.Deleted && !o.DryRun; stays && (!isNew || d.ID != r.ImageID) {
				kept, keptGB = kept+1, keptGB+d.SizeGB
			}
		}
	}
	if fresh > 0 {
		p.print("\n%s: %s.\n", count(fresh, "new snapshot"), p.cost(o.Price, freshGB))
	}
	if kept > 0 {
		what := only(!o.DryRun, "kept in this series, new ones included") + only(o.DryRun, "of this series would be kept, beside the new ones")
		p.print("\n%s %s: %s.\n", count(kept+fresh, "unprotected snapshot"), what, p.cost(o.Price, keptGB+freshGB))
	}
}

// cost estimates what a month of snapshots costs.
func (p *page) cost(price hetzner.Price, gb float64) string {
	net, gross := monthly(price, gb)
	return fmt.Sprintf("%.2f GB", gb) + only(net != "", fmt.Sprintf(", %s net / %s gross %s a month", net, gross, p.cell(price.Currency)))
}

// monthly is what a month of snapshots costs by Hetzner's price list: to the cent, or to what a cent would hide. Both are
// empty where the price is not known.
func monthly(price hetzner.Price, gb float64) (net, gross string) {
	if price.Currency == "" {
		return "", ""
	}
	digits := 2
	if n := gb * price.Net; n > 0 {
		digits = max(2, min(6, 1-int(math.Floor(math.Log10(n)))))
	}
	return fmt.Sprintf("%.*f", digits, gb*price.Net), fmt.Sprintf("%.*f", digits, gb*price.Gross)
}

// restore says how a server is put back. The command restore takes names only, so one that is no plain word is left out there.
func (p *page) restore(o snapshot.Outcome) {
	i := slices.IndexFunc(o.Results, func(r snapshot.Result) bool { return r.Usable() && r.Status != snapshot.Creating })
	if i < 0 {
		return
	}
	r, step := o.Results[i], ""
	if typed(r) == r.Name {
		pair := p.cell(fmt.Sprintf("images: %s=%d", r.Name, r.ImageID))
		step = "<code>uses: org/hsnap-action/restore@v1</code> with <code>" + pair + "</code>, or "
	}
	command := p.cell(fmt.Sprintf("hcloud server rebuild %s --image %d", typed(r), r.ImageID))
	p.add("\nTo put a server back, which overwrites its disk: "+step+"<code>"+command+"</code>.\n", pageMost)
}

// volumes notes what the snapshots do not hold. The log has named each.
func (p *page) volumes(o snapshot.Outcome) {
	with := those(o.Results, func(r snapshot.Result) bool { return len(r.Server.Volumes) > 0 && r.Status != snapshot.Failed })
	if len(with) > 0 {
		p.print("\nAttached volumes are **not** part of a snapshot: %s.\n", several(each(with, func(r snapshot.Result) string {
			return fmt.Sprintf("%s (%s)", p.cell(r.Name), p.cell(ids(r.Server.Volumes, ", ")))
		})))
	}
}

// thinning shows what became of old snapshots, the deleted ones before those that are kept, and how much that frees; or,
// of a plan that was not carried out, what would.
func (p *page) thinning(o snapshot.Outcome, plan bool) {
	var gone, left, kept [][]string
	freed := 0.0
	for _, r := range o.Results {
		for _, d := range r.Thinned {
			row := []string{p.cell(r.Name), id(d.ID), minute(d.Created), gigabytes(d.SizeGB), p.cell(decision(d))}
			switch {
			case d.ID == r.ImageID: // the new one stands above
			case d.Deleted, plan && !d.Keep:
				gone, freed = append(gone, row), freed+d.SizeGB
			case !d.Keep:
				row[4] = p.cell("NOT deleted, though " + d.Reason)
				left = append(left, row)
			default:
				kept = append(kept, row)
			}
		}
	}
	rows := slices.Concat(left, gone, kept)
	if len(rows) == 0 {
		return
	}
	verb, frees := "deleted", "frees"
	if plan {
		verb, frees = "would be deleted", "would free"
	}
	p.fold(false, fmt.Sprintf("Old snapshots: %d of %d %s", len(gone), len(rows), verb)+only(freed > 0, ", which "+frees+" "+p.cost(o.Price, freed)))
	p.table("server|>image|of|>size|decision", rows, thinningMost, "\n… and %d more, see the log.\n")
	p.endFold()
}

// drawTimeline shows the servers' phases, at once where one has failed or waited, unless the chart is long.
func (r *Report) drawTimeline(p *page, names []string, open bool) {
	if chart := r.timeline.mermaid(names, r.text); chart != "" {
		p.fold(open && len(names) <= foldAbove, "Timeline (UTC)")
		p.print("%s", chart)
		p.endFold()
	}
}

// goneMost is how many servers a selector names.
const goneMost = 50

// gone words that snapshots are of servers that do not exist any more, and returns the command that lists them.
func gone(images []hetzner.Image) (text, command string) {
	servers := each(images, func(image hetzner.Image) string { return image.Labels[labels.ServerID] })
	slices.Sort(servers)
	servers = slices.Compact(servers)
	selector := labels.Series + "=" + images[0].Labels[labels.Series] +
		only(len(servers) <= goneMost, fmt.Sprintf(",%s in (%s)", labels.ServerID, strings.Join(servers, ",")))
	return count(len(images), "snapshot") + " of this series, of servers that do not exist any more: no run thins them out",
		"hcloud image list --type snapshot -l '" + selector + "'"
}

// gone counts the snapshots whose servers do not exist any more, and says how to list them.
func (p *page) gone(o snapshot.Outcome) {
	if len(o.Gone) == 0 {
		return
	}
	gb := 0.0
	for _, image := range o.Gone {
		gb += image.SizeGB
	}
	text, command := gone(o.Gone)
	p.print("\n%s (%s). To list them: <code>%s</code>.\n", text, p.cost(o.Price, gb), p.cell(command))
}
