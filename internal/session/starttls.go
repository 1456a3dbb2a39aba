package session

import (
	"context"
	"crypto/tls"
	"strings"
	"time"

	"github.com/mailroot/mailroot/internal/mail"
)

func (s *session) hasTLS() bool      { return s.o.TLS != nil }
func (s *session) inPlainText() bool { return s.live.peer.TLS == nil }

// startTLS handles STARTTLS (RFC 3207). That nothing may follow it in the same flight is a
// flag of the verb: such input would have come in plain text and be taken for protected (bad
// input F5).
func (s *session) startTLS(context.Context, string) reply {
	switch {
	case s.live.peer.TLS != nil:
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
	if r := s.handshake(); r != Open {
		return r
	}
	s.reset()
	s.greeted = false
	s.live.change(func(p *mail.Peer) { p.Helo, p.ESMTP, p.Account = "", false, "" })
	return Open
}

// handshake begins TLS. A connection on which it fails is of no use any more: nothing is said, since
// plain text would be garbage to the client, but it is recorded.
func (s *session) handshake() CloseReason {
	config := s.o.TLS
	if config == nil {
		config = &tls.Config{}
	}
	if !config.SessionTicketsDisabled {
		config = config.Clone()
		config.SessionTicketsDisabled = true
	}
	c := tls.Server(s.w.raw, config)
	err := s.w.raw.SetDeadline(time.Now().Add(s.o.handshakeTimeout()))
	if err == nil {
		err = c.Handshake()
	}
	state := c.ConnectionState()
	if err != nil {
		s.ex.Verb, s.ex.Arg = "TLS", versionName(state.Version)
		s.record(0, mail.EnhancedCode{}, 0, err.Error())
		return ClosedByTLS
	}
	s.w.secure(c)
	s.w.look()
	info := &mail.TLSInfo{
		Version: versionName(state.Version),
		Cipher:  tls.CipherSuiteName(state.CipherSuite),
	}
	s.live.change(func(p *mail.Peer) { p.TLS = info })
	return Open
}

// versionName returns "TLS1.3" for that version, and "" before one is agreed on.
func versionName(v uint16) string {
	if v == 0 {
		return ""
	}
	return strings.ReplaceAll(tls.VersionName(v), " ", "")
}
