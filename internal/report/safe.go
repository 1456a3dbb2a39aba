package report

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	maxField  = 900 // octets of a field of the status part
	lineWidth = 76
)

// safe returns s fit for a header or status field: no control octets, and above 127 nothing
// but printable characters, and those only if the report travels with SMTPUTF8.
func (c *composer) safe(s string) string { return escape(s, c.utf8, maxField) }

// field writes a field of the status part, folded at blanks.
func (c *composer) field(name, value string) {
	c.put(name, ":")
	col := len(name) + 1
	for i, word := range strings.Fields(c.safe(value)) {
		if i > 1 && col+1+len(word) > lineWidth {
			c.put("\r\n\t")
			col = 8
		} else {
			c.put(" ")
			col++
		}
		c.put(word)
		col += len(word)
	}
	c.put("\r\n")
}

// escape returns at most limit octets of s with everything that is not printable written as
// \xHH: control octets, broken UTF-8, invisible characters; without wide also all above 127.
// Bad input C7: what a remote server says reaches people and must show as what it is.
func escape(s string, wide bool, limit int) string {
	const hex = "0123456789ABCDEF"
	plain := len(s) <= limit
	for i := 0; plain && i < len(s); i++ {
		plain = s[i] >= ' ' && s[i] < 0x7f
	}
	if plain {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := rune(s[i]), 1
		if r >= utf8.RuneSelf {
			r, n = utf8.DecodeRuneInString(s[i:])
		}
		if b.Len()+4*n > limit {
			b.WriteString("...")
			break
		}
		switch {
		case r >= ' ' && r < 0x7f, wide && r >= 0x80 && (r != utf8.RuneError || n > 1) && unicode.IsPrint(r):
			b.WriteString(s[i : i+n])
		case r == '\t':
			b.WriteByte(' ')
		default:
			for _, c := range []byte(s[i : i+n]) {
				b.WriteString(`\x`)
				b.WriteByte(hex[c>>4])
				b.WriteByte(hex[c&15])
			}
		}
		i += n
	}
	return b.String()
}
