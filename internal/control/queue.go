package control

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/queue"
	"github.com/mailroot/mailroot/internal/spool"
)

const (
	defaultPage  = 100
	maxPage      = 1000
	shownOfEntry = 10 // recipients in one line of the queue
)

// sortBusiest puts hops with the most mail first.
func sortBusiest(hops []queue.HopStatus) {
	slices.SortStableFunc(hops, func(a, b queue.HopStatus) int {
		return cmp.Compare(b.Ready+b.Deferred+b.Active, a.Ready+a.Deferred+a.Active)
	})
}

// QueueList returns one page of the queue, newest first. A page may be short, even empty, while Next
// is not empty: the search goes on there.
func (c *Control) QueueList(ctx context.Context, a Actor, q QueueQuery) (QueuePage, error) {
	if err := a.allow("queue list", RoleViewer); err != nil {
		return QueuePage{}, err
	}
	want, err := q.Selection.parse(time.Now())
	if err != nil {
		return QueuePage{}, err
	}
	limit := q.Limit
	if limit <= 0 {
		limit = defaultPage
	}
	limit = min(limit, maxPage)
	var cursor spool.Cursor
	if q.Cursor != "" {
		if cursor, err = mail.ParseQueueID(q.Cursor); err != nil {
			return QueuePage{}, fmt.Errorf("%w: the cursor: %w", ErrInvalid, err)
		}
	}
	v := c.server()
	var next spool.Cursor
	query, before := want.query, cursor
	only := want.unreadBy(v.Queue())
	if want.byQueue {
		refs, more := v.Queue().Select(want.place, cursor, limit)
		query, only = want.of(refs)
		if next, before = more, 0; len(query.IDs) == 0 {
			return QueuePage{Messages: []QueueEntry{}, Next: cursorText(next)}, nil
		}
	}
	entries, more, err := v.Store().Search(ctx, query, before, limit)
	if err != nil {
		return QueuePage{}, err
	}
	if !want.byQueue {
		next = more
	}
	page := QueuePage{Messages: make([]QueueEntry, 0, len(entries)), Next: cursorText(next)}
	for i := range entries {
		if len(matching(&query, only, &entries[i])) > 0 {
			m := c.queueEntry(&entries[i])
			if want.place.State != 0 { // the word for what was asked for, whatever else the message has
				m.Status = want.place.State.String()
			}
			page.Messages = append(page.Messages, m)
		}
	}
	return page, nil
}

func cursorText(c spool.Cursor) string {
	if c == 0 {
		return ""
	}
	return c.String()
}

// queueEntry is a message as the spool has it, and where it stands in the queue.
func (c *Control) queueEntry(e *spool.Entry) QueueEntry {
	out := queueEntry(e)
	out.see(c.server().Queue().Places(e.Envelope.ID))
	return out
}

// see fills in what the queue knows: what most concerns an administrator is the word for the message.
func (e *QueueEntry) see(places []queue.Place) {
	states := make(map[queue.Waiting]int)
	hops := make(map[string]bool)
	for _, p := range places {
		states[p.State]++
		if hops[p.Hop] = true; e.NextHop == "" {
			e.NextHop = p.Hop
		}
	}
	e.NextHops = len(hops)
	for _, s := range [...]queue.Waiting{queue.Deferred, queue.Failing, queue.Frozen, queue.Held, queue.InFlight, queue.Ready} {
		if states[s] > 0 {
			e.Status = s.String()
			return
		}
	}
}

func queueEntry(e *spool.Entry) QueueEntry {
	env := e.Envelope
	out := QueueEntry{
		ID: env.ID.String(), Arrived: env.Arrived, Size: env.Content.Size, Sender: env.Sender.Addr.String(),
		Subject: env.Content.Subject, MessageID: env.Content.MessageID, Recipients: []string{},
	}
	if env.Sender.Addr.IsNull() {
		out.Sender = "<>"
	}
	states := make(map[spool.State]int)
	for _, r := range e.Recipients {
		if r.State == spool.Done {
			continue
		}
		states[r.State]++
		out.Waiting++
		if len(out.Recipients) < shownOfEntry {
			out.Recipients = append(out.Recipients, env.Recipients[r.Rcpt].Addr.String())
		}
	}
	out.Status = messageStatus(states)
	return out
}

// messageStatus is the word for a message: what most concerns an administrator wins.
func messageStatus(states map[spool.State]int) string {
	switch {
	case states[spool.Deferred] > 0:
		return "deferred"
	case states[spool.Waiting] > 0:
		return statusWaiting
	case states[spool.Held] > 0:
		return "held"
	}
	return "done"
}

// QueueShow returns all that is known of one message.
func (c *Control) QueueShow(ctx context.Context, a Actor, text string) (QueueMessage, error) {
	if err := a.allow("queue show", RoleViewer); err != nil {
		return QueueMessage{}, err
	}
	id, err := mail.ParseQueueID(text)
	if err != nil {
		return QueueMessage{}, fmt.Errorf("%w: %q: %w", ErrInvalid, text, err)
	}
	v := c.server()
	env, err := v.Store().Envelope(ctx, id)
	if err == nil {
		var status []spool.RecipientStatus
		if status, err = v.Store().Status(ctx, id); err == nil {
			m := queueMessage(env, status, v.Queue().State(id))
			m.see(v.Queue().Places(id))
			return m, nil
		}
	}
	if errors.Is(err, spool.ErrNotFound) {
		return QueueMessage{}, fmt.Errorf("%w: no message %s is queued; it may have been delivered", ErrNotFound, text)
	}
	return QueueMessage{}, err
}

func queueMessage(env *mail.Envelope, status []spool.RecipientStatus, waiting []queue.RecipientState) QueueMessage {
	m := QueueMessage{
		QueueEntry: queueEntry(&spool.Entry{Envelope: env, Recipients: status}),
		Helo:       env.Helo, Protocol: env.Protocol, Hops: env.Content.Hops,
	}
	if env.Peer.IsValid() {
		m.Client = env.Peer.String()
	}
	if env.Original != 0 {
		m.Original = env.Original.String()
	}
	now := make(map[int]queue.RecipientState, len(waiting))
	for _, w := range waiting {
		now[w.Rcpt] = w
	}
	for _, s := range status {
		d := QueueRecipient{
			Address: env.Recipients[s.Rcpt].Addr.String(), Status: s.State.String(), Attempts: s.Attempts,
			Due: s.Due, Host: s.Host, Reply: s.Reply.String(), Route: s.Route,
		}
		if w, ok := now[s.Rcpt]; ok {
			d.Status, d.NextHop, d.Attempts, d.Due, d.Reason = w.State.String(), w.Hop, w.Attempts, w.Due, w.Reason
		} else if s.State == spool.Done {
			d.Reason = "delivered, returned or deleted"
		} else {
			d.Reason = "being read from the queue folder"
		}
		m.Deliveries = append(m.Deliveries, d)
	}
	return m
}
