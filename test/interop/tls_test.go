package interop

import (
	"crypto/tls"
	"strings"
	"testing"

	"github.com/mailroot/mailroot/test/harness"
)

// OpenSSL's client: the certificate is the configured one, old versions are refused, and mail
// flows inside.
func TestOpenSSL(t *testing.T) {
	openssl := harness.Tool(t, "openssl", "openssl")
	for _, c := range []struct {
		name    string
		binding int
		args    []string
		ok      bool
	}{
		{"STARTTLS 1.3", 0, []string{"-starttls", "smtp", "-tls1_3"}, true},
		{"STARTTLS 1.2", 0, []string{"-starttls", "smtp", "-tls1_2"}, true},
		{"implicit 1.3", 1, []string{"-tls1_3"}, true},
		{"STARTTLS 1.1", 0, []string{"-starttls", "smtp", "-tls1_1", "-cipher", "ALL:@SECLEVEL=0"}, false},
		{"implicit 1.0", 1, []string{"-tls1", "-cipher", "ALL:@SECLEVEL=0"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRelay(t)
			client, wait := harness.Through(t, openssl, append([]string{
				"s_client", "-connect", harness.Loopback(r.Port(c.binding)), "-servername", "relay.test", "-verify_hostname", "relay.test",
				"-CAfile", r.cert.CertFile, "-verify_return_error", "-quiet",
			}, c.args...)...)
			if !c.ok {
				if out, err := wait(); err == nil {
					t.Errorf("the handshake succeeded:\n%s", out)
				}
				r.Alive()
				return
			}
			if c.binding == 1 { // else the banner came before TLS
				if _, err := client.Expect("banner", 220); err != nil {
					t.Fatal(err)
				}
			}
			if err := client.Hello("client.test"); err != nil {
				t.Fatal(err)
			}
			if err := client.Send("openssl@client.test", []string{"a@local.test", "b@remote.test"}, []byte("Subject: from openssl\r\n\r\ntext\r\n")); err != nil {
				t.Fatal(err)
			}
			if err := client.Quit(); err != nil {
				t.Error(err)
			}
			if out, err := wait(); err != nil || strings.Contains(out, "verify error") {
				t.Errorf("%v\n%s", err, out)
			}
			r.expect(t, 1, "ESMTPS", "Subject: from openssl\r\n\r\ntext\r\n")
		})
	}
}

// What the server itself says of TLS to a client in Go: state is forgotten, and a second
// STARTTLS is refused.
func TestSTARTTLSForgets(t *testing.T) {
	r := newRelay(t)
	c := r.Dial()
	if _, err := c.Cmd(250, "MAIL FROM:<a@client.test>"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Cmd(250, "RSET"); err != nil {
		t.Fatal(err)
	}
	if err := c.StartTLS(&tls.Config{RootCAs: r.cert.Pool, ServerName: "relay.test"}); err != nil {
		t.Fatal(err)
	}
	if _, ok := c.Keywords["STARTTLS"]; ok {
		t.Error("STARTTLS is offered inside TLS")
	}
	if _, err := c.Cmd(503, "STARTTLS"); err != nil {
		t.Error(err)
	}
	if err := c.Send("a@client.test", []string{"b@local.test"}, []byte("Subject: x\r\n\r\ntext\r\n")); err != nil {
		t.Error(err)
	}
}

// The demand on TLS towards a next hop: opportunistic takes what is there, required and
// verified wait where it is missing or not good enough, off never asks.
func TestOutboundTLS(t *testing.T) {
	cert := harness.NewCertificate(t, "sink.test") // nobody trusts it
	with := harness.SinkOptions{TLS: &tls.Config{Certificates: []tls.Certificate{cert.TLS}}}
	for _, c := range []struct {
		name, demand string
		sink         harness.SinkOptions
		delivered    bool
		inTLS        bool
	}{
		{"opportunistic, offered", "opportunistic", with, true, true},
		{"opportunistic, not offered", "opportunistic", harness.SinkOptions{}, true, false},
		{"required, offered", "required", with, true, true},
		{"required, not offered", "required", harness.SinkOptions{}, false, false},
		{"verified, not trusted", "verified", with, false, false},
		{"off, offered", "off", with, true, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			sink := harness.NewSink(t, c.sink)
			s := harness.Start(t, harness.Options{SmartHost: []string{sink.Route()}, OutboundTLS: c.demand, Intervals: `"1s", "60m"`})
			s.Send("a@client.test", []string{"b@remote.test"}, harness.Message("a@client.test", "b@remote.test", "tls", "text"))
			if !c.delivered {
				harness.Eventually(t, harness.Patience, "deferred", func() bool {
					return s.Status().VirtualServers[0].Queue.Deferred == 1 && strings.Contains(strings.ToLower(s.CLI("queue", "list", "--json")), "b@remote.test")
				})
				if n := len(sink.Messages()); n != 0 {
					t.Errorf("%d messages at the sink", n)
				}
				return
			}
			if m := sink.Wait(1)[0]; m.TLS != c.inTLS {
				t.Errorf("in TLS: %v, want %v", m.TLS, c.inTLS)
			}
		})
	}
}
