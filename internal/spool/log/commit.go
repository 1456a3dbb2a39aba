package log

import (
	"errors"
	"fmt"

	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/spool"
	"github.com/mailroot/mailroot/internal/spool/log/format"
	"github.com/mailroot/mailroot/internal/vfs"
)

// commit is one message that waits to be written. Its owner waits until result is sent.
type commit struct {
	rec  format.Record
	env  *mail.Envelope
	bufs [][]byte // the record, with room for its header at the front
	few  [4][]byte
	off  int64
	err  error
	// result wakes the owner: with lead set it has to lead, else err is the result.
	result chan struct{}
	lead   bool
	next   *commit // in the list of those that wait, then in the batch
}

// commits is a list in order of arrival.
type commits struct{ first, last *commit }

func (l *commits) push(c *commit) {
	if l.last == nil {
		l.first = c
	} else {
		l.last.next = c
	}
	l.last = c
}

// maxBatch is about how many octets one write takes, which bounds how long the others wait.
const maxBatch = 16 << 20

// commit makes c durable together with others: there is no timer, the sync that runs is the timer.
func (s *Store) commit(c *commit) error {
	s.cmu.Lock()
	if s.closed {
		s.cmu.Unlock()
		return errLocal(spool.ErrClosed)
	}
	s.waiting.push(c)
	if s.leading {
		if c.result, _ = s.results.Get().(chan struct{}); c.result == nil {
			c.result = make(chan struct{}, 1)
		}
		s.cmu.Unlock()
		<-c.result
		s.results.Put(c.result)
		if !c.lead {
			return c.err
		}
		s.cmu.Lock()
	}
	s.leading = true
	batch := s.takeBatch()
	s.cmu.Unlock()
	s.write(batch) // c is the first of them
	s.passLead(batch.next)
	return c.err
}

// takeBatch takes from waiting what the next write takes. cmu is held.
func (s *Store) takeBatch() *commit {
	batch := s.waiting.first
	last := batch
	for octets := batch.rec.Length(); last.next != nil && octets < maxBatch; last = last.next {
		octets += last.next.rec.Length()
	}
	s.waiting.first = last.next
	if last.next == nil {
		s.waiting.last = nil
	}
	last.next = nil
	return batch
}

// passLead wakes the first of those that wait, to lead, and then the owners of done.
func (s *Store) passLead(done *commit) {
	s.cmu.Lock()
	if next := s.waiting.first; next != nil {
		next.lead = true
		next.result <- struct{}{}
	} else {
		s.leading = false
		s.led.Broadcast()
	}
	s.cmu.Unlock()
	for done != nil {
		c := done
		done = c.next // before its owner runs
		c.result <- struct{}{}
	}
}

// write appends the batch to the segment for new mail with one write and one sync, and enters it in
// the index. It sets the results. Only the leader calls it.
func (s *Store) write(batch *commit) {
	g, err := s.roomyHot()
	if err != nil {
		s.fail(batch, s.writeError(err))
		return
	}
	start := g.size // only the leader changes it
	off := start
	s.iov = s.iov[:0]
	n := 0
	for c := batch; c != nil; c = c.next {
		n++
		c.off = off
		c.rec.Durable = uint32(start)
		c.rec.Put(c.bufs[0], g.id)
		s.iov = append(s.iov, c.bufs...)
		off += c.rec.Length()
	}
	iov := s.iov
	_, err = g.f.WritevAt(iov, start)
	clear(s.iov)
	s.room.written.Add(off - start)
	if err != nil {
		s.fail(batch, s.undo(g, start, fmt.Errorf("segment: %w", err)))
		return
	}
	if err := g.f.Sync(); err != nil {
		s.abandonHot(g)
		s.fail(batch, s.writeError(unknown(fmt.Errorf("segment: %w", err))))
		return
	}
	s.taken()
	s.mu.Lock()
	defer s.mu.Unlock()
	g.size = off
	s.sinceChk += off - start
	s.stats.Syncs++
	s.stats.Commits += int64(n)
	for c := batch; c != nil; c = c.next {
		s.enter(g, c.off, &c.rec, c.env, true)
	}
	if len(g.index.ids) > s.o.indexTail || !s.untold {
		s.untold = true
		s.kick()
	}
}

// enter puts a message that is in g into the index. mu is held.
func (s *Store) enter(g *segment, off int64, r *format.Record, env *mail.Envelope, verified bool) *message {
	m := s.x.add(message{
		id: r.ID, original: r.Original, size: r.Size, arrived: format.Millis(env.Arrived),
		seg: g.key, off: uint32(off), length: uint32(r.Length()), file: r.Kind == format.RecordFile, null: env.Sender.Addr.IsNull(), verified: verified,
	}, len(env.Recipients))
	rcpts := s.x.recipients(m)
	for i := range rcpts {
		rcpts[i].domain = s.x.domains.take(env.Recipients[i].Addr.Domain)
	}
	g.place(m.id, m.length)
	if m.file {
		s.bodyOctets += m.size
	}
	if r.Original != 0 {
		if o := s.x.find(r.Original); o != nil {
			o.refs++
		}
	}
	return m
}

// unknown marks an error after which nobody knows what is on disk.
func unknown(err error) error { return errors.Join(mail.ErrUnknownOutcome, err) }

func (s *Store) fail(batch *commit, err error) {
	for c := batch; c != nil; c = c.next {
		c.err = s.refused(err)
	}
}

// undo takes back a write that failed, so that nothing of it can be found later, not even after a power
// cut. If that fails too, or the disk is at fault, the segment is given up.
func (s *Store) undo(g *segment, size int64, cause error) error {
	err := g.f.Truncate(size)
	if err == nil {
		err = g.f.Sync()
	}
	full := vfs.IsNoSpace(cause)
	if err != nil {
		cause = unknown(cause)
	}
	if err != nil || !full {
		s.abandonHot(g)
	}
	return s.writeError(cause)
}

// abandonHot gives up the segment for new mail. What was acknowledged in it stays readable; the next
// checkpoint covers the rest.
func (s *Store) abandonHot(g *segment) {
	s.hot = nil
	s.mu.Lock()
	s.abandon(g)
	s.mu.Unlock()
	s.kick()
}

// abandon marks g as dead. mu is held.
func (s *Store) abandon(g *segment) {
	g.dead = true
	s.stats.DeadSegments++
	s.must++
	s.seal(g)
}

// roomyHot returns the segment for new mail, a new one if there is none or it is full.
func (s *Store) roomyHot() (*segment, error) {
	if g := s.hot; g != nil && g.size < s.o.SegmentSize {
		return g, nil
	}
	if s.hot != nil {
		s.mu.Lock()
		s.usedUp++
		s.mu.Unlock()
	}
	s.sealHot()
	g, err := s.newSegment(true)
	if err != nil {
		return nil, err
	}
	s.hot = g
	return g, nil
}

// sealHot ends the segment for new mail. Only the leader calls it.
func (s *Store) sealHot() {
	if s.hot == nil {
		return
	}
	s.mu.Lock()
	s.seal(s.hot)
	s.mu.Unlock()
	s.hot = nil
	s.kick()
}

// tryLead calls f as the leader unless somebody leads now.
func (s *Store) tryLead(f func()) {
	s.cmu.Lock()
	if s.leading {
		s.cmu.Unlock()
		return
	}
	s.leading = true
	s.cmu.Unlock()
	f()
	s.passLead(nil)
}
