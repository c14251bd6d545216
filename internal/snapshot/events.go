package snapshot

import (
	"time"

	"github.com/org/hsnap-action/internal/copies"
	"github.com/org/hsnap-action/internal/hetzner"
	"github.com/org/hsnap-action/internal/thinning"
)

// EventKind says what an [Event] tells.
type EventKind int

// What events tell, in the order of a server's life.
const (
	EventSelected        EventKind = iota + 1 // the servers are known: Servers
	EventNoMatch                              // a glob or selector matches nothing, by Name, which the user called no error
	EventUnused                               // what is named in exclude matches nothing, by Name
	EventAmbiguous                            // a number is one server's ID and another's name, by Name; the ID was taken
	EventNothingLeft                          // all that was selected is excluded again, which the user called no error
	EventVolumes                              // volumes are attached, which the snapshot will not include
	EventLocked                               // Hetzner shows a lock; with Err it refused the create for now
	EventHolder                               // the lock's holder became known, or changed: Holder
	EventUnlocked                             // the lock is gone
	EventAsked                                // the create was sent
	EventAccepted                             // the create was accepted: ImageID, ActionID
	EventLost                                 // the create's answer was lost: Err
	EventAdopted                              // the image of a lost create was found
	EventAbsent                               // a lost create has proved to have had no effect, and is asked again
	EventCopied                               // the action succeeded; the image is awaited
	EventStopping                             // the server is asked to shut down
	EventPowerOff                             // it has not shut down in time, and is powered off
	EventOff                                  // it is off
	EventBackFirst                            // no create was accepted while it was off; it is switched on again first
	EventSwitchedOn                           // somebody else has switched it on
	EventPowerOffRefused                      // it can't be powered off for now: Err
	EventPowerRefused                         // it can't be switched on for now: Err
	EventRunning                              // it is running again, after Took
	EventLeftBefore                           // an earlier run has left it off
	EventLeftover                             // a copy that a verification has made is left, by Name; with Left it could not be deleted
	EventSwept                                // nothing is left of such a copy, by Name
	EventStays                                // a copy can't be deleted for now: Err
	EventFull                                 // the project has no room for the snapshot: Err
	EventThinning                             // what becomes of the server's snapshots is decided: Thinned
	EventDeleted                              // a snapshot was deleted: ImageID
	EventNotDeleted                           // a snapshot could not be deleted: ImageID, Err
	EventNotThinned                           // no complete listing came, so nothing is deleted: Err
	EventEnded                                // Result is final but for the server's power
	EventFinished                             // Result is final
	EventProgress                             // nothing new for a while: Standings; with Err Hetzner has not answered for Took
	EventUnreached                            // the servers could not be listed and will be asked for again, for Took at most: Err
	EventCancelled                            // the run is being cancelled
)

// Event is something that happened, for a report to put into words.
type Event struct {
	Kind      EventKind
	At        time.Time
	Name      string
	Nearest   string // for EventUnused: the server that may have been meant, "" for none
	Server    hetzner.Server
	Servers   []hetzner.Server
	Holder    *hetzner.Action
	Err       *hetzner.Error
	ImageID   int64
	ActionID  int64
	Thinned   []thinning.Snapshot
	Result    *Result
	Left      *copies.Left
	Took      time.Duration
	Standings []Standing // of the servers selected, of copies that are deleted, or none while the project is read
}

// Standing is where one server is at.
type Standing struct {
	Name    string
	Phase   Phase
	Percent int             // of its snapshot, rebuild or copy, while that is being made
	Holder  *hetzner.Action // of its lock, where known
	Off     bool            // it was switched off, and was not seen running again
	Over    bool            // nothing more is done for it
	Failed  bool            // it is over, and has failed
}

// Phase is what a server is at.
type Phase int

// The phases.
const (
	PhaseWaiting    Phase = iota // for its turn
	PhaseStuck                   // waits for others to make room for snapshots
	PhaseLocked                  // Hetzner shows a lock, or refused for now
	PhaseLost                    // nobody knows what became of the create
	PhaseCreating                // accepted
	PhaseFinished                // its power may still have to come back
	PhaseThinning                // the same, while old snapshots are thinned out
	PhaseRebuilding              // of a server that is restored: its disk is written anew
	PhaseProving                 // it, or a copy of it, has to prove that it answers
	PhaseRemoving                // a copy is deleted
)
