package message

import (
	"bytes"
	"unicode/utf8"

	"github.com/mailroot/mailroot/internal/mail"
)

// fields reads the header fields in h, the header with or without its empty line. A line
// without a colon, or a continuation without a field, is no field and is passed over.
func (s *Scanner) fields(h []byte) {
	for pos := 0; pos < len(h); {
		end, whole := fieldEnd(h, pos)
		if c := h[pos]; c != ' ' && c != '\t' {
			s.field(h, pos, end, whole || !s.cut)
		}
		pos = end
	}
}

// fieldEnd returns the end of the field that begins at pos, continuation lines included, and
// whether the end is certain: at the end of h more might have followed.
func fieldEnd(h []byte, pos int) (end int, whole bool) {
	for pos < len(h) {
		i := bytes.IndexByte(h[pos:], '\n')
		if i < 0 {
			return len(h), false
		}
		pos += i + 1
		if pos < len(h) && h[pos] != ' ' && h[pos] != '\t' {
			return pos, true
		}
	}
	return len(h), false
}

// field takes note of the field h[pos:end]. Addresses are only read in a whole field.
func (s *Scanner) field(h []byte, pos, end int, whole bool) {
	line := h[pos:end]
	colon := bytes.IndexByte(line, ':')
	if colon <= 0 {
		return
	}
	name := line[:colon]
	for n := len(name); n > 0 && (name[n-1] == ' ' || name[n-1] == '\t'); n-- {
		name = name[:n-1] // "Subject : x", obsolete but seen (RFC 5322 §4.5)
	}
	body := line[colon+1:]
	at := pos + colon + 1
	switch len(name) {
	case 2:
		if whole && (fold(name, "to") || fold(name, "cc")) {
			s.addresses(body, at, false)
		}
	case 4:
		if fold(name, "from") {
			if whole {
				s.addresses(body, at, true)
			}
		} else if fold(name, "date") {
			s.date = true
		}
	case 6:
		if whole && fold(name, "sender") {
			s.addresses(body, at, false)
		}
	case 7:
		if fold(name, "subject") && len(s.subject) == 0 {
			s.subject = appendUnfolded(s.subject, body, maxSubject)
		}
	case 8:
		if fold(name, "received") {
			s.hops++
		} else if whole && fold(name, "reply-to") {
			s.addresses(body, at, false)
		}
	case 10:
		if fold(name, "message-id") && !s.hasID {
			s.hasID = true
			s.messageID(body)
		}
	}
}

// messageID keeps the msg-id in body: what stands in angle brackets, else all of it.
func (s *Scanner) messageID(body []byte) {
	if i := bytes.IndexByte(body, '<'); i >= 0 {
		if j := bytes.IndexByte(body[i:], '>'); j > 0 {
			body = body[i : i+j+1]
		}
	}
	s.id = appendUnfolded(s.id, body, maxMessageID)
}

// addresses records the edits for the address list in body, which begins at offset at: for all of it, or
// for nothing when they are too many.
func (s *Scanner) addresses(body []byte, at int, from bool) {
	before, count := len(s.edits), &s.others
	if from {
		count = &s.froms
		s.from(body, at)
	} else {
		for _, a := range s.list.parse(body) {
			s.address(body, at, a)
		}
	}
	*count += len(s.edits) - before
	if *count > MaxEdits {
		*count -= len(s.edits) - before
		s.edits = s.edits[:before]
	}
}

// from records the edits for a From field.
func (s *Scanner) from(body []byte, at int) {
	edit := func(a addrSpan) {
		s.edits = append(s.edits, mail.Edit{Offset: uint32(at + a.start), Length: uint32(a.end - a.start), Kind: mail.EditFromAddress})
	}
	odd := s.odd.parse(body)
	for _, a := range s.list.parse(body) {
		for len(odd) > 0 && odd[0].start < a.end {
			if odd[0].end <= a.start {
				edit(odd[0])
			}
			odd = odd[1:] // else it is the same address
		}
		edit(a)
		s.address(body, at, a)
	}
	for _, a := range odd {
		edit(a)
	}
}

// address records the edits that an address needs in any field.
func (s *Scanner) address(body []byte, at int, a addrSpan) {
	end := uint32(at + a.end)
	if a.bare {
		s.edits = append(s.edits, mail.Edit{Offset: end, Kind: mail.EditBareDomain})
		return
	}
	if s.stamp == nil {
		return
	}
	if domain := domainOf(body[a.start:a.end]); s.stamp(string(domain)) {
		n := uint32(len(domain))
		s.edits = append(s.edits, mail.Edit{Offset: end - n, Length: n, Kind: mail.EditAliasDomain})
	}
}

// domainOf returns what follows the last "@" of an addr-spec; no domain has one.
func domainOf(spec []byte) []byte { return spec[bytes.LastIndexByte(spec, '@')+1:] }

// fold reports whether name is lower in any ASCII case. lower is in lower case, of the same
// length.
func fold(name []byte, lower string) bool {
	for i, c := range name {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

// appendUnfolded appends the text of a field body: surrounding blanks and line ends removed,
// at most limit octets, no character cut in two.
func appendUnfolded(dst, body []byte, limit int) []byte {
	start := len(dst)
	body = bytes.Trim(body, " \t\r\n")
	for len(body) > 0 && len(dst)-start < limit {
		i := bytes.IndexAny(body, "\r\n")
		if i < 0 {
			i = len(body)
		}
		dst = append(dst, body[:min(i, limit-(len(dst)-start))]...)
		for i < len(body) && (body[i] == '\r' || body[i] == '\n') {
			i++
		}
		body = body[i:]
	}
	// A cut at the limit may have left the first octets of a character behind.
	for n := 1; n < utf8.UTFMax && len(dst)-start == limit && len(dst)-n >= start; n++ {
		c := dst[len(dst)-n]
		if utf8.RuneStart(c) {
			if c >= utf8.RuneSelf && !utf8.FullRune(dst[len(dst)-n:]) {
				dst = dst[:len(dst)-n]
			}
			break
		}
	}
	return dst
}
