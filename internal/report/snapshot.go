package report

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/org/hsnap-action/internal/snapshot"
)

// SnapshotTallyOf counts what became of the servers.
func SnapshotTallyOf(o snapshot.Outcome) (t Tally) {
	for _, r := range o.Results {
		t.count(endOf(r))
		if r.Usable() {
			t.usable++
			t.gb += r.SizeGB
			t.statuses[r.Status] += number(r.Failed())
		}
	}
	good := t.usable+t.statuses[snapshot.Planned] > 0 // a dry run's result is what the real one's would be
	t.Bad, t.Stopped = t.Failed > 0, stopped(o)
	t.Result = resultOf(o, good, t.Bad || t.Stopped, "skipped")
	return t
}

// DeliverSnapshot hands the outputs and the job summary on as [Report.OpenOutputs] was asked to, and ends the log with the verdict.
// Where the run as a whole came to nothing, it reports why first. It returns what the exit code follows from.
func (r *Report) DeliverSnapshot(o snapshot.Outcome) Tally {
	t := SnapshotTallyOf(o)
	unknown := those(o.Results, func(r snapshot.Result) bool { return r.MaySlip })
	return r.end(ending{
		title: "Hetzner Cloud snapshots", nothing: "no snapshot", dryRun: o.DryRun, why: whole(o, r.asked), tally: t,
		failed:  t.failures(len(o.Results)),
		rest:    []string{joined(", ", some(len(those(o.Results, goesOn)), "still being made"), some(len(unknown), "may still appear"))},
		outputs: r.snapshotOutputs(o, t), summary: func(p *page) { r.snapshotSummary(p, o) },
	})
}

// snapshotOutputs returns every output, in the order in which users read about them.
func (r *Report) snapshotOutputs(o snapshot.Outcome, t Tally) []output {
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
		{name: "snapshots", value: each(o.Results, r.snapshotEntry), spare: 1},
		{name: "result", value: t.Result},
		{name: "created-count", value: t.usable},
		{name: "failed-count", value: t.Failed},
		{name: "skipped-count", value: t.statuses[snapshot.Skipped]},
		{name: "failed-servers", value: r.names(t.failed), spare: 4},
		{name: "servers-left-off", value: r.names(t.leftOff)},
		{name: "deleted-image-ids", value: deleted(o), spare: 5},
	}
}

// snapshotEntry is one server in the output "snapshots".
func (r *Report) snapshotEntry(result snapshot.Result) json.RawMessage {
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

// snapshotSummary is the job summary: the failures first, since somebody opens it because of them.
func (r *Report) snapshotSummary(p *page, o snapshot.Outcome) {
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
	r.begin(p, o, why)
	r.snapshotTable(p, o)
	p.costs(o)
	p.restore(o)
	p.volumes(o)
	p.thinning(o, o.DryRun)
	names := each(o.Results, func(result snapshot.Result) string { return result.Name })
	r.drawTimeline(p, names, slices.ContainsFunc(o.Results, func(result snapshot.Result) bool {
		return result.Failed() || result.LeftOff || seconds(result.LockWait) > 0
	}))
}

// snapshotTable is a table of what became of each server or, in a dry run, of what would be done.
func (r *Report) snapshotTable(p *page, o snapshot.Outcome) {
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
