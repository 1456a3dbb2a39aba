package smtp

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/mailroot/mailroot/internal/mail"
)

// Caps on a server's reply. RFC 5321 §4.5.3.1.5 allows 512 octets a line; real servers write
// longer ones, none as long as this.
const (
	MaxReplyLine  = 2048 // octets of a line without its line end
	MaxReplyLines = 100
)

// ErrProtocol is wrapped by the errors of ReplyReader.Read for what no SMTP server says. The
// stream cannot be trusted any more: the connection is to be closed.
var ErrProtocol = errors.New("malformed reply")

var (
	errReplyLong  = fmt.Errorf("%w: a line of more than %d octets", ErrProtocol, MaxReplyLine)
	errReplyLines = fmt.Errorf("%w: more than %d lines", ErrProtocol, MaxReplyLines)
	errReplyCode  = fmt.Errorf("%w: no reply code", ErrProtocol)
	errReplyMixed = fmt.Errorf("%w: different codes in one reply", ErrProtocol)
)

const (
	replySlots  = 8  // first lines remembered, so that "250 2.1.5 Ok" is one string for ever
	replyIntern = 96 // octets; longer lines rarely come again
)

// ReplyReader reads the replies of a server (RFC 5321 §4.2). It never holds more than one
// line and the text of one reply, and looks at each octet once, however the octets arrive.
// Reset it before use. It is not safe for concurrent use.
type ReplyReader struct {
	r       io.Reader
	buf     [2 * (MaxReplyLine + 2)]byte
	pos     int // start of the line to read
	end     int // end of what has arrived
	first   string
	interns [replySlots]string
}

// Reset makes r the source and forgets what was buffered from the one before.
func (rr *ReplyReader) Reset(r io.Reader) { rr.r, rr.pos, rr.end = r, 0, 0 }

// Buffered returns the number of octets that have arrived but were not asked for. After the
// reply to STARTTLS it must be 0 (bad input C4: they came in plain text).
func (rr *ReplyReader) Buffered() int { return rr.end - rr.pos }

// FirstLine returns the first line of the reply that was read last, code included, as sent
// but for its line end.
func (rr *ReplyReader) FirstLine() string { return rr.first }

// Read reads one reply. Its code is 200 to 599 and the same on all lines; a lone LF ends a
// line too. An enhanced status code is taken from the text if its class fits the code (RFC
// 2034 §4), from further lines where they repeat the first line's; a code without text is a
// reply with an empty text. The error wraps ErrProtocol where the reply breaks these rules or
// the caps, is io.EOF if the stream ended before the reply, io.ErrUnexpectedEOF if within it,
// or is the source's.
func (rr *ReplyReader) Read() (mail.Reply, error) {
	line, err := rr.line()
	if err != nil {
		return mail.Reply{}, err
	}
	code, more, err := replyCode(line)
	if err != nil {
		return mail.Reply{}, err
	}
	rr.first = rr.intern(line)
	reply := mail.Reply{Code: code}
	n := 0
	reply.Enhanced, n = enhancedPrefix(rr.first, code)
	reply.Text = rr.first[n:]
	if more {
		return rr.readRest(reply)
	}
	return reply, nil
}

// readRest reads the lines after the first of a reply.
func (rr *ReplyReader) readRest(reply mail.Reply) (mail.Reply, error) {
	var text strings.Builder
	text.WriteString(reply.Text)
	for range MaxReplyLines - 1 {
		line, err := rr.line()
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return mail.Reply{}, err
		}
		code, more, err := replyCode(line)
		if err != nil {
			return mail.Reply{}, err
		}
		if code != reply.Code {
			return mail.Reply{}, errReplyMixed
		}
		enhanced, n := enhancedPrefix(line, code)
		if enhanced != reply.Enhanced {
			n = min(4, len(line)) // another code, or none: it stays in the text
		}
		text.WriteByte('\n')
		text.Write(line[n:])
		if !more {
			reply.Text = text.String()
			return reply, nil
		}
	}
	return mail.Reply{}, errReplyLines
}

// line returns the next line without its line end. It is valid until the next call.
func (rr *ReplyReader) line() ([]byte, error) {
	seen := rr.pos // no LF before
	for {
		if i := bytes.IndexByte(rr.buf[seen:rr.end], '\n'); i >= 0 {
			line := bytes.TrimSuffix(rr.buf[rr.pos:seen+i], []byte{'\r'})
			rr.pos = seen + i + 1
			if len(line) > MaxReplyLine {
				return nil, errReplyLong
			}
			return line, nil
		}
		if rr.end-rr.pos > MaxReplyLine+1 {
			return nil, errReplyLong
		}
		if rr.pos > 0 {
			rr.end = copy(rr.buf[:], rr.buf[rr.pos:rr.end])
			rr.pos = 0
		}
		seen = rr.end
		n, err := rr.r.Read(rr.buf[rr.end:])
		rr.end += n
		if n == 0 && err != nil {
			if err == io.EOF && rr.end > 0 {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
	}
}

// intern returns line as a string, without an allocation if it came before.
func (rr *ReplyReader) intern(line []byte) string {
	if len(line) > replyIntern {
		return string(line)
	}
	slot := &rr.interns[(len(line)+int(line[len(line)-1])+int(line[2]))%replySlots]
	if *slot != string(line) {
		*slot = string(line)
	}
	return *slot
}

// replyCode reads the code of a line and whether more lines follow. The line may end after
// the code; else a blank or a hyphen follows it.
func replyCode(line []byte) (code int, more bool, err error) {
	if len(line) < 3 {
		return 0, false, errReplyCode
	}
	for _, c := range line[:3] {
		if c < '0' || c > '9' {
			return 0, false, errReplyCode
		}
		code = code*10 + int(c-'0')
	}
	if code < 200 || code > 599 {
		return 0, false, errReplyCode
	}
	if len(line) > 3 && line[3] != ' ' && line[3] != '-' {
		return 0, false, errReplyCode
	}
	return code, len(line) > 3 && line[3] == '-', nil
}

// enhancedPrefix returns the enhanced status code that follows the reply code at the start of
// line, and the length of all that precedes the text. A code of another class than the
// reply's is text (RFC 2034 §4).
func enhancedPrefix[T string | []byte](line T, code int) (mail.EnhancedCode, int) {
	start := min(4, len(line))
	var part [3]uint16
	i := start
	for k := range part {
		digits := 0
		for ; i < len(line) && '0' <= line[i] && line[i] <= '9' && digits < 3; i++ {
			part[k] = part[k]*10 + uint16(line[i]-'0')
			digits++
		}
		if digits == 0 {
			return mail.EnhancedCode{}, start
		}
		if k == 2 {
			break
		}
		if i == len(line) || line[i] != '.' {
			return mail.EnhancedCode{}, start
		}
		i++
	}
	switch {
	case int(part[0]) != code/100 || part[0] == 3:
		return mail.EnhancedCode{}, start
	case i == len(line):
	case line[i] == ' ':
		i++
	default:
		return mail.EnhancedCode{}, start
	}
	return mail.Enhanced(part[0], part[1], part[2]), i
}
