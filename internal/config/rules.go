package config

import (
	"slices"
	"strings"
)

// complete implements [Settings].
func (s *Snapshot) complete(r *reader) {
	r.needSelection(s.Servers)
	for _, in := range r.inputs {
		if (in.keeps() || in.key == "REUSE_WITHIN" && in.given()) && !r.given("SERIES") {
			r.add("%s needs a series: name the one whose snapshots it is about, as series: nightly", in.name)
		}
		waits := in.keeps() || in.key == "PROTECT" && bool(s.Protect) || in.key == "SHUTDOWN" && s.Shutdown != "never"
		if waits && !bool(s.Wait) {
			r.add("%s can't be combined with {WAIT}: false: it needs the snapshots to be available", in.name)
		}
	}
}

// complete implements [Settings].
func (s *Restore) complete(r *reader) {
	if !r.given("IMAGES") {
		r.add("{IMAGES} is missing: name each server and its image, as db-1=123 or db-1=latest")
	}
	r.needSeries(s.Images)
}

// complete implements [Settings].
func (v *Verify) complete(r *reader) {
	switch {
	case r.given("IMAGES"):
		r.onlyImages()
	case r.given("SERVERS"), r.given("LABEL_SELECTOR"):
		r.needSelection(v.Servers)
	default:
		r.add("{SERVERS} is missing: give either {SERVERS} (names, IDs or globs, as web-*), {LABEL_SELECTOR} (as env=prod) or {IMAGES} (as db-1=123)")
	}
	r.needSeries(v.Images)
	if v.Prove.Port != 0 && !v.AllowFrom.hasIPv4() {
		r.add("{ALLOW_FROM} has no IPv4 network, but a copy has an IPv4 address only: add the one that this run comes from, as 203.0.113.7/32")
	}
}

// complete implements [Settings].
func (p *Prune) complete(r *reader) {
	r.needSelection(p.Servers)
	if !r.given("SERIES") {
		r.add("{SERIES} is missing: name the one whose snapshots may be deleted, as series: nightly")
	}
	if !slices.ContainsFunc(r.inputs, input.keeps) {
		r.add("{KEEP_LAST} is missing: give it or another of the keep-* inputs, which say what to keep")
	}
}

// complete implements [Settings].
func (a *Audit) complete(r *reader) {
	if r.given("SERVERS") || r.given("LABEL_SELECTOR") {
		r.needSelection(a.Servers)
	}
	if a.FailOn != nil && len(a.FailOn) == 0 && r.input("FAIL_ON").value != "[]" {
		r.add("{FAIL_ON} lists nothing: give what to fail on, or [] for nothing")
	}
	if !r.given("FAIL_ON") && r.given("STALE_AFTER") {
		a.FailOn = List{"stale"}
	}
	if slices.Contains(a.FailOn, "stale") && !r.given("STALE_AFTER") {
		r.add("{FAIL_ON} has stale, which needs {STALE_AFTER}: the age from which a snapshot is stale, as 26h")
	}
}

// keeps reports whether the input says which snapshots to keep when others are deleted.
func (in input) keeps() bool { return strings.HasPrefix(in.key, "KEEP_") && in.given() }

// needSelection wants exactly one of the two inputs that select servers, and servers in the list if that is given.
func (r *reader) needSelection(list List) {
	switch servers, selector := r.given("SERVERS"), r.given("LABEL_SELECTOR"); {
	case servers && selector:
		r.add("{LABEL_SELECTOR} can't be combined with {SERVERS}: give exactly one of the two")
	case !servers && !selector:
		r.add("{SERVERS} is missing: give either {SERVERS} (names, IDs or globs, as web-*) or {LABEL_SELECTOR} (as env=prod)")
	case list != nil && len(list) == 0:
		r.add("{SERVERS} lists nothing: give names, IDs or globs, as web-*")
	}
}

// onlyImages wants none of the inputs that select servers beside images, which names them.
func (r *reader) onlyImages() {
	hint := "it names each server itself"
	if strings.HasPrefix(r.input("IMAGES").name, "HSNAP_") {
		hint += " (an earlier job's file of outputs may have set it)"
	}
	for _, key := range []string{"SERVERS", "LABEL_SELECTOR", "EXCLUDE"} {
		if r.given(key) {
			r.add("{"+key+"} can't be combined with {IMAGES}: %s", hint)
		}
	}
}

// needSeries wants an explicit series where images has to be looked for in one.
func (r *reader) needSeries(chosen Images) {
	for _, choice := range chosen {
		if choice.Image == 0 && !r.given("SERIES") {
			r.add("{IMAGES} has latest or latest-verified, which needs {SERIES}: name the one to look in, as series: nightly")
			return
		}
	}
}

func (r *reader) needToken() {
	if !r.given("HCLOUD_TOKEN") {
		r.add("{HCLOUD_TOKEN} is missing: set `hcloud-token: ${{ secrets.HCLOUD_TOKEN }}` or the environment variable HCLOUD_TOKEN" +
			" (a run started from a fork gets no secrets)")
	}
}
