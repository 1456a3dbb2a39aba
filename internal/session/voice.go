package session

import (
	"strconv"

	"github.com/mailroot/mailroot/internal/mail"
)

// text names a reply. What it says depends on the voice.
type text uint8

// The replies of the engine itself. Those of policy and transactions come as mail.Reply.
const (
	sayNothing text = iota
	sayBanner
	sayHello
	sayOK
	sayMail
	sayRcpt
	sayStart
	sayQueued
	sayChunk
	sayReset
	sayQuit
	sayVrfy
	sayTLSReady

	sayUnknown
	sayNotImplemented
	sayNoAuth
	sayTLSRequired
	sayTLSActive
	sayTLSLate
	sayNeedHello
	sayNeedMail
	sayNeedRcpt
	sayNested
	sayLate
	sayBinaryNeedsBdat
	sayMixed
	sayTooMany
	sayTooBig
	saySessionSize

	sayBadAddress
	sayBadArguments
	sayBadParameter
	sayNeedUTF8
	sayBadUTF8
	sayBadLineEnd
	sayControl
	sayLineTooLong
	sayNoName

	sayBadBdat
	sayOutOfSync
	sayEarlyTalk
	sayForeign
	sayErrors
	sayEndless
	sayIdle
	saySlow
	sayStopped
	sayFault

	sayStrayEnds
	sayNUL
	sayLongText

	texts // how many there are
)

// line is one reply in one voice. In its words %a stands for the address as the client sees
// it, %p for it in angle brackets, %h for our name, %s for an argument, %n for a number, %i
// for a queue id.
type line struct {
	code     int
	enhanced mail.EnhancedCode
	words    string
}

// voices holds what is said, by voice and text. Classic has the words that scripts written for
// the original match; where it has none on record, and in Plain, the codes are those of the
// RFCs. A zero entry in Classic stands for the same as in Plain.
var voices = [2][texts]line{
	Classic: {
		sayMail:            {250, code(2, 1, 0), "%a....Sender OK"},
		sayRcpt:            {250, code(2, 1, 5), "%a "},
		sayQueued:          {250, code(2, 6, 0), "%s Queued mail for delivery"},
		sayReset:           {250, code(2, 0, 0), "Resetting"},
		sayVrfy:            {252, code(2, 1, 5), "Cannot VRFY user, but will take message for <%s>"},
		sayTLSReady:        {220, code(2, 0, 0), "SMTP server ready"},
		sayUnknown:         {500, code(5, 3, 3), "Unrecognized command"},
		sayNoAuth:          {504, code(5, 7, 4), "Unrecognized authentication type"},
		sayNeedHello:       {503, code(5, 5, 1), "Send hello first"},
		sayNeedMail:        {503, code(5, 5, 2), "Need Mail From: first"},
		sayNeedRcpt:        {503, code(5, 5, 2), "Need Rcpt command"},
		sayNested:          {503, code(5, 5, 2), "Sender already specified"},
		sayBadAddress:      {501, code(5, 5, 4), "Invalid Address"},
		sayBinaryNeedsBdat: {503, code(5, 5, 1), "Need BDAT for BODY=BINARYMIME"},
	},
	Plain: {
		sayBanner:   {220, mail.EnhancedCode{}, "%h %s"},
		sayHello:    {250, mail.EnhancedCode{}, "%h Hello [%s]"},
		sayOK:       {250, code(2, 0, 0), "OK"},
		sayMail:     {250, code(2, 1, 0), "Sender %p ok"},
		sayRcpt:     {250, code(2, 1, 5), "Recipient %p ok"},
		sayStart:    {354, mail.EnhancedCode{}, "Start mail input; end with <CRLF>.<CRLF>"},
		sayQueued:   {250, code(2, 6, 0), "%s queued as %i"},
		sayChunk:    {250, code(2, 0, 0), "%n octets received"},
		sayReset:    {250, code(2, 0, 0), "OK"},
		sayQuit:     {221, code(2, 0, 0), "%h Service closing transmission channel"},
		sayVrfy:     {252, code(2, 1, 5), "Cannot verify <%s>, but will take a message"},
		sayTLSReady: {220, code(2, 0, 0), "Ready to start TLS"},

		sayUnknown:         {500, code(5, 5, 1), "Command not recognized"},
		sayNotImplemented:  {502, code(5, 5, 1), "Command not implemented"},
		sayNoAuth:          {502, code(5, 5, 1), "Command not implemented"},
		sayTLSRequired:     {530, code(5, 7, 0), "Must issue a STARTTLS command first"},
		sayTLSActive:       {503, code(5, 5, 1), "TLS is active already"},
		sayTLSLate:         {503, code(5, 5, 1), "STARTTLS is not permitted during a mail transaction"},
		sayNeedHello:       {503, code(5, 5, 1), "Send HELO or EHLO first"},
		sayNeedMail:        {503, code(5, 5, 1), "Need MAIL first"},
		sayNeedRcpt:        {554, code(5, 5, 1), "No valid recipients"},
		sayNested:          {503, code(5, 5, 1), "Sender already given"},
		sayLate:            {503, code(5, 5, 1), "Not permitted after BDAT"},
		sayBinaryNeedsBdat: {503, code(5, 5, 1), "BODY=BINARYMIME requires BDAT"},
		sayMixed:           {503, code(5, 5, 1), "DATA is not permitted after BDAT"},
		sayTooMany:         {452, code(4, 5, 3), "Too many recipients"},
		sayTooBig:          {552, code(5, 3, 4), "Message size exceeds fixed maximum message size"},
		saySessionSize:     {552, code(5, 3, 4), "Session size exceeds fixed maximum session size"},

		sayBadAddress:   {501, code(5, 1, 3), "Invalid address"},
		sayBadArguments: {501, code(5, 5, 4), "Invalid arguments"},
		sayBadParameter: {555, code(5, 5, 4), "Unsupported parameter"},
		sayNeedUTF8:     {553, code(5, 6, 7), "Non-ASCII address requires SMTPUTF8"},
		sayBadUTF8:      {501, code(5, 5, 2), "Invalid UTF-8 in command"},
		sayBadLineEnd:   {500, code(5, 5, 2), "Bare CR or LF in command"},
		sayControl:      {500, code(5, 5, 2), "Control character in command"},
		sayLineTooLong:  {500, code(5, 5, 2), "Command line too long"},
		sayNoName:       {501, code(5, 5, 4), "Domain name required"},

		sayBadBdat:   {501, code(5, 5, 4), "Invalid arguments, closing connection"},
		sayOutOfSync: {554, code(5, 5, 0), "Input before it is due, closing connection"},
		sayEarlyTalk: {554, code(5, 5, 0), "Command before the greeting, closing connection"},
		sayForeign:   {521, code(5, 5, 1), "%h does not speak this protocol"},
		sayErrors:    {421, code(4, 7, 0), "%h Too many errors, closing connection"},
		sayEndless:   {421, code(4, 7, 0), "%h Command line without end, closing connection"},
		sayIdle:      {421, code(4, 4, 2), "%h Connection timed out"},
		saySlow:      {421, code(4, 4, 2), "%h Connection timed out, data too slow"},
		sayStopped:   {421, code(4, 3, 2), "%h Service not available, closing transmission channel"},
		sayFault:     {421, code(4, 3, 0), "%h Local error in processing, closing transmission channel"},

		sayStrayEnds: {550, code(5, 5, 2), "Bare CR or LF in message"},
		sayNUL:       {550, code(5, 6, 0), "NUL octet in message"},
		sayLongText:  {554, code(5, 6, 0), "Text line too long"},
	},
}

func code(class, subject, detail uint16) mail.EnhancedCode {
	return mail.Enhanced(class, subject, detail)
}

// phrase returns what a text is in a voice.
func phrase(v Voice, t text) *line {
	if v == Classic {
		if l := &voices[Classic][t]; l.code != 0 {
			return l
		}
	}
	return &voices[Plain][t]
}

// maxEcho bounds how much of an argument comes back in a reply, so that its line keeps to the
// 512 octets of RFC 5321 §4.5.3.1.5.
const maxEcho = 255

// appendReply appends the wire form of r.
func (s *session) appendReply(dst []byte, r *reply) []byte {
	if r.text == sayNothing {
		if r.raw.Code == 0 {
			return dst
		}
		return r.raw.AppendTo(dst)
	}
	l := phrase(s.o.Voice, r.text)
	dst = strconv.AppendInt(dst, int64(l.code), 10)
	dst = append(dst, ' ')
	if !l.enhanced.IsZero() {
		dst = appendEnhanced(dst, l.enhanced)
		dst = append(dst, ' ')
	}
	words := l.words
	for i := 0; i < len(words); i++ {
		if words[i] != '%' {
			dst = append(dst, words[i])
			continue
		}
		i++
		dst = s.appendValue(dst, words[i], r)
	}
	return append(dst, '\r', '\n')
}

func (s *session) appendValue(dst []byte, what byte, r *reply) []byte {
	switch what {
	case 'h':
		return append(dst, s.o.fqdn()...)
	case 's':
		return appendEcho(dst, r.arg, r.utf8 || s.trade.sender.UTF8)
	case 'n':
		return strconv.AppendInt(dst, r.number, 10)
	case 'i':
		return r.id.AppendTo(dst)
	case 'a':
		if r.addr.IsNull() {
			return append(dst, "<>"...)
		}
		return appendAddress(dst, r.addr)
	default: // 'p'
		dst = append(dst, '<')
		dst = appendAddress(dst, r.addr)
		return append(dst, '>')
	}
}

// appendAddress appends an address. Parsed addresses hold no control octets.
func appendAddress(dst []byte, a mail.Address) []byte {
	dst = append(dst, a.Local...)
	if a.Domain != "" {
		dst = append(dst, '@')
		dst = append(dst, a.Domain...)
	}
	return dst
}

// appendEcho appends what a client sent, at most maxEcho octets, with "?" for control octets
// and, unless utf8 is set (RFC 6531 §3.7.4), for octets above 127.
func appendEcho(dst []byte, arg string, utf8 bool) []byte {
	for i := range min(len(arg), maxEcho) {
		c := arg[i]
		if c < ' ' || c == 0x7f || c > 0x7f && !utf8 {
			c = '?'
		}
		dst = append(dst, c)
	}
	return dst
}

func appendEnhanced(dst []byte, e mail.EnhancedCode) []byte {
	dst = strconv.AppendUint(dst, uint64(e.Class), 10)
	dst = append(dst, '.')
	dst = strconv.AppendUint(dst, uint64(e.Subject), 10)
	dst = append(dst, '.')
	return strconv.AppendUint(dst, uint64(e.Detail), 10)
}
