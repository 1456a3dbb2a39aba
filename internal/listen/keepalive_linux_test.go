package listen

import (
	"context"
	"net"
	"syscall"
	"testing"
)

// TestKeepAlive: what the system was told of the probes on a connection that was accepted.
func TestKeepAlive(t *testing.T) {
	want := map[int]int{syscall.TCP_KEEPIDLE: 120, syscall.TCP_KEEPINTVL: 30, syscall.TCP_KEEPCNT: 4}
	got := make(chan map[int]int, 1)
	l := start(t, Options{Bindings: bindings("127.0.0.1:0"), Handle: func(_ context.Context, c net.Conn, _ Binding) Step {
		raw, err := c.(*net.TCPConn).SyscallConn()
		if err != nil {
			t.Error(err)
		}
		is := map[int]int{}
		err = raw.Control(func(fd uintptr) {
			for opt := range want {
				v, err := syscall.GetsockoptInt(int(fd), syscall.IPPROTO_TCP, opt)
				if err != nil {
					t.Error(err)
				}
				is[opt] = v
			}
		})
		if err != nil {
			t.Error(err)
		}
		got <- is
		return nil
	}})
	c, err := net.Dial("tcp", l.Addrs()[0].String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	is := <-got
	for opt, n := range want {
		if is[opt] != n {
			t.Errorf("option %d is %d, want %d", opt, is[opt], n)
		}
	}
}
