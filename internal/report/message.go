package report

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/org/hsnap-action/internal/hetzner"
	"github.com/org/hsnap-action/internal/snapshot"
)

// account says what became of a server, or why the run as a whole came to nothing.
type account struct {
	what    string
	details []string // what Hetzner answered, and what else one must know
	next    string   // what to try, "" where nothing failed
	command string   // the part of next that is to be typed, "" without
}

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

// accountOf words a server's result. Where a post step follows, it may switch on what was left off.
func accountOf(r snapshot.Result, post bool) account {
	switch r.Status {
	case snapshot.Available:
		if r.Reused {
			return account{what: fmt.Sprintf("image %d of an earlier attempt is taken over", r.ImageID) + only(r.Protected, ", protected")}
		}
		what := fmt.Sprintf("image %d is available after %s%s", r.ImageID, short(r.Duration), size(r)) + only(r.Protected, ", protected")
		if r.Downtime > 0 {
			what += fmt.Sprintf("; the server was away for %s", short(r.Downtime))
		}
		return account{what: what}
	case snapshot.Creating:
		return account{what: fmt.Sprintf("image %d is being created", r.ImageID)}
	case snapshot.Planned:
		what := fmt.Sprintf("would be snapshotted as %q", r.Description)
		if r.Server.Locked {
			what += " once its lock" + by(r.Holder) + " is gone"
		}
		if r.Stops {
			what += ", switched off meanwhile"
		}
		return account{what: what}
	case snapshot.Skipped, snapshot.Failed, snapshot.Cancelled:
	}
	a := account{what: cause(r)}
	a.next, a.command = advice(r, post)
	if r.LeftOff { // nothing is more urgent
		a.what = leftOff(r)
		if r.Reason != snapshot.PowerOnFailed && !strings.Contains(a.what, cause(r)) {
			a.details = append(a.details, cause(r))
		}
	}
	if r.Err != nil && (r.Status != snapshot.Cancelled || r.LeftOff) {
		a.details = append(a.details, answered(r.Err))
	}
	if r.Reason == snapshot.PowerOnFailed {
		before := r
		before.Reason, before.LeftOff = r.SnapshotReason, false
		if r.Usable() {
			a.details = append(a.details, fmt.Sprintf("its snapshot can be used: image %d%s", r.ImageID, size(r)))
		} else if r.SnapshotReason != "" {
			a.details = append(a.details, fmt.Sprintf("its snapshot failed too (%s): %s", r.SnapshotReason, cause(before)))
		}
	}
	if goesOn(r) {
		a.details = append(a.details, fmt.Sprintf("image %d goes on being made, and costs money until it is deleted", r.ImageID))
	}
	if r.MaySlip {
		a.details = append(a.details, "a snapshot may still appear, with the label "+requestLabel(r))
	}
	return a
}

// answered gives the last answer of Hetzner's, or what came instead.
func answered(e *hetzner.Error) string {
	if e.Code != "" {
		return "Hetzner answered: " + e.Error()
	}
	return "the last error: " + e.Error()
}

// goesOn reports whether an image that was accepted is left to Hetzner.
func goesOn(r snapshot.Result) bool {
	failed := r.Vanished || r.Action != nil && r.Action.ID == r.ActionID // and not an action before the last one
	return r.ImageID != 0 && !failed && !r.Usable() && !r.Reused && reasonOf(r) != snapshot.ProtectFailed
}

// reasonOf is the reason of the snapshot's end, whatever became of the server's power.
func reasonOf(r snapshot.Result) snapshot.Reason {
	if r.Reason == snapshot.PowerOnFailed {
		return r.SnapshotReason
	}
	return r.Reason
}

func requestLabel(r snapshot.Result) string { return snapshot.LabelRequest + "=" + r.Request }

// cause says what happened.
func cause(r snapshot.Result) string {
	switch r.Reason {
	case snapshot.NotFound:
		if r.Server.ID != 0 {
			return "the server does not exist any more"
		}
		if r.Pattern {
			return "matches no server in this token's project"
		}
		return "no server in this token's project has this name or ID"
	case snapshot.Locked:
		return "the server is locked" + by(r.Holder) + ", and if-locked says not to wait"
	case snapshot.LockTimeout:
		what, _ := notAccepted(r)
		return what
	case snapshot.SnapshotTimeout:
		if r.Silence > 0 {
			return fmt.Sprintf("Hetzner's API has given no usable answer for %s, so nobody knows whether the snapshot is available", short(r.Silence))
		}
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
		return fmt.Sprintf("its snapshot is there (image %d), but it is not protected", r.ImageID)
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
		return fmt.Sprintf("THE SERVER IS PROBABLY OFF: Hetzner accepted the power-on (action %d), but nobody saw it running", r.PowerAction)
	case r.Status == snapshot.Cancelled && r.ImageID != 0 && r.Err != nil && isLocked(r.Err):
		return fmt.Sprintf("THE SERVER IS OFF: the run was cancelled, and Hetzner keeps it locked while image %d is made", r.ImageID)
	case r.Status == snapshot.Cancelled && r.Err != nil:
		return "THE SERVER IS OFF: the run was cancelled, and Hetzner has not taken the power-on yet"
	case r.Status == snapshot.Cancelled:
		return "THE SERVER IS OFF, OR ABOUT TO BE: the run was cancelled before it could be switched on again"
	}
	return "THE SERVER IS OFF: it was switched off for its snapshot and could not be switched on again"
}

func failed(r snapshot.Result) string {
	switch {
	case r.Vanished:
		return fmt.Sprintf("image %d was accepted and then vanished", r.ImageID)
	case r.Action != nil:
		return fmt.Sprintf("Hetzner could not make the snapshot: %s (%s, action %d)", r.Action.ErrorMessage, r.Action.ErrorCode, r.Action.ID)
	}
	return "Hetzner could not make the snapshot"
}

func by(holder *hetzner.Action) string {
	if holder == nil {
		return ""
	}
	return fmt.Sprintf(" by %s (%d%%, action %d)", holder.Command, holder.Progress, holder.ID)
}

// notAccepted says why the time for Hetzner to accept a snapshot ran out, and what to try.
func notAccepted(r snapshot.Result) (what, next string) {
	waited := short(r.LockWait)
	switch {
	case r.Holder != nil:
		return "still locked" + by(r.Holder) + " after " + waited, "run it again when that is done, or set a longer lock-timeout"
	case r.Err == nil, isLocked(r.Err):
		support := "if it lasts, ask Hetzner's support"
		if r.Err != nil && r.Err.Correlation != "" {
			support += " and give them " + r.Err.Correlation
		}
		return "still locked after " + waited + ", and Hetzner shows no operation that holds it",
			"see https://status.hetzner.com for maintenance, and run it again later; " + support
	case r.Err.Code == hetzner.CodeMaintenance:
		return "Hetzner has it in maintenance, and took no snapshot for " + waited,
			"run it again when https://status.hetzner.com says that it is over"
	case r.Err.Code == hetzner.CodeRateLimit:
		return "no snapshot was accepted for " + waited + ", because the project's requests are used up", adviceRateLimit
	case r.Err.Verdict == hetzner.NotSent:
		return "Hetzner's API could not be reached for " + waited, adviceUnreached
	}
	return "Hetzner refused it for " + waited, "run it again later, or set a longer lock-timeout"
}

func isLocked(e *hetzner.Error) bool { return hetzner.IsLocked(e.Code, e.Message) }

// Advice that several failures share.
const (
	adviceRateLimit = "stop what else uses this project's API, such as Terraform, monitoring or scripts, then run it again"
	adviceUnreached = "see https://status.hetzner.com and the runner's network, then run it again"
	adviceToken     = "make a token with Read & Write in the Hetzner Console (Security, API tokens) and put it into the secret"
	adviceLimit     = "delete old snapshots of this project, or ask for a higher limit in the Hetzner Console; " +
		"with keep-last a series thins itself out"
)

// advice says what to try next, and which part of that is a command.
func advice(r snapshot.Result, post bool) (next, command string) {
	if r.LeftOff {
		command = "hcloud server poweron " + typed(r)
		if post && r.Status == snapshot.Cancelled && !r.LeftBefore {
			return "wait 4 minutes for the step \"Post …\", which tries to switch it on; if it is still off then, " + command +
				", again until Hetzner takes it, or the Hetzner Console", command
		}
		return command + ", again until Hetzner takes it, or the Hetzner Console", command
	}
	switch r.Reason {
	case snapshot.NotFound:
		switch {
		case r.Server.ID != 0:
			return "if it was deleted on purpose, take it out of servers where it is named", ""
		case r.Pattern:
			return "check the pattern or selector, and that the token belongs to the servers' project", ""
		}
		return "check the name, and that the token belongs to the server's project", ""
	case snapshot.LockTimeout:
		_, next = notAccepted(r)
		return next, ""
	case snapshot.SnapshotTimeout:
		command = fmt.Sprintf("hcloud image describe %d", r.ImageID)
		if r.Silence > 0 {
			return "see https://status.hetzner.com; when the API is back, " + command + " tells whether it has become available", command
		}
		return command + " tells whether it has become available since; next time set a longer snapshot-timeout", command
	case snapshot.Refused:
		if r.Err != nil && r.Err.Verdict == hetzner.TokenRefused {
			return adviceToken, ""
		}
		return "correct the input that the answer is about; if it is about none, report it as a bug of this action, with the log", ""
	case snapshot.ActionFailed:
		return "run it again; if that fails too, give Hetzner's support " + subject(r), ""
	case snapshot.LimitExceeded:
		return adviceLimit, ""
	case snapshot.UnknownOutcome, snapshot.RunCancelled:
		if !r.MaySlip {
			return "", ""
		}
		command = "hcloud image list --type snapshot -l " + requestLabel(r)
		return "see whether it was made before you run it again: " + command, command
	case snapshot.VolumesAttached:
		return "set if-volumes-attached to warn to snapshot the server's own disk all the same", ""
	case snapshot.ProtectFailed:
		command = fmt.Sprintf("hcloud image enable-protection %d delete", r.ImageID)
		return command + "; running it all again makes one more snapshot", command
	case snapshot.ShutdownTimeout:
		command = "hcloud server poweron " + typed(r)
		return "if the guest goes down later, " + command +
			"; see why it takes so long, set a longer shutdown-timeout, or use shutdown: force", command
	case snapshot.ShutdownHalted:
		switch r.HaltedBy { //nolint:exhaustive // nothing else halts
		case snapshot.PowerOnFailed:
			return "see to the other server first, and run it again", ""
		case snapshot.LimitExceeded:
			return adviceLimit, ""
		}
		return "GITHUB_STATE must name a file that can be written", ""
	case snapshot.ShutdownSelf:
		return "exclude it, or run this from another machine", ""
	case snapshot.Locked:
		return "run it again when the lock is gone, or set if-locked to wait", ""
	case snapshot.PowerOnFailed:
	}
	return "", ""
}

// typed names a server in a command: by its ID where a shell could take something in its name for its own.
func typed(r snapshot.Result) string {
	odd := func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '.' && c != '_'
	}
	if r.Server.ID != 0 && (strings.ContainsFunc(r.Name, odd) || strings.HasPrefix(r.Name, "-")) {
		return strconv.FormatInt(r.Server.ID, 10)
	}
	return r.Name
}

// subject names what Hetzner's support needs to look a failed snapshot up.
func subject(r snapshot.Result) string {
	var parts []string
	if action := r.ActionID; action != 0 {
		parts = append(parts, fmt.Sprintf("action %d", action))
	}
	if r.ImageID != 0 {
		parts = append(parts, fmt.Sprintf("image %d", r.ImageID))
	}
	if len(parts) == 0 {
		return "the time and the server's ID"
	}
	return strings.Join(parts, " and ")
}

// title heads the annotation of a failure.
func title(r snapshot.Result) string {
	switch {
	case r.LeftOff:
		return r.Name + " IS LEFT OFF"
	case r.Reason == snapshot.NotFound && r.Server.ID == 0:
		return r.Name + " matches no server"
	case r.Reason == snapshot.ProtectFailed:
		return r.Name + " has a snapshot that is not protected"
	}
	return r.Name + " has no usable snapshot"
}

// whole says why the run as a whole came to nothing; what happened to each server is told on its own.
func whole(o snapshot.Outcome, asked Asked) (a account, found bool) {
	switch {
	case o.Token != nil:
		return account{what: "Hetzner refused the API token", details: []string{answered(o.Token)}, next: adviceToken}, true
	case o.Down != nil && o.Down.Code == hetzner.CodeRateLimit:
		return account{
			what:    "Hetzner's API could not be used, because the project's requests are used up",
			details: []string{answered(o.Down)}, next: adviceRateLimit,
		}, true
	case o.Down != nil:
		return account{
			what: "Hetzner's API at " + asked.Endpoint + " could not be used", details: []string{answered(o.Down)},
			next: "check api-endpoint where you have set it, " + adviceUnreached,
		}, true
	case o.Selector != nil:
		return account{
			what: fmt.Sprintf("Hetzner refused the label-selector %q", asked.LabelSelector), details: []string{answered(o.Selector)},
			next: "write it as in env=prod,!ephemeral",
		}, true
	case o.Nothing:
		return account{
			what: "no server is left to snapshot",
			next: "check servers, label-selector and exclude; if it is fine that there is none, set if-no-servers-found to warn or ignore",
		}, true
	}
	return account{}, false
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
