package service

import (
	"strings"
	"testing"

	"github.com/mailroot/mailroot/internal/mail"
)

// TestSilentFailureIsLogged: a failure that nobody wants to be told of is one line of the log, and no message.
func TestSilentFailureIsLogged(t *testing.T) {
	svc, _, log := started(t, "")
	env := &mail.Envelope{ID: 77, Sender: mail.Sender{Addr: mail.Address{Local: "a", Domain: "corp.test"}}, Recipients: []mail.Recipient{
		{Addr: mail.Address{Local: "b", Domain: "far.test"}, Notify: mail.NotifyNever}, {Addr: mail.Address{Local: "c", Domain: "far.test"}, Notify: mail.NotifySuccess},
	}}
	reply := mail.NewReply(550, mail.Enhanced(5, 1, 1), "No such user")
	failed := []mail.Result{{ID: 77, Outcome: mail.Failed, Reply: reply}, {ID: 77, Rcpt: 1, Outcome: mail.Failed, Reply: reply}}
	if err := svc.servers[0].report(t.Context(), env, failed); err != nil {
		t.Fatal(err)
	}
	lines := log.lines("nobody wants to be told")
	if len(lines) != 1 || !strings.Contains(lines[0], env.ID.String()) || !strings.Contains(lines[0], "recipients=2") || !strings.Contains(lines[0], "No such user") {
		t.Errorf("%q", lines)
	}
	if r := svc.servers[0].Reports(); r.Failure != 0 || r.Badmail != 0 {
		t.Errorf("%+v", r)
	}
	if err := svc.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}
