package speccheck

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// spec is a description with all of its schemas compiled.
type spec struct {
	operations []*operation
	schemas    map[string]*jsonschema.Schema // by JSON pointer

	mu    sync.Mutex
	right map[[sha256.Size]byte]bool // replies that were found right
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
	Required bool                       `json:"required"`
	Content  map[string]json.RawMessage `json:"content"`
}

const (
	documentURL = "openapi.json"
	jsonType    = "application/json"
)

// loaded keeps the descriptions of the process by file name: hundreds of tests
// share one.
var loaded sync.Map // string -> func() (*spec, error)

func load(name string) (*spec, error) {
	once, _ := loaded.LoadOrStore(name, sync.OnceValues(func() (*spec, error) {
		data, err := os.ReadFile(name) //nolint:gosec // the developer names it
		if err != nil {
			return nil, err
		}
		return parse(data)
	}))
	return once.(func() (*spec, error))()
}

// parse reads a description and compiles every schema of its operations, so
// that a part that can't be read fails the first test, not the first request
// that needs it.
func parse(data []byte) (*spec, error) {
	var description struct {
		Paths map[string]map[string]json.RawMessage `json:"paths"`
	}
	if err := json.Unmarshal(data, &description); err != nil {
		return nil, err
	}
	s := &spec{schemas: map[string]*jsonschema.Schema{}, right: map[[sha256.Size]byte]bool{}}
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
	// The longer path comes first, then the one with a literal segment where
	// the other has a parameter: letters sort before braces.
	slices.SortFunc(s.operations, func(a, b *operation) int {
		return cmp.Or(cmp.Compare(len(b.path), len(a.path)), slices.Compare(a.path, b.path), cmp.Compare(a.method, b.method))
	})
	if err := s.compile(data); err != nil {
		return nil, err
	}
	return s, nil
}

// compile compiles the schemas of all operations.
func (s *spec) compile(data []byte) error {
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		return err
	}
	normalize(document)
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft2020)
	compiler.AssertFormat()
	if err := compiler.AddResource(documentURL, document); err != nil {
		return err
	}
	for _, op := range s.operations {
		for _, at := range op.schemas() {
			if s.schemas[at], err = compiler.Compile(documentURL + "#" + at); err != nil {
				return fmt.Errorf("%s: %w", op.name, err)
			}
		}
	}
	return nil
}

// normalize rewrites the schemas below a node into what JSON Schema
// understands.
func normalize(node any) {
	switch node := node.(type) {
	case map[string]any:
		closeObject(node)
		allowNull(node)
		for key, child := range node {
			if key != "allOf" { // its parts don't know each other's fields
				normalize(child)
			}
		}
	case []any:
		for _, child := range node {
			normalize(child)
		}
	}
}

// closeObject forbids fields that the description doesn't name. It leaves that
// open, yet the API refuses unknown fields of a request, and a field of a reply
// that is no longer described is one that the API has dropped.
func closeObject(schema map[string]any) {
	if _, ok := schema["properties"]; ok && schema["additionalProperties"] == nil {
		schema["additionalProperties"] = false
	}
}

// allowNull reads OpenAPI 3.0's nullable, which parts of the description still
// use, and lets an enum have the null that its type allows.
func allowNull(schema map[string]any) {
	if kind, ok := schema["type"].(string); ok && schema["nullable"] == true {
		schema["type"] = []any{kind, "null"}
	}
	kinds, _ := schema["type"].([]any)
	if values, ok := schema["enum"].([]any); ok && slices.Contains(kinds, "null") && !slices.Contains(values, nil) {
		schema["enum"] = append(values, nil)
	}
}

// schemas returns the pointers to the operation's schemas.
func (op *operation) schemas() []string {
	var all []string
	for i := range op.Parameters {
		all = append(all, op.parameterSchema(i))
	}
	if op.Body != nil && op.Body.Content[jsonType] != nil {
		all = append(all, op.contentSchema("requestBody"))
	}
	for _, code := range slices.Sorted(maps.Keys(op.Responses)) {
		if op.Responses[code].Content[jsonType] != nil {
			all = append(all, op.contentSchema("responses", code))
		}
	}
	return all
}

func (op *operation) parameterSchema(i int) string {
	return op.pointer + pointer("parameters", strconv.Itoa(i), "schema")
}

func (op *operation) contentSchema(at ...string) string {
	return op.pointer + pointer(append(at, "content", jsonType, "schema")...)
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

// find returns the operation of a request, and the ID in its path. The path may
// have one segment in front, since the endpoint decides where the API begins.
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
