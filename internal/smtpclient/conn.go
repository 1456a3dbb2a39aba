package smtpclient

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/smtp"
)

// The longest waits of RFC 5321 §4.5.3.2 and, for what it does not name, ours. Options.Timeout
// is a cap on each.
const (
	waitGreeting  = 5 * time.Minute
	waitCommand   = 5 * time.Minute // EHLO, MAIL, RCPT, RSET, STARTTLS
	waitData      = 2 * time.Minute // the reply to DATA
	waitBlock     = 3 * time.Minute // one write
	waitEnd       = 10 * time.Minute
	waitHandshake = 2 * time.Minute
	waitQuit      = 5 * time.Second // nothing depends on the answer
	waitLate      = 2 * time.Second // for what a server said before it closed on us
)

// Options says how a Conn speaks. It is not changed and may be shared.
type Options struct {
	// FQDN is our name in EHLO; "localhost" if empty.
	FQDN string
	// UseHELO sends HELO at once, so that no extension is used, STARTTLS included.
	UseHELO bool
	// Timeout caps each wait for a reply, and each write; 0 leaves the time-outs of RFC 5321
	// §4.5.3.2.
	Timeout time.Duration
	// Record, if set, is told each command that is sent and each response. The Exchange is
	// lent: it is used again after Record returns.
	Record func(*mail.Exchange)
	// ID is the number of the connection in records.
	ID uint64
	// Start is when the connection began (before the dial); zero: when New is called.
	Start time.Time
}

// Conn is one connection to a server. It belongs to one goroutine at a time; only Abort may
// be called from others. Like those of a net.Conn its waits have deadlines, not contexts.
type Conn struct {
	o      Options
	nc     net.Conn
	rr     smtp.ReplyReader
	offers smtp.Offers
	tls    *mail.TLSInfo
	host   string         // that the certificate should be valid for
	roots  *x509.CertPool // nil: the system's

	out     []byte // the flight, reused
	pending []step // the replies that the flight will bring
	text    text
	ex      mail.Exchange
	took    time.Duration // of the last response, since the start
	mails   int           // transactions begun
	rset    bool          // a transaction is open in the server: RSET goes before the next MAIL
	bad     *Error        // why the connection is of no use any more
	aborted atomic.Bool
}

// New makes a Conn of an established connection in plain text. It does no I/O: Greet comes
// next.
func New(nc net.Conn, o *Options) *Conn {
	c := &Conn{o: *o, nc: nc}
	if c.o.FQDN == "" {
		c.o.FQDN = "localhost"
	}
	if c.o.Start.IsZero() {
		c.o.Start = time.Now()
	}
	c.rr.Reset(nc)
	c.ex.Conn = c.o.ID
	c.ex.Remote = mail.AddrPortOf(nc.RemoteAddr())
	c.ex.Local = mail.AddrPortOf(nc.LocalAddr())
	return c
}

// Offers returns what the server offered in its last reply to EHLO.
func (c *Conn) Offers() *smtp.Offers { return &c.offers }

// TLS describes the channel, nil for plain text.
func (c *Conn) TLS() *mail.TLSInfo { return c.tls }

// Trusted reports whether the channel is TLS and the server's certificate is valid for its
// host, whether or not that was demanded. It verifies the certificate, which takes a while.
func (c *Conn) Trusted() bool {
	tc, ok := c.nc.(*tls.Conn)
	if !ok || c.host == "" {
		return false
	}
	state := tc.ConnectionState()
	return verify(&state, c.host, c.roots) == nil
}

// Remote returns the server's address, zero if it is not TCP.
func (c *Conn) Remote() netip.AddrPort { return c.ex.Remote }

// Used returns the number of transactions begun.
func (c *Conn) Used() int { return c.mails }

// Reusable reports whether a further transaction may be sent: all that was heard so far made
// sense, and the server's MAILMAX (RFC 9422) is not reached.
func (c *Conn) Reusable() bool {
	return c.bad == nil && !c.aborted.Load() && (c.offers.MailMax == 0 || c.mails < c.offers.MailMax)
}

// Abort ends all that waits on the connection, from any goroutine.
func (c *Conn) Abort() {
	c.aborted.Store(true)
	_ = c.nc.SetDeadline(time.Unix(1, 0))
}

// Close ends the connection without a word.
func (c *Conn) Close() {
	if c.bad == nil {
		c.bad = &Error{Phase: "QUIT", Err: net.ErrClosed}
	}
	c.end()
}

// end closes the socket. A TLS connection that is past use is not given the time for its
// close_notify.
func (c *Conn) end() {
	if tc, ok := c.nc.(*tls.Conn); ok && c.aborted.Load() {
		_ = tc.NetConn().Close()
		return
	}
	_ = c.nc.SetDeadline(time.Now().Add(waitQuit))
	_ = c.nc.Close()
}

// Quit sends QUIT if the server still listens, waits shortly for the answer, and closes. What
// it answers changes nothing (bad input C2).
func (c *Conn) Quit() {
	if c.bad == nil {
		c.out = append(c.out[:0], "QUIT\r\n"...)
		if c.flush("QUIT") == nil {
			c.recordCommand("QUIT", "")
			_, _ = c.read("QUIT", waitQuit)
		}
	}
	c.Close()
}

// wait returns the deadline of a phase.
func (c *Conn) wait(phase time.Duration) time.Duration {
	if c.o.Timeout > 0 && c.o.Timeout < phase {
		return c.o.Timeout
	}
	return phase
}

// flush writes the flight.
func (c *Conn) flush(phase string) *Error {
	if _, err := c.write(c.out); err != nil {
		return c.fail(phase, err)
	}
	return nil
}

// write writes p with a deadline.
func (c *Conn) write(p []byte) (int, error) {
	_ = c.nc.SetWriteDeadline(time.Now().Add(c.wait(waitBlock)))
	if c.aborted.Load() { // Abort's deadline may just have been overwritten
		return 0, errAborted
	}
	return c.nc.Write(p)
}

// read reads one reply, all of it within the time of its phase.
func (c *Conn) read(phase string, wait time.Duration) (mail.Reply, *Error) {
	_ = c.nc.SetReadDeadline(time.Now().Add(c.wait(wait)))
	if c.aborted.Load() {
		return mail.Reply{}, c.fail(phase, errAborted)
	}
	reply, err := c.rr.Read()
	if err != nil {
		c.recordSilence(err)
		return mail.Reply{}, c.fail(phase, err)
	}
	c.recordResponse(&reply)
	if reply.Code == 421 { // the server closes (RFC 5321 §3.8)
		c.bad = &Error{Phase: phase, Reply: reply}
	}
	return reply, nil
}

// fail marks the connection as past use.
func (c *Conn) fail(phase string, err error) *Error {
	e := &Error{Phase: phase, Err: err}
	if c.aborted.Load() {
		e.Err = errAborted
	}
	if c.bad == nil {
		c.bad = e
	}
	return e
}

func (c *Conn) setTLS(tc *tls.Conn, host string, roots *x509.CertPool) {
	state := tc.ConnectionState()
	c.tls = &mail.TLSInfo{Version: tlsVersion(state.Version), Cipher: tls.CipherSuiteName(state.CipherSuite)}
	c.host, c.roots = host, roots
}
