package mail

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
)

func TestQueueIDTextFormKeepsValueAndOrder(t *testing.T) {
	ids := []QueueID{1, 2, 31, 32, 1 << 20, 1<<44 + 7, 1<<63 + 5, 1<<64 - 1}
	last := ""
	for _, id := range ids {
		s := id.String()
		if len(s) != 13 {
			t.Errorf("%d: %q has %d characters", id, s, len(s))
		}
		if s <= last {
			t.Errorf("%q does not sort after %q", s, last)
		}
		last = s
		for _, form := range []string{s, strings.ToUpper(s)} {
			back, err := ParseQueueID(form)
			if err != nil || back != id {
				t.Errorf("ParseQueueID(%q) = %d, %v; want %d", form, back, err, id)
			}
		}
	}
}

func TestParseQueueIDRefusesOtherText(t *testing.T) {
	for _, s := range []string{"", "1", "0000000000000000", "000000000000i", "../etc/passwd", "g000000000000", "00000000000 0"} {
		if id, err := ParseQueueID(s); err == nil {
			t.Errorf("ParseQueueID(%q) = %d, want an error", s, id)
		}
	}
}

func FuzzParseQueueID(f *testing.F) {
	f.Add("0000000000001")
	f.Fuzz(func(t *testing.T, s string) {
		id, err := ParseQueueID(s)
		if err == nil && id.String() != LowerASCII(s) {
			t.Errorf("%q parses to %d, which prints as %q", s, id, id)
		}
	})
}

func TestReplyWireForm(t *testing.T) {
	tests := []struct {
		reply Reply
		want  string
	}{
		{NewReply(250, EnhancedCode{}, "OK"), "250 OK\r\n"},
		{NewReply(550, Enhanced(5, 7, 1), "Unable to relay"), "550 5.7.1 Unable to relay\r\n"},
		{NewReply(250, EnhancedCode{}, "a\nb\nc"), "250-a\r\n250-b\r\n250 c\r\n"},
		{NewReply(550, Enhanced(5, 1, 1), "a\nb"), "550-5.1.1 a\r\n550 5.1.1 b\r\n"},
		{NewReply(250, EnhancedCode{}, "x\r\n550 forged"), "250-x?\r\n250 550 forged\r\n"},
		{NewReply(250, EnhancedCode{}, "a\x00\x1b[31m\x7f"), "250 a??[31m?\r\n"},
	}
	for _, tt := range tests {
		if got := string(tt.reply.AppendTo(nil)); got != tt.want {
			t.Errorf("%+v: got %q, want %q", tt.reply, got, tt.want)
		}
	}
}

func FuzzReplyIsAlwaysAReply(f *testing.F) {
	f.Add(250, "hello\nworld")
	f.Fuzz(func(t *testing.T, code int, text string) {
		if code < 200 || code > 599 {
			t.Skip("no reply code: those of SMTP are 200 to 599")
		}
		wire := string(NewReply(code, Enhanced(2, 0, 0), text).AppendTo(nil))
		lines := strings.SplitAfter(wire, "\r\n")
		for i, line := range lines[:len(lines)-1] {
			sep := "-"
			if i == len(lines)-2 {
				sep = " "
			}
			if !strings.HasPrefix(line, fmt.Sprintf("%d%s2.0.0 ", code, sep)) || strings.ContainsAny(line[:len(line)-2], "\r\n\x00") {
				t.Errorf("line %d of the reply to %q is %q", i, text, line)
			}
		}
		if lines[len(lines)-1] != "" {
			t.Errorf("%q does not end with CRLF", wire)
		}
	})
}

func TestReplyOf(t *testing.T) {
	refused := Fail(550, Enhanced(5, 7, 1), "no", errors.New("a reason for the log"))
	if got := ReplyOf(fmt.Errorf("wrapped: %w", refused)); got != refused.Reply {
		t.Errorf("ReplyOf(wrapped) = %v", got)
	}
	if got := ReplyOf(errors.New("disk trouble with a secret path")); got.Code != 451 || strings.Contains(got.Text, "secret") {
		t.Errorf("ReplyOf(other) = %v", got)
	}
	if !refused.Permanent() || Fail(452, Enhanced(4, 3, 1), "later", nil).Permanent() {
		t.Error("Permanent must follow the class of the code")
	}
}

func TestEqualFoldIsASCIIOnly(t *testing.T) {
	if !EqualFoldASCII("LaSt", "lAsT") {
		t.Error("ASCII letters must fold")
	}
	// U+017F LATIN SMALL LETTER LONG S folds to s in Unicode, never in SMTP.
	if EqualFoldASCII("LA\u017fT", "LAST") || EqualFoldASCII("a", "ab") {
		t.Error("only ASCII letters may fold")
	}
	if got := LowerASCII("AbC\u00c4"); got != "abc\u00c4" {
		t.Errorf("LowerASCII = %q", got)
	}
}

func TestAddressForms(t *testing.T) {
	tests := []struct {
		a                   Address
		s                   string
		null, bare, literal bool
	}{
		{Address{}, "", true, false, false},
		{Address{Local: "a"}, "a", false, true, false},
		{Address{Local: `"a@b"`, Domain: "c.example"}, `"a@b"@c.example`, false, false, false},
		{Address{Local: "a", Domain: "[192.0.2.1]"}, "a@[192.0.2.1]", false, false, true},
	}
	for _, tt := range tests {
		if tt.a.String() != tt.s || tt.a.IsNull() != tt.null || tt.a.IsBare() != tt.bare || tt.a.IsLiteral() != tt.literal {
			t.Errorf("%#v: %q %v %v %v", tt.a, tt.a.String(), tt.a.IsNull(), tt.a.IsBare(), tt.a.IsLiteral())
		}
	}
	if !(Address{Local: "POSTmaster", Domain: "x"}).IsPostmaster() || (Address{Local: "post"}).IsPostmaster() {
		t.Error("IsPostmaster must compare the local-part in any case")
	}
}

// TestAddrPortOf: addresses are shown and compared without mapping and zone.
func TestAddrPortOf(t *testing.T) {
	for _, tc := range []struct {
		in   net.Addr
		want string
	}{
		{&net.TCPAddr{IP: net.ParseIP("192.0.2.1"), Port: 25}, "192.0.2.1:25"},
		{&net.TCPAddr{IP: net.ParseIP("::ffff:192.0.2.1").To16(), Port: 25}, "192.0.2.1:25"},
		{&net.TCPAddr{IP: net.ParseIP("fe80::1"), Port: 25, Zone: "eth0"}, "[fe80::1]:25"},
		{&net.UnixAddr{Name: "/run/x"}, "invalid AddrPort"},
		{nil, "invalid AddrPort"},
	} {
		if got := AddrPortOf(tc.in).String(); got != tc.want {
			t.Errorf("%v: %s, want %s", tc.in, got, tc.want)
		}
	}
}

// L1, C7: what people read cannot drive their terminal or begin a line of its own, and printing it twice changes nothing.
func TestPrintable(t *testing.T) {
	for in, want := range map[string]string{
		"plain text": "plain text", "K\u00e4se": "K\u00e4se", "a\r\nb\x1b[2J": `a\x0D\x0Ab\x1B[2J`, "\xff\u202e\u0085": `\xFF\xE2\x80\xAE\xC2\x85`,
		"\ufffd": "\ufffd", "1234567890": "1234567890", "12345678901": "12345678901", "123456789012": "12345678901...",
	} {
		got := Printable(in, 10)
		if in == "a\r\nb\x1b[2J" || in == "\xff\u202e\u0085" {
			got = Printable(in, 100)
		}
		if got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
		if again := Printable(want, 100); again != want {
			t.Errorf("%q becomes %q", want, again)
		}
	}
}
