package harness

import (
	"crypto/tls"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// SinkOptions is what a test wants of a Sink. The zero value listens on a free port and takes
// everything.
type SinkOptions struct {
	Addr     string   // where to listen; "": 127.0.0.1 and a free port
	Name     string   // in banner and EHLO reply; "": sink.test
	Keywords []string // of the EHLO reply; nil: DefaultKeywords. An empty list is none
	NoESMTP  bool     // EHLO is answered 500
	TLS      *tls.Config
	Implicit bool // TLS from the first octet

	// Answer may replace a reply. It is asked with the command (EHLO, MAIL, RCPT, DATA, and "."
	// for the end of the data), its argument, and what is known of the transaction; "" stands
	// for the usual reply, "close" for hanging up without one. It is called from several
	// goroutines.
	Answer func(verb, arg string, m *SinkMessage) string
	// OnMessage is called for each message that was answered 250, before the reply is sent.
	OnMessage func(*SinkMessage)
	// Forget keeps no message after OnMessage.
	Forget bool
}

// DefaultKeywords is what a modern server offers.
var DefaultKeywords = []string{"PIPELINING", "SIZE 104857600", "8BITMIME", "SMTPUTF8", "DSN", "ENHANCEDSTATUSCODES", "CHUNKING", "BINARYMIME"}

// SinkMessage is one message as it came.
type SinkMessage struct {
	Conn       int    // 1 for the first connection
	Nth        int    // 1 for the first message on that connection
	Helo       string // EHLO or HELO with its name
	From       string // without brackets
	FromParams string
	Rcpts      []string // those accepted
	RcptParams []string // of each
	Data       []byte   // dots unstuffed, chunks joined
	Chunked    bool     // by BDAT
	TLS        bool
	Time       time.Time // when it was complete
}

// Sink is a strict SMTP server that keeps each message octet by octet. What a client does
// against the RFCs is noted: the test fails at its end if there is any such note.
type Sink struct {
	o  SinkOptions
	ln net.Listener
	tb testing.TB

	mu         sync.Mutex
	messages   []*SinkMessage
	violations []string
	conns      map[net.Conn]bool
	opened     int // connections so far
	active     int // transactions that are open
	most       int // of them at the same time
	closed     bool
	wg         sync.WaitGroup
}

// NewSink starts a sink that ends with the test.
func NewSink(tb testing.TB, o SinkOptions) *Sink {
	tb.Helper()
	o.Name = or(o.Name, "sink.test")
	if o.Addr == "" {
		o.Addr = Loopback(FreePort(tb))
	}
	if o.Keywords == nil {
		o.Keywords = DefaultKeywords
	}
	if o.TLS != nil && !o.Implicit {
		o.Keywords = append(slices.Clone(o.Keywords), "STARTTLS")
	}
	s := &Sink{o: o, tb: tb}
	s.Open()
	tb.Cleanup(func() {
		s.Shut()
		for _, v := range s.Violations() {
			tb.Errorf("against the RFCs: %s", v)
		}
	})
	return s
}

// Open listens, again after Shut.
func (s *Sink) Open() {
	s.tb.Helper()
	ln, err := net.Listen("tcp", s.o.Addr)
	if err != nil {
		s.tb.Fatal(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ln, s.closed, s.conns = ln, false, map[net.Conn]bool{}
	s.wg.Add(1)
	go s.accept(ln)
}

func (s *Sink) accept(ln net.Listener) {
	defer s.wg.Done()
	for {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		if s.closed {
			c.Close()
			s.mu.Unlock()
			return
		}
		s.conns[c] = true
		s.opened++
		n := s.opened
		s.wg.Add(1)
		s.mu.Unlock()
		go func() {
			defer s.wg.Done()
			newSinkSession(s, c, n).serve()
			c.Close()
			s.mu.Lock()
			delete(s.conns, c)
			s.mu.Unlock()
		}()
	}
}

// Shut closes the port and all connections, as a server that goes down.
func (s *Sink) Shut() {
	s.mu.Lock()
	s.closed = true
	s.ln.Close()
	for c := range s.conns {
		c.Close()
	}
	s.mu.Unlock()
	s.wg.Wait()
}

// Addr returns "127.0.0.1:port".
func (s *Sink) Addr() string { return s.o.Addr }

// Route returns the address as a smart host or route is written: "[127.0.0.1]:port".
func (s *Sink) Route() string {
	host, port, _ := net.SplitHostPort(s.o.Addr)
	return fmt.Sprintf("[%s]:%s", host, port)
}

// Messages returns what came so far, in the order of arrival.
func (s *Sink) Messages() []*SinkMessage {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.messages)
}

// Connections returns how many connections there were, and how many of them at most were in a
// transaction at the same time. (Of a connection that is idle nobody can tell from here whether
// the client has closed it already.)
func (s *Sink) Connections() (opened, most int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.opened, s.most
}

// begin and end count transactions.
func (s *Sink) begin() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.active++
	s.most = max(s.most, s.active)
}

func (s *Sink) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.active--
}

// Violations returns what the clients did against the RFCs.
func (s *Sink) Violations() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.violations)
}

// Wait waits until n messages have come, and returns them; more than n is a failure.
func (s *Sink) Wait(n int) []*SinkMessage {
	s.tb.Helper()
	var got []*SinkMessage
	if !Within(Patience, func() bool { got = s.Messages(); return len(got) >= n }) || len(got) > n {
		s.tb.Fatalf("%d messages at the sink, want %d", len(got), n)
	}
	return got
}

func (s *Sink) violate(conn int, format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed && len(s.violations) < 20 { // a client is cut off in mid-word when we shut
		s.violations = append(s.violations, fmt.Sprintf("connection %d: ", conn)+fmt.Sprintf(format, args...))
	}
}

func (s *Sink) keep(m *SinkMessage) {
	if s.o.OnMessage != nil {
		s.o.OnMessage(m)
	}
	if s.o.Forget {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.messages = append(s.messages, m)
}

// has reports whether a keyword is offered.
func (s *Sink) has(keyword string) bool {
	return slices.ContainsFunc(s.o.Keywords, func(k string) bool {
		name, _, _ := strings.Cut(k, " ")
		return name == keyword
	})
}
