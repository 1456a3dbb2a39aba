package interop

import (
	"strings"
	"sync/atomic"
	"testing"

	"github.com/mailroot/mailroot/test/harness"
)

// Postfix refuses one recipient of two: the other is delivered, and the sender gets a report
// in Drop with Postfix's words.
func TestNDRFromPostfix(t *testing.T) {
	p := harness.StartPostfix(t, harness.PostfixOptions{
		Main: []string{"smtpd_recipient_restrictions = check_recipient_access inline:{{nobody@dest.test = 550 5.1.1 No mailbox here by that name}}"},
	})
	s := harness.Start(t, harness.Options{SmartHost: []string{p.Route()}})
	s.Send("sender@local.test", []string{"nobody@dest.test", "b@dest.test"}, harness.Message("sender@local.test", "nobody@dest.test", "partly lost", "text"))
	f := s.WaitDrop(1)[0]
	if f.Sender != "" && f.Sender != "<>" || f.Receivers[0] != "sender@local.test" {
		t.Errorf("the report is from %q to %q", f.Sender, f.Receivers)
	}
	ndr := string(f.Message)
	for _, want := range []string{
		"Content-Type: multipart/report;", "report-type=delivery-status", "Final-Recipient: rfc822;", "nobody@dest.test", "Action: failed",
		"Status: 5.1.1", "Diagnostic-Code: smtp;", "No mailbox here by that name", "Reporting-MTA: dns;", "Subject: partly lost",
	} {
		if !strings.Contains(strings.ReplaceAll(ndr, "; ", ";"), strings.ReplaceAll(want, "; ", ";")) {
			t.Errorf("no %q in the report\n%s", want, ndr)
		}
	}
	if strings.Contains(ndr, "Final-Recipient: rfc822;b@dest.test") {
		t.Errorf("the report names a recipient that was delivered\n%s", ndr)
	}
	harness.Eventually(t, harness.Patience, "the other recipient's copy", func() bool { return len(p.Mails()) == 1 && s.Empty() })
	if n := len(s.DropFiles()); n != 1 {
		t.Errorf("%d reports", n)
	}
}

// A report that cannot be delivered ends in Badmail, with the original: no report on a report.
func TestNDRThatFails(t *testing.T) {
	refuse := func(verb, _ string, _ *harness.SinkMessage) string {
		if verb == "RCPT" {
			return "550 5.1.1 nobody here"
		}
		return ""
	}
	sink := harness.NewSink(t, harness.SinkOptions{Answer: refuse})
	s := harness.Start(t, harness.Options{SmartHost: []string{sink.Route()}})
	s.Send("sender@remote.test", []string{"b@remote.test"}, harness.Message("sender@remote.test", "b@remote.test", "doubly lost", "text"))
	harness.Eventually(t, harness.Patience, "badmail", func() bool { return len(glob(t, s.BadmailDir()+"/*.BDP")) > 0 && s.Empty() })
	bad := glob(t, s.BadmailDir()+"/*.BAD")
	if len(bad) != 2 {
		t.Errorf("Badmail has %q, want the report and the original", bad)
	}
	original := false
	for _, name := range bad {
		text := read(t, name)
		original = original || strings.HasSuffix(text, "\r\n\r\ntext\r\n") && !strings.Contains(text, "multipart/report")
	}
	if !original {
		t.Error("the original is not in Badmail")
	}
	if n := len(sink.Messages()); n != 0 {
		t.Errorf("%d messages at the sink", n)
	}
}

// Retries end after the maximum, with one report (48 by default, 3 here).
func TestRetriesEnd(t *testing.T) {
	var attempts atomic.Int32
	sink := harness.NewSink(t, harness.SinkOptions{Answer: func(verb, _ string, _ *harness.SinkMessage) string {
		if verb == "RCPT" {
			attempts.Add(1)
			return "451 4.3.0 not now"
		}
		return ""
	}})
	s := harness.Start(t, harness.Options{SmartHost: []string{sink.Route()}, Attempts: 3})
	s.Send("sender@local.test", []string{"b@remote.test"}, harness.Message("sender@local.test", "b@remote.test", "late", "text"))
	ndr := string(s.WaitDrop(1)[0].Message)
	if !strings.Contains(ndr, "not now") || !strings.Contains(ndr, "Action: failed") {
		t.Errorf("got\n%s", ndr)
	}
	harness.Eventually(t, harness.Patience, "the queue is empty", s.Empty)
	sink.Shut()
	if n := attempts.Load(); n != 3 {
		t.Errorf("%d attempts, want 3", n)
	}
}
