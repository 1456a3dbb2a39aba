package service

import (
	"net"
	"syscall"
	"testing"
)

// TestKeepAlive: what the system was told of the probes on a connection to a server.
func TestKeepAlive(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	c, err := new(Options).dialer()(t.Context(), "tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	for opt, want := range map[int]int{syscall.TCP_KEEPIDLE: 120, syscall.TCP_KEEPINTVL: 30, syscall.TCP_KEEPCNT: 4} {
		err := raw.Control(func(fd uintptr) {
			if n, err := syscall.GetsockoptInt(int(fd), syscall.IPPROTO_TCP, opt); err != nil || n != want {
				t.Errorf("option %d is %d, %v; want %d", opt, n, err, want)
			}
		})
		if err != nil {
			t.Error(err)
		}
	}
}
