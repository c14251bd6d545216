package action_test

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/org/hsnap-action/internal/hcloudsim"
)

// What the outputs of a restore say is judged here.

var restoreReasons = map[string][]string{
	"restored": {""}, "planned": {""}, "cancelled": {"cancelled"},
	"failed": {
		"not_found", "lock_timeout", "refused", "action_failed", "unknown_outcome", "power_on_failed", "snapshot_first_failed", "restore_timeout", "not_proven",
	},
}

// judgeRow fails where what is said of a server is not so.
func (j restoredWorld) judgeRow(t reporter, row restoredRow) {
	t.Helper()
	i := slices.IndexFunc(j.pairs, func(pair *restoredPair) bool { return pair.server.ID == row.ServerID && pair.name == row.Name })
	if i < 0 {
		t.Errorf("%s (%d) was not named", row.Name, row.ServerID)
		return
	}
	pair := j.pairs[i]
	if !slices.Contains(restoreReasons[row.Status], row.Reason) || (row.Status == "planned") != (j.dry && row.Status != "cancelled" && row.Status != "failed") {
		t.Errorf("%s is %s with the reason %q", row.Name, row.Status, row.Reason)
	}
	if row.ImageID == nil || *row.ImageID != pair.image {
		t.Errorf("%s is put back to another image than %s means, which is %d", row.Name, pair.choice, pair.image)
	}
	for _, image := range j.images {
		if age := int64(j.started.Sub(image.Created) / time.Second); image.ID == pair.image && (row.Age < age || row.Age > age+int64(j.took/time.Second)+1) {
			t.Errorf("%s: its image is said to be %d s old, and was %d s old at the start", row.Name, row.Age, age)
		}
	}
	if (row.Downtime == nil) != (row.ActionID == nil) || row.Downtime != nil && time.Duration(*row.Downtime-1)*time.Second > j.took {
		t.Errorf("%s, of whose rebuild an action is known: %t, has a downtime: %t", row.Name, row.acted(), row.Downtime != nil)
	}
	if (row.Proof != "") != (row.Status == "restored") {
		t.Errorf("%s is %s with the proof %q", row.Name, row.Status, row.Proof)
	}
	j.judgeEffect(t, pair, row)
	j.judgeReason(t, pair, row)
	j.judgeBeforeID(t, pair, row)
	j.judgePassword(t, pair, row)
	if row.Status == "restored" {
		j.judgeRestored(t, pair, row)
	}
}

// judgeEffect fails where a disk is overwritten and the report does not say so, or says so of one that is not.
func (j restoredWorld) judgeEffect(t reporter, pair *restoredPair, row restoredRow) {
	t.Helper()
	truth, exists := j.later[pair.server.ID]
	if !exists {
		return
	}
	overwritten, maybe := len(truth.Rebuilds) > 0, strings.Contains(row.Message, "may be overwritten yet")
	switch {
	case overwritten && strings.Contains(row.Message, "nothing was done to its disk"), overwritten && !row.acted() && !maybe:
		t.Errorf("%s was rebuilt, is %s (%s), and the report does not say so: %s", row.Name, row.Status, row.Reason, row.Message)
	case !overwritten && row.acted():
		t.Errorf("%s was not rebuilt, and its rebuild is said to be the action %d", row.Name, *row.ActionID)
	case !overwritten && row.Status == "failed" && !maybe && !strings.Contains(row.Message, "nothing was done to its disk") && row.Reason != "not_found":
		t.Errorf("%s was not rebuilt, and the report does not say so: %s", row.Name, row.Message)
	case overwritten && strings.Contains(row.Message, "refused the rebuild"):
		t.Errorf("%s was rebuilt, and the report says that this was refused: %s", row.Name, row.Message)
	}
	if row.acted() && !slices.ContainsFunc(j.cloud.Actions(), func(a hcloudsim.Action) bool { return a.ID == *row.ActionID && a.Command == "rebuild_server" }) {
		t.Errorf("%s: %d is no rebuild", row.Name, *row.ActionID)
	}
}

// judgeReason fails where a server fails for a reason that is none.
func (j restoredWorld) judgeReason(t reporter, pair *restoredPair, row restoredRow) {
	t.Helper()
	id, sent := pair.server.ID, j.rebuilds(pair.server.ID)
	_, exists := j.later[id]
	last := lostAnswer
	if len(sent) > 0 {
		last = sent[len(sent)-1].verdict()
	}
	wrong := false
	switch row.Reason {
	case "not_found":
		wrong = exists
	case "refused":
		wrong = last != refusedForGood && last != noRoom && !j.refusedToken() && !strings.Contains(row.Message, "so the rebuild was not asked for")
	case "action_failed":
		wrong = pair.server.Rebuild.FailCode == ""
	case "unknown_outcome":
		wrong = last != lostAnswer || len(sent) == 0 || !exists && j.missing(id)
	case "lock_timeout":
		wrong = j.took < j.lockTimeout
	case "restore_timeout":
		wrong = j.took < j.restoreTimeout
	case "not_proven":
		wrong = pair.proves && exists || row.Downtime == nil || time.Duration(*row.Downtime+1)*time.Second < j.bootTimeout
	case "power_on_failed":
		late := len(j.sentTo(id, "poweron", lostAnswer)) > 0 // it may run since the last poll of it
		wrong = len(j.sentTo(id, "poweron")) == 0 || j.ended[id].Status == "running" && !late && !j.silent()
	case "snapshot_first_failed":
		wrong = !j.snapshotFirst || len(sent) > 0
	}
	if wrong {
		t.Errorf("%s is failed (%s), which it is not: %s", row.Name, row.Reason, row.Message)
	}
}

// silent reports whether Hetzner gave no usable answer for minutes.
func (j restoredWorld) silent() bool {
	last := j.started
	for _, x := range j.answers() {
		if x.status == http.StatusOK {
			if x.done.Sub(last) > 4*time.Minute {
				return true
			}
			last = x.done
		}
	}
	return j.started.Add(j.took).Sub(last) > 4*time.Minute
}

// judgeBeforeID fails where the image of before is none.
func (j restoredWorld) judgeBeforeID(t reporter, pair *restoredPair, row restoredRow) {
	t.Helper()
	if row.BeforeImageID == nil {
		if row.Status == "restored" && j.snapshotFirst {
			t.Errorf("%s is restored, and no image of before is told", row.Name)
		}
		return
	}
	id := *row.BeforeImageID
	i := slices.IndexFunc(j.cloud.Images(), func(image hcloudsim.Image) bool { return image.ID == id })
	made := map[int64][]hcloudsim.Image{}
	for _, image := range j.cloud.Images() {
		if image.Labels["hsnap/run"] == "8123456789-1" {
			made[image.ServerID] = append(made[image.ServerID], image)
		}
	}
	switch {
	case j.misnamed(server{ServerID: &row.ServerID, ImageID: &id}, plan{shutdown: "never", snapshotTimeout: 2 * time.Hour}, made): // nobody could know better
	case i < 0 && (pair.server.Snapshot.FailCode != "" && row.Status != "restored"):
	case i < 0:
		t.Errorf("%s: its image of before is %d, which does not exist", row.Name, id)
	default:
		image := j.cloud.Images()[i]
		if image.ServerID != row.ServerID || image.Labels["hsnap/series"] != "pre-restore" || image.Labels["hsnap/server-id"] != strconv.FormatInt(row.ServerID, 10) || row.acted() && image.Status != "available" {
			t.Errorf("%s: its image of before is %+v", row.Name, image)
		}
	}
}

// judgePassword fails where Hetzner has set a new root password and nobody is told how to set another one, or the other way
// round.
func (j restoredWorld) judgePassword(t reporter, pair *restoredPair, row restoredRow) {
	t.Helper()
	set, lost := false, false
	for _, x := range j.rebuilds(pair.server.ID) {
		set = set || x.verdict() == accepted && strings.Contains(string(x.answer), rootPassword)
		lost = lost || x.verdict() == lostAnswer || j.cancelled() && x.done.After(j.started.Add(j.cancelAfter)) // perhaps nobody heard it
	}
	if told := strings.Contains(row.Message, "hcloud server reset-password "+row.Name); set && !told || told && !set && !lost {
		t.Errorf("%s: a new root password was set: %t, told: %t: %s", row.Name, set, told, row.Message)
	}
}

// judgeRestored fails where a server is said to be restored that is not.
func (j restoredWorld) judgeRestored(t reporter, pair *restoredPair, row restoredRow) {
	t.Helper()
	truth, exists := j.ended[pair.server.ID]
	if exists && (truth.DiskImage != pair.image || truth.Status != "running" || len(truth.Rebuilds) != 1) {
		t.Errorf("%s is restored, and the truth is %+v", row.Name, truth)
	}
	if !row.acted() || !j.wellRebuilt(pair.server.ID, j.started.Add(j.took)) {
		t.Errorf("%s is restored, and no answer had said that its rebuild succeeded", row.Name)
		return
	}
	shown := slices.ContainsFunc(j.trace, func(x *exchange) bool {
		s := x.shows(pair.server.ID)
		return s != nil && s.Status == "running" && !s.Locked && s.Image.ID == pair.image && j.wellRebuilt(pair.server.ID, x.sent)
	})
	if !shown {
		t.Errorf("%s is restored, and no poll had shown it so", row.Name)
	}
	proof := map[int]string{0: "running", 22: "SSH-2.0-OpenSSH_9.6", 2222: "SSH-2.0-dropbear", 443: "tcp:443"}[j.port]
	if !pair.proves && pair.server.Guest.BootAfter+20*time.Second < j.bootTimeout || row.Proof != proof {
		t.Errorf("%s is restored by the proof %q, want %q, which it gives: %t", row.Name, row.Proof, proof, pair.proves)
	}
	for _, a := range j.cloud.Actions() {
		if least := a.Ends.Sub(a.Began); a.ID == *row.ActionID && time.Duration(*row.Downtime+1)*time.Second < least {
			t.Errorf("%s was down for %d s, and its rebuild took %s", row.Name, *row.Downtime, least)
		}
	}
}

// judgeResult fails where a count, the result or the exit code does not follow from the servers.
func (j restoredWorld) judgeResult(t reporter) {
	t.Helper()
	var failed []string
	restored, n := map[string]int64{}, map[string]int{}
	for _, row := range j.rows {
		n[row.Status]++
		if row.Status == "failed" {
			failed = append(failed, row.Name)
		}
		if row.Status == "restored" {
			restored[row.Name] = *row.ImageID
		}
	}
	good := n["restored"] + n["planned"]
	result, code := "success", 0
	switch {
	case n["cancelled"] > 0 || j.cancelled():
		result, code = "cancelled", 128+int(j.signal)
	case j.refused:
		result, code = "failure", 2
	case j.selected.IsZero(), j.refusedToken():
		result, code = "failure", 3
	case len(failed) > 0:
		result, code = "failure", 1
	}
	if result == "failure" && good > 0 {
		result = "partial"
	}
	if j.outputs["result"] != result || j.code != code {
		t.Errorf("result %q, exit %d; want %q, %d", j.outputs["result"], j.code, result, code)
	}
	if !j.selected.IsZero() && len(j.rows) != len(j.pairs) || j.selected.IsZero() && len(j.rows) > 0 {
		t.Errorf("%d servers are told, and %d were named", len(j.rows), len(j.pairs))
	}
	var names []string
	decode(t, j.outputs["failed-servers"], &names)
	if !slices.Equal(names, failed) || j.outputs["failed-count"] != strconv.Itoa(len(failed)) || j.outputs["restored-count"] != strconv.Itoa(len(restored)) {
		t.Errorf("failed-servers=%v failed-count=%s restored-count=%s, want %v, and %d restored", names, j.outputs["failed-count"], j.outputs["restored-count"], failed, len(restored))
	}
	told := map[string]int64{}
	decode(t, j.outputs["restored"], &told)
	if len(told) != len(restored) {
		t.Errorf("restored=%v, want %v", told, restored)
	}
	for name, id := range restored {
		if told[name] != id {
			t.Errorf("restored=%v, want %v", told, restored)
		}
	}
}

// judgeEnd fails where a run takes too long.
func (j restoredWorld) judgeEnd(t reporter) {
	t.Helper()
	most := 5 * time.Second
	if j.signal == syscall.SIGTERM {
		most = 2 * time.Second
	}
	if j.second > 0 && j.second < most {
		most = j.second + 500*time.Millisecond
	}
	if late := j.took - j.cancelAfter; j.cancelled() && late > most {
		t.Errorf("ended %s after the cancel, more than %s", late, most)
	}
	if j.code == 3 && !j.refusedToken() && j.took > j.lockTimeout+time.Minute {
		t.Errorf("gave up reading after %s, and lock-timeout is %s", j.took, j.lockTimeout)
	}
	before := time.Duration(0)
	if j.snapshotFirst {
		before = 2*time.Hour + 2*j.lockTimeout + 15*time.Minute
	}
	perServer := before + 3*j.lockTimeout + j.restoreTimeout + j.bootTimeout + 30*time.Minute
	if j.took > 30*time.Minute+time.Duration(len(j.pairs))*perServer {
		t.Errorf("the run took %s", j.took)
	}
}

// judgePlaces fails where more changes were in flight at once than the user allows, of the servers that are restored.
func (j restoredWorld) judgePlaces(t reporter) {
	t.Helper()
	type span struct{ from, to time.Time }
	var spans []span
	for _, row := range j.rows {
		if row.Status != "restored" {
			continue
		}
		for _, a := range j.cloud.Actions() {
			if a.ID == *row.ActionID {
				spans = append(spans, span{a.Began, a.Ends})
			}
		}
	}
	for _, s := range spans {
		n := 0
		for _, other := range spans {
			n += btoi(!s.from.Before(other.from) && s.from.Before(other.to))
		}
		if n > j.maxParallel {
			t.Errorf("%d servers were rebuilt at once, and max-parallel is %d", n, j.maxParallel)
			return
		}
	}
}
