package vfs

import (
	"maps"
	"math/rand/v2"
	"slices"
)

// sector is the unit that a disk writes whole.
const sector = 512

// CrashClone returns what a power cut at this moment could leave: everything that was synced,
// and of the rest what rnd picks. A name that was created, renamed or removed since the
// last SyncDir may be as before or as after; a write since the last Sync may be there, not
// there, or there in some of its sectors, the others old or zero, also in another order than it was made.
// With a nil rnd all of it is there: what the end of the process alone, kill -9, leaves.
// The clone holds no locks and has the same free space. m goes on unharmed.
func (m *Mem) CrashClone(rnd *rand.Rand) *Mem {
	m.mu.Lock()
	defer m.mu.Unlock()
	keep := 1.0
	if rnd != nil {
		// One inclination for the whole clone, so that "nothing" and "everything" occur as well.
		keep = []float64{0, 0.25, 0.5, 0.75, 1}[rnd.IntN(5)]
	}
	c := &crash{rnd: rnd, keep: keep, kept: map[*memChange]bool{}, nodes: map[*memNode]*memNode{}}
	out := NewMem()
	out.free = m.free
	out.root = c.node(m.root)
	return out
}

type crash struct {
	rnd   *rand.Rand
	keep  float64
	kept  map[*memChange]bool // decided once: a rename between directories is one change
	nodes map[*memNode]*memNode
}

func (c *crash) chance() bool { return c.keep == 1 || c.rnd.Float64() < c.keep }

func (c *crash) node(n *memNode) *memNode {
	if done := c.nodes[n]; done != nil {
		return done
	}
	out := &memNode{}
	c.nodes[n] = out
	if n.dir == nil {
		out.data = c.data(n)
		return out
	}
	entries := maps.Clone(n.durable)
	for _, ch := range n.changes {
		keep, decided := c.kept[ch]
		if !decided {
			keep = c.chance()
			c.kept[ch] = keep
		}
		if keep {
			ch.apply(func(d *memNode) map[string]*memNode {
				if d == n {
					return entries
				}
				return map[string]*memNode{}
			})
		}
	}
	out.dir, out.durable = map[string]*memNode{}, map[string]*memNode{}
	for _, name := range slices.Sorted(maps.Keys(entries)) { // sorted: the same seed, the same clone
		out.dir[name] = c.node(entries[name])
		out.durable[name] = out.dir[name]
	}
	return out
}

// data goes back to the last Sync and then does some of the writes again.
func (c *crash) data(n *memNode) []byte {
	d := &memNode{data: slices.Clone(n.data)}
	for _, w := range slices.Backward(n.writes) {
		d.resize(w.oldSize)
		if len(w.old) > 0 {
			copy(d.data[w.off:], w.old)
		}
	}
	for _, w := range n.writes {
		switch {
		case w.cut:
			if c.chance() {
				d.resize(w.newSize)
			}
		case c.chance():
			c.whole(d, w)
		case c.chance():
			c.torn(d, w)
		}
	}
	return d.data
}

func (c *crash) whole(d *memNode, w memWrite) {
	d.resize(max(int64(len(d.data)), w.off+int64(len(w.new))))
	copy(d.data[w.off:], w.new)
}

// torn writes some sectors of w. The size may grow although the last sectors are missing, which
// then read as zeros.
func (c *crash) torn(d *memNode, w memWrite) {
	end := w.off + int64(len(w.new))
	if c.rnd.IntN(2) == 0 {
		d.resize(max(int64(len(d.data)), end))
	}
	for at := w.off; at < end; {
		next := min(end, (at/sector+1)*sector)
		if c.rnd.IntN(2) == 0 {
			d.resize(max(int64(len(d.data)), next))
			copy(d.data[at:next], w.new[at-w.off:next-w.off])
		}
		at = next
	}
}
