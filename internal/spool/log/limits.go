package log

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/spool/log/format"
	"github.com/mailroot/mailroot/internal/vfs"
)

// ids gives out message ids. Up to limit a journal that was synced says that they may have been given
// out, so that no id comes twice, whatever the clock does between two openings.
type ids struct {
	mu    sync.Mutex
	last  mail.QueueID
	limit mail.QueueID
}

const (
	idTimeShift = 20
	// idAhead is how far ahead of the clock ids are reserved.
	idAhead = mail.QueueID(time.Minute/time.Millisecond) << idTimeShift
)

// nextID returns a new id.
func (s *Store) nextID() (mail.QueueID, error) {
	i := &s.ids
	i.mu.Lock()
	defer i.mu.Unlock()
	id := max(i.last+1, mail.QueueID(time.Now().UnixMilli())<<idTimeShift)
	if id > i.limit {
		limit := id + idAhead
		if err := s.reserveIDs(limit); err != nil {
			return 0, err
		}
		i.limit = limit
	}
	i.last = id
	return id, nil
}

func (s *Store) reserveIDs(limit mail.QueueID) error {
	if err := s.writeFacts(format.EntryIDs, uint64(limit)); err != nil {
		return err
	}
	return s.syncJournal(true)
}

// Limits are what a store may use up. They may be changed while it is open.
type Limits struct {
	// Memory limits what open transactions hold in memory together (452 4.3.1): no more begin at seven eighths,
	// until it is half. 0: 128 MB.
	Memory int64
	// MinFree is the free disk space, in octets, below which Begin answers 452 4.3.1; it does so
	// until ResumeFree is reached. 0: 256 MB, and a quarter more; negative: no limit.
	MinFree, ResumeFree int64
	// MinInodes is the same in files that can still be made. 0: 1,000; negative: no limit.
	MinInodes int64
}

func (l Limits) withDefaults() Limits {
	setDefault(&l.Memory, 128<<20)
	setDefault(&l.MinFree, 256<<20)
	setDefault(&l.ResumeFree, l.MinFree+l.MinFree/4)
	setDefault(&l.MinInodes, 1000)
	return l
}

// SetLimits changes the limits. They hold at once.
func (s *Store) SetLimits(l Limits) {
	l = l.withDefaults()
	s.limits.Store(&l)
	s.room.mu.Lock()
	s.room.checked = time.Time{}
	s.room.mu.Unlock()
}

// room watches the free space of the disk, and what is left of the memory.
type room struct {
	low     atomic.Bool // of disk
	bare    atomic.Bool // of disk, not even for reports
	tight   atomic.Bool // of memory
	mu      sync.Mutex
	checked time.Time
	written atomic.Int64 // octets since
}

// roomInterval is how often the free space is asked for at most, unless much is written.
const roomInterval = 250 * time.Millisecond

var (
	errLowSpace  = errors.New("the free space of the queue's disk is below the limit")
	errLowMemory = errors.New("the memory for messages in flight is used up")
)

// checkRoom fails when space or memory is short.
func (s *Store) checkRoom() error {
	// What is left of the memory above this is for those that have begun.
	most := s.limits.Load().Memory / 8 * 7
	if s.room.tight.Load() {
		most = most / 7 * 4
	}
	switch low := s.inFlight.Load() > most; {
	case low:
		s.room.tight.Store(true)
		return errStorage(errLowMemory)
	case s.room.tight.Load():
		s.room.tight.Store(false)
	}
	s.lookForRoom(false)
	if s.room.low.Load() {
		return errStorage(errLowSpace)
	}
	if vfs.IsNoSpace(s.whyUnrecordable()) { // a journal that fails otherwise says nothing about segments
		return errStorage(errNoRoom)
	}
	return nil
}

// checkReserve is checkRoom for reports: the hard limit of the memory is theirs too.
func (s *Store) checkReserve() error {
	s.lookForRoom(false)
	if s.room.bare.Load() {
		return errStorage(errLowSpace)
	}
	return nil
}

// lookForRoom asks for the free space when it is time to, or now.
func (s *Store) lookForRoom(now bool) {
	r, l := &s.room, s.limits.Load()
	if l.MinFree < 0 && l.MinInodes < 0 && !r.low.Load() || !r.mu.TryLock() {
		return // another is looking
	}
	defer r.mu.Unlock()
	if !now && time.Since(r.checked) < roomInterval && (l.MinFree < 0 || r.written.Load() < l.MinFree/8) {
		return
	}
	r.checked = time.Now()
	r.written.Store(0)
	if s.isLow(); r.low.Load() {
		if err := s.dropSpares(); err != nil {
			s.failed(err)
		}
		s.isLow()
	}
}

// isLow sets room.low and room.bare by the free space.
func (s *Store) isLow() {
	r := &s.room
	free, err := s.fs.Space(s.o.Dir)
	if err != nil {
		s.failed(err) // and let the writes find out
		return
	}
	l := s.limits.Load()
	minFree, minInodes := l.MinFree, l.MinInodes
	r.bare.Store(less(free.Bytes, minFree/2) || less(free.Inodes, minInodes/2))
	if r.low.Load() {
		minFree, minInodes = max(minFree, l.ResumeFree), minInodes+minInodes/4
	}
	r.low.Store(less(free.Bytes, minFree) || less(free.Inodes, minInodes))
}

// less reports free < limit; a negative limit is none.
func less(free uint64, limit int64) bool { return limit > 0 && free < uint64(limit) }
