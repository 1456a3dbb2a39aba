package session_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/session"
	"github.com/mailroot/mailroot/internal/session/sessiontest"
)

// TestEarlyTalkerF4: who talks before the banner gets none.
func TestEarlyTalkerF4(t *testing.T) {
	client, server := tcp(t)
	if _, err := io.WriteString(client, "EHLO client.example\r\n"); err != nil {
		t.Fatal(err)
	}
	time.Sleep(20 * time.Millisecond) // for the octets to cross the loopback interface
	rec := &sessiontest.Recorder{}
	r := session.Serve(context.Background(), server, &session.Options{FQDN: sessiontest.FQDN, Record: rec.Record})
	if rows := rec.All(); len(rows) != 1 || rows[0].Verb != "CONNECT" || rows[0].Code != 554 || rows[0].Reason == "" {
		t.Errorf("recorded %+v", rows)
	}
	got, err := io.ReadAll(client)
	if err != nil || !strings.HasPrefix(string(got), "554 5.5.0 ") || strings.Count(string(got), "\n") != 1 {
		t.Errorf("%q, %v", got, err)
	}
	if r != session.ClosedEarlyTalker {
		t.Errorf("the session ended by %q", r)
	}
}

// TestInputBehindTheBufferF9F5: what is sent behind DATA or STARTTLS is found although the read that
// brought the command ended exactly there, or somewhere near, at the end of the buffer; with TLS too.
func TestInputBehindTheBufferF9F5(t *testing.T) {
	for _, verb := range []string{"DATA", "STARTTLS"} {
		for size := 1020; size <= 1028; size++ {
			inputBehind(t, verb, size, false)
		}
	}
	for _, size := range []int{1020, 1024, 1028, 16384} {
		inputBehind(t, "DATA", size, true)
	}
}

// inputBehind sends a flight of size octets that ends in verb, and text right behind.
func inputBehind(t *testing.T, verb string, size int, secure bool) {
	t.Helper()
	client, server := tcp(t)
	m := &sessiontest.Memory{}
	o := &session.Options{FQDN: sessiontest.FQDN, Begin: m.Begin, TLS: sessiontest.TLSConfig(t), Implicit: secure, MaxJunk: -1, MaxErrors: -1}
	c := sessiontest.Serve(t, o, client, server)
	if secure {
		if err := c.StartTLS(nil); err != nil {
			t.Fatal(err)
		}
	}
	c.Expect("220 *")
	c.Command("HELO client.example", "250 *")
	flight := ""
	if verb == "DATA" {
		flight = "MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\n"
	}
	commands := strings.Count(flight, "\n")
	for rest := size - len(flight) - len(verb) - 2; rest > 0; commands++ {
		line := min(rest, 1000)
		if left := rest - line; left > 0 && left < 10 {
			line -= 10
		}
		flight += "NOOP " + strings.Repeat("x", line-len("NOOP \r\n")) + "\r\n"
		rest -= line
	}
	flight += verb + "\r\n"
	if len(flight) != size {
		t.Fatalf("the flight has %d octets, want %d", len(flight), size)
	}
	c.Send(flight + "MAIL FROM:<evil@b.example>\r\n.\r\n")
	for range commands {
		c.Expect("250 *")
	}
	if got := c.Reply(); !strings.HasPrefix(got, "554 5.5.0 ") {
		t.Errorf("%s at the end of %d octets, TLS %v: the server said %q", verb, size, secure, got)
	}
	c.Hangup()
	if r := c.Reason(); r != session.ClosedOutOfSync {
		t.Errorf("the session ended by %q", r)
	}
}

// TestSecondSegmentF9: text that comes in a segment of its own is found if it is there when DATA is read,
// however the command before it was read.
func TestSecondSegmentF9(t *testing.T) {
	client, server := tcp(t)
	arrived := make(chan struct{})
	m := &sessiontest.Memory{}
	begin := func(ctx context.Context, p *mail.Peer, s mail.Sender) (session.Transaction, error) {
		// The first segment has been read; the second comes while its commands are handled.
		if _, err := io.WriteString(client, "Subject: too early\r\n"); err != nil {
			t.Error(err)
		}
		time.Sleep(20 * time.Millisecond) // for the octets to cross the loopback interface
		close(arrived)
		return m.Begin(ctx, p, s)
	}
	c := sessiontest.Serve(t, &session.Options{FQDN: sessiontest.FQDN, Begin: begin}, client, server)
	c.Expect("220 *")
	c.Send("HELO client.example\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n")
	for range 3 {
		c.Expect("250 *")
	}
	c.Expect("554 5.5.0 *")
	<-arrived
}

// TestEarlyTalkerTLSF4: the same within TLS: the client's Finished and its first command come in one
// segment. One that waits gets its banner.
func TestEarlyTalkerTLSF4(t *testing.T) {
	for _, early := range []bool{true, false} {
		client, server := tcp(t)
		o := &session.Options{FQDN: sessiontest.FQDN, TLS: sessiontest.TLSConfig(t), Implicit: true}
		ended := make(chan session.CloseReason, 1)
		go func() { ended <- session.Serve(context.Background(), server, o) }()
		// The second flight of the handshake is held back until there may be a command behind it.
		hold := &holding{Conn: client, from: 2}
		c := tls.Client(hold, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13})
		if err := c.Handshake(); err != nil {
			t.Fatal(err)
		}
		want, reason := "220 ", session.ClosedByClient
		if early {
			want, reason = "554 5.5.0 ", session.ClosedEarlyTalker
			if _, err := io.WriteString(c, "EHLO client.example\r\n"); err != nil {
				t.Fatal(err)
			}
		}
		hold.release()
		line, err := bufio.NewReader(c).ReadString('\n')
		if err != nil || !strings.HasPrefix(line, want) {
			t.Errorf("early %v: the server said %q, %v", early, line, err)
		}
		c.Close()
		if r := <-ended; r != reason {
			t.Errorf("early %v: the session ended by %q", early, r)
		}
	}
}

// holding is a connection that keeps its writes back from the given one on.
type holding struct {
	net.Conn
	from, n int // 0: nothing is kept
	kept    []byte
}

func (h *holding) Write(p []byte) (int, error) {
	if h.n++; h.from > 0 && h.n >= h.from {
		h.kept = append(h.kept, p...)
		return len(p), nil
	}
	return h.Conn.Write(p)
}

// release sends what was kept in one piece.
func (h *holding) release() {
	h.from = 0
	// An error shows in the read that follows.
	_, _ = h.Conn.Write(h.kept)
}

// TestSessionSizeOverTCPF26: a client that reads no reply before it has sent all of a large message is
// told why: its octets are taken, so that no reset destroys the reply.
func TestSessionSizeOverTCPF26(t *testing.T) {
	const size = 30 << 20
	for _, start := range []string{"DATA\r\n", fmt.Sprintf("BDAT %d LAST\r\n", size)} {
		client, server := tcp(t)
		m := &sessiontest.Memory{}
		o := &session.Options{FQDN: sessiontest.FQDN, Begin: m.Begin, MaxSessionSize: 1 << 20}
		ended := make(chan session.CloseReason, 1)
		go func() { ended <- session.Serve(context.Background(), server, o) }()
		replies := bufio.NewReader(client)
		read := func() string {
			line, err := replies.ReadString('\n')
			if err != nil {
				t.Fatalf("%q: %v", start, err)
			}
			return line
		}
		say := func(text string) {
			if _, err := io.WriteString(client, text); err != nil {
				t.Fatalf("%q: %v", start, err)
			}
		}
		read() // the banner
		say("HELO client.example\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\n" + start)
		for range 3 {
			read()
		}
		if start == "DATA\r\n" {
			read()
		}
		say(strings.Repeat(strings.Repeat("x", 62)+"\r\n", size/64))
		if got := read(); !strings.HasPrefix(got, "552 5.3.4 ") {
			t.Errorf("%q: the server said %q", start, got)
		}
		client.Close()
		if r := <-ended; r != session.ClosedBySize || len(m.Messages()) != 0 || m.Open() != 0 {
			t.Errorf("the session ended by %q, %d messages, %d open", r, len(m.Messages()), m.Open())
		}
	}
}

// TestLingerIsBounded: after the 552 of the session size a client is not listened to for ever: not if
// it is silent, not if it drips, not if it never ends, and not beyond a shut down.
func TestLingerIsBounded(t *testing.T) {
	for name, tc := range map[string]struct {
		piece string
		every time.Duration
		stop  bool
		most  time.Duration
	}{
		"silent":    {"", time.Second, false, 2 * time.Second},
		"dripping":  {"x", 100 * time.Millisecond, false, 2 * time.Second},
		"steady":    {strings.Repeat("x", 1000), 100 * time.Millisecond, false, 30 * time.Second},
		"fast":      {strings.Repeat("x", 1<<20), time.Millisecond, false, 70 * time.Millisecond},
		"shut down": {strings.Repeat("x", 1000), 100 * time.Millisecond, true, 3 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, server := sessiontest.Pipe()
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				m := &sessiontest.Memory{}
				o := &session.Options{FQDN: sessiontest.FQDN, Begin: m.Begin, MaxSessionSize: 10}
				ended := make(chan time.Time, 1)
				go func() {
					session.Serve(ctx, halfCloser{server}, o)
					ended <- time.Now()
				}()
				go io.Copy(io.Discard, client)
				io.WriteString(client, "HELO client.example\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nBDAT 50\r\n")
				begin := time.Now()
				if tc.stop {
					time.AfterFunc(3*time.Second, cancel)
				}
				for {
					if _, err := io.WriteString(client, tc.piece); err != nil {
						break
					}
					select {
					case at := <-ended:
						if took := at.Sub(begin); took > tc.most || took < tc.most*4/5 {
							t.Errorf("ended after %v, want %v", took, tc.most)
						}
						client.Close()
						return
					case <-time.After(tc.every):
					}
				}
				if took := (<-ended).Sub(begin); took > tc.most || took < tc.most*4/5 {
					t.Errorf("ended after %v, want %v", took, tc.most)
				}
				client.Close()
			})
		})
	}
}

// halfCloser is a connection whose writing half can be closed, as that of TCP.
type halfCloser struct{ net.Conn }

func (halfCloser) CloseWrite() error { return nil }
