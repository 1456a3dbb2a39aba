package message

import (
	"errors"
	"io"
	"sync"

	"github.com/mailroot/mailroot/internal/mail"
)

// Splice replaces Length octets at Offset of a stored message by Text. Offset counts in the
// stored message.
//
// Splices made from mail.Edits never make or remove a line that begins with a dot: an edit
// lies within a header field, after its name or after the blank of a continuation line, so it
// is never at the start of a line, and Text holds no line end. One that it takes away is within a
// domain, before the blank of a continuation line. Content.DotLines stays true.
type Splice struct {
	Offset int64
	Length int64
	Text   string
}

// Rewrites says what is done with the edits of a message on its way out. The zero value does
// nothing but to replace alias domains.
type Rewrites struct {
	// Complete is added to bare addresses, "" leaves them as they are.
	Complete string
	// Default takes the place of alias domains that are stamped.
	Default string
	// Masquerade takes the place of a domain in From: for which Local is true; "" of none. A
	// bare address that is completed is a local one.
	Masquerade string
	Local      func(domain string) bool
}

// maxSpec is the longest address that is masqueraded, in octets: local-part, "@" and domain of
// RFC 5321 §4.5.3.1, with room for what is longer and gets through all the same.
const maxSpec = 1024

// Splices appends to dst what is to be done to a message with these edits. Of the body only
// addresses in From: are read, and those only with Masquerade.
func (w *Rewrites) Splices(dst []Splice, edits []mail.Edit, body io.ReaderAt) ([]Splice, error) {
	end, masked := int64(-1), false // of the From: address seen last
	for _, e := range edits {
		off, n := int64(e.Offset), int64(e.Length)
		switch e.Kind {
		case mail.EditFromAddress:
			if w.Masquerade == "" || n > maxSpec {
				continue
			}
			spec := make([]byte, n)
			if m, err := body.ReadAt(spec, off); m < len(spec) {
				if err == nil || err == io.EOF {
					err = io.ErrUnexpectedEOF
				}
				return dst, err
			}
			end = off + n
			domain := domainOf(spec)
			name := string(domain)
			if spec[0] == '@' {
				domain, name = oddDomain(spec)
			}
			if masked = len(domain) < len(spec) && w.Local(name); masked {
				k := int64(len(domain))
				dst = append(dst, Splice{Offset: end - k, Length: k, Text: w.Masquerade})
			}
		case mail.EditBareDomain:
			if w.Complete == "" {
				continue
			}
			domain := w.Complete
			if off == end {
				domain = w.Masquerade
			}
			dst = append(dst, Splice{Offset: off, Length: n, Text: "@" + domain})
		case mail.EditAliasDomain:
			if w.Default != "" && (!masked || off+n != end) {
				dst = append(dst, Splice{Offset: off, Length: n, Text: w.Default})
			}
		}
	}
	return dst, nil
}

var errSplices = errors.New("message: splices overlap, are out of order or beyond the end")

// Spliced shows a stored message with splices applied. It holds none of the message: reads go
// through to the body. It is an io.ReaderAt and an io.WriterTo, safe for concurrent use as
// far as the body is.
type Spliced struct {
	body    io.ReaderAt
	size    int64 // of the result
	splices []Splice
	start   []int64 // where the text of each splice begins in the result
}

// NewSpliced returns the message body, size octets long, with splices applied. They must be
// in order of Offset and must not overlap. The slice is kept.
func NewSpliced(body io.ReaderAt, size int64, splices []Splice) (*Spliced, error) {
	s := &Spliced{body: body, size: size, splices: splices, start: make([]int64, len(splices))}
	end, shift := int64(0), int64(0)
	for i, p := range splices {
		if p.Offset < end || p.Length < 0 || p.Length > size-p.Offset {
			return nil, errSplices
		}
		end = p.Offset + p.Length
		s.start[i] = p.Offset + shift
		shift += int64(len(p.Text)) - p.Length
	}
	s.size += shift
	return s, nil
}

// Size returns the length of the result in octets.
func (s *Spliced) Size() int64 { return s.size }

// segment returns what stands at off in the result: either text, or n octets of the body at
// bodyOff.
func (s *Spliced) segment(off int64) (text string, bodyOff, n int64) {
	lo, hi := 0, len(s.splices) // find the last splice that starts at or before off
	for lo < hi {
		if mid := (lo + hi) / 2; s.start[mid] <= off {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	next := s.size
	if lo < len(s.splices) {
		next = s.start[lo]
	}
	if lo == 0 {
		return "", off, next - off
	}
	p := s.splices[lo-1]
	into := off - s.start[lo-1]
	if into < int64(len(p.Text)) {
		return p.Text[into:], 0, 0
	}
	return "", p.Offset + p.Length + into - int64(len(p.Text)), next - off
}

// ReadAt implements io.ReaderAt.
func (s *Spliced) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, errors.New("message: negative offset")
	}
	done := 0
	for done < len(p) {
		if off >= s.size {
			return done, io.EOF
		}
		text, bodyOff, n := s.segment(off)
		var m int
		if text != "" {
			m = copy(p[done:], text)
		} else {
			var err error
			m, err = s.body.ReadAt(p[done:done+int(min(n, int64(len(p)-done)))], bodyOff)
			if m == 0 && err != nil {
				if err == io.EOF {
					err = io.ErrUnexpectedEOF // the body is shorter than was said
				}
				return done, err
			}
		}
		done += m
		off += int64(m)
	}
	return done, nil
}

// slices are what WriteTo reads into.
const sliceSize = 64 << 10

var slices = sync.Pool{New: func() any { return new([sliceSize]byte) }}

// WriteTo implements io.WriterTo. It writes the result in slices of up to 64 KB; the splices
// share a slice with what stands around them.
func (s *Spliced) WriteTo(w io.Writer) (int64, error) {
	buf := slices.Get().(*[sliceSize]byte)
	defer slices.Put(buf)
	for off := int64(0); off < s.size; {
		n, err := s.ReadAt(buf[:min(sliceSize, s.size-off)], off)
		if err != nil {
			return off, err
		}
		m, err := w.Write(buf[:n])
		off += int64(m)
		if err != nil {
			return off, err
		}
	}
	return s.size, nil
}
