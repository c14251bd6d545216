package action_test

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/org/hsnap-action/internal/hcloudsim"
)

// restoredWorld is all that the judge of a restore looks at.
type restoredWorld struct {
	*world
	*restored
	ran
	rows    []restoredRow
	refused bool // for a pair that is wrong
	ended   map[int64]hcloudsim.ServerState
	later   map[int64]hcloudsim.ServerState // when nothing is under way any more
}

// judgeRestored holds the simulator's truth, at the end of the run and when nothing is under way any more, against what the
// program promises and says.
func judgeRestored(t reporter, w *world, p *restored, r ran, ended []hcloudsim.ServerState) {
	t.Helper()
	j := restoredWorld{world: w, restored: p, ran: r, ended: map[int64]hcloudsim.ServerState{}, later: map[int64]hcloudsim.ServerState{}}
	j.rows = r.restores(t)
	j.refused = strings.Contains(r.log, "::error::images: ")
	for _, s := range ended {
		j.ended[s.ID] = s
	}
	for _, s := range w.cloud.Servers() {
		j.later[s.ID] = s
	}
	j.judgeSent(t)
	if j.changed == 0 || j.checked() < j.changed { // else nobody knows what a pair meant
		j.judgePairs(t)
		for _, pair := range p.pairs {
			if pair.server.ID != 0 {
				j.judgeRebuilds(t, pair)
				j.judgeBefore(t, pair)
				j.judgePowerOn(t, pair)
			}
		}
		for _, row := range j.rows {
			j.judgeRow(t, row)
		}
	}
	j.judgeResult(t)
	j.judgeEnd(t)
	j.judgePlaces(t)
	told := r.log + r.summary + fmt.Sprint(r.outputs, r.state)
	if strings.Contains(told, rootPassword) {
		t.Errorf("the root password is shown")
	}
}

// checked returns how long the check of the pairs took.
func (j restoredWorld) checked() time.Duration {
	if j.selected.IsZero() {
		return j.took
	}
	return j.selected.Sub(j.started)
}

// judgePairs fails where a pair that is wrong does not end the run before anything is sent, or one that is right does.
func (j restoredWorld) judgePairs(t reporter) {
	t.Helper()
	for _, pair := range j.pairs {
		told := strings.Contains(j.log, "images: "+pair.name+"="+pair.choice+": ")
		switch {
		case pair.wrong != "" && !j.selected.IsZero():
			t.Errorf("%s=%s is wrong (%s), and the run goes on", pair.name, pair.choice, pair.wrong)
		case told != (j.refused && pair.wrong != ""):
			t.Errorf("%s=%s: wrong: %q, told: %t", pair.name, pair.choice, pair.wrong, told)
		}
	}
}

// judgeSent fails where anything was sent that may not be.
func (j restoredWorld) judgeSent(t reporter) {
	t.Helper()
	reads := 0
	for i, x := range j.trace {
		id, action := x.act()
		if x.method == http.MethodGet {
			reads += btoi(j.selected.IsZero() || x.sent.Before(j.selected))
			continue
		}
		switch {
		case j.dry, j.refused, j.selected.IsZero():
			t.Errorf("%s %s was sent (a dry run: %t, a wrong pair: %t)", x.method, x.path, j.dry, j.refused)
		case action != "rebuild" && action != "create_image" && action != "poweron", action == "create_image" && !j.snapshotFirst:
			t.Errorf("%s %s was sent", x.method, x.path)
		case !slices.ContainsFunc(j.pairs, func(pair *restoredPair) bool { return pair.server.ID == id }):
			t.Errorf("%s was sent, and that server was not named", x.path)
		case j.cancelled() && action != "poweron" && x.sent.After(j.started.Add(j.cancelAfter)):
			t.Errorf("%s was sent %s after the cancel", x.path, x.sent.Sub(j.started.Add(j.cancelAfter)))
		}
		if early := j.trace[i+1:]; x.sent.Before(j.selected) && len(early) > 0 {
			t.Errorf("%s was sent before all pairs had been checked", x.path)
		}
	}
	most := (j.servers+49)/50 + (len(j.images)+49)/50 + (len(j.pairs)+24)/25 + len(j.pairs)
	disturbed := slices.ContainsFunc(j.cloud.History(), func(x hcloudsim.Exchange) bool {
		return x.Fault != "" && (j.selected.IsZero() || x.At.Before(j.selected))
	})
	if !disturbed && reads > most {
		t.Errorf("%d requests were sent until all pairs were checked, want %d at most", reads, most)
	}
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

func (j restoredWorld) cancelled() bool { return j.cancelAfter > 0 && j.code > 128 }

// refusedToken reports whether Hetzner has refused the token in its own words.
func (j restoredWorld) refusedToken() bool {
	return slices.ContainsFunc(j.trace, func(x *exchange) bool { return x.content().Error.Code == "unauthorized" })
}

// rebuilds returns the rebuilds of a server that were sent, in order.
func (j restoredWorld) rebuilds(server int64) []*exchange { return j.sentTo(server, "rebuild") }

// row returns what the outputs say of a server, nil where they don't.
func (j restoredWorld) row(server int64) *restoredRow {
	i := slices.IndexFunc(j.rows, func(row restoredRow) bool { return row.ServerID == server })
	if i < 0 {
		return nil
	}
	return &j.rows[i]
}

// judgeRebuilds fails where a server was rebuilt from another image, more than once, or asked for it without a right to it.
func (j restoredWorld) judgeRebuilds(t reporter, pair *restoredPair) {
	t.Helper()
	id, sent := pair.server.ID, j.rebuilds(pair.server.ID)
	switch effects := j.later[id].Rebuilds; {
	case len(effects) > 1:
		t.Errorf("%s was rebuilt from %v, which is more than once", pair.name, effects)
	case len(effects) > 0 && (effects[0] != pair.image || pair.wrong != ""):
		t.Errorf("%s was rebuilt from %v, and %s means %d, wrong: %q", pair.name, effects, pair.choice, pair.image, pair.wrong)
	}
	for i, x := range sent {
		if want := fmt.Sprintf(`{"image":"%d"}`, pair.image); strings.TrimSpace(x.body) != want {
			t.Errorf("%s was asked for with %s, want %s", x.path, x.body, want)
		}
		since := j.started
		if i > 0 {
			since = sent[i-1].done
		}
		if j.newest(id, since, x.sent) < 0 {
			t.Errorf("the rebuild of %s was sent, and no poll since the one before had shown the newest action", pair.name)
		}
		if i > 0 {
			j.judgeAsked(t, pair, sent[i-1], x)
		}
	}
	j.judgePatience(t, pair, sent)
}

// newest returns the highest ID of a server's actions by the last whole list between two times, -1 without one.
func (j restoredWorld) newest(server int64, since, by time.Time) (newest int64) {
	newest = -1
	for _, x := range j.trace {
		if x.sent.Before(since) || x.done.IsZero() || x.done.After(by) || !x.listsActions(server) {
			continue
		}
		newest = 0
		for _, a := range x.content().Actions {
			newest = max(newest, a.ID)
		}
	}
	return newest
}

// listsActions reports whether an answer is the list of a server's newest actions, whatever their status.
func (x *exchange) listsActions(server int64) bool {
	c := x.content()
	return x.method == http.MethodGet && x.path == fmt.Sprintf("/servers/%d/actions", server) && x.filter == "" && x.status == http.StatusOK &&
		c.Actions != nil && c.Meta.Pagination != nil
}

// showsRebuild reports whether an answer lists a rebuild that is newer than an action.
func (x *exchange) showsRebuild(newest int64) bool {
	return slices.ContainsFunc(x.content().Actions, func(a shownAction) bool { return a.Command == "rebuild_server" && a.ID > newest })
}

// judgeAsked fails where a server was asked for its rebuild again without a right to it.
func (j restoredWorld) judgeAsked(t reporter, pair *restoredPair, before, again *exchange) {
	t.Helper()
	switch before.verdict() {
	case neverSent, notNow:
		if again.sent.Before(before.done) {
			t.Errorf("%s was asked for again before the answer came", pair.name)
		}
		return
	case lostAnswer:
	default:
		t.Errorf("%s was asked for its rebuild again after the answer %d %s", pair.name, before.status, before.answer)
		return
	}
	id := pair.server.ID
	newest := j.newest(id, j.started, before.sent)
	var first, second, poll *exchange
	for _, x := range j.trace { // in the order in which they were sent
		switch lists := x.listsActions(id); {
		case x.done.IsZero(), x.done.After(again.sent):
		case lists && !x.sent.Before(before.done) && x.showsRebuild(newest):
			t.Errorf("%s was asked for its rebuild again, and a list had shown the one whose answer was lost", pair.name)
			return
		case x.sent.Sub(before.done) < effectLimit:
		case lists && first == nil:
			first = x
		case lists && second == nil && x.sent.Sub(first.sent) >= absenceGap:
			second = x
		case second != nil && poll == nil && !x.sent.Before(second.done):
			if shown := x.shows(id); shown != nil && !shown.Locked {
				poll = x
			}
		}
	}
	if poll == nil {
		t.Errorf("%s was asked for its rebuild again %s after an answer was lost, and nothing proves that it had no effect", pair.name, again.sent.Sub(before.done))
	} else if late := poll.sent.Sub(before.done) - j.lockTimeout - lastPoll; late > 0 {
		t.Errorf("%s was asked for its rebuild again, though it was proved %s after lock-timeout that the first one had no effect", pair.name, late)
	}
}

// judgePatience fails where Hetzner had refused a server's rebuild for longer than lock-timeout when it was sent once more.
// A server that waits for a place of ours is not waiting for Hetzner.
func (j restoredWorld) judgePatience(t reporter, pair *restoredPair, sent []*exchange) {
	t.Helper()
	if len(j.pairs) > j.maxParallel {
		return
	}
	var waited time.Duration
	for i, x := range sent {
		if i > 0 && (sent[i-1].verdict() == notNow || sent[i-1].verdict() == neverSent) {
			waited += j.unlocked(pair.server.ID, sent[i-1].done, x.sent).Sub(sent[i-1].done)
		}
		if late := waited - j.lockTimeout - 2*lastPoll; late > time.Second { // one for the server, one for its newest action
			t.Errorf("%s was asked for its rebuild %s after lock-timeout", pair.name, late)
			return
		}
	}
}

// unlocked returns when, between two times, a poll had shown a lock gone that an earlier one had shown, or the second time.
func (j restoredWorld) unlocked(server int64, since, by time.Time) time.Time {
	locked := false
	for _, x := range j.answers() {
		shown := x.shows(server)
		if shown == nil || x.sent.Before(since) || x.done.After(by) {
			continue
		}
		if locked && !shown.Locked {
			return x.done
		}
		locked = shown.Locked
	}
	return by
}

// judgeBefore fails where a server was rebuilt without the snapshot of before that was asked for, or where there is more than
// one.
func (j restoredWorld) judgeBefore(t reporter, pair *restoredPair) {
	t.Helper()
	id, creates, rebuilds := pair.server.ID, j.creates(pair.server.ID), j.rebuilds(pair.server.ID)
	var made []hcloudsim.Image
	for _, image := range j.cloud.Images() {
		if image.ServerID == id && image.Labels["hsnap/run"] == "8123456789-1" {
			made = append(made, image)
		}
	}
	if len(made) > 1 {
		t.Errorf("%s has %d snapshots of before: %v", pair.name, len(made), made)
	}
	for i, x := range creates {
		if l := x.labels(); l["hsnap/series"] != "pre-restore" || l["hsnap/server-id"] != strconv.FormatInt(id, 10) || l["hsnap/request"] == "" {
			t.Errorf("%s is asked for a snapshot with the labels %v", pair.name, l)
		}
		if len(rebuilds) > 0 && x.sent.After(rebuilds[0].sent) {
			t.Errorf("%s was asked for its snapshot after its rebuild", pair.name)
		}
		if i > 0 {
			judgeAgain(t, plan{lockTimeout: j.lockTimeout}, j.ran, id, creates[i-1], x)
		}
	}
	if !j.snapshotFirst || len(rebuilds) == 0 {
		return
	}
	if len(creates) == 0 {
		t.Errorf("%s was rebuilt, and its disk was not snapshotted first", pair.name)
		return
	}
	request := creates[0].request()
	seen := slices.ContainsFunc(j.trace, func(x *exchange) bool {
		return x.path == "/images" && !x.done.IsZero() && !x.done.After(rebuilds[0].sent) && slices.ContainsFunc(x.content().Images, func(i shownImage) bool {
			return i.Status == "available" && i.Labels["hsnap/request"] == request
		})
	})
	if !seen {
		t.Errorf("%s was asked for its rebuild, and no list had shown its snapshot of before available", pair.name)
	}
	if len(made) != 1 || made[0].Status != "available" {
		t.Errorf("%s was asked for its rebuild, and the snapshots of before are %v", pair.name, made)
	}
}

// judgePowerOn fails where a server was switched on that was not off after its rebuild, or was not where it was.
func (j restoredWorld) judgePowerOn(t reporter, pair *restoredPair) {
	t.Helper()
	var since time.Time // when a poll began that showed it off since
	due := time.Time{}
	asked := j.sentTo(pair.server.ID, "poweron")
	for _, x := range j.answers() {
		shown := x.shows(pair.server.ID)
		if shown == nil || !j.wellRebuilt(pair.server.ID, x.sent) {
			continue
		}
		switch off := shown.Status == "off" && shown.Image.ID == pair.image; {
		case !off:
			since = time.Time{}
		case since.IsZero():
			since = x.sent
		case x.sent.Sub(since) >= 15*time.Second && due.IsZero():
			due = x.done
		}
	}
	switch {
	case len(asked) > 0 && (due.IsZero() || asked[0].sent.Before(due)):
		t.Errorf("%s was switched on, and had not been off for 15 s after its rebuild", pair.name)
	case len(asked) == 0 && !due.IsZero() && !j.cancelled() && !j.refusedToken():
		t.Errorf("%s was off for 15 s after its rebuild, and was not switched on", pair.name)
	}
	if row := j.row(pair.server.ID); row != nil && !j.cancelled() && !j.refusedToken() && !strings.Contains(row.Message, "no usable answer") && row.Reason != "power_on_failed" {
		if s, exists := j.ended[pair.server.ID]; exists && s.Status == "off" && s.DiskImage == pair.image && j.wellRebuilt(s.ID, j.over(*row)) {
			t.Errorf("%s is off after its rebuild, is %s (%s), and nobody says that it is off: %s", pair.name, row.Status, row.Reason, row.Message)
		}
	}
}

// over returns when nothing more was done for a server that was rebuilt, to the second; zero for any other.
func (j restoredWorld) over(row restoredRow) time.Time {
	sent := j.rebuilds(row.ServerID)
	if row.Downtime == nil || len(sent) == 0 {
		return time.Time{}
	}
	return sent[len(sent)-1].sent.Add(time.Duration(*row.Downtime-1) * time.Second)
}

// wellRebuilt reports whether an answer had said, by a time, that the server's rebuild has succeeded.
func (j restoredWorld) wellRebuilt(server int64, by time.Time) bool {
	row := j.row(server)
	return row != nil && row.acted() && slices.ContainsFunc(j.trace, func(x *exchange) bool {
		return !x.done.IsZero() && !x.done.After(by) && x.path == "/actions" && slices.ContainsFunc(x.content().Actions, func(a shownAction) bool {
			return a.ID == *row.ActionID && a.Status == "success"
		})
	})
}
