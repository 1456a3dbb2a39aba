package message

import (
	"net/netip"
	"time"

	"github.com/mailroot/mailroot/internal/mail"
)

// maxName caps the names that a client chose, in octets of the trace field.
const maxName = 255

// Trace is what a Received field says (RFC 5321 §4.4). All of it may come from a hostile
// client: AppendReceived lets nothing through that could end a clause, a comment or the line.
type Trace struct {
	Helo string     // the client's own name; "" is replaced by its address
	Name string     // its confirmed host name, "" if unknown
	Addr netip.Addr // its address; without it the "from" clause is left out (reports)
	// Pickup says that the message was a file in the pickup directory, in the words of the original.
	// They are tokens of RFC 5322 §3.6.7; the stricter clauses of RFC 5321 §4.4 are for what SMTP took.
	Pickup bool
	By     string // our fully qualified domain name
	With   string // the protocol, see Protocol; "" leaves the clause out
	TLS    *mail.TLSInfo
	ID     mail.QueueID
	// For is the recipient, given only where the message has a single one, so that none
	// learns of another (RFC 5321 §7.2). Null leaves the clause out.
	For mail.Address
	// UTF8 says that the transaction uses SMTPUTF8, so that For may too (RFC 6531 §3.7.3).
	UTF8 bool
	Time time.Time // in the zone that is to be shown
}

// AppendReceived appends a Received field with its final CRLF. Clauses stand on lines of
// their own, none longer than 998 octets (RFC 5322 §2.1.1).
func AppendReceived(dst []byte, t *Trace) []byte {
	dst = append(dst, "Received: "...)
	if t.Addr.IsValid() {
		dst = append(dst, "from "...)
		if t.Helo != "" {
			dst = appendName(dst, t.Helo)
		} else {
			dst = appendLiteral(dst, t.Addr)
		}
		dst = append(dst, " ("...)
		if t.Name != "" {
			dst = append(appendName(dst, t.Name), ' ')
		}
		dst = append(appendLiteral(dst, t.Addr), ")\r\n\t"...)
	} else if t.Pickup {
		dst = append(dst, "from mail pickup service "...)
	}
	dst = append(dst, "by "...)
	dst = appendName(dst, t.By)
	if t.With != "" {
		dst = append(append(dst, " with "...), t.With...)
	}
	if t.TLS != nil {
		dst = append(appendName(append(dst, " ("...), t.TLS.Version), ' ')
		dst = append(appendName(dst, t.TLS.Cipher), ')')
	}
	dst = append(dst, "\r\n\tid "...)
	dst = t.ID.AppendTo(dst)
	if showable(t.For, t.UTF8) {
		dst = append(dst, "\r\n\tfor <"...)
		dst = append(append(append(dst, t.For.Local...), '@'), t.For.Domain...)
		dst = append(dst, '>')
	}
	dst = append(dst, ";\r\n\t"...)
	return append(AppendDate(dst, t.Time), '\r', '\n')
}

// AppendDate appends t as RFC 5322 §3.3 writes it, "Thu, 6 Jun 2013 13:16:54 -0400", in t's zone.
func AppendDate(dst []byte, t time.Time) []byte {
	return t.AppendFormat(dst, "Mon, 2 Jan 2006 15:04:05 -0700")
}

// AppendMessageID appends a new msg-id with its angle brackets. It is unique as far as id is
// unique in its spool and random (64 random bits) tells spools of one name apart.
func AppendMessageID(dst []byte, id mail.QueueID, random uint64, fqdn string) []byte {
	dst = append(dst, '<')
	dst = id.AppendTo(dst)
	dst = append(dst, '.')
	dst = mail.QueueID(random).AppendTo(dst)
	dst = append(dst, '@')
	if fqdn == "" {
		fqdn = "localhost"
	}
	return append(appendName(dst, fqdn), '>')
}

// Protocol returns the "with" protocol type of a session, as RFC 3848 and RFC 6531 §4.3
// register them. A client that said HELO spoke SMTP, whatever came below it.
func Protocol(esmtp, utf8, tls, auth bool) string {
	if !esmtp {
		return "SMTP"
	}
	i := 0
	if utf8 {
		i |= 4
	}
	if tls {
		i |= 2
	}
	if auth {
		i |= 1
	}
	return [8]string{
		"ESMTP", "ESMTPA", "ESMTPS", "ESMTPSA",
		"UTF8SMTP", "UTF8SMTPA", "UTF8SMTPS", "UTF8SMTPSA",
	}[i]
}

// appendLiteral appends the address literal of RFC 5321 §4.1.3.
func appendLiteral(dst []byte, a netip.Addr) []byte {
	a = a.Unmap().WithZone("")
	dst = append(dst, '[')
	if a.Is6() {
		dst = append(dst, "IPv6:"...)
	}
	return append(a.AppendTo(dst), ']')
}

// appendName appends a host name or address literal; each octet that neither can hold
// becomes "?".
func appendName(dst []byte, s string) []byte {
	if len(s) > maxName {
		s = s[:maxName]
	}
	start := len(dst)
	dst = append(dst, s...)
	for i := start; i < len(dst); i++ {
		switch c := dst[i]; {
		case '0' <= c && c <= '9', 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z':
		case c == '.', c == '-', c == '_', c == ':', c == '[', c == ']', c == '/':
		default:
			dst[i] = '?'
		}
	}
	return dst
}

// showable reports whether the address can stand in a "for" clause without the chance that a
// reader takes a part of it for something else.
func showable(a mail.Address, utf8 bool) bool {
	if a.Local == "" || a.Domain == "" || len(a.Local)+len(a.Domain) > 2*maxName {
		return false
	}
	return plain(a.Local, utf8) && plain(a.Domain, utf8)
}

func plain(s string, utf8 bool) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case c <= ' ', c == 0x7f, c == '<', c == '>', c == '(', c == ')', c == ';', c == '\\':
			return false
		case c >= 0x80 && !utf8:
			return false
		}
	}
	return true
}
