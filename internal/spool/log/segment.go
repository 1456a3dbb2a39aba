package log

import (
	"fmt"
	"io"
	"math"
	"os"

	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/spool"
	"github.com/mailroot/mailroot/internal/spool/log/format"
	"github.com/mailroot/mailroot/internal/vfs"
)

// segment is a file of records. Its fields are guarded by Store.mu but for those of the one who appends.
type segment struct {
	id     format.ID
	key    uint32   // names it in memory and in checkpoints: its number, unless another file had that
	f      vfs.File // nil: not open
	size   int64    // octets that are entered in the index or were passed over
	disk   int64    // of the file, if that is more
	live   int      // messages whose record is here
	octets int64    // of those records
	pins   int      // readers
	sealed bool     // nothing more will be appended
	dead   bool     // a write or sync failed; what came after size was never acknowledged
	made   bool     // the file is there, its name is durable
	gone   bool     // in trash
	told   int64    // the size that a journal has been told
	reach  int64    // at the opening: up to where all can be read, or a checkpoint has it
	reused bool     // found at the opening with format.Reused, or with a damaged header
	// again, if not 0, is where the next opening has to look again: something there could not be read,
	// or not be put into quarantine. The file stays until then.
	again int64

	index segIndex
}

// onDisk is what the file takes.
func (g *segment) onDisk() int64 { return max(g.size, g.disk) }

// bodyFile is body-<id>.
type bodyFile struct {
	id   mail.QueueID
	size int64
}

// covered is the offset before which a checkpoint knows everything, 0 if the file may not be there.
func (g *segment) covered() int64 {
	switch {
	case !g.made:
		return 0
	case g.again > 0:
		return g.again
	case g.sealed:
		return math.MaxInt64
	}
	return g.size
}

// newSegment makes a segment with the next number, of a spare if there is one and it may; its name is durable.
func (s *Store) newSegment(spare bool) (*segment, error) {
	s.mu.Lock()
	g := &segment{id: format.ID{Kind: format.KindSegment, Num: s.nextSeg, Salt: format.NewSalt()}, key: s.nextSeg, size: format.HeaderSize, index: segIndex{listed: true}}
	s.nextSeg++ // also if it fails: a part of the file may be there
	// It must be known before the file is: what a checkpoint does not list and is older is removed.
	s.segs[g.key] = g
	s.mu.Unlock()
	f, err := s.segmentFile(g, spare)
	if err != nil {
		s.mu.Lock()
		delete(s.segs, g.key)
		s.mu.Unlock()
		return nil, fmt.Errorf("segment: %w", err)
	}
	// So that it is missed if it is not there some day. Without that it is as good.
	if err := s.writeFacts(format.EntryMade, format.SegmentFact(g.id)); err != nil {
		s.failed(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	g.f, g.made = f, true
	s.openFiles++
	s.closeIdle(g)
	return g, nil
}

// segmentFile makes the file of g, or takes a spare one: what is written over needs no new place on disk, and
// its sync has no size to record, which makes it twice as fast (see docs/decisions/0002-spool.md).
func (s *Store) segmentFile(g *segment, spare bool) (f vfs.File, err error) {
	name := s.path(g.id.Name())
	var flags byte
	var from string
	if spare {
		var size int64
		from, size = s.takeOne(s.spares)
		s.mu.Lock()
		g.disk = size
		s.mu.Unlock()
	}
	if from != "" {
		flags = format.Reused
		if err = s.fs.Rename(s.path(from), name); err != nil {
			_ = s.fs.Remove(s.path(from))
			return nil, err
		}
		f, err = s.fs.OpenReadWrite(name)
	} else {
		f, err = s.fs.Create(name)
	}
	if err != nil {
		_ = s.fs.Remove(name)
		return nil, err
	}
	if _, err = f.WriteAt(g.id.Header(flags), 0); err == nil {
		err = s.fs.SyncDir(s.o.Dir)
	}
	if err != nil {
		f.Close()
		_ = s.fs.Remove(name)
		return nil, err
	}
	return f, nil
}

// seal ends the appending to g. mu is held.
func (s *Store) seal(g *segment) {
	g.sealed = true
	s.trashIfEmpty(g)
}

// place counts a record as living in g, unplace takes it back. mu is held.
func (g *segment) place(id mail.QueueID, length uint32) {
	g.live++
	g.octets += int64(length)
	if g.index.listed {
		g.index.ids = append(g.index.ids, id)
	}
}

func (s *Store) unplace(g *segment, length uint32) {
	g.live--
	g.octets -= int64(length)
	s.trashIfEmpty(g)
}

func (s *Store) trashIfEmpty(g *segment) {
	if g.sealed && g.live == 0 && g.again == 0 && !g.gone {
		g.gone = true
		delete(s.segs, g.key)
		s.trash = append(s.trash, g)
	}
}

// pin opens g for reading until unpin. mu is held, and given up while the file is opened.
func (s *Store) pin(g *segment) (vfs.File, error) {
	if s.shut {
		return nil, spool.ErrClosed
	}
	g.pins++
	if g.f != nil {
		return g.f, nil
	}
	s.mu.Unlock()
	f, err := s.fs.Open(s.path(g.id.Name()))
	s.mu.Lock()
	switch {
	case err != nil && g.f == nil:
		g.pins--
		return nil, err
	case s.shut:
		g.pins--
		if err == nil {
			f.Close()
		}
		return nil, spool.ErrClosed
	case err == nil && g.f == nil:
		g.f = f
		s.openFiles++
		s.closeIdle(g)
	case err == nil: // another was faster
		f.Close()
	}
	return g.f, nil
}

// closeIdle closes segments that nobody reads or writes while too many are open. mu is held.
func (s *Store) closeIdle(not *segment) {
	if s.openFiles <= s.o.MaxOpenFiles {
		return
	}
	for _, g := range s.segs {
		if g != not && g.f != nil && g.pins == 0 && g.sealed {
			g.f.Close()
			g.f = nil
			if s.openFiles--; s.openFiles <= s.o.MaxOpenFiles {
				return
			}
		}
	}
}

func (s *Store) unpin(g *segment) {
	s.mu.Lock()
	g.pins--
	last := g.gone && g.pins == 0
	s.closeIdle(nil) // it may be what many were open for
	s.mu.Unlock()
	if last {
		s.kick()
	}
}

// body is a spool.Body.
type body struct {
	s    *Store
	f    vfs.File
	seg  *segment     // nil: a file of its own
	id   mail.QueueID // of the file of its own
	off  int64
	size int64
}

// ReadAt implements io.ReaderAt.
func (b *body) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, os.ErrInvalid
	}
	n, err := readAt(b.f, p, off, b.off, b.size)
	if err != nil && err != io.EOF && b.s != nil {
		_ = b.s.unreadable(err)
	}
	return n, err
}

// Size implements spool.Body.
func (b *body) Size() int64 { return b.size }

// File returns the file that holds the message and the offset where it begins; nil when the
// store is not on real files. The file belongs to the store.
func (b *body) File() (*os.File, int64) { return vfs.OSFile(b.f), b.off }

// Close implements spool.Body. A second Close does nothing.
func (b *body) Close() error {
	s := b.s
	if s == nil {
		return nil
	}
	b.s = nil
	if b.seg != nil {
		s.unpin(b.seg)
		return nil
	}
	err := b.f.Close()
	s.mu.Lock()
	if s.bodyPins[b.id]--; s.bodyPins[b.id] == 0 {
		delete(s.bodyPins, b.id)
	}
	waits := len(s.trashBodies) > 0
	s.mu.Unlock()
	if waits {
		s.kick()
	}
	return err
}
