package listen

import (
	"context"
	"net"
	"strings"
	"testing"
)

func TestApply(t *testing.T) {
	second, third := "127.0.0.1:"+freePort(t), "127.0.0.1:"+freePort(t)
	l := start(t, Options{Bindings: bindings("127.0.0.1:0", second)})
	before := l.Addrs()
	a, b := dial(t, before[0].String()), dial(t, before[1].String())
	a.ask("x")
	b.ask("x")
	if err := l.Apply(bindings(third, "127.0.0.1:0"), Limits{}); err != nil {
		t.Fatal(err)
	}
	after := l.Addrs()
	if len(after) != 2 || after[1].String() != before[0].String() {
		t.Fatalf("before %v, after %v: the second must be the first of before", before, after)
	}
	for _, c := range []struct {
		conn conn
		want string
	}{
		{a, "127.0.0.1:0 y"}, {b, second + " y"}, // connections go on, also of what is gone
		{dial(t, after[0].String()), third + " y"}, {dial(t, after[1].String()), "127.0.0.1:0 y"},
	} {
		if got := c.conn.ask("y"); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
	if c, err := net.Dial("tcp", before[1].String()); err == nil {
		c.Close()
		t.Error("the old binding is open")
	}
}

// A change from one address to all of them is a change of the same port: the old socket has to
// go first.
func TestApplyMakesRoom(t *testing.T) {
	port := freePort(t)
	one, all := "127.0.0.1:"+port, "0.0.0.0:"+port
	l := start(t, Options{Bindings: bindings(one)})
	a := dial(t, one)
	a.ask("x")
	for _, c := range []struct{ binding, reply string }{{all, all + " y"}, {one, one + " y"}} {
		if err := l.Apply(bindings(c.binding), Limits{}); err != nil {
			t.Fatal(err)
		}
		if got := dial(t, one).ask("y"); got != c.reply {
			t.Errorf("%s: %q", c.binding, got)
		}
		if got := a.ask("y"); got != one+" y" {
			t.Errorf("%s: the old connection: %q", c.binding, got)
		}
	}
}

func TestApplyFailsAndAllStays(t *testing.T) {
	other, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	port := freePort(t)
	one := "127.0.0.1:" + port
	l := start(t, Options{Bindings: bindings(one), Limits: Limits{Total: 7}})
	// The first of the new bindings works after making room, the second cannot.
	err = l.Apply(bindings("0.0.0.0:"+port, other.Addr().String()), Limits{Total: 1})
	if err == nil || !strings.Contains(err.Error(), "cannot listen on "+other.Addr().String()+": the port is in use by another program") {
		t.Fatalf("err = %v", err)
	}
	if addrs := l.Addrs(); len(addrs) != 1 || addrs[0].String() != one {
		t.Errorf("addresses: %v", addrs)
	}
	for range 3 { // the limit of 1 is not in force either
		if got := dial(t, one).ask("x"); got != one+" x" {
			t.Errorf("got %q", got)
		}
	}
	if err := l.Apply(nil, Limits{}); err == nil {
		t.Error("no binding: no error")
	}
	if err := l.Apply(bindings("nonsense"), Limits{}); err == nil {
		t.Error("nonsense: no error")
	}
}

func TestApplyBeforeStart(t *testing.T) {
	l, err := New(Options{Bindings: bindings("127.0.0.1:0"), Handle: echo})
	if err != nil {
		t.Fatal(err)
	}
	other := "127.0.0.1:" + freePort(t)
	if err := l.Apply(bindings(other), Limits{Total: 3}); err != nil || len(l.Addrs()) != 0 {
		t.Fatal(err, l.Addrs())
	}
	if err := l.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer l.Close(context.Background())
	if addrs := l.Addrs(); len(addrs) != 1 || addrs[0].String() != other {
		t.Errorf("addresses: %v", addrs)
	}
	if err := l.Start(t.Context()); err == nil {
		t.Error("a second Start: no error")
	}
}
