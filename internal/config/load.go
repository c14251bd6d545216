package config

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/sethvargo/go-envconfig"
)

// Load reads the settings of a command: the one that words name, which are the command line without the program's name,
// or else env, which has the form of [os.Environ].
//
// The error has a line for every mistake. Of the settings only what every command has is of use then, see [Common].
func Load(words, env []string) (Settings, error) {
	vars := parse(env)
	command, rest, unknown := vars.command(words)
	cfg, common := command.Settings, command.Settings.Shared()
	r := reader{inputs: vars.inputs(cfg)}
	warnings := r.unknown(vars, command.Name)
	r.read(cfg)
	common.Run, common.Warnings = vars.run(), warnings
	r.needToken()
	cfg.complete(&r)
	if len(rest) > 0 {
		r.add("unknown argument %.60q: inputs are environment variables, see --help", rest[0])
	}
	if unknown != nil {
		r.errs, common.Warnings = []error{unknown}, nil // the inputs are another command's
	}
	return cfg, errors.Join(r.errs...)
}

// LoadAccess reads only what it takes to use the API, so that no mistake in another input can keep the post step from
// switching a server on.
func LoadAccess(env []string) (access Access, err error) {
	r := reader{inputs: parse(env).inputs(&access)}
	r.read(&access)
	r.needToken()
	return access, errors.Join(r.errs...)
}

// NameOf returns the name under which the user gives the input with that key in env: output-file in a workflow,
// HSNAP_OUTPUT_FILE off any CI system.
func NameOf(env []string, key string) string { return asWritten(parse(env).platform().variable(key)) }

// reader is what envconfig reads the inputs from. It records every mistake.
type reader struct {
	inputs []input
	errs   []error
}

// add records a mistake. In the format {LOCK_TIMEOUT} is the input with that key, as the user writes it.
func (r *reader) add(format string, args ...any) {
	for _, in := range r.inputs {
		format = strings.ReplaceAll(format, "{"+in.key+"}", in.name)
	}
	r.errs = append(r.errs, fmt.Errorf(format, args...))
}

// input returns the input with that key.
func (r *reader) input(key string) input {
	return r.inputs[slices.IndexFunc(r.inputs, func(in input) bool { return in.key == key })]
}

func (r *reader) given(key string) bool { return r.input(key).given() }

// read reads every input into settings, a pointer to a struct.
func (r *reader) read(settings any) {
	err := envconfig.ProcessWith(context.Background(), &envconfig.Config{
		Target: settings, Lookuper: r, DefaultNoInit: true, // no decoder is called for what is not given
	})
	if err != nil {
		r.add("config: %w", err) // not the user's mistake: a tag is wrong
	}
}

// Lookup implements [envconfig.Lookuper]. It finds no value that is empty or wrong, so that the default applies:
// envconfig itself would stop at the first mistake.
func (r *reader) Lookup(key string) (string, bool) {
	in := r.input(key)
	if !in.given() {
		return "", false
	}
	if wrong := in.check(); wrong != nil {
		for mistake := range strings.SplitSeq(wrong.Error(), "\n") {
			r.add("%s: %s", in.name, mistake)
		}
		return "", false
	}
	return in.value, true
}

// refuse returns the error for one mistake: the part of a value that is wrong, as far as a line can show it, and what is
// accepted instead. Several mistakes are joined, a line each.
func refuse(value, problem string, args ...any) error {
	return fmt.Errorf("%.60q %s", value, fmt.Sprintf(problem, args...))
}
