package report

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/org/hsnap-action/internal/snapshot"
)

const (
	// summaryMost keeps the summary under the 1 MiB above which GitHub drops it whole, with the timeline still to come.
	summaryMost = 900 << 10
	// failuresMost is how many failures are told in full; the table names the others.
	failuresMost = 50
)

// summary is the job summary, in GitHub's Markdown: the failures first, since somebody opens it because of them.
func summary(o snapshot.Outcome, t Tally, l *timeline) string {
	var b strings.Builder
	fmt.Fprintf(&b, "### Hetzner Cloud snapshots: %s\n\n", headline(o, t))
	if len(o.Results) == 0 {
		b.WriteString("No server was selected.\n")
		return b.String()
	}
	failures(&b, o)
	table(&b, o)
	volumes(&b, o)
	thinning(&b, o)
	if chart := l.mermaid(o.Results); chart != "" {
		b.WriteString("\n<details open><summary>Timeline (UTC)</summary>\n\n" + chart + "\n</details>\n")
	}
	return b.String()
}

// headline says in a few words how the run went.
func headline(o snapshot.Outcome, t Tally) string {
	if o.DryRun {
		return t.Result + " (dry run: nothing was changed)"
	}
	if t.Failed > 0 {
		return fmt.Sprintf("%s, %d of %d failed", t.Result, t.Failed, len(o.Results))
	}
	return t.Result
}

func failures(b *strings.Builder, o snapshot.Outcome) {
	n, last := 0, ""
	for _, r := range o.Results {
		if r.Status != snapshot.Failed && !r.LeftOff && !r.MaySlip {
			continue
		}
		if n++; n > failuresMost {
			continue
		}
		a := accountOf(r)
		mark := ""
		if r.LeftOff {
			mark = "🔴 "
		}
		fmt.Fprintf(b, "- "+mark+"**%s** (`%s`): %s.", cell(r.Name), r.Reason, cell(a.what))
		for _, detail := range a.details {
			fmt.Fprintf(b, "<br>%s.", cell(detail))
		}
		switch {
		case a.next == "" || a.next == last: // a hundred servers that fail alike need the advice once
		case strings.HasPrefix(a.next, "hcloud "):
			fmt.Fprintf(b, "<br>*What to try:* <code>%s</code>", cell(a.next))
		default:
			fmt.Fprintf(b, "<br>*What to try:* %s.", cell(a.next))
		}
		last = a.next
		b.WriteString("\n")
	}
	if n > failuresMost {
		fmt.Fprintf(b, "- … and %d more, see the table\n", n-failuresMost)
	}
	if n > 0 {
		b.WriteString("\n")
	}
}

func table(b *strings.Builder, o snapshot.Outcome) {
	away := slices.ContainsFunc(o.Results, func(r snapshot.Result) bool { return r.Downtime > 0 })
	b.WriteString("| server | result | image | size | price a month, net / gross | lock wait | duration |" + only(away, " away |") + "\n")
	b.WriteString("|---|---|---:|---:|---:|---:|---:|" + only(away, "---:|") + "\n")
	total := 0.0
	for i, r := range o.Results {
		if b.Len() > summaryMost {
			fmt.Fprintf(b, "\n… and %d more servers; the output `snapshots` holds them all.\n", len(o.Results)-i)
			return
		}
		total += r.SizeGB
		image := ""
		if r.ImageID != 0 {
			image = strconv.FormatInt(r.ImageID, 10)
		}
		took := ""
		if r.Duration != 0 {
			took = short(r.Duration)
		}
		down := ""
		if r.Downtime > 0 {
			down = short(r.Downtime)
		}
		fmt.Fprintf(b, "| %s | %s | %s | %s | %s | %s | %s |%s\n",
			cell(r.Name), result(r), image, gigabytes(r.SizeGB), price(o, r.SizeGB), wait(r), took, only(away, " "+down+" |"))
	}
	if len(o.Results) > 1 && total > 0 {
		fmt.Fprintf(b, "| **all** | | | %s | %s | | |%s\n", gigabytes(total), price(o, total), only(away, " |"))
	}
}

// only returns the text where the condition holds.
func only(condition bool, text string) string {
	if condition {
		return text
	}
	return ""
}

// thinningMost is how many decisions about old snapshots are shown; the log holds them all.
const thinningMost = 300

// thinning shows what became of old snapshots, the deleted ones first, and how much that frees.
func thinning(b *strings.Builder, o snapshot.Outcome) {
	type row struct {
		server string
		snapshot.Thinned
	}
	var rows []row
	going, freed := 0, 0.0
	for _, r := range o.Results {
		for _, d := range r.Thinned {
			if d.ID == r.ImageID {
				continue // the new one stands above
			}
			rows = append(rows, row{r.Name, d})
			if d.Deleted || o.DryRun && !d.Keep {
				going, freed = going+1, freed+d.SizeGB
			}
		}
	}
	if len(rows) == 0 {
		return
	}
	slices.SortStableFunc(rows, func(a, b row) int {
		return cmp.Or(boolean(a.Keep)-boolean(b.Keep), boolean(b.Deleted)-boolean(a.Deleted))
	})
	verb := "deleted, which frees"
	if o.DryRun {
		verb = "would be deleted, which would free"
	}
	fmt.Fprintf(b, "\n<details><summary>Old snapshots: %d of %d %s %s</summary>\n\n", going, len(rows), verb, freedSpace(o, freed))
	b.WriteString("| server | image | of | size | decision |\n|---|---:|---|---:|---|\n")
	for i, row := range rows {
		if i == thinningMost || b.Len() > summaryMost {
			fmt.Fprintf(b, "\n… and %d more, see the log.\n", len(rows)-i)
			break
		}
		fmt.Fprintf(b, "| %s | %d | %s | %s | %s |\n", cell(row.server), row.ID, row.Created.UTC().Format("2006-01-02 15:04"),
			gigabytes(row.SizeGB), cell(decision(row.Thinned)))
	}
	b.WriteString("\n</details>\n")
}

func freedSpace(o snapshot.Outcome, gb float64) string {
	text := fmt.Sprintf("%.2f GB", gb)
	if p := price(o, gb); p != "" {
		text += " (" + p + " a month, net / gross)"
	}
	return text
}

func boolean(b bool) int {
	if b {
		return 1
	}
	return 0
}

// result words a status for the table.
func result(r snapshot.Result) string {
	switch {
	case r.Reused:
		return "available, of an earlier attempt"
	case r.Reason != "":
		return string(r.Status) + " (`" + string(r.Reason) + "`)"
	}
	return string(r.Status)
}

func wait(r snapshot.Result) string {
	if seconds(r.LockWait) == 0 {
		return ""
	}
	return short(r.LockWait)
}

func gigabytes(n float64) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("%.2f GB", n)
}

// price estimates what a month of a snapshot costs, by Hetzner's price list.
func price(o snapshot.Outcome, gb float64) string {
	if gb == 0 || o.Price.Currency == "" {
		return ""
	}
	return fmt.Sprintf("%.2f / %.2f %s", gb*o.Price.Net, gb*o.Price.Gross, cell(o.Price.Currency))
}

// volumes notes what the snapshots do not hold.
func volumes(b *strings.Builder, o snapshot.Outcome) {
	var with []string
	for _, r := range o.Results {
		if len(r.Server.Volumes) > 0 && r.Status != snapshot.Failed && len(with) < failuresMost {
			with = append(with, fmt.Sprintf("%s (%s)", cell(r.Name), ids(r.Server.Volumes)))
		}
	}
	if len(with) > 0 {
		fmt.Fprintf(b, "\nAttached volumes are **not** part of a snapshot: %s.\n", strings.Join(with, ", "))
	}
}

// cell makes text fit for a cell of a table: neither Markdown nor HTML in it has a meaning, nobody is mentioned, and
// nothing becomes a link or an emoji.
func cell(s string) string {
	var b strings.Builder
	for _, c := range clean(s) {
		if strings.ContainsRune("\\`*_[]<>#|~&@:$", c) {
			fmt.Fprintf(&b, "&#%d;", c)
			continue
		}
		b.WriteRune(c)
	}
	return b.String()
}
