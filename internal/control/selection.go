package control

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/mailroot/mailroot/internal/config"
	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/queue"
	"github.com/mailroot/mailroot/internal/spool"
)

const (
	maxSelected   = 10000 // ids in one selection
	maxFilterText = 1024
	// portion is how many messages of a next hop are looked for at a time.
	portion = 5000
)

// Selection names queued recipients: all conditions that are set must be true. Texts match without regard to
// case, anywhere in what they are compared with unless they hold a "*", which stands for any run of characters;
// Domain and NextHop match as a whole.
type Selection struct {
	IDs       []string `json:"ids,omitempty"` // any of these messages
	Sender    string   `json:"sender,omitempty"`
	Recipient string   `json:"recipient,omitempty"`
	Domain    string   `json:"domain,omitempty"`   // of a recipient
	Status    string   `json:"status,omitempty"`   // waiting, ready, in flight, deferred, held, frozen, failing
	NextHop   string   `json:"next_hop,omitempty"` // as status and queue show write it
	Client    string   `json:"client,omitempty"`   // its address or confirmed name
	Account   string   `json:"account,omitempty"`
	Subject   string   `json:"subject,omitempty"`
	MessageID string   `json:"message_id,omitempty"`
	Reply     string   `json:"reply,omitempty"`      // the last one to a recipient
	OlderThan string   `json:"older_than,omitempty"` // arrived longer ago: 30m, 12h, 2d
	NewerThan string   `json:"newer_than,omitempty"` // arrived less long ago
	Larger    string   `json:"larger,omitempty"`     // octets: 500, 100KB, 2MB
	Smaller   string   `json:"smaller,omitempty"`
	All       bool     `json:"all,omitempty"` // no condition is meant
}

// conditions are the names and values of all conditions but the ids.
func (s *Selection) conditions() []struct{ name, value string } {
	return []struct{ name, value string }{
		{"sender", s.Sender}, {"recipient", s.Recipient}, {"domain", s.Domain}, {"status", s.Status},
		{"next-hop", s.NextHop}, {"client", s.Client}, {"account", s.Account}, {"subject", s.Subject},
		{"message-id", s.MessageID}, {"reply", s.Reply}, {"older-than", s.OlderThan}, {"newer-than", s.NewerThan},
		{"larger", s.Larger}, {"smaller", s.Smaller},
	}
}

// String returns the selection as the command line has it, for the audit record.
func (s *Selection) String() string {
	if s.All {
		return "all"
	}
	words := s.IDs
	for _, f := range s.conditions() {
		if f.value != "" {
			words = append(words[:len(words):len(words)], f.name+"="+f.value)
		}
	}
	return strings.Join(words, " ")
}

// chosen is a selection that was understood: a question to the spool and, where only the queue knows the
// answer, one to the queue.
type chosen struct {
	query   spool.Query
	all     bool
	byQueue bool
	place   queue.Selection
	unread  bool // only what the queue does not have yet
}

// pick is a condition on a recipient that only the queue knows; nil: none.
type pick func(id mail.QueueID, rcpt int) bool

// parse understands a selection at a time.
func (s *Selection) parse(now time.Time) (chosen, error) {
	w := chosen{all: s.All}
	if len(s.IDs) > maxSelected {
		return w, fmt.Errorf("%w: more than %d ids", ErrInvalid, maxSelected)
	}
	for _, f := range s.conditions() {
		if len(f.value) > maxFilterText {
			return w, fmt.Errorf("%w: %s of more than %d octets", ErrInvalid, f.name, maxFilterText)
		}
	}
	q := &w.query
	for _, text := range s.IDs {
		id, err := mail.ParseQueueID(text)
		if err != nil {
			return w, fmt.Errorf("%w: %q: %w", ErrInvalid, text, err)
		}
		q.IDs = append(q.IDs, id)
	}
	q.Sender, q.Recipient, q.Domain = within(s.Sender), within(s.Recipient), strings.TrimSuffix(s.Domain, ".")
	q.Client, q.Account, q.Subject = within(s.Client), within(s.Account), within(s.Subject)
	q.MessageID, q.Reply = within(s.MessageID), within(s.Reply)
	if s.NextHop != "" {
		w.byQueue, w.place.Hop = true, s.NextHop
	}
	if err := w.status(s.Status); err != nil {
		return w, err
	}
	if w.unread && s.NextHop != "" {
		return w, fmt.Errorf("%w: what is waiting to be read has no next hop yet", ErrInvalid)
	}
	if err := s.ages(q, now); err != nil {
		return w, err
	}
	return w, s.sizes(q)
}

// statusWaiting is the status of what the queue does not have yet: its words for the others are those of all.
const statusWaiting = "waiting"

// status reads a status, in the words of queue list.
func (w *chosen) status(text string) error {
	text = strings.ReplaceAll(text, "-", " ")
	switch text {
	case "":
		return nil
	case statusWaiting: // in any state of the spool, but done
		w.unread, w.query.States = true, []spool.State{spool.Waiting, spool.Deferred, spool.Held}
		return nil
	}
	for _, s := range [...]queue.Waiting{queue.Ready, queue.InFlight, queue.Deferred, queue.Held, queue.Frozen, queue.Failing} {
		if text == s.String() {
			w.byQueue, w.place.State = true, s
			return nil
		}
	}
	return fmt.Errorf("%w: status %q: waiting, ready, in-flight, deferred, held, frozen or failing is expected", ErrInvalid, text)
}

// unreadBy returns the condition of statusWaiting, nil if it is not set.
func (w *chosen) unreadBy(q *queue.Queue) pick {
	if !w.unread {
		return nil
	}
	return func(id mail.QueueID, _ int) bool { return len(q.Places(id)) == 0 }
}

func (s *Selection) ages(q *spool.Query, now time.Time) error {
	for _, a := range []struct {
		text string
		to   *time.Time
	}{{s.OlderThan, &q.Before}, {s.NewerThan, &q.After}} {
		if a.text == "" {
			continue
		}
		d, err := config.ParseTime(a.text)
		if err != nil {
			return fmt.Errorf("%w: age: %w", ErrInvalid, err)
		}
		*a.to = now.Add(-d)
	}
	return nil
}

func (s *Selection) sizes(q *spool.Query) error {
	for _, a := range []struct {
		text string
		to   *int64
	}{{s.Larger, &q.Larger}, {s.Smaller, &q.Smaller}} {
		if a.text == "" {
			continue
		}
		n, err := config.ParseSize(a.text)
		if err == nil && n == 0 {
			err = errors.New("0 octets choose nothing")
		}
		if err != nil {
			return fmt.Errorf("%w: size: %w", ErrInvalid, err)
		}
		*a.to = n
	}
	return nil
}

// within makes a text match anywhere in what it is compared with; "<>" is the null sender, and who writes stars
// has said what he wants.
func within(text string) string {
	if text == "" || text == "<>" || strings.Contains(text, "*") {
		return text
	}
	return "*" + text + "*"
}

// Meant reports, as an error, a selection that nothing should be done to: it names nothing and does not say that all
// is meant, or does both.
func (s *Selection) Meant() error {
	named := *s
	named.All = false
	if reflect.ValueOf(named).IsZero() != s.All {
		return fmt.Errorf("%w: name the messages by ids, by filters such as domain, or say that all are meant", ErrInvalid)
	}
	return nil
}

// of returns the question to the spool for recipients that the queue has named. Without ids in it there is
// nothing to ask.
func (w *chosen) of(refs []queue.Ref) (spool.Query, pick) {
	wanted := make(map[mail.QueueID]bool, len(w.query.IDs))
	for _, id := range w.query.IDs {
		wanted[id] = true
	}
	set := make(map[queue.Ref]bool, len(refs))
	q := w.query
	q.IDs = nil
	for _, r := range refs {
		if len(wanted) > 0 && !wanted[r.ID] {
			continue
		}
		if set[r] = true; len(q.IDs) == 0 || q.IDs[len(q.IDs)-1] != r.ID {
			q.IDs = append(q.IDs, r.ID)
		}
	}
	return q, func(id mail.QueueID, rcpt int) bool { return set[queue.Ref{ID: id, Rcpt: rcpt}] }
}

// portions calls f with questions to the spool that together are the selection.
func (c *Control) portions(ctx context.Context, w *chosen, f func(q spool.Query, all bool, only pick) error) error {
	if !w.byQueue {
		return f(w.query, w.all, w.unreadBy(c.server().Queue()))
	}
	schedule := c.server().Queue()
	select { // what is not read yet has no next hop
	case <-schedule.Loaded():
	case <-ctx.Done():
		return ctx.Err()
	}
	for before := mail.QueueID(0); ; {
		refs, next := schedule.Select(w.place, before, portion)
		if q, only := w.of(refs); len(q.IDs) > 0 {
			if err := f(q, false, only); err != nil {
				return err
			}
		}
		if before = next; next == 0 {
			return nil
		}
	}
}

// eachSelected calls f for each message of a selection with those of its waiting recipients that are selected.
func (c *Control) eachSelected(ctx context.Context, w *chosen, f func(e *spool.Entry, rcpts []int) error) error {
	store := c.server().Store()
	return c.portions(ctx, w, func(q spool.Query, _ bool, only pick) error {
		for cursor := spool.Cursor(0); ; {
			entries, next, err := store.Search(ctx, q, cursor, maxPage)
			if err != nil {
				return err
			}
			for i := range entries {
				if rcpts := matching(&q, only, &entries[i]); len(rcpts) > 0 {
					if err := f(&entries[i], rcpts); err != nil {
						return err
					}
				}
			}
			if cursor = next; next == 0 {
				return nil
			}
		}
	})
}

// matching returns the waiting recipients of a message that are selected.
func matching(q *spool.Query, only pick, e *spool.Entry) (rcpts []int) {
	for i := range e.Recipients {
		r := &e.Recipients[i]
		if r.State != spool.Done && q.MatchRecipient(&e.Envelope.Recipients[r.Rcpt], r.State) && q.MatchReply(r) &&
			(only == nil || only(e.Envelope.ID, r.Rcpt)) {
			rcpts = append(rcpts, r.Rcpt)
		}
	}
	return rcpts
}

// maxReason bounds the reason that an operator gives, in octets.
const maxReason = 200

// checkReason sees to it that a reason can stand in a report and a log.
func checkReason(text string) error {
	if len(text) > maxReason || !utf8.ValidString(text) || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r >= 0x7f && r < 0xa0 || r == 0x2028 || r == 0x2029 }) {
		return fmt.Errorf("%w: the reason: one line of at most %d octets is expected", ErrInvalid, maxReason)
	}
	return nil
}
