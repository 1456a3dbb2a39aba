package policy

import (
	"testing"

	"github.com/mailroot/mailroot/internal/smtp"
)

// TestR1FormsOnTheWire takes the classic forms as a client writes them, through the parser: what
// gets past it must be refused to a stranger, unless it is mail for ourselves.
func TestR1FormsOnTheWire(t *testing.T) {
	const (
		syntax = "syntax" // the parser refuses it
		refuse = "refuse" // the policy does
		local  = "local"  // taken, into our own domain
	)
	p := site(t)
	stranger := client("203.0.113.9")
	for _, c := range []struct{ arg, want string }{
		{"TO:<victim@remote.test>", refuse},
		{"TO:victim@remote.test", refuse},
		{"TO: <victim@remote.test>", refuse},
		{"TO:<user@local.test>", local},
		{"TO:<user>", local},
		{"TO:<postmaster>", local},
		{"TO:<Postmaster@[127.0.0.1]>", refuse},
		{"TO:<victim%remote.test@local.test>", local},
		{"TO:<victim%remote.test>", local},
		{"TO:<victim%remote.test@[203.0.113.1]>", refuse},
		{"TO:<remote.test!victim@local.test>", local},
		{"TO:<remote.test!victim>", local},
		{"TO:<remote.test!victim@[203.0.113.1]>", refuse},
		{`TO:<"victim@remote.test"@local.test>`, local},
		{`TO:<"victim@remote.test">`, local},
		{`TO:<"victim%remote.test"@local.test>`, local},
		{`TO:<"victim"@remote.test>`, refuse},
		{"TO:<@local.test:victim@remote.test>", refuse},
		{"TO:<@local.test,@alias.test:victim@remote.test>", refuse},
		{"TO:<@remote.test:user@local.test>", local},
		{"TO:<@[127.0.0.1]:victim@remote.test>", refuse},
		{"TO:<victim@remote.test@local.test>", syntax},
		{"TO:<user@local.test@remote.test>", syntax},
		{"TO:<victim@remote.test.>", syntax},
		{"TO:<victim@local.test.>", syntax},
		{"TO:<victim@local.test:25>", syntax},
		{"TO:<victim@local.test,remote.test>", syntax},
		{"TO:<victim@remote.test> <user@local.test>", syntax},
		{"TO:<user@local.test\x00@remote.test>", syntax},
		{"TO:<>", syntax},
		{"TO:<@>", syntax},
		{"TO:<@local.test>", syntax},
		{"TO:<victim@[203.0.113.1]>", refuse},
		{"TO:<victim@[IPv6:2001:db8::1]>", refuse},
		{"TO:<victim@[127.0.0.1]>", refuse},
		{"TO:<victim@[IPv6:::ffff:127.0.0.1]>", refuse},
		{"TO:<victim@[198.51.100.25]>", refuse},
	} {
		for _, profile := range []smtp.Profile{smtp.Internal, smtp.Internet} {
			rcpt, err := smtp.ParseRcpt(c.arg, profile, false)
			if err != nil {
				// Some forms are an error of syntax for the Internet only.
				if c.want != syntax && profile == smtp.Internal {
					t.Errorf("%q: %v", c.arg, err)
				}
				continue
			}
			d := p.Relay(stranger, rcpt.Addr)
			switch {
			case c.want == syntax:
				t.Errorf("%q was read as %v", c.arg, rcpt.Addr)
			case d.Allow != (c.want == local):
				t.Errorf("%q, read as %v: Allow = %v (%s)", c.arg, rcpt.Addr, d.Allow, d.Reason)
			}
		}
	}
}
