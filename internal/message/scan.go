package message

import (
	"bytes"
	"encoding/binary"

	"github.com/mailroot/mailroot/internal/mail"
)

const (
	// MaxHeader is how much of a message is searched for the end of its header, in octets.
	// What lies beyond counts as body.
	MaxHeader = 256 << 10
	// MaxEdits is the greatest number of edits recorded for the From fields of one message, and for
	// its other fields together. A field that would exceed it stays as it is.
	MaxEdits = 1024

	maxSubject   = 256
	maxMessageID = 512
)

// Scanner learns what mail.Content says of a message while the octets of the message pass by.
// The result is the same however the octets are divided over the calls. The zero Scanner is
// ready for use; Reset makes it ready again and keeps its memory.
//
// A caller that wants to put something between receiving and storing the header calls Header
// until it reports the end, then Body for the rest, then End. Others call Write and End.
type Scanner struct {
	binary bool
	done   bool // the header has ended
	cut    bool // it was longer than MaxHeader
	body   bool // there is none: see AllBody
	lead   uint8

	buf  []byte // header octets of earlier calls
	head []byte // the whole header once done; in the caller's memory if one call had it all

	size      int64
	headerLen int64
	last      [2]byte // the last two octets

	hops    int
	date    bool
	hasID   bool
	id      []byte
	subject []byte
	both    []byte
	edits   []mail.Edit
	froms   int // edits for From fields
	others  int
	list    addressList
	odd     fromList
	stamp   func(domain string) bool

	dotLines      int64
	eightBit      bool
	utf8          bool
	cr, lf, crlfs int64
}

// What the header line that is still open holds so far.
const (
	leadNothing uint8 = iota
	leadCR
	leadText
)

// Reset makes s ready for another message. binary says that the message was declared
// BODY=BINARYMIME, so that bare CR and LF are looked for.
func (s *Scanner) Reset(binary bool) {
	*s = Scanner{
		binary:  binary,
		buf:     s.buf[:0],
		id:      s.id[:0],
		subject: s.subject[:0],
		both:    s.both[:0],
		edits:   s.edits[:0],
		list:    s.list,
		odd:     s.odd,
	}
}

// Stamp has the addresses whose domain is stamped recorded, until Reset.
func (s *Scanner) Stamp(stamped func(domain string) bool) { s.stamp = stamped }

// Header takes the next octets as long as the header has not ended. It returns how many of
// them belong to the header and whether the header is now complete: then Head returns it, and
// p[n:] is for Body. Without the end in sight it takes all of p and keeps a copy.
func (s *Scanner) Header(p []byte) (n int, done bool) {
	if s.done {
		return 0, true
	}
	if len(s.buf) == 0 && len(p) > 0 && (p[0] == ' ' || p[0] == '\t') {
		s.body = true
		s.endHeader()
		return 0, true
	}
	room := MaxHeader - len(s.buf)
	window := p[:min(len(p), room)]
	if n = s.findEnd(window); n == 0 {
		if len(window) < room {
			s.buf = append(s.buf, p...)
			return len(p), false
		}
		n, s.cut = room, true
	}
	if len(s.buf) == 0 {
		s.head = p[:n]
	} else {
		s.buf = append(s.buf, p[:n]...)
		s.head = s.buf
	}
	s.endHeader()
	return n, true
}

// Head returns the header with its empty line, after Header or End has completed it. It is
// valid until the caller changes what it gave to Header, or Reset.
func (s *Scanner) Head() []byte { return s.head }

// Body takes the next octets after the header.
func (s *Scanner) Body(p []byte) {
	if !s.eightBit {
		s.eightBit = !isASCII(p)
	}
	s.pass(p)
}

// Write takes the next octets of the message, header or not. It never fails.
func (s *Scanner) Write(p []byte) (int, error) {
	n, done := s.Header(p)
	if done && n < len(p) {
		s.Body(p[n:])
	}
	return len(p), nil
}

// End tells that the message is complete. A message that ended within its header is all header.
func (s *Scanner) End() {
	if !s.done {
		s.head = s.buf
		s.endHeader()
	}
}

// HasDate reports whether the header has a Date field; valid once the header is complete.
func (s *Scanner) HasDate() bool { return s.date }

// HasMessageID reports whether the header has a Message-ID field, however malformed.
func (s *Scanner) HasMessageID() bool { return s.hasID }

// AllBody reports whether the message begins with a blank or tab, and so without a header: whatever is
// put before it would go on in its first line, were it not kept apart by an empty line. Valid once
// Header has reported the end, or after End.
func (s *Scanner) AllBody() bool { return s.body }

// Hops returns the number of Received fields seen.
func (s *Scanner) Hops() int { return s.hops }

// Kept returns how much header memory the scanner holds, in octets.
func (s *Scanner) Kept() int { return cap(s.buf) }

// Missing returns what the message lacks to end in CRLF: "", "\n" or "\r\n". An empty message
// lacks nothing.
func (s *Scanner) Missing() string {
	switch {
	case s.size == 0, s.last == [2]byte{'\r', '\n'}:
		return ""
	case s.last[1] == '\r':
		return "\n"
	}
	return "\r\n"
}

// Content returns what was learned. shift is the number of octets stored before the
// message, tail the number stored after what the scanner saw. Edits are copied; OwnID and a
// Message-ID of ours are for the caller to set.
func (s *Scanner) Content(shift, tail int64) mail.Content {
	c := mail.Content{
		Size:     shift + s.size + tail,
		DotLines: s.dotLines,
		EightBit: s.eightBit,
		UTF8:     s.utf8,
		Bare:     s.binary && (s.cr != s.crlfs || s.lf != s.crlfs),
		Hops:     s.hops,
	}
	if !s.cut {
		c.HeaderLen = shift + s.headerLen
		if s.size == s.headerLen {
			c.HeaderLen += tail // the message ended in its header
		}
	}
	s.both = append(append(s.both[:0], s.id...), s.subject...)
	both := string(s.both) // one allocation for two strings
	c.MessageID, c.Subject = both[:len(s.id)], both[len(s.id):]
	if len(s.edits) > 0 {
		c.Edits = make([]mail.Edit, len(s.edits))
		for i, e := range s.edits {
			e.Offset += uint32(shift)
			c.Edits[i] = e
		}
	}
	return c
}

// findEnd returns how many octets of p belong to the header up to and with its empty line, or
// 0 if the empty line is not in p. Lines end with LF, a CR before it is not content.
func (s *Scanner) findEnd(p []byte) int {
	for off := 0; ; {
		i := bytes.IndexByte(p[off:], '\n')
		if i < 0 {
			if rest := p[off:]; len(rest) > 0 {
				if s.lead == leadNothing && len(rest) == 1 && rest[0] == '\r' {
					s.lead = leadCR
				} else {
					s.lead = leadText
				}
			}
			return 0
		}
		empty := s.lead == leadNothing && (i == 0 || i == 1 && p[off] == '\r') || s.lead == leadCR && i == 0
		off += i + 1
		s.lead = leadNothing
		if empty {
			return off
		}
	}
}

func (s *Scanner) endHeader() {
	s.done = true
	s.headerLen = int64(len(s.head))
	s.utf8 = !isASCII(s.head)
	s.fields(s.head)
	s.pass(s.head)
}

var (
	crlf  = []byte("\r\n")
	lfDot = []byte("\n.")
)

// highBits has the top bit of each of eight octets.
const highBits = 0x8080808080808080

// pass counts what is counted alike in header and body. p follows what was passed before.
func (s *Scanner) pass(p []byte) {
	if len(p) == 0 {
		return
	}
	before := s.last[1]
	if s.size == 0 {
		before = '\n'
	}
	if p[0] == '.' && before == '\n' {
		s.dotLines++
	}
	s.dotLines += dotLines(p)
	if s.binary {
		s.cr += int64(bytes.Count(p, crlf[:1]))
		s.lf += int64(bytes.Count(p, crlf[1:]))
		s.crlfs += int64(bytes.Count(p, crlf))
		if p[0] == '\n' && before == '\r' {
			s.crlfs++
		}
	}
	s.size += int64(len(p))
	if n := len(p); n > 1 {
		s.last = [2]byte{p[n-2], p[n-1]}
	} else {
		s.last = [2]byte{s.last[1], p[0]}
	}
}

// dotLines counts the dots that follow an LF. Encoded bodies have none at all, and counting one octet is
// many times faster than counting two.
func dotLines(p []byte) int64 {
	if bytes.IndexByte(p, '.') < 0 {
		return 0
	}
	return int64(bytes.Count(p, lfDot))
}

// isASCII reports whether no octet of p is above 127.
func isASCII(p []byte) bool {
	for len(p) >= 32 {
		if (binary.LittleEndian.Uint64(p)|binary.LittleEndian.Uint64(p[8:])|
			binary.LittleEndian.Uint64(p[16:])|binary.LittleEndian.Uint64(p[24:]))&highBits != 0 {
			return false
		}
		p = p[32:]
	}
	for _, c := range p {
		if c >= 0x80 {
			return false
		}
	}
	return true
}
