package config

import (
	_ "embed"
	"fmt"
)

// usage is the part of --help that is the same whatever the inputs are.
const usage = `hsnap-action %s

Snapshots Hetzner Cloud servers: waits while they are locked, takes exactly one
snapshot of each, waits until it can be used, and hands on the image IDs.

Usage: hsnap-action [--help | --version]

Everything else comes from the environment. An input such as lock-timeout is the
first of these variables that is not empty:

  INPUT_LOCK-TIMEOUT
  INPUT_LOCK_TIMEOUT
  HSNAP_LOCK_TIMEOUT
  PLUGIN_LOCK_TIMEOUT

Exit codes:

  0    every server selected has its snapshot, or was skipped as asked
  1    one or more servers failed
  2    the inputs are wrong, or nothing was selected
  3    the API could not be used at all
  130  cancelled by SIGINT
  143  cancelled by SIGTERM

`

// fields is the rest: the inputs and outputs, as the package's test renders them
// from Config and Outputs.
//
//go:embed help.txt
var fields string

// Help returns the text of --help for the version given.
func Help(version string) string {
	return fmt.Sprintf(usage, version) + fields
}
