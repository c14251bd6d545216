package action_test

import (
	"net/http"
	"slices"
	"strings"
	"time"
)

// judgeWaits fails where a wait for a lock was not what Hetzner's answers make it, where lock-timeout ended one too early or
// too late, or where snapshot-timeout did not count from acceptance.
func judgeWaits(t reporter, p plan, r ran) {
	t.Helper()
	for _, s := range r.snapshots(t) {
		if s.ServerID == nil {
			continue
		}
		waited := time.Duration(s.LockWaitSeconds) * time.Second
		shown := r.waits(p, *s.ServerID)
		const slack = 2 * time.Second // the outputs are in whole seconds
		// While a create is lost its own snapshot may lock the server, and no answer says when that is disproved.
		if waited > shown.lock+shown.lost+slack {
			t.Errorf("%s is said to have waited %s for locks, by Hetzner's answers it was %s at most", s.Name, waited, shown.lock)
		}
		if most := p.lockTimeout + lastPoll + r.longest(*s.ServerID) + slack; waited > most {
			t.Errorf("%s has waited %s for locks, and lock-timeout is %s", s.Name, waited, p.lockTimeout)
		}
		// A server that is switched off for its snapshot gets no more than two turns.
		if s.Reason == "lock_timeout" && p.shutdown == "never" && shown.lock+shown.lost+slack < p.lockTimeout {
			t.Errorf("%s ended with lock_timeout, by Hetzner's answers after %s at most; lock-timeout is %s", s.Name, shown.lock+shown.lost, p.lockTimeout)
		}
		if p.shutdown == "never" && p.servers <= p.maxParallel { // else it may have waited for a place of ours
			judgeLastTry(t, p, r, s)
		}
		if s.Reason == "snapshot_timeout" {
			judgeSnapshotTimeout(t, p, r, s)
		}
	}
}

// waits are the longest times that a server can have waited, by the answers that came.
type waits struct {
	lock time.Duration // from an answer that shows a lock, or refuses for now, until one that shows none, or accepts
	lost time.Duration // for what became of creates whose answers were lost
}

// waits returns how long a server can have waited.
func (r ran) waits(p plan, server int64) (w waits) {
	var since, last, lost time.Time
	visible, made := false, false // the clock runs for a lock that a poll has shown; the snapshot is being made
	start := func(at time.Time, shown bool) {
		visible = visible && shown // after a refusal no poll shows when the lock is gone
		if since.IsZero() {
			since, visible = at, shown
		}
	}
	stop := func(at time.Time) {
		if !since.IsZero() {
			w.lock, since = w.lock+at.Sub(since), time.Time{}
		}
		if !lost.IsZero() {
			w.lost, lost = w.lost+at.Sub(lost), time.Time{}
		}
	}
	request := ""
	selected := r.first(func(x *exchange) bool { return x.path == "/servers" }).query
	for _, x := range r.answers() {
		if x.path == "/servers" && x.query != selected { // it counts servers, and is no poll of this one
			continue
		}
		id, action := x.act()
		switch shown := x.shows(server); {
		case shown != nil && (made || !lost.IsZero()): // its own snapshot may lock it
		case shown != nil && (shown.Locked || shown.Status != "running" && shown.Status != "off"):
			start(x.done, true)
			last = x.done
		case p.shutdown != "never" && !made && strings.HasPrefix(x.path, "/servers") && action == "" && x.status != http.StatusOK:
			start(x.sent, true) // a server is switched off only by a poll that shows it running, which Hetzner keeps back
		case shown != nil && visible && !x.sent.Before(last): // one that was under way before says nothing
			stop(x.done)
		case id == server && (action == "create_image" || action == "shutdown"):
			switch x.verdict() {
			case notNow, neverSent:
				if !lost.IsZero() {
					stop(x.done)
				}
				start(x.done, false)
			case lostAnswer:
				stop(x.done)
				if action == "create_image" {
					lost, request = x.done, x.request()
				}
			case accepted:
				stop(x.done)
				made = action == "create_image"
			case noRoom, refusedForGood, tokenRefused:
				stop(x.done)
			}
		case !lost.IsZero() && x.listsAll(request) && x.holds(request):
			stop(x.done)
			made = true
		case x.showsLockedOut(server):
			made = false
			start(x.done, false)
		}
	}
	stop(r.started.Add(r.took))
	return w
}

// showsLockedOut reports whether an answer shows an action of a server that failed because the server was locked.
func (x *exchange) showsLockedOut(server int64) bool {
	if x.method != http.MethodGet || !strings.Contains(x.path, "/actions") {
		return false
	}
	return slices.ContainsFunc(x.content().Actions, func(a shownAction) bool {
		return a.Error != nil && strings.Contains(a.Error.Message, "is locked") && len(a.Resources) > 0 && a.Resources[0].ID == server
	})
}

// longest returns how long the slowest answer about a server took.
func (r ran) longest(server int64) (longest time.Duration) {
	for _, x := range r.trace {
		if id, _ := x.act(); id == server || x.shows(server) != nil {
			longest = max(longest, x.done.Sub(x.sent))
		}
	}
	return longest
}

// judgeLastTry fails where a server was asked for a snapshot though lock-timeout was over: by polls and refusals that came
// one after the other without a word of anything else in between.
func judgeLastTry(t reporter, p plan, r ran, s server) {
	t.Helper()
	var since time.Time
	var waited time.Duration
	for _, x := range r.answers() {
		id, action := x.act()
		locked, told := false, false
		switch shown := x.shows(*s.ServerID); {
		case shown != nil:
			locked, told = shown.Locked, true
		case id == *s.ServerID && action == "create_image":
			if late := waited - p.lockTimeout - lastPoll; late > time.Second && x.sent.After(since) {
				t.Errorf("%s was asked for a snapshot %s after lock-timeout", s.Name, late)
				return
			}
			if x.verdict() != notNow && x.verdict() != neverSent {
				return
			}
			told = false // how long it is locked is shown by polls alone
			since = time.Time{}
		}
		if !told {
			continue
		}
		if !since.IsZero() {
			waited += x.sent.Sub(since)
		}
		since = time.Time{}
		if locked {
			since = x.done
			if since.Before(r.selected) { // nobody waits for a server while more is read before the selection
				since = r.selected
			}
		}
	}
}

// judgeSnapshotTimeout fails where a snapshot got less time than snapshot-timeout since it was accepted.
func judgeSnapshotTimeout(t reporter, p plan, r ran, s server) {
	t.Helper()
	if took := time.Duration(s.DurationSeconds) * time.Second; took < p.snapshotTimeout-time.Second {
		t.Errorf("%s ended with snapshot_timeout %s after it was accepted; the timeout is %s", s.Name, took, p.snapshotTimeout)
	}
	creates := r.creates(*s.ServerID)
	if known := creates[len(creates)-1].done; r.started.Add(r.took).Sub(known) < p.snapshotTimeout {
		t.Errorf("%s ended with snapshot_timeout, and its create was answered only %s before the end of the run", s.Name, r.started.Add(r.took).Sub(known))
	}
}
