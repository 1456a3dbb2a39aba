//go:build unix

package vfs

import (
	"errors"
	"io"
	"os"
	"syscall"
)

// nonBlocking opens a FIFO without waiting for its writer.
const nonBlocking = syscall.O_NONBLOCK

// openItself opens what has a name: it neither follows a link nor waits for the other end of a FIFO.
func openItself(name string, flag int) (*os.File, error) {
	f, err := os.OpenFile(name, flag|syscall.O_NOFOLLOW|nonBlocking, 0o600)
	switch {
	case errors.Is(err, syscall.ELOOP), errors.Is(err, syscall.EMLINK): // the latter on FreeBSD
		return nil, irregular(name, "link")
	case errors.Is(err, syscall.ENXIO):
		return nil, irregular(name, "socket or FIFO")
	}
	return f, err
}

func syncDir(name string) error {
	d, err := os.Open(name)
	if err != nil {
		return err
	}
	defer d.Close()
	err = d.Sync()
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOTSUP) {
		return nil // some network file systems have no such call
	}
	return err
}

func lockFile(name string) (io.Closer, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		return f, nil
	}
	f.Close()
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, ErrLocked
	}
	return nil, os.NewSyscallError("flock", err)
}

func isNoSpace(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}
