package delivery

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/message"
	"github.com/mailroot/mailroot/internal/vfs"
)

// A group of messages shares one sync of the directory. It is closed at any of these limits,
// so that no message waits long for others.
const (
	groupFiles  = 64
	groupOctets = 16 << 20
	groupTime   = 100 * time.Millisecond
)

// dropRun is one call of Run for the drop directory.
type dropRun struct {
	d      *Deliverer
	w      mail.Work
	held   []dropped // written, not yet durable
	octets int64
	down   bool // the directory cannot be written
	buf    *dropBuffer
	splice []message.Splice
}

// dropped is one batch of a group.
type dropped struct {
	b       *mail.Batch
	results []mail.Result
}

type dropBuffer [64 << 10]byte

var dropBuffers = sync.Pool{New: func() any { return new(dropBuffer) }}

func (d *Deliverer) runDrop(ctx context.Context, w mail.Work) {
	r := &dropRun{d: d, w: w}
	for b := w.Next(0); b != nil; {
		r.d = r.d.current() // nothing is held between groups
		b = r.group(ctx, b)
	}
}

// group writes b and what else is ready, makes all of it durable, and gives it back. It
// returns the batch to go on with, nil if the run is over.
func (r *dropRun) group(ctx context.Context, b *mail.Batch) *mail.Batch {
	r.held, r.octets = r.held[:0], 0
	r.buf = dropBuffers.Get().(*dropBuffer)
	defer dropBuffers.Put(r.buf)
	start := time.Now()
	for b != nil && len(r.held) < groupFiles && r.octets < groupOctets && time.Since(start) < groupTime && r.d == r.d.current() {
		r.add(ctx, b)
		if r.down || ctx.Err() != nil {
			b = nil
			break
		}
		b = r.w.Next(0)
	}
	r.settle()
	return b
}

// settle makes a group durable and gives it back.
func (r *dropRun) settle() {
	if err := r.sync(); err != nil {
		r.down = true
		for _, h := range r.held {
			for i := range h.results {
				if h.results[i].Outcome == mail.Delivered {
					r.failed(h.results[i:i+1], dropTrouble(err))
				}
			}
		}
	}
	for i, h := range r.held {
		r.w.Done(h.b, h.results)
		r.held[i] = dropped{}
	}
}

// sync makes the names of a group durable.
func (r *dropRun) sync() error {
	for _, h := range r.held {
		if h.results[0].Outcome == mail.Delivered {
			return r.d.drop.Sync()
		}
	}
	return nil
}

// add writes one batch and notes its results, which hold once the directory is synced.
func (r *dropRun) add(ctx context.Context, b *mail.Batch) {
	start := time.Now()
	results := make([]mail.Result, len(b.Rcpts))
	for i, k := range b.Rcpts {
		results[i].ID, results[i].Rcpt = b.ID, k
	}
	r.held = append(r.held, dropped{b, results})
	name, err := r.write(ctx, b)
	var in *inputError
	switch {
	case err == nil:
		reply := mail.NewReply(250, mail.Enhanced(2, 0, 0), "Written to the drop directory as "+name)
		for i := range results {
			results[i].Outcome, results[i].Reply, results[i].Ours = mail.Delivered, reply, true
		}
	case ctx.Err() != nil:
		r.failed(results, &shutTrouble)
	case errors.As(err, &in):
		r.failed(results, localTrouble(in.err))
	default:
		r.down = true
		r.failed(results, dropTrouble(err))
	}
	took := time.Since(start)
	for i := range results {
		results[i].Took = took
	}
}

// failed sets results. With the directory at fault the hop is down.
func (r *dropRun) failed(results []mail.Result, t *trouble) {
	for i := range results {
		x := &results[i]
		x.Outcome, x.Reply, x.Ours, x.HopDown, x.Local = t.outcome, t.reply, t.ours, r.down, t.local
	}
}

// dropTrouble says why the directory cannot be written, without its path: that is nothing for
// a sender's eyes.
func dropTrouble(err error) *trouble {
	if vfs.IsNoSpace(err) {
		return &trouble{outcome: mail.Deferred, ours: true,
			reply: mail.NewReply(452, mail.Enhanced(4, 3, 1), "There is no space left in the drop directory")}
	}
	for cause := err; cause != nil; cause = errors.Unwrap(cause) {
		err = cause
	}
	return &trouble{outcome: mail.Deferred, ours: true,
		reply: mail.NewReply(451, mail.Enhanced(4, 3, 0), "The drop directory cannot be written: "+short(err.Error()))}
}

// inputError is an error in reading the message: the directory is not at fault.
type inputError struct{ err error }

func (e *inputError) Error() string { return e.err.Error() }
func (e *inputError) Unwrap() error { return e.err }
