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
