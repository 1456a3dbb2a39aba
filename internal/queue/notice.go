package queue

import (
	"cmp"
	"context"
	"math"
	"slices"
	"time"

	"github.com/mailroot/mailroot/internal/mail"
)

// Notices of delay. No recipient has a timer for its notice: one look goes over all entries when the first of
// them may be due, at most once in lookSpacing, and finds those that are. So it does not matter whether a
// recipient is deferred or waits for a connection, and mail that leaves before its time costs nothing.

// lookSpacing is the shortest time between two looks, in milliseconds; never stands for no look.
const (
	lookSpacing = 60 * 1000
	never       = math.MaxInt64
)

// farthest bounds the time until which a notice says that delivery will be tried.
const farthest = 100 * 365 * 24 * time.Hour

var notTried = mail.NewReply(451, mail.Enhanced(4, 4, 5), "The message waits its turn and was not tried yet")

// patience is the smaller age, in milliseconds, at which a sender is told of a delay; 0 for never.
func (s *Settings) patience() int64 {
	l, r := s.Local.NoticeAfter.Milliseconds(), s.Remote.NoticeAfter.Milliseconds()
	if l == 0 || r == 0 {
		return max(l, r)
	}
	return min(l, r)
}

// remind has notices looked at when e may be due for one.
func (q *Queue) remind(e *entry, now int64) {
	if p := q.set.patience(); p > 0 && e.flags&flagNoticed == 0 {
		q.lookAt(q.at(time.Unix(int64(e.arrived), 0))+p, now)
	}
}

// lookAt has notices looked at at a time, or a little later.
func (q *Queue) lookAt(at, now int64) {
	if at = max(at, now+lookSpacing); at >= q.noticeAt {
		return
	}
	q.noticeAt = at
	if at < q.sleep {
		nudge(q.wake)
	}
}

// callNotices has the reporter look for delayed mail if it is time.
func (q *Queue) callNotices(now int64) {
	if q.noticeAt <= now {
		q.noticeAt, q.look = never, true
		nudge(q.returning)
	}
}

// noticeTime returns when the sender is to be told of the delay of e.
func (q *Queue) noticeTime(e *entry) int64 {
	after := q.retry(q.hops.at(e.hop)).NoticeAfter
	if after <= 0 || e.flags&(flagNoticed|flagDelivered) != 0 {
		return never
	}
	return q.at(time.Unix(int64(e.arrived), 0).Add(after))
}

// notices makes the notices that are due, one message after the other. Failures go first.
func (q *Queue) notices(ctx context.Context) {
	q.mu.Lock()
	look := q.look
	q.look = false
	q.mu.Unlock()
	for c := 0; look; c++ {
		var late []mail.QueueID
		late, look = q.late(c)
		for _, id := range late {
			for q.returnOne(ctx) {
			}
			if ctx.Err() != nil {
				return
			}
			q.notice(ctx, id)
		}
	}
}

// late returns the messages in chunk c of which a recipient is due for a notice, and whether there is a
// chunk behind it. Recipients that come due later, or are busy now, are looked at again.
func (q *Queue) late(c int) (ids []mail.QueueID, more bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.stopping || c >= len(q.entries.chunks) {
		return nil, false
	}
	now := q.now()
	for k := range q.entries.chunks[c] {
		e := &q.entries.chunks[c][k]
		if e.id == 0 || e.state == stateHeld {
			continue // what is held is looked at when it is released
		}
		at := q.noticeTime(e)
		switch {
		case at == never:
		case at > now || !idle(e):
			q.lookAt(at, now)
		case len(ids) == 0 || ids[len(ids)-1] != e.id:
			ids = append(ids, e.id)
		}
	}
	return ids, c+1 < len(q.entries.chunks)
}

// idle reports whether a recipient waits for a time, a connection or the end of a freeze.
func idle(e *entry) bool {
	return e.state == stateDeferred || e.state == stateReady || e.state == stateFrozen
}

// notice tells the sender of a message of all recipients that are due, and has the spool remember it. A crash
// between the two repeats the notice; the other order could lose it.
func (q *Queue) notice(ctx context.Context, id mail.QueueID) {
	q.mu.Lock()
	late, until := q.lateOf(id)
	env, stopping := q.cache.get(id), q.stopping
	q.mu.Unlock()
	if len(late) == 0 || stopping {
		return // it left meanwhile, or all of it was found with its first recipient
	}
	env, err := q.envelope(ctx, id, env)
	if err == nil {
		late = slices.DeleteFunc(late, func(r mail.Result) bool { return r.Rcpt >= len(env.Recipients) })
		if err = q.delayed(ctx, env, late, until); err != nil {
			q.reportTrouble(id, err)
		}
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if err != nil && !q.gone(err) { // a run will find out what is gone
		q.lookAt(0, q.now())
		return
	}
	for i := q.messages[id]; i != 0; {
		e := q.entries.at(i)
		if _, told := slices.BinarySearchFunc(late, int(e.rcpt), func(r mail.Result, n int) int { return cmp.Compare(r.Rcpt, n) }); told {
			e.flags |= flagNoticed
			q.change(mail.Change{ID: id, Rcpt: int(e.rcpt), Kind: mail.ChangeNoticed})
		}
		i = e.msgNext
	}
}

// lateOf returns what is known of the recipients of a message that are due for a notice, in their order and
// at most maxFailed, and when the first of them will be given up.
func (q *Queue) lateOf(id mail.QueueID) (late []mail.Result, until time.Time) {
	now := q.now()
	for i := q.messages[id]; i != 0; {
		e := q.entries.at(i)
		i = e.msgNext
		if q.noticeTime(e) > now || !idle(e) {
			continue
		}
		if len(late) == maxFailed {
			q.lookAt(0, now) // for the others
			break
		}
		last := q.lastOf(e)
		late = append(late, mail.Result{
			ID: id, Rcpt: int(e.rcpt), Outcome: mail.Deferred, Reply: last.reply, Ours: last.host == "", Host: last.host,
		})
		if t := q.givenUpAt(e, now); until.IsZero() || t.Before(until) {
			until = t
		}
	}
	slices.SortFunc(late, func(a, b mail.Result) int { return cmp.Compare(a.Rcpt, b.Rcpt) })
	return late, until
}

// lastOf returns why a recipient waits: what its last attempt said, or its hop's. It is zero when only
// the spool knows.
func (q *Queue) lastOf(e *entry) lastReply {
	last := q.replies.get(e.reply)
	if last.reply.IsZero() && e.state == stateReady {
		last = q.hops.at(e.hop).last
	}
	if last.reply.IsZero() && e.attempts == 0 {
		last = lastReply{reply: notTried}
	}
	return last
}

// givenUpAt returns when a recipient will be given up if no attempt gets through: by the attempts that are left,
// or by age.
func (q *Queue) givenUpAt(e *entry, now int64) time.Time {
	r := q.retry(q.hops.at(e.hop))
	next := now
	if e.state == stateDeferred {
		next = e.due
	}
	t, n := q.when(next), int(e.attempts)+1 // the n-th attempt is at t
	for ; n < min(r.MaxAttempts, len(r.Intervals)); n++ {
		t = t.Add(r.Intervals[n-1])
	}
	if left, last := time.Duration(r.MaxAttempts-n), r.Intervals[len(r.Intervals)-1]; left > 0 {
		t = t.Add(min(left, farthest/last) * last)
	}
	if r.ExpireAfter > 0 {
		if end := time.Unix(int64(e.arrived), 0).Add(r.ExpireAfter); end.Before(t) {
			t = end
		}
	}
	return t
}
