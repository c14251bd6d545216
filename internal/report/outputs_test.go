package report_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/org/hsnap-action/internal/config"
	"github.com/org/hsnap-action/internal/hetzner"
	"github.com/org/hsnap-action/internal/report"
	"github.com/org/hsnap-action/internal/secret"
	"github.com/org/hsnap-action/internal/snapshot"
)

func off(string) string { return "" }

// deliver runs the delivery off GitHub and returns what was printed.
func deliver(t *testing.T, o snapshot.Outcome, getenv func(string) string, to report.OutputsTo) (log string, err error) {
	t.Helper()
	var b bytes.Buffer
	r := report.New(report.Options{Out: &b, Getenv: getenv, Mask: secret.New("u8jzPde0IgxLd6Gnc")})
	if err = r.OpenOutputs(to); r.DeliverSnapshot(o).Undelivered {
		err = errors.New("the outputs are not handed on")
	}
	r.Flush(time.Minute)
	return b.String(), err
}

// The outputs that are written are those that users read about, in their order.
func TestOutputsAreThoseDocumented(t *testing.T) {
	log, err := deliver(t, snapshot.Outcome{}, off, report.OutputsTo{})
	if err != nil {
		t.Fatal(err)
	}
	var got, want []string
	for line := range strings.Lines(log) {
		if name, _, ok := strings.Cut(line, "="); ok { // not the verdict
			got = append(got, name)
		}
	}
	for _, output := range new(config.Snapshot).Outputs() {
		want = append(want, output.Name)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("outputs (-documented +written):\n%s", diff)
	}
}

func results(n int) snapshot.Outcome {
	var o snapshot.Outcome
	for i := range n {
		name := fmt.Sprintf("server-%03d", i)
		o.Results = append(o.Results, snapshot.Result{
			Name: name, Server: hetzner.Server{ID: int64(i + 1), Name: name}, Status: snapshot.Available, ImageID: int64(4711 + i),
		})
	}
	return o
}

// GitLab drops a dotenv report of more than 5 KB whole, so the longest outputs make way, in a fixed order.
func TestOutputFileStaysUnder5KB(t *testing.T) {
	for n, left := range map[int][]string{
		2: nil, 50: {"HSNAP_SNAPSHOTS"}, 250: {"HSNAP_SNAPSHOTS", "HSNAP_IMAGES"}, 1200: {"HSNAP_SNAPSHOTS", "HSNAP_IMAGES", "HSNAP_IMAGE_IDS"},
	} {
		file := filepath.Join(t.TempDir(), "outputs.env")
		log, err := deliver(t, results(n), off, report.OutputsTo{File: file})
		if err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if len(b) > 5000 {
			t.Errorf("%d servers: %d bytes", n, len(b))
		}
		for _, name := range []string{"HSNAP_SNAPSHOTS", "HSNAP_IMAGES", "HSNAP_IMAGE_IDS", "HSNAP_RESULT"} {
			if written := bytes.Contains(b, []byte(name+"=")); written == slices.Contains(left, name) {
				t.Errorf("%d servers: %s written = %t", n, name, written)
			}
		}
		if truncated := bytes.Contains(b, []byte("HSNAP_TRUNCATED=true\n")); truncated != (left != nil) || truncated != strings.Contains(log, "leaves out") {
			t.Errorf("%d servers: truncated = %t, the log says:\n%s", n, truncated, log)
		}
	}
}

// Outputs that can't be handed on are printed, and the run must fail.
func TestOutputsThatCannotBeWritten(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "no", "such", "folder")
	github := func(output string) func(string) string {
		return func(name string) string {
			return map[string]string{"GITHUB_ACTIONS": "true", "GITHUB_OUTPUT": output}[name]
		}
	}
	for name, tt := range map[string]struct {
		getenv func(string) string
		to     report.OutputsTo
	}{
		"no GITHUB_OUTPUT":         {github(""), report.OutputsTo{}},
		"GITHUB_OUTPUT unwritable": {github(missing), report.OutputsTo{}},
		"GITHUB_OUTPUT full":       {github("/dev/full"), report.OutputsTo{}},
		"output-file unwritable":   {off, report.OutputsTo{File: missing}},
		"output-file full":         {off, report.OutputsTo{File: "/dev/full"}},
	} {
		t.Run(name, func(t *testing.T) {
			log, err := deliver(t, results(1), tt.getenv, tt.to)
			if err == nil || !strings.Contains(log, "image-id=4711\n") {
				t.Errorf("error %v; the log lacks the outputs:\n%s", err, log)
			}
		})
	}
}

// A snapshot that was accepted a moment ago has a duration; one that never was has none.
func TestDurationIsNullWithoutAcceptance(t *testing.T) {
	o := results(2)
	o.Results[1].Accepted = true
	log, err := deliver(t, o, off, report.OutputsTo{})
	if err != nil {
		t.Fatal(err)
	}
	if strings.Count(log, `"duration_seconds":null`) != 1 || strings.Count(log, `"duration_seconds":0,`) != 1 {
		t.Error(log)
	}
}

// Text from outside can't start a workflow command, in the log or in a printed output.
func TestHostileTextStartsNoCommand(t *testing.T) {
	for _, text := range []string{
		"::set-output name=x::y", "  ::error::x", "\t\u00a0::stop-commands::x", "\n::error::x", "a\r\n::error::x", "##[error]x", "a ##[add-mask]x",
		"\u2028::error::x", "\x00::error::x", "\u202e::error::x", ": :::error::",
	} {
		var b bytes.Buffer
		r := report.New(report.Options{Out: &b, Getenv: off})
		r.Line("%s", text)
		o := results(1)
		o.Results[0].Description = text
		if err := r.OpenOutputs(report.OutputsTo{}); err != nil {
			t.Fatal(err)
		}
		if r.DeliverSnapshot(o).Undelivered {
			t.Fatal("the outputs are not handed on")
		}
		r.Flush(time.Minute)
		for line := range strings.Lines(b.String()) {
			if strings.HasPrefix(strings.TrimSpace(line), "::") || strings.Contains(line, "##[") {
				t.Errorf("%q came out as the command %q", text, line)
			}
		}
	}
}

func TestTally(t *testing.T) {
	of := func(statuses ...snapshot.Status) snapshot.Outcome {
		var o snapshot.Outcome
		for _, s := range statuses {
			o.Results = append(o.Results, snapshot.Result{Status: s})
		}
		return o
	}
	refused := of(snapshot.Failed)
	refused.Token = &hetzner.Error{}
	stopped := of(snapshot.Available)
	stopped.Signal = os.Interrupt
	for _, tt := range []struct {
		name    string
		outcome snapshot.Outcome
		want    string
	}{
		{"all available", of(snapshot.Available, snapshot.Available), "success"},
		{"some skipped", of(snapshot.Available, snapshot.Skipped), "success"},
		{"accepted only", of(snapshot.Creating), "success"},
		{"some failed", of(snapshot.Available, snapshot.Failed), "partial"},
		{"all failed", of(snapshot.Failed, snapshot.Skipped), "failure"},
		{"all skipped", of(snapshot.Skipped), "skipped"},
		{"nothing to do", of(), "skipped"},
		{"nothing selected", snapshot.Outcome{Nothing: true}, "failure"},
		{"planned", of(snapshot.Planned), "success"},
		{"planned, one missing", of(snapshot.Planned, snapshot.Failed), "partial"},
		{"token refused", refused, "failure"},
		{"cancelled", stopped, "cancelled"},
	} {
		if got := report.SnapshotTallyOf(tt.outcome).Result; got != tt.want {
			t.Errorf("%s: result %q, want %q", tt.name, got, tt.want)
		}
	}
}
