package queue

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mailroot/mailroot/internal/mail"
)

func TestDelivers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.start(t)
		id := w.send("a", "one.test", "drop.test", "two.test", "one.test")
		synctest.Wait()
		for rcpt := range 4 {
			if n := w.peer.got(key{id, rcpt}); n != 1 {
				t.Errorf("recipient %d delivered %d times", rcpt, n)
			}
			if st := w.store.get(id, rcpt); !st.done || st.dones != 1 {
				t.Errorf("recipient %d in the store: %+v", rcpt, st)
			}
		}
		if len(w.peer.list()) != 3 {
			t.Errorf("%d transactions, want one for each next hop: %+v", len(w.peer.list()), w.peer.list())
		}
		if w.store.reads != 0 {
			t.Errorf("a fresh envelope was read from the store %d times", w.store.reads)
		}
		if s := w.Stats(); s.Recipients != 0 || s.Messages != 0 || s.Delivered != 4 || !s.Oldest.IsZero() {
			t.Errorf("stats %+v", s)
		}
		w.stop(t)
	})
}

// TestWholeSchedule follows one recipient through all 48 attempts.
func TestWholeSchedule(t *testing.T) {
	intervals := []time.Duration{5 * time.Minute, 15 * time.Minute, 30 * time.Minute, time.Hour}
	busy := mail.NewReply(450, mail.Enhanced(4, 2, 1), "Mailbox busy")
	for _, down := range []bool{false, true} {
		t.Run(fmt.Sprintf("down=%t", down), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, nil)
				w.peer.answer = func(_ *mail.Hop, b *mail.Batch) []mail.Result {
					if n := len(w.peer.tries(key{b.ID, 0})); b.Attempt != n+1 {
						t.Errorf("attempt %d is announced as %d", n+1, b.Attempt)
					}
					if down {
						return noConnection(b)
					}
					return all(b, mail.Deferred, busy)
				}
				w.start(t)
				begun := time.Now()
				id := w.send("a", "one.test")
				rest(72 * time.Hour)
				at := w.peer.tries(key{id, 0})
				if len(at) != 48 {
					t.Fatalf("%d attempts, want 48", len(at))
				}
				if !at[0].Equal(begun) {
					t.Errorf("the first attempt came after %v", at[0].Sub(begun))
				}
				exact := 0
				for k := 1; k < len(at); k++ {
					want := intervals[min(k-1, len(intervals)-1)]
					got := at[k].Sub(at[k-1])
					if got < want*9/10 || got > want*11/10+2*tickMillis*time.Millisecond {
						t.Errorf("attempt %d came %v after the one before, want %v ±10%%", k+1, got, want)
					}
					if got == want {
						exact++
					}
				}
				if exact > 10 {
					t.Errorf("%d intervals have no jitter", exact)
				}
				failed := w.returnedOf(id, 0)
				if len(failed) != 1 {
					t.Fatalf("%d reports, want 1", len(failed))
				}
				r := failed[0]
				if r.Reply.Enhanced != mail.Enhanced(4, 4, 7) || !r.Ours || r.HopDown || r.Host != "mx.test" ||
					!strings.Contains(r.Reply.Text, "48 attempts") {
					t.Errorf("result %+v", r)
				}
				last := busy
				if down {
					last = refused
				}
				if !strings.Contains(r.Reply.Text, last.String()) {
					t.Errorf("the last reply is missing in %q", r.Reply.Text)
				}
				if st := w.store.get(id, 0); st.dones != 1 || st.attempts != 47 {
					t.Errorf("in the store: %+v", st)
				}
				if s := w.Stats(); s.Failed != 1 || s.Deferrals != 47 || s.Recipients != 0 {
					t.Errorf("stats %+v", s)
				}
				w.stop(t)
			})
		})
	}
}

func TestSingleIntervalHasNoJitter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(o *Options) {
			o.Local = Retry{MaxAttempts: 5, Intervals: []time.Duration{time.Hour}}
		})
		w.peer.answer = func(_ *mail.Hop, b *mail.Batch) []mail.Result {
			return all(b, mail.Deferred, mail.NewReply(452, mail.Enhanced(4, 2, 2), "Over quota"))
		}
		w.start(t)
		id := w.send("a", "drop.test")
		rest(24 * time.Hour)
		at := w.peer.tries(key{id, 0})
		if len(at) != 5 {
			t.Fatalf("%d attempts, want the 5 of local delivery", len(at))
		}
		for k := 1; k < len(at); k++ {
			if d := at[k].Sub(at[k-1]); d < time.Hour || d > time.Hour+2*tickMillis*time.Millisecond {
				t.Errorf("interval %v, want 1h", d)
			}
		}
		w.stop(t)
	})
}

func TestExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(o *Options) { o.Remote.ExpireAfter = 2 * time.Hour })
		w.peer.answer = func(_ *mail.Hop, b *mail.Batch) []mail.Result { return noConnection(b) }
		w.start(t)
		begun := time.Now()
		id := w.send("a", "one.test")
		rest(2*time.Hour - time.Second)
		if n := len(w.returnedOf(id, 0)); n != 0 {
			t.Fatalf("given up before its time, after %d attempts", len(w.peer.tries(key{id, 0})))
		}
		rest(3 * time.Second)
		failed := w.returnedOf(id, 0)
		if len(failed) != 1 || failed[0].Reply.Enhanced != mail.Enhanced(4, 4, 7) ||
			!strings.Contains(failed[0].Reply.Text, "expired") || !strings.Contains(failed[0].Reply.Text, "Connection refused") {
			t.Errorf("returned %+v", failed)
		}
		for _, at := range w.peer.tries(key{id, 0}) {
			if at.Sub(begun) > 2*time.Hour {
				t.Errorf("an attempt %v after the arrival", at.Sub(begun))
			}
		}
		w.stop(t)
	})
}

// TestParallelContinuation: 100 queued for one domain go out over five connections of 20.
func TestParallelContinuation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.peer.pause, w.peer.idle = 100*time.Millisecond, time.Second
		for range 100 {
			w.send("a", "one.test")
		}
		w.start(t)
		synctest.Wait()
		if n := w.peer.count(w.peer.active, "one.test"); n != 5 {
			t.Errorf("%d connections at once, want 5", n)
		}
		rest(30 * time.Second)
		if n := w.peer.count(w.peer.runs, "one.test"); n != 5 {
			t.Errorf("%d connections in all, want 5", n)
		}
		perRun := map[int]int{}
		for _, b := range w.peer.list() {
			perRun[b.run]++
		}
		for run, n := range perRun {
			if n > 20 {
				t.Errorf("%d messages on connection %d", n, run)
			}
		}
		if w.peer.deliveries() != 100 {
			t.Errorf("%d delivered", w.peer.deliveries())
		}
		w.stop(t)
	})
}

// TestReuse: without much to do one connection is used again.
func TestReuse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.peer.pause, w.peer.idle = 10*time.Millisecond, 5*time.Second
		w.start(t)
		for range 40 {
			w.send("a", "one.test")
			rest(50 * time.Millisecond)
		}
		rest(time.Second)
		if n := w.peer.count(w.peer.runs, "one.test"); n != 2 {
			t.Errorf("%d connections for 40 messages, want 2 of 20", n)
		}
		w.stop(t)
	})
}

// TestStalledRunIsPassed: a large message on the only connection does not keep others waiting.
func TestStalledRunIsPassed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		var large mail.QueueID
		w.peer.answer = func(_ *mail.Hop, b *mail.Batch) []mail.Result {
			if b.ID == large {
				time.Sleep(5 * time.Minute)
			}
			return nil
		}
		large = w.message("a", "one.test").ID + 1
		w.lastID = large - 1
		w.start(t)
		w.send("a", "one.test")
		synctest.Wait()
		small := w.send("b", "one.test")
		rest(3 * time.Second)
		if w.peer.got(key{small, 0}) != 1 {
			t.Error("the small message waits for the large one")
		}
		rest(10 * time.Minute)
		w.stop(t)
	})
}

func TestLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(o *Options) {
			o.MaxOutbound, o.PerDomain, o.MessagesPerConnection = 12, 6, 1
		})
		w.hops["narrow.test"] = &mail.Hop{Key: "narrow.test", Kind: mail.HopMX, MaxConnections: 2}
		w.peer.pause = time.Second
		for k := range 400 {
			w.send("a", fmt.Sprintf("d%d.test", k%8), "narrow.test", "drop.test")
		}
		w.start(t)
		rest(time.Hour)
		if w.peer.peak() != 12 {
			t.Errorf("%d remote connections at once, want 12", w.peer.peak())
		}
		for hop, n := range w.peer.most {
			want := 6
			switch hop {
			case "narrow.test":
				want = 2
			case "drop":
				want = defaultMaxLocal
			}
			if n > want {
				t.Errorf("%s: %d connections at once, limit %d", hop, n, want)
			}
		}
		if w.peer.deliveries() != 1200 {
			t.Errorf("%d delivered, want 1200", w.peer.deliveries())
		}
		w.stop(t)
	})
}

// TestWindowGrows: with success a hop gets as many connections as its backlog wants, up to the limit.
func TestWindowGrows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(o *Options) { o.PerDomain = 30 })
		w.peer.pause = time.Second
		for range 5000 {
			w.send("a", "one.test")
		}
		w.start(t)
		synctest.Wait()
		if n := w.peer.count(w.peer.active, "one.test"); n != firstWindow {
			t.Errorf("begins with %d connections, want %d", n, firstWindow)
		}
		rest(time.Hour)
		if n := w.peer.count(w.peer.most, "one.test"); n != 30 {
			t.Errorf("%d connections at once, want 30", n)
		}
		w.stop(t)
	})
}

// TestHopThatBeginsToHang: a hop that had many connections and now answers none gets few.
func TestHopThatBeginsToHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.peer.pause = time.Second
		for range 3000 {
			w.send("a", "one.test")
		}
		w.start(t)
		rest(10 * time.Minute)
		if n := w.peer.count(w.peer.most, "one.test"); n < 20 {
			t.Fatalf("%d connections at once while it worked", n)
		}
		w.peer.reset()
		w.peer.obey(func(*mail.Hop, *mail.Batch) []mail.Result {
			time.Sleep(5 * time.Minute)
			return nil
		})
		for range 1000 {
			w.send("a", "one.test")
		}
		rest(4 * time.Minute)
		if n := w.peer.count(w.peer.most, "one.test"); n > firstWindow {
			t.Errorf("%d connections that hang, want at most %d", n, firstWindow)
		}
		rest(24 * time.Hour)
		w.stop(t)
	})
}

// TestHopThatRefusesMore: a hop that takes three connections gets three, and nothing is put off.
func TestHopThatRefusesMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		refusals := 0
		w.peer.answer = func(hop *mail.Hop, b *mail.Batch) []mail.Result {
			if w.peer.count(w.peer.active, hop.Key) > 3 {
				refusals++
				return noConnection(b)
			}
			time.Sleep(100 * time.Millisecond)
			return nil
		}
		w.start(t)
		w.send("a", "one.test") // shows that the hop works
		rest(time.Second)
		for range 1000 {
			w.send("a", "one.test")
		}
		rest(3 * time.Minute)
		if w.peer.deliveries() != 1001 {
			t.Errorf("%d delivered, want 1001", w.peer.deliveries())
		}
		if refusals > 10 {
			t.Errorf("%d refused connections", refusals)
		}
		w.stop(t)
	})
}

// TestDeadHop: one attempt probes, the others are deferred with it, each by its own schedule.
func TestDeadHop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.peer.answer = func(_ *mail.Hop, b *mail.Batch) []mail.Result { return noConnection(b) }
		var ids []mail.QueueID
		for range 5000 {
			ids = append(ids, w.send("a", "dead.test"))
		}
		w.start(t)
		synctest.Wait()
		if n := w.peer.count(w.peer.runs, "dead.test"); n > firstWindow {
			t.Errorf("%d connections for 5,000 messages", n)
		}
		for _, id := range ids {
			if st := w.store.get(id, 0); st.attempts != 1 || st.reply != refused || st.due.IsZero() {
				t.Fatalf("message %v: %+v", id, st)
			}
		}
		begun := w.peer.count(w.peer.runs, "dead.test")
		// New mail finds the hop down: it is tried again soon, not at once and not for each message.
		for range 100 {
			w.send("b", "dead.test")
			rest(10 * time.Millisecond)
		}
		if n := w.peer.count(w.peer.runs, "dead.test") - begun; n > 1 {
			t.Errorf("%d connections for new mail within a second", n)
		}
		rest(4 * time.Minute)
		if n := w.peer.count(w.peer.runs, "dead.test") - begun; n > 10 {
			t.Errorf("%d connections in four minutes", n)
		}
		if w.peer.count(w.peer.most, "dead.test") > firstWindow {
			t.Errorf("%d connections at once", w.peer.count(w.peer.most, "dead.test"))
		}
		if got := w.noted(); slices.Index(got, "down dead.test") < 0 || countOf(got, "down dead.test") != 1 {
			t.Errorf("events %v", got)
		}
		// It comes back: everything is delivered by its schedule.
		w.peer.obey(nil)
		rest(20 * time.Minute)
		if n := w.store.pending(); n != 0 {
			t.Errorf("%d still wait", n)
		}
		if got := w.noted(); countOf(got, "up dead.test") != 1 {
			t.Errorf("events %v", got)
		}
		w.stop(t)
	})
}

func countOf(list []string, s string) (n int) {
	for _, x := range list {
		if x == s {
			n++
		}
	}
	return n
}

// TestDownHopHoldsOneConnection: after a failure there is one connection at a time, though it hangs.
func TestDownHopHoldsOneConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.peer.answer = func(_ *mail.Hop, b *mail.Batch) []mail.Result {
			time.Sleep(30 * time.Second)
			return noConnection(b)
		}
		w.start(t)
		w.send("a", "dead.test")
		rest(40 * time.Second)
		w.peer.reset()
		for range 600 {
			w.send("a", "dead.test")
			rest(time.Second)
		}
		if n := w.peer.count(w.peer.most, "dead.test"); n != 1 {
			t.Errorf("%d connections at once, want 1", n)
		}
		w.stop(t)
	})
}

// TestDeadHopsTogether: hops that are down hold a quarter of the connections at most, with those never
// tried three quarters, and a hop that works has its full rate.
func TestDeadHopsTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(o *Options) { o.MaxOutbound = 40 })
		w.peer.answer = func(hop *mail.Hop, b *mail.Batch) []mail.Result {
			if strings.HasPrefix(hop.Key, "dead") {
				time.Sleep(30 * time.Second)
				return noConnection(b)
			}
			time.Sleep(10 * time.Millisecond)
			return nil
		}
		w.start(t)
		w.send("a", "alive.test")
		rest(time.Second)
		for k := range 400 {
			w.send("a", fmt.Sprintf("dead%d.test", k))
		}
		synctest.Wait()
		if w.peer.now() > 30 {
			t.Errorf("%d connections to hops not tried yet, want at most 30", w.peer.now())
		}
		begun := time.Now()
		for range 1000 {
			w.send("a", "alive.test")
		}
		for w.Stats().Delivered < 1001 && time.Since(begun) < time.Minute {
			rest(time.Millisecond)
		}
		if d := time.Since(begun); d > 3*time.Second {
			t.Errorf("1,000 messages to a hop that works took %v", d)
		}
		rest(15 * time.Minute) // all were tried by now
		most := 0
		for range 3600 {
			rest(time.Second)
			most = max(most, w.peer.now())
		}
		if most != 10 {
			t.Errorf("%d connections to hops that are down, want a quarter of 40", most)
		}
		w.stop(t)
	})
}

// TestManyDeadHops: 100,000 destinations, none reachable, need no goroutine at rest.
func TestManyDeadHops(t *testing.T) {
	n := 100_000
	if testing.Short() {
		n = 10_000
	}
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(o *Options) { o.MaxOutbound = 400 })
		w.peer.quiet, w.store.keep = true, false
		w.peer.answer = func(_ *mail.Hop, b *mail.Batch) []mail.Result {
			time.Sleep(time.Millisecond)
			return noConnection(b)
		}
		before := runtime.NumGoroutine()
		w.start(t)
		for k := range n {
			w.send("a", fmt.Sprintf("d%d.test", k))
		}
		most := 0
		for range 240 {
			rest(time.Second)
			most = max(most, runtime.NumGoroutine()-before)
		}
		if s := w.Stats(); s.Deferred != n {
			t.Errorf("%d deferred, want %d", s.Deferred, n)
		}
		if most > 400+10 {
			t.Errorf("up to %d goroutines", most)
		}
		if rest := runtime.NumGoroutine() - before; rest > 5 {
			t.Errorf("%d goroutines at rest", rest)
		}
		if got := w.Delete(pick{All: true}); got != n {
			t.Errorf("%d deleted, want %d", got, n)
		}
		w.send("a", "other.test")
		w.Queue.mu.Lock()
		hops := len(w.Queue.hops.byKey)
		w.Queue.mu.Unlock()
		if hops > spareRecords+2 {
			t.Errorf("%d records of hops without mail", hops)
		}
		w.stop(t)
	})
}

// TestFairness: a mass mailing does not keep a single message of another sender waiting.
func TestFairness(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(o *Options) { o.PerDomain = 1 })
		w.peer.pause = 10 * time.Millisecond
		w.start(t)
		for range 2000 {
			w.send("mass", "one.test")
		}
		rest(time.Second)
		single := w.send("single", "one.test")
		rest(100 * time.Millisecond)
		if w.peer.got(key{single, 0}) != 1 {
			t.Error("the single message waits behind the mass mailing")
		}
		rest(time.Minute)
		w.stop(t)
	})
}

func TestManySendersShareGroups(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(o *Options) { o.PerDomain = 1 })
		for k := range 1000 {
			w.send(fmt.Sprintf("s%d", k), "one.test")
		}
		w.check(t)
		w.Queue.mu.Lock()
		n := len(w.Queue.hops.byKey["one.test"].ring)
		w.Queue.mu.Unlock()
		if n > maxGroups {
			t.Errorf("%d sender groups", n)
		}
		w.start(t)
		rest(time.Second)
		if w.peer.deliveries() != 1000 {
			t.Errorf("%d delivered", w.peer.deliveries())
		}
		w.stop(t)
	})
}

// TestIdleConnectionsGiveWay: a run that waits for work ends when another hop needs its connection.
func TestIdleConnectionsGiveWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(o *Options) { o.MaxOutbound = 2 })
		w.peer.idle = time.Hour
		w.start(t)
		for k := range 20 {
			w.send("a", fmt.Sprintf("d%d.test", k))
			synctest.Wait()
		}
		if w.peer.deliveries() != 20 {
			t.Errorf("%d delivered, want 20", w.peer.deliveries())
		}
		if w.peer.peak() > 2 {
			t.Errorf("%d connections at once", w.peer.peak())
		}
		w.stop(t)
	})
}
