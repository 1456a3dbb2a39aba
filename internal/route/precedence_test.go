package route

import (
	"math/rand/v2"
	"testing"

	"github.com/mailroot/mailroot/internal/mail"
)

// Route, relay, TLS, HELO and connections all come from the one entry that wins: the exact one, else the
// longest wildcard, whatever the order of the list. "*.x" does not cover x.
func TestPrecedence(t *testing.T) {
	tls := func(v mail.HopTLS) *mail.HopTLS { return &v }
	list := []Domain{
		{Name: "c.b.a.test", Kind: Remote, Route: hosts(t, "[10.0.0.1]"), TLS: tls(mail.TLSRequired), MaxConnections: 1, AllowRelay: true},
		{Name: "*.b.a.test", Kind: Remote, Route: hosts(t, "[10.0.0.2]"), TLS: tls(mail.TLSVerified), MaxConnections: 2},
		{Name: "*.a.test", Kind: Remote, Route: hosts(t, "[10.0.0.3]"), TLS: tls(mail.TLSOff), MaxConnections: 3, AllowRelay: true, UseHELO: true},
		{Name: "*.test", Kind: Remote, MaxConnections: 4}, // no route: the smart host, under its own terms
		{Name: "local.a.test", Kind: Alias},
	}
	type answer struct {
		host  string
		tls   mail.HopTLS
		conn  int
		relay bool
		helo  bool
	}
	want := map[string]answer{
		"c.b.a.test":     {"[10.0.0.1]", mail.TLSRequired, 1, true, false},
		"C.B.a.TEST":     {"[10.0.0.1]", mail.TLSRequired, 1, true, false},
		"d.c.b.a.test":   {"[10.0.0.2]", mail.TLSVerified, 2, false, false},
		"x.b.a.test":     {"[10.0.0.2]", mail.TLSVerified, 2, false, false},
		"b.a.test":       {"[10.0.0.3]", mail.TLSOff, 3, true, true},
		"xb.a.test":      {"[10.0.0.3]", mail.TLSOff, 3, true, true},
		"x.local.a.test": {"[10.0.0.3]", mail.TLSOff, 3, true, true},
		"a.test":         {"smart.example", mail.TLSOpportunistic, 4, false, false},
		"test":           {"smart.example", mail.TLSOpportunistic, 0, false, false},
		"a.testing":      {"smart.example", mail.TLSOpportunistic, 0, false, false},
		"local.a.test":   {"drop", 0, 0, false, false},
	}
	rnd := rand.New(rand.NewPCG(1, 1))
	for range 20 {
		rnd.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
		tab := newTable(t, Options{Domains: list, SmartHost: hosts(t, "smart.example")})
		for domain, w := range want {
			h, err := tab.Hop(domain)
			if err != nil {
				t.Fatal(err)
			}
			got := answer{"drop", h.TLS, h.MaxConnections, tab.AllowsRelay(domain), h.UseHELO}
			if !h.Local() {
				got.host = h.Hosts[0].String()
			}
			if got != w {
				t.Fatalf("%s in %v: %+v, want %+v", domain, list, got, w)
			}
		}
	}
}
