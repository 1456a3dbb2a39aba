package accesslog

import (
	"net/netip"
	"strconv"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/mailroot/mailroot/internal/mail"
)

// fieldNames are the columns, in order. The blank at the end of the #Fields line is the
// original's.
const fieldNames = "date time c-ip cs-username s-sitename s-computername s-ip s-port cs-method cs-uri-stem cs-uri-query " +
	"sc-status sc-win32-status sc-bytes cs-bytes time-taken cs-version cs-host cs(User-Agent) cs(Cookie) cs(Referer)"

// maxField caps the text of a field, in octets.
const maxField = 1024

// quitStatus is what the original shows as the status of QUIT.
const quitStatus = 240

// appendHeader appends the header block.
func appendHeader(dst []byte, software string, now time.Time) []byte {
	dst = append(dst, "#Software: "...)
	dst = appendText(dst, software, ' ')
	dst = append(dst, "\r\n#Version: 1.0\r\n#Date: "...)
	dst = appendTime(dst, now)
	return append(dst, "\r\n#Fields: "+fieldNames+" \r\n"...)
}

// appendRow appends the row of x. site holds the columns s-sitename and s-computername with a
// blank before each.
func appendRow(dst []byte, x *mail.Exchange, site string) []byte {
	dst = append(appendTime(dst, x.Time), ' ')
	dst = appendAddr(dst, x.Remote.Addr())
	switch x.Dir {
	case mail.OutboundCommand:
		return appendOutbound(dst, x, site, " OutboundConnectionCommand", len(x.Verb))
	case mail.OutboundResponse:
		return appendOutbound(dst, x, site, " OutboundConnectionResponse", len(x.Arg))
	}
	dst = appendField(append(dst, ' '), x.Helo)
	dst = append(dst, site...)
	dst = appendAddr(append(dst, ' '), x.Local.Addr())
	dst = appendField(append(dst, " 0 "...), x.Verb)
	dst = append(dst, " - "...)
	status, win32 := x.Code, int64(0)
	switch x.Verb {
	case "QUIT":
		status = quitStatus
		fallthrough
	case "TIMEOUT":
		win32 = x.Session.Milliseconds()
		dst = appendField(dst, x.Helo)
	default:
		dst = appendQuery(dst, x)
	}
	dst = appendInt(dst, int64(status))
	dst = appendInt(dst, win32)
	dst = appendInt(dst, x.Out)
	dst = appendInt(dst, x.In)
	return appendEnd(dst, x.Took)
}

// appendOutbound appends what follows c-ip in the row of an outbound command or response.
func appendOutbound(dst []byte, x *mail.Exchange, site, user string, octets int) []byte {
	dst = append(dst, user...)
	dst = append(dst, site...)
	dst = append(dst, " -"...)
	dst = appendInt(dst, int64(x.Remote.Port()))
	dst = append(dst, ' ')
	if x.Dir == mail.OutboundResponse {
		dst = append(dst, '-')
	} else {
		dst = appendField(dst, x.Verb)
	}
	dst = append(dst, " - "...)
	dst = appendField(dst, x.Arg)
	dst = append(dst, " 0 0"...)
	dst = appendInt(dst, int64(octets))
	dst = append(dst, " 0"...)
	return appendEnd(dst, x.Took)
}

// appendQuery appends the argument of an inbound command. It begins with "+", the blank that
// stood before it, except for a Message-ID of ours, which comes without a blank where a
// client's comes with one.
func appendQuery(dst []byte, x *mail.Exchange) []byte {
	arg := x.Arg
	own := (x.Verb == "DATA" || x.Verb == "BDAT") && arg != "" && arg[0] == '<'
	for len(arg) > 0 && arg[0] == ' ' {
		arg = arg[1:]
	}
	if arg == "" {
		return append(dst, '-')
	}
	if !own {
		dst = append(dst, '+')
	}
	return appendText(dst, arg, '+')
}

func appendEnd(dst []byte, took time.Duration) []byte {
	dst = appendInt(dst, took.Milliseconds())
	return append(dst, " SMTP - - - -\r\n"...)
}

// appendInt appends a blank and n.
func appendInt(dst []byte, n int64) []byte {
	return strconv.AppendInt(append(dst, ' '), max(n, 0), 10)
}

func appendAddr(dst []byte, a netip.Addr) []byte {
	if !a.IsValid() {
		return append(dst, '-')
	}
	return a.Unmap().WithZone("").AppendTo(dst)
}

// appendTime appends "2006-01-02 15:04:05" in UTC.
func appendTime(dst []byte, t time.Time) []byte {
	t = t.UTC()
	year, month, day := t.Date()
	hour, minute, sec := t.Clock()
	dst = append2(append2(dst, year/100), year)
	dst = append2(append(dst, '-'), int(month))
	dst = append2(append(dst, '-'), day)
	dst = append2(append(dst, ' '), hour)
	dst = append2(append(dst, ':'), minute)
	return append2(append(dst, ':'), sec)
}

func append2(dst []byte, n int) []byte {
	n = max(n, 0) % 100
	return append(dst, byte('0'+n/10), byte('0'+n%10))
}

// appendField appends s, or "-" if it is empty.
func appendField(dst []byte, s string) []byte {
	if s == "" {
		return append(dst, '-')
	}
	return appendText(dst, s, '+')
}

// appendText appends s with each blank as blank, and what could break or forge a row as %HH
// (bad input L1).
func appendText(dst []byte, s string, blank byte) []byte {
	end := len(dst) + maxField
	for i := 0; i < len(s) && len(dst) < end; i++ {
		c := s[i]
		switch {
		case c == ' ':
			dst = append(dst, blank)
		case c > ' ' && c < 0x7f && c != '"':
			dst = append(dst, c)
		case c >= utf8.RuneSelf:
			r, n := utf8.DecodeRuneInString(s[i:])
			if n > 1 && unicode.IsPrint(r) && len(dst)+n <= end {
				dst = append(dst, s[i:i+n]...)
				i += n - 1
				continue
			}
			fallthrough
		default:
			if len(dst)+3 > end {
				return dst
			}
			const hex = "0123456789ABCDEF"
			dst = append(dst, '%', hex[c>>4], hex[c&15])
		}
	}
	return dst
}
