package smtpclient

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/mailroot/mailroot/internal/mail"
	"github.com/mailroot/mailroot/internal/smtp"
)

func codes(o *Outcome) string {
	s := fmt.Sprint(o.Mail.Code)
	for _, r := range o.Rcpts {
		s += fmt.Sprint(" ", r.Code)
	}
	return s + fmt.Sprint(" / ", o.Data.Code)
}

func TestSendPipelined(t *testing.T) {
	c, count := dialogue(t, nil, hello+`
C: MAIL FROM:<a@example.com> SIZE=8
C: RCPT TO:<r0@example.org>
C: RCPT TO:<r1@example.org>
C: RCPT TO:<r2@example.org>
C: DATA
S: 250 2.1.0 Ok
S: 250 2.1.5 Ok
S: 550 5.1.1 No such user
S: 250 2.1.5 Ok
S: 354 go
C: Hello
C: ..
C: .
S: 250 2.0.0 queued as 1
C: MAIL FROM:<a@example.com> SIZE=3
C: RCPT TO:<r0@example.org>
C: DATA
S: 250 2.1.0 Ok
S: 250 2.1.5 Ok
S: 354 go
C: x
C: .
S: 250 2.0.0 queued as 2
C: QUIT
S: 221 bye`)
	ready(t, c)
	before := len(count.writes)
	var o Outcome
	c.Send(message(3, "Hello\r\n."), &o)
	if got, want := codes(&o), "250 250 550 250 / 250"; got != want || o.Err != nil || o.Local != nil || !o.Sent || o.Asked != 3 {
		t.Errorf("got %s %+v, want %s", got, o, want)
	}
	if got, want := o.Rcpts[1], mail.NewReply(550, mail.Enhanced(5, 1, 1), "No such user"); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := len(count.writes) - before; got != 2 {
		t.Errorf("%d writes, want 2: one a flight", got)
	}
	if !c.Reusable() {
		t.Error("not reusable after a success")
	}
	c.Send(message(1, "x\r\n"), &o)
	if got, want := codes(&o), "250 250 / 250"; got != want {
		t.Errorf("second: got %s, want %s", got, want)
	}
	if c.Used() != 2 {
		t.Errorf("%d transactions, want 2", c.Used())
	}
	c.Quit()
}

func TestSendInSteps(t *testing.T) {
	// Without PIPELINING each command waits for its reply.
	const plain = `
S: 220 mx.example.org SMTP
C: EHLO relay.example.com
S: 250 mx.example.org
`
	c, _ := dialogue(t, nil, plain+`
C: MAIL FROM:<a@example.com>
S: 250 Ok
C: RCPT TO:<r0@example.org>
S: 550 no
C: RCPT TO:<r1@example.org>
S: 250 Ok
C: DATA
S: 354 go
C: x
C: .
S: 250 Ok
C: MAIL FROM:<a@example.com>
S: 250 Ok
C: RCPT TO:<r0@example.org>
S: 450 later
C: RSET
S: 250 Ok
C: MAIL FROM:<a@example.com>
S: 451 no
C: MAIL FROM:<a@example.com>
S: 250 Ok
C: RCPT TO:<r0@example.org>
S: 250 Ok
C: DATA
S: 451 no
C: RSET
S: 250 Ok
C: MAIL FROM:<a@example.com>
S: 550 no`)
	ready(t, c)
	var o Outcome
	for i, want := range []string{"250 550 250 / 250", "250 450 / 0", "451 0 / 0", "250 250 / 451", "550 0 / 0"} {
		n := 1
		if i == 0 {
			n = 2
		}
		c.Send(message(n, "x\r\n"), &o)
		if got := codes(&o); got != want || o.Err != nil || o.Local != nil {
			t.Fatalf("%d: got %s (%v, %v), want %s", i, got, o.Err, o.Local, want)
		}
	}
	if !c.Reusable() {
		t.Error("not reusable after refusals")
	}
}

func TestSendRefusedPipelined(t *testing.T) {
	// After refusals an open transaction is reset, in the next flight.
	c, count := dialogue(t, nil, hello+`
C: MAIL FROM:<a@example.com> SIZE=3
C: RCPT TO:<r0@example.org>
C: DATA
S: 250 Ok
S: 550 no
S: 554 no valid recipients
C: RSET
C: MAIL FROM:<a@example.com> SIZE=3
C: RCPT TO:<r0@example.org>
C: DATA
S: 250 Ok
S: 451 4.7.1 no
S: 503 no
S: 503 no`)
	ready(t, c)
	var o Outcome
	c.Send(message(1, "x\r\n"), &o)
	if got, want := codes(&o), "250 550 / 0"; got != want || o.Err != nil {
		t.Fatalf("got %s (%v), want %s", got, o.Err, want)
	}
	before := len(count.writes)
	c.Send(message(1, "x\r\n"), &o)
	if got, want := codes(&o), "451 503 / 0"; got != want || o.Err != nil {
		t.Fatalf("got %s (%v), want %s", got, o.Err, want)
	}
	if got := len(count.writes) - before; got != 1 {
		t.Errorf("%d writes, want 1", got)
	}
}

func TestC2(t *testing.T) {
	t.Run("C2 250 to DATA", func(t *testing.T) {
		c, _ := dialogue(t, nil, hello+`
C: MAIL FROM:<a@example.com> SIZE=3
C: RCPT TO:<r0@example.org>
C: DATA
S: 250 Ok
S: 250 Ok
S: 250 Ok`)
		ready(t, c)
		var o Outcome
		c.Send(message(1, "x\r\n"), &o)
		if !errors.Is(o.Err, smtp.ErrProtocol) || o.Sent || !o.Data.IsZero() || c.Reusable() {
			t.Errorf("got %+v, reusable %v; want a protocol error, nothing sent", o, c.Reusable())
		}
	})
	t.Run("C2 354 when all RCPT failed", func(t *testing.T) {
		c, _ := dialogue(t, nil, hello+`
C: MAIL FROM:<a@example.com> SIZE=3
C: RCPT TO:<r0@example.org>
C: DATA
S: 250 Ok
S: 550 no
S: 354 go
C: .
S: 554 no valid recipients
C: MAIL FROM:<a@example.com> SIZE=3
C: RCPT TO:<r0@example.org>
C: DATA
S: 250 Ok
S: 550 no
S: 354 go
C: .
S: 250 Ok`)
		ready(t, c)
		var o Outcome
		c.Send(message(1, "x\r\n"), &o)
		if got, want := codes(&o), "250 550 / 0"; got != want || o.Err != nil || o.Sent || !c.Reusable() {
			t.Fatalf("got %s %+v, want %s and a usable connection", got, o, want)
		}
		c.Send(message(1, "x\r\n"), &o)
		if got, want := codes(&o), "250 550 / 0"; got != want || o.Err == nil || o.Sent || c.Reusable() {
			t.Errorf("got %s %+v, want %s and the connection past use: it took a message for nobody", got, o, want)
		}
	})
	t.Run("C2 RCPT and DATA accepted after MAIL was refused", func(t *testing.T) {
		c, _ := dialogue(t, nil, hello+`
C: MAIL FROM:<a@example.com> SIZE=3
C: RCPT TO:<r0@example.org>
C: DATA
S: 550 5.7.1 no
S: 250 Ok
S: 354 go
C: .
S: 554 nothing
C: MAIL FROM:<a@example.com> SIZE=3
C: RCPT TO:<r0@example.org>
C: DATA
S: 451 4.3.0 no
S: 250 Ok
S: 354 go
C: .
S: 250 Ok`)
		ready(t, c)
		var o Outcome
		c.Send(message(1, "x\r\n"), &o)
		if got, want := codes(&o), "550 250 / 0"; got != want || o.Err != nil || o.Sent || !c.Reusable() {
			t.Fatalf("got %s %+v, want %s and a usable connection", got, o, want)
		}
		c.Send(message(1, "x\r\n"), &o)
		if got, want := codes(&o), "451 250 / 0"; got != want || o.Err == nil || o.Sent || c.Reusable() {
			t.Errorf("got %s %+v, want %s and the connection past use", got, o, want)
		}
	})
	t.Run("C2 BDAT after MAIL was refused", func(t *testing.T) {
		c, _ := dialogue(t, nil, `
S: 220 mx.example.org ESMTP
C: EHLO relay.example.com
S: 250-mx.example.org
S: 250-PIPELINING
S: 250-CHUNKING
S: 250 BINARYMIME
C: MAIL FROM:<a@example.com> BODY=BINARYMIME
C: RCPT TO:<r0@example.org>
S: 550 5.7.1 no
S: 250 Ok
C: RSET
C: MAIL FROM:<a@example.com> BODY=BINARYMIME
C: RCPT TO:<r0@example.org>
S: 250 Ok
S: 250 Ok
S: 250 Ok
C: BDAT 3 LAST
C* 3
S: 250 Ok`)
		ready(t, c)
		m := message(1, "x\r\n")
		m.Env.Sender.Body, m.Env.Content.Bare = mail.BodyBinaryMIME, true
		var o Outcome
		c.Send(m, &o)
		if got, want := codes(&o), "550 250 / 0"; got != want || o.Err != nil || o.Sent || !c.Reusable() {
			t.Fatalf("got %s %+v, want %s and a usable connection", got, o, want)
		}
		c.Send(m, &o)
		if got, want := codes(&o), "250 250 / 250"; got != want || o.Err != nil {
			t.Errorf("got %s (%v), want %s", got, o.Err, want)
		}
	})
	t.Run("C2 reset before QUIT", func(t *testing.T) {
		c, _ := dialogue(t, nil, hello+`
C: MAIL FROM:<a@example.com> SIZE=3
C: RCPT TO:<r0@example.org>
C: DATA
S: 250 Ok
S: 250 Ok
S: 354 go
C: x
C: .
S: 250 Ok
CLOSE`)
		ready(t, c)
		var o Outcome
		c.Send(message(1, "x\r\n"), &o)
		c.Quit()
		if got, want := codes(&o), "250 250 / 250"; got != want || o.Err != nil {
			t.Errorf("got %s (%v), want %s: success stands", got, o.Err, want)
		}
	})
}

func TestC3(t *testing.T) {
	const upToDot = `
C: MAIL FROM:<a@example.com> SIZE=3
C: RCPT TO:<r0@example.org>
C: DATA
S: 250 Ok
S: 250 Ok
S: 354 go
C: x
C: .
`
	for name, end := range map[string]string{
		"C3 closed":                   "CLOSE",
		"C3 C1 malformed after dot":   "S: what?",
		"C3 354 after dot":            "S: 354 go on",
		"C3 half a reply":             "S- 25",
		"C3 C1 mixed codes after dot": "S: 250-a\nS: 550 b",
	} {
		t.Run(name, func(t *testing.T) {
			c, _ := dialogue(t, nil, hello+upToDot+end)
			ready(t, c)
			var o Outcome
			c.Send(message(1, "x\r\n"), &o)
			if o.Err == nil || !o.Sent || !o.Data.IsZero() || c.Reusable() {
				t.Errorf("got %+v, reusable %v; want sent and unknown", o, c.Reusable())
			}
		})
	}
}

func TestC1BeforeData(t *testing.T) {
	for name, answer := range map[string]string{
		"C1 long line":   "S: 250 " + strings.Repeat("x", 3000),
		"C1 many lines":  strings.TrimSpace(strings.Repeat("S: 250-x\n", 101)),
		"C1 no code":     "S: hello",
		"C1 code 000":    "S: 000 hello",
		"C1 code 999":    "S: 999 hello",
		"C1 mixed codes": "S: 250-x\nS: 550 x",
		"C1 3xx to MAIL": "S: 354 x",
		"C1 enhanced":    "S: 5.1.1",
	} {
		t.Run(name, func(t *testing.T) {
			here, script := "", hello+"C: MAIL FROM:<a@example.com> SIZE=3\nC: RCPT TO:<r0@example.org>\nC: DATA\n"
			_ = here
			c, _ := dialogue(t, nil, script+answer)
			ready(t, c)
			var o Outcome
			c.Send(message(1, "x\r\n"), &o)
			if !errors.Is(o.Err, smtp.ErrProtocol) || o.Sent || c.Reusable() {
				t.Fatalf("got %+v, reusable %v; want a protocol error", o, c.Reusable())
			}
			if reply, ours := o.Err.Answer("mx.example.org"); !ours || !reply.Transient() || reply.Enhanced != mail.Enhanced(4, 5, 0) {
				t.Errorf("answer %v (ours %v), want a 4xx of ours", reply, ours)
			}
		})
	}
	t.Run("C1 codes without text are taken", func(t *testing.T) {
		c, _ := dialogue(t, nil, hello+"C: MAIL FROM:<a@example.com> SIZE=3\nC: RCPT TO:<r0@example.org>\nC: DATA\nS: 250\nS: 250 2.1.5\nS: 354\nC: x\nC: .\nS: 250")
		ready(t, c)
		var o Outcome
		c.Send(message(1, "x\r\n"), &o)
		if got, want := codes(&o), "250 250 / 250"; got != want || o.Err != nil {
			t.Errorf("got %s (%v), want %s", got, o.Err, want)
		}
	})
}

func TestSend421(t *testing.T) {
	c, _ := dialogue(t, nil, hello+`
C: MAIL FROM:<a@example.com> SIZE=3
C: RCPT TO:<r0@example.org>
C: RCPT TO:<r1@example.org>
C: DATA
S: 250 Ok
S: 550 5.1.1 no
S: 421 4.3.2 going down`)
	ready(t, c)
	var o Outcome
	c.Send(message(2, "x\r\n"), &o)
	if got, want := codes(&o), "250 550 0 / 0"; got != want || o.Err == nil || o.Err.Reply.Code != 421 || !o.Answered || c.Reusable() {
		t.Errorf("got %s %+v, want %s and 421", got, o, want)
	}
}

func TestSendParameters(t *testing.T) {
	const all = `
S: 220 mx.example.org ESMTP
C: EHLO relay.example.com
S: 250-mx.example.org
S: 250-PIPELINING
S: 250-8BITMIME
S: 250-SMTPUTF8
S: 250-DSN
S: 250 SIZE 1000
`
	for _, c := range []struct {
		name, greeting string
		set            func(*mail.Envelope)
		mail, rcpt     string
	}{
		{"nothing needed", all, func(*mail.Envelope) {}, "MAIL FROM:<a@example.com> SIZE=3", "RCPT TO:<r0@example.org>"},
		{"8-bit text", all, func(e *mail.Envelope) { e.Content.EightBit = true }, "MAIL FROM:<a@example.com> SIZE=3 BODY=8BITMIME", "RCPT TO:<r0@example.org>"},
		{"8-bit text, not offered: as it is", hello, func(e *mail.Envelope) { e.Content.EightBit = true }, "MAIL FROM:<a@example.com> SIZE=3", "RCPT TO:<r0@example.org>"},
		{"8-bit header without SMTPUTF8", all, func(e *mail.Envelope) { e.Content.UTF8 = true }, "MAIL FROM:<a@example.com> SIZE=3 BODY=8BITMIME", "RCPT TO:<r0@example.org>"},
		{"SMTPUTF8", all, func(e *mail.Envelope) {
			e.Sender.UTF8, e.Recipients[0].Addr.Local = true, "jürgen"
		}, "MAIL FROM:<a@example.com> SIZE=3 SMTPUTF8", "RCPT TO:<jürgen@example.org>"},
		{"DSN", all, func(e *mail.Envelope) {
			e.Sender.Ret, e.Sender.EnvID = mail.RetHeaders, "id"
			e.Recipients[0].Notify, e.Recipients[0].ORcpt = mail.NotifyFailure, "rfc822;x@example.net"
		}, "MAIL FROM:<a@example.com> SIZE=3 RET=HDRS ENVID=id", "RCPT TO:<r0@example.org> NOTIFY=FAILURE ORCPT=rfc822;x@example.net"},
		{"DSN not offered", hello, func(e *mail.Envelope) {
			e.Sender.Ret, e.Sender.EnvID = mail.RetHeaders, "id"
			e.Recipients[0].Notify, e.Recipients[0].ORcpt = mail.NotifyFailure, "rfc822;x@example.net"
		}, "MAIL FROM:<a@example.com> SIZE=3", "RCPT TO:<r0@example.org>"},
		{"null sender", all, func(e *mail.Envelope) { e.Sender.Addr = mail.Address{} }, "MAIL FROM:<> SIZE=3", "RCPT TO:<r0@example.org>"},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn, _ := dialogue(t, nil, c.greeting+"C: "+c.mail+"\nC: "+c.rcpt+"\nC: DATA\nS: 250 Ok\nS: 250 Ok\nS: 354 go\nC: x\nC: .\nS: 250 Ok")
			ready(t, conn)
			m := message(1, "x\r\n")
			c.set(m.Env)
			if reply, ok := conn.Fits(m.Env, m.Rcpts); !ok {
				t.Fatalf("does not fit: %v", reply)
			}
			var o Outcome
			conn.Send(m, &o)
			if got, want := codes(&o), "250 250 / 250"; got != want || o.Err != nil {
				t.Errorf("got %s (%v), want %s", got, o.Err, want)
			}
		})
	}
}

func TestFits(t *testing.T) {
	c, _ := dialogue(t, nil, hello)
	ready(t, c)
	for _, f := range []struct {
		name string
		set  func(*mail.Envelope)
		want mail.EnhancedCode
	}{
		{"plain", func(*mail.Envelope) {}, mail.EnhancedCode{}},
		{"SMTPUTF8 asked for but not needed", func(e *mail.Envelope) { e.Sender.UTF8 = true }, mail.EnhancedCode{}},
		{"E17 recipient", func(e *mail.Envelope) { e.Recipients[0].Addr.Local = "jürgen" }, mail.Enhanced(5, 6, 7)},
		{"E17 sender", func(e *mail.Envelope) { e.Sender.Addr.Domain = "bücher.example" }, mail.Enhanced(5, 6, 7)},
		{"E17 header", func(e *mail.Envelope) { e.Sender.UTF8, e.Content.UTF8 = true, true }, mail.Enhanced(5, 6, 9)},
		{"8-bit header without SMTPUTF8", func(e *mail.Envelope) { e.Content.UTF8 = true }, mail.EnhancedCode{}},
		{"binary", func(e *mail.Envelope) { e.Sender.Body, e.Content.Bare = mail.BodyBinaryMIME, true }, mail.Enhanced(5, 6, 3)},
		{"binary in name only", func(e *mail.Envelope) { e.Sender.Body = mail.BodyBinaryMIME }, mail.EnhancedCode{}},
		{"C4 REQUIRETLS", func(e *mail.Envelope) { e.Sender.RequireTLS = true }, mail.Enhanced(5, 7, 30)},
	} {
		t.Run(f.name, func(t *testing.T) {
			m := message(1, "x\r\n")
			f.set(m.Env)
			reply, ok := c.Fits(m.Env, m.Rcpts)
			if ok != f.want.IsZero() || reply.Enhanced != f.want || !ok && !reply.Permanent() {
				t.Errorf("got %v, %v; want %v", reply, ok, f.want)
			}
		})
	}
}

func TestSendBinary(t *testing.T) {
	const content = "a\nb\rc\r\n.\r\n\x00"
	c, _ := dialogue(t, nil, `
S: 220 mx.example.org ESMTP
C: EHLO relay.example.com
S: 250-mx.example.org
S: 250-PIPELINING
S: 250-CHUNKING
S: 250 BINARYMIME
C: MAIL FROM:<a@example.com> BODY=BINARYMIME
C: RCPT TO:<r0@example.org>
S: 250 Ok
S: 550 no
C: RSET
C: MAIL FROM:<a@example.com> BODY=BINARYMIME
C: RCPT TO:<r0@example.org>
S: 250 Ok
S: 250 Ok
S: 250 Ok
C: BDAT 11 LAST
C* 11
S: 250 Ok`)
	ready(t, c)
	m := message(1, content)
	m.Env.Sender.Body, m.Env.Content.Bare = mail.BodyBinaryMIME, true
	if reply, ok := c.Fits(m.Env, m.Rcpts); !ok {
		t.Fatal(reply)
	}
	var o Outcome
	c.Send(m, &o)
	if got, want := codes(&o), "250 550 / 0"; got != want || o.Err != nil {
		t.Errorf("got %s (%v), want %s", got, o.Err, want)
	}
	c.Send(m, &o)
	if got, want := codes(&o), "250 250 / 250"; got != want || o.Err != nil {
		t.Errorf("got %s (%v), want %s", got, o.Err, want)
	}
}

func TestSendLimits(t *testing.T) {
	const limits = `
S: 220 mx.example.org ESMTP
C: EHLO relay.example.com
S: 250-mx.example.org
S: 250-PIPELINING
S: 250 LIMITS %s
C: MAIL FROM:<a@example.com>
%s
C: DATA
S: 250 Ok
%s
S: 354 go
C: x
C: .
S: 250 Ok`
	for _, c := range []struct {
		limit string
		asked int
		again bool
	}{
		{"RCPTMAX=2", 2, true},
		{"MAILMAX=1", 4, false},
		{"MAILMAX=2 RCPTMAX=10", 4, true},
		{"RCPTDOMAINMAX=1", 3, true},
	} {
		t.Run(c.limit, func(t *testing.T) {
			m := message(4, "x\r\n")
			m.Env.Recipients[2].Addr.Domain = "EXAMPLE.org"
			m.Env.Recipients[3].Addr.Domain = "example.net"
			var ask string
			for _, r := range m.Env.Recipients[:c.asked] {
				ask += "C: RCPT TO:<" + r.Addr.String() + ">\n"
			}
			conn, _ := dialogue(t, nil, fmt.Sprintf(limits, c.limit, strings.TrimSpace(ask), strings.TrimSpace(strings.Repeat("S: 250 Ok\n", c.asked))))
			ready(t, conn)
			var o Outcome
			conn.Send(m, &o)
			if o.Asked != c.asked || o.Data.Code != 250 || o.Err != nil {
				t.Errorf("got %+v, want %d asked", o, c.asked)
			}
			if conn.Reusable() != c.again {
				t.Errorf("reusable %v, want %v", conn.Reusable(), c.again)
			}
		})
	}
}

func TestSendManyRecipients(t *testing.T) {
	// A flight is cut, so that replies never fill the buffers while we write: here there is
	// no buffer but the server's for reading.
	const n = 1000
	ask := strings.Builder{}
	m := message(n, "x\r\n")
	flights, size := 0, len("MAIL FROM:<a@example.com> SIZE=3\r\n")
	ask.WriteString("C: MAIL FROM:<a@example.com> SIZE=3\n")
	open := 1
	for _, r := range m.Env.Recipients {
		if size > maxFlight {
			ask.WriteString(strings.Repeat("S: 250 Ok\n", open))
			size, open = 0, 0
			flights++
		}
		line := "RCPT TO:<" + r.Addr.String() + ">"
		ask.WriteString("C: " + line + "\n")
		size += len(line) + 2
		open++
	}
	ask.WriteString("C: DATA\n" + strings.Repeat("S: 250 Ok\n", open) + "S: 354 go\nC: x\nC: .\nS: 250 Ok")
	c, count := dialogue(t, nil, hello+ask.String())
	ready(t, c)
	before := len(count.writes)
	var o Outcome
	c.Send(m, &o)
	if o.Err != nil || o.Data.Code != 250 || o.accepted() != n {
		t.Fatalf("%v, %v, %d accepted", o.Err, o.Data, o.accepted())
	}
	if got, want := len(count.writes)-before, flights+2; got != want || flights == 0 {
		t.Errorf("%d writes, want %d", got, want)
	}
}
