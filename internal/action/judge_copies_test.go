package action_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/org/hsnap-action/internal/hcloudsim"
)

// recorded is what the state for the post step held when a copy was asked for.
type recorded struct{ name, request, state string }

// orderedCopy is the body of a create of a server.
type orderedCopy struct {
	Name      string            `json:"name"`
	Type      string            `json:"server_type"`
	Image     string            `json:"image"`
	Location  string            `json:"location"`
	Labels    map[string]string `json:"labels"`
	Firewalls []struct {
		Firewall int64 `json:"firewall"`
	} `json:"firewalls"`
	Public struct {
		IPv4 *bool `json:"enable_ipv4"`
		IPv6 *bool `json:"enable_ipv6"`
	} `json:"public_net"`
	Start *bool `json:"start_after_create"`
}

// ordered returns what a create of a server asks for; false for any other request.
func (x *exchange) ordered() (o orderedCopy, ok bool) {
	if x.method != http.MethodPost || x.path != "/servers" {
		return o, false
	}
	d := json.NewDecoder(strings.NewReader(x.body))
	d.DisallowUnknownFields()
	return o, d.Decode(&o) == nil
}

// recordStates notes at each create of a server what the state for the post step holds.
func (w *world) recordStates() *[]recorded {
	var all []recorded
	var mu sync.Mutex
	check := w.check
	w.check = func(next http.RoundTripper) http.RoundTripper {
		next = check(next)
		return roundTrip(func(r *http.Request) (*http.Response, error) {
			if r.Method == http.MethodPost && r.URL.Path == "/v1/servers" {
				body, _ := io.ReadAll(r.Body) // it is in memory
				r = r.WithContext(r.Context())
				r.Body = io.NopCloser(bytes.NewReader(body))
				var o orderedCopy
				_ = json.Unmarshal(body, &o)
				state, _ := os.ReadFile(filepath.Join(w.dir, "state")) // the runner has made it
				mu.Lock()
				all = append(all, recorded{o.Name, o.Labels["hsnap/drill"], string(state)})
				mu.Unlock()
			}
			return next.RoundTrip(r)
		})
	}
	return &all
}

// shownCopy is a server in an answer, as far as it matters for a copy.
type shownCopy struct {
	ID         int64
	Name       string
	Status     string
	Locked     bool
	Labels     map[string]string
	Volumes    []int64
	PrivateNet []any `json:"private_net"`
	PublicNet  struct {
		Firewalls []struct {
			ID     int64
			Status string
		}
	} `json:"public_net"`
}

// showsCopy returns a server as an answer shows it, nil where it doesn't.
func (x *exchange) showsCopy(id int64) *shownCopy {
	if x.shows(id) == nil {
		return nil
	}
	var body struct {
		Server  *shownCopy
		Servers []shownCopy
	}
	_ = json.Unmarshal(x.answer, &body) // x.shows has read it
	if body.Server != nil {
		return body.Server
	}
	return &body.Servers[slices.IndexFunc(body.Servers, func(s shownCopy) bool { return s.ID == id })]
}

// lastSeen returns the last answer before a time that shows a server, nil for none.
func (r ran) lastSeen(id int64, before time.Time) (last *shownCopy) {
	for _, x := range r.answers() {
		if x.done.After(before) {
			break
		}
		if seen := x.showsCopy(id); seen != nil {
			last = seen
		}
	}
	return last
}

// knows reports whether an answer has shown a copy as such.
func (r ran) knows(made hcloudsim.Creation) bool {
	return slices.ContainsFunc(r.trace, func(x *exchange) bool {
		seen, server := x.showsCopy(made.ServerID), x.content().Server
		return seen != nil && seen.Name == made.Name && seen.Labels["hsnap/drill"] == made.Labels["hsnap/drill"] ||
			!x.done.IsZero() && x.verdict() == accepted && server != nil && server.ID == made.ServerID
	})
}

// judgeCreations fails where a copy was asked for, or is, otherwise than the contract has it.
func (j *proved) judgeCreations() {
	first := map[string]time.Time{}
	for i, x := range j.r.trace {
		if x.method == http.MethodPost && x.path == "/servers" {
			o, ok := x.ordered()
			if !ok {
				j.Errorf("a create asks for more than it may: %s", x.body)
			}
			if _, again := first[o.Name]; !again {
				first[o.Name] = x.sent
			}
			j.judgeOrder(i, o, first[o.Name])
		}
	}
	for _, made := range j.made {
		until, _ := strconv.ParseInt(made.Labels["hsnap/drill-until"], 10, 64)
		if !made.Deleted.IsZero() && made.Deleted.After(time.Unix(until, 0)) && !j.killed() && !slices.Contains(j.told(), made.Name) {
			j.Errorf("%s was deleted at %s, and other runs might have done that since %s", made.Name, made.Deleted, time.Unix(until, 0))
		}
		if len(made.Networks)+len(made.Volumes)+made.SSHKeys > 0 || made.PlacementGroup != 0 || made.UserData != "" || len(made.PrimaryIPs) != 1 {
			j.Errorf("%s is made with more than it may have: %+v", made.Name, made)
		}
		for _, other := range j.made {
			both := made.ServerID < other.ServerID && made.ImageID == other.ImageID
			if both && !j.p.meddled[made.ServerID] && (made.Deleted.IsZero() || other.Accepted.Before(made.Deleted)) {
				j.Errorf("image %d has two copies at once", made.ImageID)
			}
		}
	}
	for _, rec := range j.records {
		lines := strings.Split(strings.TrimSpace(rec.state), "\n")
		// The last value of a name is the one that counts. It is one line, between two that mark where it begins and ends.
		if last := lines[max(0, len(lines)-2)]; !strings.Contains(last, fmt.Sprintf(`"Name":%q,"Request":%q`, rec.name, rec.request)) {
			j.Errorf("%s was asked for, and the state for the post step is %q", rec.name, rec.state)
		}
	}
}

// judgeOrder fails where a create asks for another copy than it should.
func (j *proved) judgeOrder(i int, o orderedCopy, first time.Time) {
	all, _ := j.p.wants(j.date())
	image, _ := strconv.ParseInt(o.Image, 10, 64)
	ours := false
	for name, want := range all {
		ours = ours || want.status == "" && want.image == image && o.Type == want.kind && o.Location == j.p.hosts[name].location
	}
	running := j.p.prove == "running"
	firewalls := map[int64]string{}
	for _, f := range j.w.cloud.Firewalls() {
		firewalls[f.ID] = f.Name
	}
	until, _ := strconv.ParseInt(o.Labels["hsnap/drill-until"], 10, 64)
	late := time.Unix(until, 0).Sub(first.Add(j.p.create + j.p.boot + 15*time.Minute))
	switch {
	case !ours:
		j.Errorf("a copy of %s, a %s in %s, is asked for, and that is not what is due", o.Image, o.Type, o.Location)
	case o.Name != "hsnap-drill-"+o.Image || len(o.Labels) != 2 || o.Labels["hsnap/drill"] == "" || late > 10*time.Second || late < -2*time.Minute: // it may have waited for a place in the budget
		j.Errorf("a copy is called %s, with the labels %v (%s late)", o.Name, o.Labels, late)
	case o.Start == nil || *o.Start || o.Public.IPv4 == nil || *o.Public.IPv4 == running || o.Public.IPv6 == nil || *o.Public.IPv6 != running:
		j.Errorf("the create of %s is %s", o.Name, j.r.trace[i].body)
	case len(o.Firewalls) != 1 || firewalls[o.Firewalls[0].Firewall] != j.p.firewall:
		j.Errorf("%s gets the firewalls %v, want %s alone", o.Name, o.Firewalls, j.p.firewall)
	case j.p.dry || j.p.tooExpensive(j.date()):
		j.Errorf("%s was asked for in a dry run, or beyond max-cost", o.Name)
	}
}

// judgeStarts fails where a copy was switched on that was not shut off, or that no poll had shown to be.
func (j *proved) judgeStarts() {
	asked := map[int64]bool{}
	for _, x := range j.r.trace {
		id, action := x.act()
		if action != "poweron" || asked[id] {
			continue
		}
		asked[id] = true
		seen := j.r.lastSeen(id, x.sent)
		i := slices.IndexFunc(j.made, func(made hcloudsim.Creation) bool { return made.ServerID == id })
		if i < 0 || seen == nil {
			j.Errorf("server %d was switched on, which is no copy of this run", id)
			continue
		}
		made := j.made[i]
		f := seen.PublicNet.Firewalls
		if seen.Name != fmt.Sprintf("hsnap-drill-%d", made.ImageID) || cmp.Diff(seen.Labels, made.Labels) != "" || seen.Status != "off" || seen.Locked ||
			len(seen.PrivateNet)+len(seen.Volumes) > 0 || len(f) != 1 || f[0].ID != made.Firewalls[0] || f[0].Status != "applied" {
			j.Errorf("%s was switched on after a poll that showed it as %+v", made.Name, *seen)
		}
	}
	for _, made := range j.made {
		for _, start := range made.Starts {
			if !start.Firewalled || start.Attached && !j.p.meddled[made.ServerID] {
				j.Errorf("%s was switched on without its firewall, or attached to something: %+v", made.Name, start)
			}
		}
		if len(made.Starts) > 0 && !asked[made.ServerID] {
			j.Errorf("%s was started, and nobody has asked for that", made.Name)
		}
	}
}

// judgeEnd fails where a run ended too late after a signal, or went on with what it may not; or too early after a create was
// lost, which may take effect after it.
func (j *proved) judgeEnd() {
	if j.cancelled() {
		cancelled := j.r.started.Add(j.p.cancelAfter)
		if late := j.r.took - j.p.cancelAfter; late > j.p.grace {
			j.Errorf("ended %s after the cancel, more than %s", late, j.p.grace)
		}
		for _, x := range j.r.trace {
			if x.sent.After(cancelled) && x.method != http.MethodGet && x.method != http.MethodDelete {
				j.Errorf("%s %s was sent %s after the cancel", x.method, x.path, x.sent.Sub(cancelled))
			}
		}
		j.judgeCancel(cancelled)
		return
	}
	if j.killed() {
		return
	}
	for _, x := range j.r.trace {
		if o, ok := x.ordered(); ok && x.verdict() == lostAnswer && x.dialled && j.end.Before(x.done.Add(effectLimit)) {
			j.Errorf("the run ended %s after the create of %s was lost", j.end.Sub(x.done), o.Name)
		}
	}
}

// judgeCancel fails where a copy that can be deleted was not asked to be after a cancel. The budget is enough for a few.
func (j *proved) judgeCancel(cancelled time.Time) {
	there := 0
	for _, made := range j.made {
		if made.Accepted.Before(cancelled) && (made.Deleted.IsZero() || made.Deleted.After(cancelled)) {
			there++
		}
	}
	for _, made := range j.made {
		idle := !made.Ended.IsZero() && made.Ended.Add(30*time.Second).Before(cancelled) && (made.Deleted.IsZero() || made.Deleted.After(cancelled))
		if !idle || j.p.weather || len(j.p.meddled) > 0 {
			continue
		}
		asked := slices.ContainsFunc(j.r.trace, func(x *exchange) bool {
			return x.method == http.MethodDelete && x.path == fmt.Sprintf("/servers/%d", made.ServerID) && x.sent.After(cancelled.Add(-30*time.Second))
		})
		if !asked && !slices.Contains(j.told(), made.Name) || !asked && j.p.grace == 5*time.Second && there <= 3 {
			j.Errorf("%s could be deleted when the run was cancelled, and that was not asked for", made.Name)
		}
	}
}

// judgeFirewalls fails where the copies' firewall is not what the contract has, or another one has changed.
func (j *proved) judgeFirewalls() {
	ours := 0
	for _, f := range j.w.cloud.Firewalls() {
		if f.Name != j.p.firewall {
			if f.Name != "theirs" || len(f.Rules) != 1 {
				j.Errorf("there is a firewall %+v", f)
			}
			continue
		}
		ours++
		ordered := cmpopts.SortSlices(func(a, b hcloudsim.FirewallRule) bool { return a.Direction > b.Direction })
		if diff := cmp.Diff(j.p.rules(), f.Rules, ordered, cmpopts.EquateEmpty()); diff != "" && len(j.made) > 0 {
			j.Errorf("the rules of %s (-want +got):\n%s", f.Name, diff)
		}
		if f.Labels["hsnap/drill"] != "firewall" || len(f.Labels) != 1 {
			j.Errorf("%s has the labels %v", f.Name, f.Labels)
		}
	}
	if len(j.made) > 0 && ours != 1 {
		j.Errorf("there are %d firewalls %s", ours, j.p.firewall)
	}
}

// judgeBudget fails where the run has sent more than 30 polls in 60 s. The first requests about a firewall are none.
func (j *proved) judgeBudget() {
	for _, r := range []ran{j.r, j.post} {
		var polls []*exchange
		for _, x := range r.trace {
			_, action := x.act()
			isCreate := x.method == http.MethodPost && x.path == "/servers"
			if !x.sent.Before(j.r.selected) && !j.r.selected.IsZero() && (x.method == http.MethodGet || (action != "" || isCreate) && x.counts()) {
				polls = append(polls, x)
			}
		}
		for i := 30; i < len(polls); i++ {
			if span := polls[i].sent.Sub(polls[i-30].sent); span <= time.Minute {
				j.Errorf("31 polls within %s", span)
				break
			}
		}
	}
}
