package session

import "time"

// rate watches that message data comes fast enough (bad input F22). It counts only the time
// spent waiting for the client: after the grace period, each span of rateWindow has to bring
// min octets a second.
type rate struct {
	min   int64
	grace time.Duration

	on  bool
	due time.Time // when the span ends
	n   int64     // octets in the span
}

// start begins to watch, unless it watches already.
func (r *rate) start(now time.Time) {
	if r.on || r.min < 0 {
		return
	}
	r.on, r.n = true, 0
	r.due = now.Add(r.grace + rateWindow)
}

// finish ends the watch.
func (r *rate) finish() { r.on = false }

// pause leaves out a time in which the client was not waited for.
func (r *rate) pause(d time.Duration) {
	if r.on && d > 0 {
		r.due = r.due.Add(d)
	}
}

func (r *rate) add(n int) { r.n += int64(n) }

// check looks at the span that has ended and begins the next. It is false if too little came.
func (r *rate) check(now time.Time) bool {
	if now.Before(r.due) {
		return true
	}
	enough := r.n >= r.min*int64(rateWindow/time.Second)
	r.n, r.due = 0, now.Add(rateWindow)
	return enough
}
