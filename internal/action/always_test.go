package action_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/org/hsnap-action/internal/config"
)

// silentMost is how long the log of a run may be silent: 30 s. While the project is read that is a pause of 20 s and a request
// of 10 s that brings no answer, so that what comes first takes its own time on top.
const silentMost = 35 * time.Second

var (
	blunder  = regexp.MustCompile(`<nil>|%!|\(MISSING\)`)
	command  = regexp.MustCompile(`(?m)^\s*::(?:[^:\n]*)|##\[`)
	allowed  = regexp.MustCompile(`^::(?:add-mask|debug|warning|error|group|endgroup)(?: title=[^:\n]*)?$`)
	lastLine = regexp.MustCompile(`^(?:success|partial|skipped|inconclusive|cancelled|FAILED)(?: \(dry run\))?: .*, in \S+$`)
)

// settings are those of each command, for the names of its outputs.
var settings = map[string]config.Settings{
	"": &config.Snapshot{}, "snapshot": &config.Snapshot{}, "restore": &config.Restore{}, "verify": &config.Verify{}, "prune": &config.Prune{}, "audit": &config.Audit{},
}

// always holds what is promised of every run, whatever its command and whatever happens: it is asked of all the runs in these
// tests.
func (w *world) always(t *testing.T, r ran, env map[string]string, post bool) {
	t.Helper()
	var f findings
	name := ""
	if len(w.words) > 0 {
		name = w.words[0]
	}
	github := env["GITHUB_ACTIONS"] == "true"
	if text := blunder.FindString(r.log + r.summary + fmt.Sprint(r.outputs)); text != "" {
		f.Errorf("the log, the summary or an output says %s", text)
	}
	hidesToken(&f, r)
	errors := 0
	for _, found := range command.FindAllString(r.log, -1) {
		if strings.HasPrefix(found, "::error") {
			errors++
		}
		if !github || !allowed.MatchString(found) {
			f.Errorf("the log holds the workflow command %q", found)
		}
	}
	if errors > 10 {
		f.Errorf("%d annotations of errors", errors)
	}
	if r.silence > silentMost {
		f.Errorf("the log was silent for %s", r.silence)
	}
	if len(r.summary) > 1<<20 {
		f.Errorf("the summary has %d bytes", len(r.summary))
	}
	if !slices.Contains([]int{0, 1, 2, 3, 130, 143}, r.code) {
		f.Errorf("exit %d", r.code)
	}
	w.alwaysEnds(&f, r, github)
	for _, x := range r.trace {
		if x.method != http.MethodGet && (w.inputs["dry-run"] == "true" || name == "audit") && !post {
			f.Errorf("a run that only reads has sent %s %s", x.method, x.path)
		}
	}
	if post {
		r.selected = r.started
	}
	judgePolls(&f, r)
	if !post && settings[name] != nil && github && env["GITHUB_OUTPUT"] == filepath.Join(w.dir, "output") {
		alwaysHandsOn(&f, r, settings[name])
	}
	if len(f) > 0 {
		t.Errorf("%s\n%.20000s", strings.Join(f, "\n"), r.log)
	}
}

// alwaysEnds holds that a signal ends a run in time, and a second one at once.
func (w *world) alwaysEnds(f *findings, r ran, github bool) {
	if len(w.signals) == 0 {
		return
	}
	first := slices.MinFunc(w.signals, func(a, b signalAt) int { return cmp.Compare(a.after, b.after) })
	limit := 5 * time.Second
	if github && first.signal == syscall.SIGTERM {
		limit = 2 * time.Second
	}
	if r.took > first.after+limit {
		f.Errorf("ended %s after the first signal, more than %s", r.took-first.after, limit)
	}
	second := slices.MaxFunc(w.signals, func(a, b signalAt) int { return cmp.Compare(a.after, b.after) })
	if len(w.signals) == 2 && r.took > second.after+time.Second {
		f.Errorf("ended %s after the second signal", r.took-second.after)
	}
	if r.took > first.after && r.code != 128+int(first.signal) {
		f.Errorf("exit %d after a %s", r.code, first.signal)
	}
}

// alwaysHandsOn holds that the outputs are all there, each in one line, and agree with the exit code and the last line.
func alwaysHandsOn(f *findings, r ran, s config.Settings) {
	var names []string
	for _, output := range s.Outputs() {
		names = append(names, output.Name)
	}
	if !slices.Equal(names, r.order) {
		f.Errorf("the outputs are %q, want %q", r.order, names)
	}
	for name, value := range r.outputs {
		if strings.ContainsAny(value, "\r\n") {
			f.Errorf("the output %s has several lines", name)
		}
		if strings.IndexAny(value, "[{") == 0 && !json.Valid([]byte(value)) {
			f.Errorf("the output %s is no JSON: %s", name, value)
		}
	}
	cancelled := []string{"cancelled", "partial", "failure"}
	results := map[int][]string{
		0: {"success", "skipped"}, 1: {"partial", "failure", "skipped", "inconclusive", "success"}, 2: {"failure"},
		3: {"partial", "failure"}, 130: cancelled, 143: cancelled,
	}
	if _, ok := s.(*config.Verify); ok { // what can't be found out may be a warning
		results[0] = append(results[0], "partial", "inconclusive")
	}
	if want, result := results[r.code], r.outputs["result"]; !slices.Contains(want, result) {
		f.Errorf("exit %d, and result=%s", r.code, result)
	}
	lines := strings.Split(strings.TrimSuffix(r.log, "\n"), "\n")
	if last := lines[len(lines)-1]; !lastLine.MatchString(last) {
		f.Errorf("the last line is %q", last)
	}
}
