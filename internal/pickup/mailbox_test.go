package pickup

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseList(t *testing.T) {
	for _, tc := range []struct {
		in   string
		want []string
		err  string // a part of it
	}{
		{"a@b.example", []string{"a@b.example"}, ""},
		{"  <a@b.example>\r\n", []string{"a@b.example"}, ""},
		{"", nil, ""},
		{" , ,\r\n", nil, ""},
		{`"Name" <a@b.example>`, []string{"a@b.example"}, ""},
		{`=?utf-8?B?SsO8cmdlbg==?= <a@b.example>`, []string{"a@b.example"}, ""},
		{`"=?utf-8?Q?J=C3=BCrgen,_Dr=2E?=" <a@b.example>`, []string{"a@b.example"}, ""},
		{`=?iso-8859-1?Q?M=FCller,_J?= <s@b.example>, c@d.example`, []string{"s@b.example", "c@d.example"}, ""},
		{`=?utf-8?Q?a@b,?=c@d.example`, nil, "no mail address"},
		{`=?x, a@b.example`, nil, "no mail address"},
		{`John Q. Public <j@b.example>`, []string{"j@b.example"}, ""},
		{"J\xfcrgen <j@b.example>", []string{"j@b.example"}, ""},
		{`[List] news <l@b.example>`, []string{"l@b.example"}, ""},
		{`[odd <l@b.example>`, []string{"l@b.example"}, ""},
		{`a@b.example (the boss (really), "x")`, []string{"a@b.example"}, ""},
		{`(c) a (c) @ (c) b . (c) example (c)`, []string{"a@b.example"}, ""},
		{`"quoted \" local, <x>"@b.example`, []string{`"quoted \" local, <x>"@b.example`}, ""},
		{`"Smith, Bob" <bob@b.example>, c@d.example`, []string{"bob@b.example", "c@d.example"}, ""},
		{"a@b.example,\r\n\tc@d.example,\r\n e@f.example", []string{"a@b.example", "c@d.example", "e@f.example"}, ""},
		{"a@b.example; c@d.example;", []string{"a@b.example", "c@d.example"}, ""},
		{"Team: Ann <a@b.example>, c@d.example;, e@f.example", []string{"a@b.example", "c@d.example", "e@f.example"}, ""},
		{"undisclosed-recipients:;", nil, ""},
		{"<@relay.example,@other.example:a@b.example>", []string{"a@b.example"}, ""},
		{"u@[192.0.2.1], u@[IPv6:2001:db8::1]", []string{"u@[192.0.2.1]", "u@[IPv6:2001:db8::1]"}, ""},
		{"fred", []string{"fred"}, ""},
		{"postmaster, fred <f@b.example>", nil, "not clear whether a comma"},
		{"Smith, Bob <bob@b.example>", nil, "not clear whether a comma"},
		{`Smith, "Bob" <bob@b.example>`, []string{"Smith", "bob@b.example"}, ""},
		{"fred, <f@b.example>", []string{"fred", "f@b.example"}, ""},
		{"us\u00e9r@b\u00fccher.example", []string{"us\u00e9r@b\u00fccher.example"}, ""},
		{"u%evil@local.example, evil!u@local.example", []string{"u%evil@local.example", "evil!u@local.example"}, ""}, // E7
		{"../../etc/passwd@b.example", []string{"../../etc/passwd@b.example"}, ""},                                   // E16
		{"<>", nil, "no recipient"},
		{"Bob Smith", nil, "no mail address"},
		{"a@b@c.example", nil, "no mail address"},
		{"a@b..example", nil, "no mail address"},
		{"a b@c.example", nil, "no mail address"},
		{"a@b.example c@d.example", nil, "no mail address"},
		{"<a@b.example> trailing", nil, "no mail address"},
		{"=?utf-8?B?SsO8cmdlbg==?=", nil, "no mail address"},
		{"\"open <a@b.example>", nil, "not closed"},
		{"(open a@b.example", nil, "not closed"},
		{"<a@b.example", nil, "not closed"},
		{"x: y: a@b.example;", nil, "no mail address"},
		{"r@b.example\r\n Bcc: foo@b.example", nil, "name of a group"},
		{"a@b.example, r@b.example Bcc: foo@b.example;", nil, "name of a group"},
		{`"r@b.example": foo@b.example;`, []string{"foo@b.example"}, ""},
		{"Team (t@b.example): foo@b.example;", []string{"foo@b.example"}, ""},
		{"a@b.example\x00", nil, "no mail address"},
		{"a\x1b@b.example", nil, `a\x1B@b.example`},
	} {
		got, err := parseList([]byte(tc.in), false)
		var text []string
		for _, a := range got {
			text = append(text, a.String())
		}
		if tc.err != "" {
			if err == nil || !strings.Contains(err.Error(), tc.err) {
				t.Errorf("%q: error %v, want %q", tc.in, err, tc.err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%q: %v", tc.in, err)
		}
		if d := cmp.Diff(tc.want, text); d != "" {
			t.Errorf("%q: %s", tc.in, d)
		}
	}
	if got, err := parseList([]byte(" <> \r\n"), true); err != nil || len(got) != 1 || !got[0].IsNull() {
		t.Errorf("the null sender: %v, %v", got, err)
	}
}

// Hostile lists take no longer than their length says.
func TestParseListIsLinear(t *testing.T) {
	for _, piece := range []string{"(", "\"", "<", "[", ",", "a@b.example,", "(a)", "\"a\" ", "a:", "a\r\n ", "[[[[", "<a>,", ".", "@"} {
		in := strings.Repeat(piece, 200_000/len(piece))
		// The time limit of the test is the bound: a quadratic parser needs minutes.
		_, _ = parseList([]byte(in), false)
	}
}

func FuzzParseList(f *testing.F) {
	for _, s := range []string{"a@b.example", `"N, N" <a@b>, G: c@d;`, "(c) a . b @ [192.0.2.1]", "<@x:a@b>", "=?utf-8?Q?x?= <a@b>"} {
		f.Add([]byte(s), true)
	}
	f.Fuzz(func(t *testing.T, in []byte, null bool) {
		got, err := parseList(in, null)
		if err != nil {
			if len(got) != 0 {
				t.Error("addresses beside an error")
			}
			if strings.ContainsFunc(err.Error(), func(r rune) bool { return r < ' ' || r == 0x7f }) {
				t.Errorf("%q is shown raw: %q", in, err)
			}
		}
		for _, a := range got {
			if a.IsNull() {
				if !null {
					t.Errorf("%q: a null recipient", in)
				}
				continue
			}
			// Each address is one by itself, and the same one.
			again, err := parseList([]byte("<"+a.String()+">"), null)
			if err != nil || len(again) != 1 || again[0] != a {
				t.Errorf("%q: %q reads as %v, %v", in, a, again, err)
			}
		}
	})
}
