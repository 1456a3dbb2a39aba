package log

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/mailroot/mailroot/internal/spool"
)

// spell is a time of trouble of one kind, why there is and since when. Nothing of it is touched while all is well, but
// for on.
type spell struct {
	on    atomic.Bool
	mu    sync.Mutex
	why   error
	since time.Time
	last  time.Time // when it last struck
	good  bool      // it went well since, or was begun where it had failed
	n     int64     // how often it struck since the opening
}

// strike notes err, and tells of it when the spell begins.
func (p *spell) strike(err error, tell func(error)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.n++
	p.last, p.good = time.Now(), false
	first := p.why == nil
	p.why = err
	if !first {
		return
	}
	p.since = p.last
	p.on.Store(true)
	if tell != nil {
		tell(err)
	}
}

// end ends the spell, and tells of it, unless it struck just now. mu is held.
func (p *spell) end(tell func(error)) {
	if p.why == nil || time.Since(p.last) < calm {
		return
	}
	p.why, p.since = nil, time.Time{}
	p.on.Store(false)
	if tell != nil {
		tell(nil)
	}
}

// unreadable notes that a message could not be read, and returns err. What is damaged is no part of that: it goes
// to quarantine.
func (s *Store) unreadable(err error) error {
	s.failed(err)
	s.reading.strike(err, s.o.Unreadable)
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
	s.reading.end(s.o.Unreadable)
}

// readingStats fills in what is told of it.
func (s *Store) readingStats(st *spool.Stats) {
	p := &s.reading
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.good {
		p.end(s.o.Unreadable)
	}
	st.ReadErrors = p.n
	if p.why != nil {
		st.Unreadable, st.UnreadableSince = p.why.Error(), p.since
	}
}
