package config

import (
	"path"
	"slices"
	"strings"
	"unicode"
)

// List holds names, IDs or globs of servers, each once, in the order given.
type List []string

// EnvDecode accepts entries separated by commas and white space. Globs are those
// of [path.Match].
func (l *List) EnvDecode(value string) error {
	*l = nil
	var wrong mistakes
	for _, entry := range strings.FieldsFunc(value, func(r rune) bool { return r == ',' || unicode.IsSpace(r) }) {
		if slices.Contains(*l, entry) {
			continue
		}
		if _, err := path.Match(entry, ""); err != nil {
			wrong.add(entry, `is no valid glob: accepted are *, ?, [abc], [a-z] and [^a-z], and \ before one of these characters`)
		}
		*l = append(*l, entry)
	}
	return wrong.err()
}
