package report

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/org/hsnap-action/internal/snapshot"
)

// entry is one server in the output "snapshots".
type entry struct {
	ServerID           *int64   `json:"server_id"`
	ServerName         string   `json:"server_name"`
	Status             string   `json:"status"`
	Reason             string   `json:"reason"`
	Message            string   `json:"message"`
	ImageID            *int64   `json:"image_id"`
	ActionID           *int64   `json:"action_id"`
	Description        string   `json:"description"`
	SizeGB             *float64 `json:"size_gb"`
	LockWaitSeconds    int64    `json:"lock_wait_seconds"`
	DurationSeconds    *int64   `json:"duration_seconds"`
	DowntimeSeconds    *int64   `json:"downtime_seconds"`
	PowerState         *string  `json:"power_state"`
	Protected          bool     `json:"protected"`
	Reused             bool     `json:"reused"`
	VolumesNotIncluded []int64  `json:"volumes_not_included"`
}

func (r *Report) entryOf(result snapshot.Result) entry {
	status, reason := result.Told()
	e := entry{
		ServerID: known(result.Server.ID), ServerName: r.text(result.Name), Status: string(status), Reason: string(reason),
		Message: r.text(strings.Join(explain(result, r.asked).lines(), "; ")), ImageID: known(result.ImageID), ActionID: known(result.ActionID),
		Description: r.text(result.Description), SizeGB: known(result.SizeGB), LockWaitSeconds: seconds(result.LockWait),
		DowntimeSeconds: known(seconds(result.Downtime)), PowerState: known(result.PowerState), Protected: result.Protected,
		Reused: result.Reused, VolumesNotIncluded: append([]int64{}, result.Server.Volumes...),
	}
	if result.Accepted {
		took := seconds(result.Duration)
		e.DurationSeconds = &took
	}
	return e
}

// Tally is a run's result in numbers and one word. The outputs and the exit code follow from it.
type Tally struct {
	Usable, Failed, Skipped int
	Result                  string // "success", "partial", "failure", "skipped" or "cancelled"

	leftOff  int
	inFlight int                     // images that are still being made
	unknown  int                     // snapshots that may still appear
	failed   []string                // names, with the reasons
	statuses map[snapshot.Status]int // of those with a snapshot, and of those that have not failed
	gb       float64                 // of what is usable
}

// TallyOf counts what became of the servers.
func TallyOf(o snapshot.Outcome) Tally {
	t := Tally{statuses: map[snapshot.Status]int{}}
	for _, r := range o.Results {
		t.leftOff += number(r.LeftOff)
		t.inFlight += number(goesOn(r) && r.Status != snapshot.Creating)
		t.unknown += number(r.MaySlip)
		if r.Usable() || !r.Failed() {
			t.statuses[r.Status]++
		}
		if _, reason := r.Told(); r.Failed() {
			t.failed = append(t.failed, r.Name+" "+string(reason))
		}
		if r.Usable() {
			t.Usable++
			t.gb += r.SizeGB
		}
	}
	t.Failed, t.Skipped = len(t.failed), t.statuses[snapshot.Skipped]
	good := t.Usable+t.statuses[snapshot.Planned] > 0 // a dry run's result is what the real one's would be
	bad := t.Failed > 0 || o.Token != nil || o.Down != nil || o.Selector != nil || o.Nothing || len(o.Mistakes) > 0
	t.Result = resultOf(o, good, bad, "skipped")
	return t
}

// resultOf is a run's result in one word: what went well and what went wrong make it, and otherwise is that of a run in which
// neither happened.
func resultOf(o snapshot.Outcome, good, bad bool, otherwise string) string {
	switch {
	case o.Signal != nil:
		return "cancelled"
	case bad && good:
		return "partial"
	case bad:
		return "failure"
	case good:
		return "success"
	}
	return otherwise
}

// Deliver hands the outputs and the job summary on as [Report.OpenOutputs] was asked to, and ends the log with the verdict.
// It returns false where the outputs could not be handed on.
func (r *Report) Deliver(o snapshot.Outcome) (delivered bool) {
	t := TallyOf(o)
	delivered = r.deliver(r.outputs(o, t), func() string { return r.summary(o, t) })
	r.Line("%s, in %s", r.verdict(o, t, delivered), short(time.Since(r.start)))
	return delivered
}

// outputs returns every output, in the order in which users read about them.
func (r *Report) outputs(o snapshot.Outcome, t Tally) []output {
	images, imageIDs, entries, deleted := map[string]int64{}, []int64{}, []entry{}, []int64{}
	asked := 0
	for _, result := range o.Results {
		entries = append(entries, r.entryOf(result))
		asked += number(!result.Pattern) // a missing name counts, a pattern that matches nothing is no server
		if result.Usable() {
			images[r.text(result.Name)] = result.ImageID
			imageIDs = append(imageIDs, result.ImageID)
		}
		for _, d := range result.Thinned {
			if d.Deleted {
				deleted = append(deleted, d.ID)
			}
		}
	}
	names := func(has func(snapshot.Result) bool) string {
		names := []string{}
		for _, result := range o.Results {
			if has(result) {
				names = append(names, r.text(result.Name))
			}
		}
		return compact(names)
	}
	return []output{
		{name: "image-id", value: only(asked == 1, ids(imageIDs, ""))},
		{name: "images", value: compact(images), spare: 2},
		{name: "image-ids", value: compact(imageIDs), spare: 3},
		{name: "snapshots", value: compact(entries), spare: 1},
		{name: "result", value: t.Result},
		{name: "created-count", value: strconv.Itoa(t.Usable)},
		{name: "failed-count", value: strconv.Itoa(t.Failed)},
		{name: "skipped-count", value: strconv.Itoa(t.Skipped)},
		{name: "failed-servers", value: names(snapshot.Result.Failed), spare: 4},
		{name: "servers-left-off", value: names(func(r snapshot.Result) bool { return r.LeftOff })},
		{name: "deleted-image-ids", value: compact(deleted), spare: 5},
	}
}

// verdict is the run in one line: what went wrong, and how many other servers there are of each status.
func (r *Report) verdict(o snapshot.Outcome, t Tally, delivered bool) string {
	available := t.statuses[snapshot.Available]
	counts := []string{some(available, "available"), only(t.gb > 0, fmt.Sprintf("%.1f GB", t.gb))}
	if head(t.Result, delivered) == "success" && available > 0 {
		counts[0] = count(available, "snapshot")
	}
	for _, status := range []snapshot.Status{snapshot.Creating, snapshot.Planned, snapshot.Skipped, snapshot.Cancelled} {
		counts = append(counts, some(t.statuses[status], string(status)))
	}
	parts := joined("; ", only(t.leftOff > 0, count(t.leftOff, "server")+" LEFT OFF"), r.because(whole(o, r.asked).what), only(!delivered, "the outputs could not be handed on"),
		only(t.Failed > 0, fmt.Sprintf("%d of %d (%s)", t.Failed, len(o.Results), several(t.failed))), joined(", ", counts...),
		joined(", ", some(t.inFlight, "still being made"), some(t.unknown, "may still appear")))
	return head(t.Result, delivered) + only(o.DryRun, " (dry run)") + ": " + cmp.Or(parts, "no snapshot")
}

// head begins a verdict: with the result, but for one that needs somebody to look.
func head(result string, delivered bool) string {
	if result == "partial" || result == "failure" || !delivered && result != "cancelled" {
		return "FAILED"
	}
	return result
}

// because says in a verdict why the run came to nothing, where it did.
func (r *Report) because(why string) string {
	if len(r.mistakes) > 0 {
		return count(len(r.mistakes), "mistake") + " in the inputs, nothing was " + only(r.read, "done") + only(!r.read, "sent to Hetzner")
	}
	return why
}
