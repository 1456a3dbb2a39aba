package pickup

import (
	"bytes"
	"strings"

	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/smtp"
)

// parseList reads the addresses of a field (RFC 5322 §3.4 and §4.4): with or without names, encoded
// words, comments, groups and routes; ";" separates like ",". A local-part alone is an address, which
// the default domain completes. null allows "<>".
//
// It does not guess: with one element that is not understood all of the field is not.
func parseList(b []byte, null bool) ([]mail.Address, error) {
	l := list{b: b, null: null}
	for l.pos < len(b) {
		if err := l.element(); err != nil {
			return nil, err
		}
	}
	return l.out, nil
}

// list is a field that is being read.
type list struct {
	b     []byte
	pos   int
	null  bool
	out   []mail.Address
	group bool
	// word says that the element before, without brackets, was a single word, which may be the
	// beginning of a name with a comma: Smith, Bob <bob@example.com>
	word bool
}

// element reads up to and with the next separator.
func (l *list) element() error {
	end, err := l.find(l.pos, ",;:<")
	if err != nil {
		return err
	}
	text := l.b[l.pos:end]
	sep := byte(',')
	if end < len(l.b) {
		sep = l.b[end]
	}
	if sep == '<' {
		return l.angle(text, end)
	}
	l.pos = min(end+1, len(l.b))
	if sep == ':' { // the name of a group
		if l.group || len(bytes.TrimSpace(text)) == 0 {
			return addressError(text, errNoAddress)
		}
		// An address here is rather one whose line was folded into the next field, and would be lost.
		if at, err := (&list{b: text}).find(0, "@"); err != nil || at < len(text) {
			return addressError(l.b[l.pos-len(text)-1:l.pos], errGroupAddress)
		}
		l.group, l.word = true, false
		return nil
	}
	if sep == ';' {
		l.group = false
	}
	spec, err := compact(text)
	if err != nil {
		return err
	}
	l.word = false
	if spec == "" { // nothing between two commas
		return nil
	}
	l.word = sep == ',' && spec[0] != '"' && !strings.Contains(spec, "@")
	return l.add(spec, text)
}

// angle reads "<address>" with the name before it, and the separator behind it.
func (l *list) angle(name []byte, open int) error {
	if l.word && plainWords(name) {
		return addressError(l.b[:open], errAmbiguous)
	}
	l.word = false
	end, err := l.find(open+1, ">")
	if err != nil {
		return err
	}
	if end == len(l.b) {
		return addressError(l.b[open:], errUnclosed)
	}
	inner := l.b[open+1 : end]
	sep, err := l.find(end+1, ",;")
	if err != nil {
		return err
	}
	if rest, err := compact(l.b[end+1 : sep]); err != nil || rest != "" {
		return addressError(l.b[l.pos:sep], errNoAddress)
	}
	if sep < len(l.b) && l.b[sep] == ';' {
		l.group = false
	}
	l.pos = min(sep+1, len(l.b))
	if trimmed := bytes.TrimSpace(inner); len(trimmed) > 0 && trimmed[0] == '@' { // a route, to be ignored
		colon, err := (&list{b: trimmed}).find(0, ":")
		if err != nil || colon == len(trimmed) {
			return addressError(inner, errNoAddress)
		}
		inner = trimmed[colon+1:]
	}
	spec, err := compact(inner)
	if err != nil {
		return err
	}
	if spec == "" {
		if !l.null {
			return errNull
		}
		l.out = append(l.out, mail.Address{})
		return nil
	}
	return l.add(spec, inner)
}

// add adds an address, which must be one as SMTP has it.
func (l *list) add(spec string, text []byte) error {
	a, err := smtp.ParseAddress(spec)
	if err != nil || a.IsBare() && strings.Contains(spec, "=?") { // an encoded word is a name
		return addressError(text, errNoAddress)
	}
	l.out = append(l.out, a)
	return nil
}

// find returns the index of the first octet of set from pos on, outside of quoted strings, comments,
// encoded words and address literals; len(b) if there is none.
func (l *list) find(pos int, set string) (int, error) {
	for pos < len(l.b) {
		c := l.b[pos]
		switch {
		case c == '"':
			n, err := skipQuoted(l.b[pos:])
			if err != nil {
				return 0, err
			}
			pos += n
		case c == '(':
			n, err := skipComment(l.b[pos:])
			if err != nil {
				return 0, err
			}
			pos += n
		case c == '[':
			// One that is not closed is a bracket in a name.
			pos += max(1, bytes.IndexByte(l.b[pos:min(len(l.b), pos+64)], ']')+1)
		case c == '=' && encodedWord(l.b[pos:]) > 0:
			pos += encodedWord(l.b[pos:])
		case strings.IndexByte(set, c) >= 0:
			return pos, nil
		default:
			pos++
		}
	}
	return len(l.b), nil
}

// encodedWord returns the length of the encoded word (RFC 2047 §2) that b begins with, 0 if it begins with none.
// Some writers leave commas in it.
func encodedWord(b []byte) int {
	const longest = 256 // theirs; the RFC has 75
	b = b[:min(len(b), longest)]
	if !bytes.HasPrefix(b, []byte("=?")) {
		return 0
	}
	pos := 2
	for range 2 { // charset, encoding
		n := bytes.IndexByte(b[pos:], '?')
		if n <= 0 || bytes.ContainsAny(b[pos:pos+n], " \t\r\n,;:<>@\"") {
			return 0
		}
		pos += n + 1
	}
	n := bytes.Index(b[pos:], []byte("?="))
	if n < 0 || bytes.ContainsAny(b[pos:pos+n], "? \t\r\n") {
		return 0
	}
	return pos + n + 2
}

// skipQuoted returns the length of the quoted string that b begins with.
func skipQuoted(b []byte) (int, error) {
	for i := 1; i < len(b); i++ {
		switch b[i] {
		case '"':
			return i + 1, nil
		case '\\':
			i++
		}
	}
	return 0, addressError(b, errUnclosed)
}

// skipComment returns the length of the comment that b begins with; comments may hold comments.
func skipComment(b []byte) (int, error) {
	depth := 0
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				return i + 1, nil
			}
		case '\\':
			i++
		}
	}
	return 0, addressError(b, errUnclosed)
}

// compact returns an address without the blanks, line ends and comments that may stand between its
// parts (RFC 5322 §4.4), "" if there is nothing else. Two words with nothing between them are no address.
func compact(text []byte) (string, error) {
	var b strings.Builder
	gap := false // behind a word, and something that is to be left out
	for i := 0; i < len(text); {
		c := text[i]
		n := 1
		switch {
		case c == ' ' || c == '\t' || c == '\r' || c == '\n':
			gap = true
			i++
			continue
		case c == '(':
			n, err := skipComment(text[i:])
			if err != nil {
				return "", err
			}
			gap = true
			i += n
			continue
		case c == '"':
			var err error
			if n, err = skipQuoted(text[i:]); err != nil {
				return "", err
			}
		case c == '[':
			if n = bytes.IndexByte(text[i:], ']') + 1; n == 0 {
				return "", addressError(text, errUnclosed)
			}
		}
		if s := b.String(); gap && s != "" && !joins(s[len(s)-1]) && !joins(c) {
			return "", addressError(text, errNoAddress)
		}
		gap = false
		b.Write(unfold(text[i : i+n]))
		i += n
	}
	return b.String(), nil
}

// joins reports an octet that has words of one address on both sides.
func joins(c byte) bool { return c == '.' || c == '@' }

// unfold takes line ends out of a quoted string.
func unfold(b []byte) []byte {
	return bytes.ReplaceAll(b, crlf, nil)
}

// plainWords reports whether a name has words that are not in quotation marks.
func plainWords(name []byte) bool {
	for i := 0; i < len(name); i++ {
		switch c := name[i]; c {
		case ' ', '\t', '\r', '\n':
		case '"', '(':
			skip := skipQuoted
			if c == '(' {
				skip = skipComment
			}
			n, err := skip(name[i:])
			if err != nil {
				return true
			}
			i += n - 1
		default:
			return true
		}
	}
	return false
}
