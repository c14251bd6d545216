package hcloudsim

import (
	"encoding/json"
	"net/http"
	"slices"
)

// payload is the JSON object of a request.
type payload struct {
	raw  map[string]json.RawMessage
	errs fieldErrors
}

// payload reads the request's body, which may have the known fields and no
// others. Its second result is the refusal of what is no JSON object.
func (c *call) payload(known ...string) (*payload, *reply) {
	b := readObject(c.ex.body, known)
	if b == nil {
		return nil, new(refuse(http.StatusBadRequest, "json_error", "invalid JSON in request body"))
	}
	return b, nil
}

// readObject reads a JSON object; nil where there is none.
func readObject(text []byte, known []string) *payload {
	b := &payload{}
	if err := json.Unmarshal(text, &b.raw); err != nil || b.raw == nil {
		return nil
	}
	var unknown []string
	for name := range b.raw {
		if !slices.Contains(known, name) {
			unknown = append(unknown, name)
		}
	}
	slices.Sort(unknown)
	for _, name := range unknown {
		b.errs.add(name, "unknown field")
	}
	return b
}

// object reads an object inside, an empty one where there is none.
func (b *payload) object(name string, known ...string) *payload {
	raw, ok := b.raw[name]
	if !ok {
		return &payload{}
	}
	inside := readObject(raw, known)
	if inside == nil {
		b.errs.add(name, "must be an object")
		return &payload{}
	}
	return inside
}

// objects reads an array of objects.
func (b *payload) objects(name string, known ...string) []*payload {
	list := field[[]json.RawMessage](b, name, "must be an array")
	if list == nil {
		return nil
	}
	var all []*payload
	for _, raw := range *list {
		inside := readObject(raw, known)
		if inside == nil {
			b.errs.add(name, "must be an array of objects")
			return nil
		}
		all = append(all, inside)
	}
	return all
}

// nest reports what is wrong with an object inside, once all of it is read.
func (b *payload) nest(name string, inside *payload) {
	for _, err := range inside.errs {
		b.errs.add(name+"."+err.Name, err.Messages...)
	}
}

// ids reads an array of IDs.
func (b *payload) ids(name string) []int64 {
	ids := field[[]int64](b, name, "must be an array of numbers")
	if ids == nil {
		return nil
	}
	if slices.ContainsFunc(*ids, func(id int64) bool { return id < 1 }) {
		b.errs.add(name, "must be an array of IDs")
	}
	return *ids
}

// required reads a string that must be there and not be empty.
func (b *payload) required(name string) string {
	if raw := string(b.raw[name]); raw == "" || raw == `""` {
		b.errs.add(name, "missing")
		return ""
	}
	if text := b.text(name); text != nil {
		return *text
	}
	return ""
}

// text reads a string, nil where there is none.
func (b *payload) text(name string) *string { return field[string](b, name, "must be a string") }

func (b *payload) boolean(name string) *bool { return field[bool](b, name, "must be a boolean") }

// idOrName reads a required ID, as a number or a string, or a name.
func (b *payload) idOrName(name string) string {
	raw := string(b.raw[name])
	if _, ok := parseID(raw); ok {
		return raw
	}
	return b.required(name)
}

// labels reads labels and checks them, nil where there are none.
func (b *payload) labels() map[string]string {
	const name = "labels"
	given := field[map[string]*string](b, name, "must be an object of strings")
	if given == nil {
		return nil
	}
	labels := map[string]string{}
	for key, value := range *given {
		if value == nil {
			b.errs.add(name, "must be an object of strings")
			return nil
		}
		labels[key] = *value
	}
	if wrong := checkLabels(labels); wrong != nil {
		b.errs.add(name, wrong...)
	}
	return labels
}

// field reads a field that may be absent, though not null.
func field[T any](b *payload, name, rule string) *T {
	raw, ok := b.raw[name]
	if !ok {
		return nil
	}
	var value T
	if string(raw) == "null" || json.Unmarshal(raw, &value) != nil {
		b.errs.add(name, rule)
		return nil
	}
	return &value
}
