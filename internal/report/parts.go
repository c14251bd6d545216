package report

import (
	"fmt"
	"math"
	"slices"

	"github.com/org/hsnap-action/internal/hetzner"
	"github.com/org/hsnap-action/internal/snapshot"
)

// This file holds the parts of a job summary that several commands have.

// thinningMost is how many decisions about old snapshots are shown; the log holds them all.
const thinningMost = 300

// begin begins a page with what went wrong, with the run, its servers or others. A copy that is left, and a server that is off,
// come first, then images that go on being made, and cost money until they are deleted.
func (r *Report) begin(p *page, o snapshot.Outcome, why account, others ...trouble) {
	var list []trouble
	if why.what != "" {
		list = append(list, trouble{urgency: 1, account: why})
	}
	for _, l := range o.Left { // a copy of an earlier run
		list = append(list, trouble{2, "🔴 **" + p.cell(l.Name) + "**: ", explainLeft(l.Name, l.Left, "", false)})
	}
	for _, result := range o.Results {
		if result.LeftOff || result.Failed() || result.MaySlip || goesOn(result) {
			list = append(list, trouble{2*number(result.LeftOff) + number(goesOn(result)), endOf(result).head(p), explain(result, r.asked)})
		}
	}
	p.troubles(append(list, others...))
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

func gigabytes(n float64) string { return only(n > 0, fmt.Sprintf("%.2f GB", n)) }

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
