package service

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/message"
	"github.com/mailroot/mailroot/internal/smtpclient"
)

// TestMessage is a message that the service sends to itself.
type TestMessage struct {
	Addr     string       // "127.0.0.1:25", a binding of ours
	From, To mail.Address // From is null for the null reverse-path
	Subject  string       // no control characters
	Text     string       // lines that end in CRLF
	// Implicit begins with TLS, StartTLS uses STARTTLS. The certificate is not judged: it is our own, and
	// the address is that of this host.
	Implicit, StartTLS bool
}

// TestSent is what came of a TestMessage.
type TestSent struct {
	Dialog    []string // "> " what was sent, "< " the replies
	Accepted  bool
	Reply     string // the decisive reply
	MessageID string

	unanswered []string // commands whose reply has not come
}

// SendTest sends a message to one of our own bindings as any client would. The error is of the
// connection; a refusal is in the result.
func (v *Server) SendTest(ctx context.Context, m TestMessage) (TestSent, error) {
	nc, err := v.dial(ctx, "tcp", m.Addr)
	if err != nil {
		return TestSent{}, err
	}
	var sent TestSent
	insecure := &tls.Config{InsecureSkipVerify: true, ServerName: v.FQDN()}
	if m.Implicit {
		tc := tls.Client(nc, insecure)
		if err := tc.HandshakeContext(ctx); err != nil {
			_ = nc.Close()
			return TestSent{}, err
		}
		nc = tc
	}
	timeout := time.Minute
	if d, ok := ctx.Deadline(); ok {
		timeout = time.Until(d)
	}
	c := smtpclient.New(nc, &smtpclient.Options{FQDN: v.FQDN(), Timeout: timeout, ID: v.nextConn(), Record: sent.record})
	defer c.Close()
	if err := c.Greet(); err != nil {
		return sent.refused(err)
	}
	if err := c.Hello(); err != nil {
		return sent.refused(err)
	}
	if m.StartTLS {
		if err := c.StartTLS(&smtpclient.TLS{Config: insecure, Host: v.FQDN()}); err != nil {
			return sent.refused(err)
		}
		if err := c.Hello(); err != nil {
			return sent.refused(err)
		}
	}
	env, body := m.compose(v.FQDN())
	sent.MessageID = env.Content.MessageID
	if r, ok := c.Fits(env, []int{0}); !ok {
		sent.Reply = r.String()
		return sent, nil
	}
	var out smtpclient.Outcome
	c.Send(&smtpclient.Transaction{Env: env, Rcpts: []int{0}, Body: body}, &out)
	switch {
	case out.Local != nil:
		return sent, out.Local
	case out.Err != nil:
		return sent.refused(out.Err)
	}
	decisive := out.Data
	if decisive.IsZero() && len(out.Rcpts) > 0 && !out.Rcpts[0].IsZero() {
		decisive = out.Rcpts[0]
	}
	if !out.Mail.Positive() {
		decisive = out.Mail
	}
	sent.Reply, sent.Accepted = decisive.String(), decisive.Code == 250 && out.Data.Code == 250
	c.Quit()
	return sent, nil
}

// refused turns an error of the connection that carries words of the server into a result.
func (s *TestSent) refused(err error) (TestSent, error) {
	s.Reply = err.Error()
	return *s, nil
}

// record makes the dialog of the exchanges, each reply behind its command although commands are sent
// together.
func (s *TestSent) record(x *mail.Exchange) {
	if x.Dir == mail.OutboundCommand {
		s.unanswered = append(s.unanswered, strings.TrimSpace("> "+x.Verb+" "+x.Arg))
		return
	}
	switch {
	case len(s.unanswered) > 0:
		s.Dialog = append(s.Dialog, s.unanswered[0])
		s.unanswered = s.unanswered[1:]
	case len(s.Dialog) > 0: // after 354 it is the message that is answered
		s.Dialog = append(s.Dialog, "> (the message)")
	}
	s.Dialog = append(s.Dialog, "< "+x.Arg)
}

// memoryBody is a message in memory.
type memoryBody struct{ *bytes.Reader }

func (b memoryBody) Size() int64 { return b.Reader.Size() }

// compose makes the message and the envelope that describes it.
func (m *TestMessage) compose(fqdn string) (*mail.Envelope, memoryBody) {
	var random [12]byte
	_, _ = rand.Read(random[:]) // never fails (crypto/rand)
	now := time.Now()
	id := "<test." + hex.EncodeToString(random[:]) + "@" + fqdn + ">"
	author := m.From
	if author.IsNull() { // From has somebody in it all the same (RFC 5322 §3.6.2)
		author = mail.Address{Local: "postmaster", Domain: fqdn}
	}
	head := fmt.Sprintf("From: <%s>\r\nTo: <%s>\r\nSubject: %s\r\nDate: %s\r\nMessage-ID: %s\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n",
		author, m.To, m.Subject, message.AppendDate(nil, now), id)
	all := []byte(head + m.Text)
	ascii := !bytes.ContainsFunc(all, func(r rune) bool { return r > 127 })
	env := &mail.Envelope{
		Sender:     mail.Sender{Addr: m.From, Size: int64(len(all)), UTF8: !ascii},
		Recipients: []mail.Recipient{{Addr: m.To}},
		Arrived:    now,
		Content: mail.Content{
			Size: int64(len(all)), HeaderLen: int64(len(head)), MessageID: id,
			EightBit: !ascii, UTF8: !ascii,
		},
	}
	if !ascii {
		env.Sender.Body = mail.Body8BitMIME
	}
	return env, memoryBody{bytes.NewReader(all)}
}
