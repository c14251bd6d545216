// Package project reads what a command needs to know of a Hetzner Cloud project before it begins: the servers that the
// user's words mean, the snapshots that there are, and what they cost.
//
// It changes nothing, and decides nothing about a server but whether it was selected.
package project

import (
	"cmp"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/org/hsnap-action/internal/hetzner"
	"github.com/org/hsnap-action/internal/labels"
)

// Selection is how the user names servers.
type Selection struct {
	Servers, Exclude []string // names, IDs or globs, each once; Servers is empty when LabelSelector is set
	LabelSelector    string
}

// Selected is what a selection means in a project.
type Selected struct {
	Servers   []hetzner.Server // each once, ordered by name
	Missing   []string         // names and IDs that do not exist
	Empty     []string         // globs, or a selector, that match nothing
	Unused    []string         // what is named in exclude and matches nothing
	Ambiguous []string         // numbers that are one server's ID and another's name: the ID was taken
	Drills    []string         // copies made by verifications that were named outright

	all []hetzner.Server
}

// Choose finds the servers that a selection means among all servers of the project (or, with a label selector, among
// those that Hetzner selected). A verification's copy is never selected.
func (sel Selection) Choose(all []hetzner.Server) Selected {
	s := Selected{all: all, Servers: slices.DeleteFunc(slices.Clone(all), IsDrill)}
	chosen := map[int64]bool{}
	if sel.LabelSelector != "" {
		for _, server := range s.Servers {
			chosen[server.ID] = true
		}
		if len(s.Servers) == 0 {
			s.Empty = append(s.Empty, sel.LabelSelector)
		}
	}
	for _, word := range sel.Servers {
		found := s.match(word)
		if isGlob(word) {
			found = slices.DeleteFunc(slices.Clone(found), IsDrill)
		}
		for _, server := range found {
			chosen[server.ID] = true
			if IsDrill(server) {
				s.Drills = append(s.Drills, word)
			}
		}
		switch {
		case len(found) > 0:
		case isGlob(word):
			s.Empty = append(s.Empty, word)
		default:
			s.Missing = append(s.Missing, word)
		}
	}
	for _, word := range sel.Exclude {
		found := s.match(word)
		for _, server := range found {
			delete(chosen, server.ID)
		}
		if len(found) == 0 {
			s.Unused = append(s.Unused, word)
		}
	}
	s.Servers = slices.DeleteFunc(s.Servers, func(server hetzner.Server) bool { return !chosen[server.ID] })
	slices.SortFunc(s.Servers, func(a, b hetzner.Server) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.ID, b.ID))
	})
	return s
}

// Mistake is an entry of the inputs that can't be meant as it is written.
type Mistake struct {
	Word    string
	Drill   bool   // it names a verification's copy; otherwise it is named in exclude and matches nothing
	Nearest string // the server that may have been meant, "" for none
}

// Mistakes returns what is wrong with the selection. With spare each name and ID in exclude must exist: something is about
// to be done to the server that it was to spare. Everyone are all servers of the project, where a label selector has chosen
// among them.
func (s Selected) Mistakes(spare bool, everyone []hetzner.Server) (list []Mistake) {
	whole := Selected{all: everyone}
	for _, word := range s.Drills {
		list = append(list, Mistake{Word: word, Drill: true})
	}
	for _, word := range s.Unused {
		if spare && !isGlob(word) && len(whole.match(word)) == 0 {
			list = append(list, Mistake{Word: word, Nearest: whole.Nearest(word)})
		}
	}
	return list
}

// match returns the servers that a word means: as an ID first, then as a name, then as a glob.
func (s *Selected) match(word string) (found []hetzner.Server) {
	id, err := strconv.ParseInt(word, 10, 64)
	isID := func(server hetzner.Server) bool { return err == nil && server.ID == id }
	if i := slices.IndexFunc(s.all, isID); i >= 0 {
		if slices.ContainsFunc(s.all, func(other hetzner.Server) bool { return other.Name == word && other.ID != id }) {
			s.Ambiguous = append(s.Ambiguous, word)
		}
		return s.all[i : i+1]
	}
	for _, server := range s.all {
		ok := server.Name == word || word == "*" // every server, whatever its name holds
		if !ok && isGlob(word) {
			ok, _ = path.Match(word, server.Name) // a bad pattern was refused with the inputs
		}
		if ok {
			found = append(found, server)
		}
	}
	return found
}

// Nearest returns the name of the project's server that is the most like a word, "" where none is.
func (s Selected) Nearest(word string) (name string) {
	best := 1 + min(2, len(word)/3) // so few typing mistakes that the name may have been meant
	for _, server := range s.all {
		if d := distance(strings.ToLower(word), strings.ToLower(server.Name)); d < best && !IsDrill(server) {
			best, name = d, server.Name
		}
	}
	return name
}

// distance is how many characters must be added, removed or replaced to make one word of another (Levenshtein's).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for i := range row {
		row[i] = i
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0]++
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(row[j]+1, row[j+1]+1, replaced)
		}
	}
	return row[len(b)]
}

// isGlob reports whether a word is a pattern rather than a name or an ID.
func isGlob(word string) bool { return strings.ContainsAny(word, `*?[\`) }

// IsDrill reports whether a server carries the label of a copy that a verification has made. That is enough to leave it alone; to
// delete it, package copies wants its name too.
func IsDrill(server hetzner.Server) bool {
	_, labelled := server.Labels[labels.Drill]
	return labelled
}
