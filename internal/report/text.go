package report

import (
	"mime"
	"mime/quotedprintable"
	"strings"

	"github.com/mailroot/mailroot/internal/mail"
)

// maxQuoted caps what a server said, in octets, and maxSubject the subject.
const (
	maxQuoted  = 1000
	maxSubject = 200
)

// text writes the part that a person reads.
func (c *composer) text() {
	var b strings.Builder
	c.words(&b)
	s := b.String()
	if isASCII(s) {
		c.part("Content-Type: text/plain; charset=us-ascii", "Content-Language: en")
		c.put(s)
		return
	}
	c.part("Content-Type: text/plain; charset=utf-8", "Content-Language: en", "Content-Transfer-Encoding: quoted-printable")
	q := quotedprintable.NewWriter(c.Writer)
	_, _ = q.Write([]byte(s))
	_ = q.Close() // errors are those of c.Writer, which Flush returns
}

func (c *composer) words(b *strings.Builder) {
	r := c.r
	paragraph(b, "This is the mail server "+escape(c.o.FQDN, false, 255)+". "+intro(r.Kind, len(r.Results)), "")
	b.WriteString("\r\n")
	if s := subject(r.Env.Content.Subject); s != "" {
		b.WriteString("    Subject:    " + s + "\r\n")
	}
	b.WriteString("    Received:   " + date(r.Env.Arrived.In(r.Time.Location())) + "\r\n")
	if id := r.Env.Content.MessageID; isMessageID(id) {
		b.WriteString("    Message-ID: " + id + "\r\n")
	}
	b.WriteString("    Queue ID:   " + r.Env.ID.String() + "\r\n")
	for i := range r.Results {
		c.recipientWords(b, &r.Results[i], r.recipient(i))
	}
	if r.Kind == Delay && !r.RetryUntil.IsZero() {
		b.WriteString("\r\n")
		paragraph(b, "Delivery will be tried until "+date(r.RetryUntil.In(r.Time.Location()))+".", "")
	}
	if r.Kind == Failure || r.Kind == Delay {
		b.WriteString("\r\n")
		paragraph(b, "If you need help, send this report to "+escape(c.o.From.String(), true, maxField)+".", "")
	}
}

func intro(k Kind, n int) string {
	to := "this recipient"
	if n > 1 {
		to = "these recipients"
	}
	switch k {
	case Delay:
		return "Your message has not yet been delivered to " + to + ". You need not send it again: it is still being tried."
	case Success:
		return "Your message has been delivered to " + to + "."
	case Relayed:
		return "Your message has been handed to a mail server that makes no reports of success. You will hear from it only if delivery fails."
	}
	return "Your message could not be delivered to " + to + ". It will not be tried again."
}

func (c *composer) recipientWords(b *strings.Builder, res *mail.Result, to *mail.Recipient) {
	b.WriteString("\r\n" + escape(to.Addr.String(), true, maxField) + "\r\n")
	if _, orig, _ := strings.Cut(originalRecipient(to.ORcpt), "; "); orig != "" && orig != to.Addr.String() {
		b.WriteString("    (sent to " + escape(orig, true, maxField) + ")\r\n")
	}
	if c.r.Kind == Failure || c.r.Kind == Delay {
		why, do := explain(res)
		b.WriteString("\r\n")
		paragraph(b, why, "    ")
		if c.r.Kind == Failure {
			paragraph(b, do, "    ")
		}
	}
	if res.MayRepeat {
		paragraph(b, "The connection was lost at the end of the message, so the recipient may have got it all the same.", "    ")
	}
	if res.Reply.IsZero() {
		return
	}
	b.WriteString("\r\n")
	switch {
	case res.Ours && res.Host != "":
		paragraph(b, "While asking "+escape(res.Host, false, 255)+":", "    ")
	case res.Ours:
		b.WriteString("    In short:\r\n")
	case res.Host != "":
		paragraph(b, "The mail server "+escape(res.Host, false, 255)+" said:", "    ")
	default:
		b.WriteString("    The mail server said:\r\n")
	}
	quote(b, res.Reply)
}

// quote writes a reply, a line for each of its lines, indented so that it cannot pass for
// words of ours, and cut into lines that fit.
func quote(b *strings.Builder, r mail.Reply) {
	const indent, width = "        ", lineWidth - 8
	head := strings.TrimSuffix(oneLine(mail.Reply{Code: r.Code, Enhanced: r.Enhanced}), " ")
	text := r.Text
	if len(text) > maxQuoted {
		text = text[:maxQuoted] + " ..."
	}
	for i, line := range strings.Split(text, "\n") {
		line = escape(line, false, 5*maxQuoted)
		if i == 0 {
			line = strings.TrimRight(head+" "+line, " ")
		}
		for len(line) > width {
			cut := strings.LastIndexByte(line[:width+1], ' ')
			if cut <= 0 {
				cut = width
			}
			b.WriteString(indent + line[:cut] + "\r\n")
			line = strings.TrimLeft(line[cut:], " ")
		}
		b.WriteString(indent + line + "\r\n")
	}
}

// paragraph writes s in lines of at most lineWidth octets where its words allow.
func paragraph(b *strings.Builder, s, indent string) {
	col := 0
	for _, w := range strings.Fields(s) {
		switch {
		case col == 0:
			b.WriteString(indent)
			col = len(indent)
		case col+1+len(w) > lineWidth:
			b.WriteString("\r\n" + indent)
			col = len(indent)
		default:
			b.WriteByte(' ')
			col++
		}
		b.WriteString(w)
		col += len(w)
	}
	b.WriteString("\r\n")
}

// subject returns the subject as people wrote it, as far as its character set is known.
func subject(s string) string {
	if d, err := new(mime.WordDecoder).DecodeHeader(s); err == nil {
		s = d
	}
	return escape(s, true, maxSubject)
}
