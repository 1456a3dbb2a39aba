package session_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/session"
	"github.com/mailroot/mailroot/internal/session/sessiontest"
)

// TestBinary: the octets of a BINARYMIME body pass as they are.
func TestBinary(t *testing.T) {
	bubble(t, func(t *testing.T, o *session.Options, m *sessiontest.Memory) {
		c := sessiontest.Dial(t, o)
		upToBdat(c, " BODY=BINARYMIME")
		header, body := "Subject: x\r\n\r\n", "\x00\n\r.\n\xff..\r\n.\r\n\n.\r\n"
		c.Send("BDAT 14\r\n" + header + "BDAT 21 LAST\r\n" + body + strings.Repeat("z", 21-len(body)))
		c.Expect("250 2.0.0 *")
		c.Expect("250 2.6.0 *")
		if got, want := m.Messages()[0].Text, header+body+strings.Repeat("z", 21-len(body)); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	})
}

// TestTrack: a session can be looked at and ended from outside.
func TestTrack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var live *session.Session
		gone := false
		m := &sessiontest.Memory{}
		o := &session.Options{
			FQDN: sessiontest.FQDN, Begin: m.Begin,
			NextConn: func() uint64 { return 7 },
			Track: func(s *session.Session) func() {
				live = s
				return func() { gone = true }
			},
			PeerName:    func(_ context.Context, a netip.Addr) string { return "client." + a.String() + ".example" },
			RelayClient: func(a netip.Addr) bool { return a == sessiontest.ClientAddr.Addr() },
		}
		begin := time.Now()
		c := sessiontest.Dial(t, o)
		upToData(c)
		c.Send(".\r\n")
		c.Expect("250 2.6.0 *")
		c.Command("MAIL FROM:<a@b.example>", "250 *")
		p := live.Peer()
		want := mail.Peer{
			Conn: 7, Remote: sessiontest.ClientAddr, Local: sessiontest.ServerAddr,
			Name: "client.192.0.2.10.example", Helo: "client.example", Relay: true,
		}
		if p != want || !live.Since().Equal(begin) || live.Messages() != 1 || gone {
			t.Errorf("%+v, since %v, %d messages", p, live.Since(), live.Messages())
		}
		live.Terminate()
		if r := c.Reason(); r != session.ClosedByOperator {
			t.Errorf("the session ended by %q", r)
		}
		if !gone || m.Open() != 0 {
			t.Errorf("done was called: %v; %d transactions are open", gone, m.Open())
		}
	})
}

// TestRecord: what stands in the record besides the octet counts that the scripts compare.
func TestRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r sessiontest.Recorder
		m := &sessiontest.Memory{Committing: func(context.Context) { time.Sleep(3 * time.Second) }}
		rules := &sessiontest.Rules{}
		c := sessiontest.Dial(t, &session.Options{
			FQDN: sessiontest.FQDN, Begin: m.Begin, Record: r.Record, Policy: rules,
			NextConn: func() uint64 { return 9 },
		})
		c.Expect("220 *")
		begin := time.Now()
		time.Sleep(time.Second)
		c.Command("HELO client.example", "250 *")
		c.Command("AUTH PLAIN AGEAYg==", "504 *")
		c.Command("secret word", "500 *")
		c.Command("MAIL FROM:<a@b.example> SIZE=2", "250 *")
		c.Command("RCPT TO:<c@d.example>", "550 *")
		c.Command("RCPT TO:<c>", "250 *")
		c.Command("NOOP "+strings.Repeat("x", 1500), "250 *")
		c.Command("DATA", "354 *")
		time.Sleep(2 * time.Second)
		c.Send("one\ntwo\r\n.\r\n")
		c.Expect("250 2.6.0 *")
		c.Command("QUIT", "221 *")
		c.Ends(session.ClosedByQuit)
		rows := r.All()
		if len(rows) != 9 {
			t.Fatalf("%d rows", len(rows))
		}
		for i, e := range rows {
			if e.Dir != mail.Inbound || e.Conn != 9 || e.Remote != sessiontest.ClientAddr || e.Local != sessiontest.ServerAddr || e.Helo != "client.example" {
				t.Errorf("row %d: %+v", i, e)
			}
		}
		if e := rows[1]; e.Verb != "AUTH" || e.Arg != "PLAIN" || e.Enhanced != mail.Enhanced(5, 7, 4) {
			t.Errorf("AUTH: %+v", e)
		}
		if e := rows[2]; e.Verb != "xxxx" || e.Arg != "" {
			t.Errorf("a possible password is in the record: %+v", e)
		}
		if e := rows[4]; e.Code != 550 || e.Reason != "the client is not in the relay list" || e.Took != 0 {
			t.Errorf("RCPT: %+v", e)
		}
		if e := rows[6]; len(e.Arg) != 1024 || e.In != 1505 {
			t.Errorf("NOOP: an argument of %d octets, in %d", len(e.Arg), e.In)
		}
		if e := rows[7]; e.Verb != "DATA" || e.Took != 5*time.Second || e.In != 10 || e.Repaired != 1 ||
			e.Reason != "larger than declared: 10 octets, SIZE=2" || !e.Time.Equal(begin.Add(6*time.Second)) {
			t.Errorf("DATA: %+v", e)
		}
		if e := rows[8]; e.Verb != "QUIT" || e.Code != 240 || e.Session != 6*time.Second || e.Repaired != 0 || e.Reason != "" {
			t.Errorf("QUIT: %+v", e)
		}
	})
}

// TestTransactionContext: it outlives the shut down by the grace period, no longer.
func TestTransactionContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var took time.Duration
		m := &sessiontest.Memory{}
		m.Committing = func(ctx context.Context) {
			begin := time.Now()
			<-ctx.Done()
			took = time.Since(begin)
		}
		c := sessiontest.Dial(t, &session.Options{FQDN: sessiontest.FQDN, Begin: m.Begin, Grace: 7 * time.Second})
		upToData(c)
		c.Send(".\r\n")
		synctest.Wait()
		c.Shutdown()
		c.Expect("250 2.6.0 *")
		c.Expect("421 4.3.2 *")
		c.Ends(session.ClosedByShutdown)
		if took != 7*time.Second {
			t.Errorf("the context ended after %v", took)
		}
	})
}

// TestShutdownTellsAll: whoever is in a transaction when the grace period ends is told so, within its
// default of 20 s, whether a command or the rest of the message is waited for.
func TestShutdownTellsAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &sessiontest.Memory{}
		o := &session.Options{FQDN: sessiontest.FQDN, Begin: m.Begin}
		inData, inMail := sessiontest.Dial(t, o), sessiontest.Dial(t, o)
		upToData(inData)
		inData.Send("half a line")
		upToBdat(inMail, "")
		synctest.Wait()
		begin := time.Now()
		for _, c := range []*sessiontest.Client{inData, inMail} {
			c.Shutdown()
		}
		for _, c := range []*sessiontest.Client{inData, inMail} {
			c.Expect("421 4.3.2 *")
			c.Ends(session.ClosedByShutdown)
		}
		if took := time.Since(begin); took != 20*time.Second {
			t.Errorf("told after %v, want 20s", took)
		}
		if n := m.Open(); n != 0 {
			t.Errorf("%d transactions are open", n)
		}
	})
}

// TestShutdownPipelined: no new transaction begins after the shut down.
func TestShutdownPipelined(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &sessiontest.Memory{}
		var c *sessiontest.Client
		m.Committing = func(context.Context) {
			c.Shutdown()
			synctest.Wait()
		}
		c = sessiontest.Dial(t, &session.Options{FQDN: sessiontest.FQDN, Begin: m.Begin})
		upToData(c)
		c.Send(".\r\nMAIL FROM:<a@b.example>\r\nNOOP\r\n")
		c.Expect("250 2.6.0 *")
		c.Expect("421 4.3.2 *")
		c.Ends(session.ClosedByShutdown)
	})
}

// TestClientDoesNotRead: writing has a deadline too.
func TestClientDoesNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := sessiontest.Pipe()
		defer client.Close()
		done := make(chan session.CloseReason)
		begin := time.Now()
		go func() {
			done <- session.Serve(context.Background(), server, &session.Options{IdleTimeout: time.Minute})
		}()
		if r := <-done; r != session.ClosedByNetwork || time.Since(begin) > time.Minute+10*time.Second {
			t.Errorf("ended by %q after %v", r, time.Since(begin))
		}
	})
}

// writes counts the writes of a connection.
type writes struct {
	net.Conn
	n *atomic.Int64
}

func (w writes) Write(p []byte) (int, error) {
	w.n.Add(1)
	return w.Conn.Write(p)
}

// TestOneWritePerFlight: a group of commands that arrives together is answered together.
func TestOneWritePerFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n atomic.Int64
		m := &sessiontest.Memory{}
		client, server := sessiontest.Pipe()
		c := sessiontest.Serve(t, &session.Options{FQDN: sessiontest.FQDN, Begin: m.Begin}, client, writes{server, &n})
		c.Expect("220 *")
		c.Command("EHLO client.example", "250-*")
		before := n.Load()
		c.Send("MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nRCPT TO:<e@f.example>\r\nDATA\r\n")
		for _, want := range []string{"250 *", "250 *", "250 *", "354 *"} {
			c.Expect(want)
		}
		if got := n.Load() - before; got != 1 {
			t.Errorf("four replies went out in %d writes", got)
		}
	})
}

// TestFlightsOfAnySize: however a client cuts its octets, the replies are the same, and a group
// larger than any buffer is answered without a deadlock.
func TestFlightsOfAnySize(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &sessiontest.Memory{}
		o := &session.Options{FQDN: sessiontest.FQDN, Begin: m.Begin, MaxJunk: -1}
		var flight, want strings.Builder
		flight.WriteString("HELO client.example\r\nMAIL FROM:<a@b.example>\r\n")
		want.WriteString("250 2.1.0 a@b.example....Sender OK\r\n")
		for range 500 {
			flight.WriteString("RCPT TO:<c@d.example>\r\nNOOP\r\n")
			want.WriteString("250 2.1.5 c@d.example \r\n250 2.0.0 OK\r\n")
		}
		flight.WriteString("RSET\r\nQUIT\r\n")
		want.WriteString("250 2.0.0 Resetting\r\n")
		for _, size := range []int{1, 7, 100, 1023, 1024, 1025, 1 << 20} {
			client, server := sessiontest.Pipe()
			go session.Serve(context.Background(), server, o)
			go func() {
				for s := flight.String(); s != ""; {
					n := min(size, len(s))
					if _, err := io.WriteString(client, s[:n]); err != nil {
						return // it has quit
					}
					s = s[n:]
				}
			}()
			got, err := io.ReadAll(client)
			client.Close()
			_, rest, _ := strings.Cut(string(got), "250 "+sessiontest.FQDN+" Hello [192.0.2.10]\r\n")
			if err != nil || !strings.HasPrefix(rest, want.String()) || strings.Count(rest, "\n") != 1003 {
				t.Errorf("pieces of %d: %v, %d lines", size, err, strings.Count(rest, "\n"))
			}
		}
	})
}

// TestHonestClient: over TCP, the banner comes at once.
func TestHonestClient(t *testing.T) {
	client, server := tcp(t)
	m := &sessiontest.Memory{}
	c := sessiontest.Serve(t, &session.Options{FQDN: sessiontest.FQDN, Begin: m.Begin}, client, server)
	upToData(c)
	text := sessiontest.Text(1 << 20)
	c.Send(text + ".\r\n")
	c.Expect("250 2.6.0 *")
	if got := m.Messages()[0].Text; got != text {
		t.Errorf("the text was changed: %d octets, want %d", len(got), len(text))
	}
	c.Command("QUIT", "221 *")
	c.Ends(session.ClosedByQuit)
}

// TestMessageIDReply: a message id is shown as far as a reply may show it.
func TestMessageIDReply(t *testing.T) {
	bubble(t, func(t *testing.T, o *session.Options, _ *sessiontest.Memory) {
		c := sessiontest.Dial(t, o)
		upToData(c)
		c.Send("Message-ID: <\x1b\u00e9" + strings.Repeat("x", 600) + ">\r\n\r\n.\r\n")
		got := c.Expect("250 2.6.0 *<???xxx*")
		if len(got)+2 > 512 {
			t.Errorf("a reply of %d octets", len(got)+2)
		}
	})
}

// TestMessageIDInUTF8: within a transaction with SMTPUTF8 the message id comes back as it was sent.
func TestMessageIDInUTF8(t *testing.T) {
	bubble(t, func(t *testing.T, o *session.Options, _ *sessiontest.Memory) {
		c := sessiontest.Dial(t, o)
		upToBdat(c, " SMTPUTF8")
		text := "Message-ID: <\u00fc@x>\r\n\r\n"
		c.Send(fmt.Sprintf("BDAT %d LAST\r\n%s", len(text), text))
		if got := c.Reply(); !strings.Contains(got, "<\u00fc@x>") {
			t.Errorf("the server said %q", got)
		}
	})
}

// TestBlanksBeforeTheNameE5: they are no part of it.
func TestBlanksBeforeTheNameE5(t *testing.T) {
	bubble(t, func(t *testing.T, o *session.Options, m *sessiontest.Memory) {
		c := sessiontest.Dial(t, o)
		c.Expect("220 *")
		c.Command("EHLO   client.example", "250-*")
		c.Send("MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nBDAT 0 LAST\r\n")
		c.Expect("250 *")
		c.Expect("250 *")
		c.Expect("250 2.6.0 *")
		if helo := m.Messages()[0].Peer.Helo; helo != "client.example" {
			t.Errorf("the name is %q", helo)
		}
	})
}

// TestSlowSpoolF22: time that we need ourselves is not held against the client.
func TestSlowSpoolF22(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &sessiontest.Memory{FailWrite: func(int64) error {
			time.Sleep(10 * time.Minute)
			return nil
		}}
		c := sessiontest.Dial(t, &session.Options{FQDN: sessiontest.FQDN, Begin: m.Begin})
		upToData(c)
		c.Send("first\r\n")
		time.Sleep(10*time.Minute + 20*time.Second)
		c.Send("second\r\n")
		time.Sleep(10*time.Minute + 20*time.Second)
		c.Send(".\r\n")
		c.Expect("250 2.6.0 *")
	})
}

// TestNothingBeyondTheLimitF26: of a message that is too large, nothing beyond its limit is
// given to the transaction.
func TestNothingBeyondTheLimitF26(t *testing.T) {
	for name, o := range map[string]*session.Options{
		"strict":  {MaxMessageSize: 10000, StrictSize: true},
		"session": {MaxSessionSize: 10000},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				most := int64(0)
				m := &sessiontest.Memory{FailWrite: func(n int64) error {
					most = max(most, n)
					return nil
				}}
				o := *o
				o.FQDN, o.Begin = sessiontest.FQDN, m.Begin
				c := sessiontest.Dial(t, &o)
				upToData(c)
				c.Send(sessiontest.Text(200000) + ".\r\n")
				c.Expect("552 5.3.4 *")
				if most > 10000 || m.Aborted() != 1 {
					t.Errorf("%d octets were written, %d transactions aborted", most, m.Aborted())
				}
			})
		})
	}
}

// TestRecordCutShort: the verb of a line that is no command is kept where it can be known, and a DATA
// whose end does not come has a row, with the octets of the 354 and of the text so far.
func TestRecordCutShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r sessiontest.Recorder
		m := &sessiontest.Memory{}
		c := sessiontest.Dial(t, &session.Options{FQDN: sessiontest.FQDN, Begin: m.Begin, Record: r.Record, IdleTimeout: time.Minute})
		c.Expect("220 *")
		c.Command("HELO client.example", "250 *")
		c.Command("RCPT TO:<a\x01b@d.example>", "500 5.5.2 *")
		c.Command("pass\x01word", "500 5.5.2 *")
		c.Command("MAIL FROM:<a@b.example>", "250 *")
		c.Command("RCPT TO:<c@d.example>", "250 *")
		c.Command("DATA", "354 *")
		c.Send("one\r\n")
		c.Expect("421 *")
		c.Ends(session.ClosedIdle)
		var got []string
		for _, e := range r.All() {
			got = append(got, fmt.Sprintf("%s %s %d", e.Verb, e.Arg, e.Code))
		}
		want := []string{"HELO client.example 250", "RCPT  500", "xxxx  500", "MAIL FROM:<a@b.example> 250",
			"RCPT TO:<c@d.example> 250", "DATA  354", "TIMEOUT client.example 421"}
		if !slices.Equal(got, want) {
			t.Fatalf("recorded %q", got)
		}
		const start = "354 Start mail input; end with <CRLF>.<CRLF>\r\n"
		if e := r.All()[5]; e.Out != int64(len(start)) || e.In != 5 || e.Reason != "" {
			t.Errorf("DATA: %+v", e)
		}
	})
}
