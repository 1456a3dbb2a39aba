package sessiontest

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/session"
)

// The addresses of both ends.
var (
	ClientAddr = netip.MustParseAddrPort("192.0.2.10:40000")
	ServerAddr = netip.MustParseAddrPort("192.0.2.1:25")
)

// Pipe returns the two ends of a connection in memory, with ClientAddr and ServerAddr.
func Pipe() (client, server net.Conn) {
	c, s := net.Pipe()
	return &end{Conn: c, local: ClientAddr, remote: ServerAddr}, &end{Conn: s, local: ServerAddr, remote: ClientAddr}
}

type end struct {
	net.Conn
	local, remote netip.AddrPort
}

func (e *end) LocalAddr() net.Addr  { return net.TCPAddrFromAddrPort(e.local) }
func (e *end) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(e.remote) }

// Client is the client of one session.
type Client struct {
	t      testing.TB
	raw    net.Conn
	conn   net.Conn
	in     *bufio.Reader
	cancel context.CancelFunc
	served chan struct{}
	reason session.CloseReason

	mu    sync.Mutex
	cond  sync.Cond
	queue []byte
	shut  bool
	idle  bool // the writer waits for more
}

// Dial starts a session with o over a pipe. The session ends with the test at the latest.
func Dial(t testing.TB, o *session.Options) *Client {
	t.Helper()
	client, server := Pipe()
	return Serve(t, o, client, server)
}

// Serve starts a session with o on server, whose other end is client.
func Serve(t testing.TB, o *session.Options, client, server net.Conn) *Client {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	c := &Client{
		t: t, raw: client, conn: client, in: bufio.NewReader(client), cancel: cancel,
		served: make(chan struct{}),
	}
	c.cond.L = &c.mu
	go func() {
		defer close(c.served)
		c.reason = session.Serve(ctx, server, o)
	}()
	written := make(chan struct{})
	go func() {
		defer close(written)
		c.writer()
	}()
	t.Cleanup(func() {
		c.Hangup()
		c.Reason()
		cancel()
		<-written
	})
	return c
}

// writer sends what Send queues, so that a client can send while the server sends too.
func (c *Client) writer() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		c.idle = true
		c.cond.Broadcast()
		for len(c.queue) == 0 && !c.shut {
			c.cond.Wait()
		}
		c.idle = false
		if c.shut {
			c.idle = true
			c.cond.Broadcast()
			return
		}
		b, conn := c.queue, c.conn
		c.queue = nil
		c.mu.Unlock()
		// A server that has closed tells so to whoever reads.
		_, _ = conn.Write(b)
		c.mu.Lock()
	}
}

// Send sends octets as they are. It does not wait.
func (c *Client) Send(octets string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.queue = append(c.queue, octets...)
	c.cond.Broadcast()
}

// Sent waits until all octets were taken by the server, or it has closed.
func (c *Client) Sent() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.queue) > 0 || !c.idle {
		c.cond.Wait()
	}
}

// Line returns the next line from the server without its line end, or "closed".
func (c *Client) Line() string {
	c.t.Helper()
	line, err := c.in.ReadString('\n')
	switch {
	case err == nil && strings.HasSuffix(line, "\r\n"):
		return line[:len(line)-2]
	case err == nil, line != "":
		c.t.Fatalf("the server sent %q, which is no line", line)
	case errors.Is(err, os.ErrDeadlineExceeded):
		c.t.Fatal("the server says nothing")
	case !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrClosedPipe) && !errors.Is(err, net.ErrClosed) && c.conn == c.raw:
		c.t.Logf("reading: %v", err)
	}
	return "closed"
}

// Reply returns the next reply, its lines separated by "\n", or "closed".
func (c *Client) Reply() string {
	c.t.Helper()
	var lines []string
	for {
		line := c.Line()
		lines = append(lines, line)
		if len(line) < 4 || line[3] != '-' {
			return strings.Join(lines, "\n")
		}
	}
}

// Expect fails the test unless the next reply matches the pattern, in which "*" stands for
// anything. It returns the reply.
func (c *Client) Expect(pattern string) string {
	c.t.Helper()
	got := c.Reply()
	if !Match(pattern, got) {
		c.t.Fatalf("the server said %q, want %q", got, pattern)
	}
	return got
}

// Command sends a line and expects a reply.
func (c *Client) Command(line, pattern string) string {
	c.t.Helper()
	c.Send(line + "\r\n")
	got := c.Reply()
	if !Match(pattern, got) {
		c.t.Fatalf("%s: the server said %q, want %q", line, got, pattern)
	}
	return got
}

// Match reports whether s fits the pattern, in which "*" stands for any text.
func Match(pattern, s string) bool {
	for first := true; ; first = false {
		part, rest, more := strings.Cut(pattern, "*")
		switch {
		case !more && first:
			return s == part
		case !more:
			return strings.HasSuffix(s, part)
		case first:
			if !strings.HasPrefix(s, part) {
				return false
			}
			s = s[len(part):]
		default:
			i := strings.Index(s, part)
			if i < 0 {
				return false
			}
			s = s[i+len(part):]
		}
		pattern = rest
	}
}

// StartTLS makes the client's half of the handshake.
func (c *Client) StartTLS(config *tls.Config) error {
	if config == nil {
		config = &tls.Config{InsecureSkipVerify: true}
	}
	t := tls.Client(c.raw, config)
	if err := t.Handshake(); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.conn, c.in = t, bufio.NewReader(t)
	return nil
}

// Raw returns the connection below TLS.
func (c *Client) Raw() net.Conn { return c.raw }

// TLS returns the TLS connection, nil before StartTLS.
func (c *Client) TLS() *tls.Conn {
	t, _ := c.conn.(*tls.Conn)
	return t
}

// Shutdown cancels the session's context.
func (c *Client) Shutdown() { c.cancel() }

// Hangup closes the connection without a word.
func (c *Client) Hangup() {
	// An error says that it is closed already.
	_ = c.raw.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.shut = true
	c.cond.Broadcast()
}

// Reason waits for the end of the session and says why it ended.
func (c *Client) Reason() session.CloseReason {
	<-c.served
	return c.reason
}

// Ends fails the test unless the server closes now, for this reason.
func (c *Client) Ends(want session.CloseReason) {
	c.t.Helper()
	if got := c.Reply(); got != "closed" {
		c.t.Fatalf("the server said %q, want it to close", got)
	}
	if got := c.Reason(); got != want {
		c.t.Fatalf("the session ended by %q, want %q", got, want)
	}
}

// TLSConfig returns a server configuration with a certificate of its own.
func TLSConfig(t testing.TB) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{FQDN},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(1000 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
}

// Recorder collects exchanges.
type Recorder struct {
	mu  sync.Mutex
	all []mail.Exchange
}

// Record is for session.Options.
func (r *Recorder) Record(e *mail.Exchange) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, *e)
}

// All returns what was recorded so far.
func (r *Recorder) All() []mail.Exchange {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]mail.Exchange(nil), r.all...)
}
