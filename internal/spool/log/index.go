package log

import (
	"iter"
	"math/bits"
	"strings"
	"unique"

	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/spool"
	"github.com/mailroot/mailroot/internal/spool/log/format"
)

// index is everything about queued messages that is kept in memory. It holds no pointers but those
// to its slabs and to the names of domains, so that the garbage collector has next to
// nothing to look at: a message takes 64 octets, a recipient 24, the map about 30 for each message.
// It is guarded by Store.mu.
type index struct {
	byID    map[mail.QueueID]uint32 // → slot in messages
	slabs   [][]message
	used    int // slots given out in slabs, free ones included
	free    []uint32
	rcpts   arena
	domains domains
	routes  map[rcptKey]unique.Handle[string] // of recipients with rcptRouted
	live    int64                             // recipients that wait
	held    int64                             // of those, held
}

// rcptKey names one recipient.
type rcptKey struct {
	id   mail.QueueID
	rcpt uint32
}

// message is one queued message.
type message struct {
	id       mail.QueueID // 0: the slot is free
	original mail.QueueID
	size     int64
	arrived  int64 // Unix milliseconds
	seg, off uint32
	length   uint32 // of the record
	rcpts    uint32 // run in the arena
	n        uint32 // recipients
	live     uint32 // recipients that are not done
	refs     uint32 // queued reports that name it as Original
	file     bool   // recordFile
	null     bool   // the reverse-path is null
	// verified: the CRC of the octets was seen to be right by this process, or made by it.
	verified bool
}

// recipient is the state of one recipient.
type recipient struct {
	due      int64           // Unix milliseconds, 0: at once
	reply    format.ReplyPos // where the last reply is to be found; 0: there was none
	domain   uint32
	attempts uint16
	flags    uint8
}

const (
	rcptDone = 1 << iota
	rcptHeld
	rcptNoticed // the sender needs not be told of the delay (any more)

	rcptRouted = 1 << 3 // an operator has set its next hop: index.routes
)

func (r *recipient) state() spool.State {
	switch {
	case r.flags&rcptDone != 0:
		return spool.Done
	case r.flags&rcptHeld != 0:
		return spool.Held
	case r.attempts > 0:
		return spool.Deferred
	}
	return spool.Waiting
}

const slabSize = 1 << 12

func (x *index) at(slot uint32) *message { return &x.slabs[slot/slabSize][slot%slabSize] }

func (x *index) find(id mail.QueueID) *message {
	if slot, ok := x.byID[id]; ok {
		return x.at(slot)
	}
	return nil
}

// all yields all messages, in no order.
func (x *index) all() iter.Seq[*message] {
	return func(yield func(*message) bool) {
		for _, slab := range x.slabs {
			for k := range slab {
				if m := &slab[k]; m.id != 0 && !yield(m) {
					return
				}
			}
		}
	}
}

func (x *index) recipients(m *message) []recipient { return x.rcpts.at(m.rcpts, m.n) }

// add enters m with n recipients that wait; their domains are set by the caller. The id must be
// new. The pointer is good until the lock is given up.
func (x *index) add(m message, n int) *message {
	var slot uint32
	if k := len(x.free); k > 0 {
		slot, x.free = x.free[k-1], x.free[:k-1]
	} else {
		if x.used == len(x.slabs)*slabSize {
			x.slabs = append(x.slabs, make([]message, slabSize))
		}
		slot = uint32(x.used)
		x.used++
	}
	m.n, m.live, m.refs = uint32(n), uint32(n), 0
	m.rcpts = x.rcpts.take(m.n)
	x.live += int64(n)
	p := x.at(slot)
	*p = m
	if x.byID == nil {
		x.byID = map[mail.QueueID]uint32{}
	}
	x.byID[m.id] = slot
	return p
}

// resume gives a recipient that was just added the flags that it had.
func (x *index) resume(m *message, r *recipient, flags uint8) {
	if r.flags = flags & (rcptDone | rcptHeld | rcptNoticed | rcptRouted); r.flags&rcptDone != 0 {
		m.live--
		x.live--
	} else if r.flags&rcptHeld != 0 {
		x.held++
	}
}

// remove forgets m.
func (x *index) remove(m *message) {
	for i := range x.recipients(m) {
		r := &x.recipients(m)[i]
		if r.flags&rcptDone == 0 {
			x.live--
			if r.flags&rcptHeld != 0 {
				x.held--
			}
		}
		x.route(m, i, "")
		x.domains.drop(r.domain)
	}
	x.rcpts.give(m.rcpts, m.n)
	slot := x.byID[m.id]
	delete(x.byID, m.id)
	*m = message{}
	x.free = append(x.free, slot)
	if len(x.byID) == 0 && x.used > 16*slabSize { // a large queue has drained: give the memory back
		*x = index{domains: domains{reused: x.domains.reused + 1}}
	}
}

// apply does one change to a recipient that is not done.
func (x *index) apply(m *message, r *recipient, kind mail.ChangeKind, due int64, attempts uint16, reply format.ReplyPos) {
	switch kind {
	case mail.ChangeDone:
		if r.flags&rcptHeld != 0 {
			x.held--
		}
		r.flags = rcptDone | r.flags&rcptRouted // the route goes with the message
		r.due = 0
		m.live--
		x.live--
	case mail.ChangeDefer:
		r.due, r.attempts = due, attempts
	case mail.ChangeHold:
		if r.flags&rcptHeld == 0 {
			x.held++
		}
		r.flags |= rcptHeld
	case mail.ChangeRelease:
		if r.flags&rcptHeld != 0 {
			x.held--
		}
		r.flags &^= rcptHeld
	case mail.ChangeNoticed:
		r.flags |= rcptNoticed
	}
	if reply != 0 {
		r.reply = reply
	}
}

// route sets the next hop of a recipient; empty: as the routes say.
func (x *index) route(m *message, rcpt int, to string) {
	r, key := &x.recipients(m)[rcpt], rcptKey{m.id, uint32(rcpt)}
	switch {
	case to != "":
		if x.routes == nil {
			x.routes = map[rcptKey]unique.Handle[string]{}
		}
		x.routes[key] = unique.Make(to)
		r.flags |= rcptRouted
	case r.flags&rcptRouted != 0:
		delete(x.routes, key)
		r.flags &^= rcptRouted
		if len(x.routes) == 0 {
			x.routes = nil // a map does not shrink
		}
	}
}

// routeOf returns the next hop that an operator has set for a recipient, empty if there is none.
func (x *index) routeOf(m *message, rcpt int) string {
	if x.recipients(m)[rcpt].flags&rcptRouted == 0 {
		return ""
	}
	return x.routes[rcptKey{m.id, uint32(rcpt)}].Value()
}

// arena holds runs of recipients. Runs of one class have the same power of two for length.
type arena struct {
	classes [33]struct {
		slabs [][]recipient
		used  uint32 // runs given out, free ones included
		free  []uint32
	}
}

func class(n uint32) (c int, runs uint32) {
	c = bits.Len32(max(n, 1) - 1)
	return c, max(1, uint32(slabSize)>>c)
}

// take returns a run of n zero recipients.
func (a *arena) take(n uint32) uint32 {
	c, runs := class(n)
	k := &a.classes[c]
	if l := len(k.free); l > 0 {
		run := k.free[l-1]
		k.free = k.free[:l-1]
		clear(a.at(run, n))
		return run
	}
	if k.used == uint32(len(k.slabs))*runs {
		k.slabs = append(k.slabs, make([]recipient, int(runs)<<c))
	}
	k.used++
	return k.used - 1
}

func (a *arena) at(run, n uint32) []recipient {
	c, runs := class(n)
	from := (run % runs) << c
	return a.classes[c].slabs[run/runs][from : from+n : from+n]
}

func (a *arena) give(run, n uint32) {
	c, _ := class(n)
	a.classes[c].free = append(a.classes[c].free, run)
}

// domains interns the domains of recipients, in lower case.
type domains struct {
	ids   map[string]uint32
	names []string
	refs  []uint32
	free  []uint32
	// reused counts the numbers that have come to another domain.
	reused uint64
}

func (d *domains) take(name string) uint32 {
	name = mail.LowerASCII(name)
	if id, ok := d.ids[name]; ok {
		d.refs[id]++
		return id
	}
	if d.ids == nil {
		d.ids = map[string]uint32{}
	}
	name = strings.Clone(name) // it may be a part of something large
	var id uint32
	if k := len(d.free); k > 0 {
		id, d.free = d.free[k-1], d.free[:k-1]
		d.names[id], d.refs[id] = name, 1
		d.reused++
	} else {
		id = uint32(len(d.names))
		d.names, d.refs = append(d.names, name), append(d.refs, 1)
	}
	d.ids[name] = id
	return id
}

func (d *domains) drop(id uint32) {
	if d.refs[id]--; d.refs[id] == 0 {
		delete(d.ids, d.names[id])
		d.names[id] = ""
		d.free = append(d.free, id)
	}
}
