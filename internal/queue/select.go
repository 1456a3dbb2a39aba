package queue

import (
	"cmp"
	"slices"

	"github.com/mailroot/mailroot/internal/mail"
)

// Selection says which waiting recipients are meant: all conditions that are set must be true. The zero
// Selection means all.
type Selection struct {
	Hop    string  // Key or Place of the next hop, in any case
	Domain string  // of the recipient, in any case
	State  Waiting // 0: any
}

func (s *Selection) matches(q *Queue, e *entry) bool {
	return (s.State == 0 || e.waiting() == s.State) &&
		(s.Hop == "" || is(q.hops.at(e.hop).to, s.Hop)) &&
		(s.Domain == "" || mail.EqualFoldASCII(q.domains.at(e.domain).name, s.Domain))
}

// is reports whether a hop is the one that a person names, by its Key or by its Place.
func is(h *mail.Hop, name string) bool {
	return mail.EqualFoldASCII(h.Key, name) || mail.EqualFoldASCII(h.Place(), name)
}

// Ref names a recipient.
type Ref struct {
	ID   mail.QueueID
	Rcpt int // index into Envelope.Recipients
}

// Select returns the recipients that s means, of the n newest messages older than before (0: of all), the
// newest first and each message's in order, and where to go on; zero ends. It looks at each entry of the
// queue, in steps, so that a large n is better than many calls.
func (q *Queue) Select(s Selection, before mail.QueueID, n int) (refs []Ref, next mail.QueueID) {
	q.mu.Lock()
	defer q.mu.Unlock()
	var ids []mail.QueueID
	var least mail.QueueID
	newest := func() {
		slices.SortFunc(ids, func(a, b mail.QueueID) int { return cmp.Compare(b, a) })
		ids = slices.Compact(ids)
		ids = ids[:min(n, len(ids))]
	}
	q.eachEntry(func(_ uint32, e *entry) {
		if e.id < least || before != 0 && e.id >= before || !s.matches(q, e) {
			return
		}
		if ids = append(ids, e.id); len(ids) >= 2*n+stepLimit {
			if newest(); len(ids) == n {
				least = ids[n-1]
			}
		}
	})
	if newest(); len(ids) == n {
		next = ids[n-1]
	}
	for k, id := range ids {
		begin := len(refs)
		for i := q.messages[id]; i != 0; {
			e := q.entries.at(i)
			if s.matches(q, e) {
				refs = append(refs, Ref{id, int(e.rcpt)})
			}
			i = e.msgNext
		}
		slices.SortFunc(refs[begin:], func(a, b Ref) int { return cmp.Compare(a.Rcpt, b.Rcpt) })
		if k%stepLimit == stepLimit-1 {
			q.mu.Unlock()
			q.mu.Lock()
		}
	}
	return refs, next
}

// Place is where a recipient stands, without the reasons that State looks for.
type Place struct {
	Rcpt  int
	State Waiting
	Hop   string
}

// Places returns where the recipients of a message stand that wait, in their order; none if the queue does
// not have the message.
func (q *Queue) Places(id mail.QueueID) []Place {
	q.mu.Lock()
	defer q.mu.Unlock()
	var list []Place
	for i := q.messages[id]; i != 0; {
		e := q.entries.at(i)
		list = append(list, Place{int(e.rcpt), e.waiting(), q.hops.at(e.hop).to.Key})
		i = e.msgNext
	}
	slices.SortFunc(list, func(a, b Place) int { return cmp.Compare(a.Rcpt, b.Rcpt) })
	return list
}

// waiting is the state of an entry as others see it.
func (e *entry) waiting() Waiting {
	switch e.state {
	case stateReady:
		return Ready
	case stateDeferred:
		return Deferred
	case stateHeld:
		return Held
	case stateFrozen:
		return Frozen
	case stateFlight:
		return InFlight
	case stateFailing:
		return Failing
	}
	return 0
}
