package service

import (
	"sync"

	"github.com/mailroot/mailroot/internal/session"
)

// sessions is the register of the sessions that are open.
type sessions struct {
	mu       sync.Mutex
	open     map[*session.Session]struct{}
	messages int64 // taken by sessions that have ended
}

// track is given to session.Options.Track.
func (r *sessions) track(s *session.Session) (done func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.open == nil {
		r.open = make(map[*session.Session]struct{})
	}
	r.open[s] = struct{}{}
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.open, s)
		r.messages += s.Messages()
	}
}

// received returns how many messages were taken by SMTP since the start.
func (r *sessions) received() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := r.messages
	for s := range r.open {
		n += s.Messages()
	}
	return n
}
