package message

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mailroot/mailroot/internal/mail"
)

// scan runs msg through a Scanner in pieces of at most n octets (0: in one).
func scan(msg string, n int, binary bool) (mail.Content, string) {
	var s Scanner
	s.Reset(binary)
	return scanWith(&s, msg, n)
}

func scanWith(s *Scanner, msg string, n int) (mail.Content, string) {
	for p := []byte(msg); len(p) > 0; {
		k := len(p)
		if n > 0 {
			k = min(k, n)
		}
		_, _ = s.Write(p[:k])
		p = p[k:]
	}
	s.End()
	return s.Content(0, 0), s.Missing()
}

func crlfs(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }

func TestScanner(t *testing.T) {
	msg := crlfs(`Received: from a by b; x
Received : from b
	by c; y
From: fred
To: Bob <bob>, joe@example.org,
 ann
subject: a long
	one
Message-Id:
 <1@example.com>
Date: Thu, 6 Jun 2013 13:16:54 -0400

body
.dot
..two dots
end . here
`)
	for _, n := range []int{0, 1, 2, 3, 7, 64} {
		got, missing := scan(msg, n, false)
		want := mail.Content{
			Size: int64(len(msg)), HeaderLen: int64(strings.Index(msg, "body")),
			DotLines: 2, Hops: 2, MessageID: "<1@example.com>", Subject: "a long\tone",
		}
		add := func(after, spec string, kind mail.EditKind) {
			at := strings.Index(msg, after) + len(after)
			e := mail.Edit{Offset: uint32(at), Kind: kind}
			if kind == mail.EditFromAddress {
				e.Length = uint32(len(spec))
			}
			want.Edits = append(want.Edits, e)
		}
		add("From: ", "fred", mail.EditFromAddress)
		add("From: fred", "", mail.EditBareDomain)
		add("Bob <bob", "", mail.EditBareDomain)
		add("\r\n ann", "", mail.EditBareDomain)
		if d := cmp.Diff(want, got); d != "" || missing != "" {
			t.Errorf("pieces of %d: missing %q, %s", n, missing, d)
		}
	}
}

func TestScannerShapes(t *testing.T) {
	huge := "X: " + strings.Repeat("x", MaxHeader) + "\r\nReceived: late\r\n\r\nbody\r\n"
	long := "Subject: " + strings.Repeat("é", 200) + "\r\n\r\n"
	fit := "X: " + strings.Repeat("x", MaxHeader-7) + "\r\n\r\nb\r\n"
	for _, tc := range []struct {
		name, msg string
		binary    bool
		want      mail.Content
		missing   string
	}{
		{name: "empty", msg: ""},
		{name: "header only", msg: "Subject: x\r\n", want: mail.Content{HeaderLen: 12, Subject: "x"}},
		{name: "header only, no line end", msg: "Subject: x", want: mail.Content{HeaderLen: 10, Subject: "x"}, missing: "\r\n"},
		{name: "no body", msg: "A: b\r\n\r\n", want: mail.Content{HeaderLen: 8}},
		{name: "no header", msg: "\r\nbody\r\n", want: mail.Content{HeaderLen: 2}},
		{name: "no last line end", msg: "\r\nbody", want: mail.Content{HeaderLen: 2}, missing: "\r\n"},
		{name: "half a last line end", msg: "\r\nbody\r", want: mail.Content{HeaderLen: 2}, missing: "\n"},
		{name: "dots in the header", msg: ".x: y\r\n.z\r\n\r\n.\r\n", want: mail.Content{HeaderLen: 13, DotLines: 3}},
		{name: "no colon anywhere", msg: "hello\r\nReceived\r\n\r\n", want: mail.Content{HeaderLen: 19}},
		{name: "R6 begins with a blank: all body", msg: " Received: x\r\nReceived: y\r\nFrom: fred\r\n\r\n.\xe9", missing: "\r\n",
			want: mail.Content{DotLines: 1, EightBit: true}},
		{name: "R6 begins with a tab: all body", msg: "\tx\r\n"},
		{name: "R6 name with a blank", msg: "My Subject: a\r\nSubject: b\r\n\r\n", want: mail.Content{HeaderLen: 29, Subject: "b"}},
		{name: "R6 two Froms", msg: "From: a@b\r\nFROM: c@d\r\n\r\n", want: mail.Content{HeaderLen: 24, Edits: []mail.Edit{
			{Offset: 6, Length: 3, Kind: mail.EditFromAddress}, {Offset: 17, Length: 3, Kind: mail.EditFromAddress}}}},
		{name: "R7 forged Received fields count", msg: "RECEIVED: a\r\nreceived:b\r\nReceived \t: c\r\nX-Received: d\r\n\r\nReceived: body\r\n",
			want: mail.Content{HeaderLen: 57, Hops: 3}},
		{name: "8-bit header", msg: "Subject: \xe9\r\n\r\nx\r\n", want: mail.Content{HeaderLen: 14, UTF8: true, Subject: "\xe9"}},
		{name: "8-bit body", msg: "A: b\r\n\r\n" + strings.Repeat("x", 100) + "\xe9\r\n", want: mail.Content{HeaderLen: 8, EightBit: true}},
		{name: "bare LF in binary", msg: "A: b\r\n\r\nx\ny\r\n", binary: true, want: mail.Content{HeaderLen: 8, Bare: true}},
		{name: "bare CR in binary", msg: "A: b\r\n\r\nx\ry\r\n", binary: true, want: mail.Content{HeaderLen: 8, Bare: true}},
		{name: "binary with line ends", msg: "A: b\r\n\r\nx\r\ny", binary: true, want: mail.Content{HeaderLen: 8}, missing: "\r\n"},
		{name: "header longer than the cap", msg: huge, want: mail.Content{}},
		{name: "header as long as the cap", msg: fit, want: mail.Content{HeaderLen: MaxHeader}},
		{name: "subject cut between characters", msg: long, want: mail.Content{HeaderLen: int64(len(long)), UTF8: true, Subject: strings.Repeat("é", 128)}},
		{name: "Message-ID without brackets", msg: "Message-ID: abc\r\n\r\n", want: mail.Content{HeaderLen: 19, MessageID: "abc"}},
		{name: "first Message-ID of two", msg: "Message-ID: <a> (x)\r\nMessage-ID: <b>\r\n\r\n", want: mail.Content{HeaderLen: 40, MessageID: "<a>"}},
		{name: "F17 long line", msg: "A: b\r\n\r\n" + strings.Repeat("y", 5000) + "\r\n", want: mail.Content{HeaderLen: 8}},
	} {
		tc.want.Size = int64(len(tc.msg))
		for _, n := range []int{0, 1, 1000} {
			got, missing := scan(tc.msg, n, tc.binary)
			if d := cmp.Diff(tc.want, got); d != "" || missing != tc.missing {
				t.Errorf("%s in pieces of %d: missing %q, %s", tc.name, n, missing, d)
			}
		}
	}
}

// The number of edits is bounded (P3), and the field that the cap cuts is not read. A field is completed
// whole or not at all, and one that is left out leaves room for others; From has room of its own.
func TestScannerBounds(t *testing.T) {
	names := func(field string, n int) string { return field + ": " + strings.Repeat("a,", n) + "\r\n" }
	for name, tc := range map[string]struct {
		head string
		want int
	}{
		"all there may be":      {names("To", MaxEdits), MaxEdits},
		"one more":              {names("To", MaxEdits+1), 0},
		"two fields":            {names("To", MaxEdits-9) + names("Cc", 10) + names("Reply-To", 9), MaxEdits},
		"From behind others":    {names("To", 5000) + names("Cc", MaxEdits) + "From: a@home.test\r\n", MaxEdits + 1},
		"others behind From":    {names("From", MaxEdits/2) + names("To", MaxEdits), 2 * MaxEdits},
		"From of its own bound": {names("From", MaxEdits/2+1) + "From: a @ home.test\r\n", 1},
	} {
		if c, _ := scan(tc.head+"\r\n", 0, false); len(c.Edits) != tc.want {
			t.Errorf("%s: %d edits, want %d", name, len(c.Edits), tc.want)
		}
	}
	c, _ := scan("X: "+strings.Repeat("x", MaxHeader-40)+"\r\nTo: fred, "+strings.Repeat("b", 100)+"\r\n\r\n", 0, false)
	if len(c.Edits) != 0 || c.HeaderLen != 0 {
		t.Errorf("the field cut by the cap was read: %+v", c)
	}
}

func TestScannerShift(t *testing.T) {
	var s Scanner
	_, _ = scanWith(&s, "To: fred\r\n\r\nx", 0)
	c := s.Content(100, 2)
	want := mail.Content{Size: 115, HeaderLen: 112, Edits: []mail.Edit{{Offset: 108, Kind: mail.EditBareDomain}}}
	if d := cmp.Diff(want, c); d != "" {
		t.Error(d)
	}
	s.Reset(false)
	_, _ = scanWith(&s, "To: fred", 0)
	if c = s.Content(10, 2); c.HeaderLen != 20 || c.Size != 20 {
		t.Errorf("a message that ends in its header: %+v", c)
	}
}

// Header gives back a header that came in one piece without a copy.
func TestScannerNoCopy(t *testing.T) {
	var s Scanner
	p := []byte("A: b\r\n\r\nbody\r\n")
	n, done := s.Header(p)
	if n != 8 || !done || &s.Head()[0] != &p[0] {
		t.Errorf("n = %d, done = %v, same memory = %v", n, done, &s.Head()[0] == &p[0])
	}
	s.Reset(false)
	if n, done = s.Header(p[:5]); n != 5 || done {
		t.Errorf("n = %d, done = %v", n, done)
	}
	if n, done = s.Header(p[5:]); n != 3 || !done || string(s.Head()) != "A: b\r\n\r\n" {
		t.Errorf("n = %d, done = %v, head %q", n, done, s.Head())
	}
}

func TestScannerAllocs(t *testing.T) {
	msg := []byte("From: Fred <fred@example.com>\r\nTo: bob@example.com\r\nSubject: x\r\nMessage-ID: <1@x>\r\n\r\n" + strings.Repeat("text\r\n", 600))
	var s Scanner
	n := testing.AllocsPerRun(100, func() {
		s.Reset(false)
		_, _ = s.Write(msg)
		s.End()
		s.Content(0, 0)
	})
	if n > 2 { // the strings and the edits that the envelope keeps
		t.Errorf("%v allocations for a message, want at most 2", n)
	}
}

// folds counts the line ends that splices take away: those within a domain.
func folds(msg []byte, subs []Splice) (n int) {
	for _, p := range subs {
		n += bytes.Count(msg[p.Offset:p.Offset+p.Length], crlf)
	}
	return n
}

func FuzzScanner(f *testing.F) {
	f.Add([]byte("From: fred\r\nTo: a, B <b>\r\nReceived: x\r\n\r\n.a\r\n.b"), uint16(3), true)
	f.Add([]byte("\n\n\r\r\n.\r\n"), uint16(1), false)
	f.Add([]byte("Message-ID:\r\n <x\r\n y>\r\nSubject: \xff\r\n"), uint16(5), false)
	f.Add([]byte("From: [x] <@r:a(c)@\r\n (d)b.\r\n test.>; \"q\" a @ b\r\n\r\n"), uint16(9), false)
	f.Fuzz(func(t *testing.T, msg []byte, n uint16, binary bool) {
		one, m1 := scan(string(msg), 0, binary)
		two, m2 := scan(string(msg), int(n)+1, binary)
		if d := cmp.Diff(one, two); d != "" || m1 != m2 {
			t.Fatalf("%q in pieces of %d: %q %q %s", msg, int(n)+1, m1, m2, d)
		}
		lines := int64(bytes.Count(append([]byte{'\n'}, msg...), []byte("\n.")))
		if one.DotLines != lines || one.Size != int64(len(msg)) || one.HeaderLen > one.Size {
			t.Fatalf("%q: %+v, %d dot lines", msg, one, lines)
		}
		// Splices leave every line end and every dot at the start of a line as they are.
		rewrite := func(w Rewrites, edits []mail.Edit) []byte {
			subs, err := w.Splices(nil, edits, bytes.NewReader(msg))
			if err != nil {
				t.Fatal(err)
			}
			s, err := NewSpliced(bytes.NewReader(msg), one.Size, subs)
			if err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			if _, err := s.WriteTo(&out); err != nil {
				t.Fatal(err)
			}
			after, _ := scan(out.String(), 0, binary)
			if after.DotLines != one.DotLines || bytes.Count(out.Bytes(), crlf) != bytes.Count(msg, crlf)-folds(msg, subs) {
				t.Fatalf("dot lines %d, then %d in %q", one.DotLines, after.DotLines, out.Bytes())
			}
			return out.Bytes()
		}
		out := rewrite(Rewrites{Complete: "example.com"}, one.Edits)
		if got := bytes.ReplaceAll(out, []byte("@example.com"), nil); !bytes.Equal(got, bytes.ReplaceAll(msg, []byte("@example.com"), nil)) {
			t.Fatalf("%q became %q", msg, out)
		}
		every := func(string) bool { return true }
		var s Scanner
		s.Reset(binary)
		s.Stamp(every)
		_, _ = s.Write(msg)
		s.End()
		edits := s.Content(0, 0).Edits
		rewrite(Rewrites{Complete: "a.test", Default: "b.test", Masquerade: "c.test", Local: every}, edits)
		rewrite(Rewrites{Default: "b.test"}, edits)
	})
}

func BenchmarkScanner(b *testing.B) {
	head := "From: Fred <fred@example.com>\r\nTo: bob@example.com\r\nSubject: x\r\nMessage-ID: <1@x>\r\nDate: x\r\n\r\n"
	for _, size := range []int{4 << 10, 1 << 20} {
		msg := []byte(head + strings.Repeat(strings.Repeat("x", 76)+"\r\n", size/78))
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			b.SetBytes(int64(len(msg)))
			b.ReportAllocs()
			var s Scanner
			for b.Loop() {
				s.Reset(false)
				_, _ = s.Write(msg)
				s.End()
				s.Content(0, 0)
			}
		})
	}
}
