package report

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/org/hsnap-action/internal/audit"
	"github.com/org/hsnap-action/internal/hetzner"
)

// DeliverAudit is to an audit what [Report.Deliver] is to a run of snapshot. It also reports what was found, and why the
// audit as a whole came to nothing.
func (r *Report) DeliverAudit(o audit.Outcome) (delivered bool) {
	why := auditWhole(o, r.asked)
	bad := o.Inventory == nil || o.Nothing || len(o.Results) > 0 || len(o.Failures) > 0
	t := Tally{Result: resultOf(o.Outcome, false, bad, "success")}
	e := ending{
		title: "Audit of Hetzner Cloud snapshots", tally: t, fails: t.fails(), why: why,
		urgent:  only(o.Inventory == nil && why.what == "" && len(r.mistakes) == 0, "the project was not read to its end"),
		outputs: r.auditOutputs(o, t.Result), summary: func(p *page) { r.auditSummary(p, o, why) },
	}
	if o.Inventory != nil {
		r.found(o)
		e.rest, e.price = auditVerdict(o), auditCost(o)
	}
	r.explainWhole(why)
	return r.end(e)
}

// auditWhole explains why an audit as a whole came to nothing; it explains nothing of any other one.
func auditWhole(o audit.Outcome, asked Asked) account {
	if o.Nothing && o.Inventory != nil && len(o.Results) == 0 {
		return account{what: "there is no server to look at", next: "check servers, label-selector and exclude, and that the token belongs to the servers' project"}
	}
	a := whole(o.Outcome, asked)
	if o.Token != nil {
		a.next = "make a token with Read in the Hetzner Console (Security, API tokens) and put it into the secret"
	}
	return a
}

// found logs the inventory, and reports what makes the run fail.
func (r *Report) found(o audit.Outcome) {
	var list []string
	for _, s := range o.Servers {
		all := joined(", ", count(s.Count, "snapshot"), gigabytes(s.SizeGB)) + "; " + verified(s)
		list = append(list, s.Name+": "+joined("; ", newest(o, s), only(s.Count > 0, all)))
	}
	if len(list) > 0 {
		r.group("inventory", len(list) > foldAbove, list)
	}
	for _, part := range parts(o) {
		if len(part.images) > 0 {
			r.Line("%s %s: %s", count(len(part.images), "snapshot"), part.what, severalImages(part.images))
		}
	}
	if o.AgesUnknown {
		r.Warn("Hetzner's answer did not tell the time, so nobody knows how old the snapshots are; with stale-after all of them count as stale")
	}
	for _, s := range o.Servers {
		r.complain(o, s)
	}
	if o.Fails(audit.Orphans) {
		r.failure("", "failed (orphans)", account{
			what: fmt.Sprintf("%s of servers that are gone: %s", count(len(o.Orphans), "snapshot"), severalImages(o.Orphans)),
			next: "delete those that nobody needs; the job summary has the commands",
		}, false)
	}
	if len(o.Leftovers) > 0 {
		r.leftovers(o)
	}
}

// leftovers reports the copies that verifications have left behind: they cost money whether the run is to fail on them or not.
func (r *Report) leftovers(o audit.Outcome) {
	var names []string
	for _, s := range o.Leftovers {
		names = append(names, s.Name)
	}
	a := account{
		what: fmt.Sprintf("%s left behind by verifications, and paid for: %s", count(len(names), "server"), several(names)),
		next: "`" + serverDeletion(o.Leftovers) + "`",
	}
	if o.Fails(audit.Leftovers) {
		r.failure("", "failed (leftovers)", a, false)
	} else {
		r.Warn(a.line())
	}
}

// complain reports what makes the run fail about a server, if anything does.
func (r *Report) complain(o audit.Outcome, s audit.Server) {
	stale, unverified := s.Stale && o.Fails(audit.Stale), s.VerifiedAt.IsZero() && o.Fails(audit.Unverified)
	a := account{title: "has no recent snapshot", next: "see why the run that should have snapshotted it did not, and run that again"}
	switch {
	case !stale && !unverified:
		return
	case !stale:
		a.title, a.next = "has no verified snapshot", "prove its newest snapshot with the command verify"
		switch {
		case s.Newest.ID == 0:
			a.next = "make a snapshot of it, and verify that"
		case verificationFailed(s):
			a.next = fmt.Sprintf("make a server from image %d by hand and watch its screen in the Hetzner Console; or make a new snapshot and verify that", s.Newest.ID)
		}
	case s.Newest.ID != 0 && o.AgesUnknown:
		a.next = "run it again; if a proxy stands between, have it pass the header Date on"
	}
	a.what = joined("; ", only(stale, newest(o, s)), only(unverified, "none of its snapshots is verified"+only(verificationFailed(s), ", and the newest one failed its verification")))
	r.failure(s.Name, "failed ("+joined(", ", only(stale, "stale"), only(unverified, "unverified"))+")", a, false)
}

// newest says which snapshot of a server is the newest that can be used, and how old it is.
func newest(o audit.Outcome, s audit.Server) string {
	if s.Newest.ID == 0 {
		return "it has no snapshot that can be used"
	}
	return fmt.Sprintf("its newest snapshot is image %d of %s, ", s.Newest.ID, minute(s.Newest.Created)) +
		only(o.AgesUnknown, "of unknown age") + only(!o.AgesUnknown, age(o, s)+" old")
}

// age is how old a server's newest snapshot is.
func age(o audit.Outcome, s audit.Server) string {
	switch {
	case s.Newest.ID == 0:
		return "none"
	case o.AgesUnknown:
		return "unknown"
	case s.Age < 3*time.Hour:
		return fmt.Sprintf("%dm", s.Age/time.Minute)
	case s.Age < 72*time.Hour:
		return fmt.Sprintf("%dh", s.Age/time.Hour)
	}
	return fmt.Sprintf("%dd", s.Age/(24*time.Hour))
}

func verified(s audit.Server) string {
	text := "never verified"
	if !s.VerifiedAt.IsZero() {
		text = "last verified " + minute(s.VerifiedAt)
	}
	return text + only(verificationFailed(s), "; THE NEWEST ONE FAILED ITS VERIFICATION")
}

// part is what an audit found beside the servers' own snapshots.
type part struct {
	what   string
	images []hetzner.Image
	fails  bool // the run
}

func parts(o audit.Outcome) []part {
	return []part{
		{"of servers that are gone", o.Orphans, o.Fails(audit.Orphans)},
		{"that this action did not make", o.Foreign, false},
		{"with delete protection", o.Protected, false},
	}
}

// severalImages lists images, as far as a line has room.
func severalImages(images []hetzner.Image) string {
	var names []string
	for _, image := range images {
		names = append(names, strconv.FormatInt(image.ID, 10))
	}
	return several(names)
}

// serverDeletion is the command that deletes servers: by their IDs, since a shell could give something in a name a meaning.
func serverDeletion(servers []hetzner.Server) string {
	command := "hcloud server delete"
	for _, s := range servers {
		command += fmt.Sprintf(" %d", s.ID)
	}
	return command
}

// auditVerdict is what makes the audit fail, and what there is in all.
func auditVerdict(o audit.Outcome) []string {
	var missing, bad []string
	for _, result := range o.Results {
		missing = append(missing, result.Name)
	}
	for _, finding := range o.Failures {
		bad = append(bad, findings(o, finding))
	}
	return []string{named(missing, "not found"), joined(", ", bad...),
		joined(", ", count(len(o.Servers), "server"), count(o.Count, "snapshot"), only(o.SizeGB > 0, fmt.Sprintf("%.1f GB", o.SizeGB)))}
}

// auditCost is what a month of all snapshots costs, where that is known.
func auditCost(o audit.Outcome) string {
	if o.SizeGB == 0 {
		return ""
	}
	net, gross := monthly(o.Price, o.SizeGB)
	return only(net != "", fmt.Sprintf("%s %s net / %s gross a month", net, o.Price.Currency, gross))
}

// findings counts a finding, and names what it is about.
func findings(o audit.Outcome, finding audit.Finding) string {
	var names []string
	for _, s := range o.Servers {
		switch {
		case finding == audit.Stale && s.Stale:
			names = append(names, s.Name+" "+age(o, s))
		case finding == audit.Unverified && s.VerifiedAt.IsZero():
			names = append(names, s.Name)
		}
	}
	if finding == audit.Orphans || finding == audit.Leftovers {
		return count(o.Found(finding), strings.TrimSuffix(string(finding), "s"))
	}
	return named(names, string(finding))
}

// auditOutputs returns every output. A number that nobody knows, since the project was not read, is empty.
func (r *Report) auditOutputs(o audit.Outcome, result string) []output {
	all, found := audit.Inventory{}, o.Inventory != nil
	if found {
		all = *o.Inventory
	}
	inventory, stale, unverified := []json.RawMessage{}, []string{}, []string{}
	for _, s := range all.Servers {
		inventory = append(inventory, r.object(
			"server_id", s.ID,
			"server_name", s.Name,
			"newest_image_id", known(s.Newest.ID),
			"newest_created", stamp(s.Newest.Created),
			"age_seconds", where(s.Newest.ID != 0 && !all.AgesUnknown, int64(s.Age/time.Second)),
			"count", s.Count,
			"size_gb", rounded(s.SizeGB),
			"stale", s.Stale,
			"verified", !s.VerifiedAt.IsZero(),
			"verified_at", stamp(s.VerifiedAt),
		))
		if s.Stale {
			stale = append(stale, r.text(s.Name))
		}
		if s.VerifiedAt.IsZero() {
			unverified = append(unverified, r.text(s.Name))
		}
	}
	net, gross := monthly(o.Price, all.SizeGB)
	return []output{
		{name: "result", value: result},
		{name: "inventory", value: compact(inventory), spare: 1},
		{name: "stale-servers", value: compact(stale), spare: 5},
		{name: "unverified-servers", value: compact(unverified), spare: 4},
		{name: "orphan-image-ids", value: compact(imageIDs(all.Orphans)), spare: 3},
		{name: "foreign-image-ids", value: compact(imageIDs(all.Foreign)), spare: 2},
		{name: "snapshot-count", value: only(found, strconv.Itoa(all.Count))},
		{name: "size-gb", value: only(found, strconv.FormatFloat(rounded(all.SizeGB), 'f', -1, 64))},
		{name: "monthly-price-net", value: only(found, net)},
		{name: "monthly-price-gross", value: only(found, gross)},
		{name: "currency", value: only(found, r.text(o.Price.Currency))},
	}
}

// rounded drops the digits that only adding has made.
func rounded(gb float64) float64 { return math.Round(gb*1000) / 1000 }

// stamp is a time for programs, and nothing where there is none.
func stamp(t time.Time) *string { return known(only(!t.IsZero(), t.UTC().Format(time.RFC3339))) }

func imageIDs(images []hetzner.Image) []int64 {
	list := make([]int64, len(images))
	for i, image := range images {
		list[i] = image.ID
	}
	return list
}
