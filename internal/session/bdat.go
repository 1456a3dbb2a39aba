package session

import (
	"context"

	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/smtp"
)

// The rule against a flood of tiny chunks (bad input F13): from manyChunks on, the chunks of a
// message have to hold minChunk octets on average.
const (
	manyChunks = 1000
	minChunk   = 64
)

// bdat handles BDAT (RFC 3030 §2). The octets of the chunk are on their way whatever is
// answered: they are read, or the connection is closed.
func (s *session) bdat(_ context.Context, arg string) reply {
	size, last, err := smtp.ParseBdat(arg)
	if err != nil {
		return reply{text: sayBadBdat, close: ClosedOutOfSync}
	}
	if r, ok := s.ready(); !ok {
		return s.refuseChunk(arg, r)
	}
	t := &s.trade
	t.chunks++
	switch {
	case size > s.room()-t.size:
		s.reset()
		return reply{text: saySessionSize, close: ClosedBySize}
	case !last && t.chunks > manyChunks && (t.size+size)/int64(t.chunks) < minChunk:
		s.reset()
		return reply{text: sayErrors, close: ClosedByErrors, reason: "too many small chunks"}
	}
	return reply{step: stepChunk, number: size, last: last}
}

// refuseChunk makes the loop read a chunk before it answers r.
func (s *session) refuseChunk(arg string, r reply) reply {
	size, last, err := smtp.ParseBdat(arg)
	switch {
	case err != nil:
		return reply{text: sayBadBdat, close: ClosedOutOfSync}
	case s.o.MaxSessionSize > 0 && size > s.o.MaxSessionSize:
		return reply{text: saySessionSize, close: ClosedBySize}
	}
	r.step, r.number, r.last = stepDiscard, size, last
	return r
}

// discard reads the chunk that r refuses and forgets it. If it goes on with a text that was refused
// before, a lone dot in it is still found, and replaces the answer.
func (s *session) discard(r reply) (reply, error) {
	s.w.data = true
	s.w.rate.start(s.w.now)
	defer s.receiveEnds()
	for n := r.number; n > 0; {
		p, err := s.w.chunk(n)
		if err != nil {
			return r, err
		}
		if s.refused != nil {
			s.refused.Scan(p)
		}
		s.w.use(len(p))
		n -= int64(len(p))
	}
	if s.refused == nil {
		return r, nil
	}
	if r.last {
		s.refused.Finish()
	}
	if s.refused.LoneDot {
		r = loneDot()
	}
	if r.last {
		s.refused = nil
	}
	return r, nil
}

// receiveChunk reads a chunk into the transaction and, if it is the last, ends it. An error is
// that of the connection. in is the size of the chunk.
//
// The rate is watched from the first chunk to the last, so that a drip of small chunks is
// found as well as one of octets.
func (s *session) receiveChunk(ctx context.Context, size int64, last bool) (r reply, in int64, err error) {
	t := &s.trade
	binary := t.sender.Body == mail.BodyBinaryMIME
	if t.chunks == 1 {
		t.scan.Reset(true)
	}
	s.w.data = true
	s.w.rate.start(s.w.now)
	for left := size; left > 0; {
		p, err := s.w.chunk(left)
		if err != nil {
			return reply{}, size, err
		}
		if binary {
			t.header.Scan(p)
			s.take(p)
		} else {
			t.scan.Scan(p)
		}
		s.w.use(len(p))
		left -= int64(len(p))
		s.giveUp()
	}
	s.w.data = false
	if last && !binary {
		t.scan.Finish()
	}
	switch {
	case t.size > s.room():
		// The line ends that we repaired have made it larger than was declared.
		r = s.tooLarge()
	case last:
		r = s.finish(ctx)
	case t.failed():
		// The client learns it now; the chunks that it has sent on find no transaction, but are
		// looked at (bad input F1).
		scan := t.scan
		r = s.finish(ctx)
		if !binary {
			scan.Write = func([]byte) {}
			s.refused = &scan
		}
	default:
		r = reply{text: sayChunk, number: size}
	}
	return r, size, nil
}
