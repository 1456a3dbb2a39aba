package log

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mailroot/mailroot/internal/mail"
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
	if err := s.writeFacts(entryIDs, uint64(limit)); err != nil {
		return err
	}
	return s.syncJournal(true)
}

// room watches the free space of the disk.
type room struct {
	low     atomic.Bool
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
	if s.inFlight.Load() > s.o.Memory/8*7 {
		return errStorage(errLowMemory)
	}
	s.lookForRoom(false)
	if s.room.low.Load() {
		return errStorage(errLowSpace)
	}
	return nil
}

// lookForRoom asks for the free space when it is time to, or now.
func (s *Store) lookForRoom(now bool) {
	r := &s.room
	if s.o.MinFree < 0 && s.o.MinInodes < 0 || !r.mu.TryLock() {
		return // another is looking
	}
	defer r.mu.Unlock()
	if !now && time.Since(r.checked) < roomInterval && r.written.Load() < s.o.MinFree/8 {
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

// isLow sets room.low by the free space.
func (s *Store) isLow() {
	r := &s.room
	free, err := s.fs.Space(s.o.Dir)
	if err != nil {
		s.failed(err) // and let the writes find out
		return
	}
	minFree, minInodes := s.o.MinFree, s.o.MinInodes
	if r.low.Load() {
		minFree, minInodes = max(minFree, s.o.ResumeFree), minInodes+minInodes/4
	}
	r.low.Store(less(free.Bytes, minFree) || less(free.Inodes, minInodes))
}

// less reports free < limit; a negative limit is none.
func less(free uint64, limit int64) bool { return limit > 0 && free < uint64(limit) }
