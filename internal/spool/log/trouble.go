package log

import (
	"errors"
	"time"

	"github.com/mailroot/mailroot/internal/spool"
)

// calm is how long no message may have been refused before the store says that it takes mail again: a fault
// that comes and goes is one fault.
const calm = 3 * time.Second

// refused notes that a message is refused for a reason that is ours, and returns err.
func (s *Store) refused(err error) error {
	if errors.Is(err, spool.ErrClosed) || errors.Is(err, errEnvelopeSize) {
		return err
	}
	s.refusal.strike(err, s.o.Refusing)
	return err
}

// taken notes that a message was taken.
func (s *Store) taken() {
	if !s.refusal.on.Load() {
		return
	}
	s.refusal.mu.Lock()
	defer s.refusal.mu.Unlock()
	s.refusal.good = true
	s.calmDown()
}

// calmDown ends the refusal when there is reason to. refusal.mu is held.
func (s *Store) calmDown() {
	r := &s.refusal
	short := errors.Is(r.why, errLowSpace) || errors.Is(r.why, errLowMemory) || errors.Is(r.why, errNoRoom)
	if !s.CanRecord() || s.room.low.Load() || s.room.tight.Load() || !r.good && !short {
		return
	}
	r.end(s.o.Refusing)
}

// refusalStats fills in what is told of it. It looks whether there is room again, for where no client comes
// nobody else does.
func (s *Store) refusalStats(st *spool.Stats) {
	r := &s.refusal
	if r.on.Load() || s.room.low.Load() {
		_ = s.checkRoom()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	s.calmDown()
	st.Refused = r.n
	if r.why != nil {
		st.Refusing, st.RefusingSince = r.why.Error(), r.since
	}
}

// failed keeps err for Stats.
func (s *Store) failed(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault(err)
}

// fault is failed where mu is held, or nobody else is there yet.
func (s *Store) fault(err error) {
	s.stats.LastError, s.stats.LastErrorAt = err.Error(), time.Now()
}
