package config

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/sethvargo/go-envconfig"
)

// input is a field of settings that is read from the environment.
type input struct {
	key     string   // as in the env tag: LOCK_TIMEOUT
	name    string   // under which the user gives it
	value   string   // "" where it is not given
	choices []string // the values that are accepted; empty where others are, too
	kind    reflect.Type
}

func (in input) given() bool { return in.value != "" }

// inputs returns the inputs that settings, a pointer to a struct, have fields for.
func (vars variables) inputs(settings any) (all []input) {
	for _, f := range reflect.VisibleFields(reflect.TypeOf(settings).Elem()) {
		key, _, _ := strings.Cut(f.Tag.Get("env"), ",")
		if key == "" {
			continue
		}
		variable := vars.platform().variable(key)
		if fallback, ok := f.Tag.Lookup("fallback"); ok && vars[variable] == "" && vars[fallback] != "" {
			variable = fallback
		}
		all = append(all, input{key, asWritten(variable), vars[variable], strings.Fields(f.Tag.Get("oneof")), f.Type})
	}
	return all
}

// check returns what is wrong with the input's value.
func (in input) check() (wrong error) {
	entries := List{in.value}
	if decoder, ok := reflect.New(in.kind).Interface().(envconfig.Decoder); ok {
		if err := decoder.EnvDecode(in.value); err != nil {
			return err
		}
		if list, ok := decoder.(*List); ok {
			entries = *list
		}
	}
	for _, entry := range entries {
		if len(in.choices) > 0 && !slices.Contains(in.choices, entry) {
			wrong = errors.Join(wrong, refuse(entry, "is not accepted: use %s", listed(in.choices, "or")))
		}
	}
	return wrong
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

// unknown finds variables of the platform's form that are no inputs of the command. A misspelt input would otherwise
// keep its default in silence, and servers or snapshots may depend on it. Their values are not shown: one may be the
// token.
//
// On GitHub such a variable may also be meant for another program, and come from an `env:`. It is an error all the same
// if it resembles an input.
func (r *reader) unknown(vars variables, command string) (warnings []string) {
	platform, known, owners := vars.platform(), map[string]bool{}, map[string][]string{}
	for _, name := range []string{"INPUT_ARGS", "INPUT_ENTRYPOINT", "HSNAP_COMMAND", "PLUGIN_COMMAND", "HSNAP_TRUNCATED"} {
		known[name] = true // with: of any container action may have the first two, a dotenv file of an earlier job the last
	}
	for _, command := range Commands() {
		for _, output := range command.Settings.Outputs() { // of an earlier job, too
			known["HSNAP_"+strings.ToUpper(strings.ReplaceAll(output.Name, "-", "_"))] = true
		}
		for _, in := range vars.inputs(command.Settings) {
			name := platform.variable(in.key)
			owners[name] = append(owners[name], command.Name)
		}
	}
	var keys []string
	for _, in := range r.inputs {
		keys = append(keys, in.key)
	}

	for _, name := range slices.Sorted(maps.Keys(vars)) {
		rest, ours := strings.CutPrefix(name, platform.variable(""))
		near, alike := nearest(rest, keys)
		switch {
		case !ours || known[name] || vars[name] == "" || slices.Contains(owners[name], command):
		case owners[name] != nil:
			r.add("%s is an input of %s, not of %s", asWritten(name), listed(owners[name], "and"), command)
		case platform == GitHub && !alike:
			warnings = append(warnings, fmt.Sprintf("%s is no input of hsnap-action and was ignored: %s comes from with: in this step,"+
				" or from env: in the step, the job or the workflow", asWritten(name), name))
		default:
			r.add("%s is no input of hsnap-action: %s", asWritten(name), hint(platform, name, near, alike))
		}
	}
	return warnings
}

// hint says what may have been meant by a variable that is no input: the one whose key is near.
func hint(platform Platform, variable, near string, alike bool) string {
	text := "the nearest is " + asWritten(platform.variable(near))
	if alike {
		text = "did you mean " + asWritten(platform.variable(near)) + "?"
	}
	if platform == GitHub && !strings.Contains(variable, "-") { // a program's variable has no hyphen
		text += fmt.Sprintf(" (If %s does not come from with: but from env:, for another program, set it to '' in this step's env:)", variable)
	}
	return text
}

// nearest returns the name that is the most similar to the one given, and whether they are so similar that it may have
// been meant.
func nearest(name string, names []string) (best string, alike bool) {
	plain := func(s string) string { return strings.ToUpper(strings.ReplaceAll(s, "-", "_")) }
	most := -1.0
	for _, candidate := range names {
		if s := similarity(plain(name), plain(candidate)); s > most {
			best, most = candidate, s
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
