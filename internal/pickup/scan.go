package pickup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"time"

	"github.com/mailroot/mailroot/internal/mail"
)

const (
	// maxWaiting is how many waiting files are remembered. Those beyond it have their turn when
	// others have left.
	maxWaiting = 1 << 16
	// maxSkipped is how many of the files that are left alone are remembered, and so named in the log.
	maxSkipped = 1000
	// maxLate is how many late files Stats names.
	maxLate = 10
	// soonest is how long two looks into the folder are apart at least.
	soonest = 20 * time.Millisecond
)

// scanner is what one look into the folder leaves for the next.
type scanner struct {
	turn    uint32
	waiting map[string]*wait    // by path
	skipped map[string]*skipped // by path
	claimed int                 // claimed files that the last look for them found
	left    int                 // names that were listed in this look and not dealt with yet
	waits   int                 // files found waiting in this look
	skips   int                 // files left alone in this look
	next    time.Time           // when the first of those that wait may be ready
}

// wait is a file that is not ready.
type wait struct {
	turn     uint32 // of the look that saw it last
	size     int64
	modified time.Time
	first    time.Time // when it was seen first
	since    time.Time // since when size and modified are as they are
	late     string    // why, once that was told
}

// skipped is a name that is left alone.
type skipped struct {
	turn  uint32
	first time.Time
	told  bool
}

// run looks into the folder when it is told of a change and from time to time, until ctx ends.
func (p *Pickup) run(ctx context.Context) {
	p.scanner.waiting = make(map[string]*wait)
	p.scanner.skipped = make(map[string]*skipped)
	var w watch
	defer w.close()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for took := time.Duration(0); ; {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case _, ok := <-w.changes(p):
			if !ok { // the folder went away, or was replaced
				w.close()
			}
			// Where one change is there are more, and a folder that takes long to look through must not
			// keep us busy all the time.
			select {
			case <-ctx.Done():
				return
			case <-time.After(max(soonest, took)):
			}
		}
		begun := time.Now()
		w.open(p) // before the look, so that nothing falls between the two
		var err error
		if p.lock != nil {
			err = p.scan(ctx)
		}
		if p.lock == nil || errors.Is(err, fs.ErrNotExist) {
			w.close()
			if err = p.folders(); err == nil {
				w.open(p)
				err = p.scan(ctx)
			}
		}
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			w.close()
			p.troubled(fmt.Errorf("pickup directory: %w", err))
		case p.idle():
			p.well() // there is nothing that trouble could hold up
		}
		took = time.Since(begun)
		timer.Reset(max(p.nextLook(), took))
	}
}

// watch is the Watcher in use, if there is one.
type watch struct {
	Watcher
	deaf bool // Events.Deaf was told
}

func (w *watch) open(p *Pickup) {
	if w.Watcher != nil || p.o.Watch == nil {
		return
	}
	watcher, err := p.o.Watch(p.o.Dir)
	if err == nil {
		w.Watcher, w.deaf = watcher, false
		return
	}
	if f := p.o.Events.Deaf; f != nil && !w.deaf {
		f(err)
	}
	w.deaf = true
}

func (w *watch) close() {
	if w.Watcher != nil {
		_ = w.Watcher.Close() // nothing is lost with it
		w.Watcher = nil
	}
}

// changes is what to listen to: nothing while files are not taken anyway.
func (w *watch) changes(p *Pickup) <-chan struct{} {
	if w.Watcher == nil || p.isPaused() {
		return nil
	}
	return w.Changes()
}

// nextLook returns how long to wait for the next look if nothing tells of a change.
func (p *Pickup) nextLook() time.Duration {
	d := p.o.Rescan
	now := time.Now()
	if n := p.scanner.next; !n.IsZero() {
		d = min(d, n.Sub(now))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.paused.After(now) {
		d = min(p.o.Rescan, p.paused.Sub(now))
	}
	return max(d, soonest)
}

func (p *Pickup) isPaused() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.paused.After(time.Now())
}

// idle reports whether no file waits or is being read.
func (p *Pickup) idle() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stats.Waiting == 0 && p.stats.InFlight == 0 && len(p.busy) == 0
}

// scan looks at each name once and gives those that are ready to the workers.
func (p *Pickup) scan(ctx context.Context) error {
	s := &p.scanner
	s.turn++
	s.waits, s.skips, s.left, s.next = 0, 0, 0, time.Time{}
	var err error
	if s.turn == 1 || s.claimed > 0 || p.unfinished() {
		s.claimed = 0
		err = p.look(ctx, p.claimed, true)
	}
	if err == nil {
		err = p.look(ctx, p.o.Dir, false)
	}
	if err != nil || ctx.Err() != nil {
		return err
	}
	s.forget()
	p.forgetHeld()
	p.figures()
	return nil
}

// unfinished reports whether there are claimed files that a worker had to leave. (Those of the process
// before are found by the first look.)
func (p *Pickup) unfinished() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.held)+len(p.sent) > 0
}

// look looks through one folder.
func (p *Pickup) look(ctx context.Context, dir string, claimed bool) error {
	s := &p.scanner
	first := true
	return p.o.Files.List(dir, func(names []string) bool {
		s.left = max(s.left, len(names))
		if claimed {
			s.claimed += len(names)
		}
		if first && len(names) == portion && !claimed {
			s.left = p.count(dir)
		}
		first = false
		for _, name := range names {
			if ctx.Err() != nil {
				return false
			}
			switch {
			case claimed && name == lockName:
				s.claimed--
			case claimed || name != claimedName:
				p.consider(ctx, filepath.Join(dir, name), name, claimed)
			}
			s.left--
		}
		return true
	})
}

// count returns how many names there are, so that people see how much lies ahead.
func (p *Pickup) count(dir string) (n int) {
	// An error shows itself when the names are read.
	_ = p.o.Files.List(dir, func(names []string) bool {
		n += len(names)
		return true
	})
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stats.Waiting = n
	return n
}

// consider decides about one name.
func (p *Pickup) consider(ctx context.Context, path, name string, claimed bool) {
	s := &p.scanner
	now := time.Now()
	p.mu.Lock()
	_, busy := p.busy[path]
	_, sent := p.sent[path]
	h, held := p.held[path]
	paused := now.Before(p.paused)
	p.mu.Unlock()
	switch {
	case busy:
		return
	case held && now.Before(h.until):
		s.waits++
		s.by(h.until)
		return
	case held:
		name = h.name
	}
	if claimed {
		if _, err := mail.ParseQueueID(filepath.Base(path)); err != nil {
			p.skip(path, name, "not a file of ours", now)
			return
		}
	}
	e, err := p.o.Files.Look(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return
	case err != nil:
		p.await(path, name, &e, now, cause(err), settle)
		return
	case e.Kind != KindFile:
		p.skip(path, name, kindNames[e.Kind], now)
		return
	case paused:
		s.waits++
		return
	}
	if !sent && !p.ready(path, name, &e, now) {
		return
	}
	if !p.reserve(path) {
		return
	}
	delete(s.waiting, path)
	p.dispatch(ctx, candidate{path: path, name: name, entry: e, claimed: claimed})
}

var kindNames = [...]string{KindFolder: "a folder", KindLink: "a link", KindOther: "a device, pipe or socket"}

func (p *Pickup) dispatch(ctx context.Context, c candidate) {
	p.mu.Lock()
	p.stats.Waiting = p.scanner.waits + p.scanner.left
	p.mu.Unlock()
	select {
	case p.work <- c:
	case <-ctx.Done():
		p.release(c.path)
	}
}

// ready reports whether a file is complete. If not, it is noted with the reason.
func (p *Pickup) ready(path, name string, e *Entry, now time.Time) bool {
	f, err := p.o.Files.Open(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false
	case errors.Is(err, ErrBusy):
		p.await(path, name, e, now, ErrBusy.Error(), late)
		return false
	case err != nil:
		p.await(path, name, e, now, "it cannot be read: "+cause(err), settle)
		return false
	}
	defer f.Close()
	opened, err := f.Look()
	if err != nil {
		p.await(path, name, e, now, "it cannot be read: "+cause(err), settle)
		return false
	}
	if opened.Kind != KindFile {
		p.skip(path, name, kindNames[opened.Kind], now)
		return false
	}
	if opened.Links > 1 {
		p.skip(path, name, "a file with a second name (a hard link)", now)
		return false
	}
	*e = opened
	writer := f.Writer()
	quiet := settle
	why := "it may still be written"
	switch {
	case writer == WriterOpen:
		p.await(path, name, e, now, ErrBusy.Error(), late)
		return false
	case e.Size == 0:
		quiet, why = emptyWait, "it is empty"
	case writer == WriterNone:
		quiet = grace
		if age := now.Sub(e.Modified); age >= grace && !e.Modified.IsZero() {
			return true
		}
	}
	w := p.await(path, name, e, now, why, late)
	if w == nil {
		return false
	}
	if until := w.since.Add(quiet); now.Before(until) {
		p.scanner.by(until)
		return false
	}
	p.scanner.waits--
	return true
}

// cause leaves the path out of an error: the name of the file is shown beside it.
func cause(err error) string {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		err = pe.Err
	}
	return err.Error()
}

// await notes that a file waits, and why, which people are told when it has waited for patience. It
// returns what is remembered of it, nil when there is no room to remember.
func (p *Pickup) await(path, name string, e *Entry, now time.Time, why string, patience time.Duration) *wait {
	s := &p.scanner
	s.waits++
	w := s.waiting[path]
	if w == nil {
		if len(s.waiting) >= maxWaiting {
			return nil
		}
		w = &wait{first: now, since: now, size: e.Size, modified: e.Modified}
		s.waiting[path] = w
	}
	w.turn = s.turn
	if w.size != e.Size || !w.modified.Equal(e.Modified) {
		w.size, w.modified, w.since = e.Size, e.Modified, now
	}
	// Nothing tells when a writer closes a file, so look again: soon at first.
	s.by(now.Add(min(p.o.Rescan, max(grace/2, now.Sub(w.first)/4))))
	if now.Sub(w.first) >= patience {
		if w.late == "" {
			call2(p.o.Events.Late, show(name), why)
		}
		w.late = show(name) + ": " + why
	}
	return w
}

// by says that a file may be ready at t.
func (s *scanner) by(t time.Time) {
	if s.next.IsZero() || t.Before(s.next) {
		s.next = t
	}
}

// skip leaves a name alone. It is told once it has been so for a moment: some writers give a file a
// second name and take the first away.
func (p *Pickup) skip(path, name, what string, now time.Time) {
	s := &p.scanner
	s.skips++
	k := s.skipped[path]
	if k == nil {
		if len(s.skipped) >= maxSkipped {
			return
		}
		k = &skipped{first: now}
		s.skipped[path] = k
	}
	k.turn = s.turn
	if !k.told && now.Sub(k.first) >= settle {
		k.told = true
		call2(p.o.Events.Skipped, show(name), what)
	}
	if !k.told {
		s.by(k.first.Add(settle))
	}
}

// forget drops what was not seen in this look.
func (s *scanner) forget() {
	for path, w := range s.waiting {
		if w.turn != s.turn {
			delete(s.waiting, path)
		}
	}
	for path, k := range s.skipped {
		if k.turn != s.turn {
			delete(s.skipped, path)
		}
	}
}

// forgetHeld drops files that somebody else has taken away.
func (p *Pickup) forgetHeld() {
	p.mu.Lock()
	paths := slices.Collect(maps.Keys(p.held))
	p.mu.Unlock()
	for _, path := range paths {
		if _, err := p.o.Files.Look(path); errors.Is(err, fs.ErrNotExist) {
			p.mu.Lock()
			delete(p.held, path)
			delete(p.sent, path)
			p.mu.Unlock()
		}
	}
}

// figures puts what a look found into Stats.
func (p *Pickup) figures() {
	s := &p.scanner
	var names []string
	for _, w := range s.waiting {
		if w.late != "" {
			names = append(names, w.late)
		}
	}
	slices.Sort(names)
	names = names[:min(len(names), maxLate)]
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stats.Waiting, p.stats.Skipped, p.stats.Late = s.waits, s.skips, names
}
