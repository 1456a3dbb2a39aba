package queue

import (
	"context"
	"errors"
	"strconv"

	"github.com/mailroot/mailroot/internal/mail"
)

// maxFailed is the largest number of recipients in one call of Options.Report that no run makes.
const maxFailed = 1000

// failureList is the recipients that failed without a transaction, in order.
type failureList struct{ head, tail uint32 }

// fail puts a recipient that is in no list in line for its report.
func (q *Queue) fail(i uint32, e *entry, reply mail.Reply, host string) {
	q.failWith(i, e, lastReply{reply: reply, host: host})
}

// giveUp does the same with the final result of a recipient that is not tried again.
func (q *Queue) giveUp(i uint32, e *entry, last *mail.Result) {
	q.failWith(i, e, lastReply{last.Reply, last.Host, last.Cause})
}

func (q *Queue) failWith(i uint32, e *entry, last lastReply) {
	old := e.reply
	e.reply = q.replies.hold(last, true)
	q.replies.drop(old)
	q.await(i, e)
}

// await puts a recipient that is in no list in line for the report that it needs.
func (q *Queue) await(i uint32, e *entry) {
	q.enter(e, stateFailing)
	e.next = 0
	if q.failing.tail == 0 {
		q.failing.head = i
	} else {
		q.entries.at(q.failing.tail).next = i
	}
	q.failing.tail = i
	nudge(q.returning)
}

// tooManyHops reports whether a message has been through too many relays (RFC 5321 §6.3).
func (q *Queue) tooManyHops(env *mail.Envelope) bool {
	return q.set.MaxHops > 0 && env.Content.Hops > q.set.MaxHops
}

func (q *Queue) hopsReply(env *mail.Envelope) mail.Reply {
	return mail.NewReply(554, mail.Enhanced(5, 4, 6), "Hop count exceeded - possible mail loop: "+
		strconv.Itoa(env.Content.Hops)+" Received fields, the limit is "+strconv.Itoa(q.set.MaxHops))
}

// returns makes the reports that no run makes, one after the other: of recipients that failed without a
// transaction, and of delay.
func (q *Queue) returns(ctx context.Context) {
	for {
		select {
		case <-q.returning:
		case <-q.quit:
			return
		case <-ctx.Done():
			return
		}
		for q.returnOne(ctx) {
		}
		q.notices(ctx)
	}
}

// returnOne makes the report of the message at the head of the list. False: there is none.
func (q *Queue) returnOne(ctx context.Context) bool {
	q.mu.Lock()
	var (
		entries   []uint32
		failed    []mail.Result
		id        mail.QueueID
		delivered uint8
	)
	for i := q.failing.head; i != 0 && len(failed) < maxFailed && !q.stopping && ctx.Err() == nil; i = q.failing.head {
		e := q.entries.at(i)
		if id == 0 {
			id, delivered = e.id, e.flags&flagDelivered
		}
		if e.id != id || e.flags&flagDelivered != delivered {
			break
		}
		last := q.replies.get(e.reply)
		entries = append(entries, i)
		res := mail.Result{
			ID: id, Rcpt: int(e.rcpt), Outcome: mail.Failed, Reply: last.reply, Ours: true, Host: last.host, Cause: last.cause,
		}
		if delivered != 0 {
			res.Outcome, res.Ours, res.NoDSN = mail.Delivered, last.host == "", e.flags&flagRelayed != 0
		}
		failed = append(failed, res)
		q.failing.head = e.next
		e.next = 0
		if q.failing.head == 0 {
			q.failing.tail = 0
		}
	}
	env := q.cache.get(id)
	q.mu.Unlock()
	if len(failed) == 0 {
		return false
	}

	env, err := q.envelope(ctx, id, env)
	if err == nil && delivered != 0 {
		q.succeed(ctx, env, entries, failed)
		return true
	}
	if err == nil {
		if err = q.report(ctx, env, failed); err != nil {
			q.reportTrouble(id, err)
		}
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if err != nil && q.gone(err) {
		for _, i := range entries {
			e := q.entries.at(i)
			q.detach(e)
			q.finish(i, e)
		}
		return true
	}
	if delivered != 0 {
		q.told(id, entries, failed, err)
	} else {
		q.reported(id, entries, failed, err)
	}
	return true
}

// envelope returns the envelope of a message, which it reads unless it is cached. An error has been told.
func (q *Queue) envelope(ctx context.Context, id mail.QueueID, cached *mail.Envelope) (*mail.Envelope, error) {
	if cached != nil {
		return cached, nil
	}
	env, err := q.store.Envelope(ctx, id)
	switch {
	case err == nil:
	case q.gone(err):
		q.tellLost(id, err)
	default:
		q.tellTrouble(err)
	}
	return env, err
}

// reported ends recipients whose report was made, or defers them when it could not. Entries may
// hold others than those that failed.
func (q *Queue) reported(id mail.QueueID, entries []uint32, failed []mail.Result, err error) {
	now := q.now()
	var j jitter
	q.eachReported(id, entries, failed, func(i uint32, e *entry, res *mail.Result) {
		if err != nil {
			q.postpone(i, e, res, now, &j)
			return
		}
		q.count.failed++
		q.detach(e)
		q.finish(i, e)
	})
}

// eachReported calls f with each entry that a report was to be made for, and its result.
func (q *Queue) eachReported(id mail.QueueID, entries []uint32, results []mail.Result, f func(uint32, *entry, *mail.Result)) {
	k := 0
	for _, i := range entries {
		e := q.entries.at(i)
		if k == len(results) {
			return
		}
		if e.id != id || int(e.rcpt) != results[k].Rcpt || e.state != stateFlight && e.state != stateFailing {
			continue
		}
		k++
		f(i, e, &results[k-1])
	}
}

// reroute makes an entry that is in no list belong to the hop that its domain has now. It returns
// false when there is none: the entry was deferred or fails.
func (q *Queue) reroute(i uint32, e *entry, now int64) bool {
	d := q.domains.at(e.domain)
	if d.hop == 0 && e.flags&flagDelivered == 0 {
		to, err := q.set.Route(d.name)
		if err != nil {
			q.current(e)
			var failure *mail.Error
			if errors.As(err, &failure) && failure.Permanent() {
				q.fail(i, e, failure.Reply, "")
				return false
			}
			res := &mail.Result{Outcome: mail.Deferred, Reply: mail.ReplyOf(err), Ours: true}
			if last := q.exhausted(e, q.hops.at(0), res, now); last != nil {
				q.giveUp(i, e, last)
				return false
			}
			var j jitter
			q.postpone(i, e, res, now, &j)
			return false
		}
		q.lead(e.domain, to)
	}
	q.current(e)
	return true
}

// lead sets the hop of a domain; nil means that it has none.
func (q *Queue) lead(domain uint32, to *mail.Hop) {
	d := q.domains.at(domain)
	old := d.hop
	d.hop = 0
	if to != nil {
		h := q.hops.get(to)
		h.domains++
		d.hop = h.index
	}
	if old != 0 {
		q.hops.at(old).domains--
		q.hops.release(old)
	}
}

// current makes an entry that is in no list belong to the hop of its domain, and returns that.
func (q *Queue) current(e *entry) *hop {
	d := q.domains.at(e.domain)
	if e.hop != d.hop {
		old := e.hop
		e.hop = d.hop
		q.hops.release(old)
	}
	return q.hops.at(e.hop)
}
