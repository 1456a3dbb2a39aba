package delivery

import (
	"crypto/tls"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/smtpclient/smtptest"
)

const (
	offer   = "S: 220 mx\nC: EHLO relay.example.com\nS: 250-mx\nS: 250-DSN\nS: 250-PIPELINING\nS: 250 STARTTLS\n"
	upgrade = offer + "C: STARTTLS\nS: 220 go\n"
	inside  = "C: EHLO relay.example.com\nS: 250-mx\nS: 250-DSN\nS: 250 PIPELINING\n"
)

func TestTLS(t *testing.T) {
	tlsMX1 := upgrade + "TLS mx1.example.org\n" + inside + good(r0) + bye
	for _, c := range []struct {
		name    string
		demand  mail.HopTLS
		mx1     []string
		mx2     []string
		want    string
		maxDial int
	}{
		{"opportunistic, offered", mail.TLSOpportunistic, []string{tlsMX1}, nil, "delivered 250 2.0.0 tls by mx1.example.org", 1},
		{"opportunistic, any certificate", mail.TLSOpportunistic, []string{upgrade + "TLS untrusted.test\n" + inside + good(r0) + bye}, nil, "delivered 250 2.0.0 tls by mx1.example.org", 1},
		{"opportunistic, not offered", mail.TLSOpportunistic, []string{hello + good(r0) + bye}, nil, "delivered 250 2.0.0 by mx1.example.org", 1},
		{"opportunistic, refused: on in plain text", mail.TLSOpportunistic, []string{offer + "C: STARTTLS\nS: 454 4.7.0 not now\n" + good(r0) + bye}, nil, "delivered 250 2.0.0 by mx1.example.org", 1},
		{"opportunistic, handshake fails: anew in plain text", mail.TLSOpportunistic, []string{upgrade + "CLOSE", offer + good(r0) + bye}, nil, "delivered 250 2.0.0 by mx1.example.org", 2},
		{"opportunistic, 421 to STARTTLS: anew in plain text", mail.TLSOpportunistic, []string{offer + "C: STARTTLS\nS: 421 4.7.0 not now\nCLOSE", offer + good(r0) + bye}, nil, "delivered 250 2.0.0 by mx1.example.org", 2},
		{"opportunistic, EHLO refused in TLS: anew in plain text", mail.TLSOpportunistic, []string{upgrade + "TLS mx1.example.org\nC: EHLO relay.example.com\nS: 550 5.0.0 no\n" + bye, offer + good(r0) + bye}, nil, "delivered 250 2.0.0 by mx1.example.org", 2},
		{"C4 required, EHLO refused in TLS", mail.TLSRequired, []string{upgrade + "TLS mx1.example.org\nC: EHLO relay.example.com\nS: 450 4.0.0 no\n" + bye}, nil, "deferred 450 4.0.0 down tls by mx1.example.org", 2},
		{"off", mail.TLSOff, []string{offer + good(r0) + bye}, nil, "delivered 250 2.0.0 by mx1.example.org", 1},
		{"required", mail.TLSRequired, []string{tlsMX1}, nil, "delivered 250 2.0.0 tls by mx1.example.org", 1},
		{"C4 required, stripped: other MX", mail.TLSRequired, []string{hello + bye}, []string{upgrade + "TLS untrusted.test\n" + inside + good(r0) + bye}, "delivered 250 2.0.0 tls by mx2.example.org", 2},
		{"C4 required, stripped everywhere", mail.TLSRequired, []string{hello + bye}, []string{hello + bye}, "deferred 451 4.7.4 ours down by mx2.example.org", 2},
		{"C4 required, handshake fails", mail.TLSRequired, []string{upgrade + "CLOSE"}, nil, "deferred 451 4.7.5 ours down by mx1.example.org", 2},
		{"C4 required, refused", mail.TLSRequired, []string{offer + "C: STARTTLS\nS: 454 4.7.0 not now\n" + bye}, nil, "deferred 454 4.7.0 down by mx1.example.org", 2},
		{"verified", mail.TLSVerified, []string{tlsMX1}, nil, "delivered 250 2.0.0 tls by mx1.example.org", 1},
		{"verified, other name", mail.TLSVerified, []string{upgrade + "TLS mx2.example.org"}, nil, "deferred 451 4.7.5 ours down by mx1.example.org", 2},
		{"verified, not trusted: other MX", mail.TLSVerified, []string{upgrade + "TLS untrusted.test"}, []string{upgrade + "TLS mx2.example.org\n" + inside + good(r0) + bye}, "delivered 250 2.0.0 tls by mx2.example.org", 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			scripts := map[string][]string{mx1: c.mx1}
			if c.mx2 != nil {
				scripts[mx2] = c.mx2
			}
			w := newWorld(t, twoMX(), scripts)
			w.tcp, w.certs = true, smtptest.NewCertificates("mx1.example.org", "mx2.example.org")
			o := w.options()
			o.TLS = &tls.Config{RootCAs: w.certs.Pool}
			hop := mxHop("example.org")
			hop.TLS = c.demand
			q := newWork(t, batch(1, r0))
			q.run(New(o), hop)
			q.expect(1, c.want)
			if len(w.dialed) != c.maxDial {
				t.Errorf("connections to %v, want %d", w.dialed, c.maxDial)
			}
			if tls := q.results[1][0].TLS; tls != "" && !strings.HasPrefix(tls, "TLS1.3 TLS_") {
				t.Errorf("TLS %q", tls)
			}
		})
	}
}

func TestBrokenTLSRemembered(t *testing.T) {
	w := newWorld(t, twoMX(), map[string][]string{mx1: {upgrade + "CLOSE", offer + good(r0) + bye, offer + good(r0) + bye}})
	w.tcp, w.certs = true, smtptest.NewCertificates()
	d := New(w.options())
	for id := range mail.QueueID(2) {
		q := newWork(t, batch(id+1, r0))
		q.run(d, mxHop("example.org"))
		q.expect(id+1, "delivered 250 2.0.0 by mx1.example.org")
	}
	if len(w.dialed) != 3 {
		t.Errorf("%d connections, want 3: the second run knows that TLS is broken", len(w.dialed))
	}
	synctest.Test(t, func(t *testing.T) {
		var b brokenTLS
		addr := netip.MustParseAddrPort(mx1)
		b.add(addr)
		time.Sleep(brokenFor)
		if !b.has(addr) {
			t.Error("forgotten too early")
		}
		time.Sleep(time.Second)
		if b.has(addr) {
			t.Error("remembered for ever")
		}
		for i := range 3 * maxBroken {
			b.add(netip.MustParseAddrPort(fmt.Sprintf("192.0.2.1:%d", i+1)))
		}
		if len(b.until) > maxBroken {
			t.Errorf("%d addresses are remembered", len(b.until))
		}
	})
}
