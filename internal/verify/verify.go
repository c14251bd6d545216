// Package verify proves snapshots by booting copies of their servers.
//
// A run reads the project and the price lists, and decides what is due and what it may cost before anything is created
// (plan.go). The way of one copy is a script, read from top to bottom: [verification.way] in copy.go. It is created once, shut
// off by a firewall of its own (firewall.go), seen to be so, switched on, and has to answer (boot.go). What came of it is written on the
// image (mark.go). Whatever happens, a second script deletes the copy again (package copies).
//
// The package never touches a server that no verification has made, nor an image but its labels, and writes no text.
package verify

import (
	"io"
	"net/netip"
	"os"
	"time"

	"github.com/org/hsnap-action/internal/copies"
	"github.com/org/hsnap-action/internal/hetzner"
	"github.com/org/hsnap-action/internal/project"
	"github.com/org/hsnap-action/internal/proof"
	"github.com/org/hsnap-action/internal/snapshot"
)

// The server types that are chosen by the run. Any other one is a name.
const (
	SameType     = "same"     // as the server's
	CheapestType = "cheapest" // of those that fit the image
)

// Settings is what a run was asked to do. All of it is valid when it gets here.
type Settings struct {
	project.Selection
	Images map[string]project.Choice // by the server's name; instead of the selection, nil for that

	Series         string
	VerifiedWithin time.Duration // a server that was verified within this span is not due; 0 for none
	AtMost         int           // verifications, 0 for any number
	Proof          proof.Proof
	ProofLabel     string // how the proof is written on the image
	ServerType     string // SameType, CheapestType or a name
	CreateTimeout  time.Duration
	BootTimeout    time.Duration
	MaxParallel    int
	MaxCost        float64        // gross, of all verifications together
	AllowFrom      []netip.Prefix // that the port is open to
	DryRun         bool

	// Record notes which copies have to go, before the first of them is created and whenever that may have changed, for whoever
	// comes after a run that was killed. What it refuses is not created.
	Record func([]copies.Copy) error

	Dial proof.Dialer
	Rand io.Reader            // for the request values; must not fail or run dry
	Late func(os.Signal) bool // reports whether a first signal is the runner's last; nil for never
}

// The statuses that only a verification has. The other ones are those of a snapshot.
const (
	Verified     snapshot.Status = "verified"
	Inconclusive snapshot.Status = "inconclusive"
)

// The reasons that only a verification has. Their values are part of the user's contract.
const (
	NotProven     snapshot.Reason = "not_proven"
	NotDue        snapshot.Reason = "not_due"
	InProgress    snapshot.Reason = "in_progress"
	NoCapacity    snapshot.Reason = "no_capacity"
	Firewall      snapshot.Reason = "firewall"
	NotIsolated   snapshot.Reason = "not_isolated"
	CreateFailed  snapshot.Reason = "create_failed"
	CreateTimeout snapshot.Reason = "create_timeout"
)

// Outcome is what became of a run. Of the embedded outcome's results only those of names that match nothing are set.
type Outcome struct {
	snapshot.Outcome
	Verifications []Result // ordered by the servers' names
	Currency      string
	PlannedCost   float64 // of all verifications together, at most
	TooExpensive  bool    // that is more than the user allows, and nothing was created
}

// Result is what became of one verification.
type Result struct {
	Name   string // of the server
	Server hetzner.Server
	Image  hetzner.Image // zero where there is none
	Age    time.Duration // of the image, 0 where it is not known
	Status snapshot.Status
	Reason snapshot.Reason // "" where there is nothing to say

	Choice     project.Choice
	Copy       string          // its name
	Type       string          // of the copy
	Err        *hetzner.Error  // what Hetzner answered last, where that is the reason
	Action     *hetzner.Action // the action that failed, where that is the reason
	VerifiedAt time.Time       // for NotDue: when a snapshot of the server was verified; zero where at-most is the reason
	Differs    string          // for Firewall: the name of the one whose rules differ, "" for none

	proof.Seen      // of the copy
	Ran        bool // the copy was seen running
	Written    bool // on the image
	MayShow    bool // or it is not known whether it was written

	CreateTook, BootTook time.Duration // 0 where it did not come to that
	MostCost, Cost       float64       // gross: planned, and what it has come to
	HourCost             float64       // of the copy
	Left                 *copies.Left  // why the copy could not be removed; nil where nothing is left of it
}

// failed reports whether it has not come to what was asked for.
func (r Result) failed() bool { return r.Status == snapshot.Failed || r.Status == Inconclusive }

// EventKind says what an [Event] of this package tells.
type EventKind int

// What events tell, in the order of a verification's way.
const (
	EventPlanned  EventKind = iota + 1 // what is verified, and what is not due: Results, Currency
	EventAsked                         // the copy was asked for
	EventAccepted                      // Hetzner has accepted it
	EventRefused                       // Hetzner has refused it for now: Err
	EventLost                          // the answer was lost: Err
	EventFound                         // the copy of a lost answer was found
	EventCreated                       // the copy is created, and has to be shut off
	EventIsolated                      // it is, and is switched on
	EventProving                       // it runs, and has to answer: Address
	EventProved                        // it has, or has not: Result
	EventRemoved                       // the copy is gone
	EventFinished                      // Result is final
)

// Event is something that happened: of this package, or without a kind of package snapshot.
type Event struct {
	snapshot.Event
	Kind     EventKind
	Results  []Result
	Result   *Result
	Address  string
	Currency string // of what they cost
}
