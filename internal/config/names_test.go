package config

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/mailroot/mailroot/internal/mail"
)

func TestParseHost(t *testing.T) {
	ip := netip.MustParseAddr
	for text, want := range map[string]mail.Host{
		"smtp.example.com":      {Name: "smtp.example.com"},
		"SMTP.Example.COM:587":  {Name: "smtp.example.com", Port: 587},
		"mail_server":           {Name: "mail_server"},
		"bücher.example":        {Name: "bücher.example"},
		"192.0.2.7":             {Addr: ip("192.0.2.7")},
		"192.0.2.7:2525":        {Addr: ip("192.0.2.7"), Port: 2525},
		"[192.0.2.7]":           {Addr: ip("192.0.2.7")},
		"[192.0.2.7]:25":        {Addr: ip("192.0.2.7"), Port: 25},
		"2001:db8::1":           {Addr: ip("2001:db8::1")},
		"[2001:db8::1]:25":      {Addr: ip("2001:db8::1"), Port: 25},
		"[::ffff:192.0.2.7]:25": {Addr: ip("192.0.2.7"), Port: 25},
	} {
		got, message, _ := parseHost(text)
		if message != "" || got != want {
			t.Errorf("%s: %v %s", text, got, message)
		}
		if again, message, _ := parseHost(got.String()); message != "" || again != got {
			t.Errorf("%s does not come back: %v %s", got, again, message)
		}
	}
	for text, suggest := range map[string]string{
		"": "", "smtp.example.com.": `"smtp.example.com"`, "smtp://mx.example.com": "", "mx.example.com:0": "",
		"mx.example.com:65536": "", "mx.example.com:+25": "", "mx.example.com:": "", "a..b": "", "-a.test": "", "a b": "",
		"10.0.0.300": "", "[mx.example.com]": "", "[192.0.2.7": "", "[192.0.2.7]25": "", "[192.0.2.7]:x": "",
		"0.0.0.0": "", "::": "", "224.0.0.1": "", "fe80::1%eth0": "", "a\x00b": "", "\xff": "",
		strings.Repeat("a", 64) + ".test": "", strings.Repeat("a.", 127): "",
	} {
		if _, message, got := parseHost(text); message == "" || got != suggest {
			t.Errorf("%q: message %q, suggests %s", text, message, got)
		}
	}
}

func TestParseBinding(t *testing.T) {
	for text, want := range map[string]string{
		"*:25": "*:25", ":25": "*:25", "0.0.0.0:25": "0.0.0.0:25", "[::]:25": "[::]:25", "192.0.2.1:2525": "192.0.2.1:2525",
		"[2001:DB8:0::1]:465": "[2001:db8::1]:465", "127.0.0.1:0": "127.0.0.1:0", "[::ffff:192.0.2.1]:25": "192.0.2.1:25",
	} {
		b, message, _ := parseBinding(text)
		if message != "" || b.Address != want || b.IP.IsValid() != !strings.HasPrefix(want, "*") {
			t.Errorf("%s: %+v %s", text, b, message)
		}
	}
	for text, suggest := range map[string]string{
		"": "", "25": `"*:25"`, "99999": "", "::1:25": `"[::1]:25"`, "2001:db8::7:2525": `"[2001:db8::7]:2525"`, "::1": `"[::1]:25"`, "*": "", "192.0.2.1": `"192.0.2.1:25"`, "2001:db8::1": `"[2001:db8::1]:25"`,
		"localhost:25": `"127.0.0.1:25"`, "relay.example.com:25": "", "*:65536": "", "*:smtp": "", "*:00": "",
		"2001:db8::1:99999": "", "192.0.2.1:": "", "[192.0.2.1:25": "", "224.0.0.1:25": "", "[fe80::1%eth0]:25": "",
	} {
		if _, message, got := parseBinding(text); message == "" || got != suggest {
			t.Errorf("%q: message %q, suggests %s", text, message, got)
		}
	}
}

func TestParseNetwork(t *testing.T) {
	for text, want := range map[string]string{
		"192.0.2.7": "192.0.2.7/32", "2001:db8::/32": "2001:db8::/32", "::1": "::1/128", "0.0.0.0/0": "0.0.0.0/0",
		"192.0.2.0/255.255.255.0": "192.0.2.0/24", "192.0.2.0, 255.255.255.128": "192.0.2.0/25", "10.0.0.0/8": "10.0.0.0/8",
		"192.0.2.7/255.255.255.255": "192.0.2.7/32", "0.0.0.0/0.0.0.0": "0.0.0.0/0",
	} {
		if p, message, _ := parseNetwork(text); message != "" || p.String() != want {
			t.Errorf("%s: %s %s", text, p, message)
		}
	}
	for text, suggest := range map[string]string{
		"": "", "192.0.2.7/24": `"192.0.2.0/24"`, "192.0.2.0/33": "", "192.0.2.0/024": "", "192.0.2.0/-1": "", "::/129": "",
		"192.0.2.0/255.0.255.0": "", "2001:db8::/255.255.0.0": "", "fe80::1%eth0": "", "192.0.2": "", "192.0.2.0/": "",
	} {
		if _, message, got := parseNetwork(text); message == "" || got != suggest {
			t.Errorf("%q: message %q, suggests %s", text, message, got)
		}
	}
	if _, message, _ := parseNetwork("partner.example"); !strings.Contains(message, notAvailable) {
		t.Errorf("a domain name: %s", message)
	}
}

func TestDomainsAndMailboxes(t *testing.T) {
	for _, text := range []string{"example.com", "*.example.com", "localhost", "xn--bcher-kva.example", "bücher.example", "a_b.test"} {
		if message, _ := checkDomainPattern(text); message != "" {
			t.Errorf("%s: %s", text, message)
		}
	}
	for text, suggest := range map[string]string{
		"": "", "*": "", "*.": "", "a.*.test": "", ".example.com": `"*.example.com"`, "example.com.": `"example.com"`,
		"*.example.com.": `"*.example.com"`, "user@example.com": `"example.com"`, "192.0.2.1": "", "[192.0.2.1]": "",
	} {
		if message, got := checkDomainPattern(text); message == "" || got != suggest {
			t.Errorf("%q: message %q, suggests %s", text, message, got)
		}
	}
	if a, message, _ := parseMailbox("A.B+c@Example.COM"); message != "" || a != (mail.Address{Local: "A.B+c", Domain: "example.com"}) {
		t.Errorf("%v %s", a, message)
	}
	for _, text := range []string{"", "postmaster", "@example.com", "a@", "a b@example.com", "<a@example.com>", "a@b@example.com",
		strings.Repeat("a", 65) + "@example.com", "a@-x.test"} {
		if _, message, _ := parseMailbox(text); message == "" {
			t.Errorf("%q is accepted", text)
		}
	}
}
