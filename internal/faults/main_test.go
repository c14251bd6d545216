package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// A fault whose place has gone from the source is found when the source is changed, and not when somebody plants it.
func TestFaultsFitTheSource(t *testing.T) {
	names := map[string]bool{}
	for _, g := range groups() {
		for _, f := range g.faults {
			source, err := os.ReadFile(filepath.Join("..", "..", filepath.FromSlash(f.file)))
			if err != nil {
				t.Errorf("%s: %v", f.name, err)
				continue
			}
			if n := bytes.Count(source, []byte(f.old)); n != 1 {
				t.Errorf("%s: the text to be changed occurs %d times in %s", f.name, n, f.file)
			}
			if names[f.name] {
				t.Errorf("%s: there are two of this name", f.name)
			}
			names[f.name] = true
		}
	}
}
