package queue

import "github.com/mailroot/mailroot/internal/mail"

// Selection says which waiting recipients an action is for: all conditions that are set must be
// true. The zero Selection selects nothing; All says that no condition is meant.
type Selection struct {
	IDs    []mail.QueueID // of these messages
	Hop    string         // Key of the next hop
	Domain string         // of the recipient, in any case
	All    bool
}

func (s *Selection) matches(q *Queue, e *entry) bool {
	return (s.Hop == "" || q.hops.at(e.hop).to.Key == s.Hop) &&
		(s.Domain == "" || mail.EqualFoldASCII(q.domains.at(e.domain).name, s.Domain))
}

// each calls f for each recipient that is selected. f may forget the entry, but no other.
func (q *Queue) each(s *Selection, f func(i uint32, e *entry)) {
	switch {
	case len(s.IDs) > 0:
		for k, id := range s.IDs {
			for i := q.messages[id]; i != 0; {
				e := q.entries.at(i)
				following := e.msgNext
				if s.matches(q, e) {
					f(i, e)
				}
				i = following
			}
			if k%stepLimit == stepLimit-1 {
				q.mu.Unlock()
				q.mu.Lock()
			}
		}
	case s.All || s.Hop != "" || s.Domain != "":
		q.eachEntry(func(i uint32, e *entry) {
			if s.matches(q, e) {
				f(i, e)
			}
		})
	}
}

// RetryNow makes the deferred recipients that s selects ready, and has the hops of those that are
// ready tried at once though they were down a moment ago. It returns the number of both. What is
// held or in flight stays so.
func (q *Queue) RetryNow(s Selection) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	n, now := 0, q.now()
	q.each(&s, func(_ uint32, e *entry) {
		if e.state == stateReady && q.hops.at(e.hop).blocked > now {
			n++
		}
	})
	q.each(&s, func(_ uint32, e *entry) {
		if e.state == stateDeferred {
			n += q.hasten(e, &s)
		}
	})
	q.unblock(&s)
	return n
}

// hasten makes the deferred recipients of the message of e ready that s selects, all together so
// that they stay in one batch.
func (q *Queue) hasten(e *entry, s *Selection) (n int) {
	now := q.now()
	for i := q.messages[e.id]; i != 0; {
		e := q.entries.at(i)
		following := e.msgNext
		if e.state == stateDeferred && s.matches(q, e) {
			q.detach(e)
			q.admit(i, e, now, false)
			n++
		}
		i = following
	}
	return n
}

// unblock lets the selected hops be tried at once though they were down a moment ago.
func (q *Queue) unblock(s *Selection) {
	now := q.now()
	free := func(h *hop) {
		if h != nil && h.blocked > now {
			h.blocked = 0
			q.offer(h, now)
		}
	}
	switch {
	case len(s.IDs) > 0:
		q.each(s, func(_ uint32, e *entry) { free(q.hops.at(e.hop)) })
	case s.Domain != "":
		if d, ok := q.domains.find(mail.LowerASCII(s.Domain)); ok {
			free(q.hops.at(q.domains.at(d).hop))
		}
	case s.Hop != "":
		free(q.hops.byKey[s.Hop])
	case s.All:
		for _, h := range q.hops.list {
			free(h)
		}
	}
}

// Hold keeps the selected recipients from being tried until Release. One that is in flight
// is held when it comes back and still waits. It returns how many it touched.
func (q *Queue) Hold(s Selection) int { return q.act(s, mail.ChangeHold) }

// Release makes the selected recipients that are held ready at once.
func (q *Queue) Release(s Selection) int { return q.act(s, mail.ChangeRelease) }

// Delete forgets the selected recipients, without a report to anyone. One that is in flight
// may still be delivered, or fail and be reported; it is not tried again.
func (q *Queue) Delete(s Selection) int { return q.act(s, mail.ChangeDone) }

func (q *Queue) act(s Selection, kind mail.ChangeKind) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := 0
	q.each(&s, func(i uint32, e *entry) {
		if q.apply(i, e, kind, true) {
			n++
		}
	})
	return n
}

// Changed brings the queue in step with changes by an operator that the spool has already
// recorded: ChangeDone, ChangeHold, ChangeRelease, and ChangeDefer to a new time. Recipients that
// are in flight come back first.
func (q *Queue) Changed(changes []mail.Change) {
	q.mu.Lock()
	defer q.mu.Unlock()
	// What was reported before and is on its way may reach the spool after its change.
	again := q.sending || len(q.changes) > 0
	for k := range changes {
		c := &changes[k]
		for i := q.messages[c.ID]; i != 0; {
			e := q.entries.at(i)
			following := e.msgNext
			if e.rcpt == uint32(c.Rcpt) {
				if c.Kind == mail.ChangeDefer {
					q.move(i, e, q.at(c.Due))
				} else {
					q.apply(i, e, c.Kind, again)
				}
				break
			}
			i = following
		}
	}
}

// apply does what an operator asks for to one recipient, and tells the spool if report is set. It
// returns whether there was something to do.
func (q *Queue) apply(i uint32, e *entry, kind mail.ChangeKind, report bool) bool {
	busy := e.state == stateFlight || e.state == stateFailing
	switch kind {
	case mail.ChangeDone:
		if busy {
			e.flags = e.flags&^flagHold | flagDelete
			return true
		}
		q.detach(e)
		if report {
			q.finish(i, e)
		} else {
			q.forget(i, e)
		}
		return true
	case mail.ChangeHold:
		if e.state == stateHeld {
			return false
		}
		if busy {
			e.flags |= flagHold
			return true
		}
		q.detach(e)
		q.holdEntry(e, report)
		return true
	case mail.ChangeRelease:
		if busy && e.flags&flagHold != 0 {
			e.flags &^= flagHold
			return true
		}
		if e.state != stateHeld {
			return false
		}
		if report {
			q.change(mail.Change{ID: e.id, Rcpt: int(e.rcpt), Kind: mail.ChangeRelease})
		}
		q.detach(e)
		q.remind(e, q.now())
		q.admit(i, e, q.now(), false)
		return true
	}
	return false
}

// move gives a waiting recipient another time; one that was held is released.
func (q *Queue) move(i uint32, e *entry, due int64) {
	now := q.now()
	switch e.state {
	case stateReady, stateDeferred, stateHeld:
	default:
		e.flags &^= flagHold
		return
	}
	q.detach(e)
	q.remind(e, now)
	if e.due = due; due > now {
		q.sleepUntil(i, e)
		return
	}
	if h := q.hops.at(e.hop); h.blocked > now {
		h.blocked = 0
	}
	q.admit(i, e, now, false)
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
