package spooltest

import (
	"strings"
	"testing"
	"time"

	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/spool"
)

// testChangeRoute: the next hop that an operator sets is kept over attempts, holds and openings until it is
// taken back or the recipient is done.
func testChangeRoute(t *testing.T, f *fixture) {
	const to = "[192.0.2.1]:2525"
	id := f.put([]byte("x"), Envelope("a@example.com", "r0@example.org", "r1@example.org", "r2@example.org"))
	var seen []mail.Change
	act := func(a spool.Action, want int) {
		t.Helper()
		seen = nil
		a.Each = func(c []mail.Change) { seen = append(seen, c...) }
		n, err := f.Change(background, spool.Selection{Query: spool.Query{IDs: []mail.QueueID{id}}}, a)
		f.must(err)
		f.equal("touched", n, want)
	}
	routes := func(want ...string) {
		t.Helper()
		for range 2 {
			for i, s := range f.status(id) {
				f.equal("route", s.Route, want[i])
			}
			f.reopen()
		}
		for _, p := range f.load(10) {
			f.equal("route as loaded", p.Route, want[p.Rcpt])
		}
	}
	due := time.Now().Add(time.Hour).Truncate(time.Millisecond).UTC()
	f.report(
		mail.Change{ID: id, Rcpt: 0, Kind: mail.ChangeDefer, Due: due, Attempts: 3},
		mail.Change{ID: id, Rcpt: 1, Kind: mail.ChangeHold},
	)
	act(spool.Action{Kind: spool.Reroute, Route: to, Pick: func(got mail.QueueID, rcpt int) bool { return got == id && rcpt != 2 }}, 2)
	f.equal("changes", seen, []mail.Change{
		{ID: id, Rcpt: 0, Kind: mail.ChangeRoute, Route: to},
		{ID: id, Rcpt: 0, Kind: mail.ChangeDefer, Attempts: 3},
		{ID: id, Rcpt: 1, Kind: mail.ChangeRoute, Route: to},
	})
	routes(to, to, "")
	act(spool.Action{Kind: spool.Reroute, Route: to}, 1) // those that have it are left as they are
	f.report(
		mail.Change{ID: id, Rcpt: 0, Kind: mail.ChangeDefer, Due: due, Attempts: 4, Reply: mail.NewReply(450, mail.EnhancedCode{}, "later"), Host: "mx"},
		mail.Change{ID: id, Rcpt: 1, Kind: mail.ChangeRelease},
	)
	routes(to, to, to)
	s := f.status(id)[0]
	f.equal("the rest", s, spool.RecipientStatus{State: spool.Deferred, Attempts: 4, Due: due, Reply: s.Reply, Host: "mx", Route: to})
	f.report(mail.Change{ID: id, Rcpt: 1, Kind: mail.ChangeRoute}, mail.Change{ID: id, Rcpt: 2, Kind: mail.ChangeRoute, Route: "other.example.net:26"})
	routes(to, "", "other.example.net:26")
	f.report(mail.Change{ID: id, Rcpt: 0, Kind: mail.ChangeRoute, Route: strings.Repeat("x", mail.MaxRoute+1)}) // no route
	routes(to, "", "other.example.net:26")
	if _, err := f.Change(background, spool.Selection{All: true}, spool.Action{Kind: spool.Reroute, Route: strings.Repeat("x", mail.MaxRoute+1)}); err == nil {
		t.Error("a route without end was taken")
	}
	f.report(mail.Change{ID: id, Rcpt: 0, Kind: mail.ChangeDone})
	f.reopen()
	f.equal("after one is done", f.load(10)[1].Route, "other.example.net:26")
	f.report(mail.Change{ID: id, Rcpt: 1, Kind: mail.ChangeDone}, mail.Change{ID: id, Rcpt: 2, Kind: mail.ChangeDone})
	f.gone(id)
}
