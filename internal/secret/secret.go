// Package secret removes API tokens, and parts of them, from text that is about to leave the program.
//
// It never stores, compares or sends a token: it only knows which stretches of text must not be shown.
package secret

import "strings"

// window is the shortest part of a token that counts as a leak. Hetzner's answer to too many requests quotes the
// first characters of the token, so hiding only the whole token is not enough; six characters in a row of a random
// token practically never occur by chance, and five tell an attacker next to nothing.
const window = 6

// shown replaces a hidden stretch, whatever its length: the length of a secret is nobody's business either.
const shown = "***"

// Mask hides a set of tokens. The zero value hides nothing. A Mask is immutable and safe for concurrent use.
type Mask struct {
	parts map[string]bool // every stretch of window characters of every token
	whole []string        // tokens shorter than the window
}

// New returns a Mask for the given tokens; empty ones are ignored.
func New(tokens ...string) Mask {
	m := Mask{parts: map[string]bool{}}
	for _, token := range tokens {
		if len(token) < window {
			if token != "" {
				m.whole = append(m.whole, token)
			}
			continue
		}
		for i := range len(token) - window + 1 {
			m.parts[token[i:i+window]] = true
		}
	}
	return m
}

// Hide returns s with every token, and every stretch of six or more characters of one, replaced by "***".
func (m Mask) Hide(s string) string {
	for _, token := range m.whole {
		s = strings.ReplaceAll(s, token, shown)
	}
	if len(m.parts) == 0 || len(s) < window {
		return s
	}
	var out strings.Builder
	kept := 0 // s[:kept] is dealt with
	for i := 0; i+window <= len(s); i++ {
		if !m.parts[s[i:i+window]] {
			continue
		}
		end := i + window
		for end < len(s) && m.parts[s[end-window+1:end+1]] {
			end++
		}
		out.WriteString(s[kept:i])
		out.WriteString(shown)
		kept, i = end, end-1
	}
	if kept == 0 {
		return s
	}
	out.WriteString(s[kept:])
	return out.String()
}
