package vfs

import (
	"errors"
	"io"
	"math"
	"os"
	"syscall"
	"unsafe"
)

// nonBlocking does nothing: a file is opened at once or not at all.
const nonBlocking = 0

// openItself looks first, for what the system opens is what a link leads to. Windows lets only administrators
// make links unless it is set up otherwise.
func openItself(name string, flag int) (*os.File, error) {
	if info, err := os.Lstat(name); err == nil {
		if err := regular(name, info); err != nil {
			return nil, err
		}
	}
	return os.OpenFile(name, flag, 0o600)
}

// syncDir does nothing: NTFS keeps a journal of names, and Windows has no call to wait for it.
func syncDir(string) error { return nil }

const (
	errorSharingViolation syscall.Errno = 32
	errorHandleDiskFull   syscall.Errno = 39
	errorDiskFull         syscall.Errno = 112
	errorDiskQuota        syscall.Errno = 1295
)

// lockFile opens the file without sharing it, which no second handle can do.
func lockFile(name string) (io.Closer, error) {
	p, err := syscall.UTF16PtrFromString(name)
	if err != nil {
		return nil, err
	}
	h, err := syscall.CreateFile(p, syscall.GENERIC_READ|syscall.GENERIC_WRITE, 0, nil, syscall.OPEN_ALWAYS, syscall.FILE_ATTRIBUTE_NORMAL, 0)
	if errors.Is(err, errorSharingViolation) {
		return nil, ErrLocked
	}
	if err != nil {
		return nil, os.NewSyscallError("CreateFile", err)
	}
	return os.NewFile(uintptr(h), name), nil
}

func isNoSpace(err error) bool {
	return errors.Is(err, errorDiskFull) || errors.Is(err, errorHandleDiskFull) || errors.Is(err, errorDiskQuota)
}

func space(name string) (Space, error) {
	p, err := syscall.UTF16PtrFromString(name)
	if err != nil {
		return Space{}, err
	}
	var free uint64
	r, _, err := syscall.NewLazyDLL("kernel32.dll").NewProc("GetDiskFreeSpaceExW").Call(
		uintptr(unsafe.Pointer(p)), uintptr(unsafe.Pointer(&free)), 0, 0)
	if r == 0 {
		return Space{}, os.NewSyscallError("GetDiskFreeSpaceEx", err)
	}
	return Space{Bytes: free, Inodes: math.MaxUint64}, nil
}
