package action_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// quoted is a place of docs/troubleshooting.md that shows what a scenario's user reads: the lines of its log that match
// the pattern, annotations by default.
var quoted = regexp.MustCompile("(?m)^<!-- (\\S+)(?: (.+))? -->\n```text\n((?:.*\n)*?)```$")

// TestTroubleshooting holds docs/troubleshooting.md to what the scenarios' users read. With -update it is written anew.
func TestTroubleshooting(t *testing.T) {
	const file = "../../docs/troubleshooting.md"
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	places := 0
	page := quoted.ReplaceAllStringFunc(string(text), func(place string) string {
		places++
		m := quoted.FindStringSubmatch(place)
		shown, pattern := regexp.MustCompile("^::(error|warning)"), m[2]
		if pattern != "" {
			shown = regexp.MustCompile(pattern)
		}
		var lines strings.Builder
		for line := range strings.Lines(read(t, filepath.Join("testdata", "scenarios", m[1], "log.txt"))) {
			if shown.MatchString(line) {
				lines.WriteString(asRead(line))
			}
		}
		if lines.Len() == 0 {
			t.Errorf("nothing in the log of %s is like %q", m[1], shown)
		}
		return strings.Replace(place, "```text\n"+m[3], "```text\n"+lines.String(), 1)
	})
	if places < 25 {
		t.Errorf("only %d places show what a user reads", places)
	}
	if *update {
		if err := os.WriteFile(file, []byte(page), 0o600); err != nil {
			t.Fatal(err)
		}
	} else if page != string(text) {
		t.Error("docs/troubleshooting.md is out of date, run go test ./internal/action -run Troubleshooting -update")
	}
}

// asRead returns a line of the log as the runner shows it.
func asRead(line string) string {
	if rest, ok := strings.CutPrefix(line, "::"); ok {
		if _, message, ok := strings.Cut(rest, "::"); ok {
			line = strings.NewReplacer("%0A", "\n", "%0D", "\r", "%25", "%").Replace(message)
		}
	}
	return line
}
