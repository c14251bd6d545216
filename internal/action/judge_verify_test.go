package action_test

import (
	"fmt"
	"maps"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/org/hsnap-action/internal/hcloudsim"
)

// verification is one object of the output "verifications".
type verification struct {
	Name    string  `json:"server_name"`
	Image   *int64  `json:"image_id"`
	Status  string  `json:"status"`
	Reason  string  `json:"reason"`
	Message string  `json:"message"`
	Proof   string  `json:"proof"`
	Type    string  `json:"server_type"`
	Cost    float64 `json:"cost_gross"`
}

func (r ran) verifications(t reporter) []verification {
	t.Helper()
	var list []verification
	decode(t, r.outputs["verifications"], &list)
	return list
}

// tryProving runs a seed's world for verify, its post step where the run left that something to do, and judges both.
func tryProving(t *testing.T, seed uint64) (found findings, story string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w, p := buildProving(t, seed)
		records := w.recordStates()
		r := w.run(t)
		end := time.Now()
		if r.code == exitKilled {
			end = r.started.Add(r.took)
		}
		atEnd := map[string]bool{}
		for _, s := range w.cloud.Servers() {
			atEnd[s.Name] = true
		}
		var post ran
		if r.code > 128 {
			post = w.post(t, r)
		}
		time.Sleep(3 * time.Minute) // a create that was lost may take effect after the end of the run
		j := &proved{reporter: &found, w: w, p: p, r: r, post: post, end: end, atEnd: atEnd, made: w.cloud.Creations(), records: *records}
		j.judge()
		if len(found) > 0 {
			story = fmt.Sprintf("plan %+v\ninputs %v\nexit %d after %s\n%s\n%v\n%s\n%s", *p, w.inputs, r.code, r.took, r.log, r.outputs, post.log, w.history())
		}
	})
	return found, story
}

// Over many worlds: a run of verify, and its post step where it was cancelled or killed, keeps what it promises.
func TestVerifiedWorlds(t *testing.T) {
	n := *seeds
	if n == defaultSeeds() {
		n /= 3 // these worlds take longer
	}
	for i := range uint64(n) {
		seed := *firstSeed + i
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			t.Parallel()
			found, story := tryProving(t, seed)
			for _, finding := range found {
				t.Error(finding)
			}
			if len(found) > 0 {
				t.Logf("replay: go test ./internal/action -run TestVerifiedWorlds -seeds 1 -seed %d\n%s", seed, story)
			}
		})
	}
}

// The same seed gives the same verification, however many processors there are.
func TestVerifyIsDeterministic(t *testing.T) {
	isDeterministic(t, "actions/poweron", []uint64{1, 12, 21, 25}, func(t *testing.T, seed uint64) *world {
		w, _ := buildProving(t, seed)
		return w
	})
}

// proved is what the judge of a run of verify looks at.
type proved struct {
	reporter
	w       *world
	p       *proving
	r, post ran
	end     time.Time            // of the run
	atEnd   map[string]bool      // the names of the servers that there were then
	made    []hcloudsim.Creation // the copies as they are at last
	records []recorded
	entries []verification
}

func (j *proved) killed() bool    { return j.r.code == exitKilled }
func (j *proved) cancelled() bool { return j.r.code == 130 || j.r.code == 143 }

// calm reports whether nothing has gone wrong that the world does not tell beforehand.
func (j *proved) calm() bool {
	return !j.p.weather && !j.p.scarce && len(j.p.meddled) == 0 && !j.killed() && !j.cancelled()
}

func (j *proved) judge() {
	texts := []string{j.r.log, j.r.summary, fmt.Sprint(j.r.outputs, j.r.state), j.post.log, j.post.summary}
	for _, made := range j.made {
		if made.RootPassword != "" && slices.ContainsFunc(texts, func(text string) bool { return strings.Contains(text, made.RootPassword) }) {
			j.Errorf("the root password of %s is shown", made.Name)
		}
	}
	if !j.killed() {
		j.entries = j.r.verifications(j)
		j.judgePlan()
		j.judgeResult()
	}
	j.judgeFates()
	j.judgeLabels()
	j.judgeCreations()
	j.judgeStarts()
	j.judgeTouched()
	j.judgeLeft()
	j.judgeParallel()
	j.judgeCost()
	j.judgeEnd()
	j.judgeFirewalls()
	j.judgeBudget()
}

// date is when the run began, by Hetzner's answer to its list of snapshots.
func (j *proved) date() time.Time {
	x := j.r.first(func(x *exchange) bool {
		return x.path == "/images" && x.status == http.StatusOK && x.content().Images != nil && x.content().Meta.Pagination != nil
	})
	at, err := http.ParseTime(x.header.Get("Date"))
	if err != nil {
		return j.r.started
	}
	return at
}

// judgePlan fails where the run has chosen other snapshots than it should have, or others than those that are due.
func (j *proved) judgePlan() {
	all, _ := j.p.wants(j.date())
	names := map[string]bool{}
	for _, name := range j.p.missing {
		names[name] = true
	}
	for _, e := range j.entries {
		want := all[e.Name]
		if want == nil {
			if !names[e.Name] || e.Status != "failed" || e.Reason != "not_found" {
				j.Errorf("%s is %s (%s), and nobody has asked for it", e.Name, e.Status, e.Reason)
			}
			delete(names, e.Name)
			continue
		}
		delete(all, e.Name)
		image := int64(0)
		if e.Image != nil {
			image = *e.Image
		}
		if image != want.image {
			j.Errorf("%s: image %d, want %d", e.Name, image, want.image)
		}
		status := want.status
		if status == "" && j.p.dry {
			status = "planned"
		}
		due := status == "" || j.cancelled() && want.status == "" // then it need not have come to that
		if !due && (e.Status != status || e.Reason != want.reason) {
			j.Errorf("%s is %s (%s), want %s (%s)", e.Name, e.Status, e.Reason, status, want.reason)
		}
		if due && (e.Reason == "not_due" || e.Reason == "not_found" || e.Status == "planned" && !j.p.dry || e.Type != want.kind) {
			j.Errorf("%s is %s (%s) by a %s, and it is due, by a %s", e.Name, e.Status, e.Reason, e.Type, want.kind)
		}
		if passed := e.Status == "verified" || e.Status == "planned"; passed != (e.Reason == "") {
			j.Errorf("%s is %s with the reason %q", e.Name, e.Status, e.Reason)
		}
	}
	if j.r.code == 3 || j.cancelled() {
		return // it may not have come to that
	}
	for name, want := range all {
		if want.status != "" || !j.p.tooExpensive(j.date()) {
			j.Errorf("%s is in no output", name)
		}
	}
	for name := range names {
		j.Errorf("%s does not exist, and is in no output", name)
	}
}

// judgeResult fails where the result, the exit code or an output does not follow from the verifications.
func (j *proved) judgeResult() {
	n, images := map[string]int{}, map[string][]int64{"verified": {}, "failed": {}}
	cost := 0.0
	for _, e := range j.entries {
		n[e.Status]++
		cost += e.Cost
		if e.Image != nil && images[e.Status] != nil {
			images[e.Status] = append(images[e.Status], *e.Image)
		}
	}
	for output, want := range map[string][]int64{"verified-image-ids": images["verified"], "failed-image-ids": images["failed"]} {
		var got []int64
		if decode(j, j.r.outputs[output], &got); !slices.Equal(got, want) {
			j.Errorf("%s=%v, want %v", output, got, want)
		}
	}
	if got, _ := strconv.ParseFloat(j.r.outputs["cost-gross"], 64); math.Abs(got-cost) > 1e-5 {
		j.Errorf("cost-gross=%v, want %v", got, cost)
	}
	if n["verified"] > 0 && j.p.prove == "running" != strings.Contains(j.r.summary, "proves only that Hetzner starts the copy") {
		j.Errorf("prove: %s, and the summary says of it:\n%s", j.p.prove, j.r.summary)
	}
	good, bad := n["verified"]+n["planned"] > 0, n["failed"] > 0
	refused := slices.ContainsFunc(j.r.trace, func(x *exchange) bool { return x.verdict() == tokenRefused })
	expensive := !j.r.selected.IsZero() && j.p.tooExpensive(j.date())
	nothing := len(j.p.hosts) == 0 && !slices.Contains(j.p.missing, "db-99")
	want, code := "skipped", 0
	switch {
	case j.cancelled():
		want, code = "cancelled", j.r.code
	case j.r.selected.IsZero(), refused:
		want, code = "failure", 3
	case nothing, expensive:
		want, code = "failure", 2
	case bad:
		want, code = "failure", 1
	case n["inconclusive"] > 0:
		want = "inconclusive"
		if !j.p.warn {
			code = 1
		}
	case good:
		want = "success"
	}
	if good && (bad || n["inconclusive"] > 0 || want == "failure") && want != "cancelled" {
		want = "partial"
	}
	if code == 0 && len(j.told()) > 0 {
		code = 1
	}
	if j.r.outputs["result"] != want || j.r.code != code {
		j.Errorf("result %q, exit %d; want %q, %d", j.r.outputs["result"], j.r.code, want, code)
	}
}

// told returns what the run names in copies-left.
func (j *proved) told() (names []string) {
	if !j.killed() {
		decode(j, j.r.outputs["copies-left"], &names)
	}
	return names
}

// judgeFates fails where what is told of a snapshot is not what its copies do.
func (j *proved) judgeFates() {
	for _, e := range j.entries {
		if e.Image == nil || e.Reason == "not_found" {
			continue
		}
		id := *e.Image
		f := j.p.fates[id]
		started := slices.ContainsFunc(j.made, func(made hcloudsim.Creation) bool { return made.ImageID == id && len(made.Starts) > 0 })
		switch {
		case e.Status == "verified" && !j.p.proves(f):
			j.Errorf("%s is verified, and a copy of image %d can't give that proof (%d)", e.Name, id, f)
		case e.Status == "failed" && j.p.proves(f):
			j.Errorf("%s has failed (%s), and copies of image %d give their proof", e.Name, e.Message, id)
		case e.Status == "failed" && !started:
			j.Errorf("%s has failed, and no copy of image %d was switched on", e.Name, id)
		case e.Status == "verified" || e.Status == "failed":
			if j.p.dry {
				j.Errorf("%s is %s in a dry run", e.Name, e.Status)
			}
		}
		if want, got := j.fateIn(e.Name, id), e.Status+" "+e.Reason; j.calm() && want != "" && got != want {
			j.Errorf("%s is %q, want %q", e.Name, got, want)
		}
	}
}

// fateIn returns the status and the reason that a world without faults gives a verification that is due; "" for one that
// is not.
func (j *proved) fateIn(name string, image int64) string {
	all, _ := j.p.wants(j.date())
	copyName := fmt.Sprintf("hsnap-drill-%d", image)
	if all[name].status != "" || j.p.dry || j.p.tooExpensive(j.date()) {
		return ""
	}
	for _, name := range j.p.left {
		if name == copyName { // it may go in time or not
			return ""
		}
	}
	f := j.p.fates[image]
	if j.p.differs {
		return "inconclusive firewall"
	}
	for id, taken := range j.p.kept {
		if taken == copyName {
			return j.takenBy(id)
		}
	}
	switch {
	case f == breaks:
		return "inconclusive create_failed"
	case f == lags:
		return "inconclusive create_timeout"
	case f == bare:
		return "inconclusive not_isolated"
	case j.p.proves(f):
		return "verified "
	}
	return "failed not_proven"
}

// takenBy returns what comes of a verification whose copy's name a server has that is not to be touched.
func (j *proved) takenBy(id int64) string {
	for _, s := range j.w.cloud.Servers() {
		if s.ID == id && s.Labels["hsnap/drill"] != "" {
			return "skipped in_progress"
		}
	}
	return "inconclusive create_failed"
}

// judgeLabels fails where an image has other labels than its verification gives it. What was lost may have been written.
func (j *proved) judgeLabels() {
	outcome := map[int64]string{}
	for _, e := range j.entries {
		if e.Image != nil {
			outcome[*e.Image] = e.Status
		}
	}
	for _, image := range j.w.cloud.Images() {
		old := j.p.old[image.ID].Labels
		verified, failed := j.judged(old, image.Labels["hsnap/verified"], true), j.judged(old, "", false)
		wasVerified, hasFailed := maps.Equal(image.Labels, verified), maps.Equal(image.Labels, failed)
		at, err := time.Parse(verifiedAt, image.Labels["hsnap/verified"])
		fresh := err == nil && !at.Before(j.r.started.Truncate(time.Second)) && !at.After(j.end.Add(time.Second))
		unsure := slices.ContainsFunc(j.r.trace, func(x *exchange) bool {
			return x.method == http.MethodPut && x.path == fmt.Sprintf("/images/%d", image.ID) && (x.verdict() == lostAnswer || x.done.IsZero() || j.killed())
		})
		switch status := outcome[image.ID]; {
		case status == "verified" && (!wasVerified || !fresh), status == "failed" && !hasFailed && !j.isMissing(image.ID):
			j.Errorf("image %d is %s, and its labels are %v; they were %v", image.ID, status, image.Labels, old)
		case status == "verified", status == "failed", maps.Equal(image.Labels, old):
		case unsure && (wasVerified && fresh && j.p.proves(j.p.fates[image.ID]) || hasFailed):
		default:
			j.Errorf("image %d is %q, and its labels have changed: %s", image.ID, status, cmp.Diff(old, image.Labels))
		}
	}
}

// isMissing reports whether an image was told not to be there, so that nothing was verified.
func (j *proved) isMissing(image int64) bool {
	return !slices.ContainsFunc(j.entries, func(e verification) bool { return e.Image != nil && *e.Image == image && e.Reason != "not_found" })
}

// judged returns labels with what a verification writes, by the contract.
func (j *proved) judged(old map[string]string, at string, verified bool) map[string]string {
	set := maps.Clone(old)
	if set == nil {
		set = map[string]string{}
	}
	delete(set, "hsnap/verify")
	delete(set, "hsnap/verified")
	delete(set, "hsnap/verified-by")
	if !verified {
		set["hsnap/verify"] = "failed"
		return set
	}
	set["hsnap/verified"], set["hsnap/verified-by"] = at, strings.ReplaceAll(j.p.prove, ":", "-")
	return set
}
