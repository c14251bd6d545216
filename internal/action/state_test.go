package action

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/org/hsnap-action/internal/copies"
	"github.com/org/hsnap-action/internal/hetzner"
	"github.com/org/hsnap-action/internal/snapshot"
)

// What the step records is what the post step reads, in one line.
func TestState(t *testing.T) {
	at := time.Unix(946684800, 17).UTC()
	for _, left := range [][]copies.Copy{
		nil,
		{{Name: "hsnap-drill-7", Request: "f00d"}},
		{{Name: "hsnap-drill-7", Request: "f00d", ID: 1000001, Addresses: []int64{10, 20}, Appears: at, Alone: true}},
		{{Name: "hsnap-drill-7", Request: "f0\n0d", Addresses: []int64{10}}, {Name: "hsnap-drill-8", Request: "cafe", Appears: at}},
	} {
		text := encode(left)
		if diff := cmp.Diff(left, decodeCopies(text)); diff != "" || strings.Contains(text, "\n") {
			t.Errorf("%q (-want +got):\n%s", text, diff)
		}
	}
	if text := encode([]copies.Copy{{Name: "hsnap-drill-7", Refused: func(*hetzner.Error) {}}}); len(decodeCopies(text)) != 1 {
		t.Errorf("a copy whose refusals are told is %q", text)
	}
	for _, off := range [][]snapshot.Recorded{nil, {{Server: 1}}, {{Server: 1, Until: at}, {Server: 2}}} {
		text := encode(off)
		if diff := cmp.Diff(off, decodeOff(text)); diff != "" || strings.Contains(text, "\n") {
			t.Errorf("%q (-want +got):\n%s", text, diff)
		}
	}
}

// FuzzState reads any text at all as the state: nothing panics, and nothing is read that can be no server or no copy.
func FuzzState(f *testing.F) {
	for _, text := range []string{
		"", "null", "[]", "[null]", "{}", "[[]]", "1,2", "\x00\xff", "[", `[{}]`,
		`[{"Server":1,"Until":"2000-01-01T00:00:00Z"},{"Server":-1},{"Server":0},{"Server":"1"},{"Server":1e3}]`,
		`[{"Server":1,"Until":"soon"},{"Server":2}]`,
		`[{"Name":"hsnap-drill-7","Request":"f00d","Appears":"2000-01-01T00:00:00Z","Alone":true,"ID":1,"Addresses":[2,3]}]`,
		`[{"Name":"db-1"},{"Name":"hsnap-drill-"},{"Name":"hsnap-drill-0"},{"Name":"hsnap-drill--7"},{"Name":"hsnap-drill-07"}]`,
		`[{"Name":"hsnap-drill-+7"},{"Name":"hsnap-drill-7x"},{"Name":"hsnap-drill-99999999999999999999"},{"Name":7}]`,
		`[{"Name":"hsnap-drill-7","ID":-1},{"Name":"hsnap-drill-8","Addresses":[-2]},{"Name":"hsnap-drill-9","Addresses":[0]}]`,
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, r := range decodeOff(text) {
			if r.Server <= 0 {
				t.Errorf("%q is %+v", text, r)
			}
		}
		for _, c := range decodeCopies(text) {
			image, err := strconv.ParseInt(strings.TrimPrefix(c.Name, "hsnap-drill-"), 10, 64)
			if err != nil || image <= 0 || c.Name != "hsnap-drill-"+strconv.FormatInt(image, 10) || c.ID < 0 {
				t.Errorf("%q is %+v", text, c)
			}
			for _, address := range c.Addresses {
				if address <= 0 {
					t.Errorf("%q has the address %d", text, address)
				}
			}
		}
	})
}

// A text with a single copy that can be none is as an empty one.
func TestNoCopyInTheState(t *testing.T) {
	for _, name := range []string{
		"db-1", "", "hsnap-drill-", "hsnap-drill-0", "hsnap-drill--7", "hsnap-drill-07", "hsnap-drill-+7", "hsnap-drill-7x",
		"hsnap-drill-99999999999999999999", "hsnap-drill-seven",
	} {
		if text := encode([]copies.Copy{{Name: name, Request: "f00d"}}); len(decodeCopies(text)) > 0 {
			t.Errorf("%s is read as a copy", text)
		}
	}
}
