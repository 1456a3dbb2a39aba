package intake

import (
	"context"
	"math/rand/v2"
	"sync"

	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/message"
)

// SpoolTx is one message on its way into the spool.
type SpoolTx interface {
	// ID is known from the start, because it stands in the Received field.
	ID() mail.QueueID
	// Write takes the next octets; it does not keep the slice.
	Write([]byte) (int, error)
	// Commit returns when the message is durable. The envelope belongs to the spool and the
	// queue from then on, and nobody changes it.
	Commit(ctx context.Context, env *mail.Envelope) error
	Abort()
}

// DefaultMaxHops is the limit of Received fields where Options.MaxHops is 0.
const DefaultMaxHops = 15

// Options say how messages are taken in. The funcs are asked for each message, so that a
// changed configuration holds from the next one on.
type Options struct {
	// Spool begins a message in the spool. Its errors reach the client: 452 4.3.1 where space
	// is short.
	Spool func(ctx context.Context) (SpoolTx, error)
	// SpoolReport does so for a report of our own, which may find room where mail does not; nil: Spool.
	SpoolReport func(ctx context.Context) (SpoolTx, error)
	// Hold counts n octets of memory for a header that comes in pieces; a negative n gives back what was
	// counted. An error, 452 4.3.1, refuses the message. Nil: headers are not counted.
	Hold func(n int64) error
	// Enqueue tells the queue of a message that is durable. It must not wait.
	Enqueue func(*mail.Envelope)

	FQDN          func() string // for Received and Message-ID
	DefaultDomain func() string // completes addresses; also where alias domains lead
	// IsAlias reports whether a domain, in any case and as A-label or in UTF-8, is another name of the
	// default domain: an alias, or the default domain itself in a spelling that only IDNA finds equal;
	// nil: there are none.
	IsAlias func(domain string) bool
	// StampHeader reports whether header addresses in a domain, an alias, are to be rewritten to
	// the default domain as well, when the message goes out; nil: none are.
	StampHeader func(domain string) bool
	// Postmaster is where mail for <postmaster> without a domain goes (RFC 5321 §4.5.1); nil
	// or a null address: postmaster at the default domain.
	Postmaster func() mail.Address

	// MaxHops is how many Received fields a message may have when it arrives; 0: DefaultMaxHops.
	MaxHops int
	// RejectHops refuses a message above MaxHops with 554 5.4.6. Without it such a message is
	// accepted, and the queue, which sees Content.Hops, returns it to its sender.
	RejectHops bool
}

// Intake takes messages in. It is safe for concurrent use.
type Intake struct {
	o       Options
	scratch sync.Pool // of *scratch
}

// scratch is the memory that one message needs only while it comes in.
type scratch struct {
	scan   message.Scanner
	prefix []byte
}

// New returns an Intake. Spool, Enqueue, FQDN and DefaultDomain must be given.
func New(o Options) *Intake {
	if o.MaxHops == 0 {
		o.MaxHops = DefaultMaxHops
	}
	in := &Intake{o: o}
	in.scratch.New = func() any { return new(scratch) }
	return in
}

// BeginSMTP begins the message of a client after its MAIL command. Nothing of p is kept but
// strings. The error, if any, carries the reply.
func (in *Intake) BeginSMTP(ctx context.Context, p *mail.Peer, s mail.Sender) (*Tx, error) {
	t, err := in.begin(ctx)
	if err != nil {
		return nil, err
	}
	t.env.Source = mail.SourceSMTP
	t.env.Sender = s
	t.env.Sender.Addr = t.complete(s.Addr)
	t.env.Peer = p.Remote.Addr().Unmap().WithZone("")
	t.env.PeerName = p.Name
	t.env.Helo = p.Helo
	t.env.Account = p.Account
	t.env.Protocol = message.Protocol(p.ESMTP, s.UTF8, p.TLS != nil, p.Account != "")
	if p.TLS != nil {
		t.tls, t.overTLS = *p.TLS, true
	}
	t.stamp = p.Account != "" || p.Relay
	return t, nil
}

// ReportTo is the index of the sender among the recipients of a report; those behind it get a copy.
const ReportTo = 0

// BeginReport begins a report of our own: null reverse-path, to one recipient, to whom the
// caller may add those who get a copy. original is the message reported on, which the spool
// keeps until the report has left; 0 if it need not be kept. utf8 says that the report needs SMTPUTF8 on its way.
func (in *Intake) BeginReport(ctx context.Context, to mail.Address, original mail.QueueID, utf8 bool) (*Tx, error) {
	begin := in.o.SpoolReport
	if begin == nil {
		begin = in.o.Spool
	}
	t, err := in.beginIn(ctx, begin)
	if err != nil {
		return nil, err
	}
	t.env.Source = mail.SourceReport
	t.env.Original = original
	t.env.Sender = mail.Sender{UTF8: utf8, Body: mail.Body8BitMIME}
	t.stamp = true
	// A report on a report must not come to be (RFC 3461 §6.2), whatever becomes of it.
	if _, err := t.Rcpt(ctx, mail.Recipient{Addr: to, Notify: mail.NotifyNever}); err != nil {
		t.Abort()
		return nil, err
	}
	return t, nil
}

// BeginAgain begins a message that has been through here before and was put aside, in badmail: its
// octets bear our trace fields already, and get another Received and nothing else. source is
// the door that it first came in by.
func (in *Intake) BeginAgain(ctx context.Context, s mail.Sender, source mail.Source) (*Tx, error) {
	t, err := in.begin(ctx)
	if err != nil {
		return nil, err
	}
	t.env.Source = source
	t.env.Sender = s
	t.env.Sender.Addr = t.complete(s.Addr)
	return t, nil
}

// BeginPickup begins the message of a file in the pickup directory. From says who sends it, before
// the first Write; and it is Enqueue, not Commit, that tells the queue of it.
func (in *Intake) BeginPickup(ctx context.Context) (*Tx, error) {
	t, err := in.begin(ctx)
	if err != nil {
		return nil, err
	}
	t.env.Source = mail.SourcePickup
	t.stamp, t.own = true, true
	return t, nil
}

func (in *Intake) begin(ctx context.Context) (*Tx, error) { return in.beginIn(ctx, in.o.Spool) }

func (in *Intake) beginIn(ctx context.Context, spool func(context.Context) (SpoolTx, error)) (*Tx, error) {
	sp, err := spool(ctx)
	if err != nil {
		return nil, local(err)
	}
	t := &Tx{in: in, spool: sp, domain: in.o.DefaultDomain(), env: &mail.Envelope{}}
	t.env.ID = sp.ID()
	t.env.DefaultDomain = t.domain
	return t, nil
}

// prefix appends what is stored before the message itself: the fields of fieldsBefore and, if the message
// would go on in the last of them, the empty line that makes all of it body.
func (t *Tx) prefix(dst []byte) []byte {
	dst = t.fieldsBefore(dst)
	if t.scratch.scan.AllBody() {
		dst = append(dst, '\r', '\n')
	}
	return dst
}

// fieldsBefore appends Received and, for a submission, the Message-ID and Date that the message lacks
// (RFC 6409 §8.2, §8.3).
func (t *Tx) fieldsBefore(dst []byte) []byte {
	fqdn := t.in.o.FQDN()
	tr := message.Trace{
		Helo: t.env.Helo, Name: t.env.PeerName, Addr: t.env.Peer, By: fqdn,
		With: t.env.Protocol, ID: t.env.ID, UTF8: t.env.Sender.UTF8, Time: t.env.Arrived,
		Pickup: t.own,
	}
	if t.overTLS {
		tr.TLS = &t.tls
	}
	if len(t.env.Recipients) == 1 {
		tr.For = t.env.Recipients[0].Addr
	}
	dst = message.AppendReceived(dst, &tr)
	if !t.stamp {
		return dst
	}
	if !t.scratch.scan.HasMessageID() {
		dst = append(dst, "Message-ID: "...)
		start := len(dst)
		dst = message.AppendMessageID(dst, t.env.ID, rand.Uint64(), fqdn)
		t.ownID = string(dst[start:])
		dst = append(dst, '\r', '\n')
	}
	if !t.scratch.scan.HasDate() {
		dst = append(dst, "Date: "...)
		dst = message.AppendDate(dst, t.env.Arrived)
		dst = append(dst, '\r', '\n')
	}
	return dst
}

// complete adds the default domain to a bare address.
func (t *Tx) complete(a mail.Address) mail.Address {
	if a.IsBare() {
		return a.WithDomain(t.domain)
	}
	return a
}

// rewrite returns the address that a recipient stands for: completed, postmaster led to
// whoever reads its mail, alias domains to the default domain.
func (t *Tx) rewrite(a mail.Address) mail.Address {
	o := &t.in.o
	if a.IsBare() {
		if a.IsPostmaster() && o.Postmaster != nil {
			if pm := o.Postmaster(); !pm.IsNull() {
				return t.complete(pm)
			}
		}
		return t.complete(a)
	}
	if o.IsAlias != nil && !a.IsLiteral() && o.IsAlias(a.Domain) {
		return a.WithDomain(t.domain)
	}
	return a
}
