package control

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/queue"
	"github.com/mailroot/mailroot/internal/spool"
)

const (
	defaultPage   = 100
	maxPage       = 1000
	maxSelected   = 10000 // ids in one selection
	shownOfEntry  = 10    // recipients in one line of the queue
	maxFilterText = 1024
)

// sortBusiest puts hops with the most mail first.
func sortBusiest(hops []queue.HopStatus) {
	slices.SortStableFunc(hops, func(a, b queue.HopStatus) int {
		return cmp.Compare(b.Ready+b.Deferred+b.Active, a.Ready+a.Deferred+a.Active)
	})
}

// query turns a selection into a question to the spool.
func (s *Selection) query() (spool.Query, error) {
	var q spool.Query
	if len(s.IDs) > maxSelected {
		return q, fmt.Errorf("%w: more than %d ids", ErrInvalid, maxSelected)
	}
	for _, text := range []string{s.Sender, s.Recipient, s.Domain} {
		if len(text) > maxFilterText {
			return q, fmt.Errorf("%w: a filter of more than %d octets", ErrInvalid, maxFilterText)
		}
	}
	for _, text := range s.IDs {
		id, err := mail.ParseQueueID(text)
		if err != nil {
			return q, fmt.Errorf("%w: %q: %w", ErrInvalid, text, err)
		}
		q.IDs = append(q.IDs, id)
	}
	q.Sender, q.Recipient, q.Domain = within(s.Sender), within(s.Recipient), s.Domain
	switch s.Status {
	case "":
	case "queued":
		q.States = []spool.State{spool.Waiting}
	case "deferred":
		q.States = []spool.State{spool.Deferred}
	case "held":
		q.States = []spool.State{spool.Held}
	default:
		return q, fmt.Errorf("%w: status %q: queued, deferred or held is expected", ErrInvalid, s.Status)
	}
	return q, nil
}

// within makes a text match anywhere in an address; "<>" is the null sender, and who writes stars has
// said what he wants.
func within(text string) string {
	if text == "" || text == "<>" || strings.Contains(text, "*") {
		return text
	}
	return "*" + text + "*"
}

func (s *Selection) isEmpty() bool {
	return len(s.IDs) == 0 && s.Sender == "" && s.Recipient == "" && s.Domain == "" && s.Status == ""
}

// QueueList returns one page of the queue, newest first. A page may be short, even empty, while Next
// is not empty: the search goes on there.
func (c *Control) QueueList(ctx context.Context, a Actor, q QueueQuery) (QueuePage, error) {
	if err := a.allow("queue list", RoleViewer); err != nil {
		return QueuePage{}, err
	}
	query, err := q.Selection.query()
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
	entries, next, err := c.server().Store().Search(ctx, query, cursor, limit)
	if err != nil {
		return QueuePage{}, err
	}
	page := QueuePage{Messages: make([]QueueEntry, len(entries))}
	for i := range entries {
		page.Messages[i] = queueEntry(&entries[i])
	}
	if next != 0 {
		page.Next = next.String()
	}
	return page, nil
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
		return "queued"
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
			return queueMessage(env, status, v.Queue().State(id)), nil
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
			Due: s.Due, Host: s.Host, Reply: s.Reply.String(),
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

// QueueRetry makes the selected recipients due now; those that are held are released.
func (c *Control) QueueRetry(ctx context.Context, a Actor, s Selection) (Affected, error) {
	return c.change(ctx, a, "queue retry", s, spool.Retry)
}

// QueueDelete removes the selected recipients without a report to the sender.
func (c *Control) QueueDelete(ctx context.Context, a Actor, s Selection) (Affected, error) {
	return c.change(ctx, a, "queue delete", s, spool.Delete)
}

// change does an action in the spool, and tells the queue of each step that holds there.
func (c *Control) change(ctx context.Context, a Actor, verb string, s Selection, kind spool.ActionKind) (Affected, error) {
	if err := a.allow(verb, RoleOperator); err != nil {
		return Affected{}, err
	}
	q, err := s.chosen()
	if err != nil {
		return Affected{}, err
	}
	v := c.server()
	unknown := c.unknown(ctx, q.IDs)
	n, err := v.Store().Change(ctx, spool.Selection{Query: q, All: s.All}, spool.Action{Kind: kind, Each: v.Queue().Changed})
	c.audit(a, verb, "recipients", n, "selection", s.String())
	return Affected{Recipients: n, Unknown: unknown}, err
}

// QueueCount counts the recipients that a selection names, before something is done to them.
func (c *Control) QueueCount(ctx context.Context, a Actor, s Selection) (Affected, error) {
	if err := a.allow("queue count", RoleViewer); err != nil {
		return Affected{}, err
	}
	q, err := s.chosen()
	if err != nil {
		return Affected{}, err
	}
	n := Affected{Unknown: c.unknown(ctx, q.IDs)}
	store := c.server().Store()
	for cursor := spool.Cursor(0); ; {
		entries, next, err := store.Search(ctx, q, cursor, maxPage)
		if err != nil {
			return Affected{}, err
		}
		for i := range entries {
			for _, r := range entries[i].Recipients {
				if q.MatchRecipient(&entries[i].Envelope.Recipients[r.Rcpt], r.State) {
					n.Recipients++
				}
			}
		}
		if cursor = next; next == 0 {
			return n, nil
		}
	}
}

// chosen is the query of a selection that something is to be done to: it must be meant.
func (s *Selection) chosen() (spool.Query, error) {
	if s.isEmpty() != s.All {
		return spool.Query{}, fmt.Errorf("%w: name the messages by ids, by filters, or say that all are meant", ErrInvalid)
	}
	return s.query()
}

// unknown returns those of ids that are not queued.
func (c *Control) unknown(ctx context.Context, ids []mail.QueueID) (out []string) {
	for _, id := range ids {
		if _, err := c.server().Store().Status(ctx, id); errors.Is(err, spool.ErrNotFound) {
			out = append(out, id.String())
		}
	}
	return out
}

// String returns the selection as the command line has it, for the audit record.
func (s *Selection) String() string {
	if s.All {
		return "all"
	}
	words := s.IDs
	for _, f := range []struct{ name, value string }{
		{"sender", s.Sender}, {"recipient", s.Recipient}, {"domain", s.Domain}, {"status", s.Status},
	} {
		if f.value != "" {
			words = append(words[:len(words):len(words)], f.name+"="+f.value)
		}
	}
	return strings.Join(words, " ")
}
