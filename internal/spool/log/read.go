package log

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"

	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/spool"
	"github.com/mailroot/mailroot/internal/spool/log/format"
	"github.com/mailroot/mailroot/internal/vfs"
)

// readAt reads from the section of f that begins at base and is size long.
func readAt(f io.ReaderAt, p []byte, off, base, size int64) (int, error) {
	if off >= size {
		return 0, io.EOF
	}
	var end error
	if int64(len(p)) > size-off {
		p, end = p[:size-off], io.EOF
	}
	n, err := f.ReadAt(p, base+off)
	if n == len(p) {
		err = end
	} else if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF // the file is shorter than it was
	}
	return n, err
}

var envelopes = sync.Pool{New: func() any { return new([]byte) }}

// readEnvelope reads, checks and decodes the envelope of the record r at off.
func readEnvelope(f io.ReaderAt, r *format.Record, off int64) (*mail.Envelope, error) {
	buf := envelopes.Get().(*[]byte)
	if r.EnvLen < 1<<20 {
		defer envelopes.Put(buf)
	}
	if cap(*buf) < int(r.EnvLen) {
		*buf = make([]byte, r.EnvLen)
	}
	b := (*buf)[:r.EnvLen]
	if err := format.ReadFull(f, b, off+r.EnvOff()); err != nil {
		return nil, err
	}
	if format.Sum(b) != r.EnvCRC {
		return nil, fmt.Errorf("%w: CRC of the envelope", format.ErrDamage)
	}
	env, err := spool.DecodeEnvelope(b)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", format.ErrDamage, err)
	}
	if env.ID != r.ID {
		return nil, fmt.Errorf("%w: the envelope is of another message", format.ErrDamage)
	}
	return env, nil
}

// checkSum reads size octets from off on and compares their CRC.
func checkSum(ctx context.Context, f io.ReaderAt, off, size int64, want uint32) error {
	buf := make([]byte, min(size, 256<<10))
	var crc uint32
	for at := int64(0); at < size; {
		if err := ctx.Err(); err != nil {
			return err
		}
		p := buf[:min(int64(len(buf)), size-at)]
		if err := format.ReadFull(f, p, off+at); err != nil {
			return err
		}
		crc = format.AddSum(crc, p)
		at += int64(len(p))
	}
	if crc != want {
		return fmt.Errorf("%w: CRC of the message", format.ErrDamage)
	}
	return nil
}

// withRecord calls f with the record of a message and its segment, pinned; m is a copy. The pin is
// given up afterwards unless f returns keep. What turns out to be damaged goes to quarantine.
func (s *Store) withRecord(id mail.QueueID, f func(g *segment, gf vfs.File, m *message, r *format.Record) (keep bool, err error)) error {
	for range 3 { // the message may be moved in between, and its old segment removed
		s.mu.Lock()
		p := s.x.find(id)
		if p == nil {
			err := s.absent(id)
			s.mu.Unlock()
			return err
		}
		m := *p
		g := s.segs[m.seg]
		if g == nil {
			s.mu.Unlock()
			return spool.ErrNotFound
		}
		gf, err := s.pin(g)
		s.mu.Unlock()
		var keep bool
		if err == nil {
			var r format.Record
			if r, err = format.ReadRecord(gf, g.id, int64(m.off)); err == nil && r.ID != id {
				err = fmt.Errorf("%w: the record is of another message", format.ErrDamage)
			}
			if err == nil {
				keep, err = f(g, gf, &m, &r)
			}
			if !keep {
				s.unpin(g)
			}
		} else if errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("%w: %w", format.ErrDamage, err)
		}
		if err == nil {
			s.readable()
			return nil
		}
		switch {
		case errors.Is(err, spool.ErrNotFound), errors.Is(err, spool.ErrClosed), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
			return err
		case !errors.Is(err, format.ErrDamage):
			return s.unreadable(errLocal(err))
		}
		if !s.samePlace(&m) {
			continue
		}
		if err := s.quarantineMessage(&m, err); err != nil {
			return errLocal(err)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.absent(id)
	}
	return spool.ErrNotFound
}

func (s *Store) samePlace(m *message) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.x.find(m.id)
	return p != nil && p.seg == m.seg && p.off == m.off
}

// Envelope implements spool.Store.
func (s *Store) Envelope(ctx context.Context, id mail.QueueID) (env *mail.Envelope, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	err = s.withRecord(id, func(g *segment, f vfs.File, m *message, r *format.Record) (_ bool, err error) {
		env, err = readEnvelope(f, r, int64(m.off))
		if err == nil && len(env.Recipients) != int(m.n) {
			err = fmt.Errorf("%w: the envelope has %d recipients, not %d", format.ErrDamage, len(env.Recipients), m.n)
		}
		return false, err
	})
	if err != nil {
		return nil, err
	}
	return env, nil
}

// Body implements spool.Store. The octets of a message that was committed before the store was
// opened are checked the first time.
func (s *Store) Body(ctx context.Context, id mail.QueueID) (spool.Body, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var b *body
	err := s.withRecord(id, func(g *segment, f vfs.File, m *message, r *format.Record) (bool, error) {
		nb := &body{s: s, f: f, seg: g, id: id, off: int64(m.off) + format.HeaderSize, size: r.Size}
		if r.Kind == format.RecordFile {
			bf, err := s.openBodyFile(id)
			if err != nil {
				return false, err
			}
			nb.f, nb.seg, nb.off = bf, nil, 0
		}
		if !m.verified {
			if err := checkSum(ctx, nb.f, nb.off, nb.size, r.CRC); err != nil {
				if nb.seg == nil {
					nb.Close()
				}
				return false, err
			}
			s.mu.Lock()
			if p := s.x.find(id); p != nil {
				p.verified = true
			}
			s.mu.Unlock()
		}
		b = nb
		return nb.seg != nil, nil
	})
	if err != nil {
		return nil, err
	}
	return b, nil
}

// openBodyFile opens body-<id> and pins it.
func (s *Store) openBodyFile(id mail.QueueID) (vfs.File, error) {
	s.mu.Lock()
	if s.x.find(id) == nil {
		s.mu.Unlock()
		return nil, spool.ErrNotFound
	}
	s.bodyPins[id]++
	s.mu.Unlock()
	f, err := s.fs.Open(s.path(format.BodyName(id)))
	if err == nil {
		return f, nil
	}
	s.mu.Lock()
	if s.bodyPins[id]--; s.bodyPins[id] == 0 {
		delete(s.bodyPins, id)
	}
	s.mu.Unlock()
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%w: %w", format.ErrDamage, err)
	}
	return nil, err
}

// notes reads notes; it keeps the files that it read open until close.
type notes struct {
	s     *Store
	files map[format.ReplyPos]vfs.File // by format.ReplyPos without its offset
	buf   []byte
}

func (n *notes) close() {
	for _, f := range n.files {
		f.Close()
	}
}

// open opens the state file that holds pos.
func (n *notes) open(pos format.ReplyPos) vfs.File {
	key := pos.FileKey()
	if f := n.files[key]; f != nil {
		return f
	}
	kind, num := pos.File()
	n.s.mu.Lock()
	var name string
	for f := range n.s.stateFiles {
		if f.Kind == kind && f.Num == num {
			name = f.Name()
		}
	}
	n.s.mu.Unlock()
	if name == "" {
		return nil
	}
	f, err := n.s.fs.Open(n.s.path(name))
	if err != nil {
		return nil
	}
	if n.files == nil {
		n.files = map[format.ReplyPos]vfs.File{}
	}
	n.files[key] = f
	return f
}

// read returns the note at pos, raw and taken apart; ok is false if it is not there or not of
// this recipient.
func (n *notes) read(pos format.ReplyPos, id mail.QueueID, rcpt int) (raw []byte, r mail.Reply, host string, ok bool) {
	f := n.open(pos)
	if f == nil {
		return nil, r, "", false
	}
	if n.buf == nil {
		n.buf = make([]byte, format.MaxNote)
	}
	k, err := f.ReadAt(n.buf, pos.Off())
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, r, "", false
	}
	r, host, size := format.ParseNote(n.buf[:k], id, rcpt)
	return n.buf[:size], r, host, size > 0
}

// statusOf returns the states of a message without the replies, and where these are.
func (s *Store) statusOf(id mail.QueueID) ([]spool.RecipientStatus, []format.ReplyPos, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.x.find(id)
	if m == nil {
		return nil, nil, false
	}
	out, pos := make([]spool.RecipientStatus, m.n), make([]format.ReplyPos, m.n)
	for i, r := range s.x.recipients(m) {
		out[i] = spool.RecipientStatus{Rcpt: i, State: r.state(), Attempts: int(r.attempts), Due: format.FromMillis(r.due), Route: s.x.routeOf(m, i)}
		pos[i] = r.reply
	}
	return out, pos, true
}

// Status implements spool.Store.
func (s *Store) Status(ctx context.Context, id mail.QueueID) ([]spool.RecipientStatus, error) {
	n := notes{s: s}
	defer n.close()
	return s.status(ctx, id, &n)
}

func (s *Store) status(ctx context.Context, id mail.QueueID, n *notes) ([]spool.RecipientStatus, error) {
	for try := 0; ; try++ {
		out, pos, found := s.statusOf(id)
		if !found {
			return nil, spool.ErrNotFound
		}
		missed := false
		for i, p := range pos {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			if p == 0 {
				continue
			}
			var ok bool
			_, out[i].Reply, out[i].Host, ok = n.read(p, id, i)
			missed = missed || !ok
		}
		// A checkpoint may have moved the notes meanwhile; one that is damaged stays away.
		if !missed || try > 0 {
			return out, nil
		}
	}
}
