package config

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

const (
	deleteOnClose = 0x04000000 // FILE_FLAG_DELETE_ON_CLOSE
	lockRetry     = 20 * time.Millisecond
	lockTries     = 500
)

// lockDir keeps other writers of configuration files out of a folder, by a file that is open
// in one process at a time and vanishes with it. It waits for them, ten seconds at most.
func lockDir(dir string) (unlock func(), err error) {
	name, err := syscall.UTF16PtrFromString(filepath.Join(dir, ".mailroot.lock"))
	if err != nil {
		return nil, err
	}
	for range lockTries {
		var h syscall.Handle
		h, err = syscall.CreateFile(name, syscall.GENERIC_WRITE, 0, nil, syscall.OPEN_ALWAYS,
			syscall.FILE_ATTRIBUTE_NORMAL|deleteOnClose, 0)
		if err == nil {
			return func() { _ = syscall.CloseHandle(h) }, nil
		}
		const sharingViolation = syscall.Errno(32)
		if !errors.Is(err, sharingViolation) && !errors.Is(err, fs.ErrPermission) {
			return nil, err
		}
		time.Sleep(lockRetry)
	}
	return nil, err
}

// keepOwner does nothing: a new file has the rights of its folder.
func keepOwner(*os.File, fs.FileInfo) {}

// syncDir does nothing: a folder cannot be synced, and the rename is journalled.
func syncDir(string) error { return nil }
