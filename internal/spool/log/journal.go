package log

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/spool"
	"github.com/mailroot/mailroot/internal/spool/log/format"
	"github.com/mailroot/mailroot/internal/vfs"
)

// journal is the one that is being written. Store.jmu guards it.
type journal struct {
	format.Writer
}

// openJournal makes a journal with the next number, of the reserve if it must; its name is durable. jmu is held.
func (s *Store) openJournal(must bool) (*journal, error) {
	s.mu.Lock()
	id := format.ID{Kind: format.KindJournal, Num: s.nextState, Salt: format.NewSalt()}
	s.mu.Unlock()
	w, err := s.createBlockFile(id, "")
	if must && vfs.IsNoSpace(err) {
		w, err = s.reserveFile(id, "")
	}
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	return s.enterJournal(w)
}

// createBlockFile makes a journal or checkpoint with its header; the name is not yet durable.
func (s *Store) createBlockFile(id format.ID, suffix string) (*format.Writer, error) {
	name := s.path(id.Name() + suffix)
	f, err := s.fs.Create(name)
	if err != nil {
		return nil, err
	}
	w, err := format.Begin(f, id)
	if err != nil {
		_ = s.fs.Remove(name)
	}
	return w, err
}

// enterJournal makes the name of a new journal durable, and counts it.
func (s *Store) enterJournal(w *format.Writer) (*journal, error) {
	id := w.ID
	if err := s.fs.SyncDir(s.o.Dir); err != nil {
		w.F.Close()
		_ = s.fs.Remove(s.path(id.Name()))
		return nil, fmt.Errorf("journal: %w", err)
	}
	s.mu.Lock()
	s.nextState++ // only now: a number that is missing means that a journal was lost
	s.stateFiles[id] = w.Size
	s.mu.Unlock()
	return &journal{Writer: *w}, nil
}

// ensureJournal makes a journal if there is none. jmu is held.
func (s *Store) ensureJournal() (err error) {
	if s.jclosed {
		return spool.ErrClosed
	}
	if s.journal == nil {
		if s.journal, err = s.openJournal(true); err != nil {
			s.unrecordable(err)
		}
	}
	return err
}

// dropJournal gives up the journal after an error: what it holds beyond the last sync is in doubt.
// Memory has everything, so that a checkpoint makes it good. jmu is held.
func (s *Store) dropJournal(err error) {
	s.journal.F.Close()
	s.journal = nil
	s.mu.Lock()
	defer s.mu.Unlock()
	s.must++
	s.marks++
	s.fault(err)
}

// continueJournal goes on in the reserve where the journal could not grow: nothing of that is in doubt once it is cut to
// its blocks and synced. jmu is held.
func (s *Store) continueJournal() error {
	old := s.journal
	if err := errors.Join(old.F.Truncate(old.Size), old.F.Sync()); err != nil {
		return err
	}
	old.Synced = old.Size
	s.mu.Lock()
	id := format.ID{Kind: format.KindJournal, Num: s.nextState, Salt: format.NewSalt()}
	s.mu.Unlock()
	w, err := s.reserveFile(id, "")
	if err != nil {
		return err
	}
	j, err := s.enterJournal(w)
	if err != nil {
		return err
	}
	old.F.Close()
	s.journal = j
	return j.Write(s.jbuf, format.BlockChanges)
}

// writeJournal writes s.jbuf, a begun block, to the journal that there is, or to one from the reserve. jmu is held.
func (s *Store) writeJournal() error {
	err := s.journal.Write(s.jbuf, format.BlockChanges)
	if vfs.IsNoSpace(err) {
		if err = s.continueJournal(); errors.Is(err, errNoReserve) { // what the journal has is as good as before
			err = fmt.Errorf("journal: %w", err)
			s.failed(err)
			s.unrecordable(err)
			return err
		}
	}
	if err != nil {
		err = fmt.Errorf("journal: %w", err)
		s.dropJournal(err)
		return err
	}
	s.mu.Lock()
	s.stateFiles[s.journal.ID] = s.journal.Size
	first := s.dirtySince.IsZero()
	if first {
		s.dirtySince = time.Now()
	}
	last := s.journal.Reserved > 0 && !s.hasRoom()
	s.mu.Unlock()
	if last { // what is left is for what is under way
		s.unrecordable(errNoReserve)
	}
	if first {
		s.kick()
	}
	return nil
}

// writeFacts writes entries of that kind, without a sync.
func (s *Store) writeFacts(kind byte, list ...uint64) error {
	s.jmu.Lock()
	defer s.jmu.Unlock()
	if err := s.ensureJournal(); err != nil {
		return err
	}
	s.jbuf = format.BeginBlock(s.jbuf[:0])
	for _, n := range list {
		s.jbuf = format.AppendFact(s.jbuf, kind, n)
	}
	return s.writeJournal()
}

// Report implements spool.Store.
func (s *Store) Report(_ context.Context, changes []mail.Change) error {
	_, err := s.record(changes)
	return err
}

// record filters changes in place down to those that apply, writes them to the journal and
// does them. They are done also if they could not be written.
func (s *Store) record(changes []mail.Change) ([]mail.Change, error) {
	s.jmu.Lock()
	defer s.jmu.Unlock()
	if s.jclosed {
		return nil, spool.ErrClosed
	}
	s.mu.Lock()
	kept := changes[:0:0]
	if ok := s.allKnown(changes); ok {
		kept = changes
	} else {
		for i := range changes {
			if s.known(&changes[i]) {
				kept = append(kept, changes[i])
			}
		}
	}
	s.mu.Unlock()
	var err error
	for rest := kept; len(rest) > 0; {
		var n int
		var e error
		n, e = s.recordBlock(rest)
		err = errors.Join(err, e)
		rest = rest[n:]
	}
	if err != nil {
		err = errLocal(err)
	}
	return kept, err
}

func (s *Store) known(c *mail.Change) bool {
	m := s.x.find(c.ID)
	return m != nil && c.Rcpt >= 0 && c.Rcpt < int(m.n) && s.x.recipients(m)[c.Rcpt].flags&rcptDone == 0 &&
		format.KnownKind(c.Kind) && len(c.Route) <= mail.MaxRoute
}

func (s *Store) allKnown(changes []mail.Change) bool {
	for i := range changes {
		if !s.known(&changes[i]) {
			return false
		}
	}
	return true
}

// recordBlock writes as many changes as one block takes, does them, and returns how many. jmu is held,
// so that nobody else changes recipients.
func (s *Store) recordBlock(changes []mail.Change) (n int, err error) {
	openErr := s.ensureJournal()
	s.jbuf = format.BeginBlock(s.jbuf[:0])
	var notes []int
	for n < len(changes) && len(s.jbuf) < format.BlockTarget {
		var at int
		s.jbuf, at = format.AppendChange(s.jbuf, &changes[n])
		if at > 0 && notes == nil {
			notes = make([]int, len(changes))
		}
		if at > 0 {
			notes[n] = at
		}
		n++
	}
	var pos func(i int) format.ReplyPos
	if err = openErr; err == nil {
		err = s.writeJournal()
	}
	if err == nil {
		num, start := s.journal.ID.Num, s.journal.Size-int64(len(s.jbuf))
		pos = func(i int) format.ReplyPos {
			if notes == nil || notes[i] == 0 {
				return 0
			}
			return format.ReplyAt(format.KindJournal, num, start+int64(notes[i]))
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.must++
		s.marks++
		s.fault(err)
	}
	for i := range changes[:n] {
		c := &changes[i]
		if !s.known(c) { // twice in one report, or found damaged meanwhile
			continue
		}
		var reply format.ReplyPos
		if err == nil {
			reply = pos(i)
		}
		m := s.x.find(c.ID)
		if c.Kind == mail.ChangeRoute {
			s.x.route(m, c.Rcpt, c.Route)
		} else {
			s.x.apply(m, &s.x.recipients(m)[c.Rcpt], c.Kind, format.Millis(c.Due), format.ClampAttempts(c.Attempts), reply)
		}
		if m.live == 0 {
			s.leave(m)
		}
	}
	return n, err
}

// leave takes a message whose recipients are all done out of the index, unless a queued report
// names it as Original. mu is held.
func (s *Store) leave(m *message) {
	for m != nil && m.live == 0 && m.refs == 0 {
		original := m.original
		if g := s.segs[m.seg]; g != nil {
			s.unplace(g, m.length)
		}
		if m.file {
			s.trashBodies = append(s.trashBodies, bodyFile{m.id, m.size})
		}
		s.x.remove(m)
		if m = nil; original != 0 {
			if m = s.x.find(original); m != nil {
				m.refs--
			}
		}
	}
}

// syncJournal makes the changes durable that were recorded before the call, if there are any that
// nobody syncs, or in any case. Reports go on meanwhile. jmu must not be held.
func (s *Store) syncJournal(always bool) error {
	s.jmu.Lock()
	j := s.journal
	var size int64
	if j != nil {
		size = j.Size
	}
	s.mu.Lock()
	clean := s.dirtySince.IsZero()
	s.dirtySince = time.Time{}
	s.mu.Unlock()
	s.jmu.Unlock()
	if j == nil || clean && !always {
		return nil
	}
	err := j.F.Sync()
	s.jmu.Lock()
	defer s.jmu.Unlock()
	if err == nil || j.Synced >= size && s.journal != j { // the reserve goes on for one that was synced
		j.Synced = max(j.Synced, size)
		return nil
	}
	err = fmt.Errorf("journal: %w", err)
	if s.journal == j {
		s.dropJournal(err)
	}
	return err
}

// marksDurable makes the marks durable that the opening has read, where it can be sure to have all: then what they have
// finished may be removed without a checkpoint, for which a full disk may have no room.
func (r *recovery) marksDurable() bool {
	if r.damaged || r.stats.Unread > 0 || len(r.foreign) > 0 || len(r.head.later) > 0 {
		return false
	}
	for _, id := range r.l.journals {
		if id.Num < r.chk {
			continue
		}
		f, err := r.fs.OpenReadWrite(r.path(id.Name()))
		if err != nil || errors.Join(f.Sync(), f.Close()) != nil {
			return false
		}
	}
	return r.fs.SyncDir(r.o.Dir) == nil
}
