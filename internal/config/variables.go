package config

import (
	"iter"
	"maps"
	"math"
	"reflect"
	"slices"
	"strings"

	"github.com/sethvargo/go-envconfig"
)

// input is a field of Config that is read from the environment.
type input struct {
	key      string   // as in the env tag: LOCK_TIMEOUT
	fallback string   // one more variable to read, or ""
	choices  []string // the values that are accepted; nil where there is no such list
}

// inputs yields the inputs in the order of Config's fields.
func inputs() iter.Seq[input] {
	return func(yield func(input) bool) {
		for f := range reflect.TypeFor[Config]().Fields() {
			key, _, _ := strings.Cut(f.Tag.Get("env"), ",")
			if key != "" && !yield(input{key: key, fallback: f.Tag.Get("fallback"), choices: strings.Fields(f.Tag.Get("oneof"))}) {
				return
			}
		}
	}
}

// inputOf returns the input with the given key.
func inputOf(key string) input {
	for in := range inputs() {
		if in.key == key {
			return in
		}
	}
	return input{}
}

// name is what action.yml calls the input: lock-timeout.
func (in input) name() string {
	return strings.ToLower(strings.ReplaceAll(in.key, "_", "-"))
}

// variables lists the variables that the input is read from. The first that is
// not empty counts.
func (in input) variables() []string {
	names := []string{
		"INPUT_" + strings.ReplaceAll(in.key, "_", "-"), // GitHub keeps the hyphens
		"INPUT_" + in.key,
		"HSNAP_" + in.key,
		"PLUGIN_" + in.key, // Woodpecker's settings
	}
	if in.fallback != "" {
		names = append(names, in.fallback)
	}
	return names
}

// variables are the environment's variables with their values trimmed.
type variables map[string]string

// parse reads the form of [os.Environ]. Where a name comes twice the first one
// counts, as it does for os.Getenv.
func parse(env []string) variables {
	vars := make(variables, len(env))
	for _, kv := range env {
		name, value, _ := strings.Cut(kv, "=")
		if _, ok := vars[name]; !ok {
			vars[name] = strings.TrimSpace(value)
		}
	}
	return vars
}

// variable is one that holds an input's value.
type variable struct{ name, value string }

// find returns the variable that the input is taken from, if any is not empty.
func (vars variables) find(in input) (variable, bool) {
	for _, name := range in.variables() {
		if value := vars[name]; value != "" {
			return variable{name, value}, true
		}
	}
	return variable{}, false
}

// given tells whether the input with that key has a value.
func (vars variables) given(key string) bool {
	_, ok := vars.find(inputOf(key))
	return ok
}

// nameOf returns the name under which the user gave the input with that key.
func (vars variables) nameOf(key string) string {
	in := inputOf(key)
	if v, ok := vars.find(in); ok {
		return asWritten(v.name)
	}
	return in.name()
}

// asWritten is what the user wrote for a variable to be set. The CI systems make
// INPUT_ and PLUGIN_ variables out of names in a workflow file: INPUT_LOCK-TIMEOUT
// was lock-timeout. Any other variable was set by that name.
func asWritten(variable string) string {
	for _, prefix := range []string{"INPUT_", "PLUGIN_"} {
		if name, ok := strings.CutPrefix(variable, prefix); ok {
			return strings.ToLower(name)
		}
	}
	return variable
}

// first returns the first value that is not empty of the variables named.
func (vars variables) first(names ...string) string {
	for _, name := range names {
		if value := vars[name]; value != "" {
			return value
		}
	}
	return ""
}

// explain tells what is wrong with the value of an input, in the user's terms.
// It finds nothing in an error that no decoder of this package has made.
func (vars variables) explain(in input, err error) (errs InputErrors) {
	v, _ := vars.find(in)
	for _, r := range refusals(err) {
		e := InputError{Name: vars.nameOf(in.key), Value: shorten(r.value), Problem: r.problem}
		if e.Value != "" && vars.holdsToken(v.value) {
			e.Value = "***"
		}
		errs = append(errs, e)
	}
	return errs
}

// holdsToken tells whether a value contains the token: it may have been given
// to another input as well.
func (vars variables) holdsToken(value string) bool {
	for name := range tokenVariables() {
		if token := vars[name]; token != "" && strings.Contains(value, token) {
			return true
		}
	}
	return false
}

// unknown finds the variables that the CI system made of names that are no
// inputs. A misspelt name would otherwise be an input that silently keeps its
// default, on which servers or snapshots may hang. Their values stay untold:
// one may be the token under a misspelt name.
func (vars variables) unknown() (errs InputErrors) {
	var prefix string
	known := make(map[string]bool)
	switch vars.platform() {
	case GitHub:
		prefix = "INPUT_"
		// A step of any container action may give these two: they replace the
		// image's arguments and its entry point.
		known["INPUT_ARGS"], known["INPUT_ENTRYPOINT"] = true, true
	case Woodpecker:
		prefix = "PLUGIN_"
	default:
		return nil
	}
	for in := range inputs() {
		for _, name := range in.variables() {
			known[name] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(vars)) {
		if !strings.HasPrefix(name, prefix) || known[name] {
			continue
		}
		written := asWritten(name)
		near, sure := nearest(written)
		problem := "is no input of hsnap-action: did you mean " + near + "?"
		if !sure {
			problem = "is no input of hsnap-action: the nearest is " + near + ", its README and --help list them all"
		}
		errs = append(errs, InputError{Name: written, Problem: problem})
	}
	return errs
}

// nearest returns the input whose name is the most like the one given, and
// whether it can well have been meant: it is a few edits away, or contains the
// name. Of two that are as near the one with the longer common beginning counts.
func nearest(name string) (best string, sure bool) {
	name = strings.ReplaceAll(name, "_", "-")
	least, common := math.MaxInt, 0
	for in := range inputs() {
		d, same := distance(name, in.name()), commonPrefix(name, in.name())
		if d < least || d == least && same > common {
			best, least, common = in.name(), d, same
		}
	}
	if least <= max(2, len(name)/4) {
		return best, true
	}
	for in := range inputs() {
		if len(name) >= 4 && strings.Contains(in.name(), name) {
			return in.name(), true
		}
	}
	return best, false
}

// commonPrefix returns how many bytes a and b have in common at their beginning.
func commonPrefix(a, b string) int {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return i
		}
	}
	return min(len(a), len(b))
}

// distance is the Levenshtein distance: how many bytes have to be added,
// removed or replaced to make b out of a.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}

// tokenVariables yields the variables that the token may be in.
func tokenVariables() iter.Seq[string] {
	return slices.Values(inputOf("HCLOUD_TOKEN").variables())
}

// Tokens returns every value that one of the token's variables has, also those
// that do not count, so that all output can be cleared of them. It is of use
// before [Load] and whether Load succeeds or not.
func Tokens(env []string) []string {
	var tokens []string
	for name := range tokenVariables() {
		for _, kv := range env {
			value, ok := strings.CutPrefix(kv, name+"=")
			value = strings.TrimSpace(value)
			if ok && value != "" && !slices.Contains(tokens, value) {
				tokens = append(tokens, value)
			}
		}
	}
	return tokens
}

// lookup is what envconfig reads from: it finds an input under any of its
// variables, and knows which one it was asked for last.
type lookup struct {
	vars variables
	last input
	skip map[string]bool // keys of inputs whose mistakes are noted already
}

var _ envconfig.Lookuper = (*lookup)(nil)

// Lookup implements [envconfig.Lookuper]. What is empty counts as not found, so
// that the default applies.
func (l *lookup) Lookup(key string) (string, bool) {
	l.last = inputOf(key)
	if l.skip[key] {
		return "", false
	}
	v, ok := l.vars.find(l.last)
	return v.value, ok
}
