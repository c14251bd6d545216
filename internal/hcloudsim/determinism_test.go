package hcloudsim

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// busyRun lets many clients loose on one project at the same instants, and
// returns all that happened.
func busyRun(t *testing.T, seed uint64) (history []Exchange, images []Image, made []Creation) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := New(Options{
			Seed: seed, MinLatency: 5 * time.Millisecond, MaxLatency: 300 * time.Millisecond, SnapshotLimit: 25,
			Corrupt: func(_ *http.Request, dice *rand.Rand) *Fault {
				kinds := []FaultKind{LoseAnswerDone, LoseAnswerLate, HTML502, EmptyObject, Slow, CutBody}
				if dice.IntN(10) > 0 {
					return nil
				}
				return &Fault{Kind: kinds[dice.IntN(len(kinds))], Delay: time.Duration(dice.Int64N(int64(5 * time.Second)))}
			},
		})
		c.Inject(Fault{Kind: ErrorJSON, Method: "POST", Status: 409, Code: "conflict", Every: 5, Times: 4})
		var ids []int64
		for i := range 20 {
			id := c.AddServer(Server{Snapshot: SnapshotBehaviour{Duration: time.Duration(i+1) * time.Second}})
			c.Lock(id, Lock{For: time.Duration(i) * 700 * time.Millisecond, Command: "attach_volume"})
			c.Lock(id, Lock{AfterPolls: 3, For: 2 * time.Second})
			ids = append(ids, id)
		}
		h := rude(t, c)
		for round := range 10 {
			var all sync.WaitGroup
			send := func(method, path, body string) {
				all.Go(func() { _, _, _ = h.send(method, path, body) }) // the history has the answer, and the fault
			}
			for _, id := range ids {
				send("POST", fmt.Sprintf("/servers/%d/actions/create_image", id), createSnapshot)
				send("GET", fmt.Sprintf("/servers/%d", id), "")
			}
			send("GET", "/servers?per_page=50", "")
			send("GET", "/images", "")
			for i := range 3 {
				send("POST", "/servers", fmt.Sprintf(`{"name":"copy-%d","server_type":"cx23","image":"ubuntu-24.04"}`, round+i))
			}
			for _, s := range c.Creations() {
				send("DELETE", fmt.Sprint("/servers/", s.ServerID), "")
			}
			all.Wait()
			time.Sleep(2 * time.Second)
		}
		history, images, made = c.History(), c.Images(), c.Creations()
	})
	return history, images, made
}

func TestSameSeedSameRun(t *testing.T) {
	history, images, made := busyRun(t, 7)
	if len(images) < 10 || len(made) < 10 {
		t.Errorf("only %d images and %d created servers: the run tests little", len(images), len(made))
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	for _, procs := range []int{1, 2, 4} {
		runtime.GOMAXPROCS(procs)
		for range 3 {
			h, i, m := busyRun(t, 7)
			if diff := cmp.Diff(history, h); diff != "" {
				t.Fatalf("%d processors: another history: %s", procs, diff)
			}
			if diff := cmp.Diff(images, i); diff != "" {
				t.Fatalf("%d processors: other images: %s", procs, diff)
			}
			if diff := cmp.Diff(made, m); diff != "" {
				t.Fatalf("%d processors: other servers: %s", procs, diff)
			}
		}
	}
	if other, _, _ := busyRun(t, 8); cmp.Equal(history, other) {
		t.Error("another seed gives the same run")
	}
}
