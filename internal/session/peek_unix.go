//go:build unix

package session

import (
	"net"
	"syscall"
)

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
	found := false
	err = rc.Control(func(fd uintptr) {
		var b [1]byte
		n, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		found = err == nil && n > 0
	})
	return err == nil && found
}
