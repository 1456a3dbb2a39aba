package smtpclient

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mailroot/mailroot/internal/mail"
)

func TestSendUnsafeAddress(t *testing.T) {
	c, _ := dialogue(t, nil, hello+`
C: RSET
C: MAIL FROM:<a@example.com> SIZE=3
C: RCPT TO:<r0@example.org>
C: DATA
S: 250 Ok
S: 250 Ok
S: 250 Ok
S: 354 go
C: x
C: .
S: 250 Ok`)
	ready(t, c)
	m := message(1, "x\r\n")
	m.Env.Recipients[0].Addr.Local = "a>\r\nDATA\r\n"
	var o Outcome
	c.Send(m, &o)
	var e *mail.Error
	if !errors.As(o.Local, &e) || !e.Permanent() || o.Answered || !c.Reusable() {
		t.Errorf("got %+v, want a permanent error of ours and nothing sent", o)
	}
	c.Send(message(1, "x\r\n"), &o)
	if got, want := codes(&o), "250 250 / 250"; got != want || o.Err != nil {
		t.Errorf("got %s (%v), want %s", got, o.Err, want)
	}
}

// faulty fails from an offset on.
type faulty struct {
	size, from int64
}

var errFaulty = errors.New("input/output error")

func (f faulty) Size() int64 { return f.size }
func (f faulty) ReadAt(p []byte, off int64) (int, error) {
	n := min(int64(len(p)), f.size-off)
	if off+n > f.from {
		return 0, errFaulty
	}
	for i := range p[:n] {
		p[i] = "x\r\n"[(off+int64(i))%3]
	}
	if int(n) < len(p) {
		return int(n), io.EOF
	}
	return int(n), nil
}

func TestSendUnreadable(t *testing.T) {
	t.Run("small: nobody is disturbed", func(t *testing.T) {
		c, _ := dialogue(t, nil, hello)
		ready(t, c)
		m := message(1, "")
		m.Body = faulty{size: 300, from: 200}
		var o Outcome
		c.Send(m, &o)
		if !errors.Is(o.Local, errFaulty) || o.Answered || o.Err != nil || !c.Reusable() {
			t.Errorf("got %+v", o)
		}
	})
	t.Run("large: never half a message with a dot", func(t *testing.T) {
		c, count := dialogue(t, nil, hello+`
C: MAIL FROM:<a@example.com> SIZE=300000
C: RCPT TO:<r0@example.org>
C: DATA
S: 250 Ok
S: 250 Ok
S: 354 go
C* 98304`)
		ready(t, c)
		m := message(1, "")
		m.Body, m.Env.Content.DotLines = faulty{size: 300000, from: 3*blockSize + 1}, 1
		var o Outcome
		c.Send(m, &o)
		if !errors.Is(o.Local, errFaulty) || o.Sent || o.Err == nil || c.Reusable() {
			t.Errorf("got %+v, reusable %v", o, c.Reusable())
		}
		for _, w := range count.writes {
			if strings.Contains(w, "\r\n.\r\n") {
				t.Error("the end of data was sent")
			}
		}
	})
}

func TestSendLarge(t *testing.T) {
	// Blocks cut lines, CRLF and dots anywhere.
	line := "." + strings.Repeat("x", 60) + "\r\n"
	content := strings.Repeat(line, 5000) + "no line end"
	want := strings.Repeat("."+line, 5000) + "no line end\r\n.\r\n"
	c, count := dialogue(t, nil, hello+fmt.Sprintf(`
C: MAIL FROM:<a@example.com> SIZE=%d
C: RCPT TO:<r0@example.org>
C: DATA
S: 250 Ok
S: 250 Ok
S: 354 go
C* %d
S: 250 Ok`, len(content), len(want)))
	ready(t, c)
	before := len(count.writes) + 1
	var o Outcome
	c.Send(message(1, content), &o)
	if got := codes(&o); got != "250 250 / 250" || o.Err != nil || o.Local != nil {
		t.Fatalf("got %s (%v, %v)", got, o.Err, o.Local)
	}
	if got := strings.Join(count.writes[before:], ""); got != want {
		t.Error("what was sent is not what is right")
	}
}

func TestSendServerHasEnough(t *testing.T) {
	// The server refuses in the middle of the text and closes: its word is the result, so that
	// the message is not sent again for ever.
	c, _ := dialogue(t, nil, hello+`
C: MAIL FROM:<a@example.com> SIZE=1000000
C: RCPT TO:<r0@example.org>
C: DATA
S: 250 Ok
S: 250 Ok
S: 354 go
C* 100000
S: 552 5.3.4 too much
CLOSE`)
	here := c.nc.(*countConn)
	// A pipe has no buffer: the reply is read when the write has failed, so let it fail.
	c.nc = &failingWrites{countConn: here, after: 100000}
	ready(t, c)
	var o Outcome
	m := message(1, strings.Repeat(strings.Repeat("x", 98)+"\r\n", 10000))
	c.Send(m, &o)
	if got, want := codes(&o), "250 250 / 552"; got != want || o.Err == nil || o.Sent || c.Reusable() {
		t.Errorf("got %s %+v, want %s", got, o, want)
	}
}

// failingWrites fails once so much text is written, as a socket does whose peer has closed.
type failingWrites struct {
	*countConn
	after int
	data  bool
}

func (f *failingWrites) Write(p []byte) (int, error) {
	if strings.HasSuffix(string(p), "DATA\r\n") {
		defer func() { f.data = true }()
	}
	if !f.data {
		return f.countConn.Write(p)
	}
	n, err := f.countConn.Write(p[:min(len(p), f.after)])
	f.after -= n
	if err == nil && n < len(p) {
		err = errFaulty
	}
	return n, err
}

func TestTimeouts(t *testing.T) {
	const upToData = hello + "C: MAIL FROM:<a@example.com> SIZE=3\nC: RCPT TO:<r0@example.org>\nC: DATA\n"
	const upToDot = upToData + "S: 250 Ok\nS: 250 Ok\nS: 354 go\nC: x\nC: .\n"
	for _, c := range []struct {
		name, script string
		timeout      time.Duration
		want         time.Duration
		sent         bool
	}{
		{"greeting", "WAIT 1h", 0, 5 * time.Minute, false},
		{"greeting, capped", "WAIT 1h", time.Minute, time.Minute, false},
		{"EHLO", "S: 220 x\nC: EHLO relay.example.com\nWAIT 1h", 0, 5 * time.Minute, false},
		{"EHLO drip feed", "S: 220 x\nC: EHLO relay.example.com\nS: 250-x\nWAIT 4m\nS: 250-x\nWAIT 1h", 0, 5 * time.Minute, false},
		{"MAIL", upToData + "WAIT 1h", 0, 5 * time.Minute, false},
		{"RCPT", upToData + "S: 250 Ok\nWAIT 1h", 0, 5 * time.Minute, false},
		{"DATA", upToData + "S: 250 Ok\nS: 250 Ok\nWAIT 1h", 0, 2 * time.Minute, false},
		{"text not read", upToData + "S: 250 Ok\nS: 250 Ok\nS: 354 go\nWAIT 1h", 0, 3 * time.Minute, false},
		{"C3 end of data", upToDot + "WAIT 1h", 0, 10 * time.Minute, true},
		{"C3 end of data, capped", upToDot + "WAIT 1h", 30 * time.Second, 30 * time.Second, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				conn, _ := dialogue(t, &Options{Timeout: c.timeout}, c.script)
				start := time.Now()
				err := conn.Greet()
				if err == nil {
					err = conn.Hello()
				}
				var o Outcome
				if err == nil {
					conn.Send(message(1, "x\r\n"), &o)
					err = o.Err
				}
				took := time.Since(start)
				if c.name == "text not read" {
					took -= waitLate // a last look for the server's word
				}
				if took != c.want {
					t.Errorf("gave up after %v, want %v", took, c.want)
				}
				var e *Error
				if !errors.As(err, &e) || !strings.Contains(e.Error(), "in time") || o.Sent != c.sent || conn.Reusable() {
					t.Errorf("error %v, outcome %+v", err, o)
				}
			})
		})
	}
}

func TestAbort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := dialogue(t, nil, hello+"C: MAIL FROM:<a@example.com> SIZE=3\nC: RCPT TO:<r0@example.org>\nC: DATA\nWAIT 1h")
		ready(t, c)
		time.AfterFunc(time.Second, c.Abort)
		start := time.Now()
		var o Outcome
		c.Send(message(1, "x\r\n"), &o)
		if took := time.Since(start); took != time.Second {
			t.Errorf("ended after %v", took)
		}
		if o.Err == nil || c.Reusable() {
			t.Errorf("got %+v", o)
		}
		c.Quit()
		if err := c.Greet(); err == nil {
			t.Error("an aborted connection was used")
		}
	})
}
