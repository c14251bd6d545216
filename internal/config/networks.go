package config

import (
	"errors"
	"net/netip"
	"slices"
)

// Networks are networks of addresses, each once, in the order given.
type Networks []netip.Prefix

// EnvDecode accepts networks in CIDR notation, in the forms of a [List]. A port is opened to them, so nothing is guessed:
// an address without a length may be one address or a network, and one with bits set after its length, too.
func (n *Networks) EnvDecode(value string) error {
	entries, wrong := split(value, `["203.0.113.7/32", "2001:db8::/48"]`)
	if len(entries) == 0 && wrong == nil {
		wrong = refuse(value, "lists nothing: give networks, as 203.0.113.7/32")
	}
	*n = nil
	for _, entry := range entries {
		network, err := parseNetwork(entry)
		wrong = errors.Join(wrong, err)
		if !slices.Contains(*n, network) { // it may be written in two ways
			*n = append(*n, network)
		}
	}
	return wrong
}

func parseNetwork(text string) (netip.Prefix, error) {
	if addr, err := netip.ParseAddr(text); err == nil && addr.Zone() == "" {
		return netip.Prefix{}, refuse(text, "has no length: did you mean %s?", single(addr))
	}
	network, err := netip.ParsePrefix(text)
	switch {
	case err != nil:
		err = refuse(text, "is no network: give one as 203.0.113.7/32, 203.0.113.0/24 or 2001:db8::/48")
	case network.Addr().Is4In6():
		plain := netip.PrefixFrom(network.Addr().Unmap(), max(0, network.Bits()-96))
		err = refuse(text, "is an IPv4 network in the notation of IPv6: give it as %s", plain.Masked())
	case network != network.Masked():
		err = refuse(text, "has bits set after its length: did you mean %s or %s?", network.Masked(), single(network.Addr()))
	}
	return network, err
}

// single returns the network that is one address.
func single(addr netip.Addr) netip.Prefix {
	addr = addr.Unmap() // what is an IPv4 address is given as one
	return netip.PrefixFrom(addr, addr.BitLen())
}

// hasIPv4 reports whether there is a network of IPv4 addresses.
func (n Networks) hasIPv4() bool {
	return slices.ContainsFunc(n, func(network netip.Prefix) bool { return network.Addr().Is4() })
}
