package session_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/session"
	"github.com/mailroot/mailroot/internal/session/sessiontest"
	"github.com/mailroot/mailroot/internal/smtp"
)

// smuggled are the line ends around a dot that some server somewhere takes for an end of data.
var smuggled = []string{
	"\n.\n", "\n.\r\n", "\r\n.\n", "\r.\r", "\r.\r\n", "\r\n.\r", "\n.\r", "\r\r\n.\r\r\n", "\r\n.\r\r\n",
}

// TestSmugglingF1: none of them ends the data: what follows stays part of the message, which
// is refused at its true end, and the connection is closed.
func TestSmugglingF1(t *testing.T) {
	bubble(t, func(t *testing.T, o *session.Options, m *sessiontest.Memory) {
		for _, end := range smuggled {
			c := sessiontest.Dial(t, o)
			upToData(c)
			c.Send("first" + end + "MAIL FROM:<evil@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\nsecond\r\n.\r\n")
			if got := c.Reply(); !strings.HasPrefix(got, "550 5.5.2 ") {
				t.Fatalf("%q: the server said %q", end, got)
			}
			c.Ends(session.ClosedOutOfSync)
		}
		if n := len(m.Messages()); n != 0 || m.Open() != 0 {
			t.Errorf("%d messages were accepted, %d are open", n, m.Open())
		}
		// With NUL there is no line of a lone dot: the message is refused, the session lives.
		c := sessiontest.Dial(t, o)
		upToData(c)
		c.Send("first\r\n\x00.\r\nNOOP\r\n.\r\n")
		c.Expect("550 5.6.0 *")
		c.Command("NOOP", "250 *")
	})
}

// TestReplyTextF3: no reply carries a line end that we did not write, whoever gave the text.
func TestReplyTextF3(t *testing.T) {
	bubble(t, func(t *testing.T, o *session.Options, m *sessiontest.Memory) {
		m.FailRcpt = func(mail.Address) error {
			return mail.Fail(550, mail.Enhanced(5, 1, 1), "no\r\n250 such user", nil)
		}
		c := sessiontest.Dial(t, o)
		c.Expect("220 *")
		c.Command("HELO client.example", "250 *")
		c.Command("MAIL FROM:<a@b.example>", "250 *")
		c.Command("RCPT TO:<c@d.example>", "550-5.1.1 no?\n550 5.1.1 250 such user")
		c.Command("VRFY a\u0085\u00e9", "252 * <a????>*")
	})
}

// TestRefusalsAreRecorded: each client that is turned away or cut off has a row with the reason.
func TestRefusalsAreRecorded(t *testing.T) {
	for _, tc := range []struct{ text, verb, reason string }{
		{"\x16\x03\x01", "xxxx", "not SMTP"},
		{"GET / HTTP/1.1\r\n", "xxxx", "not SMTP"},
		{"NOOP\n", "NOOP", "out of synchronisation"},
		{"BDAT x\r\n", "BDAT", "out of synchronisation"},
		{"BDAT 9\r\nx", "TIMEOUT", "too slow"},
	} {
		synctest.Test(t, func(t *testing.T) {
			r := &sessiontest.Recorder{}
			c := sessiontest.Dial(t, &session.Options{Record: r.Record, IdleTimeout: time.Hour})
			c.Expect("220 *")
			c.Command("HELO client.example", "250 *")
			c.Send(tc.text)
			c.Reply()
			c.Reason()
			rows := r.All()
			if last := rows[len(rows)-1]; last.Verb != tc.verb || last.Reason != tc.reason {
				t.Errorf("%q: recorded %s, %q", tc.text, last.Verb, last.Reason)
			}
		})
	}
}

// TestRefusedAmongAcceptedE15: refused recipients do not take down the accepted ones of the transaction,
// but beyond ten each is answered with a delay; one too many that does not exist ends the connection.
func TestRefusedAmongAcceptedE15(t *testing.T) {
	for _, tc := range []struct {
		name, rcpt, reply string
		ends              bool
	}{
		{"relay", "<x@other.example>", "550 5.7.1 *", false},
		{"grammar", "<x@@other.example>", "501 5.*", false},
		{"arguments", "<x@example.com> NOTIFY=MAYBE", "501 5.5.4 *", false},
		{"unknown", "<nobody@example.com>", "550 5.1.1 *", true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, o *session.Options, m *sessiontest.Memory) {
				o.Policy = &sessiontest.Rules{Local: []string{"example.com"}}
				m.FailRcpt = func(a mail.Address) error {
					if a.Local == "nobody" {
						return mail.Fail(550, mail.Enhanced(5, 1, 1), "No such user", nil)
					}
					return nil
				}
				c := sessiontest.Dial(t, o)
				c.Expect("220 *")
				c.Command("HELO client.example", "250 *")
				c.Command("MAIL FROM:<a@b.example>", "250 *")
				for range 5 {
					c.Command("RCPT TO:<u@example.com>", "250 *")
				}
				begin := time.Now()
				for i := range 12 {
					if tc.ends && i == 10 {
						c.Command("RCPT TO:"+tc.rcpt, "421 4.7.0 *")
						c.Ends(session.ClosedByErrors)
						return
					}
					c.Command("RCPT TO:"+tc.rcpt, tc.reply)
				}
				if took := time.Since(begin); took < 10*time.Second {
					t.Errorf("all were answered within %v", took)
				}
				c.Command("DATA", "354 *")
				c.Send(".\r\n")
				c.Expect("250 2.6.0 *")
				if n := len(m.Messages()[0].Rcpts); n != 5 {
					t.Errorf("the message has %d recipients, want 5", n)
				}
			})
		})
	}
}

// TestTinyChunksF13: a flood of small chunks ends the connection, one of larger ones does not.
func TestTinyChunksF13(t *testing.T) {
	for _, tc := range []struct {
		size  int
		abuse bool
	}{{1, true}, {63, true}, {64, false}} {
		bubble(t, func(t *testing.T, o *session.Options, m *sessiontest.Memory) {
			c := sessiontest.Dial(t, o)
			upToBdat(c, "")
			chunk := "BDAT 1\r\nx"
			if tc.size > 1 {
				chunk = "BDAT " + map[int]string{63: "63", 64: "64"}[tc.size] + "\r\n" + strings.Repeat("x", tc.size-2) + "\r\n"
			}
			c.Send(strings.Repeat(chunk, 1001))
			for range 1000 {
				c.Expect("250 2.0.0 *")
			}
			if tc.abuse {
				c.Expect("421 4.7.0 *")
				c.Ends(session.ClosedByErrors)
				return
			}
			c.Expect("250 2.0.0 *")
			c.Command("BDAT 0 LAST", "250 2.6.0 *")
		})
	}
}

// TestLongLineF15: a line over the limit is read to its end and refused, three times; one that
// is as long as it may be is taken. BDAT is closed at once (F10).
func TestLongLineF15(t *testing.T) {
	bubble(t, func(t *testing.T, o *session.Options, _ *sessiontest.Memory) {
		longest := "NOOP " + strings.Repeat("x", smtp.MaxCommandLine-len("NOOP \r\n"))
		c := sessiontest.Dial(t, o)
		c.Expect("220 *")
		c.Command(longest, "250 *")
		c.Command(longest+"x", "500 5.5.2 *")
		c.Command("NOOP "+strings.Repeat("x", 60000), "500 5.5.2 *")
		c.Command("NOOP", "250 *")
		c.Command(longest+"x", "421 4.7.0 *")
		c.Ends(session.ClosedByErrors)

		c = sessiontest.Dial(t, o)
		c.Expect("220 *")
		c.Send("BDAT 10" + strings.Repeat(" ", 5000) + "\r\nQUIT\r\nQUIT")
		c.Expect("501 5.5.4 *")
		c.Ends(session.ClosedOutOfSync)
	})
}

// TestLongLineF2: a bare CR or LF in a line that is too long is found wherever it stands, for the sides
// no longer agree on where commands end.
func TestLongLineF2(t *testing.T) {
	long := func(n int) string { return "NOOP " + strings.Repeat("x", n) }
	bubble(t, func(t *testing.T, o *session.Options, _ *sessiontest.Memory) {
		for _, n := range []int{2043, 2044, 3000, 4090, 4091, 4092, 4096, 10000, 60000} {
			for _, text := range []string{
				long(n) + "\n", "NO\rOP" + long(n) + "\r\n", long(n) + "\rRSET\r\n", long(n) + "\r\r\n", "\r" + long(n) + "\r\n",
			} {
				c := sessiontest.Dial(t, o)
				c.Expect("220 *")
				c.Send(text)
				if got := c.Reply(); !strings.HasPrefix(got, "500 5.5.2 Bare CR or LF") {
					t.Fatalf("%d octets, beginning with %q, ending in %q: the server said %q", n, text[:8], text[len(text)-8:], got)
				}
				c.Ends(session.ClosedOutOfSync)
			}
			c := sessiontest.Dial(t, o)
			c.Expect("220 *")
			c.Command(long(n+10), "500 5.5.2 Command line too long")
			c.Command("NOOP", "250 *")
		}
	})
}

// TestOtherProtocolF20: HTTP is known by its verbs, and by the end of its request line, however long that is.
func TestOtherProtocolF20(t *testing.T) {
	bubble(t, func(t *testing.T, o *session.Options, _ *sessiontest.Memory) {
		for _, line := range []string{
			"PROPFIND / HTTP/1.1", "x http/1.0", "GET /" + strings.Repeat("x", 3000), "GET /" + strings.Repeat("x", 50000) + " HTTP/1.1",
			"PROPFIND /" + strings.Repeat("x", 2100) + " HTTP/1.1", "MKCOL /" + strings.Repeat("x", 50000) + " HTTP/1.1",
		} {
			c := sessiontest.Dial(t, o)
			c.Expect("220 *")
			c.Command(line, "521 5.5.1 *")
			c.Ends(session.ClosedWrongProtocol)
		}
		c := sessiontest.Dial(t, o)
		c.Expect("220 *")
		c.Command("NOOP x HTTP/1.1", "250 *")
		c.Command(" HTTP/1.1", "500 5.*")
	})
}

// TestEndlessLineF16: reading stops at a cap.
func TestEndlessLineF16(t *testing.T) {
	bubble(t, func(t *testing.T, o *session.Options, _ *sessiontest.Memory) {
		c := sessiontest.Dial(t, o)
		c.Expect("220 *")
		c.Send(strings.Repeat("x", 200<<10))
		c.Expect("421 4.7.0 *")
		c.Ends(session.ClosedByErrors)
	})
}

// TestNoopF21: who says NOOP each four seconds (RFC 5321 §4.1.1.9) keeps the connection for an hour; the twentieth in a row
// at three ends it, and so it does at once.
func TestNoopF21(t *testing.T) {
	bubble(t, func(t *testing.T, o *session.Options, _ *sessiontest.Memory) {
		c := sessiontest.Dial(t, o)
		c.Expect("220 *")
		for range time.Hour / (4 * time.Second) {
			c.Command("NOOP", "250 *")
			time.Sleep(4 * time.Second)
		}
		c.Command("QUIT", "221 *")
		c.Ends(session.ClosedByQuit)
		for _, pause := range []time.Duration{0, 3 * time.Second} {
			c := sessiontest.Dial(t, o)
			c.Expect("220 *")
			for range 19 {
				c.Command("NOOP", "250 *")
				time.Sleep(pause)
			}
			c.Command("NOOP", "421 4.7.0 *")
			c.Ends(session.ClosedByErrors)
		}
	})
}

// TestLongTextF17: long lines pass unchanged up to 1 MB.
func TestLongTextF17(t *testing.T) {
	bubble(t, func(t *testing.T, o *session.Options, m *sessiontest.Memory) {
		c := sessiontest.Dial(t, o)
		upToData(c)
		text := strings.Repeat("y", 5000) + "\r\n" + strings.Repeat("z", smtp.MaxTextLine) + "\r\n"
		c.Send(text + ".\r\n")
		c.Expect("250 2.6.0 *")
		if got := m.Messages()[0].Text; got != text {
			t.Errorf("the text was changed: %d octets, want %d", len(got), len(text))
		}
		c.Send("MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n")
		c.Expect("250 *")
		c.Expect("250 *")
		c.Expect("354 *")
		c.Send(strings.Repeat("z", smtp.MaxTextLine+1) + "\r\n.\r\n")
		c.Expect("554 5.6.0 *")
		c.Command("NOOP", "250 *")
	})
}

// TestRefuseF24: over the limits a client is told so instead of the banner.
func TestRefuseF24(t *testing.T) {
	client, server := tcp(t)
	session.Refuse(server, mail.NewReply(421, mail.Enhanced(4, 3, 2), "Too many connections"))
	got, err := io.ReadAll(client)
	if err != nil || string(got) != "421 4.3.2 Too many connections\r\n" {
		t.Errorf("%q, %v", got, err)
	}
}

var (
	errNoSpace = mail.Fail(452, mail.Enhanced(4, 3, 1), "Insufficient system storage", errors.New("disk is full"))
	errDisk    = errors.New("fsync: input/output error")
)

// TestFailingTransactionF27F28: a transaction that can't begin, be written or be committed is
// refused, the session lives, and the cause stands in the record alone.
func TestFailingTransactionF27F28(t *testing.T) {
	send := func(c *sessiontest.Client, want string) {
		t.Helper()
		c.Send("MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n")
		c.Expect("250 *")
		c.Expect("250 *")
		c.Expect("354 *")
		c.Send(sessiontest.Text(100000) + ".\r\n")
		if got := c.Reply(); !sessiontest.Match(want, got) {
			t.Errorf("the server said %q, want %q", got, want)
		}
	}
	bubble(t, func(t *testing.T, o *session.Options, m *sessiontest.Memory) {
		r := &sessiontest.Recorder{}
		o.Record = r.Record
		c := sessiontest.Dial(t, o)
		c.Expect("220 *")
		c.Command("HELO client.example", "250 *")
		m.FailBegin = errNoSpace
		c.Command("MAIL FROM:<a@b.example>", "452 4.3.1 Insufficient system storage")
		m.FailBegin = nil
		m.FailWrite = func(n int64) error {
			if n > 10000 {
				return errNoSpace
			}
			return nil
		}
		send(c, "452 4.3.1 Insufficient system storage")
		m.FailWrite = nil
		m.FailCommit = errDisk
		send(c, "451 4.3.0 *")
		m.FailCommit = mail.Fail(421, mail.Enhanced(4, 3, 0), "Closing", mail.ErrUnknownOutcome)
		send(c, "421 4.3.0 Closing")
		c.Ends(session.ClosedByPolicy)
		if m.Open() != 0 || m.Aborted() != 1 || len(m.Messages()) != 0 {
			t.Errorf("%d open, %d aborted, %d accepted", m.Open(), m.Aborted(), len(m.Messages()))
		}
		reasons := map[string]int{}
		for _, e := range r.All() {
			reasons[e.Reason]++
		}
		if reasons["disk is full"] != 2 || reasons[errDisk.Error()] != 1 || reasons[mail.ErrUnknownOutcome.Error()] != 1 {
			t.Errorf("recorded reasons: %v", reasons)
		}
	})
}

// TestFailingChunkF28: the same within BDAT: the rest of the chunk and later ones are consumed.
func TestFailingChunkF28(t *testing.T) {
	bubble(t, func(t *testing.T, o *session.Options, m *sessiontest.Memory) {
		m.FailWrite = func(int64) error { return errNoSpace }
		c := sessiontest.Dial(t, o)
		upToBdat(c, "")
		c.Send("BDAT 12\r\nQUIT\r\nQUIT\r\nBDAT 6 LAST\r\nQUIT\r\nNOOP\r\n")
		c.Expect("452 4.3.1 *")
		c.Expect("503 5.5.*")
		c.Expect("250 2.0.0 OK")
		if m.Open() != 0 || m.Aborted() != 1 {
			t.Errorf("%d open, %d aborted", m.Open(), m.Aborted())
		}
	})
}

// panicking is a transaction of a broken kind.
type panicking struct{ session.Transaction }

func (panicking) Sender() mail.Address                                       { return mail.Address{} }
func (panicking) Rcpt(context.Context, mail.Recipient) (mail.Address, error) { panic("rcpt") }
func (panicking) Abort()                                                     { panic("abort") }

// TestPanicF29: a fault of ours ends the session with 421 4.3.0 and nothing else.
func TestPanicF29(t *testing.T) {
	bubble(t, func(t *testing.T, o *session.Options, _ *sessiontest.Memory) {
		var values []any
		o.Begin = func(context.Context, *mail.Peer, mail.Sender) (session.Transaction, error) { return panicking{}, nil }
		o.Panicked = func(v any, stack []byte) {
			values = append(values, v)
			if !bytes.Contains(stack, []byte("badinput_test")) {
				t.Errorf("the stack does not show where it was: %s", stack)
			}
		}
		c := sessiontest.Dial(t, o)
		c.Expect("220 *")
		c.Command("HELO client.example", "250 *")
		c.Command("MAIL FROM:<a@b.example>", "250 *")
		c.Command("RCPT TO:<c@d.example>", "421 4.3.0 *")
		c.Ends(session.ClosedByPanic)
		if len(values) != 2 || values[0] != "rcpt" || values[1] != "abort" {
			t.Errorf("told of %v", values)
		}
	})
}

// TestHalfCloseF30: a client that closes its half gets the replies that it is owed.
func TestHalfCloseF30(t *testing.T) {
	client, server := tcp(t)
	m := &sessiontest.Memory{}
	o := &session.Options{FQDN: sessiontest.FQDN, Begin: m.Begin}
	done := make(chan session.CloseReason, 1)
	go func() { done <- session.Serve(context.Background(), server, o) }()
	banner := make([]byte, 4)
	if _, err := io.ReadFull(client, banner); err != nil || string(banner) != "220 " {
		t.Fatalf("%q, %v", banner, err)
	}
	if _, err := io.WriteString(client, "NOOP\r\nQUIT\r\nQUIT\r\nNOOP\r\nincomplete"); err != nil {
		t.Fatal(err)
	}
	if err := client.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(client)
	_, rest, _ := strings.Cut(string(got), "\r\n")
	if want := "250 2.0.0 OK\r\n221 2.0.0 " + sessiontest.FQDN + " Service closing transmission channel\r\n"; err != nil || rest != want {
		t.Errorf("%q, %v; want %q", rest, err, want)
	}
	if r := <-done; r != session.ClosedByQuit {
		t.Errorf("the session ended by %q", r)
	}
}

// TestHalfCloseWithoutQuitF30: an incomplete command is no command.
func TestHalfCloseWithoutQuitF30(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := sessiontest.Dial(t, &session.Options{})
		c.Expect("220 localhost *")
		c.Send("NOOP")
		c.Sent()
		c.Hangup()
		if r := c.Reason(); r != session.ClosedByClient {
			t.Errorf("the session ended by %q", r)
		}
	})
}
