package metabase

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// AddressList is what a RelayIpList or IPSecurity says: who is let in, or who is kept out.
type AddressList struct {
	// AllExcept: everybody but those on the list; else only those on it.
	AllExcept bool
	Networks  []netip.Prefix
	// Names are domain names on the list. In the binary form where they stand is not known for certain, so that they are what
	// looks like one.
	Names []string
	// Dropped are parts of a list of those let in that a configuration cannot hold or that are not understood, in words.
	Dropped []string
	// Empty: there was nothing at all in the value.
	Empty bool
}

// The binary form, as far as it is known: four offsets with their top bit set, a flag, the size of the fixed part; then, at the
// offsets, the addresses that are denied, those that are granted, the names that are denied, those that are granted.
const (
	topBit    = 1 << 31
	listHead  = 24 // octets
	groupSize = 20 // octets: family, entries, size of one, nothing, offset
	familyIP4 = 2
)

// ParseAddressList reads the binary form of RelayIpList and IPSecurity. Nothing but what is understood to the last octet that
// matters is taken: each doubt is an error, and who gets one must let nobody in.
func ParseAddressList(b []byte) (AddressList, error) {
	if len(b) == 0 {
		return AddressList{Empty: true}, nil
	}
	r := listReader{b: b}
	if len(b) < listHead {
		return AddressList{}, fmt.Errorf("it has %d octets, and its head alone has %d", len(b), listHead)
	}
	if flag := r.word(16); flag > 1 {
		return AddressList{}, fmt.Errorf("its flag is %d, which is not known", flag)
	}
	if size := int64(r.word(20)); size < listHead || size > int64(len(b)) {
		return AddressList{}, fmt.Errorf("its fixed part has %d octets, and all of it %d", size, len(b))
	}
	r.claim(0, listHead)
	deny, denied := r.addresses(0)
	grant, granted := r.addresses(4)
	denyNames, grantNames := r.names(8), r.names(12)
	denied, granted = denied || denyNames > 0, granted || grantNames > 0
	loose := r.unclaimed()
	switch n := len(deny) + len(grant); {
	case r.err != nil:
		return AddressList{}, r.err
	case denied && granted:
		return AddressList{}, fmt.Errorf("it grants and denies at the same time")
	case n > maxList:
		return AddressList{}, fmt.Errorf("it has %d addresses, and a configuration holds %d", n, maxList)
	case denied:
		return r.denying(deny, denyNames, loose)
	case granted:
		return r.granting(grant, grantNames, loose), nil
	case loose > 0:
		// An empty list opens or closes the server: a list of which an offset is wrong must not pass for one.
		return AddressList{}, fmt.Errorf("it is empty, and %d of its octets belong to no part of it", loose)
	}
	return AddressList{Empty: true}, nil
}

// denying makes a list of those kept out. What of it is not understood may keep out others, so that it is an error.
func (r *listReader) denying(networks []netip.Prefix, names, loose int) (AddressList, error) {
	found := r.texts()
	switch {
	case len(r.dropped) > 0:
		return AddressList{}, fmt.Errorf("it keeps out %s, which no network says", r.dropped[0])
	case r.bare > 0:
		return AddressList{}, fmt.Errorf("it keeps out a group that has no address")
	case names > 0 && names != len(found):
		return AddressList{}, fmt.Errorf("it keeps out domain names (%d), of which %d are found", names, len(found))
	case names == 0 && loose > 0:
		return AddressList{}, fmt.Errorf("it keeps out others, and %d of its octets belong to no part of it", loose)
	case names == 0:
		found = nil
	}
	return AddressList{AllExcept: true, Networks: networks, Names: found}, nil
}

// granting makes a list of those let in. What of it is not understood lets nobody in, and is said.
func (r *listReader) granting(networks []netip.Prefix, names, loose int) AddressList {
	l := AddressList{Networks: networks}
	if names > 0 {
		l.Names = r.texts()
	}
	if n := names - len(l.Names); n > 0 {
		l.Dropped = append(l.Dropped, fmt.Sprintf("domain names that cannot be read (%d)", n))
	}
	if r.bare > 0 {
		l.Dropped = append(l.Dropped, fmt.Sprintf("groups without an address (%d)", r.bare))
	}
	if names == 0 && loose > 0 {
		l.Dropped = append(l.Dropped, fmt.Sprintf("octets that belong to no part of it (%d)", loose))
	}
	l.Dropped = append(l.Dropped, r.dropped...)
	return l
}

// listReader reads within the bounds of a value; the first error stays.
type listReader struct {
	b       []byte
	err     error
	dropped []string // addresses that no network says
	bare    int      // groups without an address
	claims  []span   // what the parts that are understood take up
}

// span is a part of a value, from one octet to before another.
type span struct{ from, to int }

// claim notes that a part of the value is understood.
func (r *listReader) claim(from, to int) {
	if r.err == nil {
		r.claims = append(r.claims, span{from, to})
	}
}

// unclaimed counts the octets that belong to no part, names included. Parts that lie over another are an error.
func (r *listReader) unclaimed() int {
	slices.SortFunc(r.claims, func(a, b span) int { return cmp.Compare(a.from, b.from) })
	n, end := 0, 0
	for _, part := range r.claims {
		if part.from < end {
			r.fail("two of its parts lie over each other, at octet %d", part.from)
			return 0
		}
		n, end = n+part.from-end, part.to
	}
	return n + len(r.b) - end
}

func (r *listReader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf(format, args...)
	}
}

func (r *listReader) word(at int) uint32 {
	if at < 0 || at > len(r.b)-4 {
		r.fail("it ends within a number, at octet %d", at)
		return 0
	}
	return binary.LittleEndian.Uint32(r.b[at:])
}

// offset follows an offset that stands at a place, to something that has size octets at least.
func (r *listReader) offset(at, size int) int {
	v := r.word(at)
	to := int64(v &^ topBit)
	if r.err == nil && (v&topBit == 0 || to+int64(size) > int64(len(r.b)) || to < listHead) {
		r.fail("an offset at octet %d leads nowhere (%d)", at, to)
	}
	if r.err != nil {
		return 0
	}
	return int(to)
}

// addresses reads the section to which the offset at a place leads. It reports whether it has any, be it ones that no network
// says.
func (r *listReader) addresses(at int) (out []netip.Prefix, some bool) {
	section := r.offset(at, 8)
	groups, total := r.word(section), r.word(section+4)
	r.claim(section, section+8)
	if r.err != nil || groups == 0 && total == 0 {
		return nil, false
	}
	if int64(section)+8+int64(groups)*groupSize > int64(len(r.b)) {
		r.fail("it has %d groups of addresses, for which there is no room", groups)
		return nil, false
	}
	r.claim(section+8, section+8+int(groups)*groupSize)
	found := uint32(0)
	for i := range int(groups) {
		g := section + 8 + i*groupSize
		family, entries, size := r.word(g), r.word(g+4), r.word(g+8)
		switch {
		case family != familyIP4 || size != 4:
			r.fail("it has addresses of the family %d with %d octets each, which is not IPv4", family, size)
		case entries < 1:
			r.fail("a group of addresses has no mask")
		case int64(entries) > int64(len(r.b))/4:
			r.fail("a group has %d entries, for which there is no room", entries)
		}
		if r.err != nil {
			return nil, false
		}
		data := r.offset(g+16, int(entries)*4)
		if r.err != nil {
			return nil, false
		}
		r.claim(data, data+int(entries)*4)
		if entries == 1 {
			r.bare++
		}
		found += entries - 1
		if found > maxList {
			r.fail("it has more than %d addresses", maxList)
			return nil, false
		}
		out = append(out, r.group(data, int(entries))...)
	}
	if found != total {
		r.fail("it says that it has %d addresses, and has %d", total, found)
	}
	return out, true
}

// group reads a mask and the addresses that have it.
func (r *listReader) group(data, entries int) []netip.Prefix {
	mask := netip.AddrFrom4([4]byte(r.b[data:]))
	bits, contiguous := maskBits(mask)
	var out []netip.Prefix
	for i := 1; i < entries; i++ {
		addr := netip.AddrFrom4([4]byte(r.b[data+4*i:]))
		if !contiguous {
			r.dropped = append(r.dropped, addr.String()+" with the mask "+mask.String())
			continue
		}
		out = append(out, netip.PrefixFrom(addr, bits).Masked())
	}
	return out
}

// maskBits returns the length of a mask whose ones stand together at its front.
func maskBits(mask netip.Addr) (int, bool) {
	a := mask.As4()
	v := binary.BigEndian.Uint32(a[:])
	n := 0
	for n < 32 && v&(1<<(31-n)) != 0 {
		n++
	}
	return n, uint64(v)<<n&(1<<32-1) == 0
}

// names returns how many names the section has to which the offset at a place leads.
func (r *listReader) names(at int) int {
	section := r.offset(at, 8)
	groups, total := r.word(section), r.word(section+4)
	r.claim(section, section+8)
	if r.err != nil || groups == 0 && total == 0 {
		return 0
	}
	n := int64(max(groups, total))
	if n > int64(len(r.b)) {
		r.fail("it has %d names, for which there is no room", n)
		return 0
	}
	return int(n)
}

// texts finds what looks like a domain name outside of the parts that are understood.
func (r *listReader) texts() []string {
	rest := slices.Clone(r.b)
	for _, part := range r.claims {
		clear(rest[part.from:part.to])
	}
	var out []string
	for _, run := range strings.FieldsFunc(string(rest), func(c rune) bool {
		return !(c == '.' || c == '-' || c == '*' || c == '_' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z')
	}) {
		if len(run) >= 3 && len(run) <= 253 && strings.ContainsAny(run, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ") && len(out) < maxList {
			out = append(out, run)
		}
	}
	return out
}

// ParseAddress reads an entry as ADSI, WMI and adsutil show it: "address, mask".
func ParseAddress(s string) (netip.Prefix, error) {
	addr, mask, hasMask := strings.Cut(s, ",")
	a, err := netip.ParseAddr(strings.TrimSpace(addr))
	if err != nil || a.Zone() != "" {
		return netip.Prefix{}, fmt.Errorf("%s is no address", quoted(s))
	}
	a = a.Unmap()
	if !hasMask {
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	m, err := netip.ParseAddr(strings.TrimSpace(mask))
	if err != nil || !m.Is4() || !a.Is4() {
		return netip.Prefix{}, fmt.Errorf("%s is no address with a mask", quoted(s))
	}
	bits, contiguous := maskBits(m)
	if !contiguous {
		return netip.Prefix{}, fmt.Errorf("%s has a mask that no network has", quoted(s))
	}
	return netip.PrefixFrom(a, bits).Masked(), nil
}
