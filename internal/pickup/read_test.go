package pickup

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/message"
	"github.com/mailroot/mailroot/internal/smtp"
)

// sink is a Transaction that keeps what it is given.
type sink struct {
	sender mail.Sender
	rcpts  []string
	text   strings.Builder
	fail   error
}

func (s *sink) ID() mail.QueueID   { return 1 << 40 }
func (s *sink) From(m mail.Sender) { s.sender = m }
func (s *sink) Enqueue()           {}
func (s *sink) Abort()             {}
func (s *sink) Write(p []byte) (int, error) {
	if s.fail != nil {
		return 0, s.fail
	}
	return s.text.Write(p)
}

func (s *sink) Rcpt(_ context.Context, r mail.Recipient) (mail.Address, error) {
	s.rcpts = append(s.rcpts, r.Addr.String())
	return r.Addr, nil
}

func (s *sink) Commit(context.Context) (mail.Accepted, error) { return mail.Accepted{}, nil }

// readText reads a file as a worker does, in slices of n octets.
func readText(text string, stuffed bool, limit int64, n int) (*sink, error) {
	s := &sink{}
	var src source
	var msg assembler
	msg.reset(context.Background(), s, limit)
	err := src.read(context.Background(), strings.NewReader(text), int64(len(text)), stuffed, make([]byte, n), &msg)
	return s, err
}

// mustRead reads it in slices of many sizes, with one result.
func mustRead(t *testing.T, text string, stuffed bool) *sink {
	t.Helper()
	want, err := readText(text, stuffed, 0, sliceSize)
	if err != nil {
		t.Fatalf("%.200q: %v", text, err)
	}
	for _, n := range []int{probe, probe + 1, 100, 1000} {
		if n >= len(text) {
			continue
		}
		got, err := readText(text, stuffed, 0, n)
		if err != nil || got.text.String() != want.text.String() || !slices.Equal(got.rcpts, want.rcpts) {
			t.Errorf("in slices of %d: %v, %q", n, err, got.text.String())
		}
	}
	return want
}

const xHead = "x-sender: a@b.example\r\nx-receiver: c@d.example\r\n"

// F3, P1: line ends, dots, byte order marks.
func TestText(t *testing.T) {
	for _, tc := range []struct {
		name, in, want string
		plain          bool // dot_stuffed = false
	}{
		{name: "as it is", in: xHead + "Subject: x\r\n\r\ntext\r\n", want: "Subject: x\r\n\r\ntext\r\n"},
		{name: "LF only", in: strings.ReplaceAll(xHead, "\r", "") + "Subject: x\n\ntext\n\nmore\n", want: "Subject: x\r\n\r\ntext\r\n\r\nmore\r\n"},
		{name: "CR only", in: strings.ReplaceAll(xHead, "\n", "") + "Subject: x\r\rtext\r", want: "Subject: x\r\n\r\ntext\r\n"},
		{name: "CR only, then CRLF", in: "x-sender: a@b.example\rx-receiver: c@d.example\r\rtext\r\nmore\r\n", want: "\r\ntext\r\nmore\r\n"},
		{name: "mixed", in: xHead + "Subject: x\n\r\ntext\rmore\n", want: "Subject: x\r\n\r\ntext\r\nmore\r\n"},
		{name: "no line end at the end", in: xHead + "\r\ntext", want: "\r\ntext"},
		{name: "header alone", in: xHead + "Subject: x", want: "Subject: x"},
		{name: "x-lines alone", in: xHead, want: ""},
		{name: "UTF-8 mark", in: "\xef\xbb\xbf" + xHead + "Subject: x\r\n\r\n", want: "Subject: x\r\n\r\n"},
		{name: "mark behind the x-lines", in: xHead + "\xef\xbb\xbfSubject: x\r\n\r\n", want: "Subject: x\r\n\r\n"},
		{name: "dots", in: xHead + "\r\n..dot\r\n...two\r\n.eaten\r\nx.y\r\n", want: "\r\n.dot\r\n..two\r\neaten\r\nx.y\r\n"},
		{name: "dots in LF files", in: xHead + "\n..dot\n..\n", want: "\r\n.dot\r\n.\r\n"},
		{name: "dots not stuffed", in: xHead + "\r\n..dot\r\n.\r\n", want: "\r\n..dot\r\n.\r\n", plain: true},
		{name: "lone dot at the end", in: xHead + "\r\ntext\r\n.\r\n", want: "\r\ntext\r\n"},
		{name: "lone dot without line end", in: xHead + "\r\ntext\r\n.", want: "\r\ntext\r\n"},
		{name: "lone dot of an LF file", in: xHead + "\ntext\n.\n", want: "\r\ntext\r\n"},
		{name: "a dot that ends a sentence", in: xHead + "\r\ntext.\r\n", want: "\r\ntext.\r\n"},
		{name: "lone dot in the middle", in: xHead + "\r\nabove\r\n.\r\nbelow\r\n.\r\n", want: "\r\nabove\r\n\r\nbelow\r\n"},
		{name: "lone dot in the middle, LF", in: xHead + "\nabove\n.\nbelow\n", want: "\r\nabove\r\n\r\nbelow\r\n"},
		{name: "8 bits", in: xHead + "Subject: \xfc\r\n\r\n\xff\xfe\r\n", want: "Subject: \xfc\r\n\r\n\xff\xfe\r\n"},
		{name: "F17", in: xHead + "\r\n" + strings.Repeat("x", 200_000) + "\r\n", want: "\r\n" + strings.Repeat("x", 200_000) + "\r\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := mustRead(t, tc.in, !tc.plain)
			if d := cmp.Diff(tc.want, got.text.String()); d != "" {
				t.Error(d)
			}
			if got.sender.Addr.String() != "a@b.example" || !slices.Equal(got.rcpts, []string{"c@d.example"}) {
				t.Errorf("envelope %v %v", got.sender, got.rcpts)
			}
		})
	}
}

// Where sender and recipients come from, and what is left of the header.
func TestEnvelope(t *testing.T) {
	for _, tc := range []struct {
		name, in, sender string
		rcpts            []string
		left             string // of the header; "": all of it
	}{
		{"header", "From: a@b.example\r\nTo: c@d.example\r\nCc: e@f.example\r\n", "a@b.example", []string{"c@d.example", "e@f.example"}, ""},
		{"Sender before From", "From: a@b.example\r\nSender: s@b.example\r\nTo: c@d.example\r\n", "s@b.example", []string{"c@d.example"}, ""},
		{"empty Sender", "Sender:\r\nFrom: a@b.example\r\nTo: c@d.example\r\n", "a@b.example", []string{"c@d.example"}, ""},
		{"two From addresses", "From: a@b.example, x@b.example\r\nTo: c@d.example\r\n", "a@b.example", []string{"c@d.example"}, ""},
		{"Bcc", "From: a@b.example\r\nTo: c@d.example\r\nBcc: x@y.example,\r\n\tz@y.example\r\nSubject: x\r\n", "a@b.example",
			[]string{"c@d.example", "x@y.example", "z@y.example"}, "From: a@b.example\r\nTo: c@d.example\r\nSubject: x\r\n"},
		{"Bcc alone, odd", "From: a@b.example\r\nBCC : x@y.example\r\n", "a@b.example", []string{"x@y.example"}, "From: a@b.example\r\n"},
		{"Bcc beside x-lines", "x-sender: s@b.example\r\nx-receiver: r@d.example\r\nBcc: x@y.example\r\nFrom: a@b.example\r\n", "s@b.example",
			[]string{"r@d.example"}, "From: a@b.example\r\n"},
		{"x-lines in any case, folded, with names", "X-SENDER: \"S, the\" <s@b.example>\r\nX-Receiver: One <1@d.example>,\r\n =?utf-8?Q?Tw=C3=B6?= <2@d.example>\r\nx-receiver:3@d.example\r\nFrom: a@b.example\r\nTo: c@d.example\r\n",
			"s@b.example", []string{"1@d.example", "2@d.example", "3@d.example"}, "From: a@b.example\r\nTo: c@d.example\r\n"},
		{"x-receiver before x-sender", "x-receiver: c@d.example\r\nx-sender: a@b.example\r\nSubject: x\r\n", "a@b.example", []string{"c@d.example"}, "Subject: x\r\n"},
		{"x-sender alone", "x-sender: s@b.example\r\nTo: c@d.example\r\n", "s@b.example", []string{"c@d.example"}, "To: c@d.example\r\n"},
		{"x-receiver alone", "x-receiver: r@d.example\r\nFrom: a@b.example\r\nTo: c@d.example\r\n", "a@b.example", []string{"r@d.example"}, "From: a@b.example\r\nTo: c@d.example\r\n"},
		{"null sender", "x-sender: <>\r\nx-receiver: c@d.example\r\nFrom: a@b.example\r\n", "", []string{"c@d.example"}, "From: a@b.example\r\n"},
		{"the same x-sender twice", "x-sender: s@b.example\r\nx-sender: <s@b.example>\r\nx-receiver: c@d.example\r\nFrom: a@b.example\r\n", "s@b.example", []string{"c@d.example"}, "From: a@b.example\r\n"},
		{"empty x-sender", "x-sender:\r\nx-receiver: c@d.example\r\nFrom: a@b.example\r\n", "a@b.example", []string{"c@d.example"}, "From: a@b.example\r\n"},
		{"x-lines behind other fields are text", "From: a@b.example\r\nTo: c@d.example\r\nx-receiver: evil@x.example\r\n", "a@b.example", []string{"c@d.example"}, ""},
		{"groups", "From: a@b.example\r\nTo: undisclosed-recipients:;\r\nCc: Team: x@y.example, \"Z\" <z@y.example>;\r\n", "a@b.example", []string{"x@y.example", "z@y.example"}, ""},
		{"an address before a colon", "From: a@b.example\r\nx-receiver: r@d.example\r\nTo: r@d.example\r\n Bcc: foo@d.example\r\n", "", nil, "error"},
		{"several To", "From: a@b.example\r\nTo: c@d.example\r\nTo: e@f.example\r\n", "a@b.example", []string{"c@d.example", "e@f.example"}, ""},
		{"resent", "Resent-From: r@b.example\r\nResent-To: new@d.example\r\nResent-Bcc: h@d.example\r\nFrom: a@b.example\r\nTo: old@d.example\r\nBcc: older@d.example\r\n",
			"r@b.example", []string{"new@d.example", "h@d.example"}, "Resent-From: r@b.example\r\nResent-To: new@d.example\r\nFrom: a@b.example\r\nTo: old@d.example\r\n"},
		{"resent twice", "Resent-Sender: s@b.example\r\nResent-From: 2@b.example\r\nResent-To: second@d.example\r\nResent-From: 1@b.example\r\nResent-To: first@d.example\r\nFrom: a@b.example\r\nTo: old@d.example\r\n",
			"s@b.example", []string{"second@d.example"}, ""},
		{"resent, received between", "Resent-From: 2@b.example\r\nResent-To: second@d.example\r\nReceived: x\r\nResent-Cc: first@d.example\r\nFrom: a@b.example\r\n",
			"2@b.example", []string{"second@d.example"}, ""},
		{"lines that are no fields", "From someone\r\nFrom: a@b.example\r\n folded: To: x@y.example\r\nTo: c@d.example\r\n", "", nil, "error"},
		{"bare addresses", "From: cron\r\nTo: root\r\n", "cron", []string{"root"}, ""},
		{"SMTPUTF8", "x-sender: a@b.example\r\nx-receiver: j\u00fcrgen@d.example\r\nSubject: x\r\n", "a@b.example", []string{"j\u00fcrgen@d.example"}, "Subject: x\r\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if tc.left == "error" {
				if _, err := readText(tc.in+"\r\ntext\r\n", true, 0, sliceSize); err == nil {
					t.Error("no error")
				}
				return
			}
			got := mustRead(t, tc.in+"\r\ntext\r\n", true)
			if got.sender.Addr.String() != tc.sender || !slices.Equal(got.rcpts, tc.rcpts) {
				t.Errorf("envelope %q %q", got.sender.Addr, got.rcpts)
			}
			left := tc.left
			if left == "" {
				left = tc.in
			}
			if d := cmp.Diff(left+"\r\ntext\r\n", got.text.String()); d != "" {
				t.Error(d)
			}
			if want := tc.name == "SMTPUTF8"; got.sender.UTF8 != want || got.sender.Body != mail.Body8BitMIME {
				t.Errorf("parameters %+v", got.sender)
			}
		})
	}
}

// P1: what can't be used says why.
func TestUnusable(t *testing.T) {
	utf16 := func(s string, order int) string {
		var b strings.Builder
		for i := range len(s) {
			b.WriteByte([2]byte{s[i], 0}[order])
			b.WriteByte([2]byte{0, s[i]}[order])
		}
		return b.String()
	}
	manyX := strings.Repeat("x-receiver: someone@somewhere.example\r\n", 30_000)
	for _, tc := range []struct{ name, in, reason string }{
		{"nothing", "", "The file is empty."},
		{"blank lines", "\r\n\r\n", "The file names no sender (x-sender, Sender or From) and no recipient"},
		{"a dot", ".", "The file names no sender"},
		{"no sender", "To: c@d.example\r\n\r\n", "The file names no sender (x-sender, Sender or From)."},
		{"no recipient", "From: a@b.example\r\nSubject: x\r\n\r\n", "The file names no recipient (x-receiver, To, Cc or Bcc)."},
		{"binary", "GIF89a\x01\x00\x01\x00", "The file has a NUL octet"},
		{"NUL in the body", xHead + "\r\n" + strings.Repeat("text\r\n", 50_000) + "\x00", "The file has a NUL octet"},
		{"UTF-16 with mark", "\xff\xfe" + utf16(xHead, 0), "The file is UTF-16."},
		{"UTF-16 big endian with mark", "\xfe\xff" + utf16(xHead, 1), "The file is UTF-16."},
		{"UTF-32 with mark", "\xff\xfe\x00\x00x\x00\x00\x00", "The file is UTF-32."},
		{"UTF-32 big endian with mark", "\x00\x00\xfe\xff\x00\x00\x00x", "The file is UTF-32."},
		{"UTF-16 without mark", utf16(xHead, 0), "The file is UTF-16."},
		{"UTF-16 big endian", utf16(xHead, 1), "The file is UTF-16."},
		{"bad recipient", "x-sender: a@b.example\r\nx-receiver: c@d@e.example\r\n\r\n", "The field x-receiver cannot be read: this is no mail address (c@d@e.example)"},
		{"control octets", "From: a@b.example\r\nTo: c\x1b2J@d.example\r\n\r\n", `The field To cannot be read: this is no mail address (c\x1B2J@d.example)`},
		{"two senders", "x-sender: a@b.example, c@d.example\r\nx-receiver: c@d.example\r\n\r\n", "There is more than one address in x-sender."},
		{"two sender lines", "x-sender: a@b.example\r\nx-sender: A@b.example\r\nx-receiver: c@d.example\r\n\r\n", "There is more than one address in x-sender."},
		{"null recipient", "x-sender: a@b.example\r\nx-receiver: <>\r\n\r\n", "the empty address <> is no recipient"},
		{"null From", "From: <>\r\nTo: c@d.example\r\n\r\n", "the empty address"},
		{"line of a megabyte", xHead + "\r\n" + strings.Repeat("x", smtp.MaxTextLine+1), "The file has a line longer than 1048576 octets."},
		{"long header", xHead + "Subject: x" + strings.Repeat("\r\n y", message.MaxHeader/4) + "\r\n\r\n", "The header is longer than 262144 octets."},
		{"endless header", strings.Repeat("Subject: x\r\n", 200_000), "The header does not end within"},
		{"too many x-receivers", "x-sender: a@b.example\r\n" + manyX + manyX, "The header does not end within"},
	} {
		_, err := readText(tc.in, true, 0, sliceSize)
		var u *unusable
		if !errors.As(err, &u) || !strings.HasPrefix(u.reason, tc.reason) && !strings.Contains(u.reason, tc.reason) {
			t.Errorf("%s: %v, want %q", tc.name, err, tc.reason)
		}
		if u != nil && strings.ContainsFunc(u.reason, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			t.Errorf("%s is shown raw: %q", tc.name, u.reason)
		}
	}
	// Many recipients alone are no fault.
	got := mustRead(t, "x-sender: a@b.example\r\n"+strings.Repeat("x-receiver: someone@somewhere.example\r\n", 20_000)+"\r\n", true)
	if len(got.rcpts) != 20_000 {
		t.Errorf("%d recipients", len(got.rcpts))
	}
}

// A file from badmail, sent again to somebody else: they see neither the envelope that could not be read nor Bcc.
func TestWriteText(t *testing.T) {
	const file = "x-sender: a@b.example\nx-receiver: not an address\nFrom: a@b.example\nBcc: secret@d.example\nSubject: x\n\n..dot\n.\n"
	var b strings.Builder
	if err := WriteText(t.Context(), &b, strings.NewReader(file), int64(len(file)), Settings{DotStuffed: true}); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff("From: a@b.example\r\nSubject: x\r\n\r\n.dot\r\n", b.String()); d != "" {
		t.Error(d)
	}
	if err := WriteText(t.Context(), &b, strings.NewReader("a\x00"), 2, Settings{}); err == nil {
		t.Error("a NUL was sent")
	}
}

// sparse is a file of any size that costs no memory; reads are counted.
type sparse struct {
	head string
	size int64
	read int64
}

func (s *sparse) ReadAt(p []byte, off int64) (int, error) {
	for i := range p {
		p[i] = 'x'
		if at := off + int64(i); at < int64(len(s.head)) {
			p[i] = s.head[at]
		} else if at%64 == 63 {
			p[i] = '\n'
		} else if at%64 == 62 {
			p[i] = '\r'
		}
	}
	s.read += int64(len(p))
	if off+int64(len(p)) > s.size {
		return int(max(0, s.size-off)), io.EOF
	}
	return len(p), nil
}

// P1: a file of 2 GB is refused unread; one that is little too long at the limit.
func TestSize(t *testing.T) {
	const limit = 10 << 20
	for _, tc := range []struct {
		size, read int64
		ok         bool
	}{
		{2 << 30, 0, false},
		{limit + 1<<20, limit + 1<<20, false},
		{limit + int64(len(xHead)), limit + 1<<20, true}, // the x-lines do not count
		{limit + int64(len(xHead)) + 1, limit + 1<<20, false},
	} {
		f := &sparse{head: xHead + "\r\n", size: tc.size}
		var src source
		var msg assembler
		msg.reset(context.Background(), &sink{}, limit)
		err := src.read(context.Background(), f, f.size, true, make([]byte, sliceSize), &msg)
		var u *unusable
		if (err == nil) != tc.ok || f.read > tc.read {
			t.Errorf("%d octets: %v, %d read", tc.size, err, f.read)
		}
		if !tc.ok && (!errors.As(err, &u) || !strings.HasPrefix(u.reason, "The message is larger than 10485760 octets")) {
			t.Errorf("%d octets: %v", tc.size, err)
		}
	}
}

// A file that changes under our hands, and a spool that fails, are no faults of the message.
func TestReadTrouble(t *testing.T) {
	var src source
	var msg assembler
	msg.reset(context.Background(), &sink{}, 0)
	err := src.read(context.Background(), strings.NewReader(xHead), int64(len(xHead))+10, true, make([]byte, sliceSize), &msg)
	var fe *fileError
	if !errors.As(err, &fe) {
		t.Errorf("a file that was cut: %v", err)
	}
	msg.reset(context.Background(), &sink{fail: errors.New("disk")}, 0)
	err = src.read(context.Background(), strings.NewReader(xHead+"\r\n"), int64(len(xHead))+2, true, make([]byte, sliceSize), &msg)
	var me *mail.Error
	if !errors.As(err, &me) || me.Permanent() {
		t.Errorf("a spool that fails: %v", err)
	}
}

func FuzzRead(f *testing.F) {
	for _, s := range []string{
		xHead + "Subject: x\r\n\r\n..text\r\n.\r\n",
		"From: a@b.example\nTo: c@d.example\nBcc: e@f.example\n\ntext\n.\nmore",
		"\xef\xbb\xbfResent-To: a@b\r\nResent-From: c@d\r\nResent-Bcc: x@y\r\n\r\n",
		"\xff\xfeF\x00r\x00", "x-sender: <>\rx-receiver: g: a@b, c@d;\r\r.\r",
	} {
		f.Add([]byte(s), true, 7)
	}
	f.Fuzz(func(t *testing.T, in []byte, stuffed bool, n int) {
		n = max(probe, min(n, sliceSize))
		got, err := readText(string(in), stuffed, 1<<20, n)
		whole, err2 := readText(string(in), stuffed, 1<<20, sliceSize)
		if (err == nil) != (err2 == nil) || err == nil && got.text.String() != whole.text.String() {
			t.Fatalf("in slices of %d: %v %q, else %v %q", n, err, got.text.String(), err2, whole.text.String())
		}
		if err != nil {
			var u *unusable
			if !errors.As(err, &u) {
				t.Fatalf("%q: %v", in, err)
			}
			return
		}
		text := got.text.String()
		if strings.Count(text, "\r") != strings.Count(text, "\n") || strings.Count(text, "\r\n") != strings.Count(text, "\n") {
			t.Errorf("a bare CR or LF in %q", text)
		}
		if len(got.rcpts) == 0 {
			t.Error("no recipient")
		}
		head, _, _ := strings.Cut(text, "\r\n\r\n")
		for line := range strings.SplitSeq(strings.ToLower(head), "\r\n") {
			if !strings.HasPrefix(text, "\r\n") && (strings.HasPrefix(line, "bcc:") || strings.HasPrefix(line, "resent-bcc:")) {
				t.Errorf("Bcc is left in %q", text)
			}
		}
	})
}
