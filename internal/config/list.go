package config

import (
	"encoding/json"
	"errors"
	"net/netip"
	"path"
	"slices"
	"strings"
	"unicode"
)

// List holds words, such as names, IDs or globs of servers, each once, in the order given. It is nil only where it is not given.
type List []string

// EnvDecode accepts entries separated by commas and white space, or a JSON array of strings. Globs are those of
// [path.Match].
func (l *List) EnvDecode(value string) error {
	entries, wrong := split(value, `["db-1", "web-*"]`)
	for _, entry := range entries {
		wrong = errors.Join(wrong, checkEntry(entry))
	}
	*l = append(List{}, entries...)
	return wrong
}

// split returns entries that are separated by commas and white space, or are a JSON array of strings such as the example,
// each once.
func split(value, example string) (once []string, err error) {
	entries := strings.FieldsFunc(value, func(r rune) bool { return r == ',' || unicode.IsSpace(r) })
	if strings.HasPrefix(value, "[") && json.Valid([]byte(value)) { // it may begin with a character class
		if entries = nil; json.Unmarshal([]byte(value), &entries) != nil {
			return nil, refuse(value, "is no JSON array of strings: give one as %s, or the entries alone", example)
		}
	}
	for _, entry := range entries {
		if !slices.Contains(once, entry) {
			once = append(once, entry)
		}
	}
	return once, nil
}

// checkEntry returns what is wrong with an entry that can be no name, ID or glob. A server's name is a host name.
func checkEntry(entry string) error {
	strange := func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune(`-._*?[]^\`, r)
	}
	switch {
	case strings.HasPrefix(entry, "#"):
		return refuse(entry, "is no name, ID or glob: comments are not accepted")
	case len(entry) > 1 && strings.ContainsRune("!-", rune(entry[0])):
		return refuse(entry, "is no name, ID or glob: servers to leave out go into exclude")
	case entry == "", entry == "-", strings.ContainsFunc(entry, strange):
		return refuse(entry, "is no name, ID or glob: give one entry a line, without dashes before it, quotation marks or braces")
	}
	if _, err := path.Match(entry, ""); err != nil {
		return refuse(entry, `is no valid glob: accepted are *, ?, [abc], [a-z] and [^a-z], and \ before one of these characters`)
	}
	return nil
}

// Networks are networks of addresses, each once, in the order given.
type Networks []netip.Prefix

// EnvDecode accepts networks in CIDR notation, in the forms of a [List]. A port is opened to them, so nothing is guessed:
// an address without a length may be one address or a network, and one with bits set after its length, too.
func (n *Networks) EnvDecode(value string) error {
	entries, wrong := split(value, `["203.0.113.7/32", "2001:db8::/48"]`)
	*n = nil
	for _, entry := range entries {
		network, err := netip.ParsePrefix(entry)
		switch {
		case err != nil, network.Addr().Is4In6(), network != network.Masked():
			wrong = errors.Join(wrong, refuse(entry, "is no network: give one as 203.0.113.7/32, 203.0.113.0/24 or 2001:db8::/48, without bits set after its length"))
		case !slices.Contains(*n, network): // it may be written in two ways
			*n = append(*n, network)
		}
	}
	return wrong
}

// hasIPv4 reports whether there is a network of IPv4 addresses.
func (n Networks) hasIPv4() bool {
	return slices.ContainsFunc(n, func(network netip.Prefix) bool { return network.Addr().Is4() })
}
