package hetzner

import (
	"cmp"
	"fmt"
	"math"
	"time"

	"github.com/hetznercloud/hcloud-go/v2/hcloud"
	"github.com/hetznercloud/hcloud-go/v2/hcloud/schema"
)

// Hetzner's words for what matters here: the status of a server and of an action, and the actions that make a snapshot and put one on a server's disk.
const (
	StatusRunning      = string(hcloud.ServerStatusRunning)
	StatusOff          = string(hcloud.ServerStatusOff)
	ActionRunning      = string(hcloud.ActionStatusRunning)
	ActionSucceeded    = string(hcloud.ActionStatusSuccess)
	CommandCreateImage = "create_image"
	CommandRebuild     = "rebuild_server"
)

// Server is what this program needs to know of a server.
type Server struct {
	ID             int64
	Name           string
	Status         string // "running", "off" and others
	Type, Location string
	IPv4, IPv6     string // "" where the server has none
	Locked         bool   // a hint: only the answer to a request is certain
	Labels         map[string]string
	Volumes        []int64 // attached volumes, which no snapshot includes
	RescueEnabled  bool    // the next boot is into the rescue system
	ISO            string  // the attached ISO, which the next boot may be from; "" for none
	Created        time.Time

	ImageID          int64  // that its disk was last written from, as far as Hetzner knows; 0 for none
	Architecture     string // "x86" or "arm"
	DiskGB           int
	RebuildProtected bool

	Networks       int            // private ones that it is in
	IPv4ID, IPv6ID int64          // of its primary IPs, 0 for none
	Firewalls      map[int64]bool // by ID: whether the firewall holds already
}

// BootsElsewhere reports whether the server's next boot may not be from its own disk.
func (s Server) BootsElsewhere() bool { return s.RescueEnabled || s.ISO != "" }

// Image is what this program needs to know of a snapshot.
type Image struct {
	ID          int64
	Type        string // "snapshot" and others
	Status      string // "creating", "available", "unavailable"
	Description string
	Labels      map[string]string
	Created     time.Time // by Hetzner's clock
	CreatedFrom int64     // the server's ID, 0 where Hetzner does not say
	SizeGB      float64   // 0 while it is being created
	DiskGB      float64   // that a server's disk must have for it
	Protected   bool

	Architecture string // "x86" or "arm"
}

// Available reports whether the image can be used.
func (i Image) Available() bool { return i.Status == "available" }

// NewerThan reports whether the image was made after another one; the zero image is older than all. Of two that were made
// at the same time the higher ID tells.
func (i Image) NewerThan(other Image) bool {
	return cmp.Or(i.Created.Compare(other.Created), cmp.Compare(i.ID, other.ID)) > 0
}

// Action is what this program needs to know of an action.
type Action struct {
	ID                      int64
	Command                 string
	Status                  string    // [ActionRunning], [ActionSucceeded] or "error"
	Progress                int       // percent
	Started, Finished       time.Time // in whole seconds by Hetzner's clock; Finished is zero while it runs
	ErrorCode, ErrorMessage string
}

// Running reports whether the action has not ended yet.
func (a Action) Running() bool { return a.Status == ActionRunning }

// Succeeded reports whether the action ended well. Whatever is neither running nor a success is a failure.
func (a Action) Succeeded() bool { return a.Status == ActionSucceeded }

func (s Server) resourceID() int64  { return s.ID }
func (i Image) resourceID() int64   { return i.ID }
func (s Server) created() time.Time { return s.Created }
func (i Image) created() time.Time  { return i.Created }

func serverFrom(s schema.Server) Server {
	server := Server{
		ID: s.ID, Name: s.Name, Status: s.Status, Locked: s.Locked, Created: s.Created,
		Type: s.ServerType.Name, Location: s.Location.Name,
		IPv4: s.PublicNet.IPv4.IP, IPv6: s.PublicNet.IPv6.IP,
		Labels: s.Labels, Volumes: s.Volumes, RescueEnabled: s.RescueEnabled,
		Architecture: s.ServerType.Architecture, DiskGB: s.PrimaryDiskSize, RebuildProtected: s.Protection.Rebuild,
		ImageID: valueOf(s.Image).ID, Networks: len(s.PrivateNet), IPv4ID: s.PublicNet.IPv4.ID, IPv6ID: s.PublicNet.IPv6.ID,
	}
	for _, firewall := range s.PublicNet.Firewalls {
		if server.Firewalls == nil {
			server.Firewalls = map[int64]bool{}
		}
		server.Firewalls[firewall.ID] = firewall.Status == "applied"
	}
	if s.ISO != nil { // a private one has no name
		server.ISO = cmp.Or(s.ISO.Name, s.ISO.Description, "unnamed")
	}
	return server
}

func imageFrom(i schema.Image) Image {
	return Image{
		ID: i.ID, Type: i.Type, Status: i.Status, Description: i.Description,
		Labels: i.Labels, Protected: i.Protection.Delete, Architecture: i.Architecture, DiskGB: float64(i.DiskSize),
		Created: valueOf(i.Created), CreatedFrom: valueOf(i.CreatedFrom).ID,
		SizeGB: math.Round(float64(valueOf(i.ImageSize))*1000) / 1000, // 14.199999809265137 is a 14.2 in 32 bits
	}
}

func (c *Client) actionFrom(a schema.Action) Action {
	action := Action{
		ID: a.ID, Command: a.Command, Status: a.Status, Progress: a.Progress, Started: a.Started, Finished: valueOf(a.Finished),
		ErrorCode: c.text(valueOf(a.Error).Code), ErrorMessage: c.text(valueOf(a.Error).Message),
	}
	if !action.Running() && !action.Succeeded() {
		action.ErrorMessage = cmp.Or(action.ErrorMessage, "Hetzner gave no reason")
	}
	return action
}

// valueOf returns what Hetzner may leave out, the zero value where it did.
func valueOf[T any](p *T) (value T) {
	if p != nil {
		value = *p
	}
	return value
}

// Price is what a gigabyte of a snapshot costs in a month, and a primary IP in an hour.
type Price struct {
	Currency   string // as "EUR"
	Net, Gross float64
	Addresses  map[string]map[string]float64 // gross, by the type ("ipv4", "ipv6") and location
}

// Page is one page of a listing.
type Page[T Resource] struct {
	Number int
	Next   int // the next page's number, 0 on the last page
	Total  int // how many resources Hetzner counts in all, -1 where it doesn't say
	Items  []T
	At     time.Time // by Hetzner's clock, zero where the answer doesn't say
}

// Resource is what a listing can hold.
type Resource interface {
	Server | Image | ServerType
	resourceID() int64
	created() time.Time
}

// pageOf checks that an answer is the page that was asked for. A page without pagination data might be a listing's
// first half or an empty object in disguise: it is no page.
func pageOf[From any, T Resource](a answer, number int, items []From, f func(From) T, err error) (Page[T], Quota, error) {
	if err != nil {
		return Page[T]{}, a.quota, err
	}
	p := a.pagination
	switch {
	case p == nil:
		return Page[T]{}, a.quota, a.incomplete("the listing has no pagination data")
	case p.Page != number, p.NextPage != 0 && p.NextPage != number+1, p.NextPage == 0 && p.LastPage > number:
		return Page[T]{}, a.quota, a.incomplete("asked for page %d of a listing, got page %d, next %d", number, p.Page, p.NextPage)
	case items == nil:
		return Page[T]{}, a.quota, a.incomplete("the listing holds no list")
	}
	page := Page[T]{Number: number, Next: p.NextPage, Total: p.TotalEntries, Items: convert(items, f), At: a.date}
	if p.TotalEntries == 0 && (len(items) > 0 || number > 1) {
		page.Total = -1
	}
	return page, a.quota, nil
}

// maxPages bounds a listing, so that one whose pages never end does not go on forever.
const maxPages = 200

// Listing collects the pages of one listing until it is whole. Resources that slide onto a second page while the
// listing is read are counted by their ID, once. A page that failed can be requested again: what the listing holds by
// then stays. The zero value is ready for page 1.
type Listing[T Resource] struct {
	Items []T
	seen  map[int64]int // resource ID -> its index in Items
	next  int
	total int       // as the first page counted
	began time.Time // when that was, by Hetzner's clock; zero where the answer didn't say
	added int       // resources of later pages that have been made since
}

// Next returns the number of the page that is missing.
func (l *Listing[T]) Next() int { return max(l.next, 1) }

// Add adds the page with the number that [Listing.Next] names, and reports whether the listing is whole. An error means
// that the pages don't make a whole, as when resources slid away between two of them: the listing must be begun again.
func (l *Listing[T]) Add(p Page[T]) (whole bool, err error) {
	if p.Number != l.Next() {
		return false, fmt.Errorf("page %d of a listing came instead of page %d", p.Number, l.Next())
	}
	if l.seen == nil {
		l.seen, l.total, l.began = map[int64]int{}, p.Total, p.At
	}
	for _, item := range p.Items {
		id := item.resourceID()
		if i, ok := l.seen[id]; ok {
			l.Items[i] = item
			continue
		}
		l.seen[id] = len(l.Items)
		l.Items = append(l.Items, item)
		if p.Number > 1 && !l.began.IsZero() && !item.created().Before(l.began) {
			l.added++
		}
	}
	if old := p.Total - l.added; p.Total >= 0 && old < l.total {
		// One was deleted, so that the first of a page slid onto the page before, which had been read. One that was made
		// since would hide that.
		return false, fmt.Errorf("the listing shrank from %d to %d resources while it was read", l.total, old)
	}
	if p.Next > maxPages {
		return false, fmt.Errorf("the listing has more than %d pages", maxPages)
	}
	if p.Next != 0 {
		l.next = p.Next
		return false, nil
	}
	if p.Total > len(l.Items) {
		return false, fmt.Errorf("the listing holds %d of %d resources", len(l.Items), p.Total)
	}
	return true, nil
}
