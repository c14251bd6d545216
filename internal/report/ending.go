package report

import (
	"cmp"
	"fmt"
	"time"

	"github.com/org/hsnap-action/internal/restore"
	"github.com/org/hsnap-action/internal/snapshot"
	"github.com/org/hsnap-action/internal/verify"
)

// Tally is a run's result in numbers and one word. The outputs and the exit code follow from it.
type Tally struct {
	Failed, Inconclusive int
	Left                 []string // the names of copies that are left
	Stopped              bool     // the run as a whole came to nothing
	Bad                  bool     // something failed, was found, or is left behind
	Undelivered          bool     // the outputs could not be handed on
	Result               string   // "success", "partial", "failure", "inconclusive", "skipped" or "cancelled"

	failed, leftOff []end
	usable          int
	statuses        map[snapshot.Status]int // one that failed with a snapshot that can be used counts as both
	gb              float64                 // of what is usable
}

// end is how it ended with one server.
type end struct {
	name   string
	status snapshot.Status
	reason snapshot.Reason // "" where there is nothing to say
	off    bool            // it is left off
}

func endOf(r snapshot.Result) end {
	status, reason := r.Told()
	return end{r.Name, status, reason, r.LeftOff}
}

func (e end) failed() bool { return e.status == snapshot.Failed || e.status == verify.Inconclusive }

// label is the end in the log.
func (e end) label() string {
	return string(e.status) + only(e.reason != "", " ("+string(e.reason)+")")
}

// head begins the explanation of an end in a list.
func (e end) head(p *page) string {
	return only(e.off, "🔴 ") + "**" + p.cell(e.name) + "** (`" + cmp.Or(string(e.reason), string(e.status)) + "`): "
}

// cell is the end in a table; details follow the status.
func (e end) cell(details string) string {
	return only(e.off, "🔴 OFF<br>") + string(e.status) + details + only(e.reason != "", "<br>`"+string(e.reason)+"`")
}

// count counts how it ended with a server.
func (t *Tally) count(e end) {
	if t.statuses == nil {
		t.statuses = map[snapshot.Status]int{}
	}
	t.statuses[e.status]++
	t.Failed, t.Inconclusive = t.statuses[snapshot.Failed], t.statuses[verify.Inconclusive]
	if e.failed() {
		t.failed = append(t.failed, e)
	}
	if e.off {
		t.leftOff = append(t.leftOff, e)
	}
}

// failures counts and names what failed, of so many.
func (t Tally) failures(of int) string {
	return named(each(t.failed, func(e end) string { return e.name + " " + string(e.reason) }), fmt.Sprintf("of %d", of))
}

// names are those of ends, for an output.
func (r *Report) names(ends []end) []string {
	return each(ends, func(e end) string { return r.text(e.name) })
}

// stopped reports whether a run as a whole came to nothing.
func stopped(o snapshot.Outcome) bool {
	return o.Token != nil || o.Down != nil || o.Selector != nil || o.Nothing || len(o.Mistakes) > 0
}

// resultOf is a run's result in one word: what went well and what went wrong make it, and otherwise is that of a run in which
// neither happened.
func resultOf(o snapshot.Outcome, good, bad bool, otherwise string) string {
	switch {
	case o.Signal != nil:
		return "cancelled"
	case bad && good:
		return "partial"
	case bad:
		return "failure"
	case good:
		return "success"
	}
	return otherwise
}

// ending is what a command has to say when its run is over.
type ending struct {
	tally  Tally
	dryRun bool
	why    account // why the run came to nothing; empty where it did not

	urgent, failed string   // of the verdict
	rest           []string // of the verdict
	nothing        string   // the verdict where there is no other
	price          string   // ends the log

	outputs []output
	title   string // of the job summary
	summary func(*page)
}

// end explains why the run as a whole came to nothing, if it did, hands the outputs and the job summary on as
// [Report.OpenOutputs] was asked to, and ends the log with the verdict.
func (r *Report) end(e ending) Tally {
	r.explainWhole(e.why)
	e.tally.Undelivered = !r.deliver(e.outputs, func() string {
		p := r.page(e.title, r.verdict(e))
		if len(r.mistakes) == 0 { // otherwise nothing was done
			e.summary(p)
		}
		return p.b.String()
	})
	r.Line("%s, in %s", joined(", ", r.verdict(e), e.price), short(time.Since(r.start)))
	return e.tally
}

// verdict is a run in one line: what went wrong, and how many other servers there are of each status.
func (r *Report) verdict(e ending) string {
	t, head, why := e.tally, e.tally.Result, e.why.what
	fails := t.Bad || t.Stopped || t.Undelivered
	if len(t.Left) > 0 || fails && head != "cancelled" { // a copy that is left is loud even on a cancel
		head = "FAILED"
	}
	if len(r.mistakes) > 0 {
		why = count(len(r.mistakes), "mistake") + " in the inputs, nothing was " + only(r.read, "done") + only(!r.read, "sent to Hetzner")
	}
	available := t.statuses[snapshot.Available]
	counts := []string{some(available, "available"), only(t.gb > 0, fmt.Sprintf("%.1f GB", t.gb))}
	if head == "success" && available > 0 {
		counts[0] = count(available, "snapshot")
	}
	for _, status := range []snapshot.Status{
		restore.Restored, verify.Verified, snapshot.Creating, snapshot.Planned, snapshot.Skipped, snapshot.Cancelled,
	} {
		counts = append(counts, some(t.statuses[status], string(status)))
	}
	parts := joined("; ",
		named(each(t.leftOff, func(e end) string { return e.name }), plural(len(t.leftOff), "server")+" LEFT OFF"), named(t.Left, plural(len(t.Left), "copy")+" LEFT BEHIND"), why, only(t.Undelivered, "the outputs could not be handed on"),
		e.failed, joined(", ", counts...), joined("; ", e.rest...))
	return head + only(e.dryRun, " (dry run)") + ": " + cmp.Or(parts, e.nothing)
}
