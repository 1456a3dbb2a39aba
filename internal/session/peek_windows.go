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
	rc := socket(c)
	if rc == nil {
		return false
	}
	var waiting, returned uint32
	var ioErr error
	err := rc.Control(func(fd uintptr) {
		ioErr = syscall.WSAIoctl(syscall.Handle(fd), fionread, nil, 0,
			(*byte)(unsafe.Pointer(&waiting)), uint32(unsafe.Sizeof(waiting)), &returned, nil, 0)
	})
	return err == nil && ioErr == nil && waiting > 0
}

// arrival waits until the client has sent something or hung up, or the read deadline is over. It takes nothing away.
func arrival(rc syscall.RawConn) {
	waited := false
	// RawConn waits after the first call, with a read of no octets. An error comes again with the read that follows.
	_ = rc.Read(func(uintptr) bool {
		if waited {
			return true
		}
		waited = true
		return false
	})
}
