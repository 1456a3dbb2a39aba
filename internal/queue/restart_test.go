package queue

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mailroot/mailroot/internal/mail"
)

// TestRestart: attempts, due times and holds are kept; what is overdue is tried at once.
func TestRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.peer.answer = down
		w.start(t)
		var ids []mail.QueueID
		for range 3000 { // more than one page
			ids = append(ids, w.send("a", "one.test", "two.test"))
		}
		held := w.send("a", "one.test")
		w.Hold(pick{IDs: []mail.QueueID{held}})
		rest(6 * time.Minute) // the second attempt is made, the third comes after 15 minutes
		w.stop(t)
		attempts := len(w.peer.tries(key{ids[0], 0}))
		before := w.store.get(ids[0], 0)

		w.restart()
		w.start(t)
		fresh := w.send("a", "three.test")
		synctest.Wait()
		if got := w.noted(); !slices.Contains(got, "loaded 6001") {
			t.Errorf("events %v", got)
		}
		s := w.State(ids[0])
		if len(s) != 2 || s[0].State != Deferred || s[0].Attempts != before.attempts || s[0].Due.Sub(before.due).Abs() > time.Millisecond {
			t.Errorf("state %+v, in the store %+v", s, before)
		}
		if n := len(w.peer.tries(key{ids[0], 0})); n != attempts {
			t.Errorf("tried before its time")
		}
		if st := w.State(held); len(st) != 1 || st[0].State != Held {
			t.Errorf("held: %+v", st)
		}
		if w.peer.tries(key{fresh, 0}) == nil {
			t.Error("new mail waits for what is loaded")
		}
		w.stop(t)

		rest(24 * time.Hour)
		w.peer.obey(nil)
		w.restart()
		w.start(t)
		rest(10 * time.Second)
		if n := w.store.pending(); n != 1 {
			t.Errorf("%d wait, want the one that is held", n)
		}
		if n := w.peer.count(w.peer.most, "one.test"); n > 100 {
			t.Errorf("%d connections at once for what was overdue", n)
		}
		for _, id := range ids {
			if w.peer.got(key{id, 0}) != 1 || w.peer.got(key{id, 1}) != 1 {
				t.Fatalf("message %v: delivered %d and %d times", id, w.peer.got(key{id, 0}), w.peer.got(key{id, 1}))
			}
		}
		w.stop(t)
	})
}

// TestLoadedMessageStaysTogether: recipients of one hop go in one transaction after a restart too.
func TestLoadedMessageStaysTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		for range 10 {
			w.store.commit(w.message("a", "one.test", "two.test", "one.test"))
		}
		w.restart()
		w.start(t)
		synctest.Wait()
		if n := len(w.peer.list()); n != 20 {
			t.Errorf("%d transactions, want 20", n)
		}
		w.stop(t)
	})
}

// TestLoadTrouble: what cannot be read now is read later, in the place where it failed.
func TestLoadTrouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		for range 5000 {
			w.store.commit(w.message("a", "one.test"))
		}
		w.store.failLoad = func() error {
			if w.store.loads%3 != 0 {
				return errors.New("read error")
			}
			return nil
		}
		w.restart()
		w.start(t)
		synctest.Wait()
		if !w.Stats().Loading {
			t.Error("not loading any more")
		}
		rest(10 * time.Minute)
		if w.store.pending() != 0 || w.Stats().Loading || countOf(w.noted(), "store read error") == 0 {
			t.Errorf("%d wait, events %v", w.store.pending(), w.noted())
		}
		w.stop(t)
	})
}

// TestEnvelopeTrouble: an envelope that cannot be read defers, one that is gone ends.
func TestEnvelopeTrouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(o *Options) { o.CacheMessages = 1 })
		w.send("a", "one.test") // takes the place in the cache
		bad, gone := w.send("a", "one.test", "one.test"), w.send("a", "one.test")
		short := w.send("a", "one.test", "one.test")
		var healed atomic.Bool
		w.store.failRead = func(id mail.QueueID) error {
			if id == bad && !healed.Load() {
				return errors.New("read error")
			}
			return nil
		}
		w.store.mu.Lock()
		delete(w.store.envs, gone)
		w.store.envs[short] = &mail.Envelope{ID: short, Recipients: w.store.envs[short].Recipients[:1]}
		w.store.mu.Unlock()
		w.start(t)
		synctest.Wait()
		if st := w.store.get(bad, 1); st.attempts != 1 || st.done {
			t.Errorf("not readable: %+v", st)
		}
		if st := w.store.get(gone, 0); !st.done || countOf(w.noted(), "lost") != 1 {
			t.Errorf("gone: %+v, events %v", st, w.noted())
		}
		if !w.store.get(short, 0).done || !w.store.get(short, 1).done || w.peer.got(key{short, 0}) != 1 {
			t.Error("an envelope with too few recipients was not dealt with")
		}
		healed.Store(true)
		rest(10 * time.Minute)
		if w.peer.got(key{bad, 0}) != 1 || w.store.pending() != 0 {
			t.Errorf("%d wait", w.store.pending())
		}
		w.stop(t)
	})
}

// TestReportOfChangesFails: the queue goes on; the store has the changes.
func TestReportOfChangesFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.store.fail = func() error { return errors.New("sync failed") }
		w.start(t)
		for range 10 {
			w.send("a", "one.test")
		}
		synctest.Wait()
		if w.store.pending() != 0 || countOf(w.noted(), "store sync failed") != w.store.reports {
			t.Errorf("%d wait, events %v", w.store.pending(), w.noted())
		}
		w.stop(t)
	})
}

// TestStopLetsTransactionsEnd: nothing new begins, what runs ends and is reported.
func TestStopLetsTransactionsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.peer.pause, w.peer.idle = 10*time.Second, time.Hour
		for range 100 {
			w.send("a", "one.test")
		}
		w.start(t)
		rest(time.Second)
		begun := time.Now()
		w.stop(t)
		if d := time.Since(begun); d != 9*time.Second {
			t.Errorf("Stop took %v", d)
		}
		if n := w.store.pending(); n != 95 {
			t.Errorf("%d wait, want 95: five were on their way", n)
		}
	})
}

// TestStopCutsOff: when its time is over Stop ends the transactions that hang, and their results are kept.
func TestStopCutsOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(o *Options) {
			o.Run = func(ctx context.Context, _ *mail.Hop, work mail.Work) {
				b := work.Next(0)
				work.Connected()
				<-ctx.Done()
				work.Done(b, all(b, mail.Deferred, mail.NewReply(451, mail.Enhanced(4, 3, 2), "Shutting down")))
			}
		})
		id := w.send("a", "one.test")
		w.start(t)
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := w.Stop(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Stop: %v", err)
		}
		if st := w.store.get(id, 0); st.attempts != 1 || st.done {
			t.Errorf("in the store: %+v", st)
		}
		if err := w.Stop(ctx); err != nil {
			t.Errorf("second Stop: %v", err)
		}
		w.check(t)
	})
}

func TestStopWithoutStart(t *testing.T) {
	w := newWorld(t, nil)
	w.send("a", "one.test")
	if err := w.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestLedger sends at random, with random outcomes, actions, new settings and restarts: each
// recipient ends delivered once, returned once, deleted, or still waits.
func TestLedger(t *testing.T) {
	seeds := 40
	if testing.Short() {
		seeds = 8
	}
	for seed := range uint64(seeds) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { testLedger(t, seed) })
		})
	}
}

func testLedger(t *testing.T, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 7))
	var mu sync.Mutex // rng is used by many
	roll := func(n int) int {
		mu.Lock()
		defer mu.Unlock()
		return rng.IntN(n)
	}
	w := newWorld(t, func(o *Options) {
		o.MaxOutbound, o.PerDomain = 1+roll(30), 1+roll(10)
		o.MessagesPerConnection, o.MaxRecipients = roll(4), roll(4)
		o.Remote.MaxAttempts, o.Local.MaxAttempts = 1+roll(8), 1+roll(8)
		o.CacheMessages, o.MaxHops = 1+roll(50), 15
		if roll(3) == 0 {
			o.Remote.ExpireAfter = time.Duration(1+roll(120)) * time.Minute
		}
	})
	domains := []string{"drop.test", "none.test", "later.test", "dead.test"}
	for k := range 1 + roll(12) {
		domains = append(domains, fmt.Sprintf("d%d.test", k))
	}
	w.peer.idle = time.Duration(roll(3)) * time.Second
	w.peer.answer = func(hop *mail.Hop, b *mail.Batch) []mail.Result {
		if roll(3) == 0 {
			time.Sleep(time.Duration(roll(20000)) * time.Millisecond)
		}
		if hop.Key == "dead.test" || roll(30) == 0 {
			return noConnection(b)
		}
		results := all(b, mail.Delivered, mail.NewReply(250, mail.EnhancedCode{}, "OK"))
		for k := range results {
			switch roll(8) {
			case 0:
				results[k].Outcome, results[k].Reply = mail.Deferred, mail.NewReply(450, mail.EnhancedCode{}, fmt.Sprint("later ", roll(9)))
			case 1:
				results[k].Outcome, results[k].Reply = mail.Failed, noSuchUser
			case 2:
				results[k].Outcome = mail.Overflow
			case 3:
				results[k].Outcome, results[k].Ours, results[k].Reply = mail.Deferred, true, brokenOff
			}
		}
		return results
	}
	deleted := map[key]bool{}
	var ids []mail.QueueID
	w.start(t)
	for step := range 300 {
		switch roll(16) {
		case 0:
			sel := pick{IDs: []mail.QueueID{pickID(ids, roll)}}
			for _, s := range w.State(sel.IDs[0]) {
				deleted[key{sel.IDs[0], s.Rcpt}] = true
			}
			w.Delete(sel)
		case 1:
			w.Hold(pick{IDs: []mail.QueueID{pickID(ids, roll)}})
		case 2:
			w.Release(pick{All: true})
		case 3:
			w.RetryNow([]pick{{All: true}, {Domain: domains[roll(len(domains))]}, {Hop: "drop"}, {IDs: ids}}[roll(4)])
		case 4:
			w.mu.Lock()
			for name, h := range w.hops {
				if roll(4) == 0 { // other terms, or another hop
					c := *h
					c.Key = []string{c.Key, "smart.test"}[roll(2)]
					w.hops[name] = &c
				}
			}
			if w.failReport = nil; roll(3) == 0 {
				w.failReport = errors.New("no report now")
			}
			w.mu.Unlock()
			w.Apply(w.opts.Settings)
		case 5:
			if roll(4) == 0 {
				w.stop(t)
				w.restart()
				w.start(t)
			}
		case 6:
			w.Reroute([]pick{{All: true}, {Hop: "dead.test"}, {IDs: []mail.QueueID{pickID(ids, roll)}}}[roll(3)], []string{"", "b", "c"}[roll(3)])
		case 7:
			var list []Freeze
			for range roll(3) {
				list = append(list, Freeze{Name: append(domains, "*", "drop")[roll(len(domains)+2)], Until: time.Now().Add(time.Duration(roll(300)) * time.Second)})
			}
			w.SetFrozen(list)
		case 8:
			if _, _, err := w.Return(t.Context(), pickID(ids, roll), []int{0, 1, 3}[:1+roll(3)], operatorSays); err != nil && w.failReport == nil {
				t.Error(err)
			}
		default:
			var to []string
			for range 1 + roll(6) {
				to = append(to, domains[roll(len(domains))])
			}
			env := w.message(fmt.Sprint("s", roll(5)), to...)
			env.Content.Hops = roll(17)
			w.store.commit(env)
			w.Add(env)
			ids = append(ids, env.ID)
		}
		if roll(3) == 0 {
			rest(time.Duration(roll(100000)) * time.Millisecond)
		}
		if step%50 == 49 {
			synctest.Wait()
			w.check(t)
		}
	}
	w.mu.Lock()
	w.failReport = nil
	w.mu.Unlock()
	if roll(2) == 0 { // some seeds end with mail that still waits
		w.SetFrozen(nil)
		w.Release(pick{All: true})
		rest(100 * time.Hour)
		if n := w.store.pending(); n != 0 {
			t.Errorf("%d recipients still wait: %+v", n, w.Stats())
		}
	}
	w.stop(t)
	w.checkLedger(t, deleted)
}

func pickID(ids []mail.QueueID, roll func(int) int) mail.QueueID {
	if len(ids) == 0 {
		return 1
	}
	return ids[roll(len(ids))]
}

func (w *world) checkLedger(t *testing.T, deleted map[key]bool) {
	t.Helper()
	waiting := map[key]bool{}
	for id := range w.store.envs {
		for _, s := range w.State(id) {
			waiting[key{id, s.Rcpt}] = true
		}
	}
	for k, st := range w.store.status {
		delivered, returned := w.peer.got(k), len(w.returned[k])
		switch {
		case delivered+returned > 1:
			t.Errorf("%v: delivered %d times, returned %d times", k, delivered, returned)
		case delivered+returned == 1 && !st.done:
			t.Errorf("%v: delivered or returned, but it still waits", k)
		case delivered+returned == 0 && st.done && !deleted[k]:
			t.Errorf("%v: done, but neither delivered nor returned", k)
		case st.done && st.dones != 1:
			t.Errorf("%v: done %d times", k, st.dones)
		case st.done == waiting[k]:
			t.Errorf("%v: done in the store: %t, waiting in the queue: %t", k, st.done, waiting[k])
		}
	}
}
