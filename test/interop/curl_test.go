package interop

import (
	"fmt"
	"strings"
	"testing"

	"github.com/mailroot/mailroot/test/harness"
)

func contains(s, sub string) bool { return strings.Contains(s, sub) }

// curl: declares SIZE, verifies our certificate, sends from standard input.
func TestCurl(t *testing.T) {
	curl := harness.Tool(t, "curl", "curl")
	for _, c := range []struct {
		name, protocol, scheme string
		binding                int
		args                   []string
	}{
		{"plain", "ESMTP", "smtp", 0, nil},
		{"STARTTLS", "ESMTPS", "smtp", 0, []string{"--ssl-reqd"}},
		{"implicit TLS", "ESMTPS", "smtps", 1, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRelay(t)
			url := fmt.Sprintf("%s://relay.test:%d/client.test", c.scheme, r.Port(c.binding))
			text := harness.Message("curl@client.test", "a@local.test", "from curl", "first line\r\n.\r\n.dot\r\nend")
			args := append([]string{
				"-sS", "-v", "--max-time", "20", "--noproxy", "*", "--resolve", fmt.Sprintf("relay.test:%d:127.0.0.1", r.Port(c.binding)),
				"--cacert", r.cert.CertFile, "--mail-from", "curl@client.test", "--mail-rcpt", "a@local.test", "--mail-rcpt", "b@remote.test",
				"--upload-file", "-", url,
			}, c.args...)
			out, err := harness.Run(t, nil, text, curl, args...)
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			r.expect(t, 1, c.protocol, "\r\n.\r\n.dot\r\nend")
		})
	}
}

// The size that is refused is the size that EHLO names: curl gives it with MAIL.
func TestCurlTooLarge(t *testing.T) {
	curl := harness.Tool(t, "curl", "curl")
	s := harness.Start(t, harness.Options{MaxSize: "64KB"})
	text := harness.Message("curl@client.test", "a@local.test", "large", strings.Repeat(strings.Repeat("x", 70)+"\r\n", 1000))
	file := t.TempDir() + "/large.eml"
	write(t, file, text)
	out, err := harness.Run(t, nil, "", curl, "-sS", "-v", "--max-time", "20", "--noproxy", "*", "--mail-from", "curl@client.test",
		"--mail-rcpt", "a@local.test", "--upload-file", file, "smtp://"+s.Addr()+"/client.test")
	if err == nil || !contains(out, "552 5.3.4") {
		t.Errorf("want 552 5.3.4, got %v\n%s", err, out)
	}
	s.Alive()
	if n := len(s.DropFiles()); n != 0 {
		t.Errorf("%d messages in Drop", n)
	}
}
