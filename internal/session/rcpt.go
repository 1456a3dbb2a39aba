package session

import (
	"context"

	"github.com/mailroot/mailroot/internal/smtp"
)

// rcpt handles RCPT (RFC 5321 §4.1.1.3): it adds a recipient to the transaction.
func (s *session) rcpt(ctx context.Context, arg string) reply {
	t := &s.trade
	switch {
	case t.tx == nil:
		return reply{text: sayNeedMail}
	case t.chunks > 0:
		return reply{text: sayLate}
	}
	rcpt, err := smtp.ParseRcpt(arg, s.profile(), t.sender.UTF8)
	if err != nil {
		return grammar(err)
	}
	// The transaction lives on with those that it has (bad inputs E13, E14).
	if limit := s.o.maxRecipients(t.sender.Addr.IsNull()); limit > 0 && t.rcpts >= limit {
		return reply{text: sayTooMany}
	}
	if s.o.Policy != nil {
		if d := s.o.Policy.Relay(&s.live.peer, rcpt.Addr, t.sender.Size); !d.Allow {
			return denial(d)
		}
	}
	addr, err := t.tx.Rcpt(s.lasting(ctx), rcpt)
	if err != nil {
		return refusal(err)
	}
	t.rcpts++
	return reply{text: sayRcpt, addr: addr}
}
