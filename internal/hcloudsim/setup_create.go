package hcloudsim

import (
	"maps"
	"slices"
	"time"
)

// CopyBehaviour is how servers are that are created from an image.
type CopyBehaviour struct {
	// Duration is the time from acceptance until the server is created. Zero: 30 s.
	Duration time.Duration
	// LockFor is how long the creation locks the server: zero for as long as
	// its action runs, negative not at all.
	LockFor time.Duration
	// Progress is how the action's percentage moves.
	Progress ProgressShape

	// With a FailCode the action ends in that error, FailAfter after
	// acceptance (zero: Duration). The server is then off, its disk half
	// written, and VanishAfter later it is gone; negative: it stays.
	FailAfter   time.Duration
	VanishAfter time.Duration
	FailCode    string
	FailMessage string
	// FailTimes is how many creations fail before one succeeds. Zero: all.
	FailTimes int

	// FirewallAfter is the time from the end of the creation until the server's
	// firewalls are applied. Zero: 2 s; negative: they never are.
	FirewallAfter time.Duration

	Power    PowerBehaviour
	Deletion DeletionBehaviour
	Guest    Guest
}

// DeletionBehaviour is how a server is deleted.
type DeletionBehaviour struct {
	// After is the time from acceptance until the server is gone. Meanwhile it
	// is locked.
	After time.Duration
	// FailTimes is how many deletions end in an error and leave the server as
	// it was. Negative: all.
	FailTimes int
	// IPsStay is how long the server's primary IPs outlive it, assigned to
	// nothing. Negative: for ever.
	IPsStay time.Duration
}

// Creation is the truth about a server that was created through the API, and
// perhaps deleted since.
type Creation struct {
	ServerID       int64
	Name           string
	Type           string
	Location       string
	ImageID        int64
	Labels         map[string]string // as asked for
	Networks       []int64           // as asked for
	Volumes        []int64           // as asked for
	Firewalls      []int64           // as asked for
	PlacementGroup int64
	SSHKeys        int // how many
	UserData       string
	RootPassword   string  // as answered; empty: null
	PrimaryIPs     []int64 // made for it

	Accepted time.Time
	Ended    time.Time // when it was created, or the creation failed; zero: neither yet
	Failed   bool
	Starts   []Start   // every time it was switched on, by whomever
	Deleted  time.Time // zero: it is still there
}

// Start is when a server was switched on: when the request was accepted, or
// the creation that was to start it was over.
type Start struct {
	At         time.Time
	Firewalled bool // it had a firewall, and all that it had were applied
	Attached   bool // it was in a private network, or had a volume
}

// Creations returns every server that was created through the API, in the order
// of the creates.
func (c *Cloud) Creations() []Creation {
	var all []Creation
	c.update(func(p *project) {
		for _, made := range p.creations {
			truth := *made
			truth.Labels = maps.Clone(made.Labels)
			truth.Starts = slices.Clone(made.Starts)
			all = append(all, truth)
		}
	})
	return all
}

// RenameServer gives a server another name, as somebody else does. Unknown IDs are ignored.
func (c *Cloud) RenameServer(id int64, name string) {
	c.change(id, func(s *server) { s.Name = name })
}

// LabelServer replaces a server's labels, as somebody else does. Unknown IDs are ignored.
func (c *Cloud) LabelServer(id int64, labels map[string]string) {
	c.change(id, func(s *server) { s.Labels = maps.Clone(labels) })
}

// ProtectServer protects a server against deletion and rebuild, as somebody else does. Unknown IDs are ignored.
func (c *Cloud) ProtectServer(id int64) {
	c.change(id, func(s *server) { s.Protected = true })
}

// AttachVolume attaches a volume to a server, as somebody else does. Unknown servers are ignored.
func (c *Cloud) AttachVolume(serverID, volume int64) {
	c.change(serverID, func(s *server) { s.Volumes = append(s.Volumes, volume) })
}

// AttachNetwork attaches a server to a private network, as somebody else does. Unknown servers are ignored.
func (c *Cloud) AttachNetwork(serverID, network int64) {
	c.change(serverID, func(s *server) { s.Networks = append(s.Networks, network) })
}

func (c *Cloud) change(serverID int64, f func(*server)) {
	c.update(func(p *project) {
		if s := p.servers[serverID]; s != nil {
			f(s)
		}
	})
}

// SetCapacity is how many more servers of a type can be created at a location;
// each create takes one, and a deletion gives none back. Negative: any number,
// as at first.
func (c *Cloud) SetCapacity(serverType, location string, n int) {
	c.update(func(p *project) {
		p.capacity[offer{serverType, location}] = n
		if n < 0 {
			delete(p.capacity, offer{serverType, location})
		}
	})
}

// RetireServerType announces at that time that a server type will go. 90 days
// later it is in no listing, and no server can be created with it. It panics
// when there is no such type.
func (c *Cloud) RetireServerType(name string, announced time.Time) {
	if findProduct(name) == nil {
		panic("hcloudsim: no server type " + name)
	}
	c.update(func(p *project) { p.retired[name] = wall(announced).Truncate(time.Second) })
}

// PrimaryIP is a primary IP of the project, both to be added and as the truth.
// Servers bring their own.
type PrimaryIP struct {
	ID         int64  // zero: the next free one
	Name       string // empty: primary_ip-<ID>
	IP         string // an address, or an IPv6 network
	Type       string // empty: ipv4
	Location   string // empty: fsn1
	Labels     map[string]string
	ServerID   int64 // zero: assigned to nothing
	AutoDelete bool  // it is deleted with its server
	Protected  bool
	Created    time.Time // zero: now
}

// AddPrimaryIP adds a primary IP and returns its ID. It panics when the ID is
// taken.
func (c *Cloud) AddPrimaryIP(spec PrimaryIP) (id int64) {
	c.update(func(p *project) { id = p.addIP(spec).ID })
	return id
}

// PrimaryIPs returns the primary IPs, sorted by ID.
func (c *Cloud) PrimaryIPs() []PrimaryIP {
	var all []PrimaryIP
	c.update(func(p *project) {
		for _, ip := range sortedValues(p.ips) {
			truth := *ip
			truth.Labels = maps.Clone(ip.Labels)
			all = append(all, truth)
		}
	})
	return all
}
