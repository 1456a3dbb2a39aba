package session

import (
	"cmp"
	"context"
	"net"
	"sync"
	"time"

	"github.com/mailroot/mailroot/internal/mail"
)

// A session whose client pauses is at rest: it has given back what it needs to work, above all its stack. One that has been deep
// does not become as small again as a new one, and would be as much as all the rest of an idle session. So the
// goroutine ends, and a new one waits for the client, with small frames and few of them. The other things are left to the collector
// instead of a pool, which would keep them: sessions come to rest in crowds.

// restAfter is how long a client has to be quiet between two commands for that. It is long enough to cost nothing while commands
// follow one another.
const restAfter = 2 * time.Second

// Start is Serve in pieces: each call of run goes on with the session. It returns Open when the session is at rest; the next call then
// begins with waiting for the client, and best comes from a new goroutine.
func Start(c net.Conn, o *Options) (run func(context.Context) CloseReason) {
	s := &session{o: o, t: &standard}
	s.w.init(c, o)
	return s.run
}

// run is a piece. Its frame stands on the stack of each session that waits.
func (s *session) run(ctx context.Context) (reason CloseReason) {
	defer func() { reason = s.settle(reason, recover()) }()
	switch {
	case s.live.conn == nil: // it is new
		reason = s.open(ctx)
	case s.w.resting != nil:
		arrival(s.w.resting)
		s.w.resting = nil
		s.getWorkspace()
	}
	for reason == Open {
		if s.w.pauses(s.refused == nil) {
			s.release()
			s.workspace = nil
			return Open
		}
		reason = s.next(ctx)
	}
	return reason
}

// settle ends the session if it has come to its end or fault, a panic, says that it has.
func (s *session) settle(reason CloseReason, fault any) CloseReason {
	if reason == Open && fault == nil {
		return Open
	}
	reason = cmp.Or(reason, ClosedByPanic)
	defer func() { s.end(reason) }()
	if fault != nil {
		s.panicked(fault)
	}
	return s.why(reason)
}

// lasting returns the context of transactions, which outlives ctx by the grace period. It is made when the first one needs it.
func (s *session) lasting(ctx context.Context) context.Context {
	if s.last != nil {
		return s.last
	}
	last, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		t := time.NewTimer(s.o.grace())
		defer t.Stop()
		select {
		case <-t.C:
			cancel()
		case <-last.Done():
		}
	})
	s.last, s.cancel = last, func() {
		stop()
		cancel()
	}
	return last
}

// workspaces holds no state, only memory.
var workspaces = sync.Pool{New: func() any { return new(workspace) }}

func (s *session) getWorkspace() {
	s.workspace = workspaces.Get().(*workspace)
	p := &s.live.peer
	s.ex = mail.Exchange{Dir: mail.Inbound, Conn: p.Conn, Remote: p.Remote, Local: p.Local}
	s.said = s.w.now
	s.trade.scan.Write = s.take
}

// release ends the context of transactions, of which none is open.
func (s *session) release() {
	if s.cancel != nil {
		s.cancel()
	}
}

// putWorkspace gives back what getWorkspace got.
func (s *session) putWorkspace() {
	s.release()
	*s.workspace = workspace{}
	workspaces.Put(s.workspace)
	s.workspace = nil
}

// pauses waits for the first octet of a command. It reports that there was none for so long that the session is at rest. It never is
// within a transaction, nor if mayRest is false.
func (w *wire) pauses(mayRest bool) bool {
	if w.buffered() > 0 {
		return false
	}
	w.mayRest = mayRest && !w.busy
	err := w.fill(&w.since)
	w.mayRest = false
	if err == errResting {
		return true
	}
	w.rdErr = err
	return false
}

// rest lets go of the buffer and sets the deadline of a client that is waited for since begin. It is false if there is no resting:
// for a connection that is no socket, and when the session is to stop.
func (w *wire) rest(begin time.Time) bool {
	rc := socket(w.raw)
	if rc == nil {
		return false
	}
	w.readBy = begin.Add(w.idle)
	// An error shows in the read that follows.
	_ = w.raw.SetReadDeadline(w.readBy)
	if w.stopped.Load() { // its deadline may have been replaced just now
		return false
	}
	w.buf, w.pos, w.end = nil, 0, 0
	w.resting = rc
	return true
}
