package action_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/org/hsnap-action/internal/hcloudsim"
)

// A year of nights under a grandfather-father-son policy, month ends and a leap day included.
func TestYearOfNights(t *testing.T) {
	if raced {
		t.Skip("one night races no less than a year of them")
	}
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, hcloudsim.Options{Seed: 1})
		w.check = func(rt http.RoundTripper) http.RoundTripper { return rt }
		w.cloud.AddServer(hcloudsim.Server{Name: "db-1", Snapshot: hcloudsim.SnapshotBehaviour{Duration: 2 * time.Second}})
		w.inputs = map[string]string{
			"servers": "db-1", "series": "nightly", "keep-daily": "7", "keep-weekly": "4", "keep-monthly": "12", "summary": "false",
		}
		for night := range 366 + 30 {
			start := time.Now()
			w.env["GITHUB_RUN_ID"] = strconv.Itoa(1000 + night)
			if r := w.run(t); r.code != 0 {
				t.Fatalf("night %d: exit %d\n%s", night, r.code, r.log)
			}
			time.Sleep(24*time.Hour - time.Since(start))
		}
		var days []string
		for _, image := range w.cloud.Images() {
			days = append(days, image.Created.UTC().Format(time.DateOnly))
		}
		// The last night is 2001-01-29, a Monday. Monthly ones are the last of their month, by the calendar.
		want := []string{
			"2000-02-29", "2000-03-31", "2000-04-30", "2000-05-31", "2000-06-30", "2000-07-31", "2000-08-31", "2000-09-30",
			"2000-10-31", "2000-11-30", "2000-12-31",
			"2001-01-14", "2001-01-21", // the weekly ones of the last four that the daily ones leave to be kept
			"2001-01-24", "2001-01-25", "2001-01-26", "2001-01-27", "2001-01-28", "2001-01-29", "2001-01-30",
		}
		if diff := cmp.Diff(want, days); diff != "" {
			t.Errorf("what stays after a year (-want +got):\n%s", diff)
		}
	})
}

// Two runs of the same series at once: neither deletes the other's fresh snapshot.
func TestTwoRunsAtOnce(t *testing.T) {
	for seed := range uint64(30) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				one := newWorld(t, hcloudsim.Options{Seed: seed, MinLatency: 20 * time.Millisecond, MaxLatency: 2 * time.Second})
				one.check = func(rt http.RoundTripper) http.RoundTripper { return rt }
				server := one.cloud.AddServer(hcloudsim.Server{Name: "db-1", Snapshot: hcloudsim.SnapshotBehaviour{Duration: 20 * time.Second}})
				for day := range 4 {
					one.cloud.AddImage(hcloudsim.Image{
						ServerID: server, Created: time.Now().Add(-time.Duration(day+1) * 24 * time.Hour),
						Labels: map[string]string{"hsnap/series": "nightly", "hsnap/server-id": strconv.FormatInt(server, 10), "hsnap/run": "1-1"},
					})
				}
				two := newWorld(t, hcloudsim.Options{Seed: seed + 1000})
				two.cloud, two.check = one.cloud, one.check
				two.env["GITHUB_RUN_ID"] = "4711"
				results := make(chan ran)
				for i, w := range []*world{one, two} {
					w.inputs = map[string]string{"servers": "db-1", "series": "nightly", "keep-last": "1"}
					go func() {
						time.Sleep(time.Duration(i) * time.Duration(seed) * time.Second)
						results <- w.run(t)
					}()
				}
				fresh := map[string]bool{}
				for range 2 {
					r := <-results
					if r.code != 0 {
						t.Errorf("exit %d\n%s", r.code, r.log)
					}
					fresh[r.outputs["image-id"]] = true
				}
				left := map[string]bool{}
				for _, image := range one.cloud.Images() {
					left[strconv.FormatInt(image.ID, 10)] = true
				}
				if diff := cmp.Diff(fresh, left); diff != "" {
					t.Errorf("both fresh snapshots must stay, and no old one (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// What a policy that keeps the newest one alone does to an old snapshot that is not quite like those that it is for.
func TestOnlyOwnSnapshotsGo(t *testing.T) {
	const day = 24 * time.Hour
	for name, test := range map[string]struct {
		change func(image *hcloudsim.Image)
		goes   bool
	}{
		"ours":                                 {func(*hcloudsim.Image) {}, true},
		"of another run":                       {func(i *hcloudsim.Image) { i.Labels["hsnap/run"] = "4711-1" }, true},
		"older than an hour":                   {func(i *hcloudsim.Image) { i.Created = time.Now().Add(-70 * time.Minute) }, true},
		"younger than an hour":                 {func(i *hcloudsim.Image) { i.Created = time.Now().Add(-50 * time.Minute) }, false},
		"labelled for another server":          {func(i *hcloudsim.Image) { i.Labels["hsnap/server-id"] = "4711" }, false},
		"of another server by Hetzner's word":  {func(i *hcloudsim.Image) { i.ServerID = 4711 }, false},
		"of a server that Hetzner doesn't say": {func(i *hcloudsim.Image) { i.ServerID = 0 }, false},
		"of another series":                    {func(i *hcloudsim.Image) { i.Labels["hsnap/series"] = "pre-deploy" }, false},
		"without labels":                       {func(i *hcloudsim.Image) { i.Labels = nil }, false},
		"protected":                            {func(i *hcloudsim.Image) { i.Protected = true }, false},
		"being created":                        {func(i *hcloudsim.Image) { i.Status = "creating" }, false},
		"unavailable":                          {func(i *hcloudsim.Image) { i.Status = "unavailable" }, false},
		"of another attempt of the run":        {func(i *hcloudsim.Image) { i.Labels["hsnap/run"] = "8123456789-9" }, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, hcloudsim.Options{}, func(t *testing.T, w *world) {
				server := w.cloud.AddServer(hcloudsim.Server{Name: "db-1", Snapshot: hcloudsim.SnapshotBehaviour{Duration: 5 * time.Second}})
				image := hcloudsim.Image{
					ServerID: server, Created: time.Now().Add(-day), Labels: map[string]string{"hsnap/series": "nightly", "hsnap/server-id": strconv.FormatInt(server, 10), "hsnap/run": "1-1"},
				}
				test.change(&image)
				id := w.cloud.AddImage(image)
				w.inputs = map[string]string{"servers": "db-1", "series": "nightly", "keep-last": "1"}
				r := w.run(t)
				if gone := w.image(id) == nil; r.code != 0 || gone != test.goes {
					t.Errorf("exit %d, gone: %t, want %t\n%s", r.code, gone, test.goes, r.log)
				}
			})
		})
	}
}

// image returns an image as it is, nil where there is none.
func (w *world) image(id int64) *hcloudsim.Image {
	for _, image := range w.cloud.Images() {
		if image.ID == id {
			return &image
		}
	}
	return nil
}

// A snapshot that is still being created takes the place of none that can be used.
func TestUnfinishedSnapshotsDoNotCount(t *testing.T) {
	inBubble(t, hcloudsim.Options{}, func(t *testing.T, w *world) {
		server := w.cloud.AddServer(hcloudsim.Server{Name: "db-1", Snapshot: hcloudsim.SnapshotBehaviour{Duration: 5 * time.Second}})
		var ids []int64
		for i, status := range []string{"creating", "creating", "available", "available"} {
			ids = append(ids, w.cloud.AddImage(hcloudsim.Image{
				ServerID: server, Status: status, Created: time.Now().Add(-time.Duration(i+1) * 24 * time.Hour),
				Labels: map[string]string{"hsnap/series": "nightly", "hsnap/server-id": strconv.FormatInt(server, 10), "hsnap/run": "1-1"},
			}))
		}
		w.inputs = map[string]string{"servers": "db-1", "series": "nightly", "keep-last": "2"}
		r := w.run(t)
		if want := fmt.Sprintf("[%d]", ids[3]); r.code != 0 || r.outputs["deleted-image-ids"] != want {
			t.Errorf("exit %d, deleted %s, want %s\n%s", r.code, r.outputs["deleted-image-ids"], want, r.log)
		}
	})
}

// Nothing goes by a list that does not show the new snapshot available: it may be stale, or the new one may be gone.
func TestNothingGoesWithoutTheNewSnapshot(t *testing.T) {
	isNew := func(image map[string]any) bool { return image["labels"].(map[string]any)["hsnap/request"] != nil }
	for name, change := range map[string]func(images []any) []any{
		"it is gone": func(images []any) []any {
			return slices.DeleteFunc(images, func(i any) bool { return isNew(i.(map[string]any)) })
		},
		"it is being created again": func(images []any) []any {
			for _, image := range images {
				if image := image.(map[string]any); isNew(image) {
					image["status"] = "creating"
				}
			}
			return images
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, hcloudsim.Options{}, func(t *testing.T, w *world) {
				server := w.cloud.AddServer(hcloudsim.Server{Name: "db-1", Snapshot: hcloudsim.SnapshotBehaviour{Duration: 5 * time.Second}})
				for day := range 3 {
					w.cloud.AddImage(hcloudsim.Image{
						ServerID: server, Created: time.Now().Add(-time.Duration(day+1) * 24 * time.Hour),
						Labels: map[string]string{"hsnap/series": "nightly", "hsnap/server-id": strconv.FormatInt(server, 10), "hsnap/run": "1-1"},
					})
				}
				w.check = func(rt http.RoundTripper) http.RoundTripper {
					return roundTrip(func(r *http.Request) (*http.Response, error) {
						resp, err := rt.RoundTrip(r)
						if err != nil || !strings.Contains(r.URL.Query().Get("label_selector"), "hsnap/series=") {
							return resp, err
						}
						var list map[string]any
						if err := json.NewDecoder(resp.Body).Decode(&list); err != nil {
							return nil, err
						}
						list["images"] = change(list["images"].([]any))
						list["meta"].(map[string]any)["pagination"].(map[string]any)["total_entries"] = len(list["images"].([]any))
						body, err := json.Marshal(list)
						resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
						return resp, err
					})
				}
				w.inputs = map[string]string{"servers": "db-1", "series": "nightly", "keep-last": "1"}
				r := w.run(t)
				if deleted := r.first(func(x *exchange) bool { return x.method == http.MethodDelete }); deleted.method != "" || r.outputs["deleted-image-ids"] != "[]" {
					t.Errorf("exit %d, %s was deleted\n%s", r.code, deleted.path, r.log)
				}
				lists := slices.DeleteFunc(r.trace, func(x *exchange) bool { return !strings.Contains(x.query, "hsnap/series=") })
				if len(lists) < 3 {
					t.Errorf("%d lists were read, want more than one: it may be stale", len(lists))
				}
			})
		})
	}
}

// A runner whose clock is years off deletes nothing more: the rules count from Hetzner's times. The bubble's clock
// begins in 2000, so snapshots from the real API's present lie far in its future.
func TestClockOfTheRunnerDecidesNothing(t *testing.T) {
	deleted := func(shift time.Duration) string {
		var ids string
		synctest.Test(t, func(t *testing.T) {
			time.Sleep(shift) // the runner and Hetzner agree, or the runner is behind
			w := newWorld(t, hcloudsim.Options{Seed: 1})
			server := w.cloud.AddServer(hcloudsim.Server{Name: "db-1", Snapshot: hcloudsim.SnapshotBehaviour{Duration: 20 * time.Second}})
			for day := range 6 {
				w.cloud.AddImage(hcloudsim.Image{
					ServerID: server, Created: time.Now().Add(-time.Duration(day+1) * 24 * time.Hour),
					Labels: map[string]string{"hsnap/series": "nightly", "hsnap/server-id": strconv.FormatInt(server, 10), "hsnap/run": "1-1"},
				})
			}
			w.inputs = map[string]string{"servers": "db-1", "series": "nightly", "keep-within": "3d"}
			ids = w.run(t).outputs["deleted-image-ids"]
		})
		return ids
	}
	if now, later := deleted(0), deleted(10*365*24*time.Hour); now != later || now == "[]" {
		t.Errorf("deleted %s, ten years later %s", now, later)
	}
}

// The recipes in the documentation show what a run leaves behind; -update rewrites them.
func TestRecipes(t *testing.T) {
	if raced {
		t.Skip("one run races no less than hundreds of them")
	}
	const file = "../../docs/retention.md"
	text := read(t, file)
	for _, recipe := range []struct {
		name   string
		inputs map[string]string
		every  time.Duration
		runs   int
		says   string
	}{
		{"last", map[string]string{"series": "nightly", "keep-last": "3"}, 24 * time.Hour, 30, "After 30 nights"},
		{
			"gfs", map[string]string{"series": "nightly", "keep-daily": "7", "keep-weekly": "4", "keep-monthly": "12"},
			24 * time.Hour, 500, "After 500 nights",
		},
		{"deploy", map[string]string{"series": "pre-deploy-shop", "keep-within": "48h"}, 7 * time.Hour, 40, "After 40 deploys, one every seven hours,"},
	} {
		var left []string
		synctest.Test(t, func(t *testing.T) {
			time.Sleep(time.Until(time.Date(2026, 1, 5, 2, 0, 0, 0, time.UTC)))
			w := newWorld(t, hcloudsim.Options{Seed: 1})
			w.check = func(rt http.RoundTripper) http.RoundTripper { return rt }
			w.cloud.AddServer(hcloudsim.Server{Name: "db-1", Snapshot: hcloudsim.SnapshotBehaviour{Duration: 2 * time.Second}})
			w.inputs = recipe.inputs
			w.inputs["servers"], w.inputs["summary"] = "db-1", "false"
			for i := range recipe.runs {
				start := time.Now()
				w.env["GITHUB_RUN_ID"] = strconv.Itoa(1000 + i)
				if r := w.run(t); r.code != 0 {
					t.Fatalf("%s, run %d: exit %d\n%s", recipe.name, i, r.code, r.log)
				}
				time.Sleep(recipe.every - time.Since(start))
			}
			for _, image := range w.cloud.Images() {
				left = append(left, image.Created.UTC().Format("2006-01-02 15:04"))
			}
		})
		begin := fmt.Sprintf("<!-- recipe %s -->\n", recipe.name)
		before, rest, ok := strings.Cut(text, begin)
		_, after, closed := strings.Cut(rest, "<!-- /recipe -->")
		if !ok || !closed {
			t.Fatalf("%s has no place for the recipe %q", file, recipe.name)
		}
		text = before + begin + fmt.Sprintf("%s %d snapshots are left:\n\n    %s\n\n", recipe.says, len(left), strings.Join(left, "\n    ")) +
			"<!-- /recipe -->" + after
	}
	golden(t, file, text)
}

// A wait for the list of old snapshots is no silence.
func TestThinningOutIsProgress(t *testing.T) {
	inBubble(t, hcloudsim.Options{}, func(t *testing.T, w *world) {
		w.cloud.AddServer(hcloudsim.Server{Name: "db-1", Snapshot: hcloudsim.SnapshotBehaviour{Duration: 5 * time.Second}})
		w.cloud.Inject(hcloudsim.Fault{Kind: hcloudsim.ErrorJSON, Path: "/images", From: 10 * time.Second, Status: 503, Code: "unavailable", Message: "unavailable"})
		w.inputs = map[string]string{"servers": "db-1", "series": "nightly", "keep-last": "1"}
		r := w.run(t)
		if r.code != 0 || strings.Count(r.log, "1 thinning out; waiting for db-1") < 5 {
			t.Errorf("exit %d\n%s", r.code, r.log)
		}
	})
}

// A server that is deleted just before it is asked to shut down does not exist any more, and nothing else is wrong with it.
func TestGoneBeforeTheShutdown(t *testing.T) {
	inBubble(t, hcloudsim.Options{}, func(t *testing.T, w *world) {
		w.cloud.AddServer(hcloudsim.Server{Name: "db-1"})
		w.cloud.Inject(hcloudsim.Fault{Kind: hcloudsim.ErrorJSON, Path: "/servers/*/actions/shutdown", Status: 404, Code: "not_found", Message: "server not found"})
		w.inputs = map[string]string{"servers": "db-1", "shutdown": "graceful"}
		if s := w.run(t).snapshots(t)[0]; s.Status != "failed" || s.Reason != "not_found" {
			t.Errorf("%s %s: %s", s.Status, s.Reason, s.Message)
		}
	})
}
