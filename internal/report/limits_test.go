package report_test

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/org/hsnap-action/internal/hetzner"
	"github.com/org/hsnap-action/internal/report"
	"github.com/org/hsnap-action/internal/secret"
	"github.com/org/hsnap-action/internal/snapshot"
)

// A summary that would be above the limit is cut at a row, says how many are left out, and is whole otherwise: GitHub drops
// one above 1 MiB.
func TestSummaryAtItsLimit(t *testing.T) {
	const servers = 12_000
	o := results(servers)
	for i := range o.Results {
		o.Results[i].Name = strings.Repeat("very-long-name-", 8) + fmt.Sprint(i)
	}
	summary, _ := summaryOf(t, secret.Mask{}, nil, o)
	rows := strings.Count(summary, "\n| very-long-name-")
	left := regexp.MustCompile(`… and \d+ more`).FindString(summary)
	if len(summary) >= 1<<20 || len(summary) < 700<<10 {
		t.Errorf("%d bytes for %d servers, want nearly 1 MiB and no more", len(summary), servers)
	}
	if left != fmt.Sprintf("… and %d more", servers-rows) {
		t.Errorf("%d rows of %d, and the summary says of the others: %q", rows, servers, left)
	}
}

// GitHub makes a link of a number sign and digits, and a mention of an at sign and a name.
func TestNumbersBecomeNoLinks(t *testing.T) {
	o := results(2)
	o.Results[0].Name = "db #1 acme/shop#2 GH-3 @root"
	o.Results[1] = snapshot.Result{
		Name: "web-1", Server: hetzner.Server{ID: 2}, Status: snapshot.Failed, Reason: snapshot.Refused, Err: &hetzner.Error{Code: "x", Message: "see #4 and @root"},
	}
	summary, _ := summaryOf(t, secret.Mask{}, nil, o)
	if link := regexp.MustCompile(`(^|[^&])#\d+|@\w`).FindString(summary); link != "" {
		t.Errorf("%q becomes a link:\n%s", link, summary)
	}
	if !strings.Contains(summary, "&#35;1") || !strings.Contains(summary, "&#35;4") {
		t.Errorf("the numbers are not shown:\n%s", summary)
	}
}

// The next job reads the output file as another user.
func TestOutputFileIsReadable(t *testing.T) {
	old := syscall.Umask(0o022)
	defer syscall.Umask(old)
	file := filepath.Join(t.TempDir(), "outputs.env")
	if _, err := deliver(t, results(1), off, report.OutputsTo{File: file}); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("the file has the mode %v, error %v; want -rw-r--r--", info.Mode(), err)
	}
}

// The reader of a named pipe takes its first close for the end: the outputs have to come before it.
func TestOutputFileIsAPipe(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "outputs")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	text := make(chan string)
	go func() {
		b, _ := os.ReadFile(pipe)
		text <- string(b)
	}()
	r := report.New(report.Options{Out: io.Discard, Getenv: off})
	to := report.OutputsTo{File: pipe}
	if err := r.OpenOutputs(to); err != nil {
		t.Fatal(err)
	}
	select {
	case b := <-text:
		t.Fatalf("the pipe was closed after %q", b)
	case <-time.After(20 * time.Millisecond):
	}
	if r.DeliverSnapshot(results(1)).Undelivered {
		t.Fatal("the outputs are not handed on")
	}
	has(t, <-text, "HSNAP_RESULT=success\n")
}
