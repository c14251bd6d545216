package speccheck

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// description is a small API of our own.
const description = `{
  "openapi": "3.1.0",
  "paths": {
    "/boxes": {
      "get": {
        "parameters": [
          {"name": "label", "in": "query", "schema": {"type": "string"}},
          {"name": "id", "in": "query", "required": true, "schema": {"type": "array", "items": {"type": "integer", "minimum": 1}}},
          {"name": "open", "in": "query", "schema": {"type": "boolean"}}
        ],
        "responses": {
          "200": {"content": {"application/json": {"schema": {
            "type": "object", "required": ["boxes"],
            "properties": {"boxes": {"type": "array", "items": {"$ref": "#/components/schemas/Box"}}}
          }}}},
          "4XX": {"content": {"application/json": {"schema": {"type": "object", "required": ["error"]}}}}
        }
      }
    },
    "/boxes/{id}": {
      "get": {
        "parameters": [{"name": "id", "in": "path", "required": true, "schema": {"type": "integer", "minimum": 1}}],
        "responses": {"200": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Box"}}}}}
      },
      "put": {
        "parameters": [{"name": "id", "in": "path", "required": true, "schema": {"type": "integer", "minimum": 1}}],
        "requestBody": {"required": true, "content": {"application/json": {"schema": {
          "type": "object", "properties": {"name": {"type": "string"}}
        }}}},
        "responses": {"204": {}}
      }
    },
    "/boxes/open": {
      "get": {"responses": {"204": {}}}
    },
    "/open": {
      "get": {"responses": {"200": {}}}
    }
  },
  "components": {"schemas": {"Box": {
    "type": "object", "required": ["made"], "properties": {
      "made": {"type": ["string", "null"], "format": "date-time"},
      "owner": {"type": "object", "nullable": true, "properties": {"name": {"type": "string"}}},
      "lid": {"type": ["string", "null"], "enum": ["flat", "round"]}
    }
  }}}
}`

// fixed answers every request alike.
type fixed struct {
	status int
	header http.Header
	body   string
}

func (f fixed) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Body != nil {
		if _, err := io.ReadAll(req.Body); err != nil {
			return nil, err
		}
	}
	return &http.Response{StatusCode: f.status, Header: f.header.Clone(), Body: io.NopCloser(strings.NewReader(f.body)), Request: req}, nil
}

// errors sends a request that is answered so, and returns what is wrong with
// either of them.
func (f fixed) errors(t *testing.T, method, path, body string) []string {
	t.Helper()
	log := &errorLog{TB: t}
	var r io.Reader
	if body != "" {
		r = strings.NewReader(body)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, "http://sim.test"+path, r)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := Wrap(log, f).RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	if raw, err := io.ReadAll(res.Body); err != nil || string(raw) != f.body {
		t.Errorf("%s %s: body %q, %v", method, path, raw, err)
	}
	return log.errors
}

// errorLog is a testing.TB that keeps its errors.
type errorLog struct {
	testing.TB
	errors []string
}

func (l *errorLog) Errorf(format string, args ...any) {
	l.errors = append(l.errors, fmt.Sprintf(format, args...))
}

func useDescription(t *testing.T) {
	name := filepath.Join(t.TempDir(), "openapi.json")
	if err := os.WriteFile(name, []byte(description), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv(Variable, name)
}

var jsonHeader = http.Header{"Content-Type": {"application/json; charset=utf-8"}}

func TestWrap(t *testing.T) {
	useDescription(t)
	good := fixed{200, jsonHeader, `{"boxes":[{"made":"2026-01-02T03:04:05Z"},{"made":null}]}`}
	gone := fixed{204, nil, ""}
	for name, tt := range map[string]struct {
		method, path, body string
		reply              fixed
		want               string // part of the only error
	}{
		"fine":                {"GET", "/v1/boxes?id=1&id=2&label=x&open=true&page=1", "", good, ""},
		"no prefix":           {"GET", "/boxes?id=1", "", good, ""},
		"error reply":         {"GET", "/v1/boxes?id=1", "", fixed{404, jsonHeader, `{"error":{}}`}, ""},
		"put":                 {"PUT", "/v1/boxes/4", `{"name":"x"}`, gone, ""},
		"exempt":              {"GET", "/v1/boxes?id=1", "", fixed{200, http.Header{"X-Sim-Fault": {"html"}}, "<"}, ""},
		"unknown operation":   {"DELETE", "/v1/boxes", "", gone, "no such operation"},
		"missing parameter":   {"GET", "/v1/boxes", "", good, "parameter id is missing"},
		"bad item":            {"GET", "/v1/boxes?id=0", "", good, "parameter id"},
		"no number":           {"GET", "/v1/boxes?id=x", "", good, "parameter id"},
		"no boolean":          {"GET", "/v1/boxes?id=1&open=maybe", "", good, "parameter open"},
		"unknown parameter":   {"GET", "/v1/boxes?id=1&labels=x", "", good, "parameter labels is unknown"},
		"unknown query":       {"PUT", "/v1/boxes/4?id=1", `{"name":"x"}`, gone, "id"},
		"bad path":            {"PUT", "/v1/boxes/x", `{}`, gone, "parameter id"},
		"no body":             {"PUT", "/v1/boxes/4", "", gone, "body is missing"},
		"bad body":            {"PUT", "/v1/boxes/4", `{"name":null}`, gone, "name"},
		"unknown field":       {"PUT", "/v1/boxes/4", `{"size":1}`, gone, "additional properties 'size' not allowed"},
		"body not wanted":     {"GET", "/v1/boxes?id=1", "{}", good, "unexpected body"},
		"bad reply":           {"GET", "/v1/boxes?id=1", "", fixed{200, jsonHeader, `{}`}, "boxes"},
		"bad reference":       {"GET", "/v1/boxes?id=1", "", fixed{200, jsonHeader, `{"boxes":[{}]}`}, "made"},
		"undescribed field":   {"GET", "/v1/boxes?id=1", "", fixed{200, jsonHeader, `{"boxes":[{"made":null,"size":1}]}`}, "additional properties 'size' not allowed"},
		"parameter in path":   {"GET", "/v1/boxes/4", "", fixed{200, jsonHeader, `{"made":null}`}, ""},
		"literal path":        {"GET", "/v1/boxes/open", "", gone, ""},
		"literal, no prefix":  {"GET", "/boxes/open", "", gone, ""},
		"nullable":            {"GET", "/boxes/4", "", fixed{200, jsonHeader, `{"made":null,"owner":null,"lid":null}`}, ""},
		"not nullable":        {"GET", "/boxes/4", "", fixed{200, jsonHeader, `{"made":null,"owner":{"name":null}}`}, "owner/name"},
		"not in an enum":      {"GET", "/boxes/4", "", fixed{200, jsonHeader, `{"made":null,"lid":"square"}`}, "lid"},
		"bad format":          {"GET", "/v1/boxes?id=1", "", fixed{200, jsonHeader, `{"boxes":[{"made":"today"}]}`}, "date-time"},
		"bad JSON":            {"GET", "/v1/boxes?id=1", "", fixed{200, jsonHeader, `{`}, "body"},
		"bad content type":    {"GET", "/v1/boxes?id=1", "", fixed{200, nil, `{"boxes":[]}`}, "content type"},
		"undescribed status":  {"GET", "/v1/boxes?id=1", "", fixed{500, jsonHeader, `{}`}, "status is not described"},
		"body where none is":  {"PUT", "/v1/boxes/4", `{}`, fixed{204, nil, "x"}, "unexpected body"},
		"bad error reply":     {"GET", "/v1/boxes?id=1", "", fixed{422, jsonHeader, `{}`}, "error"},
		"number out of range": {"PUT", "/v1/boxes/99999999999999999999", `{}`, gone, "parameter id"},
	} {
		errors := tt.reply.errors(t, tt.method, tt.path, tt.body)
		switch {
		case tt.want == "" && len(errors) > 0:
			t.Errorf("%s: %q", name, errors)
		case tt.want != "" && (len(errors) != 1 || !strings.Contains(errors[0], tt.want)):
			t.Errorf("%s: errors %q, want one with %q", name, errors, tt.want)
		}
	}
}

// The description of today, where it is at hand, is read to its end.
func TestWholeDescription(t *testing.T) {
	name := os.Getenv(Variable)
	if name == "" {
		t.Skip("no description")
	}
	s, err := load(name)
	if err != nil {
		t.Fatal(err)
	}
	for request, want := range map[string]string{
		"GET /v1/firewalls/actions":          "GET /firewalls/actions",
		"GET /firewalls/actions":             "GET /firewalls/actions",
		"GET /v1/firewalls/7":                "GET /firewalls/{id}",
		"GET /v1/actions":                    "GET /actions",
		"POST /v1/servers":                   "POST /servers",
		"DELETE /v1/servers/7":               "DELETE /servers/{id}",
		"GET /v1/server_types":               "GET /server_types",
		"DELETE /v1/primary_ips/7":           "DELETE /primary_ips/{id}",
		"POST /v1/servers/7/actions/rebuild": "POST /servers/{id}/actions/rebuild",
	} {
		method, path, _ := strings.Cut(request, " ")
		if op, _ := s.find(method, path); op == nil || op.name != want {
			t.Errorf("%s is found as %+v, want %s", request, op, want)
		}
	}
}

func TestBadDescription(t *testing.T) {
	for name, text := range map[string]string{
		"no JSON":        `{`,
		"no object":      `{"paths": 5}`,
		"bad parameters": `{"paths": {"/a": {"get": {"parameters": 5}}}}`,
		"bad schema":     `{"paths": {"/a": {"get": {"responses": {"200": {"content": {"application/json": {"schema": {"type": "blob"}}}}}}}}}`,
		"bad reference":  `{"paths": {"/a": {"get": {"responses": {"200": {"content": {"application/json": {"schema": {"$ref": "#/nowhere"}}}}}}}}}`,
	} {
		if _, err := parse([]byte(text)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestSampled(t *testing.T) {
	useDescription(t)
	log := &errorLog{TB: t}
	rt := Sampled(log, fixed{200, jsonHeader, `{}`}, 4)
	for range 9 {
		req, err := http.NewRequestWithContext(t.Context(), "GET", "http://sim.test/v1/boxes?id=1", nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := rt.RoundTrip(req); err != nil {
			t.Fatal(err)
		}
	}
	if len(log.errors) != 3 {
		t.Errorf("%d of 9 replies were found wrong, want 3", len(log.errors))
	}
}

func TestWithoutDescription(t *testing.T) {
	t.Setenv(Variable, "")
	if rt := Wrap(t, fixed{}); rt == nil {
		t.Error("no transport")
	} else if _, ok := rt.(fixed); !ok {
		t.Errorf("the transport is wrapped: %T", rt)
	}
}
