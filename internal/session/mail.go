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
	if !s.fits(sender.Size) {
		return reply{text: sayTooBig, reason: "declared size"}
	}
	tx, err := s.o.Begin(ctx, &s.peer, sender)
	if err != nil {
		return refusal(err)
	}
	s.trade.tx, s.trade.sender, s.refused = tx, sender, nil
	s.w.busy = true
	return reply{text: sayMail, addr: tx.Sender()}
}

// fits reports whether a message of the size declared by SIZE= will be taken (RFC 1870 §6.1).
func (s *session) fits(size int64) bool {
	if size == 0 {
		return true
	}
	if limit := s.o.advertisedSize(); limit > 0 && size > limit {
		return false
	}
	return size <= s.room()
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
