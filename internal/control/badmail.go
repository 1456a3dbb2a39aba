package control

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/mailroot/mailroot/internal/badmail"
	"github.com/mailroot/mailroot/internal/intake"
	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/service"
	"github.com/mailroot/mailroot/internal/smtp"
	"github.com/mailroot/mailroot/internal/vfs"
)

// query turns a filter into the question of the folder.
func (f *BadmailFilter) query(now time.Time) (badmail.Query, error) {
	var q badmail.Query
	for _, text := range []string{f.Cause, f.Code, f.Sender, f.Recipient} {
		if len(text) > maxFilterText {
			return q, fmt.Errorf("%w: a filter of more than %d octets", ErrInvalid, maxFilterText)
		}
	}
	if f.OlderThan < 0 || f.NewerThan < 0 {
		return q, fmt.Errorf("%w: an age is not negative", ErrInvalid)
	}
	q = badmail.Query{Code: f.Code, Sender: f.Sender, Recipient: f.Recipient}
	if f.OlderThan > 0 {
		q.Before = now.Add(-f.OlderThan)
	}
	if f.NewerThan > 0 {
		q.After = now.Add(-f.NewerThan)
	}
	if f.Cause == "" {
		return q, nil
	}
	var words []string
	for _, c := range badmail.Causes() {
		if q.Cause = c; string(c) == f.Cause {
			return q, nil
		}
		words = append(words, string(c))
	}
	return q, fmt.Errorf("%w: cause %.100q: one of %s is expected", ErrInvalid, f.Cause, strings.Join(words, ", "))
}

// BadmailList returns one page of badmail, newest first. A page may be short, even empty, while Next
// is not empty: the search goes on there.
func (c *Control) BadmailList(ctx context.Context, a Actor, q BadmailQuery) (BadmailPage, error) {
	if err := a.allow("badmail list", RoleViewer); err != nil {
		return BadmailPage{}, err
	}
	query, err := q.query(time.Now())
	if err != nil {
		return BadmailPage{}, err
	}
	if q.Cursor != "" && !badmail.ValidName(q.Cursor) {
		return BadmailPage{}, fmt.Errorf("%w: the cursor is not a name", ErrInvalid)
	}
	limit := q.Limit
	if limit <= 0 {
		limit = defaultPage
	}
	list, next, err := c.server().Badmail().List(ctx, query, q.Cursor, min(limit, maxPage))
	if err != nil {
		return BadmailPage{}, err
	}
	page := BadmailPage{Messages: make([]BadmailEntry, len(list)), Next: next}
	for i := range list {
		page.Messages[i] = badmailEntry(&list[i])
		cutRecipients(&page.Messages[i])
	}
	return page, nil
}

// cutRecipients leaves of the recipients what a line of a list shows.
func cutRecipients(e *BadmailEntry) {
	e.Recipients = e.Recipients[:min(len(e.Recipients), shownOfEntry)]
}

func badmailEntry(s *badmail.Stored) BadmailEntry {
	e := BadmailEntry{
		Name: s.Name, Written: s.Written, Cause: string(s.Cause()), Code: s.Code, Reason: s.Reason, Size: s.Size,
		Subject: s.Subject, Sender: s.Sender.Address, Recipients: []BadmailRecipient{}, RecipientCount: len(s.Recipients), Linked: s.Linked,
		QueueID: s.QueueID, ReportOn: s.ReportOn, Arrived: s.Arrived, MessageID: s.Header.MessageID, Foreign: s.Foreign, NoMessage: s.NoMessage,
	}
	if s.Foreign != "" {
		e.Sender = s.Header.From
		if s.Header.To != "" {
			e.Recipients, e.RecipientCount = []BadmailRecipient{{Address: s.Header.To}}, 1
		}
		return e
	}
	switch {
	case s.NoSender():
		e.Sender = "-"
	case e.Sender == "":
		e.Sender = "<>"
	}
	for i := range s.Recipients {
		r := &s.Recipients[i]
		e.Recipients = append(e.Recipients, BadmailRecipient{
			Address: r.Address, Failed: r.Failed, Copy: s.Source == "report" && i > intake.ReportTo, Reply: r.Reply, Host: r.Host,
		})
	}
	if cl := s.Client; cl != nil {
		e.Client = strings.TrimSpace(cl.Address + " " + cl.Helo + " " + cl.Account)
	}
	return e
}

// BadmailShow returns all that is known of an entry.
func (c *Control) BadmailShow(_ context.Context, a Actor, name string) (BadmailEntry, error) {
	if err := a.allow("badmail show", RoleViewer); err != nil {
		return BadmailEntry{}, err
	}
	s, err := c.server().Badmail().Read(name)
	if err != nil {
		return BadmailEntry{}, badmailError(err)
	}
	return badmailEntry(&s), nil
}

// badmailError gives an error of the folder its kind.
func badmailError(err error) error {
	switch {
	case errors.Is(err, badmail.ErrNotFound):
		return fmt.Errorf("%w: %w", ErrNotFound, err)
	case errors.Is(err, service.ErrNoEnvelope):
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return err
}

// mailbox reads an address as a person types it; "<>" is the null reverse-path.
func mailbox(text string) (mail.Address, error) {
	if text == "<>" {
		return mail.Address{}, nil
	}
	a, err := smtp.ParseAddress(text)
	if err != nil {
		return a, fmt.Errorf("%w: %.100q is not an address", ErrInvalid, text)
	}
	return a, nil
}

// BadmailMessage is the message of an entry, to be read and closed.
type BadmailMessage struct {
	vfs.File
	Size int64
}

// BadmailExport opens the message of an entry.
func (c *Control) BadmailExport(_ context.Context, a Actor, name string) (*BadmailMessage, error) {
	if err := a.allow("badmail export", RoleOperator); err != nil {
		return nil, err
	}
	f, err := c.server().Badmail().Open(name)
	if err != nil {
		return nil, badmailError(err)
	}
	size, err := f.Size()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	c.audit(a, "badmail export", "name", name, "octets", size)
	return &BadmailMessage{f, size}, nil
}

// BadmailResubmit sends the message of an entry once more, and with Linked the one that belongs to it. The
// error is for when nothing was sent; what went wrong beside what was sent is in Failed.
func (c *Control) BadmailResubmit(ctx context.Context, a Actor, r BadmailResubmission) (BadmailResubmitted, error) {
	if err := a.allow("badmail resubmit", RoleOperator); err != nil {
		return BadmailResubmitted{}, err
	}
	var to service.Resubmission
	if r.From != "" {
		from, err := mailbox(r.From)
		if err != nil {
			return BadmailResubmitted{}, err
		}
		to.From = &from
	}
	if len(r.To) > maxSelected {
		return BadmailResubmitted{}, fmt.Errorf("%w: more than %d recipients", ErrInvalid, maxSelected)
	}
	for _, text := range r.To {
		addr, err := mailbox(text)
		if err == nil && addr.IsNull() {
			err = fmt.Errorf("%w: a recipient is not <>", ErrInvalid)
		}
		if err != nil {
			return BadmailResubmitted{}, err
		}
		to.To = append(to.To, addr)
	}
	names := []string{r.Name}
	if r.Linked {
		e, err := c.server().Badmail().Read(r.Name)
		if err != nil {
			return BadmailResubmitted{}, badmailError(err)
		}
		if e.Linked == "" {
			return BadmailResubmitted{}, fmt.Errorf("%w: no entry belongs to %s", ErrNotFound, r.Name)
		}
		names = append(names, e.Linked)
	}
	out := BadmailResubmitted{Messages: []BadmailSent{}, Failed: []BadmailUnsent{}}
	var first error
	for _, name := range names {
		id, err := c.server().Resubmit(ctx, name, to)
		if id != 0 {
			out.Messages = append(out.Messages, BadmailSent{Name: name, QueueID: id.String()})
			c.audit(a, "badmail resubmit", "name", name, "id", id.String(), "from", r.From, "to", strings.Join(r.To, " "))
		}
		if err != nil {
			out.Failed = append(out.Failed, BadmailUnsent{Name: name, Error: err.Error()})
			first = cmp.Or(first, err)
		}
	}
	if len(out.Messages) == 0 {
		return out, badmailError(first)
	}
	return out, nil
}

// BadmailDelete removes the entries that a selection names. With DryRun it counts them.
func (c *Control) BadmailDelete(ctx context.Context, a Actor, s BadmailSelection) (BadmailDeleted, error) {
	if err := a.allow("badmail delete", RoleOperator); err != nil {
		return BadmailDeleted{}, err
	}
	names, unknown, err := c.chosenBadmail(ctx, &s)
	if err != nil {
		return BadmailDeleted{}, err
	}
	out := BadmailDeleted{Messages: len(names), Unknown: unknown}
	if s.DryRun || len(names) == 0 {
		return out, nil
	}
	out.Messages, err = c.server().Badmail().Remove(ctx, names...)
	if errors.Is(err, badmail.ErrNotFound) {
		err = nil // somebody else was faster
	}
	c.audit(a, "badmail delete", "entries", out.Messages, "selection", s.String())
	return out, err
}

// chosenBadmail returns the names of the entries that are meant, and those that nobody has.
func (c *Control) chosenBadmail(ctx context.Context, s *BadmailSelection) (names, unknown []string, err error) {
	folder := c.server().Badmail()
	filtered := s.BadmailFilter != BadmailFilter{}
	switch {
	case len(s.Names) > maxSelected:
		return nil, nil, fmt.Errorf("%w: more than %d names", ErrInvalid, maxSelected)
	case (len(s.Names) > 0 || filtered) == s.All, len(s.Names) > 0 && filtered:
		return nil, nil, fmt.Errorf("%w: choose the entries by names, by filters, or say that all are meant", ErrInvalid)
	case len(s.Names) > 0 && !s.Linked:
		return folder.Has(s.Names)
	case len(s.Names) > 0:
		for _, name := range s.Names {
			e, err := folder.Read(name)
			switch {
			case errors.Is(err, badmail.ErrNotFound):
				unknown = append(unknown, name)
				continue
			case err != nil:
				return nil, nil, err
			}
			names = append(names, name)
			if s.Linked && e.Linked != "" {
				names = append(names, e.Linked)
			}
		}
		slices.Sort(names) // both of a pair may have been named
		return slices.Compact(names), unknown, nil
	}
	q, err := s.query(time.Now())
	if err != nil {
		return nil, nil, err
	}
	for cursor := ""; ; {
		list, next, err := folder.List(ctx, q, cursor, maxPage)
		if err != nil {
			return nil, nil, err
		}
		for i := range list {
			names = append(names, list[i].Name)
		}
		if cursor = next; next == "" {
			return names, nil, nil
		}
	}
}

// String returns the selection as the command line has it, for the audit record.
func (s *BadmailSelection) String() string {
	if s.All {
		return "all"
	}
	words := s.Names
	for _, f := range []struct{ name, value string }{
		{"cause", s.Cause}, {"code", s.Code}, {"sender", s.Sender}, {"recipient", s.Recipient},
		{"older-than", age(s.OlderThan)}, {"newer-than", age(s.NewerThan)},
	} {
		if f.value != "" {
			words = append(words[:len(words):len(words)], f.name+"="+f.value)
		}
	}
	return strings.Join(words, " ")
}

func age(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return d.String()
}

func badmailStatus(v *service.Server) BadmailStatus {
	s := v.Badmail().Stats()
	out := BadmailStatus{Messages: s.Messages, Octets: s.Octets, Cleaned: s.Cleaned, Written: map[string]uint64{}, Warning: v.BadmailWarning()}
	for cause, n := range s.Written {
		out.Written[string(cause)] = n
	}
	return out
}
