package action_test

import (
	"fmt"
	"net/http"
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
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, hcloudsim.Options{Seed: 1})
		w.check = func(rt http.RoundTripper) http.RoundTripper { return rt }
		w.cloud.AddServer(hcloudsim.Server{Name: "db-1", Snapshot: hcloudsim.SnapshotBehaviour{Duration: 30 * time.Second}})
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
			w.cloud.AddServer(hcloudsim.Server{Name: "db-1", Snapshot: hcloudsim.SnapshotBehaviour{Duration: 30 * time.Second}})
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
