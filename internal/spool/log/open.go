package log

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/spool/log/format"
	"github.com/mailroot/mailroot/internal/vfs"
)

const (
	formatName     = "format"
	lockName       = "lock"
	quarantineName = "quarantine"
	tmpSuffix      = ".tmp"
)

// Open opens the spool in o.Dir, or makes an empty one. It recovers what a crash or damage has left; what
// was wrong, or could not be read, is in Stats. It fails only if the folder is in use by another process, belongs to a later version,
// cannot be read or written, or cannot be locked since "lock" in it is no file.
func Open(o Options) (*Store, error) {
	if o.Dir == "" {
		return nil, errors.New("spool: no folder")
	}
	s := newStore(o.withDefaults())
	if err := s.makeDir(); err != nil {
		return nil, fmt.Errorf("spool: %w", err)
	}
	lock, err := s.fs.Lock(s.path(lockName))
	if errors.Is(err, vfs.ErrLocked) {
		return nil, fmt.Errorf("spool: the queue folder %s is in use by another process", o.Dir)
	}
	if errors.Is(err, vfs.ErrIrregular) { // to move it away here could take the lock of a process that is just doing so
		return nil, fmt.Errorf("spool: %w; move it away: the queue is locked by a file of that name", err)
	}
	if err != nil {
		return nil, fmt.Errorf("spool: %w", err)
	}
	s.lock = lock
	if o.Locked != nil {
		if err := o.Locked(); err != nil {
			lock.Close()
			return nil, err
		}
	}
	err = s.checkFormat()
	if err == nil {
		err = s.unswap()
	}
	if err == nil {
		err = s.recover()
	}
	if err != nil {
		s.closeFiles()
		lock.Close()
		return nil, fmt.Errorf("spool: %s: %w", o.Dir, err)
	}
	// Not left to the maintenance: delivery begins at once, and on a disk that fills its marks need the reserve.
	if _, err := s.tendReserve(); err != nil {
		s.failed(err)
	}
	s.tendRecording()
	go s.maintain()
	s.kick()
	return s, nil
}

func newStore(o Options) *Store {
	s := &Store{
		o: o, fs: o.FS,
		segs: map[uint32]*segment{}, unread: map[format.ID]bool{}, stateFiles: map[format.ID]int64{}, bodyPins: map[mail.QueueID]int{}, spares: map[string]int64{}, reserves: map[string]int64{},
		nextSeg: 1, nextState: 1,
		wake: make(chan struct{}, 1), quit: make(chan struct{}), idle: make(chan struct{}),
	}
	s.led.L = &s.cmu
	s.SetLimits(o.Limits)
	return s
}

// makeDir makes the folder. Its name is durable, and those of its parents, also if a process that died made
// them.
func (s *Store) makeDir() error {
	if info, err := s.fs.Stat(s.o.Dir); err != nil || !info.IsDir {
		if err := s.fs.MkdirAll(s.o.Dir); err != nil {
			return err
		}
	}
	return vfs.SyncParents(s.fs, s.o.Dir)
}

// checkFormat reads the version of the folder, and writes it if it is missing or damaged.
func (s *Store) checkFormat() error {
	name := s.path(formatName)
	b, err := s.readSmall(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil: // each file tells its version too
		s.stats.Unread++
		s.note(fmt.Sprintf("the file %s cannot be read and stays as it is: %v", formatName, err))
		return nil
	default:
		v := format.ParseLine(b)
		if v == format.Version {
			return nil
		}
		if v != 0 {
			return fmt.Errorf("the folder has format %d, and this program knows up to %d: it was written by a later version", v, format.Version)
		}
		s.note("the file " + formatName + " was damaged and has been written anew")
	}
	tmp := name + tmpSuffix
	if err := s.fs.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := s.fs.Create(tmp)
	if err != nil {
		return err
	}
	_, err = f.WriteAt([]byte(format.Line(format.Version)), 0)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := s.fs.Rename(tmp, name); err != nil {
		return err
	}
	return s.fs.SyncDir(s.o.Dir)
}

// readSmall reads up to 4 KB of a file.
func (s *Store) readSmall(name string) ([]byte, error) {
	f, err := s.fs.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b := make([]byte, 4096)
	n, err := f.ReadAt(b, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return b[:n], nil
}

// Close implements spool.Store. Commits that were begun come to their end. With an error something may not have
// been written down that the next opening would like to know, and has to find out.
func (s *Store) Close() error {
	s.cmu.Lock()
	if s.closed {
		s.cmu.Unlock()
		return nil
	}
	s.closed = true
	for s.leading {
		s.led.Wait()
	}
	s.cmu.Unlock()
	close(s.quit)
	<-s.idle
	err := s.finish()
	s.jmu.Lock()
	s.jclosed = true
	if s.journal != nil {
		err = errors.Join(err, s.journal.F.Sync(), s.journal.F.Close())
		s.journal = nil
	}
	s.jmu.Unlock()
	s.closeFiles()
	if !s.recorded() {
		err = errors.Join(err, errUnrecorded)
	}
	return errors.Join(err, s.lock.Close())
}

// recorded reports whether all marks in memory stand in journals or a checkpoint.
func (s *Store) recorded() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.marks == s.marksDone
}

// errUnrecorded is told at the end of a store of which neither a journal nor a checkpoint holds all that memory did.
var errUnrecorded = errors.New("what became of some recipients could not be written down: the next start does not know, and sends to them again what was delivered")

// finish takes a last checkpoint, so that the next opening has nothing to do, and removes what may go.
func (s *Store) finish() error {
	s.ids.mu.Lock()
	s.ids.limit = s.ids.last // nobody is given more, but who reserves anew
	s.ids.mu.Unlock()
	segs, bodies, _ := s.takeTrash()
	err := s.checkpoint()
	_, rerr := s.removeTrash(segs, bodies, err == nil)
	if vfs.IsNoSpace(err) && s.syncJournal(true) == nil && s.recorded() {
		err = nil // the journals say the same
	}
	return errors.Join(err, rerr)
}

// closeFiles closes the segments. Bodies that are still open read no more.
func (s *Store) closeFiles() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shut = true
	for _, g := range s.segs {
		if g.f != nil {
			g.f.Close()
			g.f = nil
		}
	}
	for _, g := range s.trash {
		if g.f != nil {
			g.f.Close()
			g.f = nil
		}
	}
}

// listing is what the folder holds.
type listing struct {
	segs, journals, chks []format.ID // by number
	sizes                map[format.ID]int64
	indexes              []format.ID
	bodies               map[mail.QueueID]int64
}

// list reads the folder and removes what was being written.
func (s *Store) list() (l listing, err error) {
	names, err := s.fs.ReadDir(s.o.Dir)
	if err != nil {
		return l, err
	}
	l.bodies, l.sizes = map[mail.QueueID]int64{}, map[format.ID]int64{}
	for _, name := range names {
		if base, tmp := strings.CutSuffix(name, tmpSuffix); tmp {
			if _, ours := format.ParseName(base); ours || base == formatName {
				if err := s.removeFile(name); err != nil {
					s.fault(err)
				}
			}
			continue
		}
		info, err := s.fs.Stat(s.path(name))
		if err != nil {
			s.fault(err) // whoever needs the file will see
		}
		if id, ok := format.ParseBodyName(name); ok {
			l.bodies[id] = info.Size
			continue
		}
		if format.IsSpareName(name) {
			s.spares[name] = info.Size
			continue
		}
		if format.IsReserveName(name) {
			s.keepReserve(name, info.Size)
			continue
		}
		id, ok := format.ParseName(name)
		if !ok {
			continue
		}
		l.sizes[id] = info.Size
		switch id.Kind {
		case format.KindIndex:
			l.indexes = append(l.indexes, id)
			continue
		case format.KindSegment:
			l.segs = append(l.segs, id)
		case format.KindJournal:
			l.journals = append(l.journals, id)
		case format.KindCheckpoint:
			l.chks = append(l.chks, id)
		}
		if id.Kind != format.KindSegment {
			s.stateFiles[id] = info.Size
		}
	}
	l.journals = s.dropUnbegun(l.journals)
	return l, nil // sorted: names have their numbers in equal width
}

// dropUnbegun removes journals whose making failed, and which have the number of another therefore.
func (s *Store) dropUnbegun(ids []format.ID) (out []format.ID) {
	for _, id := range ids {
		k := len(out)
		if k == 0 || out[k-1].Num != id.Num {
			out = append(out, id)
			continue
		}
		drop := id
		if s.stateFiles[out[k-1]] < s.stateFiles[id] {
			drop, out[k-1] = out[k-1], id
		}
		if s.stateFiles[drop] > format.HeaderSize {
			out = append(out, drop)
			continue
		}
		delete(s.stateFiles, drop)
		if err := s.removeFile(drop.Name()); err != nil {
			s.fault(err)
		}
	}
	return out
}
