package interop

import (
	"strings"
	"testing"

	"github.com/mailroot/mailroot/internal/dns/dnstest"
	"github.com/mailroot/mailroot/test/harness"
)

// Remote domains with routes of their own: an exact name beats a wildcard, a longer wildcard a
// shorter one, all beat the smart host, and "*.x" does not cover x. `test route` says the same.
func TestRouteDomains(t *testing.T) {
	hops := map[string]*harness.Sink{}
	for _, name := range []string{"exact", "wild", "deep", "smart"} {
		hops[name] = harness.NewSink(t, harness.SinkOptions{})
	}
	s := harness.Start(t, harness.Options{
		SmartHost: []string{hops["smart"].Route()},
		Relay:     []string{"192.0.2.1"}, // not us: allow_relay decides
		Domains: []harness.Domain{
			{Name: "www.partner.test", Kind: "remote", Route: []string{hops["exact"].Route()}, AllowRelay: true},
			{Name: "*.partner.test", Kind: "remote", Route: []string{hops["wild"].Route()}, AllowRelay: true},
			{Name: "*.eu.partner.test", Kind: "remote", Route: []string{hops["deep"].Route()}, AllowRelay: true},
			{Name: "unrouted.test", Kind: "remote", AllowRelay: true},
			{Name: "closed.test", Kind: "remote", Route: []string{hops["exact"].Route()}},
		},
	})
	for domain, hop := range map[string]string{
		"www.partner.test": "exact", "WWW.Partner.Test": "exact", "a.partner.test": "wild", "a.www.partner.test": "wild",
		"eu.partner.test": "wild", "a.eu.partner.test": "deep", "unrouted.test": "smart",
	} {
		t.Run(domain, func(t *testing.T) {
			before := len(hops[hop].Messages())
			s.Send("a@client.test", []string{"b@" + domain}, harness.Message("a@client.test", "b@"+domain, "routed", "text"))
			hops[hop].Wait(before + 1)
			if out := s.CLI("test", "route", "b@"+domain); !strings.Contains(out, hops[hop].Route()) {
				t.Errorf("test route does not name %s:\n%s", hops[hop].Route(), out)
			}
		})
	}
	harness.Eventually(t, harness.Patience, "the queue is empty", s.Empty)
	for domain, why := range map[string]string{"partner.test": "*.partner.test does not cover it", "closed.test": "its entry does not allow relay"} {
		c := s.Dial()
		if _, err := c.Cmd(250, "MAIL FROM:<a@client.test>"); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Cmd(550, "RCPT TO:<b@%s>", domain); err != nil {
			t.Errorf("%s: %v, but %s", domain, err, why)
		}
		c.Close()
	}
}

// Direct first: by MX where that works, over to the smart host where it does not, and back to
// the sender where the domain's own server says no.
func TestDirectFirst(t *testing.T) {
	port := harness.FreePort(t, addresses...)
	direct := harness.NewSink(t, harness.SinkOptions{
		Addr: "127.0.0.11:" + itoa(port),
		Answer: func(verb, arg string, _ *harness.SinkMessage) string {
			switch {
			case verb != "RCPT":
			case strings.HasPrefix(arg, "never"):
				return "550 5.1.1 no such user here"
			case strings.HasPrefix(arg, "later"):
				return "450 4.2.1 come back later"
			}
			return ""
		},
	})
	smart := harness.NewSink(t, harness.SinkOptions{})
	dns := dnstest.Start(t, zone)
	s := harness.Start(t, harness.Options{DNS: dns.Addr(), OutboundPort: port, SmartHost: []string{smart.Route()}, DirectFirst: true})
	send := func(to string) {
		s.Send("a@local.test", []string{to}, harness.Message("a@local.test", to, "direct", "text"))
	}
	send("b@order.test") // its first exchanger answers
	direct.Wait(1)
	send("b@gone.test") // no such name
	smart.Wait(1)
	send("b@dead.test") // no connection
	smart.Wait(2)
	send("later@order.test") // 4xx from the domain's own server
	smart.Wait(3)
	send("never@order.test") // 5xx from the domain's own server: an NDR
	if ndr := string(s.WaitDrop(1)[0].Message); !strings.Contains(ndr, "no such user here") {
		t.Errorf("the server's words are not in the NDR\n%s", ndr)
	}
	send("b@null.test") // a null MX: an NDR
	s.WaitDrop(2)
	harness.Eventually(t, harness.Patience, "the queue is empty", s.Empty)
	direct.Wait(1)
	smart.Wait(3)
}
