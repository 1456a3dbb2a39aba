package queue

import "github.com/mailroot/mailroot/internal/mail"

// envelopeCache keeps the envelopes of messages that were not tried yet, up to a number of
// messages and recipients; the others are read from the spool when a run takes them. The
// few that were read last are kept too, since the recipients of one message are often taken
// one after the other by the runs of many hops.
type envelopeCache struct {
	m          map[mail.QueueID]cachedEnvelope
	max        int
	recipients int

	recent [recentEnvelopes]*mail.Envelope
	turn   int
}

// cachedEnvelope is dropped when no recipient uses it any more: each was tried once.
type cachedEnvelope struct {
	env   *mail.Envelope
	users int
}

const (
	// recipientsPerEnvelope bounds the cache by recipients: max messages of that size.
	recipientsPerEnvelope = 16
	recentEnvelopes       = 8
)

func (c *envelopeCache) init(max int) {
	if max <= 0 {
		max = defaultCache
	}
	*c = envelopeCache{m: make(map[mail.QueueID]cachedEnvelope), max: max}
}

// fits reports whether an envelope may be kept. A single one always may, however large it is.
func (c *envelopeCache) fits(env *mail.Envelope) bool {
	return len(c.m) == 0 || len(c.m) < c.max && c.recipients+len(env.Recipients) <= c.max*recipientsPerEnvelope
}

// keep puts an envelope in for a number of recipients.
func (c *envelopeCache) keep(env *mail.Envelope, users int) {
	c.m[env.ID] = cachedEnvelope{env, users}
	c.recipients += len(env.Recipients)
}

// get returns the envelope of a message, or nil.
func (c *envelopeCache) get(id mail.QueueID) *mail.Envelope {
	if e, ok := c.m[id]; ok {
		return e.env
	}
	for _, env := range c.recent {
		if env != nil && env.ID == id {
			return env
		}
	}
	return nil
}

// read remembers an envelope that was read from the spool, if it may be asked for again.
func (c *envelopeCache) read(env *mail.Envelope) {
	if len(env.Recipients) > 1 {
		c.recent[c.turn] = env
		c.turn = (c.turn + 1) % recentEnvelopes
	}
}

// uncache ends the use of a cached envelope by the recipient e.
func (q *Queue) uncache(e *entry) {
	if e.flags&flagCached == 0 {
		return
	}
	e.flags &^= flagCached
	c := q.cache.m[e.id]
	if c.users--; c.users > 0 {
		q.cache.m[e.id] = c
		return
	}
	delete(q.cache.m, e.id)
	q.cache.recipients -= len(c.env.Recipients)
}
