package action_test

import (
	"net/http"
	"strconv"
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
		"a verification's copy is named":                      {map[string]string{"servers": "db-1,hsnap-drill-7"}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, hcloudsim.Options{}, func(t *testing.T, w *world) {
				w.cloud.AddServer(hcloudsim.Server{Name: "db-1", Snapshot: hcloudsim.SnapshotBehaviour{Duration: 10 * time.Second}})
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
