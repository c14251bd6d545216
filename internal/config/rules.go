package config

import (
	"slices"
	"strings"
)

// complete implements [Settings].
func (s *Snapshot) complete(r *reader) {
	r.needSelection(s.Servers)
	for _, in := range r.inputs {
		keeps := in.keeps()
		if (keeps || in.key == "REUSE_WITHIN" && in.given()) && !r.input("SERIES").given() {
			r.add("%s needs a series: name the one whose snapshots it is about, as series: nightly", in.name)
		}
		waits := keeps || in.key == "PROTECT" && bool(s.Protect) || in.key == "SHUTDOWN" && s.Shutdown != "never"
		if waits && !bool(s.Wait) {
			r.add("%s can't be combined with %s: false: it needs the snapshots to be available", in.name, r.input("WAIT").name)
		}
	}
}

// complete implements [Settings].
func (s *Restore) complete(r *reader) {
	if in := r.input("IMAGES"); !in.given() {
		r.add("%s is missing: name each server and its image, as db-1=123 or db-1=latest", in.name)
	}
	r.needSeries(s.Images)
}

// complete implements [Settings].
func (v *Verify) complete(r *reader) {
	servers, selector, images := r.input("SERVERS"), r.input("LABEL_SELECTOR"), r.input("IMAGES")
	switch {
	case images.given():
		r.onlyImages(images)
	case servers.given() || selector.given():
		r.needSelection(v.Servers)
	default:
		r.add("%s is missing: give either %[1]s (names, IDs or globs, as web-*), %s (as env=prod) or %s (as db-1=123)",
			servers.name, selector.name, images.name)
	}
	r.needSeries(v.Images)
	if in := r.input("ALLOW_FROM"); v.Prove.Kind != ProofRunning && !v.AllowFrom.hasIPv4() {
		r.add("%s has no IPv4 network, but a copy has an IPv4 address only: add the one that this run comes from, as 203.0.113.7/32", in.name)
	}
}

// complete implements [Settings].
func (p *Prune) complete(r *reader) {
	r.needSelection(p.Servers)
	if in := r.input("SERIES"); !in.given() {
		r.add("%s is missing: name the one whose snapshots may be deleted, as series: nightly", in.name)
	}
	if !slices.ContainsFunc(r.inputs, input.keeps) {
		r.add("%s is missing: give it or another of the keep-* inputs, which say what to keep", r.input("KEEP_LAST").name)
	}
}

// complete implements [Settings].
func (a *Audit) complete(r *reader) {
	if r.input("SERVERS").given() || r.input("LABEL_SELECTOR").given() {
		r.needSelection(a.Servers)
	}
	failOn, staleAfter := r.input("FAIL_ON"), r.input("STALE_AFTER")
	if a.FailOn != nil && len(a.FailOn) == 0 && failOn.value != "[]" {
		r.add("%s lists nothing: give what to fail on, or [] for nothing", failOn.name)
	}
	if !failOn.given() && staleAfter.given() {
		a.FailOn = List{"stale"}
	}
	if slices.Contains(a.FailOn, "stale") && !staleAfter.given() {
		r.add("%s has stale, which needs %s: the age from which a snapshot is stale, as 26h", failOn.name, staleAfter.name)
	}
}

// keeps reports whether the input says which snapshots to keep when others are deleted.
func (in input) keeps() bool { return strings.HasPrefix(in.key, "KEEP_") && in.given() }

// needSelection wants exactly one of the two inputs that select servers, and servers in the list if that is given.
func (r *reader) needSelection(list List) {
	servers, selector := r.input("SERVERS"), r.input("LABEL_SELECTOR")
	switch {
	case servers.given() && selector.given():
		r.add("%s can't be combined with %s: give exactly one of the two", selector.name, servers.name)
	case !servers.given() && !selector.given():
		r.add("%s is missing: give either %[1]s (names, IDs or globs, as web-*) or %s (as env=prod)", servers.name, selector.name)
	case list != nil && len(list) == 0:
		r.add("%s lists nothing: give names, IDs or globs, as web-*", servers.name)
	}
}

// onlyImages wants none of the inputs that select servers beside images, which names them.
func (r *reader) onlyImages(images input) {
	hint := "it names each server itself"
	if strings.HasPrefix(images.name, "HSNAP_") {
		hint += " (an earlier job's file of outputs may have set it)"
	}
	for _, key := range []string{"SERVERS", "LABEL_SELECTOR", "EXCLUDE"} {
		if in := r.input(key); in.given() {
			r.add("%s can't be combined with %s: %s", in.name, images.name, hint)
		}
	}
}

// needSeries wants an explicit series where images has to be looked for in one.
func (r *reader) needSeries(chosen Images) {
	images, series := r.input("IMAGES"), r.input("SERIES")
	if newest := chosen.newest(); newest != "" && !series.given() {
		r.add("%s has %s, which needs %s: name the one to look in, as series: nightly", images.name, newest, series.name)
	}
}

func (r *reader) needToken() {
	if in := r.input("HCLOUD_TOKEN"); !in.given() {
		r.add("%s is missing: set `hcloud-token: ${{ secrets.HCLOUD_TOKEN }}` or the environment variable HCLOUD_TOKEN"+
			" (a run started from a fork gets no secrets)", in.name)
	}
}
