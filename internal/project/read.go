package project

import (
	"context"
	"slices"
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
	list, _, err := read(r, func(ctx context.Context, page int) (hetzner.Page[hetzner.Server], hetzner.Quota, error) {
		return r.API.ServerPage(ctx, selector, page)
	})
	return list, err
}

// Images reads all snapshots that match a label selector ("" for all), ordered by ID. The date is that of the answer, by
// Hetzner's clock; zero where it did not say.
func (r Reader) Images(selector string) (images []hetzner.Image, date time.Time, err error) {
	return read(r, func(ctx context.Context, page int) (hetzner.Page[hetzner.Image], hetzner.Quota, error) {
		return r.API.ImagePage(ctx, selector, page)
	})
}

// Gone returns those of the images that this program has made of servers that do not exist any more. Servers are all of the
// project.
func Gone(images []hetzner.Image, servers []hetzner.Server) []hetzner.Image {
	exists := map[string]bool{}
	for _, server := range servers {
		exists[strconv.FormatInt(server.ID, 10)] = true
	}
	return slices.DeleteFunc(slices.Clone(images), func(image hetzner.Image) bool {
		server := image.Labels[labels.ServerID]
		return server == "" || exists[server]
	})
}

// Price reads what snapshots cost, once. It is zero where that can't be learnt.
func (r Reader) Price() (price hetzner.Price) {
	_ = r.Script.Send(func(ctx context.Context) (quota hetzner.Quota, _ error) {
		price, quota, _ = r.API.SnapshotPrice(ctx)
		return quota, nil
	})
	return price
}

// read reads a listing page by page. A page that fails is asked for again; where resources have slid between the pages, all.
func read[T hetzner.Resource](r Reader, ask func(context.Context, int) (hetzner.Page[T], hetzner.Quota, error)) (list []T, date time.Time, err error) {
	var listing hetzner.Listing[T]
	again := func(failure *hetzner.Error) bool {
		if failure.Final() || r.Script.Ending() {
			return false
		}
		if r.Unreached != nil && r.Script.Now().Before(r.Limit) {
			r.Unreached(failure)
		}
		return true
	}
	for whole := false; !whole; {
		err := r.Script.Persist(r.Limit, again, func(ctx context.Context) (hetzner.Quota, error) {
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
		})
		if err != nil {
			return nil, time.Time{}, err
		}
	}
	return listing.Items, date, nil
}
