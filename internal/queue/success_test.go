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

// asking makes a message to domains, each recipient with NOTIFY=SUCCESS.
func (w *world) asking(sender string, domains ...string) *mail.Envelope {
	env := w.message(sender, domains...)
	for k := range env.Recipients {
		env.Recipients[k].Notify = mail.NotifySuccess
	}
	w.store.commit(env)
	w.Add(env)
	return env
}

// byDSN answers as servers do: those in nodsn.test know no DSN.
func byDSN(hop *mail.Hop, b *mail.Batch) []mail.Result {
	results := all(b, mail.Delivered, mail.NewReply(250, mail.EnhancedCode{}, "OK"))
	for k := range results {
		results[k].NoDSN = hop.Key == "nodsn.test"
	}
	return results
}

// TestSuccess: who asked is told of Drop and of servers without DSN; others report for themselves.
func TestSuccess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.peer.answer = byDSN
		w.start(t)
		id := w.asking("a", "drop.test", "nodsn.test", "dsn.test").ID
		null := w.asking("", "drop.test").ID // R10
		quiet := w.send("a", "drop.test", "nodsn.test")
		synctest.Wait()
		if r := w.successOf(id, 0); len(r) != 1 || r[0].NoDSN {
			t.Errorf("Drop: %+v", r)
		}
		if r := w.successOf(id, 1); len(r) != 1 || !r[0].NoDSN || r[0].Host != "mx.test" {
			t.Errorf("a server without DSN: %+v", r)
		}
		if n := len(w.successOf(id, 2)) + len(w.successOf(null, 0)) + len(w.successOf(quiet, 0)) + len(w.successOf(quiet, 1)); n != 0 {
			t.Errorf("%d reports that nobody asked for", n)
		}
		if s := w.Stats(); s.Delivered != 6 || w.store.pending() != 0 {
			t.Errorf("%+v", s)
		}
		w.stop(t)
	})
}

// TestSuccessFails: while the report cannot be made the recipient is neither done nor sent again, whatever
// an operator does.
func TestSuccessFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.peer.answer = byDSN
		w.start(t)
		w.breakReports(errors.New("disk full"))
		env := w.asking("a", "drop.test", "nodsn.test", "drop.test")
		gone := w.asking("a", "drop.test").ID
		synctest.Wait()
		if s := w.State(env.ID); len(s) != 3 || s[0].State != Deferred || !strings.HasPrefix(s[0].Reason, "delivered,") {
			t.Errorf("%+v", s)
		}
		w.Delete(pick{IDs: []mail.QueueID{gone}})
		w.RetryNow(pick{All: true})
		w.Hold(pick{IDs: []mail.QueueID{env.ID}})
		w.Release(pick{IDs: []mail.QueueID{env.ID}})
		w.Apply(w.opts.Settings)
		rest(5 * time.Minute)
		if n := w.store.pending(); n != 3 {
			t.Errorf("%d wait", n)
		}
		w.breakReports(nil)
		rest(time.Minute)
		for k, domain := range []string{"drop.test", "nodsn.test", "drop.test"} {
			r := w.successOf(env.ID, k)
			if len(r) != 1 || r[0].NoDSN != (domain == "nodsn.test") || r[0].Reply.Code != 250 || w.peer.got(key{env.ID, k}) != 1 {
				t.Errorf("recipient %d: %+v, sent %d times", k, r, w.peer.got(key{env.ID, k}))
			}
		}
		if w.store.pending() != 0 || w.Stats().Delivered != 4 || len(w.successOf(gone, 0)) != 0 {
			t.Errorf("%d wait, %+v", w.store.pending(), w.Stats())
		}
		w.stop(t)
	})
}

// TestSuccessAndStop: a stop that cuts a run off does not cut its report off.
func TestSuccessAndStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil)
		w.peer.answer = byDSN
		w.Queue.success = func(ctx context.Context, env *mail.Envelope, d []mail.Result) error {
			time.Sleep(time.Second)
			if ctx.Err() != nil {
				t.Error("the report was cut off")
			}
			return w.reportSuccess(ctx, env, d)
		}
		w.start(t)
		id := w.asking("a", "drop.test").ID
		synctest.Wait()
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = w.Stop(ctx) // it says that it cut something off
		if w.store.get(id, 0).dones != 1 || len(w.successOf(id, 0)) != 1 {
			t.Errorf("%+v", w.store.get(id, 0))
		}
	})
}
