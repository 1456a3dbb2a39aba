package smtpclient

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/smtp"
)

// Greet waits for the server's banner. Any but a 220 is an Error with that reply.
func (c *Conn) Greet() error {
	reply, err := c.read("greeting", waitGreeting)
	if err != nil {
		return err
	}
	if reply.Code != 220 {
		return c.refused("greeting", reply)
	}
	return nil
}

// Hello sends EHLO, and HELO if the server does not know that (RFC 5321 §3.2), and notes what
// is offered.
func (c *Conn) Hello() error {
	c.offers = smtp.Offers{}
	if !c.o.UseHELO {
		reply, err := c.command("EHLO", c.o.FQDN)
		if err != nil {
			return err
		}
		switch {
		case reply.Code == 250:
			c.offers = smtp.ParseOffers(reply)
			return nil
		case !reply.Permanent() || c.tls != nil:
			// Whoever has spoken EHLO before STARTTLS knows it after.
			return c.refused("EHLO", reply)
		}
	}
	reply, err := c.command("HELO", c.o.FQDN)
	if err != nil {
		return err
	}
	if reply.Code != 250 {
		return c.refused("HELO", reply)
	}
	return nil
}

// TLS says how StartTLS judges.
type TLS struct {
	// Config is cloned. ServerName, if empty, is set to Host; verification is ours.
	Config *tls.Config
	// Host is the name (or address) that the certificate should be valid for.
	Host string
	// Verify makes a certificate that is not valid for Host an error.
	Verify bool
}

// StartTLS upgrades the connection (RFC 3207) and says EHLO anew: all that was known before is
// forgotten. The Error has ErrNoTLS as its cause if STARTTLS is not offered, which leaves the
// connection as it was; a reply other than 220 does that, too. After any other error the
// connection is past use.
func (c *Conn) StartTLS(t *TLS) error {
	if !c.offers.StartTLS || c.tls != nil {
		return &Error{Phase: "STARTTLS", Err: ErrNoTLS}
	}
	reply, err := c.command("STARTTLS", "")
	if err != nil {
		return err
	}
	if reply.Code != 220 {
		return &Error{Phase: "STARTTLS", Reply: reply}
	}
	if c.rr.Buffered() > 0 { // bad input C4: it came in plain text, from whomever
		return c.fail("STARTTLS", errInjected)
	}
	if err := c.handshake(t); err != nil {
		return err
	}
	return c.Hello()
}

func (c *Conn) handshake(t *TLS) error {
	cfg := &tls.Config{}
	if t.Config != nil {
		cfg = t.Config.Clone()
	}
	if cfg.ServerName == "" {
		cfg.ServerName = t.Host
	}
	roots := cfg.RootCAs
	cfg.InsecureSkipVerify = true // VerifyConnection judges, also for resumed sessions
	var untrusted error
	cfg.VerifyConnection = func(state tls.ConnectionState) error {
		if t.Verify {
			untrusted = verify(&state, t.Host, roots)
		}
		return untrusted
	}
	tc := tls.Client(c.nc, cfg)
	_ = c.nc.SetDeadline(time.Now().Add(c.wait(waitHandshake)))
	if c.aborted.Load() {
		return c.fail("STARTTLS", errAborted)
	}
	err := tc.Handshake()
	switch {
	case untrusted != nil:
		return c.fail("STARTTLS", fmt.Errorf("%w: %w", ErrCertificate, untrusted))
	case err != nil:
		return c.fail("STARTTLS", fmt.Errorf("%w: %w", ErrHandshake, err))
	}
	c.nc = tc
	c.rr.Reset(tc)
	c.setTLS(tc, t.Host, roots)
	return nil
}

var errNoCertificate = errors.New("the server showed no certificate")

// verify judges the server's certificate as crypto/tls would have done.
func verify(state *tls.ConnectionState, host string, roots *x509.CertPool) error {
	if len(state.PeerCertificates) == 0 {
		return errNoCertificate
	}
	o := x509.VerifyOptions{DNSName: host, Roots: roots, Intermediates: x509.NewCertPool()}
	for _, cert := range state.PeerCertificates[1:] {
		o.Intermediates.AddCert(cert)
	}
	_, err := state.PeerCertificates[0].Verify(o)
	return err
}

func tlsVersion(v uint16) string {
	switch v {
	case tls.VersionTLS13:
		return "TLS1.3"
	case tls.VersionTLS12:
		return "TLS1.2"
	case tls.VersionTLS11:
		return "TLS1.1"
	case tls.VersionTLS10:
		return "TLS1.0"
	}
	return fmt.Sprintf("TLS 0x%04x", v)
}

// command sends one command and reads its reply.
func (c *Conn) command(verb, arg string) (mail.Reply, *Error) {
	c.out = append(c.out[:0], verb...)
	if arg != "" {
		c.out = append(append(c.out, ' '), arg...)
	}
	c.out = append(c.out, '\r', '\n')
	if err := c.flush(verb); err != nil {
		return mail.Reply{}, err
	}
	c.recordCommand(verb, arg)
	return c.read(verb, waitCommand)
}

// refused makes the server's no to a greeting or hello the end of the connection.
func (c *Conn) refused(phase string, reply mail.Reply) *Error {
	e := &Error{Phase: phase, Reply: reply}
	if reply.Positive() { // a yes of the wrong kind
		e.Err = fmt.Errorf("%w: %d was not expected", smtp.ErrProtocol, reply.Code)
	}
	if c.bad == nil && e.Err != nil {
		c.bad = e
	}
	return e
}
