package route

import (
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/mailroot/mailroot/internal/mail"
)

func hosts(t testing.TB, list ...string) []mail.Host {
	t.Helper()
	var hs []mail.Host
	for _, s := range list {
		h, err := ParseHost(s)
		if err != nil {
			t.Fatal(err)
		}
		hs = append(hs, h)
	}
	return hs
}

func newTable(t testing.TB, o Options) *Table {
	t.Helper()
	if len(o.Domains) == 0 || o.Domains[0].Kind != Default {
		o.Domains = append([]Domain{{Name: "Example.com", Kind: Default}, {Name: "example.net", Kind: Alias}}, o.Domains...)
	}
	tab, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return tab
}

// word says in short what a hop is.
func word(h *mail.Hop) string {
	s := map[mail.HopKind]string{mail.HopDrop: "drop", mail.HopMX: "mx", mail.HopHosts: "hosts"}[h.Kind] + " " + h.Key
	if h.Fallback != nil {
		s += " else " + word(h.Fallback)
	}
	return s
}

func required() *mail.HopTLS { v := mail.TLSRequired; return &v }

// remotes is a domain list with each kind of entry.
func remotes(t testing.TB) []Domain {
	return []Domain{
		{Name: "partner.test", Kind: Remote, Route: hosts(t, "[10.0.0.1]")},
		{Name: "*.partner.test", Kind: Remote, Route: hosts(t, "[10.0.0.2]:26")},
		{Name: "*.deep.partner.test", Kind: Remote, Route: hosts(t, "gw.partner.test", "10.0.0.3")},
		{Name: "x.deep.partner.test", Kind: Remote, AllowRelay: true},
		{Name: "*.open.test", Kind: Remote, AllowRelay: true, UseHELO: true},
		{Name: "strict.test", Kind: Remote, TLS: required(), MaxConnections: 2},
	}
}

func TestHop(t *testing.T) {
	const (
		noSmart = iota
		smart
		direct
	)
	tables := map[int]*Table{
		noSmart: newTable(t, Options{Domains: remotes(t)}),
		smart:   newTable(t, Options{Domains: remotes(t), SmartHost: hosts(t, "smart.test:587", "[192.0.2.9]"), Port: 2525}),
		direct:  newTable(t, Options{Domains: remotes(t), SmartHost: hosts(t, "smart.test"), DirectFirst: true}),
	}
	const sh = "hosts smart.test:587,[192.0.2.9]:2525"
	for _, c := range []struct{ domain, noSmart, smart, direct string }{
		{"example.com", "drop drop", "", ""},
		{"EXAMPLE.Com", "drop drop", "", ""},
		{"example.net", "drop drop", "", ""},
		{"", "drop drop", "", ""},
		{"sub.example.com", "mx sub.example.com", sh, "mx sub.example.com else hosts smart.test:25"},
		{"other.test", "mx other.test", sh, "mx other.test else hosts smart.test:25"},
		{"Partner.test", "hosts [10.0.0.1]:25", "hosts [10.0.0.1]:2525", "hosts [10.0.0.1]:25"},
		{"a.partner.test", "hosts [10.0.0.2]:26", "", ""},
		{"b.a.partner.test", "hosts [10.0.0.2]:26", "", ""},
		{"deep.partner.test", "hosts [10.0.0.2]:26", "", ""}, // "*.deep…" does not match the name itself
		{"y.deep.partner.test", "hosts gw.partner.test:25,[10.0.0.3]:25", "hosts gw.partner.test:2525,[10.0.0.3]:2525",
			"hosts gw.partner.test:25,[10.0.0.3]:25"},
		{"x.deep.partner.test", "mx x.deep.partner.test", sh, "mx x.deep.partner.test else hosts smart.test:25"},
		{"notpartner.test", "mx notpartner.test", sh, "mx notpartner.test else hosts smart.test:25"},
		{"open.test", "mx open.test", sh, "mx open.test else hosts smart.test:25"},
		{"a.open.test", "mx a.open.test", sh + " helo", "mx a.open.test else hosts smart.test:25 helo"},
		{"strict.test", "mx strict.test", sh + " tls=required connections=2",
			"mx strict.test else hosts smart.test:25 tls=required connections=2"},
		{"[192.0.2.1]", "mx [192.0.2.1]", sh, "mx [192.0.2.1] else hosts smart.test:25"},
		{"[ipv6:2001:DB8:0::1]", "mx [IPv6:2001:db8::1]", sh, "mx [IPv6:2001:db8::1] else hosts smart.test:25"},
		{"[IPv6:::ffff:192.0.2.1]", "mx [192.0.2.1]", sh, "mx [192.0.2.1] else hosts smart.test:25"},
		{"bücher.test", "mx xn--bcher-kva.test", sh, "mx xn--bcher-kva.test else hosts smart.test:25"},
		{"under_score.test", "mx under_score.test", sh, "mx under_score.test else hosts smart.test:25"},
		{"drop", "mx drop.", sh, "mx drop. else hosts smart.test:25"}, // not the drop directory
	} {
		for mode, want := range map[int]string{noSmart: c.noSmart, smart: c.smart, direct: c.direct} {
			if want == "" {
				want = c.noSmart
			}
			hop, err := tables[mode].Hop(c.domain)
			if err != nil || word(hop) != want {
				t.Errorf("%d %q: %v, %v; want %s", mode, c.domain, hop, err, want)
				continue
			}
			if again, _ := tables[mode].Hop(c.domain); again != hop {
				t.Errorf("%d %q: another pointer for the same hop", mode, c.domain)
			}
		}
	}
}

func TestHopTerms(t *testing.T) {
	tab := newTable(t, Options{Domains: remotes(t), TLS: mail.TLSOff})
	for domain, want := range map[string]mail.Hop{
		"other.test":  {Port: 25, TLS: mail.TLSOff},
		"a.open.test": {Port: 25, TLS: mail.TLSOff, UseHELO: true},
		"strict.test": {Port: 25, TLS: mail.TLSRequired, MaxConnections: 2},
	} {
		h, err := tab.Hop(domain)
		if err != nil || h.Port != want.Port || h.TLS != want.TLS || h.UseHELO != want.UseHELO || h.MaxConnections != want.MaxConnections {
			t.Errorf("%s: %+v, %v", domain, h, err)
		}
	}
}

// Two hops with one Key must be one destination: a smart host with the name of a domain is not
// the hop by the MX records of that domain.
func TestKeysTellHopsApart(t *testing.T) {
	tab := newTable(t, Options{
		SmartHost: hosts(t, "mail.test"),
		Domains: []Domain{
			{Name: "a.test", Kind: Remote, Route: hosts(t, "10.0.0.1")},
			{Name: "b.test", Kind: Remote, Route: hosts(t, "[10.0.0.1]:25")},
			{Name: "c.test", Kind: Remote, Route: hosts(t, "[10.0.0.1]"), UseHELO: true},
			{Name: "mail.test", Kind: Remote},
		},
		DirectFirst: true,
	})
	hop := func(d string) *mail.Hop {
		h, err := tab.Hop(d)
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	if hop("a.test").Key != hop("b.test").Key {
		t.Errorf("one destination, two keys: %q, %q", hop("a.test").Key, hop("b.test").Key)
	}
	seen := map[string]*mail.Hop{}
	for _, d := range []string{"a.test", "c.test", "mail.test", "drop", "example.com", "other.test"} {
		for h := hop(d); h != nil; h = h.Fallback {
			if old := seen[h.Key]; old != nil && old != h {
				t.Errorf("two hops with the key %q: %+v and %+v", h.Key, old, h)
			}
			seen[h.Key] = h
		}
	}
	if len(seen) != 7 { // two routes, three MX, the smart host, drop
		t.Errorf("keys: %v", seen)
	}
}

func TestE9E10NamesThatCannotBeRouted(t *testing.T) {
	tab := newTable(t, Options{SmartHost: hosts(t, "smart.test")})
	for _, domain := range []string{
		".", "a..test", ".test", "a.test.", "a.test:25", "a b.test", "a\r\n.test", "a\x00.test", "a/b.test", "../etc.test",
		strings.Repeat("a", 64) + ".test", strings.Repeat("a.", 127) + "test", strings.Repeat("ä", 5000),
		"xn--a.test", "xn--\x80", "\xff\xfe.test", "\xed\xa0\x80.test", "192.0.2.1", "a.1",
		"[192.0.2.1", "[192.0.2]", "[2001:db8::1]", "[IPv6:192.0.2.1]", "[IPv6:fe80::1%eth0]", "[x:y]", "[]", "[", "[224.0.0.1]", "[255.255.255.255]",
		"[IPv6:ff02::1]", "[127.0.0.1].test", "*.test",
	} {
		hop, err := tab.Hop(domain)
		var e *mail.Error
		if hop != nil || !errors.As(err, &e) || e.Reply.Code != 550 || e.Reply.Enhanced != mail.Enhanced(5, 1, 2) {
			t.Errorf("%q: %v, %v; want 550 5.1.2", domain, hop, err)
		}
		if tab.Local(domain) || tab.AllowsRelay(domain) || tab.OtherName(domain) {
			t.Errorf("%q counts as ours", domain)
		}
	}
}

func TestE8LiteralsThatLeadToOurselves(t *testing.T) {
	own := netip.MustParseAddr("192.0.2.25")
	tab := newTable(t, Options{SmartHost: hosts(t, "smart.test"), Own: func(a netip.Addr) bool { return a == own }})
	for _, domain := range []string{"[127.0.0.1]", "[127.8.9.10]", "[IPv6:::1]", "[IPv6:::ffff:127.0.0.1]", "[0.0.0.0]", "[IPv6:::]",
		"[192.0.2.25]", "[IPv6:::ffff:c000:219]"} {
		hop, err := tab.Hop(domain)
		var e *mail.Error
		if hop != nil || !errors.As(err, &e) || e.Reply.Code != 550 || e.Reply.Enhanced != mail.Enhanced(5, 7, 1) {
			t.Errorf("%q: %v, %v; want 550 5.7.1", domain, hop, err)
		}
	}
}

func TestE10SameDomainInTwoSpellings(t *testing.T) {
	tab := newTable(t, Options{Domains: []Domain{
		{Name: "Bücher.example", Kind: Default},
		{Name: "xn--mnchen-3ya.example", Kind: Alias},
		{Name: "*.пример.test", Kind: Remote, AllowRelay: true},
	}})
	if tab.DefaultDomain() != "xn--bcher-kva.example" {
		t.Errorf("default domain %q", tab.DefaultDomain())
	}
	for _, d := range []string{"bücher.example", "BÜCHER.example", "xn--bcher-kva.example", "XN--BCHER-KVA.EXAMPLE", "münchen.example"} {
		if !tab.Local(d) {
			t.Errorf("%q is local", d)
		}
	}
	for d, want := range map[string]bool{
		"MÜNCHEN.example": true, "BÜCHER.example": true, "xn--bcher-kva.example": true, "bücher\u3002example": true,
		"bücher.EXAMPLE": false, "Bücher.example": false, "": false, "other.example": false,
	} {
		if got := tab.OtherName(d); got != want {
			t.Errorf("OtherName(%q) = %v", d, got)
		}
	}
	if !tab.AllowsRelay("a.пример.test") || !tab.AllowsRelay("a.xn--e1afmkfd.test") || tab.AllowsRelay("пример.test") {
		t.Error("AllowsRelay")
	}
}

func TestAllowsRelay(t *testing.T) {
	tab := newTable(t, Options{Domains: append(remotes(t), Domain{Name: "closed.open.test", Kind: Remote})})
	for domain, want := range map[string]bool{
		"a.open.test": true, "A.OPEN.TEST": true, "b.a.open.test": true, "x.deep.partner.test": true,
		"open.test": false, "closed.open.test": false, "a.closed.open.test": true, "y.deep.partner.test": false,
		"other.test": false, "example.com": false, "": false, "[192.0.2.1]": false,
	} {
		if got := tab.AllowsRelay(domain); got != want {
			t.Errorf("%q: %v", domain, got)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	deflt := Domain{Name: "example.com", Kind: Default}
	for want, domains := range map[string][]Domain{
		"no default domain":                      {{Name: "example.net", Kind: Alias}},
		`domain "example.net": "example.com" is`: {deflt, {Name: "example.net", Kind: Default}},
		"takes no \"*.\"":                        {deflt, {Name: "*.example.net", Kind: Alias}},
		`domain "example.org" stands twice`:      {deflt, {Name: "example.org", Kind: Remote}, {Name: "EXAMPLE.org", Kind: Remote}},
		`domain "*.example.org" stands twice`:    {deflt, {Name: "*.example.org", Kind: Remote}, {Name: "*.EXAMPLE.org", Kind: Remote}},
		`domain "example.com" stands twice`:      {deflt, {Name: "example.com", Kind: Alias}},
		"cannot be both local and remote":        {deflt, {Name: "example.com", Kind: Remote}},
		`domain "a..b": the name has an empty`:   {deflt, {Name: "a..b", Kind: Remote}},
		"an address literal cannot be an entry":  {deflt, {Name: "[192.0.2.1]", Kind: Remote}},
		"unknown kind 0":                         {deflt, {Name: "example.org"}},
	} {
		if _, err := New(Options{Domains: domains}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("err = %v, want %q", err, want)
		}
	}
	// Both orders of the clash.
	if _, err := New(Options{Domains: []Domain{{Name: "example.com", Kind: Remote}, deflt}}); err == nil {
		t.Error("remote, then default: no error")
	}
}

func TestHopsOfMadeUpDomainsAreGivenUp(t *testing.T) {
	tab := newTable(t, Options{SmartHost: hosts(t, "smart.test"), DirectFirst: true})
	before := tab.hops.len()
	kept, err := tab.Hop("kept.test")
	if err != nil {
		t.Fatal(err)
	}
	for i := range 20_000 {
		if _, err := tab.Hop(fmt.Sprintf("made-up-%d.test", i)); err != nil {
			t.Fatal(err)
		}
	}
	for range 100 { // a clean-up runs some time after its collection
		runtime.GC()
		if runtime.Gosched(); tab.hops.len() == before+1 {
			break
		}
	}
	if n := tab.hops.len(); n != before+1 {
		t.Errorf("%d hops are held, want the %d of the table and the one in use", n, before)
	}
	if again, _ := tab.Hop("kept.test"); again != kept {
		t.Error("the hop in use has another pointer")
	}
	runtime.KeepAlive(tab)
}

func TestHopsConcurrently(t *testing.T) {
	tab := newTable(t, Options{})
	var wg sync.WaitGroup
	var got [8][100]*mail.Hop
	for i := range got {
		wg.Go(func() {
			for j := range got[i] {
				got[i][j], _ = tab.Hop(fmt.Sprintf("d%d.test", j))
			}
		})
	}
	wg.Wait()
	for i := range got {
		if got[i] != got[0] {
			t.Fatal("two pointers for one hop")
		}
	}
}

func TestKeepTakesOverUnchangedHops(t *testing.T) {
	o := Options{SmartHost: hosts(t, "smart.test"), DirectFirst: true, Domains: remotes(t)}
	old := newTable(t, o)
	o.Keep = old
	same := newTable(t, o)
	o.TLS, o.Keep = mail.TLSVerified, same
	other := newTable(t, o)
	for _, d := range []string{"example.com", "partner.test", "other.test", "strict.test"} {
		h0, _ := old.Hop(d)
		h1, _ := same.Hop(d)
		h2, _ := other.Hop(d)
		if h0 != h1 {
			t.Errorf("%s: nothing has changed, but the pointer has", d)
		}
		if d == "example.com" || d == "strict.test" {
			continue // TLS of the site does not matter to them, but the fallback's Key may
		}
		if h1 == h2 || h2.TLS != mail.TLSVerified {
			t.Errorf("%s: the old hop, with TLS %v, for the new terms", d, h2.TLS)
		}
	}
}

func TestExplain(t *testing.T) {
	tab := newTable(t, Options{Domains: remotes(t), SmartHost: hosts(t, "smart.test:587", "192.0.2.9"), DirectFirst: true})
	for domain, want := range map[string]string{
		"": "no domain: the default domain example.com is added\nexample.com is the default domain, which is local\n" +
			"next hop: the drop directory",
		"EXAMPLE.net": "\"EXAMPLE.net\" is looked for as example.net\n" +
			"example.net is an alias domain, which is local: recipients are rewritten to @example.com\nnext hop: the drop directory",
		"y.deep.partner.test": "y.deep.partner.test is not a local domain\n" +
			"the remote domain *.deep.partner.test in the list covers it, as the longest match\n" +
			"its route domain beats smart host and MX\n" +
			"next hop: gw.partner.test:25 (MX, then addresses), then [10.0.0.3]:25; TLS opportunistic",
		"strict.test": "strict.test is not a local domain\nthe remote domain strict.test in the list is it\nit has no route domain\n" +
			"direct delivery is attempted first, then the smart host\n" +
			"next hop: the MX hosts of strict.test (without MX records its addresses), port 25; TLS required; at most 2 connections\n" +
			"if it cannot be reached, in the same attempt: smart.test:587 (MX, then addresses), then [192.0.2.9]:25; TLS required; at most 2 connections",
		"[192.0.2.1]": "[192.0.2.1] is not a local domain\nno remote domain in the list covers it\n" +
			"direct delivery is attempted first, then the smart host\nnext hop: the address [192.0.2.1], port 25; TLS opportunistic\n" +
			"if it cannot be reached, in the same attempt: smart.test:587 (MX, then addresses), then [192.0.2.9]:25; TLS opportunistic",
		"a.open.test": "a.open.test is not a local domain\nthe remote domain *.open.test in the list covers it, as the longest match\n" +
			"any client may relay to it\nit has no route domain\ndirect delivery is attempted first, then the smart host\n" +
			"next hop: the MX hosts of a.open.test (without MX records its addresses), port 25; TLS opportunistic; HELO\n" +
			"if it cannot be reached, in the same attempt: smart.test:587 (MX, then addresses), then [192.0.2.9]:25; TLS opportunistic; HELO",
		"a..b":        "no next hop: 550 5.1.2 Bad destination domain: the name has an empty label (two dots, or a dot at an end)",
		"[127.0.0.1]": "no next hop: 550 5.7.1 Unable to relay to an address of this server: [127.0.0.1] is a loopback or own address",
	} {
		if got := strings.Join(tab.Explain(domain), "\n"); got != want {
			t.Errorf("%q:\n%s\nwant:\n%s", domain, got, want)
		}
	}
}

func BenchmarkHop(b *testing.B) {
	tab := newTable(b, Options{Domains: remotes(b)})
	keep, _ := tab.Hop("some.other.example.org")
	for b.Loop() {
		tab.Hop("some.other.example.org")
	}
	runtime.KeepAlive(keep)
}

func BenchmarkLocal(b *testing.B) {
	tab := newTable(b, Options{Domains: remotes(b)})
	for b.Loop() {
		tab.Local("example.com")
		tab.Local("some.other.example.org")
	}
}

// Names of next hops in UTF-8 are asked for as A-labels, like those of domains.
func TestHostNamesInUTF8(t *testing.T) {
	u := []mail.Host{{Name: "b\u00fccher.example", Port: 587}}
	table, err := New(Options{SmartHost: u, Domains: []Domain{
		{Name: "corp.test", Kind: Default}, {Name: "partner.test", Kind: Remote, Route: u},
	}})
	if err != nil {
		t.Fatal(err)
	}
	for _, domain := range []string{"elsewhere.test", "partner.test"} {
		hop, err := table.Hop(domain)
		if err != nil || len(hop.Hosts) != 1 || hop.Hosts[0].Name != "xn--bcher-kva.example" || hop.Hosts[0].Port != 587 {
			t.Errorf("%s: %+v, %v", domain, hop, err)
		}
	}
	if u[0].Name != "b\u00fccher.example" {
		t.Error("the caller's list was changed")
	}
	bad := []mail.Host{{Name: "a..example"}}
	if _, err := New(Options{SmartHost: bad, Domains: []Domain{{Name: "corp.test", Kind: Default}}}); err == nil || !strings.Contains(err.Error(), "smart host") {
		t.Errorf("a smart host that is no name: %v", err)
	}
}
