package action_test

import (
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/org/hsnap-action/internal/action"
	"github.com/org/hsnap-action/internal/hcloudsim"
)

// stalled is a log whose reader has stopped reading.
type stalled chan struct{}

func (s stalled) Write([]byte) (int, error) {
	<-s
	return 0, io.ErrClosedPipe
}

// A log that nobody reads delays no request, and the end by 2 s at most; after a cancel everything is over in 5 s.
func TestLogThatNobodyReads(t *testing.T) {
	for cancel, end := range map[time.Duration]time.Duration{0: 2 * time.Second, 20 * time.Second: 400 * time.Millisecond} {
		var codes []int
		var requests []string
		var took []time.Duration
		for _, unread := range []bool{false, true} {
			inBubble(t, hcloudsim.Options{}, func(t *testing.T, w *world) {
				w.cloud.AddServer(hcloudsim.Server{Name: "db-1", Snapshot: hcloudsim.SnapshotBehaviour{Duration: time.Minute}})
				reader := make(stalled)
				p := action.Process{
					Args: []string{"/hsnap-action"}, Out: io.Discard, Transport: w.cloud.Transport(), Rand: rand.NewChaCha8([32]byte{}),
					Env: []string{"HCLOUD_TOKEN=" + hcloudsim.DefaultToken, "HCLOUD_ENDPOINT=http://127.0.0.1/v1", "HSNAP_SERVERS=db-1"},
				}
				if unread {
					p.Out = reader
				}
				if cancel > 0 {
					signals := make(chan os.Signal, 1)
					time.AfterFunc(cancel, func() { signals <- syscall.SIGINT })
					p.Signals = signals
				}
				start := time.Now()
				codes = append(codes, p.Main(t.Context()))
				took = append(took, time.Since(start))
				requests = append(requests, w.history())
				close(reader)
			})
		}
		if codes[0] != codes[1] || requests[0] != requests[1] || took[1]-took[0] != end {
			t.Errorf("cancelled after %s: %s", cancel, fmt.Sprintln(codes, took, "\n"+requests[0]+"\nunread\n"+requests[1]))
		}
	}
}
