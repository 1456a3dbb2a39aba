package dns

import (
	"net/netip"
	"strings"

	"github.com/mailroot/mailroot/internal/mail"
)

const maxName = 253 // octets of a name in text without its final dot (RFC 1035 §2.3.4)

// cleanName returns name in lower case without its final dot, and whether it is one that can
// be asked for: labels of 1 to 63 printable ASCII octets, none of which has a meaning in the
// text form of names. Underscores pass (they occur in real MX names and in TXT).
func cleanName(name string) (string, bool) {
	name = strings.TrimSuffix(name, ".")
	if len(name) == 0 || len(name) > maxName {
		return name, false
	}
	label := 0
	for i := range len(name) {
		switch c := name[i]; {
		case c == '.':
			if label == 0 {
				return name, false
			}
			label = 0
			continue
		case c <= ' ' || c >= 0x7f || strings.IndexByte("\\\"'();@$", c) >= 0:
			return name, false
		}
		if label++; label > 63 {
			return name, false
		}
	}
	return mail.LowerASCII(name), label > 0
}

// isHostName reports whether a clean name may be shown as the name of a host: letters, digits,
// hyphens, underscores and dots only (bad input R3: a PTR may hold anything).
func isHostName(name string) bool {
	for i := range len(name) {
		c := name[i]
		if !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '_' || c == '.') {
			return false
		}
	}
	return name != ""
}

// printableName makes a name that was refused fit for an error text.
func printableName(name string) string {
	const limit = 80
	cut := name
	if len(cut) > limit {
		cut = cut[:limit]
	}
	clean := strings.Map(func(r rune) rune {
		if r <= ' ' || r >= 0x7f {
			return '?'
		}
		return r
	}, cut)
	if len(cut) < len(name) {
		clean += "..."
	}
	return clean
}

// under reports whether the clean name is zone or stands below it.
func under(name, zone string) bool {
	return name == zone || len(name) > len(zone) && strings.HasSuffix(name, zone) && name[len(name)-len(zone)-1] == '.'
}

// reverseName returns the name under which the PTR records of addr stand (RFC 1035 §3.5, RFC
// 3596 §2.5), without final dot.
func reverseName(addr netip.Addr) string {
	addr = addr.Unmap()
	const hex = "0123456789abcdef"
	if addr.Is4() {
		b := addr.As4()
		return netip.AddrFrom4([4]byte{b[3], b[2], b[1], b[0]}).String() + ".in-addr.arpa"
	}
	b := addr.As16()
	dst := make([]byte, 0, 72)
	for i := len(b) - 1; i >= 0; i-- {
		dst = append(dst, hex[b[i]&15], '.', hex[b[i]>>4], '.')
	}
	return string(append(dst, "ip6.arpa"...))
}
