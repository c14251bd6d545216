// Package report puts a run into words: the log while it goes on, and at its end the annotations, the outputs, the job
// summary and the verdict.
//
// A command hands over its events and its outcome. What there is to say about them is in the file named after the command, and
// for snapshot also in explain.go, which says what became of a server and what to try. All other files are building blocks: the
// words and the writer of the log, annotations, a page of Markdown and its parts, a timeline, the delivery of outputs, and how a
// run ends.
//
// Everything that the program shows leaves through this package. Text goes to one writer, which hides the API token,
// defuses whatever a CI system could take for a command, and makes nobody wait. Values go to the files that the CI
// system names, with the same mask. The package sends no request and decides about no server. But it counts:
// the exit code follows from a [Tally].
package report

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sethvargo/go-githubactions"

	"github.com/org/hsnap-action/internal/hetzner"
	"github.com/org/hsnap-action/internal/secret"
)

// Options configures a [Report].
type Options struct {
	Out    io.Writer
	Mask   secret.Mask
	Getenv func(string) string // for the CI system's own variables
}

// Report reports one run. Requests may be reported from any goroutine, everything else from one.
type Report struct {
	o      Options
	github bool // workflow commands are understood
	start  time.Time
	log    *writer
	ci     *githubactions.Action

	annotations  int      // of errors so far
	mistakes     []string // in the inputs
	read         bool     // they are mistakes that only the project has shown
	timeline     timeline
	destinations []destination // of the outputs
	printed      bool          // so are the outputs
	summarised   bool          // in a job summary

	asked    Asked
	currency string          // of what copies cost
	down     map[string]bool // servers that were switched off and are not running again
}

// New returns a Report.
func New(o Options) *Report {
	github := o.Getenv("GITHUB_ACTIONS") == "true"
	log := &writer{out: o.Out, mask: o.Mask, timed: !github}
	ci := githubactions.New(githubactions.WithWriter(log), githubactions.WithGetenv(o.Getenv))
	return &Report{o: o, github: github, start: time.Now(), log: log, ci: ci, timeline: timeline{}, down: map[string]bool{}}
}

// Flush waits until the log is written, or until the limit where nobody reads it.
func (r *Report) Flush(limit time.Duration) { r.log.flush(limit) }

// Conceal has GitHub hide the tokens in everything that the job prints. It is the one place where a token is written:
// the command is how GitHub learns of it. A secret from GitHub's own store is hidden already, one from elsewhere isn't.
func (r *Report) Conceal(tokens []string) {
	for _, token := range tokens {
		if r.github && !strings.ContainsAny(token, "\r\n") {
			r.log.write("::add-mask::" + strings.ReplaceAll(token, "%", "%25") + "\n")
		}
	}
}

// SaveState hands a value to the step's own post step. The last value of a name counts.
func (r *Report) SaveState(name, value string) error {
	return safely(func() { r.ci.SaveState(name, value) })
}

// Line logs one line.
func (r *Report) Line(format string, args ...any) { r.log.line(fmt.Sprintf(format, args...)) }

// Text prints text that answers a question about the program itself, and so is no log.
func (r *Report) Text(text string) { r.log.write(strings.TrimSuffix(text, "\n") + "\n") }

// group logs lines under a title, which GitHub folds away where that is wanted.
func (r *Report) group(title string, fold bool, lines []string) {
	if fold = fold && r.github; fold {
		r.ci.Group(defuse(r.text(title)))
		defer r.ci.EndGroup()
	} else {
		r.Line("%s", title)
	}
	for _, line := range lines {
		r.Line("  %s", line)
	}
}

// Exchange logs one request, where the runner is asked to show debug lines.
func (r *Report) Exchange(x hetzner.Exchange) {
	if r.o.Getenv("RUNNER_DEBUG") != "1" {
		return
	}
	text := fmt.Sprintf("%s %s: %d in %s", x.Method, x.Path, x.Status, short(x.Took)) + only(x.Correlation != "", " ("+x.Correlation+")")
	if x.Err != nil {
		text += ": " + x.Err.Error()
	}
	r.issue("debug", text)
}

// text makes text from outside fit to be shown: in one line, and masked before anything escapes it, since no mask finds
// an escaped token.
func (r *Report) text(s string) string { return r.o.Mask.Hide(clean(s)) }

// short returns a duration in whole seconds, as 5m04s or 1h05m04s; in milliseconds below one.
func short(d time.Duration) string {
	switch n := seconds(d); {
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case n < 60:
		return fmt.Sprintf("%ds", n)
	case n < 3600:
		return fmt.Sprintf("%dm%02ds", n/60, n%60)
	default:
		return fmt.Sprintf("%dh%02dm%02ds", n/3600, n/60%60, n%60)
	}
}

// old returns an age in one unit, as 41s, 90m, 26h or 4d.
func old(d time.Duration) string {
	switch {
	case d < time.Minute:
		return short(d)
	case d < 3*time.Hour:
		return fmt.Sprintf("%dm", d/time.Minute)
	case d < 72*time.Hour:
		return fmt.Sprintf("%dh", d/time.Hour)
	}
	return fmt.Sprintf("%dd", d/(24*time.Hour))
}

func seconds(d time.Duration) int64 { return int64(d.Round(time.Second) / time.Second) }

// minute writes a time for people.
func minute(t time.Time) string { return t.UTC().Format("2006-01-02 15:04") }

// number returns 1 for true, to count and to sort by.
func number(b bool) int {
	if b {
		return 1
	}
	return 0
}

func count(n int, what string) string { return fmt.Sprintf("%d %s", n, plural(n, what)) }

// plural is the word for a number of something.
func plural(n int, what string) string {
	one, isY := strings.CutSuffix(what, "y")
	switch {
	case n == 1:
		return what
	case isY:
		return one + "ies"
	}
	return what + "s"
}

// some is a number of something, and "" for none.
func some(n int, what string) string { return only(n > 0, fmt.Sprintf("%d %s", n, what)) }

// joined joins the parts that are not empty.
func joined(separator string, parts ...string) string {
	return strings.Join(slices.DeleteFunc(parts, func(part string) bool { return part == "" }), separator)
}

// namedMost is how many names a line holds.
const namedMost = 5

// several lists names, as far as a line has room.
func several(names []string) string {
	return strings.Join(names[:min(len(names), namedMost)], ", ") + only(len(names) > namedMost, ", …")
}

// named counts names and lists them; it is "" for none.
func named(names []string, what string) string {
	return only(len(names) > 0, fmt.Sprintf("%d %s (%s)", len(names), what, several(names)))
}

// id is an ID, and "" for none.
func id(n int64) string { return only(n != 0, strconv.FormatInt(n, 10)) }

// ids lists IDs.
func ids(list []int64, separator string) string {
	return strings.Join(each(list, func(n int64) string { return strconv.FormatInt(n, 10) }), separator)
}

// each returns what f makes of each item, and those the items of which f holds. Neither is nil, which JSON would show as null.
func each[T, V any](items []T, f func(T) V) []V {
	made := make([]V, len(items))
	for i, item := range items {
		made[i] = f(item)
	}
	return made
}

func those[T any](items []T, f func(T) bool) []T {
	return slices.DeleteFunc(append([]T{}, items...), func(item T) bool { return !f(item) })
}

// only returns the text where the condition holds.
func only(condition bool, text string) string {
	if condition {
		return text
	}
	return ""
}

// letters are those of a plain name, which have no meaning in a shell or in Mermaid's language.
const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._"
