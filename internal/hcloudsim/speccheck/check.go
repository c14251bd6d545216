package speccheck

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"mime"
	"net/http"
	"slices"
	"strconv"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// harmless are query parameters that client libraries send to every listing,
// described or not.
var harmless = []string{"page", "per_page", "sort"}

func (op *operation) checkRequest(id string, req *http.Request, body []byte) []error {
	var errs []error
	values := req.URL.Query()
	for i, p := range op.Parameters {
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
		if err := op.spec.schemas[op.parameterSchema(i)].Validate(p.value(given)); err != nil {
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
	return op.checkContent(*op.Body, req.Header, body, "requestBody")
}

// checkReplyOnce spares a reply that was found right before: most polls are
// answered as the one before.
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
	return op.checkContent(described, res.Header, body, "responses", code)
}

// checkContent holds a body against the description at the place below the
// operation.
func (op *operation) checkContent(c content, h http.Header, body []byte, at ...string) error {
	kind, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil || kind != jsonType {
		return fmt.Errorf("content type %q", h.Get("Content-Type"))
	}
	if c.Content[jsonType] == nil {
		return errors.New("content is not described")
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("body: %w", err)
	}
	return op.spec.schemas[op.contentSchema(at...)].Validate(value)
}
