package action_test

import (
	"flag"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/hetznercloud/hcloud-go/v2/hcloud" //nolint:depguard // what this action is compared with

	"github.com/org/hsnap-action/internal/hcloudsim"
)

var performance = flag.Bool("performance", false, "measure, and write what is measured into docs/performance.md")

// byCLI starts `hcloud server create-image` for each server, so many at once, and again 10 s after it has failed for a
// lock. A failure for anything else ends it, as a script would.
func byCLI(parallel int) way {
	return func(t *testing.T, w *world, _ workload) {
		t.Helper()
		client := hcloud.NewClient(hcloud.WithToken(hcloudsim.DefaultToken), hcloud.WithEndpoint("http://127.0.0.1/v1"),
			hcloud.WithPollOpts(hcloud.PollOpts{BackoffFunc: cliPolls}),
			hcloud.WithHTTPClient(&http.Client{Transport: w.check(w.cloud.Transport())}))
		servers, err := client.Server.AllWithOpts(t.Context(), hcloud.ServerListOpts{ListOpts: hcloud.ListOpts{PerPage: 50}})
		if err != nil {
			t.Fatal(err)
		}
		places := make(chan struct{}, parallel)
		for i, server := range servers {
			if !strings.HasPrefix(server.Name, "web-") {
				continue
			}
			places <- struct{}{}
			time.Sleep(time.Duration(i%10+1) * time.Millisecond) // no two begin at the same time
			go func() {
				defer func() { <-places }()
				for createImage(t, client, server.Name) {
					time.Sleep(10 * time.Second)
				}
			}()
		}
		for range parallel {
			places <- struct{}{}
		}
	}
}

// createImage is one run of the CLI. It reports whether the server was locked.
func createImage(t *testing.T, client *hcloud.Client, name string) (locked bool) {
	server, _, err := client.Server.GetByName(t.Context(), name)
	if err != nil {
		return false
	}
	result, _, err := client.Server.CreateImage(t.Context(), server, &hcloud.ServerCreateImageOpts{Type: hcloud.ImageTypeSnapshot, Description: &name})
	if err == nil {
		_ = client.Action.WaitFor(t.Context(), result.Action)
	}
	return hcloud.IsError(err, hcloud.ErrorCodeLocked)
}

// cliPolls is how the CLI has paused between two polls since v1.62: ten times half a second, then ever longer.
func cliPolls(n int) time.Duration {
	if n < 10 {
		return 500 * time.Millisecond
	}
	return hcloud.ExponentialBackoffWithOpts(hcloud.ExponentialBackoffOpts{
		Base: 500 * time.Millisecond, Multiplier: 1.5, Cap: 2500 * time.Millisecond,
	})(n - 10)
}

// TestPerformance measures the table in docs/performance.md, in virtual time. It is a command:
//
//	go test ./internal/action -run TestPerformance -performance
func TestPerformance(t *testing.T) {
	const file, begin, end = "../../docs/performance.md", "<!-- table -->\n", "<!-- /table -->"
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	load := workload{command: "change_server_type", shortest: 4 * time.Minute, longest: 6 * time.Minute}
	if !*performance {
		// One row is measured, so that the page can't be about another program.
		load.servers, load.locked = 10, 10
		if row := performanceRow(t, load, "this action", byAction); !strings.Contains(string(text), row) {
			t.Errorf("docs/performance.md is out of date, it lacks\n%s\nrun go test ./internal/action -run TestPerformance -performance", row)
		}
		return
	}
	var table strings.Builder
	table.WriteString("| servers | locked | of a project of | how | snapshots | requests | refused | the run takes | unlocked to asked, s | ended to noticed, s |\n")
	table.WriteString("|---:|---:|---:|---|---:|---:|---:|---:|---:|---:|\n")
	for _, project := range []workload{
		{servers: 1},
		{servers: 10, locked: 10},
		{servers: 50, locked: 50},
		{servers: 25, locked: 25, others: 475, scattered: true},
	} {
		load.servers, load.locked, load.others, load.scattered = project.servers, project.locked, project.others, project.scattered
		table.WriteString(performanceRow(t, load, "this action", byAction))
		if load.servers > 1 {
			table.WriteString(performanceRow(t, load, "CLI, all at once", byCLI(load.servers)))
		}
		table.WriteString(performanceRow(t, load, "CLI, one by one", byCLI(1)))
	}
	before, rest, ok := strings.Cut(string(text), begin)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatal("docs/performance.md has no place for the table")
	}
	if err := os.WriteFile(file, []byte(before+begin+table.String()+end+after), 0o600); err != nil {
		t.Fatal(err)
	}
}

func performanceRow(t *testing.T, load workload, name string, how way) string {
	t.Helper()
	m := measure(t, load, 1, how)
	times := func(ds []time.Duration) string {
		if len(ds) == 0 {
			return "–"
		}
		return fmt.Sprintf("%.1f / %.1f", median(ds).Seconds(), most(ds).Seconds())
	}
	noticed := times(m.noticed)
	if lost := m.made - len(m.noticed); lost > 0 {
		noticed += fmt.Sprintf(", %d never", lost)
	}
	return fmt.Sprintf("| %d | %d | %d | %s | %d | %d | %d | %s | %s | %s |\n", load.servers, load.locked, load.servers+load.others, name,
		m.made, len(m.polls)+m.beside, m.limited, m.took.Round(time.Second), times(m.asked), noticed)
}
