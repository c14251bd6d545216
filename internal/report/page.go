package report

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/org/hsnap-action/internal/hetzner"
)

const (
	// pageMost keeps a page under the 1 MiB above which GitHub drops it whole, with the timeline and the ends of its
	// parts still to come.
	pageMost = 900 << 10
	// cellMost is how many characters of a text from outside are shown; the log and the outputs hold all of it.
	cellMost = 1000
	// failuresMost is how many failures and snapshots in flight are explained. They take no more than half a page.
	failuresMost = 100
)

// page is a job summary in the making, in GitHub's Markdown. What it holds is masked before anything in it is escaped,
// since no mask finds an escaped token.
type page struct {
	b    strings.Builder
	hide func(string) string
}

// page returns a page with its heading, which ends in the verdict, and the mistakes in the inputs.
func (r *Report) page(title, verdict string) *page {
	p := &page{hide: r.o.Mask.Hide}
	p.print("### %s: %s\n\n", title, p.cell(verdict))
	mistakes := each(r.mistakes, func(mistake string) string { return "- " + p.cell(mistake) + "\n" })
	p.list(mistakes, failuresMost, pageMost/2, "- … and %d more, see the log\n")
	return p
}

// add adds a text if the page is no longer than most then.
func (p *page) add(text string, most int) bool {
	text = p.hide(text)
	if p.b.Len()+len(text) > most {
		return false
	}
	p.b.WriteString(text)
	return true
}

// print adds a short text that has to be there.
func (p *page) print(format string, args ...any) { fmt.Fprintf(&p.b, format, args...) }

// list adds lines until there are most of them or the page is longer than limit. The rest is summed up: more says how
// many they are.
func (p *page) list(lines []string, most, limit int, more string) {
	for i, line := range lines {
		if i == most || !p.add(line, limit) {
			p.print(more, len(lines)-i)
			return
		}
	}
}

// trouble is something that went wrong, for a list. What can wait the least comes first.
type trouble struct {
	urgency int
	head    string
	account
}

// troubles lists what went wrong. Each advice is given once: a hundred servers that fail alike need it no more than that.
func (p *page) troubles(list []trouble) {
	slices.SortStableFunc(list, func(a, b trouble) int { return b.urgency - a.urgency })
	var said []string
	items := each(list, func(t trouble) string {
		advise := !slices.Contains(said, t.next)
		said = append(said, t.next)
		return p.item(t.head, t.account, advise)
	})
	p.list(items, failuresMost, pageMost/2, "- … and %d more, see the log\n")
	p.print("%s", only(len(items) > 0, "\n"))
}

// table shows rows under their heads; those that begin with ">" stand over numbers. The cells are fit for it already.
func (p *page) table(heads string, rows [][]string, most int, more string) {
	line := func(cells []string) string { return "| " + strings.Join(cells, " | ") + " |\n" }
	cells, rule := strings.Split(heads, "|"), "|"
	for i, head := range cells {
		cells[i] = strings.TrimPrefix(head, ">")
		rule += "---" + only(cells[i] != head, ":") + "|"
	}
	p.print("%s%s\n", line(cells), rule)
	p.list(each(rows, line), most, pageMost, more)
}

// row is a server in a table. A quiet one needs nobody's attention.
type row struct {
	cells []string
	quiet bool
}

// servers is a table of servers. Where they are many, those that need nobody's attention are folded away. What there is no room
// for stands elsewhere.
func (p *page) servers(heads string, rows []row, elsewhere string) {
	more := "\n… and %d more servers, see " + elsewhere + ".\n"
	cells := func(r row) []string { return r.cells }
	loud := those(rows, func(r row) bool { return !r.quiet })
	if len(rows) <= foldAbove || len(loud) == len(rows) {
		p.table(heads, each(rows, cells), len(rows), more)
		return
	}
	if len(loud) > 0 {
		p.table(heads, each(loud, cells), len(rows), more)
	}
	quiet := those(rows, func(r row) bool { return r.quiet })
	p.fold(false, count(len(quiet), only(len(loud) > 0, "other ")+"server"))
	p.table(heads, each(quiet, cells), len(rows), more)
	p.endFold()
}

// image is a snapshot in a table, with its age where that is known.
func (p *page) image(image hetzner.Image, age time.Duration) string {
	return only(image.ID != 0, id(image.ID)+only(age > 0, " ("+old(age)+"&nbsp;old)")+"<br>"+minute(image.Created))
}

// day is a day in a table, on one line, and nothing where there is none.
func day(t time.Time) string {
	return only(!t.IsZero(), strings.ReplaceAll(t.UTC().Format(time.DateOnly), "-", "&#8209;"))
}

// fold begins a part of the page that is folded away unless it is open; endFold ends it.
func (p *page) fold(open bool, title string) {
	p.print("\n<details%s><summary>%s</summary>\n\n", only(open, " open"), title)
}

func (p *page) endFold() { p.print("\n</details>\n") }

// item is an account as an item of a list, with or without the advice.
func (p *page) item(head string, a account, advise bool) string {
	var b strings.Builder
	b.WriteString("- " + head)
	for i, fact := range a.facts() {
		b.WriteString(only(i > 0, "<br>") + p.cell(fact) + ".")
	}
	if a.next != "" && advise {
		b.WriteString("<br>*What to try:* ")
		for i, part := range strings.Split(a.next, "`") {
			b.WriteString(only(i%2 == 1, "<code>") + p.cell(part) + only(i%2 == 1, "</code>"))
		}
		b.WriteString(".")
	}
	return b.String() + "\n"
}

// cell makes text fit for a cell of a table: it is masked and cut, neither Markdown nor HTML in it has a meaning, nobody
// is mentioned, and nothing becomes a link or an emoji.
func (p *page) cell(s string) string {
	var b strings.Builder
	n := 0
	for _, c := range p.hide(clean(s)) {
		if n++; n > cellMost {
			b.WriteString("…")
			break
		}
		host := c == '.' && (strings.HasSuffix(b.String(), "w") || strings.HasSuffix(b.String(), "W")) // GitHub links what begins in www.
		if host || strings.ContainsRune("\\`*_[]<>#|~&@:$", c) {
			b.WriteString("&#" + strconv.Itoa(int(c)) + ";")
		} else {
			b.WriteRune(c)
		}
	}
	return b.String()
}
