package delivery

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"strings"

	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/smtpclient"
)

// trouble says why a server, or a whole next hop, cannot be used.
type trouble struct {
	outcome mail.Outcome // Deferred or Failed
	reply   mail.Reply
	ours    bool
	local   bool // the message could not be read: no server is at fault
	final   bool // nor may a fallback be used: the domain itself said no
	rank    rank // how much it tells
	host    string
	addr    netip.AddrPort
	tls     string
}

// rank orders troubles: what a person needs to know most is highest.
type rank uint8

const (
	rankDNS     rank = iota + 1
	rankSelf         // we are the exchanger, so others were dropped
	rankConnect      // no connection
	rankLost         // a connection that was lost or made no sense
	rankAnswer       // the server's own words, or what came of TLS
)

// troubles keeps the most telling trouble. As long as one of them may pass, the whole may.
type troubles struct {
	passing *trouble // Deferred
	lasting *trouble // Failed
}

func (t *troubles) add(n *trouble) {
	at := &t.passing
	if n.outcome == mail.Failed {
		at = &t.lasting
	}
	if *at == nil || n.rank >= (*at).rank {
		*at = n
	}
}

// worst returns what to say when nothing worked.
func (t *troubles) worst() *trouble {
	switch {
	case t.passing != nil && t.lasting != nil && !t.lasting.ours && t.lasting.rank > t.passing.rank:
		told := *t.lasting // a server's words tell most
		told.outcome, told.final = mail.Deferred, false
		return &told
	case t.passing != nil:
		return t.passing
	case t.lasting != nil:
		return t.lasting
	}
	return &trouble{outcome: mail.Deferred, ours: true,
		reply: mail.NewReply(451, mail.Enhanced(4, 4, 4), "The next hop has no server")}
}

// connectTrouble says that there was no connection.
func connectTrouble(at *target, err error) *trouble {
	why := err.Error()
	var op *net.OpError
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded) || isTimeout(err):
		why = "no answer in time"
	case errors.As(err, &op) && op.Err != nil:
		why = op.Err.Error()
	}
	return &trouble{outcome: mail.Deferred, ours: true, rank: rankConnect, host: at.host(), addr: at.addr,
		reply: mail.NewReply(451, mail.Enhanced(4, 4, 1), "No connection to "+at.host()+" ("+at.addr.String()+"): "+short(why))}
}

func isTimeout(err error) bool {
	var n net.Error
	return errors.As(err, &n) && n.Timeout()
}

// serverTrouble says what came of a connection. All of it may pass, but for the no of a domain's own server (mx) to the
// greeting or to EHLO, which is the domain's word (RFC 5321 §3.1): unless another server of it may still do. A smart
// host that greets with 554 is for the operator to mend.
func serverTrouble(at *target, tls string, err error, mx bool) *trouble {
	t := &trouble{outcome: mail.Deferred, rank: rankLost, host: at.host(), addr: at.addr, tls: tls}
	var e *smtpclient.Error
	if !errors.As(err, &e) {
		t.ours = true
		t.reply = mail.NewReply(451, mail.Enhanced(4, 4, 2), short(err.Error()))
		return t
	}
	t.reply, t.ours = e.Answer(at.host())
	t.reply = shortReply(t.reply)
	if !t.ours || t.reply.Enhanced.Subject == 7 {
		t.rank = rankAnswer
	}
	if mx && !t.ours && t.reply.Permanent() && !operatorsToMend(t.reply) && e.BeforeMail() {
		t.outcome, t.final = mail.Failed, true
	}
	return t
}

var shutTrouble = trouble{outcome: mail.Deferred, ours: true,
	reply: mail.NewReply(451, mail.Enhanced(4, 3, 2), "The attempt was broken off, the service stops")}

const (
	maxShort     = 300  // octets of an error's text
	maxReplyText = 4096 // octets kept of a server's reply
)

// short bounds a text that others had a hand in.
func short(s string) string {
	if len(s) > maxShort {
		s = strings.ToValidUTF8(s[:maxShort], "") + " ..."
	}
	return s
}

// shortReply bounds a server's reply, which is stored with each recipient.
func shortReply(r mail.Reply) mail.Reply {
	if len(r.Text) > maxReplyText {
		r.Text = strings.Clone(r.Text[:maxReplyText])
	}
	return r
}
