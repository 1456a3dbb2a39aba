package route

import (
	"testing"

	"github.com/mailroot/mailroot/internal/mail"
)

// TestHopTo: the hop of an operator is that of a smart host of the same text, under the terms of the site.
func TestHopTo(t *testing.T) {
	smart, err := ParseHost("smart.example.net")
	if err != nil {
		t.Fatal(err)
	}
	table, err := New(Options{
		SmartHost: []mail.Host{smart}, Port: 2525, TLS: mail.TLSRequired,
		Domains: []Domain{{Name: "example.com", Kind: Default}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for text, key := range map[string]string{
		"Smart.Example.net": "smart.example.net:2525",
		"other.test:587":    "other.test:587",
		"192.0.2.1":         "[192.0.2.1]:2525",
		"[2001:db8::1]:26":  "[2001:db8::1]:26",
	} {
		h, err := table.HopTo(text)
		if err != nil || h.Key != key || h.Kind != mail.HopHosts || h.TLS != mail.TLSRequired {
			t.Errorf("%s: %+v, %v", text, h, err)
		}
	}
	byRoute, err := table.Hop("example.org")
	byOperator, err2 := table.HopTo("smart.example.net")
	if err != nil || err2 != nil || byRoute != byOperator {
		t.Errorf("two hops for one smart host: %v, %v, %v, %v", byRoute, byOperator, err, err2)
	}
	for _, text := range []string{"", "a b", "[192.0.2.1", "x.test:0", "a.test,b.test"} {
		if h, err := table.HopTo(text); err == nil {
			t.Errorf("%q: %+v", text, h)
		}
	}
}
