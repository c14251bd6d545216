package report_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"html"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/org/hsnap-action/internal/config"
	"github.com/org/hsnap-action/internal/hetzner"
	"github.com/org/hsnap-action/internal/report"
	"github.com/org/hsnap-action/internal/retention"
	"github.com/org/hsnap-action/internal/secret"
	"github.com/org/hsnap-action/internal/snapshot"
	"github.com/org/hsnap-action/internal/thinning"
)

// github is the environment of a runner with files in dir.
func github(dir string) func(string) string {
	return func(name string) string {
		return map[string]string{
			"GITHUB_ACTIONS": "true", "GITHUB_OUTPUT": filepath.Join(dir, "output"), "GITHUB_STEP_SUMMARY": filepath.Join(dir, "summary"),
		}[name]
	}
}

// GitHub drops a summary above 1 MiB whole, Mermaid draws no more than 50,000 characters, and the runner shows ten
// annotations: a run of 500 servers with the longest names, half of them failed, stays under all three.
func TestLimitsOfALargeRun(t *testing.T) {
	dir := t.TempDir()
	var log bytes.Buffer
	r := report.New(report.Options{Out: &log, Getenv: github(dir)})
	start := time.Unix(1_800_000_000, 0)
	var o snapshot.Outcome
	for i := range 500 {
		name := strings.Repeat("&|", 120) + fmt.Sprint(i) // each of these characters takes five in the summary
		result := snapshot.Result{Name: name, Server: hetzner.Server{ID: int64(i + 1), Name: name}, Status: snapshot.Available, ImageID: int64(200000000 + i), SizeGB: 12.5}
		if i%2 == 0 {
			result.Status, result.Reason = snapshot.Failed, snapshot.LockTimeout
			result.Err = &hetzner.Error{Code: "locked", Message: strings.Repeat("<x>", 200), Correlation: "f21b9dc9d1535310"}
		}
		event := snapshot.Event{Kind: snapshot.EventLocked, At: start, Name: name}
		r.Event(event)
		event.Kind, event.At, event.ImageID = snapshot.EventAccepted, start.Add(time.Minute), result.ImageID
		r.Event(event)
		event.Kind, event.At, event.Result = snapshot.EventFinished, start.Add(time.Hour), &result
		r.Event(event)
		o.Results = append(o.Results, result)
	}
	o.Token = &hetzner.Error{Code: "unauthorized", Message: "unable to authenticate"}
	if err := r.OpenOutputs(report.OutputsTo{Summary: true}); err != nil {
		t.Fatal(err)
	}
	if r.DeliverSnapshot(o).Undelivered { // explains the run, which is the tenth
		t.Fatal("the outputs are not handed on")
	}
	r.Error("one more")
	r.Flush(time.Minute)
	b, err := os.ReadFile(filepath.Join(dir, "summary"))
	if err != nil {
		t.Fatal(err)
	}
	summary := string(b)
	_, chart, found := strings.Cut(summary, "```mermaid")
	if !found || len(summary) > 1<<20 || len(chart) > 50_000 {
		t.Errorf("the summary has %d bytes, its chart %d", len(summary), len(chart))
	}
	if n := strings.Count(chart, "  section "); n != 40 {
		t.Errorf("the chart shows %d servers, want 40", n)
	}
	if n := strings.Count(log.String(), "::error"); n != 10 || !strings.Contains(log.String(), "::error::Hetzner refused the API token") {
		t.Errorf("%d annotations, want 10 and among them the run's own:\n%.3000s", n, log.String())
	}
	if n := strings.Count(log.String(), "failed (lock_timeout)"); n != 241 {
		t.Errorf("%d failures beside the annotations are logged, want 241", n)
	}
	if !strings.Contains(log.String(), "\nerror: one more\n") {
		t.Error("what is over the limit is not printed")
	}
}

// A server that is off has an annotation whatever failed before.
func TestLeftOffIsAnnotated(t *testing.T) {
	var log bytes.Buffer
	r := report.New(report.Options{Out: &log, Getenv: github(t.TempDir())})
	for i := range 20 {
		result := snapshot.Result{Name: fmt.Sprint("db-", i), Status: snapshot.Failed, Reason: snapshot.Refused}
		if i == 19 {
			result.PowerOnFailed, result.LeftOff = true, true
		}
		r.Event(snapshot.Event{Kind: snapshot.EventFinished, Name: result.Name, Result: &result})
	}
	r.Flush(time.Minute)
	if n := strings.Count(log.String(), "::error"); n != 10 || !strings.Contains(log.String(), "title=db-19 IS LEFT OFF::") {
		t.Errorf("%d annotations:\n%s", n, log.String())
	}
}

// logOf returns what the log says off GitHub of the end of a server.
func logOf(result snapshot.Result, asked ...report.Asked) string {
	var b strings.Builder
	r := report.New(report.Options{Out: &b, Getenv: off})
	for _, a := range asked {
		r.Ask(a)
	}
	r.Event(snapshot.Event{Kind: snapshot.EventFinished, Name: result.Name, Result: &result})
	r.Flush(time.Minute)
	return b.String()
}

// summaryOf delivers an outcome and returns its summary.
func summaryOf(t *testing.T, mask secret.Mask, events []snapshot.Event, o snapshot.Outcome) (summary, log string) {
	t.Helper()
	dir := t.TempDir()
	var b bytes.Buffer
	r := report.New(report.Options{Out: &b, Getenv: github(dir), Mask: mask})
	for _, e := range events {
		r.Event(e)
	}
	if err := r.OpenOutputs(report.OutputsTo{Summary: true}); err != nil {
		t.Fatal(err)
	}
	if r.DeliverSnapshot(o).Undelivered {
		t.Fatal("the outputs are not handed on")
	}
	r.Flush(time.Minute)
	return fileOf(t, dir, "summary"), b.String()
}

// No text of Hetzner's is too long for the summary, and each part of it says what it leaves out.
func TestSummaryOfEndlessTexts(t *testing.T) {
	long := strings.Repeat("_", 110_000)
	volumes := make([]int64, 5000)
	for i := range volumes {
		volumes[i] = int64(i) + 1_000_000_000
	}
	for _, n := range []int{2, 40} {
		var o snapshot.Outcome
		var events []snapshot.Event
		o.Price = hetzner.Price{Currency: long, Net: 1, Gross: 1}
		for i := range n {
			name := fmt.Sprint(i, long)
			if i%2 == 0 {
				name = fmt.Sprint("db-", i)
			}
			result := snapshot.Result{
				Name: name, Server: hetzner.Server{ID: int64(i + 1), Name: name, Volumes: volumes}, Status: snapshot.Failed, Reason: snapshot.ActionFailed,
				Err: &hetzner.Error{Code: long, Message: long, Correlation: long}, Action: &hetzner.Action{ErrorCode: long, ErrorMessage: long}, SizeGB: 1,
			}
			if i%2 == 0 {
				result.Status, result.Reason = snapshot.Available, ""
				result.Thinned = []thinning.Snapshot{{Decision: retention.Decision{ID: 3, Reason: long}}}
			}
			o.Results = append(o.Results, result)
			for j := range 120 {
				events = append(events, snapshot.Event{Kind: snapshot.EventHolder, Name: name, Holder: &hetzner.Action{Command: fmt.Sprint(j, "_command")}},
					snapshot.Event{Kind: snapshot.EventUnlocked, Name: name})
				if i%2 == 1 {
					break // each line of the log would hold the name
				}
			}
		}
		summary, _ := summaryOf(t, secret.Mask{}, events, o)
		_, chart, found := strings.Cut(summary, "```mermaid")
		if !found || len(summary) >= 1<<20 || len(chart) > 50_000 {
			t.Errorf("%d servers: the summary has %d bytes, its chart %d", n, len(summary), len(chart))
		}
		if !strings.Contains(summary, "| server |") || !strings.Contains(summary, "volumes are **not**") || !strings.Contains(summary, "Old snapshots:") {
			t.Errorf("%d servers: a part is missing", n)
		}
	}
}

// What is escaped was masked before: no mask finds an escaped token.
func TestTokenIsMaskedBeforeItIsEscaped(t *testing.T) {
	for _, token := range []string{"ab_cd~ef_gh~ij_kl", "a%b:c,d%e:f,g%h:i", "a|b*c`d[e]f#g&h@i", `a"b\c"d\e"f\g"h`} {
		failure := &hetzner.Error{Code: "locked", Message: "limit for token " + token + " reached"}
		result := snapshot.Result{Name: "db " + token, Server: hetzner.Server{ID: 1}, Status: snapshot.Failed, Reason: snapshot.Refused, Err: failure, Description: token}
		events := []snapshot.Event{
			{Kind: snapshot.EventHolder, Name: result.Name, Holder: &hetzner.Action{Command: token}},
			{Kind: snapshot.EventFinished, Name: result.Name, Result: &result},
		}
		summary, log := summaryOf(t, secret.New(token), events, snapshot.Outcome{Results: []snapshot.Result{result}})
		shown := html.UnescapeString(summary) + strings.NewReplacer("%25", "%", "%3A", ":", "%2C", ",").Replace(log) +
			strings.NewReplacer(`\\`, `\`, `\"`, `"`).Replace(log)
		masked := strings.Map(func(c rune) rune {
			if strings.ContainsRune("~%:,|`[]#&@\"\\", c) {
				return '_'
			}
			return c
		}, token) // as the timeline would show it
		for i := range len(token) - 5 {
			if strings.Contains(shown, token[i:i+6]) || strings.Contains(summary, masked[i:i+6]) {
				t.Errorf("%q is shown in part: %q\n%s\n%s", token, token[i:i+6], summary, log)
				break
			}
		}
	}
}

// GitHub makes a link of what begins in "www.", also without a scheme.
func TestNothingBecomesALink(t *testing.T) {
	o := results(1)
	o.Results[0].Name = "www.example.com WWW.example.com wwww.example.com https://example.com"
	summary, _ := summaryOf(t, secret.Mask{}, nil, o)
	if lower := strings.ToLower(summary); strings.Contains(lower, "www.") || strings.Contains(lower, "://") {
		t.Errorf("a link is left:\n%s", summary)
	}
}

// Long names that differ only at one end stay different in the timeline.
func TestTimelineTellsLongNamesApart(t *testing.T) {
	var events []snapshot.Event
	var o snapshot.Outcome
	for _, name := range []string{"a-1", "a-2", "b-1", "b-2"} {
		name = name[:1] + strings.Repeat("-long", 20) + name[1:]
		o.Results = append(o.Results, snapshot.Result{Name: name, Status: snapshot.Available})
		events = append(events, snapshot.Event{Kind: snapshot.EventAccepted, Name: name})
	}
	summary, _ := summaryOf(t, secret.Mask{}, events, o)
	seen := map[string]bool{}
	for line := range strings.Lines(summary) {
		if strings.HasPrefix(line, "  section ") {
			seen[line] = true
		}
	}
	if len(seen) != 4 {
		t.Errorf("the timeline's names: %v", seen)
	}
}

// Each cause of a lock_timeout has a sentence of its own, and says what to do about it.
func TestLockTimeout(t *testing.T) {
	for _, tt := range []struct {
		name   string
		holder *hetzner.Action
		err    *hetzner.Error
		want   []string
	}{
		{"held", &hetzner.Action{ID: 7, Command: "migrate_server"}, nil, []string{"still locked by migrate_server (0%, action 7) after 2m00s"}},
		{"hidden", nil, &hetzner.Error{Code: "locked", Correlation: "f21b"}, []string{"still locked after 2m00s, and no operation is known", "give them f21b"}},
		{"shown only", nil, nil, []string{"still locked after 2m00s, and no operation is known", "ask Hetzner's support"}},
		{"maintenance", nil, &hetzner.Error{Code: "maintenance", Message: "m"}, []string{"has it in maintenance, and accepted no snapshot for 2m00s", "Hetzner answered: m"}},
		{"rate limit", nil, &hetzner.Error{Code: hetzner.CodeRateLimit}, []string{"because the project's requests are used up", "Terraform"}},
		{"unreached", nil, &hetzner.Error{Verdict: hetzner.NotSent, Message: "refused"}, []string{"could not be reached for 2m00s", "runner's network"}},
		{"other", nil, &hetzner.Error{Code: "conflict", Verdict: hetzner.NotNow}, []string{"Hetzner refused it for 2m00s"}},
	} {
		result := snapshot.Result{Name: "db-1", Server: hetzner.Server{ID: 1}, Status: snapshot.Failed, Reason: snapshot.LockTimeout,
			LockWait: 2 * time.Minute, Holder: tt.holder, Err: tt.err}
		log := logOf(result)
		for _, want := range tt.want {
			if !strings.Contains(log, want) {
				t.Errorf("%s: %q is not in\n%s", tt.name, want, log)
			}
		}
	}
}

// What is said of an image is about the last one, not about one whose action failed for a lock before it.
func TestAnImageThatGoesOn(t *testing.T) {
	for action, goesOn := range map[int64]bool{1: true, 2: false} {
		result := snapshot.Result{Name: "db-1", Status: snapshot.Failed, Reason: snapshot.LockTimeout, ImageID: 4711, ActionID: 2,
			Action: &hetzner.Action{ID: action, ErrorCode: "locked"}}
		log := logOf(result)
		if strings.Contains(log, "image 4711 goes on being made") != goesOn {
			t.Errorf("the last action is 2, action %d failed:\n%s", action, log)
		}
	}
}

// A command that somebody copies at night holds nothing that a shell would take for its own.
func TestCommandsAreSafeToCopy(t *testing.T) {
	result := snapshot.Result{Name: "db $(reboot)", Server: hetzner.Server{ID: 4711}, Status: snapshot.Available, PowerOnFailed: true, LeftOff: true}
	if log := logOf(result); !strings.Contains(log, "hcloud server poweron 4711 until") {
		t.Errorf("the command is not there by the server's ID:\n%s", log)
	}
}

// commands returns the names of the commands that the runner takes from a log: "::" after leading white space in the new
// form, "##[" anywhere in a line in the old one.
func commands(log string) (names []string) {
	for line := range strings.SplitSeq(strings.ReplaceAll(log, "\r", "\n"), "\n") {
		if command, ok := strings.CutPrefix(strings.TrimSpace(line), "::"); ok {
			name, _, _ := strings.Cut(command, "::")
			name, _, _ = strings.Cut(name, " ")
			names = append(names, name)
		}
		if strings.Contains(line, "##[") {
			names = append(names, line)
		}
	}
	return names
}

// FuzzLog holds everything that is printed against the runner's rules: whatever a text from outside says, the log holds the
// commands that it holds with a harmless text, and no other.
func FuzzLog(f *testing.F) {
	for _, seed := range []string{
		"", "::error::x", "::warning::x", "::group::x", " \t::x", "a\n::x", "a\n::error::x", "a\r\n::error title=x::y", "\n::endgroup::", "##[error]", "#\u0000#[x",
		":\u202e:x", "\u2029::x", "\u2028::error::x", "x :::y", "title=x,file=y::z",
	} {
		f.Add(seed)
	}
	log := func(t *testing.T, text string) string {
		t.Helper()
		var log bytes.Buffer
		r := report.New(report.Options{Out: &log, Getenv: github(t.TempDir())})
		server := hetzner.Server{ID: 1, Name: text, Type: text, Location: text, IPv4: text}
		holder := hetzner.Action{Command: text}
		failure := &hetzner.Error{Code: text, Message: text, Correlation: text}
		result := snapshot.Result{Name: text, Server: server, Status: snapshot.Failed, Reason: snapshot.ActionFailed, Err: failure, Action: &hetzner.Action{ErrorCode: text, ErrorMessage: text}}
		for _, e := range []snapshot.Event{
			{Kind: snapshot.EventSelected, Servers: []hetzner.Server{server}}, {Kind: snapshot.EventHolder, Name: text, Holder: &holder},
			{Kind: snapshot.EventLocked, Name: text, Err: failure}, {Kind: snapshot.EventUnused, Name: text},
			{Kind: snapshot.EventProgress, Standings: []snapshot.Standing{{Name: text, Phase: snapshot.PhaseLocked, Holder: &holder}}}, {Kind: snapshot.EventFinished, Name: text, Result: &result},
			{Kind: snapshot.EventEnded, Name: text, Result: &result}, {Kind: snapshot.EventLeftBefore, Name: text},
			{Kind: snapshot.EventPowerRefused, Name: text, Err: failure}, {Kind: snapshot.EventFull, Name: text, Err: failure},
			{Kind: snapshot.EventThinning, Name: text, Thinned: []thinning.Snapshot{{}}},
			{Kind: snapshot.EventNotDeleted, Name: text, Err: failure}, {Kind: snapshot.EventNotThinned, Name: text, Err: failure},
		} {
			r.Event(e)
		}
		r.Error(text)
		r.Flush(time.Minute)
		return log.String()
	}
	f.Fuzz(func(t *testing.T, text string) {
		got := log(t, text)
		if diff := cmp.Diff(commands(log(t, "harmless")), commands(got)); diff != "" {
			t.Errorf("%q forges a command (-harmless +got):\n%s\n%s", text, diff, got)
		}
		for line := range strings.Lines(got) {
			if body, ok := strings.CutPrefix(strings.TrimSpace(line), "::"); ok && strings.Contains(body, " ::") {
				t.Errorf("%q came out as a command within %q", text, line)
			}
		}
	})
}

// FuzzFiles holds what is written for the runner against its rules: a file of outputs is lines of name=value, or
// name<<delimiter with lines up to the delimiter, and the last one of a name counts; a summary is Markdown.
func FuzzFiles(f *testing.F) {
	for _, seed := range []string{
		"db-1", "a\nimage-id=1", "a\r\nresult=success", "_GitHubActionsFileCommandDelimeter_", "x\n_GitHubActionsFileCommandDelimeter_\nresult<<x\nsuccess\nx",
		"a | b", "<script>", "`x`", "a\u2028result=success", "\x00\xff", "u8jzPde0IgxLd6Gnc", "\u202edb",
	} {
		f.Add(seed)
	}
	const token = "u8jzPde0IgxLd6Gnc"
	f.Fuzz(func(t *testing.T, text string) {
		dir := t.TempDir()
		var log bytes.Buffer
		r := report.New(report.Options{Out: &log, Getenv: github(dir), Mask: secret.New(token)})
		failure := &hetzner.Error{Code: text, Message: text, Correlation: text}
		o := snapshot.Outcome{Price: hetzner.Price{Currency: text, Net: 1, Gross: 1}}
		for i, status := range []snapshot.Status{snapshot.Available, snapshot.Failed, snapshot.Cancelled} {
			result := snapshot.Result{
				Name: fmt.Sprint(text, i), Server: hetzner.Server{ID: int64(i + 1), Name: text, Volumes: []int64{1}}, Status: status, Err: failure,
				Description: text, Request: text, MaySlip: true, SizeGB: 1, ImageID: 7, Holder: &hetzner.Action{Command: text},
				LeftOff: status == snapshot.Cancelled,
				Thinned: []thinning.Snapshot{{Decision: retention.Decision{ID: 3, Reason: text}}},
			}
			o.Results = append(o.Results, result)
			r.Event(snapshot.Event{Kind: snapshot.EventHolder, Name: result.Name, Holder: result.Holder, At: time.Unix(1, 0)})
			r.Event(snapshot.Event{Kind: snapshot.EventFinished, Name: result.Name, Result: &result, At: time.Unix(9, 0)})
		}
		if err := r.OpenOutputs(report.OutputsTo{Summary: true}); err != nil {
			t.Fatal(err)
		}
		if r.DeliverSnapshot(o).Undelivered {
			t.Fatal("the outputs are not handed on")
		}
		r.Flush(time.Minute)
		outputs := map[string]string{}
		lines := strings.Split(strings.TrimSuffix(fileOf(t, dir, "output"), "\n"), "\n")
		for i := 0; i < len(lines); i++ {
			name, delimiter, multi := strings.Cut(lines[i], "<<")
			if !multi || i+2 >= len(lines) || lines[i+2] != delimiter {
				t.Fatalf("output %q is not one line", lines[i])
			}
			if _, twice := outputs[name]; twice {
				t.Fatalf("%s is written twice", name)
			}
			outputs[name] = lines[i+1]
			i += 2
		}
		if len(outputs) != len(new(config.Snapshot).Outputs()) {
			t.Errorf("%d outputs, want %d", len(outputs), len(new(config.Snapshot).Outputs()))
		}
		if outputs["result"] != "cancelled" && outputs["result"] != "partial" {
			t.Errorf("the result is %q", outputs["result"])
		}
		for _, name := range []string{"images", "image-ids", "snapshots", "failed-servers", "servers-left-off", "deleted-image-ids"} {
			if !json.Valid([]byte(outputs[name])) {
				t.Errorf("%s is no JSON: %q", name, outputs[name])
			}
		}
		summary := fileOf(t, dir, "summary")
		for line := range strings.Lines(summary) {
			if strings.HasPrefix(line, "| ") && strings.Count(line, "|") != 7 && strings.Count(line, "|") != 6 {
				t.Errorf("a row of %d cells: %q", strings.Count(line, "|")-1, line)
			}
		}
		for _, tag := range []string{"<br>", "<details>", "<details open>", "</details>", "<summary>", "</summary>", "<code>", "</code>"} {
			summary = strings.ReplaceAll(summary, tag, "")
		}
		if strings.Contains(summary, "<") {
			t.Errorf("the summary holds HTML of others: %q", summary)
		}
		for i := range len(token) - 5 {
			if strings.Contains(log.String()+summary+fmt.Sprint(outputs), token[i:i+6]) {
				t.Errorf("the token is shown in part: %q", token[i:i+6])
			}
		}
	})
}

func fileOf(t *testing.T, dir, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
