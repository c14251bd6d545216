// Package snapshot brings each selected server to exactly one usable snapshot, or to a reason why not.
//
// The way of one server is a script, read from top to bottom: [server.way] in server.go is where to begin. It is switched
// off where that is wanted (turn.go, power.go), asked for a snapshot exactly once (create.go), followed until the snapshot can be
// used (follow.go), and its old snapshots are thinned out (thinning.go). What asking for any change takes, whatever the
// change is, stands in target.go: the lock, the refusals, and the proof after a lost answer. The scripts share a run (run.go).
// What other commands share stands in session.go, outcome.go, events.go and taker.go.
//
// Package fleet resumes the scripts, shows them what Hetzner answers, and keeps the budget. This package writes no text,
// knows no CI system, and never repeats a create because its answer is missing.
package snapshot

import (
	"io"
	"maps"
	"os"
	"strconv"
	"time"

	"github.com/org/hsnap-action/internal/hetzner"
	"github.com/org/hsnap-action/internal/labels"
	"github.com/org/hsnap-action/internal/project"
	"github.com/org/hsnap-action/internal/retention"
	"github.com/org/hsnap-action/internal/thinning"
)

// Policy says what to do about a circumstance that the user has an opinion on.
type Policy string

// The policies. Which of them a setting may have is the user's contract, held by the inputs.
const (
	Error  Policy = "error"
	Fail   Policy = "fail"
	Warn   Policy = "warn"
	Ignore Policy = "ignore"
	Skip   Policy = "skip"
	Wait   Policy = "wait"

	Never    Policy = "never"
	Graceful Policy = "graceful" // switched off by the guest, which must be off in time
	Force    Policy = "force"    // by the guest, or powered off when its time is up
)

// Settings is what a run was asked to do. All of it is valid when it gets here.
type Settings struct {
	project.Selection

	IfNone    Policy // Error, Warn or Ignore
	IfVolumes Policy // Warn, Fail or Ignore
	IfLocked  Policy // Wait, Skip or Fail

	LockTimeout     time.Duration // counts only while Hetzner shows a lock or refuses, for each server
	SnapshotTimeout time.Duration // from acceptance, for each server
	Wait            bool          // until the snapshots are available; otherwise until they are accepted
	MaxParallel     int           // snapshots in flight at once
	DryRun          bool          // only read
	Protect         bool          // set delete protection on each snapshot

	Shutdown        Policy        // Never, Graceful or Force
	ShutdownTimeout time.Duration // for a guest to shut down, and for a create to be accepted while its server is off
	MaxUnavailable  int           // servers that may be off at once
	SettleTime      time.Duration // between a server's return and the next one's shutdown

	// Record notes which servers may be off because of this run, before the first of them is touched and whenever
	// that changes, for whoever comes after a run that was killed. What it refuses is not switched off.
	Record func([]Recorded) error

	Series           string
	Retention        retention.Policy
	WorkflowRun      labels.Run
	Reuse            bool          // take over snapshots of earlier attempts of the run
	ReuseWithin      time.Duration // take over those of any run that are younger; 0 for none
	Repository       string        // as a label value
	Labels           map[string]string
	CopyServerLabels bool
	Describe         func(hetzner.Server, time.Time) string

	Rand io.Reader // for the request values; must not fail or run dry
	// Late reports whether a first signal is the runner's last, so that the run must be over within 2 s; nil for never.
	Late func(os.Signal) bool
}

// labelsOf returns what the snapshot of a server is labelled with. The user's labels win over the server's; nobody's
// win over ours, since exactly-once hangs on them.
func (s Settings) labelsOf(server hetzner.Server, request string) map[string]string {
	set := map[string]string{}
	if s.CopyServerLabels {
		maps.Copy(set, server.Labels)
		maps.DeleteFunc(set, func(key, _ string) bool { return labels.Reserved(key) })
	}
	maps.Copy(set, s.Labels)
	set[labels.Series] = s.Series
	set[labels.ServerID] = strconv.FormatInt(server.ID, 10)
	set[labels.RunID] = s.WorkflowRun.Label()
	set[labels.Request] = request
	set[labels.Repository] = s.Repository
	return set
}

// Status is what became of one server's snapshot. Its values are part of the user's contract.
type Status string

// The statuses.
const (
	Available Status = "available"
	Creating  Status = "creating" // accepted, not waited for
	Planned   Status = "planned"  // dry run
	Skipped   Status = "skipped"
	Failed    Status = "failed"
	Cancelled Status = "cancelled"
)

// Reason says why a server was skipped, failed or cancelled. Its values are part of the user's contract.
type Reason string

// The reasons.
const (
	NotFound        Reason = "not_found"
	Locked          Reason = "locked"
	LockTimeout     Reason = "lock_timeout"
	SnapshotTimeout Reason = "snapshot_timeout"
	Refused         Reason = "refused"
	ActionFailed    Reason = "action_failed"
	LimitExceeded   Reason = "limit_exceeded"
	UnknownOutcome  Reason = "unknown_outcome"
	VolumesAttached Reason = "volumes_attached"
	ProtectFailed   Reason = "protect_failed"
	ShutdownTimeout Reason = "shutdown_timeout"
	ShutdownHalted  Reason = "shutdown_halted"
	ShutdownSelf    Reason = "shutdown_self"
	BootsElsewhere  Reason = "boots_elsewhere"
	PowerOnFailed   Reason = "power_on_failed"
	RunCancelled    Reason = "cancelled"
)

// Result is what became of one server, or of one thing that was asked for and does not exist.
type Result struct {
	Name   string         // the server's name; for NotFound the name, ID, glob or selector as the user wrote it
	Server hetzner.Server // zero for what does not exist
	Status Status
	Reason Reason // "" where there is nothing to say

	Pattern  bool   // for NotFound: Name is a glob or a label selector
	Nearest  string // for NotFound: the server that may have been meant, "" for none
	Accepted bool   // a create was accepted, whatever came of it

	Err      *hetzner.Error  // what Hetzner answered last, where that is the reason
	Action   *hetzner.Action // the action that failed, where that is the reason
	Holder   *hetzner.Action // who held the lock, where known
	MaySlip  bool            // a create is unanswered: a snapshot may still appear, labelled with Request
	Vanished bool            // the image was there, and then was not
	Request  string          // value of [labels.Request]

	ImageID, ActionID int64 // 0 where unknown
	Description       string
	SizeGB            float64 // 0 where unknown
	LockWait          time.Duration
	Duration          time.Duration // from acceptance; 0 without
	Downtime          time.Duration // from the shutdown until it was seen running again; 0 without
	PowerState        string        // "running", "off" or "" at the create
	Reused, Protected bool
	Age               time.Duration // of the snapshot that is taken over; 0 where unknown
	Stops             bool          // planned: the server would be switched off

	Thinned []thinning.Snapshot // what became of the server's snapshots in this series, the newest first

	LeftOff     bool           // this action has switched the server off, and could not see it running again
	LeftBefore  bool           // it was an earlier run that did
	PowerAction int64          // the last power-on that was accepted, 0 for none
	HaltedBy    Reason         // for ShutdownHalted: what happened to a server, "" when the record can't be written
	HaltedOn    string         // for ShutdownHalted: that server's name
	PowerErr    *hetzner.Error // the last answer that kept it off

	PowerOnFailed bool // it is left off although nobody has cancelled the run; this is told in place of Status and Reason
}

// Told returns the status and the reason of the server as the user is told them. Status and Reason themselves are those
// of the snapshot, whatever became of the server's power.
func (r Result) Told() (Status, Reason) {
	if r.PowerOnFailed {
		return Failed, PowerOnFailed
	}
	return r.Status, r.Reason
}

// Failed reports whether the server counts as failed.
func (r Result) Failed() bool { return r.PowerOnFailed || r.Status == Failed }

// Usable reports whether the snapshot is what the user asked for: available, or accepted when nobody waits. A server
// that could not be switched on again does not make it worse.
func (r Result) Usable() bool { return r.Status == Available || r.Status == Creating }
