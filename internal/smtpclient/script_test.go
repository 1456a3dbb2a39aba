package smtpclient

import (
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/smtpclient/smtptest"
)

// countConn counts writes: a flight is one.
type countConn struct {
	net.Conn
	mu     sync.Mutex
	writes []string
}

func (c *countConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	c.writes = append(c.writes, string(p))
	c.mu.Unlock()
	return c.Conn.Write(p)
}

// dialogue connects a Conn to a server with a script. At the end of the test the server must
// have come to the script's end.
func dialogue(t *testing.T, o *Options, script string) (*Conn, *countConn) {
	t.Helper()
	return dialogueTLS(t, o, script, nil)
}

func dialogueTLS(t *testing.T, o *Options, script string, certs *smtptest.Certificates) (*Conn, *countConn) {
	t.Helper()
	here, there := connect(t, script)
	done := make(chan error, 1)
	go func() { done <- smtptest.Serve(there, script, certs) }()
	if o == nil {
		o = &Options{}
	}
	if o.FQDN == "" {
		o.FQDN = "relay.example.com"
	}
	count := &countConn{Conn: here}
	c := New(count, o)
	t.Cleanup(func() {
		here.Close()
		if err := <-done; err != nil {
			t.Errorf("server: %v", err)
		}
	})
	return c, count
}

// connect returns both ends of a connection: a pipe, which works within synctest, or a socket
// where TLS needs the buffer that a pipe lacks (both ends write at once when a handshake fails).
func connect(t *testing.T, script string) (here, there net.Conn) {
	t.Helper()
	if !strings.Contains(script, "STARTTLS") {
		return net.Pipe()
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	here, err = net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	there, err = ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return here, there
}

// body is a Body in memory.
type body struct{ *strings.Reader }

func stored(s string) body { return body{strings.NewReader(s)} }
func (b body) Size() int64 { return b.Reader.Size() }
func rcpts(n int) (indexes []int) {
	for i := range n {
		indexes = append(indexes, i)
	}
	return indexes
}

// message makes a transaction from a@example.com to r0@example.org, r1@example.org, …
func message(n int, content string) *Transaction {
	env := &mail.Envelope{Sender: mail.Sender{Addr: mail.Address{Local: "a", Domain: "example.com"}}}
	for i := range n {
		env.Recipients = append(env.Recipients, mail.Recipient{Addr: mail.Address{Local: fmt.Sprintf("r%d", i), Domain: "example.org"}})
	}
	env.Content.Size = int64(len(content))
	env.Content.DotLines = int64(strings.Count("\n"+content, "\n."))
	return &Transaction{Env: env, Rcpts: rcpts(n), Body: stored(content)}
}

// ready greets and says hello.
func ready(t *testing.T, c *Conn) {
	t.Helper()
	if err := c.Greet(); err != nil {
		t.Fatal(err)
	}
	if err := c.Hello(); err != nil {
		t.Fatal(err)
	}
}

const hello = `
S: 220 mx.example.org ESMTP
C: EHLO relay.example.com
S: 250-mx.example.org
S: 250-PIPELINING
S: 250 SIZE
`
