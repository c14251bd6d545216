package config

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/sethvargo/go-envconfig"
)

// Load reads the Config from env, which has the form of [os.Environ].
//
// The error has a line for every mistake in the inputs. The Config then holds what is used all the same: the output
// file, whether a summary is wanted, and the warnings.
func Load(env []string) (Config, error) {
	r := &reader{variables: parse(env), skip: make(map[string]bool)}
	warnings, errs := r.unknown()
	cfg, wrong := r.read()
	cfg.Warnings = warnings
	errs = slices.Concat(errs, wrong, r.check(cfg))
	if len(errs) > 0 {
		return Config{OutputFile: cfg.OutputFile, Summary: cfg.Summary, Warnings: warnings}, errors.Join(errs...)
	}
	return cfg, nil
}

// LoadAccess reads only what it takes to use the API: the token and the endpoint. Everything else in the Config is as
// if it were not given, so that no mistake in it can keep the post step from switching a server on.
func LoadAccess(env []string) (Config, error) {
	r := &reader{variables: parse(env), skip: make(map[string]bool)}
	for _, in := range inputs() {
		r.skip[in.key] = in.key != "HCLOUD_TOKEN" && in.key != "API_ENDPOINT"
	}
	cfg, errs := r.read()
	return cfg, errors.Join(append(errs, r.checkToken()...)...)
}

// NameOf returns the name under which the user gives the input with that key in env: output-file in a workflow,
// HSNAP_OUTPUT_FILE off any CI system.
func NameOf(env []string, key string) string { return parse(env).nameOf(key) }

// reader is what envconfig reads the inputs from.
type reader struct {
	variables
	last string          // key of the input that was read last
	skip map[string]bool // keys of the inputs that are not read, or not any more: their mistakes are recorded
}

// read reads every input that is not skipped, and returns their mistakes.
//
// envconfig stops at the first mistake. The reader knows in which input: the mistake is recorded, the input skipped,
// and everything read once more.
func (r *reader) read() (cfg Config, errs []error) {
	for {
		cfg = Config{Run: r.run()}
		err := envconfig.ProcessWith(context.Background(), &envconfig.Config{
			Target:        &cfg,
			Lookuper:      r,
			Mutators:      []envconfig.Mutator{r},
			DefaultNoInit: true, // no decoder is called for what is not given
		})
		if err == nil {
			return cfg, errs
		}
		found, ok := errors.AsType[mistakes](err)
		if !ok || r.skip[r.last] {
			return cfg, append(errs, fmt.Errorf("config: %w", err)) // not the user's mistake: a tag of Config is wrong
		}
		for _, mistake := range found {
			errs = append(errs, fmt.Errorf("%s: %s", r.nameOf(r.last), mistake))
		}
		r.skip[r.last] = true
	}
}

// Lookup implements [envconfig.Lookuper]. What is empty counts as not found, so that the default applies.
func (r *reader) Lookup(key string) (string, bool) {
	r.last = key
	if r.skip[key] {
		return "", false
	}
	_, value := r.find(key)
	return value, value != ""
}

// EnvMutate implements [envconfig.Mutator]. It changes nothing, and refuses a value that is not among the choices of
// its input.
func (r *reader) EnvMutate(_ context.Context, key, _, _, value string) (string, bool, error) {
	choices := inputOf(key).choices
	if len(choices) == 0 || slices.Contains(choices, value) {
		return value, false, nil
	}
	last := len(choices) - 1
	return "", false, refuse(value, "is not accepted: use "+strings.Join(choices[:last], ", ")+" or "+choices[last])
}

// check applies the rules about inputs that must be given, alone or together. An input with a mistake in its value
// counts as given.
func (r *reader) check(cfg Config) (errs []error) {
	errs = r.checkToken()
	mistake := func(key, format string, args ...any) {
		errs = append(errs, fmt.Errorf("%s %s", r.nameOf(key), fmt.Sprintf(format, args...)))
	}
	servers, selector := r.nameOf("SERVERS"), r.nameOf("LABEL_SELECTOR")
	switch {
	case r.given("SERVERS") && r.given("LABEL_SELECTOR"):
		mistake("LABEL_SELECTOR", "can't be combined with %s: give exactly one of the two", servers)
	case !r.given("SERVERS") && !r.given("LABEL_SELECTOR"):
		mistake("SERVERS", "is missing: give either %s (names, IDs or globs, as web-*) or %s (as env=prod)", servers, selector)
	case r.given("SERVERS") && len(cfg.Servers) == 0 && !r.skip["SERVERS"]:
		mistake("SERVERS", "lists nothing: give names, IDs or globs, as web-*")
	}
	for _, in := range inputs() {
		keeps := strings.HasPrefix(in.key, "KEEP_") && r.given(in.key)
		if keeps && !r.given("SERIES") {
			mistake(in.key, "needs a series: name the one whose snapshots may be deleted, as series: nightly")
		}
		waits := keeps || in.key == "PROTECT" && bool(cfg.Protect) || in.key == "SHUTDOWN" && cfg.Shutdown != "never"
		if waits && !bool(cfg.Wait) {
			mistake(in.key, "can't be combined with %s: false: it needs the snapshots to be available", r.nameOf("WAIT"))
		}
	}
	return errs
}

func (r *reader) checkToken() (errs []error) {
	if !r.given("HCLOUD_TOKEN") {
		errs = append(errs, fmt.Errorf("%s is missing: set `hcloud-token: ${{ secrets.HCLOUD_TOKEN }}` or the environment variable"+
			" HCLOUD_TOKEN (a run started from a fork gets no secrets)", r.nameOf("HCLOUD_TOKEN")))
	}
	return errs
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
