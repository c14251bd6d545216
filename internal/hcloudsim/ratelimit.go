package hcloudsim

import (
	"math"
	"net/http"
	"strconv"
	"time"
)

// bucket is the project's rate limit: size tokens, of which one comes back
// each hour/size. Instead of a count it keeps the time at which it will be
// full again, which is exact at any instant.
type bucket struct {
	size int
	full time.Time
}

func (b *bucket) interval() time.Duration { return time.Hour / time.Duration(b.size) }

// remaining is the number of whole requests left.
func (b *bucket) remaining(now time.Time) int {
	missing := max(0, b.full.Sub(now))
	return b.size - int(math.Ceil(float64(missing)/float64(b.interval())))
}

// take takes one request and reports whether there was one.
func (b *bucket) take(now time.Time) bool {
	if b.remaining(now) < 1 {
		return false
	}
	if b.full.Before(now) {
		b.full = now
	}
	b.full = b.full.Add(b.interval())
	return true
}

// writeTo writes the state of the limit into the headers of an answer.
func (b *bucket) writeTo(h http.Header, now time.Time) {
	reset := now
	if b.full.After(now) {
		reset = b.full
	}
	if reset.Nanosecond() > 0 {
		reset = reset.Add(time.Second)
	}
	h.Set("RateLimit-Limit", strconv.Itoa(b.size))
	h.Set("RateLimit-Remaining", strconv.Itoa(b.remaining(now)))
	h.Set("RateLimit-Reset", strconv.FormatInt(reset.Unix(), 10))
}
