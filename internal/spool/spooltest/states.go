package spooltest

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/spool"
)

func testLoad(t *testing.T, f *fixture) {
	var want []mail.Pending
	for i := range 57 {
		env := Envelope("a@example.com", fmt.Sprintf("r@d%d.test", i%5), "s@Example.ORG")
		if i%3 == 0 {
			env.Sender.Addr = mail.Address{}
		}
		id := f.put(Message(1, i), env)
		for k, d := range []string{fmt.Sprintf("d%d.test", i%5), "example.org"} {
			want = append(want, mail.Pending{ID: id, Rcpt: k, Domain: d, Size: int64(i), Arrived: env.Arrived, Null: i%3 == 0})
		}
	}
	due := time.Now().Add(time.Hour).Truncate(time.Millisecond).UTC()
	f.report(
		mail.Change{ID: want[4].ID, Rcpt: want[4].Rcpt, Kind: mail.ChangeDefer, Due: due, Attempts: 3, Reply: mail.NewReply(450, mail.EnhancedCode{}, "x")},
		mail.Change{ID: want[7].ID, Rcpt: want[7].Rcpt, Kind: mail.ChangeHold},
		mail.Change{ID: want[8].ID, Rcpt: want[8].Rcpt, Kind: mail.ChangeDone},
		mail.Change{ID: want[4].ID, Rcpt: want[4].Rcpt, Kind: mail.ChangeNoticed},
		mail.Change{ID: want[10].ID, Rcpt: want[10].Rcpt, Kind: mail.ChangeNoticed},
	)
	want[4].Due, want[4].Attempts = due, 3
	want[7].Held = true
	want[4].Noticed, want[10].Noticed = true, true
	want = slices.Delete(want, 8, 9)
	for _, n := range []int{0, 1, 2, 3, 10, 1000} {
		f.reopen()
		f.equal(fmt.Sprintf("pages of %d", n), lower(f.load(n)), want)
	}
	f.equal("again", lower(f.load(5)), want)
	if _, _, err := f.Load(background, 12345, 0, 1); err == nil {
		t.Error("a shard that is not ours was loaded")
	}
}

// lower makes domains lower case, which a store may do itself.
func lower(p []mail.Pending) []mail.Pending {
	for i := range p {
		p[i].Domain = strings.ToLower(p[i].Domain)
	}
	return p
}

func testLoadWhileMailComesIn(t *testing.T, f *fixture) {
	var ids []mail.QueueID
	for range 10 {
		ids = append(ids, f.put(nil, Envelope("a@example.com", "b@example.org")))
	}
	f.reopen()
	f.put(nil, Envelope("a@example.com", "new@example.org"))
	page, cursor, err := f.Load(background, f.Shards()[0].ID, 0, 4)
	f.must(err)
	f.put(nil, Envelope("a@example.com", "new@example.org"))
	f.report(mail.Change{ID: ids[6], Kind: mail.ChangeDone}, mail.Change{ID: ids[0], Kind: mail.ChangeDone})
	for cursor != 0 {
		var more []mail.Pending
		more, cursor, err = f.Load(background, f.Shards()[0].ID, cursor, 4)
		f.must(err)
		page = append(page, more...)
	}
	var got []mail.QueueID
	for _, p := range page {
		got = append(got, p.ID)
	}
	f.equal("ids", got, slices.Delete(slices.Clone(ids), 6, 7))
}

func testReport(t *testing.T, f *fixture) {
	id := f.put([]byte("x"), Envelope("a@example.com", "r0@example.org", "r1@example.org", "r2@example.org", "r3@example.org"))
	due := time.Now().Add(time.Hour).Truncate(time.Millisecond).UTC()
	reply := mail.NewReply(451, mail.Enhanced(4, 7, 1), "not now\nnor soon")
	f.report(
		mail.Change{ID: id, Rcpt: 0, Kind: mail.ChangeDefer, Due: due, Attempts: 1, Reply: reply, Host: "mx.example.org"},
		mail.Change{ID: id, Rcpt: 1, Kind: mail.ChangeHold},
		mail.Change{ID: id, Rcpt: 2, Kind: mail.ChangeDone},
	)
	want := []spool.RecipientStatus{
		{Rcpt: 0, State: spool.Deferred, Attempts: 1, Due: due, Reply: reply, Host: "mx.example.org"},
		{Rcpt: 1, State: spool.Held}, {Rcpt: 2, State: spool.Done}, {Rcpt: 3, State: spool.Waiting},
	}
	step := func(what string) {
		t.Helper()
		for range 2 {
			f.equal(what, f.status(id), want)
			f.reopen()
		}
	}
	step("after the first report")
	f.equal("stats", [2]int64{f.Stats().Recipients, f.Stats().Held}, [2]int64{3, 1})

	// A defer without a reply keeps the last one; a hold keeps all.
	f.report(mail.Change{ID: id, Rcpt: 0, Kind: mail.ChangeDefer, Attempts: 2}, mail.Change{ID: id, Rcpt: 0, Kind: mail.ChangeHold})
	want[0].Attempts, want[0].Due, want[0].State = 2, time.Time{}, spool.Held
	step("defer without a reply, hold")

	// The result of an attempt that was under way when the hold came.
	reply2 := mail.NewReply(421, mail.EnhancedCode{}, strings.Repeat("long ", 2000))
	f.report(mail.Change{ID: id, Rcpt: 0, Kind: mail.ChangeDefer, Attempts: 3, Due: due, Reply: reply2, Host: "other.example.org"})
	got := f.status(id)[0]
	if len(got.Reply.Text) < 500 || !strings.HasPrefix(reply2.Text, got.Reply.Text) {
		t.Errorf("a long reply was kept as %d octets", len(got.Reply.Text))
	}
	want[0].Attempts, want[0].Due, want[0].Reply, want[0].Host = 3, due, mail.Reply{Code: 421, Text: got.Reply.Text}, "other.example.org"
	step("defer while held")

	f.report(mail.Change{ID: id, Rcpt: 0, Kind: mail.ChangeRelease}, mail.Change{ID: id, Rcpt: 1, Kind: mail.ChangeRelease})
	want[0].State, want[1].State = spool.Deferred, spool.Waiting
	step("release")

	f.report(mail.Change{ID: id, Rcpt: 2, Kind: mail.ChangeDefer, Attempts: 9}) // done is done
	step("defer of what is done")

	for i := range 4 {
		f.report(mail.Change{ID: id, Rcpt: i, Kind: mail.ChangeDone})
	}
	f.gone(id)
	f.reopen()
	f.gone(id)
	f.equal("messages", f.Stats().Messages, int64(0))
}

// testNoticed: the mark survives whatever else becomes of the recipient, and changes nothing else.
func testNoticed(t *testing.T, f *fixture) {
	id := f.put([]byte("x"), Envelope("a@example.com", "r0@example.org", "r1@example.org", "r2@example.org"))
	due := time.Now().Add(time.Hour).Truncate(time.Millisecond).UTC()
	reply := mail.NewReply(451, mail.Enhanced(4, 4, 1), "no answer")
	noticed := func(want ...bool) {
		t.Helper()
		for range 2 {
			f.reopen()
			var got []bool
			for _, p := range f.load(10) {
				got = append(got, p.Noticed)
			}
			f.equal("noticed", got, want)
		}
	}
	f.report(
		mail.Change{ID: id, Rcpt: 0, Kind: mail.ChangeDefer, Due: due, Attempts: 9, Reply: reply, Host: "mx.example.org"},
		mail.Change{ID: id, Rcpt: 0, Kind: mail.ChangeNoticed},
	)
	noticed(true, false, false)
	f.equal("status", f.status(id)[0], spool.RecipientStatus{State: spool.Deferred, Attempts: 9, Due: due, Reply: reply, Host: "mx.example.org"})
	f.report(
		mail.Change{ID: id, Rcpt: 0, Kind: mail.ChangeHold}, mail.Change{ID: id, Rcpt: 1, Kind: mail.ChangeHold},
		mail.Change{ID: id, Rcpt: 1, Kind: mail.ChangeNoticed}, mail.Change{ID: id, Rcpt: 1, Kind: mail.ChangeNoticed},
	)
	noticed(true, true, false)
	f.equal("held", f.Stats().Held, int64(2))
	f.report(
		mail.Change{ID: id, Rcpt: 0, Kind: mail.ChangeRelease}, mail.Change{ID: id, Rcpt: 1, Kind: mail.ChangeRelease},
		mail.Change{ID: id, Rcpt: 0, Kind: mail.ChangeDefer, Due: due, Attempts: 10},
	)
	noticed(true, true, false)
	f.report(mail.Change{ID: id, Rcpt: 1, Kind: mail.ChangeDone}, mail.Change{ID: id, Rcpt: 1, Kind: mail.ChangeNoticed})
	noticed(true, false)
	f.equal("done", f.status(id)[1].State, spool.Done)
}

func testReportUnknown(t *testing.T, f *fixture) {
	id := f.put([]byte("x"), Envelope("a@example.com", "b@example.org"))
	f.report(
		mail.Change{ID: id + 1, Kind: mail.ChangeDone}, mail.Change{ID: id, Rcpt: 1, Kind: mail.ChangeDone},
		mail.Change{ID: id, Rcpt: -1, Kind: mail.ChangeDone}, mail.Change{ID: id, Rcpt: 0, Kind: 99},
		mail.Change{ID: id, Rcpt: 0, Kind: mail.ChangeHold},
	)
	f.report()
	f.reopen()
	f.equal("status", f.status(id), []spool.RecipientStatus{{State: spool.Held}})
}

func testManyRecipients(t *testing.T, f *fixture) {
	const n = 5000
	var rcpts []string
	for i := range n {
		rcpts = append(rcpts, fmt.Sprintf("r%d@d%d.test", i, i%100))
	}
	id := f.put([]byte("x"), Envelope("a@example.com", rcpts...))
	var changes []mail.Change
	for i := range n {
		switch i % 3 {
		case 0:
			changes = append(changes, mail.Change{ID: id, Rcpt: i, Kind: mail.ChangeDone})
		case 1:
			changes = append(changes, mail.Change{ID: id, Rcpt: i, Kind: mail.ChangeDefer, Attempts: i, Reply: mail.NewReply(450, mail.EnhancedCode{}, fmt.Sprint("reply ", i))})
		}
	}
	f.report(changes...)
	for range 3 {
		for i, s := range f.status(id) {
			want := []spool.State{spool.Done, spool.Deferred, spool.Waiting}[i%3]
			if s.State != want || i%3 == 1 && (s.Attempts != i || s.Reply.Text != fmt.Sprint("reply ", i)) {
				t.Fatalf("recipient %d: %+v", i, s)
			}
		}
		f.reopen()
	}
	f.equal("pending", len(f.load(10)), n-(n+2)/3)
}

func testOriginal(t *testing.T, f *fixture) {
	original := f.put([]byte("the original"), Envelope("a@example.com", "b@example.org", "c@example.org"))
	report := Envelope("", "a@example.com")
	report.Original = original
	first := f.put([]byte("report 1"), report)
	second := f.put([]byte("report 2"), report)
	if first == second {
		t.Fatal("one id for two messages")
	}
	f.report(mail.Change{ID: original, Rcpt: 0, Kind: mail.ChangeDone}, mail.Change{ID: original, Rcpt: 1, Kind: mail.ChangeDone})
	for range 2 {
		f.equal("original", string(f.body(original)), "the original")
		if n := len(f.load(10)); n > 2 {
			t.Errorf("%d recipients wait, the original's among them", n)
		}
		f.reopen()
	}
	f.report(mail.Change{ID: first, Kind: mail.ChangeDone})
	f.gone(first)
	f.equal("original", string(f.body(original)), "the original")
	f.reopen()
	f.equal("original", string(f.body(original)), "the original")
	f.report(mail.Change{ID: second, Kind: mail.ChangeDone})
	f.gone(second)
	f.gone(original)
	f.reopen()
	f.gone(original)

	// A report may come to its end before its original does.
	original = f.put([]byte("another"), Envelope("a@example.com", "b@example.org", "c@example.org"))
	report.Original = original
	first = f.put([]byte("report"), report)
	f.report(mail.Change{ID: first, Kind: mail.ChangeDone})
	f.reopen()
	f.equal("original", string(f.body(original)), "another")
	f.report(mail.Change{ID: original, Rcpt: 0, Kind: mail.ChangeDone}, mail.Change{ID: original, Rcpt: 1, Kind: mail.ChangeDone})
	f.gone(original)
}

func testOpenBody(t *testing.T, f *fixture) {
	for _, size := range []int{5000, 500_000} {
		id := f.put(Message(3, size), Envelope("a@example.com", "b@example.org"))
		b, err := f.Body(background, id)
		f.must(err)
		f.report(mail.Change{ID: id, Kind: mail.ChangeDone})
		f.gone(id)
		got := make([]byte, size)
		if _, err := b.ReadAt(got, 0); err != nil {
			t.Fatalf("the message has left, and its body cannot be read: %v", err)
		}
		f.equal("body", got, Message(3, size))
		f.must(b.Close())
	}
}
