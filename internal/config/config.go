// Package config turns the command line and the environment of one run into the validated settings of a [Command], and
// reports every mistake in them at once.
//
// The settings' structs are the single source of truth about the inputs: a field's tag gives the input's name and
// default, its doc comment the input's prose. The tables in README.md and docs/reference.md, each action.yml,
// GitLab's component and the texts of --help are rendered from them by a test, which fails when they have drifted apart.
//
// The package reads nothing but the words and the environment that it is given: no file, no network, no global state. Its
// errors quote what the user wrote, and that may be the API token in the wrong place. Whoever prints an error must hide
// the values that [Tokens] returns.
package config

import (
	"time"

	"github.com/org/hsnap-action/internal/retention"
)

// Each of the structs Snapshot, Restore, Verify, Prune and Audit is what a run of that command was asked to do. They share
// what is common by embedding.
//
// The env tag gives an input's key and default. The input's name is the key in lower case with hyphens: LOCK_TIMEOUT is
// lock-timeout. The variable that it is read from depends on the [Platform]. Three tags of our own may follow:
//
//   - oneof lists the values that are accepted, in a [List] those of each entry;
//   - fallback names one more variable to read when the input is not given;
//   - manifest:"no-default" keeps the default out of action.yml, for inputs
//     where "not given" differs from "given the default": the runner sets the
//     variable of every input that has a default there.
//
// The doc comment of a field is what users read about the input, so it is written for them.

// Snapshot are the settings of the command that makes snapshots.
type Snapshot struct {
	Access
	Selection

	// What to do when the selector or a glob matches no server: `error`, `warn` or `ignore`. A name or an ID that does
	// not exist is always a failure. Defaults to `error`.
	IfNoServersFound string `env:"IF_NO_SERVERS_FOUND,default=error" oneof:"error warn ignore"`

	// What to do when a server has volumes attached, which are not part of a snapshot: `warn`, `fail` that server
	// before anything is done to it, or `ignore`. Defaults to `warn`.
	IfVolumesAttached string `env:"IF_VOLUMES_ATTACHED,default=warn" oneof:"warn fail ignore"`

	// What to do when a server is locked by another operation: `wait` until the lock is gone, `skip` the server, or
	// `fail` it. Defaults to `wait`.
	IfLocked string `env:"IF_LOCKED,default=wait" oneof:"wait skip fail"`

	// The longest wait, per server, for Hetzner to accept its snapshot: a duration such as `90s`, `1h30m` or `1d`. Time
	// counts only while the server is locked or Hetzner refuses. Defaults to `30m`.
	LockTimeout Duration `env:"LOCK_TIMEOUT,default=30m"`

	// The longest wait, per server, for an accepted snapshot to become available: a duration such as `90s`, `1h30m` or
	// `1d`. Defaults to `2h`.
	SnapshotTimeout Duration `env:"SNAPSHOT_TIMEOUT,default=2h"`

	// Whether to wait until every snapshot is available. With `false` the run ends once every snapshot is accepted.
	// Defaults to `true`.
	Wait Bool `env:"WAIT,default=true"`

	// How many snapshots may be in flight at once, from 1 to 100. With `wait: false` it limits the requests in flight.
	// Defaults to `10`.
	MaxParallel Parallel `env:"MAX_PARALLEL,default=10"`

	// The description of each snapshot. Its placeholders are `{server}`, `{server_id}`, `{timestamp}` (as
	// `2026-11-22T194500Z`), `{date}`, `{time}`, `{series}`, `{run_id}`, `{run_number}`, `{sha}`, `{ref}`, `{workflow}`
	// and `{repository}`. Times are in UTC, and what is not known becomes `unknown`. It is cut after 200 characters.
	// Defaults to `{server}-snapshot-{timestamp}`.
	Description Template `env:"DESCRIPTION,default={server}-snapshot-{timestamp}"`

	// Labels to put on each snapshot: `key=value`, separated by commas or newlines, or a JSON object of strings. They
	// must obey Hetzner's rules for labels; keys under `hsnap/` and `hetzner.cloud/` are reserved.
	Labels Labels `env:"LABELS"`

	// Whether to copy the server's own labels to its snapshot. Where a key is also in `labels`, that input wins;
	// reserved keys are not copied. Defaults to `false`.
	CopyServerLabels Bool `env:"COPY_SERVER_LABELS,default=false"`

	// What a second or later attempt of the same workflow run does about snapshots that an earlier attempt made of the
	// same server in the same series: `snapshot` makes new ones, `reuse` takes over those that are available, and
	// protects them where `protect` is set. Defaults to `snapshot`.
	OnRerun string `env:"ON_RERUN,default=snapshot" oneof:"snapshot reuse"`

	// Takes over the newest available snapshot that this action made of the same server in the same series, instead of
	// making a new one, where it was made within this span: hours, days and weeks, as `6h` or `1d`. Such a server is
	// not switched off, and none of its snapshots are deleted. Needs an explicit `series`.
	ReuseWithin Span `env:"REUSE_WITHIN"`

	// The series that the snapshots belong to, such as `nightly` or `pre-deploy`; it must obey Hetzner's rules for
	// label values. Defaults to `default`.
	Series Series `env:"SERIES,default=default" manifest:"no-default"`

	Keep

	// Whether to set delete protection on each new snapshot. A protected snapshot is never deleted. Defaults to
	// `false`.
	Protect Bool `env:"PROTECT,default=false"`

	// Whether to switch each running server off around its snapshot, for a consistent disk: `never`; `graceful`, by
	// asking its guest to shut down; or `force`, which powers the server off when its guest does not shut down in time.
	// The server is switched on again as soon as Hetzner accepts that. Hetzner may keep it locked while the snapshot is
	// made, so expect it to be off for as long as its snapshot takes. Defaults to `never`.
	Shutdown string `env:"SHUTDOWN,default=never" oneof:"never graceful force"`

	// How long a graceful shutdown may take, and how long a server that is off may wait for its snapshot to be
	// accepted. Defaults to `2m`.
	ShutdownTimeout Duration `env:"SHUTDOWN_TIMEOUT,default=2m"`

	// How many servers this run may have switched off at once. Defaults to `1`.
	MaxUnavailable Count `env:"MAX_UNAVAILABLE,default=1"`

	// How long a server must be running again before the next one is switched off; may be `0s`. Defaults to `1m`.
	SettleTime Pause `env:"SETTLE_TIME,default=1m"`

	Common
}

// Restore are the settings of the command that puts servers back to their snapshots.
type Restore struct {
	Access

	// Which server to put back to which image: `db-1=123`, separated by commas or newlines, or a JSON object such as
	// `{"db-1": 123}`, for which the output `images` of `snapshot` fits as it is. The image is given by its ID, or as
	// `latest`, the newest available snapshot of the server in the `series` that did not fail its verification, or as
	// `latest-verified`, the newest one that passed it. Servers are given by their names: naming both server and image
	// is the confirmation, so IDs, globs and selectors are not accepted as servers. It must be given.
	Images Images `env:"IMAGES"`

	// The series in which `latest` and `latest-verified` are looked for, such as `nightly`. They need it; an image that
	// is given by its ID does not.
	Series Series `env:"SERIES"`

	// The greatest age, by the time of Hetzner's answer, of an image to go back to: a duration such as `90m`, `24h` or
	// `7d`. Where one image is older, nothing is done to any server. Defaults to `24h`.
	MaxAge Duration `env:"MAX_AGE,default=24h"`

	// Whether to snapshot each server as it is now, in the series `pre-restore`, and to wait until that snapshot is
	// available. When that fails the server is not rebuilt. Defaults to `true`.
	SnapshotFirst Bool `env:"SNAPSHOT_FIRST,default=true"`

	// What proves that a server is back: `running`, that Hetzner shows it running; `ssh`, that a line which begins with
	// `SSH-` is read from port 22 of its own public address, or from another port as in `ssh:2222`; or `tcp` with a
	// port, as `tcp:443`, that a connection to it is accepted. Defaults to `running`.
	Prove Proof `env:"PROVE,default=running"`

	// The longest wait, per server, for Hetzner to accept its rebuild: a duration such as `90s`, `1h30m` or `1d`. Time
	// counts only while the server is locked or Hetzner refuses. Defaults to `30m`.
	LockTimeout Duration `env:"LOCK_TIMEOUT,default=30m"`

	// The longest wait, per server, for an accepted rebuild to end: a duration such as `90s`, `1h30m` or `1d`. Defaults
	// to `90m`.
	RestoreTimeout Duration `env:"RESTORE_TIMEOUT,default=90m"`

	// The longest wait, per server, for its proof once it has been rebuilt: a duration such as `90s`, `1h30m` or `1d`.
	// Defaults to `10m`.
	BootTimeout Duration `env:"BOOT_TIMEOUT,default=10m"`

	// What to do when a server has volumes attached, which are not part of a snapshot and stay as they are: `warn`;
	// `fail`, so that nothing is done to any server; or `ignore`. Defaults to `warn`.
	IfVolumesAttached string `env:"IF_VOLUMES_ATTACHED,default=warn" oneof:"warn fail ignore"`

	// How many servers may be put back at once, from 1 to 100. Defaults to `10`.
	MaxParallel Parallel `env:"MAX_PARALLEL,default=10"`

	Common
}

// Verify are the settings of the command that proves snapshots by booting copies of their servers.
type Verify struct {
	Access
	Selection

	// The snapshots to verify, instead of the newest one of each selected server: `db-1=123`, separated by commas or
	// newlines, or a JSON object such as `{"db-1": 123}`, for which the output `images` of `snapshot` fits as it is. The
	// image is given by its ID, or as `latest`, the newest available snapshot of the server in the `series` that did not
	// fail its verification, or as `latest-verified`, the newest one that passed it. Servers are given by their names.
	// Exactly one of `servers`, `label-selector` and `images` must be given.
	Images Images `env:"IMAGES"`

	// The series whose snapshots are verified, such as `nightly`: of each selected server the newest available one. Where
	// `images` has `latest` or `latest-verified`, it is looked for in this series, which must then be given. Defaults to
	// `default`.
	Series Series `env:"SERIES,default=default" manifest:"no-default"`

	// Skips each server that has a snapshot which was verified within this span: hours, days and weeks, as `7d`. Without
	// it every server is due.
	VerifiedWithin Span `env:"VERIFIED_WITHIN"`

	// How many snapshots this run verifies at most. Those of the servers that have gone without a proof for the longest
	// time come first, and the other servers are skipped. Without it there is no limit.
	AtMost Count `env:"AT_MOST"`

	// What proves that a snapshot boots: `ssh`, that a line which begins with `SSH-` is read from port 22 of the copy,
	// or from another port as in `ssh:2222`; `tcp` with a port, as `tcp:443`, that a connection to it is accepted; or
	// `running`, that Hetzner shows the copy running, which it does even where the system on the disk does not start.
	// Defaults to `ssh`.
	Prove Proof `env:"PROVE,default=ssh"`

	// The server type of the copies: `same`, that of the server; `cheapest`, the cheapest one of the same architecture
	// whose disk is large enough; or the name of a type, such as `cx23`. A copy is made in the server's own location.
	// Defaults to `same`.
	ServerType ServerType `env:"SERVER_TYPE,default=same"`

	// The longest wait, per copy, for Hetzner to create it: a duration such as `90s`, `1h30m` or `1d`. Defaults to
	// `90m`.
	CreateTimeout Duration `env:"CREATE_TIMEOUT,default=90m"`

	// The longest wait, per copy, for its proof once it is switched on: a duration such as `90s`, `1h30m` or `1d`.
	// Defaults to `10m`.
	BootTimeout Duration `env:"BOOT_TIMEOUT,default=10m"`

	// How many copies there may be at once, from 1 to 100. Defaults to `2`.
	MaxParallel Parallel `env:"MAX_PARALLEL,default=2"`

	// What all copies together may cost at most, with VAT, in the currency of the account: an amount such as `0.50`.
	// Every hour that is begun counts whole, for the IPv4 address too. When the run could cost more, it fails and no copy
	// is created. Defaults to `1`.
	MaxCost Amount `env:"MAX_COST,default=1"`

	// The networks from which the port of the proof can be reached on a copy: in CIDR notation, as `203.0.113.7/32`,
	// separated by commas, spaces or newlines, or a JSON array of strings. One of them must be of IPv4 addresses, since a
	// copy has no other. All other ports are closed, and with `prove: running` every port is. A copy has the passwords and
	// keys of the original, so give the address of the runner where it has one of its own. Defaults to
	// `0.0.0.0/0, ::/0`.
	AllowFrom Networks `env:"ALLOW_FROM,default=0.0.0.0/0, ::/0"`

	// What to do when a verification is inconclusive: its copy could not be created, or not be shut off from everything
	// else, so nothing can be told about the snapshot: `fail` or `warn`. Defaults to `fail`.
	IfInconclusive string `env:"IF_INCONCLUSIVE,default=fail" oneof:"fail warn"`

	Common
}

// Prune are the settings of the command that deletes old snapshots without making new ones.
type Prune struct {
	Access
	Selection

	// The series whose snapshots may be deleted, such as `nightly`. It must be given, and so must one or more of the
	// `keep-*` inputs.
	Series Series `env:"SERIES"`

	Keep

	// How many snapshots may be deleted at most. When more would have to go, none is deleted and the run fails.
	// Defaults to `30`.
	MaxDeletions Count `env:"MAX_DELETIONS,default=30"`

	Common
}

// Audit are the settings of the command that tells which snapshots there are, and which are missing.
type Audit struct {
	Access
	Selection

	// The series whose snapshots count, such as `nightly`. Without it those of every series do.
	Series Series `env:"SERIES"`

	// The age from which a server's newest snapshot is stale, in hours, days and weeks, as `26h` or `2d`. Without it
	// only a server without any snapshot is stale.
	StaleAfter Span `env:"STALE_AFTER"`

	// What makes the run fail when there is any: a list of `stale` (servers without a recent snapshot; needs
	// `stale-after`), `unverified` (servers without a verified snapshot), `orphans` (snapshots of servers that are
	// gone) and `leftovers` (copies that a verification has left behind). Without it that is `stale` where
	// `stale-after` is set, else nothing; `[]` is nothing.
	FailOn List `env:"FAIL_ON" oneof:"stale unverified orphans leftovers"`

	Common
}

// Access is what it takes to use the API.
type Access struct {
	// The API token of the Hetzner Cloud project, with the permission to read and write; for `audit` and for a
	// `dry-run` a read-only one is enough. Falls back to the environment variable `HCLOUD_TOKEN`.
	Token Secret `env:"HCLOUD_TOKEN" fallback:"HCLOUD_TOKEN"`

	// The base URL of the API, with `/v1`. It must be an `https` URL; `http` is accepted for loopback addresses only.
	// Falls back to the environment variable `HCLOUD_ENDPOINT`. Defaults to `https://api.hetzner.cloud/v1`.
	APIEndpoint Endpoint `env:"API_ENDPOINT,default=https://api.hetzner.cloud/v1" fallback:"HCLOUD_ENDPOINT" manifest:"no-default"`
}

// Selection says which servers a command is about.
type Selection struct {
	// The servers: names, IDs or globs such as `web-*`, separated by commas, spaces or newlines, or a JSON array of
	// strings such as the output `failed-servers`. `*` is every server of the project. Exactly one of `servers` and
	// `label-selector` must be given; `verify` accepts `images` in their place, and only `audit` may go without any,
	// and then looks at every server.
	Servers List `env:"SERVERS"`

	// Selects the servers by their labels, in Hetzner's notation, as `env=prod,!ephemeral`; instead of `servers`, never
	// with it.
	LabelSelector string `env:"LABEL_SELECTOR"`

	// Servers to leave out of the selection: names, IDs or globs, in the form of `servers`.
	Exclude List `env:"EXCLUDE"`
}

// Keep says which snapshots are kept when others are deleted.
type Keep struct {
	// How many of the newest snapshots of a server in this series to keep, a new one included. With one or more of the
	// `keep-*` inputs, those of its snapshots of this series that no rule keeps are deleted: by `snapshot` once its new
	// one is available, by `prune` at once. Without any, nothing is deleted. All of them need an explicit `series`.
	KeepLast Count `env:"KEEP_LAST"`

	// For how many hours to keep the newest snapshot of the hour (UTC). Hours without a snapshot do not count.
	KeepHourly Count `env:"KEEP_HOURLY"`

	// For how many days to keep the newest snapshot of the day (UTC). Days without a snapshot do not count.
	KeepDaily Count `env:"KEEP_DAILY"`

	// For how many weeks to keep the newest snapshot of the week (ISO, UTC). Weeks without a snapshot do not count.
	KeepWeekly Count `env:"KEEP_WEEKLY"`

	// For how many months to keep the newest snapshot of the month (UTC). Months without a snapshot do not count.
	KeepMonthly Count `env:"KEEP_MONTHLY"`

	// For how many years to keep the newest snapshot of the year (UTC). Years without a snapshot do not count.
	KeepYearly Count `env:"KEEP_YEARLY"`

	// Keeps every snapshot that was made within this span, in hours, days and weeks, as `48h` or `2w`. `snapshot`
	// counts it back from the new snapshot, `prune` from the time of Hetzner's answer.
	KeepWithin Span `env:"KEEP_WITHIN"`
}

// Retention is what the keep-* inputs say.
func (k Keep) Retention() retention.Policy {
	return retention.Policy{
		Last: int(k.KeepLast), Hourly: int(k.KeepHourly), Daily: int(k.KeepDaily), Weekly: int(k.KeepWeekly),
		Monthly: int(k.KeepMonthly), Yearly: int(k.KeepYearly), Within: time.Duration(k.KeepWithin),
	}
}

// Common is what means the same for every command.
type Common struct {
	// Whether to only read and report what would be done. Defaults to `false`.
	DryRun Bool `env:"DRY_RUN,default=false"`

	// Whether to write the job summary. Defaults to `true`.
	Summary Bool `env:"SUMMARY,default=true"`

	// A file to write the outputs to as well, in dotenv form: an output such as `image-ids` becomes `HSNAP_IMAGE_IDS`.
	OutputFile string `env:"OUTPUT_FILE"`

	// Run describes the CI run that this is a part of. It is no input: CI systems set variables of their own for it.
	Run Run

	// Warnings say what the user should know about variables that are no mistakes.
	Warnings []string
}

// Shared returns the settings that every command has.
func (c *Common) Shared() *Common { return c }
