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
		err = q.makeReport(ctx, env, failed)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if err != nil && q.gone(err) {
		q.lose(entries)
		return true
	}
	if delivered != 0 {
		q.told(id, entries, failed, err)
	} else {
		q.reported(id, entries, failed, err)
	}
	return true
}

// makeReport makes the report of recipients of one message. An error has been told.
func (q *Queue) makeReport(ctx context.Context, env *mail.Envelope, failed []mail.Result) error {
	err := q.report(ctx, env, failed)
	if err != nil {
		q.reportTrouble(env.ID, err)
	}
	return err
}

// lose forgets recipients of a message that is no longer in the spool.
func (q *Queue) lose(entries []uint32) {
	for _, i := range entries {
		e := q.entries.at(i)
		q.detach(e)
		q.finish(i, e)
	}
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
	if err != nil {
		q.unreported = err.Error()
	}
	q.eachReported(id, entries, failed, func(i uint32, e *entry, res *mail.Result) {
		if err != nil {
			e.flags |= flagUnreported
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

// reroute makes an entry that is in no list belong to the hop that it has now. It returns false when there is
// none: the entry was deferred or fails. What was delivered needs none.
func (q *Queue) reroute(i uint32, e *entry, now int64) bool {
	var err error
	if e.flags&flagDelivered == 0 {
		err = q.find(e)
	}
	q.current(e)
	if err == nil {
		return true
	}
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

// find asks for the hop of an entry's domain, or for the one that an operator has set, unless it is known.
func (q *Queue) find(e *entry) error {
	if e.route != 0 {
		r := q.routes.at(e.route)
		if r.hop != 0 {
			return nil
		}
		to, err := q.routeTo(r.text)
		if err == nil {
			q.lead(&r.hop, to)
		}
		return err
	}
	d := q.domains.at(e.domain)
	if d.hop != 0 {
		return nil
	}
	to, err := q.set.Route(d.name)
	if err == nil {
		q.lead(&d.hop, to)
	}
	return err
}

// routeTo asks for a hop that an operator has set.
func (q *Queue) routeTo(text string) (*mail.Hop, error) {
	if q.set.RouteTo == nil {
		return nil, errNoRoutes
	}
	return q.set.RouteTo(text)
}

// lead sets the hop in the record of a domain or of an operator's route; nil means that it has none.
func (q *Queue) lead(hop *uint32, to *mail.Hop) {
	old := *hop
	*hop = 0
	if to != nil {
		h := q.hops.get(to)
		h.leads++
		*hop = h.index
	}
	q.unlead(old)
}

// unlead takes back what lead did to a hop.
func (q *Queue) unlead(hop uint32) {
	if hop != 0 {
		q.hops.at(hop).leads--
		q.hops.release(hop)
	}
}

// hopOf returns the number of the hop that an entry is to have.
func (q *Queue) hopOf(e *entry) uint32 {
	if e.route != 0 {
		return q.routes.at(e.route).hop
	}
	return q.domains.at(e.domain).hop
}

// current makes an entry that is in no list belong to the hop that it is to have, and returns that.
func (q *Queue) current(e *entry) *hop {
	if to := q.hopOf(e); e.hop != to {
		old := e.hop
		e.hop = to
		q.hops.release(old)
	}
	return q.hops.at(e.hop)
}
