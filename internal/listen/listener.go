package listen

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/mailroot/mailroot/internal/mail"
)

// Binding is an address and port to listen on.
type Binding struct {
	// Addr is "192.0.2.1:25", "[2001:db8::1]:25", "0.0.0.0:25" for all IPv4 addresses, "*:25" or
	// ":25" for all addresses. "[::]:25" is all IPv6 addresses, and IPv4 as well unless another
	// binding has an IPv4 address with this port. Port 0 is a free port. It is also the identity
	// of the binding.
	Addr string
}

// Options are the settings of a Listener.
type Options struct {
	Bindings []Binding
	Limits   Limits

	// Handle says how a connection is served: by the step that it returns, in the same goroutine, and those that
	// follow. After the last one, which may be none, the connection is closed, if nobody has done so. The context is cancelled when
	// the Listener closes. Required.
	Handle func(ctx context.Context, c net.Conn, b Binding) Step
	// Short reports that there is no memory for further connections: all are refused meanwhile. It is called
	// for each connection and must not wait. Nil: there always is.
	Short func() bool
	// Refuse answers a connection over a limit or, while Paused or Short, any; it should write one reply,
	// which fits into the empty buffer of a new connection. It runs in the accept loop and must not
	// wait: RefuseTime is the deadline on the connection, which is closed afterwards. Nil: all are
	// closed without an answer.
	Refuse func(c net.Conn, b Binding, why Refusal)
	// Trouble is told what an administrator should know: accept failing (once until it goes
	// well again) and a *PanicError. It may be called by several goroutines. Nil: nobody is.
	Trouble func(b Binding, err error)

	// Listen opens a socket; nil: the network. network is "tcp", "tcp4" or "tcp6".
	Listen func(ctx context.Context, network, address string) (net.Listener, error)
}

// Step is a part of the service of a connection. It returns the next one, which runs in a new goroutine, or nil at the end. Who
// is going to wait for long takes another step to part with a stack that has grown: it would not become as small again as
// that of a new goroutine.
type Step func() Step

// RefuseTime is how long the answer to a refused connection may take, which holds up all others.
const RefuseTime = 10 * time.Millisecond

// lastWait is how long Close waits for handlers whose connection it has closed.
const lastWait = 5 * time.Second

// PanicError is a panic in Options.Handle or Options.Refuse. Only that connection ends.
type PanicError struct {
	Value any
	Stack []byte
}

// Error returns the value of the panic; the stack is for the log.
func (e *PanicError) Error() string { return fmt.Sprintf("panic in a connection: %v", e.Value) }

// Counts are the figures of a Listener since it was made, but for Current.
type Counts struct {
	Current  int    // connections with a running Handle
	Accepted uint64 // handed to Handle
	Refused  uint64 // over a limit, while paused or short of memory

	RefusedAddress, RefusedNetwork uint64 // those of Refused over Limits.PerAddress, PerNetwork
	RefusedShort                   uint64 // those of Refused for Options.Short
}

// ErrClosed is returned by Start and Apply after Close.
var ErrClosed = errors.New("the listener is closed")

// Listener is a set of open bindings. It is safe for concurrent use.
type Listener struct {
	opts Options

	change sync.Mutex // serialises Bind, Start, Apply and Close; taken before mu

	mu       sync.Mutex
	bindings []Binding
	limits   Limits
	bound    []*socket             // opened by Bind, until Start takes them into service
	open     map[string]*socket    // by Binding.Addr; nil before Start
	conns    map[net.Conn]struct{} // those in service
	clients  clients
	counts   Counts
	paused   bool
	closed   bool

	running sync.WaitGroup // accept loops, handlers

	// serving is the context of all handlers, which Close ends: one of its own for each would be a good part of what a
	// connection takes that waits.
	serving context.Context
	end     context.CancelFunc
}

// socket is one open binding.
type socket struct {
	net.Listener
	binding Binding
	target  target
}

// New checks the bindings and opens nothing.
func New(o Options) (*Listener, error) {
	if o.Listen == nil {
		lc := net.ListenConfig{KeepAliveConfig: KeepAlive()}
		// Multipath TCP gains nothing on the way to a mail server, and its sockets lack some
		// of the ways to send a file quickly.
		lc.SetMultipathTCP(false)
		o.Listen = lc.Listen
	}
	if _, err := targets(o.Bindings); err != nil {
		return nil, err
	}
	l := &Listener{
		opts:     o,
		bindings: slices.Clone(o.Bindings),
		limits:   o.Limits,
		conns:    make(map[net.Conn]struct{}),
		clients:  newClients(),
	}
	l.serving, l.end = context.WithCancel(context.Background())
	return l, nil
}

// Bind opens all bindings. Who connects then waits in the system's queue for Start, instead of being refused. If
// one cannot be opened none stays open, and the error says which, why, and what can be done. ctx is for
// the opening alone.
func (l *Listener) Bind(ctx context.Context) error {
	l.change.Lock()
	defer l.change.Unlock()
	return l.bind(ctx)
}

// bind is Bind; l.change is held.
func (l *Listener) bind(ctx context.Context) error {
	l.mu.Lock()
	bindings, closed, started := l.bindings, l.closed, l.open != nil || l.bound != nil
	l.mu.Unlock()
	if closed {
		return ErrClosed
	}
	if started {
		return errors.New("listening already")
	}
	opened, err := l.openAll(ctx, bindings)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.bound = opened
	return nil
}

// Start begins to accept, after Bind where that was not called yet.
func (l *Listener) Start(ctx context.Context) error {
	l.change.Lock()
	defer l.change.Unlock()
	l.mu.Lock()
	bound := l.bound != nil
	l.mu.Unlock()
	if !bound {
		if err := l.bind(ctx); err != nil {
			return err
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open = make(map[string]*socket)
	l.run(l.bound)
	l.bound = nil
	return nil
}

// openAll opens bindings, all or none.
func (l *Listener) openAll(ctx context.Context, bindings []Binding) ([]*socket, error) {
	want, err := targets(bindings)
	if err != nil {
		return nil, err
	}
	opened := make([]*socket, 0, len(want))
	for _, t := range want {
		s, err := l.listen(ctx, t)
		if err != nil {
			closeAll(opened)
			return nil, err
		}
		opened = append(opened, s)
	}
	return opened, nil
}

// run takes sockets into service. l.mu is held.
func (l *Listener) run(opened []*socket) {
	for _, s := range opened {
		l.open[s.binding.Addr] = s
		l.running.Go(func() { l.accept(s) })
	}
}

func (l *Listener) listen(ctx context.Context, t target) (*socket, error) {
	ln, err := l.opts.Listen(ctx, t.network, t.address)
	if err != nil {
		return nil, explain(t, err)
	}
	return &socket{ln, t.binding, t}, nil
}

func closeAll(sockets []*socket) {
	for _, s := range sockets {
		_ = s.Close() // a listening socket has nothing to lose
	}
}

// accept runs until the socket is closed. Trouble such as a lack of file descriptors passes,
// so it waits and goes on.
func (l *Listener) accept(s *socket) {
	const first, longest = 5 * time.Millisecond, time.Second
	wait := first
	for {
		c, err := s.Accept()
		if err == nil {
			wait = first
			l.admit(c, s.binding)
			continue
		}
		if errors.Is(err, net.ErrClosed) || l.gone(s) {
			return
		}
		if wait == first {
			l.trouble(s.binding, fmt.Errorf("accepting on %s: %w", s.binding.Addr, err))
		}
		time.Sleep(wait)
		wait = min(2*wait, longest)
	}
}

// gone reports whether the socket has been closed by us, whatever error its Accept returns.
func (l *Listener) gone(s *socket) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closed || l.open[s.binding.Addr] != s
}

func (l *Listener) trouble(b Binding, err error) {
	if l.opts.Trouble != nil {
		l.opts.Trouble(b, err)
	}
}

// admit starts the handler of a connection, or refuses it.
func (l *Listener) admit(c net.Conn, b Binding) {
	client := clientOf(c)
	short := l.opts.Short != nil && l.opts.Short()
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		_ = c.Close()
		return
	}
	if why, refused := l.refusal(client, short); refused {
		l.counts.count(why)
		l.mu.Unlock()
		l.refuse(c, b, why)
		return
	}
	defer l.mu.Unlock()
	l.counts.Accepted++
	l.conns[c] = struct{}{}
	l.clients.add(client)
	l.running.Add(1)
	go (&served{l, c, b}).run(nil)
}

// served is a connection in service.
type served struct {
	l *Listener
	c net.Conn
	b Binding
}

// run does the next step, nil for the first. Its frame stands on the stack of each connection, so it is small.
func (s *served) run(step Step) {
	var next Step
	defer func() { s.goOn(next, recover()) }()
	if step == nil {
		step = s.l.opts.Handle(s.l.serving, s.c, s.b)
	}
	if step != nil {
		next = step()
	}
}

// goOn begins the next step, or ends the connection if there is none.
func (s *served) goOn(next Step, fault any) {
	l := s.l
	l.recovered(s.b, fault)
	if next != nil {
		go s.run(next)
		return
	}
	defer l.running.Done()
	_ = s.c.Close()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.clients.remove(clientOf(s.c))
	delete(l.conns, s.c)
}

// clientOf returns the client's address, also of a connection that is closed.
func clientOf(c net.Conn) netip.Addr { return mail.AddrPortOf(c.RemoteAddr()).Addr() }

func (l *Listener) refuse(c net.Conn, b Binding, why Refusal) {
	defer func() {
		l.recovered(b, recover())
		_ = c.Close()
	}()
	if l.opts.Refuse != nil {
		_ = c.SetDeadline(time.Now().Add(RefuseTime))
		l.opts.Refuse(c, b, why)
	}
}

func (l *Listener) recovered(b Binding, value any) {
	if value != nil {
		l.trouble(b, &PanicError{Value: value, Stack: debug.Stack()})
	}
}

// Pause refuses new connections until Continue. The sockets stay open, so that no other
// program can take the port and clients get an answer; connections go on.
func (l *Listener) Pause() { l.setPaused(true) }

// Continue ends a Pause.
func (l *Listener) Continue() { l.setPaused(false) }

// Paused reports whether new connections are refused because of Pause.
func (l *Listener) Paused() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.paused
}

func (l *Listener) setPaused(v bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.paused = v
}

// Counts returns the figures of the moment.
func (l *Listener) Counts() Counts {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.counts
	c.Current = len(l.conns)
	return c
}

// Addrs returns the addresses that are listened on, in the order of the bindings; with port 0
// they tell the port. Empty before Start and after Close.
func (l *Listener) Addrs() []net.Addr {
	l.mu.Lock()
	defer l.mu.Unlock()
	var addrs []net.Addr
	for _, b := range l.bindings {
		if s := l.open[b.Addr]; s != nil {
			addrs = append(addrs, s.Addr())
		}
	}
	return addrs
}

// CutError says that Close closed connections that had not ended in time.
type CutError struct {
	Connections int
	Err         error // of the context
}

// Error says how many were cut.
func (e *CutError) Error() string {
	return fmt.Sprintf("%d connections were cut: %v", e.Connections, e.Err)
}

// Unwrap returns the error of the context.
func (e *CutError) Unwrap() error { return e.Err }

// Close stops accepting, cancels the contexts of all handlers and waits for them. When ctx ends
// first it closes the connections that are left and returns a *CutError; any other error says that
// handlers still run.
func (l *Listener) Close(ctx context.Context) error {
	l.change.Lock()
	defer l.change.Unlock()
	l.mu.Lock()
	l.closed = true
	closeAll(l.bound)
	l.bound = nil
	for _, s := range l.open {
		_ = s.Close()
	}
	l.open = nil
	l.mu.Unlock()
	l.end()

	done := make(chan struct{})
	go func() {
		l.running.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
	}
	l.mu.Lock()
	cut := len(l.conns)
	for c := range l.conns {
		_ = c.Close()
	}
	l.mu.Unlock()
	timer := time.NewTimer(lastWait)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
		return fmt.Errorf("%d connections were cut and some of them still run: %w", cut, ctx.Err())
	}
	if cut == 0 {
		return nil
	}
	return &CutError{Connections: cut, Err: ctx.Err()}
}
