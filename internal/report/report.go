package report

import (
	"bufio"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io"
	"strings"
	"time"

	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/message"
)

// Kind says what a report tells (the Action field of RFC 3464 §2.3.3).
type Kind uint8

// The kinds of report.
const (
	Failure Kind = iota + 1 // given up
	Delay                   // not yet delivered, still being tried
	Success                 // delivered into a mailbox or folder
	Relayed                 // handed to a server that makes no such reports
)

// Options say who reports and how much it returns.
type Options struct {
	FQDN string       // of this server, for Reporting-MTA
	From mail.Address // the author: postmaster at the default domain
	// MaxOriginal is the size in octets up to which a report of failure returns the whole
	// message; above it only its header. 0: always the header only.
	MaxOriginal int64
}

// Report is what one report tells, of one message and one or more of its recipients.
type Report struct {
	Kind    Kind
	Env     *mail.Envelope // the message reported on
	Results []mail.Result  // one for each recipient that is reported on, of the last attempt
	// Body is the stored message, Env.Content.Size octets long; nil: it is not available and
	// the report returns nothing of it.
	Body io.ReaderAt
	Time time.Time // of the report, in the zone that is to be shown

	// RetryUntil is when delivery will be given up, in a Delay; zero: not known.
	RetryUntil time.Time
	// MessageID is the report's own, with angle brackets; "" leaves it to intake.
	MessageID string
	// Boundary separates the parts; "" takes 128 random bits, chosen after the content, so
	// that no content can hold it but by a chance that is none.
	Boundary string
}

// ErrNullSender is returned by Compose for a message without a sender: there is nobody to
// report to, and a report on a report must not be (RFC 5321 §6.1).
var ErrNullSender = errors.New("report: the message has a null reverse-path")

var errNothing = errors.New("report: no results to report on")

// Wanted reports whether a recipient's NOTIFY asks for a report of kind k (RFC 3461 §4.1).
// Without NOTIFY failure and delay are reported.
func Wanted(k Kind, n mail.Notify) bool {
	switch {
	case n == 0:
		return k == Failure || k == Delay
	case n&mail.NotifyNever != 0:
		return false
	case k == Failure:
		return n&mail.NotifyFailure != 0
	case k == Delay:
		return n&mail.NotifyDelay != 0
	}
	return n&mail.NotifySuccess != 0
}

// NeedsUTF8 reports whether the report must travel with SMTPUTF8: the sender used it and an
// address or the header reported on is not ASCII (RFC 6533 §3).
func NeedsUTF8(r *Report) bool {
	if !r.Env.Sender.UTF8 {
		return false
	}
	if r.Env.Content.UTF8 || !isASCII(r.Env.Sender.Addr.String()) {
		return true
	}
	for i := range r.Results {
		if !isASCII(r.recipient(i).Addr.String()) {
			return true
		}
	}
	return false
}

// recipient returns the recipient that result i speaks of.
func (r *Report) recipient(i int) *mail.Recipient { return &r.Env.Recipients[r.Results[i].Rcpt] }

// Compose writes the report as a message with CRLF line ends. Memory does not grow with the
// size of the original. The error is ErrNullSender, the body's or w's.
func Compose(w io.Writer, o *Options, r *Report) error {
	if r.Env.Sender.Addr.IsNull() {
		return ErrNullSender
	}
	if len(r.Results) == 0 {
		return errNothing
	}
	c := &composer{Writer: bufio.NewWriterSize(w, 32<<10), o: o, r: r, utf8: NeedsUTF8(r)}
	if c.boundary = r.Boundary; c.boundary == "" {
		var b [16]byte
		if _, err := rand.Read(b[:]); err != nil {
			return err
		}
		c.boundary = "=_" + hex.EncodeToString(b[:])
	}
	c.chooseOriginal()
	c.header()
	c.text()
	c.status()
	if err := c.original(); err != nil {
		return err
	}
	c.put("\r\n--", c.boundary, "--\r\n")
	return c.Flush()
}

// composer writes one report. Write errors stay in the bufio.Writer until Flush.
type composer struct {
	*bufio.Writer
	o        *Options
	r        *Report
	utf8     bool // SMTPUTF8
	boundary string

	whole bool  // the third part is the whole message
	take  int64 // octets of it that are returned
	eight bool  // they may hold octets above 127
}

func (c *composer) put(parts ...string) {
	for _, s := range parts {
		_, _ = c.WriteString(s) // the error is Flush's
	}
}

func (c *composer) header() {
	r := c.r
	c.put("From: <", c.safe(c.o.From.String()), ">\r\n")
	c.put("To: <", c.safe(r.Env.Sender.Addr.String()), ">\r\n")
	c.put("Subject: Delivery Status Notification (", r.Kind.title(), ")\r\n")
	c.put("Date: ", date(r.Time), "\r\n")
	if r.MessageID != "" {
		c.put("Message-ID: ", r.MessageID, "\r\n")
	}
	if id := r.Env.Content.MessageID; isMessageID(id) {
		c.put("In-Reply-To: ", id, "\r\nReferences: ", id, "\r\n")
	}
	// RFC 3834 §5: "auto-replied" may stand in a DSN, "auto-generated" must not.
	c.put("Auto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n")
	if c.eight || c.utf8 {
		c.put("Content-Transfer-Encoding: 8bit\r\n")
	}
	c.put("Content-Type: multipart/report; report-type=delivery-status;\r\n\tboundary=\"", c.boundary, "\"\r\n\r\n")
	c.put("This is a delivery status notification in MIME format (RFC 3464).\r\n")
}

// part begins a part; fields are its header fields without line ends.
func (c *composer) part(fields ...string) {
	c.put("\r\n--", c.boundary, "\r\n")
	for _, f := range fields {
		c.put(f, "\r\n")
	}
	c.put("\r\n")
}

func (k Kind) title() string {
	switch k {
	case Delay:
		return "Delay"
	case Success:
		return "Success"
	case Relayed:
		return "Relay"
	}
	return "Failure"
}

func date(t time.Time) string { return string(message.AppendDate(nil, t)) }

// isMessageID reports whether s can be repeated in a header of ours.
func isMessageID(s string) bool {
	if len(s) < 3 || len(s) > 250 || s[0] != '<' || s[len(s)-1] != '>' {
		return false
	}
	for i := 1; i < len(s)-1; i++ {
		if c := s[i]; c <= ' ' || c >= 0x7f || c == '<' || c == '>' {
			return false
		}
	}
	return true
}

func isASCII(s string) bool {
	return strings.IndexFunc(s, func(c rune) bool { return c >= 0x80 }) < 0
}
