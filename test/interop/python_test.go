package interop

import (
	"fmt"
	"os"
	"testing"

	"github.com/mailroot/mailroot/test/harness"
)

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// Python's smtplib: several messages on one connection, before and after STARTTLS, 8-bit text,
// an SMTPUTF8 address, VRFY, and the exceptions that scripts rely on.
func TestPythonSmtplib(t *testing.T) {
	r := newRelay(t)
	script := t.TempDir() + "/send.py"
	write(t, script, `
import smtplib, ssl, sys
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8

port, ca = int(sys.argv[1]), sys.argv[2]

def message(to, policy=SMTP):
    m = EmailMessage(policy=policy)
    m["From"], m["To"], m["Subject"] = "python@client.test", to, "from smtplib"
    m.set_content("Grüße\n.\n.dot\nend of text\n", cte="8bit")
    return m

with smtplib.SMTP("127.0.0.1", port, local_hostname="client.test", timeout=20) as s:
    s.ehlo()
    assert s.has_extn("8bitmime") and s.has_extn("starttls") and s.has_extn("smtputf8"), s.esmtp_features
    code, text = s.verify("anybody")
    assert code == 252, (code, text)
    for i in range(2):
        assert s.send_message(message("a@local.test"), to_addrs=["a@local.test", "b@remote.test"]) == {}
    assert s.noop()[0] == 250

context = ssl.create_default_context(cafile=ca)
with smtplib.SMTP("127.0.0.1", port, local_hostname="client.test", timeout=20) as s:
    s._host = "relay.test"  # the name that the certificate is checked for
    s.starttls(context=context)
    s.ehlo()
    assert not s.has_extn("starttls")
    s.send_message(message("a@local.test"), to_addrs=["a@local.test", "b@remote.test"])
    try:
        s.sendmail("python@client.test", ["no-domain@@local.test"], b"x")
        raise SystemExit("a bad address was accepted")
    except smtplib.SMTPRecipientsRefused as e:
        assert e.recipients["no-domain@@local.test"][0] == 501, e.recipients
`)
	out := harness.MustRun(t, nil, "", harness.Python(t), script, fmt.Sprint(r.Port(0)), r.cert.CertFile)
	t.Log(out)
	r.expect(t, 3, "", "Grüße\r\n.\r\n.dot\r\nend of text\r\n")
}

// An address that needs SMTPUTF8 (RFC 6531) reaches Drop and a next hop that knows it.
func TestPythonSMTPUTF8(t *testing.T) {
	r := newRelay(t)
	script := t.TempDir() + "/send.py"
	write(t, script, `
import smtplib, sys
from email.message import EmailMessage
from email.policy import SMTPUTF8

m = EmailMessage(policy=SMTPUTF8)
m["From"], m["To"], m["Subject"] = "python@client.test", "jürgen@local.test", "Grüße im Kopf"
m.set_content("text\n")
with smtplib.SMTP("127.0.0.1", int(sys.argv[1]), local_hostname="client.test", timeout=20) as s:
    s.send_message(m, to_addrs=["jürgen@local.test", "jürgen@remote.test"])
`)
	harness.MustRun(t, nil, "", harness.Python(t), script, fmt.Sprint(r.Port(0)))
	r.expect(t, 1, "UTF8SMTP", "Subject: Grüße im Kopf\r\n")
	if m := r.sink.Messages()[0]; m.Rcpts[0] != "jürgen@remote.test" || !contains(m.FromParams, "SMTPUTF8") {
		t.Errorf("at the sink: %q with %q", m.Rcpts, m.FromParams)
	}
}
