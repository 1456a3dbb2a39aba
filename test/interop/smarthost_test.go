package interop

import (
	"fmt"
	"strings"
	"testing"

	"github.com/mailroot/mailroot/test/harness"
)

// A smart host that is Postfix's smtp-sink: the text arrives with its dots.
func TestSmartHostSMTPSink(t *testing.T) {
	for name, options := range map[string][]string{"ESMTP": nil, "no PIPELINING": {"-p"}, "HELO only": {"-e"}, "no 8BITMIME": {"-8"}} {
		t.Run(name, func(t *testing.T) {
			sink := harness.StartSMTPSink(t, options...)
			s := harness.Start(t, harness.Options{SmartHost: []string{sink.Route()}})
			s.Send("a@client.test", []string{"b@remote.test", "c@other.test"}, harness.Message("a@client.test", "b@remote.test", "hello", ".\r\n..two\r\nend"))
			harness.Eventually(t, harness.Patience, "one message at smtp-sink", func() bool { return len(sink.Messages()) > 0 && s.Empty() })
			got := sink.Messages()
			if len(got) != 1 {
				t.Fatalf("%d messages", len(got))
			}
			for _, want := range []string{"X-Rcpt-Args: <b@remote.test>", "X-Rcpt-Args: <c@other.test>", "\n\n.\n..two\nend\n", "Subject: hello\n"} {
				if !strings.Contains(got[0], want) {
					t.Errorf("no %q in\n%s", want, got[0])
				}
			}
		})
	}
}

// A smart host that is Postfix, with STARTTLS offered: used without being asked for.
func TestSmartHostPostfix(t *testing.T) {
	p := harness.StartPostfix(t, harness.PostfixOptions{Cert: harness.NewCertificate(t, "mx.dest.test")})
	s := harness.Start(t, harness.Options{SmartHost: []string{p.Route()}})
	const messages = 30
	for i := range messages {
		s.Send("a@client.test", []string{"b@dest.test", "c@example.net"},
			harness.Message("a@client.test", "b@dest.test", fmt.Sprintf("number %d.", i), ".\r\n..two\r\nGrüße\r\nend"))
	}
	harness.Eventually(t, harness.Patience, "all in Postfix's maildir", func() bool { return len(p.Mails()) >= 2*messages && s.Empty() })
	got := p.Mails()
	if len(got) != 2*messages {
		t.Errorf("%d messages in the maildir, want %d", len(got), 2*messages)
	}
	for i := range messages {
		if n := count(got, fmt.Sprintf("Subject: number %d.\n", i)); n != 2 {
			t.Errorf("number %d is there %d times", i, n)
		}
	}
	for _, m := range got {
		if !strings.Contains(m, "\n\n.\n..two\nGrüße\nend\n") || !strings.Contains(m, "using TLSv1.3") || !strings.Contains(m, "by relay.test with ESMTP\n\tid ") {
			t.Errorf("got\n%s", m)
			break
		}
	}
}

func count(texts []string, sub string) int {
	n := 0
	for _, s := range texts {
		n += strings.Count(s, sub)
	}
	return n
}

// Several smart hosts, in order: the second gets all when the first is down, and nothing else.
func TestSmartHostsInOrder(t *testing.T) {
	first, second := harness.NewSink(t, harness.SinkOptions{}), harness.NewSink(t, harness.SinkOptions{})
	s := harness.Start(t, harness.Options{SmartHost: []string{first.Route(), second.Route()}})
	s.Send("a@client.test", []string{"b@remote.test"}, harness.Message("a@client.test", "b@remote.test", "one", "text"))
	first.Wait(1)
	first.Shut()
	s.Send("a@client.test", []string{"b@remote.test"}, harness.Message("a@client.test", "b@remote.test", "two", "text"))
	if got := second.Wait(1); !strings.Contains(string(got[0].Data), "Subject: two\r\n") {
		t.Errorf("the second has %q", got[0].Data)
	}
	harness.Eventually(t, harness.Patience, "the queue is empty", s.Empty)
	first.Wait(1)
}

// While the smart host is down nothing is lost, also not by a restart, and the queue says why.
func TestSmartHostDown(t *testing.T) {
	sink := harness.NewSink(t, harness.SinkOptions{})
	sink.Shut()
	s := harness.Start(t, harness.Options{SmartHost: []string{sink.Route()}})
	const messages = 25
	for i := range messages {
		s.Send("a@client.test", []string{"b@remote.test", "c@local.test"}, harness.Message("a@client.test", "b@remote.test", fmt.Sprintf("number %d.", i), "text"))
	}
	s.WaitDrop(messages) // the local ones do not wait for the others
	s.Stop()
	s.Start()
	harness.Eventually(t, harness.Patience, "all are back after the restart", func() bool {
		q := s.Status().VirtualServers[0].Queue
		return !q.Loading && q.Messages == messages && q.Recipients == messages
	})
	if list := s.CLI("queue", "list"); !strings.Contains(list, "b@remote.test") || strings.Contains(list, "c@local.test") {
		t.Errorf("queue list shows\n%s", list)
	}
	sink.Open()
	got := map[string]bool{}
	for _, m := range sink.Wait(messages) {
		got[string(m.Data)] = true
	}
	if len(got) != messages {
		t.Errorf("%d different messages, want %d", len(got), messages)
	}
	harness.Eventually(t, harness.Patience, "the queue is empty", s.Empty)
	s.WaitDrop(messages)
}
