// Package retention decides which snapshots of one server and one series are kept.
//
// [Policy.Decide] returns a decision about each image, with a reason for people to read. The package is pure: it deletes
// nothing and reads no clock. Its caller leaves out the images that may not be deleted at all: those that are protected, not
// made by this action, or still being created.
package retention

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Policy says what to keep. A count of zero is no rule; the zero Policy keeps everything.
type Policy struct {
	Last, Hourly, Daily, Weekly, Monthly, Yearly int
	Within                                       time.Duration // before ref, see [Policy.Decide]
}

// Empty reports whether the policy has no rule.
func (p Policy) Empty() bool { return p == Policy{} }

// Young is the age below which no snapshot is deleted: another run may still need it for a rollback.
const Young = time.Hour

// Image is an available snapshot that may be deleted.
type Image struct {
	ID      int64
	Created time.Time // by Hetzner's clock
	SameRun bool      // made by another attempt of the same workflow run
	LeftOff bool      // it says that its server was left off; the newest one that does tells later runs

	Verified     bool // a verification has succeeded
	VerifyFailed bool // one has failed since: the image counts neither for nor against a rule
}

// Decision says whether to keep one image, and why.
type Decision struct {
	ID      int64
	Created time.Time
	Keep    bool
	Reason  string // as "daily 2026-11-20, weekly 2026-W47", or "no rule keeps it"
}

// rule keeps the newest image of each bucket, such as a day, for as many buckets as it has left.
type rule struct {
	name   string
	left   int
	bucket func(time.Time) string
	last   string // the bucket of the last image
}

func (p Policy) rules() []*rule {
	return []*rule{
		{name: "hourly", left: p.Hourly, bucket: func(t time.Time) string { return t.Format("2006-01-02 15:00") }},
		{name: "daily", left: p.Daily, bucket: func(t time.Time) string { return t.Format(time.DateOnly) }},
		{name: "weekly", left: p.Weekly, bucket: func(t time.Time) string {
			year, week := t.ISOWeek()
			return fmt.Sprintf("%d-W%02d", year, week)
		}},
		{name: "monthly", left: p.Monthly, bucket: func(t time.Time) string { return t.Format("2006-01") }},
		{name: "yearly", left: p.Yearly, bucket: func(t time.Time) string { return t.Format("2006") }},
	}
}

// Decide returns a decision about each image, the newest first, and one for an image that is listed twice. Every rule
// counts back from ref: for snapshot the time at which Hetzner created the new one, which is among the images once it exists; for
// prune the time of Hetzner's answer. The rules are those of restic forget: an image is kept if any rule keeps it; a calendar
// rule (UTC) keeps the newest image of each bucket; buckets without an image do not count; a calendar rule with counts left keeps
// the oldest image too.
func (p Policy) Decide(images []Image, ref time.Time) []Decision {
	images = slices.Clone(images)
	slices.SortFunc(images, func(a, b Image) int {
		return cmp.Or(b.Created.Compare(a.Created), cmp.Compare(b.ID, a.ID))
	})
	images = slices.CompactFunc(images, func(a, b Image) bool { return a.ID == b.ID })

	decisions := make([]Decision, len(images))
	counted, total := 0, len(images) // those that rules are about
	for _, image := range images {
		if image.VerifyFailed {
			total--
		}
	}
	verified, leftOff, rules := false, false, p.rules()
	for i, image := range images {
		var reasons []string
		keep := func(condition bool, format string, args ...any) {
			if condition {
				reasons = append(reasons, fmt.Sprintf(format, args...))
			}
		}
		keep(i == 0, "newest")
		if !image.VerifyFailed {
			keep(counted == 0 && i > 0, "newest that did not fail its verification")
			keep(counted < p.Last, "last %d of %d", counted+1, p.Last)
			counted++
			for _, r := range rules {
				if r.left == 0 {
					continue
				}
				bucket := r.bucket(image.Created.UTC())
				keep(bucket != r.last, "%s %s", r.name, bucket)
				keep(bucket == r.last && counted == total, "%s, the oldest", r.name)
				if bucket != r.last {
					r.last, r.left = bucket, r.left-1
				}
			}
			keep(p.Within > 0 && image.Created.After(ref.Add(-p.Within)), "keep-within")
			keep(image.Verified && !verified, "newest verified")
			verified = verified || image.Verified
		}
		keep(image.Created.After(ref.Add(-Young)), "younger than 1h")
		keep(image.SameRun, "made by another attempt of this run")
		keep(image.LeftOff && !leftOff, "says that its server was left off")
		leftOff = leftOff || image.LeftOff
		keep(p.Empty(), "no rule is given")
		d := Decision{ID: image.ID, Created: image.Created, Keep: len(reasons) > 0, Reason: strings.Join(reasons, ", ")}
		if !d.Keep {
			d.Reason = "no rule keeps it"
			if image.VerifyFailed {
				d.Reason = "its verification failed"
			}
		}
		decisions[i] = d
	}
	return decisions
}
