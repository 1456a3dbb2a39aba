package route

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"

	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/smtp"
)

var (
	errNoText     = errors.New("the name is not valid UTF-8")
	errNoName     = errors.New("the name is empty")
	errLongName   = errors.New("the name is longer than 255 octets")
	errEmptyLabel = errors.New("the name has an empty label (two dots, or a dot at an end)")
	errLongLabel  = errors.New("the name has a label longer than 63 octets")
	errAllDigits  = errors.New("the name ends in a number, so it is neither a name nor an address")
)

// lookup is idna.Lookup without its demand for letters, digits and hyphens, which would refuse
// the underscores that occur in real MX names (bad input E9); asciiName makes that check.
var lookup = idna.New(idna.MapForLookup(), idna.BidiRule(), idna.CheckHyphens(false), idna.StrictDomainName(false))

// NormalizeDomain returns the one form of a domain by which domains are compared: lower case,
// A-labels (RFC 5891 §5, so that a name in UTF-8 and its A-labels are the same), and for an
// address literal (RFC 5321 §4.1.3) brackets around the canonical text of the address.
// It refuses what can be no domain; its errors say why.
func NormalizeDomain(domain string) (string, error) {
	if strings.HasPrefix(domain, "[") {
		addr, err := parseLiteral(domain)
		if err != nil {
			return "", err
		}
		return literal(addr), nil
	}
	if len(domain) > 255*4 {
		return "", errLongName // before any work; a U-label takes at most 4 octets a letter
	}
	if plain(domain) {
		domain = mail.LowerASCII(domain)
	} else if !utf8.ValidString(domain) {
		return "", errNoText
	} else {
		ascii, err := lookup.ToASCII(domain)
		if err != nil {
			return "", fmt.Errorf("not a valid internationalised name: %w", err)
		}
		domain = ascii
	}
	return domain, asciiName(domain)
}

// plain reports whether name needs no IDNA: ASCII throughout and no A-label.
func plain(name string) bool {
	for i := range len(name) {
		if name[i] >= 0x80 {
			return false
		}
	}
	for i := 0; i+3 < len(name); i++ {
		if name[i+2] == '-' && name[i+3] == '-' && (i == 0 || name[i-1] == '.') && mail.EqualFoldASCII(name[i:i+2], "xn") {
			return false
		}
	}
	return true
}

// asciiName checks a name in lower case.
func asciiName(name string) error {
	switch {
	case name == "":
		return errNoName
	case len(name) > 255:
		return errLongName
	}
	label, digits := 0, true
	for i := 0; i <= len(name); i++ {
		if i == len(name) || name[i] == '.' {
			switch {
			case label == 0:
				return errEmptyLabel
			case label > 63:
				return errLongLabel
			case i == len(name) && digits:
				return errAllDigits
			}
			label, digits = 0, true
			continue
		}
		c := name[i]
		if !('a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '_') {
			return fmt.Errorf("%q cannot stand in a domain name", rune(c))
		}
		digits = digits && '0' <= c && c <= '9'
		label++
	}
	return nil
}

// parseLiteral reads "[192.0.2.1]" or "[IPv6:2001:db8::1]". An IPv4-mapped address comes out as
// IPv4, so that it cannot hide what it leads to.
func parseLiteral(s string) (netip.Addr, error) {
	addr, ok := smtp.LiteralAddr(s)
	if !ok {
		return netip.Addr{}, fmt.Errorf("%.100q is not an address literal: [192.0.2.1] and [IPv6:2001:db8::1] are", s)
	}
	if addr = addr.Unmap(); addr.IsMulticast() || addr == netip.AddrFrom4([4]byte{255, 255, 255, 255}) {
		return netip.Addr{}, fmt.Errorf("%s is not the address of a host", addr)
	}
	return addr, nil
}

func literal(addr netip.Addr) string {
	if addr.Is4() {
		return "[" + addr.String() + "]"
	}
	return "[IPv6:" + addr.String() + "]"
}

// literalAddr returns the address of a normalised domain that is a literal.
func literalAddr(norm string) (netip.Addr, bool) {
	if !strings.HasPrefix(norm, "[") {
		return netip.Addr{}, false
	}
	addr, err := parseLiteral(norm)
	return addr, err == nil
}
