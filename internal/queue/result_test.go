package queue

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mailroot/mailroot/internal/mail"
)

var noSuchUser = mail.NewReply(550, mail.Enhanced(5, 1, 1), "No such user")

// TestSurplusRecipients: recipients beyond the limit go out at once, over a connection of their own.
func TestSurplusRecipients(t *testing.T) {
	for _, perConnection := range []int{20, 0} {
		t.Run(fmt.Sprint(perConnection), func(t *testing.T) { testSurplus(t, perConnection) })
	}
}

func testSurplus(t *testing.T, perConnection int) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(o *Options) { o.MaxRecipients, o.MessagesPerConnection = 100, perConnection })
		w.peer.pause, w.peer.idle = time.Second, time.Minute
		w.start(t)
		w.send("a", repeat("one.test", 250)...)
		synctest.Wait()
		if n := w.peer.count(w.peer.active, "one.test"); n != 3 {
			t.Errorf("%d connections at once, want 3", n)
		}
		rest(time.Second + time.Millisecond)
		var sizes []int
		runs := map[int]bool{}
		for _, b := range w.peer.list() {
			sizes = append(sizes, len(b.rcpts))
			runs[b.run] = true
		}
		slices.Sort(sizes)
		if !slices.Equal(sizes, []int{50, 100, 100}) || len(runs) != 3 {
			t.Errorf("transactions of %v recipients over %d connections", sizes, len(runs))
		}
		w.stop(t)
	})
}

// TestDropTakesAllRecipients: the limit is one of SMTP transactions; a message for Drop is one file.
func TestDropTakesAllRecipients(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(o *Options) { o.MaxRecipients = 100 })
		w.start(t)
		w.send("a", repeat("drop.test", 250)...)
		synctest.Wait()
		if b := w.peer.list(); len(b) != 1 || len(b[0].rcpts) != 250 {
			t.Errorf("%d batches: %+v", len(b), b)
		}
		w.stop(t)
	})
}

// TestOverflow: recipients that the server did not take in this transaction go at once, not counted
// as an attempt, over another connection.
func TestOverflow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.peer.answer = func(_ *mail.Hop, b *mail.Batch) []mail.Result {
			results := all(b, mail.Delivered, mail.NewReply(250, mail.EnhancedCode{}, "OK"))
			for k := range results {
				if k >= 3 {
					results[k].Outcome = mail.Overflow
					results[k].Reply = mail.NewReply(452, mail.Enhanced(4, 5, 3), "Too many recipients")
				}
			}
			if b.Attempt != 1 {
				t.Errorf("attempt %d", b.Attempt)
			}
			return results
		}
		w.start(t)
		begun := time.Now()
		id := w.send("a", repeat("one.test", 10)...)
		synctest.Wait()
		if d := time.Since(begun); d != 0 || w.store.pending() != 0 {
			t.Errorf("%d wait after %v", w.store.pending(), d)
		}
		var order []int
		for k, b := range w.peer.list() {
			if b.run != k+1 {
				t.Errorf("transaction %d is on connection %d", k+1, b.run)
			}
			order = append(order, b.rcpts...)
		}
		if want := []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 3, 4, 5, 6, 7, 8, 9, 6, 7, 8, 9, 9}; !slices.Equal(order, want) {
			t.Errorf("recipients in the order %v", order)
		}
		for rcpt := range 10 {
			if st := w.store.get(id, rcpt); st.attempts != 0 || st.dones != 1 {
				t.Errorf("recipient %d: %+v", rcpt, st)
			}
		}
		w.stop(t)
	})
}

// TestOverflowWithoutProgress does not go round for ever.
func TestOverflowWithoutProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.peer.answer = func(_ *mail.Hop, b *mail.Batch) []mail.Result {
			return all(b, mail.Overflow, mail.NewReply(452, mail.Enhanced(4, 5, 3), "Too many recipients"))
		}
		w.start(t)
		id := w.send("a", "one.test", "one.test")
		synctest.Wait()
		if n := len(w.peer.list()); n != 1 {
			t.Errorf("%d transactions", n)
		}
		if st := w.store.get(id, 0); st.attempts != 1 {
			t.Errorf("in the store: %+v", st)
		}
		w.stop(t)
	})
}

// TestFailure: several failed recipients of a batch make one report, before they are done.
func TestFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		reports := 0
		w.Queue.report = func(_ context.Context, env *mail.Envelope, failed []mail.Result) error {
			reports++
			for _, r := range failed {
				if w.store.get(env.ID, r.Rcpt).done {
					t.Errorf("recipient %d is done before its report", r.Rcpt)
				}
			}
			if len(failed) != 2 || failed[0].Rcpt != 1 || failed[1].Rcpt != 2 || failed[0].Reply != noSuchUser || failed[0].Host != "mx.test" {
				t.Errorf("report of %+v", failed)
			}
			return nil
		}
		w.peer.answer = func(_ *mail.Hop, b *mail.Batch) []mail.Result {
			results := all(b, mail.Failed, noSuchUser)
			results[0].Outcome = mail.Delivered
			return results
		}
		w.start(t)
		w.send("a", repeat("one.test", 3)...)
		synctest.Wait()
		if reports != 1 {
			t.Errorf("%d reports, want 1", reports)
		}
		if s := w.Stats(); s.Failed != 2 || s.Delivered != 1 || s.Recipients != 0 {
			t.Errorf("stats %+v", s)
		}
		w.stop(t)
	})
}

// TestReportFails: nobody is done whose failure could not be reported; it is tried again.
func TestReportFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.failReport = errors.New("the spool is full")
		w.peer.answer = func(_ *mail.Hop, b *mail.Batch) []mail.Result { return all(b, mail.Failed, noSuchUser) }
		w.start(t)
		ids := []mail.QueueID{w.send("a", "one.test"), w.send("a", "none.test")}
		synctest.Wait()
		for _, id := range ids {
			if st := w.store.get(id, 0); st.done || st.attempts != 1 || st.due.IsZero() || !st.reply.Permanent() {
				t.Errorf("in the store: %+v", st)
			}
		}
		for _, id := range ids {
			if st := w.State(id); len(st) != 1 || !strings.Contains(st[0].Reason, "the report of it could not be made: the spool is full") {
				t.Errorf("the state tells nothing of the report: %+v", st)
			}
		}
		if countOf(w.noted(), "report the spool is full") != 2 {
			t.Errorf("events %v", w.noted())
		}
		w.mu.Lock()
		w.failReport = nil
		w.mu.Unlock()
		rest(10 * time.Minute)
		for _, id := range ids {
			if n := len(w.returnedOf(id, 0)); n != 1 || !w.store.get(id, 0).done {
				t.Errorf("%d reports later, in the store %+v", n, w.store.get(id, 0))
			}
		}
		w.stop(t)
	})
}

// TestNoRoute: a domain without a route fails without a connection.
func TestNoRoute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.start(t)
		id := w.send("a", "none.test", "one.test", "none.test")
		synctest.Wait()
		for _, rcpt := range []int{0, 2} {
			if r := w.returnedOf(id, rcpt); len(r) != 1 || r[0].Reply.Code != 550 || !r[0].Ours {
				t.Errorf("recipient %d: %+v", rcpt, r)
			}
		}
		if len(w.peer.list()) != 1 || w.peer.deliveries() != 1 {
			t.Errorf("transactions %+v", w.peer.list())
		}
		w.stop(t)
	})
}

// TestNoRouteNow: another error of Route is tried again by the schedule, and ends with it.
func TestNoRouteNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(o *Options) { o.Remote.MaxAttempts = 3 })
		w.start(t)
		id := w.send("a", "later.test")
		synctest.Wait()
		if s := w.State(id); len(s) != 1 || s[0].State != Deferred || s[0].Attempts != 1 || s[0].Hop != "" {
			t.Errorf("state %+v", s)
		}
		rest(time.Hour)
		if r := w.returnedOf(id, 0); len(r) != 1 || r[0].Reply.Enhanced != mail.Enhanced(4, 4, 7) {
			t.Errorf("returned %+v", r)
		}
		w.stop(t)
	})
}

// TestR8HopCount: 15 Received fields pass, 16 do not, and that without a connection.
func TestR8HopCount(t *testing.T) {
	for _, restarted := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, func(o *Options) { o.MaxHops = 15 })
			var ids []mail.QueueID
			for _, hops := range []int{15, 16} {
				env := w.message("a", "one.test", "two.test")
				env.Content.Hops = hops
				w.store.commit(env)
				ids = append(ids, env.ID)
				if !restarted {
					w.Add(env)
				}
			}
			if restarted {
				w.restart()
			}
			w.start(t)
			synctest.Wait()
			for rcpt := range 2 {
				if w.peer.got(key{ids[0], rcpt}) != 1 {
					t.Error("15 hops do not pass")
				}
				r := w.returnedOf(ids[1], rcpt)
				if len(r) != 1 || r[0].Reply.Code != 554 || r[0].Reply.Enhanced != mail.Enhanced(5, 4, 6) || !r[0].Ours {
					t.Errorf("16 hops: %+v", r)
				}
				if !w.store.get(ids[1], rcpt).done || w.peer.got(key{ids[1], rcpt}) != 0 {
					t.Error("16 hops: not done, or delivered")
				}
			}
			w.stop(t)
		})
	}
}

// TestR10NullSender: what fails of a message with the null reverse-path goes to Report too, which ends the
// loop in Badmail, and is then done.
func TestR10NullSender(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		null := false
		w.Queue.report = func(_ context.Context, env *mail.Envelope, _ []mail.Result) error {
			null = env.Sender.Addr.IsNull()
			return nil
		}
		w.peer.answer = func(_ *mail.Hop, b *mail.Batch) []mail.Result { return all(b, mail.Failed, noSuchUser) }
		w.start(t)
		id := w.send("", "one.test")
		synctest.Wait()
		if !null || !w.store.get(id, 0).done {
			t.Errorf("null sender seen: %t, in the store %+v", null, w.store.get(id, 0))
		}
		w.stop(t)
	})
}

// TestReportMayAdd: a report of non-delivery enters the queue while it is made.
func TestReportMayAdd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		var ndr mail.QueueID
		w.Queue.report = func(context.Context, *mail.Envelope, []mail.Result) error {
			ndr = w.send("", "drop.test")
			return nil
		}
		w.peer.answer = func(hop *mail.Hop, b *mail.Batch) []mail.Result {
			if hop.Local() {
				return nil
			}
			return all(b, mail.Failed, noSuchUser)
		}
		w.start(t)
		w.send("a", "one.test")
		w.send("a", "none.test")
		synctest.Wait()
		if w.peer.got(key{ndr, 0}) != 1 || w.store.pending() != 0 {
			t.Errorf("%d wait, reports delivered %d times", w.store.pending(), w.peer.got(key{ndr, 0}))
		}
		w.stop(t)
	})
}

// TestBadDeliverer: results that are missing, doubled or strange defer, and never lose a recipient.
func TestBadDeliverer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(o *Options) {
			o.Run = func(_ context.Context, hop *mail.Hop, work mail.Work) {
				switch hop.Key {
				case "silent.test":
					return // never asks for work
				case "drops.test":
					work.Next(0) // never gives back
					return
				}
				b := work.Next(0)
				if b == nil {
					return
				}
				work.Done(b, []mail.Result{{Rcpt: 99, Outcome: mail.Delivered}, {ID: b.ID, Rcpt: 1, Outcome: mail.Delivered}, {Rcpt: 2}})
				work.Done(b, nil)
			}
		})
		w.start(t)
		silent, drops := w.send("a", "silent.test"), w.send("a", "drops.test")
		odd := w.send("a", repeat("odd.test", 3)...)
		rest(5 * time.Second)
		if s := w.State(silent); len(s) != 1 || s[0].State != Ready {
			t.Errorf("silent: %+v", s)
		}
		if s := w.State(drops); len(s) != 1 || s[0].State != Deferred || s[0].Reply != brokenOff {
			t.Errorf("drops: %+v", s)
		}
		if s := w.State(odd); len(s) != 2 || s[0].Rcpt != 0 || s[1].Rcpt != 2 || s[0].State != Deferred || s[1].State != Deferred {
			t.Errorf("odd: %+v", s)
		}
		w.stop(t)
	})
}

// TestConnectionLost: a transaction that breaks off defers its own message only, and the hop then has
// one connection until one gets through.
func TestConnectionLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		lost := mail.NewReply(451, mail.Enhanced(4, 4, 2), "Connection lost")
		w.peer.pause = time.Second
		w.peer.answer = func(_ *mail.Hop, b *mail.Batch) []mail.Result {
			results := all(b, mail.Deferred, lost)
			results[0].Ours = true
			return results
		}
		w.start(t)
		w.send("a", "one.test")
		rest(2 * time.Second)
		for range 100 {
			w.send("a", "one.test")
		}
		rest(10 * time.Second)
		if n := w.peer.count(w.peer.most, "one.test"); n != 1 {
			t.Errorf("%d connections at once, want 1", n)
		}
		if s := w.Stats(); s.Deferred < 5 || s.Ready < 80 {
			t.Errorf("%d deferred, %d ready: want each to be tried for itself", s.Deferred, s.Ready)
		}
		w.stop(t)
	})
}

// TestGoodbye: a server that says 421 to what it is asked in a transaction has its hop given a rest, as one that
// says it before. When it does so for one message alone, the others get through.
func TestGoodbye(t *testing.T) {
	closing := mail.NewReply(421, mail.Enhanced(4, 3, 2), "Closing")
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.peer.pause = 10 * time.Millisecond
		w.peer.answer = func(_ *mail.Hop, b *mail.Batch) []mail.Result { return all(b, mail.Deferred, closing) }
		w.start(t)
		for range 150 {
			w.send("a", "one.test")
		}
		rest(time.Minute)
		if n := w.peer.runs["one.test"]; n > firstWindow+goodbyes {
			t.Errorf("%d connections", n)
		}
		if s := w.Stats(); s.Deferred != 150 || countOf(w.noted(), "down one.test") != 1 || !w.Hops()[0].Down {
			t.Errorf("%d deferred, events %q, hops %+v", s.Deferred, w.noted(), w.Hops())
		}
		w.peer.obey(nil)
		rest(10 * time.Minute)
		if n := w.store.pending(); n != 0 || countOf(w.noted(), "up one.test") != 1 {
			t.Errorf("%d wait, events %q", n, w.noted())
		}
		w.stop(t)
	})
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.peer.pause = 10 * time.Millisecond
		var bad mail.QueueID
		w.peer.answer = func(_ *mail.Hop, b *mail.Batch) []mail.Result {
			if b.ID == bad {
				return all(b, mail.Deferred, closing)
			}
			return nil
		}
		w.Pause()
		w.start(t)
		bad = w.send("a", "one.test")
		for range 100 {
			w.send("a", "one.test")
		}
		w.Continue()
		rest(time.Minute)
		if n := w.store.pending(); n != 1 || len(w.noted()) != 1 { // loaded
			t.Errorf("%d wait, events %q", n, w.noted())
		}
		w.stop(t)
	})
}

// TestUnreadHere: that messages cannot be read here says nothing of the hop: each is tried again in its own time.
func TestUnreadHere(t *testing.T) {
	for _, domain := range []string{"one.test", "drop.test"} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, nil)
			w.peer.answer = func(_ *mail.Hop, b *mail.Batch) []mail.Result {
				results := all(b, mail.Deferred, mail.LocalReply(errors.New("input/output error")))
				for k := range results {
					results[k].Ours, results[k].Local, results[k].Host = true, true, ""
				}
				return results
			}
			w.start(t)
			for range 40 {
				w.send("a", domain)
			}
			rest(time.Second)
			h := w.Hops()
			if len(h) != 1 || h[0].Down || h[0].Deferred != 40 || !h[0].LastReply.IsZero() {
				t.Errorf("hops %+v", h)
			}
			if n := len(w.peer.list()); n != 40 || len(w.noted()) != 1 { // loaded
				t.Errorf("%d attempts, events %q", n, w.noted())
			}
			w.peer.obey(nil)
			rest(10 * time.Minute)
			if n := w.store.pending(); n != 0 {
				t.Errorf("%d wait", n)
			}
			w.stop(t)
		})
	}
}

func TestGivenUpTextKeepsLastReplyOnOneLine(t *testing.T) {
	r := attemptsReply(48, mail.NewReply(451, mail.Enhanced(4, 7, 1), "Greylisted\ncome again"))
	if strings.Contains(r.Text, "\n") || !strings.Contains(r.Text, "Greylisted / come again") {
		t.Errorf("text %q", r.Text)
	}
}

// The share of chance in a retry time depends on message, attempt and seed alone, and covers its range evenly.
func TestShare(t *testing.T) {
	var tenths [10]int
	for id := range uint64(10000) {
		x := share(id<<20, id%48, 7)
		if x < 0 || x >= 1 || x != share(id<<20, id%48, 7) {
			t.Fatalf("share of %d is %v", id, x)
		}
		tenths[int(x*10)]++
	}
	for i, n := range tenths {
		if n < 800 || n > 1200 {
			t.Errorf("%d of 10000 fall into tenth %d", n, i)
		}
	}
	if share(1, 1, 7) == share(1, 1, 8) || share(1, 1, 7) == share(1, 2, 7) || share(1, 1, 7) == share(2, 1, 7) {
		t.Error("seed, attempt and message must count")
	}
}
