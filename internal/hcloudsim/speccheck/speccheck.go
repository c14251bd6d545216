// Package speccheck holds HTTP traffic against an OpenAPI 3.1 description. It
// is for tests: it keeps the simulated Hetzner Cloud honest about the form of
// its replies, and its clients honest about the form of their requests.
//
// The description is not part of this repository. The environment variable
// HCLOUD_SPEC names it, as JSON; without the variable nothing is checked.
package speccheck

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// Variable is the environment variable that names the description.
const Variable = "HCLOUD_SPEC"

// faultHeader marks replies that a simulator has spoilt on purpose.
const faultHeader = "X-Sim-Fault"

// Wrap returns a RoundTripper that passes everything on to rt and reports
// requests and replies that are not as the description has them as errors of
// t. Replies that carry the header X-Sim-Fault are exempt. Without HCLOUD_SPEC
// it returns rt.
func Wrap(t testing.TB, rt http.RoundTripper) http.RoundTripper {
	return Sampled(t, rt, 1)
}

// Sampled is like Wrap for long runs: every request is checked, yet of the
// replies of one operation with one status only the first and every n-th after
// it.
func Sampled(t testing.TB, rt http.RoundTripper, n int) http.RoundTripper {
	t.Helper()
	name := os.Getenv(Variable)
	if name == "" {
		return rt
	}
	s, err := load(name)
	if err != nil {
		t.Fatalf("%s: %v", Variable, err)
	}
	return &checker{t: t, next: rt, spec: s, every: max(1, n), seen: map[string]int{}}
}

type checker struct {
	t     testing.TB
	next  http.RoundTripper
	spec  *spec
	every int

	mu   sync.Mutex
	seen map[string]int // operation and status -> replies
}

func (c *checker) RoundTrip(req *http.Request) (*http.Response, error) {
	op, id := c.spec.find(req.Method, req.URL.Path)
	if op == nil {
		c.t.Errorf("%s %s: no such operation", req.Method, req.URL.Path)
		return c.next.RoundTrip(req)
	}
	req, body, err := withBody(req)
	if err != nil {
		return nil, err
	}
	for _, err := range op.checkRequest(id, req, body) {
		c.t.Errorf("request %s%s: %v", op.name, query(req.URL), err)
	}

	res, err := c.next.RoundTrip(req)
	if err != nil || res.Header.Get(faultHeader) != "" || !c.due(op.name, res.StatusCode) {
		return res, err
	}
	reply, err := io.ReadAll(res.Body)
	_ = res.Body.Close()
	res.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(reply), failing{err}), io.NopCloser(nil)}
	if err != nil {
		return res, nil //nolint:nilerr // the caller meets the same error while reading
	}
	if err := op.checkReplyOnce(res, reply); err != nil {
		c.t.Errorf("reply to %s%s: %d: %v", op.name, query(req.URL), res.StatusCode, err)
	}
	return res, nil
}

// due counts a reply and reports whether it is one of the sample.
func (c *checker) due(operation string, status int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	key := fmt.Sprint(operation, " ", status)
	n := c.seen[key]
	c.seen[key]++
	return n%c.every == 0
}

// failing ends a body as the original one ended.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) {
	if f.err != nil {
		return 0, f.err
	}
	return 0, io.EOF
}

// withBody returns the request's body, and a request that still has it.
func withBody(req *http.Request) (*http.Request, []byte, error) {
	if req.Body == nil || req.Body == http.NoBody {
		return req, nil, nil
	}
	body, err := io.ReadAll(req.Body)
	_ = req.Body.Close()
	if err != nil {
		return nil, nil, err
	}
	clone := *req
	clone.Body = io.NopCloser(bytes.NewReader(body))
	return &clone, body, nil
}

func query(u *url.URL) string {
	if u.RawQuery == "" {
		return ""
	}
	return "?" + u.RawQuery
}

// spec is a description with its schemas compiled as they are needed.
type spec struct {
	operations []*operation

	mu       sync.Mutex
	compiler *jsonschema.Compiler
	compiled map[string]*jsonschema.Schema // by JSON pointer
	right    map[[sha256.Size]byte]bool    // replies that were found right
}

// loaded keeps the descriptions of the process by file name: tests by the
// hundred share one.
var loaded sync.Map // string -> func() (*spec, error)

func load(name string) (*spec, error) {
	once, _ := loaded.LoadOrStore(name, sync.OnceValues(func() (*spec, error) { return parse(name) }))
	return once.(func() (*spec, error))()
}

// operation is a method on a path.
type operation struct {
	spec    *spec
	name    string   // method and path, as described
	method  string   // in upper case
	path    []string // its segments; {…} is a parameter
	pointer string   // to the operation, in the document

	Parameters []parameter        `json:"parameters"`
	Body       *content           `json:"requestBody"`
	Responses  map[string]content `json:"responses"`
}

type parameter struct {
	Name     string `json:"name"`
	In       string `json:"in"`
	Required bool   `json:"required"`
	Schema   struct {
		Type  any `json:"type"`
		Items struct {
			Type any `json:"type"`
		} `json:"items"`
	} `json:"schema"`
}

type content struct {
	Required bool `json:"required"`
	Content  map[string]struct {
		Schema struct {
			Properties map[string]json.RawMessage `json:"properties"`
		} `json:"schema"`
	} `json:"content"`
}

const documentURL = "openapi.json"

func parse(name string) (*spec, error) {
	data, err := os.ReadFile(name) //nolint:gosec // the developer names it
	if err != nil {
		return nil, err
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	var description struct {
		Paths map[string]map[string]json.RawMessage `json:"paths"`
	}
	if err := json.Unmarshal(data, &description); err != nil {
		return nil, err
	}

	s := &spec{compiler: jsonschema.NewCompiler(), compiled: map[string]*jsonschema.Schema{}, right: map[[sha256.Size]byte]bool{}}
	s.compiler.DefaultDraft(jsonschema.Draft2020)
	s.compiler.AssertFormat()
	if err := s.compiler.AddResource(documentURL, document); err != nil {
		return nil, err
	}
	for path, methods := range description.Paths {
		for method, raw := range methods {
			if !slices.Contains([]string{"get", "put", "post", "delete", "patch"}, method) {
				continue
			}
			op := &operation{
				spec:    s,
				name:    strings.ToUpper(method) + " " + path,
				method:  strings.ToUpper(method),
				path:    strings.Split(path, "/"),
				pointer: pointer("paths", path, method),
			}
			if err := json.Unmarshal(raw, op); err != nil {
				return nil, fmt.Errorf("%s: %w", op.name, err)
			}
			s.operations = append(s.operations, op)
		}
	}
	return s, nil
}

// pointer is a JSON pointer as a URL fragment.
func pointer(tokens ...string) string {
	var b strings.Builder
	for _, token := range tokens {
		b.WriteByte('/')
		b.WriteString(url.PathEscape(strings.NewReplacer("~", "~0", "/", "~1").Replace(token)))
	}
	return b.String()
}

// find returns the operation of a request, and the ID in its path. The path
// may have anything in front: where the API is rooted is the endpoint's affair.
func (s *spec) find(method, path string) (op *operation, id string) {
	have := strings.Split(path, "/")
	for _, op := range s.operations {
		rest := len(have) - len(op.path) + 1 // the first segment of both is empty
		if op.method != method || rest < 1 || rest > 2 {
			continue
		}
		id, matches := "", true
		for i, want := range op.path[1:] {
			if strings.HasPrefix(want, "{") {
				id = have[rest+i]
			} else if want != have[rest+i] {
				matches = false
			}
		}
		if matches {
			return op, id
		}
	}
	return nil, ""
}

// validate holds a value against the schema at a pointer.
func (s *spec) validate(pointer string, value any) error {
	s.mu.Lock()
	schema := s.compiled[pointer]
	if schema == nil {
		var err error
		if schema, err = s.compiler.Compile(documentURL + "#" + pointer); err != nil {
			s.mu.Unlock()
			return err
		}
		s.compiled[pointer] = schema
	}
	s.mu.Unlock()
	return schema.Validate(value)
}

// harmless are query parameters that client libraries send to every listing,
// described or not.
var harmless = []string{"page", "per_page", "sort"}

func (op *operation) checkRequest(id string, req *http.Request, body []byte) []error {
	var errs []error
	values := req.URL.Query()
	for i, p := range op.Parameters {
		at := op.pointer + pointer("parameters", strconv.Itoa(i), "schema")
		given := values[p.Name]
		if p.In == "path" {
			given = []string{id}
		} else {
			delete(values, p.Name)
		}
		if len(given) == 0 {
			if p.Required {
				errs = append(errs, fmt.Errorf("parameter %s is missing", p.Name))
			}
			continue
		}
		if err := op.spec.validate(at, p.value(given)); err != nil {
			errs = append(errs, fmt.Errorf("parameter %s: %w", p.Name, err))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if !slices.Contains(harmless, name) {
			errs = append(errs, fmt.Errorf("parameter %s is unknown", name))
		}
	}
	if err := op.checkBody(req, body); err != nil {
		errs = append(errs, err)
	}
	return errs
}

// value turns the strings of a query into the value that they stand for.
func (p parameter) value(given []string) any {
	if p.Schema.Type != "array" {
		return scalar(p.Schema.Type, given[0])
	}
	list := make([]any, len(given))
	for i, text := range given {
		list[i] = scalar(p.Schema.Items.Type, text)
	}
	return list
}

func scalar(kind any, text string) any {
	switch kind {
	case "integer":
		if _, err := strconv.ParseInt(text, 10, 64); err == nil {
			return json.Number(text)
		}
	case "boolean":
		if v, err := strconv.ParseBool(text); err == nil {
			return v
		}
	}
	return text
}

func (op *operation) checkBody(req *http.Request, body []byte) error {
	if op.Body == nil {
		if len(body) > 0 {
			return fmt.Errorf("unexpected body %.200s", body)
		}
		return nil
	}
	if len(body) == 0 {
		if op.Body.Required {
			return errors.New("body is missing")
		}
		return nil
	}
	value, err := op.checkContent(*op.Body, req.Header, body, "requestBody")
	if err != nil {
		return err
	}
	object, ok := value.(map[string]any)
	if !ok {
		return nil
	}
	// The description leaves it open, but the API refuses unknown fields.
	for _, name := range slices.Sorted(maps.Keys(object)) {
		if _, ok := op.Body.Content[jsonType].Schema.Properties[name]; !ok {
			return fmt.Errorf("unknown field %s in body", name)
		}
	}
	return nil
}

// checkReplyOnce spares a reply that was found right before: one who looks
// again and again mostly sees the same.
func (op *operation) checkReplyOnce(res *http.Response, body []byte) error {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %d %s\n%s", op.name, res.StatusCode, res.Header.Get("Content-Type"), body))
	op.spec.mu.Lock()
	known := op.spec.right[sum]
	op.spec.mu.Unlock()
	if known {
		return nil
	}
	if err := op.checkReply(res, body); err != nil {
		return err
	}
	op.spec.mu.Lock()
	op.spec.right[sum] = true
	op.spec.mu.Unlock()
	return nil
}

func (op *operation) checkReply(res *http.Response, body []byte) error {
	code := strconv.Itoa(res.StatusCode)
	described, ok := op.Responses[code]
	if !ok {
		code = code[:1] + "XX"
		if described, ok = op.Responses[code]; !ok {
			return errors.New("status is not described")
		}
	}
	if len(described.Content) == 0 {
		if len(body) > 0 {
			return fmt.Errorf("unexpected body %.200s", body)
		}
		return nil
	}
	_, err := op.checkContent(described, res.Header, body, "responses", code)
	return err
}

const jsonType = "application/json"

// checkContent holds a body against the description at the pointer below the
// operation, and returns it decoded.
func (op *operation) checkContent(c content, h http.Header, body []byte, at ...string) (any, error) {
	kind, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil || kind != jsonType {
		return nil, fmt.Errorf("content type %q", h.Get("Content-Type"))
	}
	if _, ok := c.Content[jsonType]; !ok {
		return nil, errors.New("content is not described")
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("body: %w", err)
	}
	return value, op.spec.validate(op.pointer+pointer(append(at, "content", jsonType, "schema")...), value)
}
