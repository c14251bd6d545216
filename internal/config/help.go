package config

import "embed"

// help has what is the same for all commands in usage.txt, and a file for each command: the commands, and its inputs and
// outputs, as the package's test renders them.
//
//go:embed help
var help embed.FS

// Help returns the answer to --help or --version, "" where the command line asks for neither.
func Help(words, env []string, version string) string {
	command, rest, err := parse(env).command(words)
	if err != nil || len(rest) != 1 {
		return ""
	}
	title := "hsnap-action " + version
	switch rest[0] {
	case "--help", "-h":
		usage, _ := help.ReadFile("help/usage.txt")
		own, _ := help.ReadFile("help/" + command.Name + ".txt") // the test reads each
		return title + "\n\n" + string(usage) + string(own)
	case "--version":
		return title
	}
	return ""
}
