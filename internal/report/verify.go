package report

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"

	"github.com/org/hsnap-action/internal/copies"
	"github.com/org/hsnap-action/internal/hetzner"
	"github.com/org/hsnap-action/internal/snapshot"
	"github.com/org/hsnap-action/internal/verify"
)

// verifyWording holds the words of each event of a verification, but for those that take more than a line.
var verifyWording = map[verify.EventKind]words{
	verify.EventAsked:    {text: "asking for a copy", phase: "creating", style: works},
	verify.EventAccepted: {text: "copy accepted: action {action}"},
	verify.EventRefused:  {text: "no copy yet: {error}; retrying"},
	verify.EventLost:     {text: "the answer was lost ({error}); looking for the copy by its name"},
	verify.EventFound:    {text: "found the copy of the lost answer"},
	verify.EventCreated:  {text: "copy created, waiting until it is shut off", phase: "shutting off", style: works},
	verify.EventIsolated: {text: "copy shut off from everything but its proof; switching it on", phase: "booting", style: works},
	verify.EventProving:  {text: "copy running, waiting until {address} answers"},
	verify.EventRemoved:  {text: "copy deleted"},
	verify.EventFinished: {style: ends},
}

// VerifyEvent logs what happened in a verification.
func (r *Report) VerifyEvent(e verify.Event) {
	w := verifyWording[e.Kind]
	w.text = r.filler(e.Event).Replace(strings.ReplaceAll(w.text, "{address}", e.Address))
	switch {
	case e.Kind == verify.EventFinished && e.Result.Status == snapshot.Failed, e.Kind == verify.EventFinished && e.Result.Left != nil:
		w.style = fails
	case e.Kind == verify.EventProved:
		w.phase, w.style = "deleting", works
	}
	if e.Kind != 0 && e.Name != "" {
		r.timeline.add(e.Name, w.phase, w.style, e.At)
	}
	switch e.Kind {
	case 0:
		r.Event(e.Event)
	case verify.EventPlanned:
		r.currency = e.Currency
		r.plannedCopies(e.Results)
	case verify.EventSwept:
		r.swept(*e.Swept)
	case verify.EventProved:
		a := explainVerification(*e.Result, r.asked)
		r.Line("%s: %s; deleting the copy", e.Name, a.what)
	case verify.EventFinished:
		r.verified(*e.Result)
	default:
		r.Line("%s: %s", e.Name, w.text)
	}
}

// plannedCopies opens the log: each server, and the snapshot that is verified.
func (r *Report) plannedCopies(results []verify.Result) {
	var list []string
	for _, v := range results {
		text := fmt.Sprintf("%s  ID %d, ", v.Name, v.Server.ID) + joined(", ", v.Server.Type, v.Server.Location)
		if v.Image.ID != 0 {
			text += " -> " + copyOf(v)
		}
		list = append(list, text+only(v.Status != "", ", "+string(v.Status)+" ("+string(v.Reason)+")")+only(v.MostCost > 0, ", at most "+r.money(v.MostCost)))
	}
	r.group(count(len(results), "server")+" selected", len(results) > foldAbove, list)
}

// copyOf names the image of a verification.
func copyOf(v verify.Result) string {
	return fmt.Sprintf("image %d of %s", v.Image.ID, minute(v.Image.Created)) + only(v.Age > 0, " ("+short(v.Age)+" old)")
}

// money is an amount in the account's currency.
func (r *Report) money(amount float64) string {
	return strings.TrimSpace(fmt.Sprintf("%.4f %s", amount, r.text(r.currency)))
}

// swept logs what became of a copy of an earlier run.
func (r *Report) swept(s verify.Swept) {
	if s.Left == nil {
		r.Line("%s: nothing is left of this copy", s.Name)
		return
	}
	r.failure(s.Name, "left", explainLeft(s.Name, *s.Left, "", false), true)
}

// verified logs the end of a verification.
func (r *Report) verified(v verify.Result) {
	a := explainVerification(v, r.asked)
	if v.Left != nil {
		if !r.github {
			r.Line("%s", strings.Repeat("!", 72))
		}
		r.failure(v.Copy, "left", r.explainLeft(v), true)
	}
	text := v.Name + ": " + strings.Join(a.lines(), "; ")
	switch label := string(v.Status) + only(v.Reason != "", " ("+string(v.Reason)+")"); {
	case v.Status == snapshot.Failed, v.Status == verify.Inconclusive && !r.asked.WarnOnly:
		r.failure(v.Name, label, a, false)
	case v.Status == verify.Inconclusive:
		r.Warn(v.Name + ": " + label + ": " + strings.Join(a.lines(), "; "))
	case v.Status == snapshot.Skipped:
		r.Line("%s: skipped (%s): %s", v.Name, v.Reason, a.what)
	default:
		r.Line("%s", text)
	}
}

// UntriedCopy reports of a copy that a run has made that nothing could be tried to delete it, since the inputs are wrong.
func (r *Report) UntriedCopy(name string) {
	r.failure(name, "failed", explainLeft(name, copies.Left{}, "", false), true)
}

// explainLeft says that a copy is left, why, and what to do about it.
func explainLeft(name string, left copies.Left, hour string, post bool) account {
	a := account{
		title: "IS LEFT", what: "THE COPY IS LEFT, WITH THE PASSWORDS AND KEYS OF ITS ORIGINAL" + only(hour != "", ", AND COSTS "+hour+" AN HOUR"),
		next: "run `hcloud server delete " + name + "`, or delete it in the Hetzner Console",
	}
	switch {
	case left.Address != 0:
		a.what = fmt.Sprintf("its copy is deleted, and the copy's address is left (primary IP %d), which costs money", left.Address)
		a.next = fmt.Sprintf("run `hcloud primary-ip delete %d`", left.Address)
	case left.Changed:
		a.what += "; its name or its labels have changed, so it is not deleted: it may be somebody's by now"
		a.next = "find out whose it is; if nobody's, " + a.next
	}
	if post && !left.Changed {
		a.next = "wait 4 minutes for the step \"Post …\", which tries to delete it; if it is still there then, " + a.next
	}
	a.details = []string{answered(left.Err)}
	return a
}

// explainLeft says that the copy of a verification is left.
func (r *Report) explainLeft(v verify.Result) account {
	return explainLeft(v.Copy, *v.Left, r.money(v.HourCost), r.asked.Post && v.Status == snapshot.Cancelled)
}

// explainVerification says what came of a verification and, where that is no proof, what it may mean and what to try.
func explainVerification(v verify.Result, asked Asked) (a account) {
	a.title = "is not verified"
	switch v.Status {
	case verify.Verified:
		a.what = fmt.Sprintf("a copy of %s answers: %s after %s; created in %s, so a restore takes about %s", copyOf(v), v.Proof, short(v.BootTook),
			short(v.CreateTook), short(v.CreateTook+v.BootTook))
		if v.Proof == "running" {
			a.what = fmt.Sprintf("a copy of %s runs after %s, which proves no more than that Hetzner starts it; created in %s", copyOf(v), short(v.BootTook), short(v.CreateTook))
		}
	case snapshot.Planned:
		a.what = "would be verified: " + copyOf(v) + ", on a " + v.Type
	case snapshot.Cancelled:
		a.what = "the run was cancelled before it was known"
	default:
		a = verifyCause(v, asked)
	}
	a.title = cmp.Or(a.title, "is not verified")
	a.details = append(a.details, answered(v.Err))
	return a
}

// verifyCause says for each reason what happened and what to try.
func verifyCause(v verify.Result, asked Asked) (a account) {
	switch v.Reason {
	case snapshot.NotFound:
		a.what = "no available snapshot that this action made was found" + only(asked.Series != "", " in the series "+asked.Series)
		a.next = "make one with snapshot first, and see that series is the same"
		if v.Choice.Image != 0 {
			a.what = fmt.Sprintf("image %d is no available snapshot of this server that this action made", v.Choice.Image)
			a.next = "check the image's ID, and that it belongs to this server"
		}
	case verify.NotDue:
		a.what = "not due"
	case verify.InProgress:
		a.what = "another run verifies the same image, by the copy " + v.Copy
	case verify.NotProven:
		return notProven(v, asked)
	case verify.NoCapacity:
		a.what = "Hetzner has no " + v.Type + " in " + v.Server.Location + " for the copy"
		a.next = "run it again later, or set server-type to cheapest or to another type"
	case snapshot.LimitExceeded:
		a.what, a.next = "the limit of servers or addresses is reached", "ask for a higher limit in the Hetzner Console, or set a smaller max-parallel"
	case verify.Firewall:
		a.what, a.next = "the firewall that shuts the copy off could not be made", "see to what the answer is about, and run it again"
		if v.Differs != "" {
			a.what = "somebody has changed the rules of the firewall " + v.Differs + ", so it does not shut the copy off"
			a.next = "delete it with `hcloud firewall delete " + v.Differs + "`; the next run makes it anew"
		}
	case verify.NotIsolated:
		a.what = "the copy was not seen shut off within a minute, so it was never switched on"
		a.next = "run it again; if it happens again, see which network, volume or firewall Hetzner shows at the server " + v.Copy
	case verify.CreateFailed:
		a.what = "the copy could not be created"
		if action := v.Action; action != nil {
			a.what += only(action.ErrorMessage != "", ": "+action.ErrorMessage) + " (" + joined(", ", action.ErrorCode, fmt.Sprintf("action %d", action.ID)) + ")"
		}
		a.next = "run it again; this says nothing about the snapshot"
	case verify.CreateTimeout:
		a.what, a.next = "the copy was not created in time", "set a longer create-timeout; large snapshots take long"
		if v.Silence > 0 {
			a.what, a.next = "Hetzner's API has given no usable answer for "+short(v.Silence), adviceUnreached
		}
	case snapshot.Refused:
		a.what, a.next = "Hetzner refused what the verification needs", "see to what the answer is about, and run it again"
		if v.Err != nil && v.Err.Verdict == hetzner.TokenRefused {
			a.next = adviceToken
		}
		if v.Proof != "" {
			a.what = "the copy answers (" + v.Proof + "), and that could not be written on the image"
		}
	default:
		a.what = string(v.Reason)
	}
	return a
}

// notProven says what it may mean that a copy does not answer, beside a bad snapshot.
func notProven(v verify.Result, asked Asked) account {
	a := account{what: "a copy of " + copyOf(v) + " was never seen running", next: "look at the snapshot before you need it: make a server from it by hand and watch its screen in the Hetzner Console"}
	if !v.Ran {
		return a
	}
	a.what = fmt.Sprintf("a copy of %s runs, and does not answer within %s: %s", copyOf(v), asked.BootTimeout, cmp.Or(v.NoProof, "no answer"))
	hints := []string{
		only(strings.Contains(v.NoProof, "refused"), "its kernel answers and nothing listens on the port: is the service enabled at boot?"),
		only(len(v.Server.Volumes) > 0, "the original has volumes, which the copy has not: a mount in fstab without nofail stops the boot"),
		"static addresses in its network settings, or a firewall of its own, can hide a good system",
	}
	a.details = []string{"beside a bad snapshot that may mean: " + joined("; ", hints...)}
	a.next = "make a server from image " + strconv.FormatInt(v.Image.ID, 10) + " by hand and watch its screen in the Hetzner Console; if it only boots slowly, set a longer boot-timeout"
	return a
}
