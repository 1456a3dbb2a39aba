package queue

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mailroot/mailroot/internal/mail"
)

// dead answers for hops with "dead" in the name, all others deliver.
func dead(hop *mail.Hop, b *mail.Batch) []mail.Result {
	if strings.Contains(hop.Key, "dead") {
		return noConnection(b)
	}
	return nil
}

// TestReroute: what an operator sends by another hop goes there at once unless it is held, stays with it over
// attempts, a restart and new routes, and says so.
func TestReroute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.peer.answer = down
		w.start(t)
		deferred, held, other := w.send("a", "dead.test"), w.send("a", "dead.test"), w.send("a", "dead.test", "x.test")
		synctest.Wait()
		w.Hold(pick{IDs: []mail.QueueID{held}})
		if n := w.Reroute(pick{IDs: []mail.QueueID{deferred, held}}, "b"); n != 2 {
			t.Errorf("%d rerouted", n)
		}
		synctest.Wait()
		s := w.State(deferred)[0]
		if s.Hop != "to.b" || s.Route != "b" || s.Attempts != 2 || s.State != Deferred || !strings.HasSuffix(s.Reason, "; rerouted to b by an operator") {
			t.Errorf("rerouted: %+v", s)
		}
		if s := w.State(held)[0]; s.State != Held || s.Hop != "to.b" {
			t.Errorf("rerouted while held: %+v", s)
		}
		if s := w.State(other); s[0].Hop != "dead.test" || s[1].Hop != "x.test" {
			t.Errorf("not selected: %+v", s)
		}
		w.stop(t)

		w.peer.obey(dead)
		w.restart()
		w.start(t)
		synctest.Wait()
		w.Apply(w.opts.Settings)
		w.Release(pick{All: true})
		synctest.Wait()
		if w.peer.got(key{held, 0}) != 1 {
			t.Errorf("after a restart: %+v", w.State(held))
		}
		rest(time.Hour)
		if w.peer.got(key{deferred, 0}) != 1 || w.peer.got(key{other, 0}) != 0 {
			t.Errorf("after its retry: %+v", w.State(deferred))
		}
		// And back to what the routes say.
		w.Reroute(pick{IDs: []mail.QueueID{other}}, "deadend")
		synctest.Wait()
		if s := w.State(other)[0]; s.Route != "deadend" {
			t.Errorf("%+v", s)
		}
		w.peer.obey(func(hop *mail.Hop, b *mail.Batch) []mail.Result {
			if hop.Key != "dead.test" {
				return noConnection(b)
			}
			return nil
		})
		w.Reroute(pick{All: true}, "")
		synctest.Wait()
		if w.peer.got(key{other, 0}) != 1 || w.store.pending() != 0 {
			t.Errorf("taken back: %+v", w.State(other))
		}
		w.stop(t)
		if n := len(w.routes.byText); n != 0 {
			t.Errorf("%d routes are left", n)
		}
	})
}

// TestRerouteInFlight: what is being sent ends first; if it still waits, the next attempt goes by the new hop.
func TestRerouteInFlight(t *testing.T) {
	for _, delivered := range []bool{true, false} {
		t.Run(fmt.Sprint(delivered), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, nil)
				w.peer.answer = func(hop *mail.Hop, b *mail.Batch) []mail.Result {
					if time.Sleep(time.Minute); hop.Key == "one.test" && !delivered {
						return all(b, mail.Deferred, mail.NewReply(450, mail.Enhanced(4, 2, 0), "Later"))
					}
					return nil
				}
				w.start(t)
				id := w.send("a", "one.test")
				synctest.Wait()
				w.Reroute(pick{All: true}, "b")
				if s := w.State(id)[0]; s.State != InFlight || s.Hop != "one.test" {
					t.Errorf("in flight: %+v", s)
				}
				rest(time.Hour)
				if w.peer.got(key{id, 0}) != 1 || w.store.pending() != 0 {
					t.Errorf("delivered %d times", w.peer.got(key{id, 0}))
				}
				want := 2
				if delivered {
					want = 1
				}
				if n := len(w.peer.tries(key{id, 0})); n != want {
					t.Errorf("%d attempts, want %d", n, want)
				}
				w.stop(t)
			})
		})
	}
}

// TestHeldWithoutARoute: what an operator holds stays held, though a change of routes leaves it without one.
func TestHeldWithoutARoute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		id := w.send("a", "one.test")
		w.Hold(pick{All: true})
		w.start(t)
		s := w.opts.Settings
		s.Route = func(string) (*mail.Hop, error) {
			return nil, mail.Fail(550, mail.Enhanced(5, 4, 4), "No route", nil)
		}
		w.Apply(s)
		synctest.Wait()
		if s := w.State(id); len(s) != 1 || s[0].State != Held {
			t.Errorf("%+v", s)
		}
		w.Release(pick{All: true})
		synctest.Wait()
		if n := len(w.returnedOf(id, 0)); n != 1 {
			t.Errorf("after the release: %d reports", n)
		}
		w.stop(t)
	})
}

// TestChangeBeforeTheMessage: what an operator changes between commit and Add, and while a page is loaded, is
// not lost.
func TestChangeBeforeTheMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.start(t)
		rest(time.Second)
		hold := func(id mail.QueueID) []mail.Change {
			c := []mail.Change{{ID: id, Kind: mail.ChangeHold}}
			w.store.record(c)
			return c
		}
		early := w.message("a", "one.test")
		w.store.commit(early)
		w.Changed(hold(early.ID))
		for k := range 2 * maxEarly { // of messages that have left
			w.Changed([]mail.Change{{ID: mail.QueueID(k + 1), Kind: mail.ChangeDone}})
			if k < maxEarly/2 {
				continue
			}
			if _, kept := w.early[early.ID]; kept != (k < maxEarly-1) {
				t.Fatalf("after %d others it is kept: %t", k+1, kept)
			}
		}
		if len(w.early) != maxEarly {
			t.Errorf("changes of %d messages are kept", len(w.early))
		}
		w.Changed(hold(early.ID))
		w.Add(early)
		synctest.Wait()
		if s := w.State(early.ID); len(s) != 1 || s[0].State != Held {
			t.Errorf("held before it was added: %+v", s)
		}
		w.stop(t)

		loading := w.message("a", "two.test")
		w.store.commit(loading)
		w.opts.Store = overtaken{w.store, func() { w.Changed(hold(loading.ID)) }}
		w.restart()
		w.start(t)
		synctest.Wait()
		if s := w.State(loading.ID); len(s) != 1 || s[0].State != Held || w.peer.deliveries() != 0 {
			t.Errorf("held while it was loaded: %+v", s)
		}
		w.stop(t)
	})
}

// overtaken is a store in which something happens after a page was read.
type overtaken struct {
	*fakeStore
	then func()
}

func (o overtaken) Load(ctx context.Context, shard int, after mail.QueueID, n int) ([]mail.Pending, mail.QueueID, error) {
	page, next, err := o.fakeStore.Load(ctx, shard, after, n)
	o.then()
	return page, next, err
}

func TestSelect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.peer.answer = dead
		var want []Ref
		for k := range 2000 {
			id := w.send("a", "dead1.test", "dead2.test", "dead1.test")
			if k == 1000 {
				w.Hold(pick{IDs: []mail.QueueID{id}})
			}
			want = append([]Ref{{id, 0}, {id, 2}}, want...)
		}
		w.start(t)
		synctest.Wait()
		var got []Ref
		for before, pages := mail.QueueID(0), 0; ; pages++ {
			var page []Ref
			page, before = w.Select(Selection{Hop: "DEAD1.test"}, before, 300)
			if got = append(got, page...); before == 0 {
				if pages != 6 {
					t.Errorf("%d pages", pages+1)
				}
				break
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%d refs, want %d; or another order", len(got), len(want))
		}
		if held, _ := w.Select(Selection{State: Held}, 0, 10); len(held) != 3 {
			t.Errorf("%d held", len(held))
		}
		if refs, _ := w.Select(Selection{State: Deferred, Domain: "Dead2.TEST"}, 0, 1<<20); len(refs) != 1999 {
			t.Errorf("%d deferred in a domain", len(refs))
		}
		if p := w.Places(want[0].ID); len(p) != 3 || p[1] != (Place{1, Deferred, "dead2.test"}) {
			t.Errorf("places %+v", p)
		}
		w.stop(t)
	})
}
