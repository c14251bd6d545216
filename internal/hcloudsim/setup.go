package hcloudsim

import (
	"maps"
	"slices"
	"time"
)

// Server is a server to be added to the project.
type Server struct {
	ID       int64  // zero: the next free one
	Name     string // empty: server-<ID>; unique in the project
	Status   string // empty: running
	Type     string // empty: cx23
	Location string // empty: fsn1
	IPv4     string // empty: none
	IPv6     string // empty: none
	Labels   map[string]string
	Volumes  []int64
	Networks []int64
	Created  time.Time // zero: 30 days ago

	Firewalls      []int64 // that are applied to it
	PlacementGroup int64   // zero: none

	// PrimaryDiskGB is the size of its disk, smaller than its type's where the
	// type was changed and the disk kept. Zero: that of the type.
	PrimaryDiskGB int
	// ImageID is the image of the project that the server was made from. Zero:
	// a system image that is in no listing.
	ImageID int64

	RescueEnabled bool   // the next boot is into the rescue system
	ISO           string // the name of the attached ISO; empty: none
	Protected     bool   // against deletion and rebuild
	RootPassword  string // what a rebuild answers; empty: null, as for a server with an SSH key

	Snapshot SnapshotBehaviour
	Power    PowerBehaviour
	Rebuild  RebuildBehaviour
	Deletion DeletionBehaviour
	Guest    Guest
}

// SnapshotBehaviour is how a server's snapshots are created.
type SnapshotBehaviour struct {
	// Duration is the time from acceptance to the action's success. Zero: 45 s.
	Duration time.Duration
	// AvailableAfter is the time from the action's success until the image is
	// available.
	AvailableAfter time.Duration
	// LockFor is how long create_image locks the server: zero for as long as
	// its action runs, negative not at all.
	LockFor time.Duration
	// Progress is how the action's percentage moves.
	Progress ProgressShape

	// With a FailCode the action ends in that error, FailAfter after
	// acceptance (zero: Duration), and VanishAfter later its image is gone.
	FailAfter   time.Duration
	VanishAfter time.Duration
	FailCode    string
	FailMessage string
	// FailTimes is how many snapshots fail before one succeeds. Zero: all.
	FailTimes int

	// SizeGB is the size of the finished image. Zero: 2.5.
	SizeGB float32

	NeverAvailable bool // the action succeeds, the image stays creating
	Unavailable    bool // the image turns unavailable instead of available
}

// PowerBehaviour is how a server's guest reacts to the power commands.
type PowerBehaviour struct {
	// ShutdownAfter is the time from the ACPI signal until the server is off.
	// Zero: 8 s; negative: the guest ignores the signal.
	ShutdownAfter time.Duration
	PowerOffAfter time.Duration // zero: 3 s
	PowerOnAfter  time.Duration // zero: 5 s
	// LockAfter is how long the server is locked, without an action to be seen,
	// from the moment it goes off.
	LockAfter time.Duration
	// PowerOnFails is how many power-ons end in an error and leave the server
	// off. Negative: all.
	PowerOnFails int
	// PowerOnEndsIn is the status that a power-on leaves whose action succeeds:
	// starting or off, for a server that never runs. Empty: running.
	PowerOnEndsIn string
}

// RebuildBehaviour is how a server is rebuilt.
type RebuildBehaviour struct {
	// Duration is the time from acceptance to the action's success. Zero: 20 s.
	Duration time.Duration
	// LockFor is how long a rebuild locks the server: zero for as long as its
	// action runs, negative not at all.
	LockFor time.Duration
	// Progress is how the action's percentage moves.
	Progress ProgressShape

	// With a FailCode the action ends in that error, FailAfter after
	// acceptance (zero: Duration). The server is then off, its disk half
	// written.
	FailAfter   time.Duration
	FailCode    string
	FailMessage string
	// FailTimes is how many rebuilds fail before one succeeds. Zero: all.
	FailTimes int

	// OffFor is how long the server is off, from the action's success until it
	// runs. Negative: until somebody switches it on.
	OffFor time.Duration
}

// ProgressShape is how the percentage of a running action moves.
type ProgressShape int

// The shapes of progress.
const (
	Linear  ProgressShape = iota // in proportion to the time
	Stuck                        // 0 until the action ends
	Jumping                      // 0, 45 and 95, a third of the time each
)

// AddServer adds a server and returns its ID. It panics when the ID or the
// name is taken, or the image or a firewall isn't there.
func (c *Cloud) AddServer(spec Server) (id int64) {
	c.update(func(p *project) { id = p.addServer(spec).ID })
	return id
}

// DeleteServer deletes a server at once, its backups and its primary IPs. Its snapshots stay. Unknown IDs are ignored.
func (c *Cloud) DeleteServer(id int64) {
	c.update(func(p *project) { p.deleteServer(id) })
}

// SwitchOn switches a server on at once, as somebody else does. Unknown IDs are ignored.
func (c *Cloud) SwitchOn(id int64) {
	c.update(func(p *project) { p.switchTo(id, "running") })
}

// SwitchOff switches a server off at once, as somebody else does. Unknown IDs are ignored.
func (c *Cloud) SwitchOff(id int64) {
	c.update(func(p *project) { p.switchTo(id, "off") })
}

// ArmRescue lets a server's next boot be into the rescue system, as somebody else does. Unknown IDs are ignored.
func (c *Cloud) ArmRescue(id int64) {
	c.update(func(p *project) {
		if s := p.servers[id]; s != nil {
			s.RescueEnabled = true
		}
	})
}

// ServerState is the truth about a server.
type ServerState struct {
	ID     int64
	Name   string
	Status string
	Locked bool // truly locked, whether or not the API shows it
	Labels map[string]string
	// Commands are the power commands and rebuilds that were accepted, in order.
	Commands []string
	// Rebuilds are the images of the rebuilds that took effect, those that
	// failed later included, in order.
	Rebuilds []int64
	// DiskImage is the image that the disk was made from. Zero: it is half
	// written, by a rebuild that is still running or has failed.
	DiskImage int64
}

// Servers returns the servers, sorted by ID.
func (c *Cloud) Servers() []ServerState {
	var all []ServerState
	c.update(func(p *project) {
		for _, s := range p.sortedServers() {
			all = append(all, ServerState{
				ID: s.ID, Name: s.Name, Status: s.Status,
				Locked: s.locked(), Labels: maps.Clone(s.Labels),
				Commands: slices.Clone(s.commands), Rebuilds: slices.Clone(s.rebuilds), DiskImage: s.diskImage,
			})
		}
	})
	return all
}

// Image is an image of the project, both to be added and as the truth.
type Image struct {
	ID           int64  // zero: the next free one
	Type         string // empty: snapshot
	Status       string // empty: available
	Name         string // of system images only
	Description  string
	Labels       map[string]string
	Architecture string    // empty: that of the server, where there is such a server, else x86
	ServerID     int64     // zero: created_from is null
	ServerName   string    // empty: the server's name, where there is such a server
	Created      time.Time // zero: now; whole seconds, as in the API
	SizeGB       float32   // zero: null in the API, as while creating
	DiskGB       int       // zero: the size of the server's disk, where there is such a server, else 40
	Protected    bool

	// Deprecated is when the image's deprecation was announced; 90 days later
	// it becomes unavailable. Zero: it isn't deprecated.
	Deprecated time.Time

	// Copy is how servers are that are created from the image. Nil: as usual,
	// with the guest of the server that the image was made of, where there is
	// such a server.
	Copy *CopyBehaviour
}

// AddImage adds an image and returns its ID. It panics when the ID is taken.
// The limit of snapshots does not apply.
func (c *Cloud) AddImage(spec Image) (id int64) {
	c.update(func(p *project) { id = p.addImage(spec).ID })
	return id
}

// DeleteImage deletes an image, protected or not. Unknown IDs are ignored.
func (c *Cloud) DeleteImage(id int64) {
	c.update(func(p *project) { delete(p.images, id) })
}

// ProtectImage sets delete protection on an image. Unknown IDs are ignored.
func (c *Cloud) ProtectImage(id int64) {
	c.update(func(p *project) {
		if img := p.images[id]; img != nil {
			img.Protected = true
		}
	})
}

// Images returns the images, sorted by ID.
func (c *Cloud) Images() []Image {
	var all []Image
	c.update(func(p *project) {
		for _, img := range p.sortedImages() {
			truth := img.Image
			truth.Labels = maps.Clone(img.Labels)
			all = append(all, truth)
		}
	})
	return all
}

// Action is the truth about an action.
type Action struct {
	ID      int64
	Command string
	Began   time.Time
	Ends    time.Time // when it has succeeded, unless it is made to fail before
}

// Actions returns every action so far, sorted by ID.
func (c *Cloud) Actions() []Action {
	var all []Action
	c.update(func(p *project) {
		for _, a := range p.sortedActions() {
			all = append(all, Action{ID: a.ID, Command: a.Command, Began: a.began, Ends: a.began.Add(a.length)})
		}
	})
	return all
}

// Lock is a lock that some other operation holds on a server.
type Lock struct {
	// The lock begins From after it was placed and ends For later. A For of
	// zero never ends.
	From, For time.Duration
	// AfterPolls lets the lock begin only after that many GETs have shown the
	// server, From after the last of them: the lock then falls between a poll
	// and the create that trusts it.
	AfterPolls int
	// Command is the command of a running action that shows who holds the
	// lock. Empty: no action is to be seen.
	Command string
	// Hidden locks are not shown by the server's locked flag.
	Hidden bool
	// Lag is how long the lock outlives its For, and with it its action.
	Lag time.Duration
}

// Lock places a lock on a server and returns the ID of its action, zero for a
// lock without one. The action can be seen once the lock has begun. A server
// can hold several locks. It panics when there is no such server.
func (c *Cloud) Lock(serverID int64, l Lock) (actionID int64) {
	c.update(func(p *project) { actionID = p.placeLock(p.mustServer(serverID), l) })
	return actionID
}

// Unlock ends every lock that Lock placed on the server, begun or not; their
// actions end in success. Locks of the server's own operations stay.
func (c *Cloud) Unlock(serverID int64) {
	c.update(func(p *project) { p.unlock(p.mustServer(serverID)) })
}
