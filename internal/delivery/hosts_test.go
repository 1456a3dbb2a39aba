package delivery

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/mailroot/mailroot/internal/dns"
	"github.com/mailroot/mailroot/internal/mail"
)

// find lists the targets of a hop and, if there is none, the verdict.
func find(d *Deliverer, hop *mail.Hop) (out []string, verdict string) {
	f := newFinder(d, hop)
	for {
		t, ok := f.next(context.Background())
		if !ok {
			break
		}
		out = append(out, t.host()+"="+t.addr.String())
	}
	if len(out) == 0 {
		w := f.why.worst()
		verdict = fmt.Sprintf("%s %d %s final=%v", map[mail.Outcome]string{mail.Failed: "failed", mail.Deferred: "deferred"}[w.outcome], w.reply.Code, w.reply.Enhanced, w.final)
	}
	return out, verdict
}

func TestFindHosts(t *testing.T) {
	servfail := errors.New("server failure")
	zone := map[string]dns.Records{
		"two.test":           {MX: []dns.MX{{Host: "b.test", Pref: 20}, {Host: "a.test", Pref: 10}}},
		"a.test":             {Addrs: addrs("192.0.2.1", "2001:db8::1", "192.0.2.11")},
		"b.test":             {Addrs: addrs("192.0.2.2")},
		"nomx.test":          {Addrs: addrs("192.0.2.3")},
		"null.test":          {MX: []dns.MX{{Host: ".", Pref: 0}}, Addrs: addrs("192.0.2.4")},
		"nothing.test":       {TXT: []string{"x"}},
		"servfail.test":      {Err: servfail},
		"half.test":          {MX: []dns.MX{{Host: "servfail.test", Pref: 10}, {Host: "b.test", Pref: 20}}},
		"softonly.test":      {MX: []dns.MX{{Host: "servfail.test", Pref: 10}, {Host: "gone.test", Pref: 20}}},
		"dangling.test":      {MX: []dns.MX{{Host: "gone.test", Pref: 10}}},
		"alias.test":         {CNAME: "two.test"},
		"self.test":          {MX: []dns.MX{{Host: "Relay.Example.COM", Pref: 10}, {Host: "b.test", Pref: 20}}},
		"relay.example.com":  {Addrs: addrs("192.0.2.200")},
		"backup.test":        {MX: []dns.MX{{Host: "a.test", Pref: 5}, {Host: "relay.example.com", Pref: 10}, {Host: "b.test", Pref: 10}, {Host: "nomx.test", Pref: 20}}},
		"ourname.test":       {CNAME: "relay.example.com"},
		"selfalias.test":     {MX: []dns.MX{{Host: "a.test", Pref: 5}, {Host: "ourname.test", Pref: 10}, {Host: "b.test", Pref: 10}}},
		"selfelsewhere.test": {CNAME: "relay.example.com"},
		"ours.test":          {Addrs: addrs("192.0.2.200")},
		"selfaddr.test":      {MX: []dns.MX{{Host: "a.test", Pref: 5}, {Host: "ours.test", Pref: 10}, {Host: "b.test", Pref: 10}}},
		"selfimplicit.test":  {Addrs: addrs("192.0.2.200")},
		"private.test":       {MX: []dns.MX{{Host: "in.private.test", Pref: 10}}},
		"in.private.test":    {Addrs: addrs("10.0.0.1", "fd00::1")},
		"loop.test":          {MX: []dns.MX{{Host: "in.loop.test", Pref: 10}}},
		"in.loop.test":       {Addrs: addrs("127.0.0.9")},
		"loop2.test":         {MX: []dns.MX{{Host: "in.loop.test", Pref: 10}, {Host: "b.test", Pref: 20}}},
		"zero.test":          {Addrs: addrs("0.0.0.0")},
		"multicast.test":     {Addrs: addrs("224.0.0.1")},
		"smart.test":         {MX: []dns.MX{{Host: "a.test", Pref: 10}}, Addrs: addrs("192.0.2.99")},
		"localsmart.test":    {Addrs: addrs("127.0.0.1")},
		"selfsmart.test":     {Addrs: addrs("192.0.2.200")},
		"cnameloop.test":     {CNAME: "cnameloop2.test"},
		"cnameloop2.test":    {CNAME: "cnameloop.test"},
		"mapped.test":        {Addrs: addrs("::ffff:192.0.2.5")},
		"manyaddresses.test": {Addrs: many(60)},
	}
	self := func(a netip.AddrPort) bool { return a.Addr() == netip.MustParseAddr("192.0.2.200") }
	mx := func(domain string) *mail.Hop { return &mail.Hop{Kind: mail.HopMX, Domain: domain} }
	hosts := func(h ...mail.Host) *mail.Hop { return &mail.Hop{Kind: mail.HopHosts, Hosts: h, Port: 2525} }
	v4 := netip.MustParseAddr("192.0.2.77")
	otherPort := func(o *Options) { o.IsSelf = nil } // what listens at our addresses is not us
	for _, c := range []struct {
		name    string
		hop     *mail.Hop
		set     func(*Options)
		want    string // targets
		verdict string
	}{
		{name: "order of preference, families in turn", hop: mx("two.test"), want: "a.test=192.0.2.1:25 a.test=[2001:db8::1]:25 a.test=192.0.2.11:25 b.test=192.0.2.2:25"},
		{name: "CNAME", hop: mx("alias.test"), want: "a.test=192.0.2.1:25 a.test=[2001:db8::1]:25 a.test=192.0.2.11:25 b.test=192.0.2.2:25"},
		{name: "port of the hop", hop: &mail.Hop{Kind: mail.HopMX, Domain: "nomx.test", Port: 2025}, want: "nomx.test=192.0.2.3:2025"},
		{name: "implicit MX", hop: mx("nomx.test"), want: "nomx.test=192.0.2.3:25"},
		{name: "mapped address", hop: mx("mapped.test"), want: "mapped.test=192.0.2.5:25"},
		{name: "R9 null MX", hop: mx("null.test"), verdict: "failed 556 5.1.10 final=true"},
		{name: "no such domain", hop: mx("gone.test"), verdict: "failed 550 5.1.2 final=false"},
		{name: "neither MX nor address", hop: mx("nothing.test"), verdict: "failed 550 5.4.4 final=false"},
		{name: "temporary", hop: mx("servfail.test"), verdict: "deferred 451 4.4.3 final=false"},
		{name: "temporary for one exchanger", hop: mx("half.test"), want: "b.test=192.0.2.2:25"},
		{name: "temporary beats lasting", hop: mx("softonly.test"), verdict: "deferred 451 4.4.3 final=false"},
		{name: "exchanger without address", hop: mx("dangling.test"), verdict: "failed 550 5.4.4 final=false"},
		{name: "R3 CNAME loop", hop: mx("cnameloop.test"), verdict: "deferred 451 4.4.3 final=false"},
		{name: "R9 we are the best exchanger", hop: mx("self.test"), verdict: "failed 554 5.4.6 final=false"},
		{name: "R9 we are a backup, by name", hop: mx("backup.test"), want: "a.test=192.0.2.1:25 a.test=[2001:db8::1]:25 a.test=192.0.2.11:25"},
		{name: "R9 we are a backup, by address", hop: mx("selfaddr.test"), want: "a.test=192.0.2.1:25 a.test=[2001:db8::1]:25 a.test=192.0.2.11:25"},
		{name: "R9 the domain is our address", hop: mx("selfimplicit.test"), verdict: "failed 554 5.4.6 final=false"},
		{name: "R9 the domain is our name", hop: mx("relay.example.com"), verdict: "failed 554 5.4.6 final=false"},
		{name: "R9 we are a backup, by an alias", hop: mx("selfalias.test"), set: otherPort, want: "a.test=192.0.2.1:25 a.test=[2001:db8::1]:25 a.test=192.0.2.11:25"},
		{name: "R9 the domain is an alias for our name", hop: mx("selfelsewhere.test"), set: otherPort, verdict: "failed 554 5.4.6 final=false"},
		{name: "hosts: an alias for our name, at another port", hop: hosts(mail.Host{Name: "ourname.test"}), set: otherPort, want: "ourname.test=192.0.2.200:2525"},
		{name: "R9 private", hop: mx("private.test"), want: "in.private.test=10.0.0.1:25 in.private.test=[fd00::1]:25"},
		{name: "R9 private, blocked", hop: mx("private.test"), set: func(o *Options) { o.BlockPrivateMX = true }, verdict: "failed 550 5.4.4 final=false"},
		{name: "R9 loopback", hop: mx("loop.test"), verdict: "failed 550 5.4.4 final=false"},
		{name: "R9 loopback and another", hop: mx("loop2.test"), want: "b.test=192.0.2.2:25"},
		{name: "R9 loopback, allowed", hop: mx("loop.test"), set: func(o *Options) { o.AllowLoopbackMX = true }, want: "in.loop.test=127.0.0.9:25"},
		{name: "R9 unspecified address", hop: mx("zero.test"), verdict: "failed 550 5.4.4 final=false"},
		{name: "multicast", hop: mx("multicast.test"), verdict: "failed 550 5.4.4 final=false"},
		{name: "address literal", hop: mx("[192.0.2.66]"), want: "[192.0.2.66]=192.0.2.66:25"},
		{name: "address literal, IPv6", hop: mx("[ipv6:2001:db8::66]"), want: "[2001:db8::66]=[2001:db8::66]:25"},
		{name: "E8 address literal, loopback", hop: mx("[127.0.0.1]"), verdict: "failed 550 5.4.4 final=false"},
		{name: "E8 address literal, own", hop: mx("[192.0.2.200]"), verdict: "failed 554 5.4.6 final=false"},
		{name: "E8 address literal, bad", hop: mx("[x]"), verdict: "failed 550 5.1.2 final=false"},
		{name: "hosts: address", hop: hosts(mail.Host{Addr: v4}, mail.Host{Addr: v4, Port: 26}), want: "[192.0.2.77]=192.0.2.77:2525 [192.0.2.77]=192.0.2.77:26"},
		{name: "hosts: name by MX", hop: hosts(mail.Host{Name: "smart.test", Port: 587}), want: "a.test=192.0.2.1:587 a.test=[2001:db8::1]:587 a.test=192.0.2.11:587"},
		{name: "hosts: name by address", hop: hosts(mail.Host{Name: "nomx.test"}), want: "nomx.test=192.0.2.3:2525"},
		{name: "hosts: null MX has an address", hop: hosts(mail.Host{Name: "null.test"}), want: "null.test=192.0.2.4:2525"},
		{name: "hosts: in order", hop: hosts(mail.Host{Name: "b.test"}, mail.Host{Name: "gone.test"}, mail.Host{Addr: v4}), want: "b.test=192.0.2.2:2525 [192.0.2.77]=192.0.2.77:2525"},
		{name: "hosts: loopback is fine", hop: hosts(mail.Host{Name: "localsmart.test"}), want: "localsmart.test=127.0.0.1:2525"},
		{name: "hosts: private is fine", hop: hosts(mail.Host{Name: "in.private.test"}), set: func(o *Options) { o.BlockPrivateMX = true }, want: "in.private.test=10.0.0.1:2525 in.private.test=[fd00::1]:2525"},
		{name: "R9 hosts: ourselves", hop: hosts(mail.Host{Name: "selfsmart.test"}), verdict: "failed 554 5.4.6 final=false"},
		{name: "R9 hosts: our address", hop: hosts(mail.Host{Addr: netip.MustParseAddr("192.0.2.200")}), verdict: "failed 554 5.4.6 final=false"},
		{name: "hosts: no such name", hop: hosts(mail.Host{Name: "gone.test"}), verdict: "deferred 451 4.4.4 final=false"},
		{name: "hosts: temporary", hop: hosts(mail.Host{Name: "servfail.test"}), verdict: "deferred 451 4.4.3 final=false"},
		{name: "hosts: none", hop: hosts(), verdict: "deferred 451 4.4.4 final=false"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := Options{Resolver: dns.NewFake(zone), FQDN: "relay.example.com", IsSelf: self}
			if c.set != nil {
				c.set(&o)
			}
			got, verdict := find(New(o), c.hop)
			if g := strings.Join(got, " "); g != c.want || verdict != c.verdict {
				t.Errorf("got %q %q, want %q %q", g, verdict, c.want, c.verdict)
			}
		})
	}
}

func many(n int) (out []netip.Addr) {
	a := netip.MustParseAddr("192.0.2.1")
	for range n {
		out = append(out, a)
		a = a.Next()
	}
	return out
}

func TestEqualPreferenceShuffled(t *testing.T) {
	zone := map[string]dns.Records{"last.test": {Addrs: addrs("192.0.2.50")}}
	set := dns.Records{MX: []dns.MX{{Host: "last.test", Pref: 20}}}
	for i := range 4 {
		host := fmt.Sprintf("h%d.test", i)
		set.MX = append(set.MX, dns.MX{Host: host, Pref: 10})
		zone[host] = dns.Records{Addrs: addrs(fmt.Sprintf("192.0.2.%d", i+1))}
	}
	zone["eq.test"] = set
	d := New(Options{Resolver: dns.NewFake(zone)})
	orders := map[string]bool{}
	for range 200 {
		got, _ := find(d, &mail.Hop{Kind: mail.HopMX, Domain: "eq.test"})
		if len(got) != 5 || got[4] != "last.test=192.0.2.50:25" {
			t.Fatalf("got %v", got)
		}
		orders[strings.Join(got, " ")] = true
		slices.Sort(got[:4])
		for i := range 4 {
			if !strings.HasPrefix(got[i], fmt.Sprintf("h%d.test=", i)) {
				t.Fatalf("got %v", got)
			}
		}
	}
	if len(orders) < 10 { // of 24: the chance to see fewer is nil
		t.Errorf("%d orders of 4 equal exchangers in 200 look-ups", len(orders))
	}
}

func TestR3Caps(t *testing.T) {
	zone := map[string]dns.Records{"many.test": {Addrs: many(60)}}
	var set dns.Records
	for i := range 300 {
		host := fmt.Sprintf("h%d.test", i)
		set.MX = append(set.MX, dns.MX{Host: host, Pref: uint16(i)})
		zone[host] = dns.Records{Err: dns.ErrNotExist}
	}
	zone["manymx.test"] = set

	t.Run("R3 look-ups of exchangers", func(t *testing.T) {
		fake := dns.NewFake(zone)
		d := New(Options{Resolver: fake})
		if got, verdict := find(d, &mail.Hop{Kind: mail.HopMX, Domain: "manymx.test"}); len(got) != 0 || verdict == "" {
			t.Errorf("got %v", got)
		}
		asked := 0
		for i := range 300 {
			asked += fake.Asked("A", fmt.Sprintf("h%d.test", i))
		}
		if asked != maxLookups {
			t.Errorf("%d hosts were looked up, want %d", asked, maxLookups)
		}
	})
	t.Run("R3 addresses tried", func(t *testing.T) {
		w := newWorld(t, zone, nil)
		q := newWork(t, batch(1, "a@many.test"), batch(2, "a@many.test"))
		q.run(New(w.options()), mxHop("many.test"))
		if len(w.dialed) != maxAddresses {
			t.Errorf("%d addresses were tried: %v", len(w.dialed), w.dialed)
		}
		q.expect(1, "deferred 451 4.4.1 ours down by many.test")
		if len(q.left) != 1 {
			t.Errorf("of a hop that cannot be reached %d batches were taken", 2-len(q.left))
		}
	})
	t.Run("no route is no try", func(t *testing.T) {
		scripts := map[string][]string{}
		for _, a := range many(9) {
			scripts[netip.AddrPortFrom(a, 25).String()] = []string{unreachableAddr}
		}
		scripts["192.0.2.10:25"] = []string{hello + good("a@many.test") + bye}
		w := newWorld(t, zone, scripts)
		q := newWork(t, batch(1, "a@many.test"))
		q.run(New(w.options()), mxHop("many.test"))
		q.expect(1, "delivered 250 2.0.0 by many.test")
	})
}
