package log

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/spool/log/format"
)

// idsAhead is longer than ids are reserved ahead.
const idsAhead = 2 * time.Minute

// cannotRead leaves a file where it is, for the next opening to try again: an I/O error may pass.
func (r *recovery) cannotRead(id format.ID, err error, so string) {
	r.stats.Unread++
	r.unread[id] = true // of a segment it has no meaning
	r.note(fmt.Sprintf("%s cannot be read and stays as it is (%v): %s", id.Name(), err, so))
}

// scanSegments enters what the checkpoint does not cover.
func (r *recovery) scanSegments() {
	r.nextSeg = max(1, r.head.nextSeg)
	for _, id := range r.l.segs {
		r.nextSeg = max(r.nextSeg, id.Num+1)
	}
	for key := range r.head.covered {
		r.nextSeg = max(r.nextSeg, key+1)
	}
	r.expect()
	var list []*candidate
	for _, id := range r.l.segs {
		list = append(list, r.identify(id))
	}
	r.adopt(list)
	for _, c := range list {
		r.scanSegment(c.segment, c.from)
	}
}

// candidate is a segment file with what is known about it before it is read.
type candidate struct {
	*segment
	from    int64 // where to begin to read
	unknown bool  // the checkpoint does not know it
}

// expect notes which segments the checkpoint says are there.
func (r *recovery) expect() {
	if r.head.files == nil {
		for num, off := range r.head.covered {
			if off >= format.HeaderSize {
				r.made[uint64(num)] = true
			}
		}
	}
	for id, key := range r.head.files {
		if r.head.covered[key] >= format.HeaderSize {
			r.made[format.SegmentFact(id)] = true
		}
	}
}

// identify gives a segment its key. The number is only the first try: spools that were copied into one folder
// use the same numbers, and all their files count.
func (r *recovery) identify(id format.ID) *candidate {
	c := &candidate{segment: &segment{id: id, made: true, size: r.l.sizes[id]}, from: format.HeaderSize}
	var listed bool
	if c.key, listed = r.head.files[id]; listed {
		c.from = r.head.covered[c.key]
		r.segs[c.key] = c.segment
		return c
	}
	covered, sameNumber := r.head.covered[id.Num]
	byNumber := r.head.files == nil && r.head.covered != nil // a checkpoint of the first builds
	switch {
	case byNumber && sameNumber && r.segs[id.Num] == nil:
		c.key, c.from = id.Num, covered
		r.segs[c.key] = c.segment
		return c
	case byNumber && !sameNumber && id.Num < r.head.nextSeg, r.head.gone[id]: // it was to be removed
		c.from = math.MaxInt64
	default:
		c.unknown = true
	}
	if c.key = id.Num; sameNumber || r.segs[id.Num] != nil {
		c.key = r.nextSeg
		r.nextSeg++
	}
	r.segs[c.key] = c.segment
	if c.unknown && (c.key != id.Num || !byNumber && id.Num < r.head.nextSeg) {
		r.foreign[c.key], r.since[c.key] = true, 0
		r.note(id.Name() + ": another spool has made it, a copy of which was put into this one; its messages are taken over")
	}
	return c
}

// adopt looks into the other checkpoints for segments that the newest does not know: where two spools were put into one
// folder each has its own.
func (r *recovery) adopt(list []*candidate) {
	for _, id := range slices.Backward(r.l.chks) {
		if id.Num == r.chk || r.unread[id] {
			continue
		}
		var head chkHead
		known := func(c *candidate) bool {
			_, ok := head.files[c.id]
			return c.unknown && (ok || head.gone[c.id])
		}
		x, err := r.readOther(id, &head, func() bool { return slices.ContainsFunc(list, known) })
		if err != nil || x == nil {
			continue // the segments are read from the start
		}
		for _, c := range list {
			if !known(c) {
				continue
			}
			key, ok := head.files[c.id]
			if c.unknown = false; !ok {
				c.from = math.MaxInt64
				continue
			}
			c.from = head.covered[key]
			r.foreign[c.key], r.since[c.key] = true, id.Num
			r.importFrom(x, key, c.segment)
		}
	}
}

// readOther reads a checkpoint that is not the newest, or no more than its head when wanted says so.
func (r *recovery) readOther(id format.ID, head *chkHead, wanted func() bool) (*index, error) {
	f, size, _, err := r.openFile(id)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := format.Read(f, size, id.Salt).Next()
	if err != nil {
		return nil, err
	}
	if b.Kind != format.BlockHead || b.Version != format.BlockVersion || !head.parse(b.Payload) || !wanted() {
		return nil, nil
	}
	x := new(index)
	*head, err = readCheckpoint(f, size, id, x)
	return x, err
}

// importFrom takes over the messages that x has in its segment key, which is g.
func (r *recovery) importFrom(x *index, key uint32, g *segment) {
	for m := range x.all() {
		if m.seg != key || r.x.find(m.id) != nil {
			continue
		}
		c := *m
		c.seg = g.key
		p := r.x.add(c, int(m.n))
		for j := range x.recipients(m) {
			from, to := &x.recipients(m)[j], &r.x.recipients(p)[j]
			to.domain = r.x.domains.take(x.domains.names[from.domain])
			to.due, to.attempts, to.reply = from.due, from.attempts, from.reply
			if route := x.routeOf(m, j); route != "" {
				r.x.route(p, j, route)
			}
			r.x.resume(p, to, from.flags)
		}
	}
}

// replayOlder does what a journal from before the checkpoint says that the checkpoint cannot know: about messages of
// other spools, or because an opening could not read the journal, or the messages. That a recipient is done
// holds for ever.
func (r *recovery) replayOlder(id format.ID) {
	if !r.head.later[id] && len(r.foreign) == 0 {
		return
	}
	err := r.replayJournal(id, func(e *format.Entry) bool {
		m := r.x.find(e.ID)
		if m == nil || e.Kind == format.EntryMade || e.Kind == format.EntryGone {
			return false
		}
		since, ok := r.since[m.seg]
		return ok && id.Num >= since || e.Kind == byte(mail.ChangeDone) && r.head.later[id]
	})
	if err != nil {
		r.cannotRead(id, err, "some mail may be sent twice")
	}
}

// scanSegment enters the records of g from an offset on.
func (r *recovery) scanSegment(g *segment, from int64) {
	f, size, reused, err := r.openFile(g.id)
	var version *versionError
	if errors.As(err, &version) {
		delete(r.segs, g.key)
		r.badFile(g.id, err.Error())
		return
	}
	if err == nil {
		g.reach = from
		g.f, g.size, g.reused = f, size, reused
		r.openFiles++
		if from < size {
			if _, foreign := r.since[g.key]; !foreign && len(r.head.later) > 0 {
				r.since[g.key] = 0 // perhaps an opening before could not read it
			}
			err = r.scan(g, max(from, format.HeaderSize))
		}
		if r.openFiles > r.o.MaxOpenFiles {
			f.Close()
			g.f = nil
			r.openFiles--
		}
	}
	if err == nil {
		return
	}
	if from < math.MaxInt64 {
		g.again = max(from, format.HeaderSize)
		for _, id := range r.l.journals { // they tell what became of its messages
			r.unread[id] = true
		}
	}
	r.cannotRead(g.id, err, "its messages wait until it can be, and those that the checkpoint does not know until a later start")
}

// missMade tells of segments that should be there.
func (r *recovery) missMade() {
	there := map[uint64]bool{}
	for _, id := range r.l.segs {
		there[format.SegmentFact(id)], there[uint64(id.Num)] = true, true
	}
	moved := r.missingElsewhere() > 0
	for fact := range r.made {
		text := missingSegment(uint32(fact))
		if there[fact] {
			continue
		}
		n := r.extents[fact].lost() // beside those that the checkpoint knows
		if r.missing[text] == 0 {
			r.note(text + ": what it held is lost")
			n = max(1, n)
		} else if n > 0 {
			r.note(fmt.Sprintf("%s: %d messages that stood there too, by what journals say, are lost", text, n))
		}
		r.damaged = true
		if !moved { // else that is what it held, and is counted
			r.stats.Lost += n
			r.nameless += n
		}
	}
}

// missingElsewhere returns how many messages are missing from segments that need not be there: they were moved to another one.
func (r *recovery) missingElsewhere() (n int64) {
	made := map[string]bool{}
	for fact := range r.made {
		made[missingSegment(uint32(fact))] = true
	}
	for text, k := range r.missing {
		if strings.HasPrefix(text, "segment ") && !made[text] {
			n += int64(k)
		}
	}
	return n
}

// missingSegment is the key of recovery.missing for a segment.
func missingSegment(num uint32) string { return fmt.Sprintf("segment %d is missing", num) }
