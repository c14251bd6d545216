package report

import (
	"fmt"
	"strings"

	"github.com/org/hsnap-action/internal/snapshot"
)

// summaryLimit keeps the summary under the 1 MiB above which GitHub drops it whole.
const summaryLimit = 1 << 19

// summary is the job summary, in GitHub's Markdown.
func summary(o snapshot.Outcome, t Tally) string {
	var b strings.Builder
	fmt.Fprintf(&b, "### Hetzner Cloud snapshots: %s\n\n", t.Result)
	if len(o.Results) == 0 {
		b.WriteString("No server was selected.\n")
		return b.String()
	}
	b.WriteString("| server | result | image | size | lock wait | duration | |\n|---|---|---:|---:|---:|---:|---|\n")
	for i, r := range o.Results {
		if b.Len() > summaryLimit {
			fmt.Fprintf(&b, "\n… and %d more\n", len(o.Results)-i)
			break
		}
		image, gb, took := "", "", ""
		if r.ImageID != 0 {
			image = fmt.Sprint(r.ImageID)
		}
		if r.SizeGB != 0 {
			gb = fmt.Sprintf("%.2f GB", r.SizeGB)
		}
		if r.Duration != 0 {
			took = short(r.Duration)
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s | %s |\n",
			cell(r.Name), r.Status, image, gb, short(r.LockWait), took, cell(message(r)))
	}
	return b.String()
}

// cell makes text fit for a cell of a table: neither Markdown nor HTML in it has a meaning.
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
