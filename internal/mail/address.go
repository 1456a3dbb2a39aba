package mail

import "strings"

// Address is a mailbox or path as RFC 5321 §4.1.2 writes it, without the angle brackets.
//
// Local is the local-part as the peer sent it, quotes and backslashes included: it is opaque
// (RFC 5321 §2.3.11) and is never decoded or re-routed. Domain is the domain as sent, or an
// address literal with its brackets; it is empty in a bare address, to which intake adds the
// default domain. The zero Address is the null reverse-path "<>".
//
// A parsed Address holds no control octets.
type Address struct {
	Local  string
	Domain string
}

// IsNull reports whether a is the null reverse-path.
func (a Address) IsNull() bool { return a.Local == "" && a.Domain == "" }

// IsBare reports whether a has a local-part but no domain.
func (a Address) IsBare() bool { return a.Local != "" && a.Domain == "" }

// IsLiteral reports whether the domain is an address literal such as [192.0.2.1].
func (a Address) IsLiteral() bool { return strings.HasPrefix(a.Domain, "[") }

// String returns local@domain, the local-part alone for a bare address, and "" for the null path.
func (a Address) String() string {
	if a.Domain == "" {
		return a.Local
	}
	return a.Local + "@" + a.Domain
}

// WithDomain returns a with its domain replaced.
func (a Address) WithDomain(domain string) Address {
	return Address{Local: a.Local, Domain: domain}
}

// IsPostmaster reports whether the local-part is the reserved mailbox of RFC 5321 §4.5.1,
// in any case, quoted or not.
func (a Address) IsPostmaster() bool { return EqualFoldASCII(Unquote(a.Local), "postmaster") }

// Unquote returns the name that a local-part is, to be compared with others: "\"sales\"" and
// "sales" are the same mailbox (RFC 5321 §4.1.2). What is no quoted string as a whole is
// returned as it is.
func Unquote(local string) string {
	if len(local) < 2 || local[0] != '"' {
		return local
	}
	name := make([]byte, 0, len(local))
	for i := 1; i < len(local); i++ {
		switch local[i] {
		case '"':
			if i == len(local)-1 {
				return string(name)
			}
			return local
		case '\\':
			if i++; i == len(local) {
				return local
			}
		}
		name = append(name, local[i])
	}
	return local
}

// EqualFoldASCII compares s and t without regard to ASCII case. Unlike strings.EqualFold it
// folds nothing else, so that no other Unicode character can pass for a keyword.
func EqualFoldASCII(s, t string) bool {
	if len(s) != len(t) {
		return false
	}
	for i := range len(s) {
		if lowerASCII(s[i]) != lowerASCII(t[i]) {
			return false
		}
	}
	return true
}

// LowerASCII returns s with A–Z folded to lower case and every other octet unchanged.
func LowerASCII(s string) string {
	for i := range len(s) {
		if c := s[i]; 'A' <= c && c <= 'Z' {
			b := []byte(s)
			for ; i < len(b); i++ {
				b[i] = lowerASCII(b[i])
			}
			return string(b)
		}
	}
	return s
}

func lowerASCII(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}
