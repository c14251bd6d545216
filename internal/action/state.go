package action

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/org/hsnap-action/internal/copies"
	"github.com/org/hsnap-action/internal/snapshot"
)

// encodeOff returns the servers that may be off as text: their IDs, each with the UNIX second until which its guest may still
// shut down.
func encodeOff(off []snapshot.Recorded) string {
	parts := make([]string, len(off))
	for i, s := range off {
		parts[i] = strconv.FormatInt(s.Server, 10)
		if !s.Until.IsZero() {
			parts[i] += fmt.Sprintf("@%d", s.Until.Unix())
		}
	}
	return strings.Join(parts, ",")
}

// decodeOff reads the text that encodeOff returned, and skips every part that is no server's ID. A server that occurs twice is
// one server, which may go down until the later time.
func decodeOff(text string) []snapshot.Recorded {
	var off []snapshot.Recorded
	for part := range strings.SplitSeq(text, ",") {
		id, until, timed := strings.Cut(strings.TrimSpace(part), "@")
		server, err := strconv.ParseInt(id, 10, 64)
		if err != nil || server <= 0 {
			continue
		}
		r := snapshot.Recorded{Server: server}
		if second, err := strconv.ParseInt(until, 10, 64); timed && err == nil {
			r.Until = time.Unix(second, 0)
		}
		if i := slices.IndexFunc(off, func(o snapshot.Recorded) bool { return o.Server == server }); i < 0 {
			off = append(off, r)
		} else if off[i].Until.Before(r.Until) {
			off[i] = r
		}
	}
	return off
}

// encodeCopies returns the copies that have to go as text: their names, each with the value of its label; where they are known,
// its ID and those of its addresses; and, where a create may take effect late, the UNIX second until which it may. All of it
// is as in hsnap-drill-123/f00d#1000001.30000001@946684800.
func encodeCopies(left []copies.Copy) string {
	parts := make([]string, len(left))
	for i, c := range left {
		parts[i] = c.Name + "/" + c.Request
		if c.ID != 0 || len(c.Addresses) > 0 {
			parts[i] += "#" + strconv.FormatInt(c.ID, 10)
		}
		for _, id := range c.Addresses {
			parts[i] += "." + strconv.FormatInt(id, 10)
		}
		if !c.Appears.IsZero() {
			parts[i] += "@" + strconv.FormatInt(c.Appears.Unix()+1, 10)
		}
	}
	return strings.Join(parts, ",")
}

// decodeCopies reads the text that encodeCopies returned, and skips every part that is no copy.
func decodeCopies(text string) []copies.Copy {
	var left []copies.Copy
	for part := range strings.SplitSeq(text, ",") {
		text, until, timed := strings.Cut(strings.TrimSpace(part), "@")
		text, ids, _ := strings.Cut(text, "#")
		name, request, ok := strings.Cut(text, "/")
		c := copies.Copy{Name: name, Request: request}
		if !ok || !copies.IsName(name) || slices.ContainsFunc(left, func(other copies.Copy) bool { return other.Name == name }) {
			continue
		}
		if second, err := strconv.ParseInt(until, 10, 64); timed && err == nil {
			c.Appears = time.Unix(second, 0)
		}
		id, addresses, _ := strings.Cut(ids, ".")
		if n, err := strconv.ParseInt(id, 10, 64); err == nil && n > 0 {
			c.ID = n
		}
		for text := range strings.SplitSeq(addresses, ".") {
			if n, err := strconv.ParseInt(text, 10, 64); err == nil && n > 0 {
				c.Addresses = append(c.Addresses, n)
			}
		}
		left = append(left, c)
	}
	return left
}
