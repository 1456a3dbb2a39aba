package delivery

import "github.com/mailroot/mailroot/internal/mail"

// judge turns the outcome of a transaction into results. What the server did not decide stays
// open, for the next server.
func (r *run) judge(a *attempt) {
	o := &r.out
	if o.Local != nil {
		t := localTrouble(o.Local)
		r.rest(a, t)
		return
	}
	accepted := 0
	for k := range o.Rcpts {
		if o.Rcpts[k].Positive() {
			accepted++
		}
	}
	deferred := false
	for k, i := range r.pos {
		x := &a.results[i]
		switch {
		case refused(o.Mail):
			r.refuse(x, o.Mail)
		case o.Rcpts[k].Positive():
			r.decide(x)
		case !o.Rcpts[k].IsZero() && (o.Err == nil || o.Sent || o.Rcpts[k].Permanent()):
			r.refuseRcpt(x, o.Rcpts[k], accepted > 0 && !o.Data.Transient() && o.Err == nil)
		case o.Err == nil && k >= o.Asked:
			r.set(x, mail.Overflow, mail.NewReply(452, mail.Enhanced(4, 5, 3), "The server takes no more recipients at once"))
			x.Ours = true
		}
		if r.hop.Fallback != nil && x.Outcome == mail.Deferred && !x.MayRepeat && !x.Ours {
			deferred = true
			*x = mail.Result{ID: x.ID, Rcpt: x.Rcpt} // open again, for the fallback
		}
	}
	if deferred {
		r.last = r.fallback(&trouble{})
	}
}

func refused(reply mail.Reply) bool { return !reply.IsZero() && !reply.Positive() }

// decide sets the result of a recipient that the server accepted.
func (r *run) decide(x *mail.Result) {
	o := &r.out
	switch {
	case refused(o.Data):
		r.refuse(x, o.Data)
	case !o.Data.IsZero():
		r.set(x, mail.Delivered, o.Data)
		x.NoDSN = !r.conn.Offers().DSN
	case o.Sent: // bad input C3
		reply, _ := o.Err.Answer(r.at.host())
		reply.Text = "After the end of the message, so that it may have been delivered: " + reply.Text
		r.set(x, mail.Deferred, shortReply(reply))
		x.Ours, x.MayRepeat = true, true
	}
}

// refuseRcpt sets the result of a recipient that the server refused by name. surplus says that others of the
// transaction went through, so that a 452 means "not so many at once", and so does a 552 of an old server (RFC 5321
// §4.5.3.1.10).
func (r *run) refuseRcpt(x *mail.Result, reply mail.Reply, surplus bool) {
	tooMany := reply.Code == 452 && reply.Enhanced.Subject != 2 || // 4.2.x is about the mailbox
		reply.Transient() && reply.Enhanced == mail.Enhanced(4, 5, 3) ||
		reply.Code == 552 && (reply.Enhanced.IsZero() || reply.Enhanced == mail.Enhanced(5, 5, 3))
	switch {
	case tooMany && surplus:
		r.set(x, mail.Overflow, reply)
	case tooMany:
		r.set(x, mail.Deferred, reply)
	default:
		r.refuse(x, reply)
	}
}

// refuse sets the result of a recipient from the server's no.
func (r *run) refuse(x *mail.Result, reply mail.Reply) {
	outcome := mail.Deferred
	if reply.Permanent() && !operatorsToMend(reply) {
		outcome = mail.Failed
	}
	r.set(x, outcome, reply)
}

// operatorsToMend reports whether we are to log on, or to use TLS: the sender can do nothing about that.
func operatorsToMend(reply mail.Reply) bool { return reply.Code == 530 || reply.Code == 535 }

func (r *run) set(x *mail.Result, outcome mail.Outcome, reply mail.Reply) {
	x.Outcome, x.Reply = outcome, shortReply(reply)
	x.Host, x.Addr, x.TLS = r.at.host(), r.at.addr, r.tls
}
