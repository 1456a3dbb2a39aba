// Package sim runs the whole relay in simulated time: service, queue, spool and both protocol ends, with
// connections in memory and the clock of testing/synctest. Two days of retries take milliseconds and go
// the same way each time.
package sim

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"
)

// network joins listeners and dialers in memory. Unlike net.Pipe its connections buffer what is written,
// as TCP does: both ends of SMTP may write at the same time.
type network struct {
	mu        sync.Mutex
	listeners map[string]*listener
	dials     map[string][]time.Time // attempts by address
}

func newNetwork() *network {
	return &network{listeners: make(map[string]*listener), dials: make(map[string][]time.Time)}
}

// cable is how one run of the relay is joined to the network. Pulled, all of its connections and
// listeners end at once and it makes no new ones: what a power cut does.
type cable struct {
	n *network

	mu     sync.Mutex
	pulled bool
	ends   []io.Closer
}

// plug notes an end that goes with the cable, or closes it when the cable is pulled already.
func (c *cable) plug(end io.Closer) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pulled {
		_ = end.Close()
		return syscall.ENETDOWN
	}
	c.ends = append(c.ends, end)
	return nil
}

// Dial is service.Options.Dial.
func (c *cable) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := c.n.Dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return conn, c.plug(conn)
}

// Listen is service.Options.Listen.
func (c *cable) Listen(ctx context.Context, network, address string) (net.Listener, error) {
	l, err := c.n.Listen(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return &cableListener{l, c}, c.plug(l)
}

func (c *cable) pull() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pulled = true
	for _, end := range c.ends {
		_ = end.Close()
	}
	c.ends = nil
}

type cableListener struct {
	net.Listener
	cable *cable
}

func (l *cableListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return conn, l.cable.plug(conn)
}

// Listen opens a listener; service.Options.Listen.
func (n *network) Listen(_ context.Context, _, address string) (net.Listener, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.listeners[address] != nil {
		return nil, syscall.EADDRINUSE
	}
	l := &listener{n: n, address: address, incoming: make(chan net.Conn), closed: make(chan struct{})}
	n.listeners[address] = l
	return l, nil
}

// Dial connects; service.Options.Dial. Nobody listening is a refused connection.
func (n *network) Dial(ctx context.Context, _, address string) (net.Conn, error) {
	n.mu.Lock()
	n.dials[address] = append(n.dials[address], time.Now())
	l := n.listeners[address]
	n.mu.Unlock()
	refused := &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	if l == nil {
		return nil, refused
	}
	client := net.TCPAddrFromAddrPort(netip.MustParseAddrPort("192.0.2.100:40000"))
	server := net.TCPAddrFromAddrPort(netip.MustParseAddrPort(address))
	up, down := newStream(), newStream()
	select {
	case l.incoming <- &conn{r: up, w: down, local: server, remote: client}:
		return &conn{r: down, w: up, local: client, remote: server}, nil
	case <-l.closed:
		return nil, refused
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (n *network) attempts(address string) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.dials[address])
}

// dialed returns when an address was dialed.
func (n *network) dialed(address string) []time.Time {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.dials[address])
}

type listener struct {
	n        *network
	address  string
	incoming chan net.Conn
	closed   chan struct{}
	once     sync.Once
}

func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.incoming:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *listener) Close() error {
	l.once.Do(func() {
		close(l.closed)
		l.n.mu.Lock()
		defer l.n.mu.Unlock()
		delete(l.n.listeners, l.address)
	})
	return nil
}

func (l *listener) Addr() net.Addr {
	return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(l.address))
}

// stream is one direction of a connection.
type stream struct {
	mu       sync.Mutex
	cond     *sync.Cond
	buf      []byte
	closed   bool // by either end
	deadline time.Time
	timer    *time.Timer
}

func newStream() *stream {
	s := &stream{}
	s.cond = sync.NewCond(&s.mu)
	return s
}

func (s *stream) read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.buf) == 0 {
		switch {
		case s.closed:
			return 0, io.EOF
		case !s.deadline.IsZero() && !time.Now().Before(s.deadline):
			return 0, os.ErrDeadlineExceeded
		}
		s.cond.Wait()
	}
	n := copy(p, s.buf)
	s.buf = s.buf[n:]
	return n, nil
}

func (s *stream) write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return 0, errors.New("connection reset by peer")
	}
	s.buf = append(s.buf, p...)
	s.cond.Broadcast()
	return len(p), nil
}

func (s *stream) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if s.timer != nil {
		s.timer.Stop()
	}
	s.cond.Broadcast()
}

func (s *stream) setDeadline(t time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.deadline = t
	if s.timer != nil {
		s.timer.Stop()
	}
	if !t.IsZero() && !s.closed {
		s.timer = time.AfterFunc(time.Until(t), s.cond.Broadcast)
	}
	s.cond.Broadcast()
}

type conn struct {
	r, w          *stream
	local, remote net.Addr
}

func (c *conn) Read(p []byte) (int, error)        { return c.r.read(p) }
func (c *conn) Write(p []byte) (int, error)       { return c.w.write(p) }
func (c *conn) Close() error                      { c.r.close(); c.w.close(); return nil }
func (c *conn) LocalAddr() net.Addr               { return c.local }
func (c *conn) RemoteAddr() net.Addr              { return c.remote }
func (c *conn) SetReadDeadline(t time.Time) error { c.r.setDeadline(t); return nil }
func (c *conn) SetWriteDeadline(time.Time) error  { return nil } // a write never waits
func (c *conn) SetDeadline(t time.Time) error     { return c.SetReadDeadline(t) }
