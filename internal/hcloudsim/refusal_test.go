package hcloudsim

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// refusal is a request that must be refused.
type refusal struct {
	method, path, body string
	status             int
	code, field        string // empty field: the answer names none
}

// refuseAll sends the requests to a project with a server 5, a snapshot 6 and a
// system image 7, none of which may change.
func refuseAll(t *testing.T, refusals []refusal) {
	t.Helper()
	c := New(Options{})
	c.AddServer(Server{ID: 5})
	c.AddImage(Image{ID: 6})
	c.AddImage(Image{ID: 7, Type: "system", Name: "debian-13"})
	before := c.Images()
	h := rude(t, c)
	for _, tt := range refusals {
		g := h.refused(tt.method, tt.path, tt.body, tt.status, tt.code)
		if g.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s %s: content type %q", tt.method, tt.path, g.Header.Get("Content-Type"))
		}
		var details struct{ Fields []fieldError }
		if err := json.Unmarshal(g.Error.Details, &details); err != nil {
			t.Fatal(err)
		}
		if tt.field == "" && details.Fields != nil ||
			tt.field != "" && (len(details.Fields) != 1 || details.Fields[0].Name != tt.field || len(details.Fields[0].Messages) == 0) {
			t.Errorf("%s %s %s: details %s, want field %q", tt.method, tt.path, tt.body, g.Error.Details, tt.field)
		}
	}
	if diff := cmp.Diff(before, c.Images()); diff != "" || len(c.Servers()[0].Commands) > 0 {
		t.Errorf("a refused request took effect: %s %+v", diff, c.Servers())
	}
}

func TestRefusedCreates(t *testing.T) {
	const create = "/servers/5/actions/create_image"
	refuseAll(t, []refusal{
		{"POST", create, `{"surprise":1}`, 422, "invalid_input", "surprise"},
		{"POST", create, `{"Type":"snapshot"}`, 422, "invalid_input", "Type"},
		{"POST", create, `{"type":null}`, 422, "invalid_input", "type"},
		{"POST", create, `{"type":"image"}`, 422, "invalid_input", "type"},
		{"POST", create, `{"type":"backup"}`, 422, "invalid_input", "type"},
		{"POST", create, `{"description":1}`, 422, "invalid_input", "description"},
		{"POST", create, `{"labels":[]}`, 422, "invalid_input", "labels"},
		{"POST", create, `{"labels":{"a":null}}`, 422, "invalid_input", "labels"},
		{"POST", create, `{"labels":{"a":1}}`, 422, "invalid_input", "labels"},
		{"POST", create, `{"labels":{"a":"b c"}}`, 422, "invalid_input", "labels"},
		{"POST", create, `{"labels":{"hetzner.cloud/a":"b"}}`, 422, "invalid_input", "labels"},
		{"POST", create, ``, 400, "json_error", ""},
		{"POST", create, `null`, 400, "json_error", ""},
		{"POST", create, `[]`, 400, "json_error", ""},
		{"POST", create, `{} {}`, 400, "json_error", ""},
		{"POST", create, `{"type":`, 400, "json_error", ""},
	})
}

func TestRefusedChanges(t *testing.T) {
	refuseAll(t, []refusal{
		{"PUT", "/images/6", `{"type":"backup"}`, 422, "invalid_input", "type"},
		{"PUT", "/images/6", `{"name":"x"}`, 422, "invalid_input", "name"},
		{"PUT", "/images/7", `{"description":"x"}`, 422, "unsupported_error", ""},
		{"PUT", "/images/8", `{}`, 404, "not_found", ""},
		{"DELETE", "/images/7", "", 422, "unsupported_error", ""},
		{"DELETE", "/images/8", "", 404, "not_found", ""},
		{"POST", "/images/6/actions/change_protection", `{"delete":"yes"}`, 422, "invalid_input", "delete"},
		{"POST", "/images/7/actions/change_protection", `{"delete":true}`, 422, "unsupported_error", ""},
		{"POST", "/servers/5/actions/shutdown", `{"now":true}`, 422, "invalid_input", "now"},
		{"POST", "/servers/5/actions/rebuild", `{}`, 422, "invalid_input", "image"},
		{"POST", "/servers/5/actions/rebuild", `{"image":""}`, 422, "invalid_input", "image"},
		{"POST", "/servers/5/actions/rebuild", `{"image":"6","user_data":"` + strings.Repeat("x", 32<<10+1) + `"}`, 422, "invalid_input", "user_data"},
		{"POST", "/servers/5/actions/rebuild", `{"image":"nope"}`, 404, "not_found", ""},
	})
}

func TestRefusedReads(t *testing.T) {
	refuseAll(t, []refusal{
		{"GET", "/servers?per_page=51", "", 422, "invalid_input", "per_page"},
		{"GET", "/servers?per_page=0", "", 422, "invalid_input", "per_page"},
		{"GET", "/servers?page=0", "", 422, "invalid_input", "page"},
		{"GET", "/servers?page=x", "", 422, "invalid_input", "page"},
		{"GET", "/servers?status=asleep", "", 422, "invalid_input", "status"},
		{"GET", "/servers?sort=status", "", 422, "invalid_input", "sort"},
		{"GET", "/servers?sort=id:up", "", 422, "invalid_input", "sort"},
		{"GET", "/servers?sort=id:", "", 422, "invalid_input", "sort"},
		{"GET", "/servers?label_selector=a%3D%3D%3D", "", 422, "invalid_input", "label_selector"},
		{"GET", "/images?type=picture", "", 422, "invalid_input", "type"},
		{"GET", "/images?status=running", "", 422, "invalid_input", "status"},
		{"GET", "/images?bound_to=x", "", 422, "invalid_input", "bound_to"},
		{"GET", "/images?include_deprecated=yes", "", 422, "invalid_input", "include_deprecated"},
		{"GET", "/servers/5/actions?status=done", "", 422, "invalid_input", "status"},
		{"GET", "/actions", "", 422, "invalid_input", "id"},
		{"GET", "/actions?id=x", "", 422, "invalid_input", "id"},
		{"GET", "/actions?id=0", "", 422, "invalid_input", "id"},
	})
	c := New(Options{})
	rude(t, c).must("GET", "/servers?foo=bar", "") // unknown parameters are ignored
}

func TestRefusedFields(t *testing.T) {
	c := New(Options{})
	c.AddServer(Server{ID: 5})
	h := rude(t, c)
	for body, want := range map[string]string{
		`{"surprise":1}`:              "invalid input in field 'surprise': unknown field",
		`{"type":"image","labels":5}`: "invalid input in fields 'labels', 'type'",
	} {
		if g := h.do("POST", "/servers/5/actions/create_image", body); g.Error.Message != want {
			t.Errorf("%s: message %q, want %q", body, g.Error.Message, want)
		}
	}
}

// A path is judged before the token, and what the simulator doesn't implement is never answered as if it did.
func TestUnknownPaths(t *testing.T) {
	c := New(Options{})
	c.AddServer(Server{ID: 5})
	h := rude(t, c)
	for _, token := range []string{DefaultToken, DefaultReadOnlyToken, "wrong", ""} {
		h.token = token
		for _, tt := range []struct {
			method, path string
			status       int
			code, allow  string
		}{
			{"GET", "/volumes", 404, "not_found", ""},
			{"GET", "/firewalls/x", 404, "not_found", ""},
			{"PUT", "/firewalls/5", 405, "method_not_allowed", "GET, DELETE"},
			{"DELETE", "/firewalls/actions", 405, "method_not_allowed", "GET"},
			{"POST", "/server_types", 405, "method_not_allowed", "GET"},
			{"POST", "/primary_ips", 405, "method_not_allowed", "GET"},
			{"PUT", "/primary_ips/5", 405, "method_not_allowed", "GET, DELETE"},
			{"GET", "/servers/", 404, "not_found", ""},
			{"GET", "/servers/x", 404, "not_found", ""},
			{"GET", "/servers/0", 404, "not_found", ""},
			{"DELETE", "/servers", 405, "method_not_allowed", "GET, POST"},
			{"PUT", "/servers/5", 405, "method_not_allowed", "GET, DELETE"},
			{"GET", "/servers/5/actions/create_image", 405, "method_not_allowed", "POST"},
			{"POST", "/images/6", 405, "method_not_allowed", "GET, PUT, DELETE"},
		} {
			body := ""
			if tt.method != "GET" && tt.method != "DELETE" {
				body = "{}"
			}
			g := h.refused(tt.method, tt.path, body, tt.status, tt.code)
			if allow := g.Header.Get("Allow"); allow != tt.allow {
				t.Errorf("%s %s: allowed %q, want %q", tt.method, tt.path, allow, tt.allow)
			}
		}
	}
	req := rude(t, c).request("GET", "/servers", "")
	req.URL.Path = "/servers" // without /v1
	if res, err := h.rt.RoundTrip(req); err != nil || res.StatusCode != 404 {
		t.Errorf("without /v1: %v, %v", res, err)
	}
}

func TestTokens(t *testing.T) {
	c := New(Options{})
	c.AddServer(Server{ID: 5})
	h := rude(t, c)
	for _, token := range []string{"", "wrong", DefaultToken + "x"} {
		h.token = token
		g := h.refused("GET", "/servers", "", 401, "unauthorized")
		if g.Error.Message != "the token you have provided is invalid" {
			t.Errorf("token %q: message %q", token, g.Error.Message)
		}
	}
	req := h.request("GET", "/servers", "")
	req.Header.Set("Authorization", DefaultToken)
	if res, err := h.rt.RoundTrip(req); err != nil || res.StatusCode != 401 {
		t.Errorf("without Bearer: %v, %v", res, err)
	}
	h.token = DefaultReadOnlyToken
	h.must("GET", "/servers", "")
	h.refused("POST", "/servers/5/actions/create_image", createSnapshot, 403, "forbidden")

	old := New(Options{OldReadOnlyCode: true})
	h.rt = old.Transport()
	h.refused("DELETE", "/images/5", "", 401, "token_readonly")

	h = rude(t, c)
	h.must("GET", "/servers", "")
	c.Revoke()
	h.refused("GET", "/servers", "", 401, "unauthorized")
}
