package queue

import (
	"context"
	"math"
	"time"
)

// recordPause is how often a store that cannot record is asked while mail waits for that.
const recordPause = time.Second

// stepLimit bounds what is done at a stretch with the queue locked.
const stepLimit = 512

// schedule starts runs and makes ready what is due, until the queue stops.
func (q *Queue) schedule(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	var starts []*run
	for {
		q.mu.Lock()
		now := q.now()
		more := q.fire(now)
		more = q.thaw(now) || more
		q.ring(now)
		q.callNotices(now)
		records := q.store.CanRecord()
		if starts = starts[:0]; records {
			starts = q.pick(now, starts)
		}
		q.sleep = q.nextWake()
		delay := time.Duration(min(q.sleep-now, math.MaxInt32)) * time.Millisecond
		if !records && q.inLine() { // they stay in line
			delay = min(delay, recordPause)
		}
		q.mu.Unlock()

		for i, r := range starts {
			go q.work(ctx, r)
			starts[i] = nil
		}
		if more {
			continue
		}
		timer.Reset(max(delay, 0))
		select {
		case <-q.wake:
		case <-timer.C:
		case <-q.quit:
			return
		case <-ctx.Done():
			return
		}
	}
}

// nextWake returns when the scheduler has something to do next.
func (q *Queue) nextWake() int64 {
	t := q.noticeAt
	if due, ok := q.wheel.next(); ok {
		t = min(t, due)
	}
	if len(q.alarms) > 0 {
		t = min(t, q.alarms[0].at)
	}
	for _, f := range q.freezes {
		if !f.Until.IsZero() {
			t = min(t, q.at(f.Until))
		}
	}
	return t
}

// fire makes ready the deferred recipients whose time has come. More says that some are left.
func (q *Queue) fire(now int64) (more bool) {
	q.fired, more = q.wheel.advance(&q.entries, now, q.fired[:0], stepLimit)
	for _, i := range q.fired {
		e := q.entries.at(i)
		h := q.hops.at(e.hop)
		q.enter(e, stateFree)
		if e.flags&flagDelivered == 0 && q.expired(e, h, now) {
			last := q.replies.get(e.reply)
			q.failWith(i, e, lastReply{expiredReply(last.reply), last.host, last.reply})
			continue
		}
		q.admit(i, e, now, false)
	}
	return more
}

// admit puts an entry that is in no list into the ready queue of the hop that its domain has now; where
// there is none it is deferred or fails. What was delivered only has its report made.
func (q *Queue) admit(i uint32, e *entry, now int64, front bool) {
	if !q.reroute(i, e, now) {
		return
	}
	if e.flags&flagDelivered != 0 {
		q.await(i, e)
		return
	}
	if _, frozen := q.freezeOf(e); frozen {
		q.freeze(i, e)
		return
	}
	h := q.hops.at(e.hop)
	q.enter(e, stateReady)
	messages := h.messages
	h.push(&q.entries, i, e, front)
	if n := len(h.idle); n > 0 && h.messages > messages {
		q.call(h.idle[n-1])
	}
	q.offer(h, now)
}

// offer puts a hop in line for a connection if it wants one, and sees to it that the scheduler looks
// at it again if it may want one later.
func (q *Queue) offer(h *hop, now int64) {
	if h.listed || h.n[stateReady] == 0 {
		return
	}
	switch {
	case q.wants(h, now):
		h.listed = true
		q.line[h.class].push(h)
		nudge(q.wake)
	case h.blocked > now:
		q.setAlarm(h, h.blocked)
	case h.runs > 0 && h.runs < q.limit(h, now):
		at := h.taken + stallMillis
		if at <= now {
			at = now + stallMillis
		}
		q.setAlarm(h, at)
	case h.runs > 0 && h.ceiling > 0 && h.ceilingUntil > now:
		q.setAlarm(h, h.ceilingUntil)
	}
}

// setAlarm makes the scheduler look at the hop at a time, or earlier if it was to be so.
func (q *Queue) setAlarm(h *hop, at int64) {
	if h.alarm != 0 && h.alarm <= at {
		return
	}
	h.alarm = at
	q.alarms.push(alarm{at, h})
	if at < q.sleep {
		nudge(q.wake)
	}
}

// ring looks at the hops whose alarm has come.
func (q *Queue) ring(now int64) {
	for len(q.alarms) > 0 && q.alarms[0].at <= now {
		a := q.alarms.pop()
		h := a.hop
		if h.alarm != a.at {
			continue // it was set anew
		}
		h.alarm = 0
		if h.runs > 0 && now-h.taken >= stallMillis {
			h.stalled = true
		}
		q.watch(h, now)
		q.offer(h, now)
	}
}

// inLine reports whether a hop waits for a connection.
func (q *Queue) inLine() bool {
	for c := range q.line {
		if q.line[c].len() > 0 {
			return true
		}
	}
	return false
}

// pick chooses the hops that get a connection now, in turn, and makes their runs.
func (q *Queue) pick(now int64, starts []*run) []*run {
	for !q.stopping && !q.paused && len(starts) < stepLimit {
		c, ok := q.choose()
		if !ok {
			break
		}
		h := q.draw(c)
		h.listed = false
		if h.class != c || !q.wants(h, now) {
			q.offer(h, now)
			q.hops.release(h.index)
			continue
		}
		starts = append(starts, q.begin(h, now))
		q.turns++
		q.offer(h, now)
	}
	if len(starts) == stepLimit {
		nudge(q.wake)
	}
	return starts
}

// choose returns the line whose first hop gets the next connection. Hops that work come first,
// but each fourth connection goes to one that is down, and the next to one that is new, so that they are not
// forgotten under load.
func (q *Queue) choose() (class, bool) {
	if q.line[classLocal].len() > 0 {
		return classLocal, true
	}
	order := [...]class{classGood, classNew, classDown}
	switch q.turns % 4 {
	case 2:
		order = [...]class{classNew, classGood, classDown}
	case 3:
		order = [...]class{classDown, classGood, classNew}
	}
	full := q.set.MaxOutbound > 0 && q.remoteRuns() >= q.set.MaxOutbound
	for _, c := range order {
		switch {
		case q.line[c].len() == 0:
			continue
		case !q.may(c):
			if c != classDown || q.probes < q.quarter() {
				q.giveWay()
			}
			continue
		case full:
			if !q.spareOne() {
				q.giveWay()
			}
			return 0, false
		}
		return c, true
	}
	return 0, false
}

// draw takes a hop out of a line. Of those never tried the one that came last has every other turn, so that
// mail for a living one does not wait behind a crowd that hangs.
func (q *Queue) draw(c class) *hop {
	if c != classNew {
		return q.line[c].pop()
	}
	if q.newest = !q.newest; q.newest {
		return q.line[c].pop()
	}
	return q.line[c].popLast()
}

func (q *Queue) remoteRuns() int {
	return q.running[classGood] + q.running[classNew] + q.running[classDown]
}

// may reports whether hops of a class may have one more connection, the limit of all aside.
func (q *Queue) may(c class) bool {
	if c == classGood || c == classLocal {
		return true
	}
	return (c == classNew || q.probes < q.quarter()) && q.running[classNew]+q.running[classDown] < q.unproven()
}

// defaultOutbound stands in for the limit of connections where there is none.
const defaultOutbound = 500

// quarter is how many connections the hops that are down may have together.
func (q *Queue) quarter() int {
	if q.set.MaxOutbound <= 0 {
		return defaultOutbound / 4
	}
	return max(q.set.MaxOutbound/4, 1)
}

// unproven is how many connections the hops that are down or not tried yet may have together, so that
// those which work always have something left.
func (q *Queue) unproven() int {
	if q.set.MaxOutbound <= 0 {
		return defaultOutbound + q.quarter()
	}
	return max(q.set.MaxOutbound-q.quarter(), min(q.set.MaxOutbound, 2))
}

// contended reports whether a hop waits for the connection of another.
func (q *Queue) contended() bool {
	if q.set.MaxOutbound <= 0 || q.remoteRuns() < q.set.MaxOutbound {
		return false
	}
	for _, c := range [...]class{classGood, classNew, classDown} {
		if q.line[c].len() > 0 && q.may(c) {
			return true
		}
	}
	return false
}

// spareOne ends the remote run that has waited longest for work, so that another hop gets its connection.
// It reports whether there is one.
func (q *Queue) spareOne() bool {
	for r := q.parked.first; r != nil; r = q.parked.next(r) {
		if r.hop.class != classLocal {
			r.ending = true
			q.call(r)
			return true
		}
	}
	return false
}

// setClass changes the class of a hop, with which its runs are counted.
func (q *Queue) setClass(h *hop, c class) {
	if h.class == c || h.class == classLocal {
		return
	}
	q.running[h.class] -= int(h.runs)
	q.running[c] += int(h.runs)
	h.class = c
	if q.line[classGood].len()+q.line[classNew].len()+q.line[classDown].len() > 0 {
		nudge(q.wake)
	}
}

// hopLine is hops in the order in which they came.
type hopLine struct {
	list []*hop
	head int
}

func (l *hopLine) len() int    { return len(l.list) - l.head }
func (l *hopLine) push(h *hop) { l.list = append(l.list, h) }

func (l *hopLine) popLast() *hop {
	k := len(l.list) - 1
	h := l.list[k]
	l.list[k] = nil
	if l.list = l.list[:k]; k == l.head {
		l.list, l.head = l.list[:0], 0
	}
	return h
}

func (l *hopLine) pop() *hop {
	h := l.list[l.head]
	l.list[l.head] = nil
	l.head++
	switch {
	case l.head == len(l.list):
		l.list, l.head = l.list[:0], 0
		if cap(l.list) > spareRecords {
			l.list = nil
		}
	case l.head > spareRecords && l.head > len(l.list)/2:
		l.list = append([]*hop(nil), l.list[l.head:]...)
		l.head = 0
	}
	return h
}

// alarm is a time at which the scheduler looks at a hop.
type alarm struct {
	at  int64
	hop *hop
}

// alarmHeap is a binary heap, the earliest first.
type alarmHeap []alarm

func (h *alarmHeap) push(a alarm) {
	*h = append(*h, a)
	s := *h
	for i := len(s) - 1; i > 0; {
		p := (i - 1) / 2
		if s[p].at <= s[i].at {
			break
		}
		s[p], s[i] = s[i], s[p]
		i = p
	}
}

func (h *alarmHeap) pop() alarm {
	s := *h
	top := s[0]
	n := len(s) - 1
	s[0], s[n] = s[n], alarm{}
	s = s[:n]
	for i := 0; ; {
		c := 2*i + 1
		if c >= n {
			break
		}
		if c+1 < n && s[c+1].at < s[c].at {
			c++
		}
		if s[i].at <= s[c].at {
			break
		}
		s[i], s[c] = s[c], s[i]
		i = c
	}
	*h = s
	if n == 0 {
		*h = nil
	}
	return top
}
