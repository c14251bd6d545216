package config

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/org/hsnap-action/internal/labels"
)

// nameRule is Hetzner's rule for the names in labels, in the words of its mistakes.
const nameRule = "give up to 63 letters, digits, -, _ and ., with a letter or digit at both ends"

// Labels are the labels to put on each snapshot, by key.
type Labels map[string]string

// EnvDecode accepts key=value pairs separated by commas or newlines, or a JSON object of strings. Labels that Hetzner
// would refuse are refused here: a server may be off by the time Hetzner sees them.
func (l *Labels) EnvDecode(value string) error {
	read := textLabels
	if strings.HasPrefix(value, "{") {
		read = jsonLabels
	}
	list, wrong := read(value)
	for _, key := range slices.Sorted(maps.Keys(list)) {
		if !validKey(key) {
			wrong.add(key, "is no label key: "+nameRule+", perhaps after a DNS name and a slash")
		}
		if labels.Reserved(key) {
			wrong.add(key, "is reserved: keys under hsnap/ and hetzner.cloud/ can't be set")
		}
		if value := list[key]; value != "" && !validName(value, "-_.") {
			wrong.add(value, "is no label value: "+nameRule+", or nothing")
		}
	}
	*l = list
	return wrong.err()
}

// textLabels reads key=value pairs. Empty lines and superfluous commas are ignored.
func textLabels(text string) (labels Labels, wrong mistakes) {
	labels = Labels{}
	for entry := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == ',' || r == '\n' || r == '\r' }) {
		key, value, ok := strings.Cut(entry, "=")
		key, value = strings.TrimSpace(key), strings.TrimSpace(value)
		_, twice := labels[key]
		switch {
		case twice:
			wrong.add(key, "is given twice: each label key can have one value")
		case ok:
			labels[key] = value
		case key != "":
			wrong.add(key, "is no label: give key=value, separated by commas or newlines, or a JSON object of strings")
		}
	}
	return labels, wrong
}

func jsonLabels(text string) (labels Labels, wrong mistakes) {
	var object map[string]any
	if json.Unmarshal([]byte(text), &object) != nil {
		wrong.add(text, `is no JSON object of strings: give one as {"env": "prod"}`)
	}
	labels = Labels{}
	for _, key := range slices.Sorted(maps.Keys(object)) {
		value, ok := object[key].(string)
		if !ok {
			wrong.add(key, "has a value that is no string: put it in quotation marks")
		}
		labels[key] = value
	}
	return labels, wrong
}

// Series names the series of snapshots that a run adds to.
type Series string

// EnvDecode accepts a label value, since a label holds the series.
func (s *Series) EnvDecode(value string) error {
	if !validName(value, "-_.") {
		return refuse(value, "is no name of a series: "+nameRule)
	}
	*s = Series(value)
	return nil
}

// validKey applies Hetzner's rule for label keys.
func validKey(key string) bool {
	prefix, name, ok := strings.Cut(key, "/")
	if !ok {
		return validName(key, "-_.")
	}
	for label := range strings.SplitSeq(prefix, ".") {
		if !validName(label, "-") {
			return false
		}
	}
	return len(prefix) <= 253 && validName(name, "-_.")
}

// validName reports whether s has 1 to 63 letters and digits, with the punctuation given among them but not at the
// ends.
func validName(s, punctuation string) bool {
	strange := func(r rune) bool { return !alphanumeric(r) && !strings.ContainsRune(punctuation, r) }
	return s != "" && len(s) <= 63 && strings.Trim(s, punctuation) == s && !strings.ContainsFunc(s, strange)
}
