package interop

import (
	"strconv"
	"testing"
	"time"

	"github.com/mailroot/mailroot/test/harness"
)

func itoa(n int) string { return strconv.Itoa(n) }

// smtp-source sends from many sessions at once; every message arrives exactly once, and the
// limits of connections hold.
func TestSMTPSource(t *testing.T) {
	for _, c := range []struct {
		name, to string
		args     []string
	}{
		{"to Drop", "rcpt@local.test", nil},
		{"to the smart host, many sessions", "rcpt@remote.test", nil},
		{"to the smart host, sessions kept open", "rcpt@remote.test", []string{"-d"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			const messages, sessions, perDomain = 600, 30, 7
			slow := func(verb, _ string, _ *harness.SinkMessage) string {
				if verb == "." {
					time.Sleep(5 * time.Millisecond) // so that connections are in use at the same time
				}
				return ""
			}
			sink := harness.NewSink(t, harness.SinkOptions{Answer: slow})
			s := harness.Start(t, harness.Options{SmartHost: []string{sink.Route()}, Connections: "    outbound_per_domain = " + itoa(perDomain)})
			args := append(c.args, "-s", itoa(sessions), "-m", itoa(messages), "-l", "4096", "-N", "-M", "client.test",
				"-f", "sender@client.test", "-t", c.to, s.Addr())
			if out, err := harness.SMTPSource(t, args...); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			arrived := func() int { return len(sink.Messages()) + len(s.DropFiles()) }
			harness.Eventually(t, 2*harness.Patience, "all have arrived", func() bool { return arrived() >= messages && s.Empty() })
			if n := arrived(); n != messages {
				t.Errorf("%d arrived, want %d", n, messages)
			}
			if c.to == "rcpt@remote.test" {
				opened, most := sink.Connections()
				if most > perDomain || most < 2 {
					t.Errorf("%d connections were in use at a time, want 2 to %d", most, perDomain)
				}
				if opened >= messages {
					t.Errorf("%d connections for %d messages: none was used again", opened, messages)
				}
				for _, m := range sink.Messages() {
					if m.Nth > 20 {
						t.Fatalf("message %d on one connection, at most 20 may be", m.Nth)
					}
				}
			}
			s.Alive()
		})
	}
}
