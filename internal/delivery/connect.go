package delivery

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/smtp"
	"github.com/mailroot/mailroot/internal/smtpclient"
)

const (
	dialTimeout  = 30 * time.Second
	maxAddresses = 5 // that are tried in one run (bad input R3)
)

// connect takes a connection to the next server that can be used. Without one it says why.
func (r *run) connect(ctx context.Context) *trouble {
	for ctx.Err() == nil {
		if r.again.addr.IsValid() {
			r.at, r.again = r.again, target{}
		} else {
			t, ok := target{}, false
			if r.tried < maxAddresses {
				t, ok = r.find.next(ctx)
			}
			if !ok {
				break
			}
			r.at = t
			r.tried++
		}
		err := r.open(ctx)
		if err == nil {
			// What stood in the way of others is of no interest now, unless this one turns out to be unfit.
			r.passOver()
			r.find.why = troubles{}
			return nil
		}
		if unreachable(err) {
			r.tried-- // no route, for example no IPv6: nobody was asked
		}
	}
	if ctx.Err() != nil {
		return &shutTrouble
	}
	return r.find.why.worst()
}

// unreachable reports whether the dial failed on this machine.
func unreachable(err error) bool {
	return errors.Is(err, syscall.ENETUNREACH) || errors.Is(err, syscall.EADDRNOTAVAIL)
}

// open connects to r.at up to the point where mail can be sent. Where TLS is opportunistic and
// broken, it connects anew and stays in plain text.
func (r *run) open(ctx context.Context) error {
	plain := r.hop.TLS == mail.TLSOff || r.hop.TLS == mail.TLSOpportunistic && r.d.broken.has(r.at.addr)
	for {
		t, tls, err := r.dial(ctx, plain)
		switch {
		case err == nil:
			return nil
		case tls == tlsUnknown || ctx.Err() != nil:
			r.find.why.add(t)
			return err
		case tls == tlsBroken:
			r.d.broken.add(r.at.addr)
		}
		plain = true
	}
}

// tlsState says what a connection that failed tells about TLS, where that need not be.
type tlsState uint8

const (
	tlsUnknown tlsState = iota // it did not come to that, or a connection without TLS is not in order
	tlsBusy                    // not at this moment
	tlsBroken
)

// dial makes one connection, or says why there is none.
func (r *run) dial(ctx context.Context, plain bool) (why *trouble, tls tlsState, err error) {
	start := time.Now()
	dctx, cancel := context.WithTimeout(ctx, min(dialTimeout, r.d.o.OutboundTimeout))
	nc, err := r.d.o.Dial(dctx, "tcp", r.at.addr.String())
	cancel()
	if err != nil {
		return connectTrouble(&r.at, err), tlsUnknown, err
	}
	c := smtpclient.New(nc, &smtpclient.Options{
		FQDN:    r.d.o.FQDN,
		UseHELO: r.hop.UseHELO,
		Timeout: r.d.o.OutboundTimeout,
		Record:  r.d.o.Record,
		ID:      r.d.o.ConnID(),
		Start:   start,
	})
	stop := context.AfterFunc(ctx, c.Abort)
	err = c.Greet()
	if err == nil {
		err = c.Hello()
	}
	if err == nil && !plain {
		tls, err = r.startTLS(c)
	}
	if err != nil {
		c.Quit()
		stop()
		return serverTrouble(&r.at, tlsText(c.TLS()), err, r.hop.Kind == mail.HopMX), tls, err
	}
	r.conn, r.stop, r.tls = c, stop, tlsText(c.TLS())
	return nil, tlsUnknown, nil
}

// startTLS upgrades the connection as the hop demands. When it is not demanded and fails,
// the state says whether a connection without it is in order: a server that answers nonsense is
// not trusted with plain text either (bad input C4).
func (r *run) startTLS(c *smtpclient.Conn) (tlsState, error) {
	demanded := r.hop.TLS != mail.TLSOpportunistic
	if !demanded && !c.Offers().StartTLS {
		return tlsUnknown, nil
	}
	err := c.StartTLS(&smtpclient.TLS{
		Config: r.d.tls,
		Host:   r.at.certHost(),
		Verify: r.hop.TLS == mail.TLSVerified,
	})
	var e *smtpclient.Error
	switch {
	case err == nil || demanded || !errors.As(err, &e) || errors.Is(err, smtp.ErrProtocol):
		return tlsUnknown, err
	case e.Err == nil && e.Reply.Code == 421:
		return tlsBusy, err
	case e.Err == nil && e.Phase == "STARTTLS":
		return tlsUnknown, nil // refused: the connection goes on in plain text
	}
	return tlsBroken, err
}

func tlsText(t *mail.TLSInfo) string {
	if t == nil {
		return ""
	}
	return t.Version + " " + t.Cipher
}

const (
	brokenFor = time.Hour
	maxBroken = 1024
)

// brokenTLS remembers for a while which servers offer STARTTLS but cannot do it.
type brokenTLS struct {
	mu    sync.Mutex
	until map[netip.AddrPort]time.Time
}

func (b *brokenTLS) has(addr netip.AddrPort) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	until, ok := b.until[addr]
	if ok && time.Now().After(until) {
		delete(b.until, addr)
		ok = false
	}
	return ok
}

func (b *brokenTLS) add(addr netip.AddrPort) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.until) >= maxBroken {
		clear(b.until) // at worst each of them fails once more
	}
	if b.until == nil {
		b.until = make(map[netip.AddrPort]time.Time)
	}
	b.until[addr] = time.Now().Add(brokenFor)
}
