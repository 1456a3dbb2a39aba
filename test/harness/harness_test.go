package harness

import (
	"bytes"
	"crypto/tls"
	"strings"
	"testing"
)

func TestMain(m *testing.M) { Main(m) }

// The instruments themselves: what the client sends is what the sink keeps.
func TestClientAndSinkKeepOctets(t *testing.T) {
	cert := NewCertificate(t, "sink.test")
	sink := NewSink(t, SinkOptions{TLS: &tls.Config{Certificates: []tls.Certificate{cert.TLS}}})
	body := []byte("Subject: dots\r\n\r\n.\r\n..\r\n.a\r\nb.\r\n\xff\xfe 8 bit\r\n" + strings.Repeat("x", 5000) + "\r\n")
	c, err := Dial(sink.Addr(), "client.test")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.StartTLS(&tls.Config{RootCAs: cert.Pool, ServerName: "sink.test"}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := c.Send("a@client.test", []string{"b@sink.test", "c@sink.test"}, body); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Quit(); err != nil {
		t.Fatal(err)
	}
	got := sink.Wait(2)
	for i, m := range got {
		if !bytes.Equal(m.Data, body) {
			t.Errorf("message %d: got %q", i, m.Data)
		}
		if !m.TLS || m.Conn != 1 || m.Nth != i+1 || len(m.Rcpts) != 2 || !strings.Contains(m.FromParams, "BODY=8BITMIME") {
			t.Errorf("message %d: %+v", i, m)
		}
	}
}

// A strict sink must see each of these.
func TestSinkSeesViolations(t *testing.T) {
	// The flights of a dialogue; the digit before each is the number of replies to wait for.
	for name, dialogue := range map[string]string{
		"bare LF in command":       "1EHLO a\n",
		"bare CR in data":          "1EHLO a\r\n|3MAIL FROM:<a@b.test>\r\nRCPT TO:<b@b.test>\r\nDATA\r\n|1a\rb\r\n.\r\n",
		"parameter not offered":    "1EHLO a\r\n|1MAIL FROM:<a@b.test> BODY=8BITMIME\r\n",
		"text before 354":          "1EHLO a\r\n|4MAIL FROM:<a@b.test>\r\nRCPT TO:<b@b.test>\r\nDATA\r\na\r\n.\r\n",
		"MAIL before EHLO":         "1MAIL FROM:<a@b.test>\r\n",
		"pipelining after EHLO":    "2EHLO a\r\nMAIL FROM:<a@b.test>\r\n",
		"BDAT not offered":         "1EHLO a\r\n|2MAIL FROM:<a@b.test>\r\nRCPT TO:<b@b.test>\r\n|1BDAT 1 LAST\r\na",
		"path without brackets":    "1EHLO a\r\n|1MAIL FROM:a@b.test\r\n",
		"transaction within other": "1EHLO a\r\n|1MAIL FROM:<a@b.test>\r\n|1MAIL FROM:<a@b.test>\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			sink := &Sink{o: SinkOptions{Name: "sink.test", Addr: Loopback(FreePort(t)), Keywords: []string{"PIPELINING"}}, tb: t}
			sink.Open()
			defer sink.Shut()
			c, err := Connect(sink.Addr())
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if _, err := c.Expect("banner", 220); err != nil {
				t.Fatal(err)
			}
			for _, flight := range strings.Split(dialogue, "|") {
				if err := c.Write([]byte(flight[1:])); err != nil {
					t.Fatal(err)
				}
				for range flight[0] - '0' {
					if _, _, err := c.Reply(); err != nil {
						t.Fatal(err)
					}
				}
			}
			if len(sink.Violations()) != 1 {
				t.Errorf("noted: %q", sink.Violations())
			}
		})
	}
}

// The peers start and take mail, so that a failure elsewhere is ours.
func TestPeers(t *testing.T) {
	t.Run("smtp-sink and smtp-source", func(t *testing.T) {
		sink := StartSMTPSink(t)
		if out, err := SMTPSource(t, "-s", "2", "-m", "4", "-f", "a@client.test", "-t", "b@sink.test", Loopback(sink.Port)); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		Eventually(t, Patience, "4 messages", func() bool { return len(sink.Messages()) == 4 })
	})
	t.Run("Postfix and swaks with TLS", func(t *testing.T) {
		p := StartPostfix(t, PostfixOptions{Cert: NewCertificate(t, "mx.dest.test")})
		out, err := Swaks(t, "", "--server", p.Addr, "--from", "a@client.test", "--to", "b@dest.test", "--tls", "--body", "hello")
		if err != nil || !strings.Contains(out, "~> QUIT") {
			t.Fatalf("%v\n%s", err, out)
		}
		Eventually(t, Patience, "a message in the maildir", func() bool { return len(p.Mails()) == 1 })
		if m := p.Mails()[0]; !strings.Contains(m, "hello") || !strings.Contains(m, "TLS") {
			t.Errorf("got %s", m)
		}
	})
}
