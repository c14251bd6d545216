package action_test

import (
	"bufio"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/org/hsnap-action/internal/hcloudsim"
)

var update = flag.Bool("update", false, "rewrite the golden files of the scenarios")

// TestScenarios runs every directory of testdata/scenarios: scenario.txt says what the user asked for and what the
// simulated API does, the other files are what the user then sees. See testdata/scenarios/README.md for its words.
func TestScenarios(t *testing.T) {
	dirs, err := filepath.Glob("testdata/scenarios/*/scenario.txt")
	if err != nil || len(dirs) == 0 {
		t.Fatalf("no scenarios found: %v", err)
	}
	for _, file := range dirs {
		dir := filepath.Dir(file)
		t.Run(filepath.Base(dir), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := readScenario(t, file).play(t)
				golden(t, filepath.Join(dir, "log.txt"), strings.ReplaceAll(s.log.String(), hcloudsim.DefaultToken, "<the token>"))
				golden(t, filepath.Join(dir, "summary.md"), s.summary.String())
				golden(t, filepath.Join(dir, "outputs.txt"), s.outputs.String())
			})
		})
	}
}

// story is what the user of a scenario sees.
type story struct{ log, summary, outputs strings.Builder }

// play runs a scenario to its end, its further runs included.
func (w *world) play(t *testing.T) *story {
	t.Helper()
	s := &story{}
	r := w.run(t)
	addsUp(t, r.log)
	if w.posts {
		after := w.post(t, r)
		r.log += fmt.Sprintf("--- the post step, with the state %v\n%s--- exit %d after %s\n",
			r.state, after.log, after.code, after.took.Round(time.Second))
	}
	s.add(r, w.cloud.History())
	for _, after := range w.again {
		before := len(w.cloud.History())
		r := w.runAgain(t, after)
		addsUp(t, r.log)
		s.log.WriteString("--- run again\n")
		s.outputs.WriteString("--- run again\n")
		s.summary.WriteString("\n--- run again\n\n")
		s.add(r, w.cloud.History()[before:])
	}
	time.Sleep(time.Minute) // for what is still under way
	for _, server := range w.cloud.Servers() {
		if len(server.Commands) > 0 {
			fmt.Fprintf(&s.outputs, "then %s is %s after %s\n", server.Name, server.Status, strings.Join(server.Commands, ", "))
		}
	}
	for _, made := range w.cloud.Creations() {
		fmt.Fprintf(&s.outputs, "then %s, a %s from image %d, was started %d times, and deleted: %t\n",
			made.Name, made.Type, made.ImageID, len(made.Starts), !made.Deleted.IsZero())
	}
	for _, ip := range w.cloud.PrimaryIPs() {
		if ip.ServerID == 0 || len(w.cloud.Creations()) > 0 {
			fmt.Fprintf(&s.outputs, "then primary IP %d is there\n", ip.ID)
		}
	}
	for _, image := range w.cloud.Images() {
		for _, name := range []string{"hsnap/verified", "hsnap/verified-by", "hsnap/verify"} {
			if value, ok := image.Labels[name]; ok {
				fmt.Fprintf(&s.outputs, "then image %d of %s has %s=%s\n", image.ID, image.ServerName, name, value)
			}
		}
		if power, ok := image.Labels["hsnap/power"]; ok {
			fmt.Fprintf(&s.outputs, "then image %d of %s has hsnap/power=%s\n", image.ID, image.ServerName, power)
		}
	}
	return s
}

// add adds what one run shows, and how many requests it sent.
func (s *story) add(r ran, sent []hcloudsim.Exchange) {
	s.log.WriteString(r.log)
	s.summary.WriteString(r.summary)
	fmt.Fprintf(&s.outputs, "exit %d after %s with %s\n", r.code, r.took.Round(time.Second), countRequests(sent))
	for _, name := range r.order {
		value := r.outputs[name]
		if name == "snapshots" || name == "restores" || name == "verifications" {
			value = strings.ReplaceAll(strings.ReplaceAll(value, `},{`, "},\n  {"), `,"message`, ",\n   \"message")
		}
		fmt.Fprintf(&s.outputs, "%s=%s\n", name, value)
	}
}

// countRequests counts what was sent.
func countRequests(sent []hcloudsim.Exchange) string {
	reads, creates, others := 0, 0, 0
	for _, x := range sent {
		switch {
		case x.Method == http.MethodGet:
			reads++
		case strings.HasSuffix(x.Path, "/create_image"):
			creates++
		default:
			others++
		}
	}
	if others == 0 {
		return fmt.Sprintf("%d reads and %d creates", reads, creates)
	}
	return fmt.Sprintf("%d reads, %d creates and %d other changes", reads, creates, others)
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v; run go test ./internal/action -run Scenarios -update", err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}

// readScenario builds the world that a scenario.txt describes.
func readScenario(t *testing.T, file string) *world {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	s := scenario{t: t, servers: map[string]int64{}}
	var lines []words
	for scan := bufio.NewScanner(f); scan.Scan(); {
		line := strings.TrimSpace(scan.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		ws := parseWords(line)
		if ws.list[0] == "limit" { // of snapshots; it belongs to the project from its beginning
			s.options.SnapshotLimit, err = strconv.Atoi(ws.list[1])
			if err != nil {
				t.Fatal(err)
			}
			continue
		}
		lines = append(lines, ws)
	}
	s.options.Seed = 1
	s.w = newWorld(t, s.options)
	for _, ws := range lines {
		s.apply(ws)
	}
	return s.w
}

type scenario struct {
	t       *testing.T
	options hcloudsim.Options
	w       *world
	servers map[string]int64
}

// words is one line: words, and key=value pairs among them.
type words struct {
	line string
	list []string
	args map[string]string
}

func parseWords(line string) words {
	ws := words{line: line, args: map[string]string{}}
	for i, word := range strings.Fields(line) {
		if key, value, ok := strings.Cut(word, "="); ok && i > 1 {
			ws.args[key] = value
			continue
		}
		ws.list = append(ws.list, word)
	}
	return ws
}

// time is the second word of a line.
func (s *scenario) time(ws words) time.Duration {
	d, err := time.ParseDuration(ws.list[1])
	if err != nil {
		s.t.Fatalf("%s: %v", ws.line, err)
	}
	return d
}

func (s *scenario) duration(ws words, key string) time.Duration {
	if ws.args[key] == "" {
		return 0
	}
	d, err := time.ParseDuration(ws.args[key])
	if err != nil {
		s.t.Fatalf("%s: %v", ws.line, err)
	}
	return d
}

func (s *scenario) number(ws words, key string) int {
	if ws.args[key] == "" {
		return 0
	}
	n, err := strconv.Atoi(ws.args[key])
	if err != nil {
		s.t.Fatalf("%s: %v", ws.line, err)
	}
	return n
}

func (s *scenario) apply(ws words) {
	rest := func(n int) string { // the line after its first n words
		text := ws.line
		for range n {
			_, text, _ = strings.Cut(text, " ")
			text = strings.TrimSpace(text)
		}
		return text
	}
	switch ws.list[0] {
	case "input":
		s.w.inputs[ws.list[1]] = rest(2)
	case "command":
		s.w.words = ws.list[1:]
	case "env":
		s.w.env[ws.list[1]] = rest(2)
	case "server":
		s.server(ws)
	case "image":
		s.image(ws)
	case "lock":
		s.w.cloud.Lock(s.id(ws.list[1]), hcloudsim.Lock{
			From: s.duration(ws, "from"), For: s.duration(ws, "for"), Lag: s.duration(ws, "lag"),
			Command: ws.args["command"], Hidden: ws.args["hidden"] == "true", AfterPolls: s.number(ws, "after-polls"),
		})
	case "fault":
		s.fault(ws)
	case "at":
		s.at(ws)
	case "firewall":
		s.w.cloud.AddFirewall(hcloudsim.Firewall{Name: ws.list[1], Rules: []hcloudsim.FirewallRule{
			{Direction: "in", Protocol: "tcp", Port: ws.args["in"], SourceIPs: []string{"0.0.0.0/0", "::/0"}},
		}})
	case "capacity":
		s.w.cloud.SetCapacity(ws.list[1], ws.list[2], s.number(ws, "left"))
	case "self":
		s.w.self = s.id(ws.list[1])
	case "post":
		s.w.posts = true
	case "again":
		pause := time.Duration(0)
		if len(ws.list) > 1 {
			pause = s.time(ws)
		}
		s.w.again = append(s.w.again, pause)
	case "kill":
		s.w.kill = s.time(ws)
	case "signal":
		signals := map[string]syscall.Signal{"INT": syscall.SIGINT, "TERM": syscall.SIGTERM}
		s.w.signals = append(s.w.signals, signalAt{s.time(ws), signals[ws.list[2]]})
	default:
		s.t.Fatalf("unknown line %q", ws.line)
	}
}

func (s *scenario) id(name string) int64 {
	id, ok := s.servers[name]
	if !ok {
		s.t.Fatalf("no server %q in the scenario so far", name)
	}
	return id
}

func (s *scenario) server(ws words) {
	if ws.args["shutdown-after"] == "never" {
		ws.args["shutdown-after"] = "-1s"
	}
	server := hcloudsim.Server{
		Power: hcloudsim.PowerBehaviour{
			ShutdownAfter: s.duration(ws, "shutdown-after"), PowerOffAfter: s.duration(ws, "poweroff-after"),
			PowerOnAfter: s.duration(ws, "poweron-after"), PowerOnFails: s.number(ws, "poweron-fails"), LockAfter: s.duration(ws, "lock-after"),
		},
		Name: ws.list[1], Status: ws.args["status"], IPv4: ws.args["ipv4"], IPv6: ws.args["ipv6"], Labels: pairs(ws.args["labels"]),
		RescueEnabled: ws.args["rescue"] == "true", ISO: ws.args["iso"], Type: ws.args["type"],
		PrimaryDiskGB: s.number(ws, "disk"), Protected: ws.args["protected"] == "true", RootPassword: ws.args["password"],
		Rebuild: hcloudsim.RebuildBehaviour{
			Duration: s.duration(ws, "rebuild"), LockFor: s.duration(ws, "rebuild-lock-for"), FailAfter: s.duration(ws, "rebuild-fail-after"),
			FailCode: ws.args["rebuild-fail"], FailMessage: strings.ReplaceAll(ws.args["rebuild-fail-message"], "_", " "), OffFor: s.duration(ws, "off-for"),
		},
		Guest: s.guest(ws),
		Snapshot: hcloudsim.SnapshotBehaviour{
			Duration: s.duration(ws, "duration"), AvailableAfter: s.duration(ws, "available-after"), LockFor: s.duration(ws, "lock-for"),
			FailCode: ws.args["fail"], FailMessage: strings.ReplaceAll(ws.args["fail-message"], "_", " "), FailAfter: s.duration(ws, "fail-after"),
			FailTimes: s.number(ws, "fail-times"), VanishAfter: s.duration(ws, "vanish-after"), NeverAvailable: ws.args["never-available"] == "true",
		},
	}
	for volume := range strings.SplitSeq(ws.args["volumes"], ",") {
		if id, err := strconv.ParseInt(volume, 10, 64); err == nil {
			server.Volumes = append(server.Volumes, id)
		}
	}
	s.servers[ws.list[1]] = s.w.cloud.AddServer(server)
}

// guest reads ports=22:SSH-2.0-OpenSSH_9.6,443: and when they listen.
func (s *scenario) guest(ws words) hcloudsim.Guest {
	g := hcloudsim.Guest{Ports: map[int]string{}, BootAfter: s.duration(ws, "boot-after"), Drops: ws.args["drops"] == "true"}
	for port, banner := range pairs(ws.args["ports"]) {
		n, err := strconv.Atoi(port)
		if err != nil {
			s.t.Fatalf("%s: %v", ws.line, err)
		}
		if g.Ports[n] = banner; banner != "" {
			g.Ports[n] += "\r\n"
		}
	}
	return g
}

func (s *scenario) image(ws words) {
	server := s.id(ws.list[1])
	labels := pairs(ws.args["labels"])
	labels["hsnap/server-id"] = strconv.FormatInt(server, 10)
	var deprecated time.Time
	if ws.args["deprecated"] == "true" {
		deprecated = time.Now()
	}
	for i := range max(1, s.number(ws, "times")) {
		s.w.cloud.AddImage(hcloudsim.Image{
			ID: int64(s.number(ws, "id")), ServerID: server, Deprecated: deprecated, Labels: labels, Description: ws.args["description"], Status: ws.args["status"], SizeGB: 2.5,
			Created: time.Now().Add(-s.duration(ws, "age") * time.Duration(i+1)), Protected: ws.args["protected"] == "true",
			DiskGB: s.number(ws, "disk"), Architecture: ws.args["arch"], Type: ws.args["type"],
			Copy: s.copyOf(ws),
		})
	}
}

// copyOf reads how a copy of an image is, nil where nothing is said.
func (s *scenario) copyOf(ws words) *hcloudsim.CopyBehaviour {
	said := false
	for name := range ws.args {
		said = said || strings.HasPrefix(name, "copy-")
	}
	if !said {
		return nil
	}
	guest := s.guest(words{line: ws.line, args: map[string]string{"ports": ws.args["copy-ports"], "boot-after": ws.args["copy-boot-after"], "drops": ws.args["copy-drops"]}})
	return &hcloudsim.CopyBehaviour{
		Duration: s.duration(ws, "copy-duration"), FailCode: ws.args["copy-fail"], FirewallAfter: s.duration(ws, "copy-firewall-after"),
		Power:    hcloudsim.PowerBehaviour{PowerOnEndsIn: ws.args["copy-ends-in"], PowerOnFails: s.number(ws, "copy-poweron-fails")},
		Deletion: hcloudsim.DeletionBehaviour{After: s.duration(ws, "copy-deleted-after"), FailTimes: s.number(ws, "copy-deletion-fails"), IPsStay: s.duration(ws, "copy-ips-stay")},
		Guest:    guest,
	}
}

func pairs(text string) map[string]string {
	labels := map[string]string{}
	for pair := range strings.SplitSeq(text, ",") {
		if key, value, ok := strings.Cut(pair, ":"); ok {
			labels[key] = value
		}
	}
	return labels
}

func (s *scenario) fault(ws words) {
	kinds := map[string]hcloudsim.FaultKind{}
	for kind := hcloudsim.LoseAnswerDone; kind.String() != "unknown"; kind++ {
		kinds[kind.String()] = kind
	}
	kind, ok := kinds[ws.list[1]]
	if !ok {
		s.t.Fatalf("%s: the kinds are %v", ws.line, kinds)
	}
	path := map[string]string{
		"": "", "create": "/servers/*/actions/create_image", "shutdown": "/servers/*/actions/shutdown",
		"poweroff": "/servers/*/actions/poweroff", "poweron": "/servers/*/actions/poweron",
		"rebuild": "/servers/*/actions/rebuild", "protect": "/images/*/actions/change_protection", "image": "/images/*", "images": "/images",
	}[ws.args["on"]]
	if path == "" {
		path = ws.args["on"]
	}
	s.w.cloud.Inject(hcloudsim.Fault{
		Kind: kind, Path: path, Method: ws.args["method"], Skip: s.number(ws, "skip"), Times: s.number(ws, "times"), Every: s.number(ws, "every"),
		From: s.duration(ws, "from"), For: s.duration(ws, "for"), Delay: s.duration(ws, "delay"),
		Status: s.number(ws, "status"), Code: ws.args["code"], Message: strings.ReplaceAll(ws.args["message"], "_", " "),
	})
}

func (s *scenario) at(ws words) {
	acts := map[string]func(*hcloudsim.Cloud){
		"revoke":        func(c *hcloudsim.Cloud) { c.Revoke() },
		"spend":         func(c *hcloudsim.Cloud) { c.Spend(s.number(ws, "requests")) },
		"delete-server": func(c *hcloudsim.Cloud) { c.DeleteServer(s.id(ws.args["server"])) },
		"power-on":      func(c *hcloudsim.Cloud) { c.SwitchOn(s.id(ws.args["server"])) },
		"power-off":     func(c *hcloudsim.Cloud) { c.SwitchOff(s.id(ws.args["server"])) },
		"label-copies": func(c *hcloudsim.Cloud) { // somebody makes them their own
			for _, made := range c.Creations() {
				c.LabelServer(made.ServerID, map[string]string{"owner": "me"})
			}
		},
		"attach-network": func(c *hcloudsim.Cloud) {
			for _, made := range c.Creations() {
				c.AttachNetwork(made.ServerID, 77)
			}
		},
		"delete-images": func(c *hcloudsim.Cloud) {
			for _, image := range c.Images() {
				c.DeleteImage(image.ID)
			}
		},
	}
	act, ok := acts[ws.list[2]]
	if !ok {
		s.t.Fatalf("unknown act in %q", ws.line)
	}
	s.w.cloud.At(s.time(ws), act)
}
