package log

import (
	"errors"
	"fmt"
	"time"

	"github.com/mailroot/mailroot/internal/vfs"
)

// reserveFiles is how many files stand by for a full disk: one for the journal, which tells what may be removed, and
// two for the end of the process: a journal and its checkpoint.
const reserveFiles = 3

// reservePause is how long no reserve is made after it could not be.
const reservePause = time.Minute

var errNoReserve = fmt.Errorf("the reserve is used up: %w", vfs.ErrNoSpace)

// reserveFile makes a block file of one that stands by, whose place on disk is written over: nobody else can take it.
func (s *Store) reserveFile(id fileID, suffix string) (*blockFile, error) {
	from, size := s.takeOne(s.reserves)
	if from == "" {
		return nil, errNoReserve
	}
	name := s.path(id.name() + suffix)
	f, err := s.renameReserve(s.path(from), name, id.header(headerReused))
	if err != nil {
		_ = s.fs.Remove(s.path(from))
		_ = s.fs.Remove(name)
		return nil, err
	}
	return &blockFile{id: id, f: f, size: headerSize, reserved: size}, nil
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

// keepReserve takes a file of the reserve that the opening has found, unless its making was cut off.
func (s *Store) keepReserve(name string, size int64) {
	if size >= s.o.reserve && len(s.reserves) < reserveFiles {
		s.reserves[name] = size
		return
	}
	if err := s.removeFile(name); err != nil {
		s.fault(err)
	}
}

// shed gives back what w, made from the reserve, does not fill. Nothing more is written to it.
func (w *blockFile) shed() error {
	if w.reserved <= w.size {
		return nil
	}
	w.reserved = 0
	return w.f.Truncate(w.size)
}

// returnReserve makes a file that was not needed a part of the reserve again. False: it is not needed there either, or cannot be.
func (s *Store) returnReserve(from string, size int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	name := reserveName(newSalt())
	if len(s.reserves) >= reserveFiles || s.fs.Rename(s.path(from), s.path(name)) != nil {
		return false
	}
	s.reserves[name] = size
	return true
}

// tendReserve makes what is missing of the reserve, if there is room; again says that there was none.
func (s *Store) tendReserve() (again bool, err error) {
	for {
		s.mu.Lock()
		n := len(s.reserves)
		s.mu.Unlock()
		if n >= reserveFiles {
			return false, nil
		}
		if time.Now().Before(s.reserveRetry) {
			return true, nil
		}
		// Twice what it takes, so that the last octets are left to what is written meanwhile.
		if free, err := s.fs.Space(s.o.Dir); err == nil && (free.Bytes < 2*uint64(s.o.reserve) || free.Inodes < 2) {
			return true, nil
		}
		name := reserveName(newSalt())
		if err := s.makeReserve(s.path(name)); err != nil {
			s.reserveRetry = time.Now().Add(reservePause)
			if vfs.IsNoSpace(err) {
				return true, nil
			}
			return true, fmt.Errorf("reserve: %w", err)
		}
		s.mu.Lock()
		s.reserves[name] = s.o.reserve
		s.mu.Unlock()
	}
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
