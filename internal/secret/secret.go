// Package secret removes API tokens, and parts of them, from text that is about to leave the program.
//
// A [Mask] is made once from all tokens. [Mask.Hide] replaces what must not be shown.
package secret

import "strings"

// window is the length of the shortest part of a token that counts as a leak. To hide whole tokens is not enough: when the
// rate limit is exceeded, Hetzner's answer quotes the token's first characters. Six characters of a random token practically
// never occur in other text by chance, and five are of next to no use to an attacker.
const window = 6

// shown replaces a hidden part. It is always the same, so that the length of a secret stays hidden too.
const shown = "***"

// Mask hides a set of tokens. The zero value hides nothing. A Mask is immutable and safe for concurrent use.
type Mask struct {
	parts map[string]bool // every sequence of window characters in a token
}

// New returns a Mask for the given tokens. One that is shorter than the window hides nothing.
func New(tokens ...string) Mask {
	m := Mask{parts: map[string]bool{}}
	for _, token := range tokens {
		for i := range max(0, len(token)-window+1) {
			m.parts[token[i:i+window]] = true
		}
	}
	return m
}

// Hide returns s with "***" in place of every token, and of any six or more characters in a row of one.
func (m Mask) Hide(s string) string {
	var out strings.Builder
	done := 0 // s[:done] is in out
	for i := 0; i+window <= len(s); i++ {
		if !m.parts[s[i:i+window]] {
			continue
		}
		end := i + window
		for end < len(s) && m.parts[s[end-window+1:end+1]] {
			end++
		}
		out.WriteString(s[done:i])
		out.WriteString(shown)
		done, i = end, end-1
	}
	if done == 0 {
		return s
	}
	out.WriteString(s[done:])
	return out.String()
}
