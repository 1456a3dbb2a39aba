package message

import (
	"bytes"
	"strings"
	"testing"
)

// masked returns a From field as it leaves with home.test masqueraded.
func masked(t *testing.T, field string) string {
	t.Helper()
	msg := "From:" + field + "\r\n\r\n"
	c, _ := scan(msg, 0, false)
	w := Rewrites{Masquerade: "new.test", Local: func(d string) bool { return strings.EqualFold(d, "home.test") }}
	s, err := NewSpliced(strings.NewReader(msg), int64(len(msg)), splices(t, &w, c.Edits, msg))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if _, err := s.WriteTo(&out); err != nil {
		t.Fatal(err)
	}
	return strings.TrimSuffix(strings.TrimPrefix(out.String(), "From:"), "\r\n\r\n")
}

// Whatever else a From field holds, no address in it keeps a domain that is masqueraded, and what is no
// address stays. «home.test» in the table is a domain that changes; it may be written in an odd way.
func TestFromMasqueraded(t *testing.T) {
	for _, field := range []string{
		// as RFC 5322 has it
		` a@«home.test»`,
		` A <a@«home.test»>, b@far.test, "b" <b@«HOME.test»>`,
		` Team: A <a@«home.test»>, b@«home.test»;`,
		" <a@\r\n «home.test»>",
		" <a@«home.\r\n\ttest»>",
		` a @ «home . test»`,
		` a(c)@(d@e)«home.test»(f)`,
		` A <a@(d)«home(x@y).test» (f)>`,
		` <@x.test,@home.test:a@«home.test»>`,
		` <@x.test , , (c) @[192.0.2.1]:a@home.test>`, // no name in the route: not sure
		` "a b" . c@«home.test»`,
		` "a@home.test" <"a@home.test"@«home.test»>`,
		// everyday mistakes
		` [Support] <a@«home.test»>`,
		` Support: Team <a@«home.test»>`,
		` R&D; Ops <a@«home.test»>`,
		` a@«home.test»; b@«home.test»`,
		` "A" a@«home.test»`,
		` Ann Lee a@«home.test» (Ann)`,
		` <<a@«home.test»>>`,
		` a@«home.test».`,
		` <a@«home.test».>`,
		` <.a..b.@«home.test»>`,
		` A "Bob <a@«home.test»>`,
		` A (Bob <a@«home.test»>`,
		` Smith, A <a@«home.test»>`,
		` a@far.test, )odd\, <b@«home.test»>, c @ «home.test»`,
		` a@far.test <b@«home.test»>`,
		` a@b@c, <a@«home.test»>`,
		` =?utf-8?Q?=C3=84?= <a@«home.test»>`,
		// no addresses, or not surely
		``,
		` home.test`,
		` @home.test`,
		` A <@home.test>`,
		` <@a b@home.test>`,
		` a@home.test@far.test`,
		` a@@home.test`,
		` <a@home.test b>`,
		` <a b@home.test>`,
		` a@home.test b`,
		` a@home.test:`,
		` a@home.test <b@far.test>`,
		` "a@home.test" b`,
		` (a@home.test) b@far.test`,
		` =?utf-8?Q?a@home.test?= <b@far.test>`,
		` a@[home.test]`,
		` a@xhome.test, a@home.testx, a@x.home.test`,
		` mailto:<b@far.test> a\@home.test`,
	} {
		in := strings.NewReplacer("«", "", "»", "").Replace(field)
		var want strings.Builder
		for rest := field; rest != ""; {
			before, after, ok := strings.Cut(rest, "«")
			want.WriteString(before)
			if !ok {
				break
			}
			want.WriteString("new.test")
			_, rest, _ = strings.Cut(after, "»")
		}
		if got := masked(t, in); got != want.String() {
			t.Errorf("in   %q\ngot  %q\nwant %q", in, got, want.String())
		}
	}
}

// P3: what is opened and not closed is not looked for again and again.
func TestFromListP3(t *testing.T) {
	for _, odd := range []string{"<", "(", "\"", "\\\"", "(\\", "<(", "<\"", "<@", "<@a,", "a.", "a@", "a .", "<a.", "<a@(", "a ", "(a) ", "<@a:"} {
		field := " " + strings.Repeat(odd, 80_000) + " , <a@home.test>"
		if got := masked(t, field); len(got) != len(field) && len(got) != len(field)-len("home")+len("new") {
			t.Errorf("%q: %d octets became %d", odd, len(field), len(got))
		}
	}
}

func FuzzFromList(f *testing.F) {
	f.Add(` [x] <@r,@s:a(c)@ (d) b. test.>; "q" a @ b, <<a@b>>, (o`)
	f.Fuzz(func(t *testing.T, b string) {
		var l fromList
		end := 0
		for _, a := range l.parse([]byte(b)) {
			if a.start < end || a.end > len(b) || a.end < a.start+2 || b[a.start] != '@' || a.bare {
				t.Fatalf("span %v after %d in %q", a, end, b)
			}
			end = a.end
			domain, name := oddDomain([]byte(b[a.start:a.end]))
			if len(name) == 0 || len(name) > len(domain) || strings.ContainsAny(name, "@<>()\" \t\r\n,;:") || strings.HasSuffix(name, ".") {
				t.Fatalf("domain %q, name %q in %q", domain, name, b)
			}
		}
	})
}
