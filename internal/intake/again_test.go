package intake

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mailroot/mailroot/internal/mail"
)

// What comes out of badmail gets a Received field and keeps every octet, though it lacks the fields
// of a submission; its envelope is as it was.
func TestBeginAgain(t *testing.T) {
	const body = "Subject: no date, no id\r\n\r\n.text without an end"
	for _, source := range []mail.Source{mail.SourceSMTP, mail.SourceReport} {
		s := new(store)
		sender := mail.Sender{Addr: addr("a@corp.example"), Body: mail.BodyBinaryMIME, Ret: mail.RetHeaders, EnvID: "x"}
		tx, err := New(s.options()).BeginAgain(t.Context(), sender, source)
		if err != nil {
			t.Fatal(err)
		}
		to := mail.Recipient{Addr: addr("b@far.example"), Notify: mail.NotifyNever, ORcpt: "rfc822;c@d"}
		if _, err := tx.Rcpt(t.Context(), to); err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Write([]byte(body)); err != nil {
			t.Fatal(err)
		}
		if _, err := tx.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, rest := cutTrace(t, s.body.String()); rest != body {
			t.Errorf("the message became %q", rest)
		}
		if s.env.Sender != sender || s.env.Source != source || s.env.Original != 0 {
			t.Errorf("envelope %+v", s.env)
		}
		if d := cmp.Diff([]mail.Recipient{to}, s.env.Recipients); d != "" {
			t.Error(d)
		}
		if d := cmp.Diff([]string{"begin", "commit", "enqueue"}, s.calls); d != "" {
			t.Error(d)
		}
	}
}

// Addresses in an alias domain are noted for the way out only where that is asked for; the octets stay.
func TestStampHeader(t *testing.T) {
	const msg = "From: a@alias.example\r\nTo: b@far.example, c@ALIAS.example\r\nMessage-ID: <1@x>\r\nDate: x\r\n\r\nx\r\n"
	for _, on := range []bool{false, true} {
		s := new(store)
		o := s.options()
		if on {
			o.StampHeader = o.IsAlias
		}
		if _, err := send(t, o, client(), mail.Sender{Addr: addr("a@b.example")}, msg, 7, "x@y.example"); err != nil {
			t.Fatal(err)
		}
		var stamped []string
		stored := s.body.String()
		for _, e := range s.env.Content.Edits {
			if e.Kind == mail.EditAliasDomain {
				stamped = append(stamped, stored[e.Offset:e.Offset+e.Length])
			}
		}
		want := ""
		if on {
			want = "alias.example ALIAS.example"
		}
		if got := strings.Join(stamped, " "); got != want || !strings.HasSuffix(stored, msg) {
			t.Errorf("stamped %q in %q", got, stored)
		}
	}
}
