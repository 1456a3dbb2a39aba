package smtpclient

import (
	"crypto/tls"
	"errors"
	"strings"
	"testing"

	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/smtp"
	"github.com/mailroot/mailroot/internal/smtpclient/smtptest"
)

func TestGreet(t *testing.T) {
	for _, c := range []struct {
		script string
		code   int // of the error, 0 for success
		bad    bool
	}{
		{"S: 220 mx", 0, false},
		{"S: 220-mx\nS: 220 two lines", 0, false},
		{"S: 554 5.3.2 no service\nC: QUIT\nS: 221 bye", 554, false},
		{"S: 450 later\nC: QUIT\nS: 221 bye", 450, false},
		{"S: 421 busy", 421, true},
		{"S: 250 what", 451, true},
		{"S: SSH-2.0-x", 451, true},
		{"CLOSE", 451, true},
	} {
		t.Run(c.script, func(t *testing.T) {
			conn, _ := dialogue(t, nil, c.script)
			err := conn.Greet()
			if c.code == 0 {
				if err != nil || !conn.Reusable() {
					t.Errorf("error %v", err)
				}
				return
			}
			var e *Error
			if !errors.As(err, &e) {
				t.Fatalf("error %v", err)
			}
			if reply, _ := e.Answer("mx.example.org"); reply.Code != c.code {
				t.Errorf("got %v, want %d", reply, c.code)
			}
			if conn.Reusable() == c.bad {
				t.Errorf("reusable %v", conn.Reusable())
			}
			conn.Quit()
		})
	}
}

func TestHello(t *testing.T) {
	for _, c := range []struct {
		name, script string
		helo         bool
		offers       smtp.Offers
		code         int
	}{
		{"EHLO", "S: 220 x\nC: EHLO relay.example.com\nS: 250-mx\nS: 250 dsn", false, smtp.Offers{Name: "mx", DSN: true}, 0},
		{"HELO after 5xx", "S: 220 x\nC: EHLO relay.example.com\nS: 502 what?\nC: HELO relay.example.com\nS: 250 mx", false, smtp.Offers{}, 0},
		{"HELO asked for", "S: 220 x\nC: HELO relay.example.com\nS: 250-mx\nS: 250 PIPELINING", true, smtp.Offers{}, 0},
		{"EHLO 4xx", "S: 220 x\nC: EHLO relay.example.com\nS: 451 later", false, smtp.Offers{}, 451},
		{"both refused", "S: 220 x\nC: EHLO relay.example.com\nS: 550 no\nC: HELO relay.example.com\nS: 550 no", false, smtp.Offers{}, 550},
		{"EHLO 3xx", "S: 220 x\nC: EHLO relay.example.com\nS: 354 x", false, smtp.Offers{}, 451},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn, _ := dialogue(t, &Options{UseHELO: c.helo}, c.script)
			if err := conn.Greet(); err != nil {
				t.Fatal(err)
			}
			err := conn.Hello()
			if *conn.Offers() != c.offers {
				t.Errorf("got %+v, want %+v", *conn.Offers(), c.offers)
			}
			var e *Error
			switch {
			case c.code == 0 && err != nil:
				t.Error(err)
			case c.code != 0 && !errors.As(err, &e):
				t.Errorf("error %v, want one", err)
			case c.code != 0:
				if reply, _ := e.Answer("mx.example.org"); reply.Code != c.code {
					t.Errorf("got %v, want %d", reply, c.code)
				}
			}
		})
	}
}

const startTLS = `
S: 220 mx
C: EHLO relay.example.com
S: 250-mx
S: 250-DSN
S: 250 STARTTLS
C: STARTTLS
`

func TestStartTLS(t *testing.T) {
	certs := smtptest.NewCertificates("mx.example.org", "other.example.org")
	for _, c := range []struct {
		name, script string
		verify       bool
		want         error // nil for success
		enhanced     mail.EnhancedCode
		trusted      bool
		usable       bool // also after an error
	}{
		{name: "not verified", script: startTLS + "S: 220 go\nTLS untrusted.test\nC: EHLO relay.example.com\nS: 250 mx", usable: true},
		{name: "trusted though not asked for", script: startTLS + "S: 220 go\nTLS mx.example.org\nC: EHLO relay.example.com\nS: 250 mx", trusted: true, usable: true},
		{name: "verified", script: startTLS + "S: 220 go\nTLS mx.example.org\nC: EHLO relay.example.com\nS: 250 mx", verify: true, trusted: true, usable: true},
		{name: "verified, other name", script: startTLS + "S: 220 go\nTLS other.example.org", verify: true, want: ErrCertificate, enhanced: mail.Enhanced(4, 7, 5)},
		{name: "verified, unknown issuer", script: startTLS + "S: 220 go\nTLS untrusted.test", verify: true, want: ErrCertificate, enhanced: mail.Enhanced(4, 7, 5)},
		{name: "C4 not offered", script: hello, want: ErrNoTLS, enhanced: mail.Enhanced(4, 7, 4), usable: true},
		{name: "C4 offered only after HELO", script: "S: 220 x\nC: EHLO relay.example.com\nS: 502 no\nC: HELO relay.example.com\nS: 250-mx\nS: 250 STARTTLS", want: ErrNoTLS, enhanced: mail.Enhanced(4, 7, 4), usable: true},
		{name: "C4 response injection", script: startTLS + `S- 220 go\r\n250 injected\r\n`, want: smtp.ErrProtocol, enhanced: mail.Enhanced(4, 5, 0)},
		{name: "C4 injected while the handshake runs", script: startTLS + "S: 220 go\nWAIT 100ms\nS: 250 injected", want: ErrHandshake, enhanced: mail.Enhanced(4, 7, 5)},
		{name: "refused", script: startTLS + "S: 454 4.7.0 no", enhanced: mail.Enhanced(4, 7, 0), want: errRefused, usable: true},
		{name: "closed", script: startTLS + "S: 220 go\nCLOSE", want: ErrHandshake, enhanced: mail.Enhanced(4, 7, 5)},
		{name: "no EHLO any more", script: startTLS + "S: 220 go\nTLS mx.example.org\nC: EHLO relay.example.com\nS: 502 no", want: errRefused, enhanced: mail.EnhancedCode{}, usable: true, trusted: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn, _ := dialogueTLS(t, nil, c.script, certs)
			ready(t, conn)
			err := conn.StartTLS(&TLS{Config: &tls.Config{RootCAs: certs.Pool}, Host: "mx.example.org", Verify: c.verify})
			var e *Error
			switch {
			case c.want == nil && err != nil:
				t.Fatal(err)
			case c.want == errRefused && (!errors.As(err, &e) || e.Err != nil || e.Reply.IsZero()):
				t.Fatalf("error %v, want the server's no", err)
			case c.want != nil && c.want != errRefused && !errors.Is(err, c.want):
				t.Fatalf("error %v, want %v", err, c.want)
			case c.want != nil:
				_ = errors.As(err, &e)
				if reply, _ := e.Answer("mx.example.org"); reply.Enhanced != c.enhanced {
					t.Errorf("answer %v, want %v", reply, c.enhanced)
				}
			}
			if conn.Trusted() != c.trusted || conn.Reusable() != c.usable {
				t.Errorf("trusted %v, usable %v; want %v, %v", conn.Trusted(), conn.Reusable(), c.trusted, c.usable)
			}
			if c.want == nil && (conn.TLS() == nil || conn.TLS().Version != "TLS1.3" || !strings.HasPrefix(conn.TLS().Cipher, "TLS_")) {
				t.Errorf("TLS %+v", conn.TLS())
			}
			if c.want == nil && conn.Offers().DSN {
				t.Error("C4: what was offered in plain text is still known")
			}
		})
	}
}

var errRefused = errors.New("refused by the server")

func TestStartTLSTwice(t *testing.T) {
	conn, _ := dialogueTLS(t, nil, startTLS+"S: 220 go\nTLS mx.example.org\nC: EHLO relay.example.com\nS: 250-mx\nS: 250 STARTTLS", smtptest.NewCertificates())
	ready(t, conn)
	if err := conn.StartTLS(&TLS{Host: "mx.example.org"}); err != nil {
		t.Fatal(err)
	}
	if err := conn.StartTLS(&TLS{Host: "mx.example.org"}); !errors.Is(err, ErrNoTLS) {
		t.Errorf("C4: STARTTLS within TLS: %v", err)
	}
}

func TestStartTLSResumed(t *testing.T) {
	// A resumed session is judged as a full handshake is.
	const script = startTLS + "S: 220 go\nTLS other.example.org\nC: EHLO relay.example.com\nS: 250 mx\nC: QUIT\nS: 221 x"
	certs := smtptest.NewCertificates("other.example.org")
	cfg := &tls.Config{RootCAs: certs.Pool, ClientSessionCache: tls.NewLRUClientSessionCache(4)}
	conn, _ := dialogueTLS(t, nil, script, certs)
	ready(t, conn)
	if err := conn.StartTLS(&TLS{Config: cfg, Host: "mx.example.org"}); err != nil {
		t.Fatal(err)
	}
	conn.Quit()
	conn, _ = dialogueTLS(t, nil, startTLS+"S: 220 go\nTLS other.example.org", certs)
	ready(t, conn)
	if err := conn.StartTLS(&TLS{Config: cfg, Host: "mx.example.org", Verify: true}); !errors.Is(err, ErrCertificate) {
		t.Errorf("error %v, want %v", err, ErrCertificate)
	}
}

func TestErrorTextBounded(t *testing.T) {
	// C5, C7: what is in a certificate or on the wire has no say in length and controls.
	e := &Error{Phase: "STARTTLS", Err: errors.New(strings.Repeat("name\x1b\r\n, ", 100000))}
	reply, _ := e.Answer("mx.example.org")
	if len(reply.Text) > 300 || strings.ContainsAny(reply.Text, "\x1b\r\n") {
		t.Errorf("%d octets: %.300q", len(reply.Text), reply.Text)
	}
}
