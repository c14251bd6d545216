package action

import (
	"encoding/hex"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/org/hsnap-action/internal/config"
)

const (
	maxLabel    = 63  // characters of a label value, by Hetzner's rules
	maxAttempts = 100 // of one run; GitHub allows fewer
)

// runLabels returns three things: the label value of this attempt of the workflow run; the prefix that the values of all
// attempts share; and the values of the earlier attempts whose snapshots may be taken over. A run without an ID gets a
// random value, so that two such runs are never taken for one.
func runLabels(cfg config.Snapshot, random io.Reader) (this, family string, earlier []string) {
	id := labelValue(cfg.Run.ID, maxLabel)
	if id == "" {
		var b [8]byte
		_, _ = io.ReadFull(random, b[:])
		id = hex.EncodeToString(b[:])
		return id, id, nil
	}
	attempt, err := strconv.ParseInt(cfg.Run.Attempt, 10, 32)
	if err != nil || attempt < 1 {
		return id, id, nil
	}
	id = labelValue(id, maxLabel-len("-2147483647")) // the same for every attempt
	if cfg.OnRerun == "reuse" {
		for n := max(1, attempt-maxAttempts); n < attempt; n++ {
			earlier = append(earlier, fmt.Sprintf("%s-%d", id, n))
		}
	}
	return fmt.Sprintf("%s-%d", id, attempt), id, earlier
}

// labelValue turns a text into a label value by Hetzner's rules: letters, digits, dashes, underscores and dots, with a
// letter or digit at both ends, and at most limit characters. The slash in a repository's name becomes a dot.
func labelValue(s string, limit int) string {
	s = strings.Map(func(c rune) rune {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_', c == '.':
			return c
		case c == '/':
			return '.'
		}
		return '-'
	}, s)
	if len(s) > limit {
		s = s[len(s)-limit:] // the end says more: the repository's name rather than its owner's
	}
	return strings.Trim(s, "-_.")
}
