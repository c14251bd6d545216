package config

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/sethvargo/go-envconfig"
)

// Load reads the settings of a command: the one that words name, which are the command line without the program's name,
// or else env, which has the form of [os.Environ].
//
// The error has a line for every mistake. The settings then hold only what every command has, see [Common].
func Load(words, env []string) (Settings, error) {
	vars := parse(env)
	command, rest, err := vars.command(words)
	cfg, common := command.Settings, command.Settings.Shared()
	r := vars.reader(cfg)
	warnings := r.unknown(command.Name)
	r.read(cfg)
	common.Run, common.Warnings = vars.run(), warnings
	r.needToken()
	cfg.complete(r)
	if len(rest) > 0 {
		r.errs = append(r.errs, fmt.Errorf("unknown argument %.60q: inputs are environment variables, see --help", rest[0]))
	}
	if err != nil {
		r.errs, common.Warnings = []error{err}, nil // the inputs are another command's
	}
	if err = errors.Join(r.errs...); err != nil {
		kept := *common
		reflect.ValueOf(cfg).Elem().SetZero()
		*common = kept
	}
	return cfg, err
}

// LoadAccess reads only what it takes to use the API, so that no mistake in another input can keep the post step from
// switching a server on.
func LoadAccess(env []string) (access Access, err error) {
	r := parse(env).reader(&access)
	r.read(&access)
	r.needToken()
	return access, errors.Join(r.errs...)
}

// NameOf returns the name under which the user gives the input with that key in env: output-file in a workflow,
// HSNAP_OUTPUT_FILE off any CI system.
func NameOf(env []string, key string) string { return asWritten(parse(env).platform().variable(key)) }

// reader is what envconfig reads the inputs from. It records every mistake.
type reader struct {
	variables
	inputs []input
	errs   []error
}

func (vars variables) reader(settings any) *reader {
	return &reader{variables: vars, inputs: inputsOf(settings)}
}

// read reads every input into settings, a pointer to a struct.
func (r *reader) read(settings any) {
	err := envconfig.ProcessWith(context.Background(), &envconfig.Config{
		Target: settings, Lookuper: r, DefaultNoInit: true, // no decoder is called for what is not given
	})
	if err != nil {
		r.errs = append(r.errs, fmt.Errorf("config: %w", err)) // not the user's mistake: a tag is wrong
	}
}

// Lookup implements [envconfig.Lookuper]. It finds no value that is empty or wrong, so that the default applies:
// envconfig itself would stop at the first mistake.
func (r *reader) Lookup(key string) (string, bool) {
	_, value := r.find(key)
	if value == "" {
		return "", false
	}
	wrong := r.input(key).check(value)
	for _, mistake := range wrong {
		r.errs = append(r.errs, fmt.Errorf("%s: %s", r.nameOf(key), mistake))
		value = ""
	}
	return value, value != ""
}

// check returns what is wrong with a value of the input.
func (in input) check(value string) mistakes {
	entries := List{value}
	if decoder, ok := reflect.New(in.kind).Interface().(envconfig.Decoder); ok {
		if wrong, _ := errors.AsType[mistakes](decoder.EnvDecode(value)); wrong != nil {
			return wrong
		}
		if list, ok := decoder.(*List); ok {
			entries = *list
		}
	}
	var wrong mistakes
	for _, entry := range entries {
		if len(in.choices) > 0 && !slices.Contains(in.choices, entry) {
			wrong.add(entry, "is not accepted: use "+listed(in.choices, "or"))
		}
	}
	return wrong
}

// input returns the input with that key.
func (r *reader) input(key string) input {
	return r.inputs[slices.IndexFunc(r.inputs, func(in input) bool { return in.key == key })]
}

// find returns the value of an input, "" where it is not given, and the variable that has it or would have it.
func (r *reader) find(key string) (name, value string) {
	name = r.platform().variable(key)
	if fallback := r.input(key).fallback; r.variables[name] == "" && fallback != "" && r.variables[fallback] != "" {
		name = fallback
	}
	return name, r.variables[name]
}

// given reports whether the input has a value, be it a wrong one.
func (r *reader) given(key string) bool {
	_, value := r.find(key)
	return value != ""
}

// nameOf returns the name under which the user gives the input.
func (r *reader) nameOf(key string) string {
	name, _ := r.find(key)
	return asWritten(name)
}

// mistake records what is wrong with an input beside its value.
func (r *reader) mistake(key, format string, args ...any) {
	r.errs = append(r.errs, fmt.Errorf("%s %s", r.nameOf(key), fmt.Sprintf(format, args...)))
}

// mistakes are what is wrong with one value, a line each. They are an error of their own, to be distinguished from what
// envconfig itself returns.
type mistakes []string

// Error implements error.
func (m mistakes) Error() string { return strings.Join(m, "\n") }

// add appends a mistake: the part of the value that is wrong, as far as a line can show it, and what is accepted
// instead.
func (m *mistakes) add(value, problem string) {
	*m = append(*m, fmt.Sprintf("%.60q %s", value, problem))
}

// err returns the mistakes as an error, nil if there are none.
func (m mistakes) err() error {
	if len(m) == 0 {
		return nil
	}
	return m
}

// refuse returns the error for a value with one mistake.
func refuse(value, problem string) error {
	var m mistakes
	m.add(value, problem)
	return m
}
