package report

import (
	"io"
	"regexp"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/org/hsnap-action/internal/secret"
)

// writer is the only writer of the program. A log that nobody reads must delay no request: text is queued, and while
// there is any, a goroutine writes it.
type writer struct {
	out   io.Writer
	mask  secret.Mask
	timed bool // lines of the log begin with the time

	mu    sync.Mutex
	queue []string
	idle  chan struct{} // closed when everything is written; nil while that is so
}

// line writes a line of the log.
func (w *writer) line(text string) {
	if w.timed {
		text = time.Now().UTC().Format(time.TimeOnly) + " " + text
	}
	w.print(text)
}

// print writes a line that is no part of the log.
func (w *writer) print(text string) { w.write(defuse(w.mask.Hide(clean(text))) + "\n") }

func (w *writer) write(text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.queue = append(w.queue, text)
	if w.idle == nil {
		w.idle = make(chan struct{})
		go w.drain()
	}
}

// drain writes what is queued, until nothing is. A log that can't be written is no reason to leave servers half done, so
// errors are ignored.
func (w *writer) drain() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.queue) > 0 {
		text := strings.Join(w.queue, "")
		w.queue = nil
		w.mu.Unlock()
		_, _ = io.WriteString(w.out, text)
		w.mu.Lock()
	}
	close(w.idle)
	w.idle = nil
}

// flush waits until everything is written, or until the limit.
func (w *writer) flush(limit time.Duration) {
	w.mu.Lock()
	idle := w.idle
	w.mu.Unlock()
	if idle != nil {
		select {
		case <-idle:
		case <-time.After(limit):
		}
	}
}

// Write writes a workflow command, which go-githubactions has escaped. The runner looks for the old form of a command
// anywhere in a line, also inside the new form.
func (w *writer) Write(command []byte) (int, error) {
	w.write(strings.ReplaceAll(w.mask.Hide(string(command)), "##[", "## ["))
	return len(command), nil
}

// clean makes text from outside fit for one line: control characters would break or paint it, and those that change
// the direction of writing would let it read as something else.
func clean(s string) string {
	return strings.Map(func(c rune) rune {
		switch {
		case c == '\n', c == '\r', c == '\t', c == '\u2028', c == '\u2029':
			return ' '
		case unicode.IsControl(c), unicode.Is(unicode.Bidi_Control, c):
			return -1
		}
		return c
	}, strings.ToValidUTF8(s, "\uFFFD"))
}

// commandMarks are what a runner may take for the beginning of a workflow command. It minds them at the beginning of a
// line only; after other white space they are no use to anybody either.
var commandMarks = regexp.MustCompile(`(^|[\s\v\x{85}\p{Z}])::+`)

// defuse keeps a runner from taking a line for a workflow command.
func defuse(line string) string {
	line = commandMarks.ReplaceAllStringFunc(line, func(s string) string { return strings.ReplaceAll(s, ":", ": ") })
	return strings.ReplaceAll(line, "##[", "## [")
}
