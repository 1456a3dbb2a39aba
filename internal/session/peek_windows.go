//go:build windows

package session

import (
	"net"
	"syscall"
	"unsafe"
)

// fionread asks a socket how many octets wait to be read.
const fionread = 0x4004667f

// pending reports whether the client has sent something that waits to be read. It does not
// wait and takes nothing away. For connections that are not sockets it is false.
func pending(c net.Conn) bool {
	sc, ok := unwrap(c).(syscall.Conn)
	if !ok {
		return false
	}
	rc, err := sc.SyscallConn()
	if err != nil {
		return false
	}
	var waiting, returned uint32
	var ioErr error
	err = rc.Control(func(fd uintptr) {
		ioErr = syscall.WSAIoctl(syscall.Handle(fd), fionread, nil, 0,
			(*byte)(unsafe.Pointer(&waiting)), uint32(unsafe.Sizeof(waiting)), &returned, nil, 0)
	})
	return err == nil && ioErr == nil && waiting > 0
}
