package listen

import (
	"context"
	"errors"
	"net"
	"testing"
)

// bound returns a Listener that is bound and has not started.
func bound(t *testing.T, addr string) *Listener {
	t.Helper()
	l, err := New(Options{Bindings: bindings(addr), Handle: echo})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Bind(t.Context()); err != nil {
		t.Fatal(err)
	}
	return l
}

// TestBind checks that who connects before Start waits for it, and that what was bound is given up by Close.
func TestBind(t *testing.T) {
	addr := "127.0.0.1:" + freePort(t)
	l := bound(t, addr)
	if err := l.Bind(t.Context()); err == nil {
		t.Error("bound twice")
	}
	early := dial(t, addr)
	if err := l.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := early.ask("early"); got != addr+" early" {
		t.Errorf("who came early: %q", got)
	}
	early.Close()
	if err := l.Close(context.Background()); err != nil {
		t.Error(err)
	}
	if err := l.Bind(t.Context()); !errors.Is(err, ErrClosed) {
		t.Errorf("Bind after Close: %v", err)
	}
}

func TestBindThenClose(t *testing.T) {
	addr := "127.0.0.1:" + freePort(t)
	l := bound(t, addr)
	if err := l.Close(context.Background()); err != nil {
		t.Error(err)
	}
	again, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatalf("the port is not free: %v", err)
	}
	again.Close()
	if err := l.Start(t.Context()); !errors.Is(err, ErrClosed) {
		t.Errorf("Start after Close: %v", err)
	}
}

// TestApplyBetween changes the bindings between Bind and Start.
func TestApplyBetween(t *testing.T) {
	old, addr := "127.0.0.1:"+freePort(t), "127.0.0.1:"+freePort(t)
	l := bound(t, old)
	if err := l.Apply(bindings(addr), Limits{}); err != nil {
		t.Fatal(err)
	}
	if err := l.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	c := dial(t, addr)
	if got := c.ask("x"); got != addr+" x" {
		t.Errorf("the new binding: %q", got)
	}
	if c, err := net.Dial("tcp", old); err == nil {
		c.Close()
		t.Error("the old binding is still open")
	}
	c.Close()
	if err := l.Close(context.Background()); err != nil {
		t.Error(err)
	}
}
