package session_test

import (
	"crypto/tls"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mailroot/mailroot/internal/session"
	"github.com/mailroot/mailroot/internal/session/sessiontest"
)

// secured dials a session and starts TLS.
func secured(t *testing.T, o *session.Options) *sessiontest.Client {
	t.Helper()
	o.TLS = sessiontest.TLSConfig(t)
	c := sessiontest.Dial(t, o)
	c.Expect("220 *")
	c.Command("HELO client.example", "250 *")
	c.Command("STARTTLS", "220 2.0.0 *")
	if err := c.StartTLS(nil); err != nil {
		t.Fatal(err)
	}
	return c
}

func secureData(c *sessiontest.Client, last string) {
	c.Command("HELO client.example", "250 *")
	c.Command("MAIL FROM:<a@b.example>", "250 *")
	c.Command("RCPT TO:<c@d.example>", "250 *")
	c.Send(last)
}

// TestTLSEndsF8: when TLS ends within a message, by close_notify or by plain text, the message
// is forgotten and nothing more is said.
func TestTLSEndsF8(t *testing.T) {
	for _, start := range []string{"DATA\r\n", "BDAT 1000\r\n"} {
		for _, plain := range []bool{false, true} {
			name := strings.TrimSpace(start) + map[bool]string{false: ", close_notify", true: ", plain text"}[plain]
			t.Run(name, func(t *testing.T) {
				bubble(t, func(t *testing.T, o *session.Options, m *sessiontest.Memory) {
					c := secured(t, o)
					secureData(c, start)
					if start == "DATA\r\n" {
						c.Expect("354 *")
					}
					c.Send("half a line")
					c.Sent()
					synctest.Wait()
					want := session.ClosedByClient
					if plain {
						want = session.ClosedByNetwork
						go c.Raw().Write([]byte("X-Injected: yes\r\n.\r\nMAIL FROM:<evil@b.example>\r\n"))
					} else {
						go c.TLS().CloseWrite()
					}
					if got := c.Reply(); got != "closed" {
						t.Errorf("the server said %q", got)
					}
					if r := c.Reason(); r != want {
						t.Errorf("the session ended by %q, want %q", r, want)
					}
					if len(m.Messages()) != 0 || m.Open() != 0 {
						t.Errorf("%d messages, %d open", len(m.Messages()), m.Open())
					}
				})
			})
		}
	}
}

// TestHandshakeF25: a handshake that never ends, of garbage, of an old version.
func TestHandshakeF25(t *testing.T) {
	start := func(t *testing.T, o *session.Options) *sessiontest.Client {
		o.TLS = sessiontest.TLSConfig(t)
		c := sessiontest.Dial(t, o)
		if !o.Implicit {
			c.Expect("220 *")
			c.Command("HELO client.example", "250 *")
			c.Command("STARTTLS", "220 2.0.0 *")
		}
		return c
	}
	for _, implicit := range []bool{false, true} {
		t.Run(map[bool]string{false: "starttls", true: "implicit"}[implicit], func(t *testing.T) {
			bubble(t, func(t *testing.T, o *session.Options, _ *sessiontest.Memory) {
				rec := &sessiontest.Recorder{}
				o.Implicit, o.Record = implicit, rec.Record
				c := start(t, o)
				begin := time.Now()
				c.Ends(session.ClosedByTLS)
				if took := time.Since(begin); took != 30*time.Second {
					t.Errorf("gave up after %v, want 30s", took)
				}

				c = start(t, o)
				c.Send("this is no handshake at all\r\n")
				go io.Copy(io.Discard, c.Raw()) // an alert, perhaps
				if r := c.Reason(); r != session.ClosedByTLS {
					t.Errorf("the session ended by %q", r)
				}

				c = start(t, o)
				err := c.StartTLS(&tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11})
				if err == nil {
					t.Error("TLS 1.1 was taken")
				}
				if r := c.Reason(); r != session.ClosedByTLS {
					t.Errorf("the session ended by %q", r)
				}

				failed := 0
				for _, x := range rec.All() {
					if x.Verb == "TLS" && x.Code == 0 && x.Reason != "" {
						failed++
					}
				}
				if failed != 3 {
					t.Errorf("%d handshakes are recorded as failed, want 3", failed)
				}
			})
		})
	}
}

// TestTLSPeer: what is known of the channel reaches the transaction.
func TestTLSPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &sessiontest.Memory{}
		c := secured(t, &session.Options{Begin: m.Begin})
		secureData(c, "DATA\r\n")
		c.Expect("354 *")
		c.Send(".\r\n")
		c.Expect("250 2.6.0 *")
		p := m.Messages()[0].Peer
		if p.TLS == nil || p.TLS.Version != "TLS1.3" || !strings.HasPrefix(p.TLS.Cipher, "TLS_") {
			t.Errorf("peer: %+v", p)
		}
		if p.Remote != sessiontest.ClientAddr || p.Local != sessiontest.ServerAddr || p.Helo != "client.example" || p.ESMTP {
			t.Errorf("peer: %+v", p)
		}
	})
}

// TestNoTickets: a client that keeps tickets gets none.
func TestNoTickets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &session.Options{TLS: sessiontest.TLSConfig(t)}
		cache := tls.NewLRUClientSessionCache(1)
		for range 2 {
			c := sessiontest.Dial(t, o)
			c.Expect("220 *")
			c.Command("HELO client.example", "250 *")
			c.Command("STARTTLS", "220 2.0.0 *")
			err := c.StartTLS(&tls.Config{InsecureSkipVerify: true, ServerName: sessiontest.FQDN, ClientSessionCache: cache})
			if err != nil {
				t.Fatal(err)
			}
			c.Command("NOOP", "250 *") // a ticket would have come before the reply
			if c.TLS().ConnectionState().DidResume {
				t.Error("the session was resumed")
			}
			c.Command("QUIT", "221 *")
		}
		if _, ok := cache.Get(sessiontest.FQDN); ok {
			t.Error("a ticket was given")
		}
	})
}
