package metabase

import (
	"bufio"
	"bytes"
	"io"
	"unicode/utf16"
	"unicode/utf8"
)

// octets gives UTF-8 of a file in UTF-8 or UTF-16, with or without a byte order mark, octet by octet, so that the
// reader behind it holds nothing back and each token can be measured.
type octets struct {
	in     *bufio.Reader
	wide   bool // UTF-16
	big    bool // big-endian
	utf16  bool // what the file is in was told by itself, see charset
	out    [utf8.UTFMax]byte
	n, at  int // what of out waits
	ahead  rune
	total  int64 // octets given
	token  int64 // octets given since begin
	failed error
}

// newOctets looks at the first octets.
func newOctets(r io.Reader) *octets {
	o := &octets{in: bufio.NewReaderSize(r, 64<<10), ahead: -1}
	head, _ := o.in.Peek(4)
	skip := 0
	switch {
	case bytes.HasPrefix(head, []byte("\xef\xbb\xbf")):
		skip = 3
	case bytes.HasPrefix(head, []byte("\xff\xfe")):
		o.wide, skip = true, 2
	case bytes.HasPrefix(head, []byte("\xfe\xff")):
		o.wide, o.big, skip = true, true, 2
	case len(head) >= 2 && head[0] != 0 && head[1] == 0:
		o.wide = true
	case len(head) >= 2 && head[0] == 0 && head[1] != 0:
		o.wide, o.big = true, true
	}
	o.utf16 = o.wide
	_, _ = o.in.Discard(skip) // they were peeked at
	return o
}

// begin starts the measure of a token.
func (o *octets) begin() { o.token = 0 }

// ReadByte returns the next octet, or the error that a bound was met.
func (o *octets) ReadByte() (byte, error) {
	if o.failed != nil {
		return 0, o.failed
	}
	b, err := o.next()
	if err == nil {
		o.total++
		o.token++
		switch {
		case o.total > maxInput:
			err = tooMuch("the file is longer than %d MB", maxInput>>20)
		case o.token > maxToken:
			err = tooMuch("an element with its values, or a comment, is longer than %d KB", maxToken>>10)
		}
	}
	o.failed = err
	return b, err
}

// Read is for a reader of lines, which bounds them itself: it counts for no token.
func (o *octets) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		o.begin()
		b, err := o.ReadByte()
		if err != nil {
			if n > 0 {
				return n, nil // the error comes again
			}
			return 0, err
		}
		p[n] = b
		n++
	}
	return n, nil
}

func (o *octets) next() (byte, error) {
	if !o.wide {
		return o.in.ReadByte()
	}
	if o.at == o.n {
		r, err := o.rune()
		if err != nil {
			return 0, err
		}
		o.n, o.at = utf8.EncodeRune(o.out[:], r), 0
	}
	o.at++
	return o.out[o.at-1], nil
}

// rune reads one character of UTF-16. Half a surrogate pair becomes U+FFFD; half a unit at the end is a truncated file.
func (o *octets) rune() (rune, error) {
	r := o.ahead
	o.ahead = -1
	if r < 0 {
		var err error
		if r, err = o.unit(); err != nil {
			return 0, err
		}
	}
	if !utf16.IsSurrogate(r) {
		return r, nil
	}
	second, err := o.unit()
	if err != nil {
		return 0, err
	}
	if pair := utf16.DecodeRune(r, second); pair != utf8.RuneError {
		return pair, nil
	}
	o.ahead = second
	return utf8.RuneError, nil
}

func (o *octets) unit() (rune, error) {
	a, err := o.in.ReadByte()
	if err != nil {
		return 0, err
	}
	b, err := o.in.ReadByte()
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	if o.big {
		a, b = b, a
	}
	return rune(a) | rune(b)<<8, err
}
