// Package copies removes the servers that verifications make.
//
// A copy costs money, and has the passwords and keys of its original. So it is deleted whatever happens: by the run that made
// it, by that run's post step, or by a later run. A server is deleted only by the ID that a poll just before has shown with
// the copy's own name and the label of its verification. The package writes no text, and creates nothing.
package copies

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/org/hsnap-action/internal/fleet"
	"github.com/org/hsnap-action/internal/hetzner"
	"github.com/org/hsnap-action/internal/labels"
)

// prefix begins the name of every copy.
const prefix = "hsnap-drill-"

const (
	// pollEvery is the pause between two polls of what must go.
	pollEvery = 3 * time.Second
	// askAgain is how long a deletion that was accepted may take until it is asked for again, refusedPause how long the pause
	// after one that was refused is while the server is still locked.
	askAgain     = 30 * time.Second
	refusedPause = 20 * time.Second
	// lookFor is how long a poll of the copy is waited for.
	lookFor = 15 * time.Second
)

// SweepFor is how long a copy of an earlier run is tried to be removed.
const SweepFor = 3 * time.Minute

// Name returns the name of an image's copy. Names are unique in a project: there is one copy of an image at a time.
func Name(image int64) string { return prefix + strconv.FormatInt(image, 10) }

// Is reports whether a server is a copy that a verification has made: its name and its label say so.
func Is(host hetzner.Server) bool {
	return host.Labels[labels.Drill] != "" && IsName(host.Name)
}

// IsName reports whether a name is that of some image's copy.
func IsName(name string) bool {
	id, ok := strings.CutPrefix(name, prefix)
	image, err := strconv.ParseInt(id, 10, 64)
	return ok && err == nil && image > 0 && Name(image) == name
}

// Until returns when nobody needs a copy any more; zero where its label does not say.
func Until(host hetzner.Server) time.Time {
	second, err := strconv.ParseInt(host.Labels[labels.DrillUntil], 10, 64)
	if err != nil {
		return time.Time{}
	}
	return time.Unix(second, 0)
}

// Expired reports whether a copy has been left behind, by Hetzner's clock; a zero time is none.
func Expired(host hetzner.Server, now time.Time) bool {
	until := Until(host)
	return Is(host) && !now.IsZero() && !until.IsZero() && !now.Before(until)
}

// Copy is a server that has to go, and its addresses with it.
type Copy struct {
	Name    string
	Request string    // the value of [labels.Drill]
	Appears time.Time `json:",omitzero"` // until then a create whose answer is missing may take effect; zero for no such create
	Alone   bool      `json:",omitzero"` // that create has made this copy, and no other create is without an answer

	ID        int64   `json:",omitzero"` // 0 while it is not known
	Addresses []int64 `json:",omitzero"` // the IDs of its primary IPs

	// Refused is called when a deletion is refused for now, where the refusal before was another; nil for nobody.
	Refused func(*hetzner.Error) `json:"-"`
}

// Of returns the copy that a server is.
func Of(host hetzner.Server) *Copy {
	c := &Copy{Name: host.Name, Request: host.Labels[labels.Drill]}
	c.Note(host)
	return c
}

// Note records what a poll shows of the copy.
func (c *Copy) Note(host hetzner.Server) {
	c.ID = host.ID
	for _, id := range []int64{host.IPv4ID, host.IPv6ID} {
		if id != 0 && !slices.Contains(c.Addresses, id) {
			c.Addresses = append(c.Addresses, id)
		}
	}
}

// Agrees reports whether a server is this copy: nobody has given it another name or another label.
func (c *Copy) Agrees(host hetzner.Server) bool {
	return host.ID != 0 && host.Name == c.Name && c.Request != "" && host.Labels[labels.Drill] == c.Request
}

// Left is why a copy could not be removed.
type Left struct {
	Changed int64          // the server's ID, where its name or its labels have changed: it may be somebody's by now
	Address int64          // a primary IP that is left although its server is gone; 0 where the server is
	Unseen  bool           // no poll has shown it, and what became of its create is not known
	Err     *hetzner.Error // the last answer, nil for none
}

// Remove deletes a copy and its addresses, and returns nil once Hetzner has shown that nothing is left. It goes on until the
// limit, while Hetzner refuses for now or gives no answer: to delete twice is as to delete once.
func (c *Copy) Remove(s *fleet.Script, api *hetzner.Client, limit time.Time) *Left {
	r := &removal{Copy: c, Script: s, api: api, limit: limit, due: s.Now(), left: Left{Unseen: c.ID == 0}}
	for {
		if left, over := r.turn(); over {
			return left
		}
		if !s.Now().Before(fleet.Latest(limit, c.Appears)) || s.Sleep(s.Now().Add(pause(s))) != nil {
			return &r.left
		}
	}
}

// removal is a copy on its way out.
type removal struct {
	*Copy
	*fleet.Script
	api   *hetzner.Client
	limit time.Time

	left     Left          // why it is not gone yet
	due      time.Time     // when a deletion may be asked for
	accepted bool          // Hetzner has accepted a deletion
	refused  bool          // Hetzner has refused the last one for now
	told     hetzner.Error // the refusal that was reported last
}

// turn polls the copy and does what that shows to be due. Over says that nothing more is to be done: then left is why the copy
// is not gone, or nil.
func (r *removal) turn() (left *Left, over bool) {
	host, began, err := r.look()
	if failure, failed := errors.AsType[*hetzner.Error](err); failed {
		r.left.Err = failure
		return nil, false
	}
	if err != nil { // the run is over
		return &r.left, true
	}
	ours, none := r.Agrees(host), host.ID == 0
	another := Is(host) && !ours // a copy of another run, beside which there is none of ours: names are unique
	mayAppear := began.Before(r.Appears) && (!r.Cancelled() || !another && (r.ID == 0 || !r.Copy.Alone))
	missing := none || host.ID != r.ID && !ours // that one may be another's
	r.left.Unseen = r.left.Unseen && (none || another)
	if none && r.left.Changed == r.ID {
		r.left.Changed = 0 // whoever it was, it is gone
	}
	switch {
	case missing && mayAppear:
		if !none && !Is(host) {
			r.left.Changed = host.ID
		}
	case none && r.left.Changed == 0, missing && Is(host): // that one is another run's
		left, assigned := r.removeAddresses()
		if !assigned {
			return left, true
		}
		r.accepted = false // perhaps it is there after all, with another label
	case !ours:
		r.left.Changed = cmp.Or(host.ID, r.left.Changed)
		return &r.left, !mayAppear
	case !r.Now().Before(r.due), r.refused && (!host.Locked || r.Cancelled()):
		r.Note(host)
		return r.ask()
	}
	return nil, false
}

// ask asks for the copy's deletion. It returns as turn does.
func (r *removal) ask() (left *Left, over bool) {
	r.left.Changed, r.due, r.refused = 0, r.Now().Add(askAgain), false
	err := r.Change(fleet.Change{Rank: fleet.Power, Send: func(ctx context.Context) (hetzner.Quota, error) {
		return r.api.DeleteServer(ctx, r.ID)
	}})
	failure, failed := errors.AsType[*hetzner.Error](err)
	switch {
	case err == nil:
		r.accepted = true
		return nil, false
	case !failed: // the run is over
		return &r.left, true
	case failure.Code == hetzner.CodeNotFound: // the next poll tells
		return nil, false
	}
	r.left.Err, r.due, r.refused = failure, r.Now().Add(refusedPause), true
	news := r.told.Code != failure.Code || r.told.Message != failure.Message
	switch {
	case failure.Verdict == hetzner.Refused:
		return &r.left, true
	case news && failure.Verdict != hetzner.Lost && r.Refused != nil:
		r.told = *failure
		r.Refused(failure)
	}
	return nil, false
}

// LeftBehind returns the copies among servers that nobody needs any more, by Hetzner's clock.
func LeftBehind(servers []hetzner.Server, now time.Time) (list []Copy) {
	for _, host := range servers {
		if Expired(host, now) {
			list = append(list, *Of(host))
		}
	}
	return list
}

// pause is how long to wait before the next poll: a cancelled run has no time.
func pause(s *fleet.Script) time.Duration {
	if s.Cancelled() {
		return pollEvery / 4
	}
	return pollEvery
}

// Want is the copy itself, with the label that tells it from all others. One poll shows several.
func (c *Copy) Want() fleet.Want {
	if c.Request == "" { // what the post step got is no copy of ours
		return fleet.Server(c.ID)
	}
	return fleet.LabelledServer(c.ID, labels.Drill, c.Request)
}

// Confirmed returns what was seen of the copy or, where its label did not show it, what a poll by its ID shows: somebody may have
// changed the label.
func (c *Copy) Confirmed(s *fleet.Script, seen fleet.Seen) (fleet.Seen, error) {
	if !seen.Missing {
		return seen, nil
	}
	return polled(s, fleet.Server(c.ID))
}

// polled returns what a poll shows of a copy, if only that it is missing.
func polled(s *fleet.Script, want fleet.Want) (fleet.Seen, error) {
	seen, err := s.Watch(want).Next(0, s.Now().Add(lookFor))
	if hetzner.IsNotFound(err) {
		seen.Missing, err = true, nil
	}
	return seen, err
}

// look polls the server, by its ID where that is known. Once it is gone, a create that was lost may have made one more of its name.
// Where Hetzner has accepted a deletion it is enough that the label shows none: there is no poll for each copy.
func (r *removal) look() (host hetzner.Server, began time.Time, err error) {
	if r.ID != 0 {
		seen, err := polled(r.Script, r.Want())
		if err == nil && !r.accepted {
			seen, err = r.Confirmed(r.Script, seen)
		}
		switch {
		case errors.Is(err, fleet.ErrTimeout):
			_, unheard := r.Silence()
			return host, r.Now(), cmp.Or(r.Token(), unheard, &hetzner.Error{Message: "no poll has shown the copy"})
		case err != nil:
			return host, r.Now(), err
		case !seen.Missing:
			return *seen.Server, seen.Began, nil
		case r.Appears.IsZero():
			return host, seen.Began, nil
		}
	}
	host, err = fleet.Read(r.Poll, func(ctx context.Context) (hetzner.Server, hetzner.Quota, error) {
		return r.api.ServerNamed(ctx, r.Name)
	})
	return host, r.Sent, err
}

// removeAddresses removes the copy's addresses once it is gone. It returns why one of them is left, and whether that one is
// assigned although the copy was only taken to be gone.
func (r *removal) removeAddresses() (left *Left, assigned bool) {
	for _, id := range r.Addresses {
		if left, assigned = r.removeAddress(id); left != nil {
			return left, assigned
		}
	}
	return nil, false
}

// removeAddress waits until an address is gone, and returns nil then. One that is assigned to nothing is deleted; one that is
// assigned is waited for where a poll by the copy's ID has shown that gone.
func (r *removal) removeAddress(id int64) (left *Left, assigned bool) {
	for left = (&Left{Address: id}); ; {
		var err error
		if assigned = false; !r.Cancelled() { // then there is no poll to spare, and Hetzner refuses to delete one that is assigned
			assigned, err = fleet.Read(r.Poll, func(ctx context.Context) (bool, hetzner.Quota, error) { return r.api.PrimaryIPAssigned(ctx, id) })
		}
		if err == nil && !assigned {
			err = r.Send(func(ctx context.Context) (hetzner.Quota, error) { return r.api.DeletePrimaryIP(ctx, id) })
			if err == nil {
				return nil, false
			}
		}
		if hetzner.IsNotFound(err) {
			return nil, false
		}
		failure, failed := errors.AsType[*hetzner.Error](err)
		if failed {
			left.Err = failure
		}
		if assigned && r.accepted {
			return left, true
		}
		if err != nil && !failed || !r.Now().Before(r.limit) || r.Sleep(r.Now().Add(pause(r.Script))) != nil {
			return left, false
		}
	}
}
