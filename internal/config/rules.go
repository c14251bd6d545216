package config

import (
	"slices"
	"strings"
)

// complete implements [Settings].
func (s *Snapshot) complete(r *reader) {
	r.needSelection(s.Servers)
	for _, in := range r.inputs {
		if !r.given(in.key) {
			continue
		}
		keeps := strings.HasPrefix(in.key, "KEEP_")
		if (keeps || in.key == "REUSE_WITHIN") && !r.given("SERIES") {
			may := "deleted"
			if !keeps {
				may = "taken over"
			}
			r.mistake(in.key, "needs a series: name the one whose snapshots may be %s, as series: nightly", may)
		}
		waits := keeps || in.key == "PROTECT" && bool(s.Protect) || in.key == "SHUTDOWN" && s.Shutdown != "never"
		if waits && !bool(s.Wait) {
			r.mistake(in.key, "can't be combined with %s: false: it needs the snapshots to be available", r.nameOf("WAIT"))
		}
	}
}

// complete implements [Settings].
func (p *Prune) complete(r *reader) {
	r.needSelection(p.Servers)
	if !r.given("SERIES") {
		r.mistake("SERIES", "is missing: name the one whose snapshots may be deleted, as series: nightly")
	}
	keeps := func(in input) bool { return strings.HasPrefix(in.key, "KEEP_") && r.given(in.key) }
	if !slices.ContainsFunc(r.inputs, keeps) {
		r.mistake("KEEP_LAST", "is missing: give it or another of the keep-* inputs, which say what to keep")
	}
}

// complete implements [Settings].
func (a *Audit) complete(r *reader) {
	if r.given("SERVERS") || r.given("LABEL_SELECTOR") {
		r.needSelection(a.Servers)
	}
	switch {
	case a.FailOn == nil && a.StaleAfter > 0:
		a.FailOn = List{"stale"}
	case slices.Contains(a.FailOn, "stale") && !r.given("STALE_AFTER"):
		r.mistake("FAIL_ON", "has stale, which needs %s: the age from which a snapshot is stale, as 26h", r.nameOf("STALE_AFTER"))
	}
}

// needSelection wants exactly one of the two inputs that select servers, and servers in the list that one of them gave.
func (r *reader) needSelection(list List) {
	servers, selector := r.nameOf("SERVERS"), r.nameOf("LABEL_SELECTOR")
	switch {
	case r.given("SERVERS") && r.given("LABEL_SELECTOR"):
		r.mistake("LABEL_SELECTOR", "can't be combined with %s: give exactly one of the two", servers)
	case !r.given("SERVERS") && !r.given("LABEL_SELECTOR"):
		r.mistake("SERVERS", "is missing: give either %s (names, IDs or globs, as web-*) or %s (as env=prod)", servers, selector)
	case list != nil && len(list) == 0:
		r.mistake("SERVERS", "lists nothing: give names, IDs or globs, as web-*")
	}
}

func (r *reader) needToken() {
	if !r.given("HCLOUD_TOKEN") {
		r.mistake("HCLOUD_TOKEN", "is missing: set `hcloud-token: ${{ secrets.HCLOUD_TOKEN }}` or the environment variable"+
			" HCLOUD_TOKEN (a run started from a fork gets no secrets)")
	}
}
