package queue

import (
	"context"
	"errors"
	"slices"

	"github.com/mailroot/mailroot/internal/mail"
)

// ErrStopping is returned by Return when the queue stops.
var ErrStopping = errors.New("the queue is stopping")

// Return fails recipients of one message because an operator says so: reply is what their report says. When
// it returns nil the report is durable, and returned of them no longer wait. Those that are in flight, later in
// number, fail when they come back and still wait; that is not written down, so that a crash before leaves
// them queued. After an error the others wait as they did. Recipients that are not in the queue are passed over.
func (q *Queue) Return(ctx context.Context, id mail.QueueID, rcpts []int, reply mail.Reply) (returned, later int, err error) {
	rcpts = slices.Sorted(slices.Values(rcpts))
	for {
		n, busy, err := q.returnSome(ctx, id, rcpts, reply)
		returned, later = returned+n, later+busy
		if err != nil || n < maxFailed {
			return returned, later, err
		}
	}
}

// returnSome does it to as many as one report takes.
func (q *Queue) returnSome(ctx context.Context, id mail.QueueID, rcpts []int, reply mail.Reply) (returned, later int, err error) {
	q.mu.Lock()
	if q.stopping || !q.started {
		q.mu.Unlock()
		return 0, 0, ErrStopping
	}
	q.workers.Add(1) // Stop waits, so that what was reported is marked done
	defer q.workers.Done()
	var (
		entries []uint32
		failed  []mail.Result
	)
	for i := q.messages[id]; i != 0 && len(failed) < maxFailed; i = q.entries.at(i).msgNext {
		e := q.entries.at(i)
		if _, selected := slices.BinarySearch(rcpts, int(e.rcpt)); !selected || e.flags&flagDelivered != 0 {
			continue // it has arrived: only its report is wanting
		}
		switch e.state {
		case stateFailing: // it has failed already
			continue
		case stateFlight:
			if e.flags&(flagDelete|flagReturn) == 0 {
				old := e.reply
				e.reply = q.replies.hold(lastReply{reply: reply}, true)
				q.replies.drop(old)
				e.flags |= flagReturn
				later++
			}
			continue
		case stateHeld:
			e.flags |= flagHold // if there can be no report
		}
		q.detach(e)
		q.enter(e, stateFailing)
		entries = append(entries, i)
		failed = append(failed, mail.Result{ID: id, Rcpt: int(e.rcpt), Outcome: mail.Failed, Reply: reply, Ours: true})
	}
	slices.Reverse(entries) // the chain has the last recipient first
	slices.Reverse(failed)
	env := q.cache.get(id)
	q.mu.Unlock()
	if len(failed) == 0 {
		return 0, later, nil
	}
	if env, err = q.envelope(ctx, id, env); err == nil {
		err = q.makeReport(ctx, env, failed)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case err == nil:
		q.reported(id, entries, failed, nil)
	case q.gone(err):
		q.lose(entries)
	default:
		q.takeBack(entries)
		return 0, later, err
	}
	return len(entries), later, nil
}

// takeBack puts recipients that could not be returned where they were, or where an operator wants them by now.
func (q *Queue) takeBack(entries []uint32) {
	now := q.now()
	for _, i := range entries {
		e := q.entries.at(i)
		q.detach(e)
		switch {
		case e.flags&flagDelete != 0:
			q.finish(i, e)
		case e.flags&flagHold != 0:
			q.current(e)
			q.holdEntry(e, true)
		case e.due > now && q.reroute(i, e, now):
			q.sleepUntil(i, e)
		case e.due <= now:
			q.admit(i, e, now, false)
		}
	}
}
