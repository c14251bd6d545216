package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Whoever changes the program has to read it, so that it must not grow unseen: what it does not need goes before something new
// comes. The linter bounds files and functions.
func TestSize(t *testing.T) {
	for name, bound := range map[string]struct {
		packages []string
		lines    int
	}{
		"the engine": {[]string{"fleet", "snapshot", "thinning"}, 3565},
		"all that is shipped": {[]string{
			"action", "audit", "config", "copies", "fleet", "hetzner", "labels", "project", "proof", "prune", "report", "restore", "retention",
			"secret", "snapshot", "thinning", "verify",
		}, 13245},
	} {
		lines := 0
		for _, pkg := range bound.packages {
			files, err := filepath.Glob(filepath.Join("..", pkg, "*.go"))
			if err != nil || len(files) == 0 {
				t.Fatalf("%s: %d files, %v", pkg, len(files), err)
			}
			for _, file := range files {
				if strings.HasSuffix(file, "_test.go") {
					continue
				}
				text, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				lines += bytes.Count(text, []byte("\n"))
			}
		}
		if lines > bound.lines {
			t.Errorf("%s: %d lines, and %d are the most", name, lines, bound.lines)
		}
	}
}
