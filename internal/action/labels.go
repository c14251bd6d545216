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
	labelMost    = 63  // characters of a label value, by Hetzner's rules
	manyAttempts = 100 // more than GitHub allows for one run
)

// runs returns the label value of this run, what those of all its attempts begin with, and those of the attempts before
// it whose snapshots may be taken over. A run without an ID gets a random value: two of them must never be taken for one.
func runs(cfg config.Config, random io.Reader) (this, family string, earlier []string) {
	id := labelValue(cfg.Run.ID, labelMost)
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
	id = labelValue(id, labelMost-len("-2147483647")) // the same for every attempt
	if cfg.OnRerun == "reuse" {
		for n := max(1, attempt-manyAttempts); n < attempt; n++ {
			earlier = append(earlier, fmt.Sprintf("%s-%d", id, n))
		}
	}
	return fmt.Sprintf("%s-%d", id, attempt), id, earlier
}

// labelValue makes a value fit for a label by Hetzner's rules: letters, digits, dashes, underscores and dots, with a
// letter or digit at both ends, and at most so many. The slash of a repository's name becomes a dot.
func labelValue(s string, most int) string {
	s = strings.Map(func(c rune) rune {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_', c == '.':
			return c
		case c == '/':
			return '.'
		}
		return '-'
	}, s)
	if len(s) > most {
		s = s[len(s)-most:] // the end tells more: a repository's name rather than its owner's
	}
	return strings.Trim(s, "-_.")
}
