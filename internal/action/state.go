package action

import (
	"encoding/json"
	"slices"

	"github.com/org/hsnap-action/internal/copies"
	"github.com/org/hsnap-action/internal/snapshot"
)

// encode returns what the step may leave behind as one line of text for the post step.
func encode[T snapshot.Recorded | copies.Copy](left []T) string {
	text, _ := json.Marshal(left) // it holds strings, numbers and times, so there is no error
	return string(text)
}

// decodeOff reads servers that may be off from the text that encode returned. It skips what can be no server, and reads nothing
// from any other text.
func decodeOff(text string) (off []snapshot.Recorded) {
	_ = json.Unmarshal([]byte(text), &off)
	return slices.DeleteFunc(off, func(r snapshot.Recorded) bool { return r.Server <= 0 })
}

// decodeCopies reads copies that have to go from the text that encode returned. It skips what can be no copy, and reads nothing
// from any other text.
func decodeCopies(text string) (left []copies.Copy) {
	_ = json.Unmarshal([]byte(text), &left)
	for i, c := range left {
		left[i].Addresses = slices.DeleteFunc(c.Addresses, func(id int64) bool { return id <= 0 })
	}
	return slices.DeleteFunc(left, func(c copies.Copy) bool { return !copies.IsName(c.Name) || c.ID < 0 })
}
