package message

import (
	"io"
	"mime"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/transform"
)

// maxDecoded is the longest text that DecodeWords looks at: its work grows with the square of the length
// at worst.
const maxDecoded = 4 << 10

// DecodeWords returns the text of a header field, such as a subject, as people read it: encoded-words
// (RFC 2047) decoded, and octets that are no UTF-8 taken for Windows-1252, which is what old clients send. A
// text of more than 4 KB, or with a word in an unknown character set, keeps its encoded-words. The result
// is valid UTF-8, at most four times as long, and may hold any character, line ends too.
func DecodeWords(s string) string {
	if len(s) <= maxDecoded && strings.Contains(s, "=?") {
		d := mime.WordDecoder{CharsetReader: charset}
		if t, err := d.DecodeHeader(s); err == nil {
			s = t
		}
	}
	if utf8.ValidString(s) {
		return s
	}
	b := make([]byte, 0, len(s)+len(s)/2)
	for i, r := range s { // a wrong octet comes as RuneError, one at a time
		if r == utf8.RuneError && !strings.HasPrefix(s[i:], "\uFFFD") {
			r = charmap.Windows1252.DecodeByte(s[i])
		}
		b = utf8.AppendRune(b, r)
	}
	return string(b)
}

// charset decodes the character sets that mime does not know.
func charset(name string, r io.Reader) (io.Reader, error) {
	e, err := htmlindex.Get(name)
	if err != nil {
		return nil, err
	}
	return transform.NewReader(r, e.NewDecoder()), nil
}
