// Package pressure watches the memory of the process, so that mail is put off before the operating system ends the
// process for its size. Nothing is lost by such an end, but all that is under way, and it would come again.
//
// It knows nothing of mail: it says how near the limit is, in two steps, each left later than it is entered. Start
// with Gauge.Level; what the limit is without one from the administrator is in limit.go.
package pressure

import (
	"math"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
)

// Level is how near the memory in use is to the limit.
type Level int32

// The levels. What is in use is compared with parts of the limit.
const (
	Easy  Level = iota
	Tight       // from 80 % on, until 70 %: what can wait outside should
	Dire        // from 90 % on, until 80 %: not even a connection is worth its memory
)

// enter and leave are the percentages at which a level is entered from below, and left.
var (
	enter = [...]int64{Tight: 80, Dire: 90}
	leave = [...]int64{Tight: 70, Dire: 80}
)

// every is how often the memory is looked at, at most.
const every = time.Second

// collectAfter is how long the figures may be without a garbage collection while there is pressure: what has become
// garbage is not known before one.
const collectAfter = 5 * time.Second

// Options make a Gauge.
type Options struct {
	// Limit is how much the process may use, in octets; 0: what the system lets it have (see System); negative: no limit.
	Limit int64
	// Changed is told when another level is reached. It must not call the Gauge. Nil: nobody is.
	Changed func(State)

	// Used and Collect replace the memory, for tests: the octets in use and the number of collections so far; and a
	// collection. Nil: those of the process, whose collector then also keeps to the limit (debug.SetMemoryLimit).
	Used    func() (octets int64, collections uint64)
	Collect func()
}

// State is what is known of the memory.
type State struct {
	Level Level
	Used  int64     // octets in use, as of the last look
	Limit int64     // 0: none
	Since time.Time // when the present level was reached; zero for Easy
}

// Gauge compares memory with a limit. It is safe for concurrent use. New makes one.
type Gauge struct {
	o     Options
	real  bool // the memory is that of the process
	pace  pace // of its collector
	start time.Time
	next  atomic.Int64 // when the next look is due, since start
	level atomic.Int32

	mu       sync.Mutex
	limit    int64 // 0: none
	state    State
	seen     uint64    // collections
	seenAt   time.Time // when their number was another
	watching bool
	stop     chan struct{}
	stopped  bool
	watches  sync.WaitGroup
}

// New returns a Gauge. Stop ends it.
func New(o Options) *Gauge {
	g := &Gauge{o: o, start: time.Now(), stop: make(chan struct{})}
	if g.o.Used == nil {
		g.real, g.o.Used, g.o.Collect = true, newMeter().used, runtime.GC
	}
	g.SetLimit(o.Limit)
	return g
}

// SetLimit changes Options.Limit.
func (g *Gauge) SetLimit(n int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	set := n // for the collector
	switch {
	case n < 0:
		n, set = 0, math.MaxInt64
	case n == 0:
		n = System()
		if set = n; n == 0 {
			set = math.MaxInt64
		}
	}
	g.limit = n
	if g.real {
		debug.SetMemoryLimit(set)
	}
	g.look(time.Now())
}

// Level returns the level. It looks at the memory once a second at most, and costs a reading of the clock otherwise.
func (g *Gauge) Level() Level {
	due, now := g.next.Load(), int64(time.Since(g.start))
	if now >= due && g.next.CompareAndSwap(due, now+int64(every)) {
		g.mu.Lock()
		g.look(time.Now())
		g.mu.Unlock()
	}
	return Level(g.level.Load())
}

// State returns what is known, and looks if it is time to.
func (g *Gauge) State() State {
	g.Level()
	g.mu.Lock()
	defer g.mu.Unlock()
	s := g.state
	s.Limit = g.limit
	return s
}

// Stop ends what runs behind a Gauge. Level then stays as it is.
func (g *Gauge) Stop() {
	g.mu.Lock()
	if !g.stopped {
		g.stopped = true
		close(g.stop)
	}
	g.mu.Unlock()
	g.watches.Wait()
}

// look takes the figures and sets the level. mu is held.
func (g *Gauge) look(now time.Time) {
	if g.stopped {
		return
	}
	used, n := g.o.Used()
	if n != g.seen || g.seenAt.IsZero() {
		g.seen, g.seenAt = n, now
	}
	g.state.Used = used
	if g.real {
		g.pace.set(used)
	}
	to := Level(0)
	if g.limit > 0 {
		to = step(g.state.Level, used, g.limit)
	}
	if to == g.state.Level {
		return
	}
	g.state.Level, g.state.Since = to, now
	if to == Easy {
		g.state.Since = time.Time{}
	}
	g.level.Store(int32(to))
	if to != Easy && !g.watching {
		// Nobody may come to ask, and the collector may have nothing to do: somebody must see that it is over.
		g.watching = true
		g.watches.Go(g.watch)
	}
	if g.o.Changed != nil {
		s := g.state
		s.Limit = g.limit
		g.o.Changed(s)
	}
}

// step returns the level that follows from.
func step(from Level, used, limit int64) Level {
	to := Easy
	for l := Tight; l <= Dire; l++ {
		bound := enter[l]
		if from >= l {
			bound = leave[l]
		}
		if used >= limit/100*bound {
			to = l
		}
	}
	return to
}

// watch looks once a second while there is pressure.
func (g *Gauge) watch() {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-g.stop:
			return
		case <-tick.C:
		}
		g.mu.Lock()
		collect := time.Since(g.seenAt) >= collectAfter
		g.mu.Unlock()
		if collect {
			g.o.Collect()
		}
		g.mu.Lock()
		g.look(time.Now())
		if g.state.Level == Easy {
			g.watching = false
			g.mu.Unlock()
			return
		}
		g.mu.Unlock()
	}
}
