//go:build unix

package session

import (
	"net"
	"syscall"
)

// pending reports whether the client has sent something that waits to be read. It does not
// wait and takes nothing away. For connections that are not sockets it is false.
func pending(c net.Conn) bool {
	rc := socket(c)
	if rc == nil {
		return false
	}
	found := false
	err := rc.Control(func(fd uintptr) {
		n, err := peek(fd)
		found = err == nil && n > 0
	})
	return err == nil && found
}

// arrival waits until the client has sent something or hung up, or the read deadline is over. It takes nothing away.
func arrival(rc syscall.RawConn) {
	// An error comes again with the read that follows.
	_ = rc.Read(func(fd uintptr) bool {
		_, err := peek(fd)
		return err != syscall.EAGAIN
	})
}

func peek(fd uintptr) (int, error) {
	var b [1]byte
	n, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
	return n, err
}
