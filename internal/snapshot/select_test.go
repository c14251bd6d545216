package snapshot

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/org/hsnap-action/internal/config"
	"github.com/org/hsnap-action/internal/hetzner"
)

func TestChoose(t *testing.T) {
	all := []hetzner.Server{{ID: 1, Name: "web-2"}, {ID: 2, Name: "web-1"}, {ID: 3, Name: "db-1"}, {ID: 4, Name: "3"}, {ID: 5, Name: "4711"}}
	tests := []struct {
		name     string
		settings Settings
		all      []hetzner.Server
		servers  []string
		missing  []string
		empty    []string
		unused   []string
	}{
		{name: "names, ordered, each once", settings: Settings{Servers: []string{"web-2", "db-1", "web-2", "web-*"}}, servers: []string{"db-1", "web-1", "web-2"}},
		{name: "a number is an ID first", settings: Settings{Servers: []string{"3"}}, servers: []string{"db-1"}},
		{name: "a number that is no ID is a name", settings: Settings{Servers: []string{"4711"}}, servers: []string{"4711"}},
		{name: "everything", settings: Settings{Servers: []string{"*"}}, servers: []string{"3", "4711", "db-1", "web-1", "web-2"}},
		{name: "nothing goes missing in silence", settings: Settings{Servers: []string{"nope", "99", "mail-*", "web-1"}}, servers: []string{"web-1"}, missing: []string{"nope", "99"}, empty: []string{"mail-*"}},
		{name: "excludes by name, ID and glob", settings: Settings{Servers: []string{"*"}, Exclude: []string{"web-*", "5", "3", "mail"}}, servers: []string{"3"}, unused: []string{"mail"}},
		{name: "what is excluded was found", settings: Settings{Servers: []string{"web-1"}, Exclude: []string{"web-1"}}},
		{name: "a selector takes what Hetzner selected", settings: Settings{LabelSelector: "env=prod"}, all: all[:2], servers: []string{"web-1", "web-2"}},
		{name: "a selector that matches nothing", settings: Settings{LabelSelector: "env=prod"}, all: []hetzner.Server{}, empty: []string{"env=prod"}},
		{name: "a glob's brackets", settings: Settings{Servers: []string{"web-[1]"}}, servers: []string{"web-1"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.all == nil {
				tt.all = all
			}
			got := choose(tt.settings, tt.all)
			var names []string
			for _, server := range got.servers {
				names = append(names, server.Name)
			}
			for what, pair := range map[string][2][]string{
				"servers": {tt.servers, names}, "missing": {tt.missing, got.missing}, "empty": {tt.empty, got.empty}, "unused": {tt.unused, got.unused},
			} {
				if diff := cmp.Diff(pair[0], pair[1]); diff != "" {
					t.Errorf("%s (-want +got):\n%s", what, diff)
				}
			}
		})
	}
}

func TestLabels(t *testing.T) {
	server := hetzner.Server{ID: 42, Labels: map[string]string{
		"env": "prod", "team": "db", "hsnap/request": "forged", "hetzner.cloud/x": "y",
	}}
	settings := Settings{
		Series: "nightly", Run: "7-1", Repository: "acme.shop", CopyServerLabels: true, Reserved: config.Reserved,
		Labels: map[string]string{"team": "ops"},
	}
	want := map[string]string{
		"env": "prod", "team": "ops", "hsnap/series": "nightly", "hsnap/server-id": "42",
		"hsnap/run": "7-1", "hsnap/repository": "acme.shop", "hsnap/request": "r1",
	}
	if diff := cmp.Diff(want, settings.labels(server, "r1")); diff != "" {
		t.Errorf("labels (-want +got):\n%s", diff)
	}
}
