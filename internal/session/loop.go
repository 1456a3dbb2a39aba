package session

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/smtp"
)

// unknownVerb stands in the record for what is no verb: it may be anything, a password too.
const unknownVerb = "xxxx"

// maxArg is how much of an argument is recorded.
const maxArg = 1 << 10

// next reads one command, has it handled, answers and records it.
func (s *session) next(ctx context.Context) CloseReason {
	s.ex.Verb = unknownVerb
	raw, err := s.w.line()
	switch err {
	case nil:
	case errLongLine, errLongBare, errEndless:
		return s.answer(ctx, nil, s.badLine(raw, err), 0)
	default:
		return s.lost(err)
	}
	s.said = s.w.now
	s.ex.Arg = ""
	line, err := smtp.CheckLine(raw)
	in := int64(len(line))
	if err != nil {
		return s.answer(ctx, nil, s.badLine(line, err), in)
	}
	name, args := smtp.ParseCommand(line)
	v := s.t.find(name)
	if v == nil {
		if !s.private {
			s.ex.Arg = string(args)
		}
		r := reply{text: sayUnknown}
		if foreign(line) {
			r = reply{text: sayForeign, close: ClosedWrongProtocol}
		}
		return s.answer(ctx, nil, r, in)
	}
	arg := string(args)
	s.ex.Verb, s.ex.Arg = v.name, arg
	if s.private = v.flags&secret != 0; s.private {
		first, _, _ := bytes.Cut(args, []byte{' '})
		s.ex.Arg = arg[:len(first)]
	}
	return s.answer(ctx, v, s.dispatch(ctx, v, arg), in)
}

// dispatch asks what has to be asked before a handler, then the handler.
func (s *session) dispatch(ctx context.Context, v *verb, arg string) reply {
	switch {
	case !s.has(v):
		if v.refuse != sayNothing {
			return reply{text: v.refuse}
		}
		return reply{text: sayNotImplemented}
	case v.flags&endsGroup != 0 && s.w.more():
		// What follows would be taken for message text or for TLS, or a message for commands.
		return reply{text: sayOutOfSync, close: ClosedOutOfSync}
	case s.w.stopped.Load() && !s.w.busy && v.name != "QUIT":
		return reply{text: sayStopped, close: ClosedByShutdown}
	case s.o.RequireTLS && s.live.peer.TLS == nil && v.flags&plainText == 0:
		return s.refuseVerb(v, arg, sayTLSRequired)
	case v.flags&needsHello != 0 && !s.greeted:
		return s.refuseVerb(v, arg, sayNeedHello)
	case v.flags&noArgument != 0 && arg != "":
		return reply{text: sayBadArguments}
	}
	return v.handle(s, ctx, arg)
}

// refuseVerb refuses a verb before its handler; the octets that follow BDAT are read all the
// same.
func (s *session) refuseVerb(v *verb, arg string, t text) reply {
	if v.flags&isChunk != 0 {
		return s.refuseChunk(arg, reply{text: t})
	}
	return reply{text: t}
}

// badLine answers a line that is no command; of one that is too long, line is both ends.
func (s *session) badLine(line []byte, err error) reply {
	s.said = s.w.now
	s.ex.Arg = ""
	if name, _ := smtp.ParseCommand(line); s.t.find(name) != nil {
		s.ex.Verb = s.t.find(name).name
	}
	if err == errEndless {
		return reply{text: sayEndless, close: ClosedByErrors}
	}
	if len(line) >= 4 && mail.EqualFoldASCII(string(line[:4]), "BDAT") {
		// Octets follow, and nobody knows how many (bad input F10).
		return reply{text: sayBadBdat, close: ClosedOutOfSync}
	}
	switch {
	case foreign(line):
		return reply{text: sayForeign, close: ClosedWrongProtocol}
	case err == errLongBare:
		return grammar(smtp.ErrLineEnd)
	case err == errLongLine:
		return reply{text: sayLineTooLong}
	}
	return grammar(err)
}

// foreignWords begin the lines of other protocols (bad input F20).
var foreignWords = [...]string{
	"GET ", "HEAD ", "POST ", "PUT ", "DELETE ", "OPTIONS ", "CONNECT ", "TRACE ", "PATCH ",
	"PRI * ", "Host:", "User-Agent:", "SSH-",
}

// foreign reports whether a line that is no command begins as those of another protocol do, or ends as
// the request of HTTP does whatever its verb.
func foreign(line []byte) bool {
	const version = " HTTP/1."
	if n := len(line) - len(version) - 1; n > 0 && mail.EqualFoldASCII(string(line[n:n+len(version)]), version) {
		return true
	}
	for _, w := range foreignWords {
		if len(line) >= len(w) && mail.EqualFoldASCII(string(line[:len(w)]), w) {
			return true
		}
	}
	return false
}

// answer does what the reply wants done, writes and records it. v is nil for what is no verb.
func (s *session) answer(ctx context.Context, v *verb, r reply, in int64) CloseReason {
	out := 0
	var err error
	switch r.step {
	case stepText:
		start := r
		out = s.write(start)
		if r, in, err = s.receiveText(ctx); err != nil {
			s.cutShort(start, in, out)
		}
	case stepChunk:
		r, in, err = s.receiveChunk(ctx, r.number, r.last)
	case stepDiscard:
		r, err = s.discard(r)
	}
	if err != nil {
		return s.lost(err)
	}
	r = s.judge(ctx, v, r)
	out += s.write(r)
	code, enhanced := s.status(&r)
	if s.o.Record != nil {
		if r.record != "" {
			s.ex.Arg = r.record
		}
		s.ex.In, s.ex.Repaired = in, r.stray
		if r.close == ClosedByQuit {
			s.ex.Arg, code = s.live.peer.Helo, 240 // as the original's log has it
			s.ex.Session = s.w.look().Sub(s.live.since)
		}
		s.record(code, enhanced, out, r.cause())
	}
	if r.step == stepTLS {
		return s.goSecure()
	}
	if r.close == Open && code == 421 {
		return ClosedByPolicy
	}
	return r.close
}

// cutShort records a DATA whose end never came: what was answered, and what of the text was taken.
func (s *session) cutShort(start reply, in int64, out int) {
	code, enhanced := s.status(&start)
	said := s.said
	s.ex.In = in
	s.record(code, enhanced, out, "") // the row that follows tells why
	s.said = said
}

// record gives the exchange to whoever wants it. Verb, Arg and In are set before.
func (s *session) record(code int, enhanced mail.EnhancedCode, out int, reason string) {
	if s.o.Record == nil {
		return
	}
	now := s.w.look()
	ex := &s.ex
	if len(ex.Arg) > maxArg {
		ex.Arg = ex.Arg[:maxArg]
	}
	ex.Time, ex.Took = now, now.Sub(s.said)
	ex.Helo = s.live.peer.Helo
	ex.Code, ex.Enhanced, ex.Out, ex.Reason = code, enhanced, int64(out), reason
	s.o.Record(ex)
	ex.In, ex.Session, ex.Repaired = 0, 0, 0
	s.said = now
}

// lost ends a session whose client no longer talks, or not in time.
func (s *session) lost(err error) CloseReason {
	r := reply{}
	switch {
	case errors.Is(err, errIdle):
		r = reply{text: sayIdle, close: ClosedIdle}
	case errors.Is(err, errSlow):
		r = reply{text: saySlow, close: ClosedSlow}
	case errors.Is(err, errStopped):
		s.write(reply{text: sayStopped})
		return ClosedByShutdown
	case errors.Is(err, errForeign):
		// Nothing is said to it: it would not understand.
		s.ex.Verb, s.ex.Arg = unknownVerb, ""
		s.record(0, mail.EnhancedCode{}, 0, ClosedWrongProtocol.String())
		return ClosedWrongProtocol
	default:
		return ended(err)
	}
	n := s.write(r)
	code, enhanced := s.status(&r)
	s.ex.Verb, s.ex.Arg = "TIMEOUT", s.live.peer.Helo
	s.ex.Session = s.w.now.Sub(s.live.since)
	s.record(code, enhanced, n, r.cause())
	return r.close
}

// pause waits before an unfriendly reply. What was answered before is sent.
func (s *session) pause(ctx context.Context, d time.Duration) {
	if d <= 0 || s.w.flush(s.w.now) != nil {
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
