package report

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/org/hsnap-action/internal/hetzner"
	"github.com/org/hsnap-action/internal/labels"
	"github.com/org/hsnap-action/internal/project"
	"github.com/org/hsnap-action/internal/snapshot"
)

// explain says what became of a server and, where that is a failure, what to try.
func explain(r snapshot.Result, asked Asked) account {
	var a account // of the snapshot
	switch r.Status {
	case snapshot.Available:
		a.what = fmt.Sprintf("image %d is available after %s%s", r.ImageID, short(r.Duration), size(r))
		if r.Reused {
			a.what = fmt.Sprintf("image %d%s is taken over%s", r.ImageID, only(r.Age > 0, ", "+short(r.Age)+" old,"), size(r))
		}
		a.what += only(r.Protected, ", protected") + only(r.Downtime > 0, "; downtime "+short(r.Downtime))
	case snapshot.Creating:
		a.what = fmt.Sprintf("image %d is being created", r.ImageID)
	case snapshot.Planned:
		a.what = planned(r)
	case snapshot.Skipped, snapshot.Failed, snapshot.Cancelled:
		a = cause(r)
		a.what = cmp.Or(a.what, string(r.Reason))
	}
	if r.LeftOff { // nothing is more urgent
		a = explainOff(r, a, asked)
	} else if r.Status != snapshot.Cancelled {
		a.details = []string{answered(r.Err)}
	}
	label := labels.Request + "=" + r.Request
	a.details = append(a.details,
		only(goesOn(r), fmt.Sprintf("image %d goes on being made, and costs money until it is deleted: %s", r.ImageID, deletion(r.ImageID))),
		only(r.MaySlip, "a snapshot may still appear, with the label "+label))
	if r.MaySlip {
		a.next = cmp.Or(a.next, "see whether it was made before you run it again: `hcloud image list --type snapshot -l "+label+"`")
	}
	a.title = cmp.Or(a.title, "has no usable snapshot")
	return a
}

// planned says what would be done to a server.
func planned(r snapshot.Result) string {
	return fmt.Sprintf("would be snapshotted as %q", r.Description) +
		only(r.Server.Locked, " once its lock"+by(r.Holder)+" is gone") + only(r.Stops, ", switched off meanwhile")
}

// cause says for each reason what happened and what to try.
func cause(r snapshot.Result) (a account) {
	switch r.Reason {
	case snapshot.NotFound:
		return notFound(r)
	case snapshot.Locked:
		a.what = "the server is locked" + by(r.Holder) + ", and if-locked says not to wait"
		a.next = "run it again when the lock is gone, or set if-locked to wait"
	case snapshot.LockTimeout:
		return lockTimeout(r, "snapshot")
	case snapshot.SnapshotTimeout:
		describe := fmt.Sprintf("`hcloud image describe %d` shows whether it has become available", r.ImageID)
		a.what = fmt.Sprintf("the snapshot was not seen available %s after it was accepted", short(r.Duration))
		a.next = describe + " since; " + orUnreached(r.Err, "next time set a longer snapshot-timeout")
	case snapshot.Refused:
		a.what = "Hetzner refused the request"
		a.next = "correct the input that the answer is about; if it is about none, report it as a bug of this action, with the log"
		if r.Err != nil && r.Err.Verdict == hetzner.TokenRefused {
			a.next = adviceToken
		}
	case snapshot.ActionFailed:
		return actionFailed(r)
	case snapshot.LimitExceeded:
		a.what, a.next = "the limit of snapshots is reached", adviceLimit
	case snapshot.UnknownOutcome:
		a.what = "the answer to the request was lost, and nothing shows what became of it"
	case snapshot.RunCancelled:
		a.what = "the run was cancelled"
	case snapshot.VolumesAttached:
		a.what = fmt.Sprintf("%s attached, which no snapshot includes: %s", count(len(r.Server.Volumes), "volume"), ids(r.Server.Volumes, ", "))
		a.next = "set if-volumes-attached to warn to snapshot the server's own disk all the same"
	case snapshot.ProtectFailed:
		a.title = "has a snapshot that is not protected"
		a.what = fmt.Sprintf("its snapshot is there (image %d), but it is not protected", r.ImageID)
		a.next = fmt.Sprintf("`hcloud image enable-protection %d delete`; running it all again makes one more snapshot", r.ImageID)
	case snapshot.ShutdownTimeout, snapshot.ShutdownHalted, snapshot.ShutdownSelf, snapshot.BootsElsewhere:
		return stayedOn(r)
	case snapshot.PowerOnFailed: // takes the place of another reason
	}
	return a
}

// stayedOn says why a server was not switched off, and so not snapshotted.
func stayedOn(r snapshot.Result) (a account) {
	switch halted := r.Reason == snapshot.ShutdownHalted; {
	case r.Reason == snapshot.ShutdownTimeout:
		a.what = "the server was not off in time, and is left running"
		a.next = "if the guest goes down later, " + powerOn(typed(r)) + "; see why it takes so long, set a longer shutdown-timeout, or use shutdown: force"
	case r.Reason == snapshot.ShutdownSelf:
		a.what, a.next = "this run itself runs on that server, so it is never switched off", "exclude it, or run this from another machine"
	case halted && r.HaltedBy == snapshot.PowerOnFailed:
		a.what, a.next = "not switched off, since "+r.HaltedOn+" did not come back", "see to "+r.HaltedOn+" first, and run it again"
	case halted && r.HaltedBy == snapshot.LimitExceeded:
		a.what, a.next = "not switched off, since the limit of snapshots is reached", adviceLimit
	case halted:
		a.what = "not switched off, since that can't be recorded for the post step"
		a.next = "GITHUB_STATE must name a file that can be written"
	default:
		what, command := nextBoot(r.Server, typed(r))
		a.what, a.next = what+", so it is not switched off", "run `"+command+"`, then run it again; or use shutdown: never"
	}
	a.what += "; no snapshot was taken"
	return a
}

// nextBoot says what a server would boot from instead of its disk, and returns the command that changes that.
func nextBoot(server hetzner.Server, name string) (what, command string) {
	if server.RescueEnabled {
		return "its next boot would be into the rescue system, which is armed", "hcloud server disable-rescue " + name
	}
	return "its next boot would be from the ISO " + server.ISO + ", which is attached", "hcloud server detach-iso " + name
}

// notFound distinguishes a server that was deleted from a name or a pattern that never matched one.
func notFound(r snapshot.Result) account {
	if r.Server.ID != 0 {
		return account{what: "the server does not exist any more", next: "if it was deleted on purpose, take it out of servers where it is named"}
	}
	a := account{title: "matches no server", what: "matches no server in this token's project" + meant(r.Nearest),
		next: "check the name, and that the token belongs to the server's project"}
	if r.Pattern {
		a.next = "check the pattern or selector, and that the token belongs to the servers' project" + adviceNone
	}
	return a
}

// heldLong is how long an operation may hold a lock before it is a case for Hetzner's support.
const heldLong = 2 * time.Hour

// lockTimeout says why Hetzner did not accept a change in time.
func lockTimeout(r snapshot.Result, change string) (a account) {
	waited := short(r.LockWait)
	switch {
	case r.Holder != nil:
		a.what = "still locked" + by(r.Holder) + " after " + waited
		a.next = "run it again when that is done, or set a longer lock-timeout"
		if started := r.Holder.Started; !started.IsZero() && time.Since(started) >= heldLong {
			a.next = fmt.Sprintf("ask Hetzner's support about action %d, since no operation should take that long; then run it again", r.Holder.ID)
		}
	case r.Err == nil, isLocked(r.Err):
		a.what = "still locked after " + waited + ", and no operation is known that holds it"
		a.next = "see https://status.hetzner.com for maintenance, and run it again later; if it lasts, ask Hetzner's support"
		if r.Err != nil && r.Err.Correlation != "" {
			a.next += " and give them " + r.Err.Correlation
		}
	case r.Err.Code == hetzner.CodeMaintenance:
		a.what = "Hetzner has it in maintenance, and accepted no " + change + " for " + waited
		a.next = "run it again when https://status.hetzner.com says that it is over"
	case r.Err.Code == hetzner.CodeRateLimit:
		a.what = "no " + change + " was accepted for " + waited + ", because the project's requests are used up"
		a.next = adviceRateLimit
	case r.Err.Verdict == hetzner.NotSent:
		a.what, a.next = "Hetzner's API could not be reached for "+waited, adviceUnreached
	default:
		a.what, a.next = "Hetzner refused it for "+waited, "run it again later, or set a longer lock-timeout"
	}
	return a
}

// actionFailed says why Hetzner could not make a snapshot, as far as it says so itself.
func actionFailed(r snapshot.Result) account {
	a := account{what: "Hetzner could not make the snapshot", next: "run it again; if that fails too, give Hetzner's support " +
		only(r.ActionID != 0, fmt.Sprintf("action %d and ", r.ActionID)) + fmt.Sprintf("image %d", r.ImageID)}
	a.what += said(r.Action)
	if r.Vanished {
		a.what = fmt.Sprintf("image %d was accepted and then vanished", r.ImageID)
	}
	return a
}

// said is what Hetzner says of an action that failed.
func said(action *hetzner.Action) string {
	if action == nil {
		return ""
	}
	return only(action.ErrorMessage != "", ": "+action.ErrorMessage) + " (" + joined(", ", action.ErrorCode, fmt.Sprintf("action %d", action.ID)) + ")"
}

// explainOff puts first that a server is off which was running. What became of its snapshot comes after that.
func explainOff(r snapshot.Result, snap account, asked Asked) account {
	a := account{title: "IS LEFT OFF", what: "THE SERVER IS " + whyOff(r), next: adviceOff(typed(r)), details: []string{answered(r.PowerErr)}}
	if asked.Post && !r.PowerOnFailed && !r.LeftBefore {
		a.next = "wait 4 minutes for the step \"Post …\", which tries to switch it on; if it is still off then, " + a.next
	}
	switch {
	case r.Usable():
		a.details = append(a.details, fmt.Sprintf("its snapshot can be used: image %d%s", r.ImageID, size(r)))
	case r.Reason != "" && r.Reason != snapshot.RunCancelled:
		a.details = append(a.details, fmt.Sprintf("it has no usable snapshot (%s): %s", r.Reason, snap.what), answered(r.Err))
	}
	return a
}

func whyOff(r snapshot.Result) string {
	cancelled := !r.PowerOnFailed
	switch requested := r.PowerState != "" || r.ImageID != 0 || r.MaySlip; { // its snapshot was
	case r.LeftBefore:
		return "OFF: an earlier run switched it off and never saw it running again"
	case cancelled && !requested:
		return "OFF, OR ABOUT TO BE: the run was cancelled after its guest was asked to shut down"
	case r.PowerAction != 0:
		return fmt.Sprintf("PROBABLY OFF: %sHetzner accepted the power-on (action %d), but nobody saw it running",
			only(cancelled, "the run was cancelled; "), r.PowerAction)
	case !cancelled:
		return "OFF: it was switched off for its snapshot and could not be switched on again"
	case r.PowerErr == nil:
		return "OFF: the run was cancelled before it could be switched on again"
	case goesOn(r) && isLocked(r.PowerErr):
		return fmt.Sprintf("OFF: the run was cancelled, and Hetzner keeps it locked while image %d is made", r.ImageID)
	}
	return "OFF: the run was cancelled, and Hetzner has not accepted the power-on yet"
}

// whole explains why a run as a whole came to nothing; it explains nothing of any other run.
func whole(o snapshot.Outcome, asked Asked) (a account) {
	switch {
	case o.Token != nil:
		a.what, a.next = "Hetzner refused the API token", adviceToken
	case o.Down != nil && o.Down.Code == hetzner.CodeRateLimit:
		a.what, a.next = "Hetzner's API could not be used, because the project's requests are used up", adviceRateLimit
	case o.Down != nil:
		a.what, a.next = "Hetzner's API at "+asked.Endpoint+" could not be used", "check api-endpoint where you have set it, "+adviceUnreached
	case o.Selector != nil:
		a.what, a.next = fmt.Sprintf("Hetzner refused the label-selector %q", asked.LabelSelector), "write it as in env=prod,!ephemeral"
	case len(o.Mistakes) > 0:
		for _, m := range o.Mistakes {
			a.what = joined("; ", a.what, mistake(m))
		}
		a.next = "correct it and run it again; nothing was done"
	case o.Nothing && len(o.Results) == 0: // otherwise it was said of each pattern
		a.what = "no server is selected"
		a.next = "check servers, label-selector and exclude, and that the token belongs to the servers' project" + adviceNone
	}
	readOnly := o.Token != nil && o.Token.OfChange && (o.HasRead || len(o.Results) > 0)
	a.details = []string{answered(cmp.Or(o.Token, o.Down, o.Selector)), only(readOnly, "it could read, so it is probably read-only")}
	return a
}

// mistake says what is wrong with an entry of the inputs that the project has shown to be wrong.
func mistake(m project.Mistake) string {
	if m.Drill {
		return fmt.Sprintf("servers: %q is a copy that a verification has made, and is never selected", m.Word)
	}
	return fmt.Sprintf("exclude: %q matches no server%s, so what it was to spare would not be spared", m.Word, meant(m.Nearest))
}

// meant asks whether the user has meant the nearest name, if there is one.
func meant(nearest string) string { return only(nearest != "", " (did you mean "+nearest+"?)") }

// Advice that several failures share. Commands stand in backticks.
const (
	adviceNoDate    = "if a proxy stands between, have it pass the header Date on"
	adviceRateLimit = "stop what else uses this project's API, such as Terraform, monitoring or scripts, then run it again"
	adviceNone      = "; where it is fine that there is none, snapshot has if-no-servers-found: warn"
	adviceLimit     = "delete old snapshots of this project, by keep-last or by hand (audit lists those of servers that are gone), or ask for a higher limit in the Hetzner Console"
	adviceUnreached = "see https://status.hetzner.com and the runner's network, then run it again"
	adviceToken     = "make a token with Read & Write (Read is enough for audit and dry-run) in the Hetzner Console (Security, API tokens) and put it into the secret"
)

// orUnreached returns what to try after a time-out: something else where Hetzner's API has not answered at the end.
func orUnreached(unheard *hetzner.Error, advice string) string {
	if unheard != nil {
		return adviceUnreached
	}
	return advice
}

func adviceOff(server string) string {
	return "run " + powerOn(server) + " until Hetzner accepts it, or use the Hetzner Console"
}

// answered quotes Hetzner's last answer, or what came instead.
func answered(e *hetzner.Error) string {
	if e == nil {
		return ""
	}
	return only(e.Code == "", "the last error: ") + only(e.Code != "", "Hetzner answered: ") + strings.TrimSpace(e.Error()) // it may have no message
}

func isLocked(e *hetzner.Error) bool { return hetzner.IsLocked(e.Code, e.Message) }

// by names who holds a lock, where that is known.
func by(holder *hetzner.Action) string {
	if holder == nil {
		return ""
	}
	return fmt.Sprintf(" by %s (%d%%, action %d", holder.Command, holder.Progress, holder.ID) +
		only(!holder.Started.IsZero(), ", since "+minute(holder.Started)+" UTC") + ")"
}

// goesOn reports whether an image that was accepted is still being made at Hetzner.
func goesOn(r snapshot.Result) bool {
	failed := r.Vanished || r.Action != nil && r.Action.ID == r.ActionID // and not an action before the last one
	return r.ImageID != 0 && !failed && !r.Usable() && !r.Reused && r.Reason != snapshot.ProtectFailed
}

func deletion(images ...int64) string { return "hcloud image delete " + ids(images, " ") }

func powerOn(server string) string { return "`hcloud server poweron " + server + "`" }

// typed names a server in a command: by its ID where a shell could give something in its name a meaning.
func typed(r snapshot.Result) string {
	if r.Server.ID != 0 && (strings.Trim(r.Name, letters) != "" || strings.HasPrefix(r.Name, "-")) {
		return strconv.FormatInt(r.Server.ID, 10)
	}
	return r.Name
}

func size(r snapshot.Result) string { return only(r.SizeGB > 0, " ("+gigabytes(r.SizeGB)+")") }
