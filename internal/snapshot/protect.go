package snapshot

import (
	"time"

	"github.com/org/hsnap-action/internal/hetzner"
)

// protection is what a target knows of its image's delete protection.
type protection struct {
	under    bool      // a request is under way
	answered bool      // and was, or may have been, accepted: a look decides
	tries    int       // requests in a row that were refused for now
	again    time.Time // no request before
	err      *hetzner.Error
}

// protect begins to protect an available image. Until a look shows it protected, the snapshot is not done.
func (f *fleet) protect(t *target, now time.Time) {
	t.snapshot, t.protection = protecting, protection{}
	t.imageSince = now
}

// protects returns the requests for protection to send now.
func (f *fleet) protects(now time.Time) []request {
	if f.ending() {
		return nil
	}
	var requests []request
	for _, t := range f.targets {
		p := &t.protection
		if t.snapshot == protecting && !p.under && !p.answered && !p.again.After(now) {
			p.under = true
			requests = append(requests, request{op: opProtect, server: t.server.ID, imageID: t.result.ImageID, began: now})
		}
	}
	return requests
}

// protected takes in the answer to a request for protection.
func (f *fleet) protected(a answer, failure *hetzner.Error, now time.Time) {
	t := f.target(a.server)
	if t == nil || t.snapshot != protecting {
		return
	}
	p := &t.protection
	p.under = false
	switch {
	case failure == nil, failure.Verdict == hetzner.Lost:
		p.answered, p.err = true, failure
		t.imageDue, t.imageSince = now, now
	case failure.Verdict == hetzner.NotNow, failure.Verdict == hetzner.NotSent:
		p.tries++
		p.err, p.again = failure, now.Add(retryAfter(p.tries))
	case failure.Verdict == hetzner.TokenRefused: // expire ends it with all others
	default:
		t.result.Err = failure
		f.finish(t, Failed, ProtectFailed, now)
	}
}
