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

// hanging is the greeting of servers that take a connection and say nothing for five minutes, where the
// hop's name begins with "hang"; others greet at once.
func hanging(ctx context.Context, hop *mail.Hop) bool {
	if !strings.HasPrefix(hop.Key, "hang") {
		return true
	}
	return greetAfter(ctx, 5*time.Minute) && false
}

// greetAfter waits for a greeting. It returns false when the run was cut off.
func greetAfter(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}

// TestHangingHopsDoNotStarve: 500 hops that take connections and never greet keep neither a hop that worked nor
// one that was never tried waiting for more than seconds, with many connections or few; nor after a restart, when
// nobody knows which of them work.
func TestHangingHopsDoNotStarve(t *testing.T) {
	for _, limit := range []int{500, 40, 8, 0} {
		t.Run(fmt.Sprint(limit), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { testHanging(t, limit) })
		})
	}
}

func testHanging(t *testing.T, limit int) {
	const hanging500 = 500
	w := newWorld(t, func(o *Options) { o.MaxOutbound = limit })
	w.peer.greet = hanging
	w.start(t)
	soon := func(what string, within time.Duration, domain string) {
		t.Helper()
		id, begun := w.send("b", domain), time.Now()
		for w.peer.got(key{id, 0}) == 0 && time.Since(begun) < time.Hour {
			rest(100 * time.Millisecond)
		}
		if took := time.Since(begun); took > within {
			t.Errorf("%s got its mail after %v, want at most %v", what, took, within)
		}
	}
	soon("the first hop", time.Second, "known.test")
	for k := range hanging500 {
		w.send("a", fmt.Sprintf("hang%d.test", k))
		w.send("b", fmt.Sprintf("hang%d.test", k))
	}
	synctest.Wait()
	if most := limit - limit/4; limit > 0 && w.peer.now() > most {
		t.Errorf("%d connections to hops never tried, want at most %d", w.peer.now(), most)
	}
	soon("a hop that worked", time.Second, "known.test")
	soon("a hop never tried", 30*time.Second, "unknown.test")
	for k := range 20 {
		rest(30 * time.Second)
		soon("a hop that worked", 15*time.Second, "known.test")
		soon("a hop never tried", 30*time.Second, fmt.Sprintf("unknown%d.test", k))
	}
	if n := w.peer.peak(); limit > 0 && n > limit {
		t.Errorf("%d connections at once, want at most %d", n, limit)
	}
	w.check(t)
	w.stop(t)
	w.restart()
	w.start(t)
	rest(time.Second)
	soon("a hop that worked before the restart", 30*time.Second, "known.test")
	soon("a hop never tried", 30*time.Second, "another.test")
	w.stop(t)
}

// TestLateGreeting: a server that greets after a minute gets its mail though others hang, and being cut off is no
// attempt.
func TestLateGreeting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(o *Options) { o.MaxOutbound = 8 })
		w.peer.greet = func(ctx context.Context, hop *mail.Hop) bool {
			if hop.Key == "late.test" {
				return greetAfter(ctx, time.Minute)
			}
			return hanging(ctx, hop)
		}
		w.start(t)
		late := w.send("a", "late.test")
		for k := range 20 {
			w.send("a", fmt.Sprintf("hang%d.test", k))
		}
		rest(time.Hour)
		if n := w.peer.got(key{late, 0}); n != 1 {
			t.Errorf("delivered %d times", n)
		}
		if st := w.store.get(late, 0); st.attempts != 0 {
			t.Errorf("%d attempts counted before the one that worked", st.attempts)
		}
		w.stop(t)
	})
}

// TestHangAloneKeepsItsConnection: nobody is cut off while nobody waits.
func TestHangAloneKeepsItsConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(o *Options) { o.MaxOutbound = 40 })
		w.peer.greet = hanging
		w.start(t)
		for k := range 10 {
			w.send("a", fmt.Sprintf("hang%d.test", k))
		}
		rest(4 * time.Minute)
		if n := w.peer.now(); n != 10 {
			t.Errorf("%d connections, want 10", n)
		}
		for k := range 10 {
			if n := w.peer.count(w.peer.runs, fmt.Sprintf("hang%d.test", k)); n != 1 {
				t.Errorf("hop %d had %d connections", k, n)
			}
		}
		w.stop(t)
	})
}

// TestKnownHopBeginsToHang: hops that worked and now hang give their connections to others too.
func TestKnownHopBeginsToHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(o *Options) { o.MaxOutbound = 8 })
		broken := false
		w.peer.greet = func(ctx context.Context, hop *mail.Hop) bool { return !broken || hanging(ctx, hop) }
		w.start(t)
		for k := range 20 {
			w.send("a", fmt.Sprintf("hang%d.test", k))
		}
		w.send("a", "known.test")
		rest(time.Minute)
		broken = true
		for k := range 200 {
			w.send("a", fmt.Sprintf("hang%d.test", k%20))
		}
		rest(time.Minute)
		id := w.send("a", "known.test")
		rest(30 * time.Second)
		if n := w.peer.got(key{id, 0}); n != 1 {
			t.Errorf("delivered %d times", n)
		}
		w.stop(t)
	})
}

// TestStopDoesNotWaitForGreetings: what has no server yet is cut off at once, and no attempt is counted.
func TestStopDoesNotWaitForGreetings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.peer.greet = hanging
		id := w.send("a", "hang.test")
		w.start(t)
		rest(time.Second)
		begun := time.Now()
		w.stop(t)
		if d := time.Since(begun); d != 0 {
			t.Errorf("Stop took %v", d)
		}
		if st := w.store.get(id, 0); st.done || st.attempts != 0 {
			t.Errorf("in the store: %+v", st)
		}
	})
}

var cutOffReply = mail.NewReply(451, mail.Enhanced(4, 3, 2), "The attempt was broken off, the service stops")

// giveUp returns a batch for which there was no server: it did not come, or the run was cut off.
func (p *peer) giveUp(ctx context.Context, hop *mail.Hop, b *mail.Batch, w mail.Work) {
	results := noConnection(b)
	if ctx.Err() != nil {
		results = all(b, mail.Deferred, cutOffReply)
		for k := range results {
			results[k].Ours = true
		}
	} else {
		p.mu.Lock()
		for _, rcpt := range b.Rcpts {
			k := key{b.ID, rcpt}
			p.attempts[k] = append(p.attempts[k], time.Now())
		}
		p.mu.Unlock()
	}
	w.Done(b, results)
}
