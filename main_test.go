package main

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/org/hsnap-action/internal/hcloudsim"
)

// The program that users run must not carry the simulator, nor what only tests need.
func TestShipsNoSimulator(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	deps := strings.Fields(string(out))
	if !slices.Contains(deps, "github.com/org/hsnap-action/internal/action") {
		t.Fatalf("go list names %d packages, and not our own", len(deps))
	}
	for _, dep := range deps {
		if strings.Contains(dep, "hcloudsim") || strings.Contains(dep, "jsonschema") || strings.Contains(dep, "go-cmp") {
			t.Errorf("the program links %s", dep)
		}
	}
}

// process is the real program, running.
type process struct {
	cmd     *exec.Cmd
	log     *lockedBuffer
	outputs string
}

// lockedBuffer is written by the process while the test reads it.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func build(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "hsnap-action")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return binary
}

func start(t *testing.T, binary string, cloud http.Handler, env ...string) process {
	t.Helper()
	api := httptest.NewServer(cloud)
	t.Cleanup(api.Close)
	p := process{cmd: exec.CommandContext(t.Context(), binary), log: &lockedBuffer{}, outputs: filepath.Join(t.TempDir(), "output")}
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	p.cmd.Env = append([]string{
		"GITHUB_ACTIONS=true", "GITHUB_OUTPUT=" + p.outputs, "INPUT_HCLOUD-TOKEN=" + hcloudsim.DefaultToken,
		"INPUT_API-ENDPOINT=" + api.URL + "/v1", "INPUT_SERVERS=*",
	}, env...)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return p
}

// until waits for a line of the log.
func (p process) until(t *testing.T, text string) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if strings.Contains(p.log.String(), text) {
			return
		}
	}
	t.Fatalf("the log never says %q:\n%s", text, p.log)
}

func (p process) signal(t *testing.T, s os.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		t.Fatalf("send %v: %v", s, err)
	}
}

// end waits for the end, and returns the exit code, the time that it took, and the outputs.
func (p process) end(t *testing.T) (code int, took time.Duration, outputs string) {
	t.Helper()
	begin := time.Now()
	_ = p.cmd.Wait() // the exit code says it all
	took = time.Since(begin)
	b, err := os.ReadFile(p.outputs)
	if err != nil {
		t.Errorf("read the outputs: %v", err)
	}
	return p.cmd.ProcessState.ExitCode(), took, string(b)
}

// Cancelling the real process: outputs are written and it is gone within 5 s, at once after a second signal.
func TestSignals(t *testing.T) {
	binary := build(t)
	waiting := func() *hcloudsim.Cloud { // for a lock
		cloud := hcloudsim.New(hcloudsim.Options{})
		cloud.Lock(cloud.AddServer(hcloudsim.Server{Name: "db-1"}), hcloudsim.Lock{})
		return cloud
	}
	asking := func() *hcloudsim.Cloud { // for a snapshot, without an answer
		cloud := hcloudsim.New(hcloudsim.Options{})
		cloud.AddServer(hcloudsim.Server{Name: "db-1"})
		cloud.Inject(hcloudsim.Fault{Kind: hcloudsim.Slow, Method: "POST", Delay: time.Minute})
		return cloud
	}
	tests := []struct {
		name       string
		cloud      func() *hcloudsim.Cloud
		until      string
		signals    []os.Signal
		code       int
		within     time.Duration
		afterwards string // in the outputs
	}{
		{"SIGINT while it waits", waiting, "locked, waiting", []os.Signal{syscall.SIGINT}, 130, time.Second, "cancelled"},
		{"SIGTERM while it waits", waiting, "locked, waiting", []os.Signal{syscall.SIGTERM}, 143, time.Second, "cancelled"},
		{"SIGINT while it asks", asking, "asking for a snapshot", []os.Signal{syscall.SIGINT}, 130, 5 * time.Second, `"image_id":200000001`},
		{"a second signal", asking, "asking for a snapshot", []os.Signal{syscall.SIGINT, syscall.SIGTERM}, 130, time.Second, "may still appear"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := start(t, binary, tt.cloud())
			p.until(t, tt.until)
			for i, s := range tt.signals {
				if i > 0 {
					p.until(t, "cancelled:") // two signals at once could arrive in either order
				}
				p.signal(t, s)
			}
			code, took, outputs := p.end(t)
			if code != tt.code || took > tt.within {
				t.Errorf("exit %d after %s, want %d within %s\n%s", code, took, tt.code, tt.within, p.log)
			}
			if !strings.Contains(outputs, "cancelled") || !strings.Contains(outputs, tt.afterwards) {
				t.Errorf("the outputs lack %q:\n%s", tt.afterwards, outputs)
			}
		})
	}
}

// chatty is a gateway that sends a second answer after the first, unasked, over a connection that it keeps open.
type chatty struct {
	cloud    http.Handler
	requests *atomic.Int64
}

func (c chatty) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.requests.Add(1)
	answer := httptest.NewRecorder()
	c.cloud.ServeHTTP(answer, r)
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer func() { _ = conn.Close() }()
	result := answer.Result()
	result.ContentLength = int64(answer.Body.Len())
	var b bytes.Buffer
	_ = result.Write(&b)
	b.WriteString("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	_, _ = conn.Write(b.Bytes())
	_, _ = io.Copy(io.Discard, conn) // until the program has noticed
}

// net/http reports odd servers to the standard logger, which would put their words past everything that guards the log.
func TestNetHTTPLogsNothing(t *testing.T) {
	cloud := hcloudsim.New(hcloudsim.Options{})
	cloud.Lock(cloud.AddServer(hcloudsim.Server{Name: "db-1"}), hcloudsim.Lock{})
	gateway := chatty{cloud, new(atomic.Int64)}
	p := start(t, build(t), gateway)
	p.until(t, "locked, waiting")
	for deadline := time.Now().Add(20 * time.Second); gateway.requests.Load() < 2 && time.Now().Before(deadline); {
		time.Sleep(5 * time.Millisecond)
	}
	p.signal(t, syscall.SIGINT)
	if code, _, _ := p.end(t); code != 130 || gateway.requests.Load() < 2 {
		t.Errorf("exit %d after %d requests, want 130 after 2 or more\n%s", code, gateway.requests.Load(), p.log)
	}
	if strings.Contains(p.log.String(), "Unsolicited") {
		t.Errorf("net/http writes to the log:\n%s", p.log)
	}
}

func TestHelpAndVersion(t *testing.T) {
	binary := build(t)
	for argument, want := range map[string]string{"--help": "lock-timeout", "--version": "hsnap-action dev"} {
		out, err := exec.CommandContext(t.Context(), binary, argument).Output()
		if err != nil || !strings.Contains(string(out), want) {
			t.Errorf("%s: %v, prints no %q:\n%s", argument, err, want, out)
		}
	}
	if err := exec.CommandContext(t.Context(), binary, "snapshots").Run(); err == nil {
		t.Error("an unknown command is taken for a run")
	}
}
