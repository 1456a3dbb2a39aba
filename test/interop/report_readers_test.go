package interop

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mailroot/mailroot/test/harness"
)

// report is a message for the readers, with what they must find in it.
type report struct {
	name    string
	message []byte
	kind    string // of the subject
}

// composed returns the golden files of the reports: all kinds and reasons.
func composed(t *testing.T) (out []report) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(harness.Repo(t), "internal", "report", "testdata", "*.golden"))
	if err != nil || len(files) < 20 {
		t.Fatalf("%d reports, %v", len(files), err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		_, kind, _ := strings.Cut(string(b), "\nSubject: Delivery Status Notification (")
		kind, _, _ = strings.Cut(kind, ")\n")
		out = append(out, report{strings.TrimSuffix(filepath.Base(f), ".golden"), bytes.ReplaceAll(b, []byte("\n"), []byte("\r\n")), kind})
	}
	return out
}

// sent returns a report that a relay has made and put into Drop.
func sent(t *testing.T) report {
	t.Helper()
	sink := harness.NewSink(t, harness.SinkOptions{Answer: func(verb, _ string, _ *harness.SinkMessage) string {
		if verb == "RCPT" {
			return "550 5.1.1 \x1b[31m<b>nobody\xe9</b>"
		}
		return ""
	}})
	s := harness.Start(t, harness.Options{SmartHost: []string{sink.Route()}})
	s.Send("fred@local.test", []string{"bob@remote.test"}, harness.Message("fred@local.test", "bob@remote.test", "lost", "text"))
	return report{"sent", s.WaitDrop(1)[0].Message, "Failure"}
}

// mailparser, which mail clients for the web are built on, finds who, what and the parts of each report, and nothing that
// a remote server could have put there (C7).
func TestMailparserReadsReports(t *testing.T) {
	node, env := harness.Mailparser(t)
	script := t.TempDir() + "/read.js"
	write(t, script, `
const { simpleParser } = require('mailparser');
const chunks = [];
process.stdin.on('data', c => chunks.push(c)).on('end', async () => {
  const m = await simpleParser(Buffer.concat(chunks));
  console.log(JSON.stringify({
    type: m.headers.get('content-type').value, report: m.headers.get('content-type').params['report-type'],
    from: m.from.value[0].address, to: m.to.value[0].address, subject: m.subject, date: m.date, text: m.text, html: m.html,
    parts: m.attachments.map(a => a.contentType), returned: m.attachments.map(a => a.content.toString()),
  }));
});
`)
	for _, r := range append(composed(t), sent(t)) {
		out := harness.MustRun(t, env, string(r.message), node, script)
		var m struct {
			Type, Report, From, To, Subject, Date, Text string
			HTML                                        any
			Parts, Returned                             []string
		}
		if err := json.Unmarshal([]byte(out), &m); err != nil {
			t.Fatalf("%s: %v in %q", r.name, err, out)
		}
		if m.Type != "multipart/report" || m.Report != "delivery-status" || !strings.HasPrefix(m.From, "postmaster@") || !strings.Contains(m.To, "@") ||
			m.Subject != "Delivery Status Notification ("+r.kind+")" || m.Date == "" {
			t.Errorf("%s: read as %+v", r.name, m)
		}
		if !strings.Contains(m.Text, "This is the mail server") || m.HTML != false || strings.ContainsAny(m.Text, "\x00\x1b") {
			t.Errorf("%s: its text is %q, HTML %v", r.name, m.Text, m.HTML)
		}
		// It shows the status to the reader, below the text; that of RFC 6533 it gives as a part.
		if !strings.Contains(m.Text+strings.Join(m.Returned, ""), "Final-Recipient: ") {
			t.Errorf("%s: the status is not found in %q and %q", r.name, m.Text, m.Returned)
		}
		if r.name != "failure-no-original" && !strings.Contains(strings.Join(m.Returned, ""), "Subject: ") {
			t.Errorf("%s: the original is not among the parts %q", r.name, m.Parts)
		}
	}
}

// Mail::DeliveryStatus::BounceParser, which mailing lists read reports with, tells failures from other reports and
// finds the recipient, his status, and for the plain cases why.
func TestBounceParserReadsReports(t *testing.T) {
	perl, env := harness.BounceParser(t)
	script := t.TempDir() + "/read.pl"
	write(t, script, `
use strict; use Mail::DeliveryStatus::BounceParser;
local $/;
my $m = Mail::DeliveryStatus::BounceParser->new(scalar <STDIN>);
print $m->is_bounce ? "failure" : "other", "\n";
for my $r ($m->reports) {
  print join(" ", map { my $v = $r->get($_) || "-"; $v =~ s/\s+$//; $v } qw(email action status std_reason)), "\n";
}
`)
	want := map[string]string{
		"failure": "bob@example.org failed 5.1.1 user_unknown", "why-mailbox-full": "bob@example.org failed 4.4.7 over_quota",
		"sent": "bob@remote.test failed 5.1.1 user_unknown",
	}
	for _, r := range append(composed(t), sent(t)) {
		out := strings.Split(strings.TrimSpace(harness.MustRun(t, env, string(r.message), perl, script)), "\n")
		if (out[0] == "failure") != (r.kind == "Failure") {
			t.Errorf("%s: a report of kind %s was read as %q", r.name, r.kind, out)
		}
		if w := want[r.name]; w != "" && !slices.Contains(out, w) {
			t.Errorf("%s: read as %q, want %q", r.name, out, w)
		}
		delete(want, r.name)
		if strings.HasPrefix(r.name, "why-") && (len(out) != 2 || !strings.HasPrefix(out[1], "bob@example.org failed ")) {
			t.Errorf("%s: read as %q", r.name, out)
		}
	}
	if len(want) > 0 {
		t.Errorf("not among the reports: %v", want)
	}
}
