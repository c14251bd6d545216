// Package labels knows what this program writes on the snapshots and the copies that it makes, and tells from that which
// snapshots are its own.
//
// It is pure: it sends nothing and reads no environment. What a user may set is checked by package config.
package labels

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"strconv"
	"strings"
	"time"

	"github.com/org/hsnap-action/internal/hetzner"
)

// The labels of a snapshot, of a copy, and of the firewall of copies. Everything under hsnap/ is this program's own.
const (
	Series     = "hsnap/series"
	ServerID   = "hsnap/server-id"
	Repository = "hsnap/repository"
	RunID      = "hsnap/run"
	Request    = "hsnap/request"     // a random value for each server of a run
	Power      = "hsnap/power"       // of a server that was switched off for the snapshot
	Drill      = "hsnap/drill"       // of a server that a verification has made
	DrillUntil = "hsnap/drill-until" // UNIX second after which nobody needs that server

	Verified   = "hsnap/verified"    // when a verification of the snapshot has succeeded, as 2026-11-22T194500Z
	VerifiedBy = "hsnap/verified-by" // how
	Verify     = "hsnap/verify"      // [VerifyFailed] where one has failed since
)

// VerifyFailed is the value of [Verify].
const VerifyFailed = "failed"

// The values of [Power].
const (
	PowerPending = "pending" // the server is off, or was left off by a run that was killed
	PowerDone    = "done"    // it was seen running again
)

// Reserved reports whether a label key may be set by this program (hsnap/) or by Hetzner (hetzner.cloud/) alone. DNS
// names know no case.
func Reserved(key string) bool {
	prefix, _, ok := strings.Cut(key, "/")
	return ok && (strings.EqualFold(prefix, "hsnap") || strings.EqualFold(prefix, "hetzner.cloud"))
}

// Made reports whether this program has made an image of a server in a series: its labels say so, and Hetzner agrees.
func Made(image hetzner.Image, server int64, series string) bool {
	return server != 0 && image.CreatedFrom == server && image.Labels[ServerID] == strconv.FormatInt(server, 10) &&
		series != "" && image.Labels[Series] == series
}

// IsUsable reports whether an image is an available snapshot that this program has made of a server in a series.
func IsUsable(image hetzner.Image, server int64, series string) bool {
	return image.Type == "snapshot" && image.Available() && Made(image, server, series)
}

// Usable returns the available snapshots that this program has made of a server in a series.
func Usable(images []hetzner.Image, server int64, series string) (list []hetzner.Image) {
	for _, image := range images {
		if IsUsable(image, server, series) {
			list = append(list, image)
		}
	}
	return list
}

// VerifiedAt returns when a snapshot was verified, and false where it was not or the last verification failed.
func VerifiedAt(image hetzner.Image) (time.Time, bool) {
	at, err := time.Parse(stamp, image.Labels[Verified])
	if err != nil || FailedVerification(image) {
		return time.Time{}, false
	}
	return at, true
}

// FailedVerification reports whether the last verification of a snapshot has failed.
func FailedVerification(image hetzner.Image) bool { return image.Labels[Verify] == VerifyFailed }

// Judged returns the labels of a snapshot with what a verification at a time has come to: that it is proved, and how, or that
// it has failed. Labels that are about nothing of this stay.
func Judged(old map[string]string, verified bool, how string, at time.Time) map[string]string {
	set := map[string]string{}
	maps.Copy(set, old)
	maps.DeleteFunc(set, func(key, _ string) bool { return key == Verified || key == VerifiedBy || key == Verify })
	if verified {
		set[Verified], set[VerifiedBy] = at.UTC().Format(stamp), how
	} else {
		set[Verify] = VerifyFailed
	}
	return set
}

const (
	stamp       = "2006-01-02T150405Z"
	valueMost   = 63  // characters of a value, by Hetzner's rules
	attemptMost = 100 // of one run; GitHub allows fewer
)

// Run names one attempt of a workflow run. Its zero value is no run.
type Run struct {
	id      string // the same for every attempt
	attempt int64  // 0 where the CI system does not count them
}

// NewRun names the run with this ID. One without an ID gets a random value, so that two such runs are never taken for one.
func NewRun(id, attempt string, random io.Reader) Run {
	if id = value(id, valueMost); id == "" {
		return Run{id: Random(random)}
	}
	n, err := strconv.ParseInt(attempt, 10, 32)
	if err != nil || n < 1 {
		return Run{id: id}
	}
	return Run{id: value(id, valueMost-len("-2147483647")), attempt: n}
}

// Random returns a value for a label that no other run has. The source must not fail or run dry.
func Random(source io.Reader) string {
	var b [8]byte
	_, _ = io.ReadFull(source, b[:])
	return hex.EncodeToString(b[:])
}

// Label returns the value of [RunID] for this attempt.
func (r Run) Label() string { return r.label(r.attempt) }

func (r Run) label(attempt int64) string {
	if attempt == 0 {
		return r.id
	}
	return fmt.Sprintf("%s-%d", r.id, attempt)
}

// Earlier returns the values of [RunID] for the attempts before this one.
func (r Run) Earlier() (list []string) {
	for n := max(1, r.attempt-attemptMost); n < r.attempt; n++ {
		list = append(list, r.label(n))
	}
	return list
}

// Made reports whether an attempt of this run, this one or another, has made an image.
func (r Run) Made(image hetzner.Image) bool {
	run := image.Labels[RunID]
	return r.id != "" && (run == r.id || strings.HasPrefix(run, r.id+"-"))
}

// RepositoryOf returns the value of [Repository]: "unknown" where the CI system names none.
func RepositoryOf(name string) string { return cmp.Or(value(name, valueMost), "unknown") }

// value turns a text into a label value by Hetzner's rules: letters, digits, dashes, underscores and dots, with a letter or
// digit at both ends, and at most so many characters. The slash in a repository's name becomes a dot.
func value(text string, most int) string {
	text = strings.Map(func(c rune) rune {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_', c == '.':
			return c
		case c == '/':
			return '.'
		}
		return '-'
	}, text)
	if len(text) > most {
		text = text[len(text)-most:] // the end says more: the repository's name rather than its owner's
	}
	return strings.Trim(text, "-_.")
}
