package report

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/org/hsnap-action/internal/hetzner"
	"github.com/org/hsnap-action/internal/labels"
	"github.com/org/hsnap-action/internal/restore"
	"github.com/org/hsnap-action/internal/snapshot"
)

// restoreWording holds the words of each event of a restore, but for those that take more than a line.
var restoreWording = map[restore.EventKind]words{
	restore.EventVolumes:  {text: "{volumes} attached: {ids}; they stay as they are", warn: true},
	restore.EventAsked:    {text: "asking for the rebuild"},
	restore.EventAccepted: {text: "rebuild accepted: action {action}; its disk is overwritten", phase: "rebuild", style: down},
	restore.EventLost:     {text: "the answer was lost ({error}); polling whether the rebuild has begun", phase: "answer lost", style: waits},
	restore.EventFound:    {text: "found the rebuild of the lost answer: action {action}; its disk is overwritten", phase: "rebuild", style: down},
	restore.EventWritten:  {text: "the image is on its disk, waiting until it runs", phase: "starting", style: down},
	restore.EventOff:      {text: "off after its rebuild; switching it on", phase: "switching on", style: down},
	restore.EventProving:  {text: "running, waiting until {address} answers", phase: "booting", style: down},
	restore.EventBefore:   {style: ends},
	restore.EventFinished: {style: ends},
}

// RestoreEvent logs what happened in a restore.
func (r *Report) RestoreEvent(e restore.Event) {
	w := restoreWording[e.Kind]
	w.text = strings.ReplaceAll(w.text, "{address}", e.Address)
	switch e.Kind {
	case 0:
		r.Event(e.Event)
		return
	case restore.EventChecked:
		r.selected(each(e.Results, func(result restore.Result) string { return serverLine(result.Server) + " <- " + madeOf(result) }))
	case restore.EventBefore:
		before := e.Event.Result
		w.text = fmt.Sprintf("its disk as it is now is image %d%s, made in %s", before.ImageID, size(*before), short(before.Duration))
	case restore.EventFinished:
		if e.Result.Failed() {
			w.style = fails
		}
		r.finish(restoreEnd(*e.Result), explainRestore(*e.Result, r.asked))
	default: // its words are all that there is to say
	}
	r.say(e.Event, w)
}

// madeOf names the image of a restore.
func madeOf(r restore.Result) string {
	return fmt.Sprintf("image %d of %s (%s old)", r.Image.ID, minute(r.Image.Created), old(r.Age))
}

// explainRestore says what became of a server and, where that is a failure, what to try.
func explainRestore(r restore.Result, asked Asked) account {
	var a account
	switch r.Status {
	case restore.Restored:
		a.what = fmt.Sprintf("is back on %s, downtime %s; proof: %s", madeOf(r), short(r.Downtime), r.Proof)
	case snapshot.Planned:
		a.what = "would be put back to " + madeOf(r) + only(asked.SnapshotFirst, ", after a snapshot of its disk as it is now") +
			only(r.Server.Locked, ", once its lock is gone")
	default:
		a = restoreCause(r, asked)
	}
	if r.LeftOff { // nothing is more urgent
		a = account{
			title: "IS LEFT OFF", next: adviceOff(typed(r.Result)), details: []string{answered(r.PowerErr)},
			what: "THE SERVER IS OFF: it was rebuilt from " + madeOf(r) + ", and could not be seen running since",
		}
	} else if r.Status != snapshot.Cancelled && r.Reason != restore.SnapshotFirstFailed {
		a.details = append(a.details, answered(r.Err))
	}
	untouched := r.Status == snapshot.Failed && !r.Accepted && !r.MaySlip && r.Reason != snapshot.NotFound
	b, resetPassword := r.Before, "hcloud server reset-password "+typed(r.Result)
	a.details = append(a.details,
		only(untouched, "nothing was done to its disk"),
		only(b.Usable(), fmt.Sprintf("its disk as it was before is image %d", b.ImageID)),
		only(goesOn(b) && b.Status != "", fmt.Sprintf("image %d, of its disk as it was before, goes on being made, and costs money until it is deleted: %s", b.ImageID, deletion(b.ImageID))),
		only(b.MaySlip, "a snapshot may still appear, with the label hsnap/request="+b.Request),
		only(r.Password, "Hetzner has set a new root password, which is shown nowhere; to set another one: "+resetPassword),
		only(r.AnswerLost || r.MaySlip, "Hetzner may have set a new root password; to set another one: "+resetPassword))
	a.title = cmp.Or(a.title, "is not restored")
	return a
}

// restoreCause says for each reason what happened and what to try.
func restoreCause(r restore.Result, asked Asked) (a account) {
	again := fmt.Sprintf("`hcloud server rebuild %s --image %d`", typed(r.Result), r.Image.ID)
	look := fmt.Sprintf("`hcloud server describe %s`", typed(r.Result))
	switch r.Reason {
	case restore.SnapshotFirstFailed:
		first := explain(r.Before, asked)
		a.what = fmt.Sprintf("its disk as it is now could not be snapshotted (%s), so it was not rebuilt: %s", r.Before.Reason, first.what)
		a.details = []string{answered(r.Before.Err)}
		a.next = joined("; ", first.next, "where what is on its disk now may be lost, set snapshot-first: false")
	case snapshot.LockTimeout:
		return lockTimeout(r.Result, "rebuild")
	case snapshot.Refused:
		a.what = "Hetzner refused the rebuild"
		a.next = "see to what the answer is about, and run it again; if it is about nothing that you can change, report it as a bug of this action, with the log"
		if r.Err != nil && r.Err.Verdict == hetzner.TokenRefused {
			a.what, a.next = "Hetzner refused the API token"+underWay(r)+only(!r.Accepted && !r.MaySlip, " before it accepted the rebuild"), adviceToken
		}
		if r.Err == nil || r.Err.Unsettled() { // it is no answer to a rebuild
			a.what, a.next = "the server's actions could not be listed, so the rebuild was not asked for", adviceUnreached
		}
	case snapshot.ActionFailed:
		a.what = "Hetzner could not finish the rebuild" + said(r.Action) + "; ITS DISK MAY BE HALF WRITTEN"
		a.next = "write it again with " + again + ", or run this again with snapshot-first: false; do not trust the server until that has succeeded"
	case snapshot.UnknownOutcome:
		a.what = "the answer to the rebuild was lost, and nothing shows whether it has begun; its disk may be overwritten yet"
		a.next = look + " shows the image and the status; run it again when the server is as you expect it"
	case restore.RestoreTimeout:
		a.what = fmt.Sprintf("the rebuild (action %d) was not seen to end well within restore-timeout, and may go on; until then its disk may be half written", r.ActionID)
		a.next = look + " shows whether it runs since; " + orUnreached(r.Err, "next time set a longer restore-timeout")
	case restore.NotProven:
		a.what = "it is rebuilt and runs, but has not proved within boot-timeout that it is back: " + cmp.Or(r.NoProof, "no answer")
		a.next = "look at its screen in the Hetzner Console; see that its firewalls let this runner in; if it boots slowly, set a longer boot-timeout"
	case snapshot.NotFound:
		a.what, a.next = "the server does not exist any more", "make a new one from its image: "+fmt.Sprintf("`hcloud server create --image %d …`", r.Image.ID)
	case snapshot.RunCancelled:
		a.what = "the run was cancelled" + cmp.Or(underWay(r), " before the rebuild was asked for: nothing was done to its disk")
	default:
		a.what = string(r.Reason)
	}
	return a
}

// underWay says, to go on a sentence, what is under way when a run ends early; "" for nothing.
func underWay(r restore.Result) string {
	switch {
	case r.Done:
		return "; it is rebuilt and runs, and has not proved yet that it is back"
	case r.Rewritten:
		return "; the image is on its disk, and it was not seen running yet: see that it comes up, or run hcloud server poweron " + typed(r.Result)
	case r.Accepted:
		return fmt.Sprintf("; the rebuild (action %d) goes on at Hetzner, and overwrites its disk", r.ActionID)
	case r.MaySlip:
		return "; the answer to the rebuild was lost, so its disk may be overwritten yet"
	}
	return ""
}

// wrongPair says what is wrong with a pair, and what is accepted.
func wrongPair(m restore.Mistake, asked Asked) string {
	choice := strconv.FormatInt(m.Choice.Image, 10)
	if m.Choice.Image == 0 {
		choice = "latest" + only(m.Choice.OnlyIfVerified, "-verified")
	}
	image, server := fmt.Sprintf("image %d", m.Image.ID), typed(snapshot.Result{Name: m.Name, Server: m.Server})
	boot, command := nextBoot(m.Server, server)
	what := map[restore.Why]string{
		restore.NoServer:        "no server in this token's project has this name" + meant(m.Nearest) + "; IDs and globs are not taken, since the name is the confirmation",
		restore.SeveralServers:  "several servers have this name",
		restore.IsDrill:         "it is a copy that a verification has made, and is never restored",
		restore.IsSelf:          "this run itself runs on that server; run it from another machine",
		restore.IsProtected:     "the server is protected against being rebuilt; if you mean it, `hcloud server disable-protection " + server + " rebuild`",
		restore.BootsElsewhere:  boot + only(m.Server.RescueEnabled, "; disarm it: ") + only(!m.Server.RescueEnabled, "; detach it: ") + command,
		restore.VolumesAttached: count(len(m.Server.Volumes), "volume") + " attached (" + ids(m.Server.Volumes, ", ") + "), which would stay as they are; set if-volumes-attached to warn to restore its own disk all the same",
		restore.NoAddress:       "the server has no public address that could prove it; set prove to running",

		restore.NoImage:      "no image in this token's project has this ID",
		restore.NoneFound:    fmt.Sprintf("the series %s holds no available snapshot of this server that this action made", asked.Series),
		restore.NoneVerified: fmt.Sprintf("no snapshot of this server in the series %s is verified; use latest, or give an image's ID", asked.Series),
		restore.NotSnapshot:  fmt.Sprintf("%s is no snapshot, but of type %s", image, m.Image.Type),
		restore.NotAvailable: fmt.Sprintf("%s is %s, not available", image, m.Image.Status),
		restore.NotMade:      image + " was not made by this action, or its labels do not agree with what Hetzner says of it",
		restore.NotVerified:  image + " has failed its verification",
		restore.TooOld:       fmt.Sprintf("%s is %s old, and max-age allows %s; give a newer one, or set a longer max-age", image, short(m.Age), short(m.MaxAge)),
		restore.NoAge:        "nobody knows how old " + image + " is: Hetzner's answer did not tell the time, or the image is from the future; " + adviceNoDate,

		restore.OtherServer:       fmt.Sprintf("%s was made of another server (ID %d); this one has the ID %d", image, m.Image.CreatedFrom, m.Server.ID),
		restore.OtherArchitecture: fmt.Sprintf("%s is for %s, and the server is %s", image, m.Image.Architecture, m.Server.Architecture),
		restore.DiskTooSmall:      fmt.Sprintf("%s needs a disk of %g GB, and the server's has %d GB", image, m.Image.DiskGB, m.Server.DiskGB),
	}[m.Why]
	return fmt.Sprintf("images: %.100s=%s: %s", m.Name, choice, strings.ReplaceAll(what, "`", ""))
}

// wrongPairs reports pairs that are wrong as mistakes in the inputs.
func (r *Report) wrongPairs(refused []restore.Mistake) {
	if len(refused) > 0 {
		lines := each(refused, func(m restore.Mistake) string { return clean(wrongPair(m, r.asked)) })
		r.Mistakes(errors.New(strings.Join(lines, "\n")))
		r.read = true
	}
}

// RestoreTallyOf counts what became of the servers.
func RestoreTallyOf(o restore.Outcome) (t Tally) {
	for _, r := range o.Restores {
		t.count(restoreEnd(r))
	}
	good := t.statuses[restore.Restored]+t.statuses[snapshot.Planned] > 0
	t.Bad, t.Stopped = t.Failed > 0, stopped(o.Outcome) || len(o.Refused) > 0
	t.Result = resultOf(o.Outcome, good, t.Bad || t.Stopped || len(o.Restores) == 0, "success")
	return t
}

func restoreEnd(r restore.Result) end { return end{r.Name, r.Status, r.Reason, r.LeftOff} }

// DeliverRestore is [Report.DeliverSnapshot] for a restore. It also reports wrong pairs.
func (r *Report) DeliverRestore(o restore.Outcome) Tally {
	r.wrongPairs(o.Refused)
	t, why := RestoreTallyOf(o), whole(o.Outcome, r.asked)
	restored := map[string]int64{}
	for _, result := range o.Restores {
		if result.Status == restore.Restored {
			restored[r.text(result.Name)] = result.Image.ID
		}
	}
	return r.end(ending{
		title: "Hetzner Cloud restore", nothing: "nothing was restored", dryRun: o.DryRun, why: why, tally: t,
		failed: t.failures(len(o.Restores)),
		outputs: []output{
			{name: "result", value: t.Result},
			{name: "restored", value: restored, spare: 2},
			{name: "restores", value: each(o.Restores, r.restoreEntry), spare: 1},
			{name: "restored-count", value: len(restored)},
			{name: "failed-count", value: t.Failed},
			{name: "failed-servers", value: r.names(t.failed), spare: 3},
		},
		summary: func(p *page) { r.restoreSummary(p, o, why) },
	})
}

// restoreEntry is one server in the output "restores".
func (r *Report) restoreEntry(result restore.Result) json.RawMessage {
	return r.object(
		"server_id", known(result.Server.ID), "server_name", result.Name,
		"status", result.Status, "reason", result.Reason, "message", explainRestore(result, r.asked).line(),
		"image_id", known(result.Image.ID), "image_age_seconds", seconds(result.Age), "before_image_id", known(result.Before.ImageID),
		"action_id", known(result.ActionID), "downtime_seconds", where(result.Accepted, seconds(result.Downtime)), "proof", result.Proof,
	)
}

// restoreSummary is the job summary: what went wrong, and a table of the servers.
func (r *Report) restoreSummary(p *page, o restore.Outcome, why account) {
	var bad []trouble
	var names []string
	var rows []row
	for _, result := range o.Restores {
		e, a := restoreEnd(result), explainRestore(result, r.asked)
		if result.LeftOff || result.Failed() || result.Status == snapshot.Cancelled && (result.Accepted || result.MaySlip) {
			bad = append(bad, trouble{number(result.LeftOff), e.head(p), a})
		}
		names = append(names, result.Name)
		if o.DryRun {
			rows = append(rows, row{[]string{p.cell(result.Name), p.cell(a.what)}, !e.failed()})
			continue
		}
		verified, _ := labels.VerifiedAt(result.Image)
		before := result.Before
		rows = append(rows, row{[]string{
			p.cell(result.Name), e.cell(""), p.image(result.Image, result.Age), day(verified),
			joined(" ", id(before.ImageID), only(!before.Usable(), string(before.Status))), only(result.Accepted, short(result.Downtime)), p.cell(result.Proof),
		}, result.Status == restore.Restored})
	}
	r.begin(p, o.Outcome, why, bad...)
	switch {
	case len(rows) == 0:
	case o.DryRun:
		p.servers("server|what would be done", rows, "the output `restores`")
	default:
		p.servers("server|result|>image, made (UTC)|verified|>snapshot<br>of&nbsp;before|>downtime|proof", rows, "the output `restores`")
		p.print("\nDowntime counts from the rebuild to the proof. Addresses, volumes, networks and firewalls of a server stay as they are.\n")
	}
	r.drawTimeline(p, names, len(bad) > 0)
}
