package smtp

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/mailroot/mailroot/internal/mail"
)

func readReplies(t *testing.T, r io.Reader) ([]mail.Reply, []string, error) {
	t.Helper()
	var rr ReplyReader
	rr.Reset(r)
	var all []mail.Reply
	var first []string
	for {
		reply, err := rr.Read()
		if err != nil {
			return all, first, err
		}
		all = append(all, reply)
		first = append(first, rr.FirstLine())
	}
}

func TestReplyReader(t *testing.T) {
	e := mail.Enhanced
	for _, c := range []struct {
		name, in string
		want     mail.Reply
	}{
		{"plain", "250 Ok\r\n", mail.NewReply(250, mail.EnhancedCode{}, "Ok")},
		{"enhanced", "550 5.1.1 No such user\r\n", mail.NewReply(550, e(5, 1, 1), "No such user")},
		{"C1 code without text", "250\r\n", mail.NewReply(250, mail.EnhancedCode{}, "")},
		{"C1 code and blank", "250 \r\n", mail.NewReply(250, mail.EnhancedCode{}, "")},
		{"C1 enhanced code without text", "550 5.1.1\r\n", mail.NewReply(550, e(5, 1, 1), "")},
		{"lone LF", "250 Ok\n", mail.NewReply(250, mail.EnhancedCode{}, "Ok")},
		{"three digits", "550 5.100.999 x\r\n", mail.NewReply(550, e(5, 100, 999), "x")},
		{"four digits are text", "550 5.1.1000 x\r\n", mail.NewReply(550, mail.EnhancedCode{}, "5.1.1000 x")},
		{"version number is text", "220 2.1.5.3 x\r\n", mail.NewReply(220, mail.EnhancedCode{}, "2.1.5.3 x")},
		{"other class is text", "550 4.7.1 x\r\n", mail.NewReply(550, mail.EnhancedCode{}, "4.7.1 x")},
		{"3xx has none", "354 3.0.0 go\r\n", mail.NewReply(354, mail.EnhancedCode{}, "3.0.0 go")},
		{"many lines", "550-5.7.1 one\r\n550-5.7.1 two\r\n550 5.7.1 three\r\n", mail.NewReply(550, e(5, 7, 1), "one\ntwo\nthree")},
		{"other code later", "550-5.7.1 one\r\n550-5.7.2 two\r\n550 three\r\n", mail.NewReply(550, e(5, 7, 1), "one\n5.7.2 two\nthree")},
		{"last line bare", "250-a\r\n250\r\n", mail.NewReply(250, mail.EnhancedCode{}, "a\n")},
		{"C7 control octets stay until shown", "550 a\x1b[1m\rb\xff\r\n", mail.NewReply(550, mail.EnhancedCode{}, "a\x1b[1m\rb\xff")},
		{"2 KB", "250 " + strings.Repeat("x", MaxReplyLine-4) + "\r\n", mail.NewReply(250, mail.EnhancedCode{}, strings.Repeat("x", MaxReplyLine-4))},
		{"100 lines", strings.Repeat("250-x\r\n", 99) + "250 x\r\n", mail.NewReply(250, mail.EnhancedCode{}, strings.Repeat("x\n", 99)+"x")},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, r := range []io.Reader{strings.NewReader(c.in + c.in), iotest.OneByteReader(strings.NewReader(c.in + c.in))} {
				got, first, err := readReplies(t, r)
				if err != io.EOF || len(got) != 2 || got[0] != c.want || got[1] != c.want {
					t.Fatalf("got %q, %v; want twice %q, EOF", got, err, c.want)
				}
				line, _, _ := strings.Cut(c.in, "\n")
				if want := strings.TrimSuffix(line, "\r"); first[0] != want {
					t.Errorf("first line %q, want %q", first[0], want)
				}
			}
		})
	}
}

func TestReplyReaderMalformed(t *testing.T) {
	for _, c := range []struct {
		name, in string
		want     error
	}{
		{"C1 line over 2 KB", "250 " + strings.Repeat("x", MaxReplyLine) + "\r\n", ErrProtocol},
		{"C1 endless line", "250 " + strings.Repeat("x", 10<<20), ErrProtocol},
		{"C1 over 100 lines", strings.Repeat("250-x\r\n", 100) + "250 x\r\n", ErrProtocol},
		{"C1 no code", "hello\r\n", ErrProtocol},
		{"C1 empty line", "\r\n", ErrProtocol},
		{"C1 two digits", "25 x\r\n", ErrProtocol},
		{"C1 code 000", "000 x\r\n", ErrProtocol},
		{"C1 code 150", "150 x\r\n", ErrProtocol},
		{"C1 code 600", "600 x\r\n", ErrProtocol},
		{"C1 code 999", "999 x\r\n", ErrProtocol},
		{"C1 four digits", "2500 x\r\n", ErrProtocol},
		{"C1 enhanced code alone", "5.1.1\r\n", ErrProtocol},
		{"C1 mixed codes", "250-a\r\n550 b\r\n", ErrProtocol},
		{"C1 no code in second line", "250-a\r\nb\r\n", ErrProtocol},
		{"end within a line", "250 Ok", io.ErrUnexpectedEOF},
		{"end within a reply", "250-Ok\r\n", io.ErrUnexpectedEOF},
		{"end", "", io.EOF},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, _, err := readReplies(t, strings.NewReader(c.in))
			if !errors.Is(err, c.want) || len(got) != 0 {
				t.Errorf("got %q, %v; want no reply, %v", got, err, c.want)
			}
		})
	}
}

// countReader counts how much was asked of it.
type countReader struct {
	r io.Reader
	n int
}

func (c *countReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += n
	return n, err
}

func TestReplyReaderBounds(t *testing.T) {
	// C1: what breaks a cap is not read to its end.
	in := &countReader{r: strings.NewReader("250-" + strings.Repeat("x", 50<<20))}
	if _, _, err := readReplies(t, in); !errors.Is(err, ErrProtocol) {
		t.Fatalf("error %v", err)
	}
	if limit := 3 * MaxReplyLine; in.n > limit {
		t.Errorf("%d octets were read, at most %d are needed", in.n, limit)
	}
}

func TestReplyReaderBuffered(t *testing.T) {
	// C4: what came behind the reply to STARTTLS can be seen, and is gone after Reset.
	var rr ReplyReader
	rr.Reset(strings.NewReader("220 go\r\n250 injected\r\n"))
	if _, err := rr.Read(); err != nil {
		t.Fatal(err)
	}
	if got, want := rr.Buffered(), len("250 injected\r\n"); got != want {
		t.Errorf("%d octets buffered, want %d", got, want)
	}
	rr.Reset(strings.NewReader("250 real\r\n"))
	if reply, err := rr.Read(); err != nil || reply.Text != "real" {
		t.Errorf("got %q, %v", reply, err)
	}
}

// loop gives the same octets again and again.
type loop struct {
	b   []byte
	pos int
}

func (l *loop) Read(p []byte) (int, error) {
	n := copy(p, l.b[l.pos:])
	l.pos = (l.pos + n) % len(l.b)
	return n, nil
}

func TestReplyReaderAllocs(t *testing.T) {
	var rr ReplyReader
	rr.Reset(&loop{b: []byte("250 2.1.0 Sender OK\r\n250 2.1.5 Recipient OK\r\n354 End with a dot\r\n")})
	if n := testing.AllocsPerRun(300, func() {
		if _, err := rr.Read(); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations for a reply that came before, want none", n)
	}
}

func TestParseOffers(t *testing.T) {
	read := func(in string) Offers {
		var rr ReplyReader
		rr.Reset(strings.NewReader(in))
		reply, err := rr.Read()
		if err != nil {
			t.Fatal(err)
		}
		return ParseOffers(reply)
	}
	got := read("250-mx.example.net greets you\r\n250-pipelining\r\n250-8BitMime\r\n250-CHUNKING\r\n250-BINARYMIME\r\n250-SMTPUTF8\r\n250-DSN\r\n" +
		"250-starttls\r\n250-REQUIRETLS\r\n250-SIZE 10485760\r\n250-AUTH PLAIN LOGIN\r\n250-X-UNKNOWN y\r\n250 LIMITS MAILMAX=20 RCPTMAX=100 rcptdomainmax=1 X=1\r\n")
	want := Offers{Name: "mx.example.net", Pipelining: true, EightBit: true, Chunking: true, Binary: true, UTF8: true, DSN: true,
		StartTLS: true, RequireTLS: true, Size: true, MaxSize: 10485760, Auth: "PLAIN LOGIN", MailMax: 20, RcptMax: 100, RcptDomainMax: 1}
	if got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if got, want := read("250 mx.example.net\r\n"), (Offers{Name: "mx.example.net"}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got, want := read("250-mx\r\n250-SIZE x\r\n250-LIMITS RCPTMAX=-1 MAILMAX\r\n250-SMTPUTF8X\r\n250 \r\n"), (Offers{Name: "mx", Size: true}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func FuzzReplyReader(f *testing.F) {
	for _, s := range []string{"250 Ok\r\n", "250-a\r\n250 5.1.1 b\r\n", "550 5.1.1\r\n", "220-x\n220 SIZE 5\n", "5.1.1\r\n", "250-LIMITS RCPTMAX=1\r\n250 LIMITS RCPTMAX=2\r\n"} {
		f.Add([]byte(s), uint8(3))
	}
	f.Fuzz(func(t *testing.T, in []byte, piece uint8) {
		whole, firstWhole, errWhole := readReplies(t, bytes.NewReader(in))
		cut, firstCut, errCut := readReplies(t, &pieces{b: in, n: int(piece)%7 + 1})
		if fmt.Sprint(whole, firstWhole, errWhole) != fmt.Sprint(cut, firstCut, errCut) {
			t.Fatalf("in one piece %q %v, in pieces %q %v", whole, errWhole, cut, errCut)
		}
		for _, r := range whole {
			if r.Code < 200 || r.Code > 599 {
				t.Errorf("code %d", r.Code)
			}
			if n := strings.Count(r.Text, "\n"); n >= MaxReplyLines {
				t.Errorf("%d line ends", n)
			}
			if !r.Enhanced.IsZero() && int(r.Enhanced.Class) != r.Code/100 {
				t.Errorf("enhanced code %s for %d", r.Enhanced, r.Code)
			}
			ParseOffers(r)
		}
	})
}

type pieces struct {
	b []byte
	n int
}

func (p *pieces) Read(dst []byte) (int, error) {
	if len(p.b) == 0 {
		return 0, io.EOF
	}
	n := copy(dst[:min(len(dst), p.n)], p.b)
	p.b = p.b[n:]
	return n, nil
}

func BenchmarkReplyReader(b *testing.B) {
	var rr ReplyReader
	rr.Reset(&loop{b: []byte("250 2.1.0 Sender OK\r\n250 2.1.5 Recipient OK\r\n354 End with a dot\r\n")})
	b.ReportAllocs()
	for b.Loop() {
		if _, err := rr.Read(); err != nil {
			b.Fatal(err)
		}
	}
}
