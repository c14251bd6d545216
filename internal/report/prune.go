package report

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/org/hsnap-action/internal/hetzner"
	"github.com/org/hsnap-action/internal/labels"
	"github.com/org/hsnap-action/internal/prune"
	"github.com/org/hsnap-action/internal/thinning"
)

// PruneTally is the result of a run of prune in numbers and one word. Failed counts deletions, and entries that match no
// server.
type PruneTally struct {
	Tally
	failures []string // servers, with the reason or the image
	kept     []int64  // or would be, in a dry run
	going    int      // deleted, or to be in a dry run
	goingGB  float64
}

// PruneTallyOf counts what became of the snapshots.
func PruneTallyOf(o prune.Outcome) PruneTally {
	t := PruneTally{kept: []int64{}}
	for _, l := range o.Left {
		t.Left = append(t.Left, l.Name)
	}
	for _, r := range o.Results {
		if r.Failed() {
			t.failures = append(t.failures, r.Name+" "+string(r.Reason))
		}
		for _, d := range r.Thinned {
			undone := slices.IndexFunc(o.Undone, func(u prune.Undone) bool { return u.Image == d.ID })
			if !d.Deleted && (undone >= 0 || !d.Keep && o.Token != nil) {
				t.failures = append(t.failures, fmt.Sprintf("%s image %d", r.Name, d.ID))
			}
			switch {
			case d.Deleted, o.DryRun && !d.Keep:
				t.going, t.goingGB = t.going+1, t.goingGB+d.SizeGB
			case undone < 0 || o.Undone[undone].Err.Verdict != hetzner.Lost: // otherwise nobody knows whether it was kept
				t.kept = append(t.kept, d.ID)
			}
		}
	}
	t.Failed = len(t.failures)
	t.Stopped = stopped(o.Outcome) || o.TooMany
	t.Bad = t.Failed+len(o.Left) > 0 || o.NoDate
	t.Result = resultOf(o.Outcome, t.going > 0 && !o.TooMany, t.Bad || t.Stopped, "success") // a dry run's result is what the real one's would be
	return t
}

// explainUndone says what became of a deletion that failed, and what to try.
func explainUndone(u prune.Undone) account {
	a := account{
		title: "has a snapshot that was not deleted", what: fmt.Sprintf("image %d could not be deleted", u.Image),
		details: []string{answered(u.Err)}, next: "run it again; if it fails again, `" + deletion(u.Image) + "`",
	}
	if u.Err.Verdict == hetzner.Lost {
		a.what = fmt.Sprintf("image %d may be deleted or not, since the answer was lost", u.Image)
	}
	return a
}

// pruneWhole explains why a run as a whole deleted nothing; it explains nothing of any other run.
func pruneWhole(o prune.Outcome, asked Asked) account {
	switch {
	case o.TooMany:
		return account{
			what: fmt.Sprintf("%s would be deleted, which is more than max-deletions allows; nothing was deleted", count(o.Planned, "snapshot")),
			next: fmt.Sprintf("look through the plan; if it is what you want, set max-deletions to %d or more", o.Planned),
		}
	case o.NoDate:
		return account{
			what: "Hetzner's answer did not tell the time, so nobody knows how old the snapshots are; nothing was deleted",
			next: "run it again; " + adviceNoDate,
		}
	}
	return whole(o.Outcome, asked)
}

// DeliverPrune is [Report.DeliverSnapshot] for a run of prune. It also reports what could not be deleted.
func (r *Report) DeliverPrune(o prune.Outcome) Tally {
	t, why := PruneTallyOf(o), pruneWhole(o, r.asked)
	for _, u := range o.Undone {
		r.failure(u.Name, "failed", explainUndone(u), false)
	}
	would := only(o.DryRun, "would be ")
	return r.end(ending{
		title: "Old Hetzner Cloud snapshots", nothing: only(o.Signal == nil, "no snapshot") + only(o.Signal != nil, "the project was not read to its end"),
		dryRun: o.DryRun, why: why, tally: t.Tally,
		failed: named(t.failures, "failed"),
		rest: []string{only(o.Selected > 0 && !o.TooMany && !o.NoDate, fmt.Sprintf("%s %sdeleted%s; %d %skept",
			count(t.going, "snapshot"), would, only(t.goingGB > 0, fmt.Sprintf(", %.1f GB", t.goingGB)), len(t.kept), would))},
		outputs: []output{
			{name: "result", value: t.Result},
			{name: "deleted-image-ids", value: deleted(o.Outcome), spare: 2},
			{name: "kept-image-ids", value: t.kept, spare: 1},
			{name: "failed-count", value: t.Failed},
		},
		summary: func(p *page) { r.pruneSummary(p, o, why) },
	})
}

// pruneSummary is the job summary: what went wrong, the plan by server, and what no plan covers.
func (r *Report) pruneSummary(p *page, o prune.Outcome, why account) {
	r.begin(p, o.Outcome, why, each(o.Undone, func(u prune.Undone) trouble {
		return trouble{0, "**" + p.cell(u.Name) + "**: ", explainUndone(u)}
	})...)
	var rows []row
	plan := o.DryRun || o.TooMany // and nothing was done
	for _, result := range o.Results {
		if result.Server.ID == 0 {
			continue
		}
		keep, gone := len(those(result.Thinned, isKept)), len(those(result.Thinned, func(d thinning.Snapshot) bool { return d.Deleted }))
		others := len(result.Thinned) - keep - gone
		cells := []string{p.cell(result.Name), strconv.Itoa(keep), strconv.Itoa(others)}
		if !plan {
			cells = slices.Insert(cells, 2, strconv.Itoa(gone))
		}
		rows = append(rows, row{cells, plan || others == 0})
	}
	heads := only(plan, "server|>to keep|>to delete") + only(!plan, "server|>kept|>deleted|>not deleted")
	if len(rows) > 0 {
		p.servers(heads, rows, "the log")
	}
	p.thinning(o.Outcome, plan)
	p.gone(o)
}

// goneMost is how many servers a selector names.
const goneMost = 50

// gone counts the snapshots whose servers do not exist any more, and says how to list them.
func (p *page) gone(o prune.Outcome) {
	if len(o.Gone) == 0 {
		return
	}
	gb := 0.0
	var servers []string
	for _, image := range o.Gone {
		gb += image.SizeGB
		servers = append(servers, image.Labels[labels.ServerID])
	}
	slices.Sort(servers)
	servers = slices.Compact(servers)
	selector := labels.Series + "=" + o.Gone[0].Labels[labels.Series] +
		only(len(servers) <= goneMost, fmt.Sprintf(",%s in (%s)", labels.ServerID, strings.Join(servers, ",")))
	p.print("\n%s of this series, of servers that do not exist any more: no run thins them out (%s). To list them: <code>%s</code>.\n",
		count(len(o.Gone), "snapshot"), p.cost(o.Price, gb), p.cell("hcloud image list --type snapshot -l '"+selector+"'"))
}
