package log

import (
	"maps"
	"time"

	"github.com/mailroot/mailroot/internal/spool/log/format"
)

// maxSpares is the number of segments that are kept to be written over.
const maxSpares = 2

// spareTime is how long spares are kept when no segment is filled.
const spareTime = time.Minute

// takeOne returns the name and size of one of the spares, or of the reserve, which belongs to it no more, or "".
func (s *Store) takeOne(of map[string]int64) (name string, size int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, size = range of {
		delete(of, name)
		return name, size
	}
	return "", 0
}

// spareOrRemove does away with the file of a segment that is empty: it becomes a part of the reserve or a spare, if one is
// wanted and the file is of use, or is removed.
func (s *Store) spareOrRemove(g *segment) error {
	if g.index.file != nil {
		if err := s.removeFile(format.IndexID(g.id).Name()); err != nil {
			return err
		}
	}
	size := g.onDisk()
	if !g.dead && s.toReserve(g.id.Name(), size) {
		return nil
	}
	s.mu.Lock()
	keep := len(s.spares) < maxSpares && size >= s.o.SegmentSize && size <= 2*s.o.SegmentSize && !g.dead
	s.mu.Unlock()
	if !keep || s.room.low.Load() {
		return s.removeFile(g.id.Name())
	}
	name := format.SpareName(g.id.Salt)
	if err := s.fs.Rename(s.path(g.id.Name()), s.path(name)); err != nil {
		return s.removeFile(g.id.Name())
	}
	s.mu.Lock()
	s.spares[name] = size
	s.mu.Unlock()
	return nil
}

// dropSpares removes the spares, but for what the reserve lacks.
func (s *Store) dropSpares() error {
	s.mu.Lock()
	spares := maps.Clone(s.spares)
	clear(s.spares)
	s.mu.Unlock()
	var err error
	for name, size := range spares {
		if e := s.discard(name, size); e != nil {
			err = e
			s.mu.Lock()
			s.spares[name] = size
			s.mu.Unlock()
		}
	}
	return err
}

// tendSpares removes the spares when no segment was filled for a while: mail that trickles in has no use for them.
// again says that it is too early.
func (s *Store) tendSpares() (again bool, err error) {
	s.mu.Lock()
	n, used := len(s.spares), s.usedUp
	s.mu.Unlock()
	if n == 0 {
		return false, nil
	}
	if now := time.Now(); used != s.spareUsed || s.spareSince.IsZero() {
		s.spareUsed, s.spareSince = used, now
	} else if now.Sub(s.spareSince) >= spareTime {
		return false, s.dropSpares()
	}
	return true, nil
}
