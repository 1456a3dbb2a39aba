package log

import (
	"fmt"

	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/spool/log/format"
)

// A segment is only appended to, so that one whose end has been cut off between two records looks whole. Journals therefore
// say about once a second how far segments are durable, and how many messages live in them: what is missing of that was
// acknowledged.

// tellExtents writes into the journal how far those segments are durable that have grown, without a sync.
func (s *Store) tellExtents() error {
	s.jmu.Lock()
	defer s.jmu.Unlock()
	s.mu.Lock()
	untold := s.untold
	s.mu.Unlock()
	if !untold {
		return nil
	}
	if err := s.ensureJournal(); err != nil {
		return err
	}
	s.jbuf = format.BeginBlock(s.jbuf[:0])
	s.mu.Lock()
	s.untold = false
	for _, g := range s.segs {
		if g.made && g.size > max(g.told, format.HeaderSize) {
			s.jbuf = format.AppendExtent(s.jbuf, g.id, g.size, g.live)
			g.told = g.size
		}
	}
	s.mu.Unlock()
	if len(s.jbuf) == format.BlockHeader {
		return nil
	}
	err := s.writeJournal()
	if err != nil { // where the disk is full no checkpoint makes it good
		s.mu.Lock()
		defer s.mu.Unlock()
		s.untold = true
		for _, g := range s.segs {
			g.told = 0
		}
	}
	return err
}

// extent is what a journal says of a segment.
type extent struct {
	size   int64 // up to where it was durable
	unseen int64 // messages that lived in it, and of which no record is here
	// done are messages without a record that were finished afterwards, which may be some of those. That one of the
	// recipients was must do: how many there were stood in the record.
	done map[mail.QueueID]bool
}

// lost is how many messages at least have vanished with what is missing of the segment.
func (e *extent) lost() int64 {
	if e == nil {
		return 0
	}
	return max(0, e.unseen-int64(len(e.done)))
}

// extents are the last extents of segments, by format.SegmentFact.
type extents map[uint64]*extent

// says notes what an entry says of a message that is not there.
func (x extents) says(e *format.Entry) {
	if e.Kind != byte(mail.ChangeDone) {
		return
	}
	for _, e1 := range x {
		if e1.unseen <= 0 {
			continue
		}
		if e1.done == nil {
			e1.done = map[mail.QueueID]bool{}
		}
		e1.done[e.ID] = true
	}
}

// doubt is called where a part of the journals is missing: it may say that all was finished.
func (x extents) doubt() {
	for _, e := range x {
		e.unseen = 0
	}
}

// beginExtents prepares for what journals say of segments.
func (r *recovery) beginExtents() {
	r.alive, r.keys = countAlive(&r.x), map[uint64]uint32{}
	for id, key := range r.head.files {
		r.keys[format.SegmentFact(id)] = key
	}
	for key, g := range r.segs {
		r.keys[format.SegmentFact(g.id)] = key
	}
}

// noteExtent notes what a journal says of a segment.
func (r *recovery) noteExtent(e *format.Entry) {
	fact := uint64(e.ID)
	x := &extent{size: e.Size, unseen: e.Live}
	if key, ok := r.keys[fact]; ok {
		x.unseen -= r.alive.count[key] + r.broken[key]
	}
	r.extents[fact] = x
}

// missEnds tells of segments that end, or can be read, only before what was durable of them. Where something could not be
// read for another reason the next opening knows more.
func (r *recovery) missEnds() {
	if r.stats.Unread > 0 {
		return
	}
	if len(r.foreign) > 0 { // its marks may stand in a checkpoint that does not count here
		r.extents.doubt()
	}
	moved := r.missingElsewhere() // these may have stood there, and are counted
	for fact, e := range r.extents {
		if g := r.segs[r.keys[fact]]; g != nil && g.reach < e.size { // of a file that is not there missMade tells
			n := e.lost()
			counted := min(n, moved)
			moved -= counted
			r.missEnd(g, e, n-counted)
		}
	}
}

func (r *recovery) missEnd(g *segment, e *extent, n int64) {
	r.damaged = true
	r.stats.Lost += n
	r.nameless += n
	reason := fmt.Sprintf("%s: octets %d to %d were synced, and are missing or cannot be read", g.id.Name(), g.reach, e.size)
	if n > 0 {
		r.note(fmt.Sprintf("%s: %d messages lost", reason, n))
	} else {
		r.note(reason + ": journals know of no message that waited there")
	}
	if end := min(g.size, e.size); end > g.reach {
		r.stats.Quarantined++
		r.keepOctets(g, g.reach, end-g.reach, 0, reason)
	}
}

// alive counts the messages in each segment, by its key, which live there at a moment of the journals: those that are not
// done, and those that reports name.
type alive struct {
	count map[uint32]int64
	named map[mail.QueueID]bool
}

// countAlive counts before the journals say anything.
func countAlive(x *index) alive {
	a := alive{count: map[uint32]int64{}, named: map[mail.QueueID]bool{}}
	for m := range x.all() {
		if m.original != 0 {
			a.named[m.original] = true
		}
	}
	for m := range x.all() {
		if m.live > 0 || a.named[m.id] {
			a.count[m.seg]++
		}
	}
	return a
}

// leave is told that all recipients of m are done.
func (a alive) leave(m *message) {
	if !a.named[m.id] {
		a.count[m.seg]--
	}
}
