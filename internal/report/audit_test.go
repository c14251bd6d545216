package report_test

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/org/hsnap-action/internal/audit"
	"github.com/org/hsnap-action/internal/config"
	"github.com/org/hsnap-action/internal/hetzner"
	"github.com/org/hsnap-action/internal/report"
	"github.com/org/hsnap-action/internal/secret"
	"github.com/org/hsnap-action/internal/snapshot"
)

// auditOf delivers an audit on GitHub.
func auditOf(t *testing.T, mask secret.Mask, o audit.Outcome) (log, outputs, summary string) {
	t.Helper()
	dir := t.TempDir()
	var b bytes.Buffer
	r := report.New(report.Options{Out: &b, Getenv: github(dir), Mask: mask})
	if err := r.OpenOutputs(report.OutputsTo{Summary: true}); err != nil {
		t.Fatal(err)
	}
	if r.DeliverAudit(o).Undelivered {
		t.Fatal("the outputs are not handed on")
	}
	r.Flush(time.Minute)
	return b.String(), fileOf(t, dir, "output"), fileOf(t, dir, "summary")
}

// inventory is a project with servers, and ten times as many images of each kind, all with one text in every place that
// somebody else fills.
func inventory(servers int, text string) audit.Outcome {
	o := audit.Outcome{Inventory: &audit.Inventory{}, Failures: []audit.Finding{audit.Stale, audit.Unverified, audit.Orphans, audit.Leftovers}}
	o.Price = hetzner.Price{Currency: "EUR", Net: 0.0143, Gross: 0.017017}
	for i := range servers {
		server := hetzner.Server{ID: int64(i + 1), Name: fmt.Sprint(text, i), Type: text}
		o.Servers = append(o.Servers, audit.Server{Server: server, Stale: true, Count: 9, SizeGB: 12.5})
		o.Leftovers = append(o.Leftovers, server)
		for j := range 10 {
			image := hetzner.Image{ID: int64(200_000_000 + 10*i + j), Description: text, Labels: map[string]string{"hsnap/series": text, "hsnap/server-id": text}, Protected: j%2 == 0}
			o.Orphans, o.Foreign, o.Protected = append(o.Orphans, image), append(o.Foreign, image), append(o.Protected, image)
		}
	}
	return o
}

// GitHub drops a summary above 1 MiB whole, and the runner shows ten annotations of a step.
func TestLimitsOfALargeAudit(t *testing.T) {
	for text, servers := range map[string]int{"srv-": 500, strings.Repeat("&|", 120): 500} {
		log, _, summary := auditOf(t, secret.Mask{}, inventory(servers, text))
		if len(summary) > 1<<20 {
			t.Errorf("the summary has %d bytes", len(summary))
		}
		if n := strings.Count(log, "::error"); n > 10 || n < 9 {
			t.Errorf("%d annotations", n)
		}
		if strings.Count(summary, "<details") != strings.Count(summary, "</details>") || strings.Count(summary, "\n```")%2 != 0 {
			t.Error("a part of the summary is left open")
		}
		if servers == 500 && text == "srv-" && (strings.Count(summary, "\n| srv-") != 1000-200 || !regexp.MustCompile(`\n… and 4700 more\.\n`).MatchString(summary)) {
			t.Errorf("%d rows of servers:\n%.3000s", strings.Count(summary, "\n| srv-"), summary)
		}
	}
}

// The price ends the log, which may be all that there is to read. In the summary it stands under the table, and the heading
// is short.
func TestPriceOfAnAudit(t *testing.T) {
	o := inventory(2, "web-")
	o.Count, o.SizeGB = 18, 100
	log, _, summary := auditOf(t, secret.Mask{}, o)
	heading, rest, _ := strings.Cut(summary, "\n")
	if !strings.HasSuffix(heading, "; 2 servers, 18 snapshots, 100.0 GB") {
		t.Errorf("the heading is %q", heading)
	}
	has(t, rest, "100.00 GB, 1.43 net / 1.70 gross EUR a month.\n")
	has(t, log, "; 2 servers, 18 snapshots, 100.0 GB, 1.43 net / 1.70 gross EUR a month, in ")
}

// Whoever looks each morning sees at once what needs a look: it comes first and is marked. Of many servers the others are
// folded away, of a few none is.
func TestAuditShowsFirstWhatNeedsALook(t *testing.T) {
	for _, servers := range []int{20, 21} {
		o := inventory(servers, "web-")
		o.Failures = []audit.Finding{audit.Stale, audit.Orphans}
		for i := range o.Servers {
			s := &o.Servers[i]
			s.Stale, s.Age, s.Newest = false, 5*time.Hour, hetzner.Image{ID: int64(100 + i)}
		}
		o.Servers[7].Newest.Labels = map[string]string{"hsnap/verify": "failed"}
		o.Servers[11].Stale, o.Servers[11].Age = true, 31*time.Hour
		o.Servers[13].Stale, o.Servers[13].Age = true, 50*time.Hour
		o.Servers[17].Stale, o.Servers[17].Newest = true, hetzner.Image{}
		_, _, summary := auditOf(t, secret.Mask{}, o)
		var shown []string // as it is read from the top: R for a row with a red mark, r for one without, f for a fold
		var names []string
		for line := range strings.Lines(summary) {
			switch row := strings.HasPrefix(line, "| web-"); {
			case row && len(names) < servers && strings.Contains(line, "🔴&nbsp;"):
				shown, names = append(shown, "R"), append(names, strings.Fields(line)[1])
			case row && len(names) < servers:
				shown, names = append(shown, "r"), append(names, strings.Fields(line)[1])
			case strings.HasPrefix(line, "<details") && len(names) < servers:
				shown = append(shown, "f")
			}
		}
		want := "RRRR" + strings.Repeat("r", servers-4)
		if servers > 20 {
			want = "RRRRf" + strings.Repeat("r", servers-4)
			has(t, summary, "<summary>17 other servers</summary>")
		}
		if got := strings.Join(shown, ""); got != want {
			t.Errorf("the rows are %s, want %s:\n%.3000s", got, want, summary)
		}
		if diff := cmp.Diff([]string{"web-17", "web-13", "web-11", "web-7", "web-0"}, names[:5]); diff != "" {
			t.Errorf("the first servers (-want +got):\n%s", diff)
		}
		has(t, summary, fmt.Sprintf("<summary>🔴&nbsp;%d snapshots of servers that are gone", 10*servers),
			fmt.Sprintf("<summary>%d snapshots that this action did not make", 10*servers), fmt.Sprintf("<summary>%d servers left behind", servers))
	}
}

// Where nothing needs a look, nothing is marked, and many servers are one line. Leftovers are marked where the run fails on them.
func TestAuditMarksNothingInVain(t *testing.T) {
	o := inventory(21, "web-")
	o.Failures = nil
	for i := range o.Servers {
		o.Servers[i].Stale, o.Servers[i].Newest = false, hetzner.Image{ID: int64(100 + i)}
	}
	_, _, summary := auditOf(t, secret.Mask{}, o)
	if strings.Contains(summary, "🔴") || strings.Count(summary, "| newest snapshot |") != 1 {
		t.Errorf("nothing needs a look, and the summary is:\n%.1000s", summary)
	}
	has(t, summary, "<summary>21 servers</summary>")
	o.Failures = []audit.Finding{audit.Leftovers}
	_, _, summary = auditOf(t, secret.Mask{}, o)
	has(t, summary, "<details open><summary>🔴&nbsp;21 servers left behind by verifications")
}

// A server that is not verified is marked and comes first only where the run is to fail on it.
func TestAuditMarksTheUnverified(t *testing.T) {
	for _, fails := range []bool{false, true} {
		o := inventory(2, "web-")
		o.Failures = nil
		if fails {
			o.Failures = []audit.Finding{audit.Unverified}
		}
		for i := range o.Servers {
			o.Servers[i].Stale, o.Servers[i].Newest = false, hetzner.Image{ID: int64(100 + i)}
		}
		o.Servers[0].VerifiedAt = time.Date(2026, 11, 22, 3, 40, 0, 0, time.UTC)
		_, _, summary := auditOf(t, secret.Mask{}, o)
		first, second := strings.Index(summary, "| 2026&#8209;11&#8209;22 |"), strings.Index(summary, "| never |")
		if fails {
			second, first = first, strings.Index(summary, "| 🔴&nbsp;never |")
		}
		if first < 0 || second < first {
			t.Errorf("with fail-on unverified %v:\n%.1000s", fails, summary)
		}
	}
}

// No text of somebody else's is more than text, wherever it stands.
func TestHostileAudit(t *testing.T) {
	const token = "u8jzPde0IgxLd6Gnc"
	text := "x\n::error::forged ##[error]forged @org <img src=x> [a](http://b) `c` | " + token
	o := inventory(2, text)
	o.Price.Currency = text
	o.Results = []snapshot.Result{{Name: text, Status: snapshot.Failed, Reason: snapshot.NotFound, Nearest: text}}
	log, outputs, summary := auditOf(t, secret.New(token), o)
	for name, got := range map[string]string{"log": log, "outputs": outputs, "summary": summary} {
		if strings.Contains(got, token[:6]) {
			t.Errorf("the %s shows the token:\n%s", name, got)
		}
	}
	if strings.Contains(log, "\n::error::forged") || strings.Contains(log, "##[") || strings.Contains(outputs, "\n::") {
		t.Errorf("a command was forged:\n%s\n%s", log, outputs)
	}
	for line := range strings.Lines(summary) {
		if strings.Contains(line, "<img") || strings.Contains(line, "](http") || strings.Contains(line, "@org") {
			t.Errorf("the summary holds %q", line)
		}
	}
	rows := map[int]int{} // of tables, by their number of cells
	for line := range strings.Lines(summary) {
		if strings.HasPrefix(line, "| ") {
			rows[strings.Count(line, "|")-1]++
		}
	}
	if diff := cmp.Diff(map[int]int{7: 1 + 2, 6: 3 * (1 + 20), 3: 1 + 2}, rows); diff != "" {
		t.Errorf("rows by their cells (-want +got):\n%s\n%s", diff, summary)
	}
}

// The outputs that are written are those that users read about, in their order, also when nothing is known.
func TestAuditOutputsAreThoseDocumented(t *testing.T) {
	var want []string
	for _, output := range new(config.Audit).Outputs() {
		want = append(want, output.Name)
	}
	for name, o := range map[string]audit.Outcome{
		"everything": inventory(3, "srv-"), "a wrong input": {Outcome: snapshot.Outcome{Nothing: true}},
		"the API is down": {Outcome: snapshot.Outcome{Down: &hetzner.Error{Message: "reset"}}},
	} {
		_, outputs, _ := auditOf(t, secret.Mask{}, o)
		var got []string
		for _, match := range regexp.MustCompile(`(?m)^([a-z-]+)(?:<<|=)`).FindAllStringSubmatch(outputs, -1) {
			got = append(got, match[1])
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s\n%s", name, diff, outputs)
		}
	}
}
