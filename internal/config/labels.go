package config

import (
	"encoding/json"
	"errors"
	"io"
	"strings"
)

// Labels are the labels to put on each snapshot, by key.
type Labels map[string]string

// EnvDecode accepts key=value pairs separated by commas or newlines, or a JSON
// object of strings. The labels must obey the rules that Hetzner's API tells
// under "Labels".
func (l *Labels) EnvDecode(value string) error {
	var (
		pairs []pair
		errs  []error
		err   error
	)
	if strings.HasPrefix(value, "{") {
		if pairs, err = jsonPairs(value); err != nil {
			return err
		}
	} else {
		pairs, errs = textPairs(value)
	}

	labels := make(Labels, len(pairs))
	for _, p := range pairs {
		if _, ok := labels[p.key]; ok {
			errs = append(errs, refuse(p.key, "is given twice: each label key can have one value"))
			continue
		}
		labels[p.key] = p.value
		errs = append(errs, checkKey(p.key), checkValue(p.value))
		if Reserved(p.key) {
			errs = append(errs, refuse(p.key, "is reserved: keys under hsnap/ and hetzner.cloud/ can't be set"))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	*l = labels
	return nil
}

// pair is one label, in the order given.
type pair struct{ key, value string }

// textPairs reads key=value pairs. Empty lines and a comma at the end of one are
// let pass.
func textPairs(text string) (pairs []pair, errs []error) {
	for entry := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == ',' || r == '\n' || r == '\r' }) {
		entry = strings.TrimSpace(entry)
		if entry == "" {
			continue
		}
		key, value, ok := strings.Cut(entry, "=")
		if !ok {
			errs = append(errs, refuse(entry, "is no label: give key=value, separated by commas or newlines, or a JSON object of strings"))
			continue
		}
		pairs = append(pairs, pair{strings.TrimSpace(key), strings.TrimSpace(value)})
	}
	if len(pairs) == 0 && len(errs) == 0 {
		errs = append(errs, refuse(text, "lists nothing: give key=value, separated by commas or newlines, or a JSON object of strings"))
	}
	return pairs, errs
}

// jsonPairs reads the members of a JSON object token by token: a map would hide
// that a key came twice.
func jsonPairs(text string) ([]pair, error) {
	bad := refuse(text, `is no JSON object of strings: give one as {"env": "prod"}`)
	dec := json.NewDecoder(strings.NewReader(text))
	if _, err := dec.Token(); err != nil { // the opening brace
		return nil, bad
	}
	var pairs []pair
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return nil, bad
		}
		value, err := dec.Token()
		if err != nil {
			return nil, bad
		}
		// The decoder sees to it that the key is a string.
		s, ok := value.(string)
		if !ok {
			return nil, refuse(key.(string), "has a value that is no string: put it in quotation marks")
		}
		pairs = append(pairs, pair{key.(string), s})
	}
	if _, err := dec.Token(); err != nil { // the closing brace
		return nil, bad
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, bad
	}
	return pairs, nil
}

// Reserved tells whether a label key may be set by this program (hsnap/) or by
// Hetzner (hetzner.cloud/) alone. DNS names know no case.
func Reserved(key string) bool {
	prefix, _, ok := strings.Cut(key, "/")
	return ok && (strings.EqualFold(prefix, "hsnap") || strings.EqualFold(prefix, "hetzner.cloud"))
}

// Series names the series of snapshots that a run adds to.
type Series string

// EnvDecode accepts a label value, since that is where the series is kept.
func (s *Series) EnvDecode(value string) error {
	if !validName(value, "-_.") {
		return refuse(value, "is no name of a series: give up to 63 letters, digits, -, _ and ., with a letter or digit at both ends")
	}
	*s = Series(value)
	return nil
}

// checkKey applies Hetzner's rule for label keys.
func checkKey(key string) error {
	if key == "" {
		return refuse("", "has an empty label key: give key=value")
	}
	name, valid := key, true
	if prefix, rest, ok := strings.Cut(key, "/"); ok {
		name, valid = rest, len(prefix) <= 253
		for label := range strings.SplitSeq(prefix, ".") {
			valid = valid && validName(label, "-")
		}
	}
	if !valid || !validName(name, "-_.") {
		return refuse(key, "is no label key: give up to 63 letters, digits, -, _ and ., with a letter or digit at both ends, perhaps after a DNS name and a slash")
	}
	return nil
}

// checkValue applies Hetzner's rule for label values.
func checkValue(value string) error {
	if value != "" && !validName(value, "-_.") {
		return refuse(value, "is no label value: give up to 63 letters, digits, -, _ and ., with a letter or digit at both ends, or nothing")
	}
	return nil
}

// validName tells whether s has 1 to 63 letters and digits, with the
// punctuation given among them but not at the ends.
func validName(s, punctuation string) bool {
	if s == "" || len(s) > 63 || strings.Trim(s, punctuation) != s {
		return false
	}
	for _, r := range s {
		if !alphanumeric(r) && !strings.ContainsRune(punctuation, r) {
			return false
		}
	}
	return true
}
