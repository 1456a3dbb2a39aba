package message

import (
	"fmt"
	"strings"
	"testing"
)

// marked returns b with addr-specs in «», bare ones followed by "!".
func marked(b string) string {
	var l addressList
	var out strings.Builder
	pos := 0
	for _, a := range l.parse([]byte(b)) {
		fmt.Fprintf(&out, "%s«%s»", b[pos:a.start], b[a.start:a.end])
		if a.bare {
			out.WriteByte('!')
		}
		pos = a.end
	}
	return out.String() + b[pos:]
}

func TestAddressList(t *testing.T) {
	for _, want := range []string{
		// plain
		` «fred@example.com»`,
		` «fred»!`,
		` «fred.smith»!, «bob@example.com»`,
		` <«fred»!>`,
		` <«fred@example.com»>`,
		` Fred Smith <«fred»!>`,
		` Fred Q. Smith <«fred@example.com»>`,
		` "Smith, Fred" <«fred»!>, «joe»!`,
		` "a \" <b> , c" <«fred@example.com»>`,
		` <«"fred smith"»!>`,
		` <«"fred smith"@example.com»>`,
		` «"fred smith"@example.com»`,
		` «u@[192.0.2.1]», <«u@[IPv6:2001:db8::1]»>`,
		` «fred»! (Fred (the one) Smith)`,
		` (a comment, with \) comma) «fred@example.com»`,
		"\r\n\t«fred»!,\r\n \"Bob\"\r\n <«bob@example.com»>",
		` , ,«fred@example.com»,, «bob»!,`,
		` fred@example.com <«fred@example.com»>`,
		` müller <«müller@example.com»>`,
		// groups
		` undisclosed-recipients:;`,
		` Team: Bob <«bob@example.com»>, «fred»!;, «joe@example.com»`,
		` A:;, B:«b»!;`,
		// encoded-words are text
		` =?utf-8?Q?Fred?=`,
		` =?utf-8?Q?Fred?= <«fred»!>`,
		` <=?utf-8?Q?Fred?=>`,
		` =?utf-8?Q?Smith,_Fred?= <«fred@example.com»>`,
		// not sure, so nothing
		` Fred Smith`,
		` "Fred Smith"`,
		` Smith, Fred <«fred@example.com»>`,
		` Smith, Fred, PhD <«fred@example.com»>`,
		` joe, Fred <«fred@example.com»>, «bob»!`,
		` «joe»!, "Fred" <«fred@example.com»>`,
		` «joe»!, <«fred@example.com»>`,
		` <>`,
		` <@a.example,@b.example:u@example.com>`,
		` fred @ example.com`,
		` fred@`,
		` @example.com`,
		` <fred smith>`,
		` fred..smith`,
		` .fred`,
		` a@b@c`,
		` host!fred`,
		` fred%host`,
		` müller`,
		` <müller>`,
		` fred; bob`,
		` fred, <bob`,
		` fred, (bob`,
		` fred, "bob`,
		` Team: fred, bob`,
		` fred, bob>`,
		` fred, [bob]`,
		` fred, bo\b`,
		` <fred> joe`,
		` fred, u@[192.0.2.1`,
		"",
		" \r\n",
	} {
		in := strings.NewReplacer("«", "", "»!", "", "»", "").Replace(want)
		if got := marked(in); got != want {
			t.Errorf("in   %q\ngot  %q\nwant %q", in, got, want)
		}
	}
}

// P3: depth costs nothing, and many addresses cost no more than their octets.
func TestAddressListP3(t *testing.T) {
	deep := strings.Repeat("(", 100_000) + strings.Repeat(")", 100_000) + "fred"
	if got := marked(deep); !strings.HasSuffix(got, "«fred»!") {
		t.Errorf("nested comments hide the address: %q", got[len(got)-20:])
	}
	var l addressList
	if n := len(l.parse([]byte(strings.Repeat("a,", 100_000)))); n != 100_000 {
		t.Errorf("%d addresses, want 100000", n)
	}
}

func FuzzAddressList(f *testing.F) {
	f.Add(` Fred <fred>, "x" <a@b>, (c) Team: d;, e`)
	f.Add(` =?utf-8?Q?x?= <@a:b@c>, u@[::1]`)
	f.Fuzz(func(t *testing.T, b string) {
		var l addressList
		end := 0
		for _, a := range l.parse([]byte(b)) {
			if a.start < end || a.end <= a.start || a.end > len(b) {
				t.Fatalf("span %v after %d in %q", a, end, b)
			}
			spec := b[a.start:a.end]
			if a.bare && strings.Contains(spec, "@") && spec[0] != '"' {
				t.Fatalf("bare %q in %q", spec, b)
			}
			if !a.bare && !strings.Contains(spec, "@") {
				t.Fatalf("full %q in %q", spec, b)
			}
			if spec[0] == '.' || spec[0] == ' ' {
				t.Fatalf("span begins with %q", spec[0])
			}
			end = a.end
		}
	})
}
