//go:build !unix && !windows

package session

import (
	"net"
	"syscall"
)

// pending cannot look at a socket here.
func pending(net.Conn) bool { return false }

// arrival cannot wait without reading: a session never rests for long.
func arrival(syscall.RawConn) {}
