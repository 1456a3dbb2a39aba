//go:build unix

package pickup

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// open neither follows a link nor waits for the other end of a pipe.
func open(name string) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if errors.Is(err, syscall.EWOULDBLOCK) { // a file server has a lease on it, for a client that writes
		return nil, ErrBusy
	}
	return f, err
}

func system(fi fs.FileInfo, e *Entry) {
	if st, ok := fi.Sys().(*syscall.Stat_t); ok {
		e.Links = int(st.Nlink)
	}
}

// links has nothing to add to what system found.
func (osFile) links(*Entry) error { return nil }

// linkNew gives a file a second name, which never replaces, and takes away the first. Where the file system
// has no links it looks first: nobody else takes names where we hold the lock.
func linkNew(from, to string) error {
	err := syscall.Link(from, to)
	switch {
	case err == nil:
		if err = syscall.Unlink(from); err != nil {
			_ = syscall.Unlink(to) // or the file would be taken twice
		}
		return err
	case errors.Is(err, syscall.EPERM), errors.Is(err, syscall.ENOTSUP), errors.Is(err, syscall.ENOSYS):
		if _, err := os.Lstat(to); err == nil {
			return syscall.EEXIST
		}
		return syscall.Rename(from, to)
	}
	return err
}
