// Package config turns the environment of one run into a validated [Config],
// and reports every mistake in it at once.
//
// [Config] is the single source of truth about the inputs: a field's tag gives
// the input's name and default, its doc comment the input's prose. The tables
// in README.md, the inputs in action.yml and the text of --help are rendered
// from it by a test, which fails when they have drifted apart.
//
// The package reads nothing but the environment that it is handed: it touches
// no file, no network and no global state, and it never puts the value of the
// API token into an error.
package config

import (
	"context"
	"fmt"

	"github.com/sethvargo/go-envconfig"
)

// Config is what one run was asked to do.
//
// The env tag gives an input's key and default. The input's name is the key in
// lower case with hyphens: LOCK_TIMEOUT is lock-timeout. Two tags of our own
// may follow:
//
//   - fallback names one more variable to read when the input is not given;
//   - manifest:"no-default" keeps the default out of action.yml, for inputs
//     where "not given" differs from "given the default": the runner sets the
//     variable of every input that has a default there.
//
// The doc comment of a field is what users read about the input, so it is
// written for them.
type Config struct {
	// The API token of the Hetzner Cloud project, with the permission to read
	// and write; for a `dry-run` a read-only one is enough. Falls back to the
	// environment variable `HCLOUD_TOKEN`.
	Token Secret `env:"HCLOUD_TOKEN" fallback:"HCLOUD_TOKEN"`

	// The servers to snapshot: names, IDs or globs such as `web-*`, separated by
	// commas, spaces or newlines. `*` is every server of the project. Exactly
	// one of `servers` and `label-selector` must be given.
	Servers List `env:"SERVERS"`

	// Selects the servers by their labels, in Hetzner's notation, as
	// `env=prod,!ephemeral`. Exactly one of `servers` and `label-selector` must
	// be given.
	LabelSelector Selector `env:"LABEL_SELECTOR"`

	// Servers to leave out of the selection again: names, IDs or globs,
	// separated by commas, spaces or newlines.
	Exclude List `env:"EXCLUDE"`

	// What to do when the selector or a glob matches no server: `error`, `warn`
	// or `ignore`. A name or an ID that does not exist is always a failure.
	// Defaults to `error`.
	IfNoServersFound NoServersPolicy `env:"IF_NO_SERVERS_FOUND,default=error"`

	// What to do when a server has volumes attached, which are not part of a
	// snapshot: `warn`, `fail` before anything is done, or `ignore`. Defaults to
	// `warn`.
	IfVolumesAttached VolumesPolicy `env:"IF_VOLUMES_ATTACHED,default=warn"`

	// What to do when a server is locked by another operation: `wait` until the
	// lock is gone, `skip` the server, or `fail` it. Defaults to `wait`.
	IfLocked LockedPolicy `env:"IF_LOCKED,default=wait"`

	// The longest wait, per server, for Hetzner to accept its snapshot: a
	// duration such as `90s`, `1h30m` or `1d`. Only the time in which the server
	// is locked or Hetzner refuses counts. Defaults to `30m`.
	LockTimeout Duration `env:"LOCK_TIMEOUT,default=30m"`

	// The longest wait, per server, for an accepted snapshot to become
	// available: a duration such as `90s`, `1h30m` or `1d`. Defaults to `2h`.
	SnapshotTimeout Duration `env:"SNAPSHOT_TIMEOUT,default=2h"`

	// Whether to wait until every snapshot is available. With `false` the run
	// ends once every snapshot is accepted. Defaults to `true`.
	Wait Bool `env:"WAIT,default=true"`

	// How many snapshots may be in flight at once, from 1 to 100. With
	// `wait: false` it limits the requests under way. Defaults to `10`.
	MaxParallel Parallel `env:"MAX_PARALLEL,default=10"`

	// The description of each snapshot. Replaced in it are `{server}`,
	// `{server_id}`, `{timestamp}` (as `2026-11-22T194500Z`), `{date}`, `{time}`,
	// `{series}`, `{run_id}`, `{run_number}`, `{sha}`, `{ref}`, `{workflow}` and
	// `{repository}`; times are in UTC, and what is not known becomes `unknown`.
	// Defaults to `{server}-snapshot-{timestamp}`.
	Description Template `env:"DESCRIPTION,default={server}-snapshot-{timestamp}"`

	// Labels to put on each snapshot: `key=value`, separated by commas or
	// newlines, or a JSON object of strings. They must obey Hetzner's rules for
	// labels; keys under `hsnap/` and `hetzner.cloud/` are reserved.
	Labels Labels `env:"LABELS"`

	// Whether to put the server's own labels on its snapshot too. Where both
	// have a key `labels` wins, and reserved keys are left out. Defaults to
	// `false`.
	CopyServerLabels Bool `env:"COPY_SERVER_LABELS,default=false"`

	// What a second or later attempt of the same workflow run does about
	// snapshots that an earlier attempt made of the same server in the same
	// series: `snapshot` makes new ones, `reuse` takes over those that are
	// available. Defaults to `snapshot`.
	OnRerun RerunPolicy `env:"ON_RERUN,default=snapshot"`

	// The series that the snapshots belong to, such as `nightly` or
	// `pre-deploy`; it must obey Hetzner's rules for label values. Defaults to
	// `default`.
	Series Series `env:"SERIES,default=default" manifest:"no-default"`

	// Whether to only read and report what would be done. Defaults to `false`.
	DryRun Bool `env:"DRY_RUN,default=false"`

	// Whether to write the job summary. Defaults to `true`.
	Summary Bool `env:"SUMMARY,default=true"`

	// A file to write the outputs to as well, in dotenv form: the output
	// `image-ids` becomes `HSNAP_IMAGE_IDS`, and so on.
	OutputFile Path `env:"OUTPUT_FILE"`

	// The base URL of the API, with `/v1`. It must be an `https` URL; `http` is
	// accepted for loopback addresses only. Falls back to the environment
	// variable `HCLOUD_ENDPOINT`. Defaults to `https://api.hetzner.cloud/v1`.
	APIEndpoint Endpoint `env:"API_ENDPOINT,default=https://api.hetzner.cloud/v1" fallback:"HCLOUD_ENDPOINT" manifest:"no-default"`

	// Run describes the CI run that this is a part of. It is no input: CI
	// systems tell it through variables of their own.
	Run Run
}

// Load reads the Config from env, which has the form of [os.Environ]. For each
// input it takes the first variable that is not empty.
//
// The error lists every mistake of the inputs and is of type [InputErrors]. The
// token's value is in none of them. The Config then holds the output file alone,
// if one was given, since the outputs are written after mistakes too.
func Load(env []string) (Config, error) {
	vars := parse(env)
	l := &lookup{vars: vars, skip: make(map[string]bool)}
	errs := vars.unknown()

	// envconfig stops at the first mistake. The lookup then still knows the
	// input, so the mistake is noted, the input skipped, and a new pass made.
	var cfg Config
	for {
		cfg = Config{Run: vars.run()}
		err := envconfig.ProcessWith(context.Background(), &envconfig.Config{
			Target:        &cfg,
			Lookuper:      l,
			Mutators:      []envconfig.Mutator{envconfig.MutatorFunc(mustBeText)},
			DefaultNoInit: true, // no decoder is called for what is not given
		})
		if err == nil {
			break
		}
		found := vars.explain(l.last, err)
		if len(found) == 0 || l.skip[l.last.key] {
			// Not the user's mistake: a tag of Config is wrong.
			return Config{}, fmt.Errorf("config: %w", err)
		}
		errs = append(errs, found...)
		l.skip[l.last.key] = true
	}

	errs = append(errs, vars.check()...)
	if len(errs) > 0 {
		return Config{OutputFile: cfg.OutputFile}, errs
	}
	return cfg, nil
}

// check holds the rules about which inputs must be given, alone or together. It
// asks whether an input was given and not what was made of it, so that a
// mistake in a value brings no second one about its absence.
func (vars variables) check() (errs InputErrors) {
	if !vars.given("HCLOUD_TOKEN") {
		errs = append(errs, InputError{
			Name: "hcloud-token",
			Problem: "is missing: set `hcloud-token: ${{ secrets.HCLOUD_TOKEN }}` or the environment variable HCLOUD_TOKEN" +
				" (a run started from a fork gets no secrets)",
		})
	}
	servers, selector := vars.given("SERVERS"), vars.given("LABEL_SELECTOR")
	switch {
	case servers && selector:
		errs = append(errs, InputError{
			Name:    vars.nameOf("LABEL_SELECTOR"),
			Problem: fmt.Sprintf("can't be combined with %s: give exactly one of the two", vars.nameOf("SERVERS")),
		})
	case !servers && !selector:
		errs = append(errs, InputError{
			Name:    "servers",
			Problem: "is missing: give either servers (names, IDs or globs, as web-*) or label-selector (as env=prod)",
		})
	}
	return errs
}
