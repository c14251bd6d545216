// Package restore puts servers back to their snapshots.
//
// A run reads the project once and checks every pair of a server and an image before anything is changed (pairs.go): one pair
// that is wrong, and no server is touched. The way of one server is a script, read from top to bottom: [server.way] in
// server.go. Its disk as it is now is snapshotted first, it is rebuilt, and it proves that it is back (package proof). The lock,
// the refusals and the proof after a lost answer are those of package snapshot.
//
// The package deletes nothing, writes no text, lifts no protection, and never repeats a rebuild because its answer is
// missing.
package restore

import (
	"os"
	"time"

	"github.com/org/hsnap-action/internal/hetzner"
	"github.com/org/hsnap-action/internal/project"
	"github.com/org/hsnap-action/internal/proof"
	"github.com/org/hsnap-action/internal/snapshot"
)

// Settings is what a run was asked to do. All of it is valid when it gets here.
type Settings struct {
	Images        map[string]project.Choice // by the server's name
	Series        string                    // where the newest snapshot is looked for
	MaxAge        time.Duration             // of an image
	SnapshotFirst bool
	Proof         proof.Proof
	IfVolumes     snapshot.Policy // Warn, Fail or Ignore

	RestoreTimeout time.Duration // from the acceptance of a rebuild to its end
	BootTimeout    time.Duration // from there to the proof
	DryRun         bool          // only read

	// Before is how the snapshot of before is made; how long a lock is waited for, and the project is tried to be read; and how
	// many servers are on their way at once.
	Before snapshot.Settings
	Dial   proof.Dialer
	Late   func(os.Signal) bool // reports whether a first signal is the runner's last; nil for never
}

// Restored is the status of a server that is back. The other ones are those of a snapshot.
const Restored snapshot.Status = "restored"

// The reasons that only a restore has. Their values are part of the user's contract.
const (
	SnapshotFirstFailed snapshot.Reason = "snapshot_first_failed"
	RestoreTimeout      snapshot.Reason = "restore_timeout"
	NotProven           snapshot.Reason = "not_proven"
)

// Outcome is what became of a run. The results of the embedded outcome are empty.
type Outcome struct {
	snapshot.Outcome
	Restores []Result  // ordered by name
	Refused  []Mistake // pairs that are wrong, ordered by name: nothing was changed
}

// Result is what became of one server. Of the embedded result Status and Reason are those of the restore, ImageID and
// ActionID those of the rebuild, and Downtime counts from the rebuild to the proof.
type Result struct {
	snapshot.Result
	proof.Seen // of the server, once it was rebuilt
	Image      hetzner.Image
	Age        time.Duration // of the image, when it was checked

	Before     snapshot.Result // what became of the snapshot of before; without a status where none was begun
	Password   bool            // Hetzner has set a new root password
	AnswerLost bool            // that would have said so
	Rewritten  bool            // the rebuild's action has succeeded
	Done       bool            // the rebuild has ended well, and a poll has shown the server running from the image
}

// Failed reports whether the server counts as failed.
func (r Result) Failed() bool { return r.Status == snapshot.Failed }

// EventKind says what an [Event] of this package tells.
type EventKind int

// What events tell, in the order of a server's way.
const (
	EventChecked  EventKind = iota + 1 // the pairs are right: Results
	EventVolumes                       // volumes are attached, which stay as they are
	EventBefore                        // the snapshot of before is available: Result
	EventAsked                         // the rebuild was sent
	EventAccepted                      // it was accepted: ActionID
	EventLost                          // its answer was lost: Err
	EventFound                         // the rebuild of a lost answer was found: ActionID
	EventWritten                       // its action has succeeded, and the server has to show it
	EventOff                           // the server is off after its rebuild, and is switched on
	EventProving                       // it runs, and has to prove it: Address
	EventFinished                      // Result is final
)

// Event is something that happened: of this package, or without a kind of package snapshot.
type Event struct {
	snapshot.Event
	Kind    EventKind
	Results []Result
	Result  *Result
	Address string
}
