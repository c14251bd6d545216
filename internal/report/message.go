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
		return account{what: fmt.Sprintf("image %d is available after %s%s", r.ImageID, short(r.Duration), size(r))}
	case snapshot.Creating:
		return account{what: fmt.Sprintf("image %d is being created", r.ImageID)}
	case snapshot.Planned:
		what := fmt.Sprintf("would be snapshotted as %q", r.Description)
		if r.Server.Locked {
			what += " once its lock is gone"
		}
		return account{what: what}
	case snapshot.Skipped, snapshot.Failed, snapshot.Cancelled:
	}
	a := account{what: cause(r), next: advice(r)}
	switch {
	case r.Err == nil, r.Status == snapshot.Cancelled:
	case r.Err.Code != "":
		a.details = append(a.details, "Hetzner answered: "+r.Err.Error())
	default:
		a.details = append(a.details, "the last answer: "+r.Err.Error())
	}
	if r.ImageID != 0 && r.Reason != snapshot.ActionFailed {
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
	}
	return string(r.Reason)
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
	switch r.Reason {
	case snapshot.NotFound:
		return "check the name, and that the token belongs to the server's project"
	case snapshot.LockTimeout:
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
	case snapshot.Locked, snapshot.RunCancelled:
	}
	return ""
}

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
