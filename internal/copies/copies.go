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
	left, refused, accepted := &Left{Unseen: c.ID == 0}, false, false
	var told hetzner.Error
	for due := s.Now(); ; { // when a deletion may be asked for
		host, began, err := c.look(s, api, accepted)
		failure, failed := errors.AsType[*hetzner.Error](err)
		another := Is(host) && !c.Agrees(host) // a copy of another run, beside which there is none of ours: names are unique
		mayAppear := began.Before(c.Appears) && (!s.Cancelled() || !another && (c.ID == 0 || !c.Alone))
		missing := host.ID == 0 || host.ID != c.ID && !c.Agrees(host) // that one may be another's
		left.Unseen = left.Unseen && (host.ID == 0 || another)
		if err == nil && host.ID == 0 && left.Changed == c.ID {
			left.Changed = 0 // whoever it was, it is gone
		}
		switch {
		case failed:
			left.Err = failure
		case err != nil: // the run is over
			return left
		case missing && mayAppear:
			if host.ID != 0 && !Is(host) {
				left.Changed = host.ID
			}
		case host.ID == 0 && left.Changed == 0, missing && Is(host): // that one is another run's
			left, assigned := c.removeAddresses(s, api, limit, !accepted)
			if !assigned {
				return left
			}
			accepted = false // perhaps it is there after all, with another label
		case !c.Agrees(host):
			if left.Changed = cmp.Or(host.ID, left.Changed); !mayAppear {
				return left
			}
		case !s.Now().Before(due), refused && (!host.Locked || s.Cancelled()):
			c.Note(host)
			left.Changed, due, refused = 0, s.Now().Add(askAgain), false
			err := c.delete(s, api)
			failure, failed := errors.AsType[*hetzner.Error](err)
			switch {
			case err == nil:
				accepted = true
			case !failed: // the run is over
				return left
			case failure.Code != hetzner.CodeNotFound:
				left.Err, due, refused = failure, s.Now().Add(refusedPause), true
				if failure.Verdict == hetzner.Refused {
					return left
				}
				if news := told.Code != failure.Code || told.Message != failure.Message; news && failure.Verdict != hetzner.Lost && c.Refused != nil {
					told = *failure
					c.Refused(failure)
				}
			}
		}
		if !s.Now().Before(fleet.Latest(limit, c.Appears)) || s.Sleep(s.Now().Add(pause(s))) != nil {
			return left
		}
	}
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
func (c *Copy) look(s *fleet.Script, api *hetzner.Client, deleted bool) (host hetzner.Server, began time.Time, err error) {
	if c.ID != 0 {
		seen, err := polled(s, c.Want())
		if err == nil && !deleted {
			seen, err = c.Confirmed(s, seen)
		}
		switch {
		case errors.Is(err, fleet.ErrTimeout):
			_, unheard := s.Silence()
			return host, s.Now(), cmp.Or(s.Token(), unheard, &hetzner.Error{Message: "no poll has shown the copy"})
		case err != nil:
			return host, s.Now(), err
		case !seen.Missing:
			return *seen.Server, seen.Began, nil
		case c.Appears.IsZero():
			return host, seen.Began, nil
		}
	}
	host, err = fleet.Read(s.Poll, func(ctx context.Context) (hetzner.Server, hetzner.Quota, error) { return api.ServerNamed(ctx, c.Name) })
	return host, s.Sent, err
}

func (c *Copy) delete(s *fleet.Script, api *hetzner.Client) error {
	return s.Change(fleet.Change{Rank: fleet.Power, Send: func(ctx context.Context) (hetzner.Quota, error) {
		return api.DeleteServer(ctx, c.ID)
	}})
}

// removeAddresses waits until the copy's addresses are gone with it. One that is assigned to nothing is deleted; one that is
// assigned is waited for where it is sure that the copy is gone, and otherwise reported.
func (c *Copy) removeAddresses(s *fleet.Script, api *hetzner.Client, limit time.Time, sure bool) (left *Left, assigned bool) {
	for _, id := range c.Addresses {
		left = &Left{Address: id}
		for {
			var err error
			if assigned = false; !s.Cancelled() { // then there is no poll to spare, and Hetzner refuses to delete one that is assigned
				assigned, err = fleet.Read(s.Poll, func(ctx context.Context) (bool, hetzner.Quota, error) { return api.PrimaryIPAssigned(ctx, id) })
			}
			if err == nil && !assigned {
				err = s.Send(func(ctx context.Context) (hetzner.Quota, error) { return api.DeletePrimaryIP(ctx, id) })
				if err == nil {
					break
				}
			}
			if hetzner.IsNotFound(err) {
				break
			}
			failure, failed := errors.AsType[*hetzner.Error](err)
			if failed {
				left.Err = failure
			}
			if assigned && !sure {
				return left, true
			}
			if err != nil && !failed || !s.Now().Before(limit) || s.Sleep(s.Now().Add(pause(s))) != nil {
				return left, false
			}
		}
	}
	return nil, false
}
