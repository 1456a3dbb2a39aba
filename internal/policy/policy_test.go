package policy

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/mailroot/mailroot/internal/mail"
)

func prefixes(t testing.TB, list ...string) []netip.Prefix {
	t.Helper()
	var ps []netip.Prefix
	for _, s := range list {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			a, err := netip.ParseAddr(s)
			if err != nil {
				t.Fatal(err)
			}
			p = netip.PrefixFrom(a, a.BitLen())
		}
		ps = append(ps, p)
	}
	return ps
}

func client(addr string) *mail.Peer {
	return &mail.Peer{Remote: netip.AddrPortFrom(netip.MustParseAddr(addr), 40000)}
}

// site is what a small company has: local.test and alias.test are ours, anyone may send to
// partner.test, 192.0.2.0/24 may relay, and so may authenticated clients.
func site(t testing.TB) *Policy {
	in := func(set ...string) func(string) bool {
		return func(d string) bool {
			for _, s := range set {
				if mail.EqualFoldASCII(d, s) {
					return true
				}
			}
			return false
		}
	}
	return New(Options{
		Relay:         List{Prefixes: prefixes(t, "192.0.2.0/24", "2001:db8::/32")},
		Authenticated: true,
		MayRelay:      func(account string) bool { return account != "guest" },
		Local:         in("local.test", "alias.test"),
		AllowsRelay:   in("partner.test"),
		Own:           func(a netip.Addr) bool { return a == netip.MustParseAddr("198.51.100.25") },
	})
}

// TestR1OpenRelayMatrix asks for each classic form as a stranger, a listed client, an
// authenticated one, and one whose account may not relay. The forms are as the parser of
// command lines leaves them: source routes are gone, the local-part is opaque.
func TestR1OpenRelayMatrix(t *testing.T) {
	const (
		local = "local" // taken, as mail for ourselves
		relay = "relay" // taken from those who may relay
		never = "never" // refused whoever asks
	)
	p := site(t)
	for _, c := range []struct {
		name, local, domain, want string
	}{
		{"plain remote", "victim", "remote.test", relay},
		{"local", "user", "local.test", local},
		{"local in capitals", "USER", "LOCAL.TEST", local},
		{"alias", "user", "alias.test", local},
		{"no domain", "user", "", local},
		{"postmaster without domain", "postmaster", "", local},
		{"E7 percent hack at a local domain", "victim%remote.test", "local.test", local},
		{"E7 percent hack twice", "victim%remote.test%other.test", "local.test", local},
		{"E7 percent hack without domain", "victim%remote.test", "", local},
		{"E7 percent hack at a remote domain", "victim%local.test", "remote.test", relay},
		{"E7 bang path at a local domain", "remote.test!victim", "local.test", local},
		{"E7 bang path without domain", "remote.test!victim", "", local},
		{"E7 bang path at a remote domain", "local.test!victim", "remote.test", relay},
		{"E7 bang and percent", "remote.test!victim%other.test", "local.test", local},
		{"E7 quoted address at a local domain", `"victim@remote.test"`, "local.test", local},
		{"E7 quoted address without domain", `"victim@remote.test"`, "", local},
		{"E7 quoted percent hack", `"victim%remote.test"`, "local.test", local},
		{"E7 quoted local address at a remote domain", `"user@local.test"`, "remote.test", relay},
		{"E6 source route over us (removed by the parser)", "victim", "remote.test", relay},
		{"E6 source route in the local-part", "@local.test:victim", "remote.test", relay},
		{"E7 two @, the last remote", "user@local.test", "remote.test", relay},
		{"E9 trailing dot", "victim", "local.test.", relay},
		{"E9 trailing dot, remote", "victim", "remote.test.", relay},
		{"below a local domain", "victim", "x.local.test", relay},
		{"ends like a local domain", "victim", "notlocal.test", relay},
		{"begins like a local domain", "victim", "local.test.remote.test", relay},
		{"port in the domain", "victim", "local.test:25", relay},
		{"blank before the domain", "victim", " local.test", relay},
		{"NUL after the domain", "victim", "local.test\x00.remote.test", relay},
		{"comment in the domain", "victim", "remote.test(local.test)", relay},
		{"two domains by comma", "victim", "remote.test,local.test", relay},
		{"partner", "user", "partner.test", local},
		{"below the partner", "user", "x.partner.test", relay},
		{"E8 literal of another host", "victim", "[203.0.113.1]", relay},
		{"E8 literal of another host, IPv6", "victim", "[IPv6:2001:db8::1]", relay},
		{"E8 loopback literal", "victim", "[127.0.0.1]", never},
		{"E8 other loopback literal", "victim", "[127.1.2.3]", never},
		{"E8 loopback literal, IPv6", "victim", "[IPv6:::1]", never},
		{"E8 mapped loopback literal", "victim", "[IPv6:::ffff:127.0.0.1]", never},
		{"E8 unspecified literal", "victim", "[0.0.0.0]", never},
		{"E8 own literal", "victim", "[198.51.100.25]", never},
		{"E8 own literal, mapped", "victim", "[ipv6:::ffff:198.51.100.25]", never},
		{"bad literal", "victim", "[local.test]", never},
		{"bad literal without tag", "victim", "[2001:db8::1]", never},
		{"bad literal, open", "victim", "[127.0.0.1", never},
		{"bad literal with zone", "victim", "[IPv6:fe80::1%eth0]", never},
		{"empty path", "", "", never},
	} {
		to := mail.Address{Local: c.local, Domain: c.domain}
		for asker, peer := range map[string]*mail.Peer{
			"stranger":      client("203.0.113.9"),
			"stranger, v6":  client("2a00::9"),
			"listed":        client("192.0.2.7"),
			"listed, v6":    client("2001:db8::7"),
			"authenticated": {Remote: client("203.0.113.9").Remote, Account: "alice"},
			"guest":         {Remote: client("203.0.113.9").Remote, Account: "guest"},
			"listed guest":  {Remote: client("192.0.2.7").Remote, Account: "guest"},
		} {
			trusted := strings.HasPrefix(asker, "listed") || asker == "authenticated"
			want := c.want == local || c.want == relay && trusted
			d := p.Relay(peer, to)
			if d.Allow != want {
				t.Errorf("%s, %s: Allow = %v (%s), want %v", c.name, asker, d.Allow, d.Reason, want)
			}
			if d.Reason == "" || d.Allow != d.Reply.IsZero() {
				t.Errorf("%s, %s: %+v", c.name, asker, d)
			}
			if want || strings.HasPrefix(c.name, "bad") || to.IsNull() {
				continue
			}
			if r := d.Reply; r.Code != 550 || r.Enhanced != mail.Enhanced(5, 7, 1) || r.Text != "Unable to relay for "+to.String() {
				t.Errorf("%s, %s: %q", c.name, asker, r.String())
			}
		}
	}
}

func TestR1EmptyOptionsRelayNothing(t *testing.T) {
	p := New(Options{})
	for _, addr := range []string{"127.0.0.1", "::1", "10.0.0.1", "203.0.113.1", "::ffff:10.0.0.1"} {
		peer := client(addr)
		peer.Account = "alice"
		for _, domain := range []string{"remote.test", "localhost", "[203.0.113.1]"} {
			if d := p.Relay(peer, mail.Address{Local: "u", Domain: domain}); d.Allow {
				t.Errorf("%s to %s: %s", addr, domain, d.Reason)
			}
		}
		if p.RelayClient(peer.Remote.Addr()) {
			t.Errorf("%s is a relay client", addr)
		}
		if d := p.Connect(peer); !d.Allow {
			t.Errorf("%s may not connect: %s", addr, d.Reason)
		}
	}
}

func TestOrderOfTheRelayDecision(t *testing.T) {
	p := site(t)
	all := &mail.Peer{Remote: client("192.0.2.7").Remote, Account: "alice"}
	listed := client("192.0.2.7")
	for _, c := range []struct {
		peer   *mail.Peer
		domain string
		want   string
	}{
		{all, "local.test", "the recipient is in a local domain"},
		{all, "", "the recipient has no domain, so the default domain is added"},
		{all, "partner.test", "the remote domain allows relay"},
		{all, "remote.test", "the client is authenticated and its account may relay"},
		{listed, "remote.test", "the client is in the relay list by 192.0.2.0/24 (only the list is granted)"},
		{client("203.0.113.1"), "remote.test", "the client is not in the relay list (only the list is granted)"},
		{&mail.Peer{Remote: client("203.0.113.1").Remote, Account: "guest"}, "remote.test",
			"the client is not in the relay list (only the list is granted); the account may not relay"},
		{new(mail.Peer), "remote.test", "the client's address is not known"},
	} {
		if d := p.Relay(c.peer, mail.Address{Local: "u", Domain: c.domain}); d.Reason != c.want {
			t.Errorf("%s: %q, want %q", c.domain, d.Reason, c.want)
		}
	}
}

func TestAuthenticatedMayRelayIsASetting(t *testing.T) {
	peer := client("203.0.113.1")
	peer.Account = "alice"
	to := mail.Address{Local: "u", Domain: "remote.test"}
	if New(Options{}).Relay(peer, to).Allow {
		t.Error("off, but an account relays")
	}
	if !New(Options{Authenticated: true}).Relay(peer, to).Allow {
		t.Error("on, but an account does not relay")
	}
}

func TestConnect(t *testing.T) {
	list := prefixes(t, "192.0.2.0/24", "2001:db8::/64", "203.0.113.5")
	for _, c := range []struct {
		mode   Mode
		listed bool // the answer for those in the list
	}{{0, false}, {AllExcept, false}, {Only, true}} {
		p := New(Options{Access: List{Mode: c.mode, Prefixes: list}})
		for addr, in := range map[string]bool{
			"192.0.2.255": true, "::ffff:192.0.2.1": true, "2001:db8::9": true, "2001:db8::9%eth0": true, "203.0.113.5": true,
			"192.0.3.0": false, "2001:db8:0:1::": false, "203.0.113.4": false, "203.0.113.6": false, "::192.0.2.1": false,
		} {
			d := p.Connect(client(addr))
			if want := in == c.listed; d.Allow != want {
				t.Errorf("mode %d, %s: %v (%s)", c.mode, addr, d.Allow, d.Reason)
			}
			if !d.Allow && (d.Reply.Code != 554 || d.Reply.Enhanced != mail.Enhanced(5, 7, 1)) {
				t.Errorf("reply %s", d.Reply)
			}
		}
	}
	d := New(Options{Access: List{Prefixes: list}}).Connect(client("203.0.113.5"))
	if want := "the client is in the connection control list by 203.0.113.5 (all except the list is granted)"; d.Reason != want {
		t.Errorf("reason %q, want %q", d.Reason, want)
	}
	if d := New(Options{}).Connect(new(mail.Peer)); d.Allow {
		t.Error("a client without an address may connect")
	}
}

func TestR1RelayListThatGrantsAll(t *testing.T) {
	all := make([]string, 0, 256)
	for i := range 256 {
		all = append(all, fmt.Sprintf("%d.0.0.0/8", 255-i))
	}
	for _, c := range []struct {
		mode Mode
		list []string
		want string // part of the reason; "" if it is not open
	}{
		{0, nil, ""},
		{Only, []string{"10.0.0.0/8", "192.168.0.0/16", "fc00::/7"}, ""},
		{AllExcept, []string{"10.0.0.0/8"}, "all addresses except"},
		{Only, []string{"10.0.0.0/8", "0.0.0.0/0"}, "0.0.0.0/0"},
		{Only, []string{"::/0"}, "::/0"},
		{Only, []string{"128.0.0.0/1", "0.0.0.0/1"}, "0.0.0.0/0"},
		{Only, []string{"::ffff:0.0.0.0/96"}, "0.0.0.0/0"},
		{Only, []string{"8000::/1", "::/1"}, "::/0"},
		{Only, all, "0.0.0.0/0"},
		{Only, all[1:], ""},
		{Only, append(all[:100:100], all[101:]...), ""},
	} {
		reason, open := List{Mode: c.mode, Prefixes: prefixes(t, c.list...)}.Open()
		if open != (c.want != "") || !strings.Contains(reason, c.want) {
			t.Errorf("%d %.60v: %q, %v; want %q", c.mode, c.list, reason, open, c.want)
		}
	}
}

// FuzzList compares the search with the plain reading of a list.
func FuzzList(f *testing.F) {
	f.Add([]byte{10, 0, 0, 0, 8, 10, 1, 0, 0, 16, 0, 0, 0, 0, 0}, []byte{10, 1, 2, 3})
	f.Add([]byte{192, 0, 2, 0, 24, 192, 0, 3, 0, 24, 255, 255, 255, 255, 32}, []byte{255, 255, 255, 255})
	f.Fuzz(func(t *testing.T, list, who []byte) {
		var ps []netip.Prefix
		for ; len(list) >= 5; list = list[5:] {
			a := netip.AddrFrom4([4]byte(list[:4]))
			if list[4]&64 != 0 { // the same as a mapped prefix
				ps = append(ps, netip.PrefixFrom(netip.AddrFrom16(a.As16()), 96+int(list[4]&63)))
			} else {
				ps = append(ps, netip.PrefixFrom(a, int(list[4]&63)))
			}
		}
		if len(who) < 4 {
			return
		}
		addr := netip.AddrFrom4([4]byte(who))
		want := false
		for _, p := range ps {
			if p, ok := normPrefix(p); ok && p.Contains(addr) {
				want = true
			}
		}
		p := New(Options{Relay: List{Prefixes: ps}})
		if got := p.RelayClient(addr); got != want {
			t.Fatalf("%v in %v: %v, want %v", addr, ps, got, want)
		}
		if p.RelayClient(netip.AddrFrom16(addr.As16())) != want {
			t.Fatalf("%v mapped in %v: not %v", addr, ps, want)
		}
	})
}

func TestRelayDoesNotAllocateToSayYes(t *testing.T) {
	p := site(t)
	peer, to := client("192.0.2.7"), mail.Address{Local: "u", Domain: "remote.test"}
	if n := testing.AllocsPerRun(100, func() { p.Relay(peer, to); p.Connect(peer) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkRelay(b *testing.B) {
	var list []string
	for i := range 1000 {
		list = append(list, fmt.Sprintf("10.%d.%d.0/25", i/250, i%250))
	}
	p := New(Options{Relay: List{Prefixes: prefixes(b, list...)}})
	peer, to := client("10.3.200.1"), mail.Address{Local: "u", Domain: "remote.test"}
	for b.Loop() {
		p.Relay(peer, to)
	}
}
