package session_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/session"
	"github.com/mailroot/mailroot/internal/session/sessiontest"
	"github.com/mailroot/mailroot/internal/smtp"
)

// feed is a connection that gives its input in pieces of step octets and remembers how much
// had been given when 354 was said: there the server has to begin to read the message.
type feed struct {
	tape
	in    []byte
	step  int
	given int
	out   bytes.Buffer
	start int // of the message, -1: none
}

func (c *feed) Read(p []byte) (int, error) {
	if c.given == len(c.in) {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), c.step)], c.in[c.given:])
	c.given += n
	return n, nil
}

func (c *feed) Write(p []byte) (int, error) {
	c.out.Write(p)
	if i := bytes.LastIndexByte(p[:len(p)-1], '\n'); bytes.HasPrefix(p[i+1:], []byte("354 ")) {
		c.start = c.given
	}
	return len(p), nil
}

var _ net.Conn = (*feed)(nil)

var (
	lineEnds  = regexp.MustCompile(`\r+\n?|\n`)
	replyLine = regexp.MustCompile(`^[2-5][0-9][0-9][ -][^\x00-\x1f\x7f]*$`)
)

// decode is the plainest decoder of message data: it looks for the end, then at each line.
// bad says that the message must be refused.
func decode(in string, repair bool) (text string, done, bad bool) {
	i := strings.Index("\r\n"+in, "\r\n.\r\n")
	if i < 0 {
		return "", false, false
	}
	text, bad = decodeLines(in[:i], repair, true)
	return text, true, bad
}

// decodeLines decodes text whose end is known, with the dots of DATA or without.
func decodeLines(in string, repair, dots bool) (text string, bad bool) {
	bad = strings.Contains(in, "\x00")
	var b strings.Builder
	before := "\r\n"
	for in != "" {
		line, end := in, ""
		if m := lineEnds.FindStringIndex(in); m != nil {
			line, end = in[:m[0]], in[m[0]:m[1]]
		}
		in = in[len(line)+len(end):]
		stray := end != "" && end != "\r\n"
		// In chunks the last line may lack its end: it gets one, so a dot is alone there too.
		lone := line == "." && (end != "" || !dots) && (stray || !strings.HasSuffix(before, "\r\n"))
		if stray && !repair || lone {
			bad = true
		}
		if dots {
			line = strings.TrimPrefix(line, ".")
		}
		b.WriteString(line)
		if end != "" {
			b.WriteString("\r\n")
		}
		before = end
	}
	return b.String(), bad
}

// FuzzSession: whatever a client sends, in pieces of any size, the session ends without a
// panic, each line that it writes is a reply, no transaction is left open, and the messages
// accepted after DATA are those that the reference decoder sees.
func FuzzSession(f *testing.F) {
	hello := "EHLO client.example\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\n"
	f.Add([]byte(hello+"BDAT 5\r\nab\ncdBDAT 2 LAST\r\n\r\nQUIT\r\n"), uint8(255), uint8(0))
	f.Add([]byte(hello+"RSET\r\nNOOP\r\nHELP\r\nVRFY x\r\nEXPN y\r\nAUTH PLAIN\r\nSTARTTLS\r\n"), uint8(3), uint8(4))
	f.Add([]byte("\x16\x03\x01"), uint8(1), uint8(1))
	f.Add([]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), uint8(9), uint8(5))
	for i, end := range smuggled {
		// With this step the DATA line ends a piece, as it has to.
		in := hello + "DATA\r\n"
		f.Add([]byte(in+"first"+end+"MAIL FROM:<x@y>\r\n.\r\nQUIT\r\n"), uint8(len(in)), uint8(i))
	}
	scripts, err := filepath.Glob("testdata/*/*.txt")
	if err != nil {
		f.Fatal(err)
	}
	for i, file := range scripts {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(clientSide(string(data)), uint8(1+i*13), uint8(i))
	}
	f.Fuzz(func(t *testing.T, in []byte, step, variant uint8) {
		m := &sessiontest.Memory{}
		c := &feed{in: in, step: max(1, int(step)), start: -1}
		s := settings[int(variant)%len(settings)]
		o := &session.Options{
			FQDN: sessiontest.FQDN, Voice: s.voice, Profile: s.profile, Begin: m.Begin,
			MaxErrors: -1, MaxJunk: -1, MaxRefused: -1, ErrorDelay: -1, MaxRecipients: 10,
			MaxMessageSize: 1 << 10, MaxSessionSize: 1 << 12, StrictSize: variant&64 != 0,
			SessionSizePerConnection: variant&128 != 0,
			Policy:                   &sessiontest.Rules{Local: []string{"d.example"}},
			Panicked:                 func(v any, stack []byte) { t.Errorf("panic: %v\n%s", v, stack) },
		}
		o.Record = func(e *mail.Exchange) {
			if e.Verb == "DATA" && c.start >= 0 {
				compare(t, c, e, m, s.profile.RepairLineEnds())
				c.start = -1
			}
		}
		served := make(chan session.CloseReason, 1)
		go func() { served <- session.Serve(context.Background(), c, o) }()
		select {
		case <-served:
		case <-time.After(20 * time.Second):
			t.Fatal("the session does not end")
		}
		out := c.out.String()
		if out == "" || !strings.HasSuffix(out, "\r\n") {
			t.Fatalf("output %q", out)
		}
		for line := range strings.SplitSeq(strings.TrimSuffix(out, "\r\n"), "\r\n") {
			if !replyLine.MatchString(line) {
				t.Fatalf("this line is no reply: %q", line)
			}
		}
		if m.Open() != 0 {
			t.Fatalf("%d transactions were left open", m.Open())
		}
	})
}

// compare looks at the outcome of one DATA.
func compare(t *testing.T, c *feed, e *mail.Exchange, m *sessiontest.Memory, repair bool) {
	text, done, bad := decode(string(c.in[c.start:]), repair)
	switch e.Code {
	case 250:
		all := m.Messages()
		if !done || bad || all[len(all)-1].Text != text {
			t.Fatalf("accepted %q\nfrom %q", all[len(all)-1].Text, c.in[c.start:])
		}
	case 550:
		if !bad {
			t.Fatalf("refused with %d %s: %q", e.Code, e.Enhanced, c.in[c.start:])
		}
	case 354: // cut short
		if done {
			t.Fatalf("not accepted though it ended: %q", c.in[c.start:])
		}
	case 552: // too large, perhaps before its end
	default:
		t.Fatalf("%d %s for %q", e.Code, e.Enhanced, c.in[c.start:])
	}
}

// clientSide returns what the client of a script sends.
func clientSide(script string) []byte {
	var b []byte
	for line := range strings.SplitSeq(script, "\n") {
		if text, ok := strings.CutPrefix(line, "smtp> "); ok {
			b = append(b, text+"\r\n"...)
		}
	}
	return b
}

// FuzzChunks: text that comes in chunks of any size is what the reference makes of the whole.
func FuzzChunks(f *testing.F) {
	f.Add([]byte("Subject: x\r\n\r\n.\r\n..\r\nlast\n"), uint8(3), uint8(2))
	f.Add([]byte("a\r\n.\n\rb\r\r\n"), uint8(1), uint8(100))
	f.Fuzz(func(t *testing.T, text []byte, size, step uint8) {
		var in bytes.Buffer
		in.WriteString("HELO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n")
		n := max(1, int(size))
		for rest := text; len(rest) > 0 && len(text)/n < 900; {
			k := min(n, len(rest))
			in.WriteString("BDAT " + itoa(k) + "\r\n")
			in.Write(rest[:k])
			rest = rest[k:]
		}
		if len(text)/n >= 900 {
			return // that many are refused
		}
		in.WriteString("BDAT 0 LAST\r\nNOOP\r\n")
		m := &sessiontest.Memory{}
		c := &feed{in: in.Bytes(), step: max(1, int(step)), start: -1}
		o := &session.Options{Profile: smtp.Submission, Begin: m.Begin}
		r := session.Serve(context.Background(), c, o)

		want, bad := decodeLines(string(text), true, false)
		got := m.Messages()
		if bad {
			if len(got) != 0 || !strings.Contains(c.out.String(), "\r\n550 5.") {
				t.Fatalf("not refused: %q\n%s", text, c.out.String())
			}
			return
		}
		if r != session.ClosedByClient || len(got) != 1 || got[0].Text != want {
			t.Fatalf("%q: ended by %q, accepted %+v, want %q", text, r, got, want)
		}
	})
}

func itoa(n int) string {
	if n < 10 {
		return string(rune('0' + n))
	}
	return itoa(n/10) + string(rune('0'+n%10))
}
