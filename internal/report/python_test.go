package report

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// script prints what Python's email package finds in the report on its standard input.
const script = `
import email, email.policy, json, sys
data = sys.stdin.buffer.read()
m = email.message_from_bytes(data, policy=email.policy.SMTPUTF8)
# Raw UTF-8 in a header is only read right from text.
h = email.message_from_string(data.decode("utf-8", "surrogateescape"), policy=email.policy.SMTPUTF8)
parts = m.get_payload()
status = parts[1]
text = status.as_bytes(policy=email.policy.SMTPUTF8)
# message/global-delivery-status is not known to the package: its groups are read here.
groups = status.get_payload() if status.get_content_type() == "message/delivery-status" else [
    email.message_from_bytes(g + b"\r\n\r\n", policy=email.policy.SMTPUTF8)
    for g in text.split(b"\r\n\r\n")[1:] if g.strip()]
print(json.dumps({
    "type": m.get_content_type(),
    "from": m["from"].addresses[0].addr_spec,
    "to": h["to"].addresses[0].addr_spec,
    "subject": str(m["subject"]),
    "auto": m["auto-submitted"],
    "date": m["date"].datetime.isoformat(),
    "parts": [p.get_content_type() for p in parts],
    "text": parts[0].get_content(),
    "status": [{k.lower(): " ".join(str(v).split()) for k, v in g.items()} for g in groups],
    "defects": [repr(d) for p in [m, *parts] for d in p.defects],
}))
`

type seen struct {
	Type, From, To, Subject, Auto, Date, Text string
	Parts, Defects                            []string
	Status                                    []map[string]string
}

func python(t *testing.T, msg string) seen {
	t.Helper()
	exe, err := exec.LookPath("python3")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("python3 is needed for this test:", err)
		}
		t.Skip("python3 is not installed; its email package reads the reports here")
	}
	cmd := exec.CommandContext(t.Context(), exe, "-c", script)
	cmd.Stdin = strings.NewReader(msg)
	cmd.Env = append(os.Environ(), "PYTHONIOENCODING=utf-8")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, stderr.String())
	}
	var s seen
	if err := json.Unmarshal(out, &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// Python's email package, which many programs that read reports are built on, finds in each
// what was put in.
func TestPythonReadsReports(t *testing.T) {
	type rcpt = map[string]string
	want := map[string]struct {
		status    string
		recipient []rcpt // some of the fields
	}{
		"failure": {"failed", []rcpt{{"final-recipient": "rfc822; bob@example.org", "status": "5.1.1", "remote-mta": "dns; mx.example.org",
			"diagnostic-code": "smtp; 550 5.1.1 <bob@example.org>: user unknown", "last-attempt-date": "Thu, 6 Jun 2013 13:16:54 +0000"}}},
		"failure-dsn": {"failed", []rcpt{{"original-recipient": "rfc822; Bob+x@alias.example", "final-recipient": "rfc822; bob@example.org"}}},
		"failure-several": {"failed", []rcpt{
			{"final-recipient": "rfc822; bob@example.org", "status": "5.1.1"},
			{"final-recipient": "rfc822; ann@down.example", "status": "4.4.1", "diagnostic-code": "X-Mailroot; 451 4.4.1 no connection: connection refused"},
			{"final-recipient": `rfc822; "a b"@example.net`, "status": "5.0.0", "remote-mta": "dns; [192.0.2.9]",
				"diagnostic-code": "smtp; 554 Transaction failed see https://example.net/help or call"},
			{"final-recipient": "rfc822; joe@example.net", "status": "5.1.10"}}},
		"failure-headers":      {"failed", []rcpt{{"status": "5.1.1"}}},
		"failure-hostile":      {"failed", []rcpt{{"status": "5.7.1"}}},
		"failure-utf8":         {"failed", []rcpt{{"final-recipient": "utf-8; bøb@exämple.org"}}},
		"failure-utf8-headers": {"failed", []rcpt{{"final-recipient": "rfc822; bob@example.org"}}},
		"failure-no-original":  {"failed", []rcpt{{"status": "5.1.1"}}},
		"delay":                {"delayed", []rcpt{{"status": "4.2.2", "will-retry-until": "Sat, 8 Jun 2013 13:16:54 +0000"}}},
		"delay-waiting": {"delayed", []rcpt{
			{"status": "4.4.5", "diagnostic-code": "X-Mailroot; 451 4.4.5 The message waits its turn and was not tried yet", "last-attempt-date": ""},
			{"final-recipient": "rfc822; ann@example.net", "status": "4.0.0", "diagnostic-code": ""}}},
		"success": {"delivered", []rcpt{{"status": "2.0.0"}}},
		"relayed": {"relayed", []rcpt{{"status": "2.0.0"}}},
	}
	for _, tc := range cases() {
		s := python(t, compose(t, tc.o, tc.r))
		w, ok := want[tc.name]
		if strings.HasPrefix(tc.name, "why-") {
			r := &tc.r.Results[0]
			diagnostic := "smtp; " + r.Reply.String()
			if r.Ours {
				diagnostic = "X-Mailroot; " + r.Reply.String()
			}
			w.status, ok = "failed", true
			w.recipient = []rcpt{{"final-recipient": "rfc822; bob@example.org", "status": r.Reply.Enhanced.String(),
				"diagnostic-code": strings.ReplaceAll(diagnostic, " / ", " ")}}
		}
		if !ok {
			t.Errorf("%s: nothing is said of what it must hold", tc.name)
			continue
		}
		if len(s.Defects) != 0 {
			t.Errorf("%s: defects %v", tc.name, s.Defects)
		}
		if s.Type != "multipart/report" || s.From != "postmaster@example.com" || s.To != tc.r.Env.Sender.Addr.String() ||
			s.Auto != "auto-replied" || s.Date != "2013-06-06T13:16:54+00:00" || !strings.HasPrefix(s.Subject, "Delivery Status Notification (") {
			t.Errorf("%s: %+v", tc.name, s)
		}
		if len(s.Status) != 1+len(w.recipient) {
			t.Errorf("%s: %d groups of fields: %v", tc.name, len(s.Status), s.Status)
			continue
		}
		if got := s.Status[0]["reporting-mta"]; got != "dns; relay.example.com" {
			t.Errorf("%s: reporting-mta %q", tc.name, got)
		}
		if got := s.Status[0]["original-envelope-id"]; tc.name == "failure-dsn" && got != "QQ+314159" {
			t.Errorf("%s: envelope id %q", tc.name, got)
		}
		for i, r := range w.recipient {
			got := s.Status[i+1]
			if got["action"] != w.status {
				t.Errorf("%s: action %q", tc.name, got["action"])
			}
			for k, v := range r {
				if d := cmp.Diff(v, got[k]); d != "" {
					t.Errorf("%s: %s: %s", tc.name, k, d)
				}
			}
		}
		for i := range tc.r.Results {
			if a := tc.r.recipient(i).Addr.String(); !strings.Contains(s.Text, a) {
				t.Errorf("%s: %s is not in the text for people: %q", tc.name, a, s.Text)
			}
		}
	}
}
