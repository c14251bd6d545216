package project

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/org/hsnap-action/internal/hetzner"
)

func TestChoose(t *testing.T) {
	all := []hetzner.Server{
		{ID: 1, Name: "web-2"}, {ID: 2, Name: "web-1"}, {ID: 3, Name: "db-1"}, {ID: 4, Name: "3"},
		{ID: 5, Name: "hsnap-drill-77", Labels: map[string]string{"hsnap/drill": ""}}, // the label alone counts
	}
	tests := map[string]struct {
		sel  Selection
		want []string
		rest Selected
	}{
		"a name, an ID and a glob, each server once, by name": {Selection{Servers: []string{"web-2", "1", "db-*"}}, []string{"db-1", "web-2"}, Selected{}},
		"every server but a verification's copy":              {Selection{Servers: []string{"*"}}, []string{"3", "db-1", "web-1", "web-2"}, Selected{}},
		"a copy that a selector finds":                        {Selection{LabelSelector: "env"}, []string{"3", "db-1", "web-1", "web-2"}, Selected{}},
		"a copy that is named":                                {Selection{Servers: []string{"hsnap-drill-77", "db-1"}}, []string{"db-1"}, Selected{Drills: []string{"hsnap-drill-77"}}},
		"a copy by its ID":                                    {Selection{Servers: []string{"5"}}, nil, Selected{Drills: []string{"5"}}},
		"a glob that matches only a copy":                     {Selection{Servers: []string{"hsnap-drill-*", "db-1"}}, []string{"db-1"}, Selected{Empty: []string{"hsnap-drill-*"}}},
		"what does not exist": {
			Selection{Servers: []string{"db-7", "9", "mail-*", "db-1"}}, []string{"db-1"},
			Selected{Missing: []string{"db-7", "9"}, Empty: []string{"mail-*"}},
		},
		"a number is an ID first, and a warning says so": {Selection{Servers: []string{"3"}}, []string{"db-1"}, Selected{Ambiguous: []string{"3"}}},
		"a number that is only a name":                   {Selection{Servers: []string{"4"}}, []string{"3"}, Selected{}},
		"exclude":                                        {Selection{Servers: []string{"web-*"}, Exclude: []string{"web-1", "bd-1"}}, []string{"web-2"}, Selected{Unused: []string{"bd-1"}}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := test.sel.Choose(all)
			var names []string
			for _, server := range got.Servers {
				names = append(names, server.Name)
			}
			got.Servers, got.all = nil, nil
			if diff := cmp.Diff(test.want, names); diff != "" {
				t.Errorf("chosen (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.rest, got, cmp.AllowUnexported(Selected{})); diff != "" {
				t.Errorf("the rest (-want +got):\n%s", diff)
			}
		})
	}
	if got := (Selection{LabelSelector: "env=none"}).Choose(nil).Empty; !cmp.Equal(got, []string{"env=none"}) {
		t.Errorf("a selector that matches nothing: %q", got)
	}
}

func TestNearest(t *testing.T) {
	s := Selection{}.Choose([]hetzner.Server{
		{Name: "db-1"}, {Name: "web-10"}, {Name: "Mail"}, {Name: "hsnap-drill-77", Labels: map[string]string{"hsnap/drill": "f00d"}},
	})
	for word, want := range map[string]string{
		"db1": "db-1", "bd-1": "", "db-11": "db-1", "wbe-10": "web-10", "mial": "", "mai": "Mail", "mysql": "", "x": "", "": "", "hsnap-drill-7": "",
	} {
		if got := s.Nearest(word); got != want {
			t.Errorf("%q is nearest to %q, want %q", word, got, want)
		}
	}
}
