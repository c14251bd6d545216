package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/org/hsnap-action/internal/snapshot"
)

const (
	// timelineMost is how many servers the timeline shows: nobody reads more. Mermaid draws no more than 50,000
	// characters, so a server that has been through more than its share shows the last of its phases.
	timelineMost = 40
	chartMost    = 49_000
	spansMost    = 100
	// spanLeast is the shortest span that can be seen.
	spanLeast = time.Second
	nameMost  = 40
)

// span is one phase of a server's way.
type span struct {
	name       string
	tag        string // Mermaid's word for how it is drawn
	start, end time.Time
}

// track is what the timeline shows of one server.
type track struct {
	name  string
	spans []span
}

// timeline collects the phases from the events.
type timeline struct {
	tracks map[string]*track
}

// note ends a server's phase and begins the next one, where the event is the beginning of one.
func (l *timeline) note(e snapshot.Event) {
	name, tag := phase(e)
	ends := e.Kind == snapshot.EventFinished || e.Kind == snapshot.EventUnlocked || e.Kind == snapshot.EventRunning
	if name == "" && !ends {
		return
	}
	if l.tracks == nil {
		l.tracks = map[string]*track{}
	}
	t := l.tracks[e.Name]
	if t == nil {
		t = &track{name: e.Name}
		l.tracks[e.Name] = t
	}
	if n := len(t.spans); n > 0 && t.spans[n-1].end.IsZero() {
		if last := &t.spans[n-1]; name == last.name || e.Kind == snapshot.EventHeld {
			last.name = cmp.Or(name, last.name) // the same phase, of which more is known now
			return
		} else if e.Kind == snapshot.EventRunning && last.name != phaseOn {
			return // what its snapshot is at goes on
		}
		t.spans[n-1].end = e.At
	}
	if name != "" {
		t.spans = append(t.spans, span{name: name, tag: tag, start: e.At})
	}
}

// How Mermaid draws the phases: waiting in grey, work on the snapshot in blue, and with a red frame while the server is
// down. The phase in which a snapshot failed is all red.
const (
	tagWaits  = "done"
	tagWorks  = "active"
	tagDown   = "crit, done"
	tagFailed = "crit"
)

const (
	phaseDown = "shutting down"
	phaseOn   = "switching on"
)

// goesDown reports whether a server's shutdown is what it is at.
func (l *timeline) goesDown(name string) bool {
	t := l.tracks[name]
	return t != nil && len(t.spans) > 0 && t.spans[len(t.spans)-1].name == phaseDown
}

// phase names the phase that an event begins; "" for none.
func phase(e snapshot.Event) (name, tag string) {
	switch e.Kind { //nolint:exhaustive // the others begin no phase
	case snapshot.EventLocked:
		if e.Holder == nil && e.Err != nil && !isLocked(e.Err) {
			return "not accepted", tagWaits
		}
		return "locked", tagWaits
	case snapshot.EventHeld:
		return "locked by " + e.Holder.Command, tagWaits
	case snapshot.EventLost:
		return "answer lost", tagWaits
	case snapshot.EventStopping:
		return phaseDown, tagDown
	case snapshot.EventOff:
		return "off", tagDown
	case snapshot.EventEnded:
		if e.Result.Reason == snapshot.ShutdownTimeout {
			return "making sure that it runs", tagWaits
		}
		return phaseOn, tagDown
	case snapshot.EventAccepted, snapshot.EventAdopted:
		return "snapshot", tagWorks
	case snapshot.EventCopied:
		return "becoming available", tagWorks
	}
	return "", ""
}

// mermaid draws the timeline as a gantt chart: failures first, then the longest. It returns "" when nothing took time.
func (l *timeline) mermaid(results []snapshot.Result, text func(string) string) string {
	type row struct {
		*track
		failed bool
		length time.Duration
	}
	var rows []row
	for _, r := range results {
		t := l.tracks[r.Name]
		if t == nil || len(t.spans) == 0 {
			continue
		}
		last := t.spans[len(t.spans)-1]
		rows = append(rows, row{t, r.Status == snapshot.Failed, last.end.Sub(t.spans[0].start)})
	}
	if len(rows) == 0 {
		return ""
	}
	slices.SortStableFunc(rows, func(a, b row) int {
		if a.failed != b.failed {
			return map[bool]int{true: -1, false: 1}[a.failed]
		}
		return cmp.Compare(b.length, a.length)
	})
	var b strings.Builder
	b.WriteString("```mermaid\ngantt\n  dateFormat x\n  axisFormat %H:%M:%S\n  todayMarker off\n")
	shown := 0
	for _, row := range rows[:min(len(rows), timelineMost)] {
		part := section(row.track, row.failed, text)
		if b.Len()+len(part) > chartMost {
			break
		}
		b.WriteString(part)
		shown++
	}
	b.WriteString("```\n")
	if len(rows) > shown {
		fmt.Fprintf(&b, "\nThe timeline shows %d of %d servers: failures, then the longest.\n", shown, len(rows))
	}
	return b.String()
}

// section draws one server's phases.
func section(t *track, failed bool, text func(string) string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "  section %s\n", plain(text(t.name)))
	spans := t.spans[max(0, len(t.spans)-spansMost):]
	for i, s := range spans {
		if failed && i == len(spans)-1 {
			s.tag = tagFailed
		}
		end := s.end
		if end.Sub(s.start) < spanLeast {
			end = s.start.Add(spanLeast)
		}
		fmt.Fprintf(&b, "  %s %s :%s, %d, %d\n", plain(text(s.name)), short(s.end.Sub(s.start)), s.tag, s.start.UnixMilli(), end.UnixMilli())
	}
	return b.String()
}

// plain leaves of a masked text what has no meaning in Mermaid's language. A long name is cut in its middle, since
// names that begin alike end differently.
func plain(s string) string {
	s = strings.Map(func(c rune) rune {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', strings.ContainsRune(" ._-()*", c):
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
