package listen

import (
	"context"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"testing"
)

// TestSteps: a connection is in service until the last step, whatever goroutine it runs in; Close waits for it; a panic in any ends it.
func TestSteps(t *testing.T) {
	var steps, troubles atomic.Int32
	l := start(t, Options{
		Bindings: bindings("127.0.0.1:0"),
		Handle: func(_ context.Context, c net.Conn, _ Binding) (step Step) {
			n := 0
			return func() Step {
				steps.Add(1)
				line := make([]byte, 2)
				if _, err := io.ReadFull(c, line); err != nil {
					return nil
				}
				if line[0] == '!' {
					panic("boom")
				}
				n++
				fmt.Fprintf(c, "%d\n", n)
				return step
			}
		},
		Trouble: func(Binding, error) { troubles.Add(1) },
	})
	addr := l.Addrs()[0].String()
	a, b := dial(t, addr), dial(t, addr)
	for _, want := range []string{"1", "2", "3"} {
		if got := a.ask("x"); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if got := b.ask("x"); got != "1" {
		t.Errorf("another connection: %q", got)
	}
	if n := l.Counts().Current; n != 2 {
		t.Errorf("%d connections between steps", n)
	}
	if got := a.ask("!"); got != "error" {
		t.Errorf("after a panic: %q", got)
	}
	until(t, "one is left", func() bool { return l.Counts().Current == 1 })
	b.Close()
	if err := l.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if steps.Load() != 6 || troubles.Load() != 1 || l.Counts().Current != 0 {
		t.Errorf("%d steps, %d troubles, %+v", steps.Load(), troubles.Load(), l.Counts())
	}
}
