package report

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/org/hsnap-action/internal/copies"
	"github.com/org/hsnap-action/internal/hetzner"
	"github.com/org/hsnap-action/internal/labels"
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
	verify.EventCreated:  {text: "copy created, waiting until it is isolated", phase: "isolating", style: works},
	verify.EventIsolated: {text: "copy isolated by its firewall; switching it on", phase: "booting", style: works},
	verify.EventProving:  {text: "switched on, waiting until {address} answers"},
	verify.EventProved:   {text: "the copy is needed no longer; deleting it", phase: "deleting", style: works},
	verify.EventRemoved:  {text: "copy deleted"},
	verify.EventFinished: {style: ends},
}

// VerifyEvent logs what happened in a verification.
func (r *Report) VerifyEvent(e verify.Event) {
	w := verifyWording[e.Kind]
	w.text = strings.ReplaceAll(w.text, "{address}", e.Address)
	switch e.Kind {
	case 0:
		r.Event(e.Event)
		return
	case verify.EventPlanned:
		r.currency = e.Currency
		r.plannedCopies(e.Results)
	case verify.EventProved:
		if e.Result.Status == snapshot.Failed {
			r.timeline.add(e.Name, "", fails, e.At)
		}
	case verify.EventFinished:
		if e.Result.Status == verify.Inconclusive || e.Result.Left != nil {
			w.style = fails
		}
		r.verified(*e.Result)
	default: // its words are all that there is to say
	}
	r.say(e.Event, w)
}

// plannedCopies opens the log: each server, and the snapshot that is verified.
func (r *Report) plannedCopies(results []verify.Result) {
	var list []string
	for _, v := range results {
		text := serverLine(v.Server)
		if v.Image.ID != 0 {
			text += " -> " + copyOf(v)
		}
		list = append(list, text+only(v.Status != "", ", "+string(v.Status)+" ("+string(v.Reason)+")")+only(v.MostCost > 0, ", at most "+r.money(v.MostCost)))
	}
	r.selected(list)
}

// copyOf names the image of a verification.
func copyOf(v verify.Result) string {
	return fmt.Sprintf("image %d of %s", v.Image.ID, minute(v.Image.Created)) + only(v.Age > 0, " ("+old(v.Age)+" old)")
}

// money is an amount in the account's currency.
func (r *Report) money(amount float64) string {
	return strings.TrimSpace(fmt.Sprintf("%.4f %s", amount, r.text(r.currency)))
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
	switch e := verifyEnd(v); {
	case v.Status == verify.Inconclusive && r.asked.WarnOnly:
		r.Warn(v.Name + ": " + e.label() + ": " + a.line())
	case v.Status == snapshot.Skipped:
		r.Line("%s: skipped (%s): %s", v.Name, v.Reason, a.what)
	default:
		r.finish(e, a)
	}
}

// UntriedCopy reports of a copy that a run has made that nothing could be tried to delete it, since the inputs are wrong.
func (r *Report) UntriedCopy(name string) {
	r.failure(name, "failed", explainLeft(name, copies.Left{}, "", false), true)
}

// explainLeft says that a copy is left, why, and what to do about it.
func explainLeft(name string, left copies.Left, hour string, post bool) account {
	a := account{
		title: "IS LEFT BEHIND",
		what:  "THE COPY IS NOT DELETED: IT HAS THE PASSWORDS AND KEYS OF ITS ORIGINAL" + only(hour != "", ", AND COSTS "+hour+" AN HOUR"),
		next:  "run `hcloud server delete " + name + "`, or delete it in the Hetzner Console",
	}
	switch {
	case left.Unseen:
		a.title = "MAY BE LEFT BEHIND"
		a.what = "THE COPY MAY BE THERE, OR APPEAR YET: its create was not answered, and no poll has shown it; it would have the passwords and keys of its original" +
			only(hour != "", ", and cost "+hour+" an hour")
		a.next = "look for it a minute later: `hcloud server describe " + name + "`; if it is there, " + a.next
	case left.Address != 0:
		a.what = fmt.Sprintf("the copy is deleted, but its address is not (primary IP %d), and costs money", left.Address)
		a.next = fmt.Sprintf("run `hcloud primary-ip delete %d`", left.Address)
	case left.Changed != 0:
		a.what += "; its name or its labels have changed, so it may be somebody's by now"
		a.next = fmt.Sprintf("find out whose it is: `hcloud server describe %d`; if nobody's, `hcloud server delete %[1]d`", left.Changed)
	}
	if left.Err != nil && left.Err.Code == "protected" {
		lift := "server disable-protection " + name
		if left.Address != 0 {
			lift = fmt.Sprintf("primary-ip disable-protection %d", left.Address)
		}
		a.next = "lift its protection first: `hcloud " + lift + " delete`; then " + a.next
	}
	if post && left.Changed == 0 {
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
		a.what = "would be verified: " + copyOf(v) + ", by a copy of the type " + v.Type
	case snapshot.Cancelled:
		a.what = "the run was cancelled; " + only(!v.MayShow, "no result was written on the snapshot") +
			only(v.MayShow, "what came of it may be written on the snapshot or not: Hetzner did not answer in time")
	default:
		a = verifyCause(v, asked)
		a.title = cmp.Or(a.title, "is not verified")
	}
	a.details = append(a.details, answered(v.Err))
	return a
}

// verifyCause says for each reason what happened and what to try.
func verifyCause(v verify.Result, asked Asked) (a account) {
	switch v.Reason {
	case snapshot.NotFound:
		return noSnapshot(v, asked)
	case verify.NotDue:
		a.what = "at-most leaves it to a later run"
		if !v.VerifiedAt.IsZero() {
			a.what = "a snapshot of it was verified on " + minute(v.VerifiedAt) + ", which is within verified-within"
		}
	case verify.InProgress:
		a.what = "another run is verifying the same image: its copy " + v.Copy + " is there"
	case verify.NotProven:
		return notProven(v)
	case verify.NoCapacity:
		return noCapacity(v)
	case snapshot.LimitExceeded:
		a.what = "the limit of servers or addresses is reached"
		a.next = "delete what nobody needs, set a smaller max-parallel, or ask for a higher limit in the Hetzner Console"
	case verify.Firewall:
		a.what, a.next = "the firewall that isolates the copy could not be made", "see to what the answer is about, and run it again"
		if v.Differs != "" {
			a.what = "somebody has changed the rules of the firewall " + v.Differs + ", so it does not isolate the copy; no copy was made"
			a.next = "delete it with `hcloud firewall delete " + v.Differs + "`; the next run makes it anew"
		}
	case verify.NotIsolated:
		a.what = "no poll showed the copy isolated within a minute, so it was never switched on"
		a.next = "run it again; if it happens again, see whether something else gives new servers a network, a volume, labels or a firewall"
	case verify.CreateFailed:
		a.what = "the copy could not be created" + said(v.Action)
		a.next = "run it again; this says nothing about the snapshot"
	case verify.CreateTimeout:
		a.what, a.next = "the copy was not seen created in time", orUnreached(v.Err, "set a longer create-timeout; large snapshots take long")
	case snapshot.UnknownOutcome:
		a.what, a.next = "the copy was deleted by somebody else, or could not be seen, before it had answered", "run it again; this says nothing about the snapshot"
	case snapshot.Refused:
		return verifyRefused(v)
	default:
		a.what = string(v.Reason)
	}
	return a
}

// noSnapshot says that a server has no snapshot to verify.
func noSnapshot(v verify.Result, asked Asked) account {
	series := only(asked.Series != "", " in the series "+asked.Series)
	switch {
	case v.Choice.Image != 0:
		return account{what: fmt.Sprintf("image %d is no available snapshot of this server that this action made", v.Choice.Image),
			next: "check the image's ID, and that it belongs to this server"}
	case v.Choice.OnlyIfVerified:
		return account{what: "none of its snapshots" + series + " is verified", next: "verify the newest one with latest"}
	}
	return account{what: "no available snapshot that this action made was found" + series, next: "make one with snapshot first, and see that series is the same"}
}

// noCapacity says that no server of the wanted type can be had.
func noCapacity(v verify.Result) account {
	a := account{what: "Hetzner has no " + v.Type + " free in " + v.Server.Location + " now",
		next: "run it again later, or set server-type to cheapest or to another type"}
	switch {
	case v.Err != nil: // Hetzner says so
	case v.Type == verify.CheapestType:
		a.what, a.next = "no server type that can be had in "+v.Server.Location+" now fits the image", "run it again later"
	default:
		a.what = "no copy of the type " + v.Type + " can be made in " + v.Server.Location + ": it is not sold there, or its disk or its architecture does not fit the image"
	}
	return a
}

// verifyRefused says that Hetzner has refused a request that is no create.
func verifyRefused(v verify.Result) account {
	a := account{what: "Hetzner refused a request that the verification needs", next: "see to what the answer is about, and run it again"}
	if v.Err != nil && v.Err.Verdict == hetzner.TokenRefused {
		a.next = adviceToken
	}
	if action := v.Action; action != nil {
		a.what = "Hetzner accepted to switch the copy on, and could not: " + joined(", ", action.ErrorMessage, action.ErrorCode, fmt.Sprintf("action %d", action.ID))
		a.next = "run it again; this says nothing about the snapshot"
		return a
	}
	if known := cmp.Or(v.Proof, v.NoProof); known != "" {
		a.what = "the copy " + only(v.Proof == "", "did not answer") + only(v.Proof != "", "answered") + " (" + known + "), but that could not be written on the image"
	}
	return a
}

// notProven says what it may mean that a copy does not answer, beside a bad snapshot.
func notProven(v verify.Result) account {
	byHand := "make a server from image " + strconv.FormatInt(v.Image.ID, 10) + " by hand, and watch its screen in the Hetzner Console"
	a := account{
		title: "failed its verification",
		what:  "a copy of " + copyOf(v) + " runs, but did not answer within boot-timeout: " + cmp.Or(v.NoProof, "no answer"),
		next:  byHand + "; if it only boots slowly, set a longer boot-timeout",
	}
	written := only(v.Written, "the image carries the label "+labels.Verify+"="+labels.VerifyFailed+" now")
	if !v.Ran {
		return account{title: a.title, what: "a copy of " + copyOf(v) + " was never seen running", details: []string{written}, next: byHand}
	}
	a.details = []string{written, "the snapshot may be bad, or one of these: " + joined("; ",
		only(strings.Contains(v.NoProof, "refused"), "the system is up and nothing listens on the port (is the service enabled at boot?)"),
		only(len(v.Server.Volumes) > 0, "the original has volumes and the copy has none (a mount in /etc/fstab without nofail stops the boot)"),
		"the system has static addresses, or a firewall of its own")}
	return a
}

// VerifyTallyOf counts what came of the verifications. With warnOnly it fails no run that something could not be found out.
func VerifyTallyOf(o verify.Outcome, warnOnly bool) (t Tally) {
	for _, r := range o.Results { // names that match nothing
		t.count(endOf(r))
	}
	for _, v := range o.Verifications {
		t.count(verifyEnd(v))
		if v.Left != nil {
			t.Left = append(t.Left, v.Copy)
		}
	}
	for _, l := range o.Left {
		t.Left = append(t.Left, l.Name)
	}
	good := t.statuses[verify.Verified]+t.statuses[snapshot.Planned] > 0
	t.Stopped = stopped(o.Outcome) || o.TooExpensive
	t.Bad = t.Failed > 0 || len(t.Left) > 0 || t.Inconclusive > 0 && !warnOnly
	bad, otherwise := t.Failed > 0 || t.Stopped, "skipped"
	if t.Inconclusive > 0 {
		bad, otherwise = bad || good, "inconclusive"
	}
	t.Result = resultOf(o.Outcome, good, bad, otherwise)
	return t
}

func verifyEnd(v verify.Result) end { return end{name: v.Name, status: v.Status, reason: v.Reason} }

// round leaves of an amount what is not an error of the sum.
func round(amount float64) float64 { return math.Round(amount*1e6) / 1e6 }

// DeliverVerify is [Report.DeliverSnapshot] for a run of verify.
func (r *Report) DeliverVerify(o verify.Outcome) Tally {
	t, why := VerifyTallyOf(o, r.asked.WarnOnly), r.verifyWhole(o)
	entries := each(o.Results, func(n snapshot.Result) json.RawMessage {
		return r.verifyEntry(verify.Result{Name: n.Name, Status: n.Status, Reason: n.Reason}, explain(n, r.asked))
	})
	cost := 0.0
	for _, v := range o.Verifications {
		entries = append(entries, r.verifyEntry(v, explainVerification(v, r.asked)))
		cost += v.Cost
	}
	images := func(is func(verify.Result) bool) []int64 {
		return each(those(o.Verifications, is), func(v verify.Result) int64 { return v.Image.ID })
	}
	return r.end(ending{
		title: "Verification of Hetzner Cloud snapshots", nothing: "nothing was verified", dryRun: o.DryRun, why: why, tally: t,
		failed: t.failures(len(o.Verifications) + len(o.Results)),
		rest:   []string{only(o.DryRun && o.PlannedCost > 0, "at most "+r.money(o.PlannedCost)), only(cost > 0, "cost "+r.money(cost))},
		outputs: []output{
			{name: "result", value: t.Result},
			{name: "verifications", value: entries, spare: 1},
			{name: "verified-image-ids", value: images(func(v verify.Result) bool { return v.Status == verify.Verified }), spare: 3},
			{name: "failed-image-ids", value: images(func(v verify.Result) bool { return v.Status == snapshot.Failed && v.Image.ID != 0 }), spare: 2},
			{name: "copies-left", value: each(t.Left, r.text)},
			{name: "cost-gross", value: round(cost)},
		},
		summary: func(p *page) { r.verifySummary(p, o, why) },
	})
}

// verifyEntry is one server in the output "verifications".
func (r *Report) verifyEntry(v verify.Result, a account) json.RawMessage {
	return r.object(
		"server_name", v.Name, "image_id", known(v.Image.ID),
		"status", v.Status, "reason", v.Reason, "message", a.line(), "proof", v.Proof, "server_type", v.Type,
		"create_seconds", where(v.CreateTook > 0, seconds(v.CreateTook)), "boot_seconds", where(v.BootTook > 0, seconds(v.BootTook)), "cost_gross", round(v.Cost),
	)
}

// verifyWhole explains why a run as a whole verified nothing; it explains nothing of any other run.
func (r *Report) verifyWhole(o verify.Outcome) account {
	if o.TooExpensive {
		return account{
			what: fmt.Sprintf("the verifications may cost up to %s, which is more than max-cost allows; nothing was created", r.money(o.PlannedCost)),
			next: "set at-most, server-type: cheapest, a shorter create-timeout, or a larger max-cost",
		}
	}
	return whole(o.Outcome, r.asked)
}

// verifySummary is the job summary: copies that are left first, then what went wrong, and a table of the servers.
func (r *Report) verifySummary(p *page, o verify.Outcome, why account) {
	var bad []trouble
	var names []string
	var rows []row
	for _, v := range o.Verifications {
		e, a := verifyEnd(v), explainVerification(v, r.asked)
		if v.Left != nil {
			bad = append(bad, trouble{2, "🔴 **" + p.cell(v.Copy) + "** (" + p.cell(v.Name) + "): ", r.explainLeft(v)})
		}
		if e.failed() {
			bad = append(bad, trouble{0, e.head(p), a})
		}
		names = append(names, v.Name)
		if o.DryRun {
			rows = append(rows, row{[]string{p.cell(v.Name), p.cell(a.what) + only(v.MostCost > 0, ", at most "+p.cell(r.money(v.MostCost)))}, !e.failed()})
			continue
		}
		rows = append(rows, row{[]string{
			p.cell(v.Name), only(v.Left != nil, "🔴 COPY LEFT BEHIND<br>") + e.cell(""), p.image(v.Image, v.Age),
			p.cell(v.Proof) + only(v.BootTook > 0, " after "+short(v.BootTook)), only(v.CreateTook > 0, short(v.CreateTook)+", "+p.cell(v.Type)),
			only(v.Cost > 0, p.cell(r.money(v.Cost))),
		}, v.Left == nil && (v.Status == verify.Verified || v.Status == snapshot.Skipped)})
	}
	r.begin(p, o.Outcome, why, bad...)
	switch {
	case len(rows) == 0:
	case o.DryRun:
		p.servers("server|what would be done", rows, "the output `verifications`")
	default:
		p.servers("server|result|>image, made (UTC)|proof|>created in|>cost", rows, "the output `verifications`")
	}
	p.print("%s", only(len(rows) > 0, "\n"+r.whatItProves(p, o)+"\n"))
	r.drawTimeline(p, names, len(bad)+len(o.Left) > 0)
}

// whatItProves says what the table means, and what it does not.
func (r *Report) whatItProves(p *page, o verify.Outcome) string {
	runs := slices.ContainsFunc(o.Verifications, func(v verify.Result) bool { return v.Proof == "running" })
	proved := slices.ContainsFunc(o.Verifications, func(v verify.Result) bool { return v.Status == verify.Verified })
	return joined(" ",
		only(o.DryRun && o.PlannedCost > 0, "Together they would cost at most "+p.cell(r.money(o.PlannedCost))+"."),
		only(proved, "The time of creation and the time until the proof together are the measured time to restore."),
		only(runs, "**`prove: running` proves only that Hetzner starts the copy**, not that its system boots or that anything answers."),
		"A begun hour of a copy is paid whole.")
}
