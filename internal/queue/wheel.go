package queue

import "math/bits"

// The wheel has six levels of 64 slots. A slot of level 0 is one tick, 64 ms; a slot of a level is as
// long as the whole level below. Six levels reach 139 years from the start of the queue.
const (
	tickBits   = 6 // a tick is 1<<tickBits milliseconds
	slotBits   = 6
	slots      = 1 << slotBits
	levels     = 6
	lastTick   = 1<<(slotBits*levels) - 1
	slotMark   = 1 << 31 // in next and prev: the other end is a slot, not an entry
	noSlot     = -1
	tickMillis = 1 << tickBits
)

// wheel is the one timer of all deferred recipients: a hierarchy of lists through the entries
// themselves, so that it needs no memory for a recipient and inserting and removing take constant time.
//
// An entry with tick t lies at the level of the highest digit (base 64) in which t differs from
// now. Hence within a level all used slots lie behind the current one, and lower levels are due before
// higher ones. Entries that are due together leave in the order in which they came.
type wheel struct {
	now   int64 // the tick up to which everything has fired
	count int
	used  [levels]uint64 // a bit for each slot that is not empty
	list  [levels * slots]struct{ head, tail uint32 }
	// current is the slot that is being emptied, or noSlot: a slot can hold a million
	// entries, which leave it in several steps.
	current int
	active  bool
}

// tick returns the first tick that is not before time t.
func tick(t int64) int64 { return min(max((t+tickMillis-1)>>tickBits, 0), lastTick) }

// add puts entry i in, to fire at e.due.
func (w *wheel) add(s *slab, i uint32, e *entry) {
	w.put(s, i, e)
	w.count++
}

func (w *wheel) put(s *slab, i uint32, e *entry) {
	t := max(tick(e.due), w.now+1)
	level := (63 - bits.LeadingZeros64(uint64(t^w.now))) / slotBits
	digit := int(t>>(level*slotBits)) & (slots - 1)
	n := level*slots + digit
	l := &w.list[n]
	w.used[level] |= 1 << digit
	mark := uint32(slotMark | n)
	e.next = mark
	if l.tail == 0 {
		l.head, e.prev = i, mark
	} else {
		e.prev = l.tail
		s.at(l.tail).next = i
	}
	l.tail = i
}

// remove takes an entry out.
func (w *wheel) remove(s *slab, e *entry) {
	w.cut(s, e)
	w.count--
}

func (w *wheel) cut(s *slab, e *entry) {
	if e.prev&slotMark == 0 {
		s.at(e.prev).next = e.next
	} else {
		n := e.prev &^ slotMark
		w.list[n].head = e.next
		if e.next&slotMark != 0 {
			w.list[n].head = 0
			w.used[n>>slotBits] &^= 1 << (n & (slots - 1))
		}
	}
	if e.next&slotMark == 0 {
		s.at(e.next).prev = e.prev
	} else {
		n := e.next &^ slotMark
		w.list[n].tail = e.prev
		if e.prev&slotMark != 0 {
			w.list[n].tail = 0
		}
	}
	e.next, e.prev = 0, 0
}

// first returns the first used slot and the tick at which it begins, or noSlot.
func (w *wheel) first() (int, int64) {
	for level := range levels {
		shift := level * slotBits
		digit := int(w.now>>shift) & (slots - 1)
		rest := w.used[level] &^ (1<<(digit+1) - 1) // slots behind the current one
		if rest == 0 {
			continue
		}
		d := bits.TrailingZeros64(rest)
		return level*slots + d, (w.now>>shift - int64(digit) + int64(d)) << shift
	}
	return noSlot, 0
}

// next returns when advance has something to do, in the queue's time; false if never.
func (w *wheel) next() (int64, bool) {
	if w.active {
		return w.now << tickBits, true
	}
	n, t := w.first()
	return t << tickBits, n != noSlot
}

// advance takes out what is due at time t and appends it to fired. It moves at most limit
// entries; more says that it must be called again.
func (w *wheel) advance(s *slab, t int64, fired []uint32, limit int) (_ []uint32, more bool) {
	end := t >> tickBits
	for {
		if !w.active {
			n, start := w.first()
			if n == noSlot || start > end {
				w.now = max(w.now, end)
				return fired, false
			}
			w.now, w.current, w.active = start, n, true
		}
		l := &w.list[w.current]
		for l.head != 0 {
			if limit == 0 {
				return fired, true
			}
			limit--
			i := l.head
			e := s.at(i)
			w.cut(s, e)
			if tick(e.due) <= w.now {
				w.count--
				fired = append(fired, i)
			} else {
				w.put(s, i, e)
			}
		}
		w.active = false
	}
}
