package log

import (
	"cmp"
	"context"
	"io"
	"slices"

	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/spool/log/format"
)

// place is where the record of a message is.
type place struct {
	id       mail.QueueID
	off, end uint32
}

const (
	// lookWindow is how much of a segment is read at once, lookGap what is read in vain at most between
	// two records.
	lookWindow = 256 << 10
	lookGap    = 8 << 10
)

// readEnvelopes calls f with the envelope of each of the messages, which live in g or were moved meanwhile; nil if it
// cannot be read there. The order is that of the segment.
func (s *Store) readEnvelopes(ctx context.Context, g *segment, ids []mail.QueueID, f func(mail.QueueID, *mail.Envelope)) error {
	places, moved := s.places(g, ids)
	for _, id := range moved {
		f(id, nil)
	}
	if len(places) == 0 {
		return nil
	}
	s.mu.Lock()
	file, err := s.pin(g)
	s.mu.Unlock()
	if err != nil {
		return err
	}
	defer s.unpin(g)
	var window []byte
	for n := 0; len(places) > 0; places = places[n:] {
		if err := ctx.Err(); err != nil {
			return err
		}
		from, end := places[0].off, places[0].end
		for n = 1; n < len(places) && places[n].off-end <= lookGap && places[n].end-from <= lookWindow; n++ {
			end = places[n].end
		}
		in := section{r: file}
		if end-from <= lookWindow { // else a large one: its envelope alone
			if window == nil {
				window = make([]byte, lookWindow)
			}
			if format.ReadFull(file, window[:end-from], int64(from)) == nil {
				in = section{b: window[:end-from], base: int64(from)}
			}
		}
		for _, p := range places[:n] {
			f(p.id, s.envelopeAt(in, g, p))
		}
	}
	return nil
}

// places returns where in g the messages are, in order, and those that are elsewhere.
func (s *Store) places(g *segment, ids []mail.QueueID) (out []place, moved []mail.QueueID) {
	out = make([]place, 0, len(ids))
	for chunk := range slices.Chunk(ids, 512) {
		s.mu.Lock()
		for _, id := range chunk {
			switch m := s.x.find(id); {
			case m == nil:
			case m.seg == g.key:
				out = append(out, place{id, m.off, m.off + m.length})
			default:
				moved = append(moved, id)
			}
		}
		s.mu.Unlock()
	}
	slices.SortFunc(out, func(a, b place) int { return cmp.Compare(a.off, b.off) })
	return out, moved
}

// envelopeAt reads the envelope of a message, nil if that cannot be done.
func (s *Store) envelopeAt(in section, g *segment, p place) *mail.Envelope {
	r, err := format.ReadRecord(in, g.id, int64(p.off))
	if err != nil || r.ID != p.id || int64(p.off)+r.Length() != int64(p.end) {
		return nil
	}
	env, err := readEnvelope(in, &r, int64(p.off))
	if err != nil {
		return nil
	}
	return env
}

// section is a part of a file that was read, or the file itself.
type section struct {
	b    []byte
	base int64
	r    io.ReaderAt
}

// ReadAt implements io.ReaderAt.
func (s section) ReadAt(p []byte, off int64) (int, error) {
	if s.r != nil {
		return s.r.ReadAt(p, off)
	}
	n := 0
	if off >= s.base && off-s.base < int64(len(s.b)) {
		n = copy(p, s.b[off-s.base:])
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}
