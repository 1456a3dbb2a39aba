package dns

import (
	"container/list"
	"context"
	"time"
)

// cache holds answers until they expire. Its memory is bounded: the entries asked for least
// recently go first, and one answer takes at most a sixteenth of the room, so that no name
// drives out all others.
type cache struct {
	limit, used int // octets
	m           map[question]*list.Element
	order       *list.List // of *kept, the last used first
}

type kept struct {
	q    question
	a    *answer
	cost int
}

func newCache(limit int) cache {
	return cache{limit: limit, m: make(map[question]*list.Element), order: list.New()}
}

// get returns a kept answer, or nil.
func (c *cache) get(q question) *answer {
	el := c.m[q]
	if el == nil {
		return nil
	}
	k := el.Value.(*kept)
	if !time.Now().Before(k.a.expires) {
		c.remove(el)
		return nil
	}
	c.order.MoveToFront(el)
	return k.a
}

func (c *cache) put(q question, a *answer) {
	if el := c.m[q]; el != nil {
		c.remove(el)
	}
	cost := a.cost() + len(q.name)
	if a.ttl <= 0 || cost > c.limit/16 {
		return
	}
	c.m[q] = c.order.PushFront(&kept{q, a, cost})
	for c.used += cost; c.used > c.limit; {
		c.remove(c.order.Back())
	}
}

func (c *cache) remove(el *list.Element) {
	k := c.order.Remove(el).(*kept)
	delete(c.m, k.q)
	c.used -= k.cost
}

// flight is a look-up under way, shared by all who ask the same.
type flight struct {
	done    chan struct{} // closed when a is set
	a       *answer
	waiting int
	cancel  context.CancelFunc
}

// lookup answers from the cache, or joins or starts a look-up. The error is that of ctx: the
// look-up itself goes on for as long as somebody waits for it.
func (c *Client) lookup(ctx context.Context, q question) (*answer, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	c.mu.Lock()
	if a := c.cache.get(q); a != nil {
		c.mu.Unlock()
		return a, nil
	}
	f := c.flights[q]
	if f == nil {
		f = c.start(ctx, q)
	}
	f.waiting++
	c.mu.Unlock()

	select {
	case <-f.done:
		return f.a, nil
	case <-ctx.Done():
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if f.waiting--; f.waiting == 0 {
		f.cancel()
		if c.flights[q] == f { // whoever asks next must not get what the cancelling makes of it
			delete(c.flights, q)
		}
	}
	return nil, ctx.Err()
}

// start begins a look-up that does not end with the context of who asked first.
func (c *Client) start(ctx context.Context, q question) *flight {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	f := &flight{done: make(chan struct{}), cancel: cancel}
	c.flights[q] = f
	go func() {
		defer cancel()
		a := c.resolve(ctx, q)
		c.mu.Lock()
		defer c.mu.Unlock()
		f.a = a
		if c.flights[q] == f {
			delete(c.flights, q)
			c.cache.put(q, a)
		}
		close(f.done)
	}()
	return f
}
