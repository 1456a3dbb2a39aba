package interop

import (
	"fmt"
	"testing"

	"github.com/mailroot/mailroot/test/harness"
)

// swaks, the command line tester: plain, STARTTLS and TLS from the start, to a local and a
// remote recipient.
func TestSwaks(t *testing.T) {
	for _, c := range []struct {
		name, protocol string
		binding        int
		args           []string
	}{
		{"plain", "ESMTP", 0, nil},
		{"HELO", "SMTP", 0, []string{"--protocol", "SMTP"}},
		{"STARTTLS", "ESMTPS", 0, []string{"--tls"}},
		{"implicit TLS", "ESMTPS", 1, []string{"--tls-on-connect"}},
		{"pipelining", "ESMTP", 0, []string{"--pipeline"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRelay(t)
			out, err := harness.Swaks(t, "", append([]string{
				"--server", "127.0.0.1", "--port", fmt.Sprint(r.Port(c.binding)), "--helo", "client.test",
				"--from", "swaks@client.test", "--to", "a@local.test,b@remote.test",
				"--header", "Subject: from swaks", "--body", "first line\n.\n..two dots\nend",
			}, c.args...)...)
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			r.expect(t, 1, c.protocol, "\r\n.\r\n..two dots\r\nend")
		})
	}
}

// A stranger's recipient is refused, in words, before any data.
func TestSwaksIsNotRelayed(t *testing.T) {
	s := harness.Start(t, harness.Options{Relay: []string{"192.0.2.0/24"}})
	out, err := harness.Swaks(t, "", "--server", s.Addr(), "--helo", "client.test", "--from", "a@client.test", "--to", "b@remote.test")
	if err == nil {
		t.Fatalf("relayed:\n%s", out)
	}
	if want := "550 5.7.1 Unable to relay for b@remote.test"; !contains(out, want) {
		t.Errorf("no %q in\n%s", want, out)
	}
	s.Alive()
}
