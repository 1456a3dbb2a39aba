package vfs

import (
	"io"
	"os"
	"runtime"
	"syscall"
	"unsafe"
)

// Sync implements File by fdatasync: the size is written, the times are not.
func (f osFile) Sync() error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var sysErr error
	err = conn.Control(func(fd uintptr) {
		for {
			if sysErr = syscall.Fdatasync(int(fd)); sysErr != syscall.EINTR {
				return
			}
		}
	})
	if err == nil && sysErr != nil {
		err = os.NewSyscallError("fdatasync", sysErr)
	}
	return err
}

// maxVec is the limit of the kernel for one call (UIO_MAXIOV).
const maxVec = 1024

// WritevAt implements File by pwritev.
func (f osFile) WritevAt(bufs [][]byte, off int64) (int64, error) {
	if len(bufs) == 1 {
		n, err := f.WriteAt(bufs[0], off)
		return int64(n), err
	}
	conn, err := f.SyscallConn()
	if err != nil {
		return 0, err
	}
	var total int64
	vec := make([]syscall.Iovec, 0, min(len(bufs), maxVec))
	for len(bufs) > 0 {
		vec = vec[:0]
		for _, b := range bufs[:min(len(bufs), maxVec)] {
			v := syscall.Iovec{Base: unsafe.SliceData(b)}
			v.SetLen(len(b))
			vec = append(vec, v)
		}
		var n int
		var sysErr error
		if err := conn.Control(func(fd uintptr) { n, sysErr = pwritev(fd, vec, off+total) }); err != nil {
			return total, err
		}
		total += int64(n)
		if sysErr != nil {
			return total, os.NewSyscallError("pwritev", sysErr)
		}
		var left int
		if bufs, left = skip(bufs, n); n == 0 && left > 0 {
			return total, io.ErrShortWrite
		}
	}
	return total, nil
}

// skip drops the first n octets of bufs and returns what is left, and how many octets that is at
// least (0 or more).
func skip(bufs [][]byte, n int) ([][]byte, int) {
	for len(bufs) > 0 {
		if n < len(bufs[0]) {
			bufs[0] = bufs[0][n:]
			return bufs, len(bufs[0])
		}
		n -= len(bufs[0])
		bufs = bufs[1:]
	}
	return nil, 0
}

func pwritev(fd uintptr, vec []syscall.Iovec, off int64) (int, error) {
	defer runtime.KeepAlive(vec)
	for {
		// The offset goes in two halves; on 64-bit systems the kernel takes the low word whole.
		n, _, errno := syscall.Syscall6(syscall.SYS_PWRITEV, fd, uintptr(unsafe.Pointer(unsafe.SliceData(vec))), uintptr(len(vec)),
			uintptr(off), uintptr(uint64(off)>>32), 0)
		switch errno {
		case 0:
			return int(n), nil
		case syscall.EINTR:
			continue
		}
		return 0, errno
	}
}

// nextData asks by lseek. The place that it moves is used by nobody: all reading and writing names its own.
func nextData(f *os.File, off, size int64) int64 {
	const seekData = 3
	conn, err := f.SyscallConn()
	if err != nil {
		return off
	}
	at := off
	err = conn.Control(func(fd uintptr) {
		var sysErr error
		switch at, sysErr = syscall.Seek(int(fd), off, seekData); sysErr {
		case nil:
		case syscall.ENXIO:
			at = size
		default:
			at = off
		}
	})
	if err != nil {
		return off
	}
	return at
}
