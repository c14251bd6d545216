package config

import (
	_ "embed"
	"fmt"
)

// usage is the part of --help that is the same whatever the inputs are.
const usage = `hsnap-action %s

Snapshots Hetzner Cloud servers: waits while they are locked, takes exactly one
snapshot of each, waits until it can be used, and returns the image IDs.

Usage: hsnap-action [--help | --version]

Everything else comes from the environment. An input such as lock-timeout is
read from one variable:

  INPUT_LOCK-TIMEOUT   where GITHUB_ACTIONS=true: GitHub, Forgejo, Gitea
  PLUGIN_LOCK_TIMEOUT  where CI=woodpecker or DRONE=true: Woodpecker, Drone
  HSNAP_LOCK_TIMEOUT   everywhere else

Exit codes:

  0    every selected server has its snapshot, or was skipped as configured
  1    one or more servers failed
  2    the inputs are wrong, or nothing was selected
  3    the API could not be used at all
  130  cancelled by SIGINT
  143  cancelled by SIGTERM

`

// fields is the rest: the inputs and outputs, as the package's test renders them from Config and Outputs.
//
//go:embed help.txt
var fields string

// Help returns the text of --help for the version given.
func Help(version string) string {
	return fmt.Sprintf(usage, version) + fields
}
