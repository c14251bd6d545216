package action

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/org/hsnap-action/internal/config"
	"github.com/org/hsnap-action/internal/report"
	"github.com/org/hsnap-action/internal/secret"
	"github.com/org/hsnap-action/internal/snapshot"
)

// A run that is killed can switch nothing on any more. On GitHub the step's post step does it instead: the same binary
// under another name, which reads from the step's state what may be off.
const (
	postName = "hsnap-post"
	stateOff = "off" // the post step gets it as STATE_off
)

// isPost reports whether the program runs as the step's post step.
func (p Process) isPost() bool { return len(p.Args) > 0 && filepath.Base(p.Args[0]) == postName }

// post switches on what the step has left off. After a run that ended well that is nothing, and nothing is sent.
func (p Process) post(ctx context.Context, r *report.Report, mask secret.Mask) int {
	left := decode(p.getenv("STATE_" + stateOff))
	if len(left) == 0 {
		return exitSuccess
	}
	cfg, err := config.Load(p.Env)
	if err != nil {
		r.Mistakes(err)
		return exitInputs
	}
	r.Ask(asked(cfg))
	r.Line("the step has left servers off, or may have; switching them on")
	o := snapshot.Rescue(ctx, p.client(cfg, mask, r), settings(cfg, p.Rand), left, p.Signals, r.Event)
	r.Explain(o)
	return exitCode(o)
}

// encode writes down which servers may be off: IDs, each with the second until which its guest may still shut down.
func encode(off []snapshot.Recorded) string {
	parts := make([]string, len(off))
	for i, s := range off {
		parts[i] = strconv.FormatInt(s.Server, 10)
		if !s.Until.IsZero() {
			parts[i] += fmt.Sprintf("@%d", s.Until.Unix())
		}
	}
	return strings.Join(parts, ",")
}

// decode reads what encode has written. What makes no sense is left out: it is nobody's server.
func decode(text string) []snapshot.Recorded {
	var off []snapshot.Recorded
	for part := range strings.SplitSeq(text, ",") {
		id, until, timed := strings.Cut(strings.TrimSpace(part), "@")
		server, err := strconv.ParseInt(id, 10, 64)
		if err != nil || server <= 0 {
			continue
		}
		r := snapshot.Recorded{Server: server}
		if second, err := strconv.ParseInt(until, 10, 64); timed && err == nil {
			r.Until = time.Unix(second, 0)
		}
		off = append(off, r)
	}
	return off
}
