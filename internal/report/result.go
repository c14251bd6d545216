package report

import (
	"fmt"
	"strconv"
	"strings"

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

// TallyOf counts what became of the servers.
func TallyOf(o snapshot.Outcome) (t Tally) {
	for _, r := range o.Results {
		t.count(endOf(r))
		if r.Usable() {
			t.Usable++
			t.gb += r.SizeGB
		}
		if r.Usable() && r.Failed() {
			t.statuses[r.Status]++
		}
	}
	good := t.Usable+t.statuses[snapshot.Planned] > 0 // a dry run's result is what the real one's would be
	t.Result = resultOf(o, good, t.Failed > 0 || stopped(o), "skipped")
	return t
}

// Deliver hands the outputs and the job summary on as [Report.OpenOutputs] was asked to, and ends the log with the verdict.
// It returns false where the outputs could not be handed on.
func (r *Report) Deliver(o snapshot.Outcome) (delivered bool) {
	t := TallyOf(o)
	inFlight, unknown := 0, 0
	for _, result := range o.Results {
		inFlight += number(goesOn(result) && result.Status != snapshot.Creating)
		unknown += number(result.MaySlip)
	}
	return r.end(ending{
		title: "Hetzner Cloud snapshots", nothing: "no snapshot", dryRun: o.DryRun, why: whole(o, r.asked), tally: t, fails: t.fails(),
		failed:  named(t.failed, fmt.Sprintf("of %d", len(o.Results))),
		rest:    []string{joined(", ", some(inFlight, "still being made"), some(unknown, "may still appear"))},
		outputs: r.outputs(o, t), summary: func(p *page) { r.summary(p, o, t) },
	})
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
