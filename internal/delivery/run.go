package delivery

import (
	"context"
	"time"

	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/message"
	"github.com/mailroot/mailroot/internal/smtpclient"
)

// run is one call of Run for a remote hop: one connection at a time.
type run struct {
	d    *Deliverer
	hop  *mail.Hop // the one in use: that of the run, or its fallback
	find *finder
	// connected is Work.Connected.
	connected func() bool

	at    target // the server that is connected or was last
	again target // to be connected again before any other
	tried int    // addresses

	conn *smtpclient.Conn
	stop func() bool // ends the watch over the context
	tls  string

	passed *trouble // why some server was passed over, if that may pass
	spoke  bool     // some server answered in a transaction
	last   bool     // the run ends after this batch
	a      attempt
	out    smtpclient.Outcome
	tx     smtpclient.Transaction
	pos    []int // of each of tx.Rcpts in the batch
	rcpts  []int
	splice []message.Splice
}

func (d *Deliverer) newRun(hop *mail.Hop, w mail.Work) *run {
	return &run{d: d, hop: hop, find: newFinder(d, hop), connected: w.Connected}
}

func (d *Deliverer) runRemote(ctx context.Context, hop *mail.Hop, w mail.Work) {
	r := d.newRun(hop, w)
	defer func() { r.close() }()
	for b := w.Next(0); b != nil; b = w.Next(max(r.d.o.Linger, 0)) {
		if now := r.d.current(); now != r.d {
			r.close()
			r = now.newRun(hop, w)
		}
		w.Done(b, r.attempt(ctx, b))
		if r.over(ctx) {
			return
		}
	}
}

// over reports whether the run ends.
func (r *run) over(ctx context.Context) bool {
	limit := r.d.o.MessagesPerConnection
	return r.last || r.conn == nil || !r.conn.Reusable() || limit > 0 && r.conn.Used() >= limit || ctx.Err() != nil
}

// close ends the connection politely.
func (r *run) close() {
	if r.conn != nil {
		r.conn.Quit()
		r.stop()
		r.conn = nil
	}
}

// drop ends a connection that is of no more use.
func (r *run) drop() {
	r.conn.Close()
	r.stop()
	r.conn = nil
}

// attempt sends one batch and returns a result for each recipient.
func (r *run) attempt(ctx context.Context, b *mail.Batch) []mail.Result {
	start := time.Now()
	results := make([]mail.Result, len(b.Rcpts))
	for i, k := range b.Rcpts {
		results[i].ID, results[i].Rcpt = b.ID, k
	}
	r.a = attempt{b: b, env: r.d.masqueraded(b.Env), results: results}
	a := &r.a
	r.deliver(ctx, a)
	if a.body != nil {
		_ = a.body.Close() // read only: nothing can be lost
	}
	*a = attempt{}
	took := time.Since(start)
	for i := range results {
		results[i].Took = took
	}
	return results
}

// attempt is one batch in work. A result without an Outcome is still open.
type attempt struct {
	b       *mail.Batch
	env     *mail.Envelope // as remote hops see it
	results []mail.Result
	body    Body // nil until it is needed
	sent    smtpclient.Body
	unfit   *trouble // why some server could not take the message as it is
}

// deliver goes from server to server, and at last to the fallback, until each recipient is
// decided.
func (r *run) deliver(ctx context.Context, a *attempt) {
	for r.list(a) > 0 {
		if r.conn == nil {
			if t := r.connect(ctx); t != nil {
				if r.fallback(t) {
					continue
				}
				r.unreached(a, t)
				return
			}
			if !r.connected() {
				r.last = true
				r.rest(a, &shutTrouble)
				return
			}
		}
		if reply, ok := r.fits(a.env); !ok {
			a.unfit = &trouble{outcome: mail.Failed, reply: reply, ours: true, host: r.at.host(), addr: r.at.addr, tls: r.tls}
			if r.find.more() && r.tried < maxAddresses {
				r.close()
				continue
			}
			if r.fallback(&trouble{}) {
				r.last = true
				continue
			}
			r.rest(a, r.misfit(a))
			return
		}
		if err := r.load(ctx, a); err != nil {
			r.rest(a, localTrouble(err))
			return
		}
		r.send(a)
	}
}

// send runs one transaction with the current server for the recipients that are open.
func (r *run) send(a *attempt) {
	reused := r.conn.Used() > 0
	r.tx = smtpclient.Transaction{Env: a.env, Rcpts: r.rcpts, Body: a.sent}
	r.conn.Send(&r.tx, &r.out)
	if r.out.Answered || r.out.Sent {
		r.spoke = true
	}
	if r.out.Err == nil {
		r.judge(a)
		if r.conn != nil && r.list(a) > 0 { // cannot be, and must not go round for ever
			r.rest(a, &undecidedTrouble)
		}
		return
	}
	if reused && r.out.Local == nil && (goodbye(&r.out) || !r.out.Answered && !r.out.Sent) {
		// The server closed while the connection was idle, or has had enough messages over it (421 to any
		// command, RFC 5321 §3.8: it did not take this one). That is no attempt, and it cannot
		// come twice: the new connection has neither been idle nor used.
		r.again = r.at
		r.drop()
		return
	}
	r.find.why.add(serverTrouble(&r.at, r.tls, r.out.Err, false))
	r.judge(a)
	if r.conn != nil {
		r.drop()
	}
}

// goodbye reports whether the server closed the connection with a 421.
func goodbye(o *smtpclient.Outcome) bool {
	return o.Data.Code == 421 || o.Err.Err == nil && o.Err.Reply.Code == 421
}

// list lists the recipients that are not decided and returns their number.
func (r *run) list(a *attempt) int {
	r.rcpts, r.pos = r.rcpts[:0], r.pos[:0]
	for i := range a.results {
		if a.results[i].Outcome == 0 {
			r.rcpts = append(r.rcpts, a.b.Rcpts[i])
			r.pos = append(r.pos, i)
		}
	}
	return len(r.rcpts)
}

// fits reports whether the server can take the message as it is. REQUIRETLS also wants a way to
// the server's name that nobody can have forged (RFC 8689 §4.2.1).
func (r *run) fits(env *mail.Envelope) (mail.Reply, bool) {
	if env.Sender.RequireTLS && !r.at.sure {
		return mail.NewReply(550, mail.Enhanced(5, 7, 30), "REQUIRETLS support required: the mail exchanger is not authenticated"), false
	}
	return r.conn.Fits(env, r.rcpts)
}

// load opens the body.
func (r *run) load(ctx context.Context, a *attempt) error {
	if a.body != nil {
		return nil
	}
	body, err := r.d.o.Body(ctx, a.b.ID)
	if err != nil {
		return err
	}
	a.body = body
	a.sent, r.splice, err = r.d.outgoing(a.b.Env, body, r.splice, r.d.o.Masquerade)
	return err
}

// fallback turns to the hop that takes over where direct delivery cannot be made. It reports
// false if there is none, or if the domain said that it takes no mail.
func (r *run) fallback(t *trouble) bool {
	next := r.hop.Fallback
	if next == nil || t.final || t == &shutTrouble {
		return false
	}
	if r.conn != nil {
		r.close()
	}
	r.passOver()
	r.hop, r.find, r.tried = next, newFinder(r.d, next), 0
	return true
}

// unreached decides what is open when no server is left.
func (r *run) unreached(a *attempt, t *trouble) {
	if a.unfit != nil && t != &shutTrouble {
		r.passOver()
		r.rest(a, r.misfit(a))
		return
	}
	r.rest(a, t)
	if r.spoke || t == &shutTrouble {
		return
	}
	for _, i := range r.pos {
		a.results[i].HopDown = true
	}
}

// passOver remembers why servers were passed over, where that may pass.
func (r *run) passOver() {
	if t := r.find.why.passing; t != nil {
		r.passed = t
	}
}

// misfit says what becomes of a message that no server could take as it is: it is returned, unless one that was
// passed over may take it another time (bad input E17).
func (r *run) misfit(a *attempt) *trouble {
	if r.passed != nil {
		return r.passed
	}
	return a.unfit
}

// rest decides all that is open.
func (r *run) rest(a *attempt, t *trouble) {
	for _, i := range r.pos {
		x := &a.results[i]
		x.Outcome, x.Reply, x.Ours, x.Local = t.outcome, t.reply, t.ours, t.local
		x.Host, x.Addr, x.TLS = t.host, t.addr, t.tls
	}
}

var undecidedTrouble = trouble{outcome: mail.Deferred, ours: true,
	reply: mail.NewReply(451, mail.Enhanced(4, 3, 0), "The transaction ended without a decision")}

// localTrouble is one on our side, such as a spool that cannot be read.
func localTrouble(err error) *trouble {
	reply := mail.LocalReply(err)
	if reply.Permanent() {
		return &trouble{outcome: mail.Failed, ours: true, reply: reply}
	}
	reply.Text = short(reply.Text)
	return &trouble{outcome: mail.Deferred, ours: true, local: true, reply: reply}
}
