package action_test

import (
	"io"
	"net/http"
	"os"
	"syscall"
	"testing"
	"time"
)

// exitKilled is what a runner sees of a process that SIGKILL ended.
const exitKilled = 128 + int(syscall.SIGKILL)

// kill is a SIGKILL: from then on nothing that the process sends or writes arrives. A goroutine can't be killed, so the
// process gets two signals instead, which end it at once, and what it does until then is dropped.
type kill struct {
	after time.Duration // zero: never
	maybe bool          // the process may be over by then
	done  chan struct{}
	files map[string]string // as the process left them
}

// killLater kills the process after the given time, unless it is over before.
func killLater(after time.Duration, files []string, signals chan<- os.Signal, over <-chan struct{}) *kill {
	k := &kill{after: after, done: make(chan struct{}), files: map[string]string{}}
	if after == 0 {
		return k
	}
	go func() {
		select {
		case <-time.After(after):
		case <-over:
			return
		}
		for _, file := range files {
			text, _ := os.ReadFile(file) // they exist
			k.files[file] = string(text)
		}
		close(k.done)
		for range 2 {
			select {
			case signals <- syscall.SIGINT:
			case <-over:
			}
		}
	}()
	return k
}

func (k *kill) happened() bool {
	select {
	case <-k.done:
		return true
	default:
		return false
	}
}

// finish undoes what the process wrote after it was killed, and returns how it ended.
func (k *kill) finish(t *testing.T, code int, took time.Duration) (int, time.Duration) {
	t.Helper()
	if !k.happened() {
		if k.after > 0 && !k.maybe {
			t.Errorf("the run was over after %s, before it was killed", took)
		}
		return code, took
	}
	for file, text := range k.files {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return exitKilled, k.after
}

// killableNetwork sends nothing once the process is killed, and answers nothing any more. What is on its way by then
// arrives.
type killableNetwork struct {
	http.RoundTripper
	kill *kill
}

func (n killableNetwork) RoundTrip(r *http.Request) (res *http.Response, err error) {
	if !n.kill.happened() {
		res, err = n.RoundTripper.RoundTrip(r)
	}
	if !n.kill.happened() {
		return res, err
	}
	if res != nil {
		_ = res.Body.Close()
	}
	<-r.Context().Done()
	return nil, r.Context().Err()
}

// killableWriter drops what is written once the process is killed.
type killableWriter struct {
	io.Writer
	kill *kill
}

func (w killableWriter) Write(p []byte) (int, error) {
	if w.kill.happened() {
		return len(p), nil
	}
	return w.Writer.Write(p)
}
