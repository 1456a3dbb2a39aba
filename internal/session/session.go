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
func Serve(ctx context.Context, c net.Conn, o *Options) (reason CloseReason) {
	s := newSession(c, o)
	if o.Track != nil {
		if done := o.Track(s.live); done != nil {
			defer done()
		}
	}
	// Transactions outlive ctx by the grace period.
	txCtx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	stop := context.AfterFunc(ctx, func() {
		s.w.stop()
		t := time.NewTimer(o.grace())
		defer t.Stop()
		select {
		case <-t.C:
			cancel()
		case <-txCtx.Done():
		}
	})
	defer stop()

	defer func() { s.end(reason) }()
	defer func() {
		if v := recover(); v != nil {
			reason = s.panicked(v)
		}
	}()
	reason = s.open(ctx)
	for reason == Open {
		reason = s.next(txCtx)
	}
	return s.why(reason)
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

// session is the state of one connection. It belongs to the goroutine of Serve.
type session struct {
	o    *Options
	t    *table
	w    wire
	live *Session
	peer mail.Peer
	ex   mail.Exchange
	said time.Time // when the last reply was written, for the time a command took

	greeted bool  // HELO or EHLO was taken
	private bool  // what follows may be a password: the last verb was AUTH
	taken   int64 // octets of all messages so far
	trade   transaction
	refused *smtp.DataScanner // of a text that was refused before its last chunk
	penalty penalty
}

func newSession(c net.Conn, o *Options) *session {
	now := time.Now()
	s := &session{o: o, t: &standard, said: now}
	s.w.init(c, o, now)
	s.peer = mail.Peer{Remote: mail.AddrPortOf(c.RemoteAddr()), Local: mail.AddrPortOf(c.LocalAddr())}
	if o.NextConn != nil {
		s.peer.Conn = o.NextConn()
	}
	if o.RelayClient != nil {
		s.peer.Relay = o.RelayClient(s.peer.Remote.Addr())
	}
	s.trade.scan.Write = s.take
	s.live = &Session{conn: c, since: now, peer: s.peer}
	s.ex = mail.Exchange{
		Dir: mail.Inbound, Conn: s.peer.Conn, Remote: s.peer.Remote, Local: s.peer.Local,
	}
	return s
}

// open does all that comes before the first command.
func (s *session) open(ctx context.Context) CloseReason {
	if s.o.Implicit {
		if r := s.handshake(); r != Open {
			return r
		}
	}
	if s.o.PeerName != nil {
		s.peer.Name = s.o.PeerName(ctx, s.peer.Remote.Addr())
		s.live.setPeer(&s.peer)
	}
	if s.o.Policy != nil {
		if d := s.o.Policy.Connect(&s.peer); !d.Allow {
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

// panicked ends a session after a fault: the client may try again.
func (s *session) panicked(v any) CloseReason {
	if s.o.Panicked != nil {
		s.o.Panicked(v, debug.Stack())
	}
	// What was composed so far may be half a reply.
	s.w.out = s.w.out[:0]
	s.write(reply{text: sayFault})
	return ClosedByPanic
}

// end gives back what the session holds and closes the connection.
func (s *session) end(reason CloseReason) {
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
