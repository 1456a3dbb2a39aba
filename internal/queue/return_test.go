package queue

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mailroot/mailroot/internal/mail"
)

var operatorSays = mail.NewReply(554, mail.Enhanced(5, 3, 0), "Returned by an operator")

// TestReturn: what waits fails when Return returns, with its reply, wherever it waits.
func TestReturn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.peer.answer = dead
		id := w.send("a", "dead.test", "held.test", "cold.test", "gone.test")
		w.Hold(pick{Domain: "held.test"})
		w.SetFrozen([]Freeze{{Name: "cold.test"}})
		w.start(t)
		synctest.Wait()
		if n, later, err := w.Return(t.Context(), id, []int{7, 2, 1, 0, 3}, operatorSays); n != 3 || later != 0 || err != nil {
			t.Errorf("returned %d, later %d, %v", n, later, err)
		}
		for rcpt := range 3 {
			if r := w.returnedOf(id, rcpt); len(r) != 1 || r[0].Reply != operatorSays || !r[0].Ours {
				t.Errorf("recipient %d: %+v", rcpt, r)
			}
		}
		synctest.Wait()
		if w.store.pending() != 0 || len(w.State(id)) != 0 || len(w.returnedOf(id, 3)) != 0 {
			t.Errorf("%d wait", w.store.pending())
		}
		w.stop(t)
		if _, _, err := w.Return(t.Context(), id, []int{0}, operatorSays); !errors.Is(err, ErrStopping) {
			t.Errorf("after the stop: %v", err)
		}
	})
}

// TestReturnInFlight: a recipient that is being sent is delivered or fails for itself; if it still waits then,
// it is returned.
func TestReturnInFlight(t *testing.T) {
	for outcome, want := range map[mail.Outcome]string{
		mail.Delivered: "", mail.Failed: "An answer", mail.Deferred: operatorSays.Text, mail.Overflow: operatorSays.Text,
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, nil)
			w.peer.answer = func(_ *mail.Hop, b *mail.Batch) []mail.Result {
				time.Sleep(time.Minute)
				results := all(b, outcome, mail.NewReply(450, mail.Enhanced(4, 2, 0), "An answer"))
				results[1].Outcome = mail.Delivered // so that an overflow makes progress
				return results
			}
			w.start(t)
			id := w.send("a", "one.test", "one.test")
			synctest.Wait()
			for k, wantLater := range []int{1, 0} { // the second time it has been said
				if n, later, err := w.Return(t.Context(), id, []int{0}, operatorSays); n != 0 || later != wantLater || err != nil {
					t.Errorf("%d: returned %d, later %d, %v", k, n, later, err)
				}
			}
			if s := w.State(id)[0]; !strings.HasSuffix(s.Reason, "to be returned after it") {
				t.Errorf("reason %q", s.Reason)
			}
			rest(2 * time.Minute)
			got := ""
			for _, r := range w.returnedOf(id, 0) {
				got += r.Reply.Text
			}
			if got != want || w.store.pending() != 0 || len(w.peer.tries(key{id, 0})) != 1 {
				t.Errorf("outcome %d: returned %q, want %q; %d wait", outcome, got, want, w.store.pending())
			}
			w.stop(t)
		})
	}
}

// TestReturnWithoutAReport: when no report can be made, each recipient waits on as it did; nothing is sent that
// was held, and no attempt is counted.
func TestReturnWithoutAReport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.peer.answer = dead
		id := w.send("a", "dead.test", "held.test", "cold.test")
		w.Hold(pick{Domain: "held.test"})
		w.SetFrozen([]Freeze{{Name: "cold.test"}})
		w.start(t)
		synctest.Wait()
		w.failReport = errors.New("the disk is full")
		before := w.State(id)
		if n, _, err := w.Return(t.Context(), id, []int{0, 1, 2}, operatorSays); n != 0 || !errors.Is(err, w.failReport) {
			t.Errorf("returned %d, %v", n, err)
		}
		synctest.Wait()
		after := w.State(id)
		for k := range before {
			if before[k] != after[k] {
				t.Errorf("before %+v\nafter  %+v", before[k], after[k])
			}
		}
		// In flight, then a report that fails: it is deferred, and that is the end of the order.
		w.peer.obey(func(_ *mail.Hop, b *mail.Batch) []mail.Result { time.Sleep(time.Second); return noConnection(b) })
		busy := w.send("a", "two.test")
		synctest.Wait()
		if _, later, err := w.Return(t.Context(), busy, []int{0}, operatorSays); later != 1 || err != nil {
			t.Errorf("in flight: %d, %v", later, err)
		}
		rest(10 * time.Second)
		if s := w.State(busy)[0]; s.State != Deferred {
			t.Errorf("in flight, and no report: %+v", s)
		}
		w.stop(t)
	})
}

// TestReturnMany: a message with more recipients than one report takes, while an operator does other things
// to those whose report is being made.
func TestReturnMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(o *Options) {
			report := o.Report
			o.Report = func(ctx context.Context, env *mail.Envelope, failed []mail.Result) error {
				time.Sleep(time.Minute)
				return report(ctx, env, failed)
			}
		})
		w.peer.answer = dead
		id := w.send("a", repeat("dead.test", 2500)...)
		w.start(t)
		synctest.Wait()
		rcpts := make([]int, 2500)
		for k := range rcpts {
			rcpts[k] = k
		}
		go func() {
			time.Sleep(30 * time.Second)
			w.Hold(pick{All: true})
		}()
		if n, _, err := w.Return(t.Context(), id, rcpts, operatorSays); n != 2500 || err != nil {
			t.Errorf("returned %d, %v", n, err)
		}
		synctest.Wait()
		if w.store.pending() != 0 {
			t.Errorf("%d wait", w.store.pending())
		}
		for rcpt := range 2500 {
			if len(w.returnedOf(id, rcpt)) != 1 {
				t.Fatalf("recipient %d: %d reports", rcpt, len(w.returnedOf(id, rcpt)))
			}
		}
		w.stop(t)
	})
}
