package smtp

import (
	"strings"
	"unicode/utf8"

	"github.com/mailroot/mailroot/internal/mail"
)

// The limits of RFC 3461 §4.4 and §4.2 on ENVID= and ORCPT=, in octets.
const (
	maxEnvID = 100
	maxORcpt = 500
)

const hexDigits = "0123456789ABCDEF"

// EncodeXtext returns s as xtext (RFC 3461 §4): "+", "=" and all that is not printable ASCII
// become "+" and two hexadecimal digits.
func EncodeXtext(s string) string {
	n := 0
	for i := range len(s) {
		if !plainXtext(s[i]) {
			n++
		}
	}
	if n == 0 {
		return s
	}
	b := make([]byte, 0, len(s)+2*n)
	for i := range len(s) {
		if c := s[i]; plainXtext(c) {
			b = append(b, c)
		} else {
			b = append(b, '+', hexDigits[c>>4], hexDigits[c&15])
		}
	}
	return string(b)
}

func plainXtext(c byte) bool { return c > ' ' && c < 0x7f && c != '+' && c != '=' }

// DecodeXtext returns what xtext stands for. It is false for text that is not xtext. Digits in
// lower case are taken too. The result may hold any octet: see ValidXtext.
func DecodeXtext(s string) (string, bool) {
	if strings.IndexByte(s, '+') < 0 {
		return s, plainOnly(s)
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		c, n := xtextChar(s[i:])
		if n == 0 {
			return "", false
		}
		b = append(b, c)
		i += n - 1
	}
	return string(b), true
}

func plainOnly(s string) bool {
	for i := range len(s) {
		if !plainXtext(s[i]) {
			return false
		}
	}
	return true
}

// xtextChar decodes the first character of s and returns its length, 0 if it is not xtext.
func xtextChar(s string) (c byte, n int) {
	if s[0] != '+' {
		if plainXtext(s[0]) {
			return s[0], 1
		}
		return 0, 0
	}
	if len(s) < 3 {
		return 0, 0
	}
	hi, lo := hexValue(s[1]), hexValue(s[2])
	if hi < 0 || lo < 0 {
		return 0, 0
	}
	return byte(hi<<4 | lo), 3
}

func hexValue(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	}
	return -1
}

// ValidXtext reports whether s is xtext that stands for no control octet: a line end hidden in
// ENVID= or ORCPT= must not come to life in a report or a file (bad input E1).
func ValidXtext(s string) bool {
	if s == "" {
		return false
	}
	for i := 0; i < len(s); i++ {
		c, n := xtextChar(s[i:])
		if n == 0 || c < ' ' || c == 0x7f {
			return false
		}
		i += n - 1
	}
	return true
}

// validORcpt checks ORCPT= (RFC 3461 §4.2): an address type, ";", and xtext; or with the type
// utf-8 the forms of RFC 6533 §3. Raw UTF-8 wants SMTPUTF8.
func validORcpt(s string, smtputf8 bool) bool {
	kind, addr, ok := strings.Cut(s, ";")
	if !ok || len(s) > maxORcpt || addr == "" || kind == "" {
		return false
	}
	for i := range len(kind) {
		if c := kind[i]; c >= utf8.RuneSelf || !atext[c] {
			return false
		}
	}
	if mail.EqualFoldASCII(kind, "utf-8") {
		return validUTF8Addr(addr, smtputf8)
	}
	return ValidXtext(addr)
}

// validUTF8Addr checks utf-8-addr-xtext and utf-8-addr-unitext: printable characters, "\x{HEX}",
// and raw UTF-8 if raw is set.
func validUTF8Addr(s string, raw bool) bool {
	for i := 0; i < len(s); {
		if s[i] == '\\' {
			n := embeddedLen(s[i:])
			if n == 0 {
				return false
			}
			i += n
			continue
		}
		if s[i] < utf8.RuneSelf {
			// "+" and "=" stand for themselves in unitext only, but both are harmless.
			if s[i] <= ' ' || s[i] == 0x7f {
				return false
			}
			i++
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		if !raw || n == 1 || r <= 0x9f {
			return false
		}
		i += n
	}
	return true
}

// embeddedLen returns the length of the EmbeddedUnicodeChar "\x{HEX}" at the start of s, 0 if
// there is none or if it stands for a control character or for no character.
func embeddedLen(s string) int {
	end := strings.IndexByte(s, '}')
	if !strings.HasPrefix(s, `\x{`) || end < 5 || end > 9 {
		return 0
	}
	r := rune(0)
	for i := 3; i < end; i++ {
		v := hexValue(s[i])
		if v < 0 {
			return 0
		}
		r = r<<4 | rune(v)
	}
	if r < ' ' || r >= 0x7f && r <= 0x9f || !utf8.ValidRune(r) {
		return 0
	}
	return end + 1
}

// EncodeORcpt returns the ORCPT= value for an address, or "" for one beyond ASCII or too long.
func EncodeORcpt(a mail.Address) string {
	s := a.String()
	if s == "" || beyondASCII(s) {
		return ""
	}
	v := "rfc822;" + EncodeXtext(s)
	if len(v) > maxORcpt {
		return ""
	}
	return v
}

func validUTF8(s string) bool { return !beyondASCII(s) || utf8.ValidString(s) }
