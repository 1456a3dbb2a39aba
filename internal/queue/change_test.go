package queue

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mailroot/mailroot/internal/mail"
)

func TestRetryNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.peer.answer = down
		// Both are there before the hop is found down; the second would else be ready behind a blocked hop.
		a := w.send("a", "one.test", "one.test", "two.test")
		b := w.send("a", "one.test", "drop.test")
		w.start(t)
		synctest.Wait()
		w.peer.obey(nil)
		w.peer.reset()
		if n := w.RetryNow(pick{}); n != 0 {
			t.Errorf("the empty selection touched %d", n)
		}
		if n := w.RetryNow(pick{IDs: []mail.QueueID{a, 12345}}); n != 3 {
			t.Errorf("by id: %d recipients, want 3", n)
		}
		synctest.Wait()
		if len(w.peer.list()) != 2 || len(w.peer.list()[0].rcpts)+len(w.peer.list()[1].rcpts) != 3 {
			t.Errorf("transactions %+v: want the two recipients of one hop together", w.peer.list())
		}
		if n := w.RetryNow(pick{Hop: "drop"}); n != 1 {
			t.Errorf("by hop: %d, want 1", n)
		}
		if n := w.RetryNow(pick{Domain: "ONE.test"}); n != 1 {
			t.Errorf("by domain: %d, want 1", n)
		}
		synctest.Wait()
		if w.store.pending() != 0 || w.peer.got(key{b, 0}) != 1 {
			t.Errorf("%d wait", w.store.pending())
		}
		w.stop(t)
	})
}

// TestRetryNowAll: also mail that waits for a hop that was down a moment ago goes at once.
func TestRetryNowAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.peer.answer = down
		for k := range 3000 {
			w.send("a", fmt.Sprintf("d%d.test", k%7))
		}
		w.start(t)
		synctest.Wait()
		w.send("a", "d0.test") // finds the hop blocked
		synctest.Wait()
		if s := w.Stats(); s.Deferred != 3000 || s.Ready != 1 {
			t.Fatalf("stats %+v", s)
		}
		w.peer.obey(nil)
		begun := time.Now()
		if n := w.RetryNow(pick{All: true}); n != 3001 {
			t.Errorf("%d recipients, want 3001", n)
		}
		synctest.Wait()
		if w.store.pending() != 0 || time.Since(begun) != 0 {
			t.Errorf("%d wait", w.store.pending())
		}
		w.stop(t)
	})
}

func TestHoldReleaseDelete(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.peer.answer = func(hop *mail.Hop, b *mail.Batch) []mail.Result {
			if hop.Key == "dead.test" {
				return noConnection(b)
			}
			return nil
		}
		ready := w.send("a", "one.test", "one.test") // the queue has not started
		if n := w.Hold(pick{IDs: []mail.QueueID{ready}}); n != 2 {
			t.Errorf("%d held", n)
		}
		if n := w.Hold(pick{IDs: []mail.QueueID{ready}}); n != 0 {
			t.Errorf("%d held again", n)
		}
		w.start(t)
		deferred := w.send("a", "dead.test")
		synctest.Wait()
		w.Hold(pick{Domain: "dead.test"})
		synctest.Wait()
		for _, k := range []key{{ready, 0}, {ready, 1}, {deferred, 0}} {
			if st := w.store.get(k.id, k.rcpt); !st.held || st.done {
				t.Errorf("%v: in the store %+v", k, st)
			}
		}
		rest(24 * time.Hour)
		if s := w.Stats(); s.Held != 3 || len(w.peer.list()) != 1 {
			t.Errorf("stats %+v, %d transactions", s, len(w.peer.list()))
		}
		if n := w.Release(pick{All: true}); n != 3 {
			t.Errorf("%d released", n)
		}
		synctest.Wait()
		if w.peer.got(key{ready, 1}) != 1 || w.store.get(deferred, 0).attempts != 2 || w.store.get(deferred, 0).held {
			t.Errorf("after the release: %+v", w.store.get(deferred, 0))
		}
		if n := w.Delete(pick{Hop: "dead.test"}); n != 1 {
			t.Errorf("%d deleted", n)
		}
		synctest.Wait()
		if st := w.store.get(deferred, 0); !st.done || st.dones != 1 {
			t.Errorf("deleted: %+v", st)
		}
		if n := len(w.returnedOf(deferred, 0)); n != 0 {
			t.Errorf("a deletion was reported %d times", n)
		}
		w.stop(t)
	})
}

// TestActionsInFlight: what is being sent ends first, then the action holds.
func TestActionsInFlight(t *testing.T) {
	for _, outcome := range []mail.Outcome{mail.Delivered, mail.Deferred, mail.Failed, mail.Overflow} {
		for _, action := range []string{"delete", "hold", "hold and release", "hold and delete"} {
			t.Run(fmt.Sprintf("%d %s", outcome, action), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { testActionInFlight(t, outcome, action) })
			})
		}
	}
}

func testActionInFlight(t *testing.T, outcome mail.Outcome, action string) {
	w := newWorld(t, nil)
	w.peer.answer = func(_ *mail.Hop, b *mail.Batch) []mail.Result {
		time.Sleep(time.Minute)
		results := all(b, outcome, mail.NewReply(450, mail.Enhanced(4, 2, 0), "An answer"))
		if len(b.Rcpts) == 2 {
			results[1].Outcome = mail.Delivered // so that an overflow makes progress
		}
		return results
	}
	w.start(t)
	id := w.send("a", "one.test", "one.test")
	sel := pick{IDs: []mail.QueueID{id}}
	synctest.Wait()
	switch action {
	case "delete":
		w.Delete(sel)
	case "hold":
		w.Hold(sel)
	case "hold and release":
		w.Hold(sel)
		w.Release(sel)
	case "hold and delete":
		w.Hold(sel)
		w.Delete(sel)
	}
	synctest.Wait()
	if s := w.State(id); len(s) != 2 || s[0].State != InFlight {
		t.Errorf("the action did not wait: %+v", s)
	}
	rest(time.Minute)
	synctest.Wait()
	st := w.store.get(id, 0)
	deleted := strings.Contains(action, "delete")
	waits := outcome == mail.Deferred || outcome == mail.Overflow
	if want := !waits || deleted; st.done != want {
		t.Errorf("done %t, want %t", st.done, want)
	}
	if want := action == "hold"; !st.done && st.held != want {
		t.Errorf("held %t, want %t", st.held, want)
	}
	if outcome == mail.Deferred && !deleted && st.attempts != 1 {
		t.Errorf("%d attempts recorded", st.attempts)
	}
	wantReports := 0
	if outcome == mail.Failed {
		wantReports = 1
	}
	if n := len(w.returnedOf(id, 0)); n != wantReports {
		t.Errorf("%d reports, want %d", n, wantReports)
	}
	if got := len(w.State(id)) == 0; got != st.done {
		t.Errorf("the queue and the store disagree: %+v", w.State(id))
	}
	rest(time.Hour)
	if n := len(w.peer.tries(key{id, 0})); (st.done || st.held) && n != 1 {
		t.Errorf("%d attempts of what is held or deleted", n)
	}
	w.stop(t)
}

// TestChangedInFlight: of what is in flight Changed says that it comes later, so that nobody is told it is deleted.
func TestChangedInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.peer.pause = time.Minute
		w.start(t)
		flying := w.send("a", "one.test", "one.test")
		synctest.Wait()
		waiting := w.message("a", "later.test")
		w.store.commit(waiting)
		w.Add(waiting)
		later := w.Changed([]mail.Change{
			{ID: flying, Rcpt: 0, Kind: mail.ChangeDone}, {ID: flying, Rcpt: 1, Kind: mail.ChangeHold}, {ID: waiting.ID, Kind: mail.ChangeDone},
		})
		if later != 2 {
			t.Errorf("%d come later, want 2", later)
		}
		rest(2 * time.Minute)
		w.stop(t)
	})
}

// TestChanged: changes that the spool made itself are followed without being reported back.
func TestChanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.peer.answer = func(_ *mail.Hop, b *mail.Batch) []mail.Result { return noConnection(b) }
		w.start(t)
		var ids []mail.QueueID
		for range 4 {
			ids = append(ids, w.send("a", "one.test"))
		}
		synctest.Wait()
		w.peer.obey(nil)
		before := len(w.store.changes)
		w.Changed([]mail.Change{
			{ID: ids[0], Kind: mail.ChangeDone},
			{ID: ids[1], Kind: mail.ChangeHold},
			{ID: ids[2], Kind: mail.ChangeDefer, Due: time.Now()},
			{ID: ids[3], Kind: mail.ChangeDefer, Due: time.Now().Add(time.Hour)},
			{ID: 999, Kind: mail.ChangeDone},
		})
		synctest.Wait()
		if len(w.State(ids[0])) != 0 || w.State(ids[1])[0].State != Held || w.peer.got(key{ids[2], 0}) != 1 {
			t.Errorf("states %+v %+v %+v", w.State(ids[0]), w.State(ids[1]), w.State(ids[2]))
		}
		if due := w.State(ids[3])[0].Due; time.Until(due) < time.Hour-time.Second {
			t.Errorf("due in %v, want an hour", time.Until(due))
		}
		if got := w.store.changes[before:]; len(got) != 1 || got[0].ID != ids[2] || got[0].Kind != mail.ChangeDone {
			t.Errorf("reported %+v, want the delivery alone", got)
		}
		w.Changed([]mail.Change{{ID: ids[1], Kind: mail.ChangeRelease}})
		synctest.Wait()
		if w.peer.got(key{ids[1], 0}) != 1 {
			t.Error("not delivered after the release")
		}
		w.stop(t)
	})
}

// TestChangedOvertakes: a change of the spool that came after what the queue is yet to report is not
// undone by it.
func TestChangedOvertakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		id := w.send("a", "one.test")
		w.Queue.mu.Lock()
		w.change(mail.Change{ID: id, Kind: mail.ChangeRelease}) // waits to be reported, since the queue has not started
		w.Queue.mu.Unlock()
		held := []mail.Change{{ID: id, Kind: mail.ChangeHold}}
		if err := w.store.Report(t.Context(), held); err != nil {
			t.Fatal(err)
		}
		w.Changed(held)
		w.start(t)
		synctest.Wait()
		if s := w.State(id); !w.store.get(id, 0).held || len(s) != 1 || s[0].State != Held {
			t.Errorf("in the store %+v, in the queue %+v", w.store.get(id, 0), s)
		}
		w.stop(t)
	})
}

func TestPauseAndContinue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.peer.idle = time.Hour
		w.start(t)
		w.send("a", "one.test")
		synctest.Wait()
		w.Pause()
		synctest.Wait()
		if n := w.peer.count(w.peer.active, "one.test"); n != 0 {
			t.Errorf("%d connections while paused", n)
		}
		id := w.send("a", "one.test", "two.test")
		rest(time.Hour)
		if s := w.State(id); s[0].State != Ready || !strings.Contains(s[0].Reason, "paused") {
			t.Errorf("state %+v", s[0])
		}
		w.Continue()
		synctest.Wait()
		if w.store.pending() != 0 {
			t.Errorf("%d wait", w.store.pending())
		}
		w.stop(t)
	})
}

// TestApplyReroutes: what waits follows the new routes, also from a hop that no longer exists.
func TestApplyReroutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.peer.answer = func(hop *mail.Hop, b *mail.Batch) []mail.Result {
			switch hop.Key {
			case "smart.test", "drop":
				return nil
			case "slow.test":
				time.Sleep(10 * time.Minute)
			}
			return noConnection(b)
		}
		w.start(t)
		deferred := w.send("a", "one.test", "two.test", "local.test")
		flying := w.send("a", "slow.test")
		held := w.send("a", "one.test")
		synctest.Wait()
		w.Hold(pick{IDs: []mail.QueueID{held}})
		blocked := w.send("a", "one.test")
		bad := w.send("a", "bad.test")
		synctest.Wait()

		smart, drop := &mail.Hop{Key: "smart.test", Kind: mail.HopHosts}, &mail.Hop{Key: "drop", Kind: mail.HopDrop}
		set := w.opts.Settings
		set.Route = func(domain string) (*mail.Hop, error) {
			switch domain {
			case "local.test":
				return drop, nil
			case "bad.test":
				return nil, mail.Fail(550, mail.Enhanced(5, 4, 4), "No route", nil)
			}
			return smart, nil
		}
		w.Apply(set)
		synctest.Wait()
		if w.peer.got(key{blocked, 0}) != 1 {
			t.Errorf("what was ready did not follow: %+v", w.State(blocked))
		}
		if n := len(w.returnedOf(bad, 0)); n != 1 {
			t.Errorf("%d reports for a domain that lost its route", n)
		}
		for _, s := range w.State(deferred) {
			want := "smart.test"
			if s.Rcpt == 2 {
				want = "drop"
			}
			if s.Hop != want || s.State != Deferred {
				t.Errorf("recipient %d: %+v", s.Rcpt, s)
			}
		}
		rest(time.Hour)
		w.Release(pick{IDs: []mail.QueueID{held}})
		synctest.Wait()
		for _, id := range []mail.QueueID{deferred, flying, held} {
			if w.peer.got(key{id, 0}) != 1 {
				t.Errorf("message %v: %+v", id, w.State(id))
			}
		}
		if h := w.Hops(); len(h) != 0 {
			t.Errorf("hops that are left: %+v", h)
		}
		w.stop(t)
	})
}

// TestApplyLimits: new limits and retries hold at once, and a hop with new terms gets new connections.
func TestApplyLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(o *Options) { o.PerDomain = 1 })
		w.peer.pause = time.Second
		w.start(t)
		for range 200 {
			w.send("a", "one.test")
		}
		rest(2500 * time.Millisecond)
		set := w.opts.Settings
		set.PerDomain = 4
		w.Apply(set)
		rest(10 * time.Second)
		if n := w.peer.count(w.peer.most, "one.test"); n != 4 {
			t.Errorf("%d connections, want 4", n)
		}
		w.mu.Lock()
		w.hops["one.test"] = &mail.Hop{Key: "one.test", Kind: mail.HopMX, Domain: "one.test", TLS: mail.TLSRequired}
		w.mu.Unlock()
		runs := w.peer.count(w.peer.runs, "one.test")
		w.Apply(set)
		rest(1500 * time.Millisecond)
		if n := w.peer.count(w.peer.runs, "one.test") - runs; n < 4 {
			t.Errorf("%d new connections under the new terms, want at least 4", n)
		}
		rest(time.Minute)
		if w.peer.deliveries() != 200 {
			t.Errorf("%d delivered", w.peer.deliveries())
		}
		w.stop(t)
	})
}
