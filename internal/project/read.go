package project

import (
	"context"
	"strconv"
	"time"

	"github.com/org/hsnap-action/internal/fleet"
	"github.com/org/hsnap-action/internal/hetzner"
	"github.com/org/hsnap-action/internal/labels"
)

// Reader reads a project for the script that it belongs to, and goes on until the limit while Hetzner gives no usable
// answer. Each error is the last answer, an [*hetzner.Error], or how the script was ended.
type Reader struct {
	Script    *fleet.Script
	API       *hetzner.Client
	Limit     time.Time
	Unreached func(*hetzner.Error) // called before a request is repeated; nil for nobody
}

// Servers reads all servers that match a label selector ("" for all), ordered by ID.
func (r Reader) Servers(selector string) ([]hetzner.Server, error) {
	list, _, err := r.DatedServers(selector)
	return list, err
}

// DatedServers is as [Reader.Servers]. The date is that of the answer, by Hetzner's clock; zero where it did not say.
func (r Reader) DatedServers(selector string) ([]hetzner.Server, time.Time, error) {
	return read(r, func(ctx context.Context, page int) (hetzner.Page[hetzner.Server], hetzner.Quota, error) {
		return r.API.ServerPage(ctx, selector, page)
	})
}

// ServerTypes reads all server types that can be had.
func (r Reader) ServerTypes() ([]hetzner.ServerType, error) {
	list, _, err := read(r, r.API.ServerTypePage)
	return list, err
}

// Images reads all snapshots that match a label selector ("" for all), ordered by ID. The date is that of the answer, by
// Hetzner's clock; zero where it did not say.
func (r Reader) Images(selector string) (images []hetzner.Image, date time.Time, err error) {
	return read(r, func(ctx context.Context, page int) (hetzner.Page[hetzner.Image], hetzner.Quota, error) {
		return r.API.ImagePage(ctx, selector, page)
	})
}

// Image reads one image, of whatever type. One that does not exist is an [*hetzner.Error] with the code not_found.
func (r Reader) Image(id int64) (hetzner.Image, error) {
	return readOne(r, func(ctx context.Context) (hetzner.Image, hetzner.Quota, error) { return r.API.Image(ctx, id) })
}

// Prices reads what snapshots and primary IPs cost.
func (r Reader) Prices() (hetzner.Price, error) { return readOne(r, r.API.Prices) }

// Listing is what a command lists that is about the snapshots of a project.
type Listing struct {
	Selected []hetzner.Server // those that a label selector means, or all
	Servers  []hetzner.Server // all
	Images   []hetzner.Image
	Date     time.Time // of the images' list, by Hetzner's clock; zero where it did not say
	DatedAt  time.Time // when that list came, by this machine's clock
}

// All reads the snapshots that match a label selector ("" for all), and the servers, of which one may mean some. Selecting
// reports that Hetzner was asked what the latter means.
//
// The servers are listed after the images: one that is made, and snapshotted, between the two lists must not pass for one
// that is gone. Which servers there are, only the list of all tells; which of them a label selector means, Hetzner alone
// does, and so that takes one more list.
func (r Reader) All(servers, images string) (l Listing, selecting bool, err error) {
	if servers != "" {
		if l.Selected, err = r.Servers(servers); err != nil {
			return l, true, err
		}
	}
	if l.Images, l.Date, err = r.Images(images); err != nil {
		return l, false, err
	}
	l.DatedAt = r.Script.Now()
	l.Servers, err = r.Servers("")
	if servers == "" {
		l.Selected = l.Servers
	}
	return l, false, err
}

// Owner returns the server that this program has made a snapshot of, and false for what it has not made. Of a server that is
// gone, Hetzner may not say any more what was made of it; of one that exists, it must agree with the labels.
func Owner(image hetzner.Image, exists map[int64]bool) (id int64, ours bool) {
	id, err := strconv.ParseInt(image.Labels[labels.ServerID], 10, 64)
	series := image.Labels[labels.Series]
	if err != nil || series == "" {
		return 0, false
	}
	return id, labels.Made(image, id, series) || image.CreatedFrom == 0 && id != 0 && !exists[id]
}

// Gone returns those of the images that this program has made of servers that do not exist any more. Servers are all of the
// project.
func Gone(images []hetzner.Image, servers []hetzner.Server) (gone []hetzner.Image) {
	exists := map[int64]bool{}
	for _, server := range servers {
		exists[server.ID] = true
	}
	for _, image := range images {
		if id, ours := Owner(image, exists); ours && !exists[id] {
			gone = append(gone, image)
		}
	}
	return gone
}

// Self returns the server that this program runs on, 0 for none. That asks Hetzner's API nothing, and takes a second at most.
func (r Reader) Self() (id int64, err error) {
	err = r.Script.Do(func(ctx context.Context) func() {
		self := r.API.Self(ctx)
		return func() { id = self }
	})
	return id, err
}

// Price is as [Reader.Prices], but zero where that can't be learnt, which nothing else hangs on: once or, with a limit,
// until then.
func (r Reader) Price() (price hetzner.Price) {
	for n := 1; ; n++ {
		price, _ = fleet.Read(r.Script.Send, func(ctx context.Context) (hetzner.Price, hetzner.Quota, error) {
			price, quota, _ := r.API.Prices(ctx)
			return price, quota, nil
		})
		again := r.Script.Now().Add(fleet.RetryAfter(n))
		if price.Currency != "" || again.After(r.Limit) || r.Script.Sleep(again) != nil {
			return price
		}
	}
}

// read reads a listing page by page. A page that fails is asked for again; where resources have slid between the pages, all.
func read[T hetzner.Resource](r Reader, ask func(context.Context, int) (hetzner.Page[T], hetzner.Quota, error)) (list []T, date time.Time, err error) {
	var listing hetzner.Listing[T]
	for whole := false; !whole; {
		page := func(ctx context.Context) (hetzner.Quota, error) {
			page, quota, err := ask(ctx, listing.Next())
			if err != nil {
				return quota, err
			}
			date = page.At
			if whole, err = listing.Add(page); err != nil {
				listing = hetzner.Listing[T]{}
				return quota, &hetzner.Error{Message: err.Error()}
			}
			return quota, nil
		}
		if err := r.persist(func() error { return r.Script.Send(page) }); err != nil {
			return nil, time.Time{}, err
		}
	}
	return listing.Items, date, nil
}

// readOne reads one resource.
func readOne[T any](r Reader, ask func(context.Context) (T, hetzner.Quota, error)) (found T, err error) {
	err = r.persist(func() (err error) {
		found, err = fleet.Read(r.Script.Send, ask)
		return err
	})
	return found, err
}

// persist tries a read until the limit while Hetzner gives no usable answer.
func (r Reader) persist(try func() error) error {
	again := func(failure *hetzner.Error) bool {
		if failure.Final() || r.Script.Ending() {
			return false
		}
		if r.Unreached != nil && r.Script.Now().Before(r.Limit) {
			r.Unreached(failure)
		}
		return true
	}
	return r.Script.Persist(r.Limit, again, try)
}
