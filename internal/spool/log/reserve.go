package log

import (
	"errors"
	"fmt"
	"time"

	"github.com/mailroot/mailroot/internal/spool/log/format"
	"github.com/mailroot/mailroot/internal/vfs"
)

// reserveFiles is how many files stand by for a full disk: one for the journal, which tells what may be removed, and
// two for the end of the process: a journal and its checkpoint.
const reserveFiles = 3

// reservePause is how long no reserve is made after it could not be.
const reservePause = time.Minute

var errNoReserve = fmt.Errorf("the reserve is used up, and there is no room (or no free inode) for another file: %w", vfs.ErrNoSpace)

// reserveFile makes a block file of one that stands by, or of a spare segment, whose place on disk is written over: nobody
// else can take it.
func (s *Store) reserveFile(id format.ID, suffix string) (*format.Writer, error) {
	from, size := s.takeOne(s.reserves)
	if from == "" && s.reserveSpare() {
		from, size = s.takeOne(s.reserves)
	}
	if from == "" {
		return nil, errNoReserve
	}
	name := s.path(id.Name() + suffix)
	f, err := s.renameReserve(s.path(from), name, id.Header(format.Reused))
	if err != nil {
		_ = s.fs.Remove(s.path(from))
		_ = s.fs.Remove(name)
		return nil, err
	}
	return &format.Writer{ID: id, F: f, Size: format.HeaderSize, Reserved: size}, nil
}

// renameReserve gives a reserve file its header, and then its new name: after a power cut the name never stands without.
func (s *Store) renameReserve(from, name string, header []byte) (vfs.File, error) {
	f, err := s.fs.OpenReadWrite(from)
	if err != nil {
		return nil, err
	}
	if _, err = f.WriteAt(header, 0); err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	if err := s.fs.Rename(from, name); err != nil {
		return nil, err
	}
	return s.fs.OpenReadWrite(name)
}

// keepReserve takes a file of the reserve that the opening has found, unless its making was cut off. One that was a segment
// may not have been cut to its size yet.
func (s *Store) keepReserve(name string, size int64) {
	if size >= s.o.reserve && len(s.reserves) < reserveFiles && s.cutReserve(name, size) == nil {
		s.reserves[name] = s.o.reserve
		return
	}
	if err := s.removeFile(name); err != nil {
		s.fault(err)
	}
}

// bookReserve promises one more file to the reserve, unless it is complete; enterReserve must follow.
func (s *Store) bookReserve() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.reserves)+s.reserving >= reserveFiles {
		return false
	}
	s.reserving++
	return true
}

// enterReserve keeps the promise, or gives it up after an error.
func (s *Store) enterReserve(name string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.reserving--; err == nil {
		s.reserves[name] = s.o.reserve
	}
}

// toReserve makes a file that is needed no more a part of the reserve. It has that name for good before it is cut to its
// size: of what is cut off others may take the place, and a power cut must not leave a segment that has lost its end.
// False: the reserve is complete, or the file is of no use; the caller removes it.
func (s *Store) toReserve(from string, size int64) bool {
	if size < s.o.reserve || !s.bookReserve() {
		return false
	}
	name := format.ReserveName(format.NewSalt())
	err := s.fs.Rename(s.path(from), s.path(name))
	if err == nil {
		if err = s.fs.SyncDir(s.o.Dir); err == nil {
			err = s.cutReserve(name, size)
		}
		if err != nil {
			_ = s.fs.Remove(s.path(name))
		}
	}
	s.enterReserve(name, err)
	return err == nil
}

// discard does away with a file that is needed no more: it becomes a part of the reserve where that lacks one, or is removed.
func (s *Store) discard(name string, size int64) error {
	if s.toReserve(name, size) {
		return nil
	}
	return s.removeFile(name)
}

func (s *Store) cutReserve(name string, size int64) error {
	if size == s.o.reserve {
		return nil
	}
	f, err := s.fs.OpenReadWrite(s.path(name))
	if err != nil {
		return err
	}
	return errors.Join(f.Truncate(s.o.reserve), f.Close())
}

// reserveSpare makes a spare segment a part of the reserve.
func (s *Store) reserveSpare() bool {
	name, size := s.takeOne(s.spares)
	if name == "" {
		return false
	}
	if s.toReserve(name, size) {
		return true
	}
	if err := s.removeFile(name); err != nil {
		s.failed(err)
	}
	return false
}

// tendReserve makes what is missing of the reserve, of spares if there is no other room; again says that there was none.
func (s *Store) tendReserve() (again bool, err error) {
	for s.bookReserve() {
		name := format.ReserveName(format.NewSalt())
		err := s.newReserve(name)
		s.enterReserve(name, err)
		switch {
		case err == nil:
		case errors.Is(err, errReserveLater):
			return true, nil
		case !vfs.IsNoSpace(err):
			return true, fmt.Errorf("reserve: %w", err)
		case !s.reserveSpare():
			return true, nil
		}
	}
	s.reserveShort = false
	return false, nil
}

var (
	errReserveLater = errors.New("not yet")
	errReserveShort = fmt.Errorf("too little is left for the reserve: %w", vfs.ErrNoSpace)
)

// newReserve is makeReserve when it is time to, and there is room.
func (s *Store) newReserve(name string) error {
	// Twice what it takes, so that the last octets are left to what is written meanwhile; the first is for that itself.
	need := 2 * uint64(s.o.reserve)
	s.mu.Lock()
	if len(s.reserves) == 0 {
		need /= 2
	}
	s.mu.Unlock()
	free, err := s.fs.Space(s.o.Dir)
	if err == nil && free.Bytes < need {
		s.reserveShort = true
		return errReserveShort
	}
	if time.Now().Before(s.reserveRetry) && s.CanRecord() {
		return errReserveLater
	}
	if s.reserveShort = false; err == nil && free.Inodes < 2 {
		return errReserveLater
	}
	if err = s.makeReserve(s.path(name)); err != nil { // where Space is not known, or not all of it is for us, the write finds out
		s.reserveRetry = time.Now().Add(reservePause)
		s.reserveShort = vfs.IsNoSpace(err)
	}
	return err
}

// makeReserve makes a file whose octets have a place on disk. A power cut may take its name: the next opening makes another.
func (s *Store) makeReserve(name string) error {
	f, err := s.fs.Create(name)
	if err != nil {
		return err
	}
	zeros := make([]byte, min(s.o.reserve, 64<<10))
	for off := int64(0); off < s.o.reserve && err == nil; off += int64(len(zeros)) {
		_, err = f.WriteAt(zeros[:min(int64(len(zeros)), s.o.reserve-off)], off)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		_ = s.fs.Remove(name)
	}
	return err
}
