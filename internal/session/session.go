// Package session is the server half of an SMTP connection (RFC 5321): it reads commands,
// keeps the order of a mail transaction, takes message data, answers, and makes the record of
// each exchange.
//
// It knows nothing of the spool, of configuration or of logs: what a client may do is asked of
// a Policy, where a message goes is a Transaction, who wants records gives Options.Record.
// Start with Options, then Serve, the verb table in verb.go and the loop in loop.go.
package session

import (
	"context"
	"net"
	"runtime/debug"
	"time"

	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/smtp"
)

// refuseTimeout bounds the one write of Refuse. A new connection has room for it at once.
const refuseTimeout = 10 * time.Millisecond

// Serve runs one connection to its end, closes it and says why it ended. When ctx is cancelled
// an idle session gets 421 4.3.2; an open transaction may finish within Options.Grace.
//
// A client that talks before the banner is looked for by one non-blocking peek at the socket
// just before the banner is written, so that honest clients wait for nothing; likewise one that goes
// on behind DATA or STARTTLS. It needs a connection that is a syscall.Conn, or has NetConn() as
// tls.Conn does, to look through.
func Serve(ctx context.Context, c net.Conn, o *Options) CloseReason {
	run := Start(c, o)
	for {
		if r := run(ctx); r != Open {
			return r
		}
	}
}

// Refuse tells a client r instead of the banner and closes the connection, without a session and
// without waiting for it.
// On a binding with implicit TLS nothing can be said so cheaply: close the connection instead.
func Refuse(c net.Conn, r mail.Reply) {
	// Errors are of no consequence here: the connection ends either way.
	_ = c.SetWriteDeadline(time.Now().Add(refuseTimeout))
	_, _ = c.Write(r.AppendTo(make([]byte, 0, 128)))
	_ = c.Close()
}

// session is the state of one connection. It belongs to the goroutine that runs it.
type session struct {
	o    *Options
	t    *table
	w    wire
	live Session // its peer is changed under its lock, and read here without

	greeted bool  // HELO or EHLO was taken
	private bool  // what follows may be a password: the last verb was AUTH
	taken   int64 // octets of all messages so far
	penalty penalty

	unwatch func() bool // ends waiting for the end of Serve's context
	untrack func()      // what Options.Track returned

	*workspace // nil at rest
}

// workspace is the part of a session's state that one at rest has no use for.
type workspace struct {
	ex      mail.Exchange
	said    time.Time // when the last reply was written, for the time a command took
	trade   transaction
	refused *smtp.DataScanner // of a text that was refused before its last chunk

	last   context.Context // of transactions; nil: none has needed it
	cancel func()          // ends it
}

// begin takes in who the client is.
func (s *session) begin(ctx context.Context) {
	c := s.w.raw
	s.live.conn, s.live.since = c, s.w.now
	p := &s.live.peer
	p.Remote, p.Local = mail.AddrPortOf(c.RemoteAddr()), mail.AddrPortOf(c.LocalAddr())
	s.getWorkspace()
	if s.o.NextConn != nil {
		p.Conn = s.o.NextConn()
		s.ex.Conn = p.Conn
	}
	if s.o.RelayClient != nil {
		p.Relay = s.o.RelayClient(p.Remote.Addr())
	}
	s.unwatch = context.AfterFunc(ctx, s.w.stop)
	if s.o.Track != nil {
		s.untrack = s.o.Track(&s.live)
	}
}

// open does all that comes before the first command.
func (s *session) open(ctx context.Context) CloseReason {
	s.begin(ctx)
	if s.o.Implicit {
		if r := s.handshake(); r != Open {
			return r
		}
	}
	if s.o.PeerName != nil {
		name := s.o.PeerName(ctx, s.live.peer.Remote.Addr())
		s.live.change(func(p *mail.Peer) { p.Name = name })
	}
	if s.o.Policy != nil {
		if d := s.o.Policy.Connect(&s.live.peer); !d.Allow {
			r := denial(d)
			r.close = ClosedByPolicy
			return s.turnAway(r)
		}
	}
	if s.w.more() {
		return s.turnAway(reply{text: sayEarlyTalk, close: ClosedEarlyTalker})
	}
	s.write(reply{text: sayBanner, arg: s.banner()})
	return Open
}

// turnAway answers and records a client that gets no banner.
func (s *session) turnAway(r reply) CloseReason {
	s.ex.Verb = "CONNECT"
	n := s.write(r)
	code, enhanced := s.status(&r)
	s.record(code, enhanced, n, r.cause())
	return r.close
}

// banner returns what follows the name in the first line.
func (s *session) banner() string {
	if s.o.Banner != "" {
		return s.o.Banner
	}
	return "ESMTP MAIL Service ready at " + s.w.now.Format("Mon, 2 Jan 2006 15:04:05 -0700")
}

// why corrects the reason where the connection was closed from outside.
func (s *session) why(r CloseReason) CloseReason {
	if s.live.terminated.Load() {
		return ClosedByOperator
	}
	return r
}

// panicked tells of a fault that ends the session: the client may try again.
func (s *session) panicked(v any) {
	if s.o.Panicked != nil {
		s.o.Panicked(v, debug.Stack())
	}
	// What was composed so far may be half a reply.
	s.w.out = s.w.out[:0]
	s.write(reply{text: sayFault})
}

// end gives back what the session holds and closes the connection.
func (s *session) end(reason CloseReason) {
	defer func() {
		s.putWorkspace()
		if s.unwatch != nil {
			s.unwatch()
		}
		if s.untrack != nil {
			s.untrack()
		}
	}()
	defer func() {
		// Abort belongs to others and may panic too; the connection is closed all the same.
		if v := recover(); v != nil && s.o.Panicked != nil {
			s.o.Panicked(v, debug.Stack())
		}
		s.w.close(reason)
	}()
	s.reset()
}

// reset forgets the transaction (RFC 5321 §4.1.1.5).
func (s *session) reset() {
	if tx := s.trade.tx; tx != nil {
		s.trade.tx = nil
		tx.Abort()
	}
	write := s.trade.scan.Write
	s.trade = transaction{}
	s.trade.scan.Write = write
	s.refused = nil
	s.w.busy = false
	s.w.rate.finish()
}

// profile is short for the profile of the binding.
func (s *session) profile() smtp.Profile { return s.o.Profile }
