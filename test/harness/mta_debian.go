package harness

import (
	"crypto/tls"
	"encoding/base64"
	"testing"
)

// StartExim starts an Exim in a root of its own. Needs root.
func StartExim(tb testing.TB, o MTAOptions) *MTA {
	tb.Helper()
	return newMTA(tb, o).startRoot("Exim", root{
		peer: "exim", accounts: []string{"Debian-exim"},
		files:   map[string]string{"/etc/exim4/exim4.conf": "exim.conf"},
		command: []string{"/usr/sbin/exim4", "-bdf", "-q1s"},
	})
}

// StartSendmail starts a Sendmail in a root of its own. Needs root.
func StartSendmail(tb testing.TB, o MTAOptions) *MTA {
	tb.Helper()
	return newMTA(tb, o).startRoot("Sendmail", root{
		peer: "sendmail", accounts: []string{"smmta", "smmsp"},
		files:   map[string]string{"/etc/mail/mailroot.mc": "sendmail.mc", "/etc/start": "sendmail.sh"},
		command: []string{"/etc/start"},
	})
}

// StartOpenSMTPD starts an OpenSMTPD in a root of its own. Needs root.
func StartOpenSMTPD(tb testing.TB, o MTAOptions) *MTA {
	tb.Helper()
	return newMTA(tb, o).startRoot("OpenSMTPD", root{
		peer: "opensmtpd", accounts: []string{"opensmtpd", "opensmtpq"},
		files:   map[string]string{"/etc/smtpd.conf": "opensmtpd.conf", "/etc/start": "opensmtpd.sh"},
		command: []string{"/etc/start"},
	})
}

// StartChasquid starts a chasquid in a root of its own. It knows no smart host: what is not for
// dest.test goes by MX, as DNS has it, to the port of Next. It needs Cert, and root.
func StartChasquid(tb testing.TB, o MTAOptions) *MTA {
	tb.Helper()
	m := newMTA(tb, o)
	m.submission = FreePort(tb)
	return m.startRoot("chasquid", root{
		peer:    "chasquid",
		files:   map[string]string{"/etc/chasquid/chasquid.conf": "chasquid.conf", "/etc/start": "chasquid.sh"},
		command: []string{"/etc/start"},
	})
}

// submit connects to the submission port and authenticates in TLS: nobody else may send by it.
func (m *MTA) submit() (*Client, error) {
	c, err := Dial(Loopback(m.submission), "client.test")
	if err != nil {
		return nil, err
	}
	if err := c.StartTLS(&tls.Config{RootCAs: m.o.Cert.Pool, ServerName: "mx.dest.test"}); err != nil {
		c.Close()
		return nil, err
	}
	if _, err := c.Cmd(235, "AUTH PLAIN %s", base64.StdEncoding.EncodeToString([]byte("\x00user@dest.test\x00secret"))); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}
