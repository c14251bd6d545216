package action_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/org/hsnap-action/internal/action"
	"github.com/org/hsnap-action/internal/hcloudsim"
	"github.com/org/hsnap-action/internal/hcloudsim/speccheck"
)

// world is everything around one run of the program.
type world struct {
	cloud   *hcloudsim.Cloud
	inputs  map[string]string // as in a workflow: name -> value
	words   []string          // of the command line, after the program: a command
	env     map[string]string // beside the inputs and what every run on GitHub has
	signals []signalAt
	seed    uint64
	dir     string // for the files that the runner hands over
	check   func(http.RoundTripper) http.RoundTripper
	self    int64           // the server that the program runs on, by Hetzner's metadata service; 0: elsewhere
	posts   bool            // a scenario goes on with the post step
	kill    time.Duration   // when the process is killed; 0: never
	again   []time.Duration // a scenario runs the program again, each so long after the run before
	runs    int             // how many runs of the workflow were before this one
	power   *powerLog       // nil where nobody watches it
	breaks  uint32          // one in so many requests whose answer is lost breaks off while it is written; 0: none
	maybe   bool            // the process may be over before it is killed
}

// network is the simulated API, and the metadata service beside it.
type network struct {
	api  http.RoundTripper
	self int64
}

func (n network) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Host != "169.254.169.254" {
		return n.api.RoundTrip(r)
	}
	if r.Header.Get("Authorization") != "" {
		panic("the metadata service was sent the token")
	}
	if n.self == 0 || r.URL.Path != "/hetzner/v1/metadata/instance-id" {
		return nil, syscall.EHOSTUNREACH
	}
	rec := httptest.NewRecorder()
	_, _ = fmt.Fprintln(rec, n.self)
	return rec.Result(), nil
}

// sample checks only some of the replies against the API description: those of a long run are much alike.
func (w *world) sample(t *testing.T) {
	t.Helper()
	w.check = func(rt http.RoundTripper) http.RoundTripper { return speccheck.Sampled(t, rt, 100) }
}

type signalAt struct {
	after  time.Duration
	signal syscall.Signal
}

// newWorld returns a world without servers. Call it in a synctest bubble.
func newWorld(t *testing.T, o hcloudsim.Options) *world {
	t.Helper()
	if o.MaxLatency == 0 {
		o.MinLatency, o.MaxLatency = 20*time.Millisecond, 180*time.Millisecond
	}
	return &world{
		cloud: hcloudsim.New(o), inputs: map[string]string{}, env: map[string]string{}, seed: o.Seed, dir: t.TempDir(),
		check: func(rt http.RoundTripper) http.RoundTripper { return speccheck.Wrap(t, rt) },
	}
}

// ran is what is left of a run.
type ran struct {
	code    int
	log     string
	outputs map[string]string
	order   []string // the outputs' names as written
	summary string
	state   map[string]string // what the step hands to its post step
	took    time.Duration

	started  time.Time
	silence  time.Duration // how long the log said nothing, at most
	selected time.Time     // when the log named the servers; zero if it never did
	trace    []*exchange   // what it sent
}

// logWriter keeps the log, and notes when the selection was over, and how long it was silent at most.
type logWriter struct {
	text     strings.Builder
	selected time.Time
	last     time.Time // when something was written the last time
	silence  time.Duration
}

func (w *logWriter) Write(p []byte) (int, error) {
	if w.selected.IsZero() && strings.Contains(string(p), " selected") {
		w.selected = time.Now()
	}
	w.pause()
	return w.text.Write(p)
}

// pause notes how long nothing was written.
func (w *logWriter) pause() {
	w.silence, w.last = max(w.silence, time.Since(w.last)), time.Now()
}

// endless is how long a run may take before it is stopped, in the bubble's time.
const endless = 48 * time.Hour

// run runs the program to its end, in the bubble's time.
func (w *world) run(t *testing.T) ran { return w.runAs(t, "/hsnap-action") }

// post runs the program as the post step of the step that has run.
func (w *world) post(t *testing.T, r ran) ran {
	w.signals, w.kill = nil, 0
	for name, value := range r.state {
		w.env["STATE_"+name] = value
	}
	return w.runAs(t, "/hsnap-post")
}

// runAgain runs the program as the workflow's next run does.
func (w *world) runAgain(t *testing.T, after time.Duration) ran {
	time.Sleep(after)
	w.signals, w.kill = nil, 0
	w.runs++
	w.env["GITHUB_RUN_ID"], w.env["GITHUB_RUN_NUMBER"] = strconv.Itoa(8123456789+w.runs), strconv.Itoa(7+w.runs)
	maps.DeleteFunc(w.env, func(name, _ string) bool { return strings.HasPrefix(name, "STATE_") })
	return w.run(t)
}

func (w *world) runAs(t *testing.T, program string) ran {
	t.Helper()
	output, summary, state := filepath.Join(w.dir, "output"), filepath.Join(w.dir, "summary"), filepath.Join(w.dir, "state")
	env := map[string]string{
		"GITHUB_ACTIONS": "true", "GITHUB_OUTPUT": output, "GITHUB_STEP_SUMMARY": summary, "GITHUB_STATE": state,
		"GITHUB_RUN_ID": "8123456789", "GITHUB_RUN_ATTEMPT": "1", "GITHUB_RUN_NUMBER": "7",
		"GITHUB_REPOSITORY": "acme/shop", "GITHUB_WORKFLOW": "nightly", "GITHUB_REF_NAME": "main", "GITHUB_SHA": strings.Repeat("c0ffee00", 5),
		"INPUT_HCLOUD-TOKEN": hcloudsim.DefaultToken, "INPUT_API-ENDPOINT": "http://127.0.0.1/v1",
	}
	for name, value := range w.inputs {
		env["INPUT_"+strings.ToUpper(name)] = value
	}
	maps.Copy(env, w.env)
	if env["CI"] == "woodpecker" { // it has a form of its own
		for name, value := range env {
			if input, ok := strings.CutPrefix(name, "INPUT_"); ok {
				env["PLUGIN_"+strings.ReplaceAll(input, "-", "_")] = value
				delete(env, name)
			}
		}
	}
	for _, file := range []string{output, summary, state} {
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}

	signals := make(chan os.Signal, 2)
	over := make(chan struct{})
	defer close(over)
	for _, s := range append(w.signals, signalAt{endless, syscall.SIGTERM}, signalAt{endless, syscall.SIGTERM}) {
		go func() {
			select {
			case <-time.After(s.after):
				signals <- s.signal
			case <-over:
			}
		}()
	}
	kill := killLater(w.kill, []string{output, summary, state}, signals, over)
	kill.maybe = w.maybe
	api := w.check(w.cloud.Transport())
	if w.breaks > 0 {
		api = wire{api, w.breaks}
	}
	var sent trace
	start := time.Now()
	log := logWriter{last: start}
	p := action.Process{
		Args: append([]string{program}, w.words...), Version: "test", Out: killableWriter{&log, kill}, Signals: signals,
		Transport: killableNetwork{network{sent.record(api), w.self}, kill}, Dial: w.cloud.Dial,
		Rand: rand.NewChaCha8([32]byte{byte(w.seed), byte(w.seed >> 8), byte(w.seed >> 16), byte(w.runs)}),
	}
	for _, name := range slices.Sorted(maps.Keys(env)) {
		p.Env = append(p.Env, name+"="+env[name])
	}
	var r ran
	code := p.Main(t.Context())
	if took := time.Since(start); took >= endless {
		t.Errorf("the run would never end:\n%.20000s", log.text.String())
	}
	log.pause()
	r.code, r.took = kill.finish(t, code, time.Since(start))
	r.started, r.trace = start, sent.list
	r.log, r.selected, r.silence = log.text.String(), log.selected, log.silence
	r.outputs, r.order = readOutputs(t, output)
	r.summary = read(t, summary)
	r.state, _ = readOutputs(t, state)
	if r.code != exitKilled {
		w.always(t, r, env, program == "/hsnap-post")
	}
	return r
}

func read(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// readOutputs reads GITHUB_OUTPUT or GITHUB_STATE by the runner's rules: name=value, or name<<delimiter, lines, delimiter.
func readOutputs(t *testing.T, file string) (outputs map[string]string, order []string) {
	t.Helper()
	outputs = map[string]string{}
	lines := bufio.NewScanner(strings.NewReader(read(t, file)))
	lines.Buffer(nil, 1<<22)
	for lines.Scan() {
		line := lines.Text()
		if name, delimiter, ok := strings.Cut(line, "<<"); ok && !strings.Contains(name, "=") {
			var value []string
			for lines.Scan() && lines.Text() != delimiter {
				value = append(value, lines.Text())
			}
			outputs[name] = strings.Join(value, "\n")
			order = append(order, name)
			continue
		}
		name, value, ok := strings.Cut(line, "=")
		if !ok {
			t.Fatalf("GITHUB_OUTPUT holds the line %q", line)
		}
		outputs[name] = value
		order = append(order, name)
	}
	return outputs, order
}

// server is one object of the output "snapshots".
type server struct {
	ServerID        *int64  `json:"server_id"`
	Name            string  `json:"server_name"`
	Status          string  `json:"status"`
	Reason          string  `json:"reason"`
	Message         string  `json:"message"`
	ImageID         *int64  `json:"image_id"`
	ActionID        *int64  `json:"action_id"`
	LockWaitSeconds float64 `json:"lock_wait_seconds"`
	DurationSeconds float64 `json:"duration_seconds"`
	Reused          bool    `json:"reused"`
}

func (r ran) snapshots(t reporter) []server {
	t.Helper()
	var list []server
	decode(t, r.outputs["snapshots"], &list)
	return list
}

func decode(t reporter, text string, v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), v); err != nil {
		t.Fatalf("%q is not JSON: %v", text, err)
	}
}

// history prints the requests that arrived, one a line.
func (w *world) history() string {
	var b strings.Builder
	var start time.Time
	for i, x := range w.cloud.History() {
		if i == 0 {
			start = x.At
		}
		path := x.Path
		if x.Query != "" {
			path += "?" + x.Query
		}
		fmt.Fprintf(&b, "%10.3fs %-6s %-90s %d %s\n", x.At.Sub(start).Seconds(), x.Method, path, x.Status, x.Fault)
	}
	return b.String()
}
