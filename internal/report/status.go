package report

import (
	"strconv"
	"strings"

	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/smtp"
)

// status writes the machine-readable part (RFC 3464 §2, RFC 6533 §3).
func (c *composer) status() {
	r := c.r
	if c.utf8 {
		c.part("Content-Type: message/global-delivery-status", "Content-Transfer-Encoding: 8bit")
	} else {
		c.part("Content-Type: message/delivery-status")
	}
	if id := decodeXtext(r.Env.Sender.EnvID); id != "" {
		c.field("Original-Envelope-Id", id)
	}
	c.field("Reporting-MTA", "dns; "+c.o.FQDN)
	if r.Env.Helo != "" {
		c.field("Received-From-MTA", "dns; "+r.Env.Helo)
	} else if r.Env.Peer.IsValid() {
		c.field("Received-From-MTA", "dns; ["+r.Env.Peer.String()+"]")
	}
	c.field("Arrival-Date", date(r.Env.Arrived.In(r.Time.Location())))
	for i := range r.Results {
		c.put("\r\n")
		c.recipientStatus(&r.Results[i], r.recipient(i))
	}
}

func (c *composer) recipientStatus(res *mail.Result, to *mail.Recipient) {
	r := c.r
	if o := originalRecipient(to.ORcpt); o != "" {
		c.field("Original-Recipient", o)
	}
	typ := "rfc822; "
	if !isASCII(to.Addr.String()) {
		typ = "utf-8; "
	}
	c.field("Final-Recipient", typ+to.Addr.String())
	c.field("Action", r.Kind.action())
	c.field("Status", status(r.Kind, res.Reply).String())
	if res.Host != "" {
		c.field("Remote-MTA", "dns; "+res.Host)
	}
	if !res.Reply.IsZero() {
		typ = "smtp; "
		if res.Ours {
			typ = "X-Mailroot; " // no server said it
		}
		c.field("Diagnostic-Code", typ+oneLine(res.Reply))
	}
	if r.Kind != Delay { // a notice of delay comes at its time, not with an attempt
		c.field("Last-Attempt-Date", date(r.Time))
	}
	if r.Kind == Delay && !r.RetryUntil.IsZero() {
		c.field("Will-Retry-Until", date(r.RetryUntil.In(r.Time.Location())))
	}
}

func (k Kind) action() string {
	switch k {
	case Delay:
		return "delayed"
	case Success:
		return "delivered"
	case Relayed:
		return "relayed"
	}
	return "failed"
}

// status returns the status code of a result. A reply without one, or with one that
// contradicts the report, is reported by its class alone (RFC 3463 §3.1).
func status(k Kind, r mail.Reply) mail.EnhancedCode {
	class := r.Enhanced.Class
	switch k {
	case Success, Relayed:
		if class != 2 {
			return mail.Enhanced(2, 0, 0)
		}
	case Delay:
		if class != 4 {
			return mail.Enhanced(4, 0, 0)
		}
	default:
		if class != 4 && class != 5 {
			if r.Transient() {
				return mail.Enhanced(4, 0, 0)
			}
			return mail.Enhanced(5, 0, 0)
		}
	}
	return r.Enhanced
}

// oneLine returns a reply with its code on one line.
func oneLine(r mail.Reply) string {
	s := strconv.Itoa(r.Code) + " "
	if !r.Enhanced.IsZero() {
		s += r.Enhanced.String() + " "
	}
	return s + strings.ReplaceAll(r.Text, "\n", " ")
}

// originalRecipient returns the Original-Recipient field for an ORCPT parameter,
// "rfc822;user+2Bx@example.com", or "" without one (RFC 3464 §2.3.1).
func originalRecipient(orcpt string) string {
	typ, addr, ok := strings.Cut(orcpt, ";")
	if !ok {
		return ""
	}
	return typ + "; " + decodeXtext(addr)
}

// decodeXtext returns what s encodes, or s itself if it is not xtext.
func decodeXtext(s string) string {
	if d, ok := smtp.DecodeXtext(s); ok {
		return d
	}
	return s
}
