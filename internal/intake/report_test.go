package intake

import (
	"errors"
	"strings"
	"testing"

	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/report"
)

// R10: a report has the null reverse-path and asks for no report itself.
func TestReportR10(t *testing.T) {
	var st store
	tx, err := New(st.options()).BeginReport(t.Context(), addr("fred@example.org"), 77, true)
	if err != nil {
		t.Fatal(err)
	}
	if got := rcpt(t, tx, "copy"); got != "copy@example.com" {
		t.Error(got)
	}
	if _, err := tx.Write([]byte("Subject: x\r\n\r\nbody\r\n")); err != nil {
		t.Fatal(err)
	}
	a, err := tx.Commit(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	env := st.env
	if !env.Sender.Addr.IsNull() || !env.Sender.UTF8 || env.Original != 77 || env.Source != mail.SourceReport ||
		len(env.Recipients) != 2 || env.Recipients[0].Notify != mail.NotifyNever || env.Peer.IsValid() {
		t.Errorf("%+v", env)
	}
	got := st.body.String()
	if !strings.HasPrefix(got, "Received: by relay.example.com\r\n\tid ") || !a.OwnID || !strings.Contains(got, "\r\nDate: ") {
		t.Errorf("%+v, stored %q", a, got)
	}
	st = store{beginErr: errors.New("closed")}
	if _, err := New(st.options()).BeginReport(t.Context(), addr("a@b"), 1, false); mail.ReplyOf(err).Code != 451 {
		t.Error(err)
	}
}

// A report goes through the door like any message: what report composes is stored as it is,
// behind our fields, and the scanner finds its header.
func TestComposedReport(t *testing.T) {
	var st store
	in := New(st.options())
	if _, err := send(t, st.options(), client(), mail.Sender{Addr: addr("fred@example.org")}, message1, 0, "bob@example.net"); err != nil {
		t.Fatal(err)
	}
	original, body := st.env, st.body.String()
	tx, err := in.BeginReport(t.Context(), original.Sender.Addr, original.ID, false)
	if err != nil {
		t.Fatal(err)
	}
	r := &report.Report{
		Kind: report.Failure, Env: original, Body: strings.NewReader(body), Time: original.Arrived,
		Results: []mail.Result{{Outcome: mail.Failed, Reply: mail.NewReply(550, mail.Enhanced(5, 1, 1), "no such user")}},
	}
	o := &report.Options{FQDN: "relay.example.com", From: addr("postmaster@example.com"), MaxOriginal: 1 << 20}
	if err := report.Compose(tx, o, r); err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	c := &st.env.Content
	got := st.body.String()
	if c.Subject != "Delivery Status Notification (Failure)" || !c.OwnID || c.Hops != 0 || c.HeaderLen == 0 ||
		!strings.HasSuffix(got[:c.HeaderLen], "\r\n\r\n") || strings.Count(got[:c.HeaderLen], "\r\nDate: ") != 1 ||
		strings.Count(got[:c.HeaderLen], "\r\nMessage-ID: ") != 1 {
		t.Errorf("%+v %q", c, got[:c.HeaderLen])
	}
	if !strings.Contains(got, body) {
		t.Error("the original is not in the report")
	}
}
