package queue

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mailroot/mailroot/internal/mail"
)

// TestConcurrentUse runs everything at once, in real time: it is for the race detector.
func TestConcurrentUse(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.CacheMessages = 100 })
	w.peer.answer = func(hop *mail.Hop, b *mail.Batch) []mail.Result {
		if b.Attempt == 1 && b.ID%7 == 0 {
			return noConnection(b)
		}
		return nil
	}
	w.start(t)
	const senders, each = 4, 500
	var (
		adding, watching sync.WaitGroup
		id               atomic.Uint64
		stop             = make(chan struct{})
	)
	for s := range senders {
		adding.Go(func() {
			for k := range each {
				env := &mail.Envelope{ID: mail.QueueID(id.Add(1)), Arrived: time.Now()}
				env.Sender.Addr = mail.Address{Local: fmt.Sprint("s", s), Domain: "example.com"}
				for _, d := range []string{fmt.Sprintf("d%d.test", k%50), "drop.test"} {
					env.Recipients = append(env.Recipients, mail.Recipient{Addr: mail.Address{Local: "r", Domain: d}})
				}
				w.store.commit(env)
				w.Add(env)
			}
		})
	}
	watching.Go(func() {
		for k := 0; ; k++ {
			select {
			case <-stop:
				return
			default:
			}
			w.Stats()
			w.Hops()
			sel := pick{IDs: []mail.QueueID{mail.QueueID(id.Load())}}
			w.State(sel.IDs[0])
			w.Hold(sel)
			w.Release(pick{All: true})
			w.RetryNow(pick{Domain: fmt.Sprintf("d%d.test", k%50)})
			if k%10 == 0 {
				w.Apply(w.opts.Settings)
			}
		}
	})
	watching.Go(func() {
		for k := 0; ; k++ {
			select {
			case <-stop:
				return
			default:
			}
			newest := mail.QueueID(id.Load())
			w.SetFrozen([]Freeze{{Name: fmt.Sprintf("d%d.test", k%50)}, {Name: "drop", Until: time.Now().Add(time.Millisecond)}})
			w.Reroute(pick{IDs: []mail.QueueID{newest}}, []string{"", "b"}[k%2])
			if _, _, err := w.Return(t.Context(), newest, []int{k % 2}, operatorSays); err != nil {
				t.Error(err)
			}
			w.Kept()
			w.Places(newest)
			w.SetFrozen(nil)
		}
	})
	adding.Wait()
	deadline := time.Now().Add(time.Minute)
	for w.Stats().Recipients > 0 && time.Now().Before(deadline) {
		w.RetryNow(pick{All: true})
		time.Sleep(time.Millisecond)
	}
	close(stop)
	watching.Wait()
	w.stop(t)
	if n := w.store.pending(); n != 0 {
		t.Errorf("%d recipients wait", n)
	}
	w.checkLedger(t, nil)
}
