package smtpclient

import (
	"fmt"
	"io"
	"time"

	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/smtp"
)

// Body is the message as it is to arrive: lines end with CRLF (unless it is binary) and are
// not dot-stuffed. If it also has a method
//
//	File() (f *os.File, off int64)
//
// whose f is not nil, its octets stand in f from off on, and large ones go straight from the
// file to the socket where the system can do that.
type Body interface {
	io.ReaderAt
	Size() int64
}

// Transaction is one message for some of its recipients.
type Transaction struct {
	Env   *mail.Envelope
	Rcpts []int // indexes into Env.Recipients, at least one
	Body  Body  // what Env.Content describes, edits may have been applied
}

// Outcome is what became of a transaction. Send fills it and reuses its slice.
type Outcome struct {
	Mail mail.Reply // to MAIL; zero if none came
	// Rcpts has the reply for each of Transaction.Rcpts; zero if none came or if it was not
	// asked for.
	Rcpts []mail.Reply
	// Asked is the number of recipients that were asked for, the first ones. It is smaller
	// than their number where the server has a limit (RFC 9422).
	Asked int
	// Data is the reply to the end of data, or to DATA if that was refused; zero if none came,
	// or if no recipient was accepted.
	Data mail.Reply
	// Answered is set when the server answered anything to this transaction but 421.
	Answered bool
	// Sent is set when the end of data has been handed to the network: the server may have
	// the message. Data says so for sure.
	Sent bool
	// Err is why the connection is past use, nil if it is not. What was answered before
	// stands.
	Err *Error
	// Local is an error on our side: the body cannot be read, or an address would break its
	// command line. Nothing of the message was delivered.
	Local error
}

// step is the kind of a command whose reply is awaited.
type step uint8

const (
	stepRset step = iota
	stepMail
	stepRcpt
	stepData
)

func (s step) verb() string { return [...]string{"RSET", "MAIL", "RCPT", "DATA"}[s] }

// A flight is cut at this many octets, so that its replies, which are not read while it is
// written, fit into the buffers between us and the server (RFC 2920 §3.1).
const maxFlight = 16 << 10

// Fits reports whether the server can take the message as it is, and otherwise the permanent
// reply, ours, that says why not. Another server of the next hop may (bad input E17).
//
// 8-bit text goes to servers without 8BITMIME as it is, as the original service does: RFC
// 6152 would have it returned or re-encoded, which breaks signatures, and there is hardly a
// server left that strips the eighth bit.
func (c *Conn) Fits(env *mail.Envelope, rcpts []int) (mail.Reply, bool) {
	if address, header := utf8Needs(env, rcpts); (address || header) && !c.offers.UTF8 {
		if address {
			return mail.NewReply(553, mail.Enhanced(5, 6, 7), "The server does not offer SMTPUTF8, which an address of this message needs"), false
		}
		return mail.NewReply(554, mail.Enhanced(5, 6, 9), "The server does not offer SMTPUTF8, which the header of this message needs"), false
	}
	if env.Content.Bare && env.Sender.Body == mail.BodyBinaryMIME && !c.binary() {
		return mail.NewReply(554, mail.Enhanced(5, 6, 3), "The message is binary and the server does not offer BINARYMIME"), false
	}
	if env.Sender.RequireTLS && (!c.offers.RequireTLS || !c.Trusted()) {
		return mail.NewReply(550, mail.Enhanced(5, 7, 30), "REQUIRETLS support required"), false
	}
	return mail.Reply{}, true
}

func (c *Conn) binary() bool { return c.offers.Chunking && c.offers.Binary }

// utf8Needs reports whether a message needs SMTPUTF8 for an address, or for its header. A
// header with 8-bit octets needs it only if it came with SMTPUTF8: old programs send such
// headers without, and they always got through.
func utf8Needs(env *mail.Envelope, rcpts []int) (address, header bool) {
	address = !ascii(env.Sender.Addr)
	for _, i := range rcpts {
		address = address || !ascii(env.Recipients[i].Addr)
	}
	return address, env.Sender.UTF8 && env.Content.UTF8
}

func ascii(a mail.Address) bool {
	for i := range len(a.Local) {
		if a.Local[i] >= 0x80 {
			return false
		}
	}
	for i := range len(a.Domain) {
		if a.Domain[i] >= 0x80 {
			return false
		}
	}
	return true
}

// Send runs one transaction, for which Fits said yes. It returns when the server has answered
// for each recipient and the data, or the connection is past use. A transaction that the
// server refused leaves the connection usable.
func (c *Conn) Send(t *Transaction, r *Outcome) {
	*r = Outcome{Rcpts: append(r.Rcpts[:0], make([]mail.Reply, len(t.Rcpts))...), Asked: c.allowed(t)}
	if c.bad != nil {
		r.Err = c.bad
		return
	}
	c.mails++
	text := &c.text
	text.set(t, c.binary())
	defer text.free()
	if r.Local = text.prepare(); r.Local != nil {
		return
	}
	r.Err, r.Local = c.envelope(t, r, text)
	if r.Err != nil || r.Local != nil {
		return
	}
	switch accepted := r.accepted(); {
	case r.Data.Code == 354 && accepted == 0: // bad input C2
		r.Data = mail.Reply{}
		r.Err = c.emptyData()
	case r.Data.Code == 354, text.bdat && accepted > 0:
		r.Data = mail.Reply{}
		c.sendText(text, r)
	case accepted == 0:
		r.Data = mail.Reply{} // "no valid recipients": the refusals say it better
	}
}

// accepted counts the recipients for whom the message is wanted: none after a no to MAIL, whatever a broken server
// says to RCPT.
func (r *Outcome) accepted() (n int) {
	if r.mailRefused() {
		return 0
	}
	for i := range r.Rcpts {
		if r.Rcpts[i].Positive() {
			n++
		}
	}
	return n
}

// allowed returns how many of the recipients the server takes in one transaction.
func (c *Conn) allowed(t *Transaction) int {
	n := len(t.Rcpts)
	if c.offers.RcptMax > 0 {
		n = min(n, c.offers.RcptMax)
	}
	if c.offers.RcptDomainMax == 0 {
		return n
	}
	var domains []string
next:
	for i, k := range t.Rcpts[:n] {
		domain := t.Env.Recipients[k].Addr.Domain
		for _, d := range domains {
			if mail.EqualFoldASCII(d, domain) {
				continue next
			}
		}
		if len(domains) == c.offers.RcptDomainMax {
			return i
		}
		domains = append(domains, domain)
	}
	return n
}

// envelope sends all up to DATA and reads the replies. Without PIPELINING each command waits
// for the reply to the one before.
func (c *Conn) envelope(t *Transaction, r *Outcome, text *text) (*Error, error) {
	c.out, c.pending = c.out[:0], c.pending[:0]
	if c.rset {
		c.out = append(c.out, "RSET\r\n"...)
		c.pending = append(c.pending, stepRset)
		c.rset = false
	}
	if err := c.ready(r); err != nil {
		return err, nil
	}
	var bad error
	params := c.mailParams(t, text)
	if c.out, bad = smtp.AppendMail(c.out, t.Env.Sender.Addr, &params); bad != nil {
		c.rset = true // RSET may have been in the flight that is not sent
		return nil, unsafeAddress(bad)
	}
	c.pending = append(c.pending, stepMail)
	for _, i := range t.Rcpts[:r.Asked] {
		if err := c.ready(r); err != nil || r.mailRefused() {
			return err, nil
		}
		if c.out, bad = smtp.AppendRcpt(c.out, &t.Env.Recipients[i], c.offers.DSN); bad != nil {
			c.rset = true
			return nil, unsafeAddress(bad)
		}
		c.pending = append(c.pending, stepRcpt)
	}
	if text.bdat {
		return c.exchange(r), nil
	}
	if err := c.ready(r); err != nil || len(c.pending) == 0 && r.accepted() == 0 {
		return err, nil
	}
	c.out = append(c.out, "DATA\r\n"...)
	c.pending = append(c.pending, stepData)
	return c.exchange(r), nil
}

func (r *Outcome) mailRefused() bool { return !r.Mail.IsZero() && !r.Mail.Positive() }

func unsafeAddress(err error) error {
	return mail.Fail(553, mail.Enhanced(5, 1, 3), "An address of this message cannot be sent", err)
}

// ready makes room for the next command: what is in the flight is sent and answered if it
// must go before.
func (c *Conn) ready(r *Outcome) *Error {
	if len(c.pending) > 0 && !c.offers.Pipelining || len(c.out) > maxFlight {
		return c.exchange(r)
	}
	return nil
}

// exchange sends the flight and reads its replies.
func (c *Conn) exchange(r *Outcome) *Error {
	if len(c.pending) == 0 {
		return nil
	}
	if err := c.flush(c.pending[0].verb()); err != nil {
		return c.late(err)
	}
	c.recordFlight()
	for _, s := range c.pending {
		wait := waitCommand
		if s == stepData {
			wait = waitData
		}
		reply, err := c.read(s.verb(), wait)
		if err != nil {
			return err
		}
		if reply.Code == 421 {
			return c.bad
		}
		r.Answered = true
		if err := c.answered(s, reply, r); err != nil {
			return err
		}
	}
	c.out, c.pending = c.out[:0], c.pending[:0]
	return nil
}

// answered notes one reply in r.
func (c *Conn) answered(s step, reply mail.Reply, r *Outcome) *Error {
	good := reply.Code/100 == 2
	if s == stepData {
		good = reply.Code == 354
	}
	if reply.Positive() && !good || s == stepRset && !good {
		return c.fail(s.verb(), fmt.Errorf("%w: %d was not expected", smtp.ErrProtocol, reply.Code))
	}
	switch s {
	case stepMail:
		r.Mail = reply
		c.rset = good
	case stepRcpt:
		c.rset = c.rset || good // also without MAIL
		i := 0
		for !r.Rcpts[i].IsZero() {
			i++
		}
		r.Rcpts[i] = reply
	case stepData:
		r.Data = reply
	}
	return nil
}

// mailParams chooses the parameters of MAIL.
func (c *Conn) mailParams(t *Transaction, text *text) smtp.MailParams {
	s := &t.Env.Sender
	p := smtp.MailParams{RequireTLS: s.RequireTLS}
	if c.offers.Size {
		p.Size = text.size
	}
	switch {
	case text.bdat:
		p.Body = "BINARYMIME"
	case c.offers.EightBit && (t.Env.Content.EightBit || t.Env.Content.UTF8 || s.Body != mail.Body7Bit):
		p.Body = "8BITMIME"
	}
	if c.offers.UTF8 {
		address, header := utf8Needs(t.Env, t.Rcpts)
		p.UTF8 = s.UTF8 || address || header
	}
	if c.offers.DSN {
		p.Ret, p.EnvID = s.Ret, s.EnvID
	}
	return p
}

// emptyData ends a DATA that the server wants though it took no recipient.
func (c *Conn) emptyData() *Error {
	c.out = append(c.out[:0], ".\r\n"...)
	if err := c.flush("DATA"); err != nil {
		return err
	}
	reply, err := c.read("end of data", waitEnd)
	switch {
	case err != nil:
		return err
	case reply.Positive():
		return c.fail("end of data", fmt.Errorf("%w: %d without a recipient", smtp.ErrProtocol, reply.Code))
	case reply.Code == 421:
		return c.bad
	}
	c.rset = false
	return nil
}

// late looks, after a write failed, for what the server said before it closed on us. Its word
// tells more than ours.
func (c *Conn) late(failed *Error) *Error {
	_ = c.nc.SetReadDeadline(time.Now().Add(waitLate))
	if c.aborted.Load() {
		return failed
	}
	reply, err := c.rr.Read()
	if err != nil || reply.Positive() {
		return failed
	}
	c.recordResponse(&reply)
	return &Error{Phase: failed.Phase, Reply: reply}
}
