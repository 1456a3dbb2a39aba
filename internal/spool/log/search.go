package log

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/spool"
	"github.com/mailroot/mailroot/internal/spool/log/format"
)

// Load implements spool.Store. The list of ids was made by the opening and goes when it has been read to
// its end.
func (s *Store) Load(ctx context.Context, shard int, after spool.Cursor, n int) ([]mail.Pending, spool.Cursor, error) {
	if shard != 0 {
		return nil, 0, spool.ErrFenced
	}
	if err := ctx.Err(); err != nil {
		return nil, 0, err
	}
	if n <= 0 {
		n = 1000
	}
	out := make([]mail.Pending, 0, n)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.loading == nil { // again, after it was read to its end
		s.loading = s.waitingAtOpening()
	}
	i, found := slices.BinarySearch(s.loading, after)
	if found {
		i++
	}
	for ; i < len(s.loading); i++ {
		if len(out) >= n {
			return out, s.loading[i-1], nil
		}
		if m := s.x.find(s.loading[i]); m != nil {
			out = s.appendPending(out, m)
		}
	}
	s.loading = nil
	return out, 0, nil
}

// appendPending appends the recipients of m that wait. mu is held.
func (s *Store) appendPending(dst []mail.Pending, m *message) []mail.Pending {
	for i, r := range s.x.recipients(m) {
		if r.flags&rcptDone == 0 {
			dst = append(dst, mail.Pending{
				ID: m.id, Rcpt: i, Domain: s.x.domains.names[r.domain], Size: m.size, Arrived: format.FromMillis(m.arrived),
				Attempts: int(r.attempts), Due: format.FromMillis(r.due), Held: r.flags&rcptHeld != 0, Null: m.null,
				Noticed: r.flags&rcptNoticed != 0, Route: s.x.routeOf(m, i),
			})
		}
	}
	return dst
}

func (s *Store) waitingAtOpening() (ids []mail.QueueID) {
	for id, slot := range s.x.byID {
		if id <= s.opened && s.x.at(slot).live > 0 {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// Search implements spool.Store. Ids, times, sizes, domains and states are looked at in memory; the rest is narrowed by
// the indexes beside the segments and decided by the envelope and the last replies.
func (s *Store) Search(ctx context.Context, q spool.Query, before spool.Cursor, n int) ([]spool.Entry, spool.Cursor, error) {
	if n <= 0 {
		n = 100
	}
	ids, rest, err := s.candidates(ctx, &q, before, n)
	if err != nil {
		return nil, 0, err
	}
	notes := notes{s: s}
	defer notes.close()
	var out []spool.Entry
	for i, id := range ids {
		e, ok, err := s.entry(ctx, &q, id, &notes)
		if err != nil {
			return out, 0, err
		}
		if ok {
			out = append(out, e)
		}
		if (len(out) == n || i+1 >= maxExamined) && i+1 < len(ids) {
			return out, id, nil
		}
	}
	return out, rest, nil
}

// entry reads a candidate; ok is false if it does not match, or is gone.
func (s *Store) entry(ctx context.Context, q *spool.Query, id mail.QueueID, n *notes) (e spool.Entry, ok bool, err error) {
	env, err := s.Envelope(ctx, id)
	if errors.Is(err, spool.ErrNotFound) {
		return e, false, nil
	}
	if err != nil || !q.MatchMessage(env) {
		return e, false, err
	}
	status, err := s.statusFor(ctx, q, id, n)
	match := func(r spool.RecipientStatus) bool {
		return r.Rcpt < len(env.Recipients) && q.MatchRecipient(&env.Recipients[r.Rcpt], r.State) && q.MatchReply(&r)
	}
	if err != nil || !slices.ContainsFunc(status, match) {
		return e, false, err
	}
	if q.Reply == "" { // else they have their replies
		if status, err = s.status(ctx, id, n); errors.Is(err, spool.ErrNotFound) {
			return e, false, nil
		}
	}
	return spool.Entry{Envelope: env, Recipients: status}, err == nil, err
}

// statusFor returns the states of a message, with the replies only if q asks for them; none if the message is
// gone.
func (s *Store) statusFor(ctx context.Context, q *spool.Query, id mail.QueueID, n *notes) ([]spool.RecipientStatus, error) {
	if q.Reply == "" {
		status, _, _ := s.statusOf(id)
		return status, nil
	}
	status, err := s.status(ctx, id, n)
	if errors.Is(err, spool.ErrNotFound) {
		err = nil
	}
	return status, err
}

// Change implements spool.Store.
func (s *Store) Change(ctx context.Context, sel spool.Selection, a spool.Action) (touched int, err error) {
	if a.Kind < spool.Delete || a.Kind > spool.Reroute || len(a.Route) > mail.MaxRoute {
		return 0, errors.New("spool: unknown action")
	}
	q := sel.Query
	if !sel.All && isZero(&q) {
		return 0, nil
	}
	if why := s.whyUnrecordable(); why != nil {
		return 0, errLocal(fmt.Errorf("%w: %w", errNoRecord, why))
	}
	for before := mail.QueueID(0); ; {
		ids, rest, err := s.candidates(ctx, &q, before, maxExamined)
		if err != nil {
			return touched, err
		}
		for chunk := range slices.Chunk(ids, 256) {
			n, err := s.changeSome(ctx, &q, chunk, a)
			touched += n
			if err != nil {
				return touched, err
			}
		}
		if before = rest; rest == 0 {
			return touched, nil
		}
	}
}

func isZero(q *spool.Query) bool {
	return len(q.IDs) == 0 && len(q.States) == 0 && q.Before.IsZero() && q.After.IsZero() &&
		q.Domain == "" && q.Reply == "" && q.Larger == 0 && q.Smaller == 0 && !q.NeedsEnvelope()
}

// changeSome does the action to the recipients of these messages that match.
func (s *Store) changeSome(ctx context.Context, q *spool.Query, ids []mail.QueueID, a spool.Action) (int, error) {
	var changes []mail.Change
	n := notes{s: s}
	defer n.close()
	for _, id := range ids {
		var err error
		if changes, err = s.appendChanges(ctx, changes, q, id, &a, &n); err != nil {
			return 0, err
		}
	}
	done, err := s.record(changes)
	touched := 0
	for i := range done {
		if i == 0 || done[i].ID != done[i-1].ID || done[i].Rcpt != done[i-1].Rcpt {
			touched++
		}
	}
	if a.Each != nil && len(done) > 0 {
		a.Each(done)
	}
	return touched, err
}

// appendChanges appends what the action means for the recipients of one message that match.
func (s *Store) appendChanges(ctx context.Context, dst []mail.Change, q *spool.Query, id mail.QueueID, a *spool.Action, n *notes) ([]mail.Change, error) {
	var env *mail.Envelope
	if q.NeedsEnvelope() || q.Domain != "" {
		var err error
		if env, err = s.Envelope(ctx, id); errors.Is(err, spool.ErrNotFound) {
			return dst, nil
		} else if err != nil {
			return dst, err
		}
		if !q.MatchMessage(env) {
			return dst, nil
		}
	}
	status, err := s.statusFor(ctx, q, id, n)
	if err != nil {
		return dst, err
	}
	for i := range status {
		r := &status[i]
		if r.State == spool.Done || !q.MatchReply(r) || !q.MatchState(r.State) || env != nil && !q.MatchRecipient(&env.Recipients[i], r.State) ||
			a.Pick != nil && !a.Pick(id, i) {
			continue
		}
		c := mail.Change{ID: id, Rcpt: i}
		switch a.Kind {
		case spool.Delete:
			c.Kind = mail.ChangeDone
		case spool.Hold:
			if r.State == spool.Held {
				continue
			}
			c.Kind = mail.ChangeHold
		case spool.Release:
			if r.State != spool.Held {
				continue
			}
			c.Kind = mail.ChangeRelease
		case spool.Retry:
			if r.State == spool.Held {
				dst = append(dst, mail.Change{ID: id, Rcpt: i, Kind: mail.ChangeRelease})
			}
			c.Kind, c.Attempts = mail.ChangeDefer, r.Attempts
		case spool.Reroute:
			if r.Route == a.Route {
				continue
			}
			c.Kind, c.Route = mail.ChangeRoute, a.Route
			if r.State != spool.Held { // the new hop is tried at once
				dst = append(dst, c)
				c = mail.Change{ID: id, Rcpt: i, Kind: mail.ChangeDefer, Attempts: r.Attempts}
			}
		}
		dst = append(dst, c)
	}
	return dst, nil
}
