// Package nearest finds the name that somebody may have meant.
package nearest

import "strings"

// Of returns the name that is the most similar to a word, and whether they are so similar that it may have been meant.
func Of(word string, names []string) (best string, alike bool) {
	plain := func(s string) string { return strings.ToUpper(strings.ReplaceAll(s, "-", "_")) }
	most := -1.0
	for _, name := range names {
		if s := similarity(plain(word), plain(name)); s > most {
			best, most = name, s
		}
	}
	return best, most >= 0.45 // lable is like labels, event is not like api-endpoint
}

// similarity is the share of their pairs of adjacent characters that two names have in common, from 0 to 1 (Dice's
// coefficient). Each word counts with its beginning and its end.
func similarity(a, b string) float64 {
	a, b = "_"+a+"_", "_"+b+"_"
	pairs := make(map[string]int)
	for i := range len(a) - 1 {
		pairs[a[i:i+2]]++
	}
	common := 0
	for i := range len(b) - 1 {
		if pairs[b[i:i+2]] > 0 {
			pairs[b[i:i+2]]--
			common++
		}
	}
	return 2 * float64(common) / float64(len(a)+len(b)-2)
}
