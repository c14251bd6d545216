package snapshot

import (
	"cmp"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/org/hsnap-action/internal/hetzner"
)

// selection is what the user's words mean in a project.
type selection struct {
	servers []hetzner.Server // each once, ordered by name
	missing []string         // names and IDs that do not exist
	empty   []string         // globs, or a selector, that match nothing
	unused  []string         // excludes that match nothing
}

// choose finds the servers that settings name among all servers of the project (or, with a label selector, among
// those that Hetzner selected).
func choose(settings Settings, all []hetzner.Server) selection {
	var s selection
	chosen := map[int64]bool{}
	if settings.LabelSelector != "" {
		for _, server := range all {
			chosen[server.ID] = true
		}
		if len(all) == 0 {
			s.empty = append(s.empty, settings.LabelSelector)
		}
	}
	for _, word := range settings.Servers {
		found := match(word, all)
		for _, server := range found {
			chosen[server.ID] = true
		}
		switch {
		case len(found) > 0:
		case isGlob(word):
			s.empty = append(s.empty, word)
		default:
			s.missing = append(s.missing, word)
		}
	}
	for _, word := range settings.Exclude {
		found := match(word, all)
		for _, server := range found {
			delete(chosen, server.ID)
		}
		if len(found) == 0 {
			s.unused = append(s.unused, word)
		}
	}
	for _, server := range all {
		if chosen[server.ID] {
			s.servers = append(s.servers, server)
			delete(chosen, server.ID)
		}
	}
	slices.SortFunc(s.servers, func(a, b hetzner.Server) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID))
	})
	return s
}

// match returns the servers that a word means: as an ID first, then as a name, then as a glob.
func match(word string, all []hetzner.Server) []hetzner.Server {
	if id, err := strconv.ParseInt(word, 10, 64); err == nil {
		for _, server := range all {
			if server.ID == id {
				return []hetzner.Server{server}
			}
		}
	}
	glob := isGlob(word)
	var found []hetzner.Server
	for _, server := range all {
		ok := server.Name == word || word == "*" // every server, whatever its name holds
		if !ok && glob {
			ok, _ = path.Match(word, server.Name) // a bad pattern was refused with the inputs
		}
		if ok {
			found = append(found, server)
		}
	}
	return found
}

func isGlob(word string) bool { return strings.ContainsAny(word, `*?[\`) }
