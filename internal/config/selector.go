package config

import (
	"errors"
	"strings"
)

// Selector is a label selector in Hetzner's notation, with the spaces taken out
// that it does not need.
type Selector string

// EnvDecode accepts the terms that Hetzner's API describes ("Label Selector"),
// joined by commas.
func (s *Selector) EnvDecode(value string) error {
	var (
		terms []string
		errs  []error
	)
	for _, text := range splitTerms(value) {
		term, err := parseTerm(strings.TrimSpace(text))
		if err != nil {
			errs = append(errs, err)
		}
		terms = append(terms, term)
	}
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	*s = Selector(strings.Join(terms, ","))
	return nil
}

// splitTerms splits at the commas that are in no parentheses.
func splitTerms(selector string) []string {
	var terms []string
	depth, start := 0, 0
	for i, r := range selector {
		switch r {
		case '(':
			depth++
		case ')':
			depth--
		case ',':
			if depth == 0 {
				terms = append(terms, selector[start:i])
				start = i + 1
			}
		}
	}
	return append(terms, selector[start:])
}

// parseTerm checks one term and returns it without needless spaces.
func parseTerm(term string) (string, error) {
	if term == "" {
		return "", refuse("", "has an empty term: take out the comma too many")
	}
	if head, list, ok := strings.Cut(term, "("); ok {
		return parseSet(head, list, term)
	}
	if key, ok := strings.CutPrefix(term, "!"); ok {
		key = strings.TrimSpace(key)
		if stray(key) {
			return "", notTerm(term)
		}
		return "!" + key, checkKey(key)
	}
	key, op, value := term, "", ""
	for _, o := range []string{"!=", "==", "="} { // the longest first
		if before, after, ok := strings.Cut(term, o); ok {
			key, op, value = strings.TrimSpace(before), o, strings.TrimSpace(after)
			break
		}
	}
	if stray(key) || stray(value) {
		return "", notTerm(term)
	}
	return key + op + value, errors.Join(checkKey(key), checkValue(value))
}

// parseSet checks "k in (a,b)" and "k notin (a,b)", given as what comes before
// and after the opening parenthesis.
func parseSet(head, list, term string) (string, error) {
	words := strings.Fields(head)
	list, closed := strings.CutSuffix(list, ")")
	if !closed || len(words) != 2 || words[1] != "in" && words[1] != "notin" {
		return "", notTerm(term)
	}
	errs := []error{checkKey(words[0])}
	values := strings.Split(list, ",")
	for i, value := range values {
		values[i] = strings.TrimSpace(value)
		if values[i] == "" {
			errs = append(errs, refuse(term, "has an empty value in its parentheses: give the values as in (a,b)"))
		}
		errs = append(errs, checkValue(values[i]))
	}
	return words[0] + " " + words[1] + " (" + strings.Join(values, ",") + ")", errors.Join(errs...)
}

// stray tells whether a key or value has characters in it that show the term to
// be of another form than those known, such as k > 1. The rules for labels
// would be the wrong thing to tell about it.
func stray(s string) bool {
	return strings.ContainsAny(s, " \t\r\n!=<>()")
}

func notTerm(term string) error {
	return refuse(term, "is no term of a label selector: use k=v, k==v, k!=v, k, !k, k in (a,b) or k notin (a,b), joined by commas")
}
