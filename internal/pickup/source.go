package pickup

import (
	"bytes"
	"context"
	"errors"
	"io"

	"github.com/mailroot/mailroot/internal/smtp"
)

// source reads a file as the text of a message: without a byte order mark, with CRLF line ends
// whatever they were, with the dots of SMTP taken away.
type source struct {
	scan smtp.DataScanner
	sink *assembler
	err  error // of the sink
	ends ends
}

// ends is what the first line end of a file tells of the others.
type ends uint8

const (
	endsUnknown ends = iota
	endsLF           // with or without a CR
	endsCR           // alone, as old Macs had it: there, two of them are an empty line
)

const (
	// tailSize is how much of the end of a file is looked at for a lone dot: CR LF dot CR LF.
	tailSize = 5
	// probe is how much of the beginning is looked at for UTF-16.
	probe = 64
)

// read passes the text of f, which is size octets long, to the sink. Errors are *unusable, *fileError
// or those of the sink.
func (s *source) read(ctx context.Context, f io.ReaderAt, size int64, stuffed bool, buf []byte, sink *assembler) error {
	s.sink, s.err, s.ends = sink, nil, endsUnknown
	s.scan.Write = s.pass
	s.scan.Reset(!stuffed)
	if size == 0 {
		return unusablef("The file is empty.")
	}
	if err := sink.fits(size); err != nil {
		return err
	}
	end := size
	if stuffed {
		n, err := loneDot(f, size)
		if err != nil {
			return err
		}
		end -= n
	}
	for off := int64(0); off < end; {
		if err := ctx.Err(); err != nil {
			return err
		}
		b := buf[:min(int64(len(buf)), end-off)]
		if err := readFull(f, b, off); err != nil {
			return err
		}
		text := b
		if off == 0 {
			var err error
			if text, err = begin(b); err != nil {
				return err
			}
		}
		off += int64(len(b))
		if err := s.mendCR(f, text, off, end); err != nil {
			return err
		}
		if err := s.feed(text); err != nil {
			return err
		}
	}
	s.scan.Finish()
	if s.err != nil {
		return s.err
	}
	return sink.end()
}

// readFull fills b. That the file ends before is trouble: it was longer when it was looked at.
func readFull(f io.ReaderAt, b []byte, off int64) error {
	n, err := f.ReadAt(b, off)
	if n == len(b) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		err = errors.New("it was cut while it was read")
	}
	return &fileError{err}
}

// mendCR makes the lone CRs in b, which ends at off, LFs if the first line of the file ended in one. (The
// scanner takes a run of them for one line end.)
func (s *source) mendCR(f io.ReaderAt, b []byte, off, end int64) error {
	after := []byte{0} // what follows b, if it ends in CR
	if off < end && bytes.HasSuffix(b, crlf[:1]) {
		if err := readFull(f, after, off); err != nil {
			return err
		}
	}
	for i := 0; s.ends != endsLF; i++ {
		n := bytes.IndexAny(b[i:], "\r\n")
		if n < 0 {
			return nil
		}
		i += n
		next := after[0]
		if i+1 < len(b) {
			next = b[i+1]
		}
		switch {
		case b[i] == '\r' && next != '\n':
			s.ends = endsCR
			b[i] = '\n'
		case s.ends == endsUnknown:
			s.ends = endsLF
		}
	}
	return nil
}

// feed passes one piece to the scanner. A lone dot in the middle does not end the file as it ends the
// data of SMTP, for what follows would be lost: it is read as an empty line.
func (s *source) feed(b []byte) error {
	for len(b) > 0 {
		n, done := s.scan.Scan(b)
		b = b[n:]
		switch {
		case s.scan.NUL:
			return unusablef("The file has a NUL octet: it is no text in ASCII, UTF-8 or an 8-bit character set.")
		case s.scan.LongLine:
			return unusablef("The file has a line longer than %d octets.", smtp.MaxTextLine)
		}
		if done {
			s.pass(crlf)
			s.scan.Reset(false)
		}
		if s.err != nil {
			return s.err
		}
	}
	return nil
}

func (s *source) pass(p []byte) {
	if s.err == nil {
		s.err = s.sink.write(p)
	}
}

var (
	crlf = []byte("\r\n")
	bom  = []byte("\xef\xbb\xbf") // of UTF-8
)

// begin looks at the beginning of a file. It passes over a byte order mark of UTF-8 and does not
// take UTF-16 or UTF-32.
func begin(b []byte) ([]byte, error) {
	// The mark of UTF-32 may begin like that of UTF-16.
	if bytes.HasPrefix(b, []byte("\xff\xfe\x00\x00")) || bytes.HasPrefix(b, []byte("\x00\x00\xfe\xff")) {
		return nil, unusablef("The file is UTF-32. Write it as ASCII, UTF-8 or in an 8-bit character set.")
	}
	if bytes.HasPrefix(b, []byte("\xff\xfe")) || bytes.HasPrefix(b, []byte("\xfe\xff")) || isUTF16(b) {
		return nil, unusablef("The file is UTF-16. Write it as ASCII, UTF-8 or in an 8-bit character set.")
	}
	return bytes.TrimPrefix(b, bom), nil
}

// isUTF16 reports whether b begins with ASCII characters as UTF-16 writes them, without a mark.
func isUTF16(b []byte) bool {
	b = b[:min(len(b), probe)&^1]
	if len(b) < 4 {
		return false
	}
	var zeros [2]int
	for i, c := range b {
		if c == 0 {
			zeros[i&1]++
		}
	}
	half := len(b) / 2
	return zeros[0] == half && zeros[1] == 0 || zeros[1] == half && zeros[0] == 0
}

// loneDot returns the length of the line at the end of the file that is a dot alone, 0 if there is none.
func loneDot(f io.ReaderAt, size int64) (int64, error) {
	n := min(size, tailSize)
	tail := make([]byte, n)
	if err := readFull(f, tail, size-n); err != nil {
		return 0, err
	}
	rest := tail
	switch {
	case bytes.HasSuffix(rest, crlf):
		rest = rest[:len(rest)-2]
	case bytes.HasSuffix(rest, crlf[1:]), bytes.HasSuffix(rest, crlf[:1]):
		rest = rest[:len(rest)-1]
	}
	before, ok := bytes.CutSuffix(rest, []byte("."))
	if !ok || len(before) == 0 {
		return 0, nil
	}
	if c := before[len(before)-1]; c != '\n' && c != '\r' {
		return 0, nil
	}
	return n - int64(len(before)), nil
}
