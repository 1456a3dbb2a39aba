package queue

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mailroot/mailroot/internal/mail"
)

// TestFreeze: nothing is tried for a frozen hop or domain, whatever makes it due, until the freeze ends by
// itself or is taken back; other mail goes on.
func TestFreeze(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(o *Options) {
			o.Route = func(domain string) (*mail.Hop, error) {
				if strings.HasSuffix(domain, ".smart.test") {
					domain = "smart.test"
				}
				return &mail.Hop{Key: domain, Kind: mail.HopMX, Domain: domain}, nil
			}
		})
		w.peer.answer = dead
		before := w.send("a", "cold.test", "a.smart.test", "b.smart.test")
		later := w.send("a", "dead.test")
		w.SetFrozen([]Freeze{
			{Name: "Cold.test", Until: time.Now().Add(2 * time.Hour), Reason: "their migration"},
			{Name: "a.smart.test"},
		})
		w.start(t)
		synctest.Wait()
		after := w.send("a", "cold.test")
		w.RetryNow(pick{All: true})
		synctest.Wait()
		s := w.State(before)
		if len(s) != 2 || s[0].State != Frozen || s[1].State != Frozen || w.peer.got(key{before, 2}) != 1 {
			t.Fatalf("state %+v", s)
		}
		if want := "Cold.test is frozen by an operator until 2000-01-01 02:00:00 UTC (their migration)"; s[0].Reason != want {
			t.Errorf("reason %q, want %q", s[0].Reason, want)
		}
		if st := w.Stats(); st.Frozen != 3 || st.Ready != 0 {
			t.Errorf("stats %+v", st)
		}
		if got := fmt.Sprint(w.Kept()); got != "map[Cold.test:2 a.smart.test:1]" {
			t.Errorf("kept %s", got)
		}
		// What becomes due is frozen then.
		w.SetFrozen([]Freeze{{Name: "cold.test", Until: time.Now().Add(2 * time.Hour)}, {Name: "a.smart.test"}, {Name: "dead.test"}})
		tries := len(w.peer.tries(key{later, 0}))
		rest(time.Hour)
		if s := w.State(later)[0]; s.State != Frozen || len(w.peer.tries(key{later, 0})) != tries {
			t.Errorf("due while frozen: %+v", s)
		}
		rest(59*time.Minute + 59*time.Second)
		if w.peer.got(key{after, 0}) != 0 {
			t.Error("tried before the end of the freeze")
		}
		rest(time.Second)
		if w.peer.got(key{after, 0}) != 1 || w.peer.got(key{before, 0}) != 1 {
			t.Errorf("after the end of the freeze: %+v", w.State(after))
		}
		// An operator may still hold, reroute and delete what is frozen.
		w.Hold(pick{IDs: []mail.QueueID{later}})
		if s := w.State(later)[0]; s.State != Held {
			t.Errorf("held: %+v", s)
		}
		w.Release(pick{IDs: []mail.QueueID{later}})
		w.Reroute(pick{IDs: []mail.QueueID{later}}, "b")
		synctest.Wait()
		if s := w.State(later); w.peer.got(key{later, 0}) != 0 || s[0].State != Frozen {
			t.Errorf("its domain is frozen, whatever the hop: %+v", s)
		}
		w.SetFrozen([]Freeze{{Name: "a.smart.test"}})
		synctest.Wait()
		if w.peer.got(key{later, 0}) != 1 {
			t.Error("rerouted and thawed, but not sent")
		}
		w.SetFrozen(nil)
		synctest.Wait()
		if w.store.pending() != 0 {
			t.Errorf("%d wait", w.store.pending())
		}
		w.stop(t)
	})
}

// TestFreezeAll: everything waits, also what is loaded and comes in, and nothing is lost in a freeze that
// comes and goes under load.
func TestFreezeAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.peer.pause = 10 * time.Millisecond
		for k := range 3000 {
			w.store.commit(w.message("a", fmt.Sprintf("d%d.test", k%9), "drop.test"))
		}
		w.restart()
		w.SetFrozen([]Freeze{{Name: "*"}})
		w.start(t)
		synctest.Wait()
		w.send("a", "new.test")
		rest(time.Hour)
		if s := w.Stats(); s.Frozen != 6001 || w.peer.deliveries() != 0 {
			t.Errorf("stats %+v", s)
		}
		for k := range 20 {
			w.SetFrozen(nil)
			rest(15 * time.Millisecond)
			w.SetFrozen([]Freeze{{Name: "*", Until: time.Now().Add(time.Duration(k) * time.Second)}})
			rest(time.Duration(k) * 100 * time.Millisecond)
			w.check(t)
		}
		rest(time.Hour)
		if w.store.pending() != 0 || w.peer.deliveries() != 6001 {
			t.Errorf("%d wait, %d delivered", w.store.pending(), w.peer.deliveries())
		}
		w.stop(t)
	})
}

// A place stands for the hop under any terms; with terms it is that hop alone.
func TestFreezeByPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(o *Options) {
			o.Route = func(domain string) (*mail.Hop, error) {
				return &mail.Hop{Key: "[192.0.2.7]:25 tls=" + strings.TrimSuffix(domain, ".test"), Kind: mail.HopHosts}, nil
			}
		})
		w.send("a", "required.test", "verified.test")
		frozen := func(names ...string) int {
			var list []Freeze
			for _, n := range names {
				list = append(list, Freeze{Name: n})
			}
			w.SetFrozen(list)
			synctest.Wait()
			return w.Stats().Frozen
		}
		w.SetFrozen([]Freeze{{Name: "[192.0.2.7]:25"}})
		w.start(t)
		synctest.Wait()
		if n := w.Stats().Frozen; n != 2 {
			t.Errorf("by the place: %d frozen, want 2", n)
		}
		if refs, _ := w.Select(Selection{Hop: "[192.0.2.7]:25"}, 0, 10); len(refs) != 2 {
			t.Errorf("the place selects %v", refs)
		}
		if refs, _ := w.Select(Selection{Hop: "[192.0.2.7]:25 TLS=verified"}, 0, 10); len(refs) != 1 {
			t.Errorf("the key selects %v", refs)
		}
		if n := frozen("[192.0.2.7]:25 tls=required"); n != 1 {
			t.Errorf("with its terms: %d frozen, want 1", n)
		}
		w.stop(t)
	})
}
