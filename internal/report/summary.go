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
	// summaryMost keeps the summary under the 1 MiB above which GitHub drops it whole, with the timeline and the ends of
	// its parts still to come. The failures take no more than half of it.
	summaryMost = 900 << 10
	// failuresMost is how many failures are told in full; the table names the others.
	failuresMost = 50
	// cellMost is how many characters of a text from outside are shown; the log and the outputs hold all of it.
	cellMost = 1000
)

// page is a summary in the making. What it holds is masked before anything in it is escaped, since an escaped token is
// one that no mask finds.
type page struct {
	b    strings.Builder
	hide func(string) string
}

// add adds a text where that leaves the page no longer than most.
func (p *page) add(text string, most int) bool {
	text = p.hide(text)
	if p.b.Len()+len(text) > most {
		return false
	}
	p.b.WriteString(text)
	return true
}

// end adds a short text that has to be there.
func (p *page) end(format string, args ...any) { fmt.Fprintf(&p.b, format, args...) }

// summary is the job summary, in GitHub's Markdown: the failures first, since somebody opens it because of them.
func (r *Report) summary(o snapshot.Outcome, t Tally) string {
	p := &page{hide: r.o.Mask.Hide}
	p.end("### Hetzner Cloud snapshots: %s\n\n", headline(o, t))
	if len(r.mistakes) > 0 {
		p.inputs(r.mistakes)
		return p.b.String()
	}
	all, failed := whole(o, r.asked)
	if failed {
		p.add("- "+p.account("", all, true)+"\n", summaryMost/2)
	}
	if len(o.Results) == 0 {
		switch {
		case failed:
		case o.Signal != nil:
			p.end("The run was cancelled before it knew the servers.\n")
		default:
			p.end("No server was selected.\n")
		}
		return p.b.String()
	}
	r.failures(p, o, all.next)
	p.table(o)
	p.volumes(o)
	p.thinning(o)
	if chart := r.timeline.mermaid(o.Results, r.text); chart != "" {
		p.end("\n<details open><summary>Timeline (UTC)</summary>\n\n%s\n</details>\n", chart)
	}
	return p.b.String()
}

// inputs lists the mistakes in the inputs.
func (p *page) inputs(mistakes []string) {
	p.end("The inputs are wrong. Nothing was sent to Hetzner.\n\n")
	for i, mistake := range mistakes {
		if i == failuresMost || !p.add("- "+p.cell(mistake)+"\n", summaryMost) {
			p.end("- … and %d more, see the log\n", len(mistakes)-i)
			return
		}
	}
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

func (r *Report) failures(p *page, o snapshot.Outcome, last string) {
	n, told := 0, 0
	for _, result := range o.Results {
		if result.Status != snapshot.Failed && !result.LeftOff && !result.MaySlip {
			continue
		}
		if n++; n > told+1 || told == failuresMost {
			continue
		}
		a := r.account(result)
		head := only(result.LeftOff, "🔴 ") + "**" + p.cell(result.Name) + "** (`" + string(result.Reason) + "`): "
		// A hundred servers that fail alike need the advice once.
		if p.add("- "+p.account(head, a, a.next != last)+"\n", summaryMost/2) {
			told, last = told+1, a.next
		}
	}
	if n > told {
		p.end("- … and %d more, see the table\n", n-told)
	}
	if n > 0 || last != "" {
		p.end("\n")
	}
}

// account tells what happened in lines of one item of a list.
func (p *page) account(head string, a account, advise bool) string {
	var b strings.Builder
	b.WriteString(head + p.cell(a.what) + ".")
	for _, detail := range a.details {
		b.WriteString("<br>" + p.cell(detail) + ".")
	}
	if a.next == "" || !advise {
		return b.String()
	}
	before, after, typed := strings.Cut(a.next, a.command)
	if a.command == "" || !typed {
		return b.String() + "<br>*What to try:* " + p.cell(a.next) + "."
	}
	return b.String() + "<br>*What to try:* " + p.cell(before) + "<code>" + p.cell(a.command) + "</code>" + p.cell(after) + "."
}

func (p *page) table(o snapshot.Outcome) {
	away := slices.ContainsFunc(o.Results, func(r snapshot.Result) bool { return r.Downtime > 0 })
	currency := cmp.Or(p.cell(o.Price.Currency), "price") // in a heading of two lines, so that a narrow pane has room for the names
	p.end("| server | result | image | size | %s a month<br>net / gross | lock<br>wait | duration |%s\n", currency, only(away, " away |"))
	p.end("|---|---|---:|---:|---:|---:|---:|%s\n", only(away, "---:|"))
	total := 0.0
	for i, r := range o.Results {
		image := ""
		if r.ImageID != 0 {
			image = strconv.FormatInt(r.ImageID, 10)
		}
		took := ""
		if r.Accepted {
			took = short(r.Duration)
		}
		down := ""
		if r.Downtime > 0 {
			down = short(r.Downtime)
		}
		row := fmt.Sprintf("| %s | %s | %s | %s | %s | %s | %s |%s\n",
			p.cell(r.Name), result(r), image, gigabytes(r.SizeGB), p.price(o, r.SizeGB), wait(r), took, only(away, " "+down+" |"))
		if !p.add(row, summaryMost) {
			p.end("\n… and %d more servers; the output `snapshots` holds them all.\n", len(o.Results)-i)
			return
		}
		total += r.SizeGB
	}
	if len(o.Results) > 1 && total > 0 {
		p.add(fmt.Sprintf("| **all** | | | %s | %s | | |%s\n", gigabytes(total), p.price(o, total), only(away, " |")), summaryMost)
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
func (p *page) thinning(o snapshot.Outcome) {
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
	p.end("\n<details><summary>Old snapshots: %d of %d %s %s</summary>\n\n", going, len(rows), verb, p.freedSpace(o, freed))
	p.end("| server | image | of | size | decision |\n|---|---:|---|---:|---|\n")
	for i, row := range rows {
		text := fmt.Sprintf("| %s | %d | %s | %s | %s |\n", p.cell(row.server), row.ID, row.Created.UTC().Format("2006-01-02 15:04"),
			gigabytes(row.SizeGB), p.cell(decision(row.Thinned)))
		if i == thinningMost || !p.add(text, summaryMost) {
			p.end("\n… and %d more, see the log.\n", len(rows)-i)
			break
		}
	}
	p.end("\n</details>\n")
}

func (p *page) freedSpace(o snapshot.Outcome, gb float64) string {
	text := fmt.Sprintf("%.2f GB", gb)
	if price := p.price(o, gb); price != "" {
		text += " (" + price + " " + p.cell(o.Price.Currency) + " a month, net / gross)"
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
		return string(r.Status) + "<br>`" + string(r.Reason) + "`"
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

// price estimates what a month of a snapshot costs, by Hetzner's price list and in its currency.
func (p *page) price(o snapshot.Outcome, gb float64) string {
	if gb == 0 || o.Price.Currency == "" {
		return ""
	}
	return fmt.Sprintf("%.2f / %.2f", gb*o.Price.Net, gb*o.Price.Gross)
}

// volumes notes what the snapshots do not hold.
func (p *page) volumes(o snapshot.Outcome) {
	var with []string
	for _, r := range o.Results {
		if len(r.Server.Volumes) > 0 && r.Status != snapshot.Failed && len(with) < failuresMost {
			with = append(with, fmt.Sprintf("%s (%s)", p.cell(r.Name), p.cell(ids(r.Server.Volumes))))
		}
	}
	const note = "\nAttached volumes are **not** part of a snapshot"
	if len(with) > 0 && !p.add(note+": "+strings.Join(with, ", ")+".\n", summaryMost) {
		p.end(note + ".\n")
	}
}

// cell makes text fit for a cell of a table: it is masked and cut, neither Markdown nor HTML in it has a meaning, nobody
// is mentioned, and nothing becomes a link or an emoji.
func (p *page) cell(s string) string {
	var b strings.Builder
	n, host := 0, 0 // characters so far; how many w in a row
	for _, c := range p.hide(clean(s)) {
		if n++; n > cellMost {
			b.WriteString("…")
			break
		}
		if strings.ContainsRune("\\`*_[]<>#|~&@:$", c) || c == '.' && host >= 3 { // GitHub links what begins in www.
			fmt.Fprintf(&b, "&#%d;", c)
		} else {
			b.WriteRune(c)
		}
		if c == 'w' || c == 'W' {
			host++
		} else {
			host = 0
		}
	}
	return b.String()
}
