package spooltest

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/spool"
)

// find returns the ids of all pages, in their order.
func (f *fixture) find(q spool.Query, n int) (ids []mail.QueueID) {
	f.Helper()
	for cursor := spool.Cursor(0); ; {
		page, next, err := f.Search(background, q, cursor, n)
		f.must(err)
		if n > 0 && len(page) > n {
			f.Fatalf("%d entries where %d were asked for", len(page), n)
		}
		for _, e := range page {
			ids = append(ids, e.Envelope.ID)
			if len(e.Recipients) != len(e.Envelope.Recipients) {
				f.Errorf("%d states of %d recipients", len(e.Recipients), len(e.Envelope.Recipients))
			}
		}
		if next == 0 {
			return ids
		}
		if cursor != 0 && next >= cursor {
			f.Fatalf("cursor %v after %v", next, cursor)
		}
		cursor = next
	}
}

// corpus commits a few messages of different kinds.
func (f *fixture) corpus() map[string]mail.QueueID {
	now := time.Now().Truncate(time.Millisecond).UTC()
	old := Envelope("news@example.com", "Anna@Example.org", "otto@example.net")
	old.Arrived = now.Add(-48 * time.Hour)
	old.Peer, old.PeerName, old.Account = netip.MustParseAddr("192.0.2.7"), "web.example.com", "web"
	ids := map[string]mail.QueueID{
		"old":      f.put([]byte("1"), old),
		"null":     f.put([]byte("2"), Envelope("", "anna@example.org")),
		"held":     f.put([]byte("3"), Envelope("shop@example.com", "max@sub.example.org")),
		"deferred": f.put([]byte("4"), Envelope("shop@example.com", "anna@example.org", "done@example.test")),
	}
	f.report(
		mail.Change{ID: ids["held"], Kind: mail.ChangeHold},
		mail.Change{ID: ids["deferred"], Rcpt: 0, Kind: mail.ChangeDefer, Attempts: 1, Reply: mail.NewReply(450, mail.EnhancedCode{}, "later"), Host: "mx"},
		mail.Change{ID: ids["deferred"], Rcpt: 1, Kind: mail.ChangeDone},
	)
	return ids
}

type searchTest struct {
	name string
	q    spool.Query
	want []string // newest first
}

// searchAll runs the tests, again after the store was opened anew.
func (f *fixture) searchAll(tests []searchTest, ids map[string]mail.QueueID) {
	f.Helper()
	for range 2 {
		for _, tt := range tests {
			var want []mail.QueueID
			for _, w := range tt.want {
				want = append(want, ids[w])
			}
			f.equal(tt.name, f.find(tt.q, 0), want)
			f.equal(tt.name+", one a page", f.find(tt.q, 1), want)
		}
		f.reopen()
	}
}

func testSearch(t *testing.T, f *fixture) {
	ids := f.corpus()
	now := time.Now()
	tests := []searchTest{
		{"all", spool.Query{}, []string{"deferred", "held", "null", "old"}},
		{"id", spool.Query{IDs: []mail.QueueID{ids["null"], ids["old"], 1, ids["null"]}}, []string{"null", "old"}},
		{"sender", spool.Query{Sender: "SHOP@example.com"}, []string{"deferred", "held"}},
		{"sender's domain", spool.Query{Sender: "*@example.com"}, []string{"deferred", "held", "old"}},
		{"null sender", spool.Query{Sender: "<>"}, []string{"null"}},
		{"recipient", spool.Query{Recipient: "anna@*"}, []string{"deferred", "null", "old"}},
		{"domain", spool.Query{Domain: "example.org"}, []string{"deferred", "null", "old"}},
		{"domains below", spool.Query{Domain: "*.example.org"}, []string{"held"}},
		{"a recipient that is done", spool.Query{Domain: "example.test"}, nil},
		{"the same, asked for", spool.Query{Domain: "example.test", States: []spool.State{spool.Done}}, []string{"deferred"}},
		{"state", spool.Query{States: []spool.State{spool.Held, spool.Deferred}}, []string{"deferred", "held"}},
		{"state and domain of different recipients", spool.Query{Domain: "example.test", States: []spool.State{spool.Deferred}}, nil},
		{"before", spool.Query{Before: now.Add(-time.Hour)}, []string{"old"}},
		{"after", spool.Query{After: now.Add(-time.Hour)}, []string{"deferred", "held", "null"}},
		{"client", spool.Query{Client: "192.0.2.*"}, []string{"old"}},
		{"client's name", spool.Query{Client: "*.example.com"}, []string{"old"}},
		{"account", spool.Query{Account: "web"}, []string{"old"}},
		{"reply", spool.Query{Reply: "450*LATER"}, []string{"deferred"}},
		{"larger", spool.Query{Larger: 1}, nil},
		{"smaller", spool.Query{Smaller: 2}, []string{"deferred", "held", "null", "old"}},
		{"all at once", spool.Query{Account: "web", Sender: "news@*", Domain: "example.net", Recipient: "otto@*"}, []string{"old"}},
		{"recipient and domain of different recipients", spool.Query{Recipient: "anna@*", Domain: "example.net"}, nil},
	}
	f.searchAll(tests, ids)
	page, _, err := f.Search(background, spool.Query{IDs: []mail.QueueID{ids["deferred"]}}, 0, 0)
	f.must(err)
	f.equal("recipients", page[0].Recipients, f.status(ids["deferred"]))
	f.equal("reply", page[0].Recipients[0].Reply.Text, "later")

	ctx, cancel := context.WithCancel(background)
	cancel()
	if _, _, err := f.Search(ctx, spool.Query{Sender: "x@*"}, 0, 0); err == nil {
		t.Error("a search whose context is done has succeeded")
	}
}

// testSearchTexts is for what messages and replies say, and for sizes.
func testSearchTexts(t *testing.T, f *fixture) {
	put := func(size int, id, subject string, rcpts ...string) mail.QueueID {
		env := Envelope("shop@example.com", rcpts...)
		env.Content = mail.Content{Size: int64(size), MessageID: id, Subject: subject}
		return f.put(Message(1, size), env)
	}
	ids := map[string]mail.QueueID{
		"old":      put(1000, "<17.W@Example.com>", "Weekly *NEWS*", "anna@example.org", "otto@example.net"),
		"word":     put(20, "<word@example.com>", "=?iso-8859-1?q?Unzustellbar:_Gr=FC=DFe?=", "anna@example.org"),
		"utf8":     put(3, "<utf8@example.com>", "Grüße aus Köln", "max@sub.example.org"),
		"deferred": put(4, "no brackets", "Gr\xfc\xdfe", "anna@example.org", "done@example.test", "otto@example.net"),
	}
	deferred := func(id string, rcpt int, r mail.Reply) mail.Change {
		return mail.Change{ID: ids[id], Rcpt: rcpt, Kind: mail.ChangeDefer, Attempts: 1, Reply: r, Host: "mx"}
	}
	f.report(
		deferred("deferred", 0, mail.NewReply(450, mail.EnhancedCode{}, "later")),
		mail.Change{ID: ids["deferred"], Rcpt: 1, Kind: mail.ChangeDone},
		deferred("deferred", 2, mail.NewReply(451, mail.Enhanced(4, 7, 1), "Greylisted,\nTry Again")),
		deferred("old", 1, mail.NewReply(451, mail.Enhanced(4, 7, 1), "Greylisted")),
	)
	tests := []searchTest{
		{"subject", spool.Query{Subject: "weekly *"}, []string{"old"}},
		{"not the whole subject", spool.Query{Subject: "Weekly"}, nil},
		{"a subject in UTF-8, in an encoded-word and in Windows-1252", spool.Query{Subject: "*grüße*"}, []string{"deferred", "utf8", "word"}},
		{"a subject as it was sent", spool.Query{Subject: "=?ISO-8859-1?*"}, []string{"word"}},
		{"only ASCII case is folded", spool.Query{Subject: "*GRÜßE*"}, nil},
		{"Message-ID", spool.Query{MessageID: "<17.w@example.COM>"}, []string{"old"}},
		{"Message-ID without brackets", spool.Query{MessageID: "17.w@example.com"}, []string{"old"}},
		{"a part of a Message-ID", spool.Query{MessageID: "*@example.com"}, []string{"utf8", "word", "old"}},
		{"a Message-ID that has no brackets", spool.Query{MessageID: "no *s"}, []string{"deferred"}},
		{"reply", spool.Query{Reply: "greylisted"}, []string{"old"}},
		{"a part of a reply", spool.Query{Reply: "*TED*"}, []string{"deferred", "old"}},
		{"a part of a later line", spool.Query{Reply: "*try again"}, []string{"deferred"}},
		{"a reply with its codes", spool.Query{Reply: "451 4.7.1 *"}, []string{"deferred", "old"}},
		{"lines joined", spool.Query{Reply: "* / try*"}, []string{"deferred"}},
		{"any reply", spool.Query{Reply: "*"}, []string{"deferred", "old"}},
		{"reply and recipient of different recipients", spool.Query{Reply: "later", Recipient: "otto@*"}, nil},
		{"reply and domain of one recipient", spool.Query{Reply: "grey*", Domain: "example.net"}, []string{"deferred", "old"}},
		{"reply and state", spool.Query{Reply: "*", States: []spool.State{spool.Waiting}}, nil},
		{"larger", spool.Query{Larger: 19}, []string{"word", "old"}},
		{"larger is more", spool.Query{Larger: 20}, []string{"old"}},
		{"smaller is fewer", spool.Query{Smaller: 20}, []string{"deferred", "utf8"}},
		{"between", spool.Query{Larger: 3, Smaller: 1000}, []string{"deferred", "word"}},
		{"all of it", spool.Query{Subject: "gr*", MessageID: "*brackets", Reply: "*list*", Larger: 3, Smaller: 5, Domain: "*.net"}, []string{"deferred"}},
	}
	f.searchAll(tests, ids)

	n, err := f.Change(background, spool.Selection{Query: spool.Query{Reply: "*greylisted*"}}, spool.Action{Kind: spool.Hold})
	f.must(err)
	f.equal("held by their replies", n, 2)
	n, err = f.Change(background, spool.Selection{Query: spool.Query{Subject: "*grüße*", Smaller: 20}}, spool.Action{Kind: spool.Delete})
	f.must(err)
	f.equal("deleted by subject and size", n, 3)
	f.gone(ids["deferred"])
	f.equal("replies of what was held", f.find(spool.Query{Reply: "*"}, 0), []mail.QueueID{ids["old"]})
}

func testSearchPages(t *testing.T, f *fixture) {
	var want []mail.QueueID
	for i := range 100 {
		id := f.put(nil, Envelope(fmt.Sprintf("s%d@example.com", i%2), fmt.Sprintf("r%d@d%d.test", i, i%7)))
		if i%2 == 0 && i%7 == 0 {
			want = append(want, id)
		}
	}
	slices.Reverse(want)
	for _, n := range []int{0, 1, 2, 3, 50} {
		f.equal(fmt.Sprintf("pages of %d", n), f.find(spool.Query{Sender: "s0@*", Domain: "d0.test"}, n), want)
	}
}

func testChangeActions(t *testing.T, f *fixture) {
	ids := f.corpus()
	var seen []mail.Change
	do := func(q spool.Query, kind spool.ActionKind, want int) {
		t.Helper()
		seen = nil
		n, err := f.Change(background, spool.Selection{Query: q}, spool.Action{Kind: kind, Each: func(c []mail.Change) { seen = append(seen, c...) }})
		f.must(err)
		f.equal("touched", n, want)
	}
	state := func(name string, want ...spool.State) {
		t.Helper()
		for range 2 {
			var got []spool.State
			for _, s := range f.status(ids[name]) {
				got = append(got, s.State)
			}
			f.equal("states of "+name, got, want)
			f.reopen()
		}
	}
	do(spool.Query{Domain: "example.org"}, spool.Hold, 3)
	f.equal("changes", len(seen), 3)
	state("old", spool.Held, spool.Waiting)
	state("deferred", spool.Held, spool.Done)
	do(spool.Query{Domain: "example.org"}, spool.Hold, 0)
	do(spool.Query{IDs: []mail.QueueID{ids["old"], ids["null"]}}, spool.Release, 2)
	state("old", spool.Waiting, spool.Waiting)

	// Retry releases, and keeps attempts and reply.
	due := time.Now().Add(time.Hour)
	f.report(mail.Change{ID: ids["deferred"], Kind: mail.ChangeDefer, Attempts: 4, Due: due})
	do(spool.Query{IDs: []mail.QueueID{ids["deferred"]}}, spool.Retry, 1)
	f.equal("changes", seen, []mail.Change{
		{ID: ids["deferred"], Kind: mail.ChangeRelease},
		{ID: ids["deferred"], Kind: mail.ChangeDefer, Attempts: 4},
	})
	state("deferred", spool.Deferred, spool.Done)
	s := f.status(ids["deferred"])[0]
	if !s.Due.IsZero() || s.Attempts != 4 || s.Reply.Text != "later" {
		t.Errorf("after the retry: %+v", s)
	}

	do(spool.Query{Recipient: "otto@*"}, spool.Delete, 1)
	state("old", spool.Waiting, spool.Done)
	do(spool.Query{IDs: []mail.QueueID{ids["old"]}}, spool.Delete, 1)
	f.gone(ids["old"])
	f.reopen()
	f.gone(ids["old"])
}

func testChangeSelection(t *testing.T, f *fixture) {
	f.corpus()
	change := func(sel spool.Selection, kind spool.ActionKind) int {
		t.Helper()
		n, err := f.Change(background, sel, spool.Action{Kind: kind})
		f.must(err)
		return n
	}
	f.equal("the zero selection", change(spool.Selection{}, spool.Delete), 0)
	if _, err := f.Change(background, spool.Selection{All: true}, spool.Action{}); err == nil {
		t.Error("an unknown action was taken")
	}
	f.equal("all", change(spool.Selection{All: true}, spool.Hold), 4)
	f.equal("all", change(spool.Selection{All: true}, spool.Delete), 5)
	f.equal("messages", f.Stats().Messages, int64(0))
}
