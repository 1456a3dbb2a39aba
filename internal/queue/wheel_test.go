package queue

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// TestWheelAgainstSortedList runs the wheel beside a plain list.
func TestWheelAgainstSortedList(t *testing.T) {
	for seed := range uint64(30) {
		rng := rand.New(rand.NewPCG(seed, 1))
		var (
			w     wheel
			s     slab
			alive = map[uint32]int64{}
			now   int64
		)
		for range 3000 {
			switch rng.IntN(5) {
			case 0, 1, 2:
				i, e := s.take()
				e.id = 1
				e.due = now + rng.Int64N(1<<rng.IntN(40)) - 100
				w.add(&s, i, e)
				alive[i] = e.due
			case 3:
				for i := range alive {
					e := s.at(i)
					w.remove(&s, e)
					s.give(i)
					delete(alive, i)
					break
				}
			case 4:
				if at, ok := w.next(); ok && rng.IntN(2) == 0 {
					now = max(now, at)
				} else {
					now += rng.Int64N(1 << rng.IntN(30))
				}
				advance(t, &w, &s, now, alive, rng.IntN(20)+1)
			}
			if w.count != len(alive) {
				t.Fatalf("seed %d: count %d, alive %d", seed, w.count, len(alive))
			}
		}
		for w.count > 0 {
			at, ok := w.next()
			if !ok {
				t.Fatalf("seed %d: %d left and no time to wake", seed, w.count)
			}
			now = max(now, at)
			advance(t, &w, &s, now, alive, 50)
		}
	}
}

// advance runs the wheel up to now and checks that what is due, and nothing else, has fired.
func advance(t *testing.T, w *wheel, s *slab, now int64, alive map[uint32]int64, limit int) {
	t.Helper()
	for {
		fired, more := w.advance(s, now, nil, limit)
		if len(fired) > limit {
			t.Fatalf("%d fired, limit %d", len(fired), limit)
		}
		for _, i := range fired {
			due, ok := alive[i]
			if !ok || due > now {
				t.Fatalf("entry %d fired at %d, due %d, known %t", i, now, due, ok)
			}
			delete(alive, i)
			s.give(i)
		}
		if !more {
			break
		}
	}
	for i, due := range alive {
		// Entries are added up to 100 ms late, and then wait for the next tick.
		if due <= now-100-2*tickMillis {
			t.Fatalf("entry %d did not fire at %d, due %d", i, now, due)
		}
	}
}

func TestWheelKeepsOrderOfEqualTimes(t *testing.T) {
	var (
		w    wheel
		s    slab
		want []uint32
	)
	for range 5000 {
		i, e := s.take()
		e.id, e.due = 1, 40*60*1000 // two levels to come down
		w.add(&s, i, e)
		want = append(want, i)
	}
	var got []uint32
	for w.count > 0 {
		at, _ := w.next()
		got, _ = w.advance(&s, at, got, 7)
	}
	if !slices.Equal(got, want) {
		t.Error("entries that are due together left in another order")
	}
}

func TestWheelWakesRarely(t *testing.T) {
	var (
		w wheel
		s slab
	)
	i, e := s.take()
	e.id, e.due = 1, 60*60*1000
	w.add(&s, i, e)
	wakes := 0
	for w.count > 0 {
		at, _ := w.next()
		w.advance(&s, at, nil, 100)
		wakes++
		if at > e.due+tickMillis {
			t.Fatalf("fires at %d, due %d", at, e.due)
		}
	}
	if wakes > levels {
		t.Errorf("%d wake-ups for one entry", wakes)
	}
}
