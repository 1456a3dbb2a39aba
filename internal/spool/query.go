package spool

import (
	"slices"
	"strings"
	"time"

	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/message"
)

// Query selects messages and recipients. All conditions that are set must be true; the zero Query
// selects everything. Those on recipients (Recipient, Domain, States, Reply) must be true of one and
// the same recipient. Texts compare without regard to ASCII case, and "*" in them stands
// for any run of characters.
type Query struct {
	IDs       []mail.QueueID // any of these
	Sender    string         // the reverse-path, "user@example.com" or "*@example.com"; "<>" is the null one
	Recipient string         // a forward-path
	Domain    string         // the domain of a forward-path
	States    []State        // any of these; none means all but Done
	Before    time.Time      // arrived before; zero: no limit
	After     time.Time      // arrived at or after
	Client    string         // the client's address, or its confirmed name
	Account   string         // authenticated as
	Subject   string         // as sent, or as people read it: encoded-words decoded, in UTF-8
	MessageID string         // with or without its angle brackets
	Reply     string         // the last reply to a recipient: its text, or all of it, "451 4.7.1 Greylisted"
	Larger    int64          // more octets than this; 0: no limit
	Smaller   int64          // fewer octets than this; 0: no limit
}

// MatchMessage reports whether the conditions on the message itself are true.
func (q *Query) MatchMessage(env *mail.Envelope) bool {
	return q.matchID(env.ID) && q.MatchArrived(env.Arrived) &&
		(q.Sender == "" || matchAddress(q.Sender, env.Sender.Addr)) &&
		(q.Account == "" || Match(q.Account, env.Account)) &&
		(q.Client == "" || Match(q.Client, env.PeerName) || env.Peer.IsValid() && Match(q.Client, env.Peer.String())) &&
		q.MatchSize(env.Content.Size) &&
		q.MatchMessageID(env.Content.MessageID) &&
		(q.Subject == "" || matchSubject(q.Subject, env.Content.Subject))
}

// MatchSize reports whether the conditions on the size of the message are true.
func (q *Query) MatchSize(n int64) bool {
	return (q.Larger == 0 || n > q.Larger) && (q.Smaller == 0 || n < q.Smaller)
}

// MatchArrived reports whether the conditions on the time of arrival are true.
func (q *Query) MatchArrived(t time.Time) bool {
	return (q.Before.IsZero() || t.Before(q.Before)) && (q.After.IsZero() || !t.Before(q.After))
}

// MatchState reports whether the condition on the state is true.
func (q *Query) MatchState(s State) bool {
	if len(q.States) == 0 {
		return s != Done
	}
	return slices.Contains(q.States, s)
}

// MatchMessageID reports whether the condition on the Message-ID is true.
func (q *Query) MatchMessageID(id string) bool {
	return q.MessageID == "" || Match(q.MessageID, id) ||
		Match(q.MessageID, strings.TrimSuffix(strings.TrimPrefix(id, "<"), ">"))
}

// MatchReply reports whether the condition on the last reply to a recipient is true. It is not among
// those that MatchRecipient looks at.
func (q *Query) MatchReply(r *RecipientStatus) bool {
	return q.Reply == "" || !r.Reply.IsZero() && (Match(q.Reply, r.Reply.Text) || Match(q.Reply, r.Reply.String()))
}

// MatchRecipient reports whether the conditions on a recipient are true of r in state s, but for the one
// on its last reply (MatchReply).
func (q *Query) MatchRecipient(r *mail.Recipient, s State) bool {
	return q.MatchState(s) &&
		(q.Domain == "" || Match(q.Domain, r.Addr.Domain)) &&
		(q.Recipient == "" || matchAddress(q.Recipient, r.Addr))
}

// NeedsEnvelope reports whether the answer depends on more than id, time of arrival, size, domains,
// states and replies, which a store may have at hand without reading the message.
func (q *Query) NeedsEnvelope() bool {
	return q.Sender != "" || q.Recipient != "" || q.Client != "" || q.Account != "" || q.Subject != "" || q.MessageID != ""
}

func (q *Query) matchID(id mail.QueueID) bool {
	return len(q.IDs) == 0 || slices.Contains(q.IDs, id)
}

func matchAddress(pattern string, a mail.Address) bool {
	if a.IsNull() {
		return pattern == "<>"
	}
	return Match(pattern, a.String())
}

func matchSubject(pattern, subject string) bool {
	return Match(pattern, subject) || Match(pattern, message.DecodeWords(subject))
}

// Match reports whether s is what pattern describes, without regard to ASCII case; "*" in the
// pattern stands for any run of characters, also none. Its work is bounded by the product of the lengths.
func Match(pattern, s string) bool {
	pattern, s = mail.LowerASCII(pattern), mail.LowerASCII(s)
	head, rest, star := strings.Cut(pattern, "*")
	if !star {
		return pattern == s
	}
	if !strings.HasPrefix(s, head) {
		return false
	}
	s = s[len(head):]
	for {
		var more bool
		if head, rest, more = strings.Cut(rest, "*"); !more {
			return strings.HasSuffix(s, head)
		}
		i := strings.Index(s, head)
		if i < 0 {
			return false
		}
		s = s[i+len(head):]
	}
}
