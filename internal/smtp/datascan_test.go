package smtp

import (
	"bytes"
	"regexp"
	"strings"
	"testing"
)

// scanned is what a DataScanner makes of an input.
type scanned struct {
	text     string
	stray    int64
	loneDot  bool
	nul      bool
	longLine bool
	done     bool
	used     int
}

// scanIn feeds input in pieces; cuts holds their lengths, used over and over; a 0 is a 1.
func scanIn(input []byte, cuts []byte, chunked bool) scanned {
	var out bytes.Buffer
	d := DataScanner{Write: func(p []byte) { out.Write(p) }}
	d.Reset(chunked)
	r := scanned{}
	for i := 0; r.used < len(input) && !r.done; i++ {
		n := len(input) - r.used
		if len(cuts) > 0 {
			n = min(n, max(1, int(cuts[i%len(cuts)])))
		}
		// A copy, so that looking beyond the piece would be found.
		piece := bytes.Clone(input[r.used : r.used+n])
		used, done := d.Scan(piece[:n:n])
		r.used += used
		r.done = done
		if !done && used != n {
			panic("Scan left octets behind")
		}
	}
	if chunked {
		d.Finish()
	}
	r.text, r.stray, r.loneDot, r.nul, r.longLine = out.String(), d.Stray, d.LoneDot, d.NUL, d.LongLine
	return r
}

var anyLineEnd = regexp.MustCompile(`\r+\n?|\n`)

// reference does the same in the plainest way: find the end, then split into lines.
func reference(input string, chunked bool) scanned {
	r := scanned{used: len(input)}
	raw := input
	if !chunked {
		switch i := strings.Index("\r\n"+input, "\r\n.\r\n"); {
		case i >= 0:
			r.done, r.used, raw = true, i+3, input[:i]
		}
	}
	r.nul = strings.Contains(raw, "\x00")
	var out strings.Builder
	before := "\r\n"
	for raw != "" {
		line, end := raw, ""
		if m := anyLineEnd.FindStringIndex(raw); m != nil {
			line, end = raw[:m[0]], raw[m[0]:m[1]]
		}
		raw = raw[len(line)+len(end):]
		if line == "." && end != "" && (!strings.HasSuffix(before, "\r\n") || end != "\r\n") {
			r.loneDot = true
		}
		if line == "." && end == "" && chunked && !strings.HasSuffix(before, "\r\n") {
			r.loneDot = true
		}
		if !chunked {
			line = strings.TrimPrefix(line, ".")
		}
		if len(line) > MaxTextLine {
			r.longLine = true
		}
		out.WriteString(line)
		if end != "" {
			out.WriteString("\r\n")
		}
		if end != "" && end != "\r\n" {
			r.stray++
		}
		before = end
	}
	r.text = out.String()
	return r
}

func TestDataScannerText(t *testing.T) {
	for _, tc := range []struct {
		name, in, text string
		rest           string
	}{
		{"empty", ".\r\n", "", ""},
		{"usual", "Subject: a\r\n\r\nb\r\n.\r\nQUIT\r\n", "Subject: a\r\n\r\nb\r\n", "QUIT\r\n"},
		{"dots", "..\r\n...\r\n.a\r\na.\r\n.\r\n", ".\r\n..\r\na\r\na.\r\n", ""},
		{"empty lines", "\r\n\r\n.\r\n", "\r\n\r\n", ""},
		{"LF", "a\nb\r\n.\r\n", "a\r\nb\r\n", ""},
		{"CR", "a\rb\r\n.\r\n", "a\r\nb\r\n", ""},
		{"CRCRLF", "a\r\r\nb\r\n.\r\n", "a\r\nb\r\n", ""},
		{"the end behind CRCRLF", "a\r\r\n.\r\n", "a\r\n", ""},
		{"LFCR", "a\n\rb\r\n.\r\n", "a\r\n\r\nb\r\n", ""},
		{"dot within CR", "a\r..b\r\n.\r\n", "a\r\n.b\r\n", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := scanIn([]byte(tc.in), nil, false)
			if !got.done || got.text != tc.text || tc.in[got.used:] != tc.rest {
				t.Errorf("text %q, rest %q, done %v; want %q, %q", got.text, tc.in[got.used:], got.done, tc.text, tc.rest)
			}
			if got.loneDot {
				t.Error("a lone dot was reported")
			}
		})
	}
}

// TestDataScannerF1 feeds what SMTP smuggling uses for an end of data that one side sees and
// the other does not.
func TestDataScannerF1(t *testing.T) {
	for _, end := range []string{
		"\n.\n", "\n.\r\n", "\r\n.\n", "\r.\r", "\r.\r\n", "\r\n.\r", "\n.\r",
		"\r\r\n.\r\r\n", "\r.\n", "\r\n.\r\r\n", "\n.\r\r\n", "\r\n.\r\r\r\n",
	} {
		in := "a" + end + "b\r\n.\r\n"
		got := scanIn([]byte(in), nil, false)
		if !got.done || got.used != len(in) {
			t.Errorf("F1 %q: ended after %d of %d octets", end, got.used, len(in))
		}
		if !got.loneDot || got.stray == 0 {
			t.Errorf("F1 %q: lone dot %v, stray %d", end, got.loneDot, got.stray)
		}
	}
	for _, end := range []string{"\r\n\x00.\r\n", "\r\n.\x00\r\n", "\r\n. \r\n", "\r\n .\r\n"} {
		in := "a" + end + "b\r\n.\r\n"
		got := scanIn([]byte(in), nil, false)
		if !got.done || got.used != len(in) || got.loneDot {
			t.Errorf("F1 %q: ended after %d of %d octets, lone dot %v", end, got.used, len(in), got.loneDot)
		}
	}
	// The very beginning counts as behind a CRLF.
	for _, start := range []string{".\n", ".\r", ".\r\r\n"} {
		got := scanIn([]byte(start+"b\r\n.\r\n"), nil, false)
		if !got.done || !got.loneDot {
			t.Errorf("F1 %q at the beginning: done %v, lone dot %v", start, got.done, got.loneDot)
		}
	}
}

func TestDataScannerF17(t *testing.T) {
	for n, want := range map[int]bool{998: false, 5000: false, MaxTextLine: false, MaxTextLine + 1: true} {
		in := strings.Repeat("x", n) + "\r\n.\r\n"
		for _, cuts := range [][]byte{nil, {255}} {
			got := scanIn([]byte(in), cuts, false)
			if got.longLine != want || len(got.text) != n+2 {
				t.Errorf("F17 %d octets: long line %v, text of %d octets", n, got.longLine, len(got.text))
			}
		}
	}
}

func TestDataScannerF14(t *testing.T) {
	for _, tc := range []struct {
		in, text string
		lone     bool
	}{
		{".\r\n", ".\r\n", false},
		{"a\r\n.\r\nb", "a\r\n.\r\nb", false},
		{"..a\r\n", "..a\r\n", false},
		{"a\nb", "a\r\nb", false},
		{"a\r", "a\r\n", false},
		{"a\n.\r\n", "a\r\n.\r\n", true},
		{"a\r\n.\n", "a\r\n.\r\n", true},
		{"a\r\n.\r", "a\r\n.\r\n", true},
		{"a\n.", "a\r\n.", true},
		{"a\r.", "a\r\n.", true},
		{"a\r\n.", "a\r\n.", false},
		{".", ".", false},
		{"a\n.b", "a\r\n.b", false},
	} {
		got := scanIn([]byte(tc.in), nil, true)
		if got.text != tc.text || got.loneDot != tc.lone || got.done {
			t.Errorf("F14 %q: %q, lone dot %v, done %v; want %q, %v", tc.in, got.text, got.loneDot, got.done, tc.text, tc.lone)
		}
	}
}

func TestDataScannerWholeSlices(t *testing.T) {
	in := []byte(strings.Repeat(strings.Repeat("x", 70)+"\r\n", 800))
	calls := 0
	d := DataScanner{Write: func([]byte) { calls++ }}
	d.Reset(false)
	d.Scan(in)
	if calls != 1 {
		t.Errorf("clean text was passed on in %d pieces, want 1", calls)
	}
}

func TestHeaderScannerF18(t *testing.T) {
	for _, tc := range []struct {
		in   string
		want bool
	}{
		{"Subject: a\r\n\r\nb\x00", false},
		{"Subject: \x00\r\n\r\nb", true},
		{"\r\n\x00", false},
		{"a\r\n\x00\r\n\r\n", true},
		{"a\r\n\r\x00\n", true},
		{"a\x00", true},
		{"", false},
	} {
		for size := 1; size <= len(tc.in)+1; size++ {
			var h HeaderScanner
			for i := 0; i < len(tc.in); i += size {
				h.Scan([]byte(tc.in[i:min(len(tc.in), i+size)]))
			}
			if h.NUL != tc.want {
				t.Errorf("F18 %q in pieces of %d: NUL %v, want %v", tc.in, size, h.NUL, tc.want)
			}
		}
	}
}

// FuzzDataScanner checks that the result is that of the reference, however the input is cut.
func FuzzDataScanner(f *testing.F) {
	for _, s := range []string{
		"", ".\r\n", "a\r\n.\r\nb", "\n.\n", "\r\n.\n", "\r.\r", "\r\r\n.\r\r\n", "..\r\n.\r\n", "a\r\r\r\n.\r\r\r",
		"\r\n.\r\n.\r\n", ".\r\r\n.\r\n", ".\n.\r\n", ".\r", "\r", "a\x00\r\n.\r\n", "\r\n\r\n.\r\n", "\n.\r\n.\r\n",
	} {
		for _, chunked := range []bool{false, true} {
			f.Add([]byte(s), []byte{1}, chunked)
			f.Add([]byte(s), []byte{2, 3}, chunked)
		}
	}
	f.Fuzz(func(t *testing.T, in, cuts []byte, chunked bool) {
		whole := scanIn(in, nil, chunked)
		if cut := scanIn(in, cuts, chunked); cut != whole {
			t.Fatalf("cut by %v: %+v\nwhole: %+v", cuts, cut, whole)
		}
		want := reference(string(in), chunked)
		if !whole.done && !chunked {
			// What waits at the end is decided by what follows: only the end is compared.
			if want.done {
				t.Fatalf("no end was found: %+v, want %+v", whole, want)
			}
			return
		}
		if whole != want {
			t.Fatalf("got  %+v\nwant %+v", whole, want)
		}
		if strings.Contains(strings.ReplaceAll(whole.text, "\r\n", ""), "\r") ||
			strings.Contains(strings.ReplaceAll(whole.text, "\r\n", ""), "\n") {
			t.Fatalf("a bare CR or LF came through: %q", whole.text)
		}
	})
}

func BenchmarkDataScanner(b *testing.B) {
	in := []byte(strings.Repeat(strings.Repeat("x", 74)+"\r\n", 860))
	d := DataScanner{Write: func([]byte) {}}
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	for b.Loop() {
		d.Reset(false)
		d.Scan(in)
	}
}
