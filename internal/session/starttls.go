package session

import (
	"context"
	"crypto/tls"
	"strings"
	"time"

	"github.com/mailroot/mailroot/internal/mail"
)

func (s *session) hasTLS() bool      { return s.o.TLS != nil }
func (s *session) inPlainText() bool { return s.peer.TLS == nil }

// startTLS handles STARTTLS (RFC 3207). That nothing may follow it in the same flight is a
// flag of the verb: such input would have come in plain text and be taken for protected (bad
// input F5).
func (s *session) startTLS(context.Context, string) reply {
	switch {
	case s.peer.TLS != nil:
		return reply{text: sayTLSActive}
	case s.trade.tx != nil:
		return reply{text: sayTLSLate}
	}
	return reply{text: sayTLSReady, step: stepTLS}
}

// goSecure makes the handshake after the reply and forgets all that was said in plain text
// (RFC 3207 §4.2).
func (s *session) goSecure() CloseReason {
	if err := s.w.flush(s.w.look()); err != nil {
		return ended(err)
	}
	if err := s.handshake(); err != nil {
		// What the client sees now is no longer ours to choose: plain text would be garbage.
		return ClosedByTLS
	}
	s.reset()
	s.greeted = false
	s.peer.Helo, s.peer.ESMTP, s.peer.Account = "", false, ""
	s.live.setPeer(&s.peer)
	return Open
}

// handshake begins TLS. A connection on which it fails is of no use any more.
func (s *session) handshake() error {
	config := s.o.TLS
	if config == nil {
		config = &tls.Config{}
	}
	if !config.SessionTicketsDisabled {
		config = config.Clone()
		config.SessionTicketsDisabled = true
	}
	if err := s.w.raw.SetDeadline(time.Now().Add(s.o.handshakeTimeout())); err != nil {
		return err
	}
	c := tls.Server(s.w.raw, config)
	if err := c.Handshake(); err != nil {
		return err
	}
	s.w.secure(c)
	s.w.look()
	state := c.ConnectionState()
	s.peer.TLS = &mail.TLSInfo{
		Version: strings.ReplaceAll(tls.VersionName(state.Version), " ", ""),
		Cipher:  tls.CipherSuiteName(state.CipherSuite),
	}
	s.live.setPeer(&s.peer)
	return nil
}
