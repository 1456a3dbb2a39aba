package smtp

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestCheckLine(t *testing.T) {
	for _, tc := range []struct {
		name, in, want string
		err            error
	}{
		{"usual", "NOOP\r\n", "NOOP", nil},
		{"empty", "\r\n", "", nil},
		{"UTF-8", "MAIL FROM:<ü@example.org>\r\n", "MAIL FROM:<ü@example.org>", nil},
		{"F2 LF alone", "NOOP\n", "NOOP", ErrLineEnd},
		{"F2 CR within", "NO\rOP\r\n", "NO\rOP", ErrLineEnd},
		{"F2 CRCRLF", "NOOP\r\r\n", "NOOP\r", ErrLineEnd},
		{"F18 NUL", "NO\x00OP\r\n", "NO\x00OP", ErrControl},
		{"F18 TAB", "NOOP\tx\r\n", "NOOP\tx", ErrControl},
		{"F18 DEL", "NOOP \x7f\r\n", "NOOP \x7f", ErrControl},
		{"F19 invalid UTF-8", "NOOP \xff\r\n", "NOOP \xff", ErrUTF8},
		{"F19 overlong", "NOOP \xc0\xaf\r\n", "NOOP \xc0\xaf", ErrUTF8},
		{"F19 surrogate", "NOOP \xed\xa0\x80\r\n", "NOOP \xed\xa0\x80", ErrUTF8},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := CheckLine([]byte(tc.in))
			if string(got) != tc.want || err != tc.err {
				t.Errorf("%q, %v; want %q, %v", got, err, tc.want, tc.err)
			}
		})
	}
}

func TestParseCommand(t *testing.T) {
	for _, tc := range []struct{ in, verb, args string }{
		{"NOOP", "NOOP", ""},
		{"noop ", "noop", ""},
		{"MAIL FROM:<a@b>  ", "MAIL", "FROM:<a@b>"},
		{"MAIL  FROM:<a@b>", "MAIL", " FROM:<a@b>"},
		{" MAIL", "", "MAIL"},
		{"", "", ""},
	} {
		verb, args := ParseCommand([]byte(tc.in))
		if string(verb) != tc.verb || string(args) != tc.args {
			t.Errorf("%q: %q, %q; want %q, %q", tc.in, verb, args, tc.verb, tc.args)
		}
	}
}

func FuzzParseCommand(f *testing.F) {
	for _, s := range []string{"NOOP\r\n", "MAIL FROM:<a@b> SIZE=1\r\n", "\r\n", "\n", "x\r\r\n", "\xff\r\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		line, err := CheckLine(in)
		verb, args := ParseCommand(line)
		if bytes.IndexByte(verb, ' ') >= 0 {
			t.Fatalf("blank in verb %q", verb)
		}
		if err != nil {
			return
		}
		if !utf8.Valid(line) || strings.ContainsFunc(string(line), func(r rune) bool { return r < ' ' || r == 0x7f }) {
			t.Fatalf("accepted %q", line)
		}
		if back := string(line) + "\r\n"; back != string(in) {
			t.Fatalf("%q became %q", in, back)
		}
		if len(args) > 0 && !bytes.HasPrefix(line[len(verb):], append([]byte{' '}, args...)) {
			t.Fatalf("%q: verb %q, args %q", line, verb, args)
		}
	})
}

func TestParseBdat(t *testing.T) {
	for _, tc := range []struct {
		in   string
		size int64
		last bool
	}{
		{"0", 0, false}, {"0 LAST", 0, true}, {"86 last", 86, true}, {"1000000  LAST", 1000000, true},
		{"9223372036854775806", 1<<63 - 2, false},
	} {
		size, last, err := ParseBdat(tc.in)
		if err != nil || size != tc.size || last != tc.last {
			t.Errorf("%q: %d, %v, %v", tc.in, size, last, err)
		}
	}
	for _, in := range []string{
		"", "LAST", "-1", "+1", "0x10", "1.0", "10 LASTX", "10 LAST LAST", "10 11", "10LAST", "9223372036854775807",
		"9223372036854775808", "18446744073709551615", "99999999999999999999", "00000000000000000000001", "10\tLAST", "10 LA\u017fT",
	} {
		if _, _, err := ParseBdat(in); err != ErrArguments {
			t.Errorf("F10 %q: %v", in, err)
		}
	}
}

func FuzzParseBdat(f *testing.F) {
	f.Add("10 LAST")
	f.Add("-1")
	f.Fuzz(func(t *testing.T, in string) {
		size, _, err := ParseBdat(in)
		if err == nil && size < 0 || err != nil && err != ErrArguments {
			t.Fatalf("%q: %d, %v", in, size, err)
		}
	})
}
