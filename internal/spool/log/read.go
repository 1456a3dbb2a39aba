package log

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"sync"

	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/spool"
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

// errDamage says that what is on disk is not what was written, as opposed to a read that failed.
var errDamage = errors.New("damaged")

// readFull fills p from off on; errDamage if the file ends before.
func readFull(f io.ReaderAt, p []byte, off int64) error {
	n, err := f.ReadAt(p, off)
	if n == len(p) {
		return nil
	}
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: the file ends at %d", errDamage, off+int64(n))
	}
	return err
}

// readRecord reads and checks the header of the record of a message.
func readRecord(f io.ReaderAt, id fileID, off int64) (record, error) {
	var h [headerSize]byte
	if err := readFull(f, h[:], off); err != nil {
		return record{}, err
	}
	r, err := parseRecord(h[:], id)
	if err != nil {
		return r, fmt.Errorf("%w: %w", errDamage, err)
	}
	return r, nil
}

var envelopes = sync.Pool{New: func() any { return new([]byte) }}

// readEnvelope reads, checks and decodes the envelope of the record r at off.
func readEnvelope(f io.ReaderAt, r *record, off int64) (*mail.Envelope, error) {
	buf := envelopes.Get().(*[]byte)
	if r.envLen < 1<<20 {
		defer envelopes.Put(buf)
	}
	if cap(*buf) < int(r.envLen) {
		*buf = make([]byte, r.envLen)
	}
	b := (*buf)[:r.envLen]
	if err := readFull(f, b, off+r.envOff()); err != nil {
		return nil, err
	}
	if sum(b) != r.envCRC {
		return nil, fmt.Errorf("%w: CRC of the envelope", errDamage)
	}
	env, err := spool.DecodeEnvelope(b)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errDamage, err)
	}
	if env.ID != r.id {
		return nil, fmt.Errorf("%w: the envelope is of another message", errDamage)
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
		if err := readFull(f, p, off+at); err != nil {
			return err
		}
		crc = crc32.Update(crc, castagnoli, p)
		at += int64(len(p))
	}
	if crc != want {
		return fmt.Errorf("%w: CRC of the message", errDamage)
	}
	return nil
}

// withRecord calls f with the record of a message and its segment, pinned; m is a copy. The pin is
// given up afterwards unless f returns keep. What turns out to be damaged goes to quarantine.
func (s *Store) withRecord(id mail.QueueID, f func(g *segment, gf vfs.File, m *message, r *record) (keep bool, err error)) error {
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
			var r record
			if r, err = readRecord(gf, g.id, int64(m.off)); err == nil && r.id != id {
				err = fmt.Errorf("%w: the record is of another message", errDamage)
			}
			if err == nil {
				keep, err = f(g, gf, &m, &r)
			}
			if !keep {
				s.unpin(g)
			}
		} else if errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("%w: %w", errDamage, err)
		}
		if err == nil {
			s.readable()
			return nil
		}
		switch {
		case errors.Is(err, spool.ErrNotFound), errors.Is(err, spool.ErrClosed), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
			return err
		case !errors.Is(err, errDamage):
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
	err = s.withRecord(id, func(g *segment, f vfs.File, m *message, r *record) (_ bool, err error) {
		env, err = readEnvelope(f, r, int64(m.off))
		if err == nil && len(env.Recipients) != int(m.n) {
			err = fmt.Errorf("%w: the envelope has %d recipients, not %d", errDamage, len(env.Recipients), m.n)
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
	err := s.withRecord(id, func(g *segment, f vfs.File, m *message, r *record) (bool, error) {
		nb := &body{s: s, f: f, seg: g, id: id, off: int64(m.off) + headerSize, size: r.size}
		if r.kind == recordFile {
			bf, err := s.openBodyFile(id)
			if err != nil {
				return false, err
			}
			nb.f, nb.seg, nb.off = bf, nil, 0
		}
		if !m.verified {
			if err := checkSum(ctx, nb.f, nb.off, nb.size, r.crc); err != nil {
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
	f, err := s.fs.Open(s.path(bodyName(id)))
	if err == nil {
		return f, nil
	}
	s.mu.Lock()
	if s.bodyPins[id]--; s.bodyPins[id] == 0 {
		delete(s.bodyPins, id)
	}
	s.mu.Unlock()
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%w: %w", errDamage, err)
	}
	return nil, err
}

// notes reads notes; it keeps the files that it read open until close.
type notes struct {
	s     *Store
	files map[replyPos]vfs.File // by replyPos without its offset
	buf   []byte
}

func (n *notes) close() {
	for _, f := range n.files {
		f.Close()
	}
}

// open opens the state file that holds pos.
func (n *notes) open(pos replyPos) vfs.File {
	key := pos &^ (1<<replyOffBits - 1)
	if f := n.files[key]; f != nil {
		return f
	}
	kind, num := pos.file()
	n.s.mu.Lock()
	var name string
	for f := range n.s.stateFiles {
		if f.kind == kind && f.num == num {
			name = f.name()
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
		n.files = map[replyPos]vfs.File{}
	}
	n.files[key] = f
	return f
}

// read returns the note at pos, raw and taken apart; ok is false if it is not there or not of
// this recipient.
func (n *notes) read(pos replyPos, id mail.QueueID, rcpt int) (raw []byte, r mail.Reply, host string, ok bool) {
	f := n.open(pos)
	if f == nil {
		return nil, r, "", false
	}
	if n.buf == nil {
		n.buf = make([]byte, maxNote)
	}
	k, err := f.ReadAt(n.buf, pos.off())
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, r, "", false
	}
	r, host, size := parseNote(n.buf[:k], id, rcpt)
	return n.buf[:size], r, host, size > 0
}

// statusOf returns the states of a message without the replies, and where these are.
func (s *Store) statusOf(id mail.QueueID) ([]spool.RecipientStatus, []replyPos, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.x.find(id)
	if m == nil {
		return nil, nil, false
	}
	out, pos := make([]spool.RecipientStatus, m.n), make([]replyPos, m.n)
	for i, r := range s.x.recipients(m) {
		out[i] = spool.RecipientStatus{Rcpt: i, State: r.state(), Attempts: int(r.attempts), Due: fromMillis(r.due), Route: s.x.routeOf(m, i)}
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
