package queue

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mailroot/mailroot/internal/mail"
)

const halfDay = 12 * time.Hour

func noticeAfter(d time.Duration) func(*Options) {
	return func(o *Options) { o.Local.NoticeAfter, o.Remote.NoticeAfter = d, d }
}

// TestNoticeOnce: at the age that is set the sender is told of all recipients that wait, in one notice, and
// never again, whatever restarts come.
func TestNoticeOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, noticeAfter(halfDay))
		w.peer.answer = down
		w.start(t)
		begun := time.Now()
		id := w.send("a", "one.test", "two.test", "drop.test", "one.test")
		rest(6 * time.Hour)
		w.stop(t)
		rest(time.Hour)
		w.restart()
		w.start(t)
		rest(halfDay - 7*time.Hour - time.Second)
		if n := w.told(); len(n) != 0 {
			t.Fatalf("told after %v", n[0].at.Sub(begun))
		}
		rest(2 * time.Second)
		w.stop(t)
		notices := w.told()
		if len(notices) != 1 || notices[0].id != id || len(notices[0].results) != 3 {
			t.Fatalf("%d notices: %+v", len(notices), notices)
		}
		for k, rcpt := range []int{0, 1, 3} { // the drop directory gave its up long ago
			if r := notices[0].results[k]; r.Rcpt != rcpt || r.Reply != refused || !r.Ours {
				t.Errorf("result %d: %+v", k, r)
			}
			if n := w.store.get(id, rcpt).noticed; n != 1 {
				t.Errorf("recipient %d has %d marks", rcpt, n)
			}
		}
		w.restart()
		w.start(t)
		rest(60 * time.Hour)
		if n := len(w.told()); n != 1 {
			t.Errorf("told %d times", n)
		}
		// The promise was kept: what is left of 48 attempts, an hour apart within 10 %.
		var end time.Time
		for _, at := range w.peer.tries(key{id, 0}) {
			end = at
		}
		if d := end.Sub(notices[0].until).Abs(); d > 4*time.Hour || len(w.peer.tries(key{id, 0})) != 48 {
			t.Errorf("the last of %d attempts was at %v, promised was %v", len(w.peer.tries(key{id, 0})), end, notices[0].until)
		}
		w.stop(t)
	})
}

// TestNoticeOfWhatMerelyWaits: a message that was never tried is delayed too.
func TestNoticeOfWhatMerelyWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, noticeAfter(halfDay))
		w.start(t)
		w.Pause()
		first := w.send("a", "one.test")
		rest(30 * time.Second)
		w.send("a", "one.test")
		rest(halfDay - 20*time.Second)
		n := w.told()
		if len(n) != 1 || n[0].id != first || n[0].results[0].Reply != notTried {
			t.Fatalf("%+v", n)
		}
		rest(time.Minute) // at once would be a look for each message
		if n := w.told(); len(n) != 2 {
			t.Errorf("%d notices", len(n))
		}
		w.Continue()
		rest(time.Second)
		if n := w.store.pending(); n != 0 {
			t.Errorf("%d wait", n)
		}
		w.stop(t)
	})
}

// TestNoticeBehindADeadHop: what is ready and cannot be tried says what its hop said.
func TestNoticeBehindADeadHop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, noticeAfter(time.Hour))
		w.peer.answer = down
		w.start(t)
		w.send("a", "one.test")
		synctest.Wait()
		w.Pause()
		behind := w.send("a", "one.test")
		rest(time.Hour + time.Minute)
		n := slices.DeleteFunc(w.told(), func(n notice) bool { return n.id != behind })
		if len(n) != 1 || n[0].results[0].Reply != refused {
			t.Errorf("%+v", n)
		}
		w.stop(t)
	})
}

// TestNoticeNever: not for null senders, not of what is held, not where it is off.
func TestNoticeNever(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(o *Options) { o.Remote.NoticeAfter = time.Hour; o.Local.MaxAttempts = 10000 })
		w.peer.answer = down
		w.start(t)
		w.send("", "one.test") // R10
		w.send("a", "drop.test")
		held := w.send("a", "one.test")
		w.Hold(pick{IDs: []mail.QueueID{held}})
		rest(10 * time.Hour)
		w.stop(t)
		w.restart()
		w.start(t)
		rest(10 * time.Hour)
		if n := w.told(); len(n) != 0 {
			t.Errorf("%+v", n)
		}
		w.Release(pick{IDs: []mail.QueueID{held}})
		rest(2 * time.Minute)
		if n := w.told(); len(n) != 1 || n[0].id != held {
			t.Errorf("after the release: %+v", n)
		}
		if n := w.store.reports; n == 0 || w.store.get(held, 0).noticed != 1 {
			t.Error("not marked")
		}
		w.stop(t)
	})
}

// TestNoticeSettings: local and remote have ages of their own, and a new age holds for what waits.
func TestNoticeSettings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(o *Options) {
			o.Local.NoticeAfter, o.Remote.NoticeAfter, o.Local.MaxAttempts = 2*time.Hour, 3*time.Hour, 10000
		})
		w.peer.answer = down
		w.start(t)
		id := w.send("a", "drop.test", "one.test")
		rest(2*time.Hour + time.Second)
		if n := w.told(); len(n) != 1 || n[0].results[0].Rcpt != 0 {
			t.Fatalf("%+v", n)
		}
		s := w.opts.Settings
		s.Remote.NoticeAfter = time.Hour
		w.Apply(s)
		rest(time.Minute)
		if n := w.told(); len(n) != 2 || n[1].results[0].Rcpt != 1 || n[1].id != id {
			t.Errorf("%+v", n)
		}
		w.stop(t)
	})
}

// TestNoticeFails: a notice that cannot be made is tried again, and only then marked.
func TestNoticeFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, noticeAfter(time.Hour))
		w.peer.answer = down
		w.start(t)
		id := w.send("a", "one.test")
		w.breakReports(errors.New("disk full"))
		rest(time.Hour + 3*time.Minute + time.Second)
		if got := w.noted(); len(got) < 4 || got[len(got)-1] != "report disk full" || w.store.get(id, 0).noticed != 0 {
			t.Errorf("events %v", got)
		}
		w.breakReports(nil)
		rest(time.Minute)
		if n := w.told(); len(n) != 1 || w.store.get(id, 0).noticed != 1 {
			t.Errorf("%d notices", len(n))
		}
		w.store.breakReads(func(mail.QueueID) error { return errors.New("no read") })
		w.send("a", "one.test")
		rest(time.Hour + time.Second)
		if got := w.noted(); !slices.Contains(got, "store no read") || len(w.told()) != 1 {
			t.Errorf("events %v", got)
		}
		w.store.breakReads(nil)
		rest(time.Minute)
		if n := w.told(); len(n) != 2 {
			t.Errorf("%d notices", len(n))
		}
		w.stop(t)
	})
}

// TestGivenUpAt: the schedule that is left, the age that is set, and no overflow.
func TestGivenUpAt(t *testing.T) {
	arrived := time.Now().Truncate(time.Second)
	for _, c := range []struct {
		retry    Retry
		attempts uint16
		want     time.Duration // from the next attempt, which is now; of ExpireAfter from the arrival
	}{
		{Retry{MaxAttempts: 48, Intervals: []time.Duration{5, 15, 30, 60}}, 0, 5 + 15 + 30 + 44*60},
		{Retry{MaxAttempts: 48, Intervals: []time.Duration{5, 15, 30, 60}}, 2, 30 + 44*60},
		{Retry{MaxAttempts: 48, Intervals: []time.Duration{5, 15, 30, 60}}, 47, 0},
		{Retry{MaxAttempts: 48, Intervals: []time.Duration{5, 15, 30, 60}}, 60, 0},
		{Retry{MaxAttempts: 2, Intervals: []time.Duration{5, 15, 30, 60}}, 0, 5},
		{Retry{MaxAttempts: 10000, Intervals: []time.Duration{30 * 24 * 60}}, 0, farthest / time.Minute / (30 * 24 * 60) * (30 * 24 * 60)},
		{Retry{MaxAttempts: 48, Intervals: []time.Duration{60}, ExpireAfter: 120}, 5, 120},
	} {
		for k := range c.retry.Intervals {
			c.retry.Intervals[k] *= time.Minute
		}
		c.retry.ExpireAfter *= time.Minute
		w := newWorld(t, func(o *Options) { o.Remote = c.retry })
		from := w.now()
		got := w.givenUpAt(&entry{state: stateReady, attempts: c.attempts, arrived: seconds(arrived)}, from).Sub(w.when(from))
		if d := got - c.want*time.Minute; d.Abs() > 2*time.Second {
			t.Errorf("%+v after %d attempts: %v, want %v", c.retry, c.attempts, got, c.want*time.Minute)
		}
	}
}

// TestNoticeOfMany: a message with more recipients than one report takes has several.
func TestNoticeOfMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, noticeAfter(time.Hour))
		w.peer.answer = down
		w.start(t)
		id := w.send("a", repeat("one.test", 2500)...)
		rest(time.Hour + 5*time.Minute)
		var sizes []int
		seen := map[int]bool{}
		for _, n := range w.told() {
			sizes = append(sizes, len(n.results))
			for _, r := range n.results {
				seen[r.Rcpt] = true
			}
		}
		if !slices.Equal(sizes, []int{1000, 1000, 500}) || len(seen) != 2500 || w.store.get(id, 2499).noticed != 1 {
			t.Errorf("notices of %v", sizes)
		}
		w.stop(t)
	})
}

// TestNoticeCostsNothing: when all mail leaves at once there is one look in the time that is set.
func TestNoticeCostsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, noticeAfter(halfDay))
		w.start(t)
		looks, last := 0, int64(0)
		for range 24 * 60 {
			w.send("a", "one.test")
			rest(time.Minute)
			w.Queue.mu.Lock()
			if at := w.noticeAt; at != last {
				looks, last = looks+1, at
			}
			w.Queue.mu.Unlock()
		}
		if looks > 4 { // the time of the next one, as it was set
			t.Errorf("%d looks in a day", looks)
		}
		w.stop(t)
	})
}

// TestGivenUpSaysWhy: a result of 4.4.7 has what the last attempt came to.
func TestGivenUpSaysWhy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(o *Options) {
			o.Remote.MaxAttempts = 2
			o.Local.ExpireAfter = 90 * time.Second
		})
		w.peer.answer = down
		w.start(t)
		id := w.send("a", "one.test", "drop.test")
		second := w.send("a", "one.test") // deferred behind the first, without a connection of its own
		rest(20 * time.Minute)
		for _, k := range []key{{id, 0}, {id, 1}, {second, 0}} {
			r := w.returnedOf(k.id, k.rcpt)
			if len(r) != 1 || r[0].Reply.Enhanced != mail.Enhanced(4, 4, 7) || r[0].Cause != refused {
				t.Errorf("%+v: %+v", k, r)
			}
		}
		w.stop(t)
	})
}
