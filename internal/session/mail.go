package session

import (
	"context"

	"github.com/mailroot/mailroot/internal/smtp"
)

// mailVerb handles MAIL (RFC 5321 §4.1.1.2): it begins a transaction.
func (s *session) mailVerb(ctx context.Context, arg string) reply {
	if s.trade.tx != nil {
		return reply{text: sayNested}
	}
	sender, err := smtp.ParseMail(arg, s.profile())
	if err != nil {
		return grammar(err)
	}
	if t := s.tooLargeAtMail(sender.Size); t != sayNothing {
		return reply{text: t, reason: "declared size"}
	}
	tx, err := s.o.Begin(s.lasting(ctx), &s.live.peer, sender)
	if err != nil {
		return refusal(err)
	}
	s.trade.tx, s.trade.sender, s.refused = tx, sender, nil
	s.w.busy = true
	return reply{text: sayMail, addr: tx.Sender()}
}

// tooLargeAtMail says which limit a message of the size declared by SIZE= is over (RFC 1870 §6.1);
// sayNothing: none.
func (s *session) tooLargeAtMail(size int64) text {
	switch {
	case size > s.room():
		return saySessionSize
	case s.o.StrictSize && s.o.MaxMessageSize > 0 && size > s.o.MaxMessageSize:
		return sayTooBig
	}
	return sayNothing
}

// maxInt64 stands for no limit.
const maxInt64 = 1<<63 - 1

// room is how many octets the present message may have before the session size is reached.
func (s *session) room() int64 {
	limit := s.o.MaxSessionSize
	if limit <= 0 {
		return maxInt64
	}
	if s.o.SessionSizePerConnection {
		limit -= s.taken
	}
	return limit
}
