package log

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/mailroot/mailroot/internal/spool"
	"github.com/mailroot/mailroot/internal/spool/log/format"
	"github.com/mailroot/mailroot/internal/vfs"
)

// A store that cannot make a journal, for want of room or another reason, says so by CanRecord, and nothing more is delivered: what
// became of it would not be known to the next opening. It tries once a second, by maintain. A journal that fails is no
// such case as long as the next one can be made: what is lost are duplicates.

var (
	errNoRoom   = fmt.Errorf("there is no room to write down what becomes of mail: %w", vfs.ErrNoSpace)
	errNoRecord = errors.New("what becomes of mail cannot be written down at present, and a restart would take this back")
)

// lastPart of a reserve file is kept for what is under way when nothing else is left.
const lastPart = 4

// CanRecord implements spool.Store.
func (s *Store) CanRecord() bool { return !s.recording.on.Load() }

// unrecordable notes that there is no journal, or no room for it.
func (s *Store) unrecordable(err error) {
	s.recording.strike(err, s.o.Unrecordable)
	s.kick()
}

// whyUnrecordable returns why CanRecord says no, nil if it says yes.
func (s *Store) whyUnrecordable() error {
	if s.CanRecord() {
		return nil
	}
	s.recording.mu.Lock()
	defer s.recording.mu.Unlock()
	return s.recording.why
}

// hasRoom reports whether there is room for the journal that nobody else can take: a file stands by, or it was made of one and
// has not filled it. jmu and mu are held.
func (s *Store) hasRoom() bool {
	return len(s.reserves)+s.reserving+len(s.spares) > 0 ||
		s.journal != nil && s.journal.Reserved-s.journal.Size >= s.o.reserve/lastPart
}

// tendRecording finds out whether there is room for the journal, and begins or ends the spell by that; again says that it goes on. A
// reserve that could not be made for another reason than want of room, such as an I/O error, does not count as missing.
func (s *Store) tendRecording() (again bool) {
	on := !s.CanRecord()
	s.jmu.Lock()
	var err error
	if on {
		err = s.ensureJournal()
	}
	s.mu.Lock()
	room := s.hasRoom() || !s.reserveShort
	s.mu.Unlock()
	s.jmu.Unlock()
	switch {
	case err != nil: // which is noted already
		return true
	case !room:
		s.unrecordable(errNoReserve)
		return true
	case !on:
		return false
	}
	p := &s.recording
	p.mu.Lock()
	p.end(s.o.Unrecordable)
	p.mu.Unlock()
	if !s.CanRecord() {
		return true
	}
	s.chkRetry = time.Time{} // what memory alone knows can be written down
	return true
}

// recordingStats fills in what is told of it.
func (s *Store) recordingStats(st *spool.Stats) {
	p := &s.recording
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.why != nil {
		st.Unrecordable, st.UnrecordableSince = p.why.Error(), p.since
	}
}

// resumeJournal goes on in the newest journal where the disk is short and that has room that nobody else can take, so that
// restarts do not use up the reserve. The journal was synced, and nothing was begun behind its last block; else, and where there is
// no need, it returns nil.
func (r *recovery) resumeJournal() *journal {
	free, err := r.fs.Space(r.o.Dir)
	short := free.Bytes < 2*uint64(r.o.reserve) || free.Inodes < 2
	if n := len(r.l.journals); err != nil || !short || n == 0 {
		return nil
	}
	id := r.l.journals[len(r.l.journals)-1]
	size := r.l.sizes[id]
	if id.Num < r.chk || id.Num+1 != r.nextState || size < r.o.reserve {
		return nil
	}
	f, err := r.fs.OpenReadWrite(r.path(id.Name()))
	if err != nil {
		return nil
	}
	var head [format.HeaderSize]byte
	_, _ = f.ReadAt(head[:], 0)
	if ours, err := id.CheckHeader(head[:]); !ours || err != nil || head[11]&format.Reused == 0 {
		f.Close()
		return nil
	}
	w := format.Writer{ID: id, F: f, Size: format.HeaderSize, Reserved: size}
	in := format.Read(f, size, id.Salt)
	b, err := in.Next()
	for ; err == nil; b, err = in.Next() {
		w.Size, w.Next = b.Off+int64(len(b.Payload)), b.Num+1
	}
	w.Synced = w.Size
	whole := len(in.Gaps) == 1 && in.Gaps[0].Off == w.Size && !format.Begins(f, size, w.Size, id.Salt)
	if !errors.Is(err, io.EOF) || !whole {
		f.Close()
		return nil
	}
	return &journal{w}
}
