package action_test

import (
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/org/hsnap-action/internal/hcloudsim"
)

// judgeTouched fails where the run, or its post step, has sent a request that changes anything but copies of its own and
// those that earlier runs have left behind.
func (j *proved) judgeTouched() {
	requests := map[string]string{} // by name
	for _, rec := range j.records {
		requests[rec.name] = rec.request
	}
	for i, x := range slices.Concat(j.r.trace, j.post.trace) {
		r := j.r
		if i >= len(j.r.trace) {
			r = j.post
		}
		if x.method == http.MethodGet {
			continue
		}
		if j.p.dry {
			j.Errorf("a dry run has sent %s %s", x.method, x.path)
		}
		_, action := x.act()
		id, isServer := strings.CutPrefix(x.path, "/servers/")
		address, isIP := strings.CutPrefix(x.path, "/primary_ips/")
		switch {
		case x.method == http.MethodPost && (x.path == "/servers" || x.path == "/firewalls"), action == "poweron":
		case x.method == http.MethodPut && strings.HasPrefix(x.path, "/images/"):
		case x.method == http.MethodDelete && isServer:
			n, _ := strconv.ParseInt(id, 10, 64)
			j.judgeDeletion(r, n, x, requests)
		case x.method == http.MethodDelete && isIP:
			n, _ := strconv.ParseInt(address, 10, 64)
			if !slices.ContainsFunc(j.made, func(made hcloudsim.Creation) bool { return slices.Contains(made.PrimaryIPs, n) }) && j.p.left[n%10_000_000] == "" {
				j.Errorf("primary IP %d was deleted, which is no copy's", n)
			}
		default:
			j.Errorf("%s %s was sent", x.method, x.path)
		}
	}
	there := map[int64]hcloudsim.ServerState{}
	for _, s := range j.w.cloud.Servers() {
		there[s.ID] = s
	}
	for id, name := range j.p.kept {
		if s := there[id]; s.Name != name || s.Status != "running" || len(s.Commands) > 0 {
			j.Errorf("%s is to be left alone, and is %+v", name, s)
		}
	}
	for id, name := range j.p.left { // it is there and told, or it is gone
		_, stays := there[id]
		if stays && j.r.code != 3 && !j.killed() && !j.cancelled() && len(j.p.hosts) > 0 && !slices.Contains(j.told(), name) {
			j.Errorf("%s was left behind by an earlier run, and nobody has deleted it, or told of it", name)
		}
	}
}

// judgeDeletion fails where a server was deleted that no poll just before had shown to be a copy.
func (j *proved) judgeDeletion(r ran, id int64, x *exchange, requests map[string]string) {
	seen := r.lastSeen(id, x.sent)
	switch {
	case seen == nil:
		j.Errorf("server %d was deleted, and no poll had shown it", id)
	case j.p.left[id] != "" && seen.Name == j.p.left[id] && seen.Labels["hsnap/drill"] != "":
	case requests[seen.Name] == "" || seen.Labels["hsnap/drill"] != requests[seen.Name]:
		j.Errorf("server %d was deleted, which was shown as %s with %v", id, seen.Name, seen.Labels)
	}
}

// judgeLeft fails where a copy or its address is left, and nobody is told.
func (j *proved) judgeLeft() {
	ips := map[int64]bool{}
	for _, ip := range j.w.cloud.PrimaryIPs() {
		ips[ip.ID] = true
	}
	told := j.told()
	for _, made := range j.made {
		if j.p.meddled[made.ServerID] && !j.r.knows(made) {
			continue // somebody has given it another name or label before its create's answer, or a poll, came
		}
		gone := !made.Deleted.IsZero() && !made.Deleted.After(j.end)
		// A run that has not ended by itself leaves the rest to the post step.
		byPost := strings.Contains(j.post.log, made.Name) && j.post.code != 0
		left := made.Deleted.IsZero() || slices.ContainsFunc(made.PrimaryIPs, func(ip int64) bool { return ips[ip] })
		switch {
		case !j.killed() && !gone && !slices.Contains(told, made.Name):
			j.Errorf("%s is there at the end of the run, and not in copies-left %v", made.Name, told)
		case left && j.r.code > 128 && !byPost:
			j.Errorf("%s is left (deleted: %t), or its address is, after the post step, which exits with %d", made.Name, !made.Deleted.IsZero(), j.post.code)
		case left && j.r.code <= 128 && !slices.Contains(told, made.Name):
			j.Errorf("%s or its address is left, and not in copies-left", made.Name)
		}
		if left && !j.killed() && !strings.Contains(j.r.log+j.post.log, "IS LEFT") && !strings.Contains(j.r.log+j.post.log, "is left") {
			j.Errorf("%s is left, and the log has no word of it", made.Name)
		}
	}
	for _, name := range told {
		there := slices.ContainsFunc(j.made, func(made hcloudsim.Creation) bool {
			return made.Name == name && (made.Deleted.IsZero() || made.Deleted.After(j.end) || slices.ContainsFunc(made.PrimaryIPs, func(ip int64) bool { return ips[ip] }))
		})
		if !there && !j.atEnd[name] && j.calm() {
			j.Errorf("%s is told to be left, and nothing of it is there", name)
		}
	}
}

// judgeParallel fails where there were more copies at once than allowed, but for those that could not be deleted.
func (j *proved) judgeParallel() {
	told := j.told()
	for _, made := range j.made {
		n := 0
		for _, other := range j.made {
			kept := slices.Contains(told, other.Name) || j.p.meddled[other.ServerID]
			if !kept && !other.Accepted.After(made.Accepted) && (other.Deleted.IsZero() || other.Deleted.After(made.Accepted)) {
				n++
			}
		}
		if n > j.p.parallel && !j.killed() {
			j.Errorf("there are %d copies when %s is made, and max-parallel is %d", n, made.Name, j.p.parallel)
			return
		}
	}
}

// judgeCost fails where the copies cost more than allowed, or more than is told. One that could not be deleted costs what it
// costs, and is told.
func (j *proved) judgeCost() {
	all, _ := j.p.wants(j.date())
	hour := map[int64]float64{}
	for _, want := range all {
		hour[want.image] = want.hour
	}
	sum, told := 0.0, map[int64]float64{}
	for _, e := range j.entries {
		if e.Image != nil {
			told[*e.Image] += e.Cost
		}
	}
	costs, since := map[int64]float64{}, map[int64]time.Time{}
	for _, made := range j.made {
		if made.Deleted.IsZero() || j.killed() || j.cancelled() || slices.Contains(j.told(), made.Name) {
			return
		}
		if since[made.ImageID].IsZero() { // one that is gone before the next one is there was never seen
			since[made.ImageID] = made.Accepted
		}
		costs[made.ImageID] = math.Ceil(made.Deleted.Sub(since[made.ImageID]).Hours()) * hour[made.ImageID]
	}
	for image, cost := range costs {
		sum += cost
		if told[image] < cost-1e-5 {
			j.Errorf("the copy of image %d has cost %f, and %f is told", image, cost, told[image])
		}
	}
	if sum > j.p.maxCost+1e-9 {
		j.Errorf("the copies have cost %f, and max-cost is %f", sum, j.p.maxCost)
	}
}
