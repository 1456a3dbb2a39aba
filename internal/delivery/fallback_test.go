package delivery

import (
	"errors"
	"net/netip"
	"testing"

	"github.com/mailroot/mailroot/internal/dns"
	"github.com/mailroot/mailroot/internal/mail"
)

// TestFallback: direct delivery first, the smart host in the same attempt where that cannot be
// made.
func TestFallback(t *testing.T) {
	const smart = "192.0.2.99:2525"
	over := "delivered 250 2.0.0 by [192.0.2.99]"
	for _, c := range []struct {
		name   string
		zone   map[string]dns.Records // of the domain; nil: does not exist
		direct string                 // the script of the domain's server, "" for none
		tls    mail.HopTLS
		smart  string
		want   []string // two recipients
	}{
		{name: "direct works", direct: hello + good(r0, r1) + bye, want: []string{"delivered 250 2.0.0 by mx1.example.org", "delivered 250 2.0.0 by mx1.example.org"}},
		{name: "no such name", zone: map[string]dns.Records{}, smart: hello + good(r0, r1) + bye, want: []string{over, over}},
		{name: "no DNS answer", zone: map[string]dns.Records{"example.org": {Err: errors.New("timeout")}}, smart: hello + good(r0, r1) + bye, want: []string{over, over}},
		{name: "no connection", smart: hello + good(r0, r1) + bye, want: []string{over, over}},
		{name: "greeting 4xx", direct: "S: 450 no\n" + bye, smart: hello + good(r0, r1) + bye, want: []string{over, over}},
		{name: "greeting 5xx is the domain's word", direct: "S: 554 no\n" + bye, want: []string{"failed 554 down by mx1.example.org", "failed 554 down by mx1.example.org"}},
		{name: "no TLS as required", direct: hello + bye, tls: mail.TLSRequired, smart: hello + good(r0, r1) + bye, want: []string{over, over}},
		{name: "4xx to MAIL", direct: hello + flight(r0, r1) + "S: 451 no\nS: 503 no\nS: 503 no\nS: 503 no\n" + bye, smart: hello + good(r0, r1) + bye, want: []string{over, over}},
		{name: "4xx to one recipient, 5xx to another", direct: hello + flight(r0, r1) + "S: 250 Ok\nS: 450 4.7.1 greylisted\nS: 550 5.1.1 no\nS: 554 none\n" + bye, smart: hello + good(r0) + bye, want: []string{over, "failed 550 5.1.1 by mx1.example.org"}},
		{name: "4xx to one recipient, the other accepted", direct: hello + flight(r0, r1) + "S: 250 Ok\nS: 450 4.7.1 greylisted\nS: 250 Ok\nS: 354 go\nC: x\nC: .\nS: 250 2.0.0 Ok\n" + bye, smart: hello + good(r0) + bye, want: []string{over, "delivered 250 2.0.0 by mx1.example.org"}},
		{name: "4xx to the data", direct: hello + flight(r0, r1) + "S: 250 Ok\nS: 250 Ok\nS: 250 Ok\nS: 354 go\nC: x\nC: .\nS: 451 no\n" + bye, smart: hello + good(r0, r1) + bye, want: []string{over, over}},
		{name: "5xx to the data", direct: hello + flight(r0, r1) + "S: 250 Ok\nS: 250 Ok\nS: 250 Ok\nS: 354 go\nC: x\nC: .\nS: 554 no\n" + bye, want: []string{"failed 554 by mx1.example.org", "failed 554 by mx1.example.org"}},
		{name: "C3 unknown outcome is not sent again", direct: hello + flight(r0, r1) + "S: 250 Ok\nS: 250 Ok\nS: 250 Ok\nS: 354 go\nC: x\nC: .\nCLOSE", want: []string{"deferred 451 4.4.2 ours repeat by mx1.example.org", "deferred 451 4.4.2 ours repeat by mx1.example.org"}},
		{name: "R9 null MX", zone: map[string]dns.Records{"example.org": {MX: []dns.MX{{Host: "."}}}}, want: []string{"failed 556 5.1.10 ours down", "failed 556 5.1.10 ours down"}},
		{name: "both fail", smart: "S: 554 no\n" + bye, want: []string{"deferred 554 down by [192.0.2.99]", "deferred 554 down by [192.0.2.99]"}},
		{name: "the smart host's 4xx stays", smart: hello + flight(r0, r1) + "S: 451 no\nS: 503 no\nS: 503 no\nS: 503 no\n" + bye, want: []string{"deferred 451 by [192.0.2.99]", "deferred 451 by [192.0.2.99]"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			zone := c.zone
			if zone == nil {
				zone = map[string]dns.Records{"example.org": {MX: []dns.MX{{Host: "mx1.example.org", Pref: 10}}}, "mx1.example.org": {Addrs: addrs("192.0.2.1")}}
			}
			scripts := map[string][]string{}
			if c.direct != "" {
				scripts[mx1] = []string{c.direct}
			}
			if c.smart != "" {
				scripts[smart] = []string{c.smart}
			}
			w := newWorld(t, zone, scripts)
			hop := mxHop("example.org")
			hop.TLS = c.tls
			hop.Fallback = &mail.Hop{Key: smart, Kind: mail.HopHosts, Hosts: []mail.Host{{Addr: netip.MustParseAddr("192.0.2.99")}}, Port: 2525}
			q := newWork(t, batch(1, r0, r1))
			q.run(New(w.options()), hop)
			q.expect(1, c.want...)
		})
	}
}

func TestFallbackConnectionIsUsedAgain(t *testing.T) {
	// While the domain cannot be reached, the run goes on with the smart host. After a 4xx of
	// the domain's server it ends, so that the next message is tried directly.
	hop := mxHop("example.org")
	hop.Fallback = &mail.Hop{Kind: mail.HopHosts, Hosts: []mail.Host{{Addr: netip.MustParseAddr("192.0.2.2")}}, Port: 25}
	w := newWorld(t, nil, map[string][]string{mx2: {hello + good(r0) + good(r1) + bye}})
	q := newWork(t, batch(1, r0), batch(2, r1))
	q.run(New(w.options()), hop)
	q.expect(1, "delivered 250 2.0.0 by [192.0.2.2]")
	q.expect(2, "delivered 250 2.0.0 by [192.0.2.2]")

	zone := twoMX()
	zone["example.org"] = dns.Records{MX: []dns.MX{{Host: "mx1.example.org"}}}
	w = newWorld(t, zone, map[string][]string{
		mx1: {hello + flight(r0) + "S: 250 Ok\nS: 450 greylisted\nS: 554 no\n" + bye},
		mx2: {hello + good(r0) + bye},
	})
	q = newWork(t, batch(1, r0), batch(2, r1))
	q.run(New(w.options()), hop)
	q.expect(1, "delivered 250 2.0.0 by [192.0.2.2]")
	if len(q.left) != 1 {
		t.Error("the run went on with the smart host")
	}
}
