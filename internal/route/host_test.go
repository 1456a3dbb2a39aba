package route

import (
	"errors"
	"strings"
	"testing"

	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/smtp"
)

func TestParseHost(t *testing.T) {
	for in, want := range map[string]string{
		"smtp.example.com":          "smtp.example.com",
		"SMTP.Example.com.":         "smtp.example.com",
		"smtp.example.com:587":      "smtp.example.com:587",
		"smtp.example.com.:587":     "smtp.example.com:587",
		"mailhost":                  "mailhost",
		"smtp_1.example.com":        "smtp_1.example.com",
		"bücher.example:25":         "xn--bcher-kva.example:25",
		"192.0.2.1":                 "[192.0.2.1]",
		"192.0.2.1:2525":            "[192.0.2.1]:2525",
		"[192.0.2.1]":               "[192.0.2.1]",
		"[192.0.2.1]:65535":         "[192.0.2.1]:65535",
		"2001:db8::1":               "[2001:db8::1]",
		"[2001:DB8::1]":             "[2001:db8::1]",
		"[2001:db8::1]:25":          "[2001:db8::1]:25",
		"[IPv6:2001:db8::1]:25":     "[2001:db8::1]:25",
		"::ffff:192.0.2.1":          "[192.0.2.1]",
		"fe80::1%eth0":              "[fe80::1%eth0]",
		"127.0.0.1:2526":            "[127.0.0.1]:2526",
		"a.b-c.d1.example.com:0025": "a.b-c.d1.example.com:25",
	} {
		h, err := ParseHost(in)
		if err != nil || h.String() != want {
			t.Errorf("%q: %q, %v; want %q", in, h.String(), err, want)
		}
		if (h.Name == "") != h.Addr.IsValid() {
			t.Errorf("%q: %+v has both or neither of name and address", in, h)
		}
	}
}

func TestParseHostRefuses(t *testing.T) {
	for in, want := range map[string]string{
		"":                   "empty: write a name",
		".":                  "the name is empty",
		"[192.0.2.1":         "closing bracket",
		"[192.0.2.1]25":      "only a colon and the port",
		"[192.0.2.1]:":       "the port is missing",
		"host:":              "the port is missing",
		"host:smtp":          "number from 1 to 65535",
		"host:0":             "number from 1 to 65535",
		"host:65536":         "number from 1 to 65535",
		"host:-1":            "number from 1 to 65535",
		"host:+25":           "number from 1 to 65535",
		"[mail.example.com]": "only an address may stand in brackets",
		"[]":                 "only an address may stand in brackets",
		"a:b:c":              "neither an IPv6 address nor host:port",
		"192.168.1":          "ends in a number",
		"1.2.3.4.5":          "ends in a number",
		"300.1.1.1":          "ends in a number",
		"a b":                "' ' cannot stand in a domain name",
		"a;b":                "';' cannot stand in a domain name",
		"smtp://example.com": "must be a number",
		"user@example.com":   "'@' cannot stand",
		"a..b":               "empty label",
		"0.0.0.0":            "not the address of a host",
		"[::]:25":            "not the address of a host",
		"224.0.0.1":          "not the address of a host",
		"*.example.com":      "'*' cannot stand",
	} {
		if h, err := ParseHost(in); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %+v, %v; want an error with %q", in, h, err, want)
		}
	}
}

// FuzzParseHost: what is read prints in a form that reads back the same.
func FuzzParseHost(f *testing.F) {
	for _, s := range []string{"a.example:25", "[::1]:25", "::1", "[192.0.2.1]", "fe80::1%a]:1", "bücher.example", "xn--bcher-kva.example."} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		h, err := ParseHost(s)
		if err != nil {
			return
		}
		again, err := ParseHost(h.String())
		if err != nil || again != h {
			t.Fatalf("%q: %+v prints as %q, which reads as %+v, %v", s, h, h.String(), again, err)
		}
	})
}

// FuzzHop: any domain gets a hop or a permanent mail error, never both, and the normal form of
// a domain is the same domain.
func FuzzHop(f *testing.F) {
	for _, s := range []string{"", "example.com", "a.open.test", "[127.0.0.1]", "[IPv6:::1]", "bücher.test", "xn--bcher-kva.test", "a\u3002b.test", "ﬀ.test"} {
		f.Add(s)
	}
	tab := newTable(f, Options{Domains: remotes(f)})
	f.Fuzz(func(t *testing.T, s string) {
		hop, err := tab.Hop(s)
		if (hop == nil) == (err == nil) {
			t.Fatalf("%q: %v and %v", s, hop, err)
		}
		tab.Explain(s)
		tab.AllowsRelay(s)
		if err != nil {
			if e, ok := err.(*mail.Error); !ok || !e.Permanent() || tab.Local(s) {
				t.Fatalf("%q: %v", s, err)
			}
			// What the server half takes as an ASCII domain must not fail here, but for one thing
			// that only an NDR can tell: a name that ends in a number.
			if plain(s) && smtp.ValidDomain(s) && !errors.Is(err, errAllDigits) {
				t.Fatalf("%q is taken in RCPT but has no route: %v", s, err)
			}
			return
		}
		if tab.Local(s) != hop.Local() {
			t.Fatalf("%q: Local = %v, hop %s", s, tab.Local(s), hop.Key)
		}
		if norm, err := NormalizeDomain(s); s != "" {
			again, err2 := NormalizeDomain(norm)
			if err != nil || err2 != nil || again != norm {
				t.Fatalf("%q: %q, then %q, %v", s, norm, again, err2)
			}
		}
	})
}
