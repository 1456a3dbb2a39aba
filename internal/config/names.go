package config

import (
	"math/bits"
	"net/netip"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"

	"github.com/mailroot/mailroot/internal/mail"
)

// The readers in this file return what is wrong as text, "" when nothing is; the second text
// is what was probably meant.

// checkName checks a host or domain name: labels of letters, digits, hyphens and underscores
// (which MX look-ups meet), at most 63 octets each and 253 in all (RFC 1035 §2.3.4).
func checkName(s string) (message, suggest string) {
	const form = "is not a host or domain name"
	switch {
	case s == "":
		return "a name is missing", ""
	case !utf8.ValidString(s):
		return "is not valid UTF-8", ""
	case len(s) > 253:
		return form + ": longer than 253 octets", ""
	case strings.HasSuffix(s, "."):
		return form + ": without the dot at the end", quote(strings.TrimRight(s, "."))
	}
	last := ""
	for label := range strings.SplitSeq(s, ".") {
		switch {
		case label == "":
			return form + ": two dots in a row, or one at the start", ""
		case len(label) > 63:
			return form + ": a part between dots is longer than 63 octets", ""
		case label[0] == '-' || label[len(label)-1] == '-':
			return form + ": a part between dots begins or ends with a hyphen", ""
		}
		for _, r := range label {
			if !nameRune(r) {
				return form + ": " + strconv.QuoteRune(r) + " cannot stand in it", ""
			}
		}
		last = label
	}
	if strings.Trim(last, "0123456789") == "" {
		return form + ", and not an IP address either", ""
	}
	return "", ""
}

func nameRune(r rune) bool {
	switch {
	case r >= utf8.RuneSelf:
		return unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r)
	default:
		return r == '-' || r == '_' || '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
	}
}

// parseHost reads a next hop: host, host:port, ip, ip:port (IPv4), [ip] or [ip]:port.
func parseHost(s string) (h mail.Host, message, suggest string) {
	const form = "a host is written host, host:port, ip, [ip] or [ip]:port"
	if a, ok := parseIP(s); ok {
		h.Addr = a
	} else if rest, ok := strings.CutPrefix(s, "["); ok {
		inner, port, ok := strings.Cut(rest, "]")
		if !ok {
			return h, form + "; a closing ] is missing", ""
		}
		if a, ok = parseIP(inner); !ok {
			return h, form + "; in brackets there is no IP address", ""
		}
		h.Addr = a
		if port != "" {
			if port[0] != ':' {
				return h, form, ""
			}
			if h.Port, ok = parsePort(port[1:]); !ok {
				return h, "a port is a number from 1 to 65535", ""
			}
		}
	} else {
		name, port, hasPort := strings.Cut(s, ":")
		if hasPort {
			if h.Port, ok = parsePort(port); !ok {
				if strings.Contains(s, "://") {
					return h, form + ", without " + strconv.Quote(name+"://"), ""
				}
				return h, form + "; a port is a number from 1 to 65535", ""
			}
		}
		if a, ok = parseIP(name); ok {
			h.Addr = a
		} else if message, suggest = checkName(name); message != "" {
			return h, message + "; " + form, suggest
		} else {
			h.Name = mail.LowerASCII(name)
		}
	}
	if h.Addr.IsValid() && (h.Addr.IsUnspecified() || h.Addr.IsMulticast()) {
		return h, "no host can have this address", ""
	}
	return h, "", ""
}

// parseIP reads an address without zone; IPv4 in IPv6 form becomes IPv4.
func parseIP(s string) (netip.Addr, bool) {
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" {
		return netip.Addr{}, false
	}
	return a.Unmap(), true
}

func parsePort(s string) (uint16, bool) {
	if s == "" || len(s) > 5 || s[0] == '+' || s[0] == '-' {
		return 0, false
	}
	n, err := strconv.ParseUint(s, 10, 16)
	return uint16(n), err == nil && n > 0
}

// parseBinding reads the label of a binding.
func parseBinding(s string) (b Binding, message, suggest string) {
	const form = "a binding is written address:port, [IPv6 address]:port, or *:port for all addresses"
	i := strings.LastIndexByte(s, ':')
	host, port := s, ""
	if i >= 0 {
		host, port = s[:i], s[i+1:]
	}
	if a, ok := parseIP(s); ok { // an address alone, or an IPv6 address and a port without brackets
		if inner, ok := parseIP(host); ok && inner.Is6() {
			if p, ok := parsePort(port); ok {
				return b, form + "; brackets are missing", quote(netip.AddrPortFrom(inner, p).String())
			}
		}
		return b, form + "; the port is missing", quote(netip.AddrPortFrom(a, 25).String())
	}
	p, ok := parsePort(port)
	if !ok && port != "0" {
		if i < 0 {
			if _, ok := parsePort(s); ok {
				suggest = quote("*:" + s)
			}
			return b, form, suggest
		}
		return b, form + "; a port is a number from 1 to 65535", ""
	}
	b.Port = p
	switch {
	case host == "*" || host == "":
		b.Address = "*:" + port
		return b, "", ""
	case strings.HasPrefix(host, "[") && strings.HasSuffix(host, "]"):
		b.IP, ok = parseIP(host[1 : len(host)-1])
	case strings.Contains(host, ":"):
		if b.IP, ok = parseIP(host); ok {
			return b, form, quote("[" + host + "]:" + port)
		}
	default:
		b.IP, ok = parseIP(host)
	}
	if !ok {
		if host == "localhost" {
			suggest = quote("127.0.0.1:" + port)
		}
		return b, form + "; " + strconv.Quote(host) + " is not an IP address", suggest
	}
	if b.IP.IsMulticast() {
		return b, "a multicast address cannot be listened on", ""
	}
	b.Address = netip.AddrPortFrom(b.IP, b.Port).String()
	return b, "", ""
}

// parseServer reads the address of a DNS server: ip, ip:port, [ip] or [ip]:port.
func parseServer(s string) (netip.AddrPort, string) {
	const form = "a DNS server is given by its IP address, with :port if it is not 53"
	h, message, _ := parseHost(s)
	if message != "" || !h.Addr.IsValid() {
		return netip.AddrPort{}, form
	}
	if h.Port == 0 {
		h.Port = 53
	}
	return netip.AddrPortFrom(h.Addr, h.Port), ""
}

// parseNetwork reads an address, a network with prefix length, or a network with mask (after
// "/" or ","). The result is masked.
func parseNetwork(s string) (p netip.Prefix, message, suggest string) {
	const form = "an entry is an IP address, or a network such as 192.0.2.0/24"
	addr, mask, hasMask := strings.Cut(s, "/")
	if !hasMask {
		addr, mask, hasMask = strings.Cut(s, ",")
	}
	addr, mask = strings.TrimSpace(addr), strings.TrimSpace(mask)
	a, ok := parseIP(addr)
	if !ok {
		if m, _ := checkName(strings.TrimPrefix(addr, "*.")); m == "" && !hasMask {
			return p, "a domain name in this list is " + notAvailable + "; " + form, ""
		}
		return p, form, ""
	}
	n := a.BitLen()
	if hasMask {
		if n, ok = maskLen(a, mask); !ok {
			return p, form + "; the prefix or mask does not fit", ""
		}
	}
	p = netip.PrefixFrom(a, n)
	if p.Masked() != p {
		return p, "the address does not begin that network; write the network or the address alone", quote(p.Masked().String())
	}
	return p, "", ""
}

func maskLen(a netip.Addr, mask string) (int, bool) {
	if m, ok := parseIP(mask); ok {
		if !m.Is4() || !a.Is4() {
			return 0, false
		}
		b := m.As4()
		v := uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
		n := bits.LeadingZeros32(^v)
		return n, v<<n == 0
	}
	n, err := strconv.Atoi(mask)
	return n, err == nil && n >= 0 && n <= a.BitLen() && mask == strconv.Itoa(n)
}

// parseMailbox reads local-part@domain.
func parseMailbox(s string) (a mail.Address, message, suggest string) {
	const form = "a mail address is written name@domain"
	i := strings.LastIndexByte(s, '@')
	if i <= 0 || i > 64 {
		return a, form, ""
	}
	local, domain := s[:i], s[i+1:]
	if strings.ContainsAny(local, " <>()[]\\,;:\"@") {
		return a, form + ", without brackets, quotes or blanks", ""
	}
	if message, _ = checkName(domain); message != "" {
		return a, form + "; the domain " + message, ""
	}
	return mail.Address{Local: local, Domain: mail.LowerASCII(domain)}, "", ""
}

// asciiNames is the profile of look-ups (RFC 5891 §5), but with underscores.
var asciiNames = idna.New(idna.MapForLookup(), idna.BidiRule(), idna.CheckHyphens(false), idna.StrictDomainName(false))

// domainKey returns the form in which domain names are compared: in lower case, with A-labels. A
// name that has none is compared as written.
func domainKey(name string) string {
	rest, below := strings.CutPrefix(mail.LowerASCII(name), "*.")
	if ascii, err := asciiNames.ToASCII(rest); err == nil {
		rest = ascii
	}
	if below {
		return "*." + rest
	}
	return rest
}

// checkDomainPattern checks a domain name, or *. and one.
func checkDomainPattern(s string) (message, suggest string) {
	name := strings.TrimPrefix(s, "*.")
	if strings.Contains(name, "*") {
		return "a * can only stand at the start, as *.", ""
	}
	if strings.HasPrefix(s, ".") {
		return "all names below a domain are written with *.", quote("*" + s)
	}
	if _, ok := parseIP(strings.Trim(name, "[]")); ok {
		return "a domain is a name, not an address", ""
	}
	if i := strings.IndexByte(name, '@'); i >= 0 {
		return "a domain is written without the name before the @", quote(name[i+1:])
	}
	message, suggest = checkName(name)
	if suggest != "" && name != s {
		suggest = `"*.` + suggest[1:]
	}
	return message, suggest
}
