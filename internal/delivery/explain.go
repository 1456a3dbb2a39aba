package delivery

import (
	"context"
	"fmt"

	"github.com/mailroot/mailroot/internal/mail"
)

// Explain tells in words which servers a run of hop would try and in which order, a step each, with all
// look-ups but without a connection. The error says why there is none; it is or wraps a *mail.Error,
// permanent when mail would be returned at once.
func (d *Deliverer) Explain(ctx context.Context, hop *mail.Hop) (steps []string, err error) {
	if hop.Local() {
		return []string{"a file is written to " + d.o.Drop.Dir}, nil
	}
	f := newFinder(d, hop)
	var told *trouble
	n := 0
	for n < maxAddresses {
		t, ok := f.next(ctx)
		// What stands in the way of a server that would come first is told before those behind it.
		if w := f.why.worst(); w.rank != 0 && w != told {
			told = w
			steps = append(steps, "not to be used: "+w.reply.Text)
		}
		if !ok {
			break
		}
		n++
		steps = append(steps, fmt.Sprintf("server %d: %s at %s%s", n, t.host(), t.addr, tlsWords(hop.TLS)))
	}
	if n > 0 {
		return append(steps, fallbackWords(hop)...), nil
	}
	worst := f.why.worst()
	if ctx.Err() != nil {
		return steps, ctx.Err()
	}
	if hop.Fallback != nil && !worst.final {
		steps = append(steps, worst.reply.Text+"; so over to "+hop.Fallback.Key)
		more, err := d.Explain(ctx, hop.Fallback)
		return append(steps, more...), err
	}
	return steps, &mail.Error{Reply: worst.reply}
}

func tlsWords(t mail.HopTLS) string {
	switch t {
	case mail.TLSRequired:
		return ", TLS required"
	case mail.TLSVerified:
		return ", TLS with a valid certificate required"
	case mail.TLSOff:
		return ", without TLS"
	}
	return ", TLS if it is offered"
}

func fallbackWords(hop *mail.Hop) []string {
	if hop.Fallback == nil {
		return nil
	}
	return []string{"if none can be reached, or one answers 4xx: over to " + hop.Fallback.Key}
}
