package action_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/org/hsnap-action/internal/hcloudsim"
)

// A next step that can't read the image IDs must not go on as if all were well. What can be known of that before the run is
// said before anything is sent.
func TestOutputsThatCannotBeOpened(t *testing.T) {
	const nowhere = "no/such/directory/file"
	for _, test := range []struct {
		name                string
		githubOutput, file  string // "-" for the usual one, and for none
		gitHubReads, writes bool   // the outputs that can be written are
		says                []string
	}{
		{"no GITHUB_OUTPUT", "", "-", false, false, []string{"::error::GITHUB_OUTPUT is not set"}},
		{"no GITHUB_OUTPUT, but an output-file", "", "hsnap.env", false, true, []string{"::error::GITHUB_OUTPUT is not set"}},
		{"GITHUB_OUTPUT nowhere", nowhere, "-", false, false, []string{`::error::GITHUB_OUTPUT: "` + nowhere + `" can't be written`}},
		{"output-file nowhere", "-", nowhere, true, false, []string{`::error::output-file: "` + nowhere + `" can't be written`}},
		{"output-file is a directory", "-", ".", true, false, []string{`::error::output-file: "." can't be written`}},
		{"both", nowhere, nowhere, false, false, []string{"::error::GITHUB_OUTPUT: ", "::error::output-file: "}},
	} {
		for _, dry := range []string{"false", "true"} {
			t.Run(test.name+", dry-run "+dry, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t, hcloudsim.Options{Seed: 1})
					w.cloud.AddServer(hcloudsim.Server{Name: "db-1"})
					w.inputs["servers"], w.inputs["dry-run"] = "db-1", dry
					if test.githubOutput != "-" {
						w.env["GITHUB_OUTPUT"] = test.githubOutput
					}
					file := test.file
					if test.writes {
						file = filepath.Join(w.dir, file)
					}
					if file != "-" {
						w.inputs["output-file"] = file
					}
					r := w.run(t)
					if r.code != 2 || len(w.cloud.History()) > 0 {
						t.Errorf("exit %d after %d requests, want 2 and none", r.code, len(w.cloud.History()))
					}
					for _, part := range append(test.says, "\nresult=failure\n", "nothing was sent to Hetzner") {
						if strings.Count(r.log, part) != 1 {
							t.Errorf("the log does not say once %q:", part)
						}
					}
					if test.gitHubReads && r.outputs["result"] != "failure" {
						t.Errorf("the outputs for GitHub are %v", r.outputs)
					}
					if test.writes && !strings.Contains(read(t, file), "HSNAP_RESULT=failure\n") {
						t.Errorf("the output-file holds %q", read(t, file))
					}
					if t.Failed() {
						t.Log(r.log)
					}
				})
			})
		}
	}
}

// Off GitHub the user knows the input by another name.
func TestOutputFileByItsName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, hcloudsim.Options{Seed: 1})
		w.env["GITHUB_ACTIONS"] = "false"
		w.env["HSNAP_HCLOUD_TOKEN"], w.env["HSNAP_SERVERS"], w.env["HSNAP_LOCK_TIMEOUT"] = hcloudsim.DefaultToken, "db-1", "soon"
		w.env["HSNAP_OUTPUT_FILE"] = "no/such/file"
		r := w.run(t)
		for _, mistake := range []string{"error: HSNAP_LOCK_TIMEOUT: ", `error: HSNAP_OUTPUT_FILE: "no/such/file" can't be written`, "2 mistakes in the inputs"} {
			if r.code != 2 || strings.Count(r.log, mistake) != 1 {
				t.Errorf("exit %d, and the log does not say once %q:\n%s", r.code, mistake, r.log)
			}
		}
	})
}

// Outputs that are lost at the end of a run are printed.
func TestOutputsThatCannotBeWritten(t *testing.T) {
	for name, set := range map[string]func(*world){
		"GITHUB_OUTPUT is full":  func(w *world) { w.env["GITHUB_OUTPUT"] = "/dev/full" },
		"output-file is full":    func(w *world) { w.inputs["output-file"] = "/dev/full" },
		"its folder is deleted":  func(w *world) { w.inputs["output-file"] = filepath.Join(w.dir, "build", "hsnap.env") },
		"another folder deleted": func(w *world) { w.env["GITHUB_OUTPUT"] = filepath.Join(w.dir, "build", "output") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, hcloudsim.Options{Seed: 1})
				w.cloud.AddServer(hcloudsim.Server{Name: "db-1"})
				w.inputs["servers"] = "db-1"
				set(w)
				if err := os.Mkdir(filepath.Join(w.dir, "build"), 0o700); err != nil {
					t.Fatal(err)
				}
				w.cloud.At(10*time.Second, func(*hcloudsim.Cloud) { _ = os.RemoveAll(filepath.Join(w.dir, "build")) })
				r := w.run(t)
				if r.code != 1 || len(w.cloud.Images()) != 1 || !strings.Contains(r.log, "::error::") || !strings.Contains(r.log, "\nresult=success\n") {
					t.Errorf("exit %d with %d images, want 1 with one, an error and the outputs\n%s", r.code, len(w.cloud.Images()), r.log)
				}
			})
		})
	}
}

// A run that is killed leaves the output-file of the run before as it was.
func TestOutputFileIsKeptUntilTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, hcloudsim.Options{Seed: 1})
		w.cloud.AddServer(hcloudsim.Server{Name: "db-1"})
		file := filepath.Join(w.dir, "hsnap.env")
		w.inputs["servers"], w.inputs["output-file"] = "db-1", file
		const before = "HSNAP_RESULT=partial\n"
		during := ""
		w.cloud.At(10*time.Second, func(*hcloudsim.Cloud) { during = read(t, file) })
		if err := os.WriteFile(file, []byte(before), 0o600); err != nil {
			t.Fatal(err)
		}
		r := w.run(t)
		if after := read(t, file); r.code != 0 || during != before || strings.Contains(after, before) || !strings.Contains(after, "HSNAP_RESULT=success\n") {
			t.Errorf("exit %d; the file holds %q during the run, and %q after it", r.code, during, after)
		}
	})
}
