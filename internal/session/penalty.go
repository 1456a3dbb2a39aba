package session

import (
	"context"
	"time"

	"github.com/mailroot/mailroot/internal/mail"
)

// penalty counts what a client does wrong. An accepted message starts the counts anew.
type penalty struct {
	errors  int         // syntax errors
	refused int         // recipients
	unknown int         // of them: that do not exist here (5.1.1), as in a dictionary
	junk    []time.Time // of the last junk commands, a ring; nil until there is one
	at      int         // where the next goes
}

// judge counts a reply and replaces it when the client has gone too far (bad inputs F15, F21,
// E15): after a delay it gets 421 4.7.0. A recipient that is refused is no reason to end a transaction
// that has others, unless the client tries what names there are: then there is the delay alone.
func (s *session) judge(ctx context.Context, v *verb, r reply) reply {
	if r.close != Open {
		return r
	}
	p := &s.penalty
	code, enhanced := s.status(&r)
	rcpt := v != nil && v.name == "RCPT"
	spare := rcpt && s.trade.rcpts > 0
	far := false
	switch {
	case code == 250 && r.text == sayQueued:
		*p = penalty{junk: p.junk}
		clear(p.junk)
	case v != nil && v.flags&junk != 0:
		far = s.tooMuchJunk()
	case code < 500:
	case rcpt && (code == 550 || code == 551 || code == 553 || r.text == sayBadAddress):
		p.refused++
		if enhanced == mail.Enhanced(5, 1, 1) {
			p.unknown++
		}
		limit := s.o.maxRefused()
		far = limit >= 0 && p.refused > limit
		spare = spare && p.unknown <= limit
	case code == 500 || code == 501 || code == 555:
		p.errors++
		limit := s.o.maxErrors()
		far = limit >= 0 && p.errors >= limit
	}
	if !far {
		return r
	}
	reason := "too many errors, the last: " + mail.NewReply(code, enhanced, "").String()
	s.pause(ctx, s.o.errorDelay())
	if spare {
		return r
	}
	return reply{text: sayErrors, close: ClosedByErrors, reason: reason}
}

// tooMuchJunk counts a junk command and reports whether they came too fast.
func (s *session) tooMuchJunk() bool {
	limit := s.o.maxJunk()
	if limit < 0 {
		return false
	}
	p := &s.penalty
	if p.junk == nil {
		p.junk = make([]time.Time, limit)
	}
	p.junk[p.at] = s.w.now
	p.at = (p.at + 1) % limit
	// The next place holds the oldest of the last limit commands, if there are so many.
	oldest := p.junk[p.at]
	return !oldest.IsZero() && s.w.now.Sub(oldest) < junkWindow
}
