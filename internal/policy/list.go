package policy

import (
	"net/netip"
	"slices"
)

// Mode says which side of a List is granted.
type Mode uint8

// The modes. The zero Mode is the default of the setting: AllExcept for the connection
// control, Only for the relay list; so an empty List refuses no connection and relays nothing.
const (
	Only      Mode = iota + 1 // only the list is granted
	AllExcept                 // all but the list is granted
)

// List is a list of addresses (as prefixes of full length) and networks. IPv4-mapped IPv6
// prefixes count as IPv4; the zone of an address is not looked at.
type List struct {
	Mode     Mode
	Prefixes []netip.Prefix
}

// Open reports whether the list grants something to all the world, and by what: the mode
// AllExcept, or prefixes that cover all of IPv4 or of IPv6 (bad input R1: a warning).
func (l List) Open() (reason string, open bool) {
	if l.Mode == AllExcept {
		return "it grants all addresses except its list", true
	}
	s := newPrefixSet(l.Prefixes)
	switch {
	case s.coversAll(netip.IPv4Unspecified()):
		return "it covers all IPv4 addresses (0.0.0.0/0)", true
	case s.coversAll(netip.IPv6Unspecified()):
		return "it covers all IPv6 addresses (::/0)", true
	}
	return "", false
}

// prefixSet is a set of addresses as disjoint prefixes in order, IPv4 first, so that a look-up
// is one binary search however long the list is.
type prefixSet []netip.Prefix

// newPrefixSet drops invalid prefixes and those within others.
func newPrefixSet(prefixes []netip.Prefix) prefixSet {
	set := make(prefixSet, 0, len(prefixes))
	for _, p := range prefixes {
		if p, ok := normPrefix(p); ok {
			set = append(set, p)
		}
	}
	slices.SortFunc(set, func(a, b netip.Prefix) int {
		if c := a.Addr().Compare(b.Addr()); c != 0 {
			return c
		}
		return a.Bits() - b.Bits()
	})
	// Prefixes are nested or disjoint, and the wider stands first: one pass will do.
	kept := set[:0]
	for _, p := range set {
		if n := len(kept); n > 0 && kept[n-1].Contains(p.Addr()) {
			continue
		}
		kept = append(kept, p)
	}
	return kept
}

// normPrefix masks p and turns an IPv4-mapped prefix into the IPv4 one.
func normPrefix(p netip.Prefix) (netip.Prefix, bool) {
	if !p.IsValid() {
		return p, false
	}
	if p.Addr().Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	return p.Masked(), true
}

// find returns the index of the prefix that contains addr, or -1. addr is unmapped and has no
// zone.
func (s prefixSet) find(addr netip.Addr) int {
	i, exact := slices.BinarySearchFunc(s, addr, func(p netip.Prefix, a netip.Addr) int {
		return p.Addr().Compare(a)
	})
	if exact {
		return i
	}
	if i > 0 && s[i-1].Contains(addr) {
		return i - 1
	}
	return -1
}

// coversAll reports whether all addresses of the family that begins at first are in the set.
func (s prefixSet) coversAll(first netip.Addr) bool {
	next := first
	for _, p := range s {
		if p.Addr().BitLen() != first.BitLen() {
			continue
		}
		if p.Addr() != next {
			return false
		}
		if next = lastAddr(p).Next(); !next.IsValid() {
			return true
		}
	}
	return false
}

// lastAddr returns the highest address of p.
func lastAddr(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}
