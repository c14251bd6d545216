// Package report puts what happens in a run into words: the log while it goes on, and the outputs, the job summary
// and the annotations at its end.
//
// It owns the only way out of the program. Text leaves through one writer, which hides the API token and defuses
// whatever a CI system could take for a command; values leave through files, with the same mask. It decides nothing:
// no request, no status and no exit code depends on it, but for a report that could not be delivered.
package report

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/sethvargo/go-githubactions"

	"github.com/org/hsnap-action/internal/hetzner"
	"github.com/org/hsnap-action/internal/secret"
	"github.com/org/hsnap-action/internal/snapshot"
)

// Options configures a [Report].
type Options struct {
	Out    io.Writer
	Mask   secret.Mask
	Getenv func(string) string // for the CI system's own variables
}

// Report is the account of one run. It is safe for concurrent use.
type Report struct {
	o      Options
	github bool // workflow commands are understood
	debug  bool
	door   *door
	ci     *githubactions.Action

	asked       Asked
	timeline    timeline
	mistakes    []string // in the inputs
	annotations int      // of errors so far
}

// annotationsMost is how many annotations of a kind GitHub shows of one step. The last of them is for the run as a
// whole, or for a server that is off.
const annotationsMost = 10

// Asked is what the run was asked to do, as far as messages tell of it.
type Asked struct {
	LockTimeout             fmt.Stringer
	Endpoint, LabelSelector string
	Live                    bool // servers are snapshotted while they run
	Post                    bool // a post step follows, which switches on what was left off
}

// New returns a Report.
func New(o Options) *Report {
	d := &door{out: o.Out, mask: o.Mask}
	return &Report{
		o: o, door: d, asked: Asked{LockTimeout: time.Duration(0)},
		github: o.Getenv("GITHUB_ACTIONS") == "true",
		debug:  o.Getenv("RUNNER_DEBUG") == "1",
		ci:     githubactions.New(githubactions.WithWriter(commands{d}), githubactions.WithGetenv(o.Getenv)),
	}
}

// Ask says what the run is asked to do.
func (r *Report) Ask(a Asked) { r.asked = a }

// Conceal tells GitHub which values to hide in everything that the job prints. It is the one place where a token
// is written at all: this command is how GitHub learns of it. A secret from GitHub's own store is hidden already;
// one from elsewhere is not.
func (r *Report) Conceal(tokens []string) {
	if !r.github {
		return
	}
	plain := githubactions.New(githubactions.WithWriter(unmasked{r.door}), githubactions.WithGetenv(r.o.Getenv))
	for _, token := range tokens {
		if !strings.ContainsAny(token, "\r\n") {
			plain.AddMask(token)
		}
	}
}

// Error tells a failure of the run as a whole, with what to try next.
func (r *Report) Error(message string) {
	if r.annotate(0) {
		r.ci.Errorf("%s", r.lines(message))
		return
	}
	for line := range strings.SplitSeq(message, "\n") {
		r.Line("error: %s", line)
	}
}

// annotate reports whether an error is to be an annotation, of which a number is kept for what may be worse.
func (r *Report) annotate(kept int) bool {
	if !r.github || r.annotations >= annotationsMost-kept {
		return false
	}
	r.annotations++
	return true
}

// Mistakes tells what is wrong with the inputs, each mistake on its own.
func (r *Report) Mistakes(err error) {
	r.mistakes = strings.Split(err.Error(), "\n")
	for _, mistake := range r.mistakes {
		r.Error(mistake)
	}
}

// Explain tells why a run as a whole came to nothing; what happened to each server has been told.
func (r *Report) Explain(o snapshot.Outcome) {
	if a, ok := whole(o, r.asked); ok {
		r.Error(a.join("\n"))
	}
}

// account words a server's result.
func (r *Report) account(result snapshot.Result) account { return accountOf(result, r.asked.Post) }

// Warn tells what the user should know although nothing failed.
func (r *Report) Warn(message string) {
	if r.github {
		r.ci.Warningf("%s", r.lines(message))
		return
	}
	r.Line("warning: %s", message)
}

// text makes text from outside fit to be shown: in one line, and masked before anything escapes it, since no mask finds
// an escaped token.
func (r *Report) text(s string) string { return r.o.Mask.Hide(clean(s)) }

// lines does so with each of several lines, and makes it harmless.
func (r *Report) lines(s string) string {
	lines := strings.Split(s, "\n")
	for i := range lines {
		lines[i] = defuse(r.text(lines[i]))
	}
	return strings.Join(lines, "\n")
}

// Line prints one plain line.
func (r *Report) Line(format string, args ...any) {
	r.door.line(fmt.Sprintf(format, args...))
}

// Text prints lines that hold nothing from outside the program.
func (r *Report) Text(text string) {
	for line := range strings.Lines(text) {
		r.door.line(strings.TrimSuffix(line, "\n"))
	}
}

// Exchange tells one request, where the runner is asked to show debug lines.
func (r *Report) Exchange(x hetzner.Exchange) {
	if !r.debug {
		return
	}
	text := fmt.Sprintf("%s %s: %d in %s", x.Method, x.Path, x.Status, short(x.Took))
	if x.Correlation != "" {
		text += " (" + x.Correlation + ")"
	}
	if x.Err != nil {
		text += ": " + x.Err.Error()
	}
	if r.github {
		r.ci.Debugf("%s", defuse(r.text(text)))
		return
	}
	r.Line("debug: %s", text)
}

// door is the only writer of the program.
type door struct {
	mu   sync.Mutex
	out  io.Writer
	mask secret.Mask
}

// write sends one piece of text on its way. A log that can't be written is no reason to leave servers half done, so
// nothing is made of the error.
func (d *door) write(text string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, _ = io.WriteString(d.out, text)
}

func (d *door) line(text string) { d.write(defuse(d.mask.Hide(clean(text))) + "\n") }

// commands is the door for workflow commands, which go-githubactions has escaped.
type commands struct{ *door }

func (c commands) Write(p []byte) (int, error) {
	// The runner looks for the old form of a command anywhere in a line, also inside the new form.
	c.write(strings.ReplaceAll(c.mask.Hide(string(p)), "##[", "## ["))
	return len(p), nil
}

// unmasked is the door for the command that names the token.
type unmasked struct{ *door }

func (u unmasked) Write(p []byte) (int, error) {
	u.write(string(p))
	return len(p), nil
}

// clean makes text from outside fit for one line: control characters would break or paint it, and those that change
// the direction of writing would let it read as something else.
func clean(s string) string {
	return strings.Map(func(c rune) rune {
		switch {
		case c == '\n', c == '\r', c == '\t', c == '\u2028', c == '\u2029':
			return ' '
		case unicode.IsControl(c), unicode.Is(unicode.Bidi_Control, c):
			return -1
		}
		return c
	}, strings.ToValidUTF8(s, "\uFFFD"))
}

// defuse keeps a runner from taking a line for a workflow command: "::" after white space, or "##[" anywhere. The
// runner asks for the former at the beginning of a line only; what looks like a command elsewhere is no use to anybody.
func defuse(line string) string {
	var b strings.Builder
	blank, colon := true, false // the last character is white space; it is a colon after white space
	for _, c := range line {
		if c == ':' && colon {
			b.WriteByte(' ')
			blank = true
		}
		colon = c == ':' && blank
		blank = unicode.IsSpace(c)
		b.WriteRune(c)
	}
	return strings.ReplaceAll(b.String(), "##[", "## [")
}

// Event tells what happened. It is called from one goroutine.
func (r *Report) Event(e snapshot.Event) {
	r.timeline.note(e)
	switch e.Kind {
	case snapshot.EventSelected:
		r.selected(e.Servers)
	case snapshot.EventWarning:
		r.Warn(missing(e))
	case snapshot.EventNothingLeft:
		r.Warn("every server that was selected is excluded again")
	case snapshot.EventVolumes:
		r.Warn(fmt.Sprintf("%s: %s attached, not part of the snapshot: %s", e.Name, count(len(e.Server.Volumes), "volume"), ids(e.Server.Volumes)))
	case snapshot.EventThinning:
		r.thinning(e)
	case snapshot.EventNotDeleted:
		if e.Err.Verdict == hetzner.Lost {
			r.Warn(fmt.Sprintf("%s: image %d may be deleted or not, since the answer was lost: %s", e.Name, e.ImageID, e.Err))
			return
		}
		r.Warn(fmt.Sprintf("%s: image %d could not be deleted: %s", e.Name, e.ImageID, e.Err))
	case snapshot.EventNotThinned:
		r.Warn(fmt.Sprintf("%s: no more old snapshots are deleted, since %s", e.Name, unlisted(e.Err)))
	case snapshot.EventEnded:
		r.ended(*e.Result)
	case snapshot.EventFinished:
		r.finished(*e.Result, e.Again)
	case snapshot.EventLeftBefore:
		r.Line("%s: OFF: an earlier run has switched it off and never saw it running again; it is snapshotted as it is", e.Name)
	case snapshot.EventUnreached:
		r.Line("Hetzner's API can't be reached: %s; trying again for up to %s", e.Err, short(e.Took))
	case snapshot.EventCancelled:
		r.Line("cancelled: no new snapshot is asked for; those under way go on at Hetzner and are not deleted")
	case snapshot.EventProgress:
		r.Line("%s", progress(e.Progress))
	default:
		if text := r.step(e); text != "" {
			r.Line("%s: %s", e.Name, text)
		}
	}
}

// step words one step of a server's way.
func (r *Report) step(e snapshot.Event) string {
	switch e.Kind { //nolint:exhaustive // the others are worded in Event
	case snapshot.EventLocked:
		return r.waiting(e)
	case snapshot.EventHeld:
		return fmt.Sprintf("locked by %s (%d%%), waiting up to %s", e.Holder.Command, e.Holder.Progress, r.asked.LockTimeout)
	case snapshot.EventUnlocked:
		return "unlocked"
	case snapshot.EventAsked:
		return "asking for a snapshot"
	case snapshot.EventAccepted:
		return fmt.Sprintf("accepted: image %d, action %d", e.ImageID, e.ActionID)
	case snapshot.EventLost:
		return fmt.Sprintf("the answer was lost (%s); looking whether the snapshot was made", e.Err)
	case snapshot.EventAdopted:
		return fmt.Sprintf("found the snapshot of the lost answer: image %d", e.ImageID)
	case snapshot.EventAbsent:
		return "the lost request has had no effect; asking again"
	case snapshot.EventFull:
		return fmt.Sprintf("no room: %s; waiting for a deletion to free some", e.Err)
	case snapshot.EventDeleted:
		return fmt.Sprintf("image %d deleted", e.ImageID)
	case snapshot.EventCopied:
		return fmt.Sprintf("image %d is copied, waiting until it is available", e.ImageID)
	}
	return r.power(e)
}

// unlisted says why nobody knows which snapshots of a server there are.
func unlisted(err *hetzner.Error) string {
	if err == nil {
		return "the list does not show the new snapshot"
	}
	return "no complete list of them came: " + err.Error()
}

// power words one step of switching a server off and on.
func (r *Report) power(e snapshot.Event) string {
	switch e.Kind { //nolint:exhaustive // the others are worded elsewhere
	case snapshot.EventStopping:
		return "asked to shut down"
	case snapshot.EventCut:
		return "has not shut down in time, its power is cut"
	case snapshot.EventOff:
		return "off"
	case snapshot.EventBackFirst:
		return "no snapshot was accepted in the time that it may be off; it is switched on again first"
	case snapshot.EventMeddled:
		return "somebody else has switched it on: its snapshot is a live one"
	case snapshot.EventPowerRefused:
		if e.Err == nil {
			return fmt.Sprintf("was switched on (action %d) and is off; trying again", e.ActionID)
		}
		if r.timeline.goesDown(e.Name) {
			return fmt.Sprintf("its power can't be cut yet: %s; trying again", e.Err)
		}
		return fmt.Sprintf("can't be switched on yet: %s; trying again", e.Err)
	case snapshot.EventRunning:
		if e.Took == 0 {
			return "running again"
		}
		return fmt.Sprintf("running again after %s", short(e.Took))
	}
	return ""
}

func (r *Report) waiting(e snapshot.Event) string {
	switch {
	case e.Holder != nil, e.Err == nil:
		return fmt.Sprintf("locked, waiting up to %s", r.asked.LockTimeout)
	case e.Err.Verdict == hetzner.NotSent:
		return fmt.Sprintf("Hetzner's API can't be reached: %s; waiting up to %s", e.Err, r.asked.LockTimeout)
	}
	return fmt.Sprintf("not now: %s; waiting up to %s", e.Err, r.asked.LockTimeout)
}

// groupedAbove is how many servers the log may list before GitHub is asked to fold them away.
const groupedAbove = 20

// selected opens the log.
func (r *Report) selected(servers []hetzner.Server) {
	title := count(len(servers), "server") + " selected"
	if grouped := r.github && len(servers) > groupedAbove; grouped {
		r.ci.Group(title)
		defer r.ci.EndGroup()
	} else {
		r.Line("%s", title)
	}
	for _, s := range servers {
		text := fmt.Sprintf("  %s  ID %d, %s, %s, %s", s.Name, s.ID, s.Status, s.Type, s.Location)
		for _, address := range []string{s.IPv4, s.IPv6} {
			if address != "" {
				text += ", " + address
			}
		}
		if s.Locked {
			text += ", locked"
		}
		r.Line("%s", text)
	}
	if r.asked.Live && slices.ContainsFunc(servers, func(s hetzner.Server) bool { return s.Status == "running" }) {
		r.Line("running servers are snapshotted live: consistent as after a power cut (see shutdown)")
	}
}

// thinning tells what becomes of each of a server's snapshots, and why.
func (r *Report) thinning(e snapshot.Event) {
	kept := 0
	for _, d := range e.Thinned {
		if d.Keep {
			kept++
		}
	}
	title := fmt.Sprintf("%s: of %s in this series %d kept, %d to delete", e.Name, count(len(e.Thinned), "snapshot"), kept, len(e.Thinned)-kept)
	if r.github {
		r.ci.Group(defuse(r.text(title)))
		defer r.ci.EndGroup()
	} else {
		r.Line("%s", title)
	}
	for _, d := range e.Thinned {
		r.Line("  image %d of %s: %s", d.ID, d.Created.UTC().Format("2006-01-02 15:04"), decision(d))
	}
}

// decision words what becomes of a snapshot.
func decision(d snapshot.Thinned) string {
	switch {
	case d.Keep:
		return "kept: " + d.Reason
	case d.Deleted:
		return "deleted: " + d.Reason
	}
	return "to be deleted: " + d.Reason
}

// ended tells the end of a server's snapshot, while its power still has to come back. What failed is told in full
// when that is over.
func (r *Report) ended(result snapshot.Result) {
	a := r.account(result)
	switch result.Status { //nolint:exhaustive // the others have only one end
	case snapshot.Cancelled:
		return // what matters comes with its power
	case snapshot.Failed:
		if result.Reason == snapshot.ProtectFailed {
			break
		}
		r.Line("%s: no usable snapshot (%s): %s", result.Name, result.Reason, a.what)
		return
	}
	r.Line("%s: %s", result.Name, a.what)
}

// finished tells a server's end, again where that of its snapshot was told before. A failure takes several lines: what
// happened, what Hetzner answered, what to try.
func (r *Report) finished(result snapshot.Result, again bool) {
	a := r.account(result)
	if result.Status != snapshot.Failed && !result.LeftOff {
		if again && result.Status == snapshot.Available || result.Status == "" {
			return // it was told, and so was that the server runs
		}
		r.Line("%s: %s", result.Name, a.join("; "))
		return
	}
	kept := 1
	if result.LeftOff {
		kept = 0
	}
	if r.annotate(kept) {
		r.ci.WithFieldsMap(map[string]string{"title": r.text(title(result))}).
			Errorf("%s", r.lines(clean(result.Name)+": "+a.join("\n")))
		return
	}
	if result.LeftOff {
		r.Line("%s", strings.Repeat("!", 72))
	}
	r.Line("%s: %s (%s): %s", result.Name, result.Status, result.Reason, a.what)
	for _, detail := range a.details {
		r.Line("  %s", detail)
	}
	if a.next != "" {
		r.Line("  what to try: %s", a.next)
	}
}

func missing(e snapshot.Event) string {
	if e.Reason == snapshot.NotFound {
		return fmt.Sprintf("%q matches no server", e.Name)
	}
	return fmt.Sprintf("exclude: %q matches no server", e.Name)
}

func progress(p snapshot.Progress) string {
	var parts []string
	add := func(n int, what string) {
		if n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, what))
		}
	}
	add(p.Finished, "finished")
	if p.Creating > 0 {
		parts = append(parts, fmt.Sprintf("%d being created (%d%%)", p.Creating, p.Percent))
	}
	add(p.Lost, "being looked for after a lost answer")
	add(p.Locked, "locked or refused for now")
	add(p.Waiting, "waiting")
	add(p.Off, "off or being switched")
	text := strings.Join(parts, ", ")
	for i, h := range p.Holders {
		if i == 3 {
			break // the log has named each
		}
		text += fmt.Sprintf("; %s %d%%", h.Command, h.Progress)
	}
	if p.Silence > 0 {
		text += fmt.Sprintf("; Hetzner's API has given no usable answer for %s: %s", short(p.Silence), p.Err)
	}
	return text
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func ids(list []int64) string {
	return strings.Trim(strings.ReplaceAll(fmt.Sprint(list), " ", ", "), "[]")
}

// SaveState hands a value to the step's own post step. The last one counts.
func (r *Report) SaveState(name, value string) error {
	if r.o.Getenv("GITHUB_STATE") == "" {
		return errors.New("GITHUB_STATE is not set")
	}
	return safely(func() { r.ci.SaveState(name, value) })
}
