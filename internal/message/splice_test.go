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
	s, err := NewSpliced(strings.NewReader(body), int64(len(body)), Completions(nil, c.Edits, "example.com"))
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
	if subs := Completions(nil, c.Edits, ""); subs != nil {
		t.Errorf("splices without a domain: %v", subs)
	}
	if subs := Completions(nil, []mail.Edit{{Offset: 1, Length: 2, Kind: mail.EditFromAddress}}, "x"); subs != nil {
		t.Errorf("a From address is not completed: %v", subs)
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
