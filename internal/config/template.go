package config

import (
	"cmp"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// Template is the text that a snapshot's description is made of, see
// [Config.Describe].
type Template string

// maxDescription is the most characters that a description can have. Hetzner
// tells no limit; this one keeps a description in one line of its console, and
// a workflow's name of any length from failing the snapshot.
const maxDescription = 200

// EnvDecode accepts one line of text whose placeholders are all known.
func (t *Template) EnvDecode(value string) error {
	if err := checkLine(value); err != nil {
		return err
	}
	if len([]rune(value)) > maxDescription {
		return refuse(value, "is too long: a description can have "+strconv.Itoa(maxDescription)+" characters")
	}
	known := placeholders(Config{}, "", 0, time.Time{})
	var errs []error
	for rest := value; ; {
		i := strings.IndexAny(rest, "{}")
		if i < 0 {
			break
		}
		end := strings.IndexByte(rest, '}')
		if rest[i] == '}' || end < 0 {
			errs = append(errs, refuse(rest[i:], "has a brace without its counterpart: braces are for placeholders only"))
			break
		}
		name := rest[i : end+1]
		if !slices.ContainsFunc(known, func(p placeholder) bool { return p.name == name }) {
			errs = append(errs, refuse(name, "is no placeholder: use "+names(known)))
		}
		rest = rest[end+1:]
	}
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	*t = Template(value)
	return nil
}

// placeholder is one of those that a Template may contain.
type placeholder struct{ name, value string }

// placeholders lists them all with their values for one snapshot.
func placeholders(c Config, server string, id int64, now time.Time) []placeholder {
	now = now.UTC()
	return []placeholder{
		{"{server}", server},
		{"{server_id}", strconv.FormatInt(id, 10)},
		{"{timestamp}", now.Format("2006-01-02T150405Z")}, // RFC 3339 but for the colons, so that it can go into a file's name
		{"{date}", now.Format("2006-01-02")},
		{"{time}", now.Format("150405")},
		{"{series}", string(c.Series)},
		{"{run_id}", c.Run.ID},
		{"{run_number}", c.Run.Number},
		{"{sha}", c.Run.SHA},
		{"{ref}", c.Run.Ref},
		{"{workflow}", c.Run.Workflow},
		{"{repository}", c.Run.Repository},
	}
}

// names lists placeholders for a message.
func names(list []placeholder) string {
	all := make([]string, len(list))
	for i, p := range list {
		all[i] = p.name
	}
	return strings.Join(all, " ")
}

// Describe returns the description of a snapshot of the server, asked for now.
// What is not known becomes "unknown". The result is one line of valid UTF-8
// and is cut after 200 characters.
func (c Config) Describe(server string, id int64, now time.Time) string {
	var oldnew []string
	for _, p := range placeholders(c, server, id, now) {
		oldnew = append(oldnew, p.name, cmp.Or(p.value, "unknown"))
	}
	// One pass: a placeholder in a branch's name is text.
	text := strings.NewReplacer(oldnew...).Replace(string(c.Description))

	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' ' // a workflow's name can have any
		}
		return r // invalid bytes come as U+FFFD
	}, text)
	if runes := []rune(text); len(runes) > maxDescription {
		text = string(runes[:maxDescription-1]) + "…"
	}
	return text
}
