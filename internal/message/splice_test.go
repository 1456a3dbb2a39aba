package message

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/mailroot/mailroot/internal/mail"
)

func TestSpliced(t *testing.T) {
	body := "From: <fred>\r\nTo: a, b\r\n\r\nx\r\n"
	c, _ := scan(body, 0, false)
	s, err := NewSpliced(strings.NewReader(body), int64(len(body)), splices(t, &Rewrites{Complete: "example.com"}, c.Edits, body))
	if err != nil {
		t.Fatal(err)
	}
	want := "From: <fred@example.com>\r\nTo: a@example.com, b@example.com\r\n\r\nx\r\n"
	var out bytes.Buffer
	if n, err := s.WriteTo(&out); err != nil || n != s.Size() || out.String() != want {
		t.Errorf("%d octets of %d, %v: %q", n, s.Size(), err, out.String())
	}
	if err := iotest.TestReader(io.NewSectionReader(s, 0, s.Size()), []byte(want)); err != nil {
		t.Error(err)
	}
	if subs := splices(t, &Rewrites{}, c.Edits, body); subs != nil {
		t.Errorf("splices without a domain: %v", subs)
	}
}

func splices(t *testing.T, w *Rewrites, edits []mail.Edit, body string) []Splice {
	t.Helper()
	out, err := w.Splices(nil, edits, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// What settings ask for is done to addresses, in the fields that have them, and to nothing else.
func TestRewrites(t *testing.T) {
	local := func(d string) bool { d = strings.ToLower(d); return d == "corp.test" || d == "alias.test" }
	stamped := func(d string) bool { return strings.EqualFold(d, "alias.test") }
	const masq, deflt = "example.com", "corp.test"
	for _, tc := range []struct {
		name, in, want string
		w              Rewrites
	}{
		{"masquerade", "From: a@corp.test, B <b@ALIAS.test>, c@far.test, \"x@corp.test\"@corp.test\r\nTo: d@corp.test\r\nReply-To: e@corp.test\r\n",
			"From: a@example.com, B <b@example.com>, c@far.test, \"x@corp.test\"@example.com\r\nTo: d@corp.test\r\nReply-To: e@corp.test\r\n",
			Rewrites{Masquerade: masq, Local: local}},
		{"masquerade and complete", "From: a, b@far.test\r\nTo: c\r\n", "From: a@example.com, b@far.test\r\nTo: c@corp.test\r\n",
			Rewrites{Complete: deflt, Masquerade: masq, Local: local}},
		{"masquerade alone leaves bare addresses", "From: a\r\n", "From: a\r\n", Rewrites{Masquerade: masq, Local: local}},
		{"stamp", "From: A <a@alias.test>\r\nTo: b@alias.test, c@corp.test, \"d@alias.test\" <e@Alias.Test>\r\nCc: f\r\nSender: g@alias.test\r\nReply-To: List: h@alias.test, i@sub.alias.test;\r\nBcc: j@alias.test\r\nSubject: k@alias.test\r\n",
			"From: A <a@corp.test>\r\nTo: b@corp.test, c@corp.test, \"d@alias.test\" <e@corp.test>\r\nCc: f\r\nSender: g@corp.test\r\nReply-To: List: h@corp.test, i@sub.alias.test;\r\nBcc: j@alias.test\r\nSubject: k@alias.test\r\n",
			Rewrites{Default: deflt}},
		{"all", "From: a@alias.test, b@corp.test, c, d@far.test\r\nTo: e@alias.test, f\r\n",
			"From: a@example.com, b@example.com, c@example.com, d@far.test\r\nTo: e@corp.test, f@corp.test\r\n",
			Rewrites{Complete: deflt, Default: deflt, Masquerade: masq, Local: local}},
		{"complete", "From: a\r\nTo: B <b>, Group: c, d@x.test;, =?utf-8?q?e?= <f>\r\nCc: \"g h\"\r\nSender: (x) i (y)\r\nReply-To: j,\r\n\tk\r\nBcc: l\r\nSubject: m\r\n",
			"From: a@corp.test\r\nTo: B <b@corp.test>, Group: c@corp.test, d@x.test;, =?utf-8?q?e?= <f@corp.test>\r\nCc: \"g h\"\r\nSender: (x) i@corp.test (y)\r\nReply-To: j@corp.test,\r\n\tk@corp.test\r\nBcc: l\r\nSubject: m\r\n",
			Rewrites{Complete: deflt}},
		{"nothing asked for", "From: a@alias.test, b\r\n", "From: a@alias.test, b\r\n", Rewrites{}},
		{"an encoded word is no address", "To: =?utf-8?q?e?=\r\n", "To: =?utf-8?q?e?=\r\n", Rewrites{Complete: deflt}},
		{"a From: without measure", "From: " + strings.Repeat("x", 2000) + "@corp.test\r\n", "From: " + strings.Repeat("x", 2000) + "@corp.test\r\n",
			Rewrites{Masquerade: masq, Local: local}},
	} {
		body := tc.in + "\r\nFrom: body@alias.test\r\n"
		var sc Scanner
		sc.Reset(false)
		sc.Stamp(stamped)
		_, _ = sc.Write([]byte(body))
		sc.End()
		c := sc.Content(0, 0)
		s, err := NewSpliced(strings.NewReader(body), int64(len(body)), splices(t, &tc.w, c.Edits, body))
		if err != nil {
			t.Errorf("%s: %v", tc.name, err)
			continue
		}
		var out bytes.Buffer
		if _, err := s.WriteTo(&out); err != nil {
			t.Errorf("%s: %v", tc.name, err)
		}
		if got := strings.TrimSuffix(out.String(), "\r\nFrom: body@alias.test\r\n"); got != tc.want {
			t.Errorf("%s:\ngot  %q\nwant %q", tc.name, got, tc.want)
		}
	}
	w := Rewrites{Masquerade: masq, Local: local}
	if _, err := w.Splices(nil, []mail.Edit{{Offset: 5, Length: 10, Kind: mail.EditFromAddress}}, strings.NewReader("short")); err == nil {
		t.Error("a message that is shorter than its edits say")
	}
}

// Replacing, removing and inserting at any place, against a plain rebuild.
func TestSplicedRandom(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	body := make([]byte, 300_000)
	for i := range body {
		body[i] = byte('a' + r.IntN(26))
	}
	for range 200 {
		var subs []Splice
		var want []byte
		pos := 0
		for range r.IntN(20) {
			off := pos + r.IntN(max(1, (len(body)-pos)/4))
			n := min(r.IntN(50), len(body)-off)
			text := strings.Repeat("#", r.IntN(30))
			subs = append(subs, Splice{int64(off), int64(n), text})
			want = append(append(want, body[pos:off]...), text...)
			pos = off + n
		}
		want = append(want, body[pos:]...)
		s, err := NewSpliced(bytes.NewReader(body), int64(len(body)), subs)
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if _, err := s.WriteTo(&out); err != nil || !bytes.Equal(out.Bytes(), want) || s.Size() != int64(len(want)) {
			t.Fatalf("splices %v: %v", subs, err)
		}
		off := r.IntN(len(want))
		p := make([]byte, min(1000, len(want)-off))
		if n, err := s.ReadAt(p, int64(off)); n != len(p) || err != nil || !bytes.Equal(p, want[off:off+n]) {
			t.Fatalf("ReadAt %d: %d, %v", off, n, err)
		}
	}
}

func TestSplicedErrors(t *testing.T) {
	body := strings.NewReader("0123456789")
	for _, subs := range [][]Splice{
		{{Offset: 11}}, {{Offset: 5, Length: 6}}, {{Offset: 5, Length: -1}}, {{Offset: -1}},
		{{Offset: 5}, {Offset: 4}}, {{Offset: 2, Length: 4}, {Offset: 5}},
	} {
		if _, err := NewSpliced(body, 10, subs); err == nil {
			t.Errorf("%v was taken", subs)
		}
	}
	s, _ := NewSpliced(body, 20, nil)
	if _, err := s.WriteTo(io.Discard); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a body that is too short: %v", err)
	}
	if _, err := s.ReadAt(make([]byte, 1), -1); err == nil {
		t.Error("a negative offset was taken")
	}
}
