package session

import "time"

// lingering bounds the wait for a client that is being cut off: if the connection were closed with
// unread octets, the reset that follows could destroy the reply before the client reads it.
type lingering struct {
	time   time.Duration // in all
	octets int64
	// span is how long the client may take for the next rate octets.
	span time.Duration
	rate int64
}

// lingerFor returns the bounds for a client that is cut off for a reason. One whose message is too
// large has the rest of it on its way, and many read no reply before all of it is sent (bad input F26).
func lingerFor(r CloseReason) lingering {
	if r == ClosedBySize {
		return lingering{time: 30 * time.Second, octets: 64 << 20, span: 2 * time.Second, rate: 1 << 10}
	}
	return lingering{time: time.Second, octets: 256 << 10, span: time.Second, rate: 256 << 10}
}

// linger reads and drops what the client still sends until it closes, is too slow, or a bound is
// reached. A shut down ends it.
func (w *wire) linger(l lingering) {
	b := getBuffer(largeBuffer)
	defer putBuffer(b)
	now := time.Now()
	end := now.Add(l.time)
	for l.octets > 0 && now.Before(end) {
		span := now.Add(l.span)
		if span.After(end) {
			span = end
		}
		// An error shows in the read that follows.
		_ = w.raw.SetReadDeadline(span)
		for got := int64(0); got < l.rate; {
			if w.stopped.Load() {
				return
			}
			n, err := w.raw.Read(b)
			if got += int64(n); err != nil {
				return
			}
			l.octets -= int64(n)
		}
		now = time.Now()
	}
}
