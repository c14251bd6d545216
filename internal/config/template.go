package config

import (
	"cmp"
	"errors"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// Template is the text that a snapshot's description is made of, see [Snapshot.Describe].
type Template string

// maxDescription is the most characters that a description can have. Hetzner documents no limit. This one keeps a
// description in one line of its console, and a workflow with a long name from failing the snapshot.
const maxDescription = 200

// EnvDecode accepts text whose placeholders are all known.
func (t *Template) EnvDecode(value string) error {
	var known []string
	for pair := range slices.Chunk(Snapshot{}.placeholders("", 0, time.Time{}), 2) {
		known = append(known, pair[0])
	}
	var wrong error
	for _, name := range regexp.MustCompile(`\{[^{}]*\}?`).FindAllString(value, -1) {
		if !slices.Contains(known, name) {
			wrong = errors.Join(wrong, refuse(name, "is no placeholder: use %s", strings.Join(known, " ")))
		}
	}
	*t = Template(value)
	return wrong
}

// placeholders returns the placeholders, each followed by its value for one snapshot.
func (s Snapshot) placeholders(server string, id int64, now time.Time) []string {
	now = now.UTC()
	known := func(value string) string { return cmp.Or(value, "unknown") }
	return []string{
		"{server}", server,
		"{server_id}", strconv.FormatInt(id, 10),
		"{timestamp}", now.Format("2006-01-02T150405Z"), // RFC 3339 but for the colons, so that it can go into a file's name
		"{date}", now.Format("2006-01-02"),
		"{time}", now.Format("150405"),
		"{series}", string(s.Series),
		"{run_id}", known(s.Run.ID),
		"{run_number}", known(s.Run.Number),
		"{sha}", known(s.Run.SHA),
		"{ref}", known(s.Run.Ref),
		"{workflow}", known(s.Run.Workflow),
		"{repository}", known(s.Run.Repository),
	}
}

// Describe returns the description of a snapshot of the server, asked for now. What is not known becomes "unknown". The
// result is one line of valid UTF-8 and is cut after 200 characters.
func (s Snapshot) Describe(server string, id int64, now time.Time) string {
	// One pass: a placeholder in a branch's name is text.
	text := strings.NewReplacer(s.placeholders(server, id, now)...).Replace(string(s.Description))
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' ' // such as a line break
		}
		return r // invalid bytes come as U+FFFD
	}, text)
	if runes := []rune(text); len(runes) > maxDescription {
		text = string(runes[:maxDescription-1]) + "…"
	}
	return text
}
