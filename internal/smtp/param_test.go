package smtp

import (
	"strconv"
	"strings"
	"testing"

	"github.com/mailroot/mailroot/internal/mail"
)

var profiles = []Profile{Internal, Internet, Submission}

func TestParseMail(t *testing.T) {
	ab := mail.Address{Local: "a", Domain: "b"}
	for _, tc := range []struct {
		in   string
		want mail.Sender
	}{
		{"FROM:<a@b>", mail.Sender{Addr: ab}},
		{"from:<a@b>", mail.Sender{Addr: ab}},
		{"FROM: <a@b>", mail.Sender{Addr: ab}}, // E2
		{"FROM:<>", mail.Sender{}},
		{"FROM:<> BODY=8BITMIME", mail.Sender{Body: mail.Body8BitMIME}},
		{"FROM:<@x,@y.z:a@b>", mail.Sender{Addr: ab}}, // E6
		{"FROM:<@[IPv6:::1]:a@b>", mail.Sender{Addr: ab}},
		{"FROM:<a@b>  size=1000  body=7bit ", mail.Sender{Addr: ab, Size: 1000}},
		{"FROM:<a@b> SIZE=5000000000", mail.Sender{Addr: ab, Size: 5000000000}},
		{"FROM:<a@b> SIZE=99999999999999999999", mail.Sender{Addr: ab, Size: 1<<63 - 1}},
		{"FROM:<a@b> SMTPUTF8 BODY=BINARYMIME", mail.Sender{Addr: ab, UTF8: true, Body: mail.BodyBinaryMIME}},
		{"FROM:<a@b> RET=HDRS ENVID=QQ+2B314", mail.Sender{Addr: ab, Ret: mail.RetHeaders, EnvID: "QQ+2B314"}},
		{"FROM:<a@b> RET=full", mail.Sender{Addr: ab, Ret: mail.RetFull}},
		{"FROM:<a@b> AUTH=<>", mail.Sender{Addr: ab}}, // A11
		{"FROM:<a@b> AUTH=x+3Dy@z", mail.Sender{Addr: ab}},
		{"FROM:<ü@b> SMTPUTF8", mail.Sender{Addr: mail.Address{Local: "ü", Domain: "b"}, UTF8: true}},
		{`FROM:<"x> y"@b> SIZE=1`, mail.Sender{Addr: mail.Address{Local: `"x> y"`, Domain: "b"}, Size: 1}},
	} {
		for _, p := range profiles {
			if got, err := ParseMail(tc.in, p); err != nil || got != tc.want {
				t.Errorf("%s %q: %+v, %v", p, tc.in, got, err)
			}
		}
	}
}

// TestLooseBlanksE2: blanks before the keyword and before the colon are taken on the profile internal only.
func TestLooseBlanksE2(t *testing.T) {
	ab := mail.Address{Local: "a", Domain: "b"}
	for _, before := range []string{"", " ", "   "} {
		for _, colon := range []string{":", " :", "  : "} {
			for _, p := range profiles {
				loose := before != "" || strings.HasPrefix(colon, " ")
				want := error(nil)
				if loose && p != Internal {
					want = ErrArguments
				}
				s, err := ParseMail(before+"FROM"+colon+"<a@b> SIZE=1", p)
				if err != want || err == nil && s.Addr != ab {
					t.Errorf("%s %q FROM %q: %v, %v", p, before, colon, s, err)
				}
				r, err := ParseRcpt(before+"TO"+colon+"<a@b>", p, false)
				if err != want || err == nil && r.Addr != ab {
					t.Errorf("%s %q TO %q: %v, %v", p, before, colon, r, err)
				}
			}
		}
	}
	for _, in := range []string{" FROM", "FROM ", "FROM  <a@b>", "FR OM:<a@b>", ":<a@b>"} {
		if _, err := ParseMail(in, Internal); err != ErrArguments {
			t.Errorf("%q: %v", in, err)
		}
	}
}

func TestParseMailErrors(t *testing.T) {
	for _, tc := range []struct {
		in   string
		want error
	}{
		{"", ErrArguments}, {"FROM", ErrArguments}, {"TO:<a@b>", ErrArguments}, {"FROM<a@b>", ErrArguments},
		{"FROM:<a@b", ErrAddress}, {"FROM:<a@b>x", ErrAddress}, {"FROM:", ErrAddress}, {"FROM:< >", ErrAddress},
		{"FROM:<@x:>", ErrAddress}, {"FROM:<@x>", ErrAddress}, {"FROM:<@x a@b>", ErrAddress}, {"FROM:<@:a@b>", ErrAddress}, // E6
		{"FROM:<u@evil@b>", ErrAddress}, // E7
		// E1
		{"FROM:<a@b> ENVID=a\rb", ErrArguments}, {"FROM:<a@b> ENVID=a\nb", ErrArguments}, {"FROM:<a@b> ENVID=a\x00b", ErrArguments},
		{"FROM:<a@b> ENVID=a+0Ab", ErrArguments}, {"FROM:<a@b> ENVID=a+0db", ErrArguments}, {"FROM:<a@b> ENVID=+00", ErrArguments},
		{"FROM:<a@b> ENVID=+7F", ErrArguments}, {"FROM:<a@b> ENVID=+4", ErrArguments}, {"FROM:<a@b> ENVID=+GG", ErrArguments},
		{"FROM:<a@b> ENVID=" + rep("a", 101), ErrArguments}, {"FROM:<a@b> ENVID", ErrArguments},
		// E3
		{"FROM:<a@b> FOO", ErrParameter}, {"FROM:<a@b> FOO=bar", ErrParameter}, {"FROM:<a@b> REQUIRETLS", ErrParameter},
		{"FROM:<a@b> NOTIFY=NEVER", ErrParameter}, {"FROM:<a@b> \u017fIZE=1", ErrArguments}, // no other fold than ASCII's
		{"FROM:<a@b> SIZE=1 SIZE=1", ErrArguments}, {"FROM:<a@b> SMTPUTF8 SMTPUTF8", ErrArguments},
		{"FROM:<a@b> BODY=7BIT body=7BIT", ErrArguments}, {"FROM:<a@b> AUTH=<> AUTH=<>", ErrArguments},
		{"FROM:<a@b> SIZE=abc", ErrArguments}, {"FROM:<a@b> SIZE=-1", ErrArguments}, {"FROM:<a@b> SIZE=", ErrArguments},
		{"FROM:<a@b> SIZE", ErrArguments}, {"FROM:<a@b> SIZE=111111111111111111111", ErrArguments},
		{"FROM:<a@b> BODY=foo", ErrArguments}, {"FROM:<a@b> BODY", ErrArguments}, {"FROM:<a@b> SMTPUTF8=1", ErrArguments},
		{"FROM:<a@b> RET=ALL", ErrArguments}, {"FROM:<a@b> =", ErrArguments}, {"FROM:<a@b> -A=1", ErrArguments},
		{"FROM:<a@b> ENVID=a=b", ErrArguments},
		// E10
		{"FROM:<ü@b>", ErrNeedUTF8}, {"FROM:<a@bücher.example>", ErrNeedUTF8},
		{"FROM:<a\xc0\xaf@b> SMTPUTF8", ErrUTF8}, {"FROM:<a\xed\xa0\x80@b> SMTPUTF8", ErrUTF8}, {"FROM:<a@xn--a> SMTPUTF8", ErrAddress},
	} {
		for _, p := range profiles {
			if got, err := ParseMail(tc.in, p); err != tc.want {
				t.Errorf("%s %q: %+v, %v; want %v", p, tc.in, got, err, tc.want)
			}
		}
	}
}

// TestPathProfilesE2 checks what depends on the profile: brackets. A bare address is taken on each.
func TestPathProfilesE2(t *testing.T) {
	for _, tc := range []struct {
		in string
		ok [3]bool
	}{
		{"a@b", [3]bool{true, false, false}},
		{" a@b SIZE=1", [3]bool{true, false, false}},
		{"<a>", [3]bool{true, true, true}},
		{"a", [3]bool{true, false, false}},
	} {
		for i, p := range profiles {
			_, err := ParseMail("FROM:"+tc.in, p)
			_, errRcpt := ParseRcpt("TO:"+strings.TrimSuffix(tc.in, " SIZE=1"), p, false)
			if (err == nil) != tc.ok[i] || (errRcpt == nil) != tc.ok[i] {
				t.Errorf("E2 %s %q: MAIL %v, RCPT %v; want accepted %v", p, tc.in, err, errRcpt, tc.ok[i])
			}
			if err != nil && err != ErrAddress {
				t.Errorf("E2 %s %q: %v", p, tc.in, err)
			}
		}
	}
}

func TestParseRcpt(t *testing.T) {
	ab := mail.Address{Local: "a", Domain: "b"}
	for _, tc := range []struct {
		in   string
		want mail.Recipient
	}{
		{"TO:<a@b>", mail.Recipient{Addr: ab}},
		{"to: <a@b>", mail.Recipient{Addr: ab}},
		{"TO:<postmaster>", mail.Recipient{Addr: mail.Address{Local: "postmaster"}}}, // E12
		{"TO:<PostMaster>", mail.Recipient{Addr: mail.Address{Local: "PostMaster"}}},
		{"TO:<a@b> NOTIFY=NEVER", mail.Recipient{Addr: ab, Notify: mail.NotifyNever}},
		{"TO:<a@b> NOTIFY=success,delay,FAILURE", mail.Recipient{Addr: ab, Notify: mail.NotifySuccess | mail.NotifyDelay | mail.NotifyFailure}},
		{"TO:<a@b> ORCPT=rfc822;x+2By@z", mail.Recipient{Addr: ab, ORcpt: "rfc822;x+2By@z"}},
		{`TO:<a@b> ORCPT=utf-8;x\x{FC}@z`, mail.Recipient{Addr: ab, ORcpt: `utf-8;x\x{FC}@z`}},
		{"TO:<a@[127.0.0.1]>", mail.Recipient{Addr: mail.Address{Local: "a", Domain: "[127.0.0.1]"}}},
	} {
		for _, p := range profiles {
			if got, err := ParseRcpt(tc.in, p, false); err != nil || got != tc.want {
				t.Errorf("%s %q: %+v, %v", p, tc.in, got, err)
			}
		}
	}
	if got, err := ParseRcpt("TO:<a@b> ORCPT=utf-8;ü@z", Internal, true); err != nil || got.ORcpt != "utf-8;ü@z" {
		t.Errorf("utf-8 ORCPT: %+v, %v", got, err)
	}
	for _, tc := range []struct {
		in   string
		want error
	}{
		{"TO:<>", ErrAddress}, {"TO:", ErrAddress}, {"", ErrArguments}, {"FROM:<a@b>", ErrArguments},
		{"TO:<a@b> NOTIFY=", ErrArguments}, {"TO:<a@b> NOTIFY=NEVER,DELAY", ErrArguments}, {"TO:<a@b> NOTIFY=SUCCESS,", ErrArguments},
		{"TO:<a@b> NOTIFY=NEVER NOTIFY=NEVER", ErrArguments}, {"TO:<a@b> SIZE=1", ErrParameter}, {"TO:<a@b> X", ErrParameter},
		{"TO:<a@b> ORCPT=x@z", ErrArguments}, {"TO:<a@b> ORCPT=;x", ErrArguments}, {"TO:<a@b> ORCPT=rfc822;", ErrArguments},
		{"TO:<a@b> ORCPT=rfc822;x+0Ay", ErrArguments}, {"TO:<a@b> ORCPT=rfc822;x\ny", ErrArguments}, // E1
		{`TO:<a@b> ORCPT=utf-8;x\x{0A}y`, ErrArguments}, {`TO:<a@b> ORCPT=utf-8;x\x{D800}y`, ErrArguments},
		{`TO:<a@b> ORCPT=utf-8;x\x{85}y`, ErrArguments}, {`TO:<a@b> ORCPT=utf-8;x\x{}y`, ErrArguments}, {`TO:<a@b> ORCPT=utf-8;x\y`, ErrArguments},
		{"TO:<a@b> ORCPT=utf-8;ü@z", ErrArguments}, {"TO:<a@b> ORCPT=rfc822;" + rep("x", 500), ErrArguments},
		{"TO:<ü@b>", ErrNeedUTF8},
	} {
		if got, err := ParseRcpt(tc.in, Internal, false); err != tc.want {
			t.Errorf("%q: %+v, %v; want %v", tc.in, got, err, tc.want)
		}
	}
}

func FuzzParseMail(f *testing.F) {
	for _, s := range []string{"FROM:<a@b> SIZE=1 BODY=8BITMIME", "FROM:<@x:a@b> SMTPUTF8", "FROM:a@b", "FROM:<> ENVID=+41", "FROM:<ü@ü> SMTPUTF8"} {
		f.Add(s, uint8(0))
	}
	f.Fuzz(func(t *testing.T, in string, profile uint8) {
		s, err := ParseMail(in, Profile(profile%3))
		if err != nil {
			checkReply(t, err)
			return
		}
		checkAddress(t, s.Addr)
		if s.Size < 0 || s.EnvID != "" && !ValidXtext(s.EnvID) {
			t.Fatalf("%q: %+v", in, s)
		}
		if !s.UTF8 && beyondASCII(s.Addr.String()) {
			t.Fatalf("%q: an address beyond ASCII without SMTPUTF8", in)
		}
	})
}

func FuzzParseRcpt(f *testing.F) {
	for _, s := range []string{"TO:<a@b> NOTIFY=NEVER", "TO:<postmaster>", "TO:<a@b> ORCPT=rfc822;a+2Bb", `TO:<a@b> ORCPT=utf-8;\x{FC}`} {
		f.Add(s, uint8(1), true)
	}
	f.Fuzz(func(t *testing.T, in string, profile uint8, utf8 bool) {
		r, err := ParseRcpt(in, Profile(profile%3), utf8)
		if err != nil {
			checkReply(t, err)
			return
		}
		checkAddress(t, r.Addr)
		if r.Addr.IsNull() || strings.ContainsAny(r.ORcpt, " \r\n\x00") || !utf8 && beyondASCII(r.ORcpt) {
			t.Fatalf("%q: %+v", in, r)
		}
	})
}

// checkReply fails unless err carries a refusal.
func checkReply(t *testing.T, err error) {
	t.Helper()
	if r := mail.ReplyOf(err); !r.Permanent() || r.Text == "" {
		t.Fatalf("error without a fitting reply: %v", err)
	}
}

func TestXtext(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "abc": "abc", "a+b=c": "a+2Bb+3Dc", "a b": "a+20b", "\r\n\x00": "+0D+0A+00", "ü": "+C3+BC",
	} {
		if got := EncodeXtext(in); got != want {
			t.Errorf("encode %q: %q, want %q", in, got, want)
		}
		if got, ok := DecodeXtext(want); !ok || got != in {
			t.Errorf("decode %q: %q, %v", want, got, ok)
		}
	}
	for _, in := range []string{"+", "+4", "+4G", "a b", "a=b", "ü", "\n"} {
		if got, ok := DecodeXtext(in); ok {
			t.Errorf("decode %q: %q", in, got)
		}
	}
	if got, ok := DecodeXtext("+2b"); !ok || got != "+" {
		t.Errorf("lower case digits: %q, %v", got, ok)
	}
	if got := EncodeORcpt(mail.Address{Local: "a+b", Domain: "c"}); got != "rfc822;a+2Bb@c" {
		t.Errorf("ORCPT: %q", got)
	}
	for _, a := range []mail.Address{{}, {Local: "ü", Domain: "c"}, {Local: rep("+", 64), Domain: rep("+", 200)}} {
		if got := EncodeORcpt(a); got != "" {
			t.Errorf("ORCPT of %q: %q", a, got)
		}
	}
}

func FuzzXtext(f *testing.F) {
	f.Add("a+b=c\r\n")
	f.Add("+41+4")
	f.Fuzz(func(t *testing.T, s string) {
		enc := EncodeXtext(s)
		if got, ok := DecodeXtext(enc); !ok || got != s {
			t.Fatalf("%q encoded as %q decodes to %q, %v", s, enc, got, ok)
		}
		dec, ok := DecodeXtext(s)
		control := strings.ContainsFunc(dec, func(r rune) bool { return r < ' ' || r == 0x7f })
		if want := ok && s != "" && !control; ValidXtext(s) != want {
			t.Fatalf("%q: valid %v, decodes to %q, %v", s, ValidXtext(s), dec, ok)
		}
	})
}

// TestParseAllocations: the parsers keep parts of their argument and allocate nothing.
func TestParseAllocations(t *testing.T) {
	mailArgs := "FROM:<some.body@mail.example.org> SIZE=4096 BODY=8BITMIME RET=HDRS ENVID=abc"
	rcptArgs := "TO:<another.body@mail.example.com> NOTIFY=FAILURE,DELAY ORCPT=rfc822;x@y"
	line := []byte("MAIL " + mailArgs + "\r\n")
	got := testing.AllocsPerRun(100, func() {
		l, err := CheckLine(line)
		if err != nil {
			t.Fatal(err)
		}
		ParseCommand(l)
		if _, err := ParseMail(mailArgs, Internet); err != nil {
			t.Fatal(err)
		}
		if _, err := ParseRcpt(rcptArgs, Internet, false); err != nil {
			t.Fatal(err)
		}
		if _, _, err := ParseBdat("4096 LAST"); err != nil {
			t.Fatal(err)
		}
	})
	if got != 0 {
		t.Errorf("%s allocations, want none", strconv.FormatFloat(got, 'f', -1, 64))
	}
}
