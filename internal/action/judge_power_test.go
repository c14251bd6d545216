package action_test

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/org/hsnap-action/internal/hcloudsim"
)

// linger is how long after its time a guest is watched that did not shut down.
const linger = time.Minute

// judgePower fails where a server that ran is off and the report does not shout.
func judgePower(t reporter, w *world, p plan, r ran) {
	t.Helper()
	var left []string
	decode(t, r.outputs["servers-left-off"], &left)
	warned := map[string]bool{}
	for _, s := range r.snapshots(t) {
		if s.ServerID == nil {
			continue
		}
		// The guest may go down after the minute in which it is watched: the message says so.
		lost := len(r.sentTo(*s.ServerID, "shutdown", lostAnswer)) > 0
		inTime := s.Reason != "shutdown_timeout" || r.code != 130 && r.code != 3 && !lost
		warned[s.Name] = !inTime || p.guest[*s.ServerID]-p.stopTimeout > linger-10*time.Second
	}
	for _, s := range w.cloud.Servers() {
		off := s.Status != "running" && s.Status != "starting"
		stopped := len(r.sentTo(s.ID, "shutdown")) > 0
		switch {
		case p.running[s.ID] && off && !slices.Contains(left, s.Name) && !warned[s.Name]:
			t.Errorf("%s ran, is %s after %v, and the report does not say so", s.Name, s.Status, s.Commands)
		case p.shutdown == "never" && len(s.Commands) > 0:
			t.Errorf("%s was sent %v", s.Name, s.Commands)
		case slices.Contains(left, s.Name) && !stopped && !p.leftBefore[s.ID]:
			t.Errorf("%s is said to be left off and was never touched", s.Name)
		case len(r.sentTo(s.ID, "poweron")) > 0 && !stopped:
			t.Errorf("%s was switched on, and this run has not switched it off", s.Name)
		case p.shutdown == "graceful" && len(r.sentTo(s.ID, "poweroff")) > 0:
			t.Errorf("a graceful run has powered off %s", s.Name)
		}
	}
	for _, s := range r.snapshots(t) {
		// Somebody may have switched it on since: what counts is that the run found it off.
		found := s.ServerID != nil && strings.Contains(r.log, fmt.Sprintf("%s  ID %d, off,", s.Name, *s.ServerID))
		if found && p.leftBefore[*s.ServerID] && s.Status != "cancelled" && !slices.Contains(left, s.Name) {
			t.Errorf("%s was left off by an earlier run, and the report does not say so", s.Name)
		}
	}
	if len(left) > 0 && r.code == 0 {
		t.Errorf("%v are left off, and the run succeeds", left)
	}
}

// sentTo returns the requests for an action on a server that were answered in one of some ways, or in any.
func (r ran) sentTo(server int64, action string, verdicts ...verdict) (sent []*exchange) {
	for _, x := range r.trace {
		if id, a := x.act(); id == server && a == action && (verdicts == nil || slices.Contains(verdicts, x.verdict())) {
			sent = append(sent, x)
		}
	}
	return sent
}

// downtime is a time in which a server was off because of this run.
type downtime struct {
	server   int64
	from, to time.Time // from the accepted shutdown until it was running again, which it may have been a little longer
}

// downtimes returns when servers were off because of this run, by the project's own truth. Those that somebody else
// switches off are left out, and so are guests that go down long after their time, which nobody watches for.
func (r ran) downtimes(w *world, p plan) (times []downtime) {
	for _, id := range slices.Sorted(maps.Keys(w.power.spans)) {
		spans := w.power.spans[id]
		for i, span := range spans {
			if i == 0 || !p.running[id] || spans[i-1].status != "running" {
				continue
			}
			var asked *exchange
			for _, x := range r.sentTo(id, "shutdown", accepted, lostAnswer) {
				if x.sent.Before(span.from) {
					asked = x
				}
			}
			if asked == nil || span.from.Sub(asked.done) > p.stopTimeout+linger {
				continue
			}
			down := downtime{id, asked.done, r.started.Add(r.took)}
			if asked.verdict() != accepted || down.from.After(span.from) || down.from.Before(spans[i-1].from) {
				down.from = span.from
			}
			for _, later := range spans[i:] {
				if later.status == "running" {
					down.to = later.from.Add(-w.power.every)
					break
				}
			}
			times = append(times, down)
		}
	}
	return times
}

// judgeDowntime fails where more servers were off at once than the user allows, where the next one was switched off before
// the last one had settled, or where a server was switched off that no poll had shown running and unlocked.
func judgeDowntime(t reporter, w *world, p plan, r ran) {
	t.Helper()
	if p.shutdown == "never" {
		return
	}
	times := r.downtimes(w, p)
	for _, down := range times {
		var at []int64
		for _, other := range times {
			if !down.from.Before(other.from) && down.from.Before(other.to) {
				at = append(at, other.server)
			}
		}
		if len(at) > p.maxUnavailable {
			t.Errorf("servers %v were off at once, max-unavailable is %d", at, p.maxUnavailable)
		}
	}
	for _, x := range r.trace {
		id, action := x.act()
		if action != "shutdown" {
			continue
		}
		var last *shownServer
		var asked time.Time
		for _, poll := range r.answers() {
			if shown := poll.shows(id); shown != nil && !poll.done.After(x.sent) {
				last, asked = shown, poll.sent
			}
		}
		if last == nil || last.Status != "running" || last.Locked {
			t.Errorf("server %d was asked to shut down, the last poll had shown %+v", id, last)
		}
		for _, down := range times {
			back := r.first(func(poll *exchange) bool {
				shown := poll.shows(down.server)
				return shown != nil && shown.Status == "running" && !poll.done.Before(down.to)
			})
			// What was seen after the poll before it, or with it, was seen too late.
			settled := x.sent.Sub(back.done)
			waits := slices.ContainsFunc(r.sentTo(down.server, "poweron"), func(on *exchange) bool { // for an answer, before it polls
				return !on.sent.After(back.done) && on.done.After(back.done)
			})
			ours := slices.ContainsFunc(r.sentTo(down.server, "poweron"), func(on *exchange) bool { // else nobody looked for it yet
				return !on.sent.After(back.done) && (on.verdict() == accepted || on.verdict() == lostAnswer)
			})
			if !back.done.IsZero() && asked.After(back.done) && settled < p.settle && !waits && ours {
				t.Errorf("server %d was asked to shut down %s after server %d was seen running again; settle-time is %s", id, settled, down.server, p.settle)
			}
		}
	}
}

// judgeMarks fails where a snapshot does not say, by the label hsnap/power, what its server's power is.
func judgeMarks(t reporter, w *world, p plan, r ran) {
	t.Helper()
	var times []downtime
	if w.power != nil {
		times = r.downtimes(w, p)
	}
	for _, server := range r.asked() {
		for _, create := range r.creates(server) {
			label, marked := create.labels()["hsnap/power"]
			off := slices.ContainsFunc(times, func(d downtime) bool {
				return d.server == server && d.from.Before(create.sent) && create.sent.Before(d.to) && w.power.at(server, create.sent) == "off"
			})
			switch {
			case marked && (label != "pending" || len(r.sentTo(server, "shutdown", accepted, lostAnswer)) == 0):
				t.Errorf("server %d, which this run has not switched off, is asked for a snapshot with hsnap/power=%s", server, label)
			case off && !marked:
				t.Errorf("server %d, which is off because of this run, is asked for a snapshot without hsnap/power", server)
			}
		}
	}
	var left []string
	decode(t, r.outputs["servers-left-off"], &left)
	running := map[int64]bool{}
	for _, s := range w.cloud.Servers() {
		running[s.ID] = s.Status == "running" && !slices.Contains(left, s.Name)
	}
	for _, image := range w.cloud.Images() {
		power := image.Labels["hsnap/power"]
		if image.Labels["hsnap/run"] != p.run || power == "" {
			continue
		}
		changes := r.relabelled(image.ID)
		judgeRelabelling(t, r, image, changes)
		if power == "pending" && running[image.ServerID] && r.code != 130 && !r.refusedToken() && len(changes) < 4 && !r.listsNothing(image, changes) {
			t.Errorf("server %d is running, its image %d says hsnap/power=pending, and that was tried to be corrected %d times", image.ServerID, image.ID, len(changes))
		}
	}
}

// listsNothing reports whether an image was asked for by its request label, more than once, and no listing was answered,
// since the last of some changes or else since its server was last asked to switch on: then there are no labels to correct.
func (r ran) listsNothing(image hcloudsim.Image, changes []*exchange) bool {
	var since time.Time
	for _, x := range slices.Concat(r.sentTo(image.ServerID, "poweron"), changes) {
		if x.sent.After(since) {
			since = x.sent
		}
	}
	asked := 0
	for _, x := range r.trace {
		if x.method != http.MethodGet || x.path != "/images" || !strings.Contains(x.query, image.Labels["hsnap/request"]) || x.sent.Before(since) {
			continue
		}
		if asked++; x.listsAll(image.Labels["hsnap/request"]) { // a broken list is none
			return false
		}
	}
	return asked > 1
}

// relabelled returns the requests that set an image's labels.
func (r ran) relabelled(image int64) []*exchange {
	return slices.DeleteFunc(slices.Clone(r.trace), func(x *exchange) bool {
		return x.method != http.MethodPut || x.path != fmt.Sprintf("/images/%d", image)
	})
}

// judgeRelabelling fails where labels other than hsnap/power change, or where that one says that a server is back which no
// poll had shown running.
func judgeRelabelling(t reporter, r ran, image hcloudsim.Image, changes []*exchange) {
	t.Helper()
	for _, x := range changes {
		labels := x.labels()
		for _, create := range r.creates(image.ServerID) {
			want := create.labels()
			want["hsnap/power"] = "done"
			if create.request() == image.Labels["hsnap/request"] && !maps.Equal(labels, want) {
				t.Errorf("image %d gets the labels %v, want %v", image.ID, labels, want)
			}
		}
		stopped := r.sentTo(image.ServerID, "shutdown")
		back := slices.ContainsFunc(r.trace, func(poll *exchange) bool {
			shown := poll.shows(image.ServerID)
			return shown != nil && shown.Status == "running" && !poll.done.After(x.sent) && len(stopped) > 0 && !poll.sent.Before(stopped[0].done)
		})
		if !back && !r.missing(image.ServerID) {
			t.Errorf("image %d is said to be of a server that is running again, and no poll had shown that: %s", image.ID, strconv.Quote(x.body))
		}
	}
}

// missing reports whether a poll has shown that a server does not exist any more.
func (r ran) missing(server int64) bool {
	return slices.ContainsFunc(r.trace, func(x *exchange) bool {
		return strings.HasPrefix(x.path, fmt.Sprintf("/servers/%d", server)) && x.status == http.StatusNotFound
	})
}

// at returns a server's status at a time.
func (l *powerLog) at(server int64, at time.Time) (status string) {
	for _, span := range l.spans[server] {
		if !span.from.After(at) {
			status = span.status
		}
	}
	return status
}
