package log

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/mailroot/mailroot/internal/spool/log/format"
)

// clean moves the last messages of mostly dead segments into the segment for moved messages, and
// reports whether it found any. Messages that were moved once are old: among themselves they do not die as
// soon as new mail does, so that they are not copied again and again.
//
// A message is in both places until the copy is synced; then the index points to the copy, and the
// old segment goes when it is empty.
func (s *Store) clean() (bool, error) {
	in := s.victims()
	if len(in) == 0 {
		return false, nil
	}
	list := s.stragglers(in)
	slices.SortFunc(list, func(a, b straggler) int {
		return cmp.Or(cmp.Compare(a.g.key, b.g.key), cmp.Compare(a.off, b.off))
	})
	for len(list) > 0 {
		n, err := s.moveSome(list)
		if err != nil {
			return true, err
		}
		list = list[n:]
	}
	return true, nil
}

// moveBatch is about how many octets are copied under one sync.
const moveBatch = 4 << 20

// moveSome moves a part of the list and returns how many it has dealt with.
func (s *Store) moveSome(list []straggler) (n int, err error) {
	if s.cold != nil && s.cold.size >= s.o.SegmentSize {
		s.sealCold()
	}
	if s.cold == nil {
		if s.cold, err = s.newSegment(false); err != nil {
			return 0, err
		}
	}
	cold := s.cold
	start := cold.size
	var buf []byte
	for n < len(list) && len(buf) < moveBatch {
		l := &list[n]
		n++
		l.newOff = 0
		rec, err := s.readStraggler(l)
		switch {
		case errors.Is(err, format.ErrDamage):
			s.damagedStraggler(l, err)
			continue
		case err != nil:
			return 0, err
		case rec == nil: // gone meanwhile
			continue
		}
		r, err := format.ParseRecord(rec, l.g.id)
		if err != nil {
			return 0, err
		}
		r.Flags |= format.RecordMoved
		r.Durable = uint32(start)
		r.Put(rec, cold.id)
		l.newOff = start + int64(len(buf))
		buf = append(buf, rec...)
	}
	if len(buf) == 0 {
		return n, nil
	}
	if _, err = cold.f.WriteAt(buf, start); err == nil {
		err = cold.f.Sync()
	}
	s.room.written.Add(int64(len(buf)))
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.cold = nil
		s.abandon(cold)
		return 0, fmt.Errorf("segment for moved messages: %w", err)
	}
	cold.size = start + int64(len(buf))
	s.untold = true
	s.stats.Syncs++
	for _, l := range list[:n] {
		if l.newOff == 0 {
			continue
		}
		if m := s.x.find(l.id); m != nil && m.seg == l.g.key && m.off == l.off {
			m.seg, m.off = cold.key, uint32(l.newOff)
			m.verified = m.verified || !m.file
			cold.place(m.id, m.length)
			s.stats.Moved++
			s.unplace(l.g, m.length)
		}
	}
	return n, nil
}

// readStraggler reads and checks a whole record; nil if the message is gone.
func (s *Store) readStraggler(l *straggler) ([]byte, error) {
	s.mu.Lock()
	m := s.x.find(l.id)
	if m == nil || m.seg != l.g.key || m.off != l.off {
		s.mu.Unlock()
		return nil, nil
	}
	f, err := s.pin(l.g)
	s.mu.Unlock()
	if err != nil {
		return nil, err
	}
	defer s.unpin(l.g)
	rec := make([]byte, l.length)
	if err := format.ReadFull(f, rec, int64(l.off)); err != nil {
		return nil, err
	}
	r, err := format.ParseRecord(rec, l.g.id)
	if err != nil || r.Length() != int64(l.length) || r.ID != l.id {
		return nil, fmt.Errorf("%w: %w", format.ErrDamage, cmp.Or(err, format.ErrNoRecord))
	}
	off := r.EnvOff()
	if format.Sum(rec[format.HeaderSize:off]) != r.CRC && r.Kind == format.RecordInline || format.Sum(rec[off:off+int64(r.EnvLen)]) != r.EnvCRC {
		return nil, fmt.Errorf("%w: CRC", format.ErrDamage)
	}
	return rec, nil
}

// damagedStraggler puts a damaged message into quarantine. If that fails its segment is left alone
// until the next opening.
func (s *Store) damagedStraggler(l *straggler, cause error) {
	s.mu.Lock()
	p := s.x.find(l.id)
	if p == nil {
		s.mu.Unlock()
		return
	}
	m := *p
	s.mu.Unlock()
	if err := s.quarantineMessage(&m, cause); err != nil {
		s.failed(err)
		s.mu.Lock()
		l.g.again = max(1, int64(l.off))
		s.mu.Unlock()
	}
}
