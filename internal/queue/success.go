package queue

import (
	"context"

	"github.com/mailroot/mailroot/internal/mail"
)

// A recipient whose sender asked for a report of success is done when that report is durable, as one that
// failed is. If the report cannot be made the recipient waits for another try with flagDelivered: it is
// never sent again by this process. A crash in that time repeats the delivery, the other order could lose the
// report.

// reportAgain is the time after which a report of success is tried again, in milliseconds.
const reportAgain = 60 * 1000

// asksSuccess reports whether the delivery of e is to be reported by us: the next hop reports for itself
// if it knows DSN (RFC 3461 §5.2.1, §5.2.2).
func asksSuccess(env *mail.Envelope, e *entry, res *mail.Result, to *mail.Hop) bool {
	return env.Recipients[e.rcpt].Notify&mail.NotifySuccess != 0 && (res.NoDSN || to.Local()) && !env.Sender.Addr.IsNull()
}

// succeed makes the report of success for recipients of a flight, and ends them.
func (q *Queue) succeed(ctx context.Context, env *mail.Envelope, entries []uint32, delivered []mail.Result) {
	// Not even a stop cuts this short, since that would repeat the delivery.
	err := q.success(context.WithoutCancel(ctx), env, delivered)
	if err != nil {
		q.reportTrouble(env.ID, err)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.told(env.ID, entries, delivered, err)
}

// told ends recipients whose success was reported, or has the report tried again. Entries may hold
// others.
func (q *Queue) told(id mail.QueueID, entries []uint32, delivered []mail.Result, err error) {
	now := q.now()
	q.eachReported(id, entries, delivered, func(i uint32, e *entry, res *mail.Result) {
		q.uncache(e)
		q.detach(e)
		if err == nil || e.flags&flagDelete != 0 {
			q.finish(i, e)
			return
		}
		old := e.reply
		e.reply = q.replies.hold(lastReply{reply: res.Reply, host: res.Host}, true)
		q.replies.drop(old)
		e.flags = e.flags&^flagHold | flagDelivered
		if res.NoDSN {
			e.flags |= flagRelayed
		}
		e.due = now + reportAgain
		q.sleepUntil(i, e)
	})
}
