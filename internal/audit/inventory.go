package audit

import (
	"time"

	"github.com/org/hsnap-action/internal/copies"
	"github.com/org/hsnap-action/internal/hetzner"
	"github.com/org/hsnap-action/internal/labels"
	"github.com/org/hsnap-action/internal/project"
)

// Inventory is what there is. Snapshots that this program made in another series than the one asked for are no part of it.
type Inventory struct {
	Servers   []Server        // ordered as they were chosen
	Orphans   []hetzner.Image // that this program has made of servers that are gone
	Foreign   []hetzner.Image // that this program has not made
	Protected []hetzner.Image // of the servers here, and orphans
	Leftovers []hetzner.Server

	Count  int // of the snapshots of the servers here, and of the orphans
	SizeGB float64

	AgesUnknown bool // Hetzner did not tell the time
}

// Server is one server and the snapshots that this program has made of it.
type Server struct {
	hetzner.Server
	Newest     hetzner.Image // that is available; zero without one
	Age        time.Duration // of the newest; 0 where that is unknown
	NoAge      bool          // it is: Hetzner did not tell the time, or the newest is from the future
	Count      int
	SizeGB     float64
	Stale      bool
	VerifiedAt time.Time // the last time that a snapshot was verified; zero where none was
}

// Found returns how many there are of a finding.
func (i *Inventory) Found(finding Finding) (n int) {
	switch finding {
	case Orphans:
		return len(i.Orphans)
	case Leftovers:
		return len(i.Leftovers)
	case Stale, Unverified:
		for _, s := range i.Servers {
			if finding == Stale && s.Stale || finding == Unverified && s.VerifiedAt.IsZero() {
				n++
			}
		}
	}
	return n
}

// takeInventory takes the inventory of a project, and of the servers in it that the audit is about. Where Hetzner did not tell
// the time, a snapshot may be of any age, and so counts as stale where the age matters.
func takeInventory(settings Settings, chosen []hetzner.Server, p project.Listing) *Inventory {
	inventory := &Inventory{AgesUnknown: p.Date.IsZero()}
	exists, rows := map[int64]bool{}, map[int64]*Server{}
	for _, server := range p.Servers {
		exists[server.ID] = true
		// Somebody may have put the label on a server of their own.
		if copies.Is(server) && isOver(server, p.Date) {
			inventory.Leftovers = append(inventory.Leftovers, server)
		}
	}
	for _, server := range chosen {
		inventory.Servers = append(inventory.Servers, Server{Server: server})
	}
	for i := range inventory.Servers {
		rows[inventory.Servers[i].ID] = &inventory.Servers[i]
	}
	for _, image := range p.Images {
		id, ours := project.Owner(image, exists)
		row := rows[id]
		switch {
		case !ours:
			inventory.Foreign = append(inventory.Foreign, image)
			continue
		case settings.Series != "" && image.Labels[labels.Series] != settings.Series:
			continue
		case !exists[id]:
			inventory.Orphans = append(inventory.Orphans, image)
		case row == nil: // of a server that is not asked about
			continue
		default:
			row.add(image)
		}
		inventory.Count++
		inventory.SizeGB += image.SizeGB
		if image.Protected {
			inventory.Protected = append(inventory.Protected, image)
		}
	}
	for _, row := range rows {
		row.judge(settings.StaleAfter, p.Date)
	}
	return inventory
}

// isOver reports whether the time that a verification's copy may exist is over, by Hetzner's clock. Where nobody can tell,
// somebody should look.
func isOver(copied hetzner.Server, date time.Time) bool {
	return copies.Until(copied).IsZero() || date.IsZero() || copies.Expired(copied, date)
}

// add counts a snapshot of the server.
func (s *Server) add(image hetzner.Image) {
	s.Count++
	s.SizeGB += image.SizeGB
	if image.Available() && image.NewerThan(s.Newest) {
		s.Newest = image
	}
	if at, verified := labels.VerifiedAt(image); verified && at.After(s.VerifiedAt) {
		s.VerifiedAt = at
	}
}

// judge decides whether the server's snapshots are stale.
func (s *Server) judge(staleAfter time.Duration, date time.Time) {
	if s.Stale = s.Newest.ID == 0; s.Stale {
		return
	}
	if s.NoAge = date.IsZero() || s.Newest.Created.Sub(date) > time.Minute; !s.NoAge {
		s.Age = max(0, date.Sub(s.Newest.Created))
	}
	s.Stale = staleAfter > 0 && (s.NoAge || s.Age >= staleAfter)
}
