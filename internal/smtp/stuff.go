package smtp

import "bytes"

// Stuffer turns stored text into what goes over the wire after DATA: each line that begins
// with a dot gets a second one (RFC 5321 §4.5.2), and a CR or LF that stands alone becomes
// CRLF, so that no bare CR or LF ever leaves (bad input F3). Text that has neither passes
// unchanged. It is fed in pieces of any size. The zero value is ready for a new text.
type Stuffer struct {
	mid bool // the last octet was within a line
	cr  bool // the last octet was a CR that is not yet written
}

// Append appends the wire form of src to dst. That is at most 2*len(src)+1 octets.
func (s *Stuffer) Append(dst, src []byte) []byte {
	if s.cr && len(src) > 0 {
		s.cr, s.mid = false, false
		dst = append(dst, '\r', '\n')
		if src[0] == '\n' {
			src = src[1:]
		}
	}
	for len(src) > 0 {
		nl := bytes.IndexByte(src, '\n')
		if nl < 0 {
			return s.line(dst, src, false)
		}
		dst = append(s.line(dst, src[:nl], true), '\r', '\n')
		s.mid = false
		src = src[nl+1:]
	}
	return dst
}

// line appends what stands before an LF (ended), or before the end of what there is. Of a CR
// at the end of line nothing is written: it belongs to that LF, or waits for its fellow.
func (s *Stuffer) line(dst, line []byte, ended bool) []byte {
	for len(line) > 0 {
		if !s.mid && line[0] == '.' {
			dst = append(dst, '.')
		}
		cr := bytes.IndexByte(line, '\r')
		if cr < 0 {
			s.mid = true
			return append(dst, line...)
		}
		dst = append(dst, line[:cr]...)
		s.mid = s.mid || cr > 0
		if cr == len(line)-1 {
			s.cr = !ended
			return dst
		}
		dst = append(dst, '\r', '\n')
		s.mid = false
		line = line[cr+1:]
	}
	return dst
}

// AppendEnd appends the end of data: a CRLF if the text did not end with one, then the line
// that is a lone dot. The Stuffer is ready for a new text.
func (s *Stuffer) AppendEnd(dst []byte) []byte {
	if s.mid || s.cr {
		dst = append(dst, '\r', '\n')
	}
	*s = Stuffer{}
	return append(dst, '.', '\r', '\n')
}
