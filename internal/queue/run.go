package queue

import (
	"context"
	"math"
	"slices"
	"time"

	"github.com/mailroot/mailroot/internal/mail"
)

// run is one call of Options.Run: one connection to a hop.
type run struct {
	hop     *hop
	to      *mail.Hop // as it was when the run began: a change of terms ends the run
	left    int32     // transactions it may still make
	counts  bool      // left is a limit and part of hop.left
	silent  bool      // no answer yet
	lost    bool      // it found the hop down, or lost it
	unheard bool      // in Queue.unheard: no server has said a word
	probe   bool      // the hop was down when it began
	cut     bool      // it was cut off before it had a server
	ending  bool      // Next returns nil from now on
	ended   bool      // Next has returned nil
	took    bool      // it had a batch
	flights []*flight
	spare   *flight
	timer   *time.Timer
	cancel  context.CancelFunc

	wake  chan struct{}
	idle  bool // in hop.idle and in Queue.parked
	links [runLists]runLinks
}

// flight is a batch on its way.
type flight struct {
	batch   mail.Batch
	entries []uint32
	rcpts   []int
}

// runList is runs in the order in which they came, linked through run.links[which].
type runList struct {
	which       int
	first, last *run
}

// The lists that a run may be in.
const (
	parkedList = iota
	unheardList
	runLists = 2
)

type runLinks struct{ older, younger *run }

func (l *runList) push(r *run) {
	r.links[l.which] = runLinks{older: l.last}
	if l.last != nil {
		l.last.links[l.which].younger = r
	} else {
		l.first = r
	}
	l.last = r
}

func (l *runList) remove(r *run) {
	at := &r.links[l.which]
	if at.older != nil {
		at.older.links[l.which].younger = at.younger
	} else {
		l.first = at.younger
	}
	if at.younger != nil {
		at.younger.links[l.which].older = at.older
	} else {
		l.last = at.older
	}
	*at = runLinks{}
}

// next returns the run that came after r.
func (l *runList) next(r *run) *run { return r.links[l.which].younger }

// begin makes a run of the hop. The queue is locked.
func (q *Queue) begin(h *hop, now int64) *run {
	r := &run{hop: h, to: h.to, silent: true, left: math.MaxInt32, wake: make(chan struct{}, 1)}
	if n := q.perRun(h); n > 0 {
		r.left, r.counts = int32(min(n, math.MaxInt32)), true
		h.left += r.left
	}
	h.runs++
	h.silent++
	h.stalled = false
	if h.extra > 0 {
		h.extra--
	}
	q.running[h.class]++
	q.runs.Add(1)
	if h.class == classLocal {
		return r
	}
	if r.probe = h.class == classDown; r.probe {
		q.probes++
	}
	r.unheard = true
	q.unheard.push(r)
	if int(h.runs) == len(h.idle)+1 {
		q.listen(r, now)
	}
	return r
}

// work is the goroutine of a run.
func (q *Queue) work(ctx context.Context, r *run) {
	defer q.runs.Done()
	defer q.end(r)
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	q.mu.Lock()
	if r.cancel = cancel; r.cut {
		cancel()
	}
	q.mu.Unlock()
	q.runner(inner, r.to, mail.Work{
		Next:      func(wait time.Duration) *mail.Batch { return q.next(ctx, r, wait) },
		Connected: func() bool { return q.connected(r) },
		Done:      func(b *mail.Batch, results []mail.Result) { q.done(ctx, r, b, results) },
	})
}

// end gives the connection of a run back. Batches that were not are deferred.
func (q *Queue) end(r *run) {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := q.now()
	h := r.hop
	for _, f := range r.flights {
		var j jitter
		for _, i := range f.entries {
			q.postpone(i, q.entries.at(i), &mail.Result{Reply: brokenOff}, now, &j)
		}
	}
	r.flights = nil
	if r.timer != nil {
		r.timer.Stop()
	}
	h.runs--
	q.running[h.class]--
	if r.counts {
		h.left -= r.left
	}
	if r.silent {
		h.silent--
	}
	if r.lost {
		h.lost--
	}
	if r.unheard {
		r.unheard = false
		q.unheard.remove(r)
	}
	if r.probe {
		q.probes--
	}
	if r.cut {
		q.cutting--
	}
	if !r.took && !r.ended && !r.cut {
		h.blocked = max(h.blocked, now+stallMillis) // it did not even ask for work
	}
	q.offer(h, now)
	q.hops.release(h.index)
	nudge(q.wake) // others may wait for the connection
}

// over reports whether a run is to take no further batch.
func (q *Queue) over(ctx context.Context, r *run) bool {
	return r.ending || q.stopping || q.paused || r.left == 0 || r.to != r.hop.to || ctx.Err() != nil ||
		r.hop.class == classDown && r.hop.runs > 1 || !q.store.CanRecord()
}

// next is Work.Next.
func (q *Queue) next(ctx context.Context, r *run, wait time.Duration) *mail.Batch {
	timed := false
	q.mu.Lock()
	defer q.mu.Unlock()
	for !q.over(ctx, r) {
		if f := q.take(r); f != nil {
			if q.equip(ctx, r, f) {
				return &f.batch
			}
			continue
		}
		if wait <= 0 || q.contended() {
			break
		}
		if !timed {
			r.startTimer(wait)
			timed = true
		}
		if !q.park(ctx, r) {
			wait = 0 // look once more: work may have come as the time ran out
		}
	}
	r.ended, r.ending = true, true
	return nil
}

// startTimer starts the run's timer, which is made once.
func (r *run) startTimer(wait time.Duration) {
	if r.timer == nil {
		r.timer = time.NewTimer(wait)
		return
	}
	r.timer.Reset(wait)
}

// park waits for work with the queue unlocked. It returns false when the time is over.
func (q *Queue) park(ctx context.Context, r *run) bool {
	r.idle = true
	r.hop.idle = append(r.hop.idle, r)
	q.parked.push(r)
	q.mu.Unlock()
	again := true
	select {
	case <-r.wake:
	case <-r.timer.C:
		again = false
	case <-ctx.Done():
	}
	q.mu.Lock()
	q.unpark(r)
	select {
	case <-r.wake: // called as the time ran out
	default:
	}
	return again
}

func (q *Queue) unpark(r *run) {
	if !r.idle {
		return
	}
	r.idle = false
	q.parked.remove(r)
	h := r.hop
	if k := slices.Index(h.idle, r); k >= 0 {
		h.idle = slices.Delete(h.idle, k, k+1)
	}
}

// call wakes a run that waits for work.
func (q *Queue) call(r *run) {
	q.unpark(r)
	nudge(r.wake)
}

// take makes a batch of the message whose turn it is, or returns nil if none is ready.
func (q *Queue) take(r *run) *flight {
	h := r.hop
	i := h.front()
	if i == 0 {
		return nil
	}
	f := r.spare
	r.spare = nil
	if f == nil {
		f = new(flight)
	}
	f.entries, f.rcpts = f.entries[:0], f.rcpts[:0]
	id, attempts := q.entries.at(i).id, uint16(0)
	groups := len(h.ring)
	limit := q.set.MaxRecipients
	if limit == 0 || h.class == classLocal { // a message is one file in the drop directory
		limit = math.MaxInt
	}
	for i != 0 && len(f.entries) < limit {
		e := q.entries.at(i)
		if e.id != id {
			break
		}
		following := e.next
		h.pull(&q.entries, e)
		q.enter(e, stateFlight)
		e.flags &^= flagUnreported
		attempts = max(attempts, e.attempts)
		f.entries = append(f.entries, i)
		f.rcpts = append(f.rcpts, int(e.rcpt))
		i = following
	}
	surplus := i != 0 && q.entries.at(i).id == id
	if len(h.ring) == groups && !surplus {
		h.turn++
	}
	f.batch = mail.Batch{ID: id, Rcpts: f.rcpts, Attempt: int(attempts) + 1}
	r.flights = append(r.flights, f)
	r.took = true
	r.left--
	if r.counts {
		h.left--
	} else {
		r.left = math.MaxInt32
	}
	now := q.now()
	h.taken, h.stalled = now, false
	if int(h.runs) == len(h.idle)+1 {
		q.listen(r, now)
	}
	if surplus {
		q.separate(r, now)
	}
	return f
}

// separate has recipients that the run leaves behind sent over another connection at once.
func (q *Queue) separate(r *run, now int64) {
	if r.counts {
		r.hop.left -= r.left
		r.counts = false
	}
	r.ending = true
	r.hop.extra++
	q.offer(r.hop, now)
}

// equip gives a batch its envelope, read from the spool if need be, with the queue unlocked
// meanwhile. It returns false when there is nothing to deliver.
func (q *Queue) equip(ctx context.Context, r *run, f *flight) bool {
	env := q.cache.get(f.batch.ID)
	if env == nil {
		q.mu.Unlock()
		var err error
		env, err = q.store.Envelope(ctx, f.batch.ID)
		q.mu.Lock()
		if err != nil {
			q.unreadable(ctx, r, f, err)
			return false
		}
		q.cache.read(env)
	}
	f.batch.Env = env
	last := uint32(len(env.Recipients))
	whole := !slices.ContainsFunc(f.entries, func(i uint32) bool { return q.entries.at(i).rcpt >= last })
	if whole && !q.tooManyHops(env) {
		return true
	}
	r.landed(f)
	for _, i := range f.entries {
		e := q.entries.at(i)
		switch {
		case e.rcpt >= last:
			q.detach(e)
			q.finish(i, e)
		case whole:
			q.detach(e)
			q.fail(i, e, q.hopsReply(env), "")
		default:
			q.requeue(i, e, q.now())
		}
	}
	return false
}

// unreadable deals with a batch whose envelope could not be read.
func (q *Queue) unreadable(ctx context.Context, r *run, f *flight, err error) {
	r.landed(f)
	id, gone, now := f.batch.ID, q.gone(err), q.now()
	var j jitter
	for _, i := range slices.Backward(f.entries) {
		e := q.entries.at(i)
		switch {
		case gone:
			q.detach(e)
			q.finish(i, e)
		case ctx.Err() != nil:
			q.requeue(i, e, now)
		default:
			q.postpone(i, e, &mail.Result{Reply: mail.LocalReply(err), Ours: true}, now, &j)
		}
	}
	q.mu.Unlock()
	if gone {
		q.tellLost(id, err)
	} else if ctx.Err() == nil {
		q.tellTrouble(err)
	}
	q.mu.Lock()
}

// landed takes a batch off the run, which may use its memory again.
func (r *run) landed(f *flight) {
	if k := slices.Index(r.flights, f); k >= 0 {
		r.flights = slices.Delete(r.flights, k, k+1)
	}
	r.spare = f
}
