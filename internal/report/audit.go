package report

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/org/hsnap-action/internal/audit"
	"github.com/org/hsnap-action/internal/hetzner"
	"github.com/org/hsnap-action/internal/labels"
	"github.com/org/hsnap-action/internal/snapshot"
)

// DeliverAudit is [Report.DeliverSnapshot] for an audit. It also reports what was found.
func (r *Report) DeliverAudit(o audit.Outcome) Tally {
	why := whole(o.Outcome, r.asked)
	bad := o.Inventory == nil || o.Nothing || len(o.Results) > 0 || len(o.Failures) > 0
	t := Tally{Result: resultOf(o.Outcome, false, bad, "success"), Bad: bad, Stopped: stopped(o.Outcome)}
	e := ending{
		title: "Audit of Hetzner Cloud snapshots", tally: t, why: why,
		urgent:  only(o.Inventory == nil && why.what == "" && len(r.mistakes) == 0, "the project was not read to its end"),
		outputs: r.auditOutputs(o, t.Result), summary: func(p *page) { r.auditSummary(p, o, why) },
	}
	if o.Inventory != nil {
		r.found(o)
		e.rest, e.price = auditVerdict(o), auditCost(o)
	}
	return r.end(e)
}

// found logs the inventory, and reports what makes the run fail.
func (r *Report) found(o audit.Outcome) {
	list := each(o.Servers, func(s audit.Server) string {
		all := joined(", ", count(s.Count, "snapshot"), gigabytes(s.SizeGB)) + "; " + verified(s)
		return s.Name + ": " + joined("; ", newest(s), only(s.Count > 0, all))
	})
	if len(list) > 0 {
		r.group("inventory", len(list) > foldAbove, list)
	}
	for _, part := range parts(o) {
		if len(part.images) > 0 {
			r.Line("%s %s: %s", count(len(part.images), "snapshot"), part.what, severalImages(part.images))
		}
	}
	if o.Count > 0 && o.Price.Currency == "" {
		r.Warn("Hetzner's price list could not be read, so nothing is said about what the snapshots cost")
	}
	if o.AgesUnknown {
		r.Warn("Hetzner's answer did not tell the time, so nobody knows how old the snapshots are; with stale-after all of them count as stale")
	}
	if len(o.Leftovers) > 0 {
		r.leftovers(o)
	}
	if o.Fails(audit.Orphans) {
		r.failure("", "failed (orphans)", account{
			what: fmt.Sprintf("%s of servers that are gone: %s", count(len(o.Orphans), "snapshot"), severalImages(o.Orphans)),
			next: "delete those that nobody needs; the job summary has the commands",
		}, false)
	}
	for _, s := range byConcern(o) {
		r.complain(o, s)
	}
}

// leftovers reports the copies that verifications have left behind: they cost money whether the run is to fail on them or not.
func (r *Report) leftovers(o audit.Outcome) {
	names := each(o.Leftovers, func(s hetzner.Server) string { return s.Name })
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
	case s.NoAge:
		a.next = "run it again; " + adviceNoDate
	}
	a.what = joined("; ", only(stale, newest(s)), only(unverified, "none of its snapshots is verified"+only(verificationFailed(s), ", and the newest one failed its verification")))
	r.failure(s.Name, "failed ("+joined(", ", only(stale, "stale"), only(unverified, "unverified"))+")", a, false)
}

// newest says which snapshot of a server is the newest that can be used, and how old it is.
func newest(s audit.Server) string {
	if s.Newest.ID == 0 {
		return "it has no snapshot that can be used"
	}
	return fmt.Sprintf("its newest snapshot is image %d of %s, ", s.Newest.ID, minute(s.Newest.Created)) +
		only(s.NoAge, "of unknown age") + only(!s.NoAge, age(s)+" old")
}

// age is how old a server's newest snapshot is.
func age(s audit.Server) string {
	switch {
	case s.Newest.ID == 0:
		return "none"
	case s.NoAge:
		return "unknown"
	}
	return old(s.Age)
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
	return several(each(images, func(image hetzner.Image) string { return id(image.ID) }))
}

// serverDeletion is the command that deletes servers: by their IDs, since a shell could give something in a name a meaning.
func serverDeletion(servers []hetzner.Server) string {
	return "hcloud server delete " + ids(each(servers, func(s hetzner.Server) int64 { return s.ID }), " ")
}

// auditVerdict is what makes the audit fail, and what there is in all.
func auditVerdict(o audit.Outcome) []string {
	missing := each(o.Results, func(result snapshot.Result) string { return result.Name })
	bad := each(o.Failures, func(finding audit.Finding) string { return findings(o, finding) })
	return []string{named(missing, "not found"), joined(", ", bad...),
		joined(", ", count(len(o.Servers), "server"), count(o.Count, "snapshot"), only(o.SizeGB > 0, fmt.Sprintf("%.1f GB", o.SizeGB)))}
}

// auditCost is what a month of all snapshots costs, where that is known.
func auditCost(o audit.Outcome) string {
	if o.SizeGB == 0 {
		return ""
	}
	net, gross := monthly(o.Price, o.SizeGB)
	return only(net != "", fmt.Sprintf("%s net / %s gross %s a month", net, gross, o.Price.Currency))
}

// findings counts a finding, and names what it is about.
func findings(o audit.Outcome, finding audit.Finding) string {
	var names []string
	for _, s := range byConcern(o) {
		switch {
		case finding == audit.Stale && s.Stale:
			names = append(names, s.Name+" "+age(s))
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
	all := cmp.Or(o.Inventory, &audit.Inventory{})
	found := func(value any) any {
		if o.Inventory == nil {
			return ""
		}
		return value
	}
	names := func(is func(audit.Server) bool) []string {
		return each(those(all.Servers, is), func(s audit.Server) string { return r.text(s.Name) })
	}
	net, gross := monthly(o.Price, all.SizeGB)
	return []output{
		{name: "result", value: result},
		{name: "inventory", value: each(all.Servers, r.inventoryEntry), spare: 1},
		{name: "stale-servers", value: names(func(s audit.Server) bool { return s.Stale }), spare: 5},
		{name: "unverified-servers", value: names(func(s audit.Server) bool { return s.VerifiedAt.IsZero() }), spare: 4},
		{name: "orphan-image-ids", value: each(all.Orphans, imageID), spare: 3},
		{name: "foreign-image-ids", value: each(all.Foreign, imageID), spare: 2},
		{name: "snapshot-count", value: found(all.Count)},
		{name: "size-gb", value: found(rounded(all.SizeGB))},
		{name: "monthly-price-net", value: found(net)},
		{name: "monthly-price-gross", value: found(gross)},
		{name: "currency", value: found(r.text(o.Price.Currency))},
	}
}

// inventoryEntry is one server in the output "inventory".
func (r *Report) inventoryEntry(s audit.Server) json.RawMessage {
	return r.object(
		"server_id", s.ID, "server_name", s.Name,
		"newest_image_id", known(s.Newest.ID), "newest_created", stamp(s.Newest.Created),
		"age_seconds", where(s.Newest.ID != 0 && !s.NoAge, int64(s.Age/time.Second)),
		"count", s.Count, "size_gb", rounded(s.SizeGB), "stale", s.Stale,
		"verified", !s.VerifiedAt.IsZero(), "verified_at", stamp(s.VerifiedAt),
	)
}

// rounded drops the digits that only adding has made.
func rounded(gb float64) float64 { return math.Round(gb*1000) / 1000 }

// stamp is a time for programs, and nothing where there is none.
func stamp(t time.Time) *string { return known(only(!t.IsZero(), t.UTC().Format(time.RFC3339))) }

func imageID(image hetzner.Image) int64 { return image.ID }

const (
	imagesMost   = 300 // rows of a table of images
	commandsMost = 50  // lines of commands under it
	commandIDs   = 100 // in one command
)

// auditSummary is the job summary: who has no recent snapshot first, then what nobody counts on any more.
func (r *Report) auditSummary(p *page, o audit.Outcome, why account) {
	r.begin(p, o.Outcome, why)
	if o.Inventory == nil {
		return
	}
	if o.AgesUnknown {
		p.print("Hetzner's answer did not tell the time, so nobody knows how old the snapshots are.\n\n")
	}
	p.audited(o)
	for _, part := range parts(o) {
		p.images(part, o.Price)
	}
	p.leftovers(o.Leftovers, o.Fails(audit.Leftovers))
}

// byConcern are the servers: those without a usable snapshot, those whose newest one is stale, others to look at, and the rest.
func byConcern(o audit.Outcome) []audit.Server {
	servers := slices.Clone(o.Servers)
	slices.SortStableFunc(servers, func(a, b audit.Server) int {
		first := cmp.Compare(concern(o, a), concern(o, b))
		if first == 0 && a.Stale {
			return cmp.Compare(b.Age, a.Age)
		}
		return first
	})
	return servers
}

// audited is a table of the servers, and what all their snapshots cost. Units stand in its head, and of the last verification
// there is no more than the day, so that names have room.
func (p *page) audited(o audit.Outcome) {
	if len(o.Servers) == 0 {
		return
	}
	var rows []row
	for _, s := range byConcern(o) {
		net, gross := monthly(o.Price, s.SizeGB)
		rows = append(rows, row{quiet: concern(o, s) == noConcern, cells: []string{
			p.cell(s.Name), id(s.Newest.ID) + only(verificationFailed(s), "<br>"+red(true)+"verification&nbsp;failed"), red(s.Stale) + age(s),
			strconv.Itoa(s.Count), only(s.SizeGB > 0, fmt.Sprintf("%.2f", s.SizeGB)), only(s.SizeGB > 0 && net != "", net+" / "+gross),
			only(s.VerifiedAt.IsZero(), red(o.Fails(audit.Unverified))+"never") + day(s.VerifiedAt),
		}})
	}
	price := cmp.Or(only(o.Price.Currency != "", p.cell(o.Price.Currency)+" a month,<br>net / gross"), "a month")
	p.servers("server|>newest snapshot|>age|>snapshots|>GB|>"+price+"|last verified", rows, "the output `inventory`")
	p.print("\n%s%s: %s.\n", count(o.Count, "snapshot"), only(len(o.Orphans) > 0, ", those of servers that are gone included"), p.cost(o.Price, o.SizeGB))
}

// noConcern is the concern of a server whose row has no red mark.
const noConcern = 3

// concern ranks servers by how soon somebody should look at them, the most pressing first.
func concern(o audit.Outcome, s audit.Server) int {
	switch {
	case s.Newest.ID == 0:
		return 0
	case s.Stale:
		return 1
	case verificationFailed(s), s.VerifiedAt.IsZero() && o.Fails(audit.Unverified):
		return 2
	}
	return noConcern
}

func verificationFailed(s audit.Server) bool {
	return labels.FailedVerification(s.Newest)
}

// red marks what somebody should look at. The mark stays on the line of what it marks.
func red(is bool) string { return only(is, "🔴&nbsp;") }

// images lists snapshots, and the commands that delete them. Those with delete protection take one more.
func (p *page) images(part part, price hetzner.Price) {
	if len(part.images) == 0 {
		return
	}
	gb := 0.0
	var rows [][]string
	var commands, guarded []string
	var free []int64
	for _, image := range part.images {
		gb += image.SizeGB
		rows = append(rows, []string{
			id(image.ID), p.cell(cmp.Or(image.Labels[labels.ServerID], id(image.CreatedFrom))), p.cell(image.Labels[labels.Series]),
			minute(image.Created), gigabytes(image.SizeGB), p.cell(image.Description),
		})
		if image.Protected {
			guarded = append(guarded, fmt.Sprintf("hcloud image disable-protection %d delete && %s", image.ID, deletion(image.ID)))
			continue
		}
		free = append(free, image.ID)
	}
	for chunk := range slices.Chunk(free, commandIDs) {
		commands = append(commands, deletion(chunk...))
	}
	p.fold(false, fmt.Sprintf("%s%s %s: %s", red(part.fails), count(len(part.images), "snapshot"), part.what, p.cost(price, gb)))
	p.table(">image|>of server|series|made|>size|description", rows, imagesMost, "\n… and %d more.\n")
	p.deletions(append(commands, guarded...))
}

// deletions lists commands that delete what nobody needs, and ends the part of the page that they are about.
func (p *page) deletions(commands []string) {
	p.print("\nTo delete what nobody needs:\n\n```sh\n")
	p.list(each(commands, func(command string) string { return command + "\n" }), commandsMost, pageMost, "# … and %d more commands of this kind\n")
	p.print("```\n")
	p.endFold()
}

// leftovers lists the copies that verifications have left behind.
func (p *page) leftovers(servers []hetzner.Server, fails bool) {
	if len(servers) == 0 {
		return
	}
	rows := each(servers, func(s hetzner.Server) []string { return []string{p.cell(s.Name), id(s.ID), p.cell(s.Type)} })
	p.fold(true, red(fails)+count(len(servers), "server")+" left behind by verifications, and paid for")
	p.table("server|>ID|type", rows, imagesMost, "\n… and %d more.\n")
	p.deletions([]string{serverDeletion(servers)})
}
