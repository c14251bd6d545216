package action_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/org/hsnap-action/internal/hcloudsim"
)

// hostile rewrites every string that the API lets people choose, and every message, so that it carries the payload.
type hostile struct {
	next    http.RoundTripper
	payload string
}

func (h hostile) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := h.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	var v any
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	if decoder.Decode(&v) == nil {
		if body, err = json.Marshal(h.spoil("", v)); err != nil {
			return nil, err
		}
	}
	if resp.Header.Get("X-Correlation-Id") != "" {
		resp.Header.Set("X-Correlation-Id", h.payload)
	}
	resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	return resp, nil
}

func (h hostile) spoil(key string, v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k, inner := range v {
			if k != "labels" { // the request's label finds the image
				v[k] = h.spoil(k, inner)
			}
		}
		return v
	case []any:
		for i := range v {
			v[i] = h.spoil(key, v[i])
		}
		return v
	case string:
		switch key {
		case "status", "type", "code", "created", "started", "finished", "sort":
			return v // what the program decides by
		case "net", "gross":
			return v
		}
		return v + h.payload
	}
	return v
}

// commandsIn returns the lines that the runner takes for workflow commands: "::name" after white space, in the new
// form, "##[name]" anywhere in a line, in the old one.
func commandsIn(log string) (commands []string) {
	for line := range strings.SplitSeq(strings.ReplaceAll(log, "\r", "\n"), "\n") {
		if trimmed := strings.TrimSpace(line); strings.HasPrefix(trimmed, "::") {
			name, _, _ := strings.Cut(strings.TrimPrefix(trimmed, "::"), "::")
			name, _, _ = strings.Cut(name, " ")
			commands = append(commands, name)
		}
		if strings.Contains(line, "##[") {
			commands = append(commands, line)
		}
	}
	return commands
}

// An API that puts the token and workflow commands into every string it sends leaks nothing and forges nothing, in
// the log, debug lines included, the outputs and the summary.
func TestHostileAPI(t *testing.T) {
	token := hcloudsim.DefaultToken
	payloads := map[string]string{
		"commands":  "\n::set-output name=result::forged\r\n  ::error::forged\n##[error]forged ##[add-mask]x",
		"token":     " " + token + " " + token[7:19],
		"markdown":  " | forged | <img src=x> [x](http://x) `x` **x** @org/team #1 :tada:\n| a | b |",
		"output":    "\nresult=forged\nresult<<EOF\nforged\nEOF\n_GitHubActionsFileCommandDelimeter_\n",
		"direction": "\u202eforged\u2066\x1b[31m\x00\u2028::error::forged",
	}
	for name, payload := range payloads {
		for _, fault := range []hcloudsim.Fault{{}, {Kind: hcloudsim.ErrorJSON, Status: 422, Code: "invalid_input", Message: "m", Method: "POST"}} {
			t.Run(fmt.Sprintf("%s/%s", name, fault.Kind), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t, hcloudsim.Options{Seed: 5})
					id := w.cloud.AddServer(hcloudsim.Server{Name: "db-1"})
					w.cloud.Lock(id, hcloudsim.Lock{For: 20 * time.Second, Command: "change_server_type"})
					w.cloud.AddServer(hcloudsim.Server{Name: "web-1", Snapshot: hcloudsim.SnapshotBehaviour{FailCode: "action_failed", FailMessage: "Action failed"}})
					if fault.Kind != 0 {
						w.cloud.Inject(fault)
					}
					w.check = func(rt http.RoundTripper) http.RoundTripper { return hostile{rt, payload} }
					w.inputs["servers"], w.inputs["if-locked"] = "*", "wait"
					w.env["RUNNER_DEBUG"] = "1"
					r := w.run(t)
					for _, command := range commandsIn(strings.ReplaceAll(r.log, "::add-mask::"+token+"\n", "")) {
						if command != "debug" && command != "error" && command != "warning" {
							t.Errorf("the log holds the command %q", command)
						}
					}
					if strings.Contains(r.log, "::error::forged") || strings.Contains(r.log, "##[") {
						t.Errorf("a command was forged:\n%s", r.log)
					}
					if len(r.order) != 11 || r.outputs["result"] == "forged" {
						t.Errorf("outputs were forged: %v", r.outputs)
					}
					if got := r.snapshots(t); len(got) != 2 {
						t.Errorf("%d snapshots are told, want 2", len(got))
					}
					for line := range strings.Lines(r.summary) {
						if strings.ContainsAny(line, "\x1b\x00\u202e\u2028") || strings.Contains(line, "<img") || strings.Contains(line, "](http") || strings.Contains(line, "@org") {
							t.Errorf("the summary holds %q", line)
						}
						if strings.HasPrefix(line, "| ") && strings.Count(line, "|") != 7 {
							t.Errorf("a row of the table is broken: %q", line)
						}
					}
				})
			})
		}
	}
}
