package load

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// stage is a moment of an SMTP session.
type stage string

// A server can fall silent instead of its banner, or of the answer to one of these.
const (
	never      stage = ""
	atBanner   stage = "banner"
	atEHLO     stage = "EHLO"
	atSTARTTLS stage = "STARTTLS"
	atMAIL     stage = "MAIL"
	atRCPT     stage = "RCPT"
	atDATA     stage = "DATA"
	atDot      stage = "."
)

// stages are all that a server can hang at without TLS.
var stages = []stage{atBanner, atEHLO, atMAIL, atRCPT, atDATA, atDot}

// serverOptions is what a test wants of a sink. The zero value takes all mail on a free port.
type serverOptions struct {
	addr string      // where to listen; "": 127.0.0.1 and a free port
	tls  *tls.Config // nil: no STARTTLS
	hang stage
	// took is called for each message before its 250, from several goroutines.
	took func()
}

// server is a sink that counts messages and forgets them, knows TLS, and can be slow on purpose.
type server struct {
	addr        string
	o           serverOptions
	ln          net.Listener
	messages    atomic.Int64 // answered 250
	recipients  atomic.Int64 // of them
	connections atomic.Int64 // that were opened
	encrypted   atomic.Int64 // of them, those that came to use TLS
	hanging     atomic.Int64 // that wait for an answer in vain

	mu    sync.Mutex
	conns map[net.Conn]bool // nil when it is shut
	all   sync.WaitGroup
}

// startServer starts a sink that ends with the test.
func startServer(tb testing.TB, o serverOptions) *server {
	tb.Helper()
	if o.addr == "" {
		o.addr = "127.0.0.1:0"
	}
	ln, err := net.Listen("tcp", o.addr)
	if err != nil {
		tb.Fatal(err)
	}
	s := &server{addr: ln.Addr().String(), o: o, ln: ln, conns: map[net.Conn]bool{}}
	s.all.Go(s.accept)
	tb.Cleanup(s.close)
	return s
}

// route returns the address as a smart host or route is written.
func (s *server) route() string {
	host, port, _ := net.SplitHostPort(s.addr)
	return "[" + host + "]:" + port
}

// close stops listening and hangs up on all.
func (s *server) close() {
	s.ln.Close()
	s.mu.Lock()
	for c := range s.conns {
		c.Close()
	}
	s.conns = nil
	s.mu.Unlock()
	s.all.Wait()
}

func (s *server) accept() {
	for {
		c, err := s.ln.Accept()
		if err != nil {
			return
		}
		if !s.enter(c) {
			c.Close()
			return
		}
		s.connections.Add(1)
		s.all.Go(func() {
			defer s.leave(c)
			p := &peer{server: s, conn: c, r: bufio.NewReaderSize(c, 4096), w: bufio.NewWriterSize(c, 512)}
			p.serve()
		})
	}
}

func (s *server) enter(c net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conns != nil {
		s.conns[c] = true
	}
	return s.conns != nil
}

func (s *server) leave(c net.Conn) {
	c.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
}

// peer is one connection to a sink.
type peer struct {
	*server
	conn  net.Conn
	r     *bufio.Reader
	w     *bufio.Writer
	rcpts int64
}

func (p *peer) serve() {
	if !p.answer(atBanner, "220 sink.test ESMTP") {
		return
	}
	for {
		if p.r.Buffered() == 0 && p.w.Flush() != nil { // what was pipelined is answered together
			return
		}
		line, err := p.r.ReadSlice('\n')
		if err != nil {
			return
		}
		verb, _, _ := bytes.Cut(bytes.TrimRight(line, "\r\n"), []byte(" "))
		if !p.do(strings.ToUpper(string(verb))) {
			return
		}
	}
}

// do carries out a command, and reports whether the session goes on.
func (p *peer) do(verb string) bool {
	switch verb {
	case "EHLO":
		return p.answer(atEHLO, p.keywords())
	case "HELO":
		return p.answer(atEHLO, "250 sink.test")
	case "STARTTLS":
		return p.o.tls != nil && p.answer(atSTARTTLS, "220 2.0.0 go ahead") && p.encrypt()
	case "MAIL":
		p.rcpts = 0
		return p.answer(atMAIL, "250 2.1.0 ok")
	case "RCPT":
		p.rcpts++
		return p.answer(atRCPT, "250 2.1.5 ok")
	case "DATA":
		return p.answer(atDATA, "354 go ahead") && p.data()
	case "RSET", "NOOP":
		return p.answer(never, "250 2.0.0 ok")
	case "QUIT":
		p.answer(never, "221 2.0.0 bye")
		p.w.Flush()
		return false
	}
	return p.answer(never, "500 5.5.1 unknown command")
}

func (p *peer) keywords() string {
	text := "250-sink.test\r\n250-PIPELINING\r\n250-SIZE\r\n250-ENHANCEDSTATUSCODES\r\n"
	if _, encrypted := p.conn.(*tls.Conn); p.o.tls != nil && !encrypted {
		text += "250-STARTTLS\r\n"
	}
	return text + "250 8BITMIME"
}

// answer writes a reply, or falls silent until the peer hangs up.
func (p *peer) answer(at stage, text string) bool {
	if at != never && at == p.o.hang {
		p.hang()
		return false
	}
	_, err := p.w.WriteString(text + "\r\n")
	return err == nil
}

func (p *peer) hang() {
	if p.w.Flush() != nil {
		return
	}
	p.hanging.Add(1)
	defer p.hanging.Add(-1)
	for {
		if _, err := p.r.Discard(1); err != nil {
			return
		}
	}
}

func (p *peer) encrypt() bool {
	if p.w.Flush() != nil || p.r.Buffered() > 0 { // nothing may follow STARTTLS (RFC 3207 §4.2)
		return false
	}
	t := tls.Server(p.conn, p.o.tls)
	if t.Handshake() != nil {
		return false
	}
	p.encrypted.Add(1)
	p.conn = t
	p.r.Reset(t)
	p.w.Reset(t)
	return true
}

// data reads up to the lone dot.
func (p *peer) data() bool {
	if p.w.Flush() != nil {
		return false
	}
	for atStart := true; ; {
		line, err := p.r.ReadSlice('\n')
		if err != nil && err != bufio.ErrBufferFull {
			return false
		}
		if atStart && string(line) == ".\r\n" {
			break
		}
		atStart = err == nil
	}
	if p.o.hang == atDot {
		p.hang()
		return false
	}
	if p.o.took != nil {
		p.o.took()
	}
	p.messages.Add(1)
	p.recipients.Add(p.rcpts)
	return p.answer(never, "250 2.0.0 taken")
}
