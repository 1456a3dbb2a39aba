package session

import (
	"context"

	"github.com/mailroot/mailroot/internal/mail"
)

// dataVerb handles DATA (RFC 5321 §4.1.1.4).
func (s *session) dataVerb(context.Context, string) reply {
	if r, ok := s.ready(); !ok {
		return r
	}
	switch {
	case s.trade.chunks > 0:
		return reply{text: sayMixed}
	case s.trade.sender.Body == mail.BodyBinaryMIME:
		return reply{text: sayBinaryNeedsBdat} // RFC 3030 §3
	}
	return reply{text: sayStart, step: stepText}
}

// ready reports whether the transaction may go on to its data.
func (s *session) ready() (reply, bool) {
	switch {
	case s.trade.tx == nil:
		return reply{text: sayNeedMail}, false
	case s.trade.rcpts == 0:
		return reply{text: sayNeedRcpt}, false
	}
	return reply{}, true
}

// receiveText reads message text up to the end of data and ends the transaction. An error is
// that of the connection. in is the size of the message.
func (s *session) receiveText(ctx context.Context) (r reply, in int64, err error) {
	t := &s.trade
	t.scan.Reset(false)
	s.w.data = true
	s.w.rate.start(s.w.now)
	defer s.receiveEnds()
	for done := false; !done; {
		p, err := s.w.chunk(maxInt64)
		if err != nil {
			return reply{}, t.size, err
		}
		var n int
		n, done = t.scan.Scan(p)
		s.w.use(n)
		if t.size > s.room() {
			return s.tooLarge(), t.size, nil
		}
		s.giveUp()
	}
	size := t.size
	return s.finish(ctx), size, nil
}

// receiveEnds goes back from data to commands.
func (s *session) receiveEnds() {
	s.w.data = false
	s.w.rate.finish()
}
