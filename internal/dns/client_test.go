package dns

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	wire "github.com/miekg/dns"

	"github.com/mailroot/mailroot/internal/dns/dnstest"
)

const zone = `
$TTL 300
example.org.        SOA  ns.example.org. root.example.org. 1 3600 600 86400 60
example.org.        MX   20 Backup.Example.ORG.
example.org.        MX   10 mx.example.org.
mx.example.org.     A    192.0.2.10
mx.example.org.     AAAA 2001:db8::10
backup.example.org. A    192.0.2.11
only6.example.org.  AAAA 2001:db8::6
txt.example.org.    TXT  "v=spf1 " "-all"
txt.example.org.    TXT  "a\"b\\c\009"
alias.example.org.  CNAME example.org.
under_score.example.org. A 192.0.2.12
null.test.          MX   0 .
mixed.test.         MX   0 .
mixed.test.         MX   5 mx.example.org.
10.2.0.192.in-addr.arpa.  PTR mx.example.org.
66.2.0.192.in-addr.arpa.  PTR not\032a\032name.example.org.
66.2.0.192.in-addr.arpa.  PTR evil\013\010x.example.org.
67.2.0.192.in-addr.arpa.  PTR liar\032.example.org.
67.2.0.192.in-addr.arpa.  PTR mx.example.org.
`

// newClient returns a client of the given servers that consults no hosts file.
func newClient(t *testing.T, o Options, servers ...*dnstest.Server) *Client {
	t.Helper()
	for _, s := range servers {
		o.Servers = append(o.Servers, s.Addr())
	}
	if o.HostsFile == "" {
		o.HostsFile = "-"
	}
	if o.Timeout == 0 {
		o.Timeout = 5 * time.Second // only those tests wait for it that say so
	}
	return New(o)
}

// resolvers are the two that must agree: the client on real packets, and the fake.
func resolvers(t *testing.T) map[string]Resolver {
	addr := netip.MustParseAddr
	return map[string]Resolver{
		"client": newClient(t, Options{}, dnstest.Start(t, zone)),
		"fake": NewFake(map[string]Records{
			"example.org":             {MX: []MX{{"Backup.Example.ORG", 20}, {"mx.example.org", 10}}, TTL: 300 * time.Second},
			"mx.example.org":          {Addrs: []netip.Addr{addr("2001:db8::10"), addr("192.0.2.10")}},
			"backup.example.org":      {Addrs: []netip.Addr{addr("::ffff:192.0.2.11")}},
			"only6.example.org":       {Addrs: []netip.Addr{addr("2001:db8::6")}},
			"txt.example.org":         {TXT: []string{"v=spf1 -all", "a\"b\\c\t"}},
			"Alias.example.org":       {CNAME: "Example.org."},
			"under_score.example.org": {Addrs: []netip.Addr{addr("192.0.2.12")}},
			"null.test":               {MX: []MX{{".", 0}}},
			"mixed.test":              {MX: []MX{{".", 0}, {"mx.example.org", 5}}},
			"192.0.2.10":              {PTR: []string{"mx.example.org."}},
			"192.0.2.66":              {PTR: []string{"not a name.example.org", "evil\r\nx.example.org"}},
			"192.0.2.67":              {PTR: []string{"liar .example.org", "mx.example.org"}},
		}),
	}
}

func TestResolvers(t *testing.T) {
	for kind, r := range resolvers(t) {
		t.Run(kind, func(t *testing.T) {
			ctx := t.Context()
			for name, want := range map[string][]MX{
				"example.org":       {{"mx.example.org", 10}, {"backup.example.org", 20}},
				"EXAMPLE.org.":      {{"mx.example.org", 10}, {"backup.example.org", 20}},
				"alias.example.org": {{"mx.example.org", 10}, {"backup.example.org", 20}},
				"null.test":         {{".", 0}},
				"mixed.test":        {{"mx.example.org", 5}},
			} {
				set, err := r.MX(ctx, name)
				if err != nil {
					t.Errorf("MX %s: %v", name, err)
				}
				if diff := cmp.Diff(want, set.Records); diff != "" {
					t.Errorf("MX %s: %s", name, diff)
				}
				if set.Null() != (name == "null.test") {
					t.Errorf("MX %s: Null() = %v", name, set.Null())
				}
			}
			if set, _ := r.MX(ctx, "alias.example.org"); set.Name != "example.org" {
				t.Errorf("name at the end of the alias: %q", set.Name)
			}
			for name, want := range map[string]string{
				"mx.example.org":          "[192.0.2.10 2001:db8::10]",
				"backup.example.org":      "[192.0.2.11]",
				"only6.example.org":       "[2001:db8::6]",
				"under_score.example.org": "[192.0.2.12]",
			} {
				if set, err := r.Addrs(ctx, name); err != nil || fmt.Sprint(set.Addrs) != want {
					t.Errorf("Addrs %s = %v, %v; want %s", name, set.Addrs, err, want)
				}
			}
			texts, err := r.TXT(ctx, "txt.example.org")
			if diff := cmp.Diff([]string{"v=spf1 -all", "a\"b\\c\t"}, texts.Texts); err != nil || diff != "" {
				t.Errorf("TXT: %v %s", err, diff)
			}
			names, err := r.PTR(ctx, netip.MustParseAddr("::ffff:192.0.2.10"))
			if err != nil || fmt.Sprint(names.Names) != "[mx.example.org]" {
				t.Errorf("PTR = %v, %v", names.Names, err)
			}
		})
	}
}

func TestResolversWithoutRecords(t *testing.T) {
	for kind, r := range resolvers(t) {
		t.Run(kind, func(t *testing.T) {
			ctx := t.Context()
			_, err1 := r.MX(ctx, "nowhere.test")
			_, err2 := r.Addrs(ctx, "nowhere.test")
			_, err3 := r.MX(ctx, "mx.example.org")
			_, err4 := r.Addrs(ctx, "null.test")
			_, err5 := r.PTR(ctx, netip.MustParseAddr("2001:db8::99"))
			for i, c := range []struct{ err, want error }{
				{err1, ErrNotExist}, {err2, ErrNotExist}, {err3, ErrNoData}, {err4, ErrNoData}, {err5, ErrNotExist},
			} {
				var e *Error
				if !errors.Is(c.err, c.want) || !errors.As(c.err, &e) || e.Temporary() {
					t.Errorf("case %d: %v, want %v", i, c.err, c.want)
				}
			}
		})
	}
}

func TestR3PTRNamesAreSanitised(t *testing.T) {
	for kind, r := range resolvers(t) {
		t.Run(kind, func(t *testing.T) {
			if names, err := r.PTR(t.Context(), netip.MustParseAddr("192.0.2.66")); err == nil {
				t.Errorf("names with blanks and line ends came through: %q", names.Names)
			}
			names, err := r.PTR(t.Context(), netip.MustParseAddr("192.0.2.67"))
			if err != nil || fmt.Sprint(names.Names) != "[mx.example.org]" {
				t.Errorf("PTR = %q, %v; want the one good name", names.Names, err)
			}
		})
	}
}

func TestR3TenThousandMX(t *testing.T) {
	var z strings.Builder
	for i := range 3500 { // as many as fit into the 64 KB of an answer
		fmt.Fprintf(&z, "many.test. MX %d m.\n", 10000-i)
	}
	s := dnstest.Start(t, z.String())
	set, err := newClient(t, Options{}, s).MX(t.Context(), "many.test")
	if err != nil {
		t.Fatal(err)
	}
	if len(set.Records) != MaxRecords || set.Records[0].Pref != 10000-3499 || set.Records[99].Pref != 10000-3400 {
		t.Errorf("%d records from %d to %d; want the %d best", len(set.Records), set.Records[0].Pref,
			set.Records[len(set.Records)-1].Pref, MaxRecords)
	}
	if _, tcp := s.Total(); tcp != 1 {
		t.Errorf("%d questions over TCP, want 1", tcp)
	}
}

func TestR3LargeTXTAndManyAddresses(t *testing.T) {
	var z strings.Builder
	for i := range 220 {
		fmt.Fprintf(&z, "big.test. TXT \"%03d%s\"\n", i, strings.Repeat("x", 250))
		fmt.Fprintf(&z, "big.test. A 192.0.2.%d\n", i)
	}
	c := newClient(t, Options{}, dnstest.Start(t, z.String()))
	if set, err := c.TXT(t.Context(), "big.test"); err != nil || len(set.Texts) != MaxRecords {
		t.Errorf("%d texts, %v; want %d", len(set.Texts), err, MaxRecords)
	}
	if set, err := c.Addrs(t.Context(), "big.test"); err != nil || len(set.Addrs) != MaxRecords {
		t.Errorf("%d addresses, %v; want %d", len(set.Addrs), err, MaxRecords)
	}
}

func TestR3AliasChains(t *testing.T) {
	z := zone + "loop1.test. CNAME loop2.test.\nloop2.test. CNAME loop1.test.\nself.test. CNAME self.test.\n" +
		"dangling.test. CNAME gone.example.org.\nodd.test. CNAME a\\.b.example.org.\n"
	for i := 1; i <= 9; i++ {
		z += fmt.Sprintf("c%d.test. CNAME c%d.test.\n", i, i-1)
	}
	z += "c0.test. A 192.0.2.1\n"
	for _, noChase := range []bool{false, true} {
		t.Run(fmt.Sprintf("one message each %v", noChase), func(t *testing.T) {
			s := dnstest.Start(t, z)
			s.Set(dnstest.Knobs{NoChase: noChase})
			c := newClient(t, Options{}, s)
			if set, err := c.Addrs(t.Context(), "c8.test"); err != nil || set.Name != "c0.test" {
				t.Errorf("chain of 8: %v, %v", set, err)
			}
			for _, name := range []string{"c9.test", "loop1.test", "self.test", "odd.test"} {
				var e *Error
				if _, err := c.Addrs(t.Context(), name); !errors.As(err, &e) || !e.Temporary() {
					t.Errorf("%s: %v, want a temporary error", name, err)
				}
			}
			if _, err := c.MX(t.Context(), "dangling.test"); !errors.Is(err, ErrNotExist) {
				t.Errorf("alias to nowhere: %v", err)
			}
			if all, _ := s.Total(); all > 80 {
				t.Errorf("%d questions asked", all)
			}
		})
	}
}

func TestTruncatedAnswerIsAskedForByTCP(t *testing.T) {
	s := dnstest.Start(t, zone)
	s.Set(dnstest.Knobs{Truncate: true})
	set, err := newClient(t, Options{}, s).MX(t.Context(), "example.org")
	if err != nil || len(set.Records) != 2 {
		t.Fatal(set, err)
	}
	if all, tcp := s.Total(); all != 2 || tcp != 1 {
		t.Errorf("%d questions, %d over TCP; want 2, 1", all, tcp)
	}
}

func TestServerWithoutEDNS(t *testing.T) {
	s := dnstest.Start(t, zone)
	s.Set(dnstest.Knobs{NoEDNS: true})
	if set, err := newClient(t, Options{}, s).MX(t.Context(), "example.org"); err != nil || len(set.Records) != 2 {
		t.Fatal(set, err)
	}
}

func TestFailover(t *testing.T) {
	for name, knobs := range map[string]dnstest.Knobs{
		"silent":   {Drop: true},
		"servfail": {Rcode: wire.RcodeServerFailure},
		"refused":  {Rcode: wire.RcodeRefused},
		"lame":     {Lame: true},
		"garbage":  {Garbage: true},
		"wrong id": {WrongID: true},
		"other":    {OtherQ: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bad, good := dnstest.Start(t, zone), dnstest.Start(t, zone)
			bad.Set(knobs)
			c := newClient(t, Options{Timeout: time.Second}, bad, good)
			if set, err := c.MX(t.Context(), "example.org"); err != nil || len(set.Records) != 2 {
				t.Fatal(set, err)
			}
			if n := bad.Asked("MX", "example.org"); n != 1 {
				t.Errorf("the first server was asked %d times, want 1", n)
			}
		})
	}
}

func TestSilentServerRestsForAWhile(t *testing.T) {
	t.Parallel()
	bad, good := dnstest.Start(t, zone), dnstest.Start(t, zone)
	bad.Set(dnstest.Knobs{Drop: true})
	c := newClient(t, Options{Timeout: time.Second}, bad, good)
	for _, name := range []string{"example.org", "null.test", "mixed.test", "nowhere.test"} {
		c.MX(t.Context(), name)
	}
	if all, _ := bad.Total(); all != 1 {
		t.Errorf("the silent server was asked %d times, want once", all)
	}
	if all, _ := good.Total(); all != 4 {
		t.Errorf("the good server was asked %d times, want 4", all)
	}
}

func TestErrorSaysWhatTheServerSaid(t *testing.T) {
	s := dnstest.Start(t, zone)
	s.Set(dnstest.Knobs{Rcode: wire.RcodeServerFailure, ExtendedError: wire.ExtendedErrorCodeDNSBogus})
	_, err := newClient(t, Options{}, s).MX(t.Context(), "example.org")
	want := "MX example.org: the server failed (" + s.Addr() + " said SERVFAIL (DNSSEC Bogus))"
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	s.Set(dnstest.Knobs{})
	_, err = newClient(t, Options{}, s).MX(t.Context(), "nowhere.test")
	want = "MX nowhere.test: no such name (" + s.Addr() + " said NXDOMAIN)"
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

func TestNothingListens(t *testing.T) {
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	pc.Close()
	c := newClient(t, Options{Servers: []string{pc.LocalAddr().String()}})
	var e *Error
	if _, err := c.MX(t.Context(), "example.org"); !errors.As(err, &e) || !e.Temporary() {
		t.Fatalf("err = %v, want a temporary error", err)
	}
}

func TestForgedAnswerIsPassedOver(t *testing.T) {
	s := dnstest.Start(t, zone)
	s.Set(dnstest.Knobs{WrongOne: true})
	if set, err := newClient(t, Options{}, s).MX(t.Context(), "example.org"); err != nil || len(set.Records) != 2 {
		t.Fatal(set, err)
	}
}

func TestAuthenticOnlyFromTrustedServers(t *testing.T) {
	s := dnstest.Start(t, zone)
	s.Set(dnstest.Knobs{AD: true})
	redirect := func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, s.Addr())
	}
	for _, c := range []struct {
		name string
		opts Options
		want bool
	}{
		{"loopback", Options{Servers: []string{s.Addr()}}, true},
		{"distant", Options{Servers: []string{"192.0.2.53"}, Dial: redirect}, false},
		{"distant, trusted", Options{Servers: []string{"192.0.2.53"}, Dial: redirect, TrustAD: true}, true},
	} {
		set, err := newClient(t, c.opts).MX(t.Context(), "alias.example.org")
		if err != nil || set.Authentic != c.want {
			t.Errorf("%s: Authentic = %v, %v; want %v", c.name, set.Authentic, err, c.want)
		}
	}
	s.Set(dnstest.Knobs{})
	if set, _ := newClient(t, Options{}, s).MX(t.Context(), "example.org"); set.Authentic {
		t.Error("Authentic without the AD bit")
	}
}

func TestSingleFlight(t *testing.T) {
	s := dnstest.Start(t, zone)
	s.Set(dnstest.Knobs{Delay: 200 * time.Millisecond})
	c := newClient(t, Options{}, s)
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			set, err := c.MX(t.Context(), "example.org")
			if err != nil || len(set.Records) != 2 {
				t.Error(i, set, err)
				return
			}
			set.Records[0], set.Records[1] = set.Records[1], set.Records[0] // each has its own
		})
	}
	wg.Wait()
	if n := s.Asked("MX", "example.org"); n != 1 {
		t.Errorf("asked %d times, want once", n)
	}
	if set, _ := c.MX(t.Context(), "example.org"); set.Records[0].Pref != 10 {
		t.Error("a caller's shuffle reached the cache")
	}
}

func TestAddrsWithoutAnAnswerAboutAAAA(t *testing.T) {
	s := dnstest.Start(t, zone)
	s.Set(dnstest.Knobs{DropType: []string{"AAAA"}})
	c := newClient(t, Options{Timeout: time.Minute}, s)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if set, err := c.Addrs(ctx, "mx.example.org"); err != nil || fmt.Sprint(set.Addrs) != "[192.0.2.10]" {
		t.Fatal(set, err)
	}
	s.Set(dnstest.Knobs{RcodeFor: map[string]int{"AAAA example.org": wire.RcodeServerFailure}})
	var e *Error
	if _, err := c.Addrs(ctx, "example.org"); !errors.As(err, &e) || !e.Temporary() {
		t.Errorf("no A, failure for AAAA: %v, want a temporary error", err)
	}
}

func TestNamesThatAreNotAskedFor(t *testing.T) {
	s := dnstest.Start(t, zone)
	c := newClient(t, Options{}, s)
	long := strings.Repeat("a.", 127) + "aa"
	for _, name := range []string{"", ".", "a..b", ".a", "a b.test", "a\r\nb.test", "ä.test", `a\.b.test`, `a"b.test`, "x@y.test",
		strings.Repeat("a", 64) + ".test", long, "x.invalid", "x.onion"} {
		if _, err := c.MX(t.Context(), name); !errors.Is(err, ErrNotExist) {
			t.Errorf("%q: %v, want ErrNotExist", name, err)
		} else if strings.ContainsAny(err.Error(), "\r\n") {
			t.Errorf("%q: the error has a line end", name)
		}
	}
	for _, name := range []string{"localhost", "db.localhost", "LOCALHOST."} {
		if set, err := c.Addrs(t.Context(), name); err != nil || fmt.Sprint(set.Addrs) != "[127.0.0.1 ::1]" {
			t.Errorf("%s: %v, %v", name, set.Addrs, err)
		}
	}
	if all, _ := s.Total(); all != 0 {
		t.Errorf("%d questions left the host", all)
	}
}

func TestReverseName(t *testing.T) {
	for addr, want := range map[string]string{
		"192.0.2.1":        "1.2.0.192.in-addr.arpa",
		"::ffff:192.0.2.1": "1.2.0.192.in-addr.arpa",
		"2001:db8::567:89ab": "b.a.9.8.7.6.5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2" +
			".ip6.arpa",
	} {
		if got := reverseName(netip.MustParseAddr(addr)); got != want {
			t.Errorf("%s: %s, want %s", addr, got, want)
		}
	}
}
