package action_test

import (
	"flag"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hetznercloud/hcloud-go/v2/hcloud" //nolint:depguard // what this action is compared with

	"github.com/org/hsnap-action/internal/hcloudsim"
)

var performance = flag.Bool("performance", false, "measure, and write what is measured into docs/performance.md")

// atOnce waits for each server by itself, all at once, as the hcloud CLI does when it is started for each: with the
// library's own waiting, and another try 10 s later while the server is locked.
func atOnce(t *testing.T, w *world, c fleetCase) {
	t.Helper()
	byLibrary(t, w, c.servers)
}

// oneByOne does the same for one server after the other, as a loop in a script does.
func oneByOne(t *testing.T, w *world, _ fleetCase) {
	t.Helper()
	byLibrary(t, w, 1)
}

func byLibrary(t *testing.T, w *world, parallel int) {
	t.Helper()
	client, servers := byClient(t, w)
	places := make(chan struct{}, parallel)
	for i, server := range servers {
		places <- struct{}{}
		time.Sleep(time.Duration(i%10+1) * time.Millisecond) // no two begin at the same time
		go func() {
			defer func() { <-places }()
			for {
				result, _, err := client.Server.CreateImage(t.Context(), server, &hcloud.ServerCreateImageOpts{Type: hcloud.ImageTypeSnapshot, Description: &server.Name})
				if err == nil {
					_ = client.Action.WaitFor(t.Context(), result.Action) // an error ends the wait, and the script
					return
				}
				if !hcloud.IsError(err, hcloud.ErrorCodeLocked) {
					return
				}
				time.Sleep(10 * time.Second)
			}
		}()
	}
	for range parallel {
		places <- struct{}{}
	}
}

// byClient returns the library's client and the project's servers as it lists them.
func byClient(t *testing.T, w *world, options ...hcloud.ClientOption) (*hcloud.Client, []*hcloud.Server) {
	t.Helper()
	client := hcloud.NewClient(append(options, hcloud.WithToken(hcloudsim.DefaultToken), hcloud.WithEndpoint("http://127.0.0.1/v1"),
		hcloud.WithHTTPClient(&http.Client{Transport: w.cloud.Transport()}))...)
	servers, err := client.Server.AllWithOpts(t.Context(), hcloud.ServerListOpts{ListOpts: hcloud.ListOpts{PerPage: 50}})
	if err != nil {
		t.Fatal(err)
	}
	return client, servers
}

// once measures one run of a project.
func once(t *testing.T, c fleetCase, work way) (m measured) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { m = measure(t, c, 1, work) })
	return m
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.1f", d.Seconds()) }

// TestPerformance measures what docs/performance.md tells, in virtual time. It is a command:
//
//	go test ./internal/action -run TestPerformance -performance
func TestPerformance(t *testing.T) {
	const file = "../../docs/performance.md"
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !*performance {
		// One row is measured, so that the page can't tell of another program.
		c := fleetCase{servers: 10, locked: 10, command: "change_server_type", parallel: 10, snapshot: 5 * time.Minute}
		if row := fleetRow(t, c); !strings.Contains(string(text), row) {
			t.Errorf("docs/performance.md is out of date, it lacks\n%s\nrun go test ./internal/action -run TestPerformance -performance", row)
		}
		return
	}
	page := string(text)
	for name, table := range map[string]func(*testing.T) string{"fleets": fleetTable, "ways": wayTable, "percentages": percentageTable} {
		begin, end := "<!-- "+name+" -->\n", "<!-- /"+name+" -->"
		before, rest, ok := strings.Cut(page, begin)
		_, after, ok2 := strings.Cut(rest, end)
		if !ok || !ok2 {
			t.Fatal("no markers for " + name)
		}
		page = before + begin + table(t) + end + after
	}
	if err := os.WriteFile(file, []byte(page), 0o600); err != nil {
		t.Fatal(err)
	}
}

func fleetRow(t *testing.T, c fleetCase) string {
	t.Helper()
	m := once(t, c, byAction)
	asked := "–"
	if len(m.asked) > 0 {
		asked = seconds(median(m.asked)) + " / " + seconds(most(m.asked))
	}
	return fmt.Sprintf("| %d | %d | %s | %d | %d | %s | %s | %s / %s | %d |\n", c.servers, c.locked, c.snapshot, m.extra+m.looks-m.resent, m.looks,
		m.took.Round(time.Second), asked, seconds(median(m.noticed)), seconds(most(m.noticed)), m.most)
}

func fleetTable(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("| servers | locked | a snapshot takes | requests | of them looks | the run takes | unlocked to asked, s | ended to noticed, s | looks in 60 s, at most |\n")
	b.WriteString("|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n")
	for _, servers := range []int{1, 10, 50, 100, 500} {
		for _, snapshot := range []time.Duration{time.Minute, 5 * time.Minute, 30 * time.Minute} {
			for _, locked := range []int{0, servers} {
				b.WriteString(fleetRow(t, fleetCase{
					servers: servers, locked: locked, command: "change_server_type", parallel: min(servers, 100), snapshot: snapshot,
				}))
			}
		}
	}
	return b.String()
}

func wayTable(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("| servers | locked | how | snapshots | requests | refused, too many | the run takes | ended to noticed, s |\n|---:|---:|---|---:|---:|---:|---:|---:|\n")
	for _, servers := range []int{1, 10, 50, 100, 500} {
		for _, locked := range []int{0, servers} {
			c := fleetCase{servers: servers, locked: locked, command: "change_server_type", parallel: min(servers, 100), snapshot: 5 * time.Minute}
			for _, how := range []struct {
				name string
				work way
			}{{"this action", byAction}, {"`WaitFor` per server, all at once", atOnce}, {"`WaitFor` per server, one by one", oneByOne}} {
				m := once(t, c, how.work)
				noticed := seconds(median(m.noticed))
				if len(m.noticed) < m.made {
					noticed = fmt.Sprintf("%d never", m.made-len(m.noticed))
				}
				fmt.Fprintf(&b, "| %d | %d | %s | %d | %d | %d | %s | %s |\n", servers, locked, how.name, m.made, m.extra+m.looks-m.resent, m.limited,
					m.took.Round(time.Second), noticed)
			}
		}
	}
	return b.String()
}

func percentageTable(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("| the percentage | servers | a snapshot takes | looks | looks every 3.7 s | ended to noticed, s | every 3.7 s |\n|---|---:|---:|---:|---:|---:|---:|\n")
	for _, shape := range []struct {
		name   string
		shape  hcloudsim.ProgressShape
		nights int
	}{
		{"in proportion", hcloudsim.Linear, 0},
		{"stuck at 0, snapshots of earlier nights", hcloudsim.Stuck, 3},
		{"jumping, snapshots of earlier nights", hcloudsim.Jumping, 3},
		{"stuck at 0, the first snapshot ever", hcloudsim.Stuck, 0},
		{"jumping, the first snapshot ever", hcloudsim.Jumping, 0},
	} {
		for _, servers := range []int{1, 10, 25} {
			for _, snapshot := range []time.Duration{time.Minute, 5 * time.Minute, 30 * time.Minute} {
				c := fleetCase{
					servers: servers, parallel: servers, snapshot: snapshot, spread: 20 * time.Second, progress: shape.shape, nights: shape.nights,
				}
				late, looks := several(t, c, byAction)
				fixedLate, fixed := several(t, c, atPauses)
				fmt.Fprintf(&b, "| %s | %d | %s | %d | %d | %s / %s | %s / %s |\n", shape.name, servers, snapshot, looks, fixed,
					seconds(median(late)), seconds(most(late)), seconds(median(fixedLate)), seconds(most(fixedLate)))
			}
		}
	}
	return b.String()
}

// TestForeseenEnds holds what docs/performance.md says of one server whose percentages or whose earlier nights foretell
// the end: it is noticed within 1 s at the median, with fewer looks than fixed pauses take.
func TestForeseenEnds(t *testing.T) {
	for name, c := range map[string]fleetCase{
		"in proportion": {progress: hcloudsim.Linear},
		"stuck":         {progress: hcloudsim.Stuck, nights: 3},
		"jumping":       {progress: hcloudsim.Jumping, nights: 3},
	} {
		t.Run(name, func(t *testing.T) {
			c.servers, c.parallel, c.snapshot, c.spread = 1, 1, 5*time.Minute, 20*time.Second
			late, looks := several(t, c, byAction)
			_, fixed := several(t, c, atPauses)
			if median(late) > time.Second || looks >= fixed {
				t.Errorf("noticed after %s at the median with %d looks, fixed pauses take %d", median(late), looks, fixed)
			}
		})
	}
}

// several measures a way in several projects. It returns how long each end took to be noticed, and the looks of one
// project on average.
func several(t *testing.T, c fleetCase, work way) (late []time.Duration, looks int) {
	t.Helper()
	const projects = 20
	for seed := range uint64(projects) {
		synctest.Test(t, func(t *testing.T) {
			m := measure(t, c, seed+1, work)
			late, looks = append(late, m.noticed...), looks+m.looks
		})
	}
	return late, looks / projects
}

// atPauses asks for all snapshots and looks at them every 3.7 s, 25 at once, whatever their percentages say.
func atPauses(t *testing.T, w *world, _ fleetCase) {
	t.Helper()
	client, servers := byClient(t, w, hcloud.WithPollOpts(hcloud.PollOpts{BackoffFunc: hcloud.ConstantBackoff(3700 * time.Millisecond)}))
	actions := make([]*hcloud.Action, len(servers))
	done := make(chan error, len(servers))
	for i, server := range servers {
		go func() {
			result, _, err := client.Server.CreateImage(t.Context(), server, &hcloud.ServerCreateImageOpts{Type: hcloud.ImageTypeSnapshot, Description: &server.Name})
			actions[i] = result.Action
			done <- err
		}()
	}
	for range servers {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	if err := client.Action.WaitFor(t.Context(), actions...); err != nil {
		t.Fatal(err)
	}
}
