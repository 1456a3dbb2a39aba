package session

import (
	"context"
	"strconv"

	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/smtp"
)

// transaction is the state of a mail transaction: nothing, then a sender, then recipients,
// then data.
type transaction struct {
	tx     Transaction // nil: none is open, or its message is lost already
	sender mail.Sender
	rcpts  int // accepted
	chunks int // BDAT commands

	scan   smtp.DataScanner
	header smtp.HeaderScanner // BINARYMIME
	size   int64              // octets of the message so far
	err    error              // of Transaction.Write
}

// take passes message octets on to the transaction. It counts them all, wanted or not.
func (s *session) take(p []byte) {
	t := &s.trade
	t.size += int64(len(p))
	if t.tx == nil || s.tooBig() || t.size > s.room() {
		return
	}
	if _, err := t.tx.Write(p); err != nil {
		t.err = err
		s.abandon()
	}
}

// tooBig reports whether the message is over the message size that strictness enforces.
func (s *session) tooBig() bool {
	return s.o.StrictSize && s.o.MaxMessageSize > 0 && s.trade.size > s.o.MaxMessageSize
}

// spoiled reports whether the text so far can no longer be accepted, and the answer. A lone
// dot with a bare CR or LF beside it is how messages are smuggled: the connection ends (bad
// input F1).
func (s *session) spoiled() (reply, bool) {
	t := &s.trade
	switch {
	case t.scan.LoneDot:
		return loneDot(), true
	case t.scan.Stray > 0 && !s.profile().RepairLineEnds():
		return reply{text: sayStrayEnds}, true
	case t.scan.NUL || t.header.NUL:
		return reply{text: sayNUL}, true
	case t.scan.LongLine:
		return reply{text: sayLongText}, true
	case s.tooBig():
		return reply{text: sayTooBig}, true
	case t.err != nil:
		return refusal(t.err), true
	}
	return reply{}, false
}

func loneDot() reply {
	return reply{text: sayStrayEnds, close: ClosedOutOfSync, reason: "bare CR or LF next to a lone dot"}
}

// failed reports whether the message is lost for a reason that the client should hear before
// its last chunk.
func (t *transaction) failed() bool { return t.tx == nil }

// giveUp lets go of a message that is not going to be accepted while its octets still come,
// so that it takes no more room.
func (s *session) giveUp() {
	if s.trade.tx != nil {
		if _, bad := s.spoiled(); bad {
			s.abandon()
		}
	}
}

// abandon aborts the transaction but remembers what is to be said.
func (s *session) abandon() {
	tx := s.trade.tx
	s.trade.tx = nil
	tx.Abort()
}

// tooLarge ends a message that has reached the session size, and with it the connection:
// whatever follows is not read.
func (s *session) tooLarge() reply {
	s.reset()
	return reply{text: saySessionSize, close: ClosedBySize}
}

// finish commits the message, or says why it can't be, and ends the transaction.
func (s *session) finish(ctx context.Context) reply {
	t := &s.trade
	s.taken += t.size
	r, bad := s.spoiled()
	if !bad {
		tx := t.tx
		t.tx = nil
		acc, err := tx.Commit(s.lasting(ctx))
		if err != nil {
			r = refusal(err)
		} else {
			r = s.queued(acc)
		}
	}
	r.stray = t.scan.Stray
	s.reset()
	return r
}

// queued is the answer to a message that is safe in the spool. The classic words show one more
// blank before a message id that the client has given, as does the record.
func (s *session) queued(acc mail.Accepted) reply {
	s.live.messages.Add(1)
	id := acc.MessageID
	if id == "" {
		id = "<" + acc.ID.String() + "@" + s.o.fqdn() + ">"
	} else if !acc.OwnID {
		id = " " + id
	}
	r := reply{text: sayQueued, arg: id, utf8: s.trade.sender.UTF8, id: acc.ID, record: id}
	if s.o.Voice != Classic {
		r.arg = id[len(id)-len(acc.MessageID):]
		if acc.MessageID == "" {
			r.arg = id
		}
	}
	if t := &s.trade; t.sender.Size > 0 && t.size > t.sender.Size {
		r.reason = "larger than declared: " + strconv.FormatInt(t.size, 10) +
			" octets, SIZE=" + strconv.FormatInt(t.sender.Size, 10)
	}
	return r
}
