package session

import (
	"context"
	"crypto/tls"
	"fmt"
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
	if r := s.handshake(); r != Open {
		return r
	}
	s.reset()
	s.greeted = false
	s.peer.Helo, s.peer.ESMTP, s.peer.Account = "", false, ""
	s.live.setPeer(&s.peer)
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
		err = handshakeApart(c)
	}
	state := c.ConnectionState()
	if err != nil {
		s.ex.Verb, s.ex.Arg = "TLS", versionName(state.Version)
		s.record(0, mail.EnhancedCode{}, 0, err.Error())
		return ClosedByTLS
	}
	s.w.secure(c)
	s.w.look()
	s.peer.TLS = &mail.TLSInfo{
		Version: versionName(state.Version),
		Cipher:  tls.CipherSuiteName(state.CipherSuite),
	}
	s.live.setPeer(&s.peer)
	return Open
}

// handshakeApart makes the handshake in a goroutine of its own: it needs a deep stack, which would else stay with a
// session that then waits for commands, and is as much memory as all the rest of it.
func handshakeApart(c *tls.Conn) error {
	done := make(chan error, 1)
	go func() {
		defer func() {
			if v := recover(); v != nil {
				done <- fmt.Errorf("panic in a TLS handshake: %v", v)
			}
		}()
		done <- c.Handshake()
	}()
	return <-done
}

// versionName returns "TLS1.3" for that version, and "" before one is agreed on.
func versionName(v uint16) string {
	if v == 0 {
		return ""
	}
	return strings.ReplaceAll(tls.VersionName(v), " ", "")
}
