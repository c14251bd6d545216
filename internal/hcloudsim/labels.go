package hcloudsim

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

const (
	maxLabelName   = 63
	maxLabelPrefix = 253
	reservedPrefix = "hetzner.cloud"
)

// checkLabels returns what Hetzner would object to, by ascending key.
func checkLabels(labels map[string]string) []string {
	var wrong []string
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		prefix, _, prefixed := strings.Cut(key, "/")
		switch {
		case !isLabelKey(key):
			wrong = append(wrong, fmt.Sprintf("label key %q is invalid", key))
		case prefixed && prefix == reservedPrefix:
			wrong = append(wrong, fmt.Sprintf("label key %q uses a reserved prefix", key))
		}
		if value := labels[key]; !isLabelValue(value) {
			wrong = append(wrong, fmt.Sprintf("label value %q is invalid", value))
		}
	}
	return wrong
}

// isLabelKey reports whether key is a name, or a DNS subdomain, a slash and a
// name.
func isLabelKey(key string) bool {
	prefix, name, prefixed := strings.Cut(key, "/")
	if !prefixed {
		return isLabelName(key)
	}
	return isSubdomain(prefix) && isLabelName(name)
}

func isLabelValue(value string) bool { return value == "" || isLabelName(value) }

// isLabelName reports whether s begins and ends with a letter or digit, has
// nothing but letters, digits, and -_. between, and is not too long.
func isLabelName(s string) bool {
	if s == "" || len(s) > maxLabelName || !isAlphanumeric(s[0]) || !isAlphanumeric(s[len(s)-1]) {
		return false
	}
	for i := range len(s) {
		if !isAlphanumeric(s[i]) && !strings.ContainsRune("-_.", rune(s[i])) {
			return false
		}
	}
	return true
}

// isSubdomain reports whether s consists of DNS labels in lower case.
func isSubdomain(s string) bool {
	if len(s) > maxLabelPrefix {
		return false
	}
	for part := range strings.SplitSeq(s, ".") {
		if !isLabelName(part) || part != strings.ToLower(part) || strings.Contains(part, "_") {
			return false
		}
	}
	return true
}

func isAlphanumeric(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// selector is a parsed label selector: all of its requirements must be met.
type selector []requirement

// requirement is one condition on the labels of a resource.
type requirement struct {
	key    string
	op     string   // exists, !exists, in, notin
	values []string // of in and notin; the other operators are forms of these
}

func (sel selector) matches(labels map[string]string) bool {
	for _, r := range sel {
		value, ok := labels[r.key]
		var met bool
		switch r.op {
		case "exists":
			met = ok
		case "!exists":
			met = !ok
		case "in":
			met = ok && slices.Contains(r.values, value)
		case "notin": // also what lacks the key
			met = !ok || !slices.Contains(r.values, value)
		}
		if !met {
			return false
		}
	}
	return true
}

// parseSelector parses a label selector. The empty one matches everything.
func parseSelector(text string) (selector, error) {
	in := &scanner{rest: text}
	if in.skipSpace(); in.rest == "" {
		return nil, nil
	}
	var sel selector
	for {
		r, err := in.requirement()
		if err != nil {
			return nil, err
		}
		sel = append(sel, r)
		if in.rest == "" {
			return sel, nil
		}
		if !in.accept(",") {
			return nil, fmt.Errorf("comma expected before %q", in.rest)
		}
	}
}

// scanner reads a selector from left to right. White space between the parts
// does not count.
type scanner struct{ rest string }

func (in *scanner) skipSpace() { in.rest = strings.TrimLeft(in.rest, " \t\r\n") }

func (in *scanner) accept(token string) bool {
	rest, ok := strings.CutPrefix(in.rest, token)
	if ok {
		in.rest = rest
		in.skipSpace()
	}
	return ok
}

// word reads letters, digits and the other characters of keys and values.
func (in *scanner) word() string {
	end := 0
	for end < len(in.rest) && (isAlphanumeric(in.rest[end]) || strings.ContainsRune("-_./", rune(in.rest[end]))) {
		end++
	}
	word := in.rest[:end]
	in.rest = in.rest[end:]
	in.skipSpace()
	return word
}

func (in *scanner) key() (string, error) {
	key := in.word()
	if !isLabelKey(key) {
		return "", fmt.Errorf("invalid key %q", key)
	}
	return key, nil
}

func (in *scanner) value() (string, error) {
	value := in.word()
	if !isLabelValue(value) {
		return "", fmt.Errorf("invalid value %q", value)
	}
	return value, nil
}

func (in *scanner) requirement() (requirement, error) {
	in.skipSpace()
	if in.accept("!") {
		key, err := in.key()
		return requirement{key: key, op: "!exists"}, err
	}
	key, err := in.key()
	if err != nil {
		return requirement{}, err
	}
	for _, form := range []struct{ token, op string }{{"!=", "notin"}, {"==", "in"}, {"=", "in"}} {
		if in.accept(form.token) {
			value, err := in.value()
			return requirement{key: key, op: form.op, values: []string{value}}, err
		}
	}
	if in.rest == "" || in.rest[0] == ',' {
		return requirement{key: key, op: "exists"}, nil
	}
	op := in.word()
	if op != "in" && op != "notin" {
		return requirement{}, fmt.Errorf("unknown operator %q", op)
	}
	values, err := in.set()
	return requirement{key: key, op: op, values: values}, err
}

func (in *scanner) set() ([]string, error) {
	if !in.accept("(") {
		return nil, fmt.Errorf("opening parenthesis expected before %q", in.rest)
	}
	var values []string
	for {
		value, err := in.value()
		if err != nil {
			return nil, err
		}
		if value == "" {
			return nil, fmt.Errorf("empty value in a set")
		}
		values = append(values, value)
		if in.accept(")") {
			return values, nil
		}
		if !in.accept(",") {
			return nil, fmt.Errorf("closing parenthesis expected before %q", in.rest)
		}
	}
}
