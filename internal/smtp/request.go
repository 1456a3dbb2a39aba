package smtp

import (
	"errors"
	"strconv"

	"github.com/mailroot/mailroot/internal/mail"
)

// ErrUnsafe is returned for an address or parameter that would break the command line it
// stands in. No address that came in by SMTP has such an octet.
var ErrUnsafe = errors.New("the address or a parameter holds a control octet, a blank out of quotes, or an angle bracket")

// MailParams are the parameters of MAIL besides the address. A zero field is left out.
type MailParams struct {
	Size       int64
	Body       string // "8BITMIME", "BINARYMIME"
	UTF8       bool
	RequireTLS bool
	Ret        mail.Ret
	EnvID      string // xtext
}

// AppendMail appends the MAIL command with its CRLF. On error dst is returned unchanged.
func AppendMail(dst []byte, from mail.Address, p *MailParams) ([]byte, error) {
	out := append(dst, "MAIL FROM:<"...)
	out, ok := appendAddress(out, from)
	if !ok || !safeParam(p.EnvID) {
		return dst, ErrUnsafe
	}
	out = append(out, '>')
	if p.Size > 0 {
		out = strconv.AppendInt(append(out, " SIZE="...), p.Size, 10)
	}
	if p.Body != "" {
		out = append(append(out, " BODY="...), p.Body...)
	}
	if p.UTF8 {
		out = append(out, " SMTPUTF8"...)
	}
	if p.RequireTLS {
		out = append(out, " REQUIRETLS"...)
	}
	switch p.Ret {
	case mail.RetFull:
		out = append(out, " RET=FULL"...)
	case mail.RetHeaders:
		out = append(out, " RET=HDRS"...)
	}
	if p.EnvID != "" {
		out = append(append(out, " ENVID="...), p.EnvID...)
	}
	return append(out, '\r', '\n'), nil
}

// AppendRcpt appends the RCPT command with its CRLF, with NOTIFY and ORCPT if dsn is set and
// the recipient has them (RFC 3461 §4). On error dst is returned unchanged.
func AppendRcpt(dst []byte, to *mail.Recipient, dsn bool) ([]byte, error) {
	out := append(dst, "RCPT TO:<"...)
	out, ok := appendAddress(out, to.Addr)
	if !ok || to.Addr.IsNull() || !safeParam(to.ORcpt) {
		return dst, ErrUnsafe
	}
	out = append(out, '>')
	if dsn && to.Notify != 0 {
		out = appendNotify(append(out, " NOTIFY="...), to.Notify)
	}
	if dsn && to.ORcpt != "" {
		out = append(append(out, " ORCPT="...), to.ORcpt...)
	}
	return append(out, '\r', '\n'), nil
}

func appendNotify(dst []byte, n mail.Notify) []byte {
	if n&mail.NotifyNever != 0 {
		return append(dst, "NEVER"...)
	}
	start := len(dst)
	for _, w := range [...]struct {
		bit  mail.Notify
		word string
	}{{mail.NotifySuccess, "SUCCESS"}, {mail.NotifyFailure, "FAILURE"}, {mail.NotifyDelay, "DELAY"}} {
		if n&w.bit == 0 {
			continue
		}
		if len(dst) > start {
			dst = append(dst, ',')
		}
		dst = append(dst, w.word...)
	}
	return dst
}

// appendAddress appends local@domain. It reports false for what would end the path early: a
// control octet anywhere; a blank or angle bracket outside a quoted local-part.
func appendAddress(dst []byte, a mail.Address) ([]byte, bool) {
	quoted := len(a.Local) > 1 && a.Local[0] == '"' && a.Local[len(a.Local)-1] == '"'
	for i := range len(a.Local) {
		if c := a.Local[i]; c < ' ' || c == 0x7f || !quoted && (c == ' ' || c == '<' || c == '>') {
			return dst, false
		}
	}
	for i := range len(a.Domain) {
		if c := a.Domain[i]; c <= ' ' || c == 0x7f || c == '<' || c == '>' {
			return dst, false
		}
	}
	dst = append(dst, a.Local...)
	if a.Domain != "" {
		dst = append(append(dst, '@'), a.Domain...)
	}
	return dst, true
}

func safeParam(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c == 0x7f {
			return false
		}
	}
	return true
}
