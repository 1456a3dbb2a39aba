package interop

import (
	"fmt"
	"strings"
	"testing"

	"github.com/mailroot/mailroot/test/harness"
)

// A client asks for a report of success (RFC 3461). Postfix with DSN is told so and reports for itself; for one without, the
// sender hears that the message was relayed, and no more can be said. Drop is reported by us both times.
func TestSuccessAskedThroughPostfix(t *testing.T) {
	for _, c := range []struct {
		name, main string
		relayed    int
	}{
		{"DSN", "", 0},
		{"no DSN", "smtpd_discard_ehlo_keywords = dsn", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := harness.StartPostfix(t, harness.PostfixOptions{Main: []string{c.main}})
			s := harness.Start(t, harness.Options{SmartHost: []string{p.Route()}})
			script := t.TempDir() + "/send.py"
			write(t, script, `
import smtplib, sys
with smtplib.SMTP("127.0.0.1", int(sys.argv[1]), local_hostname="client.test", timeout=20) as s:
    for to in "b@dest.test", "b@local.test":
        s.sendmail("sender@local.test", [to], b"Subject: asked\r\n\r\ntext\r\n", mail_options=["RET=HDRS", "ENVID=env1"], rcpt_options=["NOTIFY=SUCCESS"])
`)
			harness.MustRun(t, nil, "", harness.Python(t), script, fmt.Sprint(s.Port(0)))
			harness.Eventually(t, harness.Patience, "Postfix's copy", func() bool { return len(p.Mails()) > 0 && s.Empty() })
			actions := make(map[string]int)
			for _, f := range s.WaitDrop(2 + c.relayed) {
				if _, rest, ok := strings.Cut(string(f.Message), "\r\nAction: "); ok {
					action, _, _ := strings.Cut(rest, "\r\n")
					actions[action]++
				}
			}
			if actions["relayed"] != c.relayed || actions["delivered"] != 1 || len(actions) > 2 {
				t.Errorf("reports: %v", actions)
			}
		})
	}
}
