package config_test

import (
	"strings"
	"testing"

	"github.com/org/hsnap-action/internal/config"
)

// Each command's help names all commands, and its own inputs and outputs.
func TestHelp(t *testing.T) {
	for i, command := range config.Commands() {
		text := config.Help([]string{command.Name, "--help"}, nil, "v1.2.3")
		if config.Help([]string{command.Name, "-h"}, nil, "v1.2.3") != text ||
			config.Help([]string{"--help"}, []string{"HSNAP_COMMAND=" + command.Name}, "v1.2.3") != text ||
			i == 0 && config.Help([]string{"--help"}, nil, "v1.2.3") != text {
			t.Errorf("the help of %s depends on how it is asked for", command.Name)
		}
		var names []string
		for _, other := range config.Commands() {
			names = append(names, other.Name)
		}
		for _, in := range readInputs(t, command) {
			names = append(names, in.name)
		}
		for _, out := range command.Settings.Outputs() {
			names = append(names, out.Name)
		}
		for _, name := range names {
			if !strings.Contains(text, "\n  "+name+"\n") {
				t.Errorf("%s is not in the help text of %s", name, command.Name)
			}
		}
		if !strings.HasPrefix(text, "hsnap-action v1.2.3\n") {
			t.Error("the help text does not begin with the version")
		}
		for line := range strings.Lines(text) {
			if n := len([]rune(strings.TrimSuffix(line, "\n"))); n > 80 {
				t.Errorf("a line of the help text has %d columns: %s", n, line)
			}
		}
	}
	for _, words := range [][]string{nil, {"prune"}, {"prun", "--help"}, {"--help", "prune"}, {"prune", "--help", "x"}, {"help"}, {""}} {
		if text := config.Help(words, nil, "v1.2.3"); text != "" {
			t.Errorf("%q asks for no help, but gets %.40q", words, text)
		}
	}
	if got := config.Help([]string{"--version"}, nil, "v1.2.3"); got != "hsnap-action v1.2.3" {
		t.Errorf("the version is %q", got)
	}
}
