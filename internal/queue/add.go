package queue

import (
	"cmp"
	"context"
	"hash/maphash"
	"math"
	"slices"
	"time"

	"github.com/mailroot/mailroot/internal/mail"
)

// Add takes over a message that was committed to the spool. The envelope is shared from now
// on and must not be changed. A message that the queue has already is left as it is.
func (q *Queue) Add(env *mail.Envelope) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if _, known := q.messages[env.ID]; known || len(env.Recipients) == 0 {
		return
	}
	now := q.now()
	keep := q.cache.fits(env)
	if keep {
		q.cache.keep(env, len(env.Recipients))
	}
	common := entry{
		// By the queue's clock: the system's may have been set since that began, and nobody is to be given up for it.
		id: env.ID, arrived: seconds(q.when(now)), size: clamp32(env.Content.Size), group: q.groupOf(&env.Sender.Addr),
	}
	if keep {
		common.flags = flagCached
	}
	if env.Sender.Addr.IsNull() {
		common.flags |= flagNoticed // there is nobody to tell
	}
	q.remind(&common, now)
	looped := q.tooManyHops(env)
	for k := range env.Recipients {
		i, e := q.entries.take()
		*e = common
		e.rcpt = uint32(k)
		e.domain = q.domainOf(env.Recipients[k].Addr.Domain)
		q.link(i, e)
		if looped {
			q.current(e)
			q.fail(i, e, q.hopsReply(env), "")
			continue
		}
		q.admit(i, e, now, false)
	}
	if changes, ok := q.early[env.ID]; ok {
		delete(q.early, env.ID)
		q.changed(changes)
	}
}

// seconds returns t as seconds since 1970, which suffices until 2106.
func seconds(t time.Time) uint32 { return clamp32(t.Unix()) }

func clamp32(n int64) uint32 { return uint32(min(max(n, 0), math.MaxUint32)) }

// groupOf returns the number of a sender's group. Loaded recipients, of which the sender is not
// known, have group 0.
func (q *Queue) groupOf(sender *mail.Address) uint16 {
	h := maphash.String(q.seed, sender.Local)
	h ^= maphash.String(q.seed, sender.Domain) * 31
	return max(uint16(h), 1)
}

// domainOf returns the number of a recipient domain, to which it adds a reference.
func (q *Queue) domainOf(name string) uint32 {
	name = mail.LowerASCII(name)
	d, ok := q.domains.find(name)
	if !ok {
		if q.domains.crowded() {
			q.sweepDomains()
		}
		d = q.domains.add(name, 0)
	}
	q.domains.hold(d)
	return d
}

// loadPage is how many recipients are asked of the spool at a time.
const loadPage = 2000

// load reads what waited when the spool was opened.
func (q *Queue) load(ctx context.Context) {
	begun, total := time.Now(), 0
	for _, shard := range q.shards {
		n, ok := q.loadShard(ctx, shard)
		if !ok {
			return
		}
		total += n
	}
	q.mu.Lock()
	q.loading = false
	q.mu.Unlock()
	close(q.loaded)
	if q.events.Loaded != nil {
		q.events.Loaded(total, time.Since(begun))
	}
}

// loadShard reads one shard. False: the queue stopped. What cannot be read is tried again.
func (q *Queue) loadShard(ctx context.Context, shard int) (total int, ok bool) {
	var after mail.QueueID
	pause := time.Second
	for {
		q.mu.Lock()
		q.reading, q.overtaken = true, nil
		q.mu.Unlock()
		page, next, err := q.store.Load(ctx, shard, after, loadPage)
		if ctx.Err() != nil {
			return total, false
		}
		if err != nil {
			q.mu.Lock()
			q.reading = false
			q.mu.Unlock()
			q.tellTrouble(err)
			if !q.sleepFor(ctx, pause) {
				return total, false
			}
			pause = min(2*pause, time.Minute)
			continue
		}
		for len(page) > 0 {
			n := min(len(page), stepLimit)
			if !q.addPending(page[:n]) {
				return total, false
			}
			total, page = total+n, page[n:]
		}
		q.catchUp()
		if next == 0 {
			return total, true
		}
		after = next
	}
}

// catchUp ends the reading of a page. What operators changed meanwhile and is of none of its recipients may be
// of a message that is about to be added.
func (q *Queue) catchUp() {
	q.mu.Lock()
	var late []mail.Change
	for _, changes := range q.overtaken {
		late = append(late, changes...)
	}
	q.reading, q.overtaken = false, nil
	q.mu.Unlock()
	slices.SortStableFunc(late, func(a, b mail.Change) int {
		return cmp.Or(cmp.Compare(a.ID, b.ID), cmp.Compare(a.Rcpt, b.Rcpt))
	})
	q.Changed(late)
}

// overtake does to a recipient that was just added what operators changed since its page was read, before
// anybody can take it for delivery.
func (q *Queue) overtake(i uint32, e *entry) {
	at := recipientID{e.id, int(e.rcpt)}
	changes := q.overtaken[at]
	delete(q.overtaken, at)
	for k := range changes {
		if q.apply(i, e, &changes[k], false); changes[k].Kind == mail.ChangeDone {
			return // the entry is gone
		}
	}
}

// sleepFor waits; false: the queue stopped.
func (q *Queue) sleepFor(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-q.quit:
	case <-ctx.Done():
	}
	return false
}

// addPending adds recipients of the spool. False: the queue stopped.
func (q *Queue) addPending(page []mail.Pending) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := q.now()
	latest := now + max(q.set.Local.longest(), q.set.Remote.longest())
	for k := range page {
		p := &page[k]
		if q.stopping {
			return false
		}
		if q.knows(p.ID, p.Rcpt) {
			continue
		}
		i, e := q.entries.take()
		q.readmit(i, e, p, now, latest)
		q.overtake(i, e)
	}
	return true
}

// readmit makes a new entry of a recipient of the spool and lets it wait where it waited.
func (q *Queue) readmit(i uint32, e *entry, p *mail.Pending, now, latest int64) {
	*e = entry{
		// An arrival in the future is of a clock that was wrong.
		id: p.ID, rcpt: uint32(p.Rcpt), arrived: min(seconds(p.Arrived), seconds(q.when(now))), size: clamp32(p.Size),
		attempts: uint16(min(p.Attempts, math.MaxUint16)),
	}
	e.domain = q.domainOf(p.Domain)
	if p.Null || p.Noticed {
		e.flags |= flagNoticed
	}
	q.link(i, e)
	q.remind(e, now)
	e.route = q.routes.hold(p.Route)
	if p.Held {
		_ = q.find(e) // held all the same: what it means is seen at the release
		q.current(e)
		q.holdEntry(e, false)
		return
	}
	if !p.Due.IsZero() {
		// A time beyond the longest interval comes from a clock or a setting that was changed.
		e.due = min(q.at(p.Due), latest)
	}
	if e.due <= now {
		q.admit(i, e, now, false)
	} else if q.reroute(i, e, now) {
		q.sleepUntil(i, e)
	}
}

// longest returns the longest time between two attempts in milliseconds.
func (r *Retry) longest() int64 {
	var d time.Duration
	for _, i := range r.Intervals {
		d = max(d, i)
	}
	return d.Milliseconds() * 11 / 10
}

// knows reports whether a recipient is in the queue.
func (q *Queue) knows(id mail.QueueID, rcpt int) bool {
	for i := q.messages[id]; i != 0; {
		e := q.entries.at(i)
		if e.rcpt == uint32(rcpt) {
			return true
		}
		i = e.msgNext
	}
	return false
}
