package report

import (
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/org/hsnap-action/internal/snapshot"
)

// entryOf is one server in the output "snapshots".
func (r *Report) entryOf(result snapshot.Result) json.RawMessage {
	status, reason := result.Told()
	return r.object(
		"server_id", known(result.Server.ID),
		"server_name", result.Name,
		"status", status,
		"reason", reason,
		"message", explain(result, r.asked).line(),
		"image_id", known(result.ImageID),
		"action_id", known(result.ActionID),
		"description", result.Description,
		"size_gb", known(result.SizeGB),
		"lock_wait_seconds", seconds(result.LockWait),
		"duration_seconds", where(result.Accepted, seconds(result.Duration)),
		"downtime_seconds", known(seconds(result.Downtime)),
		"power_state", known(result.PowerState),
		"protected", result.Protected,
		"reused", result.Reused,
		"volumes_not_included", append([]int64{}, result.Server.Volumes...),
	)
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
	images, imageIDs, entries, deleted := map[string]int64{}, []int64{}, []json.RawMessage{}, []int64{}
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
