package report

import (
	"strings"
	"testing"

	words "github.com/mailroot/mailroot/internal/mail"
)

// givenUp is the result of a recipient that was tried until its time was over.
func givenUp(host string, cause words.Reply) words.Result {
	return words.Result{
		Outcome: words.Failed, Ours: true, Host: host, Cause: cause,
		Reply: words.NewReply(451, words.Enhanced(4, 4, 7), "Message given up: not delivered in 48 attempts; last reply: "+cause.String()),
	}
}

// reasons are the failures that people meet most, each with a golden file.
func reasons() []testCase {
	said := func(code int, e words.EnhancedCode, text string) words.Result {
		return words.Result{Outcome: words.Failed, Host: "mx.example.org", Reply: words.NewReply(code, e, text)}
	}
	ours := func(code int, e words.EnhancedCode, text string) words.Result {
		return words.Result{Outcome: words.Failed, Ours: true, Reply: words.NewReply(code, e, text)}
	}
	var out []testCase
	for _, c := range []struct {
		name string
		res  words.Result
	}{
		{"relay-denied", said(550, words.Enhanced(5, 7, 1), "Unable to relay for bob@example.org")},
		{"no-such-domain", ours(550, words.Enhanced(5, 1, 2), "The domain example.org does not exist")},
		{"null-mx", ours(556, words.Enhanced(5, 1, 10), "The domain example.org takes no mail (null MX)")},
		{"unreachable", givenUp("", words.NewReply(451, words.Enhanced(4, 4, 1), "No connection to mx.example.org (192.0.2.25:25): connection refused"))},
		{"tls-required", givenUp("", words.NewReply(451, words.Enhanced(4, 7, 4), "The server does not offer STARTTLS, which is required"))},
		{"tls-asked", givenUp("mx.example.org", words.NewReply(530, words.Enhanced(5, 7, 0), "Must issue a STARTTLS command first"))},
		{"too-large", said(552, words.Enhanced(5, 3, 4), "Message size exceeds fixed maximum message size")},
		{"too-large-for-mailbox", said(552, words.Enhanced(5, 2, 3), "Message too large for this mailbox")},
		{"mailbox-full", givenUp("mx.example.org", words.NewReply(452, words.Enhanced(4, 2, 2), "Over quota"))},
		{"loop", ours(554, words.Enhanced(5, 4, 6), "Hop count exceeded - possible mail loop: 16 Received fields, the limit is 15")}, // R8
		{"no-smtputf8", ours(553, words.Enhanced(5, 6, 7), "The server does not offer SMTPUTF8, which an address of this message needs")},
		{"log-on", givenUp("smtp.example.org", words.NewReply(530, words.Enhanced(5, 7, 57), "Client not authenticated to send mail"))},
		{"account-refused", givenUp("smtp.example.org", words.NewReply(535, words.Enhanced(5, 7, 8), "Authentication credentials invalid"))},
		{"send-as-denied", said(554, words.Enhanced(5, 2, 252), "SendAsDenied; fred@example.com not allowed to send as boss@example.com")},
		{"content-refused", said(554, words.Enhanced(5, 7, 0), "The content looks like spam")},
		{"sender-not-proved", said(550, words.Enhanced(5, 7, 26), "Unauthenticated mail from example.com is not accepted\nsee DMARC")},
	} {
		r := failure(original)
		r.Results = []words.Result{c.res}
		out = append(out, testCase{"why-" + c.name, r, options()})
	}
	return out
}

// What was given up is explained by its last attempt, and the postmaster is told what to do about accounts.
func TestReasons(t *testing.T) {
	for name, want := range map[string][]string{
		"why-unreachable":     {"as often as is set", "could not be reached", "connection refused"},
		"why-mailbox-full":    {"mailbox is full"},
		"why-tls-asked":       {"must travel encrypted"},
		"why-log-on":          {"add a remote domain with authentication, or correct the account"},
		"why-account-refused": {"add a remote domain with authentication, or correct the account"},
		"why-relay-denied":    {"speaks of relaying"},
		"why-loop":            {"went round in a loop"},
	} {
		for _, tc := range reasons() {
			if tc.name != name {
				continue
			}
			text := strings.Join(strings.Fields(compose(t, tc.o, tc.r)), " ")
			for _, w := range want {
				if !strings.Contains(text, w) {
					t.Errorf("%s does not say %q", name, w)
				}
			}
		}
	}
	basic := words.NewReply(550, words.Enhanced(5, 7, 30), "Basic authentication is not supported for Client Submission.")
	if reasonOf(basic) == reasonOf(words.NewReply(550, words.Enhanced(5, 7, 30), "REQUIRETLS support required")) {
		t.Error("an account that is refused is explained as missing TLS")
	}
}
