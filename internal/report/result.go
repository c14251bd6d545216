package report

import (
	"cmp"
	"fmt"
	"slices"
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

	leftOff int
	failed  []string       // names, with the reasons
	fates   map[string]int // of the servers with a snapshot, and of those that have not failed
	gb      float64        // of what is usable
}

// fates are the words for what became of a server, in the order of the verdict.
var fates = []string{"available", "accepted", "planned", "still being made", "may still appear", "skipped", "without a snapshot"}

func fate(r snapshot.Result) string {
	switch {
	case r.Status == snapshot.Available:
		return "available"
	case r.Status == snapshot.Creating:
		return "accepted"
	case r.Status == snapshot.Planned, r.Status == snapshot.Skipped:
		return string(r.Status)
	case goesOn(r):
		return "still being made"
	case r.MaySlip:
		return "may still appear"
	}
	return "without a snapshot"
}

// TallyOf counts what became of the servers.
func TallyOf(o snapshot.Outcome) Tally {
	t := Tally{fates: map[string]int{}}
	for _, r := range o.Results {
		t.leftOff += number(r.LeftOff)
		if r.Failed() {
			_, reason := r.Told()
			t.failed = append(t.failed, r.Name+" "+string(reason))
		}
		if r.Usable() {
			t.Usable++
			t.gb += r.SizeGB
		}
		if r.Usable() || !r.Failed() {
			t.fates[fate(r)]++
		}
	}
	t.Failed, t.Skipped = len(t.failed), t.fates["skipped"]
	good := t.Usable+t.fates["planned"] > 0 // a dry run's result is what the real one's would be
	bad := t.Failed > 0 || o.Token != nil || o.Down != nil || o.Selector != nil || o.Nothing
	switch {
	case o.Signal != nil:
		t.Result = "cancelled"
	case bad && good:
		t.Result = "partial"
	case bad:
		t.Result = "failure"
	case good:
		t.Result = "success"
	default:
		t.Result = "skipped"
	}
	return t
}

// Deliver hands on the outputs and the job summary, and ends the log with the verdict. It returns false where the outputs
// could not be handed on.
func (r *Report) Deliver(o snapshot.Outcome, to OutputsTo) (delivered bool) {
	t := TallyOf(o)
	delivered = r.deliver(r.outputs(o, t), func() string { return r.summary(o, t) }, to)
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

// verdict is the run in one line: what went wrong, and where the other servers' snapshots are.
func (r *Report) verdict(o snapshot.Outcome, t Tally, delivered bool) string {
	head := t.Result
	if head == "partial" || head == "failure" || !delivered && o.Signal == nil {
		head = "FAILED"
	}
	var counts []amount
	for _, fate := range fates {
		n, what := t.fates[fate], fate
		if fate == "available" {
			what = only(head != "success", fate) + only(head == "success", "snapshot"+only(n != 1, "s")) + only(t.gb > 0, fmt.Sprintf(", %.1f GB", t.gb))
		}
		counts = append(counts, amount{n, what})
	}
	why := whole(o, r.asked).what
	if len(r.mistakes) > 0 {
		why = count(len(r.mistakes), "mistake") + " in the inputs, nothing was sent to Hetzner"
	}
	parts := slices.DeleteFunc([]string{
		why, only(!delivered, "the outputs could not be handed on"),
		only(t.Failed > 0, fmt.Sprintf("%d of %d (%s)", t.Failed, len(o.Results), several(t.failed))),
		only(t.leftOff > 0, count(t.leftOff, "server")+" LEFT OFF"), numbers(counts...),
	}, func(part string) bool { return part == "" })
	return head + only(o.DryRun, " (dry run)") + ": " + cmp.Or(strings.Join(parts, "; "), "no snapshot")
}
