package message

import "strings"

// fromList finds addresses with a domain in a From field that addressList makes nothing of, or not all:
// where masquerading is wanted, a domain that stays tells what was to be hidden. It takes
//
//   - what stands in angle brackets if it is an address, whatever stands before them: with blanks, line
//     ends and comments between its parts and with a source route (RFC 5322 §4.4) too;
//   - what stands at the end of an element without angle brackets and is an address.
//
// A comment or quoted string that is closed is text. An element that it cannot read costs no other one.
// It passes over b once, but for what a comment or string that is not closed costs, once for each.
type fromList struct {
	b      []byte
	noText [2]bool // a quoted string, a comment was not closed: the marks are octets like others
	out    []addrSpan
}

// The marks of text, as indexes of noText.
const (
	quotes = iota
	parens
)

// parse returns of each address what stands from its last "@" to the end of its domain, without a final
// dot. The result is valid until the next call.
func (l *fromList) parse(b []byte) []addrSpan {
	l.b, l.noText, l.out = b, [2]bool{}, l.out[:0]
	for pos := 0; pos < len(b); {
		next := l.skip(pos)
		if next == pos {
			next = l.element(pos)
		}
		pos = max(next, pos+1)
	}
	l.b = nil
	return l.out
}

// element tries for an address at pos. It returns how far what stands there cannot be the beginning of
// another one.
func (l *fromList) element(pos int) int {
	switch c := l.b[pos]; {
	case c == '<':
		a, end := l.spec(l.route(l.skip(pos + 1)))
		if a.end > 0 && end < len(l.b) && l.b[end] == '>' {
			l.out = append(l.out, a)
			return end + 1
		}
		return end
	case (wordOctet(c) || c == '"') && l.begins(pos):
		a, end := l.spec(pos)
		if a.end > 0 && (end == len(l.b) || l.b[end] == ',' || l.b[end] == ';') {
			l.out = append(l.out, a)
		}
		return end
	case c == '"':
		return l.quoted(pos)
	}
	return pos
}

// begins reports whether a word at pos can be the first of an address: it is not glued to others.
func (l *fromList) begins(pos int) bool {
	return pos == 0 || strings.IndexByte(" \t\r\n,;:)\"", l.b[pos-1]) >= 0
}

// route passes a source route, "@one,@two:".
func (l *fromList) route(pos int) int {
	start := pos
	for pos < len(l.b) && l.b[pos] == '@' {
		pos = l.skip(l.domain(l.skip(pos + 1)).past)
		for pos < len(l.b) && l.b[pos] == ',' {
			pos = l.skip(pos + 1)
		}
	}
	if pos > start && pos < len(l.b) && l.b[pos] == ':' {
		return l.skip(pos + 1)
	}
	return start // where no address begins, unless there is no route at all
}

// spec reads local-part@domain with what may stand after it, and returns how far it came. a.end is 0 if
// it is no address, or one without a name of a domain.
func (l *fromList) spec(pos int) (a addrSpan, end int) {
	local := l.words(pos)
	if local.end == 0 || local.past >= len(l.b) || l.b[local.past] != '@' {
		return a, max(local.past, pos)
	}
	at := local.past
	if at+1 < len(l.b) && l.b[at+1] == '@' {
		return a, at + 2
	}
	domain := l.domain(l.skip(at + 1))
	end = domain.past
	if domain.end == 0 || end < len(l.b) && l.b[end] == '@' {
		return a, end
	}
	return addrSpan{start: at, end: domain.end}, end
}

// run is words joined by dots: end is after the last word, 0 if there is none, past where something
// else begins.
type run struct{ end, past int }

// words reads a local-part. Dots may stand anywhere in it: such addresses exist.
func (l *fromList) words(pos int) run {
	return l.joined(pos, func(pos int) int {
		if l.b[pos] == '"' {
			return l.quoted(pos)
		}
		return l.atom(pos)
	})
}

// domain reads the name of a domain. An address literal is none.
func (l *fromList) domain(pos int) run { return l.joined(pos, l.atom) }

// joined reads words with dots between them. Blanks and comments may stand beside a dot only.
func (l *fromList) joined(pos int, word func(int) int) run {
	r := run{past: pos}
	dot := true
	for r.past < len(l.b) {
		if l.b[r.past] == '.' {
			dot = true
			r.past = l.skip(r.past + 1)
			continue
		}
		end := word(r.past)
		if end == r.past || !dot && r.past > r.end {
			break
		}
		r.end, dot = end, false
		r.past = l.skip(end)
	}
	return r
}

func (l *fromList) atom(pos int) int {
	for pos < len(l.b) && wordOctet(l.b[pos]) {
		pos++
	}
	return pos
}

// quoted returns the end of a quoted string, pos if it is not closed.
func (l *fromList) quoted(pos int) int {
	if l.noText[quotes] {
		return pos
	}
	end := quotedEnd(l.b, pos)
	if end < 0 {
		l.noText[quotes] = true
		return pos
	}
	return end
}

// skip passes blanks, line ends and comments, as far as those are closed.
func (l *fromList) skip(pos int) int {
	for pos < len(l.b) {
		switch l.b[pos] {
		case ' ', '\t', '\r', '\n':
			pos++
		case '(':
			if l.noText[parens] {
				return pos
			}
			end := commentEnd(l.b, pos)
			if end < 0 {
				l.noText[parens] = true
				return pos
			}
			pos = end
		default:
			return pos
		}
	}
	return pos
}

// oddDomain returns of an address, as parse tells it, the domain as it stands there and the name that it is.
func oddDomain(spec []byte) (domain []byte, name string) {
	l := fromList{b: spec}
	start := l.skip(1)
	var parts []byte
	for pos := start; pos < len(spec); {
		end := pos + 1
		if spec[pos] != '.' {
			end = max(l.atom(pos), end)
		}
		parts = append(parts, spec[pos:end]...)
		pos = l.skip(end)
	}
	return spec[start:], string(parts)
}

// commentEnd returns the end of the comment at pos, or -1 if it is not closed.
func commentEnd(b []byte, pos int) int {
	depth := 0
	for ; pos < len(b); pos++ {
		switch b[pos] {
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				return pos + 1
			}
		case '\\':
			pos++
		}
	}
	return -1
}
