package report

import (
	"fmt"
	"strings"
	"time"

	"github.com/org/hsnap-action/internal/hetzner"
	"github.com/org/hsnap-action/internal/snapshot"
)

// account says what became of a server.
type account struct {
	what    string
	details []string // what Hetzner answered, and what else one must know
	next    string   // what to try, "" where nothing failed
}

// message is the whole account in one line.
func message(r snapshot.Result) string { return accountOf(r).join("; ") }

func (a account) join(separator string) string {
	parts := append([]string{a.what}, a.details...)
	if a.next != "" {
		parts = append(parts, "what to try: "+a.next)
	}
	for i := range parts {
		parts[i] = clean(parts[i]) // a line break in Hetzner's words is none of ours
	}
	return strings.Join(parts, separator)
}

func accountOf(r snapshot.Result) account {
	switch r.Status {
	case snapshot.Available:
		if r.Reused {
			return account{what: fmt.Sprintf("image %d of an earlier attempt is taken over", r.ImageID)}
		}
		what := fmt.Sprintf("image %d is available after %s%s", r.ImageID, short(r.Duration), size(r))
		if r.Protected {
			what += ", protected"
		}
		if r.Downtime > 0 {
			what += fmt.Sprintf("; the server was away for %s", short(r.Downtime))
		}
		return account{what: what}
	case snapshot.Creating:
		return account{what: fmt.Sprintf("image %d is being created", r.ImageID)}
	case snapshot.Planned:
		what := fmt.Sprintf("would be snapshotted as %q", r.Description)
		if r.Server.Locked {
			what += " once its lock is gone"
		}
		if r.Stops {
			what += ", switched off meanwhile"
		}
		return account{what: what}
	case snapshot.Skipped, snapshot.Failed, snapshot.Cancelled:
	}
	a := account{what: cause(r), next: advice(r)}
	switch {
	case r.Err == nil, r.Status == snapshot.Cancelled && !r.LeftOff:
	case r.Err.Code != "":
		a.details = append(a.details, "Hetzner answered: "+r.Err.Error())
	default:
		a.details = append(a.details, "the last answer: "+r.Err.Error())
	}
	if r.Reason == snapshot.PowerOnFailed {
		before := r
		before.Reason, before.LeftOff = r.SnapshotReason, false
		if r.Usable() {
			a.details = append(a.details, fmt.Sprintf("its snapshot can be used: image %d%s", r.ImageID, size(r)))
		} else if r.SnapshotReason != "" {
			a.details = append(a.details, fmt.Sprintf("its snapshot failed too (%s): %s", r.SnapshotReason, cause(before)))
		}
	} else if r.LeftOff {
		a.details = append(a.details, leftOff(r))
	}
	if r.ImageID != 0 && !r.Usable() && r.Reason != snapshot.ActionFailed {
		a.details = append(a.details, fmt.Sprintf("image %d is left as it is", r.ImageID))
	}
	if r.MaySlip {
		a.details = append(a.details, fmt.Sprintf("a snapshot may still appear, with the label %s=%s", snapshot.LabelRequest, r.Request))
	}
	return a
}

// cause says what happened.
func cause(r snapshot.Result) string {
	switch r.Reason {
	case snapshot.NotFound:
		if r.Server.ID != 0 {
			return "the server does not exist any more"
		}
		if isPattern(r.Name) {
			return "no server in this project matches"
		}
		return "no server in this project goes by that"
	case snapshot.Locked:
		return "the server is locked" + by(r.Holder) + ", and if-locked says not to wait"
	case snapshot.LockTimeout:
		return fmt.Sprintf("gave up after %s in which the server was locked%s or Hetzner refused", short(r.LockWait), by(r.Holder))
	case snapshot.SnapshotTimeout:
		return fmt.Sprintf("the snapshot is not available %s after it was accepted", short(r.Duration))
	case snapshot.Refused:
		return "Hetzner refused the request"
	case snapshot.ActionFailed:
		return failed(r)
	case snapshot.LimitExceeded:
		return "the limit of snapshots is reached"
	case snapshot.UnknownOutcome:
		return "the answer to the request was lost, and nothing shows what became of it"
	case snapshot.VolumesAttached:
		return fmt.Sprintf("%s attached, which no snapshot includes: %s", count(len(r.Server.Volumes), "volume"), ids(r.Server.Volumes))
	case snapshot.RunCancelled:
		return "the run was cancelled"
	case snapshot.ProtectFailed:
		return fmt.Sprintf("image %d is available, but could not be protected", r.ImageID)
	case snapshot.ShutdownTimeout:
		return "the server was not off in time, and is left running; no snapshot was taken"
	case snapshot.ShutdownHalted:
		return halted(r)
	case snapshot.ShutdownSelf:
		return "this run lives on that server, which is therefore never switched off"
	case snapshot.PowerOnFailed:
		return leftOff(r)
	}
	return string(r.Reason)
}

// halted says why a server was not switched off, and so not snapshotted.
func halted(r snapshot.Result) string {
	switch r.HaltedBy { //nolint:exhaustive // nothing else halts
	case snapshot.PowerOnFailed:
		return "not switched off, since another server did not come back; no snapshot was taken"
	case snapshot.LimitExceeded:
		return "not switched off, since the limit of snapshots is reached; no snapshot was taken"
	}
	return "not switched off, since that can't be recorded for the post step; no snapshot was taken"
}

// leftOff says that a server is off that was running.
func leftOff(r snapshot.Result) string {
	switch {
	case r.LeftBefore:
		return "THE SERVER IS OFF: an earlier run has switched it off and never saw it running again"
	case r.PowerAction != 0:
		return fmt.Sprintf("THE SERVER MAY BE OFF: Hetzner accepted to switch it on again (action %d), and nobody saw it running", r.PowerAction)
	}
	return "THE SERVER IS OFF: it was switched off for its snapshot and could not be switched on again"
}

func failed(r snapshot.Result) string {
	switch {
	case r.Action != nil:
		return fmt.Sprintf("Hetzner could not make the snapshot: %s (%s, action %d)", r.Action.ErrorMessage, r.Action.ErrorCode, r.Action.ID)
	case r.Vanished:
		return fmt.Sprintf("image %d was accepted and then vanished", r.ImageID)
	}
	return "Hetzner could not make the snapshot"
}

func by(holder *hetzner.Action) string {
	if holder == nil {
		return ""
	}
	return fmt.Sprintf(" by %s (%d%%, action %d)", holder.Command, holder.Progress, holder.ID)
}

// advice says what to try next.
func advice(r snapshot.Result) string {
	if r.LeftOff {
		return "hcloud server poweron " + r.Name
	}
	switch r.Reason {
	case snapshot.NotFound:
		if isPattern(r.Name) {
			return "check the pattern or selector, and that the token belongs to the servers' project"
		}
		return "check the name, and that the token belongs to the server's project"
	case snapshot.LockTimeout:
		switch {
		case r.Err != nil && r.Err.Code == hetzner.CodeRateLimit:
			return "other programs use up the requests that Hetzner grants the project; find out which, or run it at another time"
		case r.Err != nil && r.Holder == nil:
			return "run it again later, or set a longer lock-timeout; Hetzner shows nothing that holds the server, so if that lasts, " +
				"look for maintenance at https://status.hetzner.com, or give the last value in the brackets to Hetzner's support"
		}
		return "run it again later, or set a longer lock-timeout"
	case snapshot.SnapshotTimeout:
		return "a large disk can need a longer snapshot-timeout"
	case snapshot.Refused:
		if r.Err != nil && r.Err.Verdict == hetzner.TokenRefused {
			return "the token must be valid and have the permission to read and write"
		}
	case snapshot.ActionFailed:
		return "run it again; if that fails too, Hetzner's support needs the IDs above"
	case snapshot.LimitExceeded:
		return "delete old snapshots, or ask Hetzner for a higher limit"
	case snapshot.UnknownOutcome:
		return "look for that label before running it again"
	case snapshot.VolumesAttached:
		return "set if-volumes-attached to warn to snapshot the server's own disk all the same"
	case snapshot.ProtectFailed:
		return "protect it by hand, or run it again"
	case snapshot.ShutdownTimeout:
		return "if the guest goes down later, hcloud server poweron " + r.Name +
			"; see why it takes so long, set a longer shutdown-timeout, or use shutdown: force"
	case snapshot.ShutdownHalted:
		switch r.HaltedBy { //nolint:exhaustive // nothing else halts
		case snapshot.PowerOnFailed:
			return "see to the other server first, and run it again"
		case snapshot.LimitExceeded:
			return "delete old snapshots, or ask Hetzner for a higher limit"
		}
		return "GITHUB_STATE must name a file that can be written"
	case snapshot.ShutdownSelf:
		return "exclude it, or run this from another machine"
	case snapshot.Locked:
		return "run it again when the lock is gone, or let if-locked be wait"
	case snapshot.RunCancelled, snapshot.PowerOnFailed:
	}
	return ""
}

// isPattern reports whether what was asked for is a glob or a label selector: Hetzner's server names hold none of these.
func isPattern(name string) bool { return strings.ContainsAny(name, "*?[]!=(),") }

func size(r snapshot.Result) string {
	if r.SizeGB == 0 {
		return ""
	}
	return fmt.Sprintf(" (%.2f GB)", r.SizeGB)
}

// short gives a duration in whole seconds, or in milliseconds below one.
func short(d time.Duration) string {
	if d < time.Second {
		return d.Round(time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}
