package queue

import (
	"github.com/mailroot/mailroot/internal/mail"
	"time"
)

// Freeze keeps mail for a destination from being tried.
type Freeze struct {
	// Name is the Key of a next hop or the domain of recipients; "*" is everything.
	Name   string
	Until  time.Time // when it ends by itself; zero: never
	Reason string    // of the operator, for State
}

// text says why a recipient waits.
func (f *Freeze) text() string {
	if f.Name == "" {
		return "about to be ready: the freeze of its destination has ended"
	}
	s := f.Name + " is frozen by an operator"
	if f.Name == "*" {
		s = "all delivery is frozen by an operator"
	}
	if !f.Until.IsZero() {
		s += " until " + stamp(f.Until)
	}
	if f.Reason != "" {
		s += " (" + f.Reason + ")"
	}
	return s
}

// frozenList is the recipients that a freeze keeps, in the order in which they came to it.
type frozenList struct {
	head, tail uint32
	// look is the first that is to be looked at, since a freeze has ended; 0 for none.
	look uint32
}

func (l *frozenList) push(s *slab, i uint32, e *entry) {
	e.prev, e.next = l.tail, 0
	if l.tail != 0 {
		s.at(l.tail).next = i
	} else {
		l.head = i
	}
	l.tail = i
}

func (l *frozenList) remove(s *slab, e *entry) {
	if l.look != 0 && s.at(l.look) == e {
		l.look = e.next
	}
	if e.prev != 0 {
		s.at(e.prev).next = e.next
	} else {
		l.head = e.next
	}
	if e.next != 0 {
		s.at(e.next).prev = e.prev
	} else {
		l.tail = e.prev
	}
	e.next, e.prev = 0, 0
}

// SetFrozen says which destinations are frozen from now on, in place of those that were. What is in flight
// ends; what is ready is frozen when SetFrozen returns; what becomes due later is frozen then. What was
// frozen and is no longer becomes ready.
func (q *Queue) SetFrozen(list []Freeze) {
	q.applying.Lock()
	defer q.applying.Unlock()
	q.mu.Lock()
	defer q.mu.Unlock()
	q.freezes = nil
	if len(list) > 0 {
		q.freezes = make(map[string]Freeze, len(list))
	}
	for _, f := range list {
		q.freezes[mail.LowerASCII(f.Name)] = f
	}
	q.frozen.look = q.frozen.head
	nudge(q.wake)
	if len(list) == 0 {
		return
	}
	q.eachEntry(func(i uint32, e *entry) {
		if e.state != stateReady {
			return
		}
		if _, frozen := q.freezeOf(e); frozen {
			q.detach(e)
			q.freeze(i, e)
		}
	})
}

// freezeOf returns the freeze that keeps an entry with its hop, if there is one.
func (q *Queue) freezeOf(e *entry) (f Freeze, frozen bool) {
	if len(q.freezes) == 0 {
		return f, false
	}
	to := q.hops.at(e.hop).to
	for _, name := range [...]string{"*", mail.LowerASCII(to.Key), mail.LowerASCII(to.Place()), q.domains.at(e.domain).name} {
		if f, frozen = q.freezes[name]; frozen {
			return f, true
		}
	}
	return f, false
}

// freeze puts a recipient that is in no list aside until its freeze ends.
func (q *Queue) freeze(i uint32, e *entry) {
	q.uncache(e)
	q.enter(e, stateFrozen)
	q.frozen.push(&q.entries, i, e)
}

// thaw ends the freezes whose time is over, and makes ready the recipients that nothing keeps any more. More
// says that some are left to be looked at.
func (q *Queue) thaw(now int64) (more bool) {
	for name, f := range q.freezes {
		if !f.Until.IsZero() && q.at(f.Until) <= now {
			delete(q.freezes, name)
			q.frozen.look = q.frozen.head
		}
	}
	for range stepLimit {
		i := q.frozen.look
		if i == 0 {
			return false
		}
		e := q.entries.at(i)
		q.frozen.look = e.next
		if _, frozen := q.freezeOf(e); !frozen {
			q.detach(e)
			q.admit(i, e, now, false)
		}
	}
	return q.frozen.look != 0
}

// Kept counts the frozen recipients by the name of the freeze that keeps them.
func (q *Queue) Kept() map[string]int {
	q.mu.Lock()
	defer q.mu.Unlock()
	kept := make(map[string]int)
	if q.total[stateFrozen] == 0 {
		return kept
	}
	q.eachEntry(func(_ uint32, e *entry) {
		if e.state == stateFrozen {
			f, _ := q.freezeOf(e)
			kept[f.Name]++
		}
	})
	return kept
}
