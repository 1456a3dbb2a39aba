package intake

import (
	"context"
	"errors"
	"time"

	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/smtp"
)

// Tx is one message on its way in: Rcpt for each recipient, Write for its octets, then Commit
// or Abort. It belongs to one goroutine until then.
//
// What is stored is the trace fields, then the octets as they were written. Two things are
// done to them: a message that begins with a blank gets an empty line before it, since it would go on
// in our last field, and one that lacks its final CRLF gets it, unless it is BINARYMIME.
type Tx struct {
	in     *Intake
	spool  SpoolTx
	env    *mail.Envelope
	domain string // the default domain of this moment

	tls     mail.TLSInfo
	overTLS bool
	stamp   bool // a submission: Message-ID and Date are added if missing
	own     bool // the caller tells the queue, by Enqueue

	scratch  *scratch // from the first Write on
	headDone bool
	held     int64 // octets counted by Options.Hold
	shift    int64 // octets of ours before the message
	ownID    string
	err      error // the first failure: sticky
	closed   bool

	index map[string]int // recipients by key, once they are many
}

var errClosed = errors.New("intake: the transaction has ended")

// manyRecipients is where looking for a duplicate one by one gives way to a map.
const manyRecipients = 16

// freeHeader is how much of a header is kept without being counted by Options.Hold.
const freeHeader = 8 << 10

// maxKeptHeader is the largest header memory that is kept for the next message.
const maxKeptHeader = 32 << 10

// Sender returns the reverse-path after completion.
func (t *Tx) Sender() mail.Address { return t.env.Sender.Addr }

// ID returns the id that the message has in the spool, from the start.
func (t *Tx) ID() mail.QueueID { return t.env.ID }

// From sets the sender of a message of the pickup directory.
func (t *Tx) From(s mail.Sender) {
	t.env.Sender = s
	t.env.Sender.Addr = t.complete(s.Addr)
}

// Rcpt adds a recipient and returns its address after completion and alias rewriting.
//
// A recipient that is there already is accepted again but kept once, so that it gets one
// copy; its DSN wishes are joined: a notice that either asked for is sent. Local-parts are
// compared as they are, domains without regard to ASCII case.
func (t *Tx) Rcpt(_ context.Context, r mail.Recipient) (mail.Address, error) {
	if t.closed {
		return mail.Address{}, local(errClosed)
	}
	to := t.rewrite(r.Addr)
	if r.ORcpt == "" && to != r.Addr && !r.Addr.IsBare() {
		// A report names what the sender wrote (RFC 3461 §5.2.1 (c) allows it).
		r.ORcpt = smtp.EncodeORcpt(r.Addr)
	}
	r.Addr = to
	if i := t.find(to); i >= 0 {
		join(&t.env.Recipients[i], r)
		return to, nil
	}
	t.env.Recipients = append(t.env.Recipients, r)
	return to, nil
}

// join adds the DSN wishes of r to those of a recipient that has the same address.
func join(to *mail.Recipient, r mail.Recipient) {
	if to.ORcpt == "" {
		to.ORcpt = r.ORcpt
	}
	switch {
	case to.Notify == r.Notify:
	case to.Notify == mail.NotifyNever:
		to.Notify = r.Notify
	case r.Notify == mail.NotifyNever:
	default:
		to.Notify = asked(to.Notify) | asked(r.Notify)
	}
}

// asked spells out what an absent NOTIFY asks for.
func asked(n mail.Notify) mail.Notify {
	if n == 0 {
		return mail.NotifyFailure | mail.NotifyDelay
	}
	return n
}

// find returns the index of a recipient, or -1; then the caller appends it.
func (t *Tx) find(a mail.Address) int {
	all := t.env.Recipients
	if len(all) < manyRecipients {
		for i := range all {
			if all[i].Addr.Local == a.Local && mail.EqualFoldASCII(all[i].Addr.Domain, a.Domain) {
				return i
			}
		}
		return -1
	}
	if t.index == nil {
		t.index = make(map[string]int, 2*manyRecipients)
		for i := range all {
			t.index[key(all[i].Addr)] = i
		}
	}
	k := key(a)
	if i, ok := t.index[k]; ok {
		return i
	}
	t.index[k] = len(all)
	return -1
}

func key(a mail.Address) string { return a.Local + "@" + mail.LowerASCII(a.Domain) }

// Write takes the next octets of the message, with CRLF line ends unless it is BINARYMIME.
// Header octets are kept until the header is complete, then all goes to the spool as it comes.
// After a failure each further Write fails alike.
func (t *Tx) Write(p []byte) (int, error) {
	if t.closed {
		return 0, local(errClosed)
	}
	if t.err != nil {
		return 0, t.err
	}
	t.open()
	rest := p
	if !t.headDone {
		n, done := t.scratch.scan.Header(p)
		if !done {
			if t.hold(); t.err != nil {
				return 0, t.err
			}
			return len(p), nil
		}
		head := t.scratch.scan.Head()
		t.writeHead(len(head) > n)
		if len(head) > n {
			rest = p[n:]
		}
		t.scratch.scan.Body(p[n:])
	} else {
		t.scratch.scan.Body(p)
	}
	t.store(rest)
	if t.err != nil {
		return 0, t.err
	}
	return len(p), nil
}

// hold has the memory of a header that has not ended counted, so that many clients with endless headers
// cannot fill ours (bad input F27).
func (t *Tx) hold() {
	kept := int64(t.scratch.scan.Kept())
	if kept <= freeHeader || kept == t.held || t.in.o.Hold == nil {
		return
	}
	if err := t.in.o.Hold(kept - t.held); err != nil {
		t.err = local(err)
		return
	}
	t.held = kept
}

// open prepares the scanner at the first octet, or at Commit for a message without any.
func (t *Tx) open() {
	if t.scratch != nil {
		return
	}
	t.scratch = t.in.scratch.Get().(*scratch)
	t.scratch.scan.Reset(t.env.Sender.Body == mail.BodyBinaryMIME)
	if t.in.o.StampHeader != nil {
		t.scratch.scan.Stamp(t.in.o.StampHeader)
	}
	t.env.Arrived = time.Now()
}

// writeHead stores our fields and, if it was collected over several calls, the header.
func (t *Tx) writeHead(header bool) {
	t.headDone = true
	s := t.scratch
	s.prefix = t.prefix(s.prefix[:0])
	t.shift = int64(len(s.prefix))
	t.store(s.prefix)
	if header {
		t.store(s.scan.Head())
	}
}

// store passes octets to the spool, unless the message is bound to be refused.
func (t *Tx) store(p []byte) {
	if t.err != nil || len(p) == 0 || t.tooManyHops() {
		return
	}
	if _, err := t.spool.Write(p); err != nil {
		t.err = local(err)
	}
}

func (t *Tx) tooManyHops() bool {
	return t.in.o.RejectHops && t.scratch.scan.Hops() > t.in.o.MaxHops
}

// Commit ends the message. It returns once the spool has it safe and the queue knows of it (but
// see BeginPickup); with an error the message is not there, but for one that wraps mail.ErrUnknownOutcome.
func (t *Tx) Commit(ctx context.Context) (mail.Accepted, error) {
	if t.closed {
		return mail.Accepted{}, local(errClosed)
	}
	if err := t.finish(); err != nil {
		t.Abort()
		return mail.Accepted{}, err
	}
	t.close()
	if err := t.spool.Commit(ctx, t.env); err != nil {
		return mail.Accepted{}, local(err)
	}
	// From here on the envelope is shared and only read.
	c := &t.env.Content
	a := mail.Accepted{ID: t.env.ID, MessageID: c.MessageID, OwnID: c.OwnID}
	if !t.own {
		t.in.o.Enqueue(t.env)
	}
	return a, nil
}

// Enqueue tells the queue of a message of the pickup directory, after its Commit.
func (t *Tx) Enqueue() { t.in.o.Enqueue(t.env) }

// finish stores what is left and fills in Envelope.Content.
func (t *Tx) finish() error {
	if t.err == nil && len(t.env.Recipients) == 0 {
		return mail.Fail(554, mail.Enhanced(5, 5, 1), "No valid recipients", nil)
	}
	t.open()
	scan := &t.scratch.scan
	scan.End()
	if !t.headDone {
		t.writeHead(true)
	}
	if t.tooManyHops() {
		return mail.Fail(554, mail.Enhanced(5, 4, 6), "Hop count exceeded - possible mail loop", nil)
	}
	tail := ""
	if t.env.Sender.Body != mail.BodyBinaryMIME {
		tail = scan.Missing()
		t.store([]byte(tail))
	}
	if t.err != nil {
		return t.err
	}
	t.env.Content = scan.Content(t.shift, int64(len(tail)))
	if t.ownID != "" {
		t.env.Content.MessageID, t.env.Content.OwnID = t.ownID, true
	}
	return nil
}

// Abort gives the message up. After Commit it does nothing.
func (t *Tx) Abort() {
	if !t.closed {
		t.close()
		t.spool.Abort()
	}
}

func (t *Tx) close() {
	t.closed = true
	if s := t.scratch; s != nil {
		t.scratch = nil
		if s.scan.Kept() <= maxKeptHeader {
			s.scan.Reset(false) // lets go of the writer's memory
			t.in.scratch.Put(s)
		}
	}
	if t.held > 0 {
		// Giving back does not fail.
		_ = t.in.o.Hold(-t.held)
		t.held = 0
	}
}

// local returns err if it can reach a peer, and wraps it in 451 4.3.0 if not.
func local(err error) error {
	var e *mail.Error
	if errors.As(err, &e) {
		return err
	}
	r := mail.ReplyOf(err)
	return mail.Fail(r.Code, r.Enhanced, r.Text, err)
}
