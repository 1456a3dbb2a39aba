package config

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestSizes(t *testing.T) {
	for text, want := range map[string]int64{"0": 0, "1": 1, "2048KB": 2048 << 10, "10MB": 10 << 20, "3GB": 3 << 30} {
		if n, ok := parseSize(text); !ok || n != want {
			t.Errorf("%s: %d %v", text, n, ok)
		}
	}
	for _, text := range []string{"", "KB", "10 MB", "10mb", "1.5MB", "-1", "+1", "0x10", "10TB", "9223372036854775807KB", "99999999999999999999"} {
		if n, ok := parseSize(text); ok {
			t.Errorf("%q is accepted as %d", text, n)
		}
	}
}

func TestTimes(t *testing.T) {
	for text, want := range map[string]int64{"0s": 0, "600s": 600, "60m": 3600, "12h": 43200, "2d": 172800, "1d12h": 129600, "1h30m5s": 5405} {
		if n, ok := parseSeconds(text); !ok || n != want {
			t.Errorf("%s: %d %v", text, n, ok)
		}
	}
	for _, text := range []string{"", "s", "600", "1.5h", "-1s", "10 m", "1m1h", "1s1s", "1w", "5ms", "99999999999d", "1H"} {
		if n, ok := parseSeconds(text); ok {
			t.Errorf("%q is accepted as %d", text, n)
		}
	}
}

// TestFormats: what is formatted is read back as the same.
func TestFormats(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Int64Range(0, 1<<62).Draw(t, "size")
		if got, ok := parseSize(strings.Trim(FormatSize(n), `"`)); !ok || got != n {
			t.Fatalf("size %d: %s", n, FormatSize(n))
		}
		sec := rapid.Int64Range(0, 1e9).Draw(t, "seconds")
		d := time.Duration(sec) * time.Second
		if got, ok := parseSeconds(strings.Trim(FormatTime(d), `"`)); !ok || got != sec {
			t.Fatalf("time %s: %s", d, FormatTime(d))
		}
	})
}

// TestQuote: any text that a setting may hold, and more, survives as a literal.
func TestQuote(t *testing.T) {
	check := func(fatal func(string, ...any), s string) {
		l, f := parseLiteral(quote(s))
		if f != nil {
			fatal("%q: %s: %s", s, quote(s), f.message)
		} else if l.kind != litString || l.s != s {
			fatal("%q: %s comes back as %q", s, quote(s), l.s)
		}
	}
	for _, s := range []string{"", `C:\Mail`, `"`, "${x}", "$${x}", "$$${x}", "%{if}", "%%%{", "$", "${", "a\tb\r\n\x00\x7f", "\ufeff", "é…", `\${`} {
		check(t.Errorf, s)
	}
	rapid.Check(t, func(t *rapid.T) {
		check(t.Fatalf, rapid.StringOf(rapid.OneOf(rapid.SampledFrom([]rune("$%{}\"\\n~")), rapid.Rune().Filter(normalRune))).Draw(t, "text"))
	})
}

func TestNearest(t *testing.T) {
	names := []string{"inbound_limit", "inbound_timeout", "outbound_limit", "tls", "profile"}
	for word, want := range map[string]string{
		"inbound_limt": "inbound_limit", "inboundlimit": "inbound_limit", "inbound-limit": "inbound_limit", "timeout": "inbound_timeout",
		"TLS": "tls", "tsl": "tls", "profil": "profile", "prifole": "profile", "x": "", "": "", "something_else": "",
		strings.Repeat("x", 1000): "",
	} {
		if got := nearest(word, names); got != want {
			t.Errorf("%s: %q, want %q", word, got, want)
		}
	}
}

// normalRune excludes what HCL brings to another form (NFC) and half a character.
func normalRune(r rune) bool { return r < 0x300 }
