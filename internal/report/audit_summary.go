package report

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/org/hsnap-action/internal/audit"
	"github.com/org/hsnap-action/internal/hetzner"
	"github.com/org/hsnap-action/internal/labels"
)

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

// audited shows the servers: those without a usable snapshot, those whose newest one is stale, others to look at, and the
// rest, which is folded away if all together are many.
func (p *page) audited(o audit.Outcome) {
	if len(o.Servers) == 0 {
		return
	}
	servers := slices.Clone(o.Servers)
	slices.SortStableFunc(servers, func(a, b audit.Server) int {
		first := cmp.Compare(concern(o, a), concern(o, b))
		if first == 0 && a.Stale {
			return cmp.Compare(b.Age, a.Age)
		}
		return first
	})
	marked := slices.IndexFunc(servers, func(s audit.Server) bool { return concern(o, s) == noConcern })
	if marked < 0 || len(servers) <= foldAbove {
		marked = len(servers)
	}
	if marked > 0 {
		p.servers(o, servers[:marked])
	}
	if rest := servers[marked:]; len(rest) > 0 {
		p.fold(false, count(len(rest), only(marked > 0, "other ")+"server"))
		p.servers(o, rest)
		p.endFold()
	}
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
	return s.Newest.Labels[labels.Verify] == labels.VerifyFailed
}

// red marks what somebody should look at. The mark stays on the line of what it marks.
func red(is bool) string { return only(is, "🔴&nbsp;") }

// servers is a table of servers. Units stand in its head, and of the last verification there is no more than the day, so
// that names have room.
func (p *page) servers(o audit.Outcome, servers []audit.Server) {
	var rows [][]string
	for _, s := range servers {
		failed := verificationFailed(s)
		net, gross := monthly(o.Price, s.SizeGB)
		rows = append(rows, []string{
			p.cell(s.Name), id(s.Newest.ID) + only(failed, "<br>"+red(true)+"verification&nbsp;failed"), red(s.Stale) + age(o, s),
			strconv.Itoa(s.Count), only(s.SizeGB > 0, fmt.Sprintf("%.2f", s.SizeGB)), only(s.SizeGB > 0 && net != "", net+" / "+gross),
			only(s.VerifiedAt.IsZero(), red(o.Fails(audit.Unverified))+"never") + only(!s.VerifiedAt.IsZero(), s.VerifiedAt.UTC().Format(time.DateOnly)),
		})
	}
	price := cmp.Or(only(o.Price.Currency != "", p.cell(o.Price.Currency)+" a month,<br>net / gross"), "a month")
	p.table("server|>newest snapshot|>age|>snapshots|>GB|>"+price+"|last verified", rows, len(rows),
		"\n… and %d more servers; the output `inventory` holds them all.\n")
}

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
	for i := range commands {
		commands[i] += "\n"
	}
	p.list(commands, commandsMost, pageMost, "# … and %d more commands of this kind\n")
	p.print("```\n")
	p.endFold()
}

// leftovers lists the copies that verifications have left behind.
func (p *page) leftovers(servers []hetzner.Server, fails bool) {
	if len(servers) == 0 {
		return
	}
	var rows [][]string
	for _, s := range servers {
		rows = append(rows, []string{p.cell(s.Name), id(s.ID), p.cell(s.Type)})
	}
	p.fold(true, red(fails)+count(len(servers), "server")+" left behind by verifications, and paid for")
	p.table("server|>ID|type", rows, imagesMost, "\n… and %d more.\n")
	p.deletions([]string{serverDeletion(servers)})
}
