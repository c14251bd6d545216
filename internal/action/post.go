package action

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/org/hsnap-action/internal/config"
	"github.com/org/hsnap-action/internal/report"
	"github.com/org/hsnap-action/internal/secret"
	"github.com/org/hsnap-action/internal/snapshot"
)

// A run that was killed can't switch its servers on again. On GitHub the action's post step does: the same program under
// another name. It reads from the step's state which servers may be off.
const (
	postName = "hsnap-post"
	stateOff = "off" // the post step gets it as STATE_off
)

// isPost reports whether the program runs as the post step.
func (p Process) isPost() bool { return len(p.Args) > 0 && filepath.Base(p.Args[0]) == postName }

// runPost switches on the servers that the step left off. After a step that left none off it sends nothing. No input but
// the token and the endpoint is read, so that no other can keep a server off.
func (p Process) runPost(ctx context.Context, r *report.Report, mask secret.Mask) int {
	left := decode(p.getenv("STATE_" + stateOff))
	if len(left) == 0 {
		return exitSuccess
	}
	access, err := config.LoadAccess(p.Env)
	if err != nil {
		r.Mistakes(err)
		for _, s := range left {
			r.Untried(s.Server)
		}
		return exitFailure
	}
	r.Ask(report.Asked{Endpoint: string(access.APIEndpoint)})
	r.Line("the step has left servers off, or may have; switching them on")
	o := snapshot.Rescue(ctx, p.client(access, mask, r), snapshot.Settings{Late: isLate}, left, p.Signals, r.Event)
	r.Explain(o)
	return exitCode(o)
}

// encode returns the servers that may be off as text: their IDs, each with the UNIX second until which its guest may still
// shut down.
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

// decode reads the text that encode returned, and skips every part that is no server's ID. A server that occurs twice is
// one server, which may go down until the later time.
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
		if i := slices.IndexFunc(off, func(o snapshot.Recorded) bool { return o.Server == server }); i < 0 {
			off = append(off, r)
		} else if off[i].Until.Before(r.Until) {
			off[i] = r
		}
	}
	return off
}
