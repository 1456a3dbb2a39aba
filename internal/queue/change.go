package queue

import (
	"cmp"
	"slices"

	"github.com/mailroot/mailroot/internal/mail"
)

// Changed brings the queue in step with changes by an operator that the spool has already
// recorded: ChangeDone, ChangeHold, ChangeRelease, ChangeRoute, and ChangeDefer to a new time. Changes of
// one message stand together. Recipients that are in flight come back first; later counts those of them that are to
// be held or deleted then, if they still wait. The queue is unlocked between messages now and then.
func (q *Queue) Changed(changes []mail.Change) (later int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for steps := 0; len(changes) > 0; {
		n := 1
		for n < len(changes) && changes[n].ID == changes[0].ID {
			n++
		}
		later += q.changed(changes[:n])
		changes = changes[n:]
		if steps += n; steps >= stepLimit {
			steps = 0
			q.mu.Unlock()
			q.mu.Lock()
		}
	}
	return later
}

// changed does changes of one message. Those of recipients that are not here are kept: the loader may have
// read the message before they were recorded, or the message was committed and is about to be added.
func (q *Queue) changed(changes []mail.Change) (later int) {
	byRcpt := func(a, b mail.Change) int { return cmp.Compare(a.Rcpt, b.Rcpt) }
	if !slices.IsSortedFunc(changes, byRcpt) {
		changes = slices.Clone(changes)
		slices.SortStableFunc(changes, byRcpt)
	}
	// What was reported before and is on its way may reach the spool after its change.
	again := q.sending || len(q.changes) > 0
	found := 0
	for i := q.messages[changes[0].ID]; i != 0; {
		e := q.entries.at(i)
		following, rcpt := e.msgNext, int(e.rcpt)
		k, ok := slices.BinarySearchFunc(changes, rcpt, func(c mail.Change, rcpt int) int { return cmp.Compare(c.Rcpt, rcpt) })
		for ; ok && k < len(changes) && changes[k].Rcpt == rcpt; k++ {
			found++
			if kind := changes[k].Kind; e.busy() && (kind == mail.ChangeDone || kind == mail.ChangeHold) {
				later++
			}
			if q.apply(i, e, &changes[k], again); changes[k].Kind == mail.ChangeDone {
				break // the entry may be gone
			}
		}
		i = following
	}
	switch {
	case found == len(changes):
	case q.reading:
		q.keepOvertaken(changes)
	case q.messages[changes[0].ID] == 0:
		q.keepEarly(changes)
	}
	return later
}

// recipientID says which recipient of which message.
type recipientID struct {
	id   mail.QueueID
	rcpt int
}

// keepOvertaken keeps the changes of recipients that the loader may have read before they were recorded.
func (q *Queue) keepOvertaken(changes []mail.Change) {
	if q.overtaken == nil {
		q.overtaken = make(map[recipientID][]mail.Change)
	}
	for k := range changes {
		c := &changes[k]
		if at := (recipientID{c.ID, c.Rcpt}); !q.knows(c.ID, c.Rcpt) {
			q.overtaken[at] = append(q.overtaken[at], *c)
		}
	}
}

// busy reports whether an entry comes back before anything can be done to it.
func (e *entry) busy() bool { return e.state == stateFlight || e.state == stateFailing }

// maxEarly is for how many messages changes are kept that came before the message. Most of them are for
// messages that have left: the spool hears of that a little later.
const maxEarly = 1024

// keepEarly keeps the changes of a message that may be about to be added.
func (q *Queue) keepEarly(changes []mail.Change) {
	id := changes[0].ID
	if q.early == nil {
		q.early = make(map[mail.QueueID][]mail.Change)
	}
	if _, known := q.early[id]; !known {
		q.earlyIDs[q.earlyTurn], id = id, q.earlyIDs[q.earlyTurn]
		delete(q.early, id)
		q.earlyTurn = (q.earlyTurn + 1) % maxEarly
	}
	q.early[changes[0].ID] = append(q.early[changes[0].ID], changes...)
}

// apply does what an operator asks for to one recipient, and tells the spool if report is set.
func (q *Queue) apply(i uint32, e *entry, c *mail.Change, report bool) {
	busy := e.busy()
	switch c.Kind {
	case mail.ChangeDefer:
		q.move(i, e, q.at(c.Due), report)
	case mail.ChangeRoute:
		q.sendBy(i, e, c.Route)
	case mail.ChangeDone:
		if busy {
			e.flags = e.flags&^(flagHold|flagReturn) | flagDelete
			return
		}
		q.detach(e)
		if report {
			q.finish(i, e)
		} else {
			q.forget(i, e)
		}
	case mail.ChangeHold:
		if busy {
			e.flags |= flagHold
		} else if e.state != stateHeld {
			q.detach(e)
			q.holdEntry(e, report)
		}
	case mail.ChangeRelease:
		if busy {
			e.flags &^= flagHold
			return
		}
		if e.state != stateHeld {
			return
		}
		if report {
			q.change(mail.Change{ID: e.id, Rcpt: int(e.rcpt), Kind: mail.ChangeRelease})
		}
		q.detach(e)
		q.remind(e, q.now())
		q.admit(i, e, q.now(), false)
	}
}

// move gives a waiting recipient another time; one that was held is released, and the hop is tried though it
// was down a moment ago.
func (q *Queue) move(i uint32, e *entry, due int64, report bool) {
	now := q.now()
	if e.state == stateFlight || e.state == stateFailing {
		e.flags &^= flagHold
		return
	}
	q.detach(e)
	q.remind(e, now)
	e.due = max(due, now)
	if report && e.attempts > 0 {
		q.change(mail.Change{
			ID: e.id, Rcpt: int(e.rcpt), Kind: mail.ChangeDefer, Due: q.when(e.due), Attempts: int(e.attempts),
		})
	}
	if e.due > now {
		q.sleepUntil(i, e)
		return
	}
	if h := q.current(e); h.blocked > now {
		h.blocked = 0
	}
	q.admit(i, e, now, false)
}

// sendBy gives a recipient the next hop that an operator has set, or takes it back when text is empty. Where
// the recipient waits stays as it is; what is in flight follows when it comes back.
func (q *Queue) sendBy(i uint32, e *entry, text string) {
	old := e.route
	e.route = q.routes.hold(text)
	q.dropRoute(old)
	q.settleIn(i, e, q.now())
}

// settleIn moves a waiting recipient to the hop that it has now.
func (q *Queue) settleIn(i uint32, e *entry, now int64) {
	switch e.state {
	case stateReady, stateFrozen:
		q.detach(e)
		q.admit(i, e, now, false)
	case stateDeferred:
		q.detach(e)
		if q.reroute(i, e, now) {
			q.sleepUntil(i, e)
		}
	case stateHeld:
		q.detach(e)
		_ = q.find(e) // held all the same: what it means is seen at the release
		q.current(e)
		q.holdEntry(e, false)
	}
}

// holdEntry holds a recipient that is in no list.
func (q *Queue) holdEntry(e *entry, report bool) {
	q.uncache(e)
	e.flags &^= flagHold
	q.enter(e, stateHeld)
	if report {
		q.change(mail.Change{ID: e.id, Rcpt: int(e.rcpt), Kind: mail.ChangeHold})
	}
}
