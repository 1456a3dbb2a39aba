package queue

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestClockSteps sets the system's clock back and forth, for mail that comes then and over a restart: nothing is given up for it, and
// each message is tried again in time. The queue's own clock goes on meanwhile.
func TestClockSteps(t *testing.T) {
	for _, step := range []time.Duration{time.Hour, 24 * time.Hour, 10 * 365 * 24 * time.Hour} {
		for _, step := range []time.Duration{step, -step} {
			t.Run(step.String(), func(t *testing.T) { synctest.Test(t, func(t *testing.T) { stepClock(t, step) }) })
		}
	}
}

func stepClock(t *testing.T, step time.Duration) {
	change := func(o *Options) { o.Remote.ExpireAfter = 3 * time.Hour }
	w := newWorld(t, change)
	w.peer.answer = down
	w.start(t)
	env := w.message("a", "one.test")
	env.Arrived = time.Now().Add(step)
	w.store.commit(env)
	w.Add(env)
	rest(8 * time.Minute)
	k := key{env.ID, 0}
	if n := len(w.peer.tries(k)); n != 2 {
		t.Errorf("%d attempts in eight minutes, want 2", n)
	}
	if w.store.get(env.ID, 0).done {
		t.Error("the message was given up")
	}
	if step > 0 { // the clock was ahead, and is right when the next process begins
		w.stop(t)
		w.store.mu.Lock()
		w.store.status[k].due = w.store.status[k].due.Add(step)
		w.store.mu.Unlock()
		w.restart()
		w.start(t)
	}
	rest(4 * time.Hour)
	if n := len(w.peer.tries(k)); n < 5 || n > 8 {
		t.Errorf("%d attempts in all, want 5 to 8", n)
	}
	if !w.store.get(env.ID, 0).done {
		t.Error("the message is not given up in its time")
	}
	w.stop(t)
}
