package config

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// input is a field of Config that is read from the environment.
type input struct {
	key      string   // as in the env tag: LOCK_TIMEOUT
	fallback string   // one more variable to read, or ""
	choices  []string // the values that are accepted; nil where there is no such list
}

// inputs returns the inputs in the order of Config's fields.
func inputs() (all []input) {
	for f := range reflect.TypeFor[Config]().Fields() {
		if key, _, _ := strings.Cut(f.Tag.Get("env"), ","); key != "" {
			all = append(all, input{key, f.Tag.Get("fallback"), strings.Fields(f.Tag.Get("oneof"))})
		}
	}
	return all
}

func inputOf(key string) input {
	all := inputs()
	return all[slices.IndexFunc(all, func(in input) bool { return in.key == key })]
}

// variable returns the one variable in which the platform hands over the input with that key. For the empty key it is
// what all of them begin with.
func (p Platform) variable(key string) string {
	switch p {
	case GitHub:
		return "INPUT_" + strings.ReplaceAll(key, "_", "-")
	case Woodpecker:
		return "PLUGIN_" + key
	default:
		return "HSNAP_" + key
	}
}

// variables are the environment's variables with their values trimmed.
type variables map[string]string

// parse reads the form of [os.Environ]. Where a name comes twice the first one counts, as it does for os.Getenv.
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

// find returns the value of an input, "" where it is not given, and the variable that has it or would have it.
func (vars variables) find(key string) (name, value string) {
	name = vars.platform().variable(key)
	if fallback := inputOf(key).fallback; vars[name] == "" && fallback != "" && vars[fallback] != "" {
		name = fallback
	}
	return name, vars[name]
}

// given reports whether the input has a value.
func (vars variables) given(key string) bool {
	_, value := vars.find(key)
	return value != ""
}

// nameOf returns the name under which the user gives the input.
func (vars variables) nameOf(key string) string {
	name, _ := vars.find(key)
	return asWritten(name)
}

// asWritten is what the user wrote for a variable to be set. The CI systems make INPUT_ and PLUGIN_ variables out of
// names in a workflow file: INPUT_LOCK-TIMEOUT was lock-timeout. Any other variable was set by that name.
func asWritten(variable string) string {
	for _, platform := range []Platform{GitHub, Woodpecker} {
		if name, ok := strings.CutPrefix(variable, platform.variable("")); ok {
			return strings.ToLower(name)
		}
	}
	return variable
}

// unknown finds variables of the platform's form that are no inputs. A misspelt input would otherwise keep its default
// in silence, and servers or snapshots may depend on it. Their values are not shown: one may be the token.
//
// On GitHub such a variable may also be meant for another program, and come from an `env:`. It is an error all the same
// if it resembles an input.
func (vars variables) unknown() (warnings []string, errs []error) {
	platform, known := vars.platform(), knownVariables()
	for _, name := range slices.Sorted(maps.Keys(vars)) {
		rest, ours := strings.CutPrefix(name, platform.variable(""))
		if !ours || known[name] || vars[name] == "" {
			continue
		}
		in, alike := nearest(rest)
		if platform == GitHub && !alike {
			warnings = append(warnings, fmt.Sprintf("%s is no input of hsnap-action and was ignored: %s comes from with: in this step,"+
				" or from env: in the step, the job or the workflow", asWritten(name), name))
			continue
		}
		near := asWritten(GitHub.variable(in.key)) // as in the README
		if here := asWritten(platform.variable(in.key)); here != near {
			near += " (" + here + ")"
		}
		hint := "did you mean " + near + "?"
		if !alike {
			hint = "the nearest is " + near + ", the README and --help list them all"
		}
		if platform == GitHub && !strings.Contains(name, "-") { // a program's variable has no hyphen
			hint += fmt.Sprintf(" (If %s does not come from with: but from env:, for another program, set it to '' in this step's env:)", name)
		}
		errs = append(errs, fmt.Errorf("%s is no input of hsnap-action: %s", asWritten(name), hint))
	}
	return warnings, errs
}

// knownVariables are the variables with a meaning in any platform's form: inputs, and what is no input but belongs
// there.
func knownVariables() map[string]bool {
	known := map[string]bool{
		"INPUT_ARGS": true, "INPUT_ENTRYPOINT": true, // `with:` of any container action may have these
		"HSNAP_COMMAND": true, "PLUGIN_COMMAND": true,
		"HSNAP_TRUNCATED": true, // outputs of an earlier job, from a dotenv file
	}
	for _, output := range Outputs() {
		known["HSNAP_"+strings.ToUpper(strings.ReplaceAll(output.Name, "-", "_"))] = true
	}
	for _, in := range inputs() {
		for _, platform := range []Platform{GitHub, Woodpecker, Other} {
			known[platform.variable(in.key)] = true
		}
	}
	return known
}

// nearest returns the input whose name is the most similar to the one given, and whether they are so similar that it
// may have been meant.
func nearest(name string) (best input, alike bool) {
	name = strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
	most := -1.0
	for _, in := range inputs() {
		if s := similarity(name, in.key); s > most {
			best, most = in, s
		}
	}
	return best, most >= 0.45 // lable is like labels, event is not like api-endpoint
}

// similarity is the share of their pairs of adjacent characters that two names have in common, from 0 to 1 (Dice's
// coefficient). Each word counts with its beginning and its end.
func similarity(a, b string) float64 {
	a, b = "_"+a+"_", "_"+b+"_"
	pairs := make(map[string]int)
	for i := range len(a) - 1 {
		pairs[a[i:i+2]]++
	}
	common := 0
	for i := range len(b) - 1 {
		if pairs[b[i:i+2]] > 0 {
			pairs[b[i:i+2]]--
			common++
		}
	}
	return 2 * float64(common) / float64(len(a)+len(b)-2)
}

// Tokens returns every value of the environment that is a token by its variable's name, read or not, so that all output
// can be cleared of them. It is of use before [Load] and whether Load succeeds or not. A value under 16 characters is
// no token: to mask it would only garble the output.
func Tokens(env []string) []string {
	var tokens []string
	for _, kv := range env {
		name, value, _ := strings.Cut(kv, "=")
		value = strings.TrimSpace(value)
		named := strings.HasSuffix(strings.ReplaceAll(name, "-", "_"), "HCLOUD_TOKEN")
		if named && len(value) >= 16 && !slices.Contains(tokens, value) {
			tokens = append(tokens, value)
		}
	}
	return tokens
}
