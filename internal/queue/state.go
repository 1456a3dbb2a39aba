package queue

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/mailroot/mailroot/internal/mail"
)

// counters are totals since the start.
type counters struct{ delivered, deferred, failed uint64 }

// Stats are the figures of this moment; all but Messages count recipients.
type Stats struct {
	Messages   int
	Recipients int
	Ready      int
	Deferred   int
	Held       int
	Frozen     int // whose destination an operator has frozen
	InFlight   int
	Failing    int // that wait for their report

	Oldest      time.Time // when the message that waits longest began to arrive; zero when none waits
	Connections int       // to remote hops
	Loading     bool      // still reading what waited at the start
	Paused      bool

	// Since the start: recipients delivered, failed, and attempts that ended in a deferral.
	Delivered, Failed, Deferrals uint64
}

// Stats returns the figures of the queue.
func (q *Queue) Stats() Stats {
	q.mu.Lock()
	defer q.mu.Unlock()
	s := Stats{
		Messages: len(q.messages), Recipients: q.entries.used,
		Connections: q.remoteRuns(), Loading: q.loading, Paused: q.paused,
		Delivered: q.count.delivered, Failed: q.count.failed, Deferrals: q.count.deferred,
		Ready: q.total[stateReady], Deferred: q.total[stateDeferred], Held: q.total[stateHeld], Frozen: q.total[stateFrozen],
		InFlight: q.total[stateFlight], Failing: q.total[stateFailing],
	}
	if id := q.findOldest(); id != 0 {
		s.Oldest = time.UnixMilli(int64(id >> 20))
	}
	return s
}

// LocalOctets returns the octets that the drop directory will grow by when all that waits for it is
// delivered, held mail included: of each message once, since its recipients share a file. While old mail is
// loaded it is too small by what has not been read.
func (q *Queue) LocalOctets() int64 { return q.local.Load() }

// findOldest returns the smallest id that waits. When it is not known the entries are looked
// through, with the queue unlocked now and then.
func (q *Queue) findOldest() mail.QueueID {
	if q.oldest != 0 || len(q.messages) == 0 {
		return q.oldest
	}
	var oldest mail.QueueID
	q.eachEntry(func(_ uint32, e *entry) {
		if oldest == 0 || e.id < oldest {
			oldest = e.id
		}
	})
	// While old mail is loaded, older may have been added behind our back.
	if _, waits := q.messages[oldest]; waits && !q.loading {
		q.oldest = oldest
	}
	return oldest
}

// HopStatus is the state of one next hop.
type HopStatus struct {
	Key      string
	Kind     mail.HopKind
	Ready    int // recipients, as those below
	Deferred int
	Held     int
	Frozen   int
	InFlight int
	Octets   int64 // of the messages, counted for each recipient

	Active int  // connections, or runs of the drop directory
	Limit  int  // of connections at this moment; 0: none
	Down   bool // the last attempt failed for the hop's own fault

	LastReply mail.Reply // why it is down, or refused a connection
	LastHost  string
	LastError time.Time
	// NextTry is when the next recipient is due; zero if nothing waits for a time.
	NextTry time.Time
}

// Hops returns the hops that have mail or connections, or are down, in order of their keys.
func (q *Queue) Hops() []HopStatus {
	type sum struct{ octets, due int64 }
	q.mu.Lock()
	defer q.mu.Unlock()
	sums := make(map[uint32]sum)
	q.eachEntry(func(_ uint32, e *entry) {
		s, ok := sums[e.hop]
		if !ok {
			s.due = math.MaxInt64
		}
		s.octets += int64(e.size)
		if e.state == stateDeferred {
			s.due = min(s.due, e.due)
		}
		sums[e.hop] = s
	})
	var list []HopStatus
	now := q.now()
	for _, h := range q.hops.list {
		if h == nil || h.waiting() == 0 && h.runs == 0 && h.failures == 0 {
			continue
		}
		s := sums[h.index]
		st := HopStatus{
			Key: h.to.Key, Kind: h.to.Kind, Ready: int(h.n[stateReady]), Deferred: int(h.n[stateDeferred]),
			Held: int(h.n[stateHeld]), Frozen: int(h.n[stateFrozen]), InFlight: int(h.n[stateFlight]), Octets: s.octets,
			Active: int(h.runs), Down: h.failures > 0, LastReply: h.last.reply, LastHost: h.last.host,
		}
		if l := q.limit(h, now); l != math.MaxInt32 {
			st.Limit = int(l)
		}
		if !h.last.reply.IsZero() {
			st.LastError = q.when(h.lastAt)
		}
		switch {
		case h.n[stateReady] > 0 && h.blocked > now:
			st.NextTry = q.when(h.blocked)
		case h.n[stateReady] == 0 && h.n[stateDeferred] > 0 && s.due > 0 && s.due != math.MaxInt64:
			st.NextTry = q.when(s.due)
		}
		list = append(list, st)
	}
	slices.SortFunc(list, func(a, b HopStatus) int { return cmp.Compare(a.Key, b.Key) })
	return list
}

// Waiting is where a recipient stands in the queue.
type Waiting uint8

// The places.
const (
	Ready    Waiting = iota + 1 // waits for a connection
	Deferred                    // waits for its next attempt
	Held                        // waits for an operator
	Frozen                      // waits for the end of a freeze of its destination
	InFlight                    // being sent
	Failing                     // waits for its report
)

// String returns the word that people see.
func (w Waiting) String() string {
	switch w {
	case Ready:
		return "ready"
	case Deferred:
		return "deferred"
	case Held:
		return "held"
	case Frozen:
		return "frozen"
	case InFlight:
		return "in flight"
	case Failing:
		return "failing"
	}
	return "unknown"
}

// RecipientState says where one recipient stands and why.
type RecipientState struct {
	Rcpt     int // index into Envelope.Recipients
	State    Waiting
	Hop      string    // Key of the next hop, empty if it has none
	Route    string    // the next hop that an operator has set, empty if none has
	Due      time.Time // of Deferred: the next attempt
	Attempts int       // made so far
	// Reply and Host are what the last attempt said; the zero reply if there was none, or only the
	// spool has it.
	Reply mail.Reply
	Host  string
	// Reason is why the recipient is where it is, for people.
	Reason string
}

// State returns the recipients of a message that wait, in their order; none if the queue does
// not have the message.
func (q *Queue) State(id mail.QueueID) []RecipientState {
	q.mu.Lock()
	defer q.mu.Unlock()
	var list []RecipientState
	now := q.now()
	for i := q.messages[id]; i != 0; {
		e := q.entries.at(i)
		last := q.replies.get(e.reply)
		s := RecipientState{
			Rcpt: int(e.rcpt), Hop: q.hops.at(e.hop).to.Key, Route: q.routes.at(e.route).text, Attempts: int(e.attempts),
			Reply: last.reply, Host: last.host, Reason: q.reason(e, now),
		}
		if s.State = e.waiting(); s.State == Deferred {
			s.Due = q.when(e.due)
		}
		list = append(list, s)
		i = e.msgNext
	}
	slices.SortFunc(list, func(a, b RecipientState) int { return cmp.Compare(a.Rcpt, b.Rcpt) })
	return list
}

// reason says why a recipient is where it is.
func (q *Queue) reason(e *entry, now int64) string {
	s := q.because(e, now)
	if e.route != 0 {
		s += "; rerouted to " + q.routes.at(e.route).text + " by an operator"
	}
	return s
}

func (q *Queue) because(e *entry, now int64) string {
	h := q.hops.at(e.hop)
	if e.flags&flagDelivered != 0 {
		return "delivered, waiting for its report of success"
	}
	switch e.state {
	case stateDeferred:
		s := "waiting for its retry at " + stamp(q.when(e.due)) + after(e)
		s += said(q.replies.get(e.reply))
		if e.flags&flagUnreported != 0 {
			s += "; that is final, but the report of it could not be made: " + q.unreported
		}
		return s
	case stateHeld:
		return "held by an operator" + after(e)
	case stateFrozen:
		f, _ := q.freezeOf(e)
		return f.text() + after(e)
	case stateFlight:
		s := fmt.Sprintf("being sent to %s, attempt %d", h.to.Key, e.attempts+1)
		if e.flags&flagDelete != 0 {
			s += "; to be deleted after it"
		} else if e.flags&flagReturn != 0 {
			s += "; to be returned after it"
		} else if e.flags&flagHold != 0 {
			s += "; to be held after it"
		}
		return s
	case stateFailing:
		return "given up, its report is being made" + said(q.replies.get(e.reply))
	}
	return "ready" + q.ahead(h, e) + ", " + q.obstacle(h, now)
}

// obstacle says why a hop with ready recipients has no further connection.
func (q *Queue) obstacle(h *hop, now int64) string {
	limit := q.limit(h, now)
	switch {
	case q.stopping:
		return "the queue is stopping"
	case !q.started:
		return "the queue has not started"
	case q.paused:
		return "delivery is paused"
	case !q.store.CanRecord():
		return "delivery waits: what becomes of mail cannot be written down"
	case h.blocked > now:
		return "the hop is down and will be tried again at " + stamp(q.when(h.blocked)) + said(h.last)
	case h.runs >= limit && h.hung:
		return "the hop is at its limit of 1 connection because it does not answer"
	case h.runs >= limit && h.failures > 0:
		return "the hop is at its limit of 1 connection because the last attempt failed" + said(h.last)
	case h.runs >= limit:
		return "the hop is at its limit of " + connections(int(limit))
	case h.class == classDown && q.probes >= q.quarter():
		return "hops that are down hold all they may have together: " + connections(q.quarter()) + said(h.last)
	case h.class != classLocal && q.set.MaxOutbound > 0 && q.remoteRuns() >= q.set.MaxOutbound:
		return "the limit of outbound connections is reached: " + connections(q.set.MaxOutbound)
	case h.class == classNew && !q.may(classNew):
		return "hops that have not answered yet hold all they may have together: " + connections(q.unproven())
	case h.runs > 0:
		return "to be taken by one of the hop's " + connections(int(h.runs))
	}
	return "about to be sent"
}

func connections(n int) string {
	if n == 1 {
		return "1 connection"
	}
	return strconv.Itoa(n) + " connections"
}

// farAhead bounds the count of those ahead.
const farAhead = 10000

// ahead counts the recipients that are sent before e, given that sender groups take turns.
func (q *Queue) ahead(h *hop, e *entry) string {
	n := 0
	for p := e.prev; p != 0 && n < farAhead; p = q.entries.at(p).prev {
		n++
	}
	if n == farAhead {
		return fmt.Sprintf(", more than %d ahead", farAhead)
	}
	own := n
	for k := range h.ring {
		if g := &h.ring[k]; g.key != e.group {
			n += min(int(g.count), own)
		}
	}
	return fmt.Sprintf(", %d ahead", n)
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

func after(e *entry) string {
	switch e.attempts {
	case 0:
		return ""
	case 1:
		return " after 1 attempt"
	}
	return fmt.Sprintf(" after %d attempts", e.attempts)
}

func said(l lastReply) string {
	if l.reply.IsZero() {
		return ""
	}
	if l.host == "" {
		return ": " + l.reply.String()
	}
	return ": " + l.host + " said " + l.reply.String()
}
