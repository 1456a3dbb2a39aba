package listen

import (
	"context"
	"io"
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

// from is a connection of a client with an address of our choice.
type from struct {
	net.Conn
	client string
}

func (f *from) RemoteAddr() net.Addr {
	return net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(f.client), 40000))
}

// TestPerAddressAndNetworkF24: each address and each /24 or /64 has its own number of connections, which
// a changed limit and a closed connection change at once.
func TestPerAddressAndNetworkF24(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPipes()
		var why []Refusal
		l, err := New(Options{
			Bindings: bindings("192.0.2.1:25"), Handle: echo, Limits: Limits{Total: 100, PerAddress: 2, PerNetwork: 3},
			Refuse: func(_ net.Conn, _ Binding, r Refusal) { why = append(why, r) },
			Listen: func(context.Context, string, string) (net.Listener, error) { return p, nil },
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		var open []net.Conn
		connect := func(client, want string) {
			t.Helper()
			why = nil
			c, server := net.Pipe()
			p.conns <- &from{server, client}
			synctest.Wait()
			got := "taken"
			if len(why) > 0 {
				got = why[0].String()
			}
			if got != want {
				t.Errorf("%s: %s, want %s", client, got, want)
			}
			open = append(open, c)
		}
		address, network := OverAddress.String(), OverNetwork.String()
		connect("192.0.2.7", "taken")
		connect("::ffff:192.0.2.7", "taken")
		connect("192.0.2.7", address)
		connect("192.0.2.200", "taken")
		connect("192.0.2.201", network)
		connect("192.0.3.1", "taken")
		connect("2001:db8::1", "taken")
		connect("2001:db8::2", "taken")
		connect("2001:db8::2", "taken")
		connect("2001:db8::2", address)
		connect("2001:db8::ffff:0:0:3", network)
		connect("2001:db8:0:1::3", "taken")
		if c := l.Counts(); c != (Counts{Current: 8, Accepted: 8, Refused: 4, RefusedAddress: 2, RefusedNetwork: 2}) {
			t.Errorf("counts: %+v", c)
		}

		open[0].Close()
		synctest.Wait()
		connect("192.0.2.7", "taken")
		connect("192.0.2.7", address)
		if err := l.Apply(bindings("192.0.2.1:25"), Limits{PerNetwork: 4}); err != nil {
			t.Fatal(err)
		}
		connect("192.0.2.7", "taken")
		connect("192.0.2.7", network)
		if err := l.Apply(bindings("192.0.2.1:25"), Limits{}); err != nil {
			t.Fatal(err)
		}
		connect("192.0.2.7", "taken")

		for _, c := range open {
			c.Close()
		}
		synctest.Wait()
		if n, m := len(l.clients.addresses), len(l.clients.networks); n != 0 || m != 0 {
			t.Errorf("%d addresses and %d networks are remembered after the last connection", n, m)
		}
		if err := l.Close(context.Background()); err != nil {
			t.Error(err)
		}
		io.Copy(io.Discard, open[0])
	})
}

// TestShort: while memory is short each connection is refused and counted apart, and none before or after.
func TestShort(t *testing.T) {
	var short atomic.Bool
	refused := make(chan Refusal, 10)
	l := start(t, Options{
		Bindings: []Binding{{Addr: "127.0.0.1:0"}},
		Handle:   func(_ context.Context, c net.Conn, _ Binding) Step { _, _ = io.WriteString(c, "hello\r\n"); return nil },
		Refuse:   func(_ net.Conn, _ Binding, why Refusal) { refused <- why },
		Short:    short.Load,
	})
	for i := range 6 {
		short.Store(i%3 == 1)
		c := dial(t, l.Addrs()[0].String())
		b, _ := io.ReadAll(c)
		if got := string(b); (got == "hello\r\n") == (i%3 == 1) {
			t.Errorf("connection %d read %q", i, got)
		}
	}
	if c := l.Counts(); c.Accepted != 4 || c.Refused != 2 || c.RefusedShort != 2 || len(refused) != 2 || <-refused != WhileShort {
		t.Errorf("%+v", c)
	}
}
