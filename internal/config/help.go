package config

import (
	"embed"
	"fmt"
)

// usage is the part of --help that is the same for all commands.
const usage = `hsnap-action %s

Usage: hsnap-action [COMMAND] [--help | --version]

COMMAND may also be given as the variable HSNAP_COMMAND, or PLUGIN_COMMAND with
Woodpecker and Drone. Everything else comes from the environment. An input such
as hcloud-token is read from one variable:

  INPUT_HCLOUD-TOKEN   where GITHUB_ACTIONS=true: GitHub, Forgejo, Gitea
  PLUGIN_HCLOUD_TOKEN  where CI=woodpecker or DRONE=true: Woodpecker, Drone
  HSNAP_HCLOUD_TOKEN   everywhere else

Exit codes:

  0    everything was done as asked
  1    something failed: a server, a deletion, or what audit was told to fail on
  2    the inputs are wrong, nothing was selected, or too much would be deleted
       or spent
  3    the API could not be used at all
  130  cancelled by SIGINT
  143  cancelled by SIGTERM

`

// help has a file for each command: the commands, and its inputs and outputs, as the package's test renders them.
//
//go:embed help
var help embed.FS

// Help returns the answer to --help or --version, "" where the command line asks for neither.
func Help(words, env []string, version string) string {
	command, rest, err := parse(env).command(words)
	if err != nil || len(rest) != 1 {
		return ""
	}
	switch rest[0] {
	case "--help", "-h":
		text, _ := help.ReadFile("help/" + command.Name + ".txt") // the test reads each
		return fmt.Sprintf(usage, version) + string(text)
	case "--version":
		return "hsnap-action " + version
	}
	return ""
}
