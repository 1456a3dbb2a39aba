package smtp

import "bytes"

// MaxTextLine is the longest line of a message that is taken, in octets. RFC 5321 §4.5.3.1.6
// allows 998; longer lines are passed on unchanged up to here (bad input F17).
const MaxTextLine = 1 << 20

// DataScanner turns the octets of a message as they come over the wire into its text: it
// finds the end of data, takes away the dots of RFC 5321 §4.5.2 and makes all line ends CRLF.
// It is fed in pieces of any size; the result does not depend on how they are cut.
//
// Only CRLF "." CRLF ends the data (RFC 5321 §4.1.1.4; what precedes the first octet counts as
// CRLF). Any other mixture of CR and LF around a lone dot is what SMTP smuggling is made of:
// it never ends the data and is reported as LoneDot. A bare LF, and a run of CR with or
// without an LF behind it, is made one CRLF and counted in Stray.
//
// Octets are searched for line ends and passed on in slices as large as the input allows.
type DataScanner struct {
	// Write gets the text; it must not keep the slice.
	Write func(p []byte)

	// Stray counts line ends that were not CRLF.
	Stray int64
	// LoneDot says that a line of a lone dot had a bare CR or LF next to it.
	LoneDot bool
	// NUL says that a NUL octet occurred.
	NUL bool
	// LongLine says that a line was longer than MaxTextLine.
	LongLine bool

	chunked bool // BDAT: dots are text, the end is elsewhere
	state   scanState
	clean   bool  // at bol, dot, dotCR: the line end before was CRLF
	run     bool  // at cr: it is not the first
	line    int64 // octets of the line so far, up to the last piece
}

type scanState uint8

const (
	bol   scanState = iota // at the beginning of a line
	text                   // within a line
	cr                     // behind CR, which is not yet passed on
	dot                    // behind a dot at the beginning of a line
	dotCR                  // behind dot and CR
)

var crlf = []byte("\r\n")

// Reset makes the scanner ready for a new message. chunked chooses the rules of BDAT without
// BINARYMIME (RFC 3030): there is no end of data and dots are not stuffed.
func (d *DataScanner) Reset(chunked bool) {
	*d = DataScanner{Write: d.Write, chunked: chunked, clean: true}
}

// Scan consumes p up to the end of data. It returns how many octets that was, and whether the
// end was reached; without it all of p was consumed.
func (d *DataScanner) Scan(p []byte) (n int, done bool) {
	start := 0 // p[start:i] is text not yet passed on
	i := 0
	for i < len(p) {
		switch d.state {
		case text:
			start, i = d.scanText(p, start, i)
		case bol:
			d.state = text
			if p[i] == '.' {
				d.state = dot
				if !d.chunked {
					d.emit(p[start:i])
					start = i + 1
				}
				i++
			}
		case dot:
			switch p[i] {
			case '\r':
				d.emit(p[start:i])
				d.state = dotCR
				i++
				start = i
			case '\n':
				d.LoneDot = true
				d.emit(p[start:i])
				i++
				start = i
				d.endLine(false)
			default:
				d.state = text
			}
		case dotCR:
			switch c := p[i]; {
			case c == '\n' && d.clean && !d.chunked:
				d.sawNUL(p[:i])
				return i + 1, true
			case c == '\n':
				d.LoneDot = d.LoneDot || !d.clean
				i++
				start = i
				d.endLine(true)
			case c == '\r':
				d.LoneDot = true
				d.state, d.run = cr, true
				i++
				start = i
			default:
				d.LoneDot = true
				d.endLine(false)
			}
		case cr:
			switch p[i] {
			case '\n':
				if d.run {
					d.Stray++
				}
				i++
				start = i
				d.endLine(true)
			case '\r':
				d.run = true
				i++
				start = i
			default:
				d.endLine(false)
			}
		}
	}
	d.emit(p[start:])
	d.sawNUL(p)
	return len(p), false
}

// scanText searches p[i:] for the end of the line. It returns the new start and i. The text
// is the fast path: a message with CRLF line ends and no leading dots passes in one slice.
func (d *DataScanner) scanText(p []byte, start, i int) (int, int) {
	rest := p[i:]
	lf := bytes.IndexByte(rest, '\n')
	seg := rest
	if lf >= 0 {
		seg = rest[:lf]
	}
	c := bytes.IndexByte(seg, '\r')
	switch {
	case lf < 0 && c < 0: // the line goes on
		d.lineGoesOn(len(rest))
		return start, len(p)
	case c >= 0 && c == lf-1: // CRLF
		if d.line > 0 || c > MaxTextLine {
			d.lineGoesOn(c)
			d.line = 0
		}
		d.state, d.clean = bol, true
		return start, i + lf + 1
	case c < 0: // a bare LF
		d.lineGoesOn(lf)
		d.emit(p[start : i+lf])
		d.endLine(false)
		return i + lf + 1, i + lf + 1
	default: // a CR whose fellow is missing or not yet here
		d.lineGoesOn(c)
		d.emit(p[start : i+c])
		d.state, d.run = cr, false
		return i + c + 1, i + c + 1
	}
}

func (d *DataScanner) lineGoesOn(n int) {
	if d.line += int64(n); d.line > MaxTextLine {
		d.LongLine = true
	}
}

// endLine passes on a line end of ours in place of what was found. clean says that the octets
// found ended in CRLF.
func (d *DataScanner) endLine(clean bool) {
	if !clean {
		d.Stray++
	}
	d.emit(crlf)
	d.state, d.clean, d.run, d.line = bol, clean, false, 0
}

func (d *DataScanner) emit(p []byte) {
	if len(p) > 0 {
		d.Write(p)
	}
}

func (d *DataScanner) sawNUL(p []byte) {
	if !d.NUL && bytes.IndexByte(p, 0) >= 0 {
		d.NUL = true
	}
}

// Finish ends a chunked message: a CR that waited for its LF is stray, and a lone dot at the end is one
// although no line end follows, since whoever passes the text on adds it. A text that does not end in
// CRLF stays as it is.
func (d *DataScanner) Finish() {
	switch d.state {
	case cr:
		d.endLine(false)
	case dot:
		d.LoneDot = d.LoneDot || !d.clean
	case dotCR:
		d.LoneDot = true
		d.endLine(false)
	}
}

// HeaderScanner looks for NUL in the header of a message whose body may hold any octet
// (BODY=BINARYMIME): the header is text all the same (bad input F18). The zero value is ready
// for a message.
type HeaderScanner struct {
	NUL  bool
	tail [3]byte // the last octets before the next piece
	n    int     // how many of them are there
	past bool    // the header is over
}

var emptyLine = []byte("\r\n\r\n")

// Scan looks at the next piece.
func (h *HeaderScanner) Scan(p []byte) {
	if h.past || len(p) == 0 {
		return
	}
	if h.n == 0 {
		h.n = copy(h.tail[:], crlf) // so that an empty first line is an empty line
	}
	// The empty line may lie across the pieces.
	var join [2 * len(h.tail)]byte
	m := copy(join[:], h.tail[:h.n])
	m += copy(join[m:], p)
	end := len(p)
	if k := bytes.Index(join[:m], emptyLine); k >= 0 {
		h.past, end = true, k+len(emptyLine)-h.n
	} else if k := bytes.Index(p, emptyLine); k >= 0 {
		h.past, end = true, k
	}
	h.NUL = h.NUL || bytes.IndexByte(p[:end], 0) >= 0
	if last := len(p) - len(h.tail); last >= 0 {
		h.n = copy(h.tail[:], p[last:])
	} else {
		h.n = copy(h.tail[:], join[max(0, m-len(h.tail)):m])
	}
}
