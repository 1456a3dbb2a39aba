package delivery

import (
	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/message"
	"github.com/mailroot/mailroot/internal/smtpclient"
)

// outgoing returns the message as it leaves: with the edits that the settings ask for. masquerade is
// "" where local domains are to stay.
func (d *Deliverer) outgoing(env *mail.Envelope, body Body, splices []message.Splice, masquerade string) (smtpclient.Body, []message.Splice, error) {
	w := message.Rewrites{Default: env.DefaultDomain, Masquerade: masquerade, Local: d.o.IsLocal}
	if d.o.CompleteHeader {
		w.Complete = env.DefaultDomain
	}
	splices, err := w.Splices(splices[:0], env.Content.Edits, body)
	if err != nil || len(splices) == 0 {
		return body, splices, err
	}
	spliced, err := message.NewSpliced(body, body.Size(), splices)
	return spliced, splices, err
}

// masqueraded returns the envelope as remote hops see it. The stored one stays as it is: a report
// goes to the address that the sender has here.
func (d *Deliverer) masqueraded(env *mail.Envelope) *mail.Envelope {
	from := env.Sender.Addr
	if d.o.Masquerade == "" || from.IsNull() || !d.o.IsLocal(from.Domain) {
		return env
	}
	out := *env
	out.Sender.Addr = from.WithDomain(d.o.Masquerade)
	return &out
}
