package session

import (
	"bytes"
	"time"
)

// maxDrain is how much of a command line that is too long is read in search of its end.
const maxDrain = 64 << 10

// longLine is a command line that is too long to be kept: what has to be known of it is gathered while
// it passes by.
type longLine struct {
	head, tail []byte // its first and last octets, at most longEnds each
	crs        int
}

// longEnds is enough to know another protocol by.
const longEnds = 16

// add takes the next octets of the line; LF can only be the last.
func (l *longLine) add(p []byte) {
	l.head = append(l.head, p[:min(len(p), longEnds-len(l.head))]...)
	l.tail = append(l.tail, p[max(0, len(p)-longEnds):]...)
	l.tail = l.tail[max(0, len(l.tail)-longEnds):]
	l.crs += bytes.Count(p, []byte{'\r'})
}

// result returns both ends of the line, joined and without the line end, and what is wrong with it.
func (l *longLine) result() ([]byte, error) {
	text, crlf := bytes.CutSuffix(l.tail, []byte("\r\n"))
	ends := append(l.head, text...)
	if !crlf || l.crs != 1 {
		return ends, errLongBare
	}
	return ends, errLongLine
}

// drain drops a line that is too long up to its end.
func (w *wire) drain(since time.Time) ([]byte, error) {
	var l longLine
	for drained := 0; drained <= maxDrain; {
		p := w.buf[w.pos:w.end]
		i := bytes.IndexByte(p, '\n')
		if i >= 0 {
			l.add(p[:i+1])
			w.pos += i + 1
			w.seen = 0
			return l.result()
		}
		l.add(p)
		drained += len(p)
		w.pos = w.end
		if err := w.fill(&since); err != nil {
			return nil, err
		}
	}
	return l.head, errEndless
}
