package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Mermaid draws no more than 50,000 characters. A chart of so many rows and phases stays below that.
const (
	timelineMost = 40
	spansMost    = 10 // of a row, the last ones
	nameMost     = 40 // characters
	// spanLeast is the shortest span that can be seen.
	spanLeast = time.Second
	// secondsUntil is the length above which the axis has no room for seconds.
	secondsUntil = 10 * time.Minute
)

// style is how Mermaid draws a phase, or what it takes to end one.
type style string

const (
	waits style = "done"       // grey
	works style = "works"      // Mermaid's own colour: beside a short bar the text of the others is dark in the dark theme
	down  style = "crit, done" // grey with a red frame
	fails style = "crit"       // red

	ends style = "ends" // begins no phase
	back style = "back" // begins no phase, and ends only one in style down
)

// span is one phase of a row.
type span struct {
	name       string
	style      style
	start, end time.Time // end is zero while it lasts
}

// timeline is a gantt chart in the making. It only draws: what there is to decide about a row is decided elsewhere.
type timeline map[string][]span

// add ends a row's phase and begins the next one.
func (l timeline) add(row, name string, s style, at time.Time) {
	spans := l[row]
	if n := len(spans); n > 0 && spans[n-1].end.IsZero() && s != "" {
		now := &spans[n-1]
		switch {
		case name == now.name, s == back && now.style != down:
			return
		case strings.HasPrefix(name, now.name+" "): // the same, of which more is known now
			now.name = name
			return
		}
		now.end = at
		if s == fails { // it is the phase in which the row failed
			now.style = fails
		}
	}
	if name != "" {
		l[row] = append(spans, span{name: name, style: s, start: at})
	}
}

// mermaid draws rows: failures first, then the longest. It returns "" when nothing took time.
func (l timeline) mermaid(rows []string, text func(string) string) string {
	rows = slices.DeleteFunc(rows, func(row string) bool { return len(l[row]) == 0 })
	if len(rows) == 0 {
		return ""
	}
	last := func(row string) span { return l[row][len(l[row])-1] }
	failed := func(row string) bool {
		return slices.ContainsFunc(l[row], func(s span) bool { return s.style == fails })
	}
	slices.SortStableFunc(rows, func(a, b string) int {
		return cmp.Or(number(failed(b))-number(failed(a)),
			cmp.Compare(last(b).end.Sub(l[b][0].start), last(a).end.Sub(l[a][0].start)))
	})
	shown := rows[:min(len(rows), timelineMost)]
	longest, first, end := 0, l[shown[0]][0].start, time.Time{}
	for _, row := range shown {
		longest = max(longest, len(plain(text(row))))
		if l[row][0].start.Before(first) {
			first = l[row][0].start
		}
		if last(row).end.After(end) {
			end = last(row).end
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "```mermaid\n%%%%{init: {\"gantt\": {\"leftPadding\": %d}}}%%%%\n", max(75, 6*longest+25)) // pixels, for the names
	b.WriteString("gantt\n  dateFormat x\n  axisFormat %H:%M" + only(end.Sub(first) < secondsUntil, ":%S") + "\n  todayMarker off\n")
	for _, row := range shown {
		fmt.Fprintf(&b, "  section %s\n", plain(text(row)))
		for _, s := range l[row][max(0, len(l[row])-spansMost):] {
			took := max(0, s.end.Sub(s.start))
			end := s.start.Add(max(took, spanLeast))
			fmt.Fprintf(&b, "  %s %s :%s%d, %d\n", plain(text(s.name)), short(took), only(s.style != works, string(s.style)+", "), s.start.UnixMilli(), end.UnixMilli())
		}
	}
	b.WriteString("```\n")
	if len(rows) > len(shown) {
		fmt.Fprintf(&b, "\nThe timeline shows %d of %d servers: failures, then the longest.\n", len(shown), len(rows))
	}
	return b.String()
}

// plain leaves of a masked text what has no meaning in Mermaid's language. A long name is cut in its middle, since
// names that begin alike end differently.
func plain(s string) string {
	s = strings.Map(func(c rune) rune {
		if strings.ContainsRune(letters+" ()*", c) {
			return c
		}
		return '_'
	}, s)
	if len(s) > nameMost {
		half := nameMost/2 - 1
		s = s[:half] + ".." + s[len(s)-half:]
	}
	return s
}
