package queue

import (
	"math"

	"github.com/mailroot/mailroot/internal/mail"
)

// class is what the last attempt says about a hop. It decides how many connections the hop,
// and all hops of the class together, may have.
type class uint8

const (
	classLocal class = iota // the drop directory
	classGood               // the last attempt got through to a server
	classNew                // not tried yet
	classDown               // the last attempt failed for the hop's own fault, or does not come to an end
	classes    = 4
)

const (
	// firstWindow is the number of connections that a hop begins with.
	firstWindow = 5
	// backlogPerRun: with no limit of messages per connection, a hop gets one more run for
	// each so many messages that are ready.
	backlogPerRun = 32
	// stallMillis: when nothing was taken from a hop's ready queue for so long, since its runs are busy
	// with large messages or slow answers, it gets one more run.
	stallMillis = 1000
	// ceilingMillis: for so long a hop that refused a further connection gets no more than it took.
	ceilingMillis = 10 * 60 * 1000
	// longestBlock is the longest time that a hop which is down is left alone while new mail comes for it.
	longestBlock = 60 * 1000
	// maxGroups is the number of sender groups of one hop; further senders share them.
	maxGroups = 64
)

// hop is a next hop with mail or connections.
type hop struct {
	index   uint32
	class   class
	listed  bool // stands in a line for connections
	stalled bool // may have one run more than its backlog asks for
	told    bool // Events.HopDown was called
	hung    bool // down only since nothing was heard of it
	met     bool // since its runs are at work, one of them had a server
	to      *mail.Hop
	leads   uint32        // records of domains and of operators' routes that lead here
	n       [states]int32 // recipients by state; stateFree has no meaning

	ring     []group // sender groups with ready recipients; the turn goes round
	turn     int
	messages int32 // ready, as batches: recipients of one message in a row count once

	runs   int32  // connections
	silent int32  // runs that have not had an answer yet
	lost   int32  // runs that found the hop down, or lost it, and have not ended yet
	extra  int32  // further runs that surplus recipients ask for
	left   int32  // transactions that the runs may still make
	idle   []*run // that wait for work

	window       float64 // connections, adapted to successes and failures
	ceiling      int32   // the window's limit until ceilingUntil
	ceilingUntil int64
	failures     uint32 // attempts in a row that found the hop down
	blocked      int64  // until when no run begins
	alarm        int64  // when the scheduler looks at the hop again, 0 for none
	taken        int64  // when the last batch was taken
	heard        int64  // the last sign of life, or when its runs came to work after it
	last         lastReply
	lastAt       int64
}

// group is the recipients of one group of senders that are ready, in order.
type group struct {
	key        uint16
	head, tail uint32
	count      int32
}

type hopTable struct {
	byKey map[string]*hop
	list  []*hop // 0 is for recipients without a route
	free  []uint32
}

func (t *hopTable) init() {
	none := &hop{to: &mail.Hop{}, class: classNew}
	*t = hopTable{byKey: make(map[string]*hop), list: []*hop{none}}
}

func (t *hopTable) at(i uint32) *hop { return t.list[i] }

// get returns the record of a hop, which it makes if need be. Of hops with the same key the one that
// came last counts.
func (t *hopTable) get(to *mail.Hop) *hop {
	if h := t.byKey[to.Key]; h != nil {
		h.to = to
		return h
	}
	h := &hop{to: to, class: firstClass(to), window: firstWindow}
	if n := len(t.free); n > 0 {
		h.index, t.free = t.free[n-1], t.free[:n-1]
		t.list[h.index] = h
	} else {
		h.index = uint32(len(t.list))
		t.list = append(t.list, h)
	}
	t.byKey[to.Key] = h
	return h
}

func firstClass(to *mail.Hop) class {
	if to.Local() {
		return classLocal
	}
	return classNew
}

// release frees the record of a hop that nothing refers to, if that was not done: the last of a route may have
// been the last of the hop too.
func (t *hopTable) release(i uint32) {
	h := t.list[i]
	if i == 0 || h == nil || h.leads > 0 || h.runs > 0 || h.listed || h.waiting() > 0 {
		return
	}
	delete(t.byKey, h.to.Key)
	t.list[i] = nil
	t.free = append(t.free, i)
	if len(t.byKey) == 0 && len(t.list) > spareRecords {
		t.init()
	}
}

// waiting returns the number of recipients of the hop.
func (h *hop) waiting() int32 {
	var sum int32
	for _, n := range h.n[stateReady:] {
		sum += n
	}
	return sum
}

// push appends entry i to its sender group, or puts it before all others of the group.
func (h *hop) push(s *slab, i uint32, e *entry, front bool) {
	g := h.group(e)
	switch {
	case g.head == 0:
		g.head, g.tail = i, i
		e.next, e.prev = 0, 0
		h.messages++
	case front:
		head := s.at(g.head)
		if head.id != e.id {
			h.messages++
		}
		e.next, e.prev = g.head, 0
		head.prev = i
		g.head = i
	default:
		tail := s.at(g.tail)
		if tail.id != e.id {
			h.messages++
		}
		e.next, e.prev = 0, g.tail
		tail.next = i
		g.tail = i
	}
	g.count++
}

// group returns the group that e belongs to, which it adds if need be; when there are too
// many already, e joins one of them.
func (h *hop) group(e *entry) *group {
	if g := h.find(e.group); g != nil {
		return g
	}
	if len(h.ring) >= maxGroups {
		g := &h.ring[int(e.group)%len(h.ring)]
		e.group = g.key
		return g
	}
	h.ring = append(h.ring, group{key: e.group})
	return &h.ring[len(h.ring)-1]
}

func (h *hop) find(key uint16) *group {
	for k := range h.ring {
		if h.ring[k].key == key {
			return &h.ring[k]
		}
	}
	return nil
}

// pull takes an entry out of its sender group.
func (h *hop) pull(s *slab, e *entry) {
	g := h.find(e.group)
	var before, after *entry
	if e.prev != 0 {
		before = s.at(e.prev)
		before.next = e.next
	} else {
		g.head = e.next
	}
	if e.next != 0 {
		after = s.at(e.next)
		after.prev = e.prev
	} else {
		g.tail = e.prev
	}
	begins := before == nil || before.id != e.id
	if begins && (after == nil || after.id != e.id) {
		h.messages--
		if before != nil && after != nil && before.id == after.id {
			h.messages-- // the two now stand in a row
		}
	}
	e.next, e.prev = 0, 0
	g.count--
	if g.count == 0 {
		h.remove(g)
	}
}

// remove drops an empty group and keeps the turn of the others.
func (h *hop) remove(g *group) {
	for k := range h.ring {
		if &h.ring[k] != g {
			continue
		}
		h.ring = append(h.ring[:k], h.ring[k+1:]...)
		if k < h.turn {
			h.turn--
		}
		break
	}
	if len(h.ring) == 0 && h.runs == 0 {
		h.ring = nil
	}
}

// front returns the first ready entry of the group whose turn it is, 0 if none is ready.
func (h *hop) front() uint32 {
	if len(h.ring) == 0 {
		return 0
	}
	if h.turn >= len(h.ring) {
		h.turn = 0
	}
	return h.ring[h.turn].head
}

// limit returns how many connections the hop may have now.
func (q *Queue) limit(h *hop, now int64) int32 {
	if h.class == classLocal {
		if h.failures > 0 {
			return 1
		}
		return int32(q.set.MaxLocal)
	}
	if h.class == classDown {
		return 1
	}
	n := q.maximum(h)
	if h.ceiling > 0 && now < h.ceilingUntil {
		n = min(n, h.ceiling)
	}
	return min(n, max(int32(h.window), 1))
}

// maximum returns the configured limit of connections to a remote hop.
func (q *Queue) maximum(h *hop) int32 {
	switch {
	case h.to.MaxConnections > 0:
		return int32(min(h.to.MaxConnections, math.MaxInt32))
	case q.set.PerDomain > 0:
		return int32(min(q.set.PerDomain, math.MaxInt32))
	}
	return math.MaxInt32
}

// wants reports whether the hop should have one more run than it has. The total of all hops
// is not considered.
func (q *Queue) wants(h *hop, now int64) bool {
	if h.n[stateReady] == 0 || q.paused || q.stopping || h.blocked > now || h.runs >= q.limit(h, now) {
		return false
	}
	switch {
	case h.runs == 0:
		return true
	case h.class == classNew && q.line[classNew].len() > 0:
		return false // first each gets one
	case h.extra > 0:
		return true
	case h.silent >= firstWindow:
		return false // first an answer, then more connections
	case h.stalled:
		return true
	case q.perRun(h) > 0:
		return h.messages > h.left
	default:
		return h.messages > h.runs*backlogPerRun
	}
}

// perRun is the number of transactions after which a run of the hop ends, 0 for no limit. The drop
// directory has no connection to end, and a longer run shares its syncs among more files.
func (q *Queue) perRun(h *hop) int {
	if h.to.Local() {
		return 0
	}
	return q.set.MessagesPerConnection
}
