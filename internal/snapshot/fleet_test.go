package snapshot

import (
	"testing"
	"time"

	"github.com/org/hsnap-action/internal/hetzner"
)

// A look that shows a server unlocked is the best prospect there is, whichever question it was to answer.
func TestSeenUnlockedIsAGoodProspect(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	unlocked := hetzner.Server{ID: 1, Name: "db-1", Status: "running"}
	for name, target := range map[string]*target{
		"a lock is gone":             {snapshot: locked, shown: true},
		"a lost create was not made": {snapshot: lost, provenAt: now.Add(-time.Second)},
	} {
		t.Run(name, func(t *testing.T) {
			target.server, target.refusals, target.prospect = unlocked, 3, poor
			f := &fleet{settings: Settings{LockTimeout: time.Hour}}
			f.saw(target, unlocked, now, now)
			if target.snapshot != waiting || target.prospect != good || target.refusals != 0 {
				t.Errorf("state %d, prospect %d, %d refusals; want it waiting, with a good prospect and none", target.snapshot, target.prospect, target.refusals)
			}
		})
	}
}
