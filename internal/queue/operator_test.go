package queue

import (
	"slices"
	"time"

	"github.com/mailroot/mailroot/internal/mail"
)

// pick says which recipients a verb of world is for.
type pick struct {
	IDs    []mail.QueueID
	Hop    string
	Domain string
	All    bool
}

// refs are the recipients that p means.
func (w *world) refs(p pick) []Ref {
	if len(p.IDs) == 0 && p.Hop == "" && p.Domain == "" && !p.All {
		return nil
	}
	refs, _ := w.Select(Selection{Hop: p.Hop, Domain: p.Domain}, 0, 1<<30)
	if len(p.IDs) > 0 {
		refs = slices.DeleteFunc(refs, func(r Ref) bool { return !slices.Contains(p.IDs, r.ID) })
	}
	return refs
}

// operate changes recipients as the service does for an operator: the spool has it first. It returns how many
// it touched.
func (w *world) operate(p pick, changes func(s *fakeStatus, c mail.Change) []mail.Change) (touched int) {
	var list []mail.Change
	for _, r := range w.refs(p) {
		st := w.store.get(r.ID, r.Rcpt)
		if st.done {
			continue
		}
		if c := changes(&st, mail.Change{ID: r.ID, Rcpt: r.Rcpt, Attempts: st.attempts}); len(c) > 0 {
			touched++
			list = append(list, c...)
		}
	}
	w.store.record(list)
	w.Changed(list)
	return touched
}

func (w *world) Hold(p pick) int {
	return w.operate(p, func(s *fakeStatus, c mail.Change) []mail.Change {
		if c.Kind = mail.ChangeHold; s.held {
			return nil
		}
		return []mail.Change{c}
	})
}

func (w *world) Release(p pick) int {
	return w.operate(p, func(s *fakeStatus, c mail.Change) []mail.Change {
		if c.Kind = mail.ChangeRelease; !s.held {
			return nil
		}
		return []mail.Change{c}
	})
}

func (w *world) Delete(p pick) int {
	return w.operate(p, func(_ *fakeStatus, c mail.Change) []mail.Change {
		c.Kind = mail.ChangeDone
		return []mail.Change{c}
	})
}

// RetryNow releases too.
func (w *world) RetryNow(p pick) int {
	return w.operate(p, func(s *fakeStatus, c mail.Change) (list []mail.Change) {
		if s.held {
			list = append(list, mail.Change{ID: c.ID, Rcpt: c.Rcpt, Kind: mail.ChangeRelease})
		}
		c.Kind = mail.ChangeDefer
		return append(list, c)
	})
}

// Reroute sends by another next hop, at once unless held.
func (w *world) Reroute(p pick, to string) int {
	return w.operate(p, func(s *fakeStatus, c mail.Change) []mail.Change {
		route := mail.Change{ID: c.ID, Rcpt: c.Rcpt, Kind: mail.ChangeRoute, Route: to}
		if c.Kind = mail.ChangeDefer; s.held {
			return []mail.Change{route}
		}
		return []mail.Change{route, c}
	})
}

// record does changes by an operator, which may make recipients due at once.
func (s *fakeStore) record(changes []mail.Change) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range changes {
		st := s.status[key{c.ID, c.Rcpt}]
		switch c.Kind {
		case mail.ChangeDone:
			if !st.done {
				st.done = true
				st.dones++
			}
		case mail.ChangeDefer:
			st.due, st.attempts = time.Time{}, c.Attempts
		case mail.ChangeHold:
			st.held = true
		case mail.ChangeRelease:
			st.held = false
		case mail.ChangeRoute:
			st.route = c.Route
		}
	}
}
