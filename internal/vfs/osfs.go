package vfs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// OS is the file system of the operating system.
type OS struct{}

var _ FS = OS{}

// osFile adds to os.File what differs between systems: Sync and WritevAt.
type osFile struct{ *os.File }

// Create implements FS. The file is for the owner only (0600).
func (OS) Create(name string) (File, error) {
	return open(name, os.O_RDWR|os.O_CREATE|os.O_EXCL)
}

// Open implements FS.
func (OS) Open(name string) (File, error) { return open(name, os.O_RDONLY) }

// OpenReadWrite implements FS.
func (OS) OpenReadWrite(name string) (File, error) { return open(name, os.O_RDWR) }

func open(name string, flag int) (File, error) {
	f, err := openItself(name, flag)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil {
		err = regular(name, info)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return osFile{f}, nil
}

// OSFile returns the file under f when it is one of OS, also through Inject; nil otherwise.
func OSFile(f File) *os.File {
	switch f := f.(type) {
	case osFile:
		return f.File
	case *injectFile:
		return OSFile(f.f)
	}
	return nil
}

// Rename implements FS.
func (OS) Rename(from, to string) error { return os.Rename(from, to) }

// Remove implements FS.
func (OS) Remove(name string) error { return os.Remove(name) }

// MkdirAll implements FS.
func (OS) MkdirAll(name string) error { return os.MkdirAll(name, 0o700) }

// ReadDir implements FS.
func (OS) ReadDir(name string) ([]string, error) {
	entries, err := os.ReadDir(name)
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return names, err
}

// Stat implements FS.
func (OS) Stat(name string) (Info, error) {
	fi, err := os.Stat(name)
	if err != nil {
		return Info{}, err
	}
	return Info{Size: fi.Size(), IsDir: fi.IsDir(), file: fi}, nil
}

// SyncDir implements FS.
func (OS) SyncDir(name string) error { return syncDir(name) }

// Lock implements FS. The file stays when the lock is given up: removing it would let two
// processes hold locks on two files of one name.
func (OS) Lock(name string) (io.Closer, error) {
	c, err := lockFile(name)
	if err == nil || errors.Is(err, ErrLocked) {
		return c, err
	}
	if info, serr := os.Stat(name); serr == nil {
		var irregular *fs.PathError
		if errors.As(regular(name, info), &irregular) {
			err = irregular.Err
		}
	}
	return nil, fmt.Errorf("lock %s: %w", name, err)
}

// Space implements FS.
func (OS) Space(name string) (Space, error) {
	s, err := space(name)
	if err != nil {
		return Space{}, fmt.Errorf("free space of %s: %w", name, err)
	}
	return s, nil
}

// Size implements File.
func (f osFile) Size() (int64, error) {
	fi, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return fi.Size(), nil
}

// writeSeq is WritevAt for files without a call of their own.
func writeSeq(f io.WriterAt, bufs [][]byte, off int64) (n int64, err error) {
	for _, b := range bufs {
		k, err := f.WriteAt(b, off+n)
		n += int64(k)
		if err != nil {
			return n, err
		}
	}
	return n, nil
}
