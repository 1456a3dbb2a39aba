package pickup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"runtime/debug"

	"github.com/mailroot/mailroot/internal/mail"
)

// worker takes one file after the other.
type worker struct {
	p   *Pickup
	buf []byte // what is read of a file at once
	src source
	msg assembler
}

// sliceSize is how much of a file is read at once.
const sliceSize = 64 << 10

func newWorker(p *Pickup) *worker { return &worker{p: p} }

// unusable says why a file is no message.
type unusable struct{ reason string }

func (u *unusable) Error() string { return u.reason }

func unusablef(format string, args ...any) error {
	return &unusable{fmt.Sprintf(format, args...)}
}

// fileError is trouble with one file, not with the spool.
type fileError struct{ err error }

func (e *fileError) Error() string { return e.err.Error() }
func (e *fileError) Unwrap() error { return e.err }

// take takes one file.
//
//	begin a message in the spool: its id is known and belongs to nothing else
//	1  rename the file to .claimed/ID, sync both folders
//	2  read it, commit the message
//	3  remove the file, sync the folder
//	4  hand the message to the queue
//
// A power cut before 1 is durable leaves the file where it was, and no message: the commit comes
// later. One before 2 leaves .claimed/ID of which the spool knows nothing: it is taken again under a
// new id. One before 3 is durable leaves .claimed/ID and a message that was not delivered, since the
// queue did not hear of it: Recover asks the spool before the queue starts, and removes the file. After
// 3 there is but the message. So nothing is lost and nothing sent twice, with two exceptions: a commit
// whose outcome nobody knows (the disk failed its sync) may have succeeded and is repeated; and a file
// that cannot be removed is delivered all the same, and sent again by the next process that can
// read the folder.
func (w *worker) take(ctx context.Context, c *candidate) {
	p := w.p
	if c.claimed {
		if done := w.finishSent(ctx, c); done {
			return
		}
	}
	tx, err := p.o.Begin(ctx)
	if err != nil {
		if ctx.Err() == nil {
			p.refused(err)
		}
		return
	}
	path := filepath.Join(p.claimed, tx.ID().String())
	if !p.reserve(path) { // an id is given once
		tx.Abort()
		return
	}
	defer p.release(path)
	if err := p.o.Files.Rename(c.path, path); err != nil {
		tx.Abort()
		if !errors.Is(err, fs.ErrNotExist) { // gone: somebody changed their mind
			p.hold(c, c.path, fmt.Errorf("the file cannot be claimed: %s", cause(err)), false)
		}
		return
	}
	if err := p.sync.do(); err != nil {
		tx.Abort()
		p.hold(c, path, fmt.Errorf("pickup directory: %w", err), false)
		return
	}
	w.claimed(ctx, tx, c, path)
}

// finishSent deals with a claimed file that the spool has already.
func (w *worker) finishSent(ctx context.Context, c *candidate) bool {
	p := w.p
	p.mu.Lock()
	_, sent := p.sent[c.path]
	p.mu.Unlock()
	if !sent {
		id, err := mail.ParseQueueID(filepath.Base(c.path))
		if err == nil {
			sent, err = p.o.Sent(ctx, id)
		}
		if err != nil {
			p.hold(c, c.path, err, false)
			return true
		}
	}
	if sent {
		w.remove(c, c.path)
	}
	return sent
}

// claimed takes the file at path, which is ours alone. tx ends here.
func (w *worker) claimed(ctx context.Context, tx Transaction, c *candidate, path string) {
	p := w.p
	f, err := p.o.Files.Open(path)
	if err != nil {
		tx.Abort()
		p.hold(c, path, fmt.Errorf("the file cannot be read: %s", cause(err)), false)
		return
	}
	err = w.read(ctx, tx, c, f)
	if err == nil {
		_, err = tx.Commit(ctx)
	} else {
		tx.Abort()
	}
	if bad := w.verdict(err, c); bad != nil {
		bad.Body = f
		err = p.o.Badmail(ctx, bad)
		_ = f.Close()
		if err != nil {
			p.hold(c, path, err, false)
			return
		}
		w.badDone(c, path, bad)
		return
	}
	_ = f.Close()
	if err != nil {
		w.later(ctx, c, path, err)
		return
	}
	w.sentDone(tx, c, path)
}

// verdict returns what goes to badmail, nil where err says something else.
func (w *worker) verdict(err error, c *candidate) *Bad {
	reason := Unusable(err)
	if reason == "" {
		return nil
	}
	return &Bad{File: show(c.name), Reason: reason, Size: c.entry.Size, Sender: w.msg.env.sender, Recipients: w.msg.env.rcpts}
}

// later keeps a claimed file that could not be taken now.
func (w *worker) later(ctx context.Context, c *candidate, path string, err error) {
	var fe *fileError
	switch {
	case ctx.Err() != nil: // we stop: it is taken up at the next start
		return
	case errors.As(err, &fe):
		w.p.hold(c, path, err, false)
	default:
		w.p.refused(err)
		w.p.hold(c, path, err, true)
	}
}

func (w *worker) badDone(c *candidate, path string, bad *Bad) {
	p := w.p
	p.mu.Lock()
	p.stats.Bad++
	p.mu.Unlock()
	call2(p.o.Events.Bad, bad.File, bad.Reason)
	p.well()
	w.remove(c, path)
}

func (w *worker) sentDone(tx Transaction, c *candidate, path string) {
	p := w.p
	p.mu.Lock()
	p.stats.Taken++
	p.mu.Unlock()
	p.well()
	w.remove(c, path)
	tx.Enqueue()
}

// remove removes a claimed file that is done with, for good. If that fails it is tried again, and
// not sent again by this process.
func (w *worker) remove(c *candidate, path string) {
	p := w.p
	err := p.o.Files.Remove(path)
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	p.mu.Lock()
	delete(p.held, c.path)
	_, told := p.sent[path]
	if err != nil {
		p.sent[path] = struct{}{}
	} else {
		delete(p.sent, path)
	}
	p.mu.Unlock()
	if err != nil {
		if !told {
			call2(p.o.Events.Stays, show(c.name), err)
		}
		p.hold(c, path, fmt.Errorf("a file that was sent cannot be removed: %s", cause(err)), true)
		return
	}
	if err := p.sync.do(); err != nil {
		p.troubled(fmt.Errorf("pickup directory: %w", err))
	}
}

// read reads the file into the transaction. A fault of ours in it costs this file, not the service.
func (w *worker) read(ctx context.Context, tx Transaction, c *candidate, f File) (err error) {
	set := w.p.settings.Load()
	w.msg.reset(ctx, tx, set.MaxSize)
	defer func() {
		if v := recover(); v != nil {
			err = unusablef("A fault in this program while the file was read; please report it.")
			call2(w.p.o.Events.Fault, v, debug.Stack())
		}
	}()
	e, err := f.Look()
	switch {
	case err != nil:
		return &fileError{err}
	case e.Kind != KindFile || e.Links > 1:
		return &fileError{errors.New("it was replaced by a link")}
	case e.Size != c.entry.Size || !e.Modified.Equal(c.entry.Modified) || f.Writer() == WriterOpen:
		return &fileError{errors.New("it is being written")}
	}
	if w.buf == nil {
		w.buf = make([]byte, sliceSize)
	}
	err = w.src.read(ctx, f, e.Size, set.DotStuffed, w.buf, &w.msg)
	// Also what looks like rubbish may be half of a message.
	if after, lerr := f.Look(); lerr != nil || after.Size != e.Size || !after.Modified.Equal(e.Modified) {
		return &fileError{errors.New("it was written while it was read")}
	}
	return err
}
