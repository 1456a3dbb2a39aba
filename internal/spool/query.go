package spool

import (
	"slices"
	"strings"
	"time"

	"github.com/mailroot/mailroot/internal/mail"
)

// Query selects messages and recipients. All conditions that are set must be true; the zero Query
// selects everything. Those on recipients (Recipient, Domain, States) must be true of one and
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
	Subject   string         // as the message has it
	MessageID string         // with angle brackets
	Reply     string         // the text of a recipient's last reply
	Larger    int64          // octets: the message has more; 0: no limit
	Smaller   int64          // octets: the message has fewer; 0: no limit
}

// MatchMessage reports whether the conditions on the message itself are true.
func (q *Query) MatchMessage(env *mail.Envelope) bool {
	return q.matchID(env.ID) && q.MatchArrived(env.Arrived) &&
		(q.Sender == "" || matchAddress(q.Sender, env.Sender.Addr)) &&
		(q.Account == "" || Match(q.Account, env.Account)) &&
		(q.Subject == "" || Match(q.Subject, env.Content.Subject)) &&
		(q.MessageID == "" || Match(q.MessageID, env.Content.MessageID)) &&
		(q.Larger == 0 || env.Content.Size > q.Larger) && (q.Smaller == 0 || env.Content.Size < q.Smaller) &&
		(q.Client == "" || Match(q.Client, env.PeerName) || env.Peer.IsValid() && Match(q.Client, env.Peer.String()))
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

// MatchRecipient reports whether the conditions on a recipient are true of r in state s.
func (q *Query) MatchRecipient(r *mail.Recipient, s State) bool {
	return q.MatchState(s) &&
		(q.Domain == "" || Match(q.Domain, r.Addr.Domain)) &&
		(q.Recipient == "" || matchAddress(q.Recipient, r.Addr))
}

// MatchReply reports whether the condition on the last reply is true.
func (q *Query) MatchReply(r *RecipientStatus) bool {
	return q.Reply == "" || Match(q.Reply, r.Reply.String())
}

// NeedsEnvelope reports whether the answer depends on more than id, time of arrival, domains and
// states, which a store may have at hand without reading the message.
func (q *Query) NeedsEnvelope() bool {
	return q.Sender != "" || q.Recipient != "" || q.Client != "" || q.Account != "" ||
		q.Subject != "" || q.MessageID != "" || q.Reply != "" || q.Larger != 0 || q.Smaller != 0
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
