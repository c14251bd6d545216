package action_test

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// What the contract says of a create whose answer was lost.
const (
	effectLimit = 60 * time.Second // a create takes effect within it, or never
	absenceGap  = 5 * time.Second  // between the two lists that prove its absence
	lastPoll    = 5 * time.Second  // after any deadline
)

// creates returns the creates of a server, in order.
func (r ran) creates(server int64) (creates []*exchange) {
	for _, x := range r.trace {
		if id, action := x.act(); id == server && action == "create_image" {
			creates = append(creates, x)
		}
	}
	return creates
}

// judgeCreates fails where a server was asked for a snapshot without a right to it.
func judgeCreates(t reporter, p plan, r ran) {
	t.Helper()
	requests := map[string]int64{}
	for _, server := range r.asked() {
		creates := r.creates(server)
		request := creates[0].request()
		if other, ok := requests[request]; ok || request == "" {
			t.Errorf("servers %d and %d have the same request %q", server, other, request)
		}
		requests[request] = server
		for i, create := range creates {
			judgeLabels(t, p, server, request, create)
			if i > 0 {
				judgeAgain(t, p, r, server, creates[i-1], create)
			}
		}
	}
}

// asked returns the servers that were asked for a snapshot.
func (r ran) asked() (servers []int64) {
	for _, x := range r.trace {
		if id, action := x.act(); action == "create_image" && !slices.Contains(servers, id) {
			servers = append(servers, id)
		}
	}
	return servers
}

// judgeLabels fails where a create does not carry the labels that say whose image it is.
func judgeLabels(t reporter, p plan, server int64, request string, create *exchange) {
	t.Helper()
	series := "default"
	if p.keep > 0 {
		series = "nightly"
	}
	labels := create.labels()
	for key, want := range map[string]string{
		"hsnap/server-id": strconv.FormatInt(server, 10), "hsnap/series": series, "hsnap/run": p.run, "hsnap/repository": "acme.shop", "hsnap/request": request,
	} {
		if labels[key] != want {
			t.Errorf("a create of server %d has %s=%q, want %q", server, key, labels[key], want)
		}
	}
}

// judgeAgain fails where a server was asked again without a right to it.
func judgeAgain(t reporter, p plan, r ran, server int64, before, again *exchange) {
	t.Helper()
	request := before.request()
	switch before.verdict() {
	case neverSent, notNow, noRoom:
		if again.sent.Before(before.done) {
			t.Errorf("server %d was asked again before the answer came", server)
		}
	case refusedForGood, tokenRefused:
		t.Errorf("server %d was asked again after a refusal for good", server)
	case accepted:
		if !r.gone(request, before.done, again.sent) {
			t.Errorf("server %d was asked again, and no list had shown that its first image is gone", server)
		}
	case lostAnswer:
		judgeProof(t, p, r, server, before, again)
	}
}

// judgeProof fails where a server was asked again after a lost answer, and nothing has proved in time that there is no image.
func judgeProof(t reporter, p plan, r ran, server int64, loss, again *exchange) {
	t.Helper()
	request := loss.request()
	if found := r.found(request, loss.done, again.sent); found != nil {
		if !r.gone(request, found.done, again.sent) {
			t.Errorf("server %d was asked again, and no list had shown that the image of its lost create is gone", server)
		}
		return
	}
	proof := r.absence(server, loss, again.sent)
	if proof == nil {
		t.Errorf("server %d was asked again %s after an answer was lost, and nothing proves that there is no image", server, again.sent.Sub(loss.done))
		return
	}
	limit := loss.done.Add(p.lockTimeout)
	due := limit // of the last poll
	for _, x := range r.trace {
		if x.sent.Before(limit) && x.done.After(limit) && x.shows(server) != nil { // one that was under way comes first
			due = x.done
		}
	}
	if late := proof.sent.Sub(due) - lastPoll; late > 0 {
		t.Errorf("server %d was asked again, though its absence was proved %s after lock-timeout", server, late)
	}
}

// found returns the first list since a loss that shows the image of the lost create, nil where there is none.
func (r ran) found(request string, since, by time.Time) *exchange {
	for _, x := range r.trace {
		if !x.sent.Before(since) && !x.done.IsZero() && !x.done.After(by) && x.holds(request) {
			return x
		}
	}
	return nil
}

// gone reports whether a complete list since some time lacks a request's image.
func (r ran) gone(request string, since, by time.Time) bool {
	return slices.ContainsFunc(r.trace, func(x *exchange) bool {
		return !x.sent.Before(since) && !x.done.IsZero() && !x.done.After(by) && x.listsAll(request) && !x.holds(request)
	})
}

// absence returns the poll that completes the proof that a lost create has had no effect: two complete lists 5 s apart,
// both begun at least 60 s after the loss, lack its image, and a poll begun after the second one was complete shows the
// server unlocked. It returns nil where there was no such proof by the time given.
func (r ran) absence(server int64, loss *exchange, by time.Time) *exchange {
	_, poll := r.proof(server, loss, by)
	return poll
}

// proof returns the second list of that proof, and the poll; nil where there is none.
func (r ran) proof(server int64, loss *exchange, by time.Time) (second, poll *exchange) {
	request := loss.request()
	var first *exchange
	for _, x := range r.trace { // in the order in which they were sent
		if x.done.IsZero() || x.done.After(by) || x.sent.Sub(loss.done) < effectLimit {
			continue
		}
		switch lacks := x.listsAll(request) && !x.holds(request); {
		case lacks && first == nil:
			first = x
		case lacks && second == nil && x.sent.Sub(first.sent) >= absenceGap:
			second = x
		case second != nil && !x.sent.Before(second.done):
			if shown := x.shows(server); shown != nil && !shown.Locked {
				return second, x
			}
		}
	}
	return second, nil
}

// judgeLost fails where a server's last create was lost, nothing has shown what became of it, and the report does not say
// that its image may still appear, and by which label it is found.
func judgeLost(t reporter, r ran) {
	t.Helper()
	end := r.started.Add(r.took)
	for _, s := range r.snapshots(t) {
		if s.ServerID == nil || s.ImageID != nil || r.missing(*s.ServerID) { // a server that does not exist any more makes no snapshot
			continue
		}
		creates := r.creates(*s.ServerID)
		if len(creates) == 0 || creates[len(creates)-1].verdict() != lostAnswer {
			continue
		}
		loss := creates[len(creates)-1]
		request := loss.request()
		if r.absence(*s.ServerID, loss, end) != nil || r.found(request, loss.done, end) != nil {
			continue
		}
		if !strings.Contains(s.Message, "may still appear") || !strings.Contains(s.Message, "hsnap/request="+request) {
			t.Errorf("%s is %s (%s), its create was lost, and the message does not name its label %s: %s", s.Name, s.Status, s.Reason, request, s.Message)
		}
	}
}

// judgeRoom fails where a server was switched off although Hetzner had said that the project has no room for a snapshot,
// and nothing was deleted since.
func judgeRoom(t reporter, r ran) {
	t.Helper()
	for _, full := range r.trace {
		if !full.isCreate() || full.verdict() != noRoom {
			continue
		}
		for _, x := range r.trace {
			id, action := x.act()
			if action != "shutdown" || !full.done.Before(x.sent) {
				continue
			}
			freed := slices.ContainsFunc(r.trace, func(d *exchange) bool {
				// It may have freed room after the create was refused; and an answer that was lost may be a success.
				return d.method == http.MethodDelete && !d.done.Before(full.sent) && !d.done.After(x.sent)
			})
			if !freed {
				t.Errorf("server %d was asked to shut down %s after Hetzner's limit was reached", id, x.sent.Sub(full.done))
			}
		}
	}
}
