package session_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/session"
	"github.com/mailroot/mailroot/internal/session/sessiontest"
)

// tape is a connection whose client is written down: one Read returns octets of one piece at
// most, repeated n times; what the server writes is counted by lines.
type tape struct {
	head   []byte
	pieces [][]byte
	n      int
	at     int
	rest   []byte
	lines  int
	octets int
}

func (c *tape) Read(p []byte) (int, error) {
	if len(c.rest) == 0 {
		switch {
		case c.head != nil:
			c.rest, c.head = c.head, nil
		case c.n == 0:
			return 0, io.EOF
		default:
			c.rest = c.pieces[c.at]
			if c.at++; c.at == len(c.pieces) {
				c.at = 0
				c.n--
			}
		}
	}
	n := copy(p, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

func (c *tape) Write(p []byte) (int, error) {
	c.lines += bytes.Count(p, []byte{'\n'})
	c.octets += len(p)
	return len(p), nil
}

func (*tape) Close() error                     { return nil }
func (*tape) LocalAddr() net.Addr              { return net.TCPAddrFromAddrPort(sessiontest.ServerAddr) }
func (*tape) RemoteAddr() net.Addr             { return net.TCPAddrFromAddrPort(sessiontest.ClientAddr) }
func (*tape) SetDeadline(time.Time) error      { return nil }
func (*tape) SetReadDeadline(time.Time) error  { return nil }
func (*tape) SetWriteDeadline(time.Time) error { return nil }

// sink is a transaction that costs nothing.
type sink struct{ from mail.Address }

func (s *sink) Sender() mail.Address { return s.from }
func (s *sink) Rcpt(_ context.Context, r mail.Recipient) (mail.Address, error) {
	return r.Addr, nil
}
func (s *sink) Write(p []byte) (int, error) { return len(p), nil }
func (s *sink) Commit(context.Context) (mail.Accepted, error) {
	return mail.Accepted{ID: 1, MessageID: "<1@relay.example.com>", OwnID: true}, nil
}
func (s *sink) Abort() {}

// fast returns options without the limits that a benchmark would meet.
func fast() *session.Options {
	tx := &sink{}
	return &session.Options{
		FQDN: sessiontest.FQDN, MaxJunk: -1, Record: func(*mail.Exchange) {}, Policy: &sessiontest.Rules{Open: true},
		Begin: func(_ context.Context, _ *mail.Peer, s mail.Sender) (session.Transaction, error) {
			tx.from = s.Addr
			return tx, nil
		},
	}
}

// play runs a session from a tape and checks that it got the replies that it should.
func play(tb testing.TB, o *session.Options, pieces []string, n, repliesEach int) {
	c := &tape{head: []byte("HELO client.example\r\n"), n: n}
	for _, p := range pieces {
		c.pieces = append(c.pieces, []byte(p))
	}
	if r := session.Serve(context.Background(), c, o); r != session.ClosedByClient {
		tb.Fatalf("the session ended by %q", r)
	}
	if want := 2 + n*repliesEach; c.lines != want {
		tb.Fatalf("%d replies, want %d", c.lines, want)
	}
}

var (
	fiftyNoops = []string{strings.Repeat("NOOP\r\n", 50)}
	tenResets  = []string{strings.Repeat("MAIL FROM:<some.body@client.example.org> SIZE=4096\r\n"+
		"RCPT TO:<a.recipient@mail.example.com>\r\nRCPT TO:<another.one@mail.example.net>\r\nRSET\r\n", 10)}
	oneMessage = []string{
		"MAIL FROM:<some.body@client.example.org> SIZE=4096\r\nRCPT TO:<a.recipient@mail.example.com>\r\nDATA\r\n",
		sessiontest.Text(4096) + ".\r\n",
	}
	oneChunk = []string{
		"MAIL FROM:<some.body@client.example.org> SIZE=4096\r\nRCPT TO:<a.recipient@mail.example.com>\r\n" +
			"BDAT 4096 LAST\r\n" + sessiontest.Text(4096),
	}
)

func BenchmarkNoopPipelined(b *testing.B) {
	b.ReportAllocs()
	play(b, fast(), fiftyNoops, b.N/50+1, 50)
}

func BenchmarkResetPipelined(b *testing.B) {
	b.ReportAllocs()
	play(b, fast(), tenResets, b.N/40+1, 40)
}

func BenchmarkMessage4K(b *testing.B) {
	b.ReportAllocs()
	play(b, fast(), oneMessage, b.N, 4)
}

func BenchmarkData1M(b *testing.B) {
	b.ReportAllocs()
	text := sessiontest.Text(1<<20) + ".\r\n"
	b.SetBytes(int64(len(text)))
	play(b, fast(), []string{oneMessage[0], text}, b.N, 4)
}

func BenchmarkData1MBareLF(b *testing.B) {
	b.ReportAllocs()
	text := strings.ReplaceAll(sessiontest.Text(1<<20), "\r\n", "\n") + "\r\n.\r\n"
	b.SetBytes(int64(len(text)))
	play(b, fast(), []string{oneMessage[0], text}, b.N, 4)
}

func BenchmarkSession(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		play(b, fast(), oneMessage, 1, 4)
	}
}

// BenchmarkNoopTCP is one client that waits for each reply, over the loopback interface.
func BenchmarkNoopTCP(b *testing.B) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	o := fast()
	done := make(chan session.CloseReason, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		done <- session.Serve(context.Background(), c, o)
	}()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	buf := make([]byte, 512)
	if _, err := c.Read(buf); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := io.WriteString(c, "NOOP\r\n"); err != nil {
			b.Fatal(err)
		}
		if _, err := c.Read(buf); err != nil {
			b.Fatal(err)
		}
	}
	c.Close()
	<-done
}

// TestAllocations bounds what commands allocate. MAIL and RCPT keep their argument, which holds
// the address; nothing else allocates once a session runs.
func TestAllocations(t *testing.T) {
	if raceDetector {
		t.Skip("under the race detector sync.Pool drops buffers at random: the counts are not ours")
	}
	const n = 200
	perRun := func(pieces []string, n, replies int) float64 {
		o := fast()
		return testing.AllocsPerRun(5, func() { play(t, o, pieces, n, replies) })
	}
	for _, tc := range []struct {
		name    string
		pieces  []string
		replies int
		want    float64 // for one round of the pieces
	}{
		{"50 NOOP", fiftyNoops, 50, 0},
		{"10 MAIL, 20 RCPT, 10 RSET", tenResets, 40, 30},
		{"a message", oneMessage, 4, 2},
		{"a message by BDAT", oneChunk, 3, 3},
	} {
		// The difference of two lengths leaves the cost of the session itself out.
		got := (perRun(tc.pieces, 2*n, tc.replies) - perRun(tc.pieces, n, tc.replies)) / n
		if got > tc.want+0.5 {
			t.Errorf("%s: %.2f allocations, want %.0f", tc.name, got, tc.want)
		}
	}
	if got := perRun(oneMessage, 1, 4); got > 60 {
		t.Errorf("a session with one message: %.0f allocations, want at most 60", got)
	}
}
