package interop

import (
	"fmt"
	"strings"
	"testing"

	"github.com/mailroot/mailroot/test/harness"
)

// Postfix on both sides: a client's mail goes through a Postfix, the relay and another Postfix,
// and keeps its text, its envelope and its trace.
func TestBetweenTwoPostfixes(t *testing.T) {
	last := harness.StartPostfix(t, harness.PostfixOptions{Name: "mx.dest.test"})
	s := harness.Start(t, harness.Options{SmartHost: []string{last.Route()}})
	first := harness.StartPostfix(t, harness.PostfixOptions{Name: "out.client.test", Next: "[127.0.0.1]:" + itoa(s.Port(0))})
	const messages = 20
	for i := range messages {
		c, err := harness.Dial(first.Addr, "client.test")
		if err != nil {
			t.Fatal(err)
		}
		text := harness.Message("a@client.test", "b@dest.test", fmt.Sprintf("number %d.", i), ".\r\n..two\r\nGrüße\r\n"+strings.Repeat("long ", 180)+"\r\nend")
		if err := c.Send("a@client.test", []string{"b@dest.test", "c@local.test"}, []byte(text)); err != nil {
			t.Fatal(err)
		}
		if err := c.Quit(); err != nil {
			t.Fatal(err)
		}
	}
	harness.Eventually(t, 2*harness.Patience, "all at the last Postfix", func() bool { return len(last.Mails()) >= messages && s.Empty() })
	got := last.Mails()
	if len(got) != messages {
		t.Errorf("%d messages, want %d", len(got), messages)
	}
	for _, m := range got {
		if !strings.Contains(m, "\n\n.\n..two\nGrüße\n"+strings.Repeat("long ", 180)+"\nend\n") {
			t.Errorf("the text has changed:\n%s", m)
		}
		if !strings.HasPrefix(m, "Return-Path: <a@client.test>\n") || strings.Count(m, "\nReceived: ") != 3 ||
			!strings.Contains(m, "Received: from out.client.test (") || !strings.Contains(m, "by out.client.test (Postfix)") {
			t.Errorf("the trace is not whole:\n%s", m)
		}
	}
	for _, f := range s.WaitDrop(messages) {
		if !strings.HasSuffix(string(f.Message), "\r\n\r\n.\r\n..two\r\nGrüße\r\n"+strings.Repeat("long ", 180)+"\r\nend\r\n") {
			t.Errorf("in Drop the text has changed: %q", f.Message)
		}
	}
}

// When the next hop is full for a recipient of many, Postfix and we split the transaction.
func TestRecipientsOverPostfixLimit(t *testing.T) {
	p := harness.StartPostfix(t, harness.PostfixOptions{Main: []string{"smtpd_recipient_limit = 10", "smtpd_recipient_overshoot_limit = 1000"}})
	s := harness.Start(t, harness.Options{SmartHost: []string{p.Route()}})
	var to []string
	for i := range 45 {
		to = append(to, fmt.Sprintf("r%d@dest.test", i))
	}
	s.Send("a@local.test", to, harness.Message("a@local.test", "list@dest.test", "many", "text"))
	harness.Eventually(t, harness.Patience, "one copy for each", func() bool { return len(p.Mails()) >= len(to) && s.Empty() })
	got := p.Mails()
	if len(got) != len(to) {
		t.Errorf("%d copies for %d recipients", len(got), len(to))
	}
	for _, rcpt := range to {
		if n := count(got, "\nX-Original-To: "+rcpt+"\n"); n != 1 {
			t.Errorf("%s has %d copies", rcpt, n)
		}
	}
	if n := len(s.DropFiles()); n != 0 {
		t.Errorf("%d NDRs: too many recipients never make one", n)
	}
}
