package smtp

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// stuff feeds the text in pieces of n octets (0: in one).
func stuff(text []byte, n int) []byte {
	var s Stuffer
	var out []byte
	for n > 0 && len(text) > n {
		out = s.Append(out, text[:n])
		text = text[n:]
	}
	return s.AppendEnd(s.Append(out, text))
}

// lines is the reference: what a text means, with any of CRLF, CR and LF as the end of a line.
func lines(text []byte) []string {
	t := strings.ReplaceAll(string(text), "\r\n", "\n")
	t = strings.ReplaceAll(t, "\r", "\n")
	l := strings.Split(t, "\n")
	if l[len(l)-1] == "" {
		l = l[:len(l)-1]
	}
	return l
}

// unstuff is the reference of the receiving side (RFC 5321 §4.5.2). It fails for anything but
// CRLF line ends and one lone dot at the end.
func unstuff(wire []byte) ([]string, error) {
	var out []string
	for {
		line, rest, ok := bytes.Cut(wire, []byte("\r\n"))
		if !ok {
			return nil, fmt.Errorf("no CRLF at the end: %q", wire)
		}
		if bytes.ContainsAny(line, "\r\n") {
			return nil, fmt.Errorf("bare CR or LF in %q", line)
		}
		if string(line) == "." {
			if len(rest) > 0 {
				return nil, fmt.Errorf("%q after the end", rest)
			}
			return out, nil
		}
		out = append(out, strings.TrimPrefix(string(line), "."))
		wire = rest
	}
}

func TestStuffer(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"empty", "", ".\r\n"},
		{"text", "a\r\nb\r\n", "a\r\nb\r\n.\r\n"},
		{"no line end", "a", "a\r\n.\r\n"},
		{"F3 dot first", ".a\r\n", "..a\r\n.\r\n"},
		{"F3 lone dot", "a\r\n.\r\nb\r\n", "a\r\n..\r\nb\r\n.\r\n"},
		{"F3 two dots", "..\r\n", "...\r\n.\r\n"},
		{"F3 dot within", "a.b\r\nc.\r\n", "a.b\r\nc.\r\n.\r\n"},
		{"F3 bare LF", "a\nb\n", "a\r\nb\r\n.\r\n"},
		{"F3 bare CR", "a\rb\r", "a\r\nb\r\n.\r\n"},
		{"F3 LF dot LF", "a\n.\nb", "a\r\n..\r\nb\r\n.\r\n"},
		{"F3 CR dot CR", "a\r.\rb", "a\r\n..\r\nb\r\n.\r\n"},
		{"F3 CR CR LF", "a\r\r\n.", "a\r\n\r\n..\r\n.\r\n"},
		{"F3 LF CR", "a\n\r.\r\n", "a\r\n\r\n..\r\n.\r\n"},
		{"F3 smuggled end", "a\r\n.\r\r\nMAIL FROM:<x@example.com>\r\n", "a\r\n..\r\n\r\nMAIL FROM:<x@example.com>\r\n.\r\n"},
		{"NUL", "a\x00\r\n", "a\x00\r\n.\r\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for n := range len(c.in) + 1 {
				if got := string(stuff([]byte(c.in), n)); got != c.want {
					t.Errorf("pieces of %d: got %q, want %q", n, got, c.want)
				}
			}
		})
	}
}

func FuzzStuffer(f *testing.F) {
	for _, s := range []string{"", "a\r\n.b\r\n", "\n.\n", "\r.\r", "\r\n.\r\n", ".\r\r\n..\n\r", "a"} {
		f.Add([]byte(s), uint16(1))
	}
	f.Fuzz(func(t *testing.T, in []byte, piece uint16) {
		whole := stuff(in, 0)
		if cut := stuff(in, int(piece)); !bytes.Equal(whole, cut) {
			t.Fatalf("in one piece %q, in pieces of %d %q", whole, piece, cut)
		}
		got, err := unstuff(whole)
		if err != nil {
			t.Fatal(err)
		}
		if want := lines(in); fmt.Sprintf("%q", got) != fmt.Sprintf("%q", want) {
			t.Fatalf("got %q, want %q", got, want)
		}
		if limit := 2*len(in) + 5; len(whole) > limit {
			t.Errorf("%d octets of %d, at most %d were promised", len(whole), len(in), limit)
		}
	})
}

func TestStufferLinear(t *testing.T) {
	// Each octet is looked at a bounded number of times: 8 MB of lone CRs would take minutes
	// otherwise, and the test's time-out would tell.
	in := bytes.Repeat([]byte{'\r'}, 8<<20)
	var s Stuffer
	if got := len(s.AppendEnd(s.Append(make([]byte, 0, 2*len(in)+8), in))); got != 2*len(in)+3 {
		t.Errorf("%d octets", got)
	}
}

func BenchmarkStuffer(b *testing.B) {
	text := bytes.Repeat([]byte(strings.Repeat("x", 68)+"\r\n"), 60)
	text = append(text, ".dot\r\n"...)
	out := make([]byte, 0, 2*len(text)+8)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		var s Stuffer
		out = s.AppendEnd(s.Append(out[:0], text))
	}
}
