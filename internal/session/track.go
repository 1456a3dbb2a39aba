package session

import (
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mailroot/mailroot/internal/mail"
)

// Session is a running session as seen from outside: Options.Track gets it, an operator's
// list shows it. It is safe for concurrent use.
type Session struct {
	conn  net.Conn
	since time.Time

	mu   sync.Mutex
	peer mail.Peer

	messages   atomic.Int64
	terminated atomic.Bool
}

// Peer returns what is known of the client now.
func (s *Session) Peer() mail.Peer {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.peer
}

// Since returns when the session began.
func (s *Session) Since() time.Time { return s.since }

// Messages returns how many messages the session has accepted.
func (s *Session) Messages() int64 { return s.messages.Load() }

// Terminate ends the session at once: the connection is closed and an open transaction
// forgotten.
func (s *Session) Terminate() {
	s.terminated.Store(true)
	// The error says no more than that the connection is closed already.
	_ = s.conn.Close()
}

// change lets f change what is known of the client.
func (s *Session) change(f func(*mail.Peer)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(&s.peer)
}
