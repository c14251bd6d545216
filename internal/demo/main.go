// Demo runs the real action against a simulated Hetzner Cloud API on loopback, in under 20 s. It needs no account and no
// network.
//
// The simulated project has a database server with an attached volume, a server that is locked for some seconds while its
// type is changed, and a web server whose create loses its answer. With restore, verify, prune or audit as its argument it runs
// that command instead, on a project that has snapshots already; with verify, one of two snapshots fails. With -serve ADDR the
// demo only serves the simulated API, so that other clients can be tried against it; -servers N adds N servers.
package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/org/hsnap-action/internal/action"
	"github.com/org/hsnap-action/internal/hcloudsim"
	"github.com/org/hsnap-action/internal/hetzner"
)

func main() {
	serve := flag.String("serve", "", "only serve the simulated API on this address, as 127.0.0.1:8080")
	more := flag.Int("servers", 0, "how many servers to add to the project, named fleet-000 and so on")
	flag.Parse()
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	code, err := run(*serve, *more, cmp.Or(flag.Arg(0), "snapshot"), signals)
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		code = 1
	}
	os.Exit(code)
}

func run(serve string, more int, command string, signals <-chan os.Signal) (int, error) {
	if steps[command] == nil {
		return 1, fmt.Errorf("%q is none of the commands snapshot, restore, verify, prune and audit", command)
	}
	address := "127.0.0.1:0"
	if serve != "" {
		address = serve
	}
	listener, err := new(net.ListenConfig).Listen(context.Background(), "tcp", address)
	if err != nil {
		return 1, fmt.Errorf("serve the simulated API: %w", err)
	}
	cloud := project(serve == "" && command == "snapshot")
	if command != "snapshot" {
		addHistory(cloud)
	}
	for i := range more {
		cloud.AddServer(hcloudsim.Server{Name: fmt.Sprintf("fleet-%03d", i), Snapshot: hcloudsim.SnapshotBehaviour{Duration: 10 * time.Second}})
	}
	server := &http.Server{Handler: cloud, ReadHeaderTimeout: 10 * time.Second}
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	defer func() { _ = server.Close() }()

	endpoint := fmt.Sprintf("http://%s/v1", listener.Addr())
	if serve == "" {
		return act(cloud, endpoint, command, signals)
	}
	fmt.Printf("A simulated Hetzner Cloud project is served until Ctrl-C. For another client:\n\n"+
		"  export HCLOUD_ENDPOINT=%s\n  export HCLOUD_TOKEN=%s\n", endpoint, hcloudsim.DefaultToken)
	select {
	case <-signals:
		return 0, nil
	case err := <-done:
		return 1, fmt.Errorf("serve the simulated API: %w", err)
	}
}

// project returns the simulated project. Its snapshots take seconds. With trouble a server is locked, and an answer is lost.
func project(trouble bool) *hcloudsim.Cloud {
	cloud := hcloudsim.New(hcloudsim.Options{Seed: 1, MinLatency: 30 * time.Millisecond, MaxLatency: 120 * time.Millisecond})
	quick := hcloudsim.SnapshotBehaviour{Duration: 4 * time.Second, SizeGB: 3.25}
	cloud.AddServer(hcloudsim.Server{
		Name: "db-1", Type: "cx33", IPv4: "203.0.113.10", Volumes: []int64{4711}, Labels: map[string]string{"env": "prod"}, Snapshot: quick,
		Rebuild: hcloudsim.RebuildBehaviour{Duration: 6 * time.Second},
		Guest:   hcloudsim.Guest{Ports: map[int]string{22: "SSH-2.0-OpenSSH_9.6\r\n"}, BootAfter: 2 * time.Second},
	})
	resized := cloud.AddServer(hcloudsim.Server{
		Name: "sg5", Type: "cx23", IPv4: "203.0.113.25", Labels: map[string]string{"env": "prod"}, Snapshot: quick,
	})
	web := cloud.AddServer(hcloudsim.Server{
		Name: "web-1", Type: "cx23", Location: "hel1", IPv4: "203.0.113.42", Labels: map[string]string{"env": "prod"}, Snapshot: quick,
	})
	cloud.AddServer(hcloudsim.Server{Name: "test-1", Labels: map[string]string{"env": "test"}, Snapshot: quick})
	if trouble {
		cloud.Lock(resized, hcloudsim.Lock{For: 4 * time.Second, Command: "change_server_type"})
		cloud.Inject(hcloudsim.Fault{
			Kind: hcloudsim.LoseAnswerDone, Times: 1, Method: http.MethodPost, Path: fmt.Sprintf("/servers/%d/actions/create_image", web),
		})
	}
	return cloud
}

// addHistory gives the project snapshots of the last days: of its servers, of one that is gone, and one made by hand.
func addHistory(cloud *hcloudsim.Cloud) {
	servers := cloud.Servers()
	gone := cloud.AddServer(hcloudsim.Server{Name: "old-1"})
	add := func(server int64, age time.Duration, labels map[string]string, made *hcloudsim.CopyBehaviour) {
		if labels["hsnap/series"] != "" {
			labels["hsnap/server-id"] = strconv.FormatInt(server, 10)
		}
		cloud.AddImage(hcloudsim.Image{ServerID: server, SizeGB: 3.25, Created: time.Now().Add(-age), Labels: labels, Description: "of the demo", Copy: made})
	}
	const day = 24 * time.Hour
	copied := func(ports map[int]string) *hcloudsim.CopyBehaviour {
		return &hcloudsim.CopyBehaviour{
			Duration: 3 * time.Second, Power: hcloudsim.PowerBehaviour{PowerOnAfter: time.Second},
			Guest: hcloudsim.Guest{Ports: ports, BootAfter: 2 * time.Second},
		}
	}
	for i := range 7 {
		add(servers[0].ID, 3*time.Hour+time.Duration(i)*day, map[string]string{"hsnap/series": "nightly"}, copied(map[int]string{22: "SSH-2.0-OpenSSH_9.6\r\n"}))
	}
	add(servers[0].ID, 9*day, map[string]string{"hsnap/series": "nightly", "hsnap/verified": time.Now().Add(-8 * day).UTC().Format("2006-01-02T150405Z")}, nil)
	add(servers[1].ID, 31*time.Hour, map[string]string{"hsnap/series": "nightly"}, nil)
	add(servers[2].ID, 4*time.Hour, map[string]string{"hsnap/series": "nightly"}, copied(nil)) // nothing listens
	add(servers[2].ID, 40*day, nil, nil)
	add(gone, 90*day, map[string]string{"hsnap/series": "nightly"}, nil)
	cloud.DeleteServer(gone)
}

// steps are the inputs that each command is shown with, beside the token and the endpoint.
var steps = map[string][][2]string{
	"snapshot": {{"servers", "db-1, sg5, web-*"}, {"lock-timeout", "10m"}},
	"restore":  {{"images", "db-1=latest"}, {"series", "nightly"}, {"prove", "ssh"}},
	"verify":   {{"servers", "db-1, web-1"}, {"series", "nightly"}, {"boot-timeout", "12s"}},
	"prune":    {{"servers", "db-1, sg5, web-*"}, {"series", "nightly"}, {"keep-daily", "3"}},
	"audit":    {{"series", "nightly"}, {"stale-after", "26h"}},
}

// act runs the action as a workflow would, and prints its log, outputs and job summary.
func act(cloud *hcloudsim.Cloud, endpoint, command string, signals <-chan os.Signal) (int, error) {
	dir, err := os.MkdirTemp("", "hsnap-demo-")
	if err != nil {
		return 1, fmt.Errorf("make a folder for the outputs: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	outputs, summary := filepath.Join(dir, "outputs.env"), filepath.Join(dir, "summary.md")

	uses := "org/hsnap-action@v1"
	if command != "snapshot" {
		uses = "org/hsnap-action/" + command + "@v1"
	}
	env := []string{
		"HSNAP_HCLOUD_TOKEN=" + hcloudsim.DefaultToken, "HSNAP_API_ENDPOINT=" + endpoint, "HSNAP_OUTPUT_FILE=" + outputs, "GITHUB_STEP_SUMMARY=" + summary,
	}
	fmt.Printf("The step of a workflow, against a simulated Hetzner Cloud project:\n\n"+
		"  - uses: %s\n    id: snap\n    with:\n      hcloud-token: ${{ secrets.HCLOUD_TOKEN }}\n", uses)
	for _, input := range steps[command] {
		fmt.Printf("      %s: %s\n", input[0], input[1])
		env = append(env, "HSNAP_"+strings.ToUpper(strings.ReplaceAll(input[0], "-", "_"))+"="+input[1])
	}
	fmt.Print("\n--- its log\n\n")
	code := action.Process{
		Args: []string{"hsnap-action", command}, Version: "demo", Out: os.Stdout, Signals: signals,
		Transport: hetzner.NewTransport(), Dial: cloud.Dial, Rand: rand.Reader, Env: env,
	}.Main(context.Background())

	fmt.Printf("\n--- exit code\n\n%d\n", code)
	for _, file := range []struct{ title, name string }{
		{"its outputs, as a file of variables", outputs}, {"its job summary", summary},
	} {
		text, err := os.ReadFile(file.name)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return 1, fmt.Errorf("read what the action wrote: %w", err)
		}
		if len(text) > 0 {
			fmt.Printf("\n--- %s\n\n%s", file.title, text)
		}
	}
	return code, nil
}
