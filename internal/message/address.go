package message

import "bytes"

// addrSpan is an address in a header field: where its addr-spec stands, and whether the
// addr-spec is bare, a local-part alone.
type addrSpan struct {
	start, end int
	bare       bool
}

// addressList reads the address list of a header field (RFC 5322 §3.4, obsolete forms and
// everyday mistakes in mind) and tells where it is sure to see an address.
//
// In doubt it says nothing: a field that is not an address list at some point yields nothing
// at all; words without angle brackets are text; a single word before a comma may be the
// beginning of an unquoted name ("Smith, Bob <bob@example.com>") and counts only if the
// address after it cannot be the rest of that name.
type addressList struct {
	b       []byte
	pos     int
	out     []addrSpan
	pending []addrSpan // bare words that wait for what follows
}

// element is one address of the list while it is being read.
type element struct {
	words  int      // words and addr-specs outside of angle brackets
	quoted int      // those that are quoted strings
	only   addrSpan // the first of them, if it has the form of an addr-spec
	kind   specKind // its form
	angle  bool
	addr   addrSpan
	addrOK bool
}

type specKind uint8

const (
	specOther specKind = iota // not an addr-spec, or not surely
	specBare                  // a local-part without a domain
	specFull                  // local-part@domain
)

// parse returns the addresses in b, in order. The result is valid until the next call.
func (l *addressList) parse(b []byte) []addrSpan {
	l.b, l.pos = b, 0
	l.out, l.pending = l.out[:0], l.pending[:0]
	ok := l.list()
	l.b = nil
	if !ok {
		return nil
	}
	return l.out
}

func (l *addressList) list() bool {
	group := false
	var e element
	for {
		if !l.skipCFWS() {
			return false
		}
		if l.pos == len(l.b) {
			l.finish(&e)
			l.flush()
			return !group
		}
		switch c := l.b[l.pos]; {
		case c == ',':
			l.pos++
			l.finish(&e)
			e = element{}
		case c == ';':
			if !group {
				return false
			}
			l.pos++
			l.finish(&e)
			l.flush()
			e, group = element{}, false
		case c == ':':
			if group || e.words == 0 || e.angle {
				return false
			}
			l.pos++
			l.flush()
			e, group = element{}, true
		case c == '<':
			if e.angle || !l.angle(&e) {
				return false
			}
		default:
			if e.angle || !l.word(&e) {
				return false
			}
		}
	}
}

// finish takes the element that a separator or the end of the field has ended.
func (l *addressList) finish(e *element) {
	switch {
	case e.angle:
		if e.words > e.quoted {
			l.pending = l.pending[:0] // they may belong to this display name
		}
		l.flush()
		if e.addrOK {
			l.out = append(l.out, e.addr)
		}
	case e.words == 0:
	case e.words == 1 && e.kind == specBare && e.quoted == 0:
		l.pending = append(l.pending, e.only)
	case e.words == 1 && e.kind == specFull:
		l.flush()
		l.out = append(l.out, e.only)
	default:
		l.pending = l.pending[:0]
	}
}

func (l *addressList) flush() {
	l.out = append(l.out, l.pending...)
	l.pending = l.pending[:0]
}

// word reads one word of a display name, or an addr-spec without angle brackets.
func (l *addressList) word(e *element) bool {
	start := l.pos
	kind, end := l.spec(start)
	if end == start {
		return false
	}
	e.words++
	if l.b[start] == '"' && kind != specFull {
		e.quoted++
	}
	if e.words == 1 {
		e.only, e.kind = addrSpan{start, end, kind == specBare}, kind
	}
	l.pos = end
	return true
}

// angle reads "<addr-spec>". Anything else between the brackets is passed over.
func (l *addressList) angle(e *element) bool {
	e.angle = true
	l.pos++
	if !l.skipCFWS() {
		return false
	}
	start := l.pos
	kind, end := l.spec(start)
	l.pos = end
	if !l.skipCFWS() {
		return false
	}
	if l.pos < len(l.b) && l.b[l.pos] == '>' {
		l.pos++
		e.addrOK = kind != specOther
		e.addr = addrSpan{start, end, kind == specBare}
		return true
	}
	for l.pos < len(l.b) { // a source route, blanks in the address and so on
		switch l.b[l.pos] {
		case '>':
			l.pos++
			return true
		case '"':
			if l.pos = quotedEnd(l.b, l.pos); l.pos < 0 {
				return false
			}
		case '<':
			return false
		default:
			l.pos++
		}
	}
	return false
}

// spec reads local-part or local-part@domain without blanks or comments inside, as far as it
// goes. end is pos if nothing there can be part of a word.
func (l *addressList) spec(pos int) (kind specKind, end int) {
	local, sure := l.local(pos)
	if local == pos {
		return specOther, pos
	}
	if local == len(l.b) || l.b[local] != '@' {
		if sure && bareLocal(l.b[pos:local]) {
			return specBare, local
		}
		return specOther, local
	}
	end = local + 1
	if end < len(l.b) && l.b[end] == '[' {
		i := bytes.IndexAny(l.b[end:], "]\r\n")
		if i < 0 || l.b[end+i] != ']' {
			return specOther, local + 1
		}
		end += i + 1
	} else {
		domain := end
		for end < len(l.b) && (wordOctet(l.b[end]) || l.b[end] == '.') {
			end++
		}
		sure = sure && dotAtom(l.b[domain:end])
	}
	if !sure || end < len(l.b) && l.b[end] == '@' {
		return specOther, end
	}
	return specFull, end
}

// local returns the end of the word or local-part at pos, and whether it has the form of a
// local-part.
func (l *addressList) local(pos int) (end int, sure bool) {
	if pos < len(l.b) && l.b[pos] == '"' {
		if end = quotedEnd(l.b, pos); end < 0 {
			return pos, false
		}
		return end, true
	}
	end = pos
	for end < len(l.b) && (wordOctet(l.b[end]) || l.b[end] == '.') {
		end++
	}
	if end == pos && end < len(l.b) && l.b[end] == '@' {
		return pos + 1, false // "@here" in a display name
	}
	return end, dotAtom(l.b[pos:end])
}

// quotedEnd returns the end of the quoted string at pos, or -1 if it is not closed.
func quotedEnd(b []byte, pos int) int {
	for i := pos + 1; i < len(b); i++ {
		switch b[i] {
		case '"':
			return i + 1
		case '\\':
			i++
		}
	}
	return -1
}

// skipCFWS passes blanks, line ends and comments. It reports false for a comment that is not
// closed.
func (l *addressList) skipCFWS() bool {
	depth := 0
	for ; l.pos < len(l.b); l.pos++ {
		switch c := l.b[l.pos]; {
		case c == '(':
			depth++
		case depth == 0:
			if c != ' ' && c != '\t' && c != '\r' && c != '\n' {
				return true
			}
		case c == ')':
			depth--
		case c == '\\':
			l.pos++
		}
	}
	l.pos = len(l.b)
	return depth == 0
}

// wordOctet reports an octet that can stand in an atom: atext of RFC 5322 §3.2.3 or part of a
// UTF-8 character (RFC 6532 §3.2).
func wordOctet(c byte) bool {
	switch c {
	case '(', ')', '<', '>', '[', ']', ':', ';', '@', '\\', ',', '.', '"', 0x7f:
		return false
	}
	return c > ' '
}

// dotAtom reports whether b is words joined by single dots.
func dotAtom(b []byte) bool {
	return len(b) > 0 && b[0] != '.' && b[len(b)-1] != '.' && !bytes.Contains(b, []byte(".."))
}

// bareLocal reports whether b, a local-part by its form, is surely one: no encoded-word (RFC
// 2047), no route in the style of UUCP or "%", nothing but ASCII.
func bareLocal(b []byte) bool {
	return isASCII(b) && !bytes.Contains(b, []byte("=?")) && !bytes.Contains(b, []byte("?=")) &&
		bytes.IndexByte(b, '!') < 0 && bytes.IndexByte(b, '%') < 0
}
