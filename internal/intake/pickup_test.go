package intake

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mailroot/mailroot/internal/mail"
)

// A file of the pickup directory is a submission of nobody in particular, and the queue hears of it when it is told.
func TestPickup(t *testing.T) {
	var st store
	tx, err := New(st.options()).BeginPickup(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if tx.ID() != testID {
		t.Errorf("id %v", tx.ID())
	}
	tx.From(mail.Sender{Addr: addr("cron"), Body: mail.Body8BitMIME})
	for in, want := range map[string]string{"root": "root@example.com", "x@alias.example": "x@example.com"} {
		if got := rcpt(t, tx, in); got != want {
			t.Errorf("%s became %s, want %s", in, got, want)
		}
	}
	// R8: what came before counts; our own field does not.
	if _, err := tx.Write([]byte(strings.Repeat("Received: x\r\n", 16) + "Subject: x\r\n\r\nbody\r\n")); err != nil {
		t.Fatal(err)
	}
	a, err := tx.Commit(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"begin", "commit"}, st.calls); d != "" {
		t.Error(d)
	}
	tx.Enqueue()
	if d := cmp.Diff([]string{"begin", "commit", "enqueue"}, st.calls); d != "" {
		t.Error(d)
	}
	env := st.env
	if env.Source != mail.SourcePickup || env.Sender.Addr.String() != "cron@example.com" || env.Peer.IsValid() || env.Protocol != "" || env.Content.Hops != 16 {
		t.Errorf("%+v", env)
	}
	got := st.body.String()
	if !strings.HasPrefix(got, "Received: from mail pickup service by relay.example.com\r\n\tid "+testID.String()+";\r\n") ||
		!a.OwnID || !strings.Contains(got, "\r\nDate: ") {
		t.Errorf("%+v, stored %q", a, got)
	}
}

// R8, with hop_reply = "reject": refused for good, which is a reason for badmail.
func TestPickupTooManyHops(t *testing.T) {
	var st store
	o := st.options()
	o.RejectHops = true
	tx, err := New(o).BeginPickup(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	rcpt(t, tx, "a@b.example")
	if _, err := tx.Write([]byte(strings.Repeat("Received: x\r\n", 16) + "\r\n")); err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Commit(t.Context()); !mail.ReplyOf(err).Permanent() {
		t.Errorf("%v", err)
	}
}
