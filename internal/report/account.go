package report

import (
	"strings"

	"github.com/sethvargo/go-githubactions"
)

// annotationsMost is how many annotations of a kind GitHub shows of one step. The last one is kept for the run as a
// whole, or for what can't wait.
const annotationsMost = 10

// account says what became of something: a server, or the run as a whole.
type account struct {
	title   string // heads an annotation, after the name
	what    string
	details []string // Hetzner's answer, and what else one must know; some may be empty
	next    string   // what to try, with commands in backticks; "" where nothing failed
}

// facts returns what happened, without what to try.
func (a account) facts() []string {
	return append([]string{a.what}, those(a.details, func(detail string) bool { return detail != "" })...)
}

// lines returns an account line by line: a line break in Hetzner's words is none of ours.
func (a account) lines() []string {
	lines := a.facts()
	if a.next != "" {
		lines = append(lines, "what to try: "+strings.ReplaceAll(a.next, "`", ""))
	}
	return each(lines, clean)
}

// line is an account in one line.
func (a account) line() string { return strings.Join(a.lines(), "; ") }

// failure reports that something failed, by its name, or the run as a whole: in an annotation where there is one left,
// otherwise in lines of the log.
func (r *Report) failure(name, label string, a account, urgent bool) {
	lines := a.lines()
	prefix := only(name != "", name+": ")
	if left := annotationsMost - r.annotations; !r.github || left == 0 || left == 1 && !urgent {
		r.Line("%s%s: %s", prefix, label, lines[0])
		for _, line := range lines[1:] {
			r.Line("  %s", line)
		}
		return
	}
	r.annotations++
	fields := map[string]string{}
	if name != "" {
		fields["title"] = r.text(name + " " + a.title)
	}
	lines[0] = clean(prefix) + lines[0]
	r.ci.WithFieldsMap(fields).Errorf("%s", r.harmless(lines...))
}

// Error reports a failure of the run as a whole.
func (r *Report) Error(message string) { r.failure("", "error", account{what: message}, true) }

// Mistakes reports what is wrong with the inputs, each mistake on its own.
func (r *Report) Mistakes(err error) {
	r.mistakes = strings.Split(err.Error(), "\n")
	for _, mistake := range r.mistakes {
		r.Error(mistake)
	}
}

// Warn reports what the user should know although nothing failed.
func (r *Report) Warn(message string) { r.issue("warning", message) }

// issue issues a workflow command, or logs a line that begins with its name.
func (r *Report) issue(name, message string) {
	if r.github {
		r.ci.IssueCommand(&githubactions.Command{Name: name, Message: r.harmless(message)})
		return
	}
	r.Line("%s: %s", name, message)
}

// harmless makes lines fit for a workflow command.
func (r *Report) harmless(lines ...string) string {
	for i := range lines {
		lines[i] = defuse(r.text(lines[i]))
	}
	return strings.Join(lines, "\n")
}
