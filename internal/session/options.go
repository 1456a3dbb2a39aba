package session

import (
	"context"
	"crypto/tls"
	"net/netip"
	"time"

	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/smtp"
)

// Voice chooses the words of the replies.
type Voice uint8

// The voices.
const (
	// Classic uses the reply texts that clients of the original service know.
	Classic Voice = iota
	// Plain uses the codes of the current RFCs and short texts.
	Plain
)

// Policy answers questions about a client. It is asked, never told; it must not block for long
// and keeps neither argument.
type Policy interface {
	// Connect says whether the client may talk to us at all. It is asked before the banner.
	Connect(p *mail.Peer) mail.Decision
	// Relay says whether the client may send to the address, which may lack its domain: then
	// it is in our default domain. size is what the client says of the message's octets, 0 for
	// nothing (SIZE, RFC 1870 §5).
	Relay(p *mail.Peer, to mail.Address, size int64) mail.Decision
}

// Transaction is one mail transaction on its way into the spool. It is made by Options.Begin
// at MAIL and ends in exactly one call of Commit or Abort. An error that is or wraps a
// *mail.Error is told to the client; any other becomes 451 4.3.0.
type Transaction interface {
	// Sender returns the reverse-path after completion.
	Sender() mail.Address
	// Rcpt adds a recipient and returns its address after completion. An error refuses this
	// recipient; the transaction goes on.
	Rcpt(ctx context.Context, r mail.Recipient) (mail.Address, error)
	// Write takes octets of the message: dots unstuffed, all line ends CRLF unless the
	// sender declared BODY=BINARYMIME. It must not keep p. An error ends the transaction: Abort
	// is called, and the client is told at the end of its data.
	Write(p []byte) (int, error)
	// Commit makes the message durable. The client is told 250 only after it returned nil.
	Commit(ctx context.Context) (mail.Accepted, error)
	// Abort forgets the message.
	Abort()
}

// Options says how sessions behave. It is read only and shared by all sessions of a listener.
// Begin is required; every other field has a useful zero value.
type Options struct {
	// FQDN is our name in banner and replies; "localhost" if empty.
	FQDN string
	// Voice chooses the reply texts; Classic if zero.
	Voice Voice
	// Banner replaces the text behind the name in the banner; if empty it is
	// "ESMTP MAIL Service ready at" and the date.
	Banner string
	// Profile says how tolerant the grammar is; smtp.Internal if zero.
	Profile smtp.Profile

	// TLS is the configuration for STARTTLS and implicit TLS; nil: not offered. Session
	// tickets are always off: some clients fail on them, and nothing is won for short sessions.
	TLS *tls.Config
	// Implicit starts TLS before the banner.
	Implicit bool
	// RequireTLS answers 530 5.7.0 to anything but EHLO, NOOP, STARTTLS and QUIT in plain text.
	RequireTLS bool
	// HandshakeTimeout bounds a TLS handshake; 30 s if zero.
	HandshakeTimeout time.Duration

	// IdleTimeout is how long to wait for the next octet, and for the client to take our
	// replies; 600 s if zero.
	IdleTimeout time.Duration
	// MinRate is the lowest rate in octets per second at which message data may come, averaged
	// over 60 s of waiting for the client; 500 if zero, negative: none.
	MinRate int64
	// RateGrace is how long after the start of the data MinRate begins to count; 30 s if zero.
	RateGrace time.Duration
	// Grace is how long after the context's end an open transaction may take to finish; 20 s
	// if zero, negative: not at all. Whoever is still there when it is over gets 421 4.3.2.
	Grace time.Duration

	// MaxMessageSize is the preferred limit in octets; 0: none. It refuses messages only with
	// StrictSize.
	MaxMessageSize int64
	// MaxSessionSize is the absolute limit in octets of one message, or of all messages of the
	// connection with SessionSizePerConnection; 0: none. Reaching it ends the connection.
	MaxSessionSize           int64
	StrictSize               bool
	SessionSizePerConnection bool
	// MaxRecipients bounds the recipients of one transaction; 0: no limit.
	MaxRecipients int
	// MaxNullRecipients bounds those of a transaction with the null reverse-path, which
	// reports use and which need but one; 10 if zero, negative: as MaxRecipients.
	MaxNullRecipients int

	// MaxErrors is the number of syntax errors that ends a connection; 3 if zero, negative:
	// no limit.
	MaxErrors int
	// MaxJunk is the number of NOOP, RSET, VRFY and HELP within 60 s without a message that
	// ends a connection; 20 if zero, negative: no limit.
	MaxJunk int
	// MaxRefused is the number of refused recipients without a message that is suffered; the
	// next one ends the connection; 10 if zero, negative: no limit. While the transaction has
	// recipients only those that do not exist (5.1.1) end it, others are answered with a delay.
	MaxRefused int
	// ErrorDelay is waited before a connection is closed for one of these; 5 s if zero,
	// negative: none.
	ErrorDelay time.Duration

	// Policy decides on clients and relaying; nil allows everything.
	Policy Policy
	// Begin starts a transaction. An error refuses MAIL, for example 452 4.3.1 when there is no
	// space. The context lives longer than the transaction, but after a shut down no longer than Grace.
	Begin func(context.Context, *mail.Peer, mail.Sender) (Transaction, error)
	// PeerName returns the client's confirmed host name or "". It is asked before the banner;
	// nil: no reverse look-up.
	PeerName func(context.Context, netip.Addr) string
	// RelayClient reports whether the relay list has the client, for mail.Peer.Relay; nil: no.
	RelayClient func(netip.Addr) bool

	// Record gets each exchange; nil: no record. See mail.Exchange for the terms of lending.
	Record func(*mail.Exchange)
	// Track is told of each session when it begins; the func that it returns, if any, is called
	// when the session has ended.
	Track func(*Session) (done func())
	// NextConn numbers the connections; nil: all are 0.
	NextConn func() uint64
	// Panicked is told of a fault that ended a session with 421 4.3.0: the value and the stack.
	Panicked func(v any, stack []byte)
}

// junkWindow and rateWindow are the spans over which junk commands and data are counted.
const (
	junkWindow = 60 * time.Second
	rateWindow = 60 * time.Second
)

func orDefault[T int | int64 | time.Duration](v, def T) T {
	if v == 0 {
		return def
	}
	return v
}

func (o *Options) fqdn() string {
	if o.FQDN == "" {
		return "localhost"
	}
	return o.FQDN
}

func (o *Options) idleTimeout() time.Duration { return orDefault(o.IdleTimeout, 600*time.Second) }
func (o *Options) minRate() int64             { return orDefault(o.MinRate, 500) }
func (o *Options) rateGrace() time.Duration   { return orDefault(o.RateGrace, 30*time.Second) }
func (o *Options) grace() time.Duration       { return max(0, orDefault(o.Grace, 20*time.Second)) }
func (o *Options) errorDelay() time.Duration  { return max(0, orDefault(o.ErrorDelay, 5*time.Second)) }
func (o *Options) maxErrors() int             { return orDefault(o.MaxErrors, 3) }
func (o *Options) maxJunk() int               { return orDefault(o.MaxJunk, 20) }
func (o *Options) maxRefused() int            { return orDefault(o.MaxRefused, 10) }
func (o *Options) handshakeTimeout() time.Duration {
	return orDefault(o.HandshakeTimeout, 30*time.Second)
}

// advertisedSize is what SIZE in EHLO says (RFC 1870 §4): the size above which a message is
// really refused; 0: none.
func (o *Options) advertisedSize() int64 {
	if o.StrictSize && o.MaxMessageSize > 0 &&
		(o.MaxSessionSize <= 0 || o.MaxMessageSize < o.MaxSessionSize) {
		return o.MaxMessageSize
	}
	return max(0, o.MaxSessionSize)
}

// maxRecipients is the limit for a transaction; 0: none.
func (o *Options) maxRecipients(null bool) int {
	limit := max(0, o.MaxRecipients)
	if !null || o.MaxNullRecipients < 0 {
		return limit
	}
	n := orDefault(o.MaxNullRecipients, 10)
	if limit > 0 && limit < n {
		return limit
	}
	return n
}
