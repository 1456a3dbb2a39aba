package queue

import (
	"context"
	"errors"
	"time"
)

// errRuns is returned by Stop when a run did not end though it was told to.
var errRuns = errors.New("queue: a delivery did not end in time")

// stopGrace is how long Stop waits for runs whose context was cancelled.
const stopGrace = 5 * time.Second

// Start begins to deliver, and to read in the background what waits in the spool. When ctx
// ends, runs are cut off; Stop is to be called all the same. A queue is started once.
func (q *Queue) Start(ctx context.Context) {
	inner, cancel := context.WithCancel(ctx)
	q.mu.Lock()
	q.started, q.loading, q.cancel = true, true, cancel
	q.mu.Unlock()
	q.workers.Go(func() { q.schedule(inner) })
	q.workers.Go(func() { q.returns(inner) })
	q.workers.Go(func() { q.load(inner) })
	q.collector.Go(func() { q.collectChanges(context.WithoutCancel(ctx)) })
}

// Loaded is closed when all that waited in the spool at the start is in the queue.
func (q *Queue) Loaded() <-chan struct{} { return q.loaded }

// Stop begins no new run, cuts off at once those that have no server yet, lets transactions that run end
// until ctx is done, cuts off those that are left, and returns when every result is reported to the spool. It fails when deliveries were cut
// off. What waits stays in the spool.
func (q *Queue) Stop(ctx context.Context) error {
	q.mu.Lock()
	if q.stopping || !q.started {
		q.stopping = true
		q.mu.Unlock()
		return nil
	}
	q.stopping = true
	q.callAll()
	q.cutAll()
	q.room.Broadcast()
	q.mu.Unlock()
	close(q.quit)

	ended := make(chan struct{})
	go func() {
		q.runs.Wait()
		q.workers.Wait()
		close(ended)
	}()
	var err error
	select {
	case <-ended:
	case <-ctx.Done():
		err = ctx.Err()
		q.cancel()
		grace := time.NewTimer(stopGrace)
		defer grace.Stop()
		select {
		case <-ended:
		case <-grace.C:
			err = errRuns
		}
	}
	q.cancel()
	close(q.flush)
	q.collector.Wait()
	return err
}

// callAll wakes the runs that wait for work, so that they see what has changed.
func (q *Queue) callAll() {
	for q.parked.first != nil {
		q.call(q.parked.first)
	}
}

// Pause begins no new transaction until Continue. Those that run end.
func (q *Queue) Pause() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.paused = true
	q.callAll()
}

// Continue goes on after Pause.
func (q *Queue) Continue() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.paused = false
	q.offerAll()
}

// offerAll looks at each hop anew.
func (q *Queue) offerAll() {
	now := q.now()
	for _, h := range q.hops.list {
		if h != nil {
			q.offer(h, now)
		}
	}
	nudge(q.wake)
}

// Apply changes the settings. Limits and retries hold from now on, for what waits too: a time that was
// set for a retry stays. Recipients are given the hops that the new Route says, whether or not the old
// ones still exist; when Apply returns they have them. A run ends when its hop has changed.
func (q *Queue) Apply(s Settings) {
	q.applying.Lock()
	defer q.applying.Unlock()
	q.mu.Lock()
	defer q.mu.Unlock()
	q.set = s.withDefaults()
	q.rerouteDomains()
	for k := range q.routes.list {
		if r := &q.routes.list[k]; r.text != "" {
			to, err := q.routeTo(r.text)
			if err != nil {
				to = nil
			}
			q.lead(&r.hop, to)
		}
	}
	now := q.now()
	if q.set.patience() > 0 {
		q.lookAt(0, now) // the ages may have changed
	}
	q.eachEntry(func(i uint32, e *entry) {
		if q.hopOf(e) != e.hop {
			q.settleIn(i, e, now)
		}
	})
	q.callAll()
	q.offerAll()
}

// rerouteDomains asks for the hop of each domain anew. The queue is unlocked now and then.
func (q *Queue) rerouteDomains() {
	for k := 1; k < len(q.domains.list); k++ {
		if k%stepLimit == 0 {
			q.mu.Unlock()
			q.mu.Lock()
		}
		if k >= len(q.domains.list) || q.domains.list[k].name == "" {
			continue
		}
		to, err := q.set.Route(q.domains.list[k].name)
		if err != nil {
			to = nil // what becomes of the recipients is decided one by one
		}
		q.lead(&q.domains.list[k].hop, to)
	}
}

// eachEntry calls f for each waiting recipient. The queue is unlocked now and then; what is added
// meanwhile may be left out. f may change and forget the entry.
func (q *Queue) eachEntry(f func(i uint32, e *entry)) {
	for c := 0; c < len(q.entries.chunks); c++ {
		ch := q.entries.chunks[c]
		for k := range ch {
			if e := &ch[k]; e.id != 0 {
				f(uint32(c<<chunkBits|k), e)
			}
			if c >= len(q.entries.chunks) || q.entries.chunks[c] != ch {
				return // nothing is left
			}
		}
		q.mu.Unlock()
		q.mu.Lock()
	}
}
