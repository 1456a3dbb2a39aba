package badmail

import (
	"context"
	"strings"
	"time"

	"github.com/mailroot/mailroot/internal/mail"
)

// Query says which entries are meant. The zero Query means all.
type Query struct {
	Cause     Cause
	Code      string // "0xC00402C7", in any case
	Sender    string // the sender contains it, without regard to ASCII case; "<>" is the null reverse-path
	Recipient string // so does a recipient
	Before    time.Time
	After     time.Time // the entry was written then; one whose time is not known matches neither
}

// Matches reports whether an entry is meant. Of another program's entry the header stands for
// the envelope.
func (q *Query) Matches(e *Stored) bool {
	switch {
	case q.Cause != "" && e.Cause() != q.Cause,
		q.Code != "" && !strings.EqualFold(e.Code, q.Code),
		!q.Before.IsZero() && (e.Written.IsZero() || !e.Written.Before(q.Before)),
		!q.After.IsZero() && !e.Written.After(q.After):
		return false
	}
	sender, to := e.Sender.Address, e.Recipients
	if e.Foreign != "" {
		sender, to = e.Header.From, []Recipient{{Address: e.Header.To}}
	}
	switch q.Sender {
	case "":
	case "<>":
		if sender != "" || e.Foreign != "" || e.NoSender() {
			return false
		}
	default:
		if !contains(sender, q.Sender) {
			return false
		}
	}
	if q.Recipient == "" {
		return true
	}
	for i := range to {
		if contains(to[i].Address, q.Recipient) {
			return true
		}
	}
	return false
}

func contains(s, part string) bool {
	return strings.Contains(mail.LowerASCII(s), mail.LowerASCII(part))
}

// maxReads bounds the entries that one call of List reads.
const maxReads = 2000

// List returns entries that q means, newest first, from behind the entry named after on ("":
// from the first), at most n. The work of one call is bounded: a portion may be short, even
// empty, while next is not "". Entries whose name tells no time come last.
func (f *Folder) List(ctx context.Context, q Query, after string, n int) (out []Stored, next string, err error) {
	all, _, err := slots(f.fs, f.dir)
	if err != nil {
		return nil, "", err
	}
	i := len(all) - 1
	if after != "" {
		for p := placeOf(after); i >= 0 && all[i].compare(p) >= 0; {
			i--
		}
	}
	for reads := 0; i >= 0 && len(out) < n && reads < maxReads; i, reads = i-1, reads+1 {
		if err := ctx.Err(); err != nil {
			return nil, "", err
		}
		if e := f.stored(&all[i], false); q.Matches(&e) {
			out = append(out, e)
		}
		next = all[i].name
	}
	if i < 0 {
		next = ""
	}
	return out, next, nil
}
