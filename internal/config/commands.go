package config

import (
	"fmt"
	"strings"
)

// Command is one of the things that the program can do.
type Command struct {
	Name     string
	Purpose  string // as in its action.yml
	Settings Settings
}

// Settings are what a command was asked to do: a *[Snapshot], *[Restore], *[Verify], *[Prune] or *[Audit].
type Settings interface {
	// Shared returns the settings that every command has.
	Shared() *Common
	// Outputs returns the command's outputs in the order in which users read about them.
	Outputs() []Output
	// complete applies the rules about inputs that must be given, alone or together, and the defaults that depend on
	// other inputs. An input with a mistake in its value counts as given.
	complete(r *reader)
}

// Commands returns the commands, with empty settings, in the order in which users read about them. The first one runs
// where none is named.
func Commands() []Command {
	return []Command{
		{"snapshot", "Snapshots Hetzner Cloud servers, waits for their locks to go, and returns the image IDs.", new(Snapshot)},
		{"restore", "Puts Hetzner Cloud servers back to their snapshots, once each, and waits for a proof that they are back.", new(Restore)},
		{"verify", "Proves snapshots of Hetzner Cloud servers by booting copies that are shut off from everything else.", new(Verify)},
		{"prune", "Deletes old snapshots of Hetzner Cloud servers by rule, without making new ones.", new(Prune)},
		{"audit", "Tells which snapshots of Hetzner Cloud servers are missing, stale or orphaned, and what they cost.", new(Audit)},
	}
}

// command returns the command that the words of the command line or the environment name, and the words that follow.
func (vars variables) command(words []string) (Command, []string, error) {
	all, platform := Commands(), vars.platform()
	name := all[0].Name
	switch variable := platform.variable("COMMAND"); {
	case len(words) > 0 && !strings.HasPrefix(words[0], "-"):
		name, words = words[0], words[1:]
	case platform != GitHub && vars[variable] != "":
		name = vars[variable]
	}
	var names []string
	for _, command := range all {
		if command.Name == name {
			return command, words, nil
		}
		names = append(names, command.Name)
	}
	return all[0], words, fmt.Errorf("%.60q is no command of hsnap-action: use %s; inputs are environment variables, see --help", name, listed(names, "or"))
}

// listed returns names in a sentence: a, b or c.
func listed(names []string, conjunction string) string {
	last := len(names) - 1
	if last < 1 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:last], ", ") + " " + conjunction + " " + names[last]
}
