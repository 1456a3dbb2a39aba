package pickup

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxShown is how much of a name or value of a file is shown, in octets.
const maxShown = 200

// Show writes a file name, or what else comes out of the folder, for people: what does not print is
// written as \xHH, and what is too long is cut.
func Show(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); {
		if b.Len() >= maxShown {
			return b.String() + "..."
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		if unicode.IsPrint(r) && r != '\\' && (r != utf8.RuneError || n > 1) {
			b.WriteString(s[i : i+n])
		} else {
			for _, c := range []byte(s[i : i+n]) {
				fmt.Fprintf(&b, `\x%02X`, c)
			}
		}
		i += n
	}
	return b.String()
}
