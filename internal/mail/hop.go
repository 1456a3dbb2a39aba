package mail

import (
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// HopKind says how a next hop is reached.
type HopKind uint8

// The kinds of next hop.
const (
	HopDrop  HopKind = iota + 1 // the drop directory
	HopMX                       // by the MX records of Domain
	HopHosts                    // Hosts, in order: a smart host or a route domain
)

// HopTLS is the demand on TLS towards a next hop.
type HopTLS uint8

// The demands.
const (
	TLSOpportunistic HopTLS = iota // STARTTLS if offered, else plain; certificates not judged
	TLSRequired                    // no TLS, no mail
	TLSVerified                    // TLS and a certificate that is valid for the host
	TLSOff                         // never STARTTLS
)

// Host is one server of a HopHosts: a name (looked up MX first, then A/AAAA) or, when Addr is
// valid, an address that needs no look-up. Port 0 stands for the hop's port.
type Host struct {
	Name string
	Addr netip.Addr
	Port uint16
}

// String returns host, host:port, or [ip]:port.
func (h Host) String() string {
	s := h.Name
	if h.Addr.IsValid() {
		s = "[" + h.Addr.String() + "]"
	}
	if h.Port != 0 {
		s += ":" + strconv.Itoa(int(h.Port))
	}
	return s
}

// Hop is a next hop: where a recipient's mail goes and under which terms. Hops are made by
// route, are immutable, and one hop is one pointer as long as the configuration stays: the
// queue holds one ready queue for each. Two hops with equal Key are the same destination.
type Hop struct {
	Key    string // identity; also what people see: "drop", "example.org", "[10.0.0.7]:25"
	Kind   HopKind
	Domain string // HopMX: the recipient domain, lower case, A-labels or address literal
	Hosts  []Host // HopHosts: in order of preference
	// Fallback takes over in the same attempt where direct delivery cannot be made
	// ("attempt direct delivery first"); nil else.
	Fallback *Hop

	Port           uint16 // for hosts without a port of their own
	TLS            HopTLS
	UseHELO        bool // send HELO, not EHLO
	MaxConnections int  // at the same time; 0: the site's limit per domain
}

// Place returns the part of the Key that says where the hop is, without the terms that may follow:
// "[10.0.0.7]:25" of "[10.0.0.7]:25 tls=required".
func (h *Hop) Place() string {
	place, _, _ := strings.Cut(h.Key, " ")
	return place
}

// Local reports whether the hop is the drop directory.
func (h *Hop) Local() bool { return h.Kind == HopDrop }

// Batch is one message with those of its recipients that go to one hop in one transaction.
// It belongs to the deliverer from Work.Next until Work.Done.
type Batch struct {
	ID      QueueID
	Env     *Envelope // shared and read-only
	Rcpts   []int     // indexes into Env.Recipients, at least one
	Attempt int       // 1 for the first
}

// Outcome says what became of one recipient in one attempt.
type Outcome uint8

// The outcomes.
const (
	Delivered Outcome = iota + 1 // the next hop answered 250 to the data, or the file is in Drop
	Deferred                     // try again later
	Failed                       // never again: NDR
	// Overflow: the server took others of this transaction but not this recipient (452, or
	// its limit): to be sent at once in a further transaction, not counted as an attempt.
	Overflow
)

// Result is what one attempt did for one recipient.
type Result struct {
	ID      QueueID
	Rcpt    int // index into Envelope.Recipients
	Outcome Outcome
	Reply   Reply  // the server's reply, or ours when Ours is set
	Ours    bool   // Reply was made here: the server said nothing
	Host    string // the server that was asked, if any: its name, or address in brackets
	Addr    netip.AddrPort
	TLS     string // "TLS1.3 TLS_AES_128_GCM_SHA256", or "" for plain text
	// HopDown: no transaction was possible (no address, no connection, greeting, TLS): the
	// fault is the hop's, not the message's.
	HopDown bool
	// Local: the message could not be read here, so that it was not sent. That says nothing of the hop.
	Local bool
	// MayRepeat: the connection was lost after the final dot, so the server may have the
	// message and the next attempt may be a duplicate.
	MayRepeat bool
	// Cause is, of a recipient that was given up (Reply is ours, 4.4.7), what its last attempt
	// came to: the reason that helps its sender. Zero when nothing is known of one.
	Cause Reply
	// NoDSN: the server took the message but knows no DSN, so that whoever asked for a
	// success notice gets "relayed" (RFC 3461 §5.2.2).
	NoDSN bool
	Took  time.Duration
}

// Work is how a deliverer gets batches of one hop and gives results back. The queue makes one
// for each run of a deliverer.
type Work struct {
	// Next returns the next batch. With none ready it waits up to wait, so that an idle
	// connection can be used again; nil ends the run.
	Next func(wait time.Duration) *Batch
	// Connected is called for each connection before anything of a batch is sent over it. When it returns
	// false the run is to give back its batch, deferred, and end.
	Connected func() bool
	// Done returns a batch with one Result for each of its recipients.
	Done func(*Batch, []Result)
}

// Pending is one recipient that still waits, as the spool tells it when it is opened.
type Pending struct {
	ID       QueueID
	Rcpt     int
	Domain   string // of the recipient
	Size     int64
	Arrived  time.Time
	Attempts int       // made so far
	Due      time.Time // zero: at once
	Held     bool
	Null     bool   // the reverse-path is null
	Noticed  bool   // after ChangeNoticed
	Route    string // the next hop that an operator has set; empty: as the routes say
}

// ChangeKind says what happened to a recipient in the spool.
type ChangeKind uint8

// The kinds of Change.
const (
	ChangeDone  ChangeKind = iota + 1 // delivered, returned, deleted: it no longer waits
	ChangeDefer                       // waits until Due after Attempts attempts
	ChangeHold                        // waits until released
	ChangeRelease
	// ChangeNoticed: the sender was told of the delay, or need not be; it is not told again. The
	// recipient waits on as before.
	ChangeNoticed ChangeKind = 5

	// ChangeRoute sends the recipient by the next hop Route, or again as the routes say if that is empty.
	// The value stands in files.
	ChangeRoute ChangeKind = 6
)

// Change is one step in the state of a queued recipient, reported by the queue to the spool.
type Change struct {
	ID       QueueID
	Rcpt     int
	Kind     ChangeKind
	Due      time.Time
	Attempts int
	Reply    Reply  // why: the last reply, for ChangeDefer
	Host     string // who said so
	Route    string // for ChangeRoute: the next hop as an operator writes it, at most MaxRoute octets
}

// MaxRoute is the largest length of Change.Route: a domain name in brackets with a port.
const MaxRoute = 300
