package queue

import "github.com/mailroot/mailroot/internal/mail"

// state is where a recipient stands. It decides which list its next and prev belong to.
type state uint8

const (
	stateFree     state = iota // the entry is in no use; next leads to another such
	stateReady                 // in the ready queue of its hop
	stateDeferred              // in the timer wheel
	stateHeld                  // in no list
	stateFrozen                // in the list of those whose destination is frozen
	stateFlight                // in a batch that a run has
	stateFailing               // waits for, or is in, a report that no run makes: of failure, or with flagDelivered of success
	states        = iota
)

// What happens to a recipient when it comes back from its flight or its report.
const (
	flagDelete     uint8 = 1 << iota // it is forgotten
	flagHold                         // it is held
	flagReturn                       // it fails, with its reply
	flagCached                       // it is counted as a user of the envelope in the cache
	flagNoticed                      // the sender is not (or no more) to be told of its delay
	flagDelivered                    // it was delivered, and waits for its report of success
	flagRelayed                      // with flagDelivered: to a server without DSN
	flagUnreported                   // it failed, but the report of that could not be made
)

// entry is one waiting recipient: 64 octets, no pointers, so that the garbage collector passes
// over a million of them. Index 0 stands for none in all links.
type entry struct {
	id      mail.QueueID
	due     int64  // deferred: when, in the queue's time
	rcpt    uint32 // index into Envelope.Recipients
	next    uint32 // in the list of its state
	prev    uint32
	msgNext uint32 // other waiting recipients of the message
	msgPrev uint32
	hop     uint32 // index of its hop, 0 for none
	domain  uint32 // index of its domain
	reply   uint32 // index of its last reply, 0 if it is not kept here
	arrived uint32 // seconds since 1970
	size    uint32 // octets of the message; what is larger counts as 4 GB
	// attempts made so far.
	attempts uint16
	route    uint16 // index of the next hop that an operator has set, 0 for none
	group    uint16 // sender group: recipients of one group queue in order
	state    state
	flags    uint8
}

const (
	chunkBits = 10
	chunkSize = 1 << chunkBits
)

type chunk [chunkSize]entry

// What the queue keeps of its memory when it has become empty.
const (
	largeMap  = 1 << 16 // messages
	fewChunks = 1 << 6  // chunks of entries
)

// slab holds the entries. They never move; what is given back is used again, and when nothing is in
// use the memory is let go.
type slab struct {
	chunks []*chunk
	free   uint32
	used   int
}

// at returns the entry with index i.
func (s *slab) at(i uint32) *entry { return &s.chunks[i>>chunkBits][i&(chunkSize-1)] }

// take returns a zero entry.
func (s *slab) take() (uint32, *entry) {
	if s.free == 0 {
		s.grow()
	}
	i := s.free
	e := s.at(i)
	s.free = e.next
	*e = entry{}
	s.used++
	return i, e
}

// grow adds a chunk and links its entries so that they are used in order.
func (s *slab) grow() {
	c := new(chunk)
	base := uint32(len(s.chunks)) << chunkBits
	s.chunks = append(s.chunks, c)
	for k := chunkSize - 1; k >= 0; k-- {
		if base == 0 && k == 0 {
			break // index 0 means none
		}
		c[k].next = s.free
		s.free = base + uint32(k)
	}
}

// give takes an entry back.
func (s *slab) give(i uint32) {
	e := s.at(i)
	*e = entry{next: s.free}
	s.free = i
	s.used--
	if s.used == 0 && len(s.chunks) > fewChunks {
		*s = slab{}
	}
}

// link puts the entry at the head of its message's chain.
func (q *Queue) link(i uint32, e *entry) {
	head := q.messages[e.id]
	e.msgNext = head
	if head != 0 {
		q.entries.at(head).msgPrev = i
	}
	q.messages[e.id] = i
	if len(q.messages) == 1 || q.oldest != 0 && e.id < q.oldest {
		q.oldest = e.id
	}
	q.peak = max(q.peak, len(q.messages))
}

// enter gives an entry a new state and counts it there.
func (q *Queue) enter(e *entry, s state) {
	h := q.hops.at(e.hop)
	if before, after := e.state.undelivered(), s.undelivered(); h.class == classLocal && before != after && q.alone(e) {
		if after {
			q.local.Add(int64(e.size))
		} else {
			q.local.Add(-int64(e.size))
		}
	}
	h.n[e.state]--
	q.total[e.state]--
	e.state = s
	h.n[s]++
	q.total[s]++
}

// undelivered reports a state in which a recipient may still get its message.
func (s state) undelivered() bool { return s != stateFree && s != stateFailing }

// alone reports whether no other recipient of the message waits for the same hop. It looks at the nearest
// first: those of one hop are mostly neighbours.
func (q *Queue) alone(e *entry) bool {
	for next, prev := e.msgNext, e.msgPrev; next != 0 || prev != 0; {
		if next != 0 {
			o := q.entries.at(next)
			if o.hop == e.hop && o.state.undelivered() {
				return false
			}
			next = o.msgNext
		}
		if prev != 0 {
			o := q.entries.at(prev)
			if o.hop == e.hop && o.state.undelivered() {
				return false
			}
			prev = o.msgPrev
		}
	}
	return true
}

// detach takes an entry out of the list of its state.
func (q *Queue) detach(e *entry) {
	h := q.hops.at(e.hop)
	switch e.state {
	case stateReady:
		h.pull(&q.entries, e)
	case stateDeferred:
		q.wheel.remove(&q.entries, e)
	case stateFrozen:
		q.frozen.remove(&q.entries, e)
	}
	q.enter(e, stateFree)
}

// forget removes an entry that is in no list from its message, hop and domain, and frees it.
func (q *Queue) forget(i uint32, e *entry) {
	switch {
	case e.msgPrev != 0:
		q.entries.at(e.msgPrev).msgNext = e.msgNext
	case e.msgNext != 0:
		q.messages[e.id] = e.msgNext
	default:
		delete(q.messages, e.id)
		if e.id == q.oldest {
			q.oldest = 0
		}
		if len(q.messages) == 0 && q.peak > largeMap {
			q.messages, q.peak = make(map[mail.QueueID]uint32), 0 // a map does not shrink
		}
	}
	if e.msgNext != 0 {
		q.entries.at(e.msgNext).msgPrev = e.msgPrev
	}
	q.uncache(e)
	q.replies.drop(e.reply)
	q.domains.drop(e.domain)
	q.hops.release(e.hop) // before its route, which may be all that keeps the hop
	q.dropRoute(e.route)
	q.entries.give(i)
}
