package session_test

import (
	"net"
	"testing"
	"testing/synctest"

	"github.com/mailroot/mailroot/internal/session"
	"github.com/mailroot/mailroot/internal/session/sessiontest"
	"github.com/mailroot/mailroot/internal/smtp"
)

// setting is one combination of voice and profile.
type setting struct {
	name    string
	voice   session.Voice
	profile smtp.Profile
}

var settings = []setting{
	{"classic internal", session.Classic, smtp.Internal},
	{"classic internet", session.Classic, smtp.Internet},
	{"classic submission", session.Classic, smtp.Submission},
	{"plain internal", session.Plain, smtp.Internal},
	{"plain internet", session.Plain, smtp.Internet},
	{"plain submission", session.Plain, smtp.Submission},
}

// bubble runs f as a subtest for each setting, with fake time.
func bubble(t *testing.T, f func(t *testing.T, o *session.Options, m *sessiontest.Memory)) {
	for _, s := range settings {
		t.Run(s.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := &sessiontest.Memory{}
				f(t, &session.Options{
					FQDN: sessiontest.FQDN, Voice: s.voice, Profile: s.profile, Begin: m.Begin,
				}, m)
			})
		})
	}
}

// upToData takes a client to the point where the server waits for the message.
func upToData(c *sessiontest.Client) {
	c.Expect("220 *")
	c.Send("HELO client.example\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n")
	c.Expect("250 *")
	c.Expect("250 2.1.0 *")
	c.Expect("250 2.1.5 *")
	c.Expect("354 *")
}

// upToBdat does the same for BDAT.
func upToBdat(c *sessiontest.Client, params string) {
	c.Expect("220 *")
	c.Send("EHLO client.example\r\nMAIL FROM:<a@b.example>" + params + "\r\nRCPT TO:<c@d.example>\r\n")
	c.Expect("250-*")
	c.Expect("250 2.1.0 *")
	c.Expect("250 2.1.5 *")
}

// tcp returns the two ends of a TCP connection on the loopback interface.
func tcp(t *testing.T) (client, server *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	s, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); s.Close() })
	return c.(*net.TCPConn), s.(*net.TCPConn)
}
