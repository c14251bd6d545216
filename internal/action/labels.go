package action

import (
	"encoding/hex"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/org/hsnap-action/internal/config"
)

// manyAttempts is more attempts than GitHub allows for one run.
const manyAttempts = 100

// runs returns the label value that names this run, what those of all its attempts begin with, and those of the
// attempts before it whose snapshots may be taken over. A run that nobody names gets a random value: two of them must never be taken for one.
func runs(cfg config.Config, random io.Reader) (this, family string, earlier []string) {
	id := labelValue(cfg.Run.ID)
	if id == "" {
		var b [8]byte
		_, _ = io.ReadFull(random, b[:])
		id = hex.EncodeToString(b[:])
		return id, id, nil
	}
	attempt, err := strconv.Atoi(cfg.Run.Attempt)
	if err != nil || attempt < 1 {
		return id, id, nil
	}
	if cfg.OnRerun == "reuse" {
		for n := max(1, attempt-manyAttempts); n < attempt; n++ {
			earlier = append(earlier, fmt.Sprintf("%s-%d", id, n))
		}
	}
	return fmt.Sprintf("%s-%d", id, attempt), id, earlier
}

// labelValue makes a value fit for a label by Hetzner's rules: at most 63 letters, digits, dashes, underscores and
// dots, with a letter or digit at both ends. The slash of a repository's name becomes a dot.
func labelValue(s string) string {
	s = strings.Map(func(c rune) rune {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_', c == '.':
			return c
		case c == '/':
			return '.'
		}
		return '-'
	}, s)
	const most = 63
	if len(s) > most {
		s = s[len(s)-most:] // the end tells more: a repository's name rather than its owner's
	}
	return strings.Trim(s, "-_.")
}
