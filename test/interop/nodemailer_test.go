package interop

import (
	"fmt"
	"testing"

	"github.com/mailroot/mailroot/test/harness"
)

// nodemailer, with its connection pool: many messages over few connections, a DSN request,
// an attachment, and TLS in both ways.
func TestNodemailer(t *testing.T) {
	node, env := harness.Nodemailer(t)
	for _, c := range []struct {
		name, protocol, options string
		binding                 int
	}{
		{"plain", "ESMTP", "ignoreTLS: true", 0},
		{"STARTTLS", "ESMTPS", "requireTLS: true", 0},
		{"implicit TLS", "ESMTPS", "secure: true", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRelay(t)
			const messages = 12
			script := t.TempDir() + "/send.js"
			write(t, script, fmt.Sprintf(`
const nodemailer = require('nodemailer');
const transport = nodemailer.createTransport({
  host: '127.0.0.1', port: %d, name: 'client.test', pool: true, maxConnections: 3, maxMessages: 5, %s,
  tls: { servername: 'relay.test', ca: require('fs').readFileSync(%q) },
});
const one = i => transport.sendMail({
  from: 'node@client.test', to: ['a@local.test', 'b@remote.test'], subject: 'message ' + i,
  text: 'first line\n.\n.dot\nend of text\n', attachments: [{ filename: 'x.bin', content: Buffer.alloc(9000, i) }],
  dsn: { id: 'env' + i, return: 'headers', notify: ['failure', 'delay'], recipient: 'node@client.test' },
});
Promise.all([...Array(%d).keys()].map(one)).then(results => {
  transport.close();
  if (!results.every(r => r.accepted.length === 2 && r.response.startsWith('250'))) throw new Error(JSON.stringify(results));
}).catch(e => { console.error(e); process.exit(1); });
`, r.Port(c.binding), c.options, r.cert.CertFile, messages))
			harness.MustRun(t, env, "", node, script)
			r.expect(t, messages, c.protocol, "first line\r\n.\r\n.dot\r\nend of text\r\n")
			for _, m := range r.sink.Messages() {
				if !contains(m.FromParams, "RET=HDRS") || !contains(m.FromParams, "ENVID=env") || !contains(m.RcptParams[0], "NOTIFY=") ||
					!contains(m.RcptParams[0], "ORCPT=rfc822;node@client.test") {
					t.Errorf("the DSN request was not passed on: %q, %q", m.FromParams, m.RcptParams)
				}
			}
		})
	}
}
