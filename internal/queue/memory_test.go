package queue

import (
	"context"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/mailroot/mailroot/internal/mail"
)

// nowhere is a store that keeps nothing.
type nowhere struct{}

func (nowhere) CanRecord() bool { return true }

func (nowhere) Load(context.Context, int, mail.QueueID, int) ([]mail.Pending, mail.QueueID, error) {
	return nil, 0, nil
}
func (nowhere) Envelope(context.Context, mail.QueueID) (*mail.Envelope, error) { return nil, errGone }
func (nowhere) Report(context.Context, []mail.Change) error                    { return nil }

// fill makes a queue with n deferred recipients, one a message, of a number of hops.
func fill(tb testing.TB, n, hops int) *Queue {
	routes := make(map[string]*mail.Hop, hops)
	names := make([]string, hops)
	for k := range names {
		names[k] = fmt.Sprintf("destination-%d.example.test", k)
		routes[names[k]] = &mail.Hop{Key: names[k], Kind: mail.HopMX, Domain: names[k]}
	}
	q := New(Options{Store: nowhere{}, Settings: Settings{Route: func(d string) (*mail.Hop, error) { return routes[d], nil }}})
	now := time.Now()
	page := make([]mail.Pending, 0, stepLimit)
	for k := range n {
		page = append(page, mail.Pending{
			ID: mail.QueueID(now.UnixMilli())<<20 + mail.QueueID(k), Domain: names[k%hops], Size: 4096, Arrived: now,
			Attempts: 1, Due: now.Add(time.Duration(k%3600+60) * time.Second),
		})
		if len(page) == cap(page) || k == n-1 {
			if !q.addPending(page) {
				tb.Fatal("the queue stopped")
			}
			page = page[:0]
		}
	}
	tb.Cleanup(func() { runtime.KeepAlive(routes) })
	return q
}

// heapOf returns the memory in use by what f makes, hops and domain names of the caller included.
func heapOf(f func() *Queue) (*Queue, int64) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	q := f()
	runtime.GC()
	runtime.ReadMemStats(&after)
	return q, int64(after.HeapAlloc) - int64(before.HeapAlloc)
}

// TestMemoryPerRecipient bounds the memory of a million waiting recipients, of which the spool
// needs some of the 300 octets too.
func TestMemoryPerRecipient(t *testing.T) {
	n := 1_000_000
	if testing.Short() {
		n = 200_000
	}
	for _, hops := range []int{10, n / 10} {
		q, heap := heapOf(func() *Queue { return fill(t, n, hops) })
		if s := q.Stats(); s.Deferred != n || s.Messages != n {
			t.Fatalf("stats %+v", s)
		}
		per := float64(heap) / float64(n)
		t.Logf("%d recipients, %d hops: %.0f octets each", n, hops, per)
		limit := 140.0
		if hops > 10 {
			limit = 200 // with 10 recipients a hop: the records of hop and domain, and the hop itself
		}
		if per > limit {
			t.Errorf("%d hops: %.0f octets for a recipient, want at most %.0f", hops, per, limit)
		}
		refs, _ := q.Select(Selection{}, 0, n)
		changes := make([]mail.Change, len(refs))
		for k, r := range refs {
			changes[k] = mail.Change{ID: r.ID, Rcpt: r.Rcpt, Kind: mail.ChangeDone}
		}
		q.Changed(changes)
		if s := q.Stats(); len(refs) != n || s.Recipients != 0 {
			t.Errorf("%d selected, %d left", len(refs), s.Recipients)
		}
		q.mu.Lock()
		q.changes = nil
		q.sweepDomains()
		chunks, domains := len(q.entries.chunks), len(q.domains.byName)
		q.mu.Unlock()
		if chunks != 0 || domains != 0 {
			t.Errorf("%d chunks and %d domains left in an empty queue", chunks, domains)
		}
	}
}

// BenchmarkWaiting prints the memory for each waiting recipient.
func BenchmarkWaiting(b *testing.B) {
	for _, hops := range []int{10, 100_000} {
		b.Run(fmt.Sprintf("hops=%d", hops), func(b *testing.B) {
			const n = 1_000_000
			for b.Loop() {
				q, heap := heapOf(func() *Queue { return fill(b, n, hops) })
				b.ReportMetric(float64(heap)/n, "octets/recipient")
				runtime.KeepAlive(q)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/recipient")
		})
	}
}

// BenchmarkAddDeliver is the way of one message through the queue, without any I/O.
func BenchmarkAddDeliver(b *testing.B) {
	for _, hops := range []int{1, 100} {
		b.Run(fmt.Sprintf("hops=%d", hops), func(b *testing.B) { benchAddDeliver(b, hops) })
	}
}

func benchAddDeliver(b *testing.B, hops int) {
	routes := make(map[string]*mail.Hop, hops)
	var names []string
	for k := range hops {
		name := fmt.Sprintf("d%d.test", k)
		names = append(names, name)
		routes[name] = &mail.Hop{Key: name, Kind: mail.HopMX, Domain: name}
	}
	full := make(chan struct{}, defaultCache/2) // bounds what waits, so that all envelopes are cached
	q := New(Options{
		Store: nowhere{},
		Settings: Settings{
			Route: func(d string) (*mail.Hop, error) { return routes[d], nil }, MaxOutbound: 500, PerDomain: 100,
		},
		Run: func(_ context.Context, _ *mail.Hop, w mail.Work) {
			var results []mail.Result
			for batch := w.Next(time.Second); batch != nil; batch = w.Next(time.Second) {
				results = results[:0]
				for _, rcpt := range batch.Rcpts {
					results = append(results, mail.Result{ID: batch.ID, Rcpt: rcpt, Outcome: mail.Delivered, Reply: mail.Reply{Code: 250}})
				}
				w.Done(batch, results)
				<-full
			}
		},
	})
	q.Start(context.Background())
	envs := make([]mail.Envelope, 1<<16)
	b.ReportAllocs()
	b.ResetTimer()
	for k := range b.N {
		full <- struct{}{}
		env := &envs[k&(1<<16-1)]
		*env = mail.Envelope{
			ID: mail.QueueID(k + 1), Sender: mail.Sender{Addr: mail.Address{Local: "a", Domain: "example.com"}},
			Recipients: append(env.Recipients[:0], mail.Recipient{Addr: mail.Address{Local: "b", Domain: names[k%hops]}}),
		}
		q.Add(env)
	}
	for q.Stats().Recipients > 0 {
		time.Sleep(100 * time.Microsecond)
	}
	b.StopTimer()
	if err := q.Stop(context.Background()); err != nil {
		b.Fatal(err)
	}
}
