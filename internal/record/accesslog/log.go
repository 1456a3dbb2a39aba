package accesslog

import (
	"sync"
	"time"

	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/vfs"
)

const (
	bufferSize = 64 << 10 // a buffer is handed on when it holds so much
	maxBuffer  = 1 << 20  // and grows up to here while the other one is not yet written
	flushEvery = time.Second
	secondsDay = 24 * 60 * 60
)

// Options say where and for whom a Log writes.
type Options struct {
	FS       vfs.FS
	Dir      string // made if it does not exist
	Site     string // s-sitename, "SMTPSVC1"
	Computer string // s-computername
	Software string // what the header names; "": "Mailroot"
	// Event is told when writing stops working and when it works again; nil: nobody is. It is
	// called by the goroutine that writes, so it may take its time, but must not call Close.
	Event func(Event)
}

// Event is a change in the state of a Log.
type Event struct {
	Stopped bool   // writing has failed: rows wait as far as there is room, then they are lost
	Err     error  // why; nil when it works again
	Dropped uint64 // rows lost so far
}

// Stats are what a Log has done since it was made.
type Stats struct {
	Rows    uint64 // taken
	Dropped uint64 // lost: the disk was too slow, full or broken
	Octets  uint64 // written, headers included
	File    string // being written; "" for none
	Err     error  // why writing does not work at present
}

// Log is an access log. Record is safe for concurrent use and waits for no disk: rows go into
// one of two buffers. A goroutine writes a buffer when it holds 64 KB, and every second what
// there is. While it writes the other buffer takes up to 1 MB, which bridges a busy processor
// or disk; rows beyond that are dropped and counted.
type Log struct {
	o    Options
	site string
	rows sync.Pool // of *[]byte, to make rows in

	wake chan struct{}
	stop chan struct{}
	done chan struct{}

	mu     sync.Mutex
	fill   *buffer // takes rows
	free   *buffer // empty; nil while the other is full or being written
	full   *buffer // to be written, or being written
	day    int64   // of the last row: days since 1970, UTC
	closed bool
	stats  Stats

	w writer // the goroutine's own
}

// buffer holds rows on their way to the disk.
type buffer struct {
	b []byte
	// marks say from which offset on rows belong to which day. The first is at 0.
	marks []mark
}

type mark struct {
	off int
	day int64
}

func newBuffer() *buffer { return &buffer{b: make([]byte, 0, bufferSize), marks: make([]mark, 0, 4)} }

// reset empties b and gives back what it has grown by.
func (b *buffer) reset() {
	b.b, b.marks = b.b[:0], b.marks[:0]
	if cap(b.b) > 2*bufferSize {
		b.b = make([]byte, 0, bufferSize)
	}
}

// New makes a Log and begins to write: the header of the service's start is the first thing.
// It does not fail; a directory that cannot be written is told to Event, and tried again.
func New(o Options) *Log {
	if o.Software == "" {
		o.Software = "Mailroot"
	}
	site := appendField([]byte{' '}, o.Site)
	site = appendField(append(site, ' '), o.Computer)
	l := &Log{
		o: o, site: string(site),
		wake: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{}),
		fill: newBuffer(), free: newBuffer(),
		day: dayOf(time.Now()),
	}
	l.rows.New = func() any { b := make([]byte, 0, 512); return &b }
	l.w.o = &l.o
	l.fill.marks = append(l.fill.marks, mark{0, l.day})
	l.signal()
	go l.run()
	return l
}

func dayOf(t time.Time) int64 {
	s := t.Unix()
	if s < 0 {
		return 0
	}
	return s / secondsDay
}

// Record takes the row of x. It keeps nothing of x.
func (l *Log) Record(x *mail.Exchange) {
	p := l.rows.Get().(*[]byte)
	row := appendRow((*p)[:0], x, l.site)
	l.add(row, dayOf(x.Time))
	*p = row
	l.rows.Put(p)
}

func (l *Log) add(row []byte, day int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stats.Rows++
	if l.closed {
		l.stats.Dropped++
		return
	}
	if n := len(l.fill.b) + len(row); n > bufferSize && !l.swap() && n > maxBuffer {
		l.stats.Dropped++
		return
	}
	// A row that is a little late, or has no time, goes where the others went; a clock that
	// was set back by more begins another day.
	if day > l.day || day > 0 && day < l.day-1 {
		l.day = day
	}
	if n := len(l.fill.marks); n == 0 || l.fill.marks[n-1].day != l.day {
		l.fill.marks = append(l.fill.marks, mark{len(l.fill.b), l.day})
	}
	l.fill.b = append(l.fill.b, row...)
}

// swap hands the buffer to the goroutine and takes the free one, if there is one.
func (l *Log) swap() bool {
	if l.free == nil {
		return false
	}
	l.full, l.fill, l.free = l.fill, l.free, nil
	l.signal()
	return true
}

func (l *Log) signal() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// Stats returns what the log has done so far.
func (l *Log) Stats() Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.stats
}

// Close writes what is left and closes the file; it waits for the disk. Rows recorded later are dropped. It returns
// the error that kept rows from being written.
func (l *Log) Close() error {
	l.mu.Lock()
	closed := l.closed
	l.closed = true
	l.mu.Unlock()
	if !closed {
		close(l.stop)
	}
	<-l.done
	return l.Stats().Err
}

// run is the goroutine that writes.
func (l *Log) run() {
	defer close(l.done)
	tick := time.NewTicker(flushEvery)
	defer tick.Stop()
	for {
		select {
		case <-l.wake:
		case <-tick.C:
		case <-l.stop:
			l.flush()
			l.flush() // the one that was filling while the other waited
			l.w.close()
			l.giveUp()
			return
		}
		l.flush()
	}
}

// flush writes the buffer that is full, or else the one that is filling.
func (l *Log) flush() {
	l.mu.Lock()
	if l.full == nil && len(l.fill.marks) > 0 {
		l.full, l.fill, l.free = l.fill, l.free, nil
	}
	b := l.full
	l.mu.Unlock()
	if b == nil {
		return
	}
	n, err := l.w.write(b)

	l.mu.Lock()
	was := l.stats.Err
	l.stats.Err = err
	l.stats.Octets += uint64(n)
	l.stats.File = l.w.name
	dropped := l.stats.Dropped
	if err == nil {
		b.reset()
		l.full, l.free = nil, b
	} // else it stays full and is tried again
	l.mu.Unlock()

	if (was == nil) != (err == nil) && l.o.Event != nil {
		l.o.Event(Event{Stopped: err != nil, Err: err, Dropped: dropped})
	}
}

// giveUp counts the rows that Close could not write.
func (l *Log) giveUp() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, b := range []*buffer{l.full, l.fill} {
		if b != nil {
			l.stats.Dropped += uint64(countRows(b.b))
			b.reset()
		}
	}
	l.stats.File = ""
}
