package listen

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// echo answers each line until the client or the context ends.
func echo(ctx context.Context, c net.Conn, b Binding) Step {
	stop := context.AfterFunc(ctx, func() { c.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	for r := bufio.NewReader(c); ; {
		line, err := r.ReadString('\n')
		if err != nil {
			if ctx.Err() != nil {
				io.WriteString(c, "bye\n")
			}
			return nil
		}
		io.WriteString(c, b.Addr+" "+line)
	}
}

func bindings(addrs ...string) []Binding {
	var bs []Binding
	for _, a := range addrs {
		bs = append(bs, Binding{Addr: a})
	}
	return bs
}

// start starts a Listener that ends with the test.
func start(t *testing.T, o Options) *Listener {
	t.Helper()
	if o.Handle == nil {
		o.Handle = echo
	}
	l, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return l
}

type conn struct {
	net.Conn
	*bufio.Reader
}

func (c conn) Read(p []byte) (int, error) { return c.Reader.Read(p) }

func dial(t *testing.T, addr string) conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(20 * time.Second))
	return conn{c, bufio.NewReader(c)}
}

// ask sends a line and returns the answer, or the error as text.
func (c conn) ask(line string) string {
	io.WriteString(c, line+"\n")
	answer, err := c.ReadString('\n')
	if err != nil {
		return "error"
	}
	return strings.TrimSuffix(answer, "\n")
}

// until waits for a condition that comes about in another goroutine.
func until(t *testing.T, what string, cond func() bool) {
	t.Helper()
	for range 2000 {
		if cond() {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatalf("this did not come about: %s", what)
}

// freePort returns a port that is free at the moment.
func freePort(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	return port
}

func TestServe(t *testing.T) {
	second := "127.0.0.1:" + freePort(t)
	l := start(t, Options{Bindings: bindings("127.0.0.1:0", second)})
	addrs := l.Addrs()
	if len(addrs) != 2 || addrs[1].String() != second {
		t.Fatalf("addresses: %v", addrs)
	}
	for i, want := range []string{"127.0.0.1:0 hello", second + " hello"} {
		if got := dial(t, addrs[i].String()).ask("hello"); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if c := l.Counts(); c.Accepted != 2 || c.Refused != 0 {
		t.Errorf("counts: %+v", c)
	}
}

func TestLimit(t *testing.T) {
	l := start(t, Options{
		Bindings: bindings("127.0.0.1:0"),
		Limits:   Limits{Total: 2},
		Refuse:   func(c net.Conn, _ Binding, _ Refusal) { io.WriteString(c, "421 full\n") },
	})
	addr := l.Addrs()[0].String()
	a, b := dial(t, addr), dial(t, addr)
	a.ask("x")
	b.ask("x")
	c := dial(t, addr)
	if got, err := c.ReadString('\n'); got != "421 full\n" || err != nil {
		t.Errorf("the third got %q, %v", got, err)
	}
	if _, err := c.ReadString('\n'); err != io.EOF {
		t.Errorf("the third is not closed: %v", err)
	}
	if c := l.Counts(); c != (Counts{Current: 2, Accepted: 2, Refused: 1}) {
		t.Errorf("counts: %+v", c)
	}
	a.Close()
	until(t, "the place is free", func() bool { return l.Counts().Current == 1 })
	if got := dial(t, addr).ask("x"); got != "127.0.0.1:0 x" {
		t.Errorf("after one has left: %q", got)
	}
	// A changed limit counts at once, and a lower one ends no connection.
	if err := l.Apply(bindings("127.0.0.1:0"), Limits{Total: 1}); err != nil {
		t.Fatal(err)
	}
	if got := b.ask("y"); got != "127.0.0.1:0 y" {
		t.Errorf("a connection over the new limit: %q", got)
	}
	if got := dial(t, addr).ask("x"); got != "421 full" && got != "error" { // the client's line may meet a closed socket
		t.Errorf("over the new limit: %q", got)
	}
	if err := l.Apply(bindings("127.0.0.1:0"), Limits{}); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		if got := dial(t, addr).ask("x"); got != "127.0.0.1:0 x" {
			t.Errorf("without a limit: %q", got)
		}
	}
}

// TestEachRefusalIsAnsweredF24: of a rush none is closed without a word, and each is told of.
func TestEachRefusalIsAnsweredF24(t *testing.T) {
	const rush = 300
	told := 0
	l := start(t, Options{
		Bindings: bindings("127.0.0.1:0"),
		Limits:   Limits{Total: 1},
		Refuse: func(c net.Conn, _ Binding, why Refusal) {
			if told++; why != OverTotal {
				t.Errorf("refused for %q", why)
			}
			io.WriteString(c, "421 full\n")
		},
	})
	addr := l.Addrs()[0].String()
	dial(t, addr).ask("x")
	all := make([]conn, rush)
	for i := range all {
		all[i] = dial(t, addr)
	}
	for i, c := range all {
		if got, err := io.ReadAll(c); string(got) != "421 full\n" || err != nil {
			t.Fatalf("number %d got %q, %v", i, got, err)
		}
	}
	if n := l.Counts().Refused; n != rush || told != rush {
		t.Errorf("%d were counted and %d told of, want %d", n, told, rush)
	}
}

// TestRefusalThatWaits: a client that takes no answer holds up the others for no longer than RefuseTime.
func TestRefusalThatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPipes()
		l, err := New(Options{
			Bindings: bindings("192.0.2.1:25"), Handle: echo, Limits: Limits{Total: 1},
			Refuse: func(c net.Conn, _ Binding, _ Refusal) { io.WriteString(c, "421 full\n") },
			Listen: func(context.Context, string, string) (net.Listener, error) { return p, nil },
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		for range 11 { // none of them reads
			client, server := net.Pipe()
			defer client.Close()
			p.conns <- server
		}
		synctest.Wait()
		time.Sleep(RefuseTime)
		if n, took := l.Counts().Refused, time.Since(begin); n != 10 || took > 10*RefuseTime {
			t.Errorf("%d were refused in %v", n, took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_ = l.Close(ctx) // the first one is cut off
	})
}

func TestPause(t *testing.T) {
	l := start(t, Options{
		Bindings: bindings("127.0.0.1:0"),
		Refuse:   func(c net.Conn, _ Binding, _ Refusal) { io.WriteString(c, "421 paused\n") },
	})
	addr := l.Addrs()[0].String()
	a := dial(t, addr)
	a.ask("x")
	l.Pause()
	if !l.Paused() {
		t.Error("not paused")
	}
	if got, _ := dial(t, addr).ReadString('\n'); got != "421 paused\n" {
		t.Errorf("while paused: %q", got)
	}
	if got := a.ask("x"); got != "127.0.0.1:0 x" {
		t.Errorf("a connection from before: %q", got)
	}
	l.Continue()
	if got := dial(t, addr).ask("x"); got != "127.0.0.1:0 x" || l.Paused() {
		t.Errorf("after the pause: %q", got)
	}
}

func TestF29PanicEndsOneConnection(t *testing.T) {
	var mu sync.Mutex
	var troubles []error
	l := start(t, Options{
		Bindings: bindings("127.0.0.1:0"),
		Handle: func(ctx context.Context, c net.Conn, b Binding) Step {
			if line, _ := bufio.NewReader(c).ReadString('\n'); line == "boom\n" {
				panic("boom")
			}
			io.WriteString(c, "fine\n")
			return nil
		},
		Trouble: func(_ Binding, err error) { mu.Lock(); defer mu.Unlock(); troubles = append(troubles, err) },
	})
	addr := l.Addrs()[0].String()
	if got := dial(t, addr).ask("boom"); got != "error" {
		t.Errorf("got %q", got)
	}
	if got := dial(t, addr).ask("x"); got != "fine" {
		t.Errorf("the next: %q", got)
	}
	until(t, "nobody is left", func() bool { return l.Counts().Current == 0 })
	mu.Lock()
	defer mu.Unlock()
	var p *PanicError
	if len(troubles) != 1 || !errors.As(troubles[0], &p) || p.Value != "boom" || !strings.Contains(string(p.Stack), "TestF29") {
		t.Errorf("troubles: %v", troubles)
	}
}

func TestCloseIsGraceful(t *testing.T) {
	l := start(t, Options{Bindings: bindings("127.0.0.1:0")})
	addr := l.Addrs()[0].String()
	a := dial(t, addr)
	a.ask("x")
	if err := l.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, _ := a.ReadString('\n'); got != "bye\n" {
		t.Errorf("the handler's last word: %q", got)
	}
	if c, err := net.Dial("tcp", addr); err == nil {
		c.Close()
		t.Error("the port is still open")
	}
	if l.Counts().Current != 0 || len(l.Addrs()) != 0 {
		t.Errorf("%+v %v", l.Counts(), l.Addrs())
	}
	if err := l.Start(t.Context()); !errors.Is(err, ErrClosed) {
		t.Errorf("Start after Close: %v", err)
	}
	if err := l.Apply(bindings("127.0.0.1:0"), Limits{}); !errors.Is(err, ErrClosed) {
		t.Errorf("Apply after Close: %v", err)
	}
}

func TestCloseCutsWhoDoesNotStop(t *testing.T) {
	l, err := New(Options{
		Bindings: bindings("127.0.0.1:0"),
		Handle:   func(_ context.Context, c net.Conn, _ Binding) Step { io.Copy(io.Discard, c); return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	a := dial(t, l.Addrs()[0].String())
	until(t, "it is accepted", func() bool { return l.Counts().Current == 1 })
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	err = l.Close(ctx)
	var cut *CutError
	if !errors.As(err, &cut) || cut.Connections != 1 || err.Error() != "1 connections were cut: context deadline exceeded" {
		t.Errorf("err = %v", err)
	}
	if _, err := a.ReadByte(); err == nil {
		t.Error("the connection is open")
	}
}

// pipes is a network in memory.
type pipes struct {
	errs  chan error // of Accept
	conns chan net.Conn
	once  sync.Once
	done  chan struct{}
}

func newPipes() *pipes {
	return &pipes{errs: make(chan error), conns: make(chan net.Conn), done: make(chan struct{})}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case err := <-p.errs:
		return nil, err
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.once.Do(func() { close(p.done) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 25} }

func TestAcceptGoesOnAfterTrouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPipes()
		var troubles []string
		l, err := New(Options{
			Bindings: bindings("192.0.2.1:25"),
			Handle:   echo,
			Trouble:  func(b Binding, err error) { troubles = append(troubles, b.Addr+": "+err.Error()) },
			Listen:   func(context.Context, string, string) (net.Listener, error) { return p, nil },
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		connect := func() {
			t.Helper()
			client, server := net.Pipe()
			p.conns <- server
			go io.WriteString(client, "hello\n")
			if line, err := bufio.NewReader(client).ReadString('\n'); line != "192.0.2.1:25 hello\n" {
				t.Errorf("%q, %v", line, err)
			}
			client.Close()
		}
		var waits []time.Duration
		for range 12 {
			begin := time.Now()
			p.errs <- fmt.Errorf("accept: %w", syscall.EMFILE)
			waits = append(waits, time.Since(begin)) // how long it took to come back for more
		}
		connect()
		p.errs <- errors.New("again")
		connect()
		if !slices.IsSorted(waits) || waits[0] != 0 || waits[1] != 5*time.Millisecond || waits[11] != time.Second {
			t.Errorf("waits: %v", waits)
		}
		want := "[192.0.2.1:25: accepting on 192.0.2.1:25: accept: " + syscall.EMFILE.Error() + " 192.0.2.1:25: accepting on 192.0.2.1:25: again]"
		if got := fmt.Sprint(troubles); got != want {
			t.Errorf("troubles: %s", got)
		}
		if err := l.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
