package pickup

import "sync"

// syncer lets those that need a folder synced share a sync: one that begins after they asked.
type syncer struct {
	f    func() error
	turn chan struct{} // held by the one that syncs

	mu   *sync.Mutex
	next *round // that has not begun
}

type round struct {
	done chan struct{}
	err  error
}

func newSyncer(f func() error) syncer {
	return syncer{f: f, turn: make(chan struct{}, 1), mu: new(sync.Mutex)}
}

// do returns when a sync that began after the call has ended.
func (s *syncer) do() error {
	s.mu.Lock()
	r := s.next
	lead := r == nil
	if lead {
		r = &round{done: make(chan struct{})}
		s.next = r
	}
	s.mu.Unlock()
	if !lead {
		<-r.done
		return r.err
	}
	s.turn <- struct{}{} // while the sync before this runs, others join
	s.mu.Lock()
	s.next = nil
	s.mu.Unlock()
	r.err = s.f()
	<-s.turn
	close(r.done)
	return r.err
}
