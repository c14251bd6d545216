package action_test

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/org/hsnap-action/internal/hcloudsim"
)

// What reuse-within takes over: the newest usable snapshot of the same server and series that is young enough by Hetzner's
// clock, and nothing else.
func TestReuseWithin(t *testing.T) {
	epoch := time.Unix(0, 0)
	own := func(age time.Duration, labels ...string) hcloudsim.Image {
		image := hcloudsim.Image{SizeGB: 2, Labels: map[string]string{"hsnap/series": "pre-deploy", "hsnap/run": "70-1", "hsnap/request": "00112233445566ff"}, Created: epoch.Add(-age)}
		for i := 0; i < len(labels); i += 2 {
			image.Labels[labels[i]] = labels[i+1]
		}
		return image
	}
	creating := own(time.Minute)
	creating.Status = "creating"
	stranger := own(time.Minute)
	stranger.Labels["hsnap/server-id"] = "77"
	for name, test := range map[string]struct {
		images []hcloudsim.Image // the first is the one that may be taken over
		fault  hcloudsim.FaultKind
		reused bool
	}{
		"younger":                {images: []hcloudsim.Image{own(59 * time.Minute), own(58*time.Minute, "hsnap/series", "nightly")}, reused: true},
		"the newest":             {images: []hcloudsim.Image{own(10 * time.Minute), own(20 * time.Minute)}, reused: true},
		"older":                  {images: []hcloudsim.Image{own(61 * time.Minute)}},
		"of another series":      {images: []hcloudsim.Image{own(time.Minute, "hsnap/series", "nightly")}},
		"of another server":      {images: []hcloudsim.Image{stranger}},
		"still being made":       {images: []hcloudsim.Image{creating}},
		"failed its proof":       {images: []hcloudsim.Image{own(time.Minute, "hsnap/verify", "failed")}},
		"from the future":        {images: []hcloudsim.Image{own(-time.Hour), own(time.Minute)}},
		"Hetzner tells no time":  {images: []hcloudsim.Image{own(time.Minute)}, fault: hcloudsim.NoDate},
		"there is none to reuse": {},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, hcloudsim.Options{}, func(t *testing.T, w *world) {
				start := time.Now()
				id := w.cloud.AddServer(hcloudsim.Server{Name: "db-1", Snapshot: hcloudsim.SnapshotBehaviour{Duration: 10 * time.Second}})
				var first int64
				for i, image := range test.images {
					image.ServerID, image.Created = id, start.Add(image.Created.Sub(epoch)).Truncate(time.Second)
					if image.Labels["hsnap/server-id"] == "" {
						image.Labels["hsnap/server-id"] = strconv.FormatInt(id, 10)
					}
					if got := w.cloud.AddImage(image); i == 0 {
						first = got
					}
				}
				if test.fault != 0 {
					w.cloud.Inject(hcloudsim.Fault{Kind: test.fault, Path: "/images"})
				}
				w.inputs = map[string]string{"servers": "db-1", "series": "pre-deploy", "reuse-within": "1h", "keep-last": "1", "shutdown": "graceful", "protect": "true"}
				before := len(w.cloud.Images())
				r := w.run(t)
				s := r.snapshots(t)[0]
				changed := len(w.cloud.Servers()[0].Commands) > 0 || len(w.cloud.Images()) != before
				switch {
				case r.code != 0 || s.Status != "available" || s.Reused != test.reused:
					t.Errorf("exit %d, %+v\n%s", r.code, s, r.log)
				case test.reused && (s.ImageID == nil || *s.ImageID != first || changed || !w.image(first).Protected):
					t.Errorf("took over %+v, want image %d protected, nothing deleted and no server switched off:\n%s", s, first, r.log)
				case !test.reused && !changed:
					t.Error("no snapshot was made")
				}
			})
		})
	}
}

// What the project shows to be a mistake in the inputs ends the run before anything is done.
func TestMistakesThatTheProjectShows(t *testing.T) {
	for name, test := range map[string]struct {
		inputs map[string]string
		code   int
	}{
		"exclude names nobody, and servers are switched off":  {map[string]string{"servers": "*", "exclude": "bd-1", "shutdown": "graceful"}, 2},
		"exclude holds an ID of nobody":                       {map[string]string{"servers": "*", "exclude": "4711", "shutdown": "force"}, 2},
		"exclude names nobody, and no server is switched off": {map[string]string{"servers": "*", "exclude": "bd-1"}, 0},
		"a glob in exclude matches nobody":                    {map[string]string{"servers": "*", "exclude": "bd-*", "shutdown": "graceful"}, 0},
		"exclude names a server that the selector leaves out": {map[string]string{"label-selector": "env=prod", "exclude": "web-1", "shutdown": "graceful"}, 0},
		"exclude names nobody beside a selector":              {map[string]string{"label-selector": "env=prod", "exclude": "wbe-1", "shutdown": "graceful"}, 2},
		"a verification's copy is named":                      {map[string]string{"servers": "db-1,hsnap-drill-7"}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, hcloudsim.Options{}, func(t *testing.T, w *world) {
				w.cloud.AddServer(hcloudsim.Server{
					Name: "db-1", Labels: map[string]string{"env": "prod"}, Snapshot: hcloudsim.SnapshotBehaviour{Duration: 10 * time.Second},
				})
				w.cloud.AddServer(hcloudsim.Server{Name: "web-1", Snapshot: hcloudsim.SnapshotBehaviour{Duration: 10 * time.Second}})
				w.cloud.AddServer(hcloudsim.Server{Name: "hsnap-drill-7", Labels: map[string]string{"hsnap/drill": "f00d"}})
				w.inputs = test.inputs
				r := w.run(t)
				changes := 0
				for _, x := range w.cloud.History() {
					if x.Method != http.MethodGet {
						changes++
					}
				}
				if r.code != test.code || (changes > 0) != (test.code == 0) {
					t.Errorf("exit %d with %d changes, want exit %d\n%s", r.code, changes, test.code, r.log)
				}
				if want := map[int]string{0: "success", 2: "failure"}[test.code]; r.outputs["result"] != want {
					t.Errorf("result=%s, want %s", r.outputs["result"], want)
				}
			})
		})
	}
}

// Volumes are no part of a snapshot that is taken over either.
func TestReuseWithVolumes(t *testing.T) {
	for policy, code := range map[string]int{"fail": 1, "warn": 0} {
		inBubble(t, hcloudsim.Options{}, func(t *testing.T, w *world) {
			id := w.cloud.AddServer(hcloudsim.Server{Name: "db-1", Volumes: []int64{4711}})
			w.cloud.AddImage(hcloudsim.Image{ServerID: id, SizeGB: 2, Created: time.Now().Add(-time.Minute), Labels: map[string]string{
				"hsnap/series": "often", "hsnap/server-id": strconv.FormatInt(id, 10),
			}})
			w.inputs = map[string]string{"servers": "db-1", "series": "often", "reuse-within": "1h", "if-volumes-attached": policy}
			if r := w.run(t); r.code != code || !strings.Contains(r.log, "4711") {
				t.Errorf("%s: exit %d, want %d\n%s", policy, r.code, code, r.log)
			}
		})
	}
}

// A server that is replaced while the pages are read makes another one slide off: neither does it go without a snapshot, nor
// does its snapshot pass for an orphan.
func TestNobodySlidesOff(t *testing.T) {
	for _, command := range []string{"snapshot", "audit"} {
		for after := range few(40) {
			inBubble(t, hcloudsim.Options{Seed: after + 1}, func(t *testing.T, w *world) {
				w.sample(t)
				runner := w.cloud.AddServer(hcloudsim.Server{Name: "ci-1"})
				for n := range 59 {
					id := w.cloud.AddServer(hcloudsim.Server{Name: fmt.Sprintf("s-%02d", n), Snapshot: hcloudsim.SnapshotBehaviour{Duration: 5 * time.Second}})
					if command == "audit" && n != 49 {
						w.cloud.AddImage(hcloudsim.Image{ServerID: id, SizeGB: 2, Created: time.Now().Add(-5 * time.Hour), Labels: map[string]string{
							"hsnap/series": "nightly", "hsnap/server-id": strconv.FormatInt(id, 10),
						}})
					}
				}
				time.Sleep(time.Minute)
				w.cloud.At(time.Duration(after)*10*time.Millisecond, func(c *hcloudsim.Cloud) {
					c.DeleteServer(runner)
					c.AddServer(hcloudsim.Server{Name: "ci-2", Created: time.Now()})
				})
				w.words = []string{command}
				w.inputs = map[string]string{"servers": "*", "exclude": "ci-*", "max-parallel": "100"}
				if command == "audit" {
					w.inputs = map[string]string{"servers": "*", "exclude": "ci-*", "stale-after": "26h"}
				}
				r := w.run(t)
				switch {
				case command == "snapshot" && r.outputs["created-count"] != "59":
					t.Errorf("replaced after %d ms: %s of 59 servers have a snapshot: %s", after*10, r.outputs["created-count"], r.outputs["failed-servers"])
				case command == "audit" && (r.outputs["stale-servers"] != `["s-49"]` || r.outputs["orphan-image-ids"] != "[]"):
					t.Errorf("replaced after %d ms: stale %s, orphans %s", after*10, r.outputs["stale-servers"], r.outputs["orphan-image-ids"])
				}
			})
		}
	}
}
