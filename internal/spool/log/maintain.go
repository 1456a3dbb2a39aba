package log

import (
	"errors"
	"io/fs"
	"time"

	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/spool/log/format"
)

// maintain runs until quit is closed: SyncInterval after it was woken it does all that is due.
func (s *Store) maintain() {
	defer close(s.idle)
	for {
		select {
		case <-s.quit:
			return
		case <-s.wake:
		}
		pause := time.NewTimer(s.o.SyncInterval)
		select {
		case <-s.quit:
			pause.Stop()
			return
		case <-pause.C:
		}
		again, err := s.tend()
		if err != nil {
			s.failed(err)
		}
		if again || err != nil {
			s.kick()
		}
	}
}

// tend does what is due; again says that more is. Its parts do not depend on one another's success,
// but for removals, which follow a sync or checkpoint.
func (s *Store) tend() (again bool, err error) {
	segs, bodies, quiet := s.takeTrash()
	err = errors.Join(s.announce(segs), s.tellExtents(), s.syncJournal(false))
	durable := err == nil
	due, later := s.checkpointDue(quiet)
	if due {
		cerr := s.checkpoint()
		durable = durable || cerr == nil
		err = errors.Join(err, cerr)
	}
	again, rerr := s.removeTrash(segs, bodies, durable)
	moved, merr := s.clean()
	idle := s.sealIdle()
	spare, serr := s.tendSpares()
	reserve, verr := s.tendReserve()
	mute := s.tendRecording()
	indexes := s.tendIndexes()
	return again || later || moved || idle || spare || reserve || mute || indexes, errors.Join(err, rerr, merr, serr, verr)
}

// announce writes into the journal that segments are about to go, so that they are not missed.
func (s *Store) announce(segs []*segment) error {
	if len(segs) == 0 {
		return nil
	}
	var nums []uint64
	for _, g := range segs {
		nums = append(nums, format.SegmentFact(g.id))
	}
	return s.writeFacts(format.EntryGone, nums...)
}

// takeTrash takes what may go once all that is recorded by now is durable. quiet says that nothing was
// recorded since the last sync.
func (s *Store) takeTrash() (_ []*segment, _ []bodyFile, quiet bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	segs, bodies := s.trash, s.trashBodies
	s.trash, s.trashBodies = nil, nil
	s.going = segs
	return segs, bodies, s.dirtySince.IsZero()
}

// removeTrash removes the files if what tells of their end is durable. Otherwise, and while somebody reads
// them, they stay in the trash.
func (s *Store) removeTrash(segs []*segment, bodies []bodyFile, durable bool) (again bool, err error) {
	var goSegs []*segment
	var goBodies []bodyFile
	s.mu.Lock()
	safe := durable && s.marks == s.marksDone
	for _, g := range segs {
		if !safe || g.pins > 0 {
			s.trash = append(s.trash, g)
			continue
		}
		goSegs = append(goSegs, g)
		if g.f != nil {
			s.openFiles--
		}
	}
	for _, b := range bodies {
		if !safe || s.bodyPins[b.id] > 0 {
			s.trashBodies = append(s.trashBodies, b)
			continue
		}
		goBodies = append(goBodies, b)
	}
	again = !safe
	s.mu.Unlock()
	for i, g := range goSegs {
		if g.f != nil {
			g.f.Close()
			g.f = nil
		}
		if e := s.spareOrRemove(g); e != nil {
			err = errors.Join(err, e)
			s.mu.Lock()
			s.trash = append(s.trash, goSegs[i])
			s.mu.Unlock()
		}
	}
	for _, b := range goBodies {
		e := s.discard(format.BodyName(b.id), b.size)
		s.mu.Lock()
		if s.bodyOctets -= b.size; e != nil {
			s.bodyOctets += b.size
			s.trashBodies = append(s.trashBodies, b)
			err = errors.Join(err, e)
		}
		s.mu.Unlock()
	}
	if len(goSegs)+len(goBodies) > 0 && s.room.low.Load() {
		s.lookForRoom(true)
	}
	return again, err
}

func (s *Store) removeFile(name string) error {
	if err := s.fs.Remove(s.path(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// sealIdle closes a segment that is still written to but holds little, so that it can be
// cleaned: after a drain the disk is to be nearly empty. It wants to see the segment for new mail
// twice, to know that it rests, and reports whether it has to come again for that.
func (s *Store) sealIdle() (again bool) {
	s.tryLead(func() {
		last := s.hotAtLastLook
		s.hotAtLastLook = 0
		switch {
		case s.hot == nil || !s.mostlyDead(s.hot):
		case s.hot.size == last:
			s.sealHot()
		default:
			s.hotAtLastLook, again = s.hot.size, true
		}
	})
	if s.cold != nil && s.mostlyDead(s.cold) {
		s.sealCold()
		again = true
	}
	return again
}

// mostlyDead reports whether it pays to seal g and move what lives in it.
func (s *Store) mostlyDead(g *segment) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if g.live == 0 { // of one that was a spare all goes, however little was in use
		return g.onDisk() > s.o.SegmentSize/16
	}
	return g.size > s.o.SegmentSize/16 && g.octets <= g.size/cleanFraction
}

func (s *Store) sealCold() {
	s.mu.Lock()
	s.seal(s.cold)
	s.mu.Unlock()
	s.cold = nil
	s.kick()
}

// cleanFraction: a closed segment is cleaned when its messages take at most this part of it.
const cleanFraction = 4

// manySmall is the number of small closed segments (each opening leaves one or two) that is
// put up with.
const manySmall = 8

// victims picks segments whose messages are to be moved, worth no more than one segment together.
func (s *Store) victims() map[uint32]*segment {
	s.mu.Lock()
	defer s.mu.Unlock()
	small := 0
	isSmall := func(g *segment) bool { return g.size <= s.o.SegmentSize/cleanFraction }
	for _, g := range s.segs {
		if g.sealed && isSmall(g) {
			small++
		}
	}
	out := map[uint32]*segment{}
	var octets int64
	for num, g := range s.segs {
		if !g.sealed || g.live == 0 || g.again > 0 || octets > 0 && octets+g.octets > s.o.SegmentSize {
			continue
		}
		if g.octets <= g.size/cleanFraction || small > manySmall && isSmall(g) {
			out[num] = g
			octets += g.octets
		}
	}
	return out
}

// straggler is a message that is to be moved.
type straggler struct {
	id     mail.QueueID
	g      *segment
	off    uint32
	length uint32
	newOff int64
}

// stragglers finds the messages in the segments.
func (s *Store) stragglers(in map[uint32]*segment) []straggler {
	var out []straggler
	for i := 0; s.eachSlab(i, func(slab []message) {
		for k := range slab {
			if m := &slab[k]; m.id != 0 {
				if g := in[m.seg]; g != nil {
					out = append(out, straggler{id: m.id, g: g, off: m.off, length: m.length})
				}
			}
		}
	}); i++ {
	}
	return out
}

// eachSlab calls f with slab i of the index, with mu held, and reports whether there is one.
func (s *Store) eachSlab(i int, f func([]message)) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i >= len(s.x.slabs) {
		return false
	}
	f(s.x.slabs[i])
	return true
}
