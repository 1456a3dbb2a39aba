package queue

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mailroot/mailroot/internal/mail"
)

func (s *fakeStore) CanRecord() bool {
	s.asked.Add(1)
	return !s.mute.Load()
}

// TestNothingIsSentThatCannotBeRecorded: while the store has no room, what is under way ends and nothing else begins, on the next hop
// and in the drop directory; then all goes on in its order, and no attempt was counted. The store is asked once a second, and not at
// all where nothing waits for it (bad input F28).
func TestNothingIsSentThatCannotBeRecorded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(o *Options) { o.PerDomain, o.MaxLocal, o.MessagesPerConnection = 1, 1, 1000 })
		w.peer.pause, w.peer.idle = time.Second, 5*time.Minute
		var ids []mail.QueueID
		for range 20 {
			ids = append(ids, w.send("a", "one.test", "drop.test"))
		}
		w.start(t)
		rest(4500 * time.Millisecond) // the fifth of each is under way
		w.store.mute.Store(true)
		rest(5 * time.Second)
		if n := w.peer.deliveries(); n != 10 {
			t.Fatalf("%d delivered, want the 10 that had begun", n)
		}
		for range 5 {
			ids = append(ids, w.send("a", "one.test", "drop.test"))
		}
		ids = append(ids, w.send("b", "two.test")) // a hop never tried
		w.store.asked.Store(0)
		rest(10 * time.Minute)
		if n := w.store.asked.Load(); n < 590 || n > 610 {
			t.Errorf("the store was asked %d times in 10 minutes", n)
		}
		if n, s := w.peer.deliveries(), w.Stats(); n != 10 || s.InFlight != 0 || s.Ready != 41 || s.Connections != 0 || s.Deferred != 0 {
			t.Errorf("%d delivered meanwhile, %+v", n, s)
		}
		if st := w.State(ids[7]); len(st) != 2 || st[0].Attempts != 0 || !strings.Contains(st[0].Reason, "delivery waits: what becomes of mail cannot be written down") {
			t.Errorf("state %+v", st)
		}
		if c := w.peer.count(w.peer.runs, "two.test"); c != 0 {
			t.Errorf("%d connections to a new hop", c)
		}
		w.store.mute.Store(false)
		rest(time.Minute)
		if n := w.store.pending(); n != 0 || w.peer.deliveries() != 51 {
			t.Errorf("%d wait, %d delivered", n, w.peer.deliveries())
		}
		var last mail.QueueID
		for _, b := range w.peer.list() {
			if b.hop != "one.test" {
				continue
			}
			if b.id <= last {
				t.Errorf("%v was sent after %v", b.id, last)
			}
			last = b.id
		}
		for _, c := range w.store.changes {
			if c.Kind != mail.ChangeDone {
				t.Errorf("change %+v", c)
			}
		}
		for _, id := range ids {
			for rcpt := range w.store.envs[id].Recipients {
				if n := len(w.peer.tries(key{id, rcpt})); n != 1 {
					t.Errorf("%d attempts", n)
				}
			}
		}
		w.store.mute.Store(true)
		rest(10 * time.Minute) // idle connections end
		w.store.asked.Store(0)
		rest(time.Hour)
		if n := w.store.asked.Load(); n > 2 {
			t.Errorf("where nothing waits the store was asked %d times", n)
		}
		w.stop(t)
	})
}

// TestStopWhileNothingCanBeRecorded: a stop does not wait for room.
func TestStopWhileNothingCanBeRecorded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.store.mute.Store(true)
		w.send("a", "one.test")
		w.start(t)
		rest(time.Minute)
		began := time.Now()
		w.stop(t)
		if took := time.Since(began); took > 0 || w.peer.deliveries() != 0 {
			t.Errorf("the stop took %v, %d delivered", took, w.peer.deliveries())
		}
	})
}
