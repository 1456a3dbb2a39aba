package session_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mailroot/mailroot/internal/session"
	"github.com/mailroot/mailroot/internal/session/sessiontest"
)

// rested is when a session is at rest.
const rested = 10 * time.Second

// socket makes a socket of a connection in memory, as far as a session at rest needs one.
type socket struct {
	net.Conn
	in    *bufio.Reader
	rests int
}

func (s *socket) Read(p []byte) (int, error)            { return s.in.Read(p) }
func (s *socket) SyscallConn() (syscall.RawConn, error) { return (*rawSocket)(s), nil }

type rawSocket socket

func (s *rawSocket) Control(func(uintptr)) error    { return errors.ErrUnsupported }
func (s *rawSocket) Write(func(uintptr) bool) error { return errors.ErrUnsupported }

// Read waits until something can be read.
func (s *rawSocket) Read(func(uintptr) bool) error {
	s.rests++
	_, err := s.in.Peek(1)
	return err
}

// TestRest: a session at rest does all that one that waits does.
func TestRest(t *testing.T) {
	for _, tc := range []struct {
		name string
		o    session.Options
		then func(t *testing.T, c *sessiontest.Client, live *session.Session)
	}{
		{"a command", session.Options{}, func(t *testing.T, c *sessiontest.Client, _ *session.Session) {
			c.Command("NOOP", "250 *")
			c.Send("MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n")
			c.Expect("250 2.1.0 *")
			c.Expect("250 2.1.5 *")
			c.Expect("354 *")
			time.Sleep(rested) // here nothing rests
			c.Send("text\r\n.\r\n")
			c.Expect("250 2.6.0 *")
			c.Command("QUIT", "221 *")
			c.Ends(session.ClosedByQuit)
		}},
		{"a while", session.Options{}, func(t *testing.T, c *sessiontest.Client, _ *session.Session) {
			for range 3 {
				c.Command("RSET", "250 *")
				time.Sleep(rested)
			}
			c.Command("QUIT", "221 *")
			c.Ends(session.ClosedByQuit)
		}},
		{"within a text that was refused", session.Options{}, func(t *testing.T, c *sessiontest.Client, _ *session.Session) {
			c.Send("MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nBDAT 3\r\na\x00b")
			c.Expect("250 2.1.0 *")
			c.Expect("250 2.1.5 *")
			c.Expect("550 *")
			time.Sleep(rested)
			c.Send("BDAT 10 LAST\r\nx\n.\r\nMAIL\r\n")
			c.Expect("550 5.5.2 *")
			c.Ends(session.ClosedOutOfSync)
		}},
		{"half a line", session.Options{IdleTimeout: rested + 20*time.Second}, func(t *testing.T, c *sessiontest.Client, _ *session.Session) {
			c.Send("NO")
			c.Expect("421 4.4.2 *")
			c.Ends(session.ClosedIdle)
		}},
		{"the idle time-out", session.Options{IdleTimeout: rested + 20*time.Second}, func(t *testing.T, c *sessiontest.Client, _ *session.Session) {
			c.Expect("421 4.4.2 *")
			c.Ends(session.ClosedIdle)
		}},
		{"a shut down", session.Options{}, func(t *testing.T, c *sessiontest.Client, _ *session.Session) {
			c.Shutdown()
			c.Expect("421 4.3.2 *")
			c.Ends(session.ClosedByShutdown)
		}},
		{"the operator", session.Options{}, func(t *testing.T, c *sessiontest.Client, live *session.Session) {
			live.Terminate()
			c.Ends(session.ClosedByOperator)
		}},
		{"the client hangs up", session.Options{}, func(t *testing.T, c *sessiontest.Client, _ *session.Session) {
			c.Hangup()
			if r := c.Reason(); r != session.ClosedByClient {
				t.Errorf("closed because %v", r)
			}
		}},
		{"another protocol", session.Options{}, func(t *testing.T, c *sessiontest.Client, _ *session.Session) {
			c.Send("\x16\x03\x01")
			c.Ends(session.ClosedWrongProtocol)
		}},
	} {
		for _, secure := range []bool{false, true} {
			name := tc.name
			if secure {
				name += ", TLS"
			}
			if secure && tc.name == "another protocol" {
				continue
			}
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { testRest(t, tc.o, secure, tc.then) })
			})
		}
	}
}

func testRest(t *testing.T, o session.Options, secure bool, then func(*testing.T, *sessiontest.Client, *session.Session)) {
	m := &sessiontest.Memory{}
	var live *session.Session
	ended := 0
	o.FQDN, o.Begin, o.TLS = sessiontest.FQDN, m.Begin, sessiontest.TLSConfig(t)
	o.Track = func(s *session.Session) func() { live = s; return func() { ended++ } }
	client, server := sessiontest.Pipe()
	s := &socket{Conn: server, in: bufio.NewReader(server)}
	c := sessiontest.Serve(t, &o, client, s)
	c.Expect("220 *")
	if secure {
		c.Command("EHLO client.example", "250-*")
		c.Command("STARTTLS", "220 *")
		if err := c.StartTLS(nil); err != nil {
			t.Fatal(err)
		}
	}
	c.Command("EHLO client.example", "250-*")
	time.Sleep(rested)
	synctest.Wait()
	if p := live.Peer(); s.rests != 1 || p.Helo != "client.example" {
		t.Errorf("rested %d times, %+v", s.rests, p)
	}
	then(t, c, live)
	c.Reason()
	if ended != 1 {
		t.Errorf("the end was told %d times", ended)
	}
}

// TestMemoryAtRest bounds what a session takes that has said EHLO and then nothing: here 5.2 kB, of which 1 kB is the test's own end of
// the connection. A goroutine that goes on instead of a new one would make it 7 kB.
func TestMemoryAtRest(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector needs memory of its own")
	}
	const n, most = 200, 6000
	m := &sessiontest.Memory{}
	o := &session.Options{FQDN: sessiontest.FQDN, Begin: m.Begin}
	ctx := t.Context()
	var all, resting sync.WaitGroup
	before := inUse()
	clients := make([]net.Conn, n)
	for i := range clients {
		client, server := tcp(t)
		clients[i] = client
		all.Add(1)
		resting.Add(1)
		go serve(ctx, session.Start(server, o), all.Done, sync.OnceFunc(resting.Done))
		command(t, client, "")
		command(t, client, "EHLO client.example")
	}
	inUse() // new goroutines start with the stack that most need
	resting.Wait()
	if each := int(inUse()-before) / n; each > most {
		t.Errorf("a session at rest takes %d octets, want at most %d", each, most)
	}
	for _, c := range clients { // they were all there to the end, and still are
		command(t, c, "NOOP")
		c.Close()
	}
	all.Wait()
}

// serve runs a session, each piece in a goroutine of its own.
func serve(ctx context.Context, run func(context.Context) session.CloseReason, ended, rests func()) {
	if run(ctx) != session.Open {
		ended()
		return
	}
	go serve(ctx, run, ended, rests)
	rests()
}

// command sends a command, if it is one, and takes the reply.
func command(t *testing.T, c net.Conn, line string) {
	t.Helper()
	if line != "" {
		if _, err := io.WriteString(c, line+"\r\n"); err != nil {
			t.Fatal(err)
		}
	}
	for r := bufio.NewReader(c); ; {
		got, err := r.ReadString('\n')
		if err != nil || got[0] != '2' {
			t.Fatalf("%q: %q, %v", line, got, err)
		}
		if got[3] == ' ' {
			return
		}
	}
}

// inUse returns how much heap and stacks take when there is no garbage.
func inUse() int64 {
	runtime.GC()
	runtime.GC() // empties the pools
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}
