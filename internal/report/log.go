package report

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/org/hsnap-action/internal/hetzner"
	"github.com/org/hsnap-action/internal/snapshot"
	"github.com/org/hsnap-action/internal/thinning"
)

// Asked is what the run was asked to do, as far as messages depend on it.
type Asked struct {
	LockTimeout             time.Duration
	Endpoint, LabelSelector string
	Live                    bool // servers are snapshotted while they run
	Post                    bool // a post step follows, which switches on what was left off
	Prunes                  bool // nothing is done but to delete old snapshots

	Verifies, WarnOnly      bool   // snapshots are proved, and what can't be found out is a warning
	Restores, SnapshotFirst bool   // servers are put back, perhaps after a snapshot of each
	Series                  string // where the newest snapshots are looked for
}

// Ask says what the run is asked to do.
func (r *Report) Ask(a Asked) { r.asked = a }

// words is what an event means to a reader: a line of the log, and the phase that its server is in from then on. What
// the event holds stands in braces.
type words struct {
	text, phase string
	style       style
	warn        bool // the user should know of it although nothing has failed
}

// wording holds the words of each event, but for those that take more than a line.
var wording = map[snapshot.EventKind]words{
	snapshot.EventUnreached:       {text: "Hetzner's API can't be reached: {error}; retrying for up to {took}"},
	snapshot.EventCancelled:       {text: "cancelled: no new snapshot is asked for; those in flight go on at Hetzner and are not deleted"},
	snapshot.EventNoMatch:         {text: "matches no server", warn: true},
	snapshot.EventUnused:          {text: "named in exclude, and matches no server{meant}", warn: true},
	snapshot.EventAmbiguous:       {text: "is one server's ID and another server's name; the server with this ID is taken", warn: true},
	snapshot.EventNothingLeft:     {text: "every server that was selected is excluded again", warn: true},
	snapshot.EventVolumes:         {text: "{volumes} attached, not part of the snapshot: {ids}", warn: true},
	snapshot.EventLocked:          {text: "locked, waiting up to {limit}", phase: "locked", style: waits},
	snapshot.EventHolder:          {text: "locked by {holder} ({percent}%), waiting up to {limit}", phase: "locked by {holder}", style: waits},
	snapshot.EventUnlocked:        {text: "unlocked", style: ends},
	snapshot.EventAsked:           {text: "asking for a snapshot"},
	snapshot.EventAccepted:        {text: "accepted: image {image}, action {action}", phase: "snapshot", style: works},
	snapshot.EventLost:            {text: "the answer was lost ({error}); polling whether the snapshot was made", phase: "answer lost", style: waits},
	snapshot.EventAdopted:         {text: "found the snapshot of the lost answer: image {image}", phase: "snapshot", style: works},
	snapshot.EventAbsent:          {text: "the request whose answer was lost had no effect; retrying", style: ends},
	snapshot.EventCopied:          {text: "image {image} is copied, waiting until it is available", phase: "becoming available", style: works},
	snapshot.EventStopping:        {text: "asked to shut down", phase: "shutting down", style: down},
	snapshot.EventPowerOff:        {text: "has not shut down in time; powering it off", phase: "powering off", style: down},
	snapshot.EventPowerOffRefused: {text: "can't be powered off yet: {error}; retrying"},
	snapshot.EventOff:             {text: "off", phase: "off", style: down},
	snapshot.EventBackFirst:       {text: "no snapshot was accepted in the time that it may be off; it is switched on again first", phase: "switching on", style: down},
	snapshot.EventSwitchedOn:      {text: "somebody else has switched it on: its snapshot is a live one", style: back},
	snapshot.EventPowerRefused:    {text: "can't be switched on yet: {error}; retrying"},
	snapshot.EventRunning:         {text: "running again{after}", style: back},
	snapshot.EventLeftBefore:      {text: "OFF: an earlier run switched it off and never saw it running again; it is snapshotted as it is"},
	snapshot.EventLeftover:        {text: "a copy that a verification has left behind: it costs money, and has the keys of its original; delete it: hcloud server delete {name}", warn: true},
	snapshot.EventStays:           {text: "the copy can't be deleted yet: {error}; retrying"},
	snapshot.EventSwept:           {text: "nothing is left of this copy"},
	snapshot.EventFull:            {text: "no room: {error}; waiting until a deletion makes some", phase: "no room", style: waits},
	snapshot.EventDeleted:         {text: "image {image} deleted"},
	snapshot.EventNotDeleted:      {text: "image {image} could not be deleted: {error}", warn: true},
	snapshot.EventNotThinned:      {text: "no more old snapshots are deleted, since no complete list that shows the new one came{: error}", warn: true},
	snapshot.EventFinished:        {style: ends},
}

// wordsOf returns an event's words.
func (r *Report) wordsOf(e snapshot.Event) words {
	w := wording[e.Kind]
	switch {
	case e.Kind == snapshot.EventUnused && r.asked.LabelSelector != "":
		w.text = "named in exclude, and matches none of the servers that the label-selector means"
	case e.Kind == snapshot.EventCancelled && r.asked.Prunes:
		w.text = "cancelled: no further snapshot is deleted"
	case e.Kind == snapshot.EventCancelled && r.asked.Verifies:
		w.text = "cancelled: no more copies are made, and those that exist are deleted"
	case e.Kind == snapshot.EventCancelled && r.asked.Restores:
		w.text = "cancelled: nothing more is begun; snapshots and rebuilds that are under way go on at Hetzner"
	case e.Kind == snapshot.EventLocked && e.Err != nil && e.Holder == nil:
		w.text = "not accepted: {error}; retrying for up to {limit}"
		if !isLocked(e.Err) {
			w.phase = "not accepted"
		}
	case e.Kind == snapshot.EventPowerRefused && e.Err == nil:
		w.text = "was switched on (action {action}) and is still off; retrying"
	case e.Kind == snapshot.EventNotDeleted && e.Err.Verdict == hetzner.Lost:
		w.text = "image {image} may be deleted or not, since the answer was lost: {error}"
	case e.Kind == snapshot.EventFinished && e.Result.Failed():
		w.style = fails
	case e.Kind != snapshot.EventEnded:
	case !r.down[e.Name]:
		w.style = ends
	case e.Result.Reason == snapshot.ShutdownTimeout:
		w.phase, w.style = "making sure that it runs", waits
	default:
		w.phase, w.style = "switching on", down
	}
	return w
}

// filler puts what an event holds into its words.
func (r *Report) filler(e snapshot.Event) *strings.Replacer {
	holder, failure := cmp.Or(e.Holder, &hetzner.Action{}), ""
	if e.Err != nil {
		failure = e.Err.Error()
	}
	return strings.NewReplacer("{error}", failure, "{name}", e.Name, "{meant}", meant(e.Nearest), "{: error}", only(failure != "", ": "+failure),
		"{took}", short(e.Took), "{after}", only(e.Took > 0, " after "+short(e.Took)), "{limit}", r.asked.LockTimeout.String(),
		"{holder}", holder.Command, "{percent}", strconv.Itoa(holder.Progress),
		"{image}", strconv.FormatInt(e.ImageID, 10), "{action}", strconv.FormatInt(e.ActionID, 10),
		"{volumes}", count(len(e.Server.Volumes), "volume"), "{ids}", ids(e.Server.Volumes, ", "))
}

// Event logs what happened.
func (r *Report) Event(e snapshot.Event) {
	w := r.wordsOf(e)
	if w.style == down || w.style == back {
		r.down[e.Name] = w.style == down
	}
	switch e.Kind {
	case snapshot.EventSelected:
		r.selected(each(e.Servers, serverLine))
		if r.asked.Live && slices.ContainsFunc(e.Servers, func(s hetzner.Server) bool { return s.Status == hetzner.StatusRunning }) {
			r.Line("running servers are snapshotted live: consistent as after a power cut (see shutdown)")
		}
	case snapshot.EventThinning:
		r.thinning(e)
	case snapshot.EventEnded:
		r.ended(*e.Result)
	case snapshot.EventFinished:
		if result := *e.Result; result.LeftOff && !r.github {
			r.Line("%s", strings.Repeat("!", 72))
		}
		r.finish(endOf(*e.Result), explain(*e.Result, r.asked))
	case snapshot.EventProgress:
		r.Line("%s", progress(e))
	case snapshot.EventLeftover:
		if e.Left != nil { // this run was to delete it
			r.failure(e.Name, "left", explainLeft(e.Name, *e.Left, "", false), true)
			return
		}
	default: // its words are all that there is to say
	}
	r.say(e, w)
}

// say logs an event's words, and draws the phase that it begins.
func (r *Report) say(e snapshot.Event, w words) {
	fill := r.filler(e)
	r.timeline.add(e.Name, fill.Replace(w.phase), w.style, e.At)
	switch text := only(e.Name != "", e.Name+": ") + fill.Replace(w.text); {
	case w.text == "": // what there is to say took more than a line
	case w.warn:
		r.Warn(text)
	default:
		r.Line("%s", text)
	}
}

// foldAbove is how many servers may be listed before GitHub is asked to fold them away.
const foldAbove = 20

// selected opens the log with a line for each server.
func (r *Report) selected(list []string) {
	r.group(count(len(list), "server")+" selected", len(list) > foldAbove, list)
}

func serverLine(s hetzner.Server) string {
	return fmt.Sprintf("%s  ID %d, ", s.Name, s.ID) + joined(", ", s.Status, s.Type, s.Location, s.IPv4, s.IPv6, only(s.Locked, "locked"))
}

// thinning logs what becomes of each of a server's snapshots, and why.
func (r *Report) thinning(e snapshot.Event) {
	list := each(e.Thinned, func(d thinning.Snapshot) string {
		return fmt.Sprintf("image %d of %s: %s", d.ID, minute(d.Created), decision(d))
	})
	all, kept := count(len(e.Thinned), "unprotected snapshot"), len(those(e.Thinned, isKept))
	r.group(fmt.Sprintf("%s: of %s in this series %d kept, %d to delete", e.Name, all, kept, len(e.Thinned)-kept), true, list)
}

func isKept(d thinning.Snapshot) bool { return d.Keep }

// decision words what becomes of a snapshot.
func decision(d thinning.Snapshot) string {
	return only(d.Keep, "kept: ") + only(!d.Keep && !d.Deleted, "to be ") + only(!d.Keep, "deleted: ") + d.Reason
}

// ended logs the end of a server's snapshot, while its power still has to come back. A failure is explained when that is
// over, and a cancel needs no line of its own.
func (r *Report) ended(result snapshot.Result) {
	failed := result.Status == snapshot.Failed && result.Reason != snapshot.ProtectFailed
	if result.Status != snapshot.Cancelled {
		r.Line("%s: %s%s", result.Name, only(failed, fmt.Sprintf("no usable snapshot (%s): ", result.Reason)), explain(result, r.asked).what)
	}
}

// finish logs a server's end; again, where that of its snapshot was logged before.
func (r *Report) finish(e end, a account) {
	switch {
	case e.off, e.failed():
		r.failure(e.name, e.label(), a, e.off)
	case e.status == snapshot.Skipped:
		r.Warn(e.name + ": " + a.line())
	default:
		r.Line("%s: %s", e.name, a.line())
	}
}

// Untried reports of a server that a run has switched off that nothing could be tried to switch it on again, since the
// inputs are wrong.
func (r *Report) Untried(server int64) {
	r.failure(fmt.Sprintf("server %d", server), "failed", account{
		title: "IS LEFT OFF",
		what: "THE SERVER IS PROBABLY OFF: the step switched it off, and nothing was tried to switch it on again, " +
			"since that takes a usable token and endpoint",
		next: adviceOff(strconv.FormatInt(server, 10)),
	}, true)
}

// standings are the words for what a server is at that the run waits for, first those that somebody may have to see to.
var standings = []struct {
	phase snapshot.Phase
	what  string
}{
	{snapshot.PhaseThinning, "thinning out"},
	{snapshot.PhaseFinished, "to be seen running"},
	{snapshot.PhaseLost, "with a lost answer"},
	{snapshot.PhaseLocked, "locked or refused for now"},
	{snapshot.PhaseStuck, "without room"},
	{snapshot.PhaseCreating, "being created"},
	{snapshot.PhaseRebuilding, "being rebuilt"},
	{snapshot.PhaseProving, "booting"},
	{snapshot.PhaseRemoving, "deleting a copy"},
	{snapshot.PhaseWaiting, "to come"},
}

// progress words the state of the run: each server counts once, and the first ones that the run waits for are named.
func progress(e snapshot.Event) string {
	if len(e.Standings) == 0 {
		return "still reading the project"
	}
	over := those(e.Standings, func(s snapshot.Standing) bool { return s.Over && !s.Failed })
	failed := those(e.Standings, func(s snapshot.Standing) bool { return s.Over && s.Failed })
	off := those(e.Standings, func(s snapshot.Standing) bool { return s.Off })
	counts, names := []string{some(len(over), "finished"), some(len(failed), "failed")}, []string(nil)
	for _, standing := range standings {
		here := those(e.Standings, func(s snapshot.Standing) bool { return !s.Over && s.Phase == standing.phase })
		counts = append(counts, some(len(here), standing.what))
		names = append(names, each(here, func(s snapshot.Standing) string { return s.Name + detail(s) })...)
	}
	return joined(", ", counts...) + only(len(names) > 0, "; waiting for "+several(names)) + only(len(off) > 0, fmt.Sprintf("; %d down", len(off))) +
		only(e.Err != nil, fmt.Sprintf("; Hetzner's API has given no usable answer for %s: %v", short(e.Took), e.Err))
}

// detail says how far a server is.
func detail(s snapshot.Standing) string {
	switch {
	case s.Phase == snapshot.PhaseCreating, s.Phase == snapshot.PhaseRebuilding:
		return fmt.Sprintf(" (%d%%)", s.Percent)
	case s.Phase == snapshot.PhaseLocked && s.Holder != nil:
		return fmt.Sprintf(" (%s %d%%)", s.Holder.Command, s.Holder.Progress)
	}
	return ""
}

// Explain reports why a run without outputs came to nothing; what happened to each server was reported before.
func (r *Report) Explain(o snapshot.Outcome) { r.explainWhole(whole(o, r.asked)) }

// explainWhole reports why a run as a whole came to nothing, if it did. Mistakes in the inputs were reported before.
func (r *Report) explainWhole(why account) {
	if why.what != "" && len(r.mistakes) == 0 {
		r.failure("", "error", why, true)
	}
}
