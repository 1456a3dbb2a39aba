package queue

import (
	"context"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/mailroot/mailroot/internal/mail"
)

// brokenOff is the reply for a batch that a run did not give back.
var brokenOff = mail.NewReply(451, mail.Enhanced(4, 3, 0), "The delivery ended without a result")

// goodbyes is how many connections in a row a server must have closed with a 421 for its hop to be down. The
// first may have been about one message, though it should not be.
const goodbyes = 2

// drainStep is how many recipients of a hop that is down are deferred at a stretch, and
// maxChanges how many changes may wait for the spool before that pauses.
const (
	drainStep  = 256
	maxChanges = 1 << 14
)

// done is Work.Done: it turns results into states.
func (q *Queue) done(ctx context.Context, r *run, b *mail.Batch, results []mail.Result) {
	q.mu.Lock()
	k := slices.IndexFunc(r.flights, func(f *flight) bool { return &f.batch == b })
	if k < 0 {
		q.mu.Unlock()
		return // given back twice
	}
	f := r.flights[k]
	now, env := q.now(), f.batch.Env
	results = align(&f.batch, results)
	if r.cut && none(results) {
		q.giveBack(r, f, now)
		q.mu.Unlock()
		return
	}
	v := judge(results)
	n, told := q.learn(r, v, now)
	failed, delivered := q.settle(r, f, results, v, now)
	q.offer(r.hop, now)
	q.mu.Unlock()

	if len(failed) > 0 {
		err := q.report(ctx, env, failed)
		q.mu.Lock()
		q.reported(b.ID, f.entries, failed, err)
		q.mu.Unlock()
		if err != nil {
			q.reportTrouble(b.ID, err)
		}
	}
	if len(delivered) > 0 {
		q.succeed(ctx, env, f.entries, delivered)
	}
	if n > 0 {
		q.drain(r.hop, n, v.reason)
	}
	told.tell(q)

	q.mu.Lock()
	r.landed(f)
	q.mu.Unlock()
}

// none reports whether results are those of a run that was cut off before it learnt anything.
func none(results []mail.Result) bool {
	return !slices.ContainsFunc(results, func(r mail.Result) bool {
		return r.Outcome != mail.Deferred || !r.Ours || r.HopDown
	})
}

// giveBack makes the recipients of a batch that was not tried ready again.
func (q *Queue) giveBack(r *run, f *flight, now int64) {
	for _, i := range slices.Backward(f.entries) { // requeue puts before
		q.requeue(i, q.entries.at(i), now)
	}
	r.landed(f)
}

// align returns one result for each recipient of the batch, in its order.
func align(b *mail.Batch, results []mail.Result) []mail.Result {
	same := len(results) == len(b.Rcpts)
	for k := 0; same && k < len(results); k++ {
		same = results[k].Rcpt == b.Rcpts[k]
	}
	if same {
		return results
	}
	byRcpt := make(map[int]int, len(results))
	for k := range results {
		byRcpt[results[k].Rcpt] = k
	}
	aligned := make([]mail.Result, len(b.Rcpts))
	for k, rcpt := range b.Rcpts {
		if j, ok := byRcpt[rcpt]; ok {
			aligned[k] = results[j]
		} else {
			aligned[k] = mail.Result{ID: b.ID, Rcpt: rcpt, Outcome: mail.Deferred, Reply: brokenOff, Ours: true}
		}
	}
	return aligned
}

// verdict is what the results of one transaction say about the hop.
type verdict struct {
	down     bool         // no transaction was possible
	broke    bool         // it ended without an answer of the server, or with its goodbye
	goodbye  bool         // broke: the server answered 421
	silent   bool         // it was ended here, which says nothing
	progress bool         // a recipient is off the list
	reason   *mail.Result // of down and broke
}

// goodbye is the code of a server that closes the connection, whatever it was asked (RFC 5321 §3.8).
const goodbye = 421

func judge(results []mail.Result) verdict {
	var v verdict
	local, answered, taken := false, false, false
	for k := range results {
		switch res := &results[k]; {
		case res.Local:
			local = true
		case res.HopDown:
			v.down = true
			if v.reason == nil || res.Outcome == mail.Deferred {
				v.reason = res
			}
			v.progress = v.progress || res.Outcome == mail.Failed
		case res.Outcome == mail.Deferred && res.Ours:
			if v.reason == nil {
				v.reason = res
			}
		case res.Outcome == mail.Deferred && res.Reply.Code == goodbye:
			v.goodbye, v.reason = true, res
		default:
			answered = true
			taken = taken || res.Outcome == mail.Delivered
			v.progress = v.progress || res.Outcome == mail.Delivered || res.Outcome == mail.Failed
		}
	}
	v.goodbye = v.goodbye && !v.down && !taken
	v.broke = v.goodbye || !v.down && !answered && v.reason != nil
	v.silent = local && !v.down && !v.broke && !answered
	return v
}

// news is what is to be told when the queue is unlocked again.
type news struct {
	down, up string
	reply    mail.Reply
}

func (n news) tell(q *Queue) {
	if n.down != "" && q.events.HopDown != nil {
		q.events.HopDown(n.down, n.reply)
	}
	if n.up != "" && q.events.HopUp != nil {
		q.events.HopUp(n.up)
	}
}

// learn adapts the hop's connections to a verdict. It returns how many ready recipients of
// the hop are to be deferred with it.
func (q *Queue) learn(r *run, v verdict, now int64) (drain int32, n news) {
	if v.silent {
		return 0, n
	}
	h := r.hop
	if r.silent {
		r.silent = false
		h.silent--
	}
	failing := v.down || v.broke
	if r.lost != failing {
		r.lost = failing
		if failing {
			h.lost++
		} else {
			h.lost--
		}
	}
	if !failing {
		q.hear(r, now)
		if r.probe {
			r.probe = false
			q.probes--
		}
		if h.told {
			h.told, n.up = false, h.to.Key
		}
		h.recover()
		h.hung = false
		q.setClass(h, classGood)
		if float64(h.runs)+1 >= h.window && h.window < math.MaxInt16 {
			h.window += 1 / h.window
		}
		return 0, n
	}
	h.last, h.lastAt = lastReply{reply: v.reason.Reply, host: speaker(v.reason)}, now
	if v.down || v.goodbye {
		r.ending = true
	}
	if others := h.runs - h.lost; others > 0 {
		// It may have as many connections as it takes: that is for the others to show.
		h.window = float64(others)
		h.ceiling, h.ceilingUntil = others, now+ceilingMillis
		return 0, n
	}
	h.hung = false
	q.setClass(h, classDown)
	h.window, h.ceiling = firstWindow, 0 // for when it is up again
	h.extra = 0
	h.failures++
	if !v.down && (!v.goodbye || h.failures < goodbyes) {
		return 0, n
	}
	if !h.told {
		h.told, n.down, n.reply = true, h.to.Key, v.reason.Reply
	}
	if v.reason.Outcome != mail.Deferred {
		return 0, n // no such domain, for example: each message fails for itself
	}
	h.blocked = now + q.backoff(h)
	return h.n[stateReady], n
}

// recover forgets failures.
func (h *hop) recover() {
	h.failures, h.blocked = 0, 0
	h.last, h.lastAt = lastReply{}, 0
}

// backoff returns for how long a hop that is down is left alone, though new mail may come for it:
// a second, doubled with each further failure up to a minute, and always less than the first retry
// interval, so that the block never delays a retry.
func (q *Queue) backoff(h *hop) int64 {
	t := int64(longestBlock)
	if h.failures < 7 {
		t = min(t, 1000<<(h.failures-1))
	}
	first := q.retry(h).Intervals[0].Milliseconds()
	return min(t, first*8/10)
}

func (q *Queue) retry(h *hop) *Retry {
	if h.to.Local() {
		return &q.set.Local
	}
	return &q.set.Remote
}

// settle gives all recipients of a batch their new state, but for those that failed, or were delivered to
// a sender who wants to know: these stay in flight until their report is made, and are returned.
func (q *Queue) settle(r *run, f *flight, results []mail.Result, v verdict, now int64) (failed, delivered []mail.Result) {
	var (
		j        jitter
		overflow bool
		alive    = v.down && r.hop.runs > r.hop.lost
	)
	for k := len(f.entries) - 1; k >= 0; k-- { // backwards, since requeue puts before
		i := f.entries[k]
		e, res := q.entries.at(i), &results[k]
		switch {
		case res.Outcome == mail.Delivered:
			q.count.delivered++
			if asksSuccess(f.batch.Env, e, res, r.to) {
				delivered = append(delivered, own(res, e, mail.Delivered))
				break
			}
			q.detach(e)
			q.finish(i, e)
		case res.Outcome == mail.Overflow && v.progress:
			overflow = true
			q.requeue(i, e, now)
		case res.Outcome == mail.Deferred && res.HopDown && alive:
			q.requeue(i, e, now) // the others will take it
		case res.Outcome == mail.Failed:
			failed = append(failed, own(res, e, mail.Failed))
		default:
			if last := q.exhausted(e, r.hop, res, now); last != nil {
				failed = append(failed, own(last, e, mail.Failed))
				break
			}
			q.postpone(i, e, res, now, &j)
		}
	}
	if overflow {
		q.separate(r, now)
	}
	slices.Reverse(failed)
	slices.Reverse(delivered)
	return failed, delivered
}

// own returns a result with the identity that it must have.
func own(res *mail.Result, e *entry, o mail.Outcome) mail.Result {
	c := *res
	c.ID, c.Rcpt, c.Outcome = e.id, int(e.rcpt), o
	return c
}

// exhausted returns the final result of a recipient for which res was the last attempt, or nil if there
// is another.
func (q *Queue) exhausted(e *entry, h *hop, res *mail.Result, now int64) *mail.Result {
	retry := q.retry(h)
	last := *res
	last.Ours, last.HopDown, last.Cause = true, false, res.Reply
	switch {
	case int(e.attempts)+1 >= retry.MaxAttempts:
		last.Reply = attemptsReply(int(e.attempts)+1, res.Reply)
	case q.expired(e, h, now):
		last.Reply = expiredReply(res.Reply)
	default:
		return nil
	}
	return &last
}

// expired reports whether a recipient is too old to be tried again.
func (q *Queue) expired(e *entry, h *hop, now int64) bool {
	limit := q.retry(h).ExpireAfter
	return limit > 0 && q.when(now).Sub(time.Unix(int64(e.arrived), 0)) >= limit
}

func attemptsReply(n int, last mail.Reply) mail.Reply {
	return givenUp("not delivered in "+strconv.Itoa(n)+" attempts", last)
}

func expiredReply(last mail.Reply) mail.Reply { return givenUp("delivery time expired", last) }

// givenUp makes the reply for a recipient that is not tried again: status 4.4.7 (RFC 3463 §3.5).
func givenUp(why string, last mail.Reply) mail.Reply {
	text := "Message given up: " + why
	if !last.IsZero() {
		text += "; last reply: " + last.String()
	}
	return mail.NewReply(451, mail.Enhanced(4, 4, 7), text)
}

// jitter keeps recipients of one message together: they get the same time when they were tried as often.
type jitter struct {
	id       mail.QueueID
	attempts uint16
	due      int64
}

// next returns when a recipient of the hop is tried again after its attempts.
func (j *jitter) next(e *entry, retry *Retry, now int64, seed uint64) int64 {
	if j.id == e.id && j.attempts == e.attempts {
		return j.due
	}
	n := len(retry.Intervals)
	interval := retry.Intervals[min(max(int(e.attempts), 1), n)-1]
	if n > 1 {
		interval = time.Duration(float64(interval) * (0.9 + 0.2*share(uint64(e.id), uint64(e.attempts), seed)))
	}
	*j = jitter{e.id, e.attempts, now + interval.Milliseconds()}
	return j.due
}

// share returns a number from 0 to below 1 that looks like chance and depends on nothing but its
// arguments, so that a schedule can be repeated (the finalizer of SplitMix64, Steele and others, 2014).
func share(id, attempts, seed uint64) float64 {
	x := seed ^ id*0x9e3779b97f4a7c15 + attempts*0xd1342543de82ef95
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return float64((x^x>>31)>>11) / (1 << 53)
}

// postpone counts an attempt that ended with res and defers the recipient, which is in a list or in
// flight, until its next attempt.
func (q *Queue) postpone(i uint32, e *entry, res *mail.Result, now int64, j *jitter) {
	q.count.deferred++
	if e.attempts < math.MaxUint16 {
		e.attempts++
	}
	q.uncache(e)
	q.detach(e)
	if q.aside(i, e, res, now, j) {
		return
	}
	q.sleepUntil(i, e)
}

// aside sets an entry's next time and last reply, reports both, and does what an operator asked for
// while the recipient was in flight. It returns true when the entry does not become deferred.
func (q *Queue) aside(i uint32, e *entry, res *mail.Result, now int64, j *jitter) bool {
	h := q.current(e)
	retry := q.retry(h)
	e.due = j.next(e, retry, now, q.jitterSeed)
	if retry.ExpireAfter > 0 {
		end := q.at(time.Unix(int64(e.arrived), 0).Add(retry.ExpireAfter))
		e.due = min(e.due, max(end, now+1))
	}
	asked := q.replies.get(e.reply).reply // of flagReturn
	old := e.reply
	e.reply = q.replies.hold(lastReply{reply: res.Reply, host: speaker(res)}, false)
	q.replies.drop(old)
	if e.flags&flagDelete != 0 {
		q.finish(i, e)
		return true
	}
	q.change(mail.Change{
		ID: e.id, Rcpt: int(e.rcpt), Kind: mail.ChangeDefer, Due: q.when(e.due),
		Attempts: int(e.attempts), Reply: res.Reply, Host: speaker(res),
	})
	switch {
	case e.flags&flagReturn != 0:
		e.flags &^= flagReturn | flagHold // if there can be no report it is deferred
		q.fail(i, e, asked, "")
	case e.flags&flagHold != 0:
		q.holdEntry(e, true)
	default:
		return false
	}
	return true
}

// sleepUntil puts an entry that is in no list into the wheel.
func (q *Queue) sleepUntil(i uint32, e *entry) {
	q.enter(e, stateDeferred)
	q.wheel.add(&q.entries, i, e)
	if e.due < q.sleep {
		nudge(q.wake)
	}
}

// requeue makes a recipient that comes back from its flight ready again at once, without counting an
// attempt.
func (q *Queue) requeue(i uint32, e *entry, now int64) {
	q.detach(e)
	switch {
	case e.flags&flagDelete != 0:
		q.finish(i, e)
	case e.flags&flagReturn != 0:
		e.flags &^= flagReturn | flagHold
		q.current(e)
		q.fail(i, e, q.replies.get(e.reply).reply, "")
	case e.flags&flagHold != 0:
		q.current(e)
		q.holdEntry(e, true)
	default:
		q.admit(i, e, now, true)
	}
}

// finish reports that a recipient, which is in no list, no longer waits, and forgets it.
func (q *Queue) finish(i uint32, e *entry) {
	q.change(mail.Change{ID: e.id, Rcpt: int(e.rcpt), Kind: mail.ChangeDone, Attempts: int(e.attempts)})
	q.forget(i, e)
}

// drain defers n ready recipients of a hop that is down, as though each had been tried, without
// a connection for each.
func (q *Queue) drain(h *hop, n int32, reason *mail.Result) {
	res := *reason
	var j jitter
	q.mu.Lock()
	defer q.mu.Unlock()
	for n > 0 {
		now := q.now()
		for range min(n, drainStep) {
			i := h.front()
			if i == 0 || h.blocked <= now {
				return
			}
			n--
			e := q.entries.at(i)
			if last := q.exhausted(e, h, &res, now); last != nil {
				q.detach(e)
				q.giveUp(i, e, last)
				continue
			}
			q.postpone(i, e, &res, now, &j)
		}
		for len(q.changes) > maxChanges && q.started && !q.stopping {
			q.room.Wait()
		}
		q.mu.Unlock()
		q.mu.Lock()
	}
}

// speaker is the server whose words the reply is; none when the reply was made here.
func speaker(r *mail.Result) string {
	if r.Ours {
		return ""
	}
	return r.Host
}
