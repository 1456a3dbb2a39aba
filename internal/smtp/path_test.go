package smtp

import (
	"strings"
	"testing"

	"github.com/mailroot/mailroot/internal/mail"
)

func rep(s string, n int) string { return strings.Repeat(s, n) }

func TestParseAddress(t *testing.T) {
	for _, tc := range []struct{ in, local, domain string }{
		{"a@example.org", "a", "example.org"},
		{"a.b+c@EXAMPLE.org", "a.b+c", "EXAMPLE.org"},
		{"a", "a", ""},
		{`"a b"@example.org`, `"a b"`, "example.org"},
		{`"a\"b@c>"@example.org`, `"a\"b@c>"`, "example.org"},
		{`""@example.org`, `""`, "example.org"},
		{"a@[192.0.2.1]", "a", "[192.0.2.1]"},
		{"a@[IPv6:2001:db8::1]", "a", "[IPv6:2001:db8::1]"},
		{"a@[ipv6:::1]", "a", "[ipv6:::1]"},
		{"a@localhost", "a", "localhost"},
		{"a@_x.example.org", "a", "_x.example.org"}, // E9: an underscore is allowed
		{"a@1.example", "a", "1.example"},
		{"a..b.@example.org", "a..b.", "example.org"}, // such mailboxes exist
		{rep("a", 64) + "@example.org", rep("a", 64), "example.org"},
		{"a@" + rep("b", 63) + ".org", "a", rep("b", 63) + ".org"},
		{"a@xn--bcher-kva.example", "a", "xn--bcher-kva.example"},
		{"ü@bücher.example", "ü", "bücher.example"},
		{"a@аррlе.example", "a", "аррlе.example"}, // E10: mixed scripts are taken
		{"u%evil@example.org", "u%evil", "example.org"},
		{"evil!u@example.org", "evil!u", "example.org"},
		{`"u@evil"@example.org`, `"u@evil"`, "example.org"},
		{"=?utf-8?q?=00?=@example.org", "=?utf-8?q?=00?=", "example.org"}, // E11: no decoding
		{"%0d%0a@example.org", "%0d%0a", "example.org"},
		{"$HOME`x`|y&z@example.org", "$HOME`x`|y&z", "example.org"}, // E16
		{"../CON@example.org", "../CON", "example.org"},
	} {
		a, err := ParseAddress(tc.in)
		if err != nil || a.Local != tc.local || a.Domain != tc.domain {
			t.Errorf("%q: %q, %q, %v", tc.in, a.Local, a.Domain, err)
		}
	}
	for _, in := range []string{
		"", "@", "@example.org", "a@", "a b@example.org", "a@b c", "a@@b", "<a@b>", "a@b>", "a:b@example.org",
		"u@evil@example.org", // E7
		`"a@example.org`, `"a"b@example.org`, `"a\`, "\"a\x01\"@example.org", "\"\\\xc3\xbc\"@example.org",
		rep("a", 65) + "@example.org", "a@" + rep("b", 64) + ".org", "a@" + rep("b.", 128) + "b", // E9
		"a@b..c", "a@.b", "a@b.", "a@b:25", "a@-b", "a@b-.c", "a@b_/c",
		"a@[192.0.2]", "a@[192.0.2.1", "a@[]", "a@[2001:db8::1]", "a@[IPv6:192.0.2.1]", "a@[IPv6:fe80::1%eth0]",
		"a@[x-tag:abc]", "a@[192.0.2.256]",
		"a@\u02d8.example",                                         // E10: IDNA makes a blank of it
		"a@xn--a", "a@xn--.example", "a@xn--zzzzzzzz99999.example", // E10: no A-label
		"a\xff@example.org", "a\xc0\xaf@example.org", "a\xed\xa0\x80@example.org", "a\u0085@example.org",
		"a@\u2488.example", rep("ü", 33) + "@example.org", "a@" + rep("ü", 64) + ".example", "(c)a@example.org", "a,b@c", `a\@b@c`,
	} {
		if a, err := ParseAddress(in); err != ErrAddress {
			t.Errorf("%q: %q, %v; want ErrAddress", in, a, err)
		}
	}
}

func TestLiteralAddr(t *testing.T) {
	for in, want := range map[string]string{
		"[192.0.2.1]": "192.0.2.1", "[IPv6:::1]": "::1", "[IPv6:::ffff:192.0.2.1]": "::ffff:192.0.2.1",
	} {
		if a, ok := LiteralAddr(in); !ok || a.String() != want {
			t.Errorf("%q: %v, %v", in, a, ok)
		}
	}
	for _, in := range []string{"", "[", "]", "[]", "192.0.2.1", "[IPv6:]", "[::1]", "[bad literal]"} {
		if a, ok := LiteralAddr(in); ok {
			t.Errorf("%q: %v", in, a)
		}
	}
}

func FuzzParseAddress(f *testing.F) {
	for _, s := range []string{"a@b", `"a b"@[IPv6:::1]`, "ü@xn--bcher-kva.example", "a@b.", "@a:b@c"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, in string) {
		a, err := ParseAddress(in)
		if err != nil {
			if err != ErrAddress {
				t.Fatalf("%q: %v", in, err)
			}
			return
		}
		if a.String() != in {
			t.Fatalf("%q became %q", in, a.String())
		}
		checkAddress(t, a)
		// What is accepted can be sent on: it comes back from the path of a command.
		s, err := ParseMail("FROM:<"+in+"> SMTPUTF8", Internal)
		if err != nil || s.Addr != a {
			t.Fatalf("%q as a path: %q, %v", in, s.Addr, err)
		}
	})
}

// checkAddress fails for an address that would be dangerous in a command, file or log.
func checkAddress(t *testing.T, a mail.Address) {
	t.Helper()
	for _, r := range a.String() {
		if r < ' ' || r >= 0x7f && r <= 0x9f {
			t.Fatalf("control character in %q", a.String())
		}
	}
	if len(a.Local) > maxLocalPart || len(a.Domain) > maxDomain || strings.ContainsAny(a.Domain, " <>@\",;") {
		t.Fatalf("accepted %q", a.String())
	}
}
