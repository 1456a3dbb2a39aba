package session

import (
	"errors"

	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/smtp"
)

// step is what the loop does after a handler, besides answering.
type step uint8

const (
	stepNone    step = iota
	stepText         // answer, then read message data up to its end
	stepChunk        // read a chunk before answering
	stepDiscard      // read number octets, forget them, then answer
	stepTLS          // answer, then begin TLS
)

// reply is what a handler returns. The words come from the voice by text, or ready made from
// policy and transactions in raw. The other fields fill in the words.
type reply struct {
	text   text
	raw    mail.Reply
	addr   mail.Address
	arg    string
	utf8   bool // arg may be beyond ASCII
	number int64
	id     mail.QueueID

	step   step
	last   bool        // stepChunk: it is the last
	close  CloseReason // not Open: the connection ends after the reply
	reason string      // for the record
	// record replaces the argument in the record if set: the message id after data.
	record string
	stray  int64 // for the record: line ends that were repaired
}

// cause is what the record says of a reply beyond its code: the reason that was given, else why the
// connection ends, unless that is nothing to wonder at.
func (r *reply) cause() string {
	if r.reason != "" {
		return r.reason
	}
	switch r.close {
	case Open, ClosedByQuit, ClosedByShutdown, ClosedIdle:
		return ""
	}
	return r.close.String()
}

// status returns the code and enhanced code of r.
func (s *session) status(r *reply) (int, mail.EnhancedCode) {
	if r.text == sayNothing {
		return r.raw.Code, r.raw.Enhanced
	}
	l := phrase(s.o.Voice, r.text)
	return l.code, l.enhanced
}

// refusal makes a reply of an error from outside.
func refusal(err error) reply {
	r := reply{raw: mail.ReplyOf(err)}
	var e *mail.Error
	switch {
	case !errors.As(err, &e):
		r.reason = err.Error()
	case e.Err != nil:
		r.reason = e.Err.Error()
	}
	return r
}

// denial makes a reply of a decision.
func denial(d mail.Decision) reply { return reply{raw: d.Reply, reason: d.Reason} }

// grammar makes a reply of an error of package smtp, in the words of the voice.
func grammar(err error) reply {
	switch err {
	case smtp.ErrAddress:
		return reply{text: sayBadAddress}
	case smtp.ErrArguments:
		return reply{text: sayBadArguments}
	case smtp.ErrParameter:
		return reply{text: sayBadParameter}
	case smtp.ErrNeedUTF8:
		return reply{text: sayNeedUTF8}
	case smtp.ErrUTF8:
		return reply{text: sayBadUTF8}
	case smtp.ErrControl:
		return reply{text: sayControl}
	case smtp.ErrLineEnd:
		return reply{text: sayBadLineEnd, close: ClosedOutOfSync}
	}
	return refusal(err)
}

// write composes a reply and returns its length in octets.
func (s *session) write(r reply) int {
	out := s.w.grow()
	n := len(out)
	s.w.out = s.appendReply(out, &r)
	return len(s.w.out) - n
}
