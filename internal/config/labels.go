package config

import (
	"encoding/json"
	"errors"
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
			wrong = errors.Join(wrong, refuse(key, "is no label key: "+nameRule+", perhaps after a DNS name and a slash"))
		}
		if labels.Reserved(key) {
			wrong = errors.Join(wrong, refuse(key, "is reserved: keys under hsnap/ and hetzner.cloud/ can't be set"))
		}
		if value := list[key]; value != "" && !validName(value, "-_.") {
			wrong = errors.Join(wrong, refuse(value, "is no label value: "+nameRule+", or nothing"))
		}
	}
	*l = list
	return wrong
}

func textLabels(text string) (list Labels, wrong error) {
	list = Labels{}
	for _, entry := range pairs(text) {
		_, twice := list[entry.key]
		switch {
		case twice:
			wrong = errors.Join(wrong, refuse(entry.key, "is given twice: each label key can have one value"))
		case entry.whole:
			list[entry.key] = entry.value
		default:
			wrong = errors.Join(wrong, refuse(entry.key, "is no label: give key=value, separated by commas or newlines, or a JSON object of strings"))
		}
	}
	return list, wrong
}

func jsonLabels(text string) (list Labels, wrong error) {
	var object map[string]any
	if json.Unmarshal([]byte(text), &object) != nil {
		return nil, refuse(text, `is no JSON object of strings: give one as {"env": "prod"}`)
	}
	list = Labels{}
	for _, key := range slices.Sorted(maps.Keys(object)) {
		value, ok := object[key].(string)
		if !ok {
			wrong = errors.Join(wrong, refuse(key, "has a value that is no string: put it in quotation marks"))
		}
		list[key] = value
	}
	return list, wrong
}

// pair is an entry of a list of pairs. One that has no value is not whole.
type pair struct {
	key, value string
	whole      bool
}

// pairs reads key=value entries separated by commas or newlines. Empty lines and superfluous commas are ignored.
func pairs(text string) (all []pair) {
	for entry := range strings.FieldsFuncSeq(text, func(r rune) bool { return strings.ContainsRune(",\r\n", r) }) {
		key, value, whole := strings.Cut(entry, "=")
		if strings.TrimSpace(entry) != "" {
			all = append(all, pair{strings.TrimSpace(key), strings.TrimSpace(value), whole})
		}
	}
	return all
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
