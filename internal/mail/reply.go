package mail

import (
	"strconv"
	"strings"
)

// EnhancedCode is the class.subject.detail of RFC 3463. The zero value means none.
type EnhancedCode struct{ Class, Subject, Detail uint16 }

// Enhanced is shorthand for an EnhancedCode.
func Enhanced(class, subject, detail uint16) EnhancedCode {
	return EnhancedCode{class, subject, detail}
}

// IsZero reports whether there is no enhanced code.
func (e EnhancedCode) IsZero() bool { return e.Class == 0 }

// String returns "5.7.1", or "" for the zero value.
func (e EnhancedCode) String() string {
	if e.IsZero() {
		return ""
	}
	return string(e.appendTo(nil))
}

func (e EnhancedCode) appendTo(dst []byte) []byte {
	dst = strconv.AppendUint(dst, uint64(e.Class), 10)
	dst = append(dst, '.')
	dst = strconv.AppendUint(dst, uint64(e.Subject), 10)
	dst = append(dst, '.')
	return strconv.AppendUint(dst, uint64(e.Detail), 10)
}

// Reply is an SMTP reply (RFC 5321 §4.2): ours to a client, or a server's to us.
//
// Text holds one or more lines separated by "\n", without code and enhanced code. Text of a
// remote server is kept as received but for its line ends; it is escaped where it is shown.
type Reply struct {
	Code     int
	Enhanced EnhancedCode
	Text     string
}

// NewReply makes a one-line reply.
func NewReply(code int, enhanced EnhancedCode, text string) Reply {
	return Reply{Code: code, Enhanced: enhanced, Text: text}
}

// IsZero reports whether there is no reply.
func (r Reply) IsZero() bool { return r.Code == 0 }

// Positive reports a 2xx or 3xx reply.
func (r Reply) Positive() bool { return r.Code >= 200 && r.Code < 400 }

// Transient reports a 4xx reply.
func (r Reply) Transient() bool { return r.Code >= 400 && r.Code < 500 }

// Permanent reports a 5xx reply.
func (r Reply) Permanent() bool { return r.Code >= 500 && r.Code < 600 }

// AppendTo appends the wire form with CRLF line ends: "250-" on all lines but the last, the
// enhanced code on each (RFC 2034 §4). Control octets in the text become "?", so that no
// reply can carry a line break that we did not write.
func (r Reply) AppendTo(dst []byte) []byte {
	text := r.Text
	for {
		line, rest, more := strings.Cut(text, "\n")
		dst = strconv.AppendInt(dst, int64(r.Code), 10)
		if more {
			dst = append(dst, '-')
		} else {
			dst = append(dst, ' ')
		}
		if !r.Enhanced.IsZero() {
			dst = r.Enhanced.appendTo(dst)
			dst = append(dst, ' ')
		}
		dst = appendPrintable(dst, line)
		dst = append(dst, '\r', '\n')
		if !more {
			return dst
		}
		text = rest
	}
}

// String returns the reply on one line, "550 5.7.1 Unable to relay", lines joined by " / ".
func (r Reply) String() string {
	if r.IsZero() {
		return ""
	}
	dst := strconv.AppendInt(nil, int64(r.Code), 10)
	if !r.Enhanced.IsZero() {
		dst = append(dst, ' ')
		dst = r.Enhanced.appendTo(dst)
	}
	if r.Text != "" {
		dst = append(dst, ' ')
		dst = appendPrintable(dst, strings.ReplaceAll(r.Text, "\n", " / "))
	}
	return string(dst)
}

// appendPrintable appends s with C0 controls and DEL replaced by "?".
func appendPrintable(dst []byte, s string) []byte {
	start := len(dst)
	dst = append(dst, s...)
	for i := start; i < len(dst); i++ {
		if c := dst[i]; c < ' ' || c == 0x7f {
			dst[i] = '?'
		}
	}
	return dst
}
