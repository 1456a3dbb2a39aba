package session

import (
	"context"
	"strings"

	"github.com/mailroot/mailroot/internal/mail"
)

// maxHelo bounds the name that is kept (RFC 5321 §4.5.3.1.2); the record has more of it.
const maxHelo = 255

// helo handles HELO (RFC 5321 §4.1.1.1).
func (s *session) helo(_ context.Context, arg string) reply {
	if r, ok := s.greet(arg, false); !ok {
		return r
	}
	return reply{text: sayHello, arg: s.clientAddr()}
}

// greet takes a greeting. Anything is taken for a name: much of what talks to a relay does not
// know its own (bad input E5). The classic voice even does without.
func (s *session) greet(arg string, esmtp bool) (reply, bool) {
	arg = strings.TrimLeft(arg, " ")
	if arg == "" && s.o.Voice != Classic {
		return reply{text: sayNoName}, false
	}
	s.reset()
	s.greeted = true
	s.live.change(func(p *mail.Peer) { p.Helo, p.ESMTP = arg[:min(len(arg), maxHelo)], esmtp })
	return reply{}, true
}

// clientAddr is the client's address in the reply to a greeting.
func (s *session) clientAddr() string {
	if a := s.live.peer.Remote.Addr(); a.IsValid() {
		return a.String()
	}
	return "unknown"
}
