package pickup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/vfs"
)

// Transaction is one message on its way in. It is used by one goroutine.
type Transaction interface {
	// ID is the id that the message will have: known from the start, never used for another.
	ID() mail.QueueID
	// From sets the reverse-path.
	From(mail.Sender)
	// Rcpt adds a recipient; one that is there already is kept once.
	Rcpt(context.Context, mail.Recipient) (mail.Address, error)
	// Write takes the next octets of the message, with CRLF line ends. It does not keep the slice.
	Write([]byte) (int, error)
	// Commit makes the message durable. Nothing is delivered before Enqueue.
	Commit(context.Context) (mail.Accepted, error)
	// Enqueue hands the message to the queue, after Commit. A message that was committed and not
	// enqueued is found by the queue when it starts again.
	Enqueue()
	// Abort gives the message up; after Commit it does nothing.
	Abort()
}

// Bad is a file that cannot be used.
type Bad struct {
	File   string // its name, made printable
	Reason string // one sentence
	// Body is the file as it was put there, Size octets.
	Body io.ReaderAt
	Size int64
	// What was understood of the envelope.
	Sender     mail.Sender
	Recipients []mail.Recipient
}

// Options say how files are taken.
type Options struct {
	Dir   string // the pickup directory
	Files Files
	// Watch tells of changes in Dir as they happen. Nil, or one that fails: the rescan alone finds files.
	Watch func(dir string) (Watcher, error)

	// Begin begins a message. While it fails, files stay where they are.
	Begin func(context.Context) (Transaction, error)
	// Sent reports whether the spool has a message.
	Sent func(context.Context, mail.QueueID) (bool, error)
	// Badmail keeps a file that cannot be used, for good.
	Badmail func(context.Context, *Bad) error

	Settings Settings
	Events   Events

	Workers int           // files that are read at the same time; 0: 32
	Rescan  time.Duration // how often the folder is looked through when nothing tells of a change; 0: 5 s
}

// Settings are what can change while files are taken.
type Settings struct {
	// DotStuffed says that the leading dots of lines are doubled in the files, as SMTP has them.
	DotStuffed bool
	// MaxSize is the size in octets that a message may not exceed; 0: no limit.
	MaxSize int64
}

// Events tell the log; each may be nil. File names in them are made printable. They are called by
// several goroutines.
type Events struct {
	Bad     func(file, reason string)     // went to badmail
	Skipped func(file, what string)       // is left alone: once for each
	Late    func(file, why string)        // has waited for an hour, or cannot be read: once for each
	Held    func(file string, err error)  // cannot be taken now, and is tried again; once for each
	Stays   func(file string, err error)  // was sent and cannot be removed: it may be sent again after a restart
	Deaf    func(err error)               // nothing tells of changes: the rescan alone finds files; once until it is over
	Trouble func(err error)               // no file is taken because of it; once until it is over
	Over    func()                        // files are taken again
	Fault   func(value any, stack []byte) // a fault in this program, which cost one file a trip to badmail
}

// Stats are the figures of this moment.
type Stats struct {
	Waiting  int    // files that are not taken yet, as far as the last look has come
	InFlight int    // being read now
	Skipped  int    // links, folders and so on, left alone
	Taken    uint64 // messages since the start
	Bad      uint64 // files that went to badmail since the start
	// Late names files that have waited for an hour or cannot be read, with the reason, at most 10.
	Late []string
	// LastError is why files are not taken, or why one of them is not; "" when all is well.
	LastError string
}

const (
	defaultWorkers = 32
	defaultRescan  = 5 * time.Second

	// grace is how long a file must be unchanged although no program has it open, for the sake of
	// scripts that append line by line.
	grace = 250 * time.Millisecond
	// settle is the same where nobody can say whether a program has it open.
	settle = 2 * time.Second
	// emptyWait is how long an empty file may remain so.
	emptyWait = time.Minute
	// late is how long a file waits before people are told.
	late = time.Hour

	// firstPause and longestPause bound how long nothing is taken after the spool refused a message.
	firstPause   = time.Second
	longestPause = 30 * time.Second
	// firstHold and longestHold do the same for one file with trouble of its own.
	firstHold   = 2 * time.Second
	longestHold = 5 * time.Minute
)

// claimedName is the folder within the pickup directory that holds the files being taken, by the
// queue id of their message. A folder is never a message.
const claimedName = ".claimed"

// lockName is the file in that folder whose lock we hold, so that no other service takes files here.
const lockName = "lock"

// Pickup takes files. Lock, Recover, Start and Stop are called once each, in this order; the first three may
// be left out by whoever only wants to stop.
type Pickup struct {
	o        Options
	claimed  string
	settings atomic.Pointer[Settings]
	sync     syncer

	work    chan candidate
	stop    context.CancelFunc // no more files
	abandon context.CancelFunc // nor those that are being read
	ended   sync.WaitGroup

	scanner scanner // of the goroutine that scans
	// lock is held on lockName, nil before. It belongs to whoever calls Lock, Recover and Stop, and to the
	// goroutine that scans between the last two.
	lock  io.Closer
	named bool // the names of the folders are durable; belongs to the same

	mu   sync.Mutex
	busy map[string]struct{} // paths that a worker has or is about to get
	held map[string]hold     // files, by path, that have trouble of their own
	sent map[string]struct{} // claimed files, by path, that were sent and could not be removed
	// paused is when the spool is asked again after it refused; pause is how long that was.
	paused  time.Time
	pause   time.Duration
	trouble error // that Events.Trouble was told of
	stats   Stats
}

// hold is a file that waits to be tried again.
type hold struct {
	name  string // in the pickup directory
	until time.Time
	delay time.Duration
	err   error
	told  bool
}

// candidate is a file that is ready.
type candidate struct {
	path    string
	name    string // in the pickup directory, or where that is forgotten the path
	entry   Entry
	claimed bool // by this process or one before
}

// New returns a Pickup. Dir, Files, Begin, Sent and Badmail must be given.
func New(o Options) *Pickup {
	if o.Workers == 0 {
		o.Workers = defaultWorkers
	}
	if o.Rescan == 0 {
		o.Rescan = defaultRescan
	}
	p := &Pickup{
		o: o, claimed: filepath.Join(o.Dir, claimedName),
		work: make(chan candidate),
		busy: make(map[string]struct{}), held: make(map[string]hold), sent: make(map[string]struct{}),
	}
	p.settings.Store(&o.Settings)
	p.sync = newSyncer(func() error {
		if err := o.Files.SyncDir(p.claimed); err != nil {
			return err
		}
		return o.Files.SyncDir(o.Dir)
	})
	return p
}

// Apply changes the settings; the next file is read by them.
func (p *Pickup) Apply(s Settings) { p.settings.Store(&s) }

// Lock makes the folders and takes them for this service alone. The error matches vfs.ErrLocked when
// another service takes files there: two would claim each other's files, lose and double mail. After
// any other error Recover and the rescan try again.
func (p *Pickup) Lock() error { return p.folders() }

// Recover removes the claimed files that the spool has. It must run before anything is delivered:
// then a file of which the spool knows nothing was never sent.
func (p *Pickup) Recover(ctx context.Context) error {
	if err := p.folders(); err != nil {
		return err
	}
	removed := false
	var failed error
	err := p.o.Files.List(p.claimed, func(names []string) bool {
		for _, name := range names {
			id, err := mail.ParseQueueID(name)
			if err != nil {
				continue
			}
			sent, err := p.o.Sent(ctx, id)
			if err != nil {
				failed = err
				return false
			}
			if !sent {
				continue
			}
			path := filepath.Join(p.claimed, name)
			if err := p.o.Files.Remove(path); err != nil {
				p.sent[path] = struct{}{} // tried again, and not sent again by this process
				call2(p.o.Events.Stays, name, err)
			}
			removed = true
		}
		return true
	})
	if err == nil {
		err = failed
	}
	if err == nil && removed {
		err = p.sync.do()
	}
	return err
}

// folders makes the folders if they are not there, for good: a file must not be moved into one that a
// power cut can take away.
func (p *Pickup) folders() error {
	replaced := false
	for _, dir := range []string{p.o.Dir, p.claimed} {
		made, err := p.o.Files.MakeFolder(dir, dir == p.o.Dir)
		if made {
			p.named = false
		}
		if err != nil {
			return err
		}
		replaced = made
		if p.named {
			continue
		}
		// Also if it was there: who made it may have died before this. What we may not open we have not made.
		if err := p.o.Files.SyncDir(filepath.Dir(dir)); err != nil && !errors.Is(err, fs.ErrPermission) {
			return err
		}
	}
	p.named = true
	if p.lock != nil && !replaced {
		return nil
	}
	p.unlock() // of a folder that is there no more
	lock, err := p.o.Files.Lock(filepath.Join(p.claimed, lockName))
	switch {
	case errors.Is(err, vfs.ErrLocked):
		return fmt.Errorf("the pickup folder %s is in use by another service (%w); each needs a folder of its own: folders.pickup", p.o.Dir, err)
	case err != nil:
		return fmt.Errorf("the pickup folder cannot be locked: %w", err)
	}
	p.lock = lock
	return nil
}

// unlock gives the folder up.
func (p *Pickup) unlock() {
	if p.lock != nil {
		_ = p.lock.Close() // nothing was written to it
		p.lock = nil
	}
}

// Start begins to take files.
func (p *Pickup) Start(ctx context.Context) {
	ctx, p.abandon = context.WithCancel(context.WithoutCancel(ctx))
	scanning, stop := context.WithCancel(ctx)
	p.stop = stop
	for range p.o.Workers {
		p.ended.Go(func() {
			w := newWorker(p)
			for c := range p.work {
				p.inFlight(1)
				w.take(ctx, &c)
				p.release(c.path)
				p.inFlight(-1)
			}
		})
	}
	p.ended.Go(func() {
		p.run(scanning)
		close(p.work)
	})
}

// Stop takes no more files and returns when those that are being read are finished, or given up
// because ctx has ended: they are taken up again at the next start.
func (p *Pickup) Stop(ctx context.Context) {
	defer p.unlock()
	if p.stop == nil {
		return
	}
	p.stop()
	ended := make(chan struct{})
	go func() {
		p.ended.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-ctx.Done():
		p.abandon()
		<-ended
	}
	p.abandon()
}

// Stats returns the figures.
func (p *Pickup) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.stats
	err := p.trouble
	for _, h := range p.held {
		if err == nil {
			err = h.err
		}
	}
	if err != nil {
		s.LastError = err.Error()
	}
	return s
}

// reserve marks a path as a worker's and reports whether it was free.
func (p *Pickup) reserve(path string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, taken := p.busy[path]; taken {
		return false
	}
	p.busy[path] = struct{}{}
	return true
}

func (p *Pickup) release(path string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.busy, path)
}

func (p *Pickup) inFlight(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stats.InFlight += n
}

// call2 calls an event if somebody listens.
func call2[A, B any](f func(A, B), a A, b B) {
	if f != nil {
		f(a, b)
	}
}

// troubled notes why no file is taken.
func (p *Pickup) troubled(err error) {
	p.mu.Lock()
	first := p.trouble == nil
	p.trouble = err
	p.mu.Unlock()
	if f := p.o.Events.Trouble; first && f != nil {
		f(err)
	}
}

// well notes that a file was taken.
func (p *Pickup) well() {
	p.mu.Lock()
	was := p.trouble != nil
	p.trouble, p.pause, p.paused = nil, 0, time.Time{}
	p.mu.Unlock()
	if f := p.o.Events.Over; was && f != nil {
		f()
	}
}

// refused notes that the spool takes no mail and stops taking files for a while.
func (p *Pickup) refused(err error) {
	p.mu.Lock()
	if now := time.Now(); now.After(p.paused) {
		p.pause = min(max(firstPause, 2*p.pause), longestPause)
		p.paused = now.Add(p.pause)
	}
	p.mu.Unlock()
	p.troubled(err)
}

// hold leaves c, which is at path now, for later. told says that people know of the cause.
func (p *Pickup) hold(c *candidate, path string, err error, told bool) {
	p.mu.Lock()
	h := p.held[c.path] // from an attempt before
	delete(p.held, c.path)
	h.name, h.err = c.name, err
	h.delay = min(max(firstHold, 2*h.delay), longestHold)
	h.until = time.Now().Add(h.delay)
	// Once is nothing: on Windows a virus scanner may look at a file at that moment.
	tell := !told && !h.told && h.delay > firstHold
	h.told = told || h.told || tell
	p.held[path] = h
	p.mu.Unlock()
	if tell {
		call2(p.o.Events.Held, show(c.name), err)
	}
}
