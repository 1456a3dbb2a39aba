package smtp

import (
	"net/netip"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"

	"github.com/mailroot/mailroot/internal/mail"
)

// The limits of RFC 5321 §4.5.3.1 and RFC 1035 §2.3.4, in octets.
const (
	maxLocalPart = 64
	maxDomain    = 255
	maxLabel     = 63
)

// ParseAddress parses a mailbox, local-part@domain, or a local-part alone, without angle
// brackets (RFC 5321 §4.1.2, RFC 6531 §3.3). It is more tolerant than the RFC in one thing:
// dots in an unquoted local-part may stand anywhere, since such mailboxes exist. The strings
// of the result share the memory of s. The error is ErrAddress.
func ParseAddress(s string) (mail.Address, error) {
	local, rest, ok := cutLocal(s)
	if !ok {
		return mail.Address{}, ErrAddress
	}
	if rest == "" {
		return mail.Address{Local: local}, nil
	}
	domain := rest[1:]
	if !validDomain(domain) {
		return mail.Address{}, ErrAddress
	}
	return mail.Address{Local: local, Domain: domain}, nil
}

// cutLocal splits s behind its local-part; rest is empty or begins with "@".
func cutLocal(s string) (local, rest string, ok bool) {
	n := 0
	if strings.HasPrefix(s, `"`) {
		n = quotedLen(s)
	} else {
		for n < len(s) && (atext[s[n]] || s[n] == '.') {
			n++
		}
	}
	if n == 0 || n > maxLocalPart || n < len(s) && s[n] != '@' {
		return "", "", false
	}
	return s[:n], s[n:], validText(s[:n])
}

// quotedLen returns the length of the quoted string at the start of s, or 0.
func quotedLen(s string) int {
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			return i + 1
		case c < ' ' || c == 0x7f:
			return 0
		case c == '\\':
			i++
			if i == len(s) || s[i] < ' ' || s[i] >= 0x7f {
				return 0
			}
		}
	}
	return 0
}

// validText reports whether s is UTF-8 without C1 control characters.
func validText(s string) bool {
	if !beyondASCII(s) {
		return true
	}
	for i, r := range s {
		if r >= 0x80 && r <= 0x9f {
			return false
		}
		if r == utf8.RuneError {
			if _, n := utf8.DecodeRuneInString(s[i:]); n <= 1 {
				return false
			}
		}
	}
	return true
}

func beyondASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return true
		}
	}
	return false
}

// atext holds the octets of RFC 5322 atext and those above 127 (RFC 6531 §3.3).
var atext = func() (t [256]bool) {
	for c := range t {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c >= utf8.RuneSelf:
			t[c] = true
		default:
			t[c] = strings.IndexByte("!#$%&'*+-/=?^_`{|}~", byte(c)) >= 0
		}
	}
	return t
}()

// validDomain reports whether s is a domain name or an address literal.
func validDomain(s string) bool {
	if strings.HasPrefix(s, "[") {
		_, ok := LiteralAddr(s)
		return ok
	}
	return ValidDomain(s)
}

// ValidDomain reports whether s is a domain name as it may stand in an address: labels of
// letters, digits, hyphens inside, and underscores, which RFC 5321 does not know but DNS does;
// no empty label, so no dot at the end. Labels beyond ASCII and A-labels ("xn--…") must be
// valid IDNA; scripts may be mixed, since names are compared in their A-label form.
func ValidDomain(s string) bool {
	if s == "" || len(s) > maxDomain {
		return false
	}
	special := false
	for rest, more := s, true; more; {
		var label string
		label, rest, more = strings.Cut(rest, ".")
		ok, idn := validLabel(label)
		if !ok {
			return false
		}
		special = special || idn
	}
	if !special {
		return true
	}
	if !validText(s) {
		return false // IDNA would put something else in its place
	}
	ascii, err := idnaProfile.ToASCII(s)
	return err == nil && len(ascii) <= maxDomain && plainLabels(ascii)
}

// plainLabels looks once more at what IDNA made: some characters are mapped to ASCII that no name can
// have, U+02D8 to a blank.
func plainLabels(ascii string) bool {
	for label := range strings.SplitSeq(ascii, ".") {
		if ok, _ := validLabel(label); !ok {
			return false
		}
	}
	return true
}

// validLabel looks at one label; idn says that IDNA has to look too.
func validLabel(label string) (ok, idn bool) {
	n := len(label)
	if n == 0 || label[0] == '-' || label[n-1] == '-' {
		return false, false
	}
	for i := range n {
		switch c := label[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_':
		case c >= utf8.RuneSelf:
			idn = true
		default:
			return false, false
		}
	}
	// The limit holds for the A-label, which IDNA checks.
	if n > maxLabel && !idn {
		return false, false
	}
	return true, idn || n >= 4 && mail.EqualFoldASCII(label[:4], "xn--")
}

// idnaProfile is that of look-ups (RFC 5891 §5), but with underscores.
var idnaProfile = idna.New(
	idna.MapForLookup(),
	idna.BidiRule(),
	idna.StrictDomainName(false),
	idna.VerifyDNSLength(true),
)

// LiteralAddr returns the address of an address literal, "[192.0.2.1]" or
// "[IPv6:2001:db8::1]" (RFC 5321 §4.1.3). Other forms of literal are not known.
func LiteralAddr(domain string) (netip.Addr, bool) {
	n := len(domain)
	if n < 2 || domain[0] != '[' || domain[n-1] != ']' {
		return netip.Addr{}, false
	}
	text := domain[1 : n-1]
	const tag = "IPv6:"
	v6 := len(text) > len(tag) && mail.EqualFoldASCII(text[:len(tag)], tag)
	if v6 {
		text = text[len(tag):]
	}
	a, err := netip.ParseAddr(text)
	if err != nil || a.Is6() != v6 || a.Zone() != "" {
		return netip.Addr{}, false
	}
	return a, true
}

// cutPath splits s behind the path at its start. inner is the path without its brackets;
// bracketed says that it had some.
func cutPath(s string, p Profile) (inner, rest string, ok bool) {
	if strings.HasPrefix(s, "<") {
		end := unquotedIndex(s, '>')
		if end < 0 {
			return "", "", false
		}
		inner, rest = s[1:end], s[end+1:]
		return inner, rest, rest == "" || rest[0] == ' '
	}
	if !p.NoBrackets() {
		return "", "", false
	}
	end := unquotedIndex(s, ' ')
	if end < 0 {
		end = len(s)
	}
	return s[:end], s[end:], end > 0
}

// unquotedIndex returns the index of the first c in s outside a quoted string, or -1.
func unquotedIndex(s string, c byte) int {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '"':
			quoted = !quoted
		case quoted && s[i] == '\\':
			i++
		case !quoted && s[i] == c:
			return i
		}
	}
	return -1
}

// cutRoute drops a source route, "@a,@b:", which is to be accepted and ignored (RFC 5321
// appendix C).
func cutRoute(s string) (rest string, ok bool) {
	for {
		if s == "" || s[0] != '@' {
			return "", false
		}
		s = s[1:]
		n := strings.IndexAny(s, ",:")
		if strings.HasPrefix(s, "[") {
			n = strings.IndexByte(s, ']') + 1
		}
		if n <= 0 || n >= len(s) || !validDomain(s[:n]) {
			return "", false
		}
		sep := s[n]
		s = s[n+1:]
		switch sep {
		case ':':
			return s, true
		case ',':
		default:
			return "", false
		}
	}
}

// parsePath parses the inside of a path that is not null.
func parsePath(inner string) (mail.Address, error) {
	if strings.HasPrefix(inner, "@") {
		rest, ok := cutRoute(inner)
		if !ok {
			return mail.Address{}, ErrAddress
		}
		inner = rest
	}
	return ParseAddress(inner)
}
