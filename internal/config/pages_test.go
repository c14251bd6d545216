package config_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/org/hsnap-action/internal/config"
)

// pages are the pages of the documentation, by their paths from the root.
func pages(t *testing.T) map[string]string {
	t.Helper()
	texts := make(map[string]string)
	for _, pattern := range []string{"*.md", "docs/*.md", "internal/action/testdata/scenarios/*.md"} {
		files, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: no pages (%v)", pattern, err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			texts[strings.TrimPrefix(filepath.ToSlash(file), root+"/")] = string(text)
		}
	}
	return texts
}

var (
	fences   = regexp.MustCompile("(?m)^```(?:.*\n)+?```$")
	headings = regexp.MustCompile("(?m)^#+ (.*)$")
	links    = regexp.MustCompile(`(?:\]\(|src(?:set)?=")([^)"#]*)(?:#([^)"]*))?[)"]`)
	noSlug   = regexp.MustCompile(`[^\p{L}\p{N}_\- ]`)
)

// anchors are the anchors that GitHub gives to the headings of a page.
func anchors(page string) map[string]bool {
	found := make(map[string]bool)
	for _, heading := range headings.FindAllStringSubmatch(fences.ReplaceAllString(page, ""), -1) {
		slug := strings.ReplaceAll(noSlug.ReplaceAllString(strings.ToLower(heading[1]), ""), " ", "-")
		name := slug
		for n := 1; found[name]; n++ {
			name = fmt.Sprintf("%s-%d", slug, n)
		}
		found[name] = true
	}
	return found
}

// TestDocsLinks follows every link from page to page, with its anchor, and every link to a file of the repository.
func TestDocsLinks(t *testing.T) {
	texts := pages(t)
	for page, text := range texts {
		for _, link := range links.FindAllStringSubmatch(fences.ReplaceAllString(text, ""), -1) {
			target, anchor := link[1], link[2]
			if strings.Contains(target, "://") {
				continue
			}
			file := page
			if target != "" {
				file = filepath.ToSlash(filepath.Join(filepath.Dir(page), target))
			}
			if _, err := os.Stat(filepath.Join(root, file)); err != nil {
				t.Errorf("%s links to %s: %v", page, target, err)
			} else if anchor != "" && !anchors(texts[file])[anchor] {
				t.Errorf("%s links to #%s, which %s has not", page, anchor, file)
			}
		}
	}
}

var (
	uses      = regexp.MustCompile(`^ *(?:- )?uses: (?:https://github\.com/)?org/hsnap-action(?:/([a-z]+))?@`)
	entry     = regexp.MustCompile(`^( *)([A-Za-z_-]+):`)
	variables = regexp.MustCompile(`\bHSNAP_[A-Z_]*[A-Z]\b`)
)

// TestDocsExamples holds the examples to the inputs that there are: those of a step, of Woodpecker's settings, of GitLab's
// component, and every variable that is named anywhere.
func TestDocsExamples(t *testing.T) {
	inputs := map[string]map[string]bool{"gitlab": {"job": true, "stage": true, "image": true}}
	known := map[string]bool{"HSNAP_COMMAND": true, "HSNAP_TRUNCATED": true}
	variable := func(name string) string { return "HSNAP_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_")) }
	for _, command := range config.Commands() {
		inputs[command.Name] = make(map[string]bool)
		for _, in := range readInputs(t, command) {
			inputs[command.Name][in.name], known[variable(in.name)] = true, true
		}
		for _, out := range command.Settings.Outputs() {
			known[variable(out.Name)] = true
		}
	}
	for name := range inputs["snapshot"] {
		inputs["gitlab"][name] = true
	}
	examples := 0
	for page, text := range pages(t) {
		for _, name := range variables.FindAllString(text, -1) {
			if !known[name] && name != "HSNAP_KEEP_DAYLY" { // which shows a mistake
				t.Errorf("%s: there is no variable %s", page, name)
			}
		}
		for _, fence := range fences.FindAllString(text, -1) {
			for _, given := range givenIn(fence) {
				examples++
				if !inputs[given.command][given.input] {
					t.Errorf("%s: %s has no input %s", page, given.command, given.input)
				}
			}
		}
	}
	if examples < 100 {
		t.Errorf("the examples give only %d inputs", examples)
	}
}

// given is an input that an example gives to a command, or to GitLab's component.
type given struct{ command, input string }

// givenIn reads an example. Inputs stand one step deeper than the with:, settings: or inputs: before them.
func givenIn(example string) (all []given) {
	command, parent, depth := "", -1, -1 // of the inputs, and of what stands over them
	for line := range strings.Lines(example) {
		switch m := uses.FindStringSubmatch(line); {
		case m != nil:
			command, parent = m[1], -1
			if command == "" {
				command = "snapshot"
			}
		case strings.Contains(line, " uses: "):
			command = ""
		case strings.Contains(line, "- component: "):
			command = "gitlab"
		case strings.Contains(line, "image: ghcr.io/org/hsnap-action:v1"):
			command = "snapshot"
		}
		m := entry.FindStringSubmatch(strings.TrimSuffix(line, "\n"))
		switch {
		case m == nil || command == "":
		case m[2] == "with" || m[2] == "settings" || m[2] == "inputs" && command == "gitlab":
			parent, depth = len(m[1]), -1
		case parent >= 0 && len(m[1]) <= parent:
			parent = -1
		case parent >= 0 && (depth < 0 || len(m[1]) == depth):
			depth = len(m[1])
			all = append(all, given{command, strings.ReplaceAll(m[2], "_", "-")})
		}
	}
	return all
}
