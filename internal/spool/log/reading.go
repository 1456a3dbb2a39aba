package log

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/mailroot/mailroot/internal/spool"
)

// reading is whether messages cannot be read, why and since when. What is damaged is no part of it: that goes to
// quarantine. Nothing of it is touched while all is well, but for on.
type reading struct {
	on    atomic.Bool
	mu    sync.Mutex
	why   error
	since time.Time
	last  time.Time // when the last read failed
	good  bool      // one succeeded since
	n     int64     // reads that failed since the opening
}

// unreadable notes that a message could not be read, and returns err.
func (s *Store) unreadable(err error) error {
	s.failed(err)
	r := &s.reading
	r.mu.Lock()
	defer r.mu.Unlock()
	r.n++
	r.last, r.good = time.Now(), false
	first := r.why == nil
	r.why = err
	if first {
		r.since = r.last
		r.on.Store(true)
		if s.o.Unreadable != nil {
			s.o.Unreadable(err)
		}
	}
	return err
}

// readable notes that a message was read.
func (s *Store) readable() {
	if !s.reading.on.Load() {
		return
	}
	s.reading.mu.Lock()
	defer s.reading.mu.Unlock()
	s.reading.good = true
	s.readAgain()
}

// readAgain ends the trouble when there is reason to. reading.mu is held.
func (s *Store) readAgain() {
	r := &s.reading
	if r.why == nil || !r.good || time.Since(r.last) < calm {
		return
	}
	r.why, r.since = nil, time.Time{}
	r.on.Store(false)
	if s.o.Unreadable != nil {
		s.o.Unreadable(nil)
	}
}

// readingStats fills in what is told of it.
func (s *Store) readingStats(st *spool.Stats) {
	r := &s.reading
	r.mu.Lock()
	defer r.mu.Unlock()
	s.readAgain()
	st.ReadErrors = r.n
	if r.why != nil {
		st.Unreadable, st.UnreadableSince = r.why.Error(), r.since
	}
}
